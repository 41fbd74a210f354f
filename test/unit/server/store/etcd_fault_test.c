#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/grpc.h"
#include "server/store/etcd_fault.h"

#include <string.h>

/* gRPC status and message as etcd 3.4 sends them, and what becomes of them. */
static const struct {
    unsigned status;
    const char *message;
    enum etcd_fate fate;
    enum err_code code;
    bool token;
    const char *says;
} rows[] = {
    { 11, "etcdserver: mvcc: required revision has been compacted", ETCD_REFUSED, ERR_EXPIRED,
      false, "compacted" },
    { 11, "etcdserver: mvcc: required revision is a future revision", ETCD_REFUSED, ERR_INVALID,
      false, "future" },
    { 3, "etcdserver: request is too large", ETCD_REFUSED, ERR_LIMIT, false,
      "--max-request-bytes" },
    { 8, "grpc: received message larger than max (3000000 vs. 2097152)", ETCD_REFUSED, ERR_LIMIT,
      false, "--max-request-bytes" },
    { 8, "etcdserver: mvcc: database space exceeded", ETCD_REFUSED, ERR_LIMIT, false, "quota" },
    { 3, "etcdserver: user name is empty", ETCD_REFUSED, ERR_DENIED, false, "user:password@" },
    { 7, "etcdserver: permission denied", ETCD_REFUSED, ERR_DENIED, false, "permission" },
    { 3, "etcdserver: authentication failed, invalid user ID or password", ETCD_REFUSED,
      ERR_INVALID, false, "invalid user" },
    { 16, "etcdserver: invalid auth token", ETCD_NOT_DONE, ERR_AGAIN, true, "token" },
    { 3, "etcdserver: revision of auth store is old", ETCD_NOT_DONE, ERR_AGAIN, true, "old" },
    { 14, "etcdserver: no leader", ETCD_NOT_DONE, ERR_CLOSED, false, "no leader" },
    { 8, "etcdserver: too many requests", ETCD_NOT_DONE, ERR_AGAIN, false, "too many" },
    { 14, "etcdserver: request timed out", ETCD_UNKNOWN, ERR_CLOSED, false, "timed out" },
    { 14, "etcdserver: leader changed", ETCD_UNKNOWN, ERR_CLOSED, false, "leader changed" },
    { 14, "etcdserver: server stopped", ETCD_UNKNOWN, ERR_CLOSED, false, "stopped" },
    { 4, "context deadline exceeded", ETCD_UNKNOWN, ERR_TIMEOUT, false, "deadline" },
    { 2, "something new", ETCD_UNKNOWN, ERR_IO, false, "something new" },
    { 15, "etcdserver: corrupt cluster", ETCD_UNKNOWN, ERR_IO, false, "corrupt" },
};

static void what_etcd_says_decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        struct etcd_fault f;

        grpc_status_err(&e, rows[i].status, str_of(rows[i].message));
        err_wrap(&e, "Txn");
        f = etcd_fault_of(&e);
        if (f.fate != rows[i].fate || e.code != rows[i].code || f.token != rows[i].token ||
            !strstr(e.text, rows[i].says))
            fail_msg("%s: fate %d, %s: %s", rows[i].message, (int)f.fate, err_code_name(e.code),
                     e.text);
    }
}

static void a_broken_connection_says_nothing_about_the_write(void **state)
{
    static const enum err_code codes[] = { ERR_CLOSED, ERR_TIMEOUT,  ERR_CANCELED,
                                           ERR_IO,     ERR_PROTOCOL, ERR_LIMIT };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct err e;

        err_set(&e, codes[i], "127.0.0.1:2379: closed by the peer before the answer");
        assert_int_equal(etcd_fault_of(&e).fate, ETCD_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_etcd_says_decides),
        cmocka_unit_test(a_broken_connection_says_nothing_about_the_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

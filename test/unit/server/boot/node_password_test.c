/* Node passwords against the real API and store. */
#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/data/base64.h"
#include "base/pki/password.h"

#include <sqlite3.h>
#include <stdio.h>
#include <time.h>

#define A "0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210"

static struct harness h;
static struct node_passwords *np;

static int setup(void **state)
{
    (void)state;
    harness_open(&h, TUNNEL_EGRESS_AGENT);
    node_passwords_new(&np, &h.loop, h.api);
    return 0;
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    bool closed = false;
    (void)state;

    node_passwords_close(np, raise_flag, &closed);
    harness_wait(&h, &closed);
    harness_close(&h);
    return 0;
}

struct outcome {
    bool done;
    int code;
    char text[256];
};

static void on_checked(void *arg, const struct err *e)
{
    struct outcome *o = arg;

    assert_false(o->done);
    o->done = true;
    o->code = e ? (int)e->code : 0;
    snprintf(o->text, sizeof o->text, "%s", e ? e->text : "");
}

static struct outcome check(const char *node, const char *password)
{
    struct outcome o = { 0 };

    node_passwords_check(np, node, str_of(password), true, on_checked, &o);
    assert_false(o.done); /* later, never from inside */
    harness_wait(&h, &o.done);
    return o;
}

static json_t *secret_of(const char *node)
{
    char name[300];

    snprintf(name, sizeof name, "%s.node-password.k3s", node);
    return get(&h, "secrets", "kube-system", name);
}

static void the_first_password_is_kept_as_k3s_keeps_it(void **state)
{
    auto_buf hash = BUF(1024);
    (void)state;

    assert_int_equal(check("n1", A).code, 0);
    json_auto_t *s = secret_of("n1");
    assert_non_null(s);
    assert_string_equal(json_str_at(s, "type", ""), "k3s.cattle.io/node-password");
    assert_true(json_bool_at(s, "immutable", false));
    assert_int_equal(base64_decode(&hash, str_of(json_str_at(s, "data.hash", "")), false), 0);
    assert_true(str_starts(buf_str(&hash), STR("$1:")));
    assert_null(strstr(buf_cstr(&hash), A));
    assert_int_equal(check("n1", A).code, 0);
}

static void another_password_is_rejected_with_the_way_back(void **state)
{
    (void)state;

    assert_int_equal(check("n2", A).code, 0);
    struct outcome o = check("n2", B);
    assert_int_equal(o.code, ERR_DENIED);
    assert_non_null(strstr(o.text, "kubectl delete node n2"));
    assert_non_null(strstr(o.text, "n2.node-password.k3s"));
    assert_non_null(strstr(o.text, "--with-node-id"));
    assert_null(strstr(o.text, B));
    assert_int_equal(check("n2", A).code, 0); /* the rightful one is not harmed */
    assert_int_equal(check("n2", "").code, ERR_DENIED);
}

static unsigned n_events_of(const char *node)
{
    json_auto_t *events = list(&h, "events", "default");
    const json_t *ev;
    unsigned n = 0;
    size_t i;

    json_array_foreach(json_object_get(events, "items"), i, ev)
        n += strcmp(json_str_at(ev, "involvedObject.name", ""), node) == 0;
    return n;
}

static void a_rejection_is_an_event_on_the_node_once_a_minute(void **state)
{
    uint64_t until_ms = clock_mono_ms() + 30000;
    const json_t *ev;
    unsigned n = 0;
    size_t i;
    (void)state;

    assert_int_equal(check("n3", A).code, 0);
    assert_int_equal(check("n3", B).code, ERR_DENIED);
    assert_int_equal(check("n3", B).code, ERR_DENIED);
    while (!n_events_of("n3") && clock_mono_ms() < until_ms) /* written beside the answer */
        harness_turns(&h, 1);
    harness_turns(&h, 20); /* a second one would come now */
    json_auto_t *events = list(&h, "events", "default");
    json_array_foreach(json_object_get(events, "items"), i, ev)
    {
        if (strcmp(json_str_at(ev, "involvedObject.name", ""), "n3") != 0)
            continue;
        n++;
        assert_string_equal(json_str_at(ev, "involvedObject.kind", ""), "Node");
        assert_string_equal(json_str_at(ev, "reason", ""), "NodePasswordValidationFailed");
        assert_string_equal(json_str_at(ev, "type", ""), "Warning");
        assert_non_null(strstr(json_str_at(ev, "message", ""), "kubectl delete node n3"));
        assert_null(strstr(json_str_at(ev, "message", ""), B));
    }
    assert_int_equal(n, 1);
}

static void a_node_whose_secret_was_deleted_is_new(void **state)
{
    (void)state;

    assert_int_equal(check("n4", A).code, 0);
    delete (&h, "secrets", "kube-system", "n4.node-password.k3s");
    assert_int_equal(check("n4", B).code, 0);
    assert_int_equal(check("n4", A).code, ERR_DENIED); /* the memory of A went with its hash */
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* scrypt costs some 80 ms of processor: what is remembered must not pay it again */
static void a_password_that_was_verified_costs_no_scrypt_again(void **state)
{
    double before, first, later;
    (void)state;

    assert_int_equal(check("n5", A).code, 0);
    before = cpu_s();
    assert_int_equal(check("n5", B).code, ERR_DENIED); /* one scrypt */
    first = cpu_s() - before;
    before = cpu_s();
    for (int i = 0; i < 3; i++)
        assert_int_equal(check("n5", A).code, 0);
    later = cpu_s() - before;
    if (later > first)
        fail_msg("three known checks took %f s, one unknown %f s", later, first);
}

static void two_that_come_first_at_once_agree_on_one(void **state)
{
    struct outcome a = { 0 }, b = { 0 };
    (void)state;

    node_passwords_check(np, "n6", STR(A), true, on_checked, &a);
    node_passwords_check(np, "n6", STR(B), true, on_checked, &b);
    harness_wait(&h, &a.done);
    harness_wait(&h, &b.done);
    assert_true((a.code == 0 && b.code == ERR_DENIED) || (a.code == ERR_DENIED && b.code == 0));
}

static void a_secret_that_holds_no_hash_lets_nobody_in(void **state)
{
    static const char *const datas[] = {
        "{\"other\":\"eA==\"}",
        "{\"hash\":\"\"}",
        "{\"hash\":\"aGVsbG8=\"}",
        /* $1:0102030405060708:60:8:1:AAAA: more work than we do */
        "{\"hash\":\"JDE6MDEwMjAzMDQwNTA2MDcwODo2MDo4OjE6QUFBQQ==\"}",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(datas); i++) {
        auto_free char *text =
            mem_printf("{\"metadata\":{\"name\":\"n7.node-password.k3s\"},\"data\":%s}", datas[i]);
        assert_int_equal(create(&h, "secrets", "kube-system", text), 201);
        struct outcome o = check("n7", A);
        assert_int_equal(o.code, ERR_DENIED);
        assert_non_null(strstr(o.text, "kubectl delete node n7"));
        delete (&h, "secrets", "kube-system", "n7.node-password.k3s");
    }
}

static void a_hash_of_k3s_is_verified(void **state)
{
    char hash[PASSWORD_HASH_MAX_BYTES];
    auto_buf b64 = BUF(1024);
    struct err e;
    (void)state;

    /* [O]: type Opaque */
    assert_int_equal(password_hash(hash, STR(A), &e), 0);
    assert_int_equal(base64_add(&b64, str_of(hash)), 0);
    auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"n8.node-password.k3s\"},\"type\":"
                                      "\"Opaque\",\"immutable\":true,\"data\":{\"hash\":\"%s\"}}",
                                      buf_cstr(&b64));
    assert_int_equal(create(&h, "secrets", "kube-system", text), 201);
    assert_int_equal(check("n8", A).code, 0);
    assert_int_equal(check("n8", B).code, ERR_DENIED);
}

static void closing_ends_the_checks_under_way(void **state)
{
    struct node_passwords *other;
    struct outcome o[6] = { 0 };
    bool closed = false;
    (void)state;

    node_passwords_new(&other, &h.loop, h.api);
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        char node[16];
        snprintf(node, sizeof node, "c%u", i);
        node_passwords_check(other, node, STR(A), true, on_checked, &o[i]);
        harness_turns(&h, i * 3); /* each in another state */
    }
    node_passwords_close(other, raise_flag, &closed);
    harness_wait(&h, &closed);
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        assert_true(o[i].done);
        assert_true(o[i].code == 0 || o[i].code == ERR_CANCELED);
    }
}

/* Last: it breaks the store. */
static void a_store_that_fails_lets_nobody_in(void **state)
{
    sqlite3 *db;
    (void)state;

    assert_int_equal(check("n9", A).code, 0);
    assert_int_equal(sqlite3_open(h.db, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_stmt *st;
    char names[16][64];
    unsigned n = 0;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT name FROM sqlite_master WHERE type='table' AND "
                                        "name NOT LIKE 'sqlite_%'",
                                        -1, &st, NULL),
                     SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW && n < ARRAY_LEN(names))
        snprintf(names[n++], sizeof names[0], "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    for (unsigned i = 0; i < n; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "DROP TABLE \"%.63s\"", names[i]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
    struct outcome o = check("n10", A); /* n9's Secret may still be in memory */
    assert_int_equal(o.code, ERR_AGAIN);
    assert_non_null(strstr(o.text, "n10"));
    assert_int_not_equal(check("n9", B).code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_password_is_kept_as_k3s_keeps_it),
        cmocka_unit_test(another_password_is_rejected_with_the_way_back),
        cmocka_unit_test(a_rejection_is_an_event_on_the_node_once_a_minute),
        cmocka_unit_test(a_node_whose_secret_was_deleted_is_new),
        cmocka_unit_test(a_password_that_was_verified_costs_no_scrypt_again),
        cmocka_unit_test(two_that_come_first_at_once_agree_on_one),
        cmocka_unit_test(a_secret_that_holds_no_hash_lets_nobody_in),
        cmocka_unit_test(a_hash_of_k3s_is_verified),
        cmocka_unit_test(closing_ends_the_checks_under_way),
        cmocka_unit_test(a_store_that_fails_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

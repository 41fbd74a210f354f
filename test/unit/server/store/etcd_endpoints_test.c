#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/store/etcd_endpoints.h"

#include <stdio.h>
#include <string.h>

/* "tls host:port, ... user:password", or "!" and part of the error. */
static const struct {
    const char *in, *out;
} rows[] = {
    { "http://127.0.0.1:2379", "127.0.0.1:2379" },
    { "https://etcd.example.org", "tls etcd.example.org:2379" },
    { "https://a:1,http://b:2/ , https://[fd00::1]:3", "tls a:1, b:2, tls [fd00::1]:3" },
    { "http://root:se%40cret@a:1,http://b:2", "a:1, b:2 root:se@cret" },
    { "http://a:1,http://u:p@b:2,http://v:q@c:3", "a:1, b:2, c:3 u:p" },
    { "", "!endpoint 1 is empty" },
    { "http://a:1,,http://b:2", "!endpoint 2 is empty" },
    { "etcd://a:1", "!endpoint 1 begins with neither" },
    { "http://a:1,b:2", "!endpoint 2 begins with neither" },
    { "http://", "!endpoint 1" },
    { "http://a:0x10", "!endpoint 1" },
    { "http://a:99999", "!endpoint 1" },
    { "http://a:1/path", "!nothing may follow" },
    { "http://a:1?x", "!nothing may follow" },
    { "http://user@a:1", "!user:password" },
    { "http://:password@a:1", "!user:password" },
    { "http://user:sec@ret@a:1", "!nothing may follow" },
    { "http://user:%zz@a:1", "!bad escape" },
};

static void lists_of_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct etcd_endpoints ep = { .n = 0 };
        char got[256];
        size_t n = 0;
        struct err e = { 0 };

        if (etcd_endpoints_parse(&ep, rows[i].in, &e)) {
            assert_int_equal(e.code, ERR_INVALID);
            assert_int_equal(rows[i].out[0], '!');
            if (!strstr(e.text, rows[i].out + 1))
                fail_msg("%s: %s", rows[i].in, e.text);
            assert_null(strstr(e.text, "sec"));
            assert_int_equal(ep.n, 0);
            continue;
        }
        for (size_t j = 0; j < ep.n; j++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%s%s%s", j ? ", " : "",
                                  ep.v[j].tls ? "tls " : "", ep.v[j].authority);
        if (ep.user)
            snprintf(got + n, sizeof got - n, " %s:%s", ep.user, ep.password);
        assert_string_equal(got, rows[i].out);
        etcd_endpoints_deinit(&ep);
    }
}

static void not_more_than_sixteen(void **state)
{
    struct etcd_endpoints ep;
    char list[400];
    size_t n = 0;
    struct err e;
    (void)state;

    for (int i = 0; i < ETCD_ENDPOINTS_MAX; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%shttp://a:1", i ? "," : "");
    assert_int_equal(etcd_endpoints_parse(&ep, list, &e), 0);
    etcd_endpoints_deinit(&ep);
    snprintf(list + n, sizeof list - n, ",http://a:1");
    assert_int_equal(etcd_endpoints_parse(&ep, list, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_urls),
        cmocka_unit_test(not_more_than_sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

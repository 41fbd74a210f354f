#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/url.h"

static void assert_str(struct str s, const char *want)
{
    if (!str_is(s, want))
        fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(s), want);
}

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *in, *host;
        uint16_t port;
        bool tls;
        const char *path, *query;
    } rows[] = {
        { "https://server.lan", "server.lan", 443, true, "/", "" },
        { "http://a", "a", 80, false, "/", "" },
        { "HTTPS://10.0.0.1:6443/", "10.0.0.1", 6443, true, "/", "" },
        { "https://[fd00::1]:6443/v1-k3s/config?x=1", "fd00::1", 6443, true, "/v1-k3s/config",
          "x=1" },
        { "https://[::1]", "::1", 443, true, "/", "" },
        { "https://[fe80::1%eth0]:1/", "fe80::1%eth0", 1, true, "/", "" },
        { "wss://s:6443/v1-k3s/connect", "s", 6443, true, "/v1-k3s/connect", "" },
        { "http://s/a%20b?q=%2f?", "s", 80, false, "/a%20b", "q=%2f?" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        struct err e = { 0 };
        if (url_parse(&u, str_of(rows[i].in), &e))
            fail_msg("%s: %s", rows[i].in, e.text);
        assert_str(u.host, rows[i].host);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.tls, rows[i].tls);
        assert_str(u.path, rows[i].path);
        assert_str(u.query, rows[i].query);
    }
}

static void bad_urls_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "https",
        "https://",
        "https:///x",
        "https://a:/",
        "https://a:0/",
        "https://a:65536/",
        "https://a:+1/",
        "https://a b/",
        "https://u:p@host/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[zz::1]/",
        "https://[1]/",
        "ftp://a/",
        "//a/",
        "https://a/#frag",
        "https://a#f",
        "https://a?x=1", /* no path: we never write that */
        "https://a/ b",
        "https://a/%4",
        "https://a/%zz",
        "https://a/\x7f",
        "https://fd00::1/",
        "https://a:1:2/",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u = { .port = 7 };
        struct err e = { 0 };
        if (url_parse(&u, str_of(rows[i]), &e) != ERR_INVALID)
            fail_msg("%s was taken", rows[i]);
        assert_int_equal(u.port, 7);
    }
}

static void a_password_in_a_url_is_not_repeated(void **state)
{
    struct url u;
    struct err e = { 0 };
    (void)state;

    assert_int_equal(url_parse(&u, STR("https://node:geheim@host/"), &e), ERR_INVALID);
    assert_null(strstr(e.text, "geheim"));
}

static void host_and_port_split_and_join(void **state)
{
    static const struct {
        const char *in;
        uint16_t port_default;
        int want;
        const char *host;
        uint16_t port;
        const char *joined;
    } rows[] = {
        { "a:1", 0, 0, "a", 1, "a:1" },
        { "a", 6443, 0, "a", 6443, "a:6443" },
        { "[::1]:443", 0, 0, "::1", 443, "[::1]:443" },
        { "[::1]", 80, 0, "::1", 80, "[::1]:80" },
        { "a", 0, ERR_INVALID, NULL, 0, NULL }, /* the port is not optional here */
        { "[::1]", 0, ERR_INVALID, NULL, 0, NULL },
        { "::1", 80, ERR_INVALID, NULL, 0, NULL },
        { ":80", 0, ERR_INVALID, NULL, 0, NULL },
        { "a:80x", 0, ERR_INVALID, NULL, 0, NULL },
        { "a:99999", 0, ERR_INVALID, NULL, 0, NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str host;
        uint16_t port;
        struct err e = { 0 };
        auto_buf b = BUF(300);
        if (url_split_host_port(&host, &port, str_of(rows[i].in), rows[i].port_default, &e) !=
            rows[i].want)
            fail_msg("%s: %s", rows[i].in, e.text);
        if (rows[i].want)
            continue;
        assert_str(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
        assert_int_equal(url_join_host_port(&b, host, port), 0);
        assert_string_equal(b.p, rows[i].joined);
    }
}

static void encoding_and_decoding_are_inverse(void **state)
{
    auto_buf enc = BUF(4096), dec = BUF(4096);
    char all[255];
    (void)state;

    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    assert_int_equal(url_encode(&enc, str_n(all, sizeof all)), 0);
    assert_int_equal(url_decode(&dec, buf_str(&enc)), 0);
    assert_int_equal(dec.n, sizeof all);
    assert_memory_equal(dec.p, all, sizeof all);
    buf_clear(&dec);
    assert_int_equal(url_decode_query(&dec, buf_str(&enc)), 0);
    assert_memory_equal(dec.p, all, sizeof all);
}

static void broken_escapes_leave_the_output_alone(void **state)
{
    static const char *const rows[] = { "ab%", "%1", "%g0", "x%00", "%0" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf b = BUF(100);
        assert_int_equal(buf_adds(&b, "kept"), 0);
        assert_int_equal(url_decode(&b, str_of(rows[i])), ERR_INVALID);
        assert_string_equal(b.p, "kept");
    }
}

static void query_pairs_are_walked_and_found(void **state)
{
    struct str rest = STR("&watch=true&&flag&labelSelector=a%3Db%2Cc+d&x=&watch=false"), n, v;
    static const char *const want[][2] = {
        { "watch", "true" }, { "flag", "" },       { "labelSelector", "a%3Db%2Cc+d" },
        { "x", "" },         { "watch", "false" },
    };
    struct str query = rest;
    size_t i = 0;
    auto_buf b = BUF(100), small = BUF(2);
    (void)state;

    for (; url_query_next(&rest, &n, &v); i++) {
        assert_str(n, want[i][0]);
        assert_str(v, want[i][1]);
    }
    assert_int_equal(i, ARRAY_LEN(want));
    assert_int_equal(url_query_get(&b, query, "labelSelector"), 0);
    assert_string_equal(b.p, "a=b,c d");
    assert_int_equal(url_query_get(&b, query, "absent"), ERR_NOT_FOUND);
    assert_int_equal(url_query_get(&small, query, "watch"), ERR_LIMIT);
}

static void added_parameters_find_their_separator(void **state)
{
    auto_buf b = BUF(60);
    (void)state;

    assert_int_equal(buf_adds(&b, "/api/v1/pods"), 0);
    assert_int_equal(url_query_add(&b, "fieldSelector", STR("a=b")), 0);
    assert_int_equal(url_query_add(&b, "x", STR("")), 0);
    assert_string_equal(b.p, "/api/v1/pods?fieldSelector=a%3Db&x=");
    assert_int_equal(url_query_add(&b, "much", STR("0123456789abcdefghij")), ERR_LIMIT);
    assert_string_equal(b.p, "/api/v1/pods?fieldSelector=a%3Db&x=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(a_password_in_a_url_is_not_repeated),
        cmocka_unit_test(host_and_port_split_and_join),
        cmocka_unit_test(encoding_and_decoding_are_inverse),
        cmocka_unit_test(broken_escapes_leave_the_output_alone),
        cmocka_unit_test(query_pairs_are_walked_and_found),
        cmocka_unit_test(added_parameters_find_their_separator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "lb/proxy.h"

static void settings_are_read_and_refused_by_name(void **state)
{
    static const struct {
        const char *url;
        enum lb_proxy_kind kind; /* NONE: refused, with this in the text: */
        const char *address, *user, *password;
    } rows[] = {
        { "http://proxy.example:3128", LB_PROXY_HTTP, "proxy.example:3128", NULL, NULL },
        { "http://proxy.example:3128/", LB_PROXY_HTTP, "proxy.example:3128", NULL, NULL },
        { "HTTP://proxy.example", LB_PROXY_HTTP, "proxy.example:80", NULL, NULL },
        { "proxy.example:3128", LB_PROXY_HTTP, "proxy.example:3128", NULL, NULL },
        { "http://u:p%40s%3As@10.0.0.1:3128", LB_PROXY_HTTP, "10.0.0.1:3128", "u", "p@s:s" },
        { "http://u@h:1", LB_PROXY_HTTP, "h:1", "u", "" },
        { "socks5://u:p@[fd00::1]", LB_PROXY_SOCKS5, "[fd00::1]:1080", "u", "p" },
        { "socks5h://h:9050", LB_PROXY_SOCKS5, "h:9050", NULL, NULL },
        { "https://h:443", LB_PROXY_NONE, "https:// is not supported", NULL, NULL },
        { "socks4://h", LB_PROXY_NONE, "socks4:// is not supported", NULL, NULL },
        { "u:s3cret@x://h", LB_PROXY_NONE, "that:// is not supported", NULL, NULL },
        { "http://", LB_PROXY_NONE, "address", NULL, NULL },
        { "http://h:99999", LB_PROXY_NONE, "address", NULL, NULL },
        { "http://u:%zz@h", LB_PROXY_NONE, "escaped", NULL, NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lb_proxy p = { 0 };
        struct err e = { 0 };
        int r = lb_proxy_parse(&p, str_of(rows[i].url), &e);

        if (rows[i].kind == LB_PROXY_NONE) {
            assert_int_equal(r, ERR_INVALID);
            assert_non_null(strstr(e.text, rows[i].address));
            assert_null(strstr(e.text, "s3cret"));
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(p.kind, rows[i].kind);
        assert_string_equal(p.address, rows[i].address);
        assert_int_equal(p.has_user, rows[i].user != NULL);
        assert_string_equal(p.user, rows[i].user ? rows[i].user : "");
        assert_string_equal(p.password, rows[i].password ? rows[i].password : "");
    }
}

static void no_proxy_follows_the_rules_of_go(void **state)
{
    static const struct {
        const char *server, *no_proxy;
        bool bypassed;
    } rows[] = {
        { "srv.example:6443", "", false },
        { "srv.example:6443", "*", true },
        { "srv.example:6443", "example", true },
        { "srv.example:6443", "other, .EXAMPLE", true },
        { "srv.example:6443", "*.example", true },
        { "srv.example:6443", ".srv.example", false },
        { "srv.example:6443", "srv.example", true },
        { "srv.example:6443", "rv.example", false },
        { "srv.example:6443", "srv.example:6443", true },
        { "srv.example:6443", "srv.example:443", false },
        { "10.1.2.3:6443", "10.0.0.0/8", true },
        { "11.1.2.3:6443", "10.0.0.0/8", false },
        { "10.1.2.3:6443", "10.1.2.3", true },
        { "10.1.2.3:6443", "10.1.2.3:6443", true },
        { "10.1.2.3:6443", "2.3", false },
        { "10.1.2.3:6443", "10.0.0.0/33", false },
        { "[fd00::1]:6443", "fd00::/16", true },
        { "[fd00::1]:6443", "fd00::1", true },
        { "[fd00::1]:6443", "[fd00::1]:6443", true },
        { "[fd00::1]:6443", "0.0.0.0/0", false },
        { "localhost:6443", "", true },
        { "127.0.0.1:6443", "", true },
        { "[::1]:6443", "", true },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (lb_proxy_bypassed(rows[i].server, rows[i].no_proxy) != rows[i].bypassed)
            fail_msg("%s against \"%s\"", rows[i].server, rows[i].no_proxy);
}

static void a_proxy_counts_only_when_it_is_allowed(void **state)
{
    struct lb_proxy p;
    struct err e;
    (void)state;

    assert_int_equal(lb_proxy_choose(&p, "s.example:1", NULL, "http://h:1", NULL, &e), 0);
    assert_int_equal(p.kind, LB_PROXY_NONE);
    assert_int_equal(lb_proxy_choose(&p, "s.example:1", "true", "http://h:1", "example", &e), 0);
    assert_int_equal(p.kind, LB_PROXY_NONE);
    assert_int_equal(lb_proxy_choose(&p, "s.example:1", "true", "", NULL, &e), 0);
    assert_int_equal(p.kind, LB_PROXY_NONE);
    assert_int_equal(lb_proxy_choose(&p, "s.example:1", "true", "http://h:1", NULL, &e), 0);
    assert_int_equal(p.kind, LB_PROXY_HTTP);
    assert_int_equal(lb_proxy_choose(&p, "s.example:1", "yes", "http://h:1", NULL, &e), 0);
    assert_int_equal(p.kind, LB_PROXY_NONE); /* Go's ParseBool does not know it */
    assert_int_equal(lb_proxy_choose(&p, "s.example:1", "true", "ftp://h:1", NULL, &e),
                     ERR_INVALID);
    assert_non_null(strstr(e.text, "HTTPS_PROXY"));
}

/* A script: what we must send, what the proxy says, '|' in turns; the outcome. Bytes are fed one by
 * one, and all that is behind the last answer must stay. */
static void talks_follow_their_script(void **state)
{
#define B(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
    static const struct {
        const char *url, *target;
        struct {
            const char *p;
            size_t n;
        } turns[7]; /* ours, theirs, ours, ... */
        enum lb_proxy_step step;
        int code;
        const char *text;
    } rows[] = {
        { "http://h",
          "s.example:6443",
          { B("CONNECT s.example:6443 HTTP/1.1\r\nHost: s.example:6443\r\n\r\n"),
            B("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n") },
          LB_PROXY_OPEN,
          0,
          NULL },
        { "http://u:p@h",
          "1.2.3.4:1",
          { B("CONNECT 1.2.3.4:1 HTTP/1.1\r\nHost: 1.2.3.4:1\r\nProxy-Authorization: Basic "
              "dTpw\r\n\r\n"),
            B("HTTP/1.0 200\r\n\r\n") },
          LB_PROXY_OPEN,
          0,
          NULL },
        { "http://h",
          "a:1",
          { B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
            B("HTTP/1.1 407 Authenticate\r\n\r\n") },
          LB_PROXY_FAILED,
          ERR_DENIED,
          "407" },
        { "http://h",
          "a:1",
          { B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), B("HTTP/1.1 503 No\r\n\r\n") },
          LB_PROXY_FAILED,
          ERR_IO,
          "503" },
        { "http://h",
          "a:1",
          { B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), B("S") },
          LB_PROXY_FAILED,
          ERR_PROTOCOL,
          "HTTP" },
        { "http://h",
          "a:1",
          { B("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), B("HTTP/1.1 2000 x\r\n\r\n") },
          LB_PROXY_FAILED,
          ERR_PROTOCOL,
          "status" },
        { "socks5://h",
          "s.example:6443",
          { B("\x05\x01\x00"), B("\x05\x00"), B("\x05\x01\x00\x03\x09s.example\x19\x2b"),
            B("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00") },
          LB_PROXY_OPEN,
          0,
          NULL },
        { "socks5://user:pw@h",
          "1.2.3.4:6443",
          { B("\x05\x02\x00\x02"), B("\x05\x02"), B("\x01\x04user\x02pw"), B("\x01\x00"),
            B("\x05\x01\x00\x01\x01\x02\x03\x04\x19\x2b"), B("\x05\x00\x00\x03\x02hi\x00\x01") },
          LB_PROXY_OPEN,
          0,
          NULL },
        { "socks5://h",
          "[::2]:1",
          { B("\x05\x01\x00"), B("\x05\x00"),
            B("\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x01"), B("\x05\x05") },
          LB_PROXY_FAILED,
          ERR_IO,
          "refused" },
        { "socks5://h",
          "a:1",
          { B("\x05\x01\x00"), B("\x05\xff") },
          LB_PROXY_FAILED,
          ERR_DENIED,
          "user and a password" },
        { "socks5://u:p@h",
          "a:1",
          { B("\x05\x02\x00\x02"), B("\x05\x02"), B("\x01\x01u\x01p"), B("\x01\x01") },
          LB_PROXY_FAILED,
          ERR_DENIED,
          "refuses the user" },
        { "socks5://h",
          "a:1",
          { B("\x05\x01\x00"), B("\x04") },
          LB_PROXY_FAILED,
          ERR_PROTOCOL,
          "SOCKS 5" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf out = BUF(4096), in = BUF(4096);
        enum lb_proxy_step step = LB_PROXY_MORE;
        struct lb_proxy_talk t;
        struct lb_proxy p;
        struct err e = { 0 };

        assert_int_equal(lb_proxy_parse(&p, str_of(rows[i].url), &e), 0);
        assert_int_equal(lb_proxy_begin(&t, &p, rows[i].target, &out, &e), 0);
        for (size_t k = 0; rows[i].turns[k].p; k += 2) {
            assert_int_equal(step, LB_PROXY_MORE);
            assert_int_equal(out.n, rows[i].turns[k].n);
            assert_memory_equal(out.p, rows[i].turns[k].p, out.n);
            buf_clear(&out);
            for (size_t b = 0; b < rows[i].turns[k + 1].n; b++) {
                size_t used;
                if (step != LB_PROXY_MORE)
                    break;
                assert_int_equal(buf_addc(&in, rows[i].turns[k + 1].p[b]), 0);
                step = lb_proxy_feed(&t, buf_str(&in), &used, &out, &e);
                buf_drop(&in, used);
            }
        }
        if (step != rows[i].step || (step == LB_PROXY_FAILED && !strstr(e.text, rows[i].text)))
            fail_msg("row %zu: %d %s", i, step, e.text);
        if (step == LB_PROXY_FAILED)
            assert_int_equal(e.code, rows[i].code);
        else
            assert_int_equal(in.n, 0);
    }
}

static void an_answer_without_end_is_cut_off(void **state)
{
    auto_buf in = BUF(64 * 1024), out = BUF(4096);
    struct lb_proxy_talk t;
    struct lb_proxy p;
    struct err e;
    size_t used;
    (void)state;

    assert_int_equal(lb_proxy_parse(&p, STR("http://h"), &e), 0);
    assert_int_equal(lb_proxy_begin(&t, &p, "a:1", &out, &e), 0);
    assert_int_equal(buf_adds(&in, "HTTP/1.1 200 OK\r\nX: "), 0);
    while (in.n < LB_PROXY_ANSWER_MAX - 1)
        assert_int_equal(buf_addc(&in, 'x'), 0);
    assert_int_equal(lb_proxy_feed(&t, buf_str(&in), &used, &out, &e), LB_PROXY_MORE);
    assert_int_equal(buf_addc(&in, 'x'), 0);
    assert_int_equal(lb_proxy_feed(&t, buf_str(&in), &used, &out, &e), LB_PROXY_FAILED);
    assert_int_equal(e.code, ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_read_and_refused_by_name),
        cmocka_unit_test(no_proxy_follows_the_rules_of_go),
        cmocka_unit_test(a_proxy_counts_only_when_it_is_allowed),
        cmocka_unit_test(talks_follow_their_script),
        cmocka_unit_test(an_answer_without_end_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

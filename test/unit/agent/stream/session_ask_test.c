#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/stream/session_ask.h"
#include "base/core/mem.h"

static void paths_name_what_is_meant(void **state)
{
    static const struct {
        const char *path;
        enum err_code code;
        enum session_kind kind;
        const char *ns, *pod, *uid, *container;
    } rows[] = {
        { "/exec/default/web/app", 0, SESSION_EXEC, "default", "web", "", "app" },
        { "/exec/default/web/123-4/app", 0, SESSION_EXEC, "default", "web", "123-4", "app" },
        { "/attach/default/web/app", 0, SESSION_ATTACH, "default", "web", "", "app" },
        { "/portForward/default/web", 0, SESSION_PORT_FORWARD, "default", "web", "", "" },
        { "/portForward/default/web/u", 0, SESSION_PORT_FORWARD, "default", "web", "u", "" },
        { "/containerLogs/kube-system/dns/c", 0, SESSION_LOGS, "kube-system", "dns", "", "c" },
        { "/exec/a%2Db/p/c", 0, SESSION_EXEC, "a-b", "p", "", "c" },
        { "/containerLogs/n/p/u/c", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "/containerLogs/n/p", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "/exec/n/p", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "/exec", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "/run/n/p/c", ERR_NOT_FOUND, 0, NULL, NULL, NULL, NULL },
        { "/exec/n//c", ERR_INVALID, 0, NULL, NULL, NULL, NULL },
        { "/exec/n/p/", ERR_INVALID, 0, NULL, NULL, NULL, NULL },
        { "/exec/n/a%2Fb/c", ERR_INVALID, 0, NULL, NULL, NULL, NULL },
        { "/exec/n/a%00b/c", ERR_INVALID, 0, NULL, NULL, NULL, NULL },
        { "/exec/n/a%b/c", ERR_INVALID, 0, NULL, NULL, NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct session_path p;
        struct err e = { 0 };

        assert_int_equal(session_path_parse(&p, str_of(rows[i].path), &e), rows[i].code);
        if (rows[i].code)
            continue;
        assert_int_equal(p.kind, rows[i].kind);
        assert_string_equal(p.ns, rows[i].ns);
        assert_string_equal(p.pod, rows[i].pod);
        assert_string_equal(p.uid, rows[i].uid);
        assert_string_equal(p.container, rows[i].container);
    }
}

static void names_have_a_greatest_length(void **state)
{
    struct session_path p;
    struct err e;
    char path[400] = "/portForward/n/";
    size_t n = strlen(path);

    (void)state;
    memset(path + n, 'a', SESSION_NAME_MAX_BYTES);
    assert_int_equal(session_path_parse(&p, str_of(path), &e), 0);
    assert_int_equal(strlen(p.pod), SESSION_NAME_MAX_BYTES);
    path[n + SESSION_NAME_MAX_BYTES] = 'a';
    assert_int_equal(session_path_parse(&p, str_of(path), &e), ERR_INVALID);
}

static void queries_say_what_is_asked(void **state)
{
    static const struct {
        enum session_kind kind;
        const char *query;
        const char *argv;  /* joined with '|' */
        const char *flags; /* of "ioet" */
        const char *err;
    } rows[] = {
        { SESSION_EXEC, "command=sh&output=1&error=1", "sh", "oe", NULL },
        { SESSION_EXEC, "command=sh&command=-c&command=echo+a%26b%20c&output=1", "sh|-c|echo a&b c",
          "o", NULL },
        { SESSION_EXEC, "command=&command=x&input=1", "|x", "i", NULL },
        { SESSION_EXEC, "command=sh&input=1&output=1&error=1&tty=1", "sh", "iot", NULL },
        { SESSION_EXEC, "command=sh&input=true&output=1&tty=0", "sh", "o", NULL },
        { SESSION_ATTACH, "output=1&error=1&command=x", "", "oe", NULL },
        { SESSION_ATTACH, "output=1&error=1&tty=1", "", "oet", NULL }, /* the container decides */
        { SESSION_EXEC, "command=sh", "", "",
          "you must specify at least 1 of stdin, stdout, stderr" },
        { SESSION_EXEC, "command=sh&error=1&tty=1", "", "",
          "you must specify at least 1 of stdin, stdout, stderr" },
        { SESSION_ATTACH, "", "", "", "you must specify at least 1 of stdin, stdout, stderr" },
        { SESSION_EXEC, "output=1", "", "", "you must specify a command" },
        { SESSION_EXEC, "output=1&command=a&command=%00", "", "",
          "word 2 of the command is malformed" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf argv = BUF(1024);
        struct session_ask a;
        struct err e = { 0 };
        int rc = session_ask_parse(&a, rows[i].kind, str_of(rows[i].query), &e);

        if (rows[i].err) {
            assert_int_equal(rc, ERR_INVALID);
            assert_string_equal(e.text, rows[i].err);
            continue;
        }
        assert_int_equal(rc, 0);
        for (size_t k = 0; k < a.n_argv; k++)
            assert_int_equal(buf_addf(&argv, "%s%s", k ? "|" : "", a.argv[k]), 0);
        assert_string_equal(buf_cstr(&argv), rows[i].argv);
        assert_int_equal(a.in, strchr(rows[i].flags, 'i') != NULL);
        assert_int_equal(a.out, strchr(rows[i].flags, 'o') != NULL);
        assert_int_equal(a.err, strchr(rows[i].flags, 'e') != NULL);
        assert_int_equal(a.tty, strchr(rows[i].flags, 't') != NULL);
        assert_true(!a.argv || !a.argv[a.n_argv]);
        session_ask_deinit(&a);
    }
}

static void ports_are_numbers_in_range(void **state)
{
    static const struct {
        const char *query, *ports, *err;
    } rows[] = {
        { "", "", NULL },
        { "port=80", "80 ", NULL },
        { "port=80&port=65535", "80 65535 ", NULL },
        { "port=80,443", "80 443 ", NULL },
        { "input=1&port=1", "1 ", NULL },
        { "port=0", "", "port \"0\" must be > 0" },
        { "port=65536", "", "unable to parse \"65536\" as a port" },
        { "port=-1", "", "unable to parse \"-1\" as a port" },
        { "port=http", "", "unable to parse \"http\" as a port" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf ports = BUF(1024);
        struct session_ask a;
        struct err e = { 0 };
        int rc = session_ask_parse(&a, SESSION_PORT_FORWARD, str_of(rows[i].query), &e);

        if (rows[i].err) {
            assert_int_equal(rc, ERR_INVALID);
            assert_string_equal(e.text, rows[i].err);
            continue;
        }
        assert_int_equal(rc, 0);
        for (size_t k = 0; k < a.n_ports; k++)
            assert_int_equal(buf_addf(&ports, "%d ", a.ports[k]), 0);
        assert_string_equal(buf_cstr(&ports), rows[i].ports);
        session_ask_deinit(&a);
    }
}

static void too_many_of_anything_are_refused(void **state)
{
    auto_buf q = BUF(64 * 1024);
    struct session_ask a;
    struct err e;

    (void)state;
    assert_int_equal(buf_adds(&q, "output=1"), 0);
    for (int i = 0; i < SESSION_ARGS_MAX; i++)
        assert_int_equal(buf_adds(&q, "&command=x"), 0);
    assert_int_equal(session_ask_parse(&a, SESSION_EXEC, buf_str(&q), &e), 0);
    session_ask_deinit(&a);
    assert_int_equal(buf_adds(&q, "&command=x"), 0);
    assert_int_equal(session_ask_parse(&a, SESSION_EXEC, buf_str(&q), &e), ERR_INVALID);

    buf_clear(&q);
    for (int i = 0; i < SESSION_PORTS_MAX + 1; i++)
        assert_int_equal(buf_adds(&q, "&port=80"), 0);
    assert_int_equal(session_ask_parse(&a, SESSION_PORT_FORWARD, buf_str(&q), &e), ERR_INVALID);
}

static void only_known_websocket_protocols_are_offered_on(void **state)
{
    static const struct {
        enum session_kind kind;
        const char *offered, *want; /* NULL: none */
    } rows[] = {
        { SESSION_EXEC, "v5.channel.k8s.io", NULL },
        { SESSION_EXEC, "v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io",
          "v4.channel.k8s.io, channel.k8s.io" },
        { SESSION_EXEC, "base64.channel.k8s.io", "base64.channel.k8s.io" },
        { SESSION_ATTACH, " v4.base64.channel.k8s.io ,,", "v4.base64.channel.k8s.io" },
        { SESSION_PORT_FORWARD, "SPDY/3.1+portforward.k8s.io", NULL },
        { SESSION_PORT_FORWARD, "channel.k8s.io", NULL },
        { SESSION_PORT_FORWARD, "v4.channel.k8s.io", "v4.channel.k8s.io" },
        { SESSION_EXEC, "", NULL },
        { SESSION_EXEC, ",", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf out = BUF(1024);

        assert_int_equal(session_ws_protocols(&out, rows[i].kind, str_of(rows[i].offered)),
                         rows[i].want != NULL);
        assert_string_equal(buf_cstr(&out), rows[i].want ? rows[i].want : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_what_is_meant),
        cmocka_unit_test(names_have_a_greatest_length),
        cmocka_unit_test(queries_say_what_is_asked),
        cmocka_unit_test(ports_are_numbers_in_range),
        cmocka_unit_test(too_many_of_anything_are_refused),
        cmocka_unit_test(only_known_websocket_protocols_are_offered_on),
    };
    return cmocka_run_group_tests_name("session_ask", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/pki/pemfile.h"
#include "server/ca/passwd.h"

#define BOTH "pw1,node,node,k3s:agent\npw2,server,server,k3s:server\n"

static void lines_parse_as_csv(void **state)
{
    static const struct {
        const char *csv;
        int code;
        const char *user, *password, *group;
        size_t n_groups;
    } rows[] = {
        { BOTH, 0, "node", "pw1", "k3s:agent", 1 },
        { BOTH, 0, "server", "pw2", "k3s:server", 1 },
        { "pw,node", 0, "node", "pw", NULL, 0 },
        { "pw,node,node\r\n", 0, "node", "pw", NULL, 0 },
        { "pw,node,node,k3s:agent\r\n", 0, "node", "pw", "k3s:agent", 1 },
        { "pw,x,x,\"a,b\"\n", 0, "x", "pw", "a", 2 },
        { "\"p,\"\"w\",x,x,g\n", 0, "x", "p,\"w", "g", 1 },
        { "pw,x,x,g,more\n", 0, "x", "pw", "g", 1 },
        { "\n\npw,x\n\n", 0, "x", "pw", NULL, 0 },
        { "old,x\nnew,x\n", 0, "x", "new", NULL, 0 },
        { "", 0, "x", NULL, NULL, 0 },
        { "pw\n", ERR_INVALID, NULL, NULL, NULL, 0 },
        { "pw,\n", ERR_INVALID, NULL, NULL, NULL, 0 },
        { "\"pw,node\n", ERR_INVALID, NULL, NULL, NULL, 0 },
        { "\"pw\"x,node\n", ERR_INVALID, NULL, NULL, NULL, 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(passwd) struct passwd *p = NULL;
        const struct passwd_user *u;
        struct err e = { 0 };

        if (passwd_parse(&p, str_of(rows[i].csv), &e) != rows[i].code)
            fail_msg("row %zu: %s", i, e.text);
        if (rows[i].code)
            continue;
        u = passwd_find(p, str_of(rows[i].user));
        assert_int_equal(!!u, !!rows[i].password);
        if (!u)
            continue;
        assert_string_equal(u->password, rows[i].password);
        assert_int_equal(u->n_groups, rows[i].n_groups);
        if (rows[i].group)
            assert_string_equal(u->groups[0], rows[i].group);
    }
}

static void basic_credentials_are_checked(void **state)
{
    static const struct {
        const char *header;
        enum passwd_basic outcome;
    } rows[] = {
        { "", PASSWD_NO_BASIC },
        { "Bearer x", PASSWD_NO_BASIC },
        { "Basic", PASSWD_BAD },
        { "Basic !!!", PASSWD_BAD },
        { "Basic bm9kZQ==", PASSWD_BAD },      /* node */
        { "Basic bm9kZTo=", PASSWD_BAD },      /* node: */
        { "Basic bm9kZTpwdzE=", PASSWD_GOOD }, /* node:pw1 */
        { "basic  bm9kZTpwdzE= ", PASSWD_GOOD },
        { "Basic bm9kZTpwdzI=", PASSWD_BAD },     /* node:pw2 */
        { "Basic bm9ib2R5OnB3MQ==", PASSWD_BAD }, /* nobody:pw1 */
        { "Basic ZW1wdHk6", PASSWD_BAD },         /* empty: */
    };
    AUTO(passwd) struct passwd *p = NULL;
    struct err e;
    (void)state;

    assert_int_equal(passwd_parse(&p, STR(BOTH ",empty,empty,g\n"), &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct passwd_user *u = NULL;

        assert_int_equal(passwd_verify_basic(p, str_of(rows[i].header), &u), rows[i].outcome);
        if (rows[i].outcome == PASSWD_GOOD)
            assert_string_equal(u->groups[0], "k3s:agent");
    }
}

static void what_is_saved_is_read_back(void **state)
{
    AUTO(passwd) struct passwd *p = passwd_new(), *again = NULL;
    char path[] = "/tmp/passwd-test-XXXXXX";
    auto_buf text = BUF(4096);
    struct stat st;
    struct err e;
    (void)state;

    close(mkstemp(path));
    assert_true(passwd_set(p, "node", "a,\"b", "k3s:agent"));
    assert_false(passwd_set(p, "node", "a,\"b", "k3s:agent"));
    assert_true(passwd_set(p, "server", "plain", "k3s:server"));
    assert_int_equal(passwd_save(p, path, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pemfile_read(&text, path, &e), 0);
    assert_string_equal(buf_cstr(&text),
                        "\"a,\"\"b\",node,node,k3s:agent\nplain,server,server,k3s:server\n");
    assert_int_equal(passwd_load(&again, path, &e), 0);
    assert_non_null(passwd_verify(again, STR("node"), STR("a,\"b")));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_parse_as_csv),
        cmocka_unit_test(basic_credentials_are_checked),
        cmocka_unit_test(what_is_saved_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

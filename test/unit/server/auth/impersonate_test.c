/* Acting as another: what the headers mean, and which rights each of them needs. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/http/http.h"
#include "server/auth/impersonate.h"

#include <stdio.h>
#include <string.h>

/* "Name: value\n"... */
static void headers_of(struct http_headers *h, const char *text)
{
    struct str line, rest = str_of(text), name, value;

    http_headers_init(h, HTTP_HEADERS_MAX_BYTES);
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        str_cut(line, ':', &name, &value);
        assert_int_equal(http_headers_add(h, name, str_trim(value)), 0);
    }
}

static void add_right(struct buf *out, const struct authz_attrs *a)
{
    assert_string_equal(a->verb, "impersonate");
    assert_true(a->is_resource);
    assert_int_equal(buf_addf(out, "%s%s%s%s%s %s%s%s; ", a->group, *a->group ? "/" : "",
                              a->resource, *a->subresource ? "/" : "", a->subresource,
                              a->namespace_, *a->namespace_ ? "/" : "", a->name),
                     0);
}

static void headers_become_an_identity_and_the_rights_for_it(void **state)
{
    static const struct {
        const char *rule, *headers, *user, *groups, *rights;
    } cases[] = {
        { "a user is authenticated", "Impersonate-User: ann", "ann", "system:authenticated ",
          "users ann; " },
        { "groups stay in their order",
          "Impersonate-User: ann\nImpersonate-Group: b\n"
          "impersonate-group: ,a",
          "ann", "b ,a system:authenticated ", "users ann; groups b; groups ,a; " },
        { "who is said to be authenticated is not so twice",
          "Impersonate-User: ann\nImpersonate-Group: system:authenticated", "ann",
          "system:authenticated ", "users ann; groups system:authenticated; " },
        { "who is said to be unauthenticated is not authenticated",
          "Impersonate-User: ann\nImpersonate-Group: system:unauthenticated", "ann",
          "system:unauthenticated ", "users ann; groups system:unauthenticated; " },
        { "anonymous is unauthenticated", "Impersonate-User: system:anonymous", "system:anonymous",
          "system:unauthenticated ", "users system:anonymous; " },
        { "a ServiceAccount has its groups", "Impersonate-User: system:serviceaccount:shop:till",
          "system:serviceaccount:shop:till",
          "system:serviceaccounts system:serviceaccounts:shop system:authenticated ",
          "serviceaccounts shop/till; " },
        { "a ServiceAccount with groups has those",
          "Impersonate-User: system:serviceaccount:shop:till\nImpersonate-Group: g",
          "system:serviceaccount:shop:till", "g system:authenticated ",
          "serviceaccounts shop/till; groups g; " },
        { "what only looks like a ServiceAccount is a user",
          "Impersonate-User: system:serviceaccount:Shop:till", "system:serviceaccount:Shop:till",
          "system:authenticated ", "users system:serviceaccount:Shop:till; " },
        { "a uid and extras are rights too, the key lower-cased and decoded",
          "Impersonate-Uid: 77\nImpersonate-Extra-Team%2fArea: one\nImpersonate-User: ann\n"
          "Impersonate-Extra-team%2farea: two\nImpersonate-Extra-bad%zz: x",
          "ann", "system:authenticated ",
          "users ann; authentication.k8s.io/userextras/team/area one; "
          "authentication.k8s.io/userextras/team/area two; "
          "authentication.k8s.io/userextras/bad%zz x; authentication.k8s.io/uids 77; " },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(impersonation) struct impersonation *m = NULL;
        auto_buf rights = BUF(1024), groups = BUF(1024);
        struct http_headers h;
        struct authz_attrs a;
        struct err e;

        print_message("%s\n", cases[i].rule);
        headers_of(&h, cases[i].headers);
        assert_int_equal(impersonation_parse(&m, &h, &e), 0);
        for (size_t n = 0; impersonation_right(m, n, NULL, &a); n++)
            add_right(&rights, &a);
        struct identity *id = impersonation_identity(m);
        for (size_t g = 0; g < id->n_groups; g++)
            assert_int_equal(buf_addf(&groups, "%s ", id->groups[g]), 0);
        assert_string_equal(id->user, cases[i].user);
        assert_string_equal(buf_cstr(&groups), cases[i].groups);
        assert_string_equal(buf_cstr(&rights), cases[i].rights);
        identity_unref(id);
        http_headers_deinit(&h);
    }
}

static void uid_and_extra_belong_to_the_identity(void **state)
{
    AUTO(impersonation) struct impersonation *m = NULL;
    struct http_headers h;
    struct err e;

    (void)state;
    headers_of(&h, "Impersonate-User: ann\nImpersonate-Uid: 77\nImpersonate-Extra-A: 1\n"
                   "Impersonate-Extra-A: 2");
    assert_int_equal(impersonation_parse(&m, &h, &e), 0);
    struct identity *id = impersonation_identity(m);
    auto_free char *extra = json_dumps(id->extra, JSON_COMPACT);
    assert_string_equal(id->uid, "77");
    assert_string_equal(extra, "{\"a\":[\"1\",\"2\"]}");
    identity_unref(id);
    http_headers_deinit(&h);
}

static void nothing_asked_is_nothing_and_a_user_is_needed(void **state)
{
    static const struct {
        const char *headers;
        int code;
    } cases[] = {
        { "Accept: text/plain\nImpersonate-Userx: ann", 0 },
        { "Impersonate-User:", 0 },
        { "Impersonate-Group: g", ERR_INVALID },
        { "Impersonate-Uid: 1", ERR_INVALID },
        { "Impersonate-Extra-a: 1", ERR_INVALID },
        { "Impersonate-User: \xff", ERR_INVALID },
        { "Impersonate-User: ann\nImpersonate-Extra-%ff: 1", ERR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(impersonation) struct impersonation *m = NULL;
        struct http_headers h;
        struct err e;

        headers_of(&h, cases[i].headers);
        assert_int_equal(impersonation_parse(&m, &h, &e), cases[i].code);
        assert_null(m);
        http_headers_deinit(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_become_an_identity_and_the_rights_for_it),
        cmocka_unit_test(uid_and_extra_belong_to_the_identity),
        cmocka_unit_test(nothing_asked_is_nothing_and_a_user_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

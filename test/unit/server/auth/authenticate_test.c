/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/clock.h"
#include "base/io/tls.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "server/auth/authenticate.h"
#include "server/ca/passwd.h"

#include <string.h>

/* "node:pass" and "node:wrong" */
#define GOOD "Basic bm9kZTpwYXNz"
#define BAD  "Basic bm9kZTp3cm9uZw=="

static struct passwd *users;
static struct x509 *leaf, *server_leaf;

static int setup(void **state)
{
    static const char *const orgs[] = { "system:nodes" };
    struct issue_spec spec = { .common_name = "system:node:n1",
                               .organizations = orgs,
                               .n_organizations = 1,
                               .client_auth = true };
    AUTO(key) struct key *key = NULL;
    AUTO(x509) struct x509 *ca = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(passwd_parse(&users, STR("pass,node,node,k3s:agent\n"), &e), 0);
    assert_int_equal(key_generate(&key, KEY_P256, &e), 0);
    assert_int_equal(issue_ca(&ca, key, "test", clock_wall_s(), &e), 0);
    assert_int_equal(issue_leaf(&leaf, ca, key, key, &spec, clock_wall_s(), &e), 0);
    spec.client_auth = false;
    spec.server_auth = true;
    assert_int_equal(issue_leaf(&server_leaf, ca, key, key, &spec, clock_wall_s(), &e), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    passwd_free(users);
    x509_free(leaf);
    x509_free(server_leaf);
    return 0;
}

static enum authn_result any_bearer(void *arg, const struct authn_credentials *c,
                                    struct identity **out, struct err *e)
{
    (void)arg;
    if (!str_starts(c->authorization, STR("Bearer ")))
        return AUTHN_NONE;
    if (!str_is(c->authorization, "Bearer good")) {
        err_set(e, ERR_DENIED, "bad token");
        return AUTHN_FAILED;
    }
    *out = identity_new("token", NULL, 0);
    return AUTHN_OK;
}

static void the_first_success_wins(void **state)
{
    enum { NO_CERT, CERT, UNTRUSTED, SERVER_CERT };
    static const struct {
        const char *authorization;
        int cert;
        enum authn_result result;
        const char *user;
    } rows[] = {
        { "", NO_CERT, AUTHN_NONE, NULL },
        { GOOD, NO_CERT, AUTHN_OK, "node" },
        { BAD, NO_CERT, AUTHN_FAILED, NULL },
        { "", CERT, AUTHN_OK, "system:node:n1" },
        { "", UNTRUSTED, AUTHN_FAILED, NULL },
        { "", SERVER_CERT, AUTHN_FAILED, NULL },
        { GOOD, CERT, AUTHN_OK, "node" }, /* Basic comes first */
        { BAD, CERT, AUTHN_OK, "system:node:n1" },
        { GOOD, UNTRUSTED, AUTHN_OK, "node" },
        { "Bearer good", NO_CERT, AUTHN_OK, "token" },
        { "Bearer good", UNTRUSTED, AUTHN_OK, "token" },
        { "Bearer bad", NO_CERT, AUTHN_FAILED, NULL },
        { "Bearer bad", CERT, AUTHN_OK, "system:node:n1" },
        { "Digest x", NO_CERT, AUTHN_FAILED, NULL },
    };
    struct authn *a;

    (void)state;
    authn_new(&a);
    authn_set_passwd(a, users);
    authn_add(a, any_bearer, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_peer peer = { .leaf_der =
                                     rows[i].cert == SERVER_CERT ? server_leaf->der : leaf->der,
                                 .verify_error = rows[i].cert == UNTRUSTED,
                                 .verify_text = "unable to get local issuer certificate" };
        struct authn_credentials c = { .authorization = str_of(rows[i].authorization),
                                       .peer = rows[i].cert == NO_CERT ? NULL : &peer };
        struct identity *id = NULL;
        struct err e = { 0 };

        if (authn_check(a, &c, &id, &e) != rows[i].result)
            fail_msg("row %zu", i);
        if (rows[i].user) {
            assert_string_equal(id->user, rows[i].user);
            assert_true(identity_in(id, "system:authenticated"));
            identity_unref(id);
        } else {
            assert_null(id);
            assert_int_equal(rows[i].result == AUTHN_FAILED, e.code == ERR_DENIED);
        }
    }
    authn_free(a);
}

static void certificates_name_user_groups_and_node(void **state)
{
    struct tls_peer peer = { .leaf_der = leaf->der };
    struct authn_credentials c = { .peer = &peer };
    struct identity *id = NULL;
    struct authn *a;
    struct err e = { 0 };

    (void)state;
    authn_new(&a);
    assert_int_equal(authn_check(a, &c, &id, &e), AUTHN_OK);
    assert_true(identity_in(id, "system:nodes"));
    assert_string_equal(id->node, "n1");
    identity_unref(id);
    authn_free(a);
}

static void certificates_expire_on_open_connections(void **state)
{
    struct tls_peer peer = { .leaf_der = leaf->der };
    struct authn_credentials c = { .peer = &peer };
    struct identity *id = NULL;
    struct authn *a;
    struct err e = { 0 };

    (void)state;
    authn_new(&a);
    assert_int_equal(authn_check(a, &c, &id, &e), AUTHN_OK);
    identity_unref(id);
    clock_set_offset_s(2 * 366 * 86400);
    assert_int_equal(authn_check(a, &c, &id, &e), AUTHN_FAILED);
    clock_set_offset_s(0);
    authn_free(a);
}

static void a_node_needs_its_group(void **state)
{
    struct identity *id = identity_new("system:node:n1", NULL, 0);

    (void)state;
    assert_null(id->node);
    identity_unref(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_success_wins),
        cmocka_unit_test(certificates_name_user_groups_and_node),
        cmocka_unit_test(certificates_expire_on_open_connections),
        cmocka_unit_test(a_node_needs_its_group),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

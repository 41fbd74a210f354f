/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "server/auth/expired_node.h"

#define DAY_S INT64_C(86400)
#define NOW_S INT64_C(1795400000)

static struct key *key, *ca_key, *other_key;
static struct x509 *ca, *other_ca, *old_ca;
static struct buf pem;

static struct x509 *ca_of(const struct key *k, int64_t now_s)
{
    struct x509 *x = NULL;
    struct err e = { 0 };

    if (issue_ca(&x, k, "k3s-client", now_s, &e))
        fail_msg("%s", e.text);
    return x;
}

static int setup(void **state)
{
    struct err e = { 0 };
    (void)state;

    if (key_generate(&key, KEY_P256, &e) || key_generate(&ca_key, KEY_P256, &e) ||
        key_generate(&other_key, KEY_P256, &e))
        return -1;
    ca = ca_of(ca_key, NOW_S - 5 * 365 * DAY_S);
    old_ca = ca_of(ca_key, NOW_S - 11 * 365 * DAY_S);
    other_ca = ca_of(other_key, NOW_S - 5 * 365 * DAY_S);
    pem = BUF(64 * 1024);
    return x509_to_pem(ca, &pem);
}

static int teardown(void **state)
{
    (void)state;
    x509_free(ca);
    x509_free(old_ca);
    x509_free(other_ca);
    key_free(key);
    key_free(ca_key);
    key_free(other_key);
    buf_deinit(&pem);
    return 0;
}

static struct x509 *leaf_of(const struct x509 *by, const struct key *by_key, const char *cn,
                            const char *org, bool server, int64_t at_s)
{
    const char *const orgs[] = { org, "system:masters" };
    size_t n_orgs = !org ? 0 : strcmp(org, "both") == 0 ? 2 : 1;
    struct issue_spec spec = { .common_name = cn,
                               .organizations = orgs,
                               .n_organizations = n_orgs,
                               .client_auth = !server,
                               .server_auth = server };
    struct x509 *x = NULL;
    struct err e = { 0 };

    if (issue_leaf(&x, by, by_key, key, &spec, at_s, &e))
        fail_msg("%s", e.text);
    return x;
}

static void only_a_nodes_own_expired_certificate_passes(void **state)
{
    static const struct {
        const char *cn, *org;
        bool server, other_ca;
        int64_t age_days;
        const char *why; /* NULL: it passes */
    } rows[] = {
        { "system:node:edge-1", "system:nodes", false, false, 3 * 365, NULL },
        { "system:node:edge-1", "system:nodes", false, false, 366, NULL },
        { "system:node:edge-1", "system:nodes", false, false, 364, "not expired" },
        { "system:node:edge-1", "system:nodes", false, false, -30, "not expired" },
        { "system:node:edge-1", "system:nodes", false, true, 3 * 365, "no client CA" },
        { "system:node:edge-1", "system:nodes", true, false, 3 * 365, "not for client use" },
        { "system:node:edge-1", "system:masters", false, false, 3 * 365, "not a node's" },
        { "system:node:edge-1", "both", false, false, 3 * 365, "not a node's" },
        { "system:node:edge-1", NULL, false, false, 3 * 365, "not a node's" },
        { "system:admin", "system:nodes", false, false, 3 * 365, "not a node's" },
        { "system:node:", "system:nodes", false, false, 3 * 365, "names no node" },
        { "system:node:a/b", "system:nodes", false, false, 3 * 365, "names no node" },
        { "system:kube-proxy", NULL, false, false, 3 * 365, "not a node's" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(x509)
        struct x509 *x =
            leaf_of(rows[i].other_ca ? other_ca : ca, rows[i].other_ca ? other_key : ca_key,
                    rows[i].cn, rows[i].org, rows[i].server, NOW_S - rows[i].age_days * DAY_S);
        char node[EXPIRED_NODE_NAME_BYTES] = "untouched";
        struct err e = { 0 };
        int r = expired_node_check(node, x->der, buf_str(&pem), NOW_S, &e);

        if (rows[i].why) {
            if (r != ERR_DENIED || !strstr(e.text, rows[i].why))
                fail_msg("row %zu: %d %s", i, r, e.text);
            assert_string_equal(node, "untouched");
        } else {
            if (r)
                fail_msg("row %zu: %s", i, e.text);
            assert_string_equal(node, "edge-1");
        }
    }
}

/* Only the leaf's end is overlooked. */
static void an_expired_ca_lets_nobody_in(void **state)
{
    AUTO(x509)
    struct x509 *x = leaf_of(old_ca, ca_key, "system:node:edge-1", "system:nodes", false,
                             NOW_S - 3 * 365 * DAY_S);
    char node[EXPIRED_NODE_NAME_BYTES];
    auto_buf old = BUF(64 * 1024);
    struct err e = { 0 };
    (void)state;

    assert_int_equal(x509_to_pem(old_ca, &old), 0);
    assert_int_equal(expired_node_check(node, x->der, buf_str(&old), NOW_S, &e), ERR_DENIED);
    assert_non_null(strstr(e.text, "no client CA"));
}

static void what_is_no_certificate_is_said_to_be_none(void **state)
{
    char node[EXPIRED_NODE_NAME_BYTES];
    struct err e = { 0 };
    (void)state;

    assert_int_equal(expired_node_check(node, STR("hello"), buf_str(&pem), NOW_S, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_nodes_own_expired_certificate_passes),
        cmocka_unit_test(an_expired_ca_lets_nobody_in),
        cmocka_unit_test(what_is_no_certificate_is_said_to_be_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

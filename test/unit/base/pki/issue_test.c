#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/pki/csr.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

#define NOW_S INT64_C(1795400000)
#define DAY_S INT64_C(86400)

struct made {
    struct key *ca_key, *key;
    struct x509 *ca;
};

static int make(void **state)
{
    static struct made m;
    struct err e;

    *state = &m;
    return key_generate(&m.ca_key, KEY_P256, &e) || key_generate(&m.key, KEY_P256, &e) ||
           issue_ca(&m.ca, m.ca_key, "k3s-client", NOW_S, &e);
}

static int unmake(void **state)
{
    struct made *m = *state;

    x509_free(m->ca);
    key_free(m->key);
    key_free(m->ca_key);
    return 0;
}

static void a_ca_has_k3ss_fields(void **state)
{
    struct made *m = *state;

    assert_string_equal(m->ca->common_name, "k3s-client-ca@1795400000");
    assert_string_equal(m->ca->subject, "CN=k3s-client-ca@1795400000");
    assert_string_equal(m->ca->issuer, m->ca->subject);
    assert_string_equal(m->ca->serial, "0");
    assert_int_equal(m->ca->not_before_unix_s, 0); /* whatever the clock said at the first start */
    assert_int_equal(m->ca->not_after_unix_s, NOW_S + 3650 * DAY_S);
    assert_true(m->ca->is_ca);
    assert_int_equal(strlen(m->ca->subject_key_id), 40);
    assert_string_equal(m->ca->authority_key_id, "");
    assert_true(x509_signed_by(m->ca, m->ca));
}

static void a_leaf_has_the_fields_asked_for(void **state)
{
    struct made *m = *state;
    AUTO(x509) struct x509 *x = NULL, *other = NULL;
    const char *const orgs[] = { "system:masters" };
    const char *const sans[] = { "127.0.0.1", "Node-1", "::1", "localhost", "127.0.0.1" };
    const struct issue_spec spec = { .common_name = "system:admin",
                                     .organizations = orgs,
                                     .n_organizations = 1,
                                     .client_auth = true,
                                     .sans = sans,
                                     .n_sans = ARRAY_LEN(sans) };
    struct x509_list pool = { .v = &m->ca, .n = 1 };
    int64_t now = NOW_S + 30 * DAY_S;
    struct err e;

    assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, now, &e), 0);
    assert_int_equal(issue_leaf(&other, m->ca, m->ca_key, m->key, &spec, now, &e), 0);
    assert_string_equal(x->common_name, "system:admin");
    assert_string_equal(x->organizations[0], "system:masters");
    assert_string_equal(x->subject, "CN=system:admin,O=system:masters");
    assert_string_equal(x->issuer, m->ca->subject);
    assert_string_equal(x->authority_key_id, m->ca->subject_key_id);
    assert_true(x->client_auth);
    assert_false(x->server_auth);
    assert_false(x->is_ca);
    assert_int_equal(x->not_before_unix_s, now - 3600);
    assert_int_equal(x->not_after_unix_s, now - 3600 + 365 * DAY_S);
    assert_int_equal(x->n_dns_names, 2);
    assert_string_equal(x->dns_names[0], "Node-1");
    assert_int_equal(x->n_ips, 2); /* the second 127.0.0.1 is left out */
    assert_string_equal(x->ips[1], "::1");
    assert_string_not_equal(x->serial, other->serial);
    assert_true(strlen(x->serial) < 16 || (strlen(x->serial) == 16 && x->serial[0] <= '7'));
    assert_true(x509_fits_key(x, m->key));
    assert_false(x509_fits_key(x, m->ca_key));
    assert_true(x509_has_name(x, "node-1"));
    assert_true(x509_has_name(x, "0:0::1"));
    assert_false(x509_has_name(x, "127.0.0.2"));
    assert_int_equal(x509_verify(x, NULL, &pool, now, X509_CLIENT, &e), 0);
    assert_int_equal(x509_verify(x, NULL, &pool, now, X509_SERVER, &e), ERR_DENIED);
}

static void a_leaf_never_begins_before_its_ca(void **state)
{
    struct made *m = *state;
    AUTO(x509) struct x509 *x = NULL;
    const struct issue_spec spec = { .common_name = "x", .days = 7 };
    struct err e;

    assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, 10, &e), 0);
    assert_int_equal(x->not_before_unix_s, 0);
    assert_int_equal(x->not_after_unix_s, 7 * DAY_S);
}

static void leaves_are_due_after_two_thirds_and_not_all_at_once(void **state)
{
    struct made *m = *state;
    const struct issue_spec spec = { .common_name = "x", .days = 60 };
    int64_t first = INT64_MAX, last = 0, from = NOW_S - 3600;
    struct err e;

    for (int i = 0; i < 30; i++) {
        AUTO(x509) struct x509 *x = NULL;
        int64_t at;

        assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e), 0);
        at = x509_renew_at_unix_s(x);
        assert_int_equal(at, x509_renew_at_unix_s(x));
        first = MIN(first, at);
        last = MAX(last, at);
        assert_false(x509_is_due(x, at - 1));
        assert_true(x509_is_due(x, at));
        assert_true(x509_is_due(x, from - 1)); /* the clock was ahead when it was made */
        assert_false(x509_is_due(x, from));
    }
    assert_true(first >= from + 40 * DAY_S);
    assert_true(last < from + 43 * DAY_S);
    assert_true(last - first > DAY_S / 2);
}

static void dates_can_be_left_out_of_a_verification(void **state)
{
    struct made *m = *state;
    AUTO(x509) struct x509 *x = NULL;
    const struct issue_spec spec = { .common_name = "x", .client_auth = true };
    struct x509_list pool = { .v = &m->ca, .n = 1 };
    struct err e;

    assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e), 0);
    assert_int_equal(x509_verify(x, NULL, &pool, NOW_S - DAY_S, X509_CLIENT, &e), ERR_DENIED);
    assert_int_equal(x509_verify(x, NULL, &pool, NOW_S + 366 * DAY_S, X509_CLIENT, &e), ERR_DENIED);
    assert_int_equal(x509_verify(x, NULL, &pool, X509_ANY_TIME, X509_CLIENT, &e), 0);
    assert_int_equal(x509_verify(x, NULL, &pool, X509_ANY_TIME, X509_SERVER, &e), ERR_DENIED);
    pool.n = 0;
    assert_int_equal(x509_verify(x, NULL, &pool, X509_ANY_TIME, X509_CLIENT, &e), ERR_DENIED);
}

static void the_environment_sets_the_life_of_leaves(void **state)
{
    static const struct {
        const char *value;
        int64_t days;
    } rows[] = { { "30", 30 }, { "0", 365 }, { "-1", 365 }, { "x", 365 }, { "9999999", 365 } };
    struct made *m = *state;
    const struct issue_spec spec = { .common_name = "x" };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(x509) struct x509 *x = NULL;

        setenv(ISSUE_LIFE_ENV, rows[i].value, 1);
        assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e), 0);
        unsetenv(ISSUE_LIFE_ENV);
        assert_int_equal(x->not_after_unix_s - x->not_before_unix_s, rows[i].days * DAY_S);
    }
}

static void a_node_name_of_253_characters_is_a_common_name(void **state)
{
    struct made *m = *state;
    AUTO(x509) struct x509 *x = NULL;
    char cn[266] = "system:node:";
    const struct issue_spec spec = { .common_name = cn, .client_auth = true };
    struct err e = { 0 };

    memset(cn + 12, 'n', 253);
    if (issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e))
        fail_msg("%s", e.text);
    assert_string_equal(x->common_name, cn);
}

static void wrong_specs_are_refused_with_a_reason(void **state)
{
    static const char *const sans[] = { "a b", "", "..", "a..b", "x\n", "*", "a.*.b", "http://x" };
    struct made *m = *state;
    AUTO(x509) struct x509 *x = NULL;
    struct issue_spec spec = { .common_name = "x" };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(sans); i++) {
        spec.sans = &sans[i];
        spec.n_sans = 1;
        assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e), ERR_INVALID);
    }
    spec.n_sans = 0;
    assert_int_equal(issue_leaf(&x, m->ca, m->key, m->key, &spec, NOW_S, &e), ERR_INVALID);
    assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S + 4000 * DAY_S, &e),
                     ERR_EXPIRED);
    spec.common_name = "";
    assert_int_equal(issue_leaf(&x, m->ca, m->ca_key, m->key, &spec, NOW_S, &e), ERR_INVALID);
    assert_null(x);
}

static void our_requests_are_ones_we_accept_and_a_changed_byte_is_not(void **state)
{
    struct made *m = *state;
    AUTO(key) struct key *public = NULL, *none = NULL;
    auto_buf der = BUF(CSR_MAX_BYTES);
    auto_buf pem = BUF_SECRET(4096);
    struct err e;

    assert_int_equal(csr_make(&der, m->key, &e), 0);
    assert_int_equal(csr_parse(&public, buf_str(&der), &e), 0);
    assert_true(key_same_public(public, m->key));
    assert_int_equal(key_to_pem(public, &pem, &e), ERR_INVALID); /* it is only the public half */
    der.p[der.n - 1] ^= 1;                                       /* in the signature */
    assert_int_equal(csr_parse(&none, buf_str(&der), &e), ERR_DENIED);
    der.p[der.n - 1] ^= 1;
    assert_int_equal(buf_addc(&der, 'x'), 0);
    assert_int_equal(csr_parse(&none, buf_str(&der), &e), ERR_INVALID);
    assert_int_equal(csr_parse(&none, str_n(der.p, der.n / 2), &e), ERR_INVALID);
    assert_int_equal(csr_parse(&none, STR(""), &e), ERR_INVALID);
    assert_int_equal(csr_parse(&none, str_n("", CSR_MAX_BYTES + 1), &e), ERR_LIMIT);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ca_has_k3ss_fields),
        cmocka_unit_test(a_leaf_has_the_fields_asked_for),
        cmocka_unit_test(a_leaf_never_begins_before_its_ca),
        cmocka_unit_test(leaves_are_due_after_two_thirds_and_not_all_at_once),
        cmocka_unit_test(dates_can_be_left_out_of_a_verification),
        cmocka_unit_test(the_environment_sets_the_life_of_leaves),
        cmocka_unit_test(a_node_name_of_253_characters_is_a_common_name),
        cmocka_unit_test(wrong_specs_are_refused_with_a_reason),
        cmocka_unit_test(our_requests_are_ones_we_accept_and_a_changed_byte_is_not),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}

/* Certificates of a server through the years, and with clocks that are wrong. */
#include "test/unit/server/ca/disk.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/pki/bundle.h"
#include "base/pki/key.h"
#include "base/pki/pemfile.h"

/* Every certificate that a server has, but the CAs. */
static const char *const leaves[] = {
    "tls/client-admin.crt",
    "tls/client-supervisor.crt",
    "tls/client-controller.crt",
    "tls/client-scheduler.crt",
    "tls/client-kube-apiserver.crt",
    "tls/client-k3s-cloud-controller.crt",
    "tls/serving-kube-apiserver.crt",
    "tls/kube-scheduler/kube-scheduler.crt",
    "tls/kube-controller-manager/kube-controller-manager.crt",
    "tls/client-auth-proxy.crt",
    "tls/etcd/server-client.crt",
    "tls/etcd/peer-server-client.crt",
    "tls/etcd/client.crt",
};

static void free_leaves(struct x509 *l[ARRAY_LEN(leaves)])
{
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
        x509_free(l[i]);
}

static void read_leaves(const struct disk *d, struct x509 *out[ARRAY_LEN(leaves)])
{
    free_leaves(out);
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
        out[i] = cert_of(d, leaves[i]);
}

/* The certificate in the admin's kubeconfig. */
static void admin_of(const struct disk *d, struct x509 **out)
{
    static const char mark[] = "client-certificate-data: ";
    auto_buf yaml = BUF_SECRET(BUNDLE_MAX_BYTES), pem = BUF(BUNDLE_MAX_BYTES);
    struct err e = { 0 };
    const char *at;

    if (pemfile_read(&yaml, d->kubeconfig, &e))
        fail_msg("%s", e.text);
    at = strstr(buf_cstr(&yaml), mark);
    assert_non_null(at);
    at += strlen(mark);
    assert_int_equal(base64_decode(&pem, str_n(at, strcspn(at, "\n")), false), 0);
    x509_free(*out);
    *out = NULL;
    assert_int_equal(x509_parse_pem(out, buf_str(&pem), &e), 0);
}

/* Most of the CA's ten years, in steps that are a little more than two thirds of a life. */
static void every_certificate_renews_while_the_server_runs(void **state)
{
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = opened(d);
    AUTO(x509) struct x509 *admin = NULL, *listener = NULL;
    struct x509 *before[ARRAY_LEN(leaves)] = { 0 }, *after[ARRAY_LEN(leaves)] = { 0 };
    int64_t now = clock_wall_s();
    unsigned changed = 99;
    struct err e = { 0 };

    assert_int_equal(ca_renew_due(ca, now + 240 * DAY_S, &changed, &e), 0);
    assert_int_equal(changed, 0);
    for (int step = 1; step <= 12; step++) {
        auto_free char *old_listener = str_dup(ca_listener_cert(ca));

        now += 263 * DAY_S; /* 365 * (2/3 + 1/20) = 261.6 */
        read_leaves(d, before);
        assert_int_equal(ca_renew_due(ca, now, &changed, &e), 0);
        assert_int_equal(changed, CA_CHANGED_LISTENER | CA_CHANGED_CLIENT | CA_CHANGED_OTHER);
        read_leaves(d, after);
        for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
            if (!strcmp(after[i]->serial, before[i]->serial) ||
                after[i]->not_after_unix_s < now + 360 * DAY_S || after[i]->not_before_unix_s > now)
                fail_msg("step %d: %s was not renewed", step, leaves[i]);
        assert_false(str_is(ca_listener_cert(ca), old_listener));
        x509_free(listener);
        listener = NULL;
        assert_int_equal(x509_parse_pem(&listener, ca_listener_cert(ca), &e), 0);
        assert_true(listener->not_after_unix_s > now + 360 * DAY_S);
        assert_true(x509_has_name(listener, "kubernetes"));
        admin_of(d, &admin);
        assert_string_equal(admin->serial, after[0]->serial);
        assert_int_equal(ca_renew_due(ca, now + DAY_S, &changed, &e), 0);
        assert_int_equal(changed, 0);
    }
    free_leaves(before);
    free_leaves(after);
}

static void a_start_renews_what_ends_within_120_days_or_has_ended(void **state)
{
    static const int64_t days_later[] = { 365 - 119, 365 + 3 * 365 };
    struct disk *d = *state;
    struct x509 *before[ARRAY_LEN(leaves)] = { 0 }, *after[ARRAY_LEN(leaves)] = { 0 };
    AUTO(x509) struct x509 *admin = NULL;

    ca_free(opened(d));
    for (size_t i = 0; i < ARRAY_LEN(days_later); i++) {
        int64_t now = clock_wall_s() + days_later[i] * DAY_S;

        read_leaves(d, before);
        clock_set_offset_s(0);
        clock_set_offset_s(now - clock_machine_s());
        ca_free(opened(d));
        read_leaves(d, after);
        for (size_t k = 0; k < ARRAY_LEN(leaves); k++) {
            assert_string_not_equal(after[k]->serial, before[k]->serial);
            assert_true(after[k]->not_after_unix_s > now + 360 * DAY_S);
        }
        admin_of(d, &admin);
        assert_string_equal(admin->serial, after[0]->serial);
    }
    free_leaves(before);
    free_leaves(after);
}

/* The first start was in 1970, or five years ahead; then the clock is set right, while the server
 * runs or before it starts again. */
static void a_first_start_with_a_wrong_clock_spoils_nothing(void **state)
{
    static const struct {
        int64_t wrong_years;
        bool restarts;
    } rows[] = { { -56, false }, { -56, true }, { 5, false }, { 5, true } };
    int64_t right = clock_wall_s();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct x509 *l[ARRAY_LEN(leaves)] = { 0 };
        struct x509_list pool = { 0 };
        AUTO(x509) struct x509 *leaf = NULL;
        AUTO(key) struct key *key = NULL;
        auto_buf pem = BUF(CA_NODE_PEM_MAX_BYTES);
        unsigned changed;
        struct err e = { 0 };

        void *disk = NULL;

        assert_int_equal(disk_new(&disk), 0);
        clock_set_build_s(right - 300 * DAY_S); /* what 1970 becomes */
        clock_set_offset_s(rows[i].wrong_years * 365 * DAY_S);
        struct ca *ca = opened(disk);
        clock_set_offset_s(0);
        if (rows[i].restarts) {
            ca_free(ca);
            ca = opened(disk);
        } else {
            assert_int_equal(ca_renew_due(ca, right, &changed, &e), 0);
            assert_true(changed & CA_CHANGED_LISTENER);
        }
        read_leaves(disk, l);
        for (size_t k = 0; k < ARRAY_LEN(leaves); k++)
            if (l[k]->not_before_unix_s > right || l[k]->not_after_unix_s < right + 120 * DAY_S)
                fail_msg("row %zu: %s is not valid", i, leaves[k]);
        free_leaves(l);
        assert_int_equal(key_generate(&key, KEY_P256, &e), 0);
        assert_int_equal(ca_issue_client_kubelet(ca, "edge", key, &pem, &e), 0);
        assert_int_equal(x509_parse_pem(&leaf, buf_str(&pem), &e), 0);
        assert_int_equal(x509_list_parse_pem(&pool, ca_client_ca(ca), &e), 0);
        assert_int_equal(x509_verify(leaf, NULL, &pool, right, X509_CLIENT, &e), 0);
        x509_list_deinit(&pool);
        ca_free(ca);
        clock_set_build_s(0);
        disk_free(&disk);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, disk_new, disk_free)
    const struct CMUnitTest tests[] = {
        T(every_certificate_renews_while_the_server_runs),
        T(a_start_renews_what_ends_within_120_days_or_has_ended),
        cmocka_unit_test(a_first_start_with_a_wrong_clock_spoils_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

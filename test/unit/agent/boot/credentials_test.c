#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/boot/credentials.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

struct disk {
    char dir[64], node_dir[96];
    struct key *ca_key;
    struct x509 *ca;
    struct buf ca_pem;
    struct credentials c;
};

static int disk_new(void **state)
{
    struct disk *d = mem_alloc(sizeof *d);
    struct err e = { 0 };

    log_level_min = LOG_LVL_ERROR;
    snprintf(d->dir, sizeof d->dir, "/tmp/cred-test-XXXXXX");
    if (!mkdtemp(d->dir))
        return -1;
    snprintf(d->node_dir, sizeof d->node_dir, "%s/etc/rancher/node", d->dir);
    d->ca_pem = BUF(BUNDLE_MAX_BYTES);
    if (key_generate(&d->ca_key, KEY_P256, &e) ||
        issue_ca(&d->ca, d->ca_key, "k3s-client", clock_wall_s() - 86400 * 400, &e) ||
        x509_to_pem(d->ca, &d->ca_pem))
        return -1;
    *state = d;
    return 0;
}

static int disk_free(void **state)
{
    struct disk *d = *state;
    struct err e;

    key_free(d->ca_key);
    x509_free(d->ca);
    buf_deinit(&d->ca_pem);
    err_ignore(file_remove_tree(d->dir, &e)); /* a test folder */
    free(d);
    return 0;
}

static void open_it(struct disk *d)
{
    struct err e = { 0 };

    if (credentials_open(&d->c, d->dir, d->node_dir, &e))
        fail_msg("%s", e.text);
}

static char *text_of(const struct disk *d, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", d->dir, name);
    auto_buf b = BUF(BUNDLE_MAX_BYTES);
    struct err e = { 0 };

    if (file_read(path, BUNDLE_MAX_BYTES, &b, &e))
        fail_msg("%s", e.text);
    return buf_take(&b);
}

static void put(const struct disk *d, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", d->dir, name);
    struct err e = { 0 };

    if (file_mkdirs_for(path, 0700, &e) || file_write_atomic(path, str_of(text), 0600, &e))
        fail_msg("%s", e.text);
}

static bool there(const struct disk *d, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", d->dir, name);

    return file_exists(path);
}

/* An answer's body for that key: leaf and CA bundle; the private key too when it is ours to give.
 */
static void answer_for(struct disk *d, const struct key *k, bool with_key, int64_t now,
                       unsigned days, struct buf *out)
{
    const char *org = "system:nodes";
    struct issue_spec spec = { .common_name = "system:node:edge-1",
                               .organizations = &org,
                               .n_organizations = 1,
                               .client_auth = true,
                               .days = days };
    AUTO(x509) struct x509 *leaf = NULL;
    struct err e = { 0 };

    if (issue_leaf(&leaf, d->ca, d->ca_key, k, &spec, now, &e) || x509_to_pem(leaf, out) ||
        buf_add_str(out, buf_str(&d->ca_pem)) || (with_key && key_to_pem(k, out, &e)))
        fail_msg("%s", e.text);
}

static struct key *own_key(const struct disk *d, enum credential which)
{
    auto_buf der = BUF(CSR_MAX_BYTES);
    struct key *pub = NULL;
    struct err e = { 0 };

    if (credentials_csr(&d->c, which, &der, &e) || csr_parse(&pub, buf_str(&der), &e))
        fail_msg("%s", e.text);
    return pub;
}

static void fill(struct disk *d, int64_t now, unsigned days)
{
    struct err e = { 0 };

    for (int i = 0; i < N_CREDENTIALS; i++) {
        AUTO(key) struct key *pub = own_key(d, (enum credential)i);
        auto_buf body = BUF(BUNDLE_MAX_BYTES);
        answer_for(d, pub, false, now, days, &body);
        if (credentials_answer(&d->c, (enum credential)i, buf_str(&body), &e))
            fail_msg("%s", e.text);
    }
    if (credentials_set_ca(&d->c, true, buf_str(&d->ca_pem), &e) ||
        credentials_set_ca(&d->c, false, buf_str(&d->ca_pem), &e))
        fail_msg("%s", e.text);
}

static void a_fresh_machine_gets_keys_and_a_password(void **state)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {
        { "agent", 0700 },
        { "etc/rancher/node", 0755 },
        { "etc/rancher/node/password", 0600 },
        { "agent/serving-kubelet.key", 0600 },
        { "agent/client-kubelet.key", 0600 },
        { "agent/client-kube-proxy.key", 0600 },
        { "agent/client-k3s-controller.key", 0600 },
    };
    struct disk *d = *state;

    open_it(d);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", d->dir, files[i].name);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        if ((st.st_mode & 07777) != files[i].mode)
            fail_msg("%s has mode %o", files[i].name, st.st_mode & 07777);
    }
    auto_free char *text = text_of(d, "etc/rancher/node/password");
    assert_int_equal(strlen(text), 33);
    assert_int_equal(text[32], '\n');
    assert_memory_equal(text, d->c.password, 32);
    assert_int_equal(strspn(text, "0123456789abcdef"), 32);
    assert_false(credentials_complete(&d->c, clock_wall_s()));
    credentials_deinit(&d->c);
}

static void password_and_keys_survive_a_restart(void **state)
{
    struct disk *d = *state;

    open_it(d);
    auto_free char *password = mem_strdup(d->c.password);
    auto_free char *key = text_of(d, "agent/client-kubelet.key");
    credentials_deinit(&d->c);
    open_it(d);
    auto_free char *again = text_of(d, "agent/client-kubelet.key");
    assert_string_equal(d->c.password, password);
    assert_string_equal(again, key);
    credentials_deinit(&d->c);
}

static void a_password_file_is_taken_as_k3s_does(void **state)
{
    static const struct {
        const char *file, *legacy;
        const char *want; /* NULL: a new one */
        bool legacy_stays;
    } rows[] = {
        { "0123456789abcdef0123456789abcdef\n", NULL, "0123456789abcdef0123456789abcdef", false },
        { "  chosen by hand \r\n", NULL, "chosen by hand", false },
        { NULL, "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff", false },
        { "new\n", "old\n", "new", true },
        { "\n", NULL, NULL, false },
        { NULL, "", NULL, true },
    };
    struct disk *d = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        assert_int_equal(file_remove_tree(d->node_dir, &e), 0);
        auto_free char *agent = mem_printf("%s/agent", d->dir);
        assert_int_equal(file_remove_tree(agent, &e), 0);
        if (rows[i].file)
            put(d, "etc/rancher/node/password", rows[i].file);
        if (rows[i].legacy)
            put(d, "agent/node-password.txt", rows[i].legacy);
        open_it(d);
        if (rows[i].want)
            assert_string_equal(d->c.password, rows[i].want);
        else
            assert_int_equal(strlen(d->c.password), 32);
        if (rows[i].legacy && !rows[i].legacy_stays)
            assert_false(there(d, "agent/node-password.txt"));
        auto_free char *text = text_of(d, "etc/rancher/node/password");
        assert_non_null(strstr(text, d->c.password));
        credentials_deinit(&d->c);
    }
}

static void a_password_file_that_is_too_long_is_refused(void **state)
{
    struct disk *d = *state;
    char text[400];
    struct err e = { 0 };

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    put(d, "etc/rancher/node/password", text);
    assert_int_equal(credentials_open(&d->c, d->dir, d->node_dir, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "node password"));
    assert_null(strstr(e.text, "aaaa"));
    credentials_deinit(&d->c);
}

static void an_answer_to_a_request_keeps_our_key(void **state)
{
    struct disk *d = *state;
    struct stat st;

    open_it(d);
    auto_free char *key = text_of(d, "agent/client-kubelet.key");
    fill(d, clock_wall_s(), 0);
    auto_free char *again = text_of(d, "agent/client-kubelet.key");
    auto_free char *cert = text_of(d, "agent/client-kubelet.crt");
    auto_free char *path = mem_printf("%s/agent/client-kubelet.crt", d->dir);
    assert_string_equal(again, key);
    assert_int_equal(bundle_n_certs(str_of(cert)), 2);
    assert_null(strstr(cert, "PRIVATE KEY"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(credentials_complete(&d->c, clock_wall_s()));
    credentials_deinit(&d->c);
    open_it(d); /* and all of it is found again */
    assert_true(credentials_complete(&d->c, clock_wall_s()));
    credentials_deinit(&d->c);
}

static void a_shared_key_in_the_answer_replaces_ours(void **state)
{
    struct disk *d = *state;
    AUTO(key) struct key *shared = NULL;
    auto_buf body = BUF(BUNDLE_MAX_BYTES), pem = BUF(KEY_PEM_MAX_BYTES);
    struct err e = { 0 };

    open_it(d);
    assert_int_equal(key_generate(&shared, KEY_P256, &e), 0);
    assert_int_equal(key_to_pem(shared, &pem, &e), 0);
    answer_for(d, shared, true, clock_wall_s(), 0, &body);
    if (credentials_answer(&d->c, CRED_KUBELET, buf_str(&body), &e))
        fail_msg("%s", e.text);
    auto_free char *key = text_of(d, "agent/client-kubelet.key");
    auto_free char *cert = text_of(d, "agent/client-kubelet.crt");
    assert_string_equal(key, buf_cstr(&pem));
    assert_null(strstr(cert, "PRIVATE KEY"));
    assert_true(str_eq(buf_str(&d->c.pairs[CRED_KUBELET].key_pem), buf_str(&pem)));
    credentials_deinit(&d->c);
}

static void an_answer_that_does_not_fit_changes_nothing(void **state)
{
    struct disk *d = *state;
    AUTO(key) struct key *other = NULL, *third = NULL;
    auto_buf stranger = BUF(BUNDLE_MAX_BYTES), mixed = BUF(BUNDLE_MAX_BYTES),
             cut = BUF(BUNDLE_MAX_BYTES);
    struct err e = { 0 };

    open_it(d);
    fill(d, clock_wall_s(), 0);
    auto_free char *key = text_of(d, "agent/client-kubelet.key");
    auto_free char *cert = text_of(d, "agent/client-kubelet.crt");
    assert_int_equal(key_generate(&other, KEY_P256, &e), 0);
    assert_int_equal(key_generate(&third, KEY_P256, &e), 0);
    answer_for(d, other, false, clock_wall_s(), 0, &stranger);
    answer_for(d, other, false, clock_wall_s(), 0, &mixed);
    assert_int_equal(key_to_pem(third, &mixed, &e), 0);
    assert_int_equal(
        buf_adds(&cut, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), 0);
    const struct str bodies[] = { buf_str(&stranger), buf_str(&mixed), buf_str(&cut), STR(""),
                                  STR("hello") };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        e = (struct err){ 0 };
        if (credentials_answer(&d->c, CRED_KUBELET, bodies[i], &e) == 0)
            fail_msg("answer %zu was taken", i);
        assert_non_null(strstr(e.text, "client-kubelet."));
        auto_free char *key_after = text_of(d, "agent/client-kubelet.key");
        auto_free char *cert_after = text_of(d, "agent/client-kubelet.crt");
        assert_string_equal(key_after, key);
        assert_string_equal(cert_after, cert);
        assert_string_equal(buf_cstr(&d->c.pairs[CRED_KUBELET].key_pem), key);
        assert_string_equal(buf_cstr(&d->c.pairs[CRED_KUBELET].cert_pem), cert);
    }
    credentials_deinit(&d->c);
}

static void a_broken_certificate_is_left_out_and_a_broken_key_is_refused(void **state)
{
    struct disk *d = *state;
    struct err e = { 0 };

    open_it(d);
    fill(d, clock_wall_s(), 0);
    credentials_deinit(&d->c);
    put(d, "agent/client-kube-proxy.crt", "garbage");
    open_it(d);
    assert_int_equal(d->c.pairs[CRED_PROXY].cert_pem.n, 0);
    assert_false(credentials_complete(&d->c, clock_wall_s()));
    credentials_deinit(&d->c);
    put(d, "agent/client-kube-proxy.key", "garbage");
    assert_int_equal(credentials_open(&d->c, d->dir, d->node_dir, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "client-kube-proxy.key"));
    credentials_deinit(&d->c);
}

static void renewal_is_due_a_little_after_two_thirds(void **state)
{
    struct disk *d = *state;
    int64_t now = clock_wall_s();

    open_it(d);
    assert_true(credentials_renew_at_unix_s(&d->c) <= now); /* nothing there: at once */
    fill(d, now, 90);
    /* notBefore is an hour back: 90 days from there, and a twentieth of them is spread over */
    int64_t at = credentials_renew_at_unix_s(&d->c), two_thirds = now - 3600 + 60 * 86400;
    assert_true(at >= two_thirds && at < two_thirds + 90 * 86400 / 20);
    for (int i = 0; i < N_CREDENTIALS; i++)
        assert_true(d->c.pairs[i].renew_at_unix_s >= at);
    assert_false(credentials_are_due(&d->c, now));
    assert_false(credentials_are_due(&d->c, at - 1));
    assert_true(credentials_are_due(&d->c, at));
    assert_true(
        credentials_are_due(&d->c, now - 7200)); /* the clock was ahead when they were made */
    assert_true(credentials_complete(&d->c, now + 89 * 86400));
    assert_false(credentials_complete(&d->c, now + 90 * 86400));
    credentials_deinit(&d->c);
}

static void an_answer_without_a_ca_is_refused(void **state)
{
    struct disk *d = *state;
    struct err e = { 0 };

    open_it(d);
    fill(d, clock_wall_s(), 0);
    assert_int_equal(credentials_set_ca(&d->c, true, STR("<html>"), &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "server-ca.crt"));
    assert_true(str_eq(buf_str(&d->c.server_ca), buf_str(&d->ca_pem))); /* the old one stays */
    credentials_deinit(&d->c);
}

static void kubeconfigs_point_at_the_balancer(void **state)
{
    static const struct {
        const char *file, *cert;
    } rows[] = { { "agent/kubelet.kubeconfig", "/agent/client-kubelet.crt" },
                 { "agent/kubeproxy.kubeconfig", "/agent/client-kube-proxy.crt" },
                 { "agent/k3scontroller.kubeconfig", "/agent/client-k3s-controller.crt" } };
    struct disk *d = *state;
    struct err e = { 0 };

    open_it(d);
    assert_int_equal(credentials_write_kubeconfigs(&d->c, 6444, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = text_of(d, rows[i].file);
        auto_free char *path = mem_printf("%s/%s", d->dir, rows[i].file);
        struct stat st;
        assert_non_null(strstr(text, "https://127.0.0.1:6444"));
        assert_non_null(strstr(text, rows[i].cert));
        assert_non_null(strstr(text, "/agent/server-ca.crt"));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    credentials_deinit(&d->c);
}

#define WITH_DISK(test) cmocka_unit_test_setup_teardown(test, disk_new, disk_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DISK(a_fresh_machine_gets_keys_and_a_password),
        WITH_DISK(password_and_keys_survive_a_restart),
        WITH_DISK(a_password_file_is_taken_as_k3s_does),
        WITH_DISK(a_password_file_that_is_too_long_is_refused),
        WITH_DISK(an_answer_to_a_request_keeps_our_key),
        WITH_DISK(a_shared_key_in_the_answer_replaces_ours),
        WITH_DISK(an_answer_that_does_not_fit_changes_nothing),
        WITH_DISK(a_broken_certificate_is_left_out_and_a_broken_key_is_refused),
        WITH_DISK(renewal_is_due_a_little_after_two_thirds),
        WITH_DISK(an_answer_without_a_ca_is_refused),
        WITH_DISK(kubeconfigs_point_at_the_balancer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

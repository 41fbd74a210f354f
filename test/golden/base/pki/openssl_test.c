/* Bundles and requests that the OpenSSL command line made: see README.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/pemfile.h"
#include "base/pki/x509.h"

#define DIR    "test/golden/base/pki/"
#define NOW_S  1795400000 /* November 2026 */
#define ROOT_H "fd620310877d53aa78fa32c21aad8c7550ca139c44255c553459317bc689b49b"
#define TEXT_H "39eec5c9ddb214542e6db02da43daea72d709c3b5f11c7a9f4bc89595b56b448"

static void load(struct buf *b, const char *path)
{
    struct err e = { 0 };

    if (pemfile_read(b, path, &e))
        fail_msg("%s", e.text);
}

static void the_hash_of_a_chain_is_its_root_and_of_a_broken_one_its_text(void **state)
{
    static const struct {
        const char *path;
        int64_t now;
        const char *hash;
    } rows[] = {
        { DIR "chain.pem", NOW_S, ROOT_H },
        { DIR "chain-without-root.pem", NOW_S, TEXT_H },
        { DIR "chain.pem", 4000000000, /* everything expired: validation fails */
          "dd282afa3dfa0ee148123f302fe8219f417d450f3f8a74d1c8f0821606a698d7" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf pem = BUF(BUNDLE_MAX_BYTES);
        char hash[BUNDLE_HASH_CHARS + 1];

        load(&pem, rows[i].path);
        bundle_ca_hash(hash, buf_str(&pem), rows[i].now);
        assert_string_equal(hash, rows[i].hash);
    }
}

static void fields_read_as_the_command_line_shows_them(void **state)
{
    auto_buf pem = BUF(BUNDLE_MAX_BYTES);
    auto_x509_list l = { 0 };
    struct err e = { 0 };
    (void)state;

    load(&pem, DIR "chain.pem");
    assert_int_equal(x509_list_parse_pem(&l, buf_str(&pem), &e), 0);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.v[0]->common_name, "k3s-server-ca");
    assert_string_equal(l.v[0]->issuer, "CN=example intermediate");
    assert_string_equal(l.v[0]->serial, "4e");
    assert_string_equal(l.v[0]->subject_key_id, "e084644597a6cff9b4f79dcd615b69bf636c1406");
    assert_string_equal(l.v[0]->authority_key_id, "cfadb3a5de60025dd70b8dfbbdec5b005d51f4f1");
    assert_int_equal(l.v[0]->not_after_unix_s, 2572949599);
    assert_true(l.v[0]->is_ca);
    assert_string_equal(l.v[2]->subject, "CN=example root,O=Example Org");
    assert_int_equal(l.v[2]->n_organizations, 1);
    assert_true(x509_signed_by(l.v[0], l.v[1]));
    assert_false(x509_signed_by(l.v[0], l.v[2]));
}

static void a_leaf_of_the_chain_verifies_by_any_of_its_anchors(void **state)
{
    auto_buf pem = BUF(BUNDLE_MAX_BYTES), key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    AUTO(key) struct key *ca_key = NULL, *k = NULL;
    AUTO(x509) struct x509 *leaf = NULL;
    auto_x509_list l = { 0 };
    struct err e = { 0 };
    const struct issue_spec spec = { .common_name = "kubelet", .server_auth = true };
    (void)state;

    load(&pem, DIR "chain.pem");
    load(&key_pem, DIR "chain.key");
    assert_int_equal(x509_list_parse_pem(&l, buf_str(&pem), &e), 0);
    assert_int_equal(key_parse_pem(&ca_key, buf_str(&key_pem), &e), 0);
    assert_true(x509_fits_key(l.v[0], ca_key));
    assert_int_equal(key_generate(&k, KEY_P256, &e), 0);
    assert_int_equal(issue_leaf(&leaf, l.v[0], ca_key, k, &spec, NOW_S, &e), 0);

    struct x509_list root = { .v = l.v + 2, .n = 1 }, first = { .v = l.v, .n = 1 };
    assert_int_equal(x509_verify(leaf, NULL, &l, NOW_S, X509_SERVER, &e), 0);
    assert_int_equal(x509_verify(leaf, NULL, &first, NOW_S, X509_SERVER, &e), 0);
    assert_int_equal(x509_verify(leaf, &l, &root, NOW_S, X509_SERVER, &e), 0);
    assert_int_equal(x509_verify(leaf, NULL, &root, NOW_S, X509_SERVER, &e), ERR_DENIED);
    assert_non_null(strstr(e.text, "CN=kubelet"));
    assert_non_null(strstr(e.text, "CN=k3s-server-ca"));
    assert_int_equal(x509_verify(leaf, NULL, &l, NOW_S, X509_CLIENT, &e), ERR_DENIED);
    assert_int_equal(x509_verify(leaf, NULL, &l, NOW_S + 400 * 86400, X509_SERVER, &e), ERR_DENIED);
    assert_int_equal(x509_verify(leaf, NULL, &l, NOW_S - 7200, X509_SERVER, &e), ERR_DENIED);
}

static void requests_are_accepted_by_their_keys(void **state)
{
    static const struct {
        const char *path;
        int code;
        enum key_kind kind;
    } rows[] = {
        { DIR "csr-p256.der", 0, KEY_P256 },       { DIR "csr-p384.der", 0, KEY_P384 },
        { DIR "csr-rsa2048.der", 0, KEY_RSA },     { DIR "csr-rsa1024.der", ERR_DENIED, 0 },
        { DIR "csr-p521.der", ERR_DENIED, 0 },     { DIR "csr-ed25519.der", ERR_DENIED, 0 },
        { DIR "csr-explicit.der", ERR_DENIED, 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(key) struct key *k = NULL;
        auto_buf der = BUF(CSR_MAX_BYTES);
        struct err e = { 0 };

        load(&der, rows[i].path);
        if (csr_parse(&k, buf_str(&der), &e) != rows[i].code)
            fail_msg("%s: %s", rows[i].path, e.text);
        assert_int_equal(!!k, rows[i].code == 0);
        if (k)
            assert_int_equal(key_kind(k), rows[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_of_a_chain_is_its_root_and_of_a_broken_one_its_text),
        cmocka_unit_test(fields_read_as_the_command_line_shows_them),
        cmocka_unit_test(a_leaf_of_the_chain_verifies_by_any_of_its_anchors),
        cmocka_unit_test(requests_are_accepted_by_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

#define NOW_S  1795400000
#define CERT   "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"
#define CERT2  "-----BEGIN CERTIFICATE-----\nAwQF\n-----END CERTIFICATE-----\n"
#define KEY    "-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----\n"
#define PARAMS "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n"

static void an_answer_is_split_into_certificates_and_keys(void **state)
{
    static const struct {
        const char *pem;
        int code;
        const char *certs, *keys;
    } rows[] = {
        { CERT, 0, CERT, "" },
        { CERT CERT2 KEY, 0, CERT CERT2, KEY },
        { KEY CERT, 0, CERT, KEY },
        { "text\n" CERT "more text\n" CERT2, 0, CERT CERT2, "" },
        { "-----BEGIN CERTIFICATE-----\r\nAAEC\r\n-----END CERTIFICATE-----\r\n", 0, CERT, "" },
        { "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----", 0, CERT, "" },
        { "-----BEGIN CERTIFICATE-----\nA\nAE\nC\n-----END CERTIFICATE-----\n", 0, CERT, "" },
        { "-----BEGIN CERTIFICATE-----\nName: v\n\nAAEC\n-----END CERTIFICATE-----\n", 0, CERT,
          "" },
        { PARAMS KEY CERT, 0, PARAMS CERT, KEY },
        /* never ended, or ended as another: not there */
        { "-----BEGIN CERTIFICATE-----\nAAEC\n" CERT2, 0, CERT2, "" },
        { "-----BEGIN CERTIFICATE-----\nAAEC\n-----END X-----\n" CERT2, 0, CERT2, "" },
        { "", ERR_NOT_FOUND, "", "" },
        { "hello", ERR_NOT_FOUND, "", "" },
        { KEY, ERR_NOT_FOUND, "", KEY },
        { "-----BEGIN CERTIFICATE-----\n?!\n-----END CERTIFICATE-----\n", ERR_INVALID, "", "" },
        { "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", ERR_INVALID, "", "" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf certs = BUF(4096), keys = BUF_SECRET(4096);
        struct err e = { 0 };

        if (bundle_split(str_of(rows[i].pem), &certs, &keys, &e) != rows[i].code)
            fail_msg("row %zu: %s", i, e.text);
        assert_string_equal(buf_cstr(&certs), rows[i].certs);
        assert_string_equal(buf_cstr(&keys), rows[i].keys);
    }
}

static void too_many_blocks_and_too_little_room_are_limits(void **state)
{
    auto_buf many = BUF(BUNDLE_MAX_BYTES), certs = BUF(BUNDLE_MAX_BYTES), none = BUF(8),
             keys = BUF_SECRET(16);
    struct err e;
    (void)state;

    for (int i = 0; i <= BUNDLE_BLOCKS_MAX; i++)
        assert_int_equal(buf_adds(&many, CERT), 0);
    assert_int_equal(bundle_split(buf_str(&many), &certs, &keys, &e), ERR_LIMIT);
    assert_int_equal(bundle_split(STR(CERT), &none, &keys, &e), ERR_LIMIT);
    assert_int_equal(none.n, 0);
}

static void blocks_keep_their_bytes(void **state)
{
    struct str rest = STR("x\n" CERT KEY);
    struct bundle_block b;
    auto_buf first = BUF(4096);
    struct err e;
    (void)state;

    assert_int_equal(bundle_first_cert(rest, &first, &e), 0);
    assert_string_equal(buf_cstr(&first), CERT);
    assert_true(bundle_next(&rest, &b));
    assert_true(str_is(b.raw, CERT));
    assert_false(b.is_key);
    assert_true(bundle_next(&rest, &b));
    assert_true(str_is(b.raw, KEY));
    assert_true(b.is_key);
    assert_false(bundle_next(&rest, &b));
}

static void the_hash_of_one_certificate_is_that_of_the_bytes(void **state)
{
    AUTO(key) struct key *k = NULL;
    AUTO(x509) struct x509 *ca = NULL;
    char hash[BUNDLE_HASH_CHARS + 1], direct[BUNDLE_HASH_CHARS + 1];
    auto_buf pem = BUF(4096);
    struct err e;
    (void)state;

    /* the vector of the specification: bytes with their newline */
    bundle_sha256_hex(hash, STR("abc\n"));
    assert_string_equal(hash, "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb");

    assert_int_equal(key_generate(&k, KEY_P256, &e), 0);
    assert_int_equal(issue_ca(&ca, k, "k3s-server", NOW_S, &e), 0);
    assert_int_equal(x509_to_pem(ca, &pem), 0);
    bundle_ca_hash(hash, buf_str(&pem), NOW_S);
    bundle_sha256_hex(direct, buf_str(&pem));
    assert_string_equal(hash, direct);
    assert_int_equal(buf_addc(&pem, '\n'), 0); /* one byte more: another hash */
    bundle_ca_hash(hash, buf_str(&pem), NOW_S);
    assert_string_not_equal(hash, direct);
}

static void what_is_no_bundle_has_no_hash(void **state)
{
    static const char *const bad[] = { "", "abc\n", CERT, KEY };
    char hash[BUNDLE_HASH_CHARS + 1];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bundle_ca_hash(hash, str_of(bad[i]), NOW_S);
        assert_string_equal(hash, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_split_into_certificates_and_keys),
        cmocka_unit_test(too_many_blocks_and_too_little_room_are_limits),
        cmocka_unit_test(blocks_keep_their_bytes),
        cmocka_unit_test(the_hash_of_one_certificate_is_that_of_the_bytes),
        cmocka_unit_test(what_is_no_bundle_has_no_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

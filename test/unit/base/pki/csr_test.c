#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"

/* openssl req -new, an Ed25519 key, /O=system:masters/O=edge/CN=ann */
static const char ed25519_pem[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIG1MGkCAQAwNjEXMBUGA1UECgwOc3lzdGVtOm1hc3RlcnMxDTALBgNVBAoMBGVk\n"
    "Z2UxDDAKBgNVBAMMA2FubjAqMAUGAytlcAMhAGfRk1O4LYYfB/uUCpQwXZb1jkh9\n"
    "oVQ1HO+NWPCxSggToAAwBQYDK2VwA0EAOz7xVyV1Z3Fc/5B12U1c1igRQKYr5djU\n"
    "8MxVap43YPZrP7NAFMVAbsU1LZkgSTeCMnllmauPQUqoAM/FQVuuBg==\n"
    "-----END CERTIFICATE REQUEST-----\n";

static struct str der_of(struct buf *out, const char *pem)
{
    struct str rest = str_of(pem);
    struct bundle_block block;
    struct err e;

    assert_true(bundle_next(&rest, &block));
    assert_int_equal(bundle_decode(&block, out, &e), 0);
    return buf_str(out);
}

static void a_request_is_checked_whatever_its_key(void **state)
{
    auto_buf buf = BUF(CSR_MAX_BYTES);
    struct str der = der_of(&buf, ed25519_pem);
    AUTO(key) struct key *public = NULL;
    struct err e;
    (void)state;

    assert_int_equal(csr_check(der, &e), 0);
    assert_int_equal(csr_parse(&public, der, &e), ERR_DENIED); /* we sign for other keys only */
    buf.p[buf.n - 1] ^= 1;
    assert_int_equal(csr_check(buf_str(&buf), &e), ERR_DENIED);
    assert_int_equal(csr_check(str_n(buf.p, buf.n - 1), &e), ERR_INVALID);
    assert_int_equal(csr_check(STR(""), &e), ERR_INVALID);
    assert_int_equal(csr_check(STR("no request"), &e), ERR_INVALID);
}

static void its_organizations_are_found(void **state)
{
    auto_buf buf = BUF(CSR_MAX_BYTES), own = BUF(CSR_MAX_BYTES);
    struct str der = der_of(&buf, ed25519_pem);
    AUTO(key) struct key *key = NULL;
    struct err e;
    (void)state;

    assert_true(csr_asks_for_organization(der, "system:masters"));
    assert_true(csr_asks_for_organization(der, "edge"));
    assert_false(csr_asks_for_organization(der, "ann"));
    assert_false(csr_asks_for_organization(STR("no request"), "edge"));
    assert_int_equal(key_generate(&key, KEY_P256, &e), 0);
    assert_int_equal(csr_make(&own, key, &e), 0);
    assert_int_equal(csr_check(buf_str(&own), &e), 0);
    assert_false(csr_asks_for_organization(buf_str(&own), "")); /* an empty subject */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_checked_whatever_its_key),
        cmocka_unit_test(its_organizations_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

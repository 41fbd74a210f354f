#pragma once
/* Certs: certificates for tests, made on the spot. Include after cmocka.h. */
#include "base/core/clock.h"
#include "base/core/mem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct cert {
    X509 *x;
    EVP_PKEY *key;
    char *cert_pem, *key_pem;
};

static inline char *certs_text(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    char *s = mem_strndup(p, (size_t)n);

    BIO_free(b);
    return s;
}

static inline void cert_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX c;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* issuer NULL: a CA that signs itself. san: "DNS:a,IP:1.2.3.4" or NULL. eku: "serverAuth" ... */
static inline void cert_make(struct cert *c, const struct cert *issuer, const char *cn,
                             const char *san, const char *eku, int64_t valid_s)
{
    static long serial = 1;
    X509_NAME *name;
    BIO *b;

    c->key = EVP_EC_gen("P-256");
    c->x = X509_new();
    assert_non_null(c->key);
    X509_set_version(c->x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x), serial++);
    ASN1_TIME_set(X509_getm_notBefore(c->x), (time_t)clock_wall_s() - 3600);
    ASN1_TIME_set(X509_getm_notAfter(c->x), (time_t)(clock_wall_s() + valid_s));
    name = X509_get_subject_name(c->x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(c->x, issuer ? X509_get_subject_name(issuer->x) : name);
    X509_set_pubkey(c->x, c->key);
    cert_ext(c->x, issuer ? issuer->x : c->x, NID_basic_constraints,
             issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    cert_ext(c->x, issuer ? issuer->x : c->x, NID_key_usage,
             issuer ? "critical,digitalSignature" : "critical,keyCertSign");
    if (san)
        cert_ext(c->x, issuer ? issuer->x : c->x, NID_subject_alt_name, san);
    if (eku)
        cert_ext(c->x, issuer ? issuer->x : c->x, NID_ext_key_usage, eku);
    assert_true(X509_sign(c->x, issuer ? issuer->key : c->key, EVP_sha256()) > 0);
    b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, c->x);
    c->cert_pem = certs_text(b);
    b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL);
    c->key_pem = certs_text(b);
}

static inline void cert_deinit(struct cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    free(c->cert_pem);
    free(c->key_pem);
}

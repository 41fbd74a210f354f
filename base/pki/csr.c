#include "base/pki/csr.h"

#include "base/pki/key.h"
#include "base/pki/ossl.h"

#define RSA_BITS_MAX 8192 /* larger ones cost seconds to verify and serve no purpose */

int csr_make(struct buf *out, const struct key *key, struct err *e)
{
    OSSL_AUTO(X509_REQ) *req = X509_REQ_new();
    unsigned char *der = NULL;
    int n, r;

    if (!key->is_private)
        return err_set(e, ERR_INVALID, "a public key cannot sign a certificate request");
    if (!req || !X509_REQ_set_version(req, X509_REQ_VERSION_1) ||
        !X509_REQ_set_pubkey(req, key->pkey) || !X509_REQ_sign(req, key->pkey, key_digest(key)))
        return ossl_err(e, ERR_INVALID, "make a certificate request");
    n = i2d_X509_REQ(req, &der);
    if (n <= 0)
        return ossl_err(e, ERR_INVALID, "encode a certificate request");
    r = buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
    return r ? err_set(e, ERR_LIMIT, "a certificate request of %d bytes does not fit", n) : 0;
}

static int check_key(const struct key *k, struct err *e)
{
    switch (key_kind(k)) {
    case KEY_P256:
    case KEY_P384:
        return 0;
    case KEY_RSA:
        if (key_bits(k) < 2048 || key_bits(k) > RSA_BITS_MAX)
            return err_set(e, ERR_DENIED, "an RSA key of %u bits is not accepted, 2048 to %d are",
                           key_bits(k), RSA_BITS_MAX);
        return 0;
    case KEY_OTHER:
        break;
    }
    return err_set(e, ERR_DENIED, "only keys on P-256 and P-384 and RSA keys are accepted, not %s",
                   EVP_PKEY_get0_type_name(k->pkey) ? EVP_PKEY_get0_type_name(k->pkey) : "this");
}

/* The request and its key, neither accepted nor verified yet. */
static X509_REQ *parse(EVP_PKEY **key, struct str der, struct err *e)
{
    const unsigned char *at = (const unsigned char *)der.p;
    OSSL_AUTO(X509_REQ) *req = NULL;

    if (!der.n)
        err_set(e, ERR_INVALID, "the certificate request is empty");
    else if (der.n > CSR_MAX_BYTES)
        err_set(e, ERR_LIMIT, "a certificate request of %zu bytes is too large", der.n);
    else if (!(req = d2i_X509_REQ(NULL, &at, (long)der.n)))
        ossl_err(e, ERR_INVALID, "the body is no certificate request in DER form");
    else if (at != (const unsigned char *)der.p + der.n)
        err_set(e, ERR_INVALID, "bytes follow the certificate request");
    else if (!(*key = X509_REQ_get_pubkey(req)))
        ossl_err(e, ERR_INVALID, "the key of the certificate request");
    else
        return STEAL(req);
    return NULL;
}

int csr_parse(struct key **public_out, struct str der, struct err *e)
{
    EVP_PKEY *p = NULL;
    OSSL_AUTO(X509_REQ) *req = parse(&p, der, e);
    AUTO(key) struct key *k = NULL;

    if (!req)
        return (int)e->code;
    k = key_wrap(p, false);
    if (check_key(k, e))
        return err_wrap(e, "certificate request");
    if (X509_REQ_verify(req, p) != 1)
        return ossl_err(e, ERR_DENIED, "the signature of the certificate request is wrong");
    *public_out = STEAL(k);
    return 0;
}

int csr_check(struct str der, struct err *e)
{
    EVP_PKEY *p = NULL;
    OSSL_AUTO(X509_REQ) *req = parse(&p, der, e);
    AUTO(key) struct key *k = NULL;

    if (!req)
        return (int)e->code;
    k = key_wrap(p, false);
    if (key_kind(k) == KEY_RSA && key_bits(k) > RSA_BITS_MAX)
        return err_set(e, ERR_DENIED, "an RSA key of %u bits is not accepted", key_bits(k));
    if (X509_REQ_verify(req, p) != 1)
        return ossl_err(e, ERR_DENIED, "the signature of the certificate request is wrong");
    return 0;
}

bool csr_asks_for_organization(struct str der, const char *organization)
{
    EVP_PKEY *p = NULL;
    struct err e;
    OSSL_AUTO(X509_REQ) *req = parse(&p, der, &e);
    X509_NAME *name = req ? X509_REQ_get_subject_name(req) : NULL;
    bool found = false;

    for (int i = -1;
         name && (i = X509_NAME_get_index_by_NID(name, NID_organizationName, i)) >= 0;) {
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        found |= n >= 0 && str_is(str_n(text, (size_t)n), organization);
        OPENSSL_free(text);
    }
    EVP_PKEY_free(p);
    return found;
}

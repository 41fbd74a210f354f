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

int csr_parse(struct key **public_out, struct str der, struct err *e)
{
    const unsigned char *at = (const unsigned char *)der.p;
    OSSL_AUTO(X509_REQ) *req = NULL;
    AUTO(key) struct key *k = NULL;
    EVP_PKEY *p;

    if (!der.n)
        return err_set(e, ERR_INVALID, "the certificate request is empty");
    if (der.n > CSR_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a certificate request of %zu bytes is too large", der.n);
    req = d2i_X509_REQ(NULL, &at, (long)der.n);
    if (!req)
        return ossl_err(e, ERR_INVALID, "the body is no certificate request in DER form");
    if (at != (const unsigned char *)der.p + der.n)
        return err_set(e, ERR_INVALID, "bytes follow the certificate request");
    p = X509_REQ_get_pubkey(req);
    if (!p)
        return ossl_err(e, ERR_INVALID, "the key of the certificate request");
    k = key_wrap(p, false);
    if (check_key(k, e))
        return err_wrap(e, "certificate request");
    if (X509_REQ_verify(req, p) != 1)
        return ossl_err(e, ERR_DENIED, "the signature of the certificate request is wrong");
    *public_out = STEAL(k);
    return 0;
}

#pragma once
/* Ossl: what the files of this folder share about OpenSSL; nobody else includes it. */
#include "base/core/err.h"
#include "base/core/str.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

struct key {
    EVP_PKEY *pkey;
    bool is_private;
};

struct key *key_wrap(EVP_PKEY *pkey_take, bool is_private);
/* The digest that goes with this key in signatures; NULL where the scheme has its own. */
const EVP_MD *key_digest(const struct key *k);

/* Parses OpenSSL's certificate into fields; takes it, also on failure. */
struct x509;
int x509_wrap(struct x509 **out, X509 *take, struct err *e);

/* err_set with OpenSSL's last reason appended; empties its error queue. */
int ossl_err(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);
#ifdef __clang_analyzer__
#define ossl_err(e, ...) err_never_ok(e, ossl_err(e, __VA_ARGS__))
#endif

/* A read-only view; NULL never. */
BIO *ossl_bio(struct str s);

#define DEFINE_OSSL_AUTO(type, fn)                                                                 \
    static inline void type##_auto(type **p)                                                       \
    {                                                                                              \
        fn(*p);                                                                                    \
    }                                                                                              \
    _Static_assert(1, "semicolon")
DEFINE_OSSL_AUTO(BIO, BIO_free_all);
DEFINE_OSSL_AUTO(EVP_PKEY, EVP_PKEY_free);
DEFINE_OSSL_AUTO(X509, X509_free);
DEFINE_OSSL_AUTO(X509_REQ, X509_REQ_free);
#define OSSL_AUTO(type) __attribute__((cleanup(type##_auto))) type

#pragma once
/*
 * Inside of TLS: what tls.c (connections) and tls_config.c (contexts) share. Nobody else includes
 * it.
 */
#include "base/io/tls.h"

#include <openssl/ssl.h>

#define TLS_ALPN_MAX_BYTES 64

/* One generation of a configuration; connections hold a reference. */
struct tls_ctx {
    SSL_CTX *ssl;
    unsigned n_refs;
    bool insecure, any_time;
    bool has_validity; /* of the last peer's chain; any_time only */
    int64_t valid_from_unix_s, valid_until_unix_s;
    unsigned char alpn[TLS_ALPN_MAX_BYTES]; /* wire format, RFC 7301 3.1 */
    unsigned alpn_bytes;
};

struct tls_server_config {
    struct tls_ctx *ctx;
};

struct tls_client_config {
    struct tls_ctx *ctx;
};

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c); /* NULL is fine */

/* Fills e from OpenSSL's queue and empties it. code is used unless the queue knows better: refused
 * certificates are ERR_DENIED, a missing end ERR_CLOSED. */
int tls_err(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);
#ifdef __clang_analyzer__
#define tls_err(e, ...) err_never_ok(e, tls_err(e, __VA_ARGS__))
#endif

/* tls.c: records why a chain is bad; lets it pass where the contract says so. */
int tls_on_verify(int ok, X509_STORE_CTX *store);

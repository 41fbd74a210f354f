#include "base/io/tls_impl.h"

#include "base/core/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* K3s's six for TLS 1.2 (spec/certificates-and-tokens.md); TLS 1.3 has OpenSSL's own three. */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

#define SESSION_MAX_S 600

#define CERTS_MAX 256 /* of one PEM text: the host's trust store has about 140 */

static bool is_refusal(int reason)
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

/* in brackets: not the macro that the analyzer sees */
int(tls_err)(struct err *e, enum err_code code, const char *fmt, ...)
{
    unsigned long first = ERR_get_error(); /* the oldest is the cause, later ones are callers */
    const char *why = first ? ERR_reason_error_string(first) : NULL;
    char what[sizeof e->text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (ERR_GET_LIB(first) == ERR_LIB_SSL) {
        if (is_refusal(ERR_GET_REASON(first)))
            code = ERR_DENIED;
        else if (ERR_GET_REASON(first) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            code = ERR_CLOSED;
    }
    ERR_clear_error();
    return err_set(e, code, "%s: %s", what, why ? why : "no reason given");
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    c->n_refs++;
    return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
    if (!c || --c->n_refs)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

/* Without it OpenSSL would ask for the pass phrase of an encrypted key on the terminal. */
static int no_password(char *out, int out_bytes, int writing, void *arg)
{
    (void)out;
    (void)out_bytes;
    (void)writing;
    (void)arg;
    return -1;
}

static int pem_bio(BIO **out, struct str pem, struct err *e)
{
    if (pem.n > 4u * 1024 * 1024)
        return err_set(e, ERR_LIMIT, "PEM text of %zu bytes", pem.n);
    *out = BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n);
    return *out ? 0 : tls_err(e, ERR_IO, "memory BIO");
}

/* Calls add for each certificate; 0 of them is fine. Parse errors are told from the end of the
 * text. */
static int each_cert(struct str pem, bool (*add)(struct tls_ctx *c, X509 *x, int i),
                     struct tls_ctx *c, int *n, struct err *e)
{
    BIO *b = NULL;
    X509 *x;
    int r;

    *n = 0;
    if (pem_bio(&b, pem, e))
        return e->code;
    ERR_clear_error();
    r = 0;
    while (!r && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)) != NULL) {
        if (*n == CERTS_MAX)
            r = err_set(e, ERR_LIMIT, "more than %d certificates", CERTS_MAX);
        else if (!add(c, x, *n))
            r = tls_err(e, ERR_INVALID, "certificate %d", *n + 1);
        (*n)++;
        X509_free(x);
    }
    if (!r && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        r = tls_err(e, ERR_INVALID, "certificate %d", *n + 1);
    ERR_clear_error();
    BIO_free(b);
    return r;
}

static bool add_own(struct tls_ctx *c, X509 *x, int i)
{
    return (i ? SSL_CTX_add1_chain_cert(c->ssl, x) : SSL_CTX_use_certificate(c->ssl, x)) == 1;
}

/* A client's chain goes without its root (RFC 8446 4.4.2): the server has it, or it would not trust
 * us, and keeps the parsed copy of everything we send for the life of the connection. */
static bool add_own_client(struct tls_ctx *c, X509 *x, int i)
{
    return (i && X509_self_signed(x, 0) == 1) || add_own(c, x, i);
}

static bool add_trusted(struct tls_ctx *c, X509 *x, int i)
{
    (void)i;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ssl), x) == 1;
}

static int use_own(struct tls_ctx *c, struct str chain_pem, struct str key_pem,
                   bool (*add)(struct tls_ctx *c, X509 *x, int i), struct err *e)
{
    EVP_PKEY *key;
    BIO *b = NULL;
    int n, ok;

    if (each_cert(chain_pem, add, c, &n, e))
        return err_wrap(e, "own certificate");
    if (!n)
        return err_set(e, ERR_INVALID, "own certificate: no certificate in the PEM text");
    if (pem_bio(&b, key_pem, e))
        return err_wrap(e, "own key");
    key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
    BIO_free(b);
    if (!key)
        return tls_err(e, ERR_INVALID, "own key");
    ok = SSL_CTX_use_PrivateKey(c->ssl, key) == 1 && SSL_CTX_check_private_key(c->ssl) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : tls_err(e, ERR_INVALID, "own key");
}

static int use_trusted(struct tls_ctx *c, struct str ca_pem, struct err *e)
{
    int n;

    if (each_cert(ca_pem, add_trusted, c, &n, e))
        return err_wrap(e, "CA bundle");
    if (ca_pem.n && !n)
        return err_set(e, ERR_INVALID, "CA bundle: no certificate in the PEM text");
    return 0;
}

static int alpn_wire(struct tls_ctx *c, const char *const *alpn, struct err *e)
{
    for (; alpn && *alpn; alpn++) {
        size_t n = strlen(*alpn);

        if (!n || c->alpn_bytes + n + 1 > sizeof c->alpn)
            return err_set(e, ERR_INVALID, "ALPN list: at most %zu bytes", sizeof c->alpn);
        c->alpn[c->alpn_bytes++] = (unsigned char)n;
        memcpy(c->alpn + c->alpn_bytes, *alpn, n);
        c->alpn_bytes += (unsigned)n;
    }
    return 0;
}

/* No protocol in common: go on without, as HTTP/1.1 (old clients offer odd lists). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                   const unsigned char *in, unsigned in_bytes, void *arg)
{
    const struct tls_ctx *c = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_bytes, c->alpn, c->alpn_bytes, in, in_bytes) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int ctx_new(struct tls_ctx **out, const SSL_METHOD *method, struct err *e)
{
    SSL_CTX *ssl = SSL_CTX_new(method);
    struct tls_ctx *c;

    if (!ssl)
        return tls_err(e, ERR_IO, "TLS context");
    c = mem_alloc(sizeof *c);
    c->ssl = ssl;
    c->n_refs = 1;
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* NO_AUTO_CHAIN: the store holds the client CA, it must not leak into our own chain */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    /* As Go does: every certificate of the bundle is an anchor, not just self-signed ones. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(ssl), X509_V_FLAG_PARTIAL_CHAIN);
    if (SSL_CTX_set_cipher_list(ssl, CIPHERS) != 1) {
        int r = tls_err(e, ERR_IO, "TLS cipher list");
        tls_ctx_unref(c);
        return r;
    }
    *out = c;
    return 0;
}

/* ---- server ---- */

static int server_ctx(struct tls_ctx **out, struct str cert_chain_pem, struct str key_pem,
                      struct str client_ca_pem, struct err *e)
{
    static const unsigned char session_id_context[] = "coracle"; /* needed with client certs */
    struct tls_ctx *c;

    if (ctx_new(&c, TLS_server_method(), e))
        return err_wrap(e, "TLS server");
    if (use_own(c, cert_chain_pem, key_pem, add_own, e) || use_trusted(c, client_ca_pem, e)) {
        tls_ctx_unref(c);
        return err_wrap(e, "TLS server");
    }
    /* Asked for, not required. The list of CA names stays empty: a client then sends what it has,
     * and a wrong certificate is answered with a 401 that says so. */
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, tls_on_verify);
    SSL_CTX_set_session_id_context(c->ssl, session_id_context, sizeof session_id_context - 1);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF); /* tickets only: no memory here */
    SSL_CTX_set_num_tickets(c->ssl, 1);
    /* A resumed session brings its first verdict on the client's certificate: not for long. */
    SSL_CTX_set_timeout(c->ssl, SESSION_MAX_S);
    SSL_CTX_set_alpn_select_cb(c->ssl, on_alpn, c);
    *out = c;
    return 0;
}

int tls_server_config_new(struct tls_server_config **out, struct str cert_chain_pem,
                          struct str key_pem, struct str client_ca_pem, const char *const *alpn,
                          struct err *e)
{
    struct tls_ctx *c;

    if (server_ctx(&c, cert_chain_pem, key_pem, client_ca_pem, e))
        return e->code;
    if (alpn_wire(c, alpn, e)) {
        tls_ctx_unref(c);
        return err_wrap(e, "TLS server");
    }
    *out = mem_alloc(sizeof **out);
    (*out)->ctx = c;
    return 0;
}

int tls_server_config_reload(struct tls_server_config *c, struct str cert_chain_pem,
                             struct str key_pem, struct str client_ca_pem, struct err *e)
{
    struct tls_ctx *fresh;

    if (server_ctx(&fresh, cert_chain_pem, key_pem, client_ca_pem, e))
        return err_wrap(e, "reload");
    memcpy(fresh->alpn, c->ctx->alpn, sizeof fresh->alpn);
    fresh->alpn_bytes = c->ctx->alpn_bytes;
    tls_ctx_unref(c->ctx);
    c->ctx = fresh;
    return 0;
}

void tls_server_config_free(struct tls_server_config *c)
{
    if (!c)
        return;
    tls_ctx_unref(c->ctx);
    free(c);
}

/* ---- client ---- */

static int client_ctx(struct tls_ctx **out, const struct tls_client_options *o, struct err *e)
{
    struct tls_ctx *c;
    int r;

    if (!o->ca_pem.n && !o->system_trust && !o->insecure)
        return err_set(e, ERR_INVALID, "TLS client: no CA bundle and no system trust");
    if (ctx_new(&c, TLS_client_method(), e))
        return err_wrap(e, "TLS client");
    c->insecure = o->insecure;
    c->any_time = o->any_time;
    if (o->any_time)
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_NO_CHECK_TIME);
    r = use_trusted(c, o->ca_pem, e);
    if (!r && o->cert_chain_pem.n)
        r = use_own(c, o->cert_chain_pem, o->key_pem, add_own_client, e);
    if (!r && o->system_trust && SSL_CTX_set_default_verify_paths(c->ssl) != 1)
        r = tls_err(e, ERR_IO, "system trust");
    if (!r)
        r = alpn_wire(c, o->alpn, e);
    if (!r && c->alpn_bytes && SSL_CTX_set_alpn_protos(c->ssl, c->alpn, c->alpn_bytes))
        r = tls_err(e, ERR_IO, "ALPN list");
    if (r) {
        tls_ctx_unref(c);
        return err_wrap(e, "TLS client");
    }
    SSL_CTX_set_verify(c->ssl, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, tls_on_verify);
    *out = c;
    return 0;
}

int tls_client_config_new(struct tls_client_config **out, const struct tls_client_options *o,
                          struct err *e)
{
    struct tls_ctx *c;

    if (client_ctx(&c, o, e))
        return e->code;
    *out = mem_alloc(sizeof **out);
    (*out)->ctx = c;
    return 0;
}

int tls_client_config_reload(struct tls_client_config *c, const struct tls_client_options *o,
                             struct err *e)
{
    struct tls_ctx *fresh;

    if (client_ctx(&fresh, o, e))
        return err_wrap(e, "reload");
    tls_ctx_unref(c->ctx);
    c->ctx = fresh;
    return 0;
}

bool tls_client_config_validity(const struct tls_client_config *c, int64_t *from_unix_s,
                                int64_t *until_unix_s)
{
    if (!c->ctx->has_validity)
        return false;
    *from_unix_s = c->ctx->valid_from_unix_s;
    *until_unix_s = c->ctx->valid_until_unix_s;
    return true;
}

void tls_client_config_free(struct tls_client_config *c)
{
    if (!c)
        return;
    tls_ctx_unref(c->ctx);
    free(c);
}

#pragma once
/*
 * TLS: OpenSSL over any stream, both ends. The only file, beside base/pki, that knows OpenSSL.
 *
 * Contexts are refcounted: connections keep the context they began with, so a renewed certificate
 * serves new connections without a restart. Loop thread only.
 */
#include "base/io/stream.h"

/* What the peer proved. Certificates are DER; pki/x509.h parses them. */
struct tls_peer {
    struct str leaf_der;     /* empty: the peer showed no certificate */
    const char *alpn;        /* "h2", "http/1.1" or "" */
    const char *server_name; /* SNI the client sent, or "" */
    long verify_error;       /* X509_V_*; 0: good chain. The server side never refuses: a bad
                              * certificate becomes a 401 later, not a TLS alert */
    const char *verify_text; /* OpenSSL's words for it */
};

struct tls_server_config; /* certificate chain, key, client CA bundle, ALPN list */
struct tls_client_config; /* trust pool, own certificate, name check, ALPN list */

/* PEM texts are copied. client_ca_pem may be empty: certificates are then asked for but all are
 * "unable to verify". alpn: NULL-terminated list in order of preference. TLS 1.2 at least, with
 * K3s's six ECDHE suites. */
MUST_USE int tls_server_config_new(struct tls_server_config **out, struct str cert_chain_pem,
                                   struct str key_pem, struct str client_ca_pem,
                                   const char *const *alpn, struct err *e);
/* Replaces certificate, key and CA for connections to come. On failure the old ones stay. */
MUST_USE int tls_server_config_reload(struct tls_server_config *c, struct str cert_chain_pem,
                                      struct str key_pem, struct str client_ca_pem, struct err *e);
void tls_server_config_free(struct tls_server_config *c);

struct tls_client_options {
    struct str ca_pem; /* trust only these; empty with system_trust: the host's store */
    bool system_trust;
    bool insecure; /* verify nothing (fetching /cacerts) */
    bool any_time; /* verify all but dates: to ask what time it is (tls_client_config_validity) */
    struct str cert_chain_pem, key_pem; /* own certificate; empty: none */
    const char *const *alpn;            /* NULL: offer none */
};
MUST_USE int tls_client_config_new(struct tls_client_config **out,
                                   const struct tls_client_options *o, struct err *e);
MUST_USE int tls_client_config_reload(struct tls_client_config *c,
                                      const struct tls_client_options *o, struct err *e);
void tls_client_config_free(struct tls_client_config *c);
/* With any_time: from when to when the chain that the last handshake verified is valid, all of it.
 * False: there was none. */
bool tls_client_config_validity(const struct tls_client_config *c, int64_t *from_unix_s,
                                int64_t *until_unix_s);

/* Server side: takes the raw stream, returns a stream whose handshake runs once it is opened; its
 * on_data begins after the handshake. alpn and peer are known by then (stream_tls_peer). */
struct stream *tls_server_wrap(struct tls_server_config *c, struct stream *raw_take);

/* Client side: the handshake runs at once; done is called once: s is ready (not opened), or NULL
 * with e: ERR_DENIED for a certificate that does not verify (the text names issuer and reason),
 * ERR_TIMEOUT, ERR_PROTOCOL, ERR_CLOSED. name is checked against the certificate: DNS name or IP
 * text. Takes raw. */
struct tls; /* the handshake, until done; only tls_client_cancel takes it */
struct tls *tls_client_wrap(struct tls_client_config *c, struct stream *raw_take, const char *name,
                            uint64_t timeout_ms,
                            void (*done)(void *arg, struct stream *s, const struct err *e),
                            void *arg);
/* done still comes, later, with ERR_CANCELED: a peer that is silent need not be waited for. */
void tls_client_cancel(struct tls *t);

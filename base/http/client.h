#pragma once
/*
 * HTTP client: calls over HTTP/1.1 or HTTP/2, on connections it makes, pools and closes.
 *
 * An endpoint is where and how to connect: a dial function (TCP address, DNS name, Unix socket, a
 * tunnel stream), TLS settings, protocol. Calls to one endpoint share its connections: one for h2,
 * keep-alive ones for h1. Loop thread only.
 */
#include "base/http/http.h"
#include "base/io/stream.h"

struct http_endpoint;
struct http_call;
struct tls_client_config; /* base/io/tls.h */

/* Makes one raw stream (without TLS). Calls done once, later: s is NULL and e set on failure. */
typedef void (*http_dialed_fn)(void *arg, struct stream *s, const struct err *e);
typedef void (*http_dial_fn)(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg);

struct http_endpoint_config {
    const char *authority; /* "host:port" for Host / :authority; copied */
    http_dial_fn dial;     /* NULL: resolve and dial authority over TCP */
    void *dial_arg;
    const struct tls_client_config *tls; /* NULL: no TLS; must outlive the endpoint */
    enum {
        HTTP_ALPN,
        HTTP_H1,
        HTTP_H2
    } proto;                  /* ALPN: what TLS chose; H2 without TLS: prior knowledge */
    bool no_keep_alive;       /* h1: one call per connection, "Connection: close" */
    uint64_t dial_timeout_ms; /* 0: 10 s, TCP and TLS together */
    size_t n_connections_max; /* 0 means 8; calls beyond it wait (h2: beyond it and the streams
                               * that the peer allows). More than 1024 waiting: ERR_LIMIT */
    uint64_t ping_ms;         /* h2: silence with open calls before a ping, whose answer has 15 s;
                               * 0: 30 s with TLS, no pings without (gRPC servers take offence) */
};

void http_endpoint_new(struct http_endpoint **out, uv_loop_t *loop,
                       const struct http_endpoint_config *c);
/* Running calls end with ERR_CANCELED; then done (may be NULL) is called and it is gone. A dial
 * function of the owner's that still runs is waited for, at most dial_timeout_ms. */
void http_endpoint_close(struct http_endpoint *ep, void (*done)(void *arg), void *arg);
/* Closes idle connections, and the others as their calls end: after a change of credentials. */
void http_endpoint_reset(struct http_endpoint *ep);

struct http_call_events {
    /* The head of the answer; headers are valid until on_done. Not called for 1xx. */
    void (*on_head)(struct http_call *c, void *arg, int status, const struct http_headers *h);
    void (*on_body)(struct http_call *c, void *arg, const char *p, size_t n);
    void (*on_drain)(struct http_call *c, void *arg); /* request body: write more */
    /* Exactly once, last; never from inside http_call_start. e is NULL when the answer is complete.
     * Trailers (h2, gRPC) are in http_call_trailers during the call. c is gone afterwards. */
    void (*on_done)(struct http_call *c, void *arg, const struct err *e);
};

#define HTTP_NO_TIMEOUT UINT64_MAX

struct http_call_config {
    const char *method;
    const char *target;                /* path?query */
    const struct http_header *headers; /* copied; Host and Content-Length are added */
    size_t n_headers;
    struct str body;     /* copied */
    bool stream_body;    /* the body goes on with http_call_write, until http_call_end */
    uint64_t timeout_ms; /* to on_done, all included; 0: none (watches): then the head has 30 s */
    uint64_t
        head_timeout_ms; /* to on_head; 0: as just said; HTTP_NO_TIMEOUT: none (event streams) */
    bool upgrade; /* h1: on 101 (or 200 to CONNECT) http_call_take_stream may be used in on_head */
};

/* A call waits for a connection that is free or being made. When all that are being made have taken
 * more than a second, they may hang in a tunnel that died: the next call dials anew.
 * Never fails at once: errors come by on_done. Their text names the phase: "dial HOST: ...",
 * "HOST: TLS handshake with NAME: ...", "HOST: no answer within N ms", "HOST: closed by the peer
 * before the answer".
 * A call is started a second time, once and unseen, when a connection that had served others turns
 * out dead before any byte of the answer (idempotent methods), or when the peer says that it did
 * not touch it (h2 REFUSED_STREAM, GOAWAY); never after http_call_write has sent something.
 * events is copied; all of them but on_done may be NULL. */
void http_call_start(struct http_call **out, struct http_endpoint *ep,
                     const struct http_call_config *cfg, const struct http_call_events *events,
                     void *arg);
void http_call_write(struct http_call *c, const void *p, size_t n);
size_t http_call_queued(const struct http_call *c);
void http_call_end(struct http_call *c);
void http_call_pause(struct http_call *c); /* answer body backpressure */
void http_call_resume(struct http_call *c);
void http_call_cancel(struct http_call *c); /* on_done comes with ERR_CANCELED, later */
const struct http_headers *http_call_trailers(const struct http_call *c);
/* In on_head of an upgrade: the raw connection, yours by stream_handover; leftover bytes in buf.
 * The call then ends with on_done(NULL). */
struct stream *http_call_take_stream(struct http_call *c, struct buf *leftover);

/* The whole exchange at once: done gets status, headers and body (valid during the call), or e.
 * Bodies above max_bytes end with ERR_LIMIT. */
typedef void (*http_fetch_fn)(void *arg, int status, const struct http_headers *h, struct str body,
                              const struct err *e);
struct http_call *http_fetch(struct http_endpoint *ep, const struct http_call_config *cfg,
                             size_t max_bytes, http_fetch_fn done, void *arg);

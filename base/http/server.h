#pragma once
/*
 * HTTP server: requests over HTTP/1.1 and HTTP/2 on TLS (or any stream), one interface for both.
 *
 * Loop thread only. on_request is called when the head of a request is complete. The handler then
 * owns the exchange: it answers once (http_reply, or http_reply_start ... http_reply_end) or takes
 * the connection over (http_upgrade). http_req stays valid until on_done, which comes exactly once
 * per request, after the answer has been sent or the peer has gone; free what hangs on it there.
 * Bodies stream both ways with backpressure.
 */
#include "base/http/http.h"
#include "base/io/stream.h"

struct http_server;
struct http_req;

struct http_req_events {
    /* A piece of the body; valid during the call. http_req_pause holds the peer back. */
    void (*on_body)(struct http_req *r, void *arg, const char *p, size_t n);
    /* The body is complete. Comes also, and once, for requests without one. */
    void (*on_body_end)(struct http_req *r, void *arg);
    /* Reply bytes drained: write more. */
    void (*on_drain)(struct http_req *r, void *arg);
    /* The request is over: e is NULL when the answer went out, else why not (the peer left, a
     * deadline). Last event. */
    void (*on_done)(struct http_req *r, void *arg, const struct err *e);
};

struct http_server_config {
    /* Called for each request whose head is complete and within limits (the server answers 400,
     * 408, 414, 431, 501 and 505 itself). Must set events with http_req_accept or reply at once. */
    void (*on_request)(struct http_req *r, void *arg);
    void *arg;
    uint64_t header_timeout_ms; /* absolute, from the first byte (TLS included) to the end of the
                                   head; 0: 10 s */
    uint64_t idle_timeout_ms;   /* keep-alive without a request; 0: 90 s */
    size_t n_connections_max;   /* 0: 4096; above it new ones are closed at once */
    /* Of them the last so many are for requests that must get through when the server is full
     * (http_req_is_reserved): of those that have not shown a whole head yet, the oldest makes room
     * for a new one. */
    size_t n_reserved;
    uint32_t n_h2_streams_max; /* concurrent per connection; 0: 250 */
};

void http_server_new(struct http_server **out, uv_loop_t *loop, const struct http_server_config *c);
/* Serves one accepted stream (already TLS where wanted; ALPN "h2" selects HTTP/2, else HTTP/1.1).
 * Takes the stream, not yet opened. */
void http_server_serve(struct http_server *s, struct stream *stream_take);
size_t http_server_n_connections(const struct http_server *s);
/* Tells peers that this server goes: what they ask next belongs on another connection. On h2 at
 * once (GOAWAY: clients repeat what was on its way, elsewhere), on h1 with the next answer.
 * Requests that run go on; idle connections are closed, each other one goes with its last request.
 */
void http_server_leave(struct http_server *s);
/* Stops: closes every connection (requests end with ERR_CANCELED), then calls done and is gone. */
void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg);

/* ---- the request; all views are valid until on_done ---- */
struct str http_req_method(const struct http_req *r);
struct str http_req_target(
    const struct http_req *r);                      /* as sent: path?query; host:port for CONNECT */
struct str http_req_path(const struct http_req *r); /* before '?', not decoded, not normalised */
struct str http_req_query(const struct http_req *r); /* after '?', without it; may be empty */
struct str http_req_host(const struct http_req *r);  /* Host or :authority */
const struct http_headers *http_req_headers(const struct http_req *r);
int64_t http_req_content_length(const struct http_req *r); /* -1: unknown (chunked, h2 without) */
bool http_req_has_body(const struct http_req *r);
bool http_req_is_h2(const struct http_req *r);
struct stream *http_req_stream(const struct http_req *r); /* the connection: addresses, TLS peer */

/* The server is full, and this connection one of the reserve: answer only who must get through,
 * refuse others with 503 and http_req_set_close. */
bool http_req_is_reserved(const struct http_req *r);
/* What the handler knows about the peer of this connection; NULL until it is set. Released with the
 * connection, or when another is set. */
void *http_req_peer_data(const struct http_req *r);
void http_req_set_peer_data(struct http_req *r, void *data_take, void (*release)(void *data));

/* Sets who hears of the rest. Call it inside on_request (or reply there at once). It may be called
 * again, with other events. Until there is an on_body (or on_body_end: then the body is dropped) or
 * http_req_read_body, the body waits, and the peer with it; an expected 100 Continue goes out when
 * the body is asked for. A body that is asked for and does not come for idle_timeout_ms ends with
 * 408. */
void http_req_accept(struct http_req *r, const struct http_req_events *events, void *arg);
/* Makes the server collect the body first: done is called once with the whole body (valid during
 * the call). A larger one is answered with 413 by the server, and done is not called. */
void http_req_read_body(struct http_req *r, size_t max_bytes,
                        void (*done)(struct http_req *r, void *arg, struct str body));
void http_req_pause(struct http_req *r);
void http_req_resume(struct http_req *r);

/* ---- the answer ---- */
/* A complete answer in one call. extra may be NULL; Content-Length and Date are added. */
void http_reply(struct http_req *r, int status, const char *content_type, struct str body,
                const struct http_header *extra, size_t n_extra);
/* A streamed answer: chunked on h1 (unless content_length >= 0), DATA frames on h2. */
void http_reply_start(struct http_req *r, int status, const struct http_header *headers,
                      size_t n_headers, int64_t content_length);
void http_reply_write(struct http_req *r, const void *p, size_t n); /* copies */
size_t http_reply_queued(const struct http_req *r); /* above STREAM_HIGH_BYTES: wait for on_drain */
void http_reply_end(struct http_req *r);
void http_reply_abort(struct http_req *r); /* cut it: reset (h2) or close (h1) */
/* The connection goes after this answer: "Connection: close" on h1, GOAWAY on h2 (as soon as no
 * other request runs). */
void http_req_set_close(struct http_req *r);

/* Answers with this head (101 for Upgrade, 200 for CONNECT) and hands the raw connection over,
 * with bytes that came behind the head in *leftover (buf is yours). Only for HTTP/1.1: ERR_INVALID
 * on h2. on_done comes with NULL first, from inside the call. The stream is open already: use
 * stream_handover to become its owner. */
MUST_USE int http_upgrade(struct http_req *r, int status, const struct http_header *headers,
                          size_t n_headers, struct stream **out, struct buf *leftover,
                          struct err *e);

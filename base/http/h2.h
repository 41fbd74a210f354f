#pragma once
/*
 * H2: one end of an HTTP/2 connection without I/O (RFC 9113): bytes in, events and bytes out. The
 * only user of nghttp2.
 *
 * Feed what came, then pull what is to be sent, also after every other call that may have produced
 * something (respond, write, consume, ...): nothing is sent by itself. Events come from inside
 * h2_feed and h2_pull, never from the other calls. In an event everything may be called but
 * h2_feed, h2_pull and h2_free.
 *
 * Flow control: the peer may send H2_STREAM_WINDOW_BYTES per stream and H2_WINDOW_BYTES in all
 * until h2_consume gives bytes back, so a consumer that stops consuming stops the peer. Outgoing
 * data waits in a buffer per stream: above STREAM_HIGH_BYTES (base/io/stream.h) wait for on_drain.
 *
 * A peer is bounded in: header bytes, streams at once, resets per second, pings and settings to
 * answer, continuation frames. Header names go out in lower case; connection, keep-alive,
 * proxy-connection, transfer-encoding, upgrade, host and TE other than trailers are left out.
 * Loop thread only.
 */
#include "base/http/http.h"

#define H2_STREAM_WINDOW_BYTES (1024 * 1024)
#define H2_WINDOW_BYTES        (4 * 1024 * 1024)

struct h2;
struct h2_stream;

/* RFC 9113 7 */
#define H2_NO_ERROR          0x0
#define H2_PROTOCOL_ERROR    0x1
#define H2_INTERNAL_ERROR    0x2
#define H2_REFUSED_STREAM    0x7 /* nothing was done: safe to try again */
#define H2_CANCEL            0x8
#define H2_ENHANCE_YOUR_CALM 0xb
#define H2_HTTP_1_1_REQUIRED 0xd

struct h2_head {
    struct str method, scheme, authority, path; /* requests */
    int status;                                 /* responses */
    struct http_headers headers;                /* without pseudo-headers; names in lower case */
    int64_t content_length;                     /* -1: not given */
    bool end;                                   /* nothing follows: on_end comes next */
    int refuse; /* requests: 0, or the status to answer instead: 400, 414, 431; the views may be cut
                 */
};

struct h2_events {
    /* Server: a request; client: the answer (not for 1xx). head is valid until on_close. */
    void (*on_head)(void *arg, struct h2_stream *s, const struct h2_head *head);
    /* Give the bytes back with h2_consume once they are dealt with. */
    void (*on_data)(void *arg, struct h2_stream *s, const char *p, size_t n);
    /* The peer's direction is complete; h2_trailers has what came behind the data. */
    void (*on_end)(void *arg, struct h2_stream *s);
    /* Outgoing data fell to half of STREAM_HIGH_BYTES or less after it had been above it. */
    void (*on_drain)(void *arg, struct h2_stream *s);
    /* Last: both directions ended (H2_NO_ERROR) or the stream was reset by either end. */
    void (*on_close)(void *arg, struct h2_stream *s, uint32_t error_code);
    /* The peer takes no new streams; those above last_id were not looked at. May be NULL. */
    void (*on_goaway)(void *arg, int32_t last_id, uint32_t error_code);
    /* An answer to h2_ping. May be NULL. */
    void (*on_pong)(void *arg);
};

struct h2_config {
    bool server;
    uint32_t n_streams_max;         /* the peer may have open at once; 0: 250 (server) */
    const struct h2_events *events; /* must outlive the session */
    void *arg;
};

/* The preface and settings are the first to be pulled. */
struct h2 *h2_new(const struct h2_config *c);
void h2_free(struct h2 *h); /* streams go without an event */
DEFINE_AUTO(h2);

/* ERR_PROTOCOL or ERR_LIMIT: the connection is lost; pull once more (a GOAWAY says why), then
 * close.
 */
MUST_USE int h2_feed(struct h2 *h, const char *p, size_t n, struct err *e);
/* Appends to out what is to be sent now, until it holds max_bytes or a little more or nothing is
 * left. The caller pulls again when out was full. ERR_PROTOCOL, ERR_LIMIT: as h2_feed. */
MUST_USE int h2_pull(struct h2 *h, struct buf *out, size_t max_bytes, struct err *e);
bool h2_wants_write(const struct h2 *h); /* h2_pull would yield something */
bool h2_is_over(const struct h2 *h);     /* goaway is through and no stream is left: close */
size_t h2_n_streams(const struct h2 *h);
/* Streams we may open yet (client): what the peer allows, none after its GOAWAY. */
size_t h2_n_streams_left(const struct h2 *h);

/* Client. s is gone after on_close. end: there is no body and no trailers. ERR_LIMIT: too many
 * streams; ERR_CLOSED: after GOAWAY; ERR_INVALID: bad header bytes. */
MUST_USE int h2_request(struct h2 *h, struct h2_stream **out, struct str method, struct str scheme,
                        struct str authority, struct str path, const struct http_header *headers,
                        size_t n_headers, bool end, void *user, struct err *e);
/* Server: the answer's head, once. end: nothing follows. When the answer ends before the request
 * does, the stream is reset with H2_NO_ERROR once the answer went out (RFC 9113 8.1). */
MUST_USE int h2_respond(struct h2_stream *s, int status, const struct http_header *headers,
                        size_t n_headers, bool end, struct err *e);

void h2_write(struct h2_stream *s, const void *p, size_t n); /* copies; after the head */
size_t h2_queued(const struct h2_stream *s);
void h2_end(struct h2_stream *s); /* after what is queued */
/* As h2_end, with trailers; ERR_INVALID: bad header bytes. */
MUST_USE int h2_end_trailers(struct h2_stream *s, const struct http_header *headers,
                             size_t n_headers, struct err *e);
void h2_reset(struct h2_stream *s, uint32_t error_code); /* drops what is queued; on_close comes */
void h2_consume(struct h2_stream *s, size_t n);

void h2_set_user(struct h2_stream *s, void *user);
void *h2_user(const struct h2_stream *s);
int32_t h2_id(const struct h2_stream *s);
const struct h2_head *h2_head(const struct h2_stream *s);          /* the peer's */
const struct http_headers *h2_trailers(const struct h2_stream *s); /* the peer's; n 0: none */

void h2_ping(struct h2 *h); /* on_pong tells */
/* No new streams from the peer; the running ones go on. error_code: H2_NO_ERROR to leave politely.
 */
void h2_goaway(struct h2 *h, uint32_t error_code);
/* For servers on plain streams: do these first bytes begin a client preface (RFC 9113 3.4)?
 * 1 yes, 0 no, -1 cannot tell yet. */
int h2_is_preface(const char *p, size_t n);

#pragma once
/*
 * H1: HTTP/1.1 heads and bodies as bytes, both directions, no I/O (RFC 9112). The only user
 * of llhttp.
 *
 * One parser serves one direction of one connection, one message at a time: feed it bytes; on_head,
 * on_body* and on_end come from inside h1_feed. Bytes behind the end of a message are never
 * consumed: they are the next message (call h1_next and feed them again), or, after an upgrade,
 * another protocol's. A head is collected until it is whole, so every view in it is contiguous.
 *
 * Requests are read strictly: no space before the colon, no line folding, no bare CR or LF, one
 * Host on 1.1, not both Content-Length and Transfer-Encoding, no coding but chunked. What a request
 * may be refused with is in h1_error_status. Loop thread only.
 */
#include "base/http/http.h"

struct h1;

enum h1_kind { H1_REQUEST, H1_RESPONSE };

struct h1_head {
    struct str method, target; /* requests; host:port for CONNECT */
    int status;                /* responses */
    unsigned minor;            /* HTTP/1.minor: 0 or 1 */
    struct http_headers headers;
    int64_t content_length; /* -1: none was given */
    bool chunked;
    bool has_body;   /* on_body may come (a body until close counts) */
    bool keep_alive; /* the connection may serve another message, as far as this head says */
    /* Requests: CONNECT, or Connection: upgrade with an Upgrade header; a request may still be
     * answered as if it were not. Responses: 101, or 2xx to CONNECT: what follows is not HTTP. */
    bool upgrade;
    bool expect_continue; /* requests: Expect: 100-continue */
};

struct h1_events {
    /* h is valid until h1_next or h1_free; of responses 1xx other than 101 is not reported. */
    void (*on_head)(void *arg, const struct h1_head *h);
    void (*on_body)(void *arg, const char *p, size_t n);
    /* The message is complete. Trailers of chunked bodies are read and dropped. */
    void (*on_end)(void *arg);
};

/* events must outlive the parser. */
struct h1 *h1_new(enum h1_kind kind, const struct h1_events *events, void *arg);
void h1_free(struct h1 *p); /* not from inside h1_feed */
DEFINE_AUTO(h1);

/* *consumed <= n is always set. Stops behind the end of a message (then feed consumes nothing until
 * h1_next). ERR_PROTOCOL or ERR_LIMIT: the message is bad, h1_error_status says
 * how to answer, and only h1_free is left to do. */
MUST_USE int h1_feed(struct h1 *p, const char *bytes, size_t n, size_t *consumed, struct err *e);
/* The peer sends no more. 0 when that is a proper end: between messages, or of a body that goes
 * until close (on_end comes). ERR_CLOSED in the middle of a message. */
MUST_USE int h1_finish(struct h1 *p, struct err *e);
/* In an event, when the connection is given up: no further event comes, only h1_free is left. */
void h1_stop(struct h1 *p);
/* Gets ready for the next message. Not from inside h1_feed. */
void h1_next(struct h1 *p);

/* Responses, before the head is fed: what the request was, for that decides about the body. */
void h1_expect(struct h1 *p, bool to_head, bool to_connect);

bool h1_is_idle(const struct h1 *p);     /* nothing of a message has come yet */
bool h1_is_ended(const struct h1 *p);    /* on_end was called; h1_next is due */
int h1_error_status(const struct h1 *p); /* 400, 414, 431, 501 or 505 */

/* ---- writing ---- */

/* How the body of a message is framed; a value >= 0 is a Content-Length. */
#define H1_BODY_CHUNKED (-1)
#define H1_BODY_NONE    (-2) /* neither header: GET, 204, 101, a body until close */

/* Append a head. Host, Content-Length and Transfer-Encoding come from the arguments and are skipped
 * in headers. ERR_INVALID: a name, value, method or target with bytes that may not be there;
 * ERR_LIMIT: out is full; out is unchanged then. */
MUST_USE int h1_put_request(struct buf *out, struct str method, struct str target, struct str host,
                            const struct http_header *headers, size_t n_headers, int64_t body,
                            struct err *e);
MUST_USE int h1_put_response(struct buf *out, int status, const struct http_header *headers,
                             size_t n_headers, int64_t body, struct err *e);
/* n > 0. The chunk's head, to be followed by n bytes and "\r\n". Returns its length. */
size_t h1_chunk_head(char out[20], size_t n);
#define H1_CHUNK_END  "\r\n"
#define H1_LAST_CHUNK "0\r\n\r\n"

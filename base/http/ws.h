#pragma once
/*
 * Ws: websockets (RFC 6455): the server's side of the handshake, and the framing of both roles
 * without I/O.
 *
 * A request becomes a stream by ws_upgrade; the bytes of that stream (leftover first) are fed to a
 * struct ws, and what ws_pull yields is written to it, after each feed and after each send. Control
 * frames go ahead of queued messages. Pings are answered and a Close is echoed by the codec. Events
 * come from inside ws_feed only; in an event everything may be called but ws_feed and ws_free.
 * Loop thread only.
 */
#include "base/http/http.h"

struct http_req;
struct stream;
struct ws;

/* ---- handshake ---- */

/* Checks the request and answers 101; then *out is yours by stream_handover, with the bytes that
 * came behind the head in *leftover. ERR_INVALID: it is no websocket handshake; it has been
 * answered then (400, or 426 for a version other than 13), and on h2 too. */
MUST_USE int ws_upgrade_request(struct http_req *r, struct stream **out, struct buf *leftover,
                                struct err *e);
/* The same with subprotocols: the first of the NULL-terminated list (ours, in order of preference)
 * that the client offers is chosen and sent. *chosen is one of ours; none in common is a 400, for a
 * client that offers none too. */
MUST_USE int ws_upgrade(struct http_req *r, const char *const *protocols, const char **chosen,
                        struct stream **out, struct buf *leftover, struct err *e);
/* Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 4.2.2); 28 characters. */
void ws_accept_key(char out[29], struct str key);

/* ---- framing ---- */

enum ws_role { WS_SERVER, WS_CLIENT }; /* the client masks what it sends */

/* Close codes, RFC 6455 7.4.1 */
#define WS_NORMAL         1000
#define WS_GOING_AWAY     1001
#define WS_PROTOCOL_ERROR 1002
#define WS_TOO_BIG        1009
#define WS_INTERNAL_ERROR 1011
#define WS_NO_STATUS      1005 /* on_close only: the peer gave none */

struct ws_events {
    /* A message (binary, or text in UTF-8). With ws_config.pieces it comes in parts, first and last
     * marked (the last one may be empty); else whole, both true. */
    void (*on_message)(void *arg, bool text, const char *p, size_t n, bool first, bool last);
    /* The peer's ping, already answered, and pong. May be NULL. */
    void (*on_ping)(void *arg, const char *p, size_t n);
    void (*on_pong)(void *arg, const char *p, size_t n);
    /* The peer's Close, already echoed: pull, then close the stream. Nothing comes after it. */
    void (*on_close)(void *arg, int code, struct str reason);
};

struct ws_config {
    enum ws_role role;
    size_t message_max_bytes; /* a longer message (with pieces: frame) ends it with WS_TOO_BIG */
    bool pieces;
    /* Client: mask with the key 0, which costs no pass over the bytes. The key must be random where
     * an intermediary could see the bytes (RFC 6455 10.3): only for connections inside TLS whose
     * bytes no web page chooses. */
    bool zero_mask;
    const struct ws_events *events; /* must outlive it */
    void *arg;
};

struct ws *ws_new(const struct ws_config *c);
void ws_free(struct ws *w);
DEFINE_AUTO(ws);

/* ERR_PROTOCOL (a message beyond the maximum too), ERR_LIMIT (a piece beyond it, a flood of control
 * frames): a Close frame that says which waits in ws_pull, then close the stream. Bytes behind a
 * Close are dropped. */
MUST_USE int ws_feed(struct ws *w, const char *p, size_t n, struct err *e);

/* Queue a message, in one frame; copies. Dropped after ws_close or the peer's Close. */
void ws_send(struct ws *w, bool text, const void *p, size_t n);
void ws_ping(struct ws *w, const void *p, size_t n); /* n <= 125 */
void ws_pong(struct ws *w, const void *p, size_t n); /* unasked; n <= 125 */
/* After what is queued; the peer's own Close drops what is still queued. */
void ws_close(struct ws *w, int code, const char *reason);

/* Appends frames to out until it holds max_bytes or nothing is left. ERR_LIMIT: out is full: its
 * own maximum must be max_bytes and 16 KiB at least. */
MUST_USE int ws_pull(struct ws *w, struct buf *out, size_t max_bytes, struct err *e);
/* As ws_send and ws_pull in one, without a copy in between: appends the frame to out. Only when
 * nothing is queued (ws_wants_write says no), else ERR_AGAIN. ERR_LIMIT: it does not fit. */
MUST_USE int ws_put(struct ws *w, struct buf *out, bool text, const void *p, size_t n,
                    struct err *e);
bool ws_wants_write(const struct ws *w);
size_t ws_queued(const struct ws *w); /* bytes of messages that were not pulled yet */
bool ws_is_over(const struct ws *w);  /* both Close frames are through: close the stream */

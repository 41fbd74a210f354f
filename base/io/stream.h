#pragma once
/*
 * Stream: an ordered two-way pipe of bytes. TCP, a Unix socket, TLS over another stream, and one
 * stream of a tunnel all look like this, so that TLS and HTTP run over any of them.
 *
 * Loop thread only. A maker (tcp_accept, tls_client_start, ...) hands out a stream that is paused
 * and has no reader: call stream_open once, from then on events come, never from inside a call that
 * you make on the stream. After on_closed the stream is gone; it comes exactly once, last.
 *
 *   maker --> stream_open --> on_data* --> on_end? --> ... --> stream_close --> on_closed
 *                 |  stream_write*, stream_shutdown
 *                 +--> on_error (broken; only stream_close is left to do)
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <sys/socket.h>
#include <uv.h>

struct stream;

struct stream_events {
    /* Bytes came; p is valid during the call. All of them are yours: use stream_pause for
     * backpressure (what was already read may still come). */
    void (*on_data)(void *arg, const char *p, size_t n);
    /* The peer sends no more; writing may still work. */
    void (*on_end)(void *arg);
    /* The queue fell to half of STREAM_HIGH_BYTES or less after it had been above it. */
    void (*on_drain)(void *arg);
    /* The stream broke; nothing comes any more but on_closed. */
    void (*on_error)(void *arg, const struct err *e);
    /* After stream_close: the stream is gone. */
    void (*on_closed)(void *arg);
};

/* stream_write beyond this still works, but the caller should wait for on_drain. */
#define STREAM_HIGH_BYTES (256u * 1024)

/* Begins to read and to call events; both pointers live until on_closed. */
void stream_open(struct stream *s, const struct stream_events *events, void *arg);

/* Gives the stream another owner (an upgrade). Allowed in any event of the old owner; the bytes
 * that the old owner read too far are passed to the new one first, later, from the loop. */
void stream_handover(struct stream *s, const struct stream_events *events, void *arg,
                     struct str leftover);

/* Queues a copy of the bytes. Never fails: a broken stream drops them, on_error tells. */
void stream_write(struct stream *s, const void *p, size_t n);
/* Bytes that were written but not yet taken by the layer below (all layers summed). */
size_t stream_queued(const struct stream *s);

/* Sends the end of our direction after what is queued (TCP FIN, TLS close_notify). */
void stream_shutdown(struct stream *s);

/* Stops and starts on_data; a new stream starts reading at stream_open. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Drops what is queued and closes; on_closed comes later, from the loop. Once. Before stream_open
 * it is fine too (nobody is told then). */
void stream_close(struct stream *s);
/* As stream_close after what is queued has been sent, at most timeout_ms later. */
void stream_close_flushed(struct stream *s, uint64_t timeout_ms);

/* What TLS proved, for streams that have TLS on top, else NULL/0. Borrowed. The DER chain's first
 * certificate; verify_error is OpenSSL's X509_V_* code, 0 when the chain is good (base/io/tls.h).
 */
struct tls_peer;
const struct tls_peer *stream_tls_peer(const struct stream *s);

/* Addresses of the socket below, for logs and certificates; false where there is none. */
bool stream_local_addr(const struct stream *s, struct sockaddr_storage *out);
bool stream_peer_addr(const struct stream *s, struct sockaddr_storage *out);

uv_loop_t *stream_loop(const struct stream *s);

/* For makers of streams: embed struct stream first and fill in ops (all required but the last
 * three). The functions above add the common state (events, leftover delivery, flush-close). */
struct stream_ops {
    void (*start)(struct stream *s); /* stream_open was called: read from now on */
    void (*write)(struct stream *s, const void *p, size_t n);
    size_t (*queued)(const struct stream *s);
    void (*shutdown)(struct stream *s);
    void (*set_reading)(struct stream *s, bool on);
    void (*close)(struct stream *s); /* ends with stream_emit_closed and then frees */
    const struct tls_peer *(*tls_peer)(const struct stream *s);
    bool (*local_addr)(const struct stream *s, struct sockaddr_storage *out);
    bool (*peer_addr)(const struct stream *s, struct sockaddr_storage *out);
};

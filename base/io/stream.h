#pragma once
/*
 * Stream: an ordered two-way pipe of bytes. TCP, a Unix socket, TLS over another stream, and one
 * stream of a tunnel all look like this, so that TLS and HTTP run over any of them.
 *
 * Loop thread only. A maker (tcp_listen, tls_client_wrap, ...) hands out a stream that is paused
 * and has no reader: call stream_open once, from then on events come, never from inside a call that
 * you make on the stream. After on_closed the stream is gone; it comes exactly once, last.
 *
 *   maker --> stream_open --> on_data* --> on_end? --> ... --> stream_close --> on_closed
 *                 |  stream_write*, stream_shutdown
 *                 +--> on_error (broken; only stream_close is left to do)
 */
#include "base/core/buf.h"
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
    /* The queue became empty. For layers that sit on a stream; most owners leave it NULL. */
    void (*on_empty)(void *arg);
}; /* any of them may be NULL */

/* stream_write beyond this still works, but the caller should wait for on_drain. */
#define STREAM_HIGH_BYTES (256u * 1024)
/* An owner that never waits breaks its stream here (ERR_LIMIT), not the machine. */
#define STREAM_QUEUE_MAX_BYTES (512u * 1024 * 1024)

/* Begins to read and to call events; both pointers live until on_closed. */
void stream_open(struct stream *s, const struct stream_events *events, void *arg);

/* Gives the stream another owner (an upgrade). Allowed in any event of the old owner; the bytes
 * that the old owner read too far are passed to the new one first, later, from the loop. Reading
 * goes on even if the old owner had paused it; an end or error the old owner saw comes again. */
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
/* As stream_close after what is queued has been sent, at most timeout_ms later: sends the end, then
 * discards what still comes for at most STREAM_LINGER_MS, because closing a socket that has unread
 * bytes resets it and the peer loses our last words. No event comes any more but on_closed. */
#define STREAM_LINGER_MS 1000
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

/*
 * ---- for makers ----
 *
 * Embed struct stream first, fill in ops, call stream_init. The functions above add the common
 * state. Everything below may be called from ops as well: only stream_emit_data calls the owner at
 * once, and not from inside a call of the owner. Any event may close the stream or hand it over,
 * but its memory stays until ops->free, so after an emit look at stream_is_closing and go on.
 */
struct stream_ops {
    void (*start)(struct stream *s); /* stream_open was called: read from now on */
    void (*write)(struct stream *s, const void *p, size_t n); /* n > 0; not after shutdown */
    size_t (*queued)(const struct stream *s);
    void (*shutdown)(struct stream *s);             /* at most once; after what is queued */
    void (*set_reading)(struct stream *s, bool on); /* only changes, only after start */
    void (*close)(struct stream *s); /* ends with stream_emit_closed, at once or later; no free */
    /* The rest may be NULL. */
    void (*free)(struct stream *s);  /* after on_closed; NULL: free(s) */
    void (*kick)(struct stream *s);  /* what stream_kick asked for */
    void (*flush)(struct stream *s); /* what is held back to coalesce goes out now */
    const struct tls_peer *(*tls_peer)(const struct stream *s);
    bool (*local_addr)(const struct stream *s, struct sockaddr_storage *out);
    bool (*peer_addr)(const struct stream *s, struct sockaddr_storage *out);
};

struct stream { /* fields belong to stream.c */
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *arg;
    uv_loop_t *loop;
    uv_idle_t idle;   /* runs what was put off to the next turn */
    uv_timer_t timer; /* deadline of stream_close_flushed; initialised then */
    struct buf held;  /* bytes for the owner that could not be given at once */
    struct err *err;  /* heap; set once broken */
    unsigned n_handles;
    unsigned n_calls; /* calls of the owner that we are inside of */
    bool started, paused, reading, ended, shut, above_high;
    bool flushing, closing, gone;
    bool due_kick, due_end, due_error, due_write; /* for the next turn */
};

void stream_init(struct stream *s, uv_loop_t *loop, const struct stream_ops *ops);
/* p is valid during the call only. Drops the bytes when nobody wants them any more. */
void stream_emit_data(struct stream *s, const void *p, size_t n);
void stream_emit_end(struct stream *s);
/* The first one counts. Copies e. Nothing is read or written afterwards. */
void stream_emit_error(struct stream *s, const struct err *e);
/* Something of the queue went out; calls on_drain and on_empty when they are due. */
void stream_emit_written(struct stream *s);
/* Ends close. Legal from inside ops->close. */
void stream_emit_closed(struct stream *s);

/* Calls ops->kick once, in the next turn of the loop before it sleeps. */
void stream_kick(struct stream *s);
void stream_flush(struct stream *s);
/* stream_close ran (not stream_close_flushed): the maker stops. */
bool stream_is_closing(const struct stream *s);
/* The owner wants bytes now: makers that hold more than one piece look before each. */
bool stream_is_reading(const struct stream *s);

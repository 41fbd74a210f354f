#pragma once
/*
 * Grpc: calls of remote procedures over an HTTP/2 endpoint. Messages are byte strings; packing and
 * unpacking protobuf is the caller's business. Unary, server-streaming and two-way calls.
 * Protocol: grpc/grpc doc/PROTOCOL-HTTP2.md. No compression: we offer none and refuse it.
 * Loop thread only.
 *
 * The endpoint must speak HTTP/2 (proto HTTP_H2): over a Unix socket by prior knowledge, or TLS.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"
#include "base/http/client.h"

#define GRPC_MESSAGE_MAX_BYTES (16u * 1024 * 1024) /* what containerd's own clients allow */

/* ---- unary ---- */

/* reply is valid during the call, empty when e is set. */
typedef void (*grpc_reply_fn)(void *arg, struct str reply, const struct err *e);

/* path is "/package.Service/Method"; message is copied. done comes once, later. timeout_ms 0:
 * 2 min. The handle is for grpc_cancel only, and dead after done. */
struct grpc_call *grpc_unary(struct http_endpoint *ep, const char *path, struct str message,
                             uint64_t timeout_ms, grpc_reply_fn done, void *arg);

struct grpc_call_config {
    const char *path;
    const struct http_header *metadata; /* copied; extra request headers (etcd's "token") */
    size_t n_metadata;
    uint64_t timeout_ms;      /* 0: none (an event stream); unary: 2 min */
    size_t message_max_bytes; /* 0: GRPC_MESSAGE_MAX_BYTES */
};
struct grpc_call *grpc_unary_with(struct http_endpoint *ep, const struct grpc_call_config *cfg,
                                  struct str message, grpc_reply_fn done, void *arg);

/* ---- streams ---- */

struct grpc_call_events {
    void (*on_message)(struct grpc_call *c, void *arg, struct str message);
    void (*on_drain)(struct grpc_call *c, void *arg); /* may be NULL: nothing to write */
    /* Once, last; e is NULL when the server ended with status OK. c is gone afterwards. */
    void (*on_done)(struct grpc_call *c, void *arg, const struct err *e);
};

void grpc_call_start(struct grpc_call **out, struct http_endpoint *ep,
                     const struct grpc_call_config *cfg, const struct grpc_call_events *events,
                     void *arg);
/* A server-streaming call: one grpc_call_send, then grpc_call_end. */
void grpc_call_send(struct grpc_call *c, struct str message); /* copies */
void grpc_call_end(struct grpc_call *c);                      /* we send no more messages */
size_t grpc_call_queued(const struct grpc_call *c); /* above STREAM_HIGH_BYTES wait for on_drain */
void grpc_call_pause(struct grpc_call *c);
void grpc_call_resume(struct grpc_call *c);
void grpc_cancel(struct grpc_call *c); /* done comes with ERR_CANCELED, later */

/* ---- the codec, without I/O ---- */

/* Adds prefix and message: one byte 0 (not compressed), four bytes of length, big endian. */
MUST_USE int grpc_frame_add(struct buf *out, struct str message);

struct grpc_reader {
    size_t message_max_bytes;
    unsigned char head[5];
    size_t n_head;
    size_t n_missing; /* of the message */
    struct buf message;
};
void grpc_reader_init(struct grpc_reader *r, size_t message_max_bytes);
void grpc_reader_deinit(struct grpc_reader *r);
/* Reads from the front of *in, moving it on. 0 with *done true: message is in r->message until the
 * next call; 0 with *done false: *in is used up. ERR_PROTOCOL, ERR_LIMIT. */
MUST_USE int grpc_reader_read(struct grpc_reader *r, struct str *in, bool *done, struct err *e);
static inline bool grpc_reader_is_between(const struct grpc_reader *r)
{
    return r->n_head == 0;
}

/* The error for a grpc-status and its percent-encoded grpc-message; 0 for status OK. The text is
 * the status' name and the message: "NOT_FOUND: no such container". */
int grpc_status_err(struct err *e, unsigned status, struct str message);
/* grpc-timeout's value: at most eight digits and a unit. */
void grpc_timeout_text(char out[16], uint64_t timeout_ms);

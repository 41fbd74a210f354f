#pragma once
/* A pair of streams in memory, for tests: what one end writes the other reads in a later turn. */
#include "base/core/mem.h"
#include "base/io/stream.h"

struct pipe_stream {
    struct stream s;
    struct pipe_stream *peer; /* NULL once it is closed */
    struct buf inbox;
    bool reading, peer_ended, end_told;
};

#define PIPE_PIECE_BYTES (64u * 1024)

static inline struct pipe_stream *pipe_of(const struct stream *s)
{
    return container_of(s, struct pipe_stream, s);
}

static inline void pipe_kick(struct stream *s)
{
    struct pipe_stream *p = pipe_of(s);

    if (p->reading && p->inbox.n) {
        struct buf b = p->inbox;
        size_t n = MIN(b.n, (size_t)PIPE_PIECE_BYTES);
        p->inbox = BUF(b.max);
        if (buf_add(&p->inbox, b.p + n, b.n - n))
            abort();
        if (p->peer)
            stream_emit_written(&p->peer->s);
        if (p->inbox.n || p->peer_ended)
            stream_kick(s);
        stream_emit_data(s, b.p, n);
        buf_deinit(&b);
    } else if (p->peer_ended && !p->inbox.n && !p->end_told) {
        p->end_told = true;
        stream_emit_end(s);
    }
}

static inline void pipe_start(struct stream *s)
{
    pipe_of(s)->reading = true;
    stream_kick(s);
}

static inline void pipe_write(struct stream *s, const void *p, size_t n)
{
    struct pipe_stream *to = pipe_of(s)->peer;

    if (!to)
        return;
    if (buf_add(&to->inbox, p, n))
        abort();
    stream_kick(&to->s);
}

static inline size_t pipe_queued(const struct stream *s)
{
    return pipe_of(s)->peer ? pipe_of(s)->peer->inbox.n : 0;
}

static inline void pipe_shutdown(struct stream *s)
{
    struct pipe_stream *to = pipe_of(s)->peer;

    if (!to)
        return;
    to->peer_ended = true;
    stream_kick(&to->s);
}

static inline void pipe_set_reading(struct stream *s, bool on)
{
    pipe_of(s)->reading = on;
    if (on)
        stream_kick(s);
}

static inline void pipe_close(struct stream *s)
{
    pipe_shutdown(s);
    if (pipe_of(s)->peer)
        pipe_of(s)->peer->peer = NULL;
    pipe_of(s)->peer = NULL;
    stream_emit_closed(s);
}

static inline void pipe_free(struct stream *s)
{
    buf_deinit(&pipe_of(s)->inbox);
    free(pipe_of(s));
}

static inline void pipe_new(uv_loop_t *loop, struct stream **a, struct stream **b)
{
    static const struct stream_ops ops = {
        .start = pipe_start,
        .write = pipe_write,
        .queued = pipe_queued,
        .shutdown = pipe_shutdown,
        .set_reading = pipe_set_reading,
        .close = pipe_close,
        .free = pipe_free,
        .kick = pipe_kick,
    };
    struct pipe_stream *x = mem_alloc(sizeof *x), *y = mem_alloc(sizeof *y);

    stream_init(&x->s, loop, &ops);
    stream_init(&y->s, loop, &ops);
    x->peer = y;
    y->peer = x;
    x->inbox = y->inbox = BUF(256u * 1024 * 1024);
    *a = &x->s;
    *b = &y->s;
}

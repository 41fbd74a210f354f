#include "server/api/pipe.h"

#include "base/core/mem.h"

struct side {
    struct pipe *pipe;
    struct side *other;
    struct stream *s;
    bool ended;  /* it sends no more */
    bool closed; /* stream_close was called */
    bool gone;   /* on_closed came */
};

struct pipe {
    struct side a, b;
    void (*done)(void *arg);
    void *arg;
};

#define FLUSH_MS 5000 /* for the last bytes to a slow reader */

static void close_side(struct side *x, bool flush)
{
    if (x->closed)
        return;
    x->closed = true;
    if (flush)
        stream_close_flushed(x->s, FLUSH_MS);
    else
        stream_close(x->s);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct side *x = arg;

    if (x->other->closed)
        return;
    stream_write(x->other->s, p, n);
    if (stream_queued(x->other->s) > STREAM_HIGH_BYTES)
        stream_pause(x->s);
}

static void on_drain(void *arg)
{
    struct side *x = arg;

    if (!x->other->closed)
        stream_resume(x->other->s);
}

static void on_end(void *arg)
{
    struct side *x = arg;

    x->ended = true;
    if (!x->other->closed)
        stream_shutdown(x->other->s);
    if (x->other->ended) {
        close_side(x, true);
        close_side(x->other, true);
    }
}

static void on_error(void *arg, const struct err *e)
{
    struct side *x = arg;

    (void)e; /* either end may leave at any time: that is how sessions end */
    close_side(x, false);
    close_side(x->other, true);
}

static void on_closed(void *arg)
{
    struct side *x = arg;
    struct pipe *p = x->pipe;

    x->gone = true;
    close_side(x->other, true);
    if (!p->a.gone || !p->b.gone)
        return;
    void (*done)(void *) = p->done;
    void *done_arg = p->arg;
    free(p);
    done(done_arg);
}

void pipe_start(struct pipe **out, struct stream *a_take, struct str a_leftover,
                struct stream *b_take, struct str b_leftover, void (*done)(void *arg), void *arg)
{
    static const struct stream_events events = {
        .on_data = on_data,
        .on_end = on_end,
        .on_drain = on_drain,
        .on_error = on_error,
        .on_closed = on_closed,
    };
    struct pipe *p = mem_alloc(sizeof *p);

    p->done = done;
    p->arg = arg;
    p->a = (struct side){ .pipe = p, .other = &p->b, .s = a_take };
    p->b = (struct side){ .pipe = p, .other = &p->a, .s = b_take };
    *out = p;
    stream_handover(a_take, &events, &p->a, a_leftover);
    stream_handover(b_take, &events, &p->b, b_leftover);
    stream_resume(a_take);
    stream_resume(b_take);
}

void pipe_close(struct pipe *p)
{
    close_side(&p->a, false);
    close_side(&p->b, false);
}

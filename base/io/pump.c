#include "base/io/pump.h"

#include "base/core/mem.h"

#define CLOSE_FLUSH_MS 10000 /* what is queued may still go out when the other end is finished */

struct side {
    struct pump *pump;
    struct side *other;
    struct stream *stream;
    bool ended, paused, closed;
};

struct pump {
    struct side a, b;
    struct err err;
    bool closing;
    pump_done_fn done;
    void *arg;
};

static void finish(struct pump *p, const struct err *e, bool flush)
{
    if (p->closing)
        return;
    p->closing = true;
    if (e)
        p->err = *e;
    for (struct side *s = &p->a; s; s = s == &p->a ? &p->b : NULL) {
        if (flush)
            stream_close_flushed(s->stream, CLOSE_FLUSH_MS); /* at once where the stream broke */
        else
            stream_close(s->stream);
    }
}

static void on_data(void *arg, const char *bytes, size_t n)
{
    struct side *s = arg;

    if (s->pump->closing)
        return;
    stream_write(s->other->stream, bytes, n);
    if (!s->paused && stream_queued(s->other->stream) > STREAM_HIGH_BYTES) {
        s->paused = true;
        stream_pause(s->stream);
    }
}

static void on_drain(void *arg)
{
    struct side *s = arg;

    if (s->pump->closing || !s->other->paused)
        return;
    s->other->paused = false;
    stream_resume(s->other->stream);
}

static void on_end(void *arg)
{
    struct side *s = arg;

    s->ended = true;
    if (s->pump->closing)
        return;
    if (s->other->ended)
        finish(s->pump, NULL, true);
    else
        stream_shutdown(s->other->stream);
}

static void on_error(void *arg, const struct err *e)
{
    struct side *s = arg;

    /* Sessions often end with a reset; what came before it still belongs to the other end. */
    finish(s->pump, e, true);
}

static void on_closed(void *arg)
{
    struct side *s = arg;
    struct pump *p = s->pump;

    s->closed = true;
    if (!p->a.closed || !p->b.closed)
        return;
    struct pump ended = *p;
    free(p);
    ended.done(ended.arg, ended.err.code ? &ended.err : NULL);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_error = on_error,
    .on_closed = on_closed,
};

struct pump *pump_start(struct pump_end a, struct pump_end b, pump_done_fn done, void *arg)
{
    struct pump *p = mem_alloc(sizeof *p);
    const struct pump_end ends[2] = { a, b };
    struct side *sides[2] = { &p->a, &p->b };

    p->done = done;
    p->arg = arg;
    for (size_t i = 0; i < 2; i++)
        *sides[i] = (struct side){ .pump = p, .other = sides[!i], .stream = ends[i].stream };
    for (size_t i = 0; i < 2; i++) {
        if (ends[i].is_open) {
            stream_handover(ends[i].stream, &events, sides[i], ends[i].leftover);
        } else {
            stream_open(ends[i].stream, &events, sides[i]);
            if (ends[i].leftover.n)
                stream_write(sides[!i]->stream, ends[i].leftover.p, ends[i].leftover.n);
        }
    }
    return p;
}

void pump_cancel(struct pump *p)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "canceled");
    finish(p, &e, false);
}

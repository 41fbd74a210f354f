#include "tunnel/stream.h"

#include "base/core/mem.h"

struct tunnel_stream {
    struct stream base;
    struct tunnel_flow *flow; /* NULL once it has ended */
    char *name;
    tunnel_stream_fn done; /* NULL once it was called */
    void *arg;
};

static struct tunnel_stream *of(struct stream *s)
{
    return container_of(s, struct tunnel_stream, base);
}

/* ---- what the owner of the stream does ---- */

static void op_start(struct stream *s)
{
    if (of(s)->flow)
        tunnel_flow_resume(of(s)->flow);
}

static void op_set_reading(struct stream *s, bool on)
{
    struct tunnel_flow *f = of(s)->flow;

    if (f && on)
        tunnel_flow_resume(f);
    else if (f)
        tunnel_flow_pause(f);
}

static void op_write(struct stream *s, const void *p, size_t n)
{
    if (of(s)->flow)
        tunnel_flow_write(of(s)->flow, p, n);
}

static size_t op_queued(const struct stream *s)
{
    const struct tunnel_stream *t = container_of(s, const struct tunnel_stream, base);

    return t->flow ? tunnel_flow_queued(t->flow) : 0;
}

static void op_shutdown(struct stream *s)
{
    if (of(s)->flow) /* false: see the header */
        (void)tunnel_flow_shutdown(of(s)->flow);
}

static void op_close(struct stream *s)
{
    struct tunnel_stream *t = of(s);

    if (t->flow)
        tunnel_flow_close(STEAL(t->flow), NULL, false, uv_now(stream_loop(s)));
    stream_emit_closed(s);
}

static void op_free(struct stream *s)
{
    struct tunnel_stream *t = of(s);

    free(t->name);
    free(t);
}

static const struct stream_ops ops = {
    .start = op_start,
    .write = op_write,
    .queued = op_queued,
    .shutdown = op_shutdown,
    .set_reading = op_set_reading,
    .close = op_close,
    .free = op_free,
};

/* ---- what the flow says ---- */

static void on_data(void *arg, const char *p, size_t n)
{
    struct tunnel_stream *t = arg;

    stream_emit_data(&t->base, p, n);
}

static void on_sent(void *arg)
{
    struct tunnel_stream *t = arg;

    stream_emit_written(&t->base);
}

static void handed_out(struct tunnel_stream *t)
{
    tunnel_stream_fn done = t->done;

    t->done = NULL;
    done(t->arg, &t->base, NULL);
}

static void on_open(void *arg)
{
    handed_out(arg);
}

static void on_fin(void *arg)
{
    struct tunnel_stream *t = arg;

    stream_emit_end(&t->base);
}

/* It never opened: nobody has the stream yet. */
static void open_failed(struct tunnel_stream *t, const struct err *e)
{
    tunnel_stream_fn done = t->done;
    void *arg = t->arg;
    struct err why;

    if (e)
        why = *e;
    else
        err_set(&why, ERR_CLOSED, "the other end of the tunnel ended the stream");
    err_ignore(err_wrap(&why, "%s", t->name)); /* it goes on to done */
    t->done = NULL;
    stream_close(&t->base);
    done(arg, NULL, &why);
}

static void on_end(void *arg, const struct err *e)
{
    struct tunnel_stream *t = arg;
    struct err why;

    t->flow = NULL;
    if (t->done) {
        open_failed(t, e);
        return;
    }
    if (!e) {
        stream_emit_end(&t->base);
        return;
    }
    why = *e;
    err_ignore(err_wrap(&why, "%s", t->name)); /* it goes on as an event */
    stream_emit_error(&t->base, &why);
}

static const struct tunnel_flow_events events = {
    .on_data = on_data, .on_sent = on_sent, .on_end = on_end, .on_fin = on_fin, .on_open = on_open
};

int tunnel_stream_open(struct tunnel_stream **out, uv_loop_t *loop, struct tunnel_session *s,
                       const char *name, struct str address, uint64_t timeout_ms,
                       tunnel_stream_fn done, void *arg, struct err *e)
{
    struct tunnel_stream *t = mem_alloc(sizeof *t);

    if (tunnel_session_open(s, &t->flow, STR("tcp"), address, timeout_ms, uv_now(loop), &events, t,
                            e)) {
        free(t);
        return err_wrap(e, "%s", name);
    }
    stream_init(&t->base, loop, &ops);
    t->name = mem_strdup(name);
    t->done = done;
    t->arg = arg;
    *out = t;
    if (!tunnel_session_half_closes(s)) { /* no answer will come */
        *out = NULL;
        handed_out(t);
    }
    return 0;
}

void tunnel_stream_cancel(struct tunnel_stream *t)
{
    struct err e;

    tunnel_flow_close(STEAL(t->flow), NULL, false, uv_now(stream_loop(&t->base)));
    err_set(&e, ERR_CANCELED, "the dial was canceled");
    open_failed(t, &e);
}

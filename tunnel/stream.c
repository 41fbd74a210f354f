#include "tunnel/stream.h"

#include "base/core/mem.h"

struct tunnel_stream {
    struct stream base;
    struct tunnel_flow *flow; /* NULL once it has ended */
    char *name;
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
    (void)s; /* see the header */
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

static void on_end(void *arg, const struct err *e)
{
    struct tunnel_stream *t = arg;
    struct err why;

    t->flow = NULL;
    if (!e) {
        stream_emit_end(&t->base);
        return;
    }
    why = *e;
    err_ignore(err_wrap(&why, "%s", t->name)); /* it goes on as an event */
    stream_emit_error(&t->base, &why);
}

static const struct tunnel_flow_events events = { on_data, on_sent, on_end };

int tunnel_stream_open(struct stream **out, uv_loop_t *loop, struct tunnel_session *s,
                       const char *name, struct str address, uint64_t timeout_ms, struct err *e)
{
    struct tunnel_stream *t = mem_alloc(sizeof *t);

    if (tunnel_session_open(s, &t->flow, STR("tcp"), address, timeout_ms, uv_now(loop), &events, t,
                            e)) {
        free(t);
        return err_wrap(e, "%s", name);
    }
    stream_init(&t->base, loop, &ops);
    t->name = mem_strdup(name);
    *out = &t->base;
    return 0;
}

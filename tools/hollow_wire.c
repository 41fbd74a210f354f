#include "tools/hollow_wire.h"

#include "base/core/mem.h"
#include "base/io/timer.h"

struct wire {
    struct stream s; /* first */
    struct stream *tcp;
    struct wire_group *group;
    struct list in_group;
    struct timer timer; /* SLOW: the pause after a piece */
    bool opened, reading, resting, cut;
    unsigned n_parts; /* tcp once it is open, and the timer */
};

static struct wire *wire_of(struct stream *s)
{
    return container_of(s, struct wire, s);
}

static void part_closed(void *arg)
{
    struct wire *w = arg;

    if (--w->n_parts == 0)
        stream_emit_closed(&w->s);
}

/* Reads or not, as the owner, the fault and a rest have it. */
static void apply(struct wire *w)
{
    if (!w->opened || w->cut || stream_is_closing(&w->s))
        return;
    if (w->reading && !w->resting && w->group->fault != WIRE_SILENT)
        stream_resume(w->tcp);
    else
        stream_pause(w->tcp);
}

static void on_rested(void *arg)
{
    struct wire *w = arg;

    w->resting = false;
    apply(w);
}

static void on_tcp_data(void *arg, const char *p, size_t n)
{
    struct wire *w = arg;

    if (w->group->fault == WIRE_SLOW) {
        w->resting = true;
        timer_start_ms(&w->timer, 1 + n * 1000 / WIRE_SLOW_BYTES_PER_S, on_rested, w);
        apply(w);
    }
    stream_emit_data(&w->s, p, n);
}

static void on_tcp_end(void *arg)
{
    struct wire *w = arg;

    stream_emit_end(&w->s);
}

static void on_tcp_error(void *arg, const struct err *e)
{
    struct wire *w = arg;

    stream_emit_error(&w->s, e);
}

static void on_tcp_written(void *arg)
{
    struct wire *w = arg;

    stream_emit_written(&w->s);
}

static void on_tcp_closed(void *arg)
{
    struct wire *w = arg;

    w->tcp = NULL;
    part_closed(w);
}

static const struct stream_events tcp_events = {
    .on_data = on_tcp_data,
    .on_end = on_tcp_end,
    .on_drain = on_tcp_written,
    .on_error = on_tcp_error,
    .on_closed = on_tcp_closed,
    .on_empty = on_tcp_written,
};

static void wire_start(struct stream *s)
{
    struct wire *w = wire_of(s);

    w->opened = w->reading = true;
    w->n_parts++;
    stream_open(w->tcp, &tcp_events, w);
    apply(w);
}

static void wire_write(struct stream *s, const void *p, size_t n)
{
    const struct wire *w = wire_of(s);

    if (!w->cut && w->group->fault != WIRE_SILENT)
        stream_write(w->tcp, p, n);
}

static size_t wire_queued(const struct stream *s)
{
    const struct wire *w = container_of(s, const struct wire, s);

    return w->tcp && !w->cut ? stream_queued(w->tcp) : 0;
}

static void wire_flush(struct stream *s)
{
    const struct wire *w = wire_of(s);

    if (!w->cut)
        stream_flush(w->tcp);
}

static void wire_shutdown(struct stream *s)
{
    const struct wire *w = wire_of(s);

    if (!w->cut && w->group->fault != WIRE_SILENT)
        stream_shutdown(w->tcp);
}

static void wire_set_reading(struct stream *s, bool on)
{
    struct wire *w = wire_of(s);

    w->reading = on;
    apply(w);
}

static void wire_close(struct stream *s)
{
    struct wire *w = wire_of(s);

    list_remove(&w->in_group);
    if (w->tcp && !w->cut)
        stream_close(w->tcp);
    if (!w->opened) /* then it goes without a word */
        w->tcp = NULL;
    timer_close(&w->timer, part_closed, w);
}

static bool wire_peer_addr(const struct stream *s, struct sockaddr_storage *out)
{
    const struct wire *w = container_of(s, const struct wire, s);

    return w->tcp && stream_peer_addr(w->tcp, out);
}

static const struct stream_ops wire_ops = {
    .start = wire_start,
    .write = wire_write,
    .queued = wire_queued,
    .shutdown = wire_shutdown,
    .set_reading = wire_set_reading,
    .close = wire_close,
    .flush = wire_flush,
    .peer_addr = wire_peer_addr,
};

struct stream *wire_wrap(struct wire_group *g, struct stream *tcp_take)
{
    struct wire *w = mem_alloc(sizeof *w);

    stream_init(&w->s, stream_loop(tcp_take), &wire_ops);
    w->tcp = tcp_take;
    w->group = g;
    w->n_parts = 1;
    timer_init(&w->timer, stream_loop(tcp_take));
    list_push(&g->wires, &w->in_group);
    return &w->s;
}

/* ---- groups ---- */

void wire_group_init(struct wire_group *g)
{
    *g = (struct wire_group){ .fault = WIRE_GOOD };
    list_init(&g->wires);
}

void wire_group_set(struct wire_group *g, enum wire_fault f)
{
    g->fault = f;
    list_each (w, &g->wires, struct wire, in_group)
        apply(w);
}

void wire_group_cut(struct wire_group *g)
{
    struct err e;

    err_set(&e, ERR_CLOSED, "the connection was cut");
    list_each (w, &g->wires, struct wire, in_group) {
        if (w->cut || !w->opened)
            continue;
        w->cut = true;
        stream_close(w->tcp);
        stream_emit_error(&w->s, &e);
    }
}

size_t wire_group_n(const struct wire_group *g)
{
    size_t n = 0;

    for (const struct list *l = g->wires.next; l != &g->wires; l = l->next)
        n++;
    return n;
}

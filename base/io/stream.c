#include "base/io/stream.h"

#include "base/core/mem.h"

#include <assert.h>

/*
 * Everything that must not happen inside a call of the owner is put off with an idle handle: it
 * runs once, before the loop sleeps again, and is stopped before it does anything, so the loop
 * never spins. One event goes out per run; after it the state is looked at afresh, because the
 * callee may have done anything to the stream.
 *
 *   open --> (error) --> closing --> gone (handles close) --> on_closed, free
 *     +--> flushing --------^   our end is sent; waits for an empty queue and the peer's end
 */

static void on_idle(uv_idle_t *h);

static void schedule(struct stream *s)
{
    if (!s->gone && !uv_is_closing((uv_handle_t *)&s->idle))
        uv_idle_start(&s->idle, on_idle);
}

/* No event but on_closed goes out any more. */
static bool is_deaf(const struct stream *s)
{
    return s->closing || s->flushing || !s->events;
}

void stream_init(struct stream *s, uv_loop_t *loop, const struct stream_ops *ops)
{
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->loop = loop;
    s->held = BUF(STREAM_QUEUE_MAX_BYTES);
    uv_idle_init(loop, &s->idle); /* never fails */
    s->idle.data = s;
    s->n_handles = 1;
}

/* Tells the maker whether to read; held bytes go first. */
static void update_reading(struct stream *s)
{
    bool want = s->started && !s->closing && !s->err && !s->ended &&
                (s->flushing || (!s->paused && !s->held.n));

    if (want == s->reading)
        return;
    s->reading = want;
    s->n_calls++;
    s->ops->set_reading(s, want);
    s->n_calls--;
}

void stream_open(struct stream *s, const struct stream_events *events, void *arg)
{
    assert(!s->events && !s->started);
    s->events = events;
    s->arg = arg;
    if (s->closing || s->flushing)
        return;
    if (!s->err) {
        s->started = true;
        s->reading = true;
        s->n_calls++;
        s->ops->start(s);
        s->n_calls--;
        update_reading(s); /* it was paused before it was opened */
    }
    schedule(s); /* an error may have come before */
}

void stream_handover(struct stream *s, const struct stream_events *events, void *arg,
                     struct str leftover)
{
    if (!s->started && !s->closing && !s->flushing) {
        s->events = NULL;
        s->paused = false;
        if (leftover.n)
            err_ignore(buf_add_str(&s->held, leftover)); /* within the limit: it was read once */
        stream_open(s, events, arg);
        return;
    }
    s->events = events;
    s->arg = arg;
    s->paused = false;
    s->due_end = s->ended;
    s->due_error = s->err != NULL;
    if (leftover.n) {
        /* In front of what may be held already. */
        struct buf b = BUF(STREAM_QUEUE_MAX_BYTES);
        err_ignore(buf_add_str(&b, leftover)); /* both were within their limits when read */
        err_ignore(buf_add_str(&b, buf_str(&s->held)));
        buf_deinit(&s->held);
        s->held = b;
    }
    update_reading(s);
    schedule(s);
}

static void fail_limit(struct stream *s)
{
    struct err e;

    err_set(&e, ERR_LIMIT, "more than %u bytes are queued", STREAM_QUEUE_MAX_BYTES);
    stream_emit_error(s, &e);
}

void stream_write(struct stream *s, const void *p, size_t n)
{
    if (!n || s->shut || s->err || s->closing || s->flushing)
        return;
    if (s->ops->queued(s) > STREAM_QUEUE_MAX_BYTES - MIN(n, (size_t)STREAM_QUEUE_MAX_BYTES)) {
        fail_limit(s);
        return;
    }
    s->n_calls++;
    s->ops->write(s, p, n);
    s->n_calls--;
    if (s->ops->queued(s) >= STREAM_HIGH_BYTES) /* a writer may stop at it exactly */
        s->above_high = true;
}

size_t stream_queued(const struct stream *s)
{
    return s->err || s->closing ? 0 : s->ops->queued(s);
}

void stream_flush(struct stream *s)
{
    if (!s->ops->flush || s->err || s->closing)
        return;
    s->n_calls++;
    s->ops->flush(s);
    s->n_calls--;
}

void stream_shutdown(struct stream *s)
{
    if (s->shut || s->err || s->closing)
        return;
    s->shut = true;
    s->n_calls++;
    s->ops->shutdown(s);
    s->n_calls--;
}

void stream_pause(struct stream *s)
{
    s->paused = true;
    update_reading(s);
}

void stream_resume(struct stream *s)
{
    s->paused = false;
    update_reading(s);
    if (s->held.n)
        schedule(s);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->reading = false;
    s->n_calls++;
    s->ops->close(s);
    s->n_calls--;
}

static void on_flush_timer(uv_timer_t *t)
{
    stream_close(t->data);
}

void stream_close_flushed(struct stream *s, uint64_t timeout_ms)
{
    if (s->closing || s->flushing)
        return;
    if (s->err) {
        stream_close(s);
        return;
    }
    uv_timer_init(s->loop, &s->timer); /* never fails */
    s->timer.data = s;
    s->n_handles++;
    uv_timer_start(&s->timer, on_flush_timer, timeout_ms, 0);
    stream_shutdown(s);
    s->flushing = true;
    buf_deinit(&s->held);
    update_reading(s);
    s->due_write = true;
    schedule(s);
}

/* The queue moved, or the peer ended, while we flush. */
static void flush_step(struct stream *s)
{
    if (s->err || (!s->ops->queued(s) && (s->ended || !s->started))) {
        stream_close(s);
        return;
    }
    if (!s->ops->queued(s) && uv_timer_get_due_in(&s->timer) > STREAM_LINGER_MS)
        uv_timer_start(&s->timer, on_flush_timer, STREAM_LINGER_MS, 0);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct stream *s = h->data;
    const struct stream_events *events = s->events;

    if (--s->n_handles)
        return;
    buf_deinit(&s->held);
    free(s->err);
    s->err = NULL;
    if (events && events->on_closed)
        events->on_closed(s->arg);
    if (s->ops->free)
        s->ops->free(s);
    else
        free(s);
}

void stream_emit_closed(struct stream *s)
{
    assert(s->closing && !s->gone);
    s->gone = true;
    if (s->n_handles > 1)
        uv_close((uv_handle_t *)&s->timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->idle, on_handle_closed);
}

void stream_emit_data(struct stream *s, const void *p, size_t n)
{
    if (is_deaf(s) || s->err || !n)
        return;
    if (s->held.n || s->n_calls) {
        if (buf_add(&s->held, p, n))
            fail_limit(s);
        update_reading(s);
        schedule(s);
        return;
    }
    if (s->events->on_data)
        s->events->on_data(s->arg, p, n); /* last: anything may have happened to s */
}

void stream_emit_end(struct stream *s)
{
    if (s->ended || s->err || s->closing)
        return;
    s->ended = true;
    s->due_end = true;
    s->reading = false; /* the maker knows */
    schedule(s);
}

void stream_emit_error(struct stream *s, const struct err *e)
{
    if (s->err || s->closing)
        return;
    s->err = mem_dup(e, sizeof *e);
    s->due_error = true;
    if (!s->n_calls)
        update_reading(s);
    schedule(s);
}

void stream_emit_written(struct stream *s)
{
    s->due_write = true;
    schedule(s);
}

void stream_kick(struct stream *s)
{
    s->due_kick = true;
    schedule(s);
}

/* Gives the held bytes to the owner. */
static void emit_held(struct stream *s)
{
    struct buf b = s->held;

    s->held = BUF(STREAM_QUEUE_MAX_BYTES);
    if (s->events->on_data)
        s->events->on_data(s->arg, b.p, b.n);
    buf_deinit(&b);
    update_reading(s);
}

static void emit_write_events(struct stream *s)
{
    size_t n = s->ops->queued(s);

    if (s->above_high && n <= STREAM_HIGH_BYTES / 2) {
        s->above_high = false;
        s->due_write = true; /* on_empty may be due as well */
        if (s->events->on_drain)
            s->events->on_drain(s->arg);
        return;
    }
    if (!n && s->events->on_empty)
        s->events->on_empty(s->arg);
}

/* One thing that was put off. */
static void step(struct stream *s)
{
    if (s->due_kick) {
        s->due_kick = false;
        if (s->ops->kick)
            s->ops->kick(s);
    } else if (s->flushing) {
        s->due_write = s->due_end = s->due_error = false;
        flush_step(s);
    } else if (!s->events) {
        s->due_write = false;
    } else if (s->held.n && !s->paused && !s->err) {
        emit_held(s);
    } else if (s->due_error) {
        s->due_error = s->due_end = s->due_write = false;
        update_reading(s);
        if (s->events->on_error)
            s->events->on_error(s->arg, s->err);
    } else if (s->due_end && !s->held.n) {
        s->due_end = false;
        if (s->events->on_end)
            s->events->on_end(s->arg);
    } else if (s->due_write) {
        s->due_write = false;
        if (!s->err)
            emit_write_events(s);
    }
}

static bool is_due(const struct stream *s)
{
    if (s->due_kick || s->due_write)
        return true;
    if (s->flushing)
        return s->due_end || s->due_error;
    return s->events &&
           (s->due_error || (s->held.n && !s->paused && !s->err) || (s->due_end && !s->held.n));
}

static void on_idle(uv_idle_t *h)
{
    struct stream *s = h->data;

    uv_idle_stop(h);
    /* A few events at once save turns of the loop; the bound is that each flag is set again only by
     * something that happened in between. */
    for (int i = 0; i < 4 && !s->closing && is_due(s); i++)
        step(s);
    if (!s->closing && is_due(s))
        schedule(s);
}

bool stream_is_closing(const struct stream *s)
{
    return s->closing;
}

bool stream_is_reading(const struct stream *s)
{
    return s->reading;
}

const struct tls_peer *stream_tls_peer(const struct stream *s)
{
    return s->ops->tls_peer ? s->ops->tls_peer(s) : NULL;
}

bool stream_local_addr(const struct stream *s, struct sockaddr_storage *out)
{
    return s->ops->local_addr && s->ops->local_addr(s, out);
}

bool stream_peer_addr(const struct stream *s, struct sockaddr_storage *out)
{
    return s->ops->peer_addr && s->ops->peer_addr(s, out);
}

uv_loop_t *stream_loop(const struct stream *s)
{
    return s->loop;
}

#pragma once
/* End: one end of a stream under test. It counts events, keeps the bytes, echoes or sends a pattern
 * with backpressure, and closes itself on an event. Include after cmocka.h. */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/io/stream.h"

#include <string.h>

enum end_event { END_NEVER, END_DATA, END_END, END_DRAIN };

struct end {
    struct stream *s;
    struct buf got;
    size_t want;
    bool echo, closing, pause_at_data;
    unsigned pause_every; /* pause on each n-th piece, resume by a timer */
    size_t pattern_bytes, pattern_left;
    enum end_event close_on;
    int n_data, n_ends, n_drains, n_errors, n_closed;
    struct err err;
    uv_timer_t timer;
    bool has_timer;
};

static inline void end_close(struct end *d)
{
    if (d->s && d->has_timer && !uv_is_closing((uv_handle_t *)&d->timer))
        uv_close((uv_handle_t *)&d->timer, NULL);
    if (!d->s || d->closing)
        return;
    d->closing = true;
    stream_close(d->s);
}

static inline void end_maybe_close(struct end *d, enum end_event ev)
{
    if (d->close_on == ev)
        end_close(d);
}

static inline void end_pump(struct end *d)
{
    char block[8192];

    while (d->pattern_left && stream_queued(d->s) <= STREAM_HIGH_BYTES) {
        size_t n = MIN(d->pattern_left, sizeof block), at = d->pattern_bytes - d->pattern_left;

        for (size_t i = 0; i < n; i++)
            block[i] = (char)((at + i) * 2654435761u >> 13);
        d->pattern_left -= n;
        stream_write(d->s, block, n);
    }
}

static inline void end_send_pattern(struct end *d, size_t n)
{
    d->pattern_bytes = d->pattern_left = n;
    end_pump(d);
}

static inline void end_on_resume(uv_timer_t *t)
{
    struct end *d = t->data;

    if (!d->closing)
        stream_resume(d->s);
}

static inline void end_on_data(void *arg, const char *p, size_t n)
{
    struct end *d = arg;

    assert_int_equal(d->closing, false);
    assert_int_equal(d->n_ends, 0);
    d->n_data++;
    if (d->echo) {
        stream_write(d->s, p, n);
        if (stream_queued(d->s) > STREAM_HIGH_BYTES)
            stream_pause(d->s);
    } else {
        assert_int_equal(buf_add(&d->got, p, n), 0);
    }
    if (d->pause_at_data)
        stream_pause(d->s);
    if (d->pause_every && d->n_data % (int)d->pause_every == 0) {
        stream_pause(d->s);
        uv_timer_start(&d->timer, end_on_resume, 1, 0);
    }
    end_maybe_close(d, END_DATA);
}

static inline void end_on_end(void *arg)
{
    struct end *d = arg;

    assert_int_equal(d->closing, false);
    d->n_ends++;
    if (d->echo)
        stream_shutdown(d->s);
    end_maybe_close(d, END_END);
}

static inline void end_on_drain(void *arg)
{
    struct end *d = arg;

    assert_int_equal(d->closing, false);
    d->n_drains++;
    if (d->echo)
        stream_resume(d->s);
    end_pump(d);
    end_maybe_close(d, END_DRAIN);
}

static inline void end_on_error(void *arg, const struct err *e)
{
    struct end *d = arg;

    assert_int_equal(d->closing, false);
    d->n_errors++;
    d->err = *e;
}

static inline void end_on_closed(void *arg)
{
    struct end *d = arg;

    assert_int_equal(d->closing, true);
    d->n_closed++;
}

static const struct stream_events end_events = {
    .on_data = end_on_data,
    .on_end = end_on_end,
    .on_drain = end_on_drain,
    .on_error = end_on_error,
    .on_closed = end_on_closed,
};

static inline void end_adopt(struct end *d, struct stream *s)
{
    d->s = s;
    d->got.max = 64u * 1024 * 1024;
    if (!d->has_timer) {
        uv_timer_init(stream_loop(s), &d->timer);
        d->timer.data = d;
        d->has_timer = true;
    }
}

static inline void end_open(struct end *d, struct stream *s)
{
    end_adopt(d, s);
    stream_open(s, &end_events, d);
}

/* to becomes the owner of from's stream. */
static inline void end_handover(struct end *to, struct end *from, struct str leftover)
{
    end_adopt(to, from->s);
    stream_handover(from->s, &end_events, to, leftover);
    if (!uv_is_closing((uv_handle_t *)&from->timer))
        uv_close((uv_handle_t *)&from->timer, NULL);
    from->s = NULL;
}

static inline void end_deinit(struct end *d)
{
    buf_deinit(&d->got);
}

static inline int end_got_want(void *arg)
{
    struct end *d = arg;
    return d->got.n >= d->want;
}

static inline int end_got_pattern(void *arg)
{
    struct end *d = arg;

    if (d->got.n < d->pattern_bytes)
        return 0;
    for (size_t i = 0; i < d->pattern_bytes; i++)
        if (d->got.p[i] != (char)(i * 2654435761u >> 13))
            fail_msg("byte %zu differs", i);
    return 1;
}

static inline int end_has_ended(void *arg)
{
    return ((struct end *)arg)->n_ends;
}

static inline int end_has_error(void *arg)
{
    return ((struct end *)arg)->n_errors;
}

static inline int end_is_closed(void *arg)
{
    return ((struct end *)arg)->n_closed;
}

static inline void run_until_tick(uv_timer_t *t)
{
    ++*(int *)t->data;
}

/* Runs the loop until the condition holds; 20 s without it is a failure, not a hang. The tick looks
 * again when a timer made it true: UV_RUN_ONCE would go on to sleep. */
static inline void run_until(uv_loop_t *loop, int (*is_true)(void *arg), void *arg)
{
    uv_timer_t tick;
    int n_ticks = 0;

    uv_timer_init(loop, &tick);
    tick.data = &n_ticks;
    uv_timer_start(&tick, run_until_tick, 5, 5);
    while (!is_true(arg) && n_ticks < 4000)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    assert_true(n_ticks < 4000);
}

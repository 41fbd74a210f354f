#include "base/io/timer.h"

static void on_timer(uv_timer_t *h)
{
    struct timer *t = h->data;

    t->fn(t->arg);
}

static void on_close(uv_handle_t *h)
{
    struct timer *t = h->data;

    if (t->on_closed)
        t->on_closed(t->closed_arg); /* last: t may be gone now */
}

void timer_init(struct timer *t, uv_loop_t *loop)
{
    *t = (struct timer){ .fn = NULL };
    uv_timer_init(loop, &t->h); /* never fails */
    t->h.data = t;
}

void timer_start_ms(struct timer *t, uint64_t ms, timer_fn fn, void *arg)
{
    t->fn = fn;
    t->arg = arg;
    uv_timer_start(&t->h, on_timer, ms,
                   0); /* fails only when closing: then there is no more to do */
}

void timer_stop(struct timer *t)
{
    uv_timer_stop(&t->h);
}

bool timer_is_running(const struct timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->h) != 0;
}

void timer_close(struct timer *t, timer_fn on_closed, void *arg)
{
    t->on_closed = on_closed;
    t->closed_arg = arg;
    uv_close((uv_handle_t *)&t->h, on_close);
}

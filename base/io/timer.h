#pragma once
/*
 * Timer: one deadline, embedded where it is needed.
 *
 *     timer_init(&j->timer, loop);
 *     timer_start_ms(&j->timer, 5000, on_late, j);
 *     timer_stop(&j->timer);
 *     timer_close(&j->timer, on_handle_closed, j);     // the memory is yours again in the callback
 *
 * Loop thread only. One shot: start it again in its function for a period.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef void (*timer_fn)(void *arg);

struct timer {
    uv_timer_t h;
    timer_fn fn;
    void *arg;
    timer_fn on_closed;
    void *closed_arg;
};

void timer_init(struct timer *t, uv_loop_t *loop);
/* Starts or starts over; fn is called once, from the loop, ms after this turn began. */
void timer_start_ms(struct timer *t, uint64_t ms, timer_fn fn, void *arg);
void timer_stop(struct timer *t); /* fn is not called; legal when it does not run */
bool timer_is_running(const struct timer *t);
/* Needed once after timer_init, running or not. on_closed (may be NULL) comes later, once. */
void timer_close(struct timer *t, timer_fn on_closed, void *arg);

#pragma once
/*
 * Backoff: how long to wait before the next try. Plain data, no timer of its own.
 *
 *     struct backoff b = BACKOFF(1000, 30000);
 *     timer_start_ms(&j->timer, backoff_next_ms(&j->backoff), on_retry, j);
 *     backoff_reset(&j->backoff);                      // after a success
 */
#include <stdint.h>

struct backoff {
    uint64_t min_ms, max_ms;
    double factor;           /* 0 means 2 */
    unsigned jitter_percent; /* 0 means 20: neighbours that fail together must not retry together */
    uint64_t next_ms;        /* before jitter; 0: start at min */
    unsigned n_tries;        /* since the last reset */
};

#define BACKOFF(min, max)                                                                          \
    {                                                                                              \
        .min_ms = (min), .max_ms = (max)                                                           \
    }

/* Between min and max, give or take the jitter; grows by the factor with each call. */
uint64_t backoff_next_ms(struct backoff *b);
void backoff_reset(struct backoff *b);

#pragma once
/*
 * Garbage: a tunnel of a node that has gone mad: opened with the node's certificate, then random
 * bytes: a few whole websocket messages, then bytes that are no frames at all. Ends when the server
 * ends it, or after 10 s. Loop thread only.
 */
#include "agent/boot/credentials.h"

#include <uv.h>

struct garbage;

/* done comes once, from the loop, when it is over. */
MUST_USE int garbage_start(struct garbage **out, uv_loop_t *loop, const char *seed,
                           const struct credentials *c, void (*done)(void *arg), void *arg,
                           struct err *e);
/* Ends it now; done is another function then, the first one is not called any more. */
void garbage_cancel(struct garbage *g, void (*done)(void *arg), void *arg);

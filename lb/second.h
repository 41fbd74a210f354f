#pragma once
/*
 * Second: another server for a connection whose own one took it and says nothing. It is dialed and
 * told what the client has said so far, beside the first, and who speaks first has the connection:
 * the client notices a delay. Nothing is taken from a first server that is only slow.
 *
 *   second_start --> DIALING --> TELLING, WAITING --(a word)--> done(moved)
 *                       +------------+--(fails, silent for patience_ms, canceled, or the first has
 *                                        spoken)--> done(not moved)
 *
 * Loop thread only.
 */
#include "lb/connect.h"
#include "lb/relay.h"

struct second;

/* address: "host:port". done comes once, later; the second is gone by then, and when it moved the
 * relay has another b. The relay must live until then, or second_cancel is called. */
typedef void (*second_done_fn)(void *arg, bool moved);
void second_start(struct second **out, struct lb_dialer *d, struct relay *r, const char *address,
                  uint64_t patience_ms, second_done_fn done, void *arg);
void second_cancel(struct second *s); /* done still comes, with false; the relay may go now */

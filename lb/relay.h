#pragma once
/*
 * Relay: moves bytes between two TCP connections until both directions have ended, by splice(2), so
 * that they never enter user space. An end of one direction is forwarded with shutdown and the
 * other goes on; an error ends both. Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/list.h"

#include <uv.h>

#define RELAY_PIPE_BYTES (256 * 1024) /* asked for; the kernel may give 64 KiB */

/* Pipes are lent to directions that have bytes under way: idle connections hold no pipe. */
struct relay_pipes;
struct relay_pipes *relay_pipes_new(size_t n_idle_max);
void relay_pipes_free(struct relay_pipes *p); /* all relays are gone */

struct relay;

/* e is NULL when both ends closed in peace. The relay is gone; both descriptors are closed. */
typedef void (*relay_done_fn)(void *arg, uint64_t n_up, uint64_t n_down, const struct err *e);

/* Both descriptors are connected, non-blocking TCP sockets; they are the relay's from now on, also
 * on failure (then they are closed and done is not called). Up is a to b. */
MUST_USE int relay_start(struct relay **out, uv_loop_t *loop, struct relay_pipes *pipes, int fd_a,
                         int fd_b, relay_done_fn done, void *arg, struct err *e);
void relay_cancel(struct relay *r); /* done comes with ERR_CANCELED, later */
uint64_t relay_n_bytes(const struct relay *r);

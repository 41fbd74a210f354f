#pragma once
/*
 * Relay: moves bytes between two TCP connections until both directions have ended. Little goes
 * through one buffer that all relays share; what fills that buffer goes by splice(2) and never
 * enters user space. An end of one direction is forwarded with shutdown and the other goes on; an
 * error ends both. Loop thread only.
 */
#include "base/core/err.h"
#include "lb/names.h"
#include "lb/poller.h"

#define RELAY_PIPE_BYTES (1024 * 1024) /* asked for; the kernel may give 64 KiB */
#define RELAY_COPY_BYTES (16 * 1024)   /* a TLS record: what comes in one read is copied */

/* What the relays of a balancer share. Pipes are lent to directions that have bytes under way: idle
 * connections hold no pipe. */
struct relay_pipes;
struct relay_pipes *relay_pipes_new(size_t n_idle_max);
void relay_pipes_free(struct relay_pipes *p); /* all relays are gone */

struct relay;

/* e is NULL when both ends closed in peace. The relay is gone; both descriptors are closed. */
typedef void (*relay_done_fn)(void *arg, uint64_t n_up, uint64_t n_down, const struct err *e);

/* Both are connected TCP sockets, the relay's from now on. Up is a to b. done comes later. */
void relay_start(struct relay **out, struct relay_pipes *pipes, struct watch *a, struct watch *b,
                 relay_done_fn done, void *arg);
void relay_cancel(struct relay *r); /* done comes with ERR_CANCELED, later */
void relay_n_bytes(const struct relay *r, uint64_t *n_up, uint64_t *n_down);
bool relay_peer(const struct relay *r, struct lb_addr *out); /* of b; false when it is gone */
/* Something went up since the last byte came down. */
bool relay_is_unanswered(const struct relay *r);
/* What went up is not even acknowledged, for seconds: the way to b is broken, or its address gone.
 */
bool relay_is_lost(const struct relay *r);

/* While b has said nothing, what a sent is kept (RELAY_COPY_BYTES of it at most), so that another
 * one may get it instead: TLS begins with a, and nothing that b might have heard is binding. */
bool relay_can_move(const struct relay *r);
struct str relay_first(const struct relay *r); /* what is kept; borrowed; empty: it cannot move */
/* b is closed, and this is it from now on; it has got the first n_told bytes of relay_first.
 * relay_can_move must be true. */
void relay_move(struct relay *r, struct watch *b_take, size_t n_told);

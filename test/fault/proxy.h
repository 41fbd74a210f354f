#pragma once
/*
 * Fault proxy: a TCP proxy that breaks what passes through it, for tests of everything that must
 * survive a bad network. It stands between a client and a server and holds both connections, as a
 * balancer or a NAT router does, so neither kernel notices what is done to the other side.
 *
 *   client <== TCP ==> proxy <== TCP ==> target          FAULT_UP: client to target
 *                                                        FAULT_DOWN: target to client
 *
 * Faults of connections that are there: reset, halfclose, lose, corrupt. Faults of the way, for
 * those and for new ones until fault_proxy_heal: hole, delay, rate, refuse, reorder. No byte is
 * lost or reordered inside a connection that goes on, for TCP would not do that either: what a hole
 * holds comes out when it heals.
 *
 * What waits in one direction of one connection is bounded; above that the proxy stops reading.
 * Loop thread only.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <stdint.h>
#include <uv.h>

struct fault_proxy;

enum fault_ways { FAULT_UP = 1, FAULT_DOWN = 2, FAULT_BOTH = 3 };

/* Both are "IP:PORT", "[IPv6]:PORT"; port 0 of listen lets the kernel choose. ERR_INVALID for other
 * texts, ERR_IO. */
MUST_USE int fault_proxy_new(struct fault_proxy **out, uv_loop_t *loop, const char *listen,
                             const char *target, struct err *e);
/* Cuts every connection, then done (may be NULL) is called and it is gone. */
void fault_proxy_close(struct fault_proxy *p, void (*done)(void *arg), void *arg);
uint16_t fault_proxy_port(const struct fault_proxy *p);
/* Connections to come go there. ERR_INVALID leaves the old one. */
MUST_USE int fault_proxy_target(struct fault_proxy *p, const char *target, struct err *e);

/* RST: UP to the target only, DOWN to the client only; the other side of such a connection hears
 * nothing more. */
void fault_proxy_reset(struct fault_proxy *p, enum fault_ways ways);
/* The end of a direction where its reader sees it; what still comes is dropped. The other direction
 * goes on. */
void fault_proxy_halfclose(struct fault_proxy *p, enum fault_ways ways);
/* The connections of now are forgotten, as a NAT router does: nothing passes any more, nor does an
 * end. New ones work. */
void fault_proxy_lose(struct fault_proxy *p);
/* The next piece that passes in each connection of now has one bit changed. */
void fault_proxy_corrupt(struct fault_proxy *p, enum fault_ways ways);

/* Nothing passes, ends neither; new connections are accepted, as a balancer would, and not dialed.
 */
void fault_proxy_hole(struct fault_proxy *p, enum fault_ways ways);
void fault_proxy_delay(struct fault_proxy *p, enum fault_ways ways, uint64_t ms);
void fault_proxy_rate(struct fault_proxy *p, enum fault_ways ways, uint64_t bytes_per_s);
/* New connections are reset. */
void fault_proxy_refuse(struct fault_proxy *p);
/* The next n connections are dialed in the opposite order of their coming, once all have come or
 * after FAULT_REORDER_MS. */
#define FAULT_REORDER_MS 1000
void fault_proxy_reorder(struct fault_proxy *p, unsigned n);
void fault_proxy_heal(struct fault_proxy *p);

struct fault_count {
    size_t n_connections;           /* now */
    uint64_t n_accepted, n_refused; /* so far */
    uint64_t up_bytes, down_bytes;  /* passed */
};
void fault_proxy_count(const struct fault_proxy *p, struct fault_count *out);

#pragma once
/*
 * Dial: a stream to a server by the ways of a balancer's own dials: its resolver, whose last answer
 * serves while none comes, all addresses of a name against each other, and its proxy. For the
 * tunnels, which bypass the balancer but live behind the same network.
 *
 * Loop thread only; the balancer outlives the dial. done comes once, later, from the loop; the dial
 * is gone by then. Errors: see lb/connect.h.
 */
#include "base/http/client.h"

struct balancer;
struct lb_dial;

void lb_dial_start(struct lb_dial **out, struct balancer *b, const char *host, uint16_t port,
                   uint64_t timeout_ms, http_dialed_fn done, void *arg);
void lb_dial_cancel(struct lb_dial *d); /* done still comes, with ERR_CANCELED */

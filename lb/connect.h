#pragma once
/*
 * Connect: one attempt to open a TCP connection to "host:port" before a deadline, straight or
 * through a proxy. All addresses of a name are candidates: the next one starts when one fails, or
 * beside it when it is silent for a quarter of a second, and the first that answers wins (RFC 8305
 * 5). When all addresses fail that were known from before, the name is resolved once more.
 *
 * Loop thread only. done is called exactly once, later, from the loop; the attempt is gone by then.
 */
#include "base/core/err.h"
#include "lb/names.h"
#include "lb/poller.h"
#include "lb/proxy.h"

/* What all dials of a balancer share; borrowed. */
struct lb_dialer {
    struct poller *poller;
    struct lb_names *names;
    struct lb_proxy proxy; /* kind NONE: straight */
};

struct lb_connect;
/* w: connected, non-blocking, CLOEXEC, TCP_NODELAY and keep-alive on; yours, with a fn that you
 * replace. NULL on failure: e names address and reason (see tcp_dial in base/io/tcp.h for the
 * codes; a proxy's refusal is ERR_DENIED or ERR_IO, and begins with "proxy"). took_us: of the
 * address that answered, from its own start: how far it is, however long others were waited for. */
typedef void (*lb_connect_fn)(void *arg, struct watch *w, uint64_t took_us, const struct err *e);

/* avoid: not to this one of its addresses (of which a proxy knows nothing); NULL: to any. */
void lb_connect_start(struct lb_connect **out, struct lb_dialer *d, const char *address,
                      uint64_t timeout_ms, const struct lb_addr *avoid, lb_connect_fn done,
                      void *arg);
void lb_connect_cancel(struct lb_connect *c); /* done still comes, with ERR_CANCELED */

/* What both ends of a balanced connection get: no delay, keep-alive after a minute. Sockets that a
 * listener accepts inherit it from that one. */
void lb_tune_socket(int fd);

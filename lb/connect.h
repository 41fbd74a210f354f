#pragma once
/*
 * Connect: one attempt to open a TCP connection to "host:port" before a deadline, as a bare
 * descriptor, for splice(2). A name is resolved each time and all its addresses are tried in turn.
 *
 * Loop thread only. done is called exactly once, later, from the loop; the attempt is gone by then.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct lb_connect;
/* fd: connected, non-blocking, CLOEXEC, TCP_NODELAY and keep-alive on; yours. -1 on failure: e
 * names address and reason (see tcp_dial in base/io/tcp.h for the codes). */
typedef void (*lb_connect_fn)(void *arg, int fd, uint64_t took_us, const struct err *e);

void lb_connect_start(struct lb_connect **out, uv_loop_t *loop, const char *address,
                      uint64_t timeout_ms, lb_connect_fn done, void *arg);
void lb_connect_cancel(struct lb_connect *c); /* done still comes, with ERR_CANCELED */

/* What both ends of a balanced connection get: no delay, keep-alive after a minute. */
void lb_tune_socket(int fd);

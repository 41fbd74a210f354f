#pragma once
/*
 * Unix: stream sockets by path, the same as TCP otherwise. Loop thread only.
 */
#include "base/io/listener.h"
#include "base/io/stream.h"

/* done is called exactly once, later. ERR_NOT_FOUND: no such path; ERR_IO with sys ECONNREFUSED:
 * nobody listens; ERR_INVALID: the path is too long for a socket address. */
void unix_dial(uv_loop_t *loop, const char *path, uint64_t timeout_ms,
               void (*done)(void *arg, struct stream *s, const struct err *e), void *arg);

/* Replaces a socket file that nobody listens on; ERR_EXISTS when somebody does. */
MUST_USE int unix_listen(struct listener **out, uv_loop_t *loop, const char *path, mode_t mode,
                         listener_accept_fn on_accept, void *arg, struct err *e);

/* A connected pair, both ends streams on the loop: for tests and for handing one end on. */
MUST_USE int unix_pair(struct stream **a, struct stream **b, uv_loop_t *loop_a, uv_loop_t *loop_b,
                       struct err *e);

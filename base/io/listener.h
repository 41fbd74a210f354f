#pragma once
/*
 * Listener: accepts connections of a listening socket (tcp_listen, unix_listen make it). When the
 * process runs out of descriptors it rests for a moment and goes on. Loop thread only.
 */
#include "base/io/stream.h"

struct listener;
/* s is paused and yours: stream_open it (or wrap it), or stream_close it. */
typedef void (*listener_accept_fn)(void *arg, struct stream *s);

uint16_t listener_port(const struct listener *l); /* 0 for Unix sockets */
/* Nothing is accepted any more; then done (may be NULL) is called, later, and it is gone. A Unix
 * socket's path is removed. */
void listener_close(struct listener *l, void (*done)(void *arg), void *arg);

/* For makers: takes fd, a bound, listening, non-blocking socket. unlink_path may be NULL; copied.
 */
struct listener *listener_new(uv_loop_t *loop, int fd_take, const char *unlink_path,
                              listener_accept_fn on_accept, void *arg);

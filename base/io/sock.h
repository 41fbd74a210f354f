#pragma once
/*
 * Sock: the stream over a socket of libuv, TCP or Unix. Used by tcp.c, unix.c and listener.c;
 * others see only struct stream. Loop thread only.
 *
 * Small writes of one turn of the loop leave in one system call; reads share one buffer per thread.
 */
#include "base/io/stream.h"

/* Takes a connected non-blocking socket. On failure it is closed. */
MUST_USE int sock_open(struct stream **out, uv_loop_t *loop, int fd_take, struct err *e);

/* done is called once, later, with 0 or libuv's negative status.
 * *out is a stream when done brought 0; else stream_close it (that is also how to give up). */
typedef void (*sock_connected_fn)(void *arg, struct stream *s, int status);
MUST_USE int sock_connect(struct stream **out, uv_loop_t *loop, const struct sockaddr *addr,
                          sock_connected_fn done, void *arg, struct err *e);

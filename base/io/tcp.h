#pragma once
/*
 * TCP: listening, and dialing by name or address. Both hand out struct stream (base/io/stream.h).
 * Every connection has TCP_NODELAY and keep-alive. Loop thread only.
 */
#include "base/io/listener.h"
#include "base/io/stream.h"

/* address: IPv4 or IPv6 text; "" and, as for Go, "::" are every address of both families. port 0 lets the kernel choose
 * (listener_port). ERR_EXISTS: the port is taken (sys EADDRINUSE). */
MUST_USE int tcp_listen(struct listener **out, uv_loop_t *loop, const char *address, uint16_t port,
                        listener_accept_fn on_accept, void *arg, struct err *e);

/*
 * A dial tries every address of the name in turn, each with its share of the time that is left.
 * done is called exactly once, later, from the loop; the dial is gone by then, so forget *out.
 * Failure: s is NULL and e names the host, the last address and the reason:
 *   ERR_NOT_FOUND no such name        ERR_AGAIN    the resolver cannot answer now
 *   ERR_TIMEOUT   the deadline        ERR_CANCELED tcp_dial_cancel
 *   ERR_IO        sys has ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ...
 */
struct tcp_dial;
typedef void (*tcp_dialed_fn)(void *arg, struct stream *s, const struct err *e);

/* host: a DNS name or an IP address, IPv6 with or without brackets. out may be NULL. */
void tcp_dial(struct tcp_dial **out, uv_loop_t *loop, const char *host, uint16_t port,
              uint64_t timeout_ms, tcp_dialed_fn done, void *arg);
void tcp_dial_addr(struct tcp_dial **out, uv_loop_t *loop, const struct sockaddr *addr,
                   uint64_t timeout_ms, tcp_dialed_fn done, void *arg);
void tcp_dial_cancel(struct tcp_dial *d); /* done still comes, with ERR_CANCELED */

/* A connected, non-blocking socket from elsewhere, as a stream. On failure it is closed. */
MUST_USE int tcp_take(struct stream **out, uv_loop_t *loop, int fd_take, struct err *e);

/* "10.0.0.1:6443" (IPv4 in IPv6 too), "[fe80::1]:80"; "?" for other families. Returns out. */
#define TCP_ADDR_TEXT_BYTES 64
char *tcp_addr_text(char out[TCP_ADDR_TEXT_BYTES], const struct sockaddr *addr);

#pragma once
/* What the tests of the balancer share: servers that echo and clients, all on the test's loop. */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/io/timer.h"
#include "lb/balancer.h"

#include <uv.h>

/* A server that says its name at once, then echoes, on a libuv listener of the same loop. */
struct server {
    uv_tcp_t listener;
    const char *name;
    uint16_t port;
    char address[32];
    struct peer *peers;
    size_t n_accepted;
    bool closed; /* the listener is gone for good */
};

struct peer {
    uv_tcp_t tcp;
    struct peer *next;
    struct server *server;
};

void server_start(struct server *s, uv_loop_t *loop, const char *name);
void server_start_at(struct server *s, uv_loop_t *loop, const char *name, const char *ip,
                     uint16_t port);
/* The struct may be used again when it is closed and has no peers. */
void server_kill(struct server *s);

/* One client connection to the balancer: what came, and whether the end came. */
struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct buf got;
    bool ended, closed;
};

void client_start(struct client *c, uv_loop_t *loop, uint16_t port);
void client_stop(struct client *c);

void send_copy(uv_stream_t *to, const void *p, size_t n);
enum lb_state state_of(const struct balancer *b, const char *address);
void finish(uv_loop_t *loop,
            struct balancer *b); /* closes it, and nothing may be left on the loop */

void rig_nothing(void *arg);
/* Runs the loop until the condition holds; a generous bound keeps a broken test from hanging. */
#define RUN_UNTIL(loop, cond)                                                                      \
    do {                                                                                           \
        uint64_t until_ = uv_hrtime() + 30000000000ULL;                                            \
        struct timer *tick_ = mem_alloc(sizeof *tick_);                                            \
        timer_init(tick_, (loop));                                                                 \
        while (!(cond) && uv_hrtime() < until_) {                                                  \
            timer_start_ms(tick_, 20, rig_nothing, NULL);                                          \
            uv_run((loop), UV_RUN_ONCE);                                                           \
        }                                                                                          \
        timer_close(tick_, free, tick_);                                                           \
        assert_true(cond);                                                                         \
    } while (0)

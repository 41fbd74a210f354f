#pragma once
/*
 * Conns: the connections that a balancer carries, from the accept to their end. Each gets the best
 * server that answers (lb/race.h) and is relayed (lb/relay.h). One that its server does not answer
 * is doubted, moves to another server (lb/second.h), or is ended so that its client tries again.
 * Loop thread only.
 */
#include "lb/balancer.h"

struct conns;
struct poller;

struct conns_config { /* borrowed, but for the numbers */
    uv_loop_t *loop;
    const char *name; /* of the balancer, for the log */
    struct lb_dialer *dialer;
    struct lb_server_set *set;
    size_t n_max;
    uint64_t dial_timeout_ms;
    enum balancer_health (*health_of)(void *arg, const char *address);
    void (*on_room)(void *arg); /* there were n_max, and now there are fewer */
    void *arg;                  /* of both */
    void (*on_doubt)(void *arg, const char *address); /* balancer_options; may be NULL */
    void *doubt_arg;
};

struct conns *conns_new(const struct conns_config *c);
bool conns_has_room(const struct conns *cs);
void conns_add(struct conns *cs, int fd_take);
/* The set decided that a server's connections have to go. */
void conns_drop(struct conns *cs, struct lb_server *s);
/* Somebody found that this server is there: it is tried by those that have none. */
void conns_found(struct conns *cs, struct lb_server *s);
/* What the connections that a server has now have carried. */
void conns_n_bytes(const struct lb_server *s, uint64_t *n_up, uint64_t *n_down);
const struct lb_dial_times *conns_dial_times(const struct conns *cs); /* balancer_dial_times */
/* Ends all of them; done comes later, and it is gone. */
void conns_close(struct conns *cs, void (*done)(void *arg), void *arg);

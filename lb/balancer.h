#pragma once
/*
 * Balancer: the client-side load balancer of a node. Listens on loopback, carries each connection
 * to the best server that answers, closes the connections of a failed one, remembers the servers in
 * a file. TLS passes through untouched (docs/protocols/loadbalancer.md).
 *
 * Loop thread only. Where the knowledge comes from: the seed (--server), the state file, then
 * balancer_set_addresses as the cluster tells, and health reports from the tunnels.
 */
#include "lb/names.h"
#include "lb/proxy.h"
#include "lb/server_set.h"

struct balancer;

struct balancer_options {
    const char *name; /* "k3s-agent-load-balancer": names the state file and log lines; copied */
    uint16_t port;    /* on 127.0.0.1, and on ::1 where the host has it; 0: a random one */
    const char *seed; /* host:port of --server; copied */
    const char *state_dir;    /* folder of <name>.json; NULL: keep nothing; copied */
    size_t n_conns_max;       /* 0: 1024; further ones wait in the kernel's queue */
    uint64_t dial_timeout_ms; /* per server, 0: 10 s, and 3 s while another one is left to try */
    const struct lb_proxy *proxy; /* for every dial and probe; NULL: straight; copied */
    /* A connection said something to that server, and half a second later (three round trips, if
     * that is more) there is no answer: it may hang. Who can ask it otherwise should. May be NULL.
     */
    void (*on_doubt)(void *arg, const char *address);
    void *doubt_arg;
    lb_resolve_fn resolve; /* NULL: the system's resolver */
};

/* Listens and reads the state file. ERR_EXISTS: the port is taken, the text says which. */
MUST_USE int balancer_new(struct balancer **out, uv_loop_t *loop, const struct balancer_options *o,
                          struct err *e);
uint16_t balancer_port(const struct balancer *b);

/* Servers as the cluster lists them. An empty list is ignored: it never says the truth. The state
 * file follows. */
void balancer_set_addresses(struct balancer *b, const char *const *addresses, size_t n);

/* What the tunnel to that server says. UNKNOWN has no effect. Evaluated once a second, the news
 * that it failed at once. */
enum balancer_health { BALANCER_UNKNOWN, BALANCER_OK, BALANCER_FAILED };
void balancer_set_health(struct balancer *b, const char *address, enum balancer_health h);

struct balancer_server_status {
    char address[LB_ADDRESS_MAX_BYTES + 1];
    enum lb_state state;
    bool is_default;
    uint64_t in_state_ms;
    size_t n_conns;
    uint64_t n_dials, n_failures, rtt_us;
    uint64_t n_up, n_down; /* bytes since it joined the list */
    bool reached;          /* the last dial or check was good */
    char last_error[256];  /* "": none yet */
    uint64_t last_error_ago_ms;
};
/* In the order of preference. Returns how many were filled in, at most n_max. */
size_t balancer_status(const struct balancer *b, struct balancer_server_status *out, size_t n_max);
/* The addresses to open tunnels to: the list, or the seed while there is none. Borrowed texts. */
size_t balancer_addresses(const struct balancer *b, const char **out, size_t n_max);

struct lb_dialer;
struct lb_dialer *balancer_dialer(struct balancer *b); /* what its dials share, for lb/dial.h */

/* How long it took from accepting a connection to having a server for it, or to giving up: bucket i
 * counts those up to 1 ms * 2^i, the last one all. [0]: success, [1]: error. */
#define LB_DIAL_BUCKETS 16
struct lb_dial_times {
    uint64_t n[LB_DIAL_BUCKETS]; /* not cumulative */
    uint64_t sum_us;
};
const struct lb_dial_times *balancer_dial_times(const struct balancer *b); /* two of them */
const char *balancer_name(const struct balancer *b);

/* Stops listening, closes every connection, then calls done (may be NULL) and is gone. */
void balancer_close(struct balancer *b, void (*done)(void *arg), void *arg);

#pragma once
/*
 * Servers: which servers the cluster has, learned and kept: from /v1-k3s/apiservers at first, then
 * from the watched EndpointSlices of the `kubernetes` Service. The list feeds the balancer and the
 * set of tunnels; each tunnel's state feeds the balancer's health (docs/protocols/loadbalancer.md).
 *
 *   ASK (every 5 s while the answer is empty) --> WATCH        an older server: straight to WATCH
 *
 * A change is acted on 3 s after it came, for servers flap while they start; the first list at
 * once. When no listed server can be reached by tunnel for 2 s (a private address behind NAT), or
 * for 8 s after it could be, the fixed address of --server gets a tunnel too, until a listed one
 * has been connected for 30 s. The lists hold API servers; where supervisors have another port,
 * they are on the same hosts, at the port of --server. Loop thread only.
 */
#include "agent/boot/credentials.h"
#include "tunnel/client_set.h"

#include <jansson.h>

struct balancer;
struct kube_client;
struct servers;

struct servers_config { /* borrowed */
    uv_loop_t *loop;
    struct balancer *balancer;     /* of the supervisors */
    struct balancer *api_balancer; /* of the API servers; NULL: they are the supervisors */
    struct kube_client *kubelet;   /* asks /v1-k3s/apiservers, of a supervisor */
    struct kube_client *node; /* watches the slices: the kubelet's identity at the API server */
    struct kube_client *controller; /* watches them where a node may not, as at a K3s server */
    const struct credentials *credentials;
    const struct tunnel_authorizer *authorizer;
    const char *seed; /* host:port of --server */
    /* A tunnel came or went: the status page changed. */
    void (*on_change)(void *arg);
    /* The same, and which. May be NULL. */
    void (*on_tunnel)(void *arg, const struct tunnel_client_status *st);
    void *arg;
    bool remotedialer;                  /* as in struct tunnel_client_options */
    const struct tunnel_dialer *dialer; /* of the tunnels; NULL: as the balancer dials. Copied */
};

MUST_USE int servers_start(struct servers **out, const struct servers_config *c, struct err *e);
/* The credentials are new. */
MUST_USE int servers_reload(struct servers *s, struct err *e);
/* A server does not answer a connection through a balancer: every tunnel asks for a sign of life,
 * that server's and the others', for where the connection goes next had better be alive. What they
 * find is the balancers' to know. */
void servers_doubt(struct servers *s);
size_t servers_n_connected(const struct servers *s);
size_t servers_status(const struct servers *s, struct tunnel_client_status *out, size_t n_max);
void servers_close(struct servers *s, void (*done)(void *arg), void *arg);

/* Sans-I/O: the addresses in one EndpointSlice: endpoints whose ready is not false, each with
 * ports[0].port (443 when absent). Appends "host:port" texts; returns how many were added, at most
 * n_max. */
size_t servers_of_slice(const json_t *slice, char (*out)[272], size_t n_max);

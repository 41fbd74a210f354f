#pragma once
/*
 * Controllers: the loops that keep the cluster true to what its objects say: all of them, behind
 * one door. Each is a file of this folder, level-triggered on informers of server/api/local.h. Loop
 * thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct api;
struct controllers;

struct controllers_config { /* texts are copied; the rest is borrowed */
    uv_loop_t *loop;
    struct api *api;
    /* What conditions say of a node whose lease is stale; "": nothing. May be NULL. */
    void (*why)(void *arg, const char *node, char *out, size_t n_bytes);
    /* A lease is not renewed any more (since silent_ms), or is again. May be NULL. */
    void (*on_lease)(void *arg, const char *node, bool stale, uint64_t silent_ms);
    void *node_arg;           /* of both */
    const char *advertise_ip; /* what the `kubernetes` endpoints say of this server */
    uint16_t advertise_port;
    uint16_t service_port;    /* targetPort of the `kubernetes` Service: https-listen-port */
    /* Pod networks of nodes are cut from it, /24 (IPv6: /64) each; two have a comma between. */
    const char *cluster_cidr;
    const char *service_ip;   /* of the `kubernetes` Service: first address of the service CIDR */
    const char *cluster_dns, *cluster_domain; /* ConfigMap kube-system/cluster-dns */
    struct str server_ca_pem;                 /* ConfigMap kube-root-ca.crt of each namespace */
    const char *own_node;   /* this server's node: gets the control-plane role label; "": none */
    bool disable_ccm;       /* node addresses, providerID and taints come from elsewhere */
    uint64_t node_grace_ms; /* a lease not renewed for so long is stale; 0: 40 s, as K3s */
    uint64_t pod_quarantine_ms; /* pods outlive their Node by so long; 0: 40 s */
    /* Several servers on one datastore: some controllers run on one of them, some on each. */
    enum { CONTROLLERS_ALL, CONTROLLERS_ONCE, CONTROLLERS_EACH } part; /* EACH: needs own_node */
    /* Addresses of the servers that live, own first; NULL: advertise_ip alone. */
    size_t (*live_servers)(void *arg, const char **ips, size_t max);
    void *live_arg;
};

void controllers_start(struct controllers **out, const struct controllers_config *c);
/* What why would say of that node may be something else now. */
void controllers_node_news(struct controllers *cs, const char *node);
/* live_servers has another answer now. */
void controllers_servers_changed(struct controllers *cs);
/* Stops all of them; calls under way are waited for; then done, and it is gone. */
void controllers_close(struct controllers *cs, void (*done)(void *arg), void *arg);

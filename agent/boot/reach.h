#pragma once
/*
 * Reach: how far into this node its tunnels lead. Tells the tunnels' authorizer what the cluster's
 * egress mode opens beyond the kubelet's port (tunnel/authorizer.h, docs/protocols/egress.md):
 *
 *   agent, disabled   nothing
 *   pod               this node's addresses and pods: watched with the k3s-controller's certificate
 *   cluster           this node's addresses and the cluster's networks of pods
 *
 * Until the first list of pods has come, no pod is in reach. Loop thread only.
 */
#include "agent/boot/cluster_config.h"
#include "tunnel/authorizer.h"

#include <jansson.h>
#include <uv.h>

struct kube_client;
struct reach;

struct reach_config {
    uv_loop_t *loop;
    struct kube_client *controller;       /* borrowed; system:k3s-controller may list pods */
    struct tunnel_authorizer *authorizer; /* borrowed; its mode says what is watched */
    const struct cluster_config *cluster; /* read during the call */
    const char *node_name;
    const char *const *ips; /* this node's own; borrowed, outlive it */
    size_t n_ips;
};

/* ERR_INVALID: one of ips or of the cluster's networks is none. */
MUST_USE int reach_start(struct reach **out, const struct reach_config *c, struct err *e);
/* The Node as the cluster has it: a cloud controller may have given it other addresses. */
void reach_seen(struct reach *r, const json_t *node);
void reach_close(struct reach *r, void (*done)(void *arg), void *arg);

/* Sans-I/O: what a Pod means to the authorizer. False: nothing, it has ended or is not here yet.
 * ips and ports hold at most ips_max and ports_max entries and back out's pointers; texts are
 * borrowed from pod. */
bool reach_of_pod(struct tunnel_pod *out, const json_t *pod, const char **ips, size_t ips_max,
                  uint16_t *ports, size_t ports_max);

#pragma once
/*
 * Node object: the Node that this agent registers and the status it keeps, as JSON: labels,
 * annotations and addresses as K3s's agent, kubelet and cloud controller make them together
 * (docs/protocols/registration.md). Pure; the caller owns the returned references.
 */
#include "agent/node/machine.h"
#include "base/core/str.h"

#include <jansson.h>

#define NODE_PODS_MAX 110 /* kubelet's default */

struct node_object {
    const char *name;
    const char *host_name; /* of the system */
    const char *const *ips, *const *external_ips, *const *internal_dns, *const *external_dns;
    size_t n_ips, n_external_ips, n_internal_dns, n_external_dns;
    const char *const *labels, *const *taints; /* --node-label k=v, --node-taint k=v:Effect */
    size_t n_labels, n_taints;
    const char *node_args, *node_env; /* JSON texts, secrets already hidden */
    const char *version;              /* kubeletVersion */
    const char *runtime_version;      /* "containerd://1.6.20"; "" before it is known */
    uint16_t kubelet_port;
    bool pod_egress;     /* egress mode pod or cluster: servers may reach pods here by the tunnel */
    bool external_cloud; /* the server's cloud controller completes the Node: register
                          * with the taint that it takes away */
    const struct machine *machine;

    bool runtime_ready;
    const char *runtime_why; /* why it is not, for the Ready condition */
};

/* Everything for POST /api/v1/nodes. ERR_INVALID names a label or taint that is none. */
MUST_USE int node_object_new(json_t **out, const struct node_object *n, struct err *e);

/* The part of metadata that is ours on a Node that exists already: a merge patch. */
json_t *node_object_metadata_patch(const struct node_object *n);

/* status, for a strategic merge patch of /status. before: the status we last wrote (or NULL): its
 * transition times are kept where a condition did not change. */
json_t *node_object_status(const struct node_object *n, const json_t *before);

/* Do two statuses say the same but for heartbeat times? */
bool node_object_same_status(const json_t *a, const json_t *b);

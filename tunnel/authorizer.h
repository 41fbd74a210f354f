#pragma once
/*
 * Authorizer: which addresses the agent lets a server dial through its tunnel.
 *
 * A server that got hold of a tunnel must not reach the rest of the node's network by it. What is
 * allowed depends on the mode of the cluster (spec: K3s pkg/agent/tunnel, remotedialer v0.6); the
 * protocol is always tcp, and names are never dialed:
 *
 *   all modes   127.0.0.1 or ::1, the kubelet's port or the CRI stream port
 *   pod         + any port of the addresses of pods on this node; on the node's own addresses the
 *               TCP ports that containers of host-network pods here declare
 *   cluster     + any port of the node's own addresses and of addresses in the cluster's CIDRs
 *
 * The owner tells addresses and pods as it learns them; before that nothing more is allowed.
 *
 * What happens to a refused OPEN or Connect: K3s' agent ends the whole session, which kills every
 * stream of the node for one bad target. Ours answers "not allowed: ..." on that stream alone.
 *
 * Loop thread only. The owner may change kubelet_port at any time.
 */
#include "base/core/err.h"
#include "base/data/cidr.h"

#include <stdint.h>

#define TUNNEL_CRI_STREAM_PORT 10010
#define TUNNEL_KUBELET_PORT    10250

enum tunnel_egress_mode {
    TUNNEL_EGRESS_AGENT,
    TUNNEL_EGRESS_DISABLED,
    TUNNEL_EGRESS_POD,
    TUNNEL_EGRESS_CLUSTER,
};

/* "agent", "disabled", "pod", "cluster". ERR_INVALID names one that does not exist. */
MUST_USE int tunnel_egress_mode_parse(enum tunnel_egress_mode *out, struct str text, struct err *e);

struct tunnel_authorizer {
    enum tunnel_egress_mode mode;
    uint16_t kubelet_port;
    char kubelet_host[64]; /* IP that dials of the kubelet port go to; empty: the host asked for */
    /* The rest is authorizer.c's; all zero for the modes agent and disabled. */
    struct cidr *node_ips, *cidrs, *pod_ips;
    uint16_t *host_ports;
    size_t n_node_ips, n_cidrs, n_pod_ips, n_host_ports;
};

/* mode: egress-selector-mode of the agent's config, as tunnel_egress_mode_parse takes it. Starts
 * with kubelet port 10250. */
MUST_USE int tunnel_authorizer_init(struct tunnel_authorizer *a, struct str mode, struct err *e);
void tunnel_authorizer_deinit(struct tunnel_authorizer *a); /* needed after one of these: */

/* The node's own addresses and the cluster's CIDRs ("10.42.0.0/16"); replaces what was told before.
 * ERR_INVALID names what is neither; nothing has changed then. */
MUST_USE int tunnel_authorizer_set_node(struct tunnel_authorizer *a, const char *const *ips,
                                        size_t n_ips, const char *const *cidrs, size_t n_cidrs,
                                        struct err *e);

struct tunnel_pod { /* one that is scheduled here and has not ended */
    const char *const *ips;
    size_t n_ips;
    bool host_network;
    const uint16_t *tcp_ports; /* the containers' containerPorts */
    size_t n_tcp_ports;
};
/* All pods of this node; replaces what was told before. ERR_INVALID names an address that is none;
 * nothing has changed then. */
MUST_USE int tunnel_authorizer_set_pods(struct tunnel_authorizer *a, const struct tunnel_pod *pods,
                                        size_t n_pods, struct err *e);

struct tunnel_target {
    char host[64]; /* IP text, what to connect to */
    uint16_t port;
};

/* proto and address as they stand in a Connect: "tcp", "127.0.0.1:10250". ERR_INVALID: no
 * host:port; ERR_DENIED: not allowed, the text begins "not allowed: ". */
MUST_USE int tunnel_authorizer_check(const struct tunnel_authorizer *a, struct str proto,
                                     struct str address, struct tunnel_target *out, struct err *e);

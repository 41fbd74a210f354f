#pragma once
/*
 * Egress table: which node is behind a target, and by which way it is reached; learned from Nodes
 * and, in the modes pod and cluster, from Pods. Sans-I/O (docs/protocols/egress.md; K3s
 * pkg/daemons/control/tunnel.go, 2026).
 *
 *   target                              way
 *   a name                              kubelet path of the node of that name
 *   IP of a node, its kubelet port      kubelet path
 *     or 10010
 *   InternalIP of a node, other port    the node's tunnel, address unchanged, when the node carries
 *   IP of a pod                           traffic of pods (label egress.k3s.io/cluster); else
 * direct any other IP                        direct
 *
 *   kubelet path                        own node: direct to loopback; another: its tunnel, to
 *                                       127.0.0.1; mode disabled: direct to its InternalIP
 *
 * What is on this server's own node is never tunneled. Every entry is one address: no prefix is
 * longer than another. Where two claim one address, who was told last has it, but a pod that is
 * being deleted does not take an address from its successor. Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"
#include "tunnel/authorizer.h"

#include <jansson.h>

struct egress_table;

struct egress_table *egress_table_new(const char *own_node, enum tunnel_egress_mode mode);
void egress_table_free(struct egress_table *t);
bool egress_table_wants_pods(const struct egress_table *t);

/* A Node or Pod as it is now; it replaces what was told of it before. */
void egress_table_set_node(struct egress_table *t, const json_t *node);
void egress_table_set_pod(struct egress_table *t, const json_t *pod);
void egress_table_drop_node(struct egress_table *t, const char *name);
void egress_table_drop_pod(struct egress_table *t, const char *ns, const char *name);

enum egress_way {
    EGRESS_DIRECT,
    EGRESS_TUNNEL,          /* or not at all */
    EGRESS_TUNNEL_PREFERRED /* direct while the node has no tunnel: it may be a neighbour */
};
struct egress_route {
    enum egress_way way;
    char node[254]; /* whose; "": nobody's we know */
    char host[254]; /* what to dial, as that side sees it */
    uint16_t port;
};

/* ERR_INVALID: host is too long for a name. */
MUST_USE int egress_table_route(const struct egress_table *t, struct str host, uint16_t port,
                                struct egress_route *out, struct err *e);
/* The kubelet path of a node, which may be unknown. */
void egress_table_kubelet(const struct egress_table *t, const char *node, uint16_t port,
                          struct egress_route *out);

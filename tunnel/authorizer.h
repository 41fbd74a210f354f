#pragma once
/*
 * Authorizer: which addresses the agent lets a server dial through its tunnel.
 *
 * A server that got hold of a tunnel must not reach the rest of the node's network by it. In the
 * modes `agent` and `disabled` a target is allowed when its protocol is tcp, its host is 127.0.0.1
 * or ::1 and its port is the kubelet's or the CRI stream port (spec: K3s pkg/agent/tunnel,
 * remotedialer v0.6). The modes `cluster` and `pod` add node and pod addresses and are refused
 * here until they are implemented (tunnel_authorizer_init says so).
 *
 * What happens to a refused Connect: K3s' agent ends the whole session, which kills every stream
 * of the node for one bad target. Ours answers with an Error "not allowed: ..." on that stream
 * alone; a K3s server shows that text to its caller.
 *
 * A plain value; loop thread only. The owner may change kubelet_port at any time.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdint.h>

#define TUNNEL_CRI_STREAM_PORT 10010
#define TUNNEL_KUBELET_PORT    10250

enum tunnel_egress_mode { TUNNEL_EGRESS_AGENT, TUNNEL_EGRESS_DISABLED };

struct tunnel_authorizer {
    enum tunnel_egress_mode mode;
    uint16_t kubelet_port;
    char kubelet_host[64]; /* IP that dials of the kubelet port go to; empty: the host asked for */
};

/* mode: "agent" or "disabled" (egress-selector-mode of the agent's config). ERR_INVALID for others,
 * with a text that names the mode. Starts with kubelet port 10250. */
MUST_USE int tunnel_authorizer_init(struct tunnel_authorizer *a, struct str mode, struct err *e);

struct tunnel_target {
    char host[64]; /* IP text, what to connect to */
    uint16_t port;
};

/* proto and address as they stand in a Connect: "tcp", "127.0.0.1:10250". ERR_INVALID: no
 * host:port; ERR_DENIED: not allowed, the text begins "not allowed: ". */
MUST_USE int tunnel_authorizer_check(const struct tunnel_authorizer *a, struct str proto,
                                     struct str address, struct tunnel_target *out, struct err *e);

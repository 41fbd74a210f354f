#pragma once
/*
 * Egress: the server's way to its nodes. A kubelet port is reached through the node's own tunnel,
 * whatever address the node claims; everything else directly (docs/protocols/egress.md, K3s's modes
 * `agent` and `disabled`).
 *
 *   target of a dial or CONNECT         way
 *   node name                           kubelet path
 *   IP of a node, its kubelet port      kubelet path          kubelet path: this server's own node:
 *     or 10010                                                dial loopback; another node: its
 *   any other IP                        direct                tunnel, to 127.0.0.1 as it sees it
 *
 * In mode `disabled` the kubelet path dials the node's InternalIP. Loop thread only.
 */
#include "base/http/client.h"
#include "base/http/server.h"

struct api;
struct egress;
struct tunnel_server;

struct egress_config {
    uv_loop_t *loop;
    struct tunnel_server *tunnels; /* borrowed */
    const char *own_node;          /* copied; "" when this server runs no agent */
    bool disabled;                 /* --egress-selector-mode=disabled */
};

void egress_new(struct egress **out, const struct egress_config *c);
/* The node table follows the API from here on; before it, names work and addresses do not. */
void egress_start(struct egress *g, struct api *api);
/* Before the API goes: the node table stays as it is. */
void egress_stop(struct egress *g);
/* Fits api_egress.dial; arg is the struct egress. */
void egress_dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg);
/* Answers CONNECT host:port of a caller that is in system:masters already: 200 and then raw bytes,
 * or 400, 502 with a Status. */
void egress_connect(struct egress *g, struct http_req *r);
/* Cuts every CONNECT, then done, and it is gone. */
void egress_close(struct egress *g, void (*done)(void *arg), void *arg);

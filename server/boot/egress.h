#pragma once
/*
 * Egress: the server's way to its nodes, and in the modes `pod` and `cluster` to their pods: by
 * tunnel or directly, as server/boot/egress_table.h says (docs/protocols/egress.md). Serves the
 * API's connections to kubelets, and CONNECT. Loop thread only.
 */
#include "base/http/client.h"
#include "base/http/server.h"
#include "tunnel/authorizer.h"

struct api;
struct egress;
struct tunnel_server;

struct egress_config {
    uv_loop_t *loop;
    struct tunnel_server *tunnels; /* borrowed */
    const char *own_node;          /* copied; "" when this server runs no agent */
    enum tunnel_egress_mode mode;  /* --egress-selector-mode */
    /* As api_egress.on_outcome, of what CONNECT dials of a node. May be NULL. */
    void (*on_outcome)(void *arg, const char *node, uint16_t port, const struct err *e, char *why,
                       size_t why_bytes);
    void *outcome_arg;
};

void egress_new(struct egress **out, const struct egress_config *c);
/* The table follows the API from here on; before it, names work and addresses do not. */
void egress_start(struct egress *g, struct api *api);
/* Before the API goes: the table stays as it is, and direct dials under way and to come end with
 * ERR_CANCELED. Those by tunnel are the tunnels' to end: tunnel_server_stop. */
void egress_stop(struct egress *g);
/* The kubelet path of a node, to that port. Fits api_egress.dial; arg is the struct egress. */
void egress_dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg);
/* An address, by whichever way the table says: api_egress.dial_address. */
void egress_dial_address(void *arg, const char *host_port, uint64_t timeout_ms, http_dialed_fn done,
                         void *done_arg);
/* Answers CONNECT host:port of a caller that is in system:masters already: 200 and then raw bytes,
 * or 400, 502 with a Status. */
void egress_connect(struct egress *g, struct http_req *r);
/* After the API: cuts every CONNECT, then done, and it is gone. */
void egress_close(struct egress *g, void (*done)(void *arg), void *arg);

#pragma once
/*
 * Node why: collects what this server learns of its nodes into the trail (server/boot/node_trail.h)
 * and says why a node cannot be reached: to `coracle node why`, in 502 bodies, in Ready conditions.
 * Who learns something calls it; a watch of Nodes is its own. Loop thread only.
 *
 *   tunnels ---on_tunnel---+                      +--- reason ----> node lifecycle (condition)
 *   node lifecycle -lease--+                      +--- failed ----> connects (502)
 *   supervisor - refused --+-->  trail, verdict --+--- tell ------> /v1-coracle/why
 *              - report ---+                      |
 *   kubelet port answers --+                      +--- on_news: the condition's message is old
 */
#include "base/http/client.h"
#include "base/kube/node_report.h"

#include <jansson.h>
#include <uv.h>

struct api;
struct node_why;
struct tls_client_config;
struct tunnel_server;

#define NODE_PROBES_MAX 16 /* kubelet ports asked at once; further questions go without */

struct node_why_config { /* texts are copied, the rest is borrowed */
    uv_loop_t *loop;
    const char *own_node; /* reached without a tunnel; "": none */
    bool disabled;        /* --egress-selector-mode=disabled: no node needs one */
    const char *client_ca_pem;
    /* What would be said of a node whose lease is stale may have changed. May be NULL. */
    void (*on_news)(void *arg, const char *node);
    void *news_arg;
};

void node_why_new(struct node_why **out, const struct node_why_config *c);

struct node_why_ways { /* borrowed: what is made after it, for what they tell goes to it */
    struct tunnel_server *tunnels;
    const struct tls_client_config *kubelet_tls; /* NULL: kubelet ports are not asked */
    /* As api_egress.dial. */
    void (*dial)(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg);
    void *dial_arg;
};
/* Before the loop runs. */
void node_why_set_ways(struct node_why *w, const struct node_why_ways *ways);
/* The Nodes of the API are followed from here on. */
void node_why_start(struct node_why *w, struct api *api);
/* Before the API goes: follows Nodes no more, and questions under way are answered with what is
 * known; then done. None is asked after it. */
void node_why_stop(struct node_why *w, void (*done)(void *arg), void *arg);
void node_why_free(struct node_why *w); /* stopped, or never started; nobody calls it any more */

/* ---- what others learn; arg is the struct node_why ---- */
/* Fits tunnel_server_config.on_node. */
void node_why_on_tunnel(void *arg, const char *node, bool connected);
/* Fits controllers_config.on_lease. */
void node_why_on_lease(void *arg, const char *node, bool stale, uint64_t silent_ms);
/* Fits api_egress.on_outcome: a request for that port of a node was answered (e NULL), or was not:
 * then why becomes what its user is told. */
void node_why_on_outcome(void *arg, const char *node, uint16_t port, const struct err *e, char *why,
                         size_t why_bytes);

struct node_why_caller { /* of a request that was refused; all may be empty */
    struct str leaf_der, name_header, authorization;
    const char *address; /* "198.51.100.7" */
};
void node_why_refused(struct node_why *w, const struct node_why_caller *c);
void node_why_password(struct node_why *w, const char *node, const char *address);
void node_why_report(struct node_why *w, const char *node, const struct node_report *r);

/* ---- what others ask ---- */
/* Fits controllers_config.why: the reason, "" when the node is reachable or not known. */
void node_why_reason(void *arg, const char *node, char *out, size_t n_bytes);

/* done comes once, later, with the document of /v1-coracle/why (docs/protocols/node-why.md), taken
 * over by done. node NULL: of all nodes. One node's kubelet port is asked first, where there is a
 * way to it. */
typedef void (*node_why_fn)(void *arg, json_t *doc_take);
void node_why_tell(struct node_why *w, const char *node, node_why_fn done, void *arg);

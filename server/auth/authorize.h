#pragma once
/*
 * Authorize: may this identity do that. A chain of authorizers; the first that allows or denies
 * decides, nobody's opinion is "no". Loop thread only.
 *
 * The default chain: system:masters (everything), node (server/auth/node_authorizer.c), the fixed
 * rules of system:k3s-controller and system:kube-proxy, discovery and reviews for everybody who is
 * authenticated. RBAC is added behind them.
 */
#include "server/auth/authenticate.h"

struct authz_attrs {
    const struct identity *id; /* NULL: nobody (only with anonymous access) */
    const char *verb;          /* get list watch create update patch delete deletecollection; for
                                  paths the lower-case HTTP method */
    bool is_resource;
    /* resources; "" where absent, never NULL when is_resource */
    const char *group, *version, *resource, *subresource, *namespace_, *name;
    const char *field_selector, *label_selector; /* may be NULL; as sent, decoded */
    const char *path;                            /* others: "/healthz"; NULL for resources */
};

enum authz_decision { AUTHZ_NO_OPINION, AUTHZ_ALLOW, AUTHZ_DENY };

#define AUTHZ_REASON_BYTES 160
typedef enum authz_decision (*authorizer_fn)(void *arg, const struct authz_attrs *a,
                                             char reason[AUTHZ_REASON_BYTES]);

struct authz;
struct node_graph;
/* With the default chain; graph (which pod is on which node and refers to what; may be NULL: then
 * nodes read no secrets) is borrowed. */
void authz_new(struct authz **out, const struct node_graph *graph);
void authz_free(struct authz *z);
void authz_add(struct authz *z, authorizer_fn fn, void *arg);

/* reason is "" when nobody gave one. */
bool authz_allowed(struct authz *z, const struct authz_attrs *a, char reason[AUTHZ_REASON_BYTES]);

/* Upstream's sentence for the 403: `User "x" cannot list resource "pods" in API group "" in the
 * namespace "default"`. */
void authz_describe(const struct authz_attrs *a, char *out, size_t out_bytes);

#pragma once
/*
 * Rules: small constant tables of what an identity may do, and the authorizers made of them that
 * stand in front of RBAC: system:masters, the node's, system:k3s-controller, system:kube-proxy and
 * everybody who is authenticated. Each is an authorizer_fn. Any thread.
 */
#include "server/auth/authorize.h"

enum rules_verb {
    RULES_GET = 1,
    RULES_LIST = 2,
    RULES_WATCH = 4,
    RULES_CREATE = 8,
    RULES_UPDATE = 16,
    RULES_PATCH = 32,
    RULES_DELETE = 64,
    RULES_READ = RULES_GET | RULES_LIST | RULES_WATCH,
};
unsigned rules_verb_of(const char *verb); /* 0: none of these */

struct rules_row {
    const char *group, *resource; /* resource "nodes/status" for a subresource */
    unsigned verbs;
};
bool rules_allow(const struct rules_row *rows, size_t n, const struct authz_attrs *a);

/* arg unused */
enum authz_decision rules_masters(void *arg, const struct authz_attrs *a,
                                  char reason[AUTHZ_REASON_BYTES]);
enum authz_decision rules_everybody(void *arg, const struct authz_attrs *a,
                                    char reason[AUTHZ_REASON_BYTES]);
enum authz_decision rules_k3s_controller(void *arg, const struct authz_attrs *a,
                                         char reason[AUTHZ_REASON_BYTES]);
enum authz_decision rules_kube_proxy(void *arg, const struct authz_attrs *a,
                                     char reason[AUTHZ_REASON_BYTES]);
/* arg: const struct node_graph * or NULL */
enum authz_decision rules_node(void *arg, const struct authz_attrs *a,
                               char reason[AUTHZ_REASON_BYTES]);

/*
 * The node authorizer (upstream plugin/pkg/auth/authorizer/node, with 1.32's selectors): a node
 * reads and writes its own Node, lease and CSINode, the pods bound to it, and reads what those pods
 * refer to. What is inside the objects it writes is checked by server/admission/node_restriction.c.
 */
#include "base/kube/selector.h"
#include "server/auth/node_graph.h"
#include "server/auth/rules.h"

#include <stdio.h>

/* Whatever the name. */
static const struct rules_row ANY[] = {
    { "", "services", RULES_READ },
    { "", "endpoints", RULES_GET },
    { "", "persistentvolumes", RULES_GET },
    { "", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
    { "events.k8s.io", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
    { "", "nodes", RULES_CREATE },
    { "", "pods", RULES_CREATE },
    { "storage.k8s.io", "csidrivers", RULES_READ },
    { "storage.k8s.io", "csinodes", RULES_CREATE },
    { "storage.k8s.io", "volumeattachments", RULES_GET },
    { "node.k8s.io", "runtimeclasses", RULES_READ },
    { "certificates.k8s.io", "certificatesigningrequests", RULES_READ | RULES_CREATE },
    { "authentication.k8s.io", "tokenreviews", RULES_CREATE },
    { "authorization.k8s.io", "subjectaccessreviews", RULES_CREATE },
    { "authorization.k8s.io", "localsubjectaccessreviews", RULES_CREATE },
};

/* The object has the node's name. */
static const struct rules_row OWN[] = {
    { "", "nodes", RULES_READ | RULES_UPDATE | RULES_PATCH },
    { "", "nodes/status", RULES_GET | RULES_UPDATE | RULES_PATCH },
    { "storage.k8s.io", "csinodes", RULES_GET | RULES_UPDATE | RULES_PATCH | RULES_DELETE },
};

/* The pod is bound to the node. */
static const struct rules_row POD[] = {
    { "", "pods", RULES_GET | RULES_DELETE },
    { "", "pods/status", RULES_GET | RULES_UPDATE | RULES_PATCH },
    { "", "pods/eviction", RULES_CREATE },
};

/* A pod of the node refers to it; list and watch by metadata.name. */
static const struct rules_row REFERRED[] = {
    { "", "secrets", RULES_READ },
    { "", "configmaps", RULES_READ },
    { "", "persistentvolumeclaims", RULES_GET },
    { "", "serviceaccounts", RULES_GET },
};
static const struct rules_row TOKEN[] = { { "", "serviceaccounts/token", RULES_CREATE } };

static const struct rules_row LEASE[] = {
    { "coordination.k8s.io", "leases",
      RULES_GET | RULES_CREATE | RULES_UPDATE | RULES_PATCH | RULES_DELETE },
};
/* Not upstream's: agents follow the addresses of the API servers. Kube-proxy's certificate, which
 * each node has, reads these anyway; so a node needs no second connection for them. */
static const struct rules_row SLICES[] = { { "discovery.k8s.io", "endpointslices",
                                             RULES_LIST | RULES_WATCH } };
static const struct rules_row POD_LIST[] = { { "", "pods", RULES_LIST | RULES_WATCH } };

/* Does the request's field selector demand field=value? */
static bool selects(const struct authz_attrs *a, const char *field, const char *value)
{
    AUTO(field_selector) struct field_selector *s = NULL;
    struct err e;

    if (!a->field_selector || field_selector_parse(&s, str_of(a->field_selector), &e))
        return false;
    const char *v = field_selector_requires(s, field);
    return v && strcmp(v, value) == 0;
}

#define ALLOWS(rows, a) rules_allow((rows), ARRAY_LEN(rows), (a))

enum authz_decision rules_node(void *arg, const struct authz_attrs *a,
                               char reason[AUTHZ_REASON_BYTES])
{
    const struct node_graph *g = arg;

    if (!a->id || !a->id->node || !a->is_resource)
        return AUTHZ_NO_OPINION;
    const char *node = a->id->node;

    if (ALLOWS(ANY, a))
        return AUTHZ_ALLOW;
    if (ALLOWS(OWN, a)) {
        if (strcmp(a->name, node) == 0)
            return AUTHZ_ALLOW;
        snprintf(reason, AUTHZ_REASON_BYTES, "node '%s' can only touch its own object", node);
    } else if (ALLOWS(SLICES, a)) {
        if (strcmp(a->namespace_, "default") == 0)
            return AUTHZ_ALLOW;
    } else if (ALLOWS(LEASE, a)) {
        if (strcmp(a->namespace_, "kube-node-lease") == 0 &&
            (strcmp(a->name, node) == 0 || (!*a->name && strcmp(a->verb, "create") == 0)))
            return AUTHZ_ALLOW;
        snprintf(reason, AUTHZ_REASON_BYTES, "node '%s' can only touch its own lease", node);
    } else if (ALLOWS(POD_LIST, a)) {
        if (selects(a, "spec.nodeName", node))
            return AUTHZ_ALLOW;
        snprintf(reason, AUTHZ_REASON_BYTES,
                 "node '%s' can only list pods with spec.nodeName field selector of its name",
                 node);
    } else if (ALLOWS(POD, a)) {
        if (g && node_graph_owns_pod(g, node, a->namespace_, a->name))
            return AUTHZ_ALLOW;
        snprintf(reason, AUTHZ_REASON_BYTES, "no relationship found between node '%s' and pod",
                 node);
    } else if (ALLOWS(REFERRED, a) || ALLOWS(TOKEN, a)) {
        if (g && *a->name && node_graph_refers(g, node, a->resource, a->namespace_, a->name))
            return AUTHZ_ALLOW;
        snprintf(reason, AUTHZ_REASON_BYTES,
                 "no relationship found between node '%s' and this object", node);
    }
    return AUTHZ_NO_OPINION;
}

#pragma once
/*
 * Node graph: which pods are bound to which node, and which secrets, config maps, claims and
 * service accounts they refer to. The node authorizer asks it; the API server feeds it from the
 * store's pods, in revision order. Loop thread only.
 */
#include "base/core/str.h"

#include <jansson.h>

struct node_graph;
void node_graph_new(struct node_graph **out);
void node_graph_free(struct node_graph *g);

void node_graph_set_pod(struct node_graph *g, const json_t *pod);
void node_graph_remove_pod(struct node_graph *g, const char *ns, const char *name);

/* Is this pod bound to that node? */
bool node_graph_owns_pod(const struct node_graph *g, const char *node, const char *ns,
                         const char *name);
/* Does a pod of that node refer to it? resource: secrets, configmaps, persistentvolumeclaims,
 * serviceaccounts. */
bool node_graph_refers(const struct node_graph *g, const char *node, const char *resource,
                       const char *ns, const char *name);

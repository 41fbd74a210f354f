#pragma once
/*
 * Node lifecycle: what the conditions and taints of a Node must be, given whether its lease is
 * still renewed. Pure. As upstream's pkg/controller/nodelifecycle does it.
 */
#include <jansson.h>
#include <stdbool.h>

/* The merge patch of nodes/status that says nobody heard of the node; NULL: it says so already.
 * why (may be "") is appended to Ready's message, which follows it when it changes; now is a
 * Time. */
json_t *node_lifecycle_unknown(const json_t *node, const char *why, const char *now);

/* The merge patch that gives node the taints its conditions and spec.unschedulable ask for; NULL:
 * it has them. Taints that are not ours stay as they are, and those of readiness too until a Ready
 * condition exists. */
json_t *node_lifecycle_taints(const json_t *node, const char *now);

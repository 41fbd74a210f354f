#pragma once
/*
 * Cloud node: what K3s's embedded cloud controller writes into a Node (pkg/cloudprovider), from the
 * annotations its agent put there. Pure.
 */
#include <jansson.h>

/* The merge patch of providerID, instance type labels and the uninitialized taint; NULL: all is
 * right, or the agent has not said its address yet (annotation k3s.io/internal-ip). */
json_t *cloud_node_patch(const json_t *node);
/* The merge patch of nodes/status with the addresses: InternalIP, ExternalIP, InternalDNS,
 * ExternalDNS, Hostname, in this order; NULL as above. */
json_t *cloud_node_status_patch(const json_t *node);

#pragma once
/*
 * Networks: --cluster-cidr and --service-cidr as K3s reads them: one network or two, one of each
 * family; the first says which family is the cluster's primary one. Any thread.
 */
#include "base/core/err.h"
#include "base/data/options.h"

/* What the options left out: K3s's networks of the family of the node's first address
 * (pkg/util GetDefaultAddresses). */
void networks_default(struct server_options *o, const char *node_ip);

/*
 * ERR_INVALID, and the text names the flag: no network; more than two or two of one family, pods
 * with too small or too large a network (as kube-apiserver and kube-controller-manager); pods and
 * services of other families; with a node of its own, one whose addresses lack a family of the pods
 * (K3s, pkg/agent/run.go).
 */
MUST_USE int networks_check(const struct server_options *o, const char *const *node_ips,
                            size_t n_node_ips, struct err *e);

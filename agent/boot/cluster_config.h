#pragma once
/*
 * Cluster config: what of the answer to GET /v1-k3s/config an agent acts on
 * (docs/protocols/registration.md). Sans-I/O.
 */
#include "base/core/err.h"
#include "base/core/str.h"
#include "base/kube/families.h"

#include <stdint.h>

#define CLUSTER_CIDRS_MAX  8  /* two are usual: one of each family */
#define CLUSTER_CIDR_BYTES 50 /* the longest IPv6 address and "/128" */

struct cluster_config {
    char cluster_dns[64];
    char cluster_domain[256];
    char egress_mode[16]; /* one that exists; "agent" where an old server does not say */
    /* The networks of pods, "10.42.0.0/16"; read in mode "cluster", where the tunnels need them. */
    char cluster_cidrs[CLUSTER_CIDRS_MAX][CLUSTER_CIDR_BYTES];
    size_t n_cluster_cidrs;
    struct families pods; /* of those networks, in every mode; none where they are not readable */
    bool disable_ccm;
    /* Both 0 when they are the same: else the API server has a port of its own. */
    uint16_t https_port, supervisor_port;
};

/* Reads the config document. ERR_INVALID names what is missing, wrong or not known. */
MUST_USE int cluster_config_parse(struct cluster_config *out, struct str body, struct err *e);
/* May a node with these addresses ("192.0.2.7,fd00::7") join? ERR_INVALID, in K3s's words: it lacks
 * a family of the pods (pkg/agent/run.go). */
MUST_USE int cluster_config_fits(const struct cluster_config *c, const char *node_ips,
                                 struct err *e);

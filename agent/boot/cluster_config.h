#pragma once
/*
 * Cluster config: what of the answer to GET /v1-k3s/config an agent acts on
 * (docs/protocols/registration.md). Sans-I/O.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdint.h>

struct cluster_config {
    char cluster_dns[64];
    char cluster_domain[256];
    char egress_mode[16];
    bool disable_ccm;
    /* Both 0 when they are the same: else the API server has a port of its own. */
    uint16_t https_port, supervisor_port;
};

/* Reads the config document. ERR_INVALID names what is missing or not supported. */
MUST_USE int cluster_config_parse(struct cluster_config *out, struct str body, struct err *e);

#pragma once
/*
 * Config document: the answer of GET /v1-k3s/config, what an agent of any K3s generation asks of
 * the cluster before it starts. Keys have exact case and exact JSON types: one wrong type makes a
 * K3s agent reject the whole object and try for ever (docs/protocols/registration.md).
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/data/options.h"

struct config_doc {
    const struct server_options *o;
    const char *node_name; /* of this server */
    const char *advertise_ip;
    const char *private_ip; /* the node's own */
    const char *ipsec_psk;  /* secret */
    const char *const *sans;
    size_t n_sans;
};

/* Appends the JSON object and a newline. ERR_INVALID names a network or port range that is none. */
MUST_USE int config_doc_write(struct buf *out, const struct config_doc *d, struct err *e);

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

/* "10.42.0.0/16": the network address and the mask. false when the text is none. */
struct cidr {
    int family; /* AF_INET or AF_INET6 */
    unsigned char ip[16];
    unsigned prefix_bits;
};
bool cidr_parse(struct cidr *out, const char *text);
/* The n-th address of the network as text (n small); out holds 46 bytes. */
void cidr_nth(char out[46], const struct cidr *c, unsigned n);

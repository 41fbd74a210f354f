#pragma once
/*
 * Node claim: which node a request is from that was not let in, and why it was not: from its client
 * certificate and its headers. Pure.
 *
 * A certificate that this cluster issued proves the node, whatever the date says: the handshake has
 * shown the key. Everything else is what somebody says of himself.
 */
#include "base/core/str.h"
#include "base/kube/cause.h"

#include <stdint.h>

struct node_claim {
    bool is_proved;
    enum cause cause;
    char node[254];
    char text[160];
};

struct node_claim_input {
    struct str leaf_der;      /* of the client certificate; empty: none was shown */
    struct str name;          /* the header k3s-Node-Name; empty: none */
    bool has_authorization;   /* a token was shown; it was not good */
    struct str client_ca_pem; /* of this cluster */
    int64_t now_unix_s;
};

/* False: it names no node, or there is nothing wrong that we could name. */
bool node_claim_of(struct node_claim *out, const struct node_claim_input *in);

#pragma once
/*
 * Expired node: reads a client certificate that is good but for its end: of a node that was off
 * until after it. It proves that this cluster made the holder of its key a node once, and nothing
 * about today; whoever lets such a node in asks for more (docs/protocols/registration.md). Nothing
 * but the renewal of that very certificate may be had with it.
 *
 * Sans-I/O, any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdint.h>

#define EXPIRED_NODE_NAME_BYTES 254

/* node: the X of system:node:X. ERR_INVALID: it is no certificate; ERR_DENIED: it has not expired,
 * is not a node's, not for clients, or not of a client CA that is itself valid now. */
MUST_USE int expired_node_check(char node[EXPIRED_NODE_NAME_BYTES], struct str leaf_der,
                                struct str client_ca_pem, int64_t now_unix_s, struct err *e);

#pragma once
/*
 * Service claims: what keeps several servers on one datastore from giving out one address twice.
 * Each address and node port that a Service holds is a key of its own, created and deleted in the
 * commit of that Service: of two commits that want the same the second fails as a whole, whichever
 * servers they came by. What a server has in memory (service_ip.h) may be a moment old and only
 * makes a good first choice.
 *
 *   /registry/coracle/serviceips/<address>    value: the key of the Service; IPv6 as RFC 5952
 *   /registry/coracle/nodeports/<port>
 *
 * Documents in, keys out; no I/O.
 */
#include "base/core/err.h"

#include <jansson.h>

#define SERVICE_CLAIMS_MAX 120 /* of one commit: the store takes 128 operations */

struct service_claims {
    struct service_claim {
        bool take; /* else it is given up */
        char key[88];
    } v[SERVICE_CLAIMS_MAX];
    size_t n;
};

/* The keys that change with obj in place of old, each once; either may be NULL. ERR_LIMIT: there
 * are more than a commit has room for. */
MUST_USE int service_claims_of(struct service_claims *out, const json_t *obj, const json_t *old,
                               struct err *e);

#define SERVICE_CLAIMS_PREFIX "/registry/coracle/"

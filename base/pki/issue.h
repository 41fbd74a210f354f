#pragma once
/*
 * Issue: makes certificates as K3s does (spec: CA and leaf rules of its deps and rancher's
 * cert-utils). Times are Unix seconds; the caller says what now is. Any thread.
 */
#include "base/core/err.h"

#include <stddef.h>
#include <stdint.h>

struct key;
struct x509;

#define ISSUE_CA_DAYS    (10 * 365)
#define ISSUE_LEAF_DAYS  365
#define ISSUE_BACKDATE_S 3600 /* notBefore of leaves: clocks of nodes may be behind */
/* notBefore of CAs. A CA proves itself by the hash in the tokens and cannot be replaced, so a first
 * start with a clock that is ahead must not make one that is not valid yet once the clock is right.
 */
#define ISSUE_CA_FROM_UNIX_S 0
#define ISSUE_SANS_MAX       256 /* names a peer may bring are bounded by this, too */
#define ISSUE_LIFE_ENV       "CATTLE_NEW_SIGNED_CERT_EXPIRATION_DAYS"

struct issue_spec {
    const char *common_name;
    const char *const *organizations; /* each becomes one O */
    size_t n_organizations;
    bool client_auth, server_auth;
    const char *const *sans; /* DNS names and IP texts; duplicates are left out */
    size_t n_sans;
    unsigned days; /* 0: what ISSUE_LIFE_ENV says, else 365 */
};

/* Self-signed, serial 0, CN "<prefix>-ca@<now>", valid until ten years from now. */
MUST_USE int issue_ca(struct x509 **out, const struct key *key, const char *prefix,
                      int64_t now_unix_s, struct err *e);
/* public may be a private key, too; only its public half is used. ERR_INVALID: a SAN that is
 * neither an IP nor a DNS name, an empty CN. ERR_EXPIRED: the CA is past its end. */
MUST_USE int issue_leaf(struct x509 **out, const struct x509 *ca, const struct key *ca_key,
                        const struct key *public, const struct issue_spec *spec, int64_t now_unix_s,
                        struct err *e);

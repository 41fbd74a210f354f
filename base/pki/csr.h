#pragma once
/*
 * CSR: PKCS#10 requests (RFC 2986) in DER, as agents post them. A server uses only the public key.
 * Sans-I/O, any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

struct key;

#define CSR_MAX_BYTES (16 * 1024) /* an RSA-8192 request has 2.3 KiB */

/* Appends a request with an empty subject, signed by key with SHA-256. */
MUST_USE int csr_make(struct buf *out, const struct key *key, struct err *e);
/* The public key of a request whose signature is good. Accepted are P-256, P-384 and RSA of 2048
 * bits or more. ERR_INVALID names what is wrong, ERR_LIMIT: too large, ERR_DENIED: bad signature
 * or a key that is not accepted. */
MUST_USE int csr_parse(struct key **public_out, struct str der, struct err *e);
/* Is it a request whose signature is good, whatever its key? Errors as above. */
MUST_USE int csr_check(struct str der, struct err *e);
/* Does its subject name this organization (a group of Kubernetes)? False for what is no request. */
bool csr_asks_for_organization(struct str der, const char *organization);

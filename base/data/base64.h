#pragma once
/* Base64 (RFC 4648 4, standard alphabet). Any thread. */
#include "base/core/buf.h"
#include "base/core/err.h"

MUST_USE int base64_add(struct buf *b, struct str bytes); /* padded */
MUST_USE int base64_add_unpadded(struct buf *b, struct str bytes);
/* Padded or not, nothing else tolerated but the line breaks of MIME when ws is set.
 * ERR_INVALID, ERR_LIMIT. */
MUST_USE int base64_decode(struct buf *out, struct str text, bool ws);
bool base64_valid(struct str text); /* what a Kubernetes []byte field accepts: padded, no blanks */
/* Base32 (RFC 4648 6), padded: node-config-hash. */
MUST_USE int base32_add(struct buf *b, struct str bytes);

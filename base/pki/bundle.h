#pragma once
/*
 * Bundle: PEM texts of several blocks: walking, splitting an answer into certificates and keys, and
 * the hash of a CA bundle that K3s tokens carry. Sans-I/O, any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

/* Text of one answer or file; K3s's largest bundles (rotated CAs) have a few dozen KiB. */
#define BUNDLE_MAX_BYTES  (256 * 1024)
#define BUNDLE_BLOCKS_MAX 128

struct bundle_block {
    struct str type; /* "CERTIFICATE" */
    struct str raw;  /* from the first '-' of BEGIN to the end of the END line, newline included */
    struct str body; /* what is between the lines: base64, perhaps after header lines */
    bool is_key;     /* type contains "PRIVATE KEY" */
};

/* The next block of *rest, which moves behind it. False: no more. Text between blocks and blocks
 * that never end are skipped, as Go's encoding/pem does. */
bool bundle_next(struct str *rest, struct bundle_block *out);
/* Appends the decoded bytes of a block; ERR_INVALID when they are no base64. */
MUST_USE int bundle_decode(const struct bundle_block *b, struct buf *out, struct err *e);
/* Appends a block with 64-column lines. */
MUST_USE int bundle_encode(struct buf *out, const char *type, struct str der);

/* Keys to keys_out, all else to certs_out, order kept, re-encoded; texts are appended. ERR_INVALID:
 * a block that is no base64; ERR_LIMIT: too large; ERR_NOT_FOUND: not one certificate in it. A
 * missing key is no error: keys_out then stays as it was. */
MUST_USE int bundle_split(struct str pem, struct buf *certs_out, struct buf *keys_out,
                          struct err *e);

/* Appends the first certificate's block as it stands. ERR_NOT_FOUND. */
MUST_USE int bundle_first_cert(struct str pem, struct buf *out, struct err *e);
size_t bundle_n_certs(struct str pem);

/* What a token's hash is compared with: of one certificate the SHA-256 of the text as received, of
 * several the SHA-256 of the DER of the root of the first one's chain; "" for what is no bundle.
 * at_unix_s as in x509_verify: a hash that must not depend on a clock is of X509_ANY_TIME. */
#define BUNDLE_HASH_CHARS 64
void bundle_ca_hash(char out[BUNDLE_HASH_CHARS + 1], struct str body, int64_t at_unix_s);
/* Lower-case hex SHA-256 of any bytes. */
void bundle_sha256_hex(char out[BUNDLE_HASH_CHARS + 1], struct str bytes);

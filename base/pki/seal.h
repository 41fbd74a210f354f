#pragma once
/*
 * Seal: bytes encrypted under a cluster's token, as K3s keeps its bootstrap data in a datastore
 * (K3s pkg/cluster/encrypt.go and storage.go):
 *
 *   <salt>:<base64 of nonce(12) | ciphertext | tag(16)>
 *
 * salt is 16 lower-case hex digits and is used as that text; AES-256-GCM without further data; the
 * key is PBKDF2-HMAC-SHA1 of the token's password, 4096 rounds, 32 bytes. Some milliseconds. Any
 * thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define SEAL_SALT_CHARS  16
#define SEAL_NONCE_BYTES 12

/* password: what token_password gives. Appends the text to out. */
MUST_USE int seal_close(struct buf *out, struct str plain, struct str password, struct err *e);
/* With this salt and nonce: for vectors. */
MUST_USE int seal_close_with(struct buf *out, struct str plain, struct str password,
                             const char salt[SEAL_SALT_CHARS + 1],
                             const unsigned char nonce[SEAL_NONCE_BYTES], struct err *e);

/* Appends what was sealed; out should be a BUF_SECRET. ERR_DENIED: another token, or it was
 * changed; ERR_INVALID: no such text. */
MUST_USE int seal_open(struct buf *out, struct str text, struct str password, struct err *e);

/* The key of a datastore that holds what this password opens: "/bootstrap/" and the first 12 hex
 * digits of its SHA-256. */
#define SEAL_KEY_CHARS 23
void seal_key(char out[SEAL_KEY_CHARS + 1], struct str password);

#pragma once
/*
 * Key: a private or public key: ECDSA P-256 for every certificate, RSA-2048 for service.key.
 *
 * Private PEM is what Go's tools write: SEC1 "EC PRIVATE KEY" and PKCS#1 "RSA PRIVATE KEY";
 * PKCS#8 "PRIVATE KEY" is read too. Errors: ERR_INVALID for bytes that are no such key. Memory
 * that held a private key is wiped. Any thread; a key is constant once made.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

struct key;

enum key_kind { KEY_P256, KEY_P384, KEY_RSA, KEY_OTHER };

#define KEY_PEM_MAX_BYTES (32 * 1024) /* an RSA-16384 key; service.key may hold a few keys */

/* KEY_P256 (a fraction of a millisecond), or KEY_RSA with 2048 bits (up to a second). */
MUST_USE int key_generate(struct key **out, enum key_kind kind, struct err *e);
/* The first private key of the text. */
MUST_USE int key_parse_pem(struct key **out, struct str pem, struct err *e);
void key_free(struct key *k);
DEFINE_AUTO(key);

/* Appends SEC1 or PKCS#1 PEM; out should be a BUF_SECRET. ERR_INVALID for a public key. */
MUST_USE int key_to_pem(const struct key *k, struct buf *out, struct err *e);
/* Appends the public half as "PUBLIC KEY" PEM. */
MUST_USE int key_public_to_pem(const struct key *k, struct buf *out, struct err *e);

enum key_kind key_kind(const struct key *k);
unsigned key_bits(const struct key *k);
bool key_same_public(const struct key *a, const struct key *b);

/* Reads path, or makes a key and writes it there with mode 0600 (temporary file and rename).
 * *created may be NULL. An existing file that is no key is ERR_INVALID and stays untouched. */
MUST_USE int key_load_or_create(struct key **out, const char *path, enum key_kind kind,
                                bool *created, struct err *e);

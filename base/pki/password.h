#pragma once
/*
 * Password: node passwords and the text of their hash as K3s keeps it in node-password secrets:
 * $1:<salt hex>:15:8:1:<base64 without padding>, scrypt (RFC 7914), 64-byte key.
 *
 * Hash and verify cost 32 MiB and some 80 ms: call them in the pool. Thread-safe, synchronous.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#define PASSWORD_CHARS          32
#define PASSWORD_HASH_MAX_BYTES 256

/* 16 random bytes as lower-case hex. */
void password_new(char out[PASSWORD_CHARS + 1]);

/* With a random salt. */
MUST_USE int password_hash(char out[PASSWORD_HASH_MAX_BYTES], struct str password, struct err *e);
/* With this salt of 8 bytes: for vectors. */
MUST_USE int password_hash_salted(char out[PASSWORD_HASH_MAX_BYTES], struct str password,
                                  const unsigned char salt[8], struct err *e);
/* 0: they match. ERR_DENIED: they do not. ERR_INVALID: the text is no such hash, or asks for more
 * work than we do (log N above 17, r above 16, p above 4). Constant time in the password. */
MUST_USE int password_verify(struct str hash, struct str password, struct err *e);

#pragma once
/* Digest: hashes of short byte strings (FIPS 180-4), on OpenSSL. Any thread. */
#include "base/core/err.h"
#include "base/core/str.h"

#define DIGEST_SHA1_BYTES   20 /* only where a protocol demands it: RFC 6455 4.2.2 */
#define DIGEST_SHA256_BYTES 32

void digest_sha1(unsigned char out[DIGEST_SHA1_BYTES], struct str s);
void digest_sha256(unsigned char out[DIGEST_SHA256_BYTES], struct str s);
/* Of a whole file, read block by block; blocking. Codes as err_sys gives them. */
MUST_USE int digest_sha256_file(unsigned char out[DIGEST_SHA256_BYTES], const char *path,
                                struct err *e);

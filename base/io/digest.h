#pragma once
/* Digest: hashes of short byte strings (FIPS 180-4), on OpenSSL. Any thread. */
#include "base/core/str.h"

#define DIGEST_SHA1_BYTES   20 /* only where a protocol demands it: RFC 6455 4.2.2 */
#define DIGEST_SHA256_BYTES 32

void digest_sha1(unsigned char out[DIGEST_SHA1_BYTES], struct str s);
void digest_sha256(unsigned char out[DIGEST_SHA256_BYTES], struct str s);

#pragma once
/* Digest: hashes of bytes in memory, by OpenSSL. Any thread. */
#include "base/core/str.h"

void digest_sha1(unsigned char out[20], struct str bytes); /* RFC 6455 4.2.2 wants it */
void digest_sha256(unsigned char out[32], struct str bytes);

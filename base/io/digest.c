#include "base/io/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static void digest(unsigned char *out, const EVP_MD *md, struct str s)
{
    if (EVP_Digest(s.p, s.n, out, NULL, md, NULL) == 1)
        return;
    fprintf(stderr, "digest: the library has no %s\n", EVP_MD_get0_name(md));
    abort(); /* nothing that follows could be trusted */
}

void digest_sha1(unsigned char out[DIGEST_SHA1_BYTES], struct str s)
{
    digest(out, EVP_sha1(), s);
}

void digest_sha256(unsigned char out[DIGEST_SHA256_BYTES], struct str s)
{
    digest(out, EVP_sha256(), s);
}

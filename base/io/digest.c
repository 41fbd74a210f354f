#include "base/io/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

static void digest(unsigned char *out, const EVP_MD *md, struct str bytes)
{
    if (EVP_Digest(bytes.p ? bytes.p : "", bytes.n, out, NULL, md, NULL) != 1)
        abort(); /* only out of memory */
}

void digest_sha1(unsigned char out[20], struct str bytes)
{
    digest(out, EVP_sha1(), bytes);
}

void digest_sha256(unsigned char out[32], struct str bytes)
{
    digest(out, EVP_sha256(), bytes);
}

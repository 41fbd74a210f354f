#include "base/io/digest.h"

#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_BLOCK_BYTES (64 * 1024)

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

int digest_sha256_file(unsigned char out[DIGEST_SHA256_BYTES], const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_free char *block = mem_alloc(FILE_BLOCK_BYTES);
    EVP_MD_CTX *c;
    ssize_t n;
    bool good;

    if (fd < 0)
        return err_sys(e, errno, "open %s", path);
    c = EVP_MD_CTX_new();
    good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
    while (good && (n = read(fd, block, FILE_BLOCK_BYTES)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_sys(e, errno, "read %s", path);
            EVP_MD_CTX_free(c);
            return e->code;
        }
        good = EVP_DigestUpdate(c, block, (size_t)n) == 1;
    }
    good = good && EVP_DigestFinal_ex(c, out, NULL) == 1;
    EVP_MD_CTX_free(c);
    return good ? 0 : err_set(e, ERR_IO, "digest of %s: the library has no SHA-256", path);
}

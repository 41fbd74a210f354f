#include "base/pki/seal.h"

#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/io/digest.h"
#include "base/pki/ossl.h"

#include <stdio.h>

enum { KEY_BYTES = 32, TAG_BYTES = 16, ROUNDS = 4096 };

DEFINE_OSSL_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

static int derive(unsigned char key[KEY_BYTES], struct str password, struct str salt, struct err *e)
{
    if (PKCS5_PBKDF2_HMAC(password.n ? password.p : "", (int)password.n,
                          (const unsigned char *)salt.p, (int)salt.n, ROUNDS, EVP_sha1(), KEY_BYTES,
                          key) != 1)
        return ossl_err(e, ERR_IO, "derive a key from the token");
    return 0;
}

/* ---- closing ---- */

static int encrypt(struct buf *out, struct str plain, const unsigned char key[KEY_BYTES],
                   const unsigned char nonce[SEAL_NONCE_BYTES], struct err *e)
{
    OSSL_AUTO(EVP_CIPHER_CTX) *ctx = EVP_CIPHER_CTX_new();
    int n = 0, n_last = 0;

    if (buf_add(out, nonce, SEAL_NONCE_BYTES) || buf_reserve(out, plain.n + TAG_BYTES))
        return err_set(e, ERR_LIMIT, "%zu bytes are too many to seal", plain.n);
    unsigned char *p = (unsigned char *)out->p + out->n;
    if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
        EVP_EncryptUpdate(ctx, p, &n, (const unsigned char *)plain.p, (int)plain.n) != 1 ||
        EVP_EncryptFinal_ex(ctx, p + n, &n_last) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, p + plain.n) != 1)
        return ossl_err(e, ERR_IO, "seal");
    out->n += plain.n + TAG_BYTES;
    return 0;
}

int seal_close_with(struct buf *out, struct str plain, struct str password,
                    const char salt[SEAL_SALT_CHARS + 1],
                    const unsigned char nonce[SEAL_NONCE_BYTES], struct err *e)
{
    auto_buf bytes = BUF(out->max);
    unsigned char key[KEY_BYTES];
    int rc = derive(key, password, str_of(salt), e) || encrypt(&bytes, plain, key, nonce, e);

    OPENSSL_cleanse(key, sizeof key);
    if (rc)
        return (int)e->code;
    if (buf_addf(out, "%s:", salt) || base64_add(out, buf_str(&bytes)))
        return err_set(e, ERR_LIMIT, "%zu bytes are too many to seal", plain.n);
    return 0;
}

int seal_close(struct buf *out, struct str plain, struct str password, struct err *e)
{
    unsigned char nonce[SEAL_NONCE_BYTES];
    char salt[SEAL_SALT_CHARS + 1];

    rand_bytes(nonce, sizeof nonce);
    rand_hex(salt, SEAL_SALT_CHARS / 2);
    return seal_close_with(out, plain, password, salt, nonce, e);
}

/* ---- opening ---- */

static int decrypt(struct buf *out, struct str bytes, const unsigned char key[KEY_BYTES],
                   struct err *e)
{
    OSSL_AUTO(EVP_CIPHER_CTX) *ctx = EVP_CIPHER_CTX_new();
    const unsigned char *nonce = (const unsigned char *)bytes.p, *p = nonce + SEAL_NONCE_BYTES;
    size_t n_plain = bytes.n - SEAL_NONCE_BYTES - TAG_BYTES;
    int n = 0, n_last = 0;

    if (buf_reserve(out, n_plain + 1))
        return err_set(e, ERR_LIMIT, "what is sealed is too large (%zu bytes)", n_plain);
    unsigned char *to = (unsigned char *)out->p + out->n;
    if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
        EVP_DecryptUpdate(ctx, to, &n, p, (int)n_plain) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
                            (void *)(uintptr_t)(p + n_plain)) != 1)
        return ossl_err(e, ERR_IO, "open a seal");
    if (EVP_DecryptFinal_ex(ctx, to + n, &n_last) != 1) {
        OPENSSL_cleanse(to, n_plain);
        return err_set(e, ERR_DENIED, "it was sealed with another token, or changed since");
    }
    out->n += n_plain;
    out->p[out->n] = '\0';
    return 0;
}

int seal_open(struct buf *out, struct str text, struct str password, struct err *e)
{
    auto_buf bytes = BUF(text.n);
    unsigned char key[KEY_BYTES];
    struct str salt, coded;
    int rc;

    if (!str_cut(text, ':', &salt, &coded) || salt.n != SEAL_SALT_CHARS ||
        base64_decode(&bytes, str_trim(coded), false) || bytes.n < SEAL_NONCE_BYTES + TAG_BYTES)
        return err_set(e, ERR_INVALID, "this is nothing that was sealed with a token");
    rc = derive(key, password, salt, e) || decrypt(out, buf_str(&bytes), key, e);
    OPENSSL_cleanse(key, sizeof key);
    return rc ? (int)e->code : 0;
}

void seal_key(char out[SEAL_KEY_CHARS + 1], struct str password)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    char hex[2 * DIGEST_SHA256_BYTES + 1];

    digest_sha256(digest, password);
    str_hex(hex, digest, sizeof digest);
    snprintf(out, SEAL_KEY_CHARS + 1, "/bootstrap/%.12s", hex);
}

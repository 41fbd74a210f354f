#include "base/pki/password.h"

#include "base/core/buf.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/pki/ossl.h"

#include <stdio.h>

enum { LOG_N = 15, BLOCK_R = 8, PARALLEL_P = 1, SALT_BYTES = 8, KEY_BYTES = 64 };
enum { LOG_N_MAX = 17, R_MAX = 16, P_MAX = 4, SALT_MAX = 32 }; /* 256 MiB: a text of ours asks 32 */

void password_new(char out[PASSWORD_CHARS + 1])
{
    rand_hex(out, PASSWORD_CHARS / 2);
}

static int derive(unsigned char *key, size_t n_key, struct str password, const unsigned char *salt,
                  size_t n_salt, unsigned log_n, uint64_t r, uint64_t p, struct err *e)
{
    const uint64_t mem_max = 300u << 20; /* OpenSSL stops at 32 MiB unless told */

    if (EVP_PBE_scrypt(password.n ? password.p : "", password.n, salt, n_salt, (uint64_t)1 << log_n,
                       r, p, mem_max, key, n_key) != 1)
        return ossl_err(e, ERR_IO, "scrypt");
    return 0;
}

int password_hash_salted(char out[PASSWORD_HASH_MAX_BYTES], struct str password,
                         const unsigned char salt[8], struct err *e)
{
    auto_buf text = BUF(PASSWORD_HASH_MAX_BYTES - 1);
    unsigned char key[KEY_BYTES];
    char salt_hex[2 * SALT_BYTES + 1];

    if (derive(key, sizeof key, password, salt, SALT_BYTES, LOG_N, BLOCK_R, PARALLEL_P, e))
        return (int)e->code;
    str_hex(salt_hex, salt, SALT_BYTES);
    if (buf_addf(&text, "$1:%s:%d:%d:%d:", salt_hex, LOG_N, BLOCK_R, PARALLEL_P) ||
        base64_add_unpadded(&text, str_n(key, sizeof key)))
        return err_set(e, ERR_LIMIT, "a password hash does not fit");
    memcpy(out, text.p, text.n + 1);
    return 0;
}

int password_hash(char out[PASSWORD_HASH_MAX_BYTES], struct str password, struct err *e)
{
    unsigned char salt[SALT_BYTES];

    rand_bytes(salt, sizeof salt);
    return password_hash_salted(out, password, salt, e);
}

struct parts {
    unsigned char salt[SALT_MAX];
    size_t n_salt;
    uint64_t log_n, r, p;
    struct buf key;
};

static int parse_parts(struct parts *out, struct str hash, struct err *e)
{
    struct str f[6], rest = hash;
    bool more = true;

    for (size_t i = 0; i < ARRAY_LEN(f); i++) {
        if (!more)
            return err_set(e, ERR_INVALID, "a password hash with fewer than six fields");
        more = str_cut(rest, ':', &f[i], &rest);
    }
    if (more)
        return err_set(e, ERR_INVALID, "a password hash with more than six fields");
    if (!str_is(f[0], "$1"))
        return err_set(e, ERR_INVALID, "a password hash of an unknown version");
    out->n_salt = f[1].n / 2;
    if (out->n_salt > SALT_MAX || !str_unhex(out->salt, out->n_salt, f[1]))
        return err_set(e, ERR_INVALID, "the salt of a password hash is wrong");
    if (!str_to_u64(f[2], &out->log_n) || !str_to_u64(f[3], &out->r) ||
        !str_to_u64(f[4], &out->p) || !out->log_n || !out->r || !out->p || out->log_n > LOG_N_MAX ||
        out->r > R_MAX || out->p > P_MAX)
        return err_set(e, ERR_INVALID, "the cost of a password hash is out of range");
    /* a shorter key could be met by chance */
    if (base64_decode(&out->key, f[5], false) || out->key.n < 16)
        return err_set(e, ERR_INVALID, "the key of a password hash is wrong");
    return 0;
}

int password_verify(struct str hash, struct str password, struct err *e)
{
    struct parts p = { .key = BUF(128) };
    unsigned char key[128];
    int r = parse_parts(&p, hash, e);

    if (!r)
        r = derive(key, p.key.n, password, p.salt, p.n_salt, (unsigned)p.log_n, p.r, p.p, e);
    if (!r && !str_eq_secret(str_n(key, p.key.n), buf_str(&p.key)))
        r = err_set(e, ERR_DENIED, "the password does not match");
    buf_deinit(&p.key);
    explicit_bzero(key, sizeof key);
    return r;
}

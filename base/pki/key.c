#include "base/pki/key.h"

#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/ossl.h"
#include "base/pki/pemfile.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>

struct key *key_wrap(EVP_PKEY *pkey_take, bool is_private)
{
    struct key *k = mem_alloc(sizeof *k);

    k->pkey = pkey_take;
    k->is_private = is_private;
    return k;
}

void key_free(struct key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey); /* clears private numbers */
    free(k);
}

int key_generate(struct key **out, enum key_kind kind, struct err *e)
{
    EVP_PKEY *p = NULL;

    if (kind == KEY_P256)
        p = EVP_EC_gen("P-256");
    else if (kind == KEY_P384)
        p = EVP_EC_gen("P-384");
    else if (kind == KEY_RSA)
        p = EVP_RSA_gen(2048);
    if (!p)
        return ossl_err(e, ERR_INVALID, "generate a key of kind %d", (int)kind);
    *out = key_wrap(p, true);
    return 0;
}

/* Without one OpenSSL would ask the terminal for a pass phrase. */
static int no_pass_phrase(char *p, int n, int writing, void *arg)
{
    (void)p, (void)n, (void)writing, (void)arg;
    return -1;
}

int key_parse_pem(struct key **out, struct str pem, struct err *e)
{
    struct bundle_block b;

    if (pem.n > BUNDLE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a key file of %zu bytes is too large", pem.n);
    while (bundle_next(&pem, &b)) {
        EVP_PKEY *p;

        if (!b.is_key)
            continue; /* "EC PARAMETERS", which openssl's tools put in front */
        if (str_is(b.type, "ENCRYPTED PRIVATE KEY"))
            return err_set(e, ERR_INVALID,
                           "the private key is encrypted; store it without a "
                           "pass phrase");
        OSSL_AUTO(BIO) *bio = ossl_bio(b.raw);
        p = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
        if (!p)
            return ossl_err(e, ERR_INVALID, "parse a block of type " STR_FMT, STR_ARG(b.type));
        *out = key_wrap(p, true);
        return 0;
    }
    return err_set(e, ERR_INVALID, "there is no private key in PEM form");
}

static int add_bio(struct buf *out, BIO *bio, struct err *e)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    if (n < 0 || buf_add(out, p, (size_t)n))
        return err_set(e, ERR_LIMIT, "a key of %ld bytes does not fit", n);
    return 0;
}

int key_to_pem(const struct key *k, struct buf *out, struct err *e)
{
    OSSL_AUTO(BIO) *bio = BIO_new(BIO_s_mem()); /* clears its memory when freed */

    if (!k->is_private)
        return err_set(e, ERR_INVALID, "a public key has no private PEM");
    if (!bio || !PEM_write_bio_PrivateKey_traditional(bio, k->pkey, NULL, NULL, 0, NULL, NULL))
        return ossl_err(e, ERR_INVALID, "write a private key");
    return add_bio(out, bio, e);
}

int key_public_to_pem(const struct key *k, struct buf *out, struct err *e)
{
    OSSL_AUTO(BIO) *bio = BIO_new(BIO_s_mem());

    if (!bio || !PEM_write_bio_PUBKEY(bio, k->pkey))
        return ossl_err(e, ERR_INVALID, "write a public key");
    return add_bio(out, bio, e);
}

enum key_kind key_kind(const struct key *k)
{
    char text[64];

    if (EVP_PKEY_is_a(k->pkey, "RSA"))
        return KEY_RSA;
    if (!EVP_PKEY_is_a(k->pkey, "EC"))
        return KEY_OTHER;
    /* explicit curve parameters are not what their name says until somebody compared them all */
    if (EVP_PKEY_get_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_ENCODING, text, sizeof text,
                                       NULL) == 1 &&
        strcmp(text, OSSL_PKEY_EC_ENCODING_GROUP) != 0)
        return KEY_OTHER;
    if (EVP_PKEY_get_group_name(k->pkey, text, sizeof text, NULL) != 1)
        return KEY_OTHER;
    if (!strcmp(text, "prime256v1"))
        return KEY_P256;
    return !strcmp(text, "secp384r1") ? KEY_P384 : KEY_OTHER;
}

unsigned key_bits(const struct key *k)
{
    int bits = EVP_PKEY_get_bits(k->pkey);

    return bits > 0 ? (unsigned)bits : 0;
}

bool key_same_public(const struct key *a, const struct key *b)
{
    return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

const EVP_MD *key_digest(const struct key *k)
{
    if (EVP_PKEY_is_a(k->pkey, "ED25519") || EVP_PKEY_is_a(k->pkey, "ED448"))
        return NULL;
    if (EVP_PKEY_is_a(k->pkey, "EC") && key_bits(k) > 256)
        return key_bits(k) > 384 ? EVP_sha512() : EVP_sha384();
    return EVP_sha256();
}

int key_load_or_create(struct key **out, const char *path, enum key_kind kind, bool *created,
                       struct err *e)
{
    auto_buf pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    AUTO(key) struct key *k = NULL;
    struct err read_e = { 0 };
    int r = pemfile_read(&pem, path, &read_e);

    if (r && r != ERR_NOT_FOUND) {
        *e = read_e;
        return r;
    }
    if (!r) {
        if (key_parse_pem(&k, buf_str(&pem), e))
            return err_wrap(e, "%s (move it away to have a new one made)", path);
    } else if (key_generate(&k, kind, e) || key_to_pem(k, &pem, e) ||
               pemfile_write(path, buf_str(&pem), 0600, e)) {
        return err_wrap(e, "new key");
    }
    if (created)
        *created = r != 0;
    *out = STEAL(k);
    return 0;
}

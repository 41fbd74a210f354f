#include "base/pki/bundle.h"

#include "base/data/base64.h"
#include "base/pki/ossl.h"
#include "base/pki/x509.h"

#include <openssl/sha.h>

static const struct str begin = STR("-----BEGIN "), end = STR("-----END "), dashes = STR("-----");

/* The line at *rest without its newline; *rest moves behind it. */
static struct str take_line(struct str *rest)
{
    struct str line;

    str_cut(*rest, '\n', &line, rest);
    return line;
}

/* "-----BEGIN X-----" -> X */
static bool is_boundary(struct str line, struct str prefix, struct str *type)
{
    line = str_trim(line);
    if (!str_starts(line, prefix) || line.n < prefix.n + dashes.n || !str_ends(line, dashes))
        return false;
    *type = str_n(line.p + prefix.n, line.n - prefix.n - dashes.n);
    return true;
}

bool bundle_next(struct str *rest, struct bundle_block *out)
{
    struct str type = { 0 }, end_type;
    const char *start = NULL, *body = NULL;

    while (rest->n) {
        const char *line_start = rest->p;
        struct str line = take_line(rest);

        if (is_boundary(line, begin, &end_type)) {
            type = end_type; /* a BEGIN inside a block starts anew: the outer one never ended */
            start = line_start;
            body = line_start + line.n + (rest->n ? 1 : 0);
        } else if (start && is_boundary(line, end, &end_type)) {
            if (!str_eq(type, end_type)) {
                start = NULL;
                continue;
            }
            size_t n = (size_t)(line_start - start) + line.n;
            bool newline = rest->n || (rest->p && rest->p > line_start + line.n);
            *out = (struct bundle_block){
                .type = type,
                .raw = str_n(start, n + newline),
                .body = str_n(body, (size_t)(line_start - body)),
            };
            out->is_key = type.n >= 11 && memmem(type.p, type.n, "PRIVATE KEY", 11);
            return true;
        }
    }
    return false;
}

/* Behind "Name: value" lines and the blank line after them (RFC 1421 headers), if there are any. */
static struct str without_headers(struct str body)
{
    struct str rest = body, line;

    if (!memchr(body.p ? body.p : "", ':', body.n))
        return body;
    while (rest.n) {
        line = str_trim(take_line(&rest));
        if (!line.n)
            return rest;
    }
    return body;
}

int bundle_decode(const struct bundle_block *b, struct buf *out, struct err *e)
{
    size_t n_before = out->n;
    int r = base64_decode(out, without_headers(b->body), true);

    if (r == ERR_LIMIT)
        return err_set(e, ERR_LIMIT, "a block of type " STR_FMT " is too large", STR_ARG(b->type));
    if (r || out->n == n_before)
        return err_set(e, ERR_INVALID, "a block of type " STR_FMT " is no base64",
                       STR_ARG(b->type));
    return 0;
}

static int encode_typed(struct buf *out, struct str type, struct str der)
{
    auto_buf text = BUF_SECRET(out->max);
    size_t n_before = out->n;

    if (base64_add(&text, der) || buf_addf(out, "-----BEGIN " STR_FMT "-----\n", STR_ARG(type)))
        return ERR_LIMIT;
    for (size_t at = 0; at < text.n; at += 64)
        if (buf_add(out, text.p + at, MIN(text.n - at, (size_t)64)) || buf_addc(out, '\n'))
            goto limit;
    if (!buf_addf(out, "-----END " STR_FMT "-----\n", STR_ARG(type)))
        return 0;
limit:
    out->n = n_before;
    out->p[n_before] = '\0';
    return ERR_LIMIT;
}

int bundle_encode(struct buf *out, const char *type, struct str der)
{
    return encode_typed(out, str_of(type), der);
}

int bundle_split(struct str pem, struct buf *certs_out, struct buf *keys_out, struct err *e)
{
    size_t n_blocks = 0, n_certs = 0;
    struct bundle_block b;

    if (pem.n > BUNDLE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a PEM text of %zu bytes is too large", pem.n);
    while (bundle_next(&pem, &b)) {
        auto_buf der = BUF_SECRET(BUNDLE_MAX_BYTES);

        if (++n_blocks > BUNDLE_BLOCKS_MAX)
            return err_set(e, ERR_LIMIT, "more than %d PEM blocks", BUNDLE_BLOCKS_MAX);
        if (b.type.n > 64)
            return err_set(e, ERR_INVALID, "a PEM block with a type of %zu bytes", b.type.n);
        if (bundle_decode(&b, &der, e))
            return (int)e->code;
        if (encode_typed(b.is_key ? keys_out : certs_out, b.type, buf_str(&der)))
            return err_set(e, ERR_LIMIT, "the PEM blocks do not fit");
        n_certs += str_is(b.type, "CERTIFICATE");
    }
    return n_certs ? 0 : err_set(e, ERR_NOT_FOUND, "there is no certificate in the PEM text");
}

int bundle_first_cert(struct str pem, struct buf *out, struct err *e)
{
    struct bundle_block b;

    while (bundle_next(&pem, &b)) {
        if (!str_is(b.type, "CERTIFICATE"))
            continue;
        if (buf_add_str(out, b.raw) || (b.raw.p[b.raw.n - 1] != '\n' && buf_addc(out, '\n')))
            return err_set(e, ERR_LIMIT, "a certificate of %zu bytes does not fit", b.raw.n);
        return 0;
    }
    return err_set(e, ERR_NOT_FOUND, "there is no certificate in the PEM text");
}

size_t bundle_n_certs(struct str pem)
{
    struct bundle_block b;
    size_t n = 0;

    while (bundle_next(&pem, &b))
        n += str_is(b.type, "CERTIFICATE");
    return n;
}

void bundle_sha256_hex(char out[BUNDLE_HASH_CHARS + 1], struct str bytes)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n, digest);
    str_hex(out, digest, sizeof digest);
}

void bundle_ca_hash(char out[BUNDLE_HASH_CHARS + 1], struct str body, int64_t at_unix_s)
{
    auto_x509_list certs = { 0 };
    struct str root;
    struct err e;

    out[0] = '\0';
    if (x509_list_parse_pem(&certs, body, &e))
        return;
    if (certs.n > 1 && !x509_chain_root(&certs, at_unix_s, &root))
        bundle_sha256_hex(out, root);
    else
        bundle_sha256_hex(out, body);
}

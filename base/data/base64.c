#include "base/data/base64.h"

static int add(struct buf *b, struct str in, bool pad)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)in.p;
    char *o;

    if (in.n > b->max || buf_reserve(b, (in.n + 2) / 3 * 4))
        return ERR_LIMIT;
    o = b->p + b->n;
    for (size_t i = 0; i < in.n; i += 3) {
        size_t n = MIN(in.n - i, (size_t)3);
        uint32_t v =
            (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        if (n > 1 || pad)
            *o++ = n > 1 ? alphabet[v >> 6 & 63] : '=';
        if (n > 2 || pad)
            *o++ = n > 2 ? alphabet[v & 63] : '=';
    }
    *o = '\0';
    b->n = (size_t)(o - b->p);
    return 0;
}

int base64_add(struct buf *b, struct str bytes)
{
    return add(b, bytes, true);
}

int base64_add_unpadded(struct buf *b, struct str bytes)
{
    return add(b, bytes, false);
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(struct buf *out, struct str text, bool ws)
{
    uint32_t acc = 0;
    unsigned n = 0, n_pad = 0;
    size_t before = out->n;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        int d = digit(c);
        if (ws && (c == '\n' || c == '\r' || c == ' ' || c == '\t'))
            continue;
        if (c == '=') {
            n_pad++;
            continue;
        }
        if (d < 0 || n_pad)
            goto invalid;
        acc = acc << 6 | (uint32_t)d;
        if (++n == 4) {
            char three[3] = { (char)(acc >> 16), (char)(acc >> 8), (char)acc };
            if (buf_add(out, three, 3))
                return ERR_LIMIT;
            acc = 0;
            n = 0;
        }
    }
    if (n == 1 || n_pad > 2 || (n_pad && n + n_pad != 4))
        goto invalid;
    if (n > 1) {
        char two[2] = { (char)(acc >> (6 * n - 8)), (char)(acc >> 2) };
        if (buf_add(out, two, n - 1))
            return ERR_LIMIT;
    }
    return 0;
invalid:
    out->n = before;
    if (out->p)
        out->p[before] = '\0';
    return ERR_INVALID;
}

bool base64_valid(struct str text)
{
    size_t n = text.n;

    if (n % 4)
        return false;
    for (unsigned pads = 0; n && text.p[n - 1] == '=' && pads < 2; pads++)
        n--;
    for (size_t i = 0; i < n; i++)
        if (digit(text.p[i]) < 0)
            return false;
    return true;
}

int base32_add(struct buf *b, struct str in)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const unsigned char *p = (const unsigned char *)in.p;

    if (in.n > b->max || buf_reserve(b, (in.n + 4) / 5 * 8))
        return ERR_LIMIT;
    for (size_t i = 0; i < in.n; i += 5) {
        size_t n = MIN(in.n - i, (size_t)5);
        size_t n_digits = (n * 8 + 4) / 5;
        uint64_t v = 0;
        for (size_t k = 0; k < 5; k++)
            v = v << 8 | (k < n ? p[i + k] : 0);
        for (size_t k = 0; k < 8; k++)
            b->p[b->n++] = k < n_digits ? alphabet[v >> (35 - 5 * k) & 31] : '=';
    }
    b->p[b->n] = '\0';
    return 0;
}

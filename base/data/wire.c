#include "base/data/wire.h"

#define VARINT_MAX 10 /* bytes */

/* ---- reading ---- */

struct wire_cursor wire_over(struct str message)
{
    const unsigned char *p = (const unsigned char *)(message.p ? message.p : "");

    return (struct wire_cursor){ p, p + message.n };
}

bool wire_varint(struct wire_cursor *c, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        unsigned char b = *c->p++;

        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

static bool fixed(struct wire_cursor *c, size_t n, uint64_t *out)
{
    uint64_t v = 0;

    if ((size_t)(c->end - c->p) < n)
        return false;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)c->p[i] << (8 * i);
    c->p += n;
    *out = v;
    return true;
}

int wire_next(struct wire_cursor *c, struct wire_item *out)
{
    uint64_t key, n;

    if (c->p == c->end)
        return 0;
    if (!wire_varint(c, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return -1;
    *out = (struct wire_item){ .number = (uint32_t)(key >> 3), .type = key & 7 };
    switch (out->type) {
    case WIRE_VARINT:
        return wire_varint(c, &out->n) ? 1 : -1;
    case WIRE_FIXED64:
        return fixed(c, 8, &out->n) ? 1 : -1;
    case WIRE_BYTES:
        if (!wire_varint(c, &n) || n > (uint64_t)(c->end - c->p))
            return -1;
        out->bytes = str_n(c->p, (size_t)n);
        c->p += n;
        return 1;
    case WIRE_FIXED32:
        return fixed(c, 4, &out->n) ? 1 : -1;
    default:
        return -1;
    }
}

/* ---- writing ---- */

static size_t put_varint(unsigned char out[VARINT_MAX], uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (unsigned char)(v | 0x80);
    out[n++] = (unsigned char)v;
    return n;
}

int wire_add_varint(struct buf *b, uint64_t v)
{
    unsigned char bytes[VARINT_MAX];

    return buf_add(b, bytes, put_varint(bytes, v));
}

static int add_key(struct buf *b, unsigned number, enum wire_type type)
{
    return wire_add_varint(b, (uint64_t)number << 3 | type);
}

int wire_add_int(struct buf *b, unsigned number, uint64_t v)
{
    return add_key(b, number, WIRE_VARINT) ? ERR_LIMIT : wire_add_varint(b, v);
}

int wire_add_fixed64(struct buf *b, unsigned number, uint64_t v)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    return add_key(b, number, WIRE_FIXED64) ? ERR_LIMIT : buf_add(b, bytes, sizeof bytes);
}

int wire_add_head(struct buf *b, unsigned number, size_t n)
{
    return add_key(b, number, WIRE_BYTES) ? ERR_LIMIT : wire_add_varint(b, n);
}

int wire_add_bytes(struct buf *b, unsigned number, struct str bytes)
{
    return wire_add_head(b, number, bytes.n) ? ERR_LIMIT : buf_add_str(b, bytes);
}

int wire_open(struct buf *b, unsigned number, size_t *at)
{
    if (add_key(b, number, WIRE_BYTES) || buf_addc(b, '\0'))
        return ERR_LIMIT;
    *at = b->n;
    return 0;
}

/* One byte is kept for the length; a longer one moves the message. */
int wire_close(struct buf *b, size_t at)
{
    unsigned char bytes[VARINT_MAX];
    size_t len = b->n - at, n = put_varint(bytes, len);

    if (n > 1) {
        if (buf_add(b, bytes, n - 1)) /* room; the bytes are overwritten */
            return ERR_LIMIT;
        memmove(b->p + at + n - 1, b->p + at, len);
    }
    memcpy(b->p + at - 1, bytes, n);
    return 0;
}

size_t wire_bytes_size(unsigned number, size_t n)
{
    unsigned char bytes[VARINT_MAX];

    return put_varint(bytes, (uint64_t)number << 3 | WIRE_BYTES) + put_varint(bytes, n) + n;
}

#include "tunnel/frame.h"

enum { VARINT_MAX_BYTES = 10 };

/* What is left of a message. */
struct cursor {
    const unsigned char *p, *end;
};

static int varint_get(struct cursor *c, int64_t *out, const char *field, struct err *e)
{
    uint64_t u = 0;

    for (unsigned i = 0; i < VARINT_MAX_BYTES; i++) {
        unsigned char b;

        if (c->p == c->end)
            return err_set(e, ERR_PROTOCOL, "%s is cut off", field);
        b = *c->p++;
        if (i == VARINT_MAX_BYTES - 1 && b > 1) /* the tenth byte holds bit 63 and ends it */
            break;
        u |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *out = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
            return 0;
        }
    }
    return err_set(e, ERR_PROTOCOL, "%s does not fit into 64 bits", field);
}

static size_t varint_put(char *out, int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
    size_t n = 0;

    while (u >= 0x80) {
        out[n++] = (char)(u | 0x80);
        u >>= 7;
    }
    out[n++] = (char)u;
    return n;
}

static bool has_deadline(int64_t type)
{
    return type == TUNNEL_FRAME_DATA || type == TUNNEL_FRAME_CONNECT;
}

static size_t body_max(int64_t type)
{
    switch (type) {
    case TUNNEL_FRAME_CONNECT:
        return TUNNEL_FRAME_ADDRESS_MAX;
    case TUNNEL_FRAME_ERROR:
    case TUNNEL_FRAME_ADD_CLIENT:
    case TUNNEL_FRAME_REMOVE_CLIENT:
        return TUNNEL_FRAME_TEXT_MAX;
    default:
        return SIZE_MAX;
    }
}

int tunnel_frame_decode(struct tunnel_frame *out, struct str message, struct err *e)
{
    struct tunnel_frame f = { 0 };
    struct cursor c = { (const unsigned char *)message.p, NULL };

    c.end = c.p + message.n;
    if (varint_get(&c, &f.id, "message id", e) || varint_get(&c, &f.conn, "stream number", e) ||
        varint_get(&c, &f.type, "message type", e))
        return e->code;
    if (has_deadline(f.type) && varint_get(&c, &f.deadline_ms, "deadline", e))
        return e->code;
    f.body = str_n(c.p, MIN((size_t)(c.end - c.p), body_max(f.type)));
    *out = f;
    return 0;
}

size_t tunnel_frame_head(char out[TUNNEL_FRAME_HEAD_MAX], const struct tunnel_frame *f)
{
    size_t n = varint_put(out, f->id);

    n += varint_put(out + n, f->conn);
    n += varint_put(out + n, f->type);
    if (has_deadline(f->type))
        n += varint_put(out + n, f->deadline_ms);
    return n;
}

int tunnel_frame_connect(struct str body, struct str *proto, struct str *address, struct err *e)
{
    struct str head, rest;

    if (!str_cut(body, '/', &head, &rest))
        return err_set(e, ERR_PROTOCOL, "Connect without a '/': " STR_FMT, STR_ARG(body));
    *proto = head;
    *address = rest;
    return 0;
}

int tunnel_frame_client(struct str body, struct str *client, int64_t *session, struct err *e)
{
    struct str head, rest;
    int64_t number;

    if (!str_cut(body, '/', &head, &rest) || !str_to_i64(rest, &number))
        return err_set(e, ERR_PROTOCOL, "not clientKey/sessionKey: " STR_FMT, STR_ARG(body));
    *client = head;
    *session = number;
    return 0;
}

int tunnel_frame_sync_n(struct str body, size_t *n, struct err *e)
{
    if (body.n % 8 != 0)
        return err_set(e, ERR_PROTOCOL, "SyncConnections of %zu bytes, not a multiple of 8",
                       body.n);
    *n = body.n / 8;
    return 0;
}

int64_t tunnel_frame_sync_get(struct str body, size_t i)
{
    uint64_t u = 0;

    for (size_t k = 8; k-- > 0;)
        u = u << 8 | (unsigned char)body.p[8 * i + k];
    return (int64_t)u;
}

void tunnel_frame_sync_put(char out[8], int64_t conn)
{
    uint64_t u = (uint64_t)conn;

    for (size_t k = 0; k < 8; k++, u >>= 8)
        out[k] = (char)u;
}

#include "tunnel/mux_frame.h"

/* What stands between head and bytes: the smallest and largest body, and whether it has a stream.
 */
static const struct {
    const char *name;
    uint16_t min, max;
} shapes[] = {
    [MUX_OPEN] = { "OPEN", 8 + 1, 8 + MUX_TARGET_MAX },
    [MUX_OPEN_OK] = { "OPEN-OK", 4, 4 },
    [MUX_OPEN_FAIL] = { "OPEN-FAIL", 3, UINT16_MAX }, /* a longer text is cut, not refused */
    [MUX_DATA] = { "DATA", 1, MUX_DATA_MAX },
    [MUX_CREDIT] = { "CREDIT", 4, 4 },
    [MUX_FIN] = { "FIN", 0, 0 },
    [MUX_RESET] = { "RESET", 3, UINT16_MAX },
    [MUX_GOAWAY] = { "GOAWAY", 3, UINT16_MAX },
};

/* The numbers of reasons on the wire. */
static const enum err_code codes[] = { ERR_OK, ERR_DENIED,   ERR_LIMIT,  ERR_TIMEOUT,
                                       ERR_IO, ERR_PROTOCOL, ERR_CLOSED, ERR_NOT_FOUND };
enum { REASON_IO = 4 };

const char *mux_frame_name(enum mux_frame_type type)
{
    return type >= MUX_OPEN && type <= MUX_GOAWAY ? shapes[type].name : "frame";
}

static uint32_t get_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static size_t put_u32(char *p, uint32_t n)
{
    p[0] = (char)(n >> 24);
    p[1] = (char)(n >> 16);
    p[2] = (char)(n >> 8);
    p[3] = (char)n;
    return 4;
}

static void get_reason(struct mux_frame *f)
{
    const unsigned char *b = (const unsigned char *)f->body.p;

    f->code = b[0] < ARRAY_LEN(codes) ? codes[b[0]] : ERR_IO;
    f->sys = b[1] << 8 | b[2];
    f->body = str_n(f->body.p + 3, MIN(f->body.n - 3, (size_t)MUX_TEXT_MAX));
}

int mux_frame_decode(struct mux_frame *out, struct str message, struct err *e)
{
    struct mux_frame f = { 0 };
    unsigned type;

    if (message.n < MUX_HEAD_BYTES)
        return err_set(e, ERR_PROTOCOL, "a frame of %zu bytes", message.n);
    type = (unsigned char)message.p[0];
    if (type < MUX_OPEN || type > MUX_GOAWAY)
        return err_set(e, ERR_PROTOCOL, "a frame of unknown type %u", type);
    f.type = (enum mux_frame_type)type;
    f.stream = get_u32(message.p + 1);
    f.body = str_n(message.p + MUX_HEAD_BYTES, message.n - MUX_HEAD_BYTES);
    if (f.body.n < shapes[type].min || f.body.n > shapes[type].max)
        return err_set(e, ERR_PROTOCOL, "%s with %zu bytes", shapes[type].name, f.body.n);
    if ((f.stream == 0) != (type == MUX_GOAWAY))
        return err_set(e, ERR_PROTOCOL, "%s on stream %u", shapes[type].name, f.stream);
    switch (f.type) {
    case MUX_OPEN:
    case MUX_OPEN_OK:
    case MUX_CREDIT:
        f.credit = get_u32(f.body.p);
        if (f.credit > MUX_CREDIT_MAX || (f.type == MUX_CREDIT && f.credit == 0))
            return err_set(e, ERR_PROTOCOL, "%s of %u bytes", shapes[type].name, f.credit);
        if (f.type == MUX_OPEN) {
            f.timeout_ms = get_u32(f.body.p + 4);
            f.body = str_n(f.body.p + 8, f.body.n - 8);
        } else {
            f.body = str_n(NULL, 0);
        }
        break;
    case MUX_OPEN_FAIL:
    case MUX_RESET:
    case MUX_GOAWAY:
        get_reason(&f);
        break;
    case MUX_DATA:
    case MUX_FIN:
        break;
    }
    *out = f;
    return 0;
}

static size_t put_reason(char *p, const struct mux_frame *f)
{
    size_t code = 0, n = MIN(f->body.n, (size_t)MUX_TEXT_MAX);

    while (code < ARRAY_LEN(codes) && codes[code] != f->code)
        code++;
    p[0] = (char)(code < ARRAY_LEN(codes) ? code : REASON_IO);
    p[1] = (char)(f->sys >> 8);
    p[2] = (char)f->sys;
    if (n)
        memcpy(p + 3, f->body.p, n);
    return 3 + n;
}

size_t mux_frame_encode(char out[MUX_SMALL_MAX], const struct mux_frame *f)
{
    size_t n = MUX_HEAD_BYTES, n_target;

    out[0] = (char)f->type;
    put_u32(out + 1, f->stream);
    switch (f->type) {
    case MUX_OPEN:
        n += put_u32(out + n, f->credit);
        n += put_u32(out + n, f->timeout_ms);
        n_target = MIN(f->body.n, (size_t)MUX_TARGET_MAX);
        if (n_target)
            memcpy(out + n, f->body.p, n_target);
        n += n_target;
        break;
    case MUX_OPEN_OK:
    case MUX_CREDIT:
        n += put_u32(out + n, f->credit);
        break;
    case MUX_OPEN_FAIL:
    case MUX_RESET:
    case MUX_GOAWAY:
        n += put_reason(out + n, f);
        break;
    case MUX_DATA:
    case MUX_FIN:
        break;
    }
    return n;
}

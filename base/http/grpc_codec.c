/* gRPC as bytes: message frames, statuses, timeouts (grpc/grpc doc/PROTOCOL-HTTP2.md). */
#include "base/http/grpc.h"

#include "base/http/url.h"

#include <stdio.h>

/*
 *   +------------+----------------------+---------...
 *   | compressed | length, big endian   | message
 *   |  1 byte    |  4 bytes             |
 *   +------------+----------------------+---------...
 */
int grpc_frame_add(struct buf *out, struct str message)
{
    const size_t n = message.n;
    const unsigned char head[5] = { 0, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                    (unsigned char)(n >> 8), (unsigned char)n };

    if (n > UINT32_MAX || buf_reserve(out, sizeof head + n))
        return ERR_LIMIT;
    err_ignore(buf_add(out, head, sizeof head)); /* reserved above */
    return buf_add_str(out, message);
}

void grpc_reader_init(struct grpc_reader *r, size_t message_max_bytes)
{
    *r = (struct grpc_reader){ .message_max_bytes = message_max_bytes,
                               .message = BUF(message_max_bytes) };
}

void grpc_reader_deinit(struct grpc_reader *r)
{
    buf_deinit(&r->message);
}

static int read_head(struct grpc_reader *r, struct err *e)
{
    const unsigned char *h = r->head;

    if (h[0] > 1)
        return err_set(e, ERR_PROTOCOL, "gRPC frame with flag %u", h[0]);
    if (h[0] == 1)
        return err_set(e, ERR_PROTOCOL, "compressed gRPC message, although we offered none");
    r->n_missing = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
    if (r->n_missing > r->message_max_bytes)
        return err_set(e, ERR_LIMIT, "gRPC message of %zu bytes, the limit is %zu", r->n_missing,
                       r->message_max_bytes);
    if (r->message.cap > 64 * 1024)
        buf_deinit(&r->message); /* a rare big message must not stay in memory */
    buf_clear(&r->message);
    return 0;
}

int grpc_reader_read(struct grpc_reader *r, struct str *in, bool *done, struct err *e)
{
    *done = false;
    while (r->n_head < sizeof r->head && in->n > 0) {
        r->head[r->n_head++] = (unsigned char)*in->p;
        *in = str_n(in->p + 1, in->n - 1);
        if (r->n_head == sizeof r->head && read_head(r, e))
            return e->code;
    }
    if (r->n_head < sizeof r->head)
        return 0;
    if (r->n_missing > 0) {
        size_t n = MIN(in->n, r->n_missing);
        err_ignore(buf_add(&r->message, in->p, n)); /* read_head looked at the limit */
        *in = str_n(in->p + n, in->n - n);
        r->n_missing -= n;
    }
    if (r->n_missing == 0) {
        *done = true;
        r->n_head = 0;
    }
    return 0;
}

/* ---- status ---- */

static const struct {
    const char *name;
    enum err_code code;
} statuses[] = {
    /* grpc/grpc doc/statuscodes.md */
    { "OK", ERR_OK },
    { "CANCELLED", ERR_CANCELED },
    { "UNKNOWN", ERR_IO },
    { "INVALID_ARGUMENT", ERR_INVALID },
    { "DEADLINE_EXCEEDED", ERR_TIMEOUT },
    { "NOT_FOUND", ERR_NOT_FOUND },
    { "ALREADY_EXISTS", ERR_EXISTS },
    { "PERMISSION_DENIED", ERR_DENIED },
    { "RESOURCE_EXHAUSTED", ERR_LIMIT },
    { "FAILED_PRECONDITION", ERR_CONFLICT }, /* the state is another one: look, then retry */
    { "ABORTED", ERR_CONFLICT },
    { "OUT_OF_RANGE", ERR_EXPIRED },  /* etcd: the revision has been compacted */
    { "UNIMPLEMENTED", ERR_INVALID }, /* the text begins with it when the peer gives none */
    { "INTERNAL", ERR_IO },
    { "UNAVAILABLE", ERR_AGAIN },
    { "DATA_LOSS", ERR_IO },
    { "UNAUTHENTICATED", ERR_DENIED },
};

int grpc_status_err(struct err *e, unsigned status, struct str message)
{
    auto_buf plain = BUF(4096);

    if (status == 0)
        return 0;
    if (status >= ARRAY_LEN(statuses))
        return err_set(e, ERR_PROTOCOL, "gRPC status %u: " STR_FMT, status, STR_ARG(message));
    if (message.n == 0)
        return err_set(e, statuses[status].code, "%s", statuses[status].name);
    if (message.n <= plain.max && !url_decode(&plain, message))
        message = buf_str(&plain); /* else raw: a bad escape must not hide the message */
    return err_set(e, statuses[status].code, "%s: " STR_FMT, statuses[status].name,
                   STR_ARG(message));
}

void grpc_timeout_text(char out[16], uint64_t timeout_ms)
{
    if (timeout_ms <= 99999999)
        snprintf(out, 16, "%um", (unsigned)timeout_ms);
    else
        snprintf(out, 16, "%uS", (unsigned)MIN(timeout_ms / 1000, (uint64_t)99999999));
}

#include "base/http/h2_head.h"

void h2_head_in_init(struct h2_head_in *in, bool server)
{
    *in = (struct h2_head_in){ .server = server };
    in->pseudo = BUF(H2_PSEUDO_MAX_BYTES);
    in->head.content_length = -1;
    http_headers_init(&in->head.headers, HTTP_HEADERS_MAX_BYTES);
    http_headers_init(&in->trailers, HTTP_HEADERS_MAX_BYTES);
}

void h2_head_in_deinit(struct h2_head_in *in)
{
    buf_deinit(&in->pseudo);
    http_headers_deinit(&in->head.headers);
    http_headers_deinit(&in->trailers);
}

static void refuse(struct h2_head_in *in, int status)
{
    if (!in->head.refuse)
        in->head.refuse = status;
}

static void add_pseudo(struct h2_head_in *in, struct str name, struct str value)
{
    static const char *const names[H2_N_PSEUDO] = { ":method", ":scheme", ":authority", ":path" };
    uint64_t status;

    if (str_is(name, ":status")) {
        if (str_to_u64(value, &status) && status < 1000)
            in->head.status = (int)status;
        return;
    }
    for (size_t i = 0; i < H2_N_PSEUDO; i++) {
        if (!str_is(name, names[i]))
            continue;
        if (i == H2_PATH && value.n > HTTP_TARGET_MAX_BYTES) {
            refuse(in, 414);
            return;
        }
        in->at[i] = in->pseudo.n;
        in->n[i] = value.n;
        if (buf_add_str(&in->pseudo, value)) {
            in->n[i] = 0;
            refuse(in, 431);
        }
    }
}

enum h2_head_verdict h2_head_in_add(struct h2_head_in *in, struct str name, struct str value)
{
    int64_t length;

    in->n_bytes += name.n + value.n;
    if (in->n_bytes > H2_REFUSED_HEAD_MAX_BYTES)
        return H2_HEAD_TOO_BIG;
    if (in->is_whole)
        return http_headers_add(&in->trailers, name, value) ? H2_HEAD_RESET : H2_HEAD_GOOD;
    if (name.n > 0 && name.p[0] == ':') {
        add_pseudo(in, name, value);
        return H2_HEAD_GOOD;
    }
    if (str_is(name, "content-length") && str_to_i64(value, &length))
        in->head.content_length = length;
    if (in->head.refuse)
        return H2_HEAD_GOOD;
    switch (http_headers_add(&in->head.headers, name, value)) {
    case 0:
        return H2_HEAD_GOOD;
    case ERR_LIMIT:
        refuse(in, 431);
        break;
    default:
        refuse(in, 400);
        break;
    }
    return in->server ? H2_HEAD_GOOD : H2_HEAD_RESET;
}

static struct str pseudo_of(const struct h2_head_in *in, enum h2_pseudo i)
{
    return str_n(in->pseudo.p + (in->n[i] ? in->at[i] : 0), in->n[i]);
}

bool h2_head_in_end(struct h2_head_in *in, bool end)
{
    struct h2_head *head = &in->head;

    if (!in->server && head->status / 100 == 1 && !end) { /* an interim answer */
        head->headers.n = 0;
        buf_clear(&head->headers.text);
        head->status = 0;
        return false;
    }
    in->is_whole = true;
    head->method = pseudo_of(in, H2_METHOD);
    head->scheme = pseudo_of(in, H2_SCHEME);
    head->authority = pseudo_of(in, H2_AUTHORITY);
    head->path = pseudo_of(in, H2_PATH);
    if (head->authority.n == 0)
        head->authority = http_headers_get(&head->headers, "host");
    head->end = end;
    return true;
}

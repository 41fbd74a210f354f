/*
 * gRPC calls: each is one HTTP/2 request whose body and answer are message frames, and whose
 * outcome is grpc-status, in the trailers or, for an answer without messages, in the head.
 */
#include "base/http/grpc.h"

#include "base/core/mem.h"
#include "base/io/stream.h"

#include <assert.h>
#include <string.h>

#define UNARY_TIMEOUT_MS (2 * 60 * 1000)

struct grpc_call {
    struct http_call *http;
    struct grpc_call_events events;
    void *arg;
    char *path;
    struct grpc_reader reader;
    bool has_status; /* of the head: a trailers-only answer */
    bool ended;      /* our own verdict is in err, the cancellation follows */
    struct err err;
    struct err status; /* from the head */
};

static void fail(struct grpc_call *c, const struct err *e)
{
    if (c->ended)
        return;
    c->ended = true;
    c->err = *e;
    http_call_cancel(c->http);
}

/* From grpc-status and grpc-message; false: they are not there. e->code is 0 for OK. */
static bool read_status(struct err *e, const struct http_headers *h)
{
    struct str status = http_headers_get(h, "grpc-status");
    uint64_t n;

    e->code = ERR_OK;
    if (!status.p)
        return false;
    if (!str_to_u64(status, &n) || n > 1000)
        err_set(e, ERR_PROTOCOL, "bad grpc-status \"" STR_FMT "\"", STR_ARG(status));
    else
        grpc_status_err(e, (unsigned)n, http_headers_get(h, "grpc-message"));
    return true;
}

/* grpc/grpc doc/http-grpc-status-mapping.md: a proxy or another kind of server answered. */
static void http_status_err(struct err *e, int status)
{
    unsigned s = 2; /* UNKNOWN */

    if (status == 400)
        s = 13; /* INTERNAL */
    else if (status == 401)
        s = 16; /* UNAUTHENTICATED */
    else if (status == 403)
        s = 7; /* PERMISSION_DENIED */
    else if (status == 404)
        s = 12; /* UNIMPLEMENTED */
    else if (status == 429 || (status >= 502 && status <= 504))
        s = 14; /* UNAVAILABLE */
    grpc_status_err(e, s, (struct str){ NULL, 0 });
    err_wrap(e, "HTTP status %d", status);
}

static void on_head(struct http_call *h, void *arg, int status, const struct http_headers *head)
{
    struct grpc_call *c = arg;
    struct str type = http_headers_get(head, "content-type");
    struct err e;

    (void)h;
    c->has_status = read_status(&c->status, head);
    if (c->has_status)
        return;
    if (status != 200) {
        http_status_err(&e, status);
        fail(c, &e);
    } else if (!str_starts(type, STR("application/grpc"))) {
        err_set(&e, ERR_PROTOCOL, "the answer is \"" STR_FMT "\", not application/grpc",
                STR_ARG(type));
        fail(c, &e);
    }
}

static void on_body(struct http_call *h, void *arg, const char *p, size_t n)
{
    struct grpc_call *c = arg;
    struct str in = str_n(p, n);
    struct err e;
    bool done = true;

    (void)h;
    while (!c->ended && done) {
        if (grpc_reader_read(&c->reader, &in, &done, &e)) {
            fail(c, &e);
            return;
        }
        if (done)
            c->events.on_message(c, c->arg, buf_str(&c->reader.message));
    }
}

static void on_drain(struct http_call *h, void *arg)
{
    struct grpc_call *c = arg;

    (void)h;
    if (c->events.on_drain && !c->ended)
        c->events.on_drain(c, c->arg);
}

static void on_done(struct http_call *h, void *arg, const struct err *transport)
{
    struct grpc_call *c = arg;
    const char *method = strrchr(c->path, '/');
    struct err e = { 0 };

    if (c->ended)
        e = c->err;
    else if (transport)
        e = *transport;
    else if (c->has_status)
        e = c->status;
    else if (!read_status(&e, http_call_trailers(h)))
        err_set(&e, ERR_PROTOCOL, "the answer ended without grpc-status");
    if (!e.code && !grpc_reader_is_between(&c->reader))
        err_set(&e, ERR_PROTOCOL, "the answer ended in the middle of a message");
    if (e.code)
        err_wrap(&e, "%s", method ? method + 1 : c->path);
    c->events.on_done(c, c->arg, e.code ? &e : NULL);
    grpc_reader_deinit(&c->reader);
    free(c->path);
    free(c);
}

static const struct http_call_events http_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_drain = on_drain,
    .on_done = on_done,
};

/* only: the one message of the request, which can then be sent again; NULL: a stream of them. */
static struct grpc_call *start(struct http_endpoint *ep, const struct grpc_call_config *cfg,
                               const struct str *only, const struct grpc_call_events *events,
                               void *arg)
{
    size_t n_headers = 0, max = cfg->message_max_bytes;
    struct http_header *headers = mem_calloc(cfg->n_metadata + 4, sizeof *headers);
    struct grpc_call *c = mem_alloc(sizeof *c);
    auto_buf body = BUF(only ? only->n + 5 : 1);
    char timeout[16];

    c->events = *events;
    c->arg = arg;
    c->path = mem_strdup(cfg->path);
    grpc_reader_init(&c->reader, max ? max : GRPC_MESSAGE_MAX_BYTES);
    headers[n_headers++] =
        (struct http_header){ STR("content-type"), STR("application/grpc+proto") };
    headers[n_headers++] = (struct http_header){ STR("te"), STR("trailers") };
    headers[n_headers++] = (struct http_header){ STR("user-agent"), STR("grpc-c-coracle/1") };
    if (cfg->timeout_ms) {
        grpc_timeout_text(timeout, cfg->timeout_ms);
        headers[n_headers++] = (struct http_header){ STR("grpc-timeout"), str_of(timeout) };
    }
    for (size_t i = 0; i < cfg->n_metadata; i++)
        headers[n_headers++] = cfg->metadata[i];
    if (only)
        err_ignore(grpc_frame_add(&body, *only)); /* the maximum is made for it */
    http_call_start(&c->http, ep,
                    &(struct http_call_config){ .method = "POST",
                                                .target = cfg->path,
                                                .headers = headers,
                                                .n_headers = n_headers,
                                                .body = buf_str(&body),
                                                .stream_body = !only,
                                                .timeout_ms = cfg->timeout_ms,
                                                .head_timeout_ms = HTTP_NO_TIMEOUT },
                    &http_events, c);
    free(headers);
    return c;
}

void grpc_call_start(struct grpc_call **out, struct http_endpoint *ep,
                     const struct grpc_call_config *cfg, const struct grpc_call_events *events,
                     void *arg)
{
    *out = start(ep, cfg, NULL, events, arg);
}

void grpc_call_send(struct grpc_call *c, struct str message)
{
    auto_buf frame = BUF(message.n + 5);

    err_ignore(grpc_frame_add(&frame, message)); /* the maximum is made for it */
    http_call_write(c->http, frame.p, frame.n);
}

void grpc_call_end(struct grpc_call *c)
{
    http_call_end(c->http);
}

size_t grpc_call_queued(const struct grpc_call *c)
{
    return http_call_queued(c->http);
}

void grpc_call_pause(struct grpc_call *c)
{
    http_call_pause(c->http);
}

void grpc_call_resume(struct grpc_call *c)
{
    http_call_resume(c->http);
}

void grpc_cancel(struct grpc_call *c)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "the call was canceled");
    fail(c, &e);
}

/* ---- unary ---- */

struct unary {
    struct buf reply;
    bool has_reply;
    grpc_reply_fn done;
    void *arg;
};

static void on_unary_message(struct grpc_call *c, void *arg, struct str message)
{
    struct unary *u = arg;
    struct err e;

    if (u->has_reply) {
        err_set(&e, ERR_PROTOCOL, "more than one reply");
        fail(c, &e);
        return;
    }
    u->has_reply = true;
    u->reply = BUF(message.n + 1);
    err_ignore(buf_add_str(&u->reply, message)); /* the maximum is made for it */
}

static void on_unary_done(struct grpc_call *c, void *arg, const struct err *e)
{
    struct unary *u = arg;
    struct err missing;

    if (!e && !u->has_reply) {
        const char *method = strrchr(c->path, '/');
        err_set(&missing, ERR_PROTOCOL, "%s: status OK without a reply",
                method ? method + 1 : c->path);
        e = &missing;
    }
    u->done(u->arg, e ? (struct str){ NULL, 0 } : buf_str(&u->reply), e);
    buf_deinit(&u->reply);
    free(u);
}

struct grpc_call *grpc_unary_with(struct http_endpoint *ep, const struct grpc_call_config *cfg,
                                  struct str message, grpc_reply_fn done, void *arg)
{
    static const struct grpc_call_events events = { .on_message = on_unary_message,
                                                    .on_done = on_unary_done };
    struct grpc_call_config c = *cfg;
    struct unary *u = mem_alloc(sizeof *u);

    c.timeout_ms = c.timeout_ms ? c.timeout_ms : UNARY_TIMEOUT_MS;
    u->done = done;
    u->arg = arg;
    return start(ep, &c, &message, &events, u);
}

struct grpc_call *grpc_unary(struct http_endpoint *ep, const char *path, struct str message,
                             uint64_t timeout_ms, grpc_reply_fn done, void *arg)
{
    return grpc_unary_with(
        ep, &(struct grpc_call_config){ .path = path, .timeout_ms = timeout_ms }, message, done,
        arg);
}

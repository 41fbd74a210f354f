/*
 * HTTP/2 connections of the server: many requests at a time, each with a stream of its own.
 *
 * Events of the codec only note what happened and put the request on the due list of its
 * connection; the step behind h2_feed calls the handlers, then pulls what they wrote, in as few
 * writes as possible. on_done alone comes from inside an event (the stream closed), which the codec
 * allows.
 */
#include <stdio.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/h2.h"
#include "base/http/server_impl.h"

#define PULL_BYTES (64 * 1024)

struct h2_side {
    struct h2 *h2;
    struct list reqs; /* http_req.in_conn */
    struct list due;  /* http_req.in_due */
    bool leaving;     /* a request asked for it: goes when none is left */
    bool told;        /* that the server leaves */
};

static void h2_due(struct http_req *r)
{
    if (list_empty(&r->in_due))
        list_push(&r->conn->h2->due, &r->in_due);
    conn_due(r->conn);
}

/* ---- events of the codec ---- */

static void note(struct http_req *r)
{
    if (list_empty(&r->in_due))
        list_push(&r->conn->h2->due, &r->in_due);
}

static void on_head(void *arg, struct h2_stream *st, const struct h2_head *head)
{
    struct http_conn *c = arg;
    struct http_req *r = mem_alloc(sizeof *r);
    bool connect = str_is(head->method, "CONNECT");

    req_init(r, c);
    r->h2 = st;
    r->fresh = true;
    r->method = head->method;
    req_set_target(r, connect ? head->authority : head->path);
    r->headers = &head->headers;
    r->host = head->authority;
    r->content_length = head->end ? 0 : head->content_length;
    r->has_body = !head->end;
    r->is_head = str_is(r->method, "HEAD");
    h2_set_user(st, r);
    list_push(&c->h2->reqs, &r->in_conn);
    c->first_done = true;
    note(r);
    if (head->refuse) {
        r->fresh = false; /* no handler hears of it */
        req_refuse(r, head->refuse, "the head of the request is not acceptable");
    }
}

static void on_data(void *arg, struct h2_stream *st, const char *p, size_t n)
{
    struct http_req *r = h2_user(st);
    size_t n_taken;

    (void)arg;
    if (!r) {
        h2_consume(st, n);
        return;
    }
    n_taken = req_body(r, p, n);
    if (n_taken > 0)
        h2_consume(st, n_taken);
    note(r);
}

static void on_end(void *arg, struct h2_stream *st)
{
    struct http_req *r = h2_user(st);

    (void)arg;
    if (!r)
        return;
    r->body_ended = true;
    note(r);
}

static void on_drain(void *arg, struct h2_stream *st)
{
    struct http_req *r = h2_user(st);

    (void)arg;
    if (!r)
        return;
    r->drain_due = true;
    note(r);
}

static void req_free(struct http_req *r)
{
    req_deinit(r);
    free(r);
}

static void on_close(void *arg, struct h2_stream *st, uint32_t error_code)
{
    struct http_conn *c = arg;
    struct http_req *r = h2_user(st);
    struct err e = { 0 };

    if (!r)
        return;
    if (r->aborted)
        err_set(&e, ERR_CANCELED, "the answer was cut off");
    else if (r->reply != REPLY_ENDED || error_code != H2_NO_ERROR)
        err_set(&e, ERR_CLOSED, "the peer reset the request (HTTP/2 code %u)", error_code);
    c->h2->leaving |= r->set_close;
    if (!r->fresh)
        req_done(r, e.code ? &e : NULL);
    req_free(r);
}

static const struct h2_events codec_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* ---- answers ---- */

static void h2_reply(struct http_req *r, int status, const struct http_header *headers,
                     size_t n_headers, int64_t length, struct str body, bool whole)
{
    enum { N_ON_STACK = 40 };
    struct http_header on_stack[N_ON_STACK], *h = on_stack;
    auto_free void *heap = NULL;
    bool no_body = r->is_head || status == 204 || status == 304;
    bool end = whole && (no_body || body.n == 0);
    struct err e = { 0 };
    char text[24];
    size_t n = 0;

    if (n_headers + 1 > N_ON_STACK)
        h = heap = mem_calloc(n_headers + 1, sizeof *h);
    for (size_t i = 0; i < n_headers; i++) /* the length is the server's business, as on h1 */
        if (!str_eq_nocase(headers[i].name, STR("content-length")))
            h[n++] = headers[i];
    if (length >= 0 && status != 204 && status != 304)
        h[n++] = (struct http_header){ STR("content-length"),
                                       str_n(text, (size_t)snprintf(text, sizeof text, "%lld",
                                                                    (long long)length)) };
    if (h2_respond(r->h2, status, h, n, end, &e)) {
        if (log_allowed(&r->conn->server->log_bad_head))
            log_error("a handler's answer has a bad head", kv("path", r->path), kv("err", e.text));
        r->reply = REPLY_ENDED;
        if (h2_respond(r->h2, 500, NULL, 0, true, &e))
            h2_reset(r->h2, H2_INTERNAL_ERROR);
        return;
    }
    if (end)
        return;
    if (whole) {
        h2_write(r->h2, body.p, body.n);
        h2_end(r->h2);
    }
}

static void h2_reply_write(struct http_req *r, const void *p, size_t n)
{
    if (r->is_head)
        return;
    h2_write(r->h2, p, n);
    conn_due(r->conn);
}

static size_t h2_reply_queued(const struct http_req *r)
{
    return h2_queued(r->h2);
}

static void h2_reply_end(struct http_req *r)
{
    h2_end(r->h2);
}

static void h2_abort(struct http_req *r)
{
    h2_reset(r->h2, H2_INTERNAL_ERROR);
}

/* RFC 9113 8.1: an interim answer is possible, but every HTTP/2 client sends the body anyway: the
 * window is its permission. */
static void h2_go_on(struct http_req *r)
{
    (void)r;
}

static void h2_consumed(struct http_req *r, size_t n)
{
    h2_consume(r->h2, n);
    conn_due(r->conn); /* the window update goes out */
}

/* ---- flow ---- */

static void run_due(struct http_conn *c)
{
    struct list *l;

    while ((l = list_pop(&c->h2->due))) {
        struct http_req *r = container_of(l, struct http_req, in_due);
        if (r->fresh) {
            r->fresh = false;
            c->server->config.on_request(r, c->server->config.arg);
        }
        req_step(r);
    }
}

/* Everything that is to be sent now, as far as the peer takes it. */
static int pull(struct http_conn *c, struct err *e)
{
    struct buf *out = &c->server->h2_out;
    size_t n_pulled = 1;

    while (n_pulled > 0 && stream_queued(c->stream) < STREAM_HIGH_BYTES) {
        int r;

        buf_clear(out);
        r = h2_pull(c->h2->h2, out, PULL_BYTES, e);
        n_pulled = out->n; /* 0: nothing, or flow control holds it and the peer's update wakes us */
        if (n_pulled > 0)
            stream_write(c->stream, out->p, out->n);
        if (r)
            return r;
        run_due(c); /* what drained may write more */
    }
    return 0;
}

static void h2_leave(struct http_conn *c);

static void h2_step(struct http_conn *c)
{
    struct h2_side *s = c->h2;
    struct err e = { 0 };

    run_due(c);
    if (c->closing)
        return;
    if (c->server->leaving && !s->told) {
        s->told = true;
        h2_goaway(s->h2, H2_NO_ERROR);
    }
    if (pull(c, &e)) {
        c->ops->fail(c, &e);
        conn_close_flushed(c);
        return;
    }
    if (h2_is_over(s->h2)) {
        err_set(&e, ERR_CLOSED, "the HTTP/2 connection is over");
        c->ops->fail(c, &e);
        conn_close_flushed(c);
        return;
    }
    if (s->leaving && list_empty(&s->reqs)) {
        h2_leave(c);
        conn_close_flushed(c);
        return;
    }
    conn_wait(c, list_empty(&s->reqs) ? c->first_done ? WAIT_IDLE : WAIT_HEADER : WAIT_NONE);
}

static void h2_data(struct http_conn *c, const char *p, size_t n)
{
    struct err e = { 0 };

    if (h2_feed(c->h2->h2, p, n, &e)) {
        struct err ignored = { 0 };
        err_ignore(pull(c, &ignored)); /* the GOAWAY */
        if (c->closing)
            return;
        c->ops->fail(c, &e);
        conn_close_flushed(c);
        return;
    }
    h2_step(c);
}

static void h2_leave(struct http_conn *c)
{
    struct err ignored = { 0 };

    h2_goaway(c->h2->h2, H2_NO_ERROR);
    err_ignore(pull(c, &ignored)); /* it is closed in any case */
}

static void h2_late(struct http_conn *c, enum wait w)
{
    (void)w;
    h2_leave(c);
    conn_close_flushed(c);
}

static void h2_fail(struct http_conn *c, const struct err *e)
{
    struct list all = LIST(all), *l;

    list_move_all(&all, &c->h2->reqs);
    while ((l = list_pop(&all))) {
        struct http_req *r = container_of(l, struct http_req, in_conn);
        h2_set_user(r->h2, NULL);
        if (!r->fresh)
            req_done(r, e);
        req_free(r);
    }
}

static void h2_side_free(struct http_conn *c)
{
    h2_free(c->h2->h2);
    free(c->h2);
    c->h2 = NULL;
}

const struct proto_ops server_h2_ops = {
    .data = h2_data,
    .step = h2_step,
    .drain = h2_step,
    .late = h2_late,
    .leave = h2_leave,
    .fail = h2_fail,
    .free = h2_side_free,
    .reply = h2_reply,
    .write = h2_reply_write,
    .queued = h2_reply_queued,
    .end = h2_reply_end,
    .abort = h2_abort,
    .go_on = h2_go_on,
    .consumed = h2_consumed,
    .due = h2_due,
};

void server_h2_start(struct http_conn *c)
{
    struct h2_side *s = mem_alloc(sizeof *s);
    const struct h2_config config = { .server = true,
                                      .n_streams_max = c->server->config.n_h2_streams_max,
                                      .events = &codec_events,
                                      .arg = c };

    c->ops = &server_h2_ops;
    c->h2 = s;
    list_init(&s->reqs);
    list_init(&s->due);
    s->h2 = h2_new(&config);
}

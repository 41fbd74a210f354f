/*
 * HTTP/1.1 connections of the server: one request at a time, in order.
 *
 *   IDLE --bytes--> HEAD --whole--> RUNNING --answered--> IDLE (keep-alive) or closing
 *                     |                +--http_upgrade--> handed over
 *                     +--bad, late--> 4xx/505, closing
 *
 * on_request is called behind h1_feed, not inside it, so that an upgrade there knows what came
 * behind the head. While a request runs, what the peer sends behind it waits in conn.in, and so do
 * we: the stream is paused then, else it stays readable, for that is how a peer that leaves is
 * noticed.
 */
#include <assert.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/h1.h"
#include "base/http/server_impl.h"

#define OUT_MAX_BYTES   (1024 * 1024) /* a head, and a small body in the same write */
#define OUT_KEEP_BYTES  (16 * 1024)   /* bodies up to this go out in one write with the head */
#define IN_HIGH_BYTES   (16 * 1024)   /* pipelined bytes beyond which reading stops */
#define HELD_HIGH_BYTES (64 * 1024)   /* of a body nobody reads yet */

struct h1_side {
    struct h1 *parser;
    const struct h1_head *head; /* of the running request */
    struct http_req req;
    bool running;
    bool waits_continue; /* the peer waits for 100 Continue */
    bool reading_off;
    bool close_after;
    bool chunked;
    bool no_body;        /* HEAD, 204, 304: what the handler writes is dropped */
    bool failed;         /* the answer cannot be finished: cut it */
    int64_t length_left; /* of a declared Content-Length; -1: none */
    struct str rest;     /* during h1_run: bytes behind what was fed */
    struct buf out;
};

/* ---- events of the codec ---- */

static void on_head(void *arg, const struct h1_head *head)
{
    struct http_conn *c = arg;
    struct h1_side *s = c->h1;
    struct http_req *r = &s->req;

    s->head = head;
    s->running = true;
    s->waits_continue = head->expect_continue;
    s->close_after = !head->keep_alive;
    s->chunked = s->no_body = s->failed = false;
    s->length_left = -1;
    c->first_done = true;
    req_init(r, c);
    r->fresh = true;
    r->method = head->method;
    req_set_target(r, head->target);
    r->headers = &head->headers;
    r->host = http_headers_get(r->headers, "Host");
    r->content_length = head->chunked ? -1 : head->has_body ? head->content_length : 0;
    r->has_body = head->has_body;
    r->is_head = str_is(r->method, "HEAD");
}

static void on_body(void *arg, const char *p, size_t n)
{
    struct http_conn *c = arg;

    c->h1->waits_continue = false; /* it did not wait */
    req_body(&c->h1->req, p, n);
}

static void on_end(void *arg)
{
    struct http_conn *c = arg;

    c->h1->req.body_ended = true;
}

static const struct h1_events codec_events = { on_head, on_body, on_end };

/* ---- writing ---- */

static void flush_out(struct http_conn *c)
{
    struct buf *out = &c->h1->out;

    if (out->n > 0)
        stream_write(c->stream, out->p, out->n);
    if (out->cap > 2 * OUT_KEEP_BYTES)
        buf_deinit(out);
    buf_clear(out);
}

/* A head that is not allowed to be is the handler's bug; the peer gets a 500 for it. */
static void put_head(struct http_req *r, int status, const struct http_header *headers,
                     size_t n_headers, int64_t framing)
{
    struct h1_side *s = r->conn->h1;
    struct err e = { 0 };

    if (!h1_put_response(&s->out, status, headers, n_headers, framing, &e))
        return;
    if (log_allowed(&r->conn->server->log_bad_head))
        log_error("a handler's answer has a bad head", kv("path", r->path), kv("err", e.text));
    s->failed = s->close_after = true;
    err_ignore(buf_adds(&s->out, "HTTP/1.1 500 Internal Server Error\r\n" /* it fits */
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n"));
}

static void h1_reply(struct http_req *r, int status, const struct http_header *headers,
                     size_t n_headers, int64_t length, struct str body, bool whole)
{
    enum { N_ON_STACK = 40 };
    struct http_header on_stack[N_ON_STACK], *h = on_stack;
    auto_free void *heap = NULL;
    struct http_conn *c = r->conn;
    struct h1_side *s = c->h1;
    int64_t framing = length >= 0 ? length : H1_BODY_CHUNKED;

    s->waits_continue = false;
    if (r->set_close || !r->body_ended || c->server->leaving)
        s->close_after = true; /* what is left of the body is not worth reading */
    if (length < 0 && s->head->minor == 0) {
        framing = H1_BODY_NONE; /* until close */
        s->close_after = true;
    }
    s->no_body = r->is_head || status == 204 || status == 304;
    if (status == 204 || status == 304)
        framing = H1_BODY_NONE; /* RFC 9110 8.6 */
    s->chunked = framing == H1_BODY_CHUNKED;
    s->length_left = framing >= 0 ? framing : -1;

    if (s->close_after || s->head->minor == 0) {
        if (n_headers + 1 > N_ON_STACK)
            h = heap = mem_calloc(n_headers + 1, sizeof *h);
        memcpy(h, headers, n_headers * sizeof *h);
        h[n_headers++] = (struct http_header){ STR("Connection"),
                                               s->close_after ? STR("close") : STR("keep-alive") };
        headers = h;
    }
    put_head(r, status, headers, n_headers, framing);
    if (s->failed) {
        r->reply = REPLY_ENDED;
        whole = true;
    }
    if (!whole) {
        flush_out(c); /* a watcher waits for the head */
        return;
    }
    if (!s->no_body && !s->failed && body.n > 0) {
        if (body.n <= OUT_KEEP_BYTES) {
            err_ignore(buf_add_str(&s->out, body)); /* it fits: OUT_MAX_BYTES */
        } else {
            flush_out(c);
            stream_write(c->stream, body.p, body.n);
        }
    }
    flush_out(c);
}

static void h1_write(struct http_req *r, const void *p, size_t n)
{
    struct http_conn *c = r->conn;
    struct h1_side *s = c->h1;
    char head[20];
    size_t n_head;

    if (s->no_body || s->failed)
        return;
    if (!s->chunked) {
        if (s->length_left >= 0) {
            if ((uint64_t)n > (uint64_t)s->length_left) {
                log_error("a handler wrote more than its Content-Length", kv("path", r->path));
                n = (size_t)s->length_left;
            }
            s->length_left -= (int64_t)n;
        }
        if (n > 0)
            stream_write(c->stream, p, n);
        return;
    }
    n_head = h1_chunk_head(head, n);
    if (n <= OUT_KEEP_BYTES) {
        err_ignore(buf_add(&s->out, head, n_head)); /* they fit */
        err_ignore(buf_add(&s->out, p, n));
        err_ignore(buf_adds(&s->out, H1_CHUNK_END));
        flush_out(c);
    } else {
        stream_write(c->stream, head, n_head);
        stream_write(c->stream, p, n);
        stream_write(c->stream, H1_CHUNK_END, sizeof H1_CHUNK_END - 1);
    }
}

static size_t h1_queued(const struct http_req *r)
{
    return stream_queued(r->conn->stream);
}

static void h1_end(struct http_req *r)
{
    struct h1_side *s = r->conn->h1;

    if (s->no_body || s->failed)
        return;
    if (s->chunked) {
        stream_write(r->conn->stream, H1_LAST_CHUNK, sizeof H1_LAST_CHUNK - 1);
    } else if (s->length_left > 0) {
        log_error("a handler wrote less than its Content-Length", kv("path", r->path));
        s->failed = true; /* only a cut tells the peer */
    }
}

static void h1_abort(struct http_req *r)
{
    (void)r; /* the step closes the connection */
}

static void h1_go_on(struct http_req *r)
{
    struct http_conn *c = r->conn;

    if (!c->h1->waits_continue || r->reply != REPLY_NONE || c->closing)
        return;
    c->h1->waits_continue = false;
    stream_write(c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

static void h1_consumed(struct http_req *r, size_t n)
{
    (void)r; /* the step looks at what is held */
    (void)n;
}

static void h1_due(struct http_req *r)
{
    conn_due(r->conn);
}

/* ---- flow ---- */

static void update_reading(struct http_conn *c)
{
    const struct h1_side *s = c->h1;
    bool off;

    if (c->closing || !c->stream)
        return;
    off = c->in.n > IN_HIGH_BYTES ||
          (s->running && !s->req.body_done &&
           (s->req.held.n >= HELD_HIGH_BYTES || (s->req.paused && !s->req.body_ended)));
    if (off == s->reading_off)
        return;
    c->h1->reading_off = off;
    if (off)
        stream_pause(c->stream);
    else
        stream_resume(c->stream);
}

static void refuse(struct http_conn *c, int status, const char *why)
{
    struct h1_side *s = c->h1;
    auto_buf text = BUF(512);
    const struct http_header h[] = {
        { STR("Date"), str_of(server_date(c->server)) },
        { STR("Content-Type"), STR("text/plain; charset=utf-8") },
        { STR("Connection"), STR("close") },
    };
    struct err e = { 0 };

    err_ignore(buf_addf(&text, "%d %s: %s\n", status, http_status_text(status), why));  /* short */
    err_ignore(h1_put_response(&s->out, status, h, ARRAY_LEN(h), (int64_t)text.n, &e)); /* fits */
    err_ignore(buf_add_str(&s->out, buf_str(&text)));
    flush_out(c);
}

static void bad_input(struct http_conn *c, struct err *e)
{
    struct h1_side *s = c->h1;

    h1_stop(s->parser);
    if (!s->running || s->req.reply == REPLY_NONE) {
        refuse(c, h1_error_status(s->parser), e->text);
        if (s->running && !s->req.fresh)
            req_done(&s->req, e);
        conn_close_flushed(c);
    } else {
        if (!s->req.fresh)
            req_done(&s->req, e);
        conn_close(c); /* half an answer must not look whole */
    }
}

/* The request is answered. */
static void finish(struct http_conn *c)
{
    struct h1_side *s = c->h1;
    struct err e = { 0 };
    bool close = s->close_after || s->req.set_close || !s->req.body_ended || c->server->leaving;

    if (s->req.aborted || s->failed) {
        err_set(&e, ERR_CANCELED, "the answer was cut off");
        conn_close(c);
        req_done(&s->req, &e);
        s->running = false;
        return;
    }
    req_done(&s->req, NULL);
    req_deinit(&s->req);
    s->running = false;
    if (c->closing)
        return;
    if (close) {
        conn_close_flushed(c);
        return;
    }
    h1_next(s->parser);
}

/* One turn of the running request; false when it is still running. */
static bool run_request(struct http_conn *c)
{
    struct h1_side *s = c->h1;
    struct http_req *r = &s->req;

    if (r->fresh) {
        r->fresh = false;
        c->server->config.on_request(r, c->server->config.arg);
    }
    if (c->stream && !r->done)
        req_step(r);
    if (!c->stream)
        return false; /* handed over */
    if (r->reply == REPLY_ENDED || r->aborted || r->done)
        finish(c);
    return !s->running;
}

static void update_wait(struct http_conn *c)
{
    if (c->closing || !c->stream)
        return;
    if (c->h1->running)
        conn_wait(c, WAIT_NONE);
    else if (!h1_is_idle(c->h1->parser) || !c->first_done)
        conn_wait(c, WAIT_HEADER);
    else if (c->server->leaving)
        conn_close_flushed(c);
    else
        conn_wait(c, WAIT_IDLE);
}

static void h1_run(struct http_conn *c, const char *p, size_t n)
{
    struct h1_side *s = c->h1;
    struct err e = { 0 };
    size_t used;

    s->rest = str_n(p, n);
    for (;;) {
        /* Pipelined bytes wait for their turn. */
        if (n > 0 && !c->closing && (!s->running || !s->req.body_ended)) {
            int r = h1_feed(s->parser, p, n, &used, &e);
            p += used;
            n -= used;
            s->rest = str_n(p, n);
            if (r) {
                bad_input(c, &e);
                break;
            }
        }
        if (!s->running)
            break;
        if (!run_request(c) || c->closing)
            break;
        if (n == 0)
            break;
    }
    s->rest = (struct str){ NULL, 0 };
    if (c->closing || !c->stream)
        return;
    if (n > 0 && buf_add(&c->in, p, n)) {
        err_set(&e, ERR_LIMIT, "too many pipelined bytes");
        conn_fail(c, &e);
        return;
    }
    update_reading(c);
    update_wait(c);
}

/* What waited, and what came now. */
static void h1_data(struct http_conn *c, const char *p, size_t n)
{
    struct buf in;

    if (c->in.n == 0) {
        h1_run(c, p, n);
        return;
    }
    if (n > 0 && buf_add(&c->in, p, n)) {
        struct err e = { 0 };
        err_set(&e, ERR_LIMIT, "too many pipelined bytes");
        conn_fail(c, &e);
        return;
    }
    in = c->in;
    c->in = BUF(in.max);
    h1_run(c, in.p, in.n);
    buf_deinit(&in);
}

static void h1_step(struct http_conn *c)
{
    h1_data(c, NULL, 0);
}

static void h1_drain(struct http_conn *c)
{
    if (!c->h1->running)
        return;
    c->h1->req.drain_due = true;
    h1_step(c);
}

static void h1_late(struct http_conn *c, enum wait w)
{
    if (w == WAIT_HEADER && !h1_is_idle(c->h1->parser)) {
        refuse(c, 408, "the head of the request did not come in time");
        conn_close_flushed(c);
    }
}

static void h1_leave(struct http_conn *c)
{
    (void)c; /* HTTP/1.1 has no goodbye */
}

static void h1_fail(struct http_conn *c, const struct err *e)
{
    struct h1_side *s = c->h1;
    bool half = s->running && s->req.reply == REPLY_STREAMING;

    h1_stop(s->parser);
    if (!s->running)
        return;
    s->running = false;
    if (half)
        conn_close(c); /* half an answer must not look whole */
    if (!s->req.fresh)
        req_done(&s->req, s->req.reply == REPLY_ENDED && !s->req.aborted && !s->failed ? NULL : e);
}

static void h1_side_free(struct http_conn *c)
{
    req_deinit(&c->h1->req);
    h1_free(c->h1->parser);
    buf_deinit(&c->h1->out);
    free(c->h1);
    c->h1 = NULL;
}

const struct proto_ops server_h1_ops = {
    .data = h1_data,
    .step = h1_step,
    .drain = h1_drain,
    .late = h1_late,
    .leave = h1_leave,
    .fail = h1_fail,
    .free = h1_side_free,
    .reply = h1_reply,
    .write = h1_write,
    .queued = h1_queued,
    .end = h1_end,
    .abort = h1_abort,
    .go_on = h1_go_on,
    .consumed = h1_consumed,
    .due = h1_due,
};

void server_h1_start(struct http_conn *c)
{
    struct h1_side *s = mem_alloc(sizeof *s);

    c->ops = &server_h1_ops;
    c->h1 = s;
    s->parser = h1_new(H1_REQUEST, &codec_events, c);
    s->out = BUF(OUT_MAX_BYTES);
    req_init(&s->req, c);
}

/* ---- upgrade ---- */

/* Between us and the new owner nobody listens; the stream is paused for that moment. */
static void nobody_closed(void *arg)
{
    (void)arg;
}
static const struct stream_events nobody = { .on_closed = nobody_closed };

int http_upgrade(struct http_req *r, int status, const struct http_header *headers,
                 size_t n_headers, struct stream **out, struct buf *leftover, struct err *e)
{
    struct http_conn *c = r->conn;
    struct h1_side *s = c->h1;

    if (http_req_is_h2(r))
        return err_set(e, ERR_INVALID, "an HTTP/2 stream cannot be upgraded");
    if (r->done || r->reply != REPLY_NONE || c->closing)
        return err_set(e, ERR_INVALID, "the request was answered already");
    if (!s->head->upgrade)
        return err_set(e, ERR_INVALID, "the request does not ask for an upgrade");
    if (!r->body_ended)
        return err_set(e, ERR_INVALID, "the request has a body that did not come yet");
    if (h1_put_response(&s->out, status, headers, n_headers, H1_BODY_NONE, e))
        return err_wrap(e, "upgrade");
    flush_out(c);
    *leftover = BUF(c->in.max);
    err_ignore(buf_add_str(leftover, s->rest)); /* both were read within this limit */
    err_ignore(buf_add_str(leftover, buf_str(&c->in)));
    *out = c->stream;
    stream_pause(c->stream);
    stream_handover(c->stream, &nobody, NULL, (struct str){ NULL, 0 });
    stream_pause(*out);
    conn_wait(c, WAIT_NONE);
    c->closing = true;
    c->stream = NULL; /* the top level frees the connection */
    s->running = false;
    conn_due(c);
    r->reply = REPLY_ENDED;
    req_done(r, NULL);
    return 0;
}

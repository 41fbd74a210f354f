/*
 * Requests, whatever the protocol: how a body reaches its handler, how an answer is put together.
 *
 * The body goes to on_body as it comes, when nothing is in its way. While the handler has not said
 * yet what it wants (no accept, or one without on_body), or has paused, the bytes are held, and the
 * protocol side stops the peer: h1 by not reading, h2 by not opening the window.
 */
#include <assert.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/server_impl.h"

/* Held without a reader: a stream's window on h2, a read or two on h1. */
#define HELD_MAX_BYTES (8u * 1024 * 1024)

void req_init(struct http_req *r, struct http_conn *c)
{
    *r = (struct http_req){ .conn = c, .content_length = -1, .held = BUF(HELD_MAX_BYTES) };
    list_init(&r->in_conn);
    list_init(&r->in_due);
    list_init(&r->in_wait);
}

void req_deinit(struct http_req *r)
{
    list_remove(&r->in_conn);
    list_remove(&r->in_due);
    list_remove(&r->in_wait);
    buf_deinit(&r->held);
}

void req_set_target(struct http_req *r, struct str target)
{
    r->target = target;
    str_cut(target, '?', &r->path, &r->query);
}

static bool takes_pieces(const struct http_req *r)
{
    return r->events && (r->events->on_body || r->events->on_body_end) && !r->body_done;
}

static bool wants_body(const struct http_req *r)
{
    return r->body_done || (takes_pieces(r) && !r->paused);
}

static void settle_debt(struct http_req *r)
{
    size_t n = r->owed;

    r->owed = 0;
    if (n > 0)
        r->conn->ops->consumed(r, n);
}

static void drop_body(struct http_req *r)
{
    buf_deinit(&r->held);
    settle_debt(r);
}

size_t req_body(struct http_req *r, const char *p, size_t n)
{
    bool direct = takes_pieces(r) && !r->paused && r->held.n == 0 && !r->fresh;

    if (r->reply == REPLY_ENDED || r->aborted || r->done)
        return n; /* nobody listens any more */
    if (!list_empty(&r->in_wait))
        req_wait(r, true);
    if (direct) {
        if (r->events->on_body)
            r->events->on_body(r, r->arg, p, n);
        return n;
    }
    if (r->body_done && r->held.n + n > r->body_max) {
        drop_body(r);
        req_refuse(r, 413, "the body of the request is too large");
        return n;
    }
    if (buf_add(&r->held, p, n)) {
        http_reply_abort(r); /* the peer ignores flow control */
        return n;
    }
    if (r->body_done)
        return n; /* while collecting, body_max is the bound */
    r->owed += n;
    return 0;
}

/* The body as one piece. */
static void step_collect(struct http_req *r)
{
    void (*body_done)(struct http_req *, void *, struct str) = r->body_done;

    if (r->held.n > r->body_max) {
        drop_body(r);
        req_refuse(r, 413, "the body of the request is too large");
    } else if (r->body_ended) {
        r->body_done = NULL;
        r->end_told = true;
        body_done(r, r->arg, str_n(buf_cstr(&r->held), r->held.n));
    }
}

static void step_pieces(struct http_req *r)
{
    if (r->held.n > 0) {
        struct buf b = r->held;
        r->held = BUF(HELD_MAX_BYTES);
        if (r->events->on_body)
            r->events->on_body(r, r->arg, b.p, b.n);
        buf_deinit(&b);
        if (!r->done)
            settle_debt(r);
    }
    if (r->body_ended && r->held.n == 0 && !r->paused && !r->done && r->reply != REPLY_ENDED) {
        r->end_told = true;
        if (r->events->on_body_end)
            r->events->on_body_end(r, r->arg);
    }
}

void req_step(struct http_req *r)
{
    if (r->done || r->aborted)
        return;
    if (r->reply == REPLY_ENDED) {
        drop_body(r);
        req_wait(r, false);
        return;
    }
    if (!r->end_told && r->body_done)
        step_collect(r);
    else if (!r->end_told && takes_pieces(r) && !r->paused)
        step_pieces(r);
    if (r->done)
        return;
    if (r->drain_due) {
        r->drain_due = false;
        if (r->reply == REPLY_STREAMING && r->events && r->events->on_drain)
            r->events->on_drain(r, r->arg);
    }
    if (r->done)
        return;
    if (r->body_ended || !wants_body(r) || r->reply == REPLY_ENDED)
        req_wait(r, false);
    else if (list_empty(&r->in_wait))
        req_wait(r, true);
}

void req_done(struct http_req *r, const struct err *e)
{
    if (r->done)
        return;
    r->done = true;
    list_remove(&r->in_due);
    req_wait(r, false);
    if (r->events && r->events->on_done)
        r->events->on_done(r, r->arg, e);
}

void req_refuse(struct http_req *r, int status, const char *why)
{
    auto_buf text = BUF(512);

    if (r->reply != REPLY_NONE)
        return;
    r->body_done = NULL;
    err_ignore(buf_addf(&text, "%d %s: %s\n", status, http_status_text(status), why)); /* short */
    http_reply(r, status, "text/plain; charset=utf-8", buf_str(&text), NULL, 0);
}

/* ---- what handlers see ---- */

struct str http_req_method(const struct http_req *r)
{
    return r->method;
}

struct str http_req_target(const struct http_req *r)
{
    return r->target;
}

struct str http_req_path(const struct http_req *r)
{
    return r->path;
}

struct str http_req_query(const struct http_req *r)
{
    return r->query;
}

struct str http_req_host(const struct http_req *r)
{
    return r->host;
}

const struct http_headers *http_req_headers(const struct http_req *r)
{
    return r->headers;
}

int64_t http_req_content_length(const struct http_req *r)
{
    return r->content_length;
}

bool http_req_has_body(const struct http_req *r)
{
    return r->has_body;
}

bool http_req_is_h2(const struct http_req *r)
{
    return r->conn->ops == &server_h2_ops;
}

struct stream *http_req_stream(const struct http_req *r)
{
    return r->conn->stream;
}

bool http_req_is_reserved(const struct http_req *r)
{
    const struct http_server *s = r->conn->server;

    return r->conn->reserved && s->n_conns + s->config.n_reserved > s->config.n_connections_max;
}

void *http_req_peer_data(const struct http_req *r)
{
    return r->conn->peer_data;
}

void http_req_set_peer_data(struct http_req *r, void *data_take, void (*release)(void *data))
{
    struct http_conn *c = r->conn;

    if (c->peer_release)
        c->peer_release(c->peer_data);
    c->peer_data = data_take;
    c->peer_release = release;
}

/* The handler may want bytes now that it did not want before. */
static void body_wanted(struct http_req *r)
{
    if (r->done || r->reply == REPLY_ENDED)
        return;
    if (!r->body_ended && (r->body_done || (r->events && r->events->on_body && !r->paused)))
        r->conn->ops->go_on(r);
    r->conn->ops->due(r);
}

void http_req_accept(struct http_req *r, const struct http_req_events *events, void *arg)
{
    r->events = events;
    r->arg = arg;
    body_wanted(r);
}

void http_req_read_body(struct http_req *r, size_t max_bytes,
                        void (*done)(struct http_req *r, void *arg, struct str body))
{
    assert(!r->end_told);
    if (r->done || r->reply != REPLY_NONE)
        return;
    r->body_max = max_bytes;
    r->body_done = done;
    if (r->content_length > 0 && (uint64_t)r->content_length > max_bytes) {
        req_refuse(r, 413, "the body of the request is too large");
        return;
    }
    if (max_bytes > HELD_MAX_BYTES)
        r->held.max = max_bytes;
    settle_debt(r); /* from now on max_bytes is the bound */
    body_wanted(r);
}

void http_req_pause(struct http_req *r)
{
    r->paused = true;
    if (!r->done)
        r->conn->ops->due(r);
}

void http_req_resume(struct http_req *r)
{
    if (!r->paused)
        return;
    r->paused = false;
    body_wanted(r);
}

/* ---- the answer ---- */

enum { N_HEADERS_ON_STACK = 32 };

/* Date and Content-Type, then what the handler gave; a Date of its own wins. */
static void send_head(struct http_req *r, int status, const char *content_type,
                      const struct http_header *extra, size_t n_extra, int64_t length,
                      struct str body, bool whole)
{
    struct http_header on_stack[N_HEADERS_ON_STACK];
    auto_free void *heap = NULL;
    struct http_header *h = on_stack;
    size_t n = 0;

    if (n_extra + 2 > ARRAY_LEN(on_stack))
        h = heap = mem_calloc(n_extra + 2, sizeof *h);
    h[n++] = (struct http_header){ STR("Date"), str_of(server_date(r->conn->server)) };
    if (content_type)
        h[n++] = (struct http_header){ STR("Content-Type"), str_of(content_type) };
    for (size_t i = 0; i < n_extra; i++) {
        if (str_eq_nocase(extra[i].name, STR("Date")))
            h[0] = extra[i];
        else
            h[n++] = extra[i];
    }
    r->reply = whole ? REPLY_ENDED : REPLY_STREAMING;
    r->conn->ops->reply(r, status, h, n, length, body, whole);
    r->conn->ops->due(r);
}

void http_reply(struct http_req *r, int status, const char *content_type, struct str body,
                const struct http_header *extra, size_t n_extra)
{
    if (r->done || r->reply != REPLY_NONE || r->aborted)
        return; /* the server was quicker: 408, 413, the peer left */
    send_head(r, status, content_type, extra, n_extra, (int64_t)body.n, body, true);
}

void http_reply_start(struct http_req *r, int status, const struct http_header *headers,
                      size_t n_headers, int64_t content_length)
{
    if (r->done || r->reply != REPLY_NONE || r->aborted)
        return;
    send_head(r, status, NULL, headers, n_headers, content_length, (struct str){ NULL, 0 }, false);
}

void http_reply_write(struct http_req *r, const void *p, size_t n)
{
    if (r->done || r->reply != REPLY_STREAMING || r->aborted || n == 0)
        return;
    r->conn->ops->write(r, p, n);
}

size_t http_reply_queued(const struct http_req *r)
{
    return r->done || r->aborted ? 0 : r->conn->ops->queued(r);
}

void http_reply_end(struct http_req *r)
{
    if (r->done || r->reply != REPLY_STREAMING || r->aborted)
        return;
    r->reply = REPLY_ENDED;
    r->conn->ops->end(r);
    r->conn->ops->due(r);
}

void http_reply_abort(struct http_req *r)
{
    if (r->done || r->aborted)
        return;
    r->aborted = true;
    r->conn->ops->abort(r);
    r->conn->ops->due(r);
}

void http_req_set_close(struct http_req *r)
{
    r->set_close = true;
}

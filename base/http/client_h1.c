/*
 * HTTP/1.1 on a client connection: one call at a time.
 *
 * The connection is kept when the answer is whole, our request too, and neither side said close.
 * Bytes that come without a question end it: they could be taken for the answer to the next one.
 */
#include "base/http/client_int.h"
#include "base/http/h1.h"

#include "base/core/mem.h"

#include <assert.h>
#include <string.h>

static struct http_call *current(const struct client_conn *k)
{
    return list_empty(&k->calls) ? NULL : list_first(&k->calls, struct http_call, link);
}

static void on_head(void *arg, const struct h1_head *h)
{
    struct client_conn *k = arg;

    k->h1_keep_alive = h->keep_alive;
    if (h->upgrade) { /* the user hears of it once we know where the head ended */
        k->h1_upgraded = true;
        k->h1_head = h;
        h1_stop(k->h1);
        return;
    }
    client_call_got_head(current(k), h->status, &h->headers);
    if (!current(k)) /* canceled in the callback: the connection is closing */
        h1_stop(k->h1);
}

static void on_body(void *arg, const char *p, size_t n)
{
    struct client_conn *k = arg;
    struct http_call *c = current(k);

    if (c->events.on_body)
        c->events.on_body(c, c->arg, p, n);
    if (!current(k))
        h1_stop(k->h1);
}

static void on_end(void *arg)
{
    struct client_conn *k = arg;

    client_call_finish(current(k), NULL); /* h1_next follows in feed */
}

static const struct h1_events h1_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
};

static void on_idle_long(void *arg)
{
    client_conn_close(arg);
}

void client_h1_open(struct client_conn *k)
{
    k->h1 = h1_new(H1_RESPONSE, &h1_events, k);
    timer_start_ms(&k->timer, CLIENT_IDLE_MS, on_idle_long, k); /* its call may have left */
}

void client_h1_free(struct client_conn *k)
{
    h1_free(k->h1);
}

bool client_h1_is_unanswered(const struct client_conn *k)
{
    return h1_is_idle(k->h1);
}

/* ---- the question ---- */

static int64_t body_framing(const struct http_call *c)
{
    if (c->upgrade || strcmp(c->method, "CONNECT") == 0)
        return H1_BODY_NONE;
    if (c->stream_body && !c->body_ended)
        return H1_BODY_CHUNKED;
    if (c->body.n > 0 || strcmp(c->method, "POST") == 0 || strcmp(c->method, "PUT") == 0 ||
        strcmp(c->method, "PATCH") == 0)
        return (int64_t)c->body.n;
    return H1_BODY_NONE;
}

void client_h1_start_call(struct client_conn *k, struct http_call *c)
{
    struct http_endpoint *ep = k->ep;
    auto_buf head = BUF(HTTP_HEADERS_MAX_BYTES + HTTP_TARGET_MAX_BYTES + 4096);
    int64_t framing = body_framing(c);
    struct err e;

    if (ep->no_keep_alive && !c->upgrade)
        err_ignore(http_headers_add(&c->request, STR("Connection"), STR("close"))); /* a courtesy */
    if (h1_put_request(&head, str_of(c->method), str_of(c->target), str_of(ep->authority),
                       c->request.v, c->request.n, framing, &e)) {
        err_wrap(&e, "%s", ep->authority);
        client_call_finish(c, &e);
        return;
    }
    timer_stop(&k->timer);
    h1_expect(k->h1, strcmp(c->method, "HEAD") == 0, strcmp(c->method, "CONNECT") == 0);
    k->h1_chunked = framing == H1_BODY_CHUNKED;
    stream_write(k->stream, head.p, head.n);
    if (k->h1_chunked)
        client_h1_write(k, c->body.p, c->body.n);
    else if (framing != H1_BODY_NONE)
        stream_write(k->stream, c->body.p, c->body.n);
    if (c->paused)
        stream_pause(k->stream);
    if (c->wants_drain && stream_queued(k->stream) <= STREAM_HIGH_BYTES)
        client_call_drained(c);
}

void client_h1_write(struct client_conn *k, const void *p, size_t n)
{
    char head[20];

    if (n == 0)
        return;
    stream_write(k->stream, head, h1_chunk_head(head, n));
    stream_write(k->stream, p, n);
    stream_write(k->stream, H1_CHUNK_END, strlen(H1_CHUNK_END));
}

void client_h1_end_body(struct client_conn *k)
{
    if (k->h1_chunked)
        stream_write(k->stream, H1_LAST_CHUNK, strlen(H1_LAST_CHUNK));
}

/* ---- between two calls ---- */

void client_h1_release_call(struct client_conn *k, struct http_call *c, bool complete)
{
    if (!complete || !c->body_ended || !k->h1_keep_alive || k->h1_upgraded || k->draining ||
        k->ep->no_keep_alive) {
        client_conn_close(k);
        return;
    }
    if (c->paused)
        stream_resume(k->stream); /* to hear the peer leave */
    timer_start_ms(&k->timer, CLIENT_IDLE_MS, on_idle_long, k);
    list_remove(&k->link); /* the one used last is warm: first in line */
    list_push_front(&k->ep->conns, &k->link);
}

/* ---- events of the stream ---- */

/* The head of an upgrade came: p is what follows it, and belongs to the new protocol. */
static void finish_upgrade(struct client_conn *k, struct str leftover)
{
    struct http_call *c = current(k);
    struct err e;

    if (!c->upgrade) {
        err_set(&e, ERR_PROTOCOL, "%s: the peer switched protocols unasked", k->ep->authority);
        client_conn_fail(k, &e);
        return;
    }
    k->h1_leftover = leftover;
    k->h1_may_take = true;
    client_call_got_head(c, k->h1_head->status, &k->h1_head->headers);
    k->h1_may_take = false;
    if (current(k) == c)
        client_call_finish(c, NULL); /* closes the connection, unless it was taken */
}

struct stream *http_call_take_stream(struct http_call *c, struct buf *leftover)
{
    struct client_conn *k = c->conn;
    struct str early;
    struct stream *s;

    assert(k && k->state == CONN_H1 && k->h1_may_take && c->upgrade);
    s = STEAL(k->stream);
    early = k->h1_leftover;
    *leftover = BUF(early.n);
    err_ignore(buf_add_str(leftover, early)); /* it is as long as that */
    client_call_finish(c, NULL);              /* closes what is left of the connection */
    return s;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct client_conn *k = arg;
    struct err e;
    size_t used;

    while (n > 0 && k->state == CONN_H1) {
        if (!current(k)) {
            client_conn_close(k); /* nothing was asked */
            return;
        }
        if (h1_feed(k->h1, p, n, &used, &e)) {
            err_wrap(&e, "%s", k->ep->authority);
            client_conn_fail(k, &e);
            return;
        }
        p += used;
        n -= used;
        if (k->state != CONN_H1)
            return;
        if (k->h1_upgraded) {
            finish_upgrade(k, str_n(p, n));
            return;
        }
        if (h1_is_ended(k->h1))
            h1_next(k->h1);
    }
}

static void on_stream_end(void *arg)
{
    struct client_conn *k = arg;
    struct err e;

    if (!current(k)) {
        client_conn_close(k);
        return;
    }
    if (h1_finish(k->h1, &e) == 0 && !current(k)) { /* a body that goes until close is whole now */
        client_conn_close(k);
        return;
    }
    err_set(&e, ERR_CLOSED, "%s: closed by the peer %s", k->ep->authority,
            current(k)->has_answer ? "in the middle of the answer" : "before the answer");
    client_conn_fail(k, &e);
}

static void on_drain(void *arg)
{
    struct client_conn *k = arg;

    if (current(k))
        client_call_drained(current(k));
}

const struct stream_events client_h1_stream_events = {
    .on_data = on_data,
    .on_end = on_stream_end,
    .on_drain = on_drain,
    .on_error = client_conn_on_error,
    .on_closed = client_conn_on_closed,
};

/*
 * HTTP/2 on a client connection: many calls at once.
 *
 * Output is pulled from the session by client_h2_flush only: after input, when the stream drained,
 * and from the endpoint's kick after calls into the client made it dirty. While the session feeds
 * or is pulled its events run, and nothing may feed or pull it then (h2_busy).
 *
 * A tick each quarter of the ping time looks after silence: with calls open, a ping goes out after
 * ping_ms without a byte and its answer has CLIENT_PONG_MS; without calls the connection closes
 * after CLIENT_IDLE_MS.
 */
#include "base/http/client_int.h"
#include "base/http/h2.h"

#include "base/core/mem.h"

#include <assert.h>
#include <string.h>

#define PULL_BYTES (64 * 1024)

static void set_dirty(struct client_conn *k)
{
    k->h2_dirty = true;
    client_kick(k->ep);
}

/* ---- events of the session ---- */

static void on_head(void *arg, struct h2_stream *s, const struct h2_head *h)
{
    struct http_call *c = h2_user(s);

    (void)arg;
    if (c)
        client_call_got_head(c, h->status, &h->headers);
}

static void on_h2_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct http_call *c = h2_user(s);

    (void)arg;
    if (!c) { /* canceled: the bytes still count for the connection's window */
        h2_consume(s, n);
        return;
    }
    c->n_unconsumed += n;
    if (c->events.on_body)
        c->events.on_body(c, c->arg, p, n);
    if (c->h2_stream == s && !c->paused) {
        h2_consume(s, c->n_unconsumed);
        c->n_unconsumed = 0;
    }
}

static void on_end(void *arg, struct h2_stream *s)
{
    struct http_call *c = h2_user(s);
    const struct http_headers *t = h2_trailers(s);

    (void)arg;
    if (!c)
        return;
    for (size_t i = 0; t && i < t->n; i++)
        err_ignore(http_headers_add(&c->trailers, t->v[i].name, t->v[i].value)); /* same limits */
    client_call_finish(c, NULL);
}

static void on_h2_drain(void *arg, struct h2_stream *s)
{
    struct http_call *c = h2_user(s);

    (void)arg;
    if (c)
        client_call_drained(c);
}

static const char *error_name(uint32_t code)
{
    static const char *const names[] = { "NO_ERROR",
                                         "PROTOCOL_ERROR",
                                         "INTERNAL_ERROR",
                                         "FLOW_CONTROL_ERROR",
                                         "SETTINGS_TIMEOUT",
                                         "STREAM_CLOSED",
                                         "FRAME_SIZE_ERROR",
                                         "REFUSED_STREAM",
                                         "CANCEL",
                                         "COMPRESSION_ERROR",
                                         "CONNECT_ERROR",
                                         "ENHANCE_YOUR_CALM",
                                         "INADEQUATE_SECURITY",
                                         "HTTP_1_1_REQUIRED" };

    return code < ARRAY_LEN(names) ? names[code] : "an unknown error code"; /* RFC 9113 7 */
}

static void on_close(void *arg, struct h2_stream *s, uint32_t error_code)
{
    struct client_conn *k = arg;
    struct http_call *c = h2_user(s);
    struct err e;

    if (!c)
        return;
    c->h2_stream = NULL; /* gone: leaving must not reset it */
    if (error_code == H2_REFUSED_STREAM && client_call_retry(c))
        return;
    err_set(&e, error_code == H2_REFUSED_STREAM ? ERR_AGAIN : ERR_CLOSED,
            "%s: the peer reset the call (%s)", k->ep->authority, error_name(error_code));
    client_call_finish(c, &e);
}

static void on_goaway(void *arg, int32_t last_id, uint32_t error_code)
{
    struct client_conn *k = arg;

    (void)last_id; /* the session closes the streams above it as refused */
    (void)error_code;
    k->draining = true;
    client_kick(k->ep);
}

static const struct h2_events h2_events = {
    .on_head = on_head,
    .on_data = on_h2_data,
    .on_end = on_end,
    .on_drain = on_h2_drain,
    .on_close = on_close,
    .on_goaway = on_goaway,
};

/* ---- output ---- */

static void fail_session(struct client_conn *k, const struct err *e)
{
    struct err why = *e;

    err_wrap(&why, "%s", k->ep->authority);
    client_conn_fail(k, &why);
}

void client_h2_flush(struct client_conn *k)
{
    auto_buf out = BUF(4 * PULL_BYTES); /* a pull may exceed its aim by a frame */
    struct err e;
    int r = 0;

    if (k->h2_busy || k->state != CONN_H2)
        return;
    k->h2_dirty = false;
    while (h2_wants_write(k->h2) && stream_queued(k->stream) < STREAM_HIGH_BYTES) {
        buf_clear(&out);
        k->h2_busy = true;
        r = h2_pull(k->h2, &out, PULL_BYTES, &e);
        k->h2_busy = false;
        if (k->state != CONN_H2) /* an event closed it */
            return;
        stream_write(k->stream, out.p, out.n);
        if (r) {
            fail_session(k, &e);
            return;
        }
        if (out.n == 0)
            break; /* flow control holds the rest */
    }
    if (h2_is_over(k->h2) || (k->draining && list_empty(&k->calls) && !h2_wants_write(k->h2)))
        client_conn_close(k);
}

/* ---- silence ---- */

static void on_tick(void *arg);

static void start_tick(struct client_conn *k)
{
    uint64_t ms =
        k->ep->ping_ms ? MIN(k->ep->ping_ms / 4 + 1, (uint64_t)CLIENT_IDLE_MS) : CLIENT_IDLE_MS;

    timer_start_ms(&k->timer, ms, on_tick, k);
}

static void on_tick(void *arg)
{
    struct client_conn *k = arg;
    uint64_t now = uv_now(k->ep->loop);
    struct err e;

    if (list_empty(&k->calls)) {
        k->ping_sent_ms = 0;
        if (now - k->idle_since_ms >= CLIENT_IDLE_MS) {
            client_conn_close(k);
            return;
        }
    } else if (k->ping_sent_ms) {
        if (now - k->ping_sent_ms >= CLIENT_PONG_MS) {
            err_set(&e, ERR_TIMEOUT, "%s: the peer is silent: no answer to a ping within %d ms",
                    k->ep->authority, CLIENT_PONG_MS);
            client_conn_fail(k, &e);
            return;
        }
    } else if (k->ep->ping_ms && now - k->last_rx_ms >= k->ep->ping_ms) {
        k->ping_sent_ms = now;
        h2_ping(k->h2);
        client_h2_flush(k);
        if (k->state != CONN_H2)
            return;
    }
    start_tick(k);
}

/* ---- calls ---- */

void client_h2_open(struct client_conn *k)
{
    const struct h2_config c = { .events = &h2_events, .arg = k };

    k->h2 = h2_new(&c);
    start_tick(k);
    set_dirty(k);
}

void client_h2_free(struct client_conn *k)
{
    h2_free(k->h2);
}

bool client_h2_has_room(const struct client_conn *k)
{
    return h2_n_streams_left(k->h2) > 0;
}

void client_h2_start_call(struct client_conn *k, struct http_call *c)
{
    bool no_body = c->body_ended && c->body.n == 0;
    auto_buf length = BUF(32);
    struct err e;

    if (c->upgrade) {
        err_set(&e, ERR_INVALID, "%s: upgrades need HTTP/1.1, the peer chose h2", k->ep->authority);
        client_call_finish(c, &e);
        return;
    }
    /* RFC 9113 8.1.1: content-length is optional; some servers want it where they may expect a
     * body. */
    if (!c->stream_body && !c->retried &&
        (c->body.n > 0 || strcmp(c->method, "POST") == 0 || strcmp(c->method, "PUT") == 0) &&
        (buf_addf(&length, "%zu", c->body.n) ||
         http_headers_add(&c->request, STR("content-length"), buf_str(&length)))) {
        err_set(&e, ERR_LIMIT, "%s: too many request headers", k->ep->authority);
        client_call_finish(c, &e);
        return;
    }
    if (h2_request(k->h2, &c->h2_stream, str_of(c->method), k->ep->tls ? STR("https") : STR("http"),
                   str_of(k->ep->authority), str_of(c->target), c->request.v, c->request.n, no_body,
                   c, &e)) {
        if (e.code == ERR_CLOSED || e.code == ERR_LIMIT)
            k->draining = true; /* room was promised: leave it to a new one */
        if (e.code == ERR_INVALID || !client_call_retry(c)) {
            err_wrap(&e, "%s", k->ep->authority);
            client_call_finish(c, &e);
        }
        return;
    }
    c->n_unconsumed = 0;
    if (c->body.n > 0)
        h2_write(c->h2_stream, c->body.p, c->body.n);
    if (c->body_ended && !no_body)
        h2_end(c->h2_stream);
    set_dirty(k);
    if (c->wants_drain && h2_queued(c->h2_stream) <= STREAM_HIGH_BYTES)
        client_call_drained(c);
}

void client_h2_release_call(struct client_conn *k, struct http_call *c)
{
    if (c->h2_stream) {
        /* Whole answer and whole request: the session closes it by itself. */
        if (c->n_unconsumed > 0)
            h2_consume(c->h2_stream, c->n_unconsumed);
        h2_set_user(c->h2_stream, NULL);
        if (!c->has_ended || !c->body_ended)
            h2_reset(c->h2_stream, c->has_ended ? H2_NO_ERROR : H2_CANCEL);
        c->h2_stream = NULL;
    }
    c->n_unconsumed = 0;
    if (list_empty(&k->calls))
        k->idle_since_ms = uv_now(k->ep->loop);
    set_dirty(k);
}

void client_h2_write(struct client_conn *k, struct http_call *c, const void *p, size_t n)
{
    h2_write(c->h2_stream, p, n);
    set_dirty(k);
}

void client_h2_end_body(struct client_conn *k, struct http_call *c)
{
    h2_end(c->h2_stream);
    set_dirty(k);
}

size_t client_h2_queued(const struct http_call *c)
{
    return h2_queued(c->h2_stream);
}

void client_h2_set_paused(struct client_conn *k, struct http_call *c)
{
    if (c->paused || c->n_unconsumed == 0)
        return;
    h2_consume(c->h2_stream, c->n_unconsumed);
    c->n_unconsumed = 0;
    set_dirty(k);
}

/* ---- events of the stream ---- */

static void on_data(void *arg, const char *p, size_t n)
{
    struct client_conn *k = arg;
    struct err e;
    int r;

    k->last_rx_ms = uv_now(k->ep->loop);
    k->ping_sent_ms = 0; /* any byte will do */
    k->h2_busy = true;
    r = h2_feed(k->h2, p, n, &e);
    k->h2_busy = false;
    if (k->state != CONN_H2)
        return;
    client_h2_flush(k); /* also what says why, when it failed */
    if (r)
        fail_session(k, &e);
}

static void on_stream_end(void *arg)
{
    struct client_conn *k = arg;
    struct err e;

    err_set(&e, ERR_CLOSED, "%s: closed by the peer before the answer", k->ep->authority);
    client_conn_fail(k, &e);
}

static void on_drain(void *arg)
{
    client_h2_flush(arg);
}

const struct stream_events client_h2_stream_events = {
    .on_data = on_data,
    .on_end = on_stream_end,
    .on_drain = on_drain,
    .on_error = client_conn_on_error,
    .on_closed = client_conn_on_closed,
};

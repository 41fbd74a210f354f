/*
 * The server: its connections, their deadlines and how they end.
 *
 *     accept --first bytes--> h1 or h2 --peer left, error, deadline, close--> closing --> gone
 *                                  +--upgrade--> the stream is somebody else's, the conn gone
 *
 * Deadlines: header (absolute, from the accept or the first byte of a later head), idle (between
 * requests), body (between two pieces of a request's body while the handler wants it). Each kind is
 * a list in order of time; one timer serves all.
 */
#include "base/http/server.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/date.h"
#include "base/http/h2.h"
#include "base/http/server_impl.h"
#include "base/io/tls.h"

#define HEADER_TIMEOUT_MS 10000
#define IDLE_TIMEOUT_MS   90000
#define N_CONNECTIONS_MAX 4096
#define FLUSH_TIMEOUT_MS  5000
#define CONN_IN_MAX_BYTES (4u * 1024 * 1024) /* what a stream may hand over in one burst */

static void finish_close(struct http_server *s);

/* ---- the due list ---- */

static void on_idle(uv_idle_t *h);

static void schedule(struct http_server *s)
{
    if (!s->handles_closing)
        uv_idle_start(&s->idle, on_idle);
}

void conn_due(struct http_conn *c)
{
    if (c->closing && c->stream)
        return; /* nothing is left but on_closed */
    if (list_empty(&c->in_due))
        list_push(&c->server->due, &c->in_due);
    schedule(c->server);
}

/* After an upgrade the stream lives on without us. */
static void free_conn(struct http_conn *c)
{
    struct http_server *s = c->server;

    list_remove(&c->in_server);
    list_remove(&c->in_due);
    list_remove(&c->in_wait);
    if (c->ops)
        c->ops->free(c);
    if (c->peer_release)
        c->peer_release(c->peer_data);
    buf_deinit(&c->in);
    free(c);
    s->n_conns--;
    if (s->closing)
        schedule(s);
}

static void settle(struct http_conn *c) /* the end of every top-level event; c may be gone now */
{
    if (!c->stream)
        free_conn(c);
}

static void on_idle(uv_idle_t *h)
{
    struct http_server *s = h->data;
    struct list now = LIST(now), *l;

    uv_idle_stop(h);
    list_move_all(&now, &s->due);
    while ((l = list_pop(&now))) {
        struct http_conn *c = container_of(l, struct http_conn, in_due);
        if (c->stream && !c->closing && c->ops)
            c->ops->step(c);
        settle(c);
    }
    if (s->closing)
        finish_close(s);
}

/* ---- deadlines ---- */

static uint64_t duration_ms(const struct http_server *s, enum wait w)
{
    return w == WAIT_HEADER ? s->config.header_timeout_ms : s->config.idle_timeout_ms;
}

static void on_timer(uv_timer_t *t);

static void arm(struct http_server *s, uint64_t at_ms)
{
    uint64_t now = uv_now(s->loop);

    if (s->handles_closing || (uv_is_active((uv_handle_t *)&s->timer) && s->timer_at_ms <= at_ms))
        return;
    s->timer_at_ms = at_ms;
    uv_timer_start(&s->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

void conn_wait(struct http_conn *c, enum wait w)
{
    struct http_server *s = c->server;

    if (c->wait == w)
        return;
    c->wait = w;
    list_remove(&c->in_wait);
    if (w == WAIT_NONE || c->closing)
        return;
    c->deadline_ms = uv_now(s->loop) + duration_ms(s, w);
    list_push(w == WAIT_HEADER ? &s->headers : &s->idles, &c->in_wait);
    arm(s, c->deadline_ms);
}

void req_wait(struct http_req *r, bool on)
{
    struct http_server *s = r->conn->server;

    list_remove(&r->in_wait);
    if (!on)
        return;
    r->deadline_ms = uv_now(s->loop) + s->config.idle_timeout_ms;
    list_push(&s->bodies, &r->in_wait);
    arm(s, r->deadline_ms);
}

static void expire_conns(struct http_server *s, struct list *waiting, uint64_t now)
{
    while (!list_empty(waiting)) {
        struct http_conn *c = list_first(waiting, struct http_conn, in_wait);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_conn took the last one out of the list
        enum wait w = c->wait;

        if (c->deadline_ms > now) {
            arm(s, c->deadline_ms);
            return;
        }
        conn_wait(c, WAIT_NONE);
        if (c->ops)
            c->ops->late(c, w);
        if (c->stream && !c->closing)
            conn_close(c);
        settle(c);
    }
}

static void on_timer(uv_timer_t *t)
{
    struct http_server *s = t->data;
    uint64_t now = uv_now(s->loop);

    expire_conns(s, &s->headers, now);
    expire_conns(s, &s->idles, now);
    while (!list_empty(&s->bodies)) {
        struct http_req *r = list_first(&s->bodies, struct http_req, in_wait);

        if (r->deadline_ms > now) {
            arm(s, r->deadline_ms);
            return;
        }
        req_wait(r, false);
        r->set_close = true;
        if (r->reply == REPLY_NONE)
            req_refuse(r, 408, "the body of the request did not come in time");
        else
            http_reply_abort(r);
    }
}

/* ---- connections ---- */

void conn_close(struct http_conn *c)
{
    if (c->closing)
        return;
    conn_wait(c, WAIT_NONE);
    c->closing = true;
    list_remove(&c->in_due);
    stream_close(c->stream);
}

void conn_close_flushed(struct http_conn *c)
{
    if (c->closing)
        return;
    conn_wait(c, WAIT_NONE);
    c->closing = true;
    list_remove(&c->in_due);
    stream_close_flushed(c->stream, FLUSH_TIMEOUT_MS);
}

void conn_fail(struct http_conn *c, const struct err *e)
{
    if (c->ops)
        c->ops->fail(c, e);
    if (c->stream)
        conn_close(c);
}

/* TLS with ALPN decides; without it HTTP/2 is known by its preface. NULL: more bytes are needed. */
static void (*choose(struct http_conn *c))(struct http_conn *)
{
    const struct tls_peer *tls = stream_tls_peer(c->stream);

    if (tls && tls->alpn && tls->alpn[0])
        return strcmp(tls->alpn, "h2") == 0 ? server_h2_start : server_h1_start;
    switch (h2_is_preface(c->in.p, c->in.n)) {
    case 1:
        return server_h2_start;
    case 0:
        return server_h1_start;
    default:
        return NULL;
    }
}

static void first_data(struct http_conn *c)
{
    void (*start)(struct http_conn *) = choose(c);
    struct buf first;

    if (!start)
        return;
    start(c);
    first = c->in;
    c->in = BUF(CONN_IN_MAX_BYTES);
    c->ops->data(c, first.p, first.n);
    buf_deinit(&first);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct http_conn *c = arg;
    struct err e = { 0 };

    if (c->closing)
        return;
    if (c->ops) {
        c->ops->data(c, p, n);
    } else if (buf_add(&c->in, p, n)) {
        err_set(&e, ERR_LIMIT, "too many bytes at once");
        conn_fail(c, &e);
    } else {
        first_data(c);
    }
    settle(c);
}

static void on_end(void *arg)
{
    struct http_conn *c = arg;
    struct err e = { 0 };

    if (c->closing)
        return;
    err_set(&e, ERR_CLOSED, "the peer left");
    if (c->ops)
        c->ops->fail(c, &e);
    if (c->stream)
        conn_close_flushed(c); /* what is written already may still be wanted */
    settle(c);
}

static void on_drain(void *arg)
{
    struct http_conn *c = arg;

    if (!c->closing && c->ops)
        c->ops->drain(c);
    settle(c);
}

static void on_error(void *arg, const struct err *cause)
{
    struct http_conn *c = arg;
    struct err e = *cause;

    if (c->closing)
        return;
    if (e.code == ERR_IO || e.code == ERR_PROTOCOL)
        e.code = ERR_CLOSED; /* whatever broke it: for a request the peer has left */
    err_wrap(&e, "connection");
    conn_fail(c, &e);
    settle(c);
}

static void on_closed(void *arg)
{
    free_conn(arg);
}

static const struct stream_events conn_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_error = on_error,
    .on_closed = on_closed,
};

/* The oldest connection that has shown nothing yet goes: its place is wanted. */
static bool make_room(struct http_server *s)
{
    list_each (c, &s->headers, struct http_conn, in_wait) {
        if (c->first_done || c->closing)
            continue;
        conn_close(c);
        return true;
    }
    return false;
}

/* May one more be served? */
static bool has_room(struct http_server *s, bool *reserved)
{
    size_t max = s->config.n_connections_max;

    *reserved = s->n_conns + s->config.n_reserved >= max;
    if (*reserved && s->config.n_reserved && log_allowed(&s->log_reserve))
        log_warn("the server is full: only administrators get in, all others have to come again",
                 kv("connections", s->n_conns), kv("max", max));
    if (s->n_conns < max ||
        (s->config.n_reserved && s->n_conns < max + s->config.n_reserved && make_room(s)))
        return true;
    if (log_allowed(&s->log_full))
        log_warn("too many connections, new ones are closed", kv("n", s->n_conns));
    return false;
}

void http_server_serve(struct http_server *s, struct stream *stream_take)
{
    struct http_conn *c;
    bool reserved;

    if (s->closing || !has_room(s, &reserved)) {
        stream_close(stream_take);
        return;
    }
    c = mem_alloc(sizeof *c);
    c->server = s;
    c->stream = stream_take;
    c->reserved = reserved;
    c->in = BUF(CONN_IN_MAX_BYTES);
    list_push(&s->conns, &c->in_server);
    list_init(&c->in_due);
    list_init(&c->in_wait);
    s->n_conns++;
    conn_wait(c, WAIT_HEADER);
    stream_open(stream_take, &conn_events, c);
}

/* ---- the server ---- */

void http_server_new(struct http_server **out, uv_loop_t *loop, const struct http_server_config *c)
{
    struct http_server *s = mem_alloc(sizeof *s);

    s->loop = loop;
    s->config = *c;
    if (!s->config.header_timeout_ms)
        s->config.header_timeout_ms = HEADER_TIMEOUT_MS;
    if (!s->config.idle_timeout_ms)
        s->config.idle_timeout_ms = IDLE_TIMEOUT_MS;
    if (!s->config.n_connections_max)
        s->config.n_connections_max = N_CONNECTIONS_MAX;
    s->h2_out = BUF(H2_OUT_MAX_BYTES);
    list_init(&s->conns);
    list_init(&s->due);
    list_init(&s->headers);
    list_init(&s->idles);
    list_init(&s->bodies);
    uv_idle_init(loop, &s->idle); /* never fails */
    s->idle.data = s;
    uv_timer_init(loop, &s->timer); /* never fails */
    s->timer.data = s;
    s->n_handles = 2;
    s->log_full = (struct log_limit)LOG_LIMIT(3, 10000);
    s->log_reserve = (struct log_limit)LOG_LIMIT(1, 10000);
    s->log_bad_head = (struct log_limit)LOG_LIMIT(3, 10000);
    *out = s;
}

size_t http_server_n_connections(const struct http_server *s)
{
    return s->n_conns;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct http_server *s = h->data;
    void (*done)(void *arg) = s->done;
    void *arg = s->done_arg;

    if (--s->n_handles > 0)
        return;
    buf_deinit(&s->h2_out);
    free(s);
    if (done)
        done(arg);
}

/* From the due list: the requests end here, not inside http_server_close. */
static void finish_close(struct http_server *s)
{
    struct err e = { 0 };

    err_set(&e, ERR_CANCELED, "the server stops");
    list_each (c, &s->conns, struct http_conn, in_server) {
        if (c->closing)
            continue;
        if (c->ops) {
            c->ops->fail(c, &e);
            if (c->stream)
                c->ops->leave(c);
        }
        if (c->stream)
            conn_close_flushed(c);
        settle(c);
    }
    if (s->n_conns > 0 || s->handles_closing)
        return;
    s->handles_closing = true;
    uv_close((uv_handle_t *)&s->idle, on_handle_closed);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

void http_server_leave(struct http_server *s)
{
    s->leaving = true;
    list_each (c, &s->conns, struct http_conn, in_server)
        conn_due(c);
}

void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg)
{
    if (s->closing)
        return;
    s->closing = s->leaving = true;
    s->done = done;
    s->done_arg = arg;
    schedule(s);
}

const char *server_date(struct http_server *s)
{
    int64_t now_s = clock_wall_s();

    if (now_s != s->date_s || !s->date[0]) {
        s->date_s = now_s;
        http_date_text(s->date, now_s);
    }
    return s->date;
}

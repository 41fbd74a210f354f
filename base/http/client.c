/*
 * The endpoint: its queue of calls and who serves them; the states are pictured in client_int.h.
 *
 * The kick does everything that must not happen inside a caller's call: it finishes ended calls,
 * flushes h2 connections, hands waiting calls to connections with room, and dials when there is
 * none. A dial that fails ends the calls that were waiting when it began; younger ones get a dial
 * of their own, and while dials hang, calls that come make another one a second.
 */
#include "base/http/client_int.h"
#include "base/http/url.h"

#include "base/core/mem.h"

#include <assert.h>
#include <stdio.h>

static void on_kick(void *arg);

void client_kick(struct http_endpoint *ep)
{
    if (!timer_is_running(&ep->kick))
        timer_start_ms(&ep->kick, 0, on_kick, ep);
}

void http_endpoint_new(struct http_endpoint **out, uv_loop_t *loop,
                       const struct http_endpoint_config *c)
{
    struct http_endpoint *ep = mem_alloc(sizeof *ep);
    struct str host;
    struct err e;

    ep->loop = loop;
    ep->authority = mem_strdup(c->authority);
    if (url_split_host_port(&host, &ep->port, str_of(ep->authority), c->tls ? 443 : 80, &e)) {
        host = str_of(ep->authority); /* a tunnel's or socket's own name; TCP will refuse it */
        ep->port = 0;
    }
    ep->host = str_dup(host);
    ep->dial = c->dial;
    ep->dial_arg = c->dial_arg;
    ep->tls = (struct tls_client_config *)c->tls; /* its refcount moves, no more */
    ep->proto = c->proto;
    ep->no_keep_alive = c->no_keep_alive;
    ep->dial_timeout_ms = c->dial_timeout_ms ? c->dial_timeout_ms : CLIENT_DIAL_TIMEOUT_MS;
    ep->ping_ms = c->ping_ms ? c->ping_ms : c->tls ? CLIENT_PING_MS : 0;
    ep->n_connections_max = c->n_connections_max ? c->n_connections_max : CLIENT_CONNECTIONS_MAX;
    ep->speaks_h1 = c->proto == HTTP_H1 || (c->proto == HTTP_ALPN && !c->tls);
    list_init(&ep->waiting);
    list_init(&ep->ended);
    list_init(&ep->conns);
    timer_init(&ep->kick, loop);
    *out = ep;
}

static void on_kick_closed(void *arg)
{
    struct http_endpoint *ep = arg;
    void (*done)(void *arg) = ep->close_done;
    void *done_arg = ep->close_arg;

    free(ep->authority);
    free(ep->host);
    free(ep);
    if (done)
        done(done_arg);
}

static void maybe_gone(struct http_endpoint *ep)
{
    if (ep->closing && ep->n_calls == 0 && ep->n_conns == 0 &&
        !uv_is_closing((uv_handle_t *)&ep->kick.h))
        timer_close(&ep->kick, on_kick_closed, ep);
}

void http_endpoint_close(struct http_endpoint *ep, void (*done)(void *arg), void *arg)
{
    struct err e;

    assert(!ep->closing);
    ep->closing = true;
    ep->close_done = done;
    ep->close_arg = arg;
    err_set(&e, ERR_CANCELED, "%s: the client is closing", ep->authority);
    while (!list_empty(&ep->waiting))
        client_call_finish(list_first(&ep->waiting, struct http_call, link), &e);
    list_each (k, &ep->conns, struct client_conn, link)
        client_conn_fail(k, &e);
    client_kick(ep);
}

void http_endpoint_reset(struct http_endpoint *ep)
{
    list_each (k, &ep->conns, struct client_conn, link) {
        k->draining = true;
        if ((k->state == CONN_H1 || k->state == CONN_H2) && list_empty(&k->calls))
            client_conn_close(k);
    }
    client_kick(ep);
}

/* ---- the queue ---- */

static struct client_conn *find_room(struct http_endpoint *ep, const struct http_call *c)
{
    list_each (k, &ep->conns, struct client_conn, link)
        if (client_conn_has_room(k, c))
            return k;
    return NULL;
}

static void dispatch(struct http_endpoint *ep)
{
    size_t n_dialing = 0, n_fresh = 0, n_live = 0, n_wanted;

    while (!list_empty(&ep->waiting)) {
        struct http_call *c = list_first(&ep->waiting, struct http_call, link);
        struct client_conn *k = find_room(ep, c);
        if (!k)
            break;
        list_remove(&c->link);
        ep->n_waiting--;
        c->state = CALL_RUNNING;
        client_conn_start_call(k, c);
    }
    list_each (k, &ep->conns, struct client_conn, link) {
        n_live += k->state != CONN_CLOSING;
        if ((k->state != CONN_DIALING && k->state != CONN_TLS) || k->draining)
            continue;
        n_dialing++;
        n_fresh += uv_now(ep->loop) - k->dialed_ms < CLIENT_DIAL_STALE_MS;
    }
    /* Until we know that a connection serves one call only, one dial may be enough for all. */
    n_wanted = ep->speaks_h1 ? ep->n_waiting : MIN(ep->n_waiting, (size_t)1);
    /* Where all hang, one more, so that a machine that is just slow does not make ever more. */
    if (!n_fresh && n_dialing >= n_wanted && ep->n_waiting)
        n_wanted = n_dialing + 1;
    while (n_dialing < n_wanted && n_live < ep->n_connections_max) {
        client_conn_dial(ep);
        n_dialing++;
        n_live++;
    }
}

static void on_call_closed(void *arg)
{
    struct http_call *c = arg;
    struct http_endpoint *ep = c->ep;

    http_headers_deinit(&c->request);
    http_headers_deinit(&c->head);
    http_headers_deinit(&c->trailers);
    buf_deinit(&c->body);
    free(c->method);
    free(c->target);
    free(c);
    ep->n_calls--;
    maybe_gone(ep);
}

static void on_kick(void *arg)
{
    struct http_endpoint *ep = arg;
    struct list ended = LIST(ended);
    struct list *l;

    list_each (k, &ep->conns, struct client_conn, link)
        client_conn_flush(k);
    if (!ep->closing)
        dispatch(ep);
    list_move_all(&ended, &ep->ended);
    while ((l = list_pop(&ended))) {
        struct http_call *c = container_of(l, struct http_call, link);
        c->events.on_done(c, c->arg, c->err.code ? &c->err : NULL);
        timer_close(&c->timer, on_call_closed, c);
    }
    maybe_gone(ep);
}

/* ---- calls ---- */

static uint64_t now_limit_ms(const struct http_call *c) /* 0: no deadline now */
{
    if (c->has_answer || !c->head_timeout_ms)
        return c->timeout_ms;
    return c->timeout_ms ? MIN(c->timeout_ms, c->head_timeout_ms) : c->head_timeout_ms;
}

static void on_deadline(void *arg)
{
    struct http_call *c = arg;
    const char *what = "no answer";
    struct err e;

    if (c->state == CALL_WAITING) {
        what = list_empty(&c->ep->conns) ? "no connection" : "no free connection";
        list_each (k, &c->ep->conns, struct client_conn, link)
            if (k->state == CONN_DIALING || k->state == CONN_TLS)
                what = k->state == CONN_TLS ? "no TLS handshake" : "no connection";
    } else if (c->has_answer) {
        what = "the answer did not end";
    }
    err_set(&e, ERR_TIMEOUT, "%s: %s within %llu ms", c->ep->authority, what,
            (unsigned long long)now_limit_ms(c));
    client_call_finish(c, &e);
}

static void start_deadline(struct http_call *c)
{
    uint64_t limit_ms = now_limit_ms(c), gone_ms = uv_now(c->ep->loop) - c->started_ms;

    if (!limit_ms)
        timer_stop(&c->timer);
    else
        timer_start_ms(&c->timer, limit_ms > gone_ms ? limit_ms - gone_ms : 0, on_deadline, c);
}

void http_call_start(struct http_call **out, struct http_endpoint *ep,
                     const struct http_call_config *cfg, const struct http_call_events *events,
                     void *arg)
{
    struct http_call *c = mem_alloc(sizeof *c);
    struct err e = { 0 };

    c->ep = ep;
    c->state = CALL_WAITING;
    c->seq = ++ep->seq;
    c->events = *events;
    c->arg = arg;
    c->method = mem_strdup(cfg->method);
    c->target = mem_strdup(cfg->target);
    c->stream_body = cfg->stream_body;
    c->body_ended = !cfg->stream_body;
    c->upgrade = cfg->upgrade;
    c->timeout_ms = cfg->timeout_ms;
    c->head_timeout_ms = cfg->head_timeout_ms;
    if (c->head_timeout_ms == HTTP_NO_TIMEOUT)
        c->head_timeout_ms = 0;
    else if (!c->head_timeout_ms && !c->timeout_ms)
        c->head_timeout_ms = CLIENT_HEAD_TIMEOUT_MS;
    c->body = BUF(CLIENT_UNSENT_MAX_BYTES);
    http_headers_init(&c->request, HTTP_HEADERS_MAX_BYTES);
    http_headers_init(&c->head, HTTP_HEADERS_MAX_BYTES);
    http_headers_init(&c->trailers, HTTP_HEADERS_MAX_BYTES);
    timer_init(&c->timer, ep->loop);
    c->started_ms = uv_now(ep->loop);
    start_deadline(c);
    ep->n_calls++;
    ep->n_waiting++;
    list_push(&ep->waiting, &c->link);
    for (size_t i = 0; i < cfg->n_headers && !e.code; i++)
        if (http_headers_add(&c->request, cfg->headers[i].name, cfg->headers[i].value))
            err_set(&e, ERR_INVALID, "%s: header \"" STR_FMT "\" cannot be sent", ep->authority,
                    STR_ARG(cfg->headers[i].name));
    if (!e.code && buf_add_str(&c->body, cfg->body))
        err_set(&e, ERR_LIMIT, "%s: body is longer than %u bytes", ep->authority,
                CLIENT_UNSENT_MAX_BYTES);
    if (!e.code && ep->closing)
        err_set(&e, ERR_CANCELED, "%s: the client is closing", ep->authority);
    if (!e.code && !ep->dial && !ep->port)
        err_set(&e, ERR_INVALID, "dial %s: not host:port", ep->authority);
    if (!e.code && ep->n_waiting > CLIENT_WAITING_MAX)
        err_set(&e, ERR_LIMIT, "%s: more than %d calls wait for a connection", ep->authority,
                CLIENT_WAITING_MAX);
    if (e.code)
        client_call_finish(c, &e);
    client_kick(ep);
    *out = c;
}

static void leave(struct http_call *c, bool complete)
{
    struct client_conn *k = c->conn;

    if (c->state == CALL_WAITING)
        c->ep->n_waiting--;
    list_remove(&c->link);
    c->conn = NULL;
    if (k)
        client_conn_release_call(k, c, complete);
}

void client_call_finish(struct http_call *c, const struct err *e)
{
    if (c->state == CALL_ENDED)
        return;
    c->has_ended = !e;
    leave(c, !e);
    c->state = CALL_ENDED;
    if (e)
        c->err = *e;
    timer_stop(&c->timer);
    list_push(&c->ep->ended, &c->link);
    client_kick(c->ep);
}

bool client_call_retry(struct http_call *c)
{
    if (c->retried || c->has_answer || c->body_released || c->ep->closing ||
        c->state != CALL_RUNNING)
        return false;
    leave(c, false);
    c->retried = true;
    c->state = CALL_WAITING;
    c->seq = c->ep->seq; /* dials that run already may still fail without it */
    c->ep->n_waiting++;
    list_push_front(&c->ep->waiting, &c->link);
    client_kick(c->ep);
    return true;
}

bool client_call_is_idempotent(const struct http_call *c)
{
    static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE" };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(c->method, methods[i]) == 0)
            return true;
    return false;
}

void client_call_got_head(struct http_call *c, int status, const struct http_headers *h)
{
    c->has_answer = true;
    start_deadline(c);
    if (c->body_ended)
        buf_deinit(&c->body); /* no second try from here on */
    for (size_t i = 0; i < h->n; i++)
        err_ignore(http_headers_add(&c->head, h->v[i].name, h->v[i].value)); /* same limits */
    if (c->events.on_head)
        c->events.on_head(c, c->arg, status, &c->head);
}

void client_call_drained(struct http_call *c)
{
    if (!c->wants_drain)
        return;
    c->wants_drain = false;
    if (c->events.on_drain)
        c->events.on_drain(c, c->arg);
}

void http_call_write(struct http_call *c, const void *p, size_t n)
{
    struct err e;

    assert(c->stream_body && !c->body_ended);
    if (n == 0 || c->state == CALL_ENDED)
        return;
    if (c->state == CALL_RUNNING) {
        c->body_released = true;
        buf_deinit(&c->body);
        client_conn_write(c->conn, c, p, n);
    } else if (buf_add(&c->body, p, n)) {
        err_set(&e, ERR_LIMIT, "%s: more than %u bytes wait for a connection", c->ep->authority,
                CLIENT_UNSENT_MAX_BYTES);
        client_call_finish(c, &e);
    }
    if (http_call_queued(c) > STREAM_HIGH_BYTES)
        c->wants_drain = true;
}

size_t http_call_queued(const struct http_call *c)
{
    if (c->state == CALL_RUNNING)
        return client_conn_queued(c->conn, c);
    return c->state == CALL_WAITING && c->stream_body ? c->body.n : 0;
}

void http_call_end(struct http_call *c)
{
    assert(c->stream_body);
    if (c->body_ended)
        return;
    c->body_ended = true;
    if (c->state == CALL_RUNNING)
        client_conn_end_body(c->conn, c);
}

void http_call_pause(struct http_call *c)
{
    if (c->paused)
        return;
    c->paused = true;
    if (c->state == CALL_RUNNING)
        client_conn_pause(c->conn, c, true);
}

void http_call_resume(struct http_call *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->state == CALL_RUNNING)
        client_conn_pause(c->conn, c, false);
}

void http_call_cancel(struct http_call *c)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "%s: the call was canceled", c->ep->authority);
    client_call_finish(c, &e);
}

const struct http_headers *http_call_trailers(const struct http_call *c)
{
    return &c->trailers;
}

/*
 * One connection of an endpoint: dialed, TLS where wanted, then h1 or h2 until it closes.
 */
#include "base/http/client_int.h"

#include "base/core/mem.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"

#include <assert.h>
#include <string.h>

static void conn_move(struct client_conn *k, enum conn_state to)
{
    static const unsigned next[] = {
        [CONN_DIALING] = 1u << CONN_TLS | 1u << CONN_H1 | 1u << CONN_H2 | 1u << CONN_CLOSING,
        [CONN_TLS] = 1u << CONN_H1 | 1u << CONN_H2 | 1u << CONN_CLOSING,
        [CONN_H1] = 1u << CONN_CLOSING,
        [CONN_H2] = 1u << CONN_CLOSING,
        [CONN_CLOSING] = 0,
    };

    assert(next[k->state] & 1u << to);
    k->state = to;
}

/* ---- the end ---- */

static void maybe_free(struct client_conn *k)
{
    struct http_endpoint *ep = k->ep;

    if (k->stream || k->stream_waits || !k->timer_closed)
        return;
    list_remove(&k->link);
    client_h1_free(k);
    client_h2_free(k);
    free(k);
    ep->n_conns--;
    client_kick(ep); /* a place is free; or the endpoint waits for it to be gone */
}

static void on_timer_closed(void *arg)
{
    struct client_conn *k = arg;

    k->timer_closed = true;
    maybe_free(k);
}

static void on_stream_closed(void *arg)
{
    struct client_conn *k = arg;

    k->stream = NULL;
    maybe_free(k);
}

void client_conn_close(struct client_conn *k)
{
    if (k->state == CONN_CLOSING)
        return;
    assert(list_empty(&k->calls));
    conn_move(k, CONN_CLOSING);
    if (k->tcp_dial)
        tcp_dial_cancel(k->tcp_dial);
    if (k->handshake)
        tls_client_cancel(k->handshake);
    if (k->stream)
        stream_close(k->stream);
    timer_close(&k->timer, on_timer_closed, k);
}

void client_conn_fail(struct client_conn *k, const struct err *e)
{
    struct list calls = LIST(calls);
    bool was_kept = k->n_done > 0 && e->code != ERR_CANCELED;

    if (k->state == CONN_CLOSING)
        return;
    k->draining = true;
    list_move_all(&calls, &k->calls);
    while (!list_empty(&calls)) {
        struct http_call *c = list_first(&calls, struct http_call, link);
        bool untouched = was_kept && client_call_is_idempotent(c) &&
                         (k->state != CONN_H1 || client_h1_is_unanswered(k));
        c->wants_fresh = untouched;
        if (!untouched || !client_call_retry(c))
            client_call_finish(c, e);
    }
    client_conn_close(k);
}

/* ---- the beginning ---- */

/* A dial that failed takes the calls along that waited for it. */
static void fail_dial(struct client_conn *k, const struct err *e)
{
    struct http_endpoint *ep = k->ep;
    uint64_t seq = k->seq;
    bool is_stale = k->draining; /* reset meanwhile: the calls deserve a new dial */

    client_conn_close(k);
    if (!is_stale)
        list_each (c, &ep->waiting, struct http_call, link)
            if (c->seq <= seq)
                client_call_finish(c, e);
}

static void open_conn(struct client_conn *k, struct stream *s, enum conn_state proto)
{
    k->stream = s;
    k->last_rx_ms = k->idle_since_ms = uv_now(k->ep->loop);
    conn_move(k, proto);
    if (proto == CONN_H1) {
        client_h1_open(k);
        stream_open(s, &client_h1_stream_events, k);
    } else {
        client_h2_open(k);
        stream_open(s, &client_h2_stream_events, k);
    }
    if (k->draining)
        client_conn_close(k);
    client_kick(k->ep);
}

static void on_tls(void *arg, struct stream *s, const struct err *e)
{
    struct client_conn *k = arg;
    struct http_endpoint *ep = k->ep;
    const struct tls_peer *peer;
    struct err why;
    bool is_h2;

    k->stream_waits = false;
    k->handshake = NULL;
    if (k->state == CONN_CLOSING) {
        if (s)
            stream_close(s);
        maybe_free(k);
        return;
    }
    if (!s) {
        why = *e;
        err_wrap(&why, "%s", ep->authority);
        fail_dial(k, &why);
        return;
    }
    peer = stream_tls_peer(s);
    is_h2 = peer && peer->alpn && strcmp(peer->alpn, "h2") == 0;
    if (ep->proto != HTTP_ALPN && is_h2 != (ep->proto == HTTP_H2)) {
        err_set(&why, ERR_PROTOCOL, "%s: TLS: the peer chose protocol \"%s\" where we need %s",
                ep->authority, peer && peer->alpn ? peer->alpn : "",
                ep->proto == HTTP_H2 ? "h2" : "http/1.1");
        stream_close(s);
        fail_dial(k, &why);
        return;
    }
    ep->speaks_h1 = !is_h2;
    open_conn(k, s, is_h2 ? CONN_H2 : CONN_H1);
}

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct client_conn *k = arg;
    struct http_endpoint *ep = k->ep;
    uint64_t now = uv_now(ep->loop);
    struct err why;

    k->stream_waits = false;
    k->tcp_dial = NULL;
    if (k->state == CONN_CLOSING) {
        if (s)
            stream_close(s);
        maybe_free(k);
        return;
    }
    if (!s) {
        why = *e;
        if (strncmp(why.text, "dial ", 5) != 0)
            err_wrap(&why, "dial %s", ep->authority);
        fail_dial(k, &why);
    } else if (ep->tls) {
        conn_move(k, CONN_TLS);
        k->stream_waits = true;
        k->handshake =
            tls_client_wrap(ep->tls, s, ep->host,
                            k->dial_deadline_ms > now ? k->dial_deadline_ms - now : 1, on_tls, k);
    } else {
        open_conn(k, s, ep->proto == HTTP_H2 ? CONN_H2 : CONN_H1);
    }
}

void client_conn_dial(struct http_endpoint *ep)
{
    struct client_conn *k = mem_alloc(sizeof *k);

    k->ep = ep;
    k->state = CONN_DIALING;
    k->seq = ep->seq;
    k->dialed_ms = uv_now(ep->loop);
    k->dial_deadline_ms = k->dialed_ms + ep->dial_timeout_ms;
    k->stream_waits = true;
    list_init(&k->calls);
    list_push(&ep->conns, &k->link);
    ep->n_conns++;
    timer_init(&k->timer, ep->loop);
    if (ep->dial)
        ep->dial(ep->dial_arg, ep->dial_timeout_ms, on_dialed, k);
    else
        tcp_dial(&k->tcp_dial, ep->loop, ep->host, ep->port, ep->dial_timeout_ms, on_dialed, k);
}

/* ---- what both protocols share ---- */

bool client_conn_has_room(const struct client_conn *k, const struct http_call *c)
{
    if (k->draining || (k->state != CONN_H1 && k->state != CONN_H2))
        return false;
    if (c->wants_fresh && k->n_started > 0)
        return false;
    return k->state == CONN_H1 ? list_empty(&k->calls) : client_h2_has_room(k);
}

void client_conn_start_call(struct client_conn *k, struct http_call *c)
{
    c->conn = k;
    list_push(&k->calls, &c->link);
    k->n_started++;
    if (k->state == CONN_H1)
        client_h1_start_call(k, c);
    else
        client_h2_start_call(k, c);
}

void client_conn_release_call(struct client_conn *k, struct http_call *c, bool complete)
{
    k->n_done += complete;
    if (k->state == CONN_H1)
        client_h1_release_call(k, c, complete);
    else if (k->state == CONN_H2)
        client_h2_release_call(k, c);
}

void client_conn_write(struct client_conn *k, struct http_call *c, const void *p, size_t n)
{
    if (k->state == CONN_H1)
        client_h1_write(k, p, n);
    else
        client_h2_write(k, c, p, n);
}

void client_conn_end_body(struct client_conn *k, struct http_call *c)
{
    if (k->state == CONN_H1)
        client_h1_end_body(k);
    else
        client_h2_end_body(k, c);
}

size_t client_conn_queued(const struct client_conn *k, const struct http_call *c)
{
    return k->state == CONN_H1 ? stream_queued(k->stream) : client_h2_queued(c);
}

void client_conn_pause(struct client_conn *k, struct http_call *c, bool on)
{
    if (k->state == CONN_H2)
        client_h2_set_paused(k, c);
    else if (on)
        stream_pause(k->stream);
    else
        stream_resume(k->stream);
}

void client_conn_flush(struct client_conn *k)
{
    if (k->state == CONN_H2 && k->h2_dirty)
        client_h2_flush(k);
}

void client_conn_on_closed(void *arg)
{
    on_stream_closed(arg);
}

void client_conn_on_error(void *arg, const struct err *e)
{
    struct client_conn *k = arg;
    struct err why = *e;

    err_wrap(&why, "%s", k->ep->authority);
    client_conn_fail(k, &why);
}

#pragma once
/*
 * H2 peer: the other end of a client under test, on a loopback port; it speaks HTTP/2 by prior
 * knowledge with base/http/h2, so tests may answer as a server of ours never would.
 */
#include "base/core/list.h"
#include "base/core/mem.h"
#include "base/http/h2.h"
#include "base/io/tcp.h"

#include <stdio.h>

#define H2_PEER_CONNS 8

struct h2_peer;

struct h2_peer_conn {
    struct h2_peer *peer;
    struct stream *s;
    struct h2 *h2;
};

struct h2_peer_req { /* of one stream; h2_user */
    struct list link;
    struct h2_peer *peer;
    struct buf body;
};

struct h2_peer {
    struct listener *listener;
    struct h2_peer_conn conns[H2_PEER_CONNS];
    unsigned n_conns;
    struct list reqs;
    bool deaf;              /* reads nothing */
    struct h2_stream *last; /* the newest request; NULL when it has closed */
    /* A request's head, and then its whole body; either may be NULL. */
    void (*on_head)(void *arg, struct h2_stream *s, const struct h2_head *h);
    void (*on_request)(void *arg, struct h2_stream *s, struct str body);
    void *arg;
    char authority[32];
};

static inline void h2_peer_flush(struct h2_peer_conn *c)
{
    auto_buf out = BUF(8 << 20);
    struct err e;

    while (c->s && h2_wants_write(c->h2)) {
        size_t before = out.n;
        if (h2_pull(c->h2, &out, 4 << 20, &e) || out.n == before)
            break;
    }
    if (c->s && out.n > 0)
        stream_write(c->s, out.p, out.n);
}

static inline void h2_peer_flush_all(struct h2_peer *p)
{
    for (unsigned i = 0; i < p->n_conns; i++)
        h2_peer_flush(&p->conns[i]);
}

static void h2_peer_on_head(void *arg, struct h2_stream *s, const struct h2_head *h)
{
    struct h2_peer_conn *c = arg;
    struct h2_peer_req *r = mem_alloc(sizeof *r);

    r->peer = c->peer;
    r->body = BUF(16 << 20);
    list_push(&c->peer->reqs, &r->link);
    h2_set_user(s, r);
    c->peer->last = s;
    if (c->peer->on_head)
        c->peer->on_head(c->peer->arg, s, h);
}

static void h2_peer_on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct h2_peer_req *r = h2_user(s);

    (void)arg;
    err_ignore(buf_add(&r->body, p, n)); /* big enough for a test */
    h2_consume(s, n);
}

static void h2_peer_on_end(void *arg, struct h2_stream *s)
{
    struct h2_peer_req *r = h2_user(s);

    (void)arg;
    if (r->peer->on_request)
        r->peer->on_request(r->peer->arg, s, buf_str(&r->body));
}

static void h2_peer_on_drain(void *arg, struct h2_stream *s)
{
    (void)arg;
    (void)s;
}

static void h2_peer_req_free(struct h2_peer_req *r)
{
    list_remove(&r->link);
    buf_deinit(&r->body);
    free(r);
}

static void h2_peer_on_close(void *arg, struct h2_stream *s, uint32_t error_code)
{
    struct h2_peer_req *r = h2_user(s);
    struct h2_peer_conn *c = arg;

    (void)error_code;
    if (c->peer->last == s)
        c->peer->last = NULL;
    h2_peer_req_free(r);
}

static void h2_peer_feed(void *arg, const char *p, size_t n)
{
    struct h2_peer_conn *c = arg;
    struct err e;

    if (c->peer->deaf)
        return;
    if (h2_feed(c->h2, p, n, &e))
        stream_close(c->s);
    else
        h2_peer_flush(c);
}

static void h2_peer_stream_end(void *arg)
{
    struct h2_peer_conn *c = arg;

    stream_close(c->s);
}

static void h2_peer_stream_error(void *arg, const struct err *e)
{
    (void)e;
    h2_peer_stream_end(arg);
}

static void h2_peer_stream_closed(void *arg)
{
    struct h2_peer_conn *c = arg;

    c->s = NULL;
}

static void h2_peer_accept(void *arg, struct stream *s)
{
    static const struct h2_events h2_events = { .on_head = h2_peer_on_head,
                                                .on_data = h2_peer_on_data,
                                                .on_end = h2_peer_on_end,
                                                .on_drain = h2_peer_on_drain,
                                                .on_close = h2_peer_on_close };
    static const struct stream_events events = { .on_data = h2_peer_feed,
                                                 .on_end = h2_peer_stream_end,
                                                 .on_error = h2_peer_stream_error,
                                                 .on_closed = h2_peer_stream_closed };
    struct h2_peer *p = arg;
    struct h2_peer_conn *c = &p->conns[p->n_conns++];

    *c = (struct h2_peer_conn){ .peer = p, .s = s };
    c->h2 = h2_new(&(struct h2_config){ .server = true, .events = &h2_events, .arg = c });
    stream_open(s, &events, c);
    h2_peer_flush(c);
}

static inline int h2_peer_init(struct h2_peer *p, uv_loop_t *loop, struct err *e)
{
    list_init(&p->reqs);
    if (tcp_listen(&p->listener, loop, "127.0.0.1", 0, h2_peer_accept, p, e))
        return e->code;
    snprintf(p->authority, sizeof p->authority, "127.0.0.1:%u", listener_port(p->listener));
    return 0;
}

static inline void h2_peer_close(void *arg)
{
    struct h2_peer *p = arg;

    listener_close(p->listener, NULL, NULL);
    for (unsigned i = 0; i < p->n_conns; i++)
        if (p->conns[i].s)
            stream_close(p->conns[i].s);
}

/* After the loop has run out. */
static inline void h2_peer_deinit(struct h2_peer *p)
{
    for (unsigned i = 0; i < p->n_conns; i++)
        h2_free(p->conns[i].h2);
    list_each (r, &p->reqs, struct h2_peer_req, link)
        h2_peer_req_free(r); /* those that never closed */
}

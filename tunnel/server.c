/*
 * Tunnel server: nodes by name, each with its sessions, oldest first; dials take the last one.
 *
 * A node's record lives longer than its sessions, because "why is it not there" is asked after it
 * left. Results of dials are handed out from an idle handle, so that done never comes from inside
 * the call. Closing counts: the last link and the handle free the whole.
 */
#include "tunnel/server.h"

#include "base/core/clock.h"
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/http/ws.h"
#include "base/io/tcp.h"
#include "tunnel/connect.h"
#include "tunnel/link.h"
#include "tunnel/stream.h"

#include <stdio.h>

#define N_SESSIONS_MAX 8192
/* Records of nodes without a session: as many as a large cluster has nodes. */
#define N_NODES_MAX 16384
/* One per connection that is not known to be dead yet; an agent in a reconnect loop must not take
 * the places of others. */
#define N_NODE_SESSIONS_MAX 4

struct tunnel_server {
    uv_loop_t *loop;
    struct tunnel_server_config c;
    struct map *nodes; /* name -> struct node */
    size_t n_sessions;
    struct list dialing, dials; /* without a result, and with one to hand out */
    uv_idle_t idle;
    bool stopped, closing, idle_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct node {
    char *name;
    struct list sessions; /* oldest first */
    size_t n_sessions;
    size_t n_refs; /* the map's, and one per session until its link is gone */
    struct tunnel_node_state st;
    uint64_t last_frame_ms;
};

struct node_session {
    struct tunnel_server *ts;
    struct node *node;
    struct list link_in_node;
    struct tunnel_link *link;
    const struct tunnel_framing *framing;
    char client[TUNNEL_CLIENT_ID_BYTES]; /* "": it does not say */
    bool left;                           /* not in its node any more, the link is closing */
};

struct dial {
    struct list link; /* in dialing, or in dials */
    struct tunnel_server *ts;
    struct tunnel_stream *opening; /* while dialing */
    struct stream *s;
    struct err e;
    http_dialed_fn done;
    void *arg;
};

static struct log_limit log_rate = LOG_LIMIT(50, 100); /* a node can come and go as it likes */

static void maybe_gone(struct tunnel_server *ts)
{
    void (*closed)(void *arg) = ts->closed;
    void *arg = ts->closed_arg;

    if (!ts->closing || ts->n_sessions || !ts->idle_closed)
        return;
    map_free(ts->nodes);
    free(ts);
    if (closed)
        closed(arg);
}

/* ---- nodes and their sessions --------------------------------------------------------------- */

static void node_unref(struct node *n)
{
    if (--n->n_refs)
        return;
    free(n->name);
    free(n);
}

static struct node *node_get(struct tunnel_server *ts, struct str name)
{
    struct node *n = map_get(ts->nodes, name);

    if (n)
        return n;
    n = mem_alloc(sizeof *n);
    n->name = str_dup(name);
    n->n_refs = 1;
    list_init(&n->sessions);
    n->st.since_unix_s = clock_wall_s();
    map_set(ts->nodes, name, n);
    return n;
}

static struct node_session *newest(const struct node *n)
{
    return n && n->n_sessions ? container_of(n->sessions.prev, struct node_session, link_in_node)
                              : NULL;
}

/* Takes the session out of its node; the link is closed by the caller. on_node comes last. */
static void session_leave(struct node_session *x, const char *why)
{
    struct tunnel_server *ts = x->ts;
    struct node *n = x->node;

    if (x->left)
        return;
    x->left = true;
    list_remove(&x->link_in_node);
    n->n_sessions--;
    n->last_frame_ms =
        MAX(n->last_frame_ms, tunnel_session_last_seen_ms(tunnel_link_session(x->link)));
    snprintf(n->st.last_error, sizeof n->st.last_error, "%s", why);
    if (log_allowed(&log_rate))
        log_info("node's tunnel ended", kv("node", n->name), kv("err", why),
                 kv("n_sessions", n->n_sessions));
    if (n->n_sessions)
        return;
    n->st.since_unix_s = clock_wall_s();
    if (ts->c.on_node && !ts->stopped)
        ts->c.on_node(ts->c.arg, n->name, false);
}

static void on_link_dead(void *arg, const struct err *e)
{
    struct node_session *x = arg;
    struct err why = *e;

    session_leave(x, why.text);
    tunnel_link_close(x->link, why.text);
}

static void on_link_closed(void *arg)
{
    struct node_session *x = arg;
    struct tunnel_server *ts = x->ts;

    node_unref(x->node);
    free(x);
    ts->n_sessions--;
    maybe_gone(ts);
}

static void session_end(struct node_session *x, const char *why)
{
    session_leave(x, why);
    tunnel_link_close(x->link, why);
}

/* x has come: what is left of the node's older sessions? */
static void settle_older(struct node *n, const struct node_session *x)
{
    list_each (old, &n->sessions, struct node_session, link_in_node) {
        if (old == x)
            continue;
        if (*x->client && strcmp(old->client, x->client) == 0)
            session_end(old, "the agent connected again");
        else
            tunnel_link_doubt(old->link);
    }
    if (n->n_sessions > N_NODE_SESSIONS_MAX)
        session_end(list_first(&n->sessions, struct node_session, link_in_node),
                    "the node has too many sessions");
}

static void session_new(struct tunnel_server *ts, struct str name, struct stream *stream_take,
                        struct str leftover, const struct tunnel_framing *framing,
                        const char *client)
{
    struct node *n = node_get(ts, name);
    struct node_session *x = mem_alloc(sizeof *x);
    struct tunnel_link_config c = { .role = TUNNEL_SERVER,
                                    .framing = framing,
                                    .key = n->name,
                                    .silence_ms = ts->c.silence_ms,
                                    .n_flows_max = ts->c.n_streams_max,
                                    .on_dead = on_link_dead,
                                    .on_closed = on_link_closed,
                                    .arg = x };
    bool was_connected = n->n_sessions > 0;
    struct sockaddr_storage peer;

    snprintf(n->st.remote, sizeof n->st.remote, "unknown");
    if (stream_peer_addr(stream_take, &peer))
        tcp_addr_text(n->st.remote, (struct sockaddr *)&peer);
    x->ts = ts;
    x->node = n;
    x->framing = framing;
    snprintf(x->client, sizeof x->client, "%s", client);
    n->n_refs++;
    ts->n_sessions++;
    list_push(&n->sessions, &x->link_in_node);
    n->n_sessions++;
    n->st.n_connects++;
    tunnel_link_new(&x->link, stream_take, leftover, &c);
    settle_older(n, x);
    if (log_allowed(&log_rate))
        log_info("node's tunnel connected", kv("node", n->name), kv("remote", n->st.remote),
                 kv("protocol", framing == &tunnel_mux ? TUNNEL_SUBPROTOCOL : "remotedialer"),
                 kv("n_sessions", n->n_sessions));
    if (was_connected)
        return;
    n->st.since_unix_s = clock_wall_s();
    if (ts->c.on_node)
        ts->c.on_node(ts->c.arg, n->name, true);
}

/* Room for one more record: forgets some node that is away. */
static void make_room(struct tunnel_server *ts)
{
    struct str name;
    void *value;

    if (map_len(ts->nodes) < N_NODES_MAX)
        return;
    for (size_t i = 0; map_next(ts->nodes, &i, &name, &value);) {
        struct node *n = value;

        if (n->n_sessions)
            continue;
        map_remove(ts->nodes, name);
        node_unref(n);
        return;
    }
}

void tunnel_server_accept(struct tunnel_server *ts, struct http_req *r, struct str node)
{
    static const char *const protocols[] = { TUNNEL_SUBPROTOCOL, NULL };
    auto_buf leftover = BUF(HTTP_HEADERS_MAX_BYTES);
    char client[TUNNEL_CLIENT_ID_BYTES]; /* the headers go with the request */
    struct stream *stream;
    struct err e;
    bool own;

    if (ts->stopped || ts->n_sessions >= ts->c.n_sessions_max) {
        http_reply(r, 503, "text/plain", STR("too many tunnels\n"), NULL, 0);
        return;
    }
    own = !ts->c.remotedialer &&
          http_headers_has_token(http_req_headers(r), "Sec-WebSocket-Protocol", TUNNEL_SUBPROTOCOL);
    snprintf(client, sizeof client, STR_FMT,
             STR_ARG(http_headers_get(http_req_headers(r), TUNNEL_CLIENT_ID_HEADER)));
    if (ws_upgrade(r, own ? protocols : NULL, NULL, &stream, &leftover, &e)) /* it has answered */
        return;
    make_room(ts);
    session_new(ts, node, stream, buf_str(&leftover), own ? &tunnel_mux : &tunnel_remotedialer,
                client);
}

/* ---- dialing -------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *h)
{
    struct tunnel_server *ts = h->data;
    struct list ready = LIST(ready);
    struct list *l;

    uv_idle_stop(h);
    list_move_all(&ready, &ts->dials);
    while ((l = list_pop(&ready))) {
        struct dial *d = container_of(l, struct dial, link);
        struct dial copy = *d;

        free(d);
        copy.done(copy.arg, copy.s, copy.s ? NULL : &copy.e);
    }
}

static void on_idle_closed(uv_handle_t *h)
{
    struct tunnel_server *ts = h->data;

    ts->idle_closed = true;
    maybe_gone(ts);
}

static void on_last_idle(uv_idle_t *h)
{
    on_idle(h);
    uv_close((uv_handle_t *)h, on_idle_closed);
}

/* d has its result; done is called from the loop. */
static void dial_end(struct dial *d)
{
    struct tunnel_server *ts = d->ts;

    d->opening = NULL;
    list_remove(&d->link);
    list_push(&ts->dials, &d->link);
    if (!ts->idle_closed)
        uv_idle_start(&ts->idle, ts->closing ? on_last_idle : on_idle);
}

static void on_stream(void *arg, struct stream *s, const struct err *e)
{
    struct dial *d = arg;

    d->s = s;
    if (e)
        d->e = *e;
    if (e && d->ts->stopped)
        d->e.code = ERR_CANCELED;
    dial_end(d);
}

void tunnel_server_dial(struct tunnel_server *ts, const char *node, const char *address,
                        uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct node_session *x = newest(map_get(ts->nodes, str_of(node)));
    struct dial *d = mem_alloc(sizeof *d);
    char name[128];

    d->ts = ts;
    d->done = done;
    d->arg = arg;
    list_push(&ts->dialing, &d->link);
    snprintf(name, sizeof name, "node %s", node);
    if (ts->stopped)
        err_set(&d->e, ERR_CANCELED, "%s: the tunnel server is closing", name);
    else if (!x)
        err_set(&d->e, ERR_NOT_FOUND, "failed to find Session for client %s", node);
    else if (tunnel_stream_open(&d->opening, ts->loop, tunnel_link_session(x->link), name,
                                str_of(address), timeout_ms, on_stream, d, &d->e) == 0)
        return;
    dial_end(d);
}

/* The stream, if there is one, was not handed out yet. */
static void drop_result(struct dial *d, const char *why)
{
    if (!d->s)
        return;
    stream_close(STEAL(d->s));
    err_set(&d->e, ERR_CANCELED, "%s", why);
}

void tunnel_server_dial_cancel(struct tunnel_server *ts, const void *arg)
{
    list_each (d, &ts->dials, struct dial, link)
        if (d->arg == arg)
            drop_result(d, "the dial was canceled");
    list_each (d, &ts->dialing, struct dial, link)
        if (d->arg == arg)
            tunnel_stream_cancel(d->opening);
}

void tunnel_server_http_dial(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    const struct tunnel_dial_target *t = dial_arg;

    tunnel_server_dial(t->ts, t->node, t->address, timeout_ms, done, arg);
}

/* ---- what is known -------------------------------------------------------------------------- */

bool tunnel_server_has(const struct tunnel_server *ts, const char *node)
{
    return newest(map_get(ts->nodes, str_of(node))) != NULL;
}

size_t tunnel_server_n_sessions(const struct tunnel_server *ts)
{
    return ts->n_sessions;
}

bool tunnel_server_node(const struct tunnel_server *ts, const char *node,
                        struct tunnel_node_state *out)
{
    const struct node *n = map_get(ts->nodes, str_of(node));
    const struct node_session *x = newest(n);
    uint64_t last_ms;

    if (!n)
        return false;
    *out = n->st;
    out->connected = x != NULL;
    out->n_sessions = n->n_sessions;
    last_ms = n->last_frame_ms;
    if (x) {
        const struct tunnel_session *s = tunnel_link_session(x->link);

        out->n_streams = tunnel_session_n_flows(s);
        out->rtt_ms = tunnel_session_rtt_ms(s);
        out->own_protocol = x->framing == &tunnel_mux;
        last_ms = MAX(last_ms, tunnel_session_last_seen_ms(s));
    }
    out->last_frame_ago_ms = uv_now(ts->loop) - last_ms;
    return true;
}

static void node_end(struct node *n, const char *why)
{
    while (n->n_sessions)
        session_end(newest(n), why);
}

void tunnel_server_forget(struct tunnel_server *ts, const char *node)
{
    struct node *n = map_remove(ts->nodes, str_of(node));

    if (!n)
        return;
    node_end(n, "the node was deleted");
    node_unref(n);
}

/* ---- life ----------------------------------------------------------------------------------- */

void tunnel_server_new(struct tunnel_server **out, uv_loop_t *loop,
                       const struct tunnel_server_config *c)
{
    struct tunnel_server *ts = mem_alloc(sizeof *ts);

    ts->loop = loop;
    ts->c = *c;
    ts->c.n_sessions_max = c->n_sessions_max ? c->n_sessions_max : N_SESSIONS_MAX;
    ts->nodes = map_new();
    list_init(&ts->dialing);
    list_init(&ts->dials);
    uv_idle_init(loop, &ts->idle); /* never fails */
    ts->idle.data = ts;
    *out = ts;
}

/* Streams that nobody took yet are closed, and their dials canceled. */
static void cancel_dials(struct tunnel_server *ts)
{
    list_each (d, &ts->dials, struct dial, link)
        drop_result(d, "the tunnel server is closing");
}

void tunnel_server_stop(struct tunnel_server *ts)
{
    struct str name;
    void *value;

    ts->stopped = true;
    for (size_t i = 0; map_next(ts->nodes, &i, &name, &value);) {
        map_remove(ts->nodes, name);
        node_end(value, "the server is closing");
        node_unref(value);
    }
}

void tunnel_server_close(struct tunnel_server *ts, void (*done)(void *arg), void *arg)
{
    ts->closing = true;
    ts->closed = done;
    ts->closed_arg = arg;
    tunnel_server_stop(ts);
    cancel_dials(ts);
    uv_idle_stop(&ts->idle);
    uv_idle_start(&ts->idle, on_last_idle);
}

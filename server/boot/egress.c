#include "server/boot/egress.h"

#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/io/pump.h"
#include "base/io/tcp.h"
#include "base/kube/status.h"
#include "server/api/local.h"
#include "server/boot/egress_table.h"
#include "tunnel/server.h"

#define DIAL_TIMEOUT_MS 15000 /* of a CONNECT, as K3s's */
#define CONNECTS_MAX    1024
#define LEFTOVER_MAX    (64 * 1024)

struct egress {
    uv_loop_t *loop;
    struct tunnel_server *tunnels;
    struct egress_table *table;
    struct local_watch *nodes, *pods;
    void (*on_outcome)(void *arg, const char *node, uint16_t port, const struct err *e, char *why,
                       size_t why_bytes);
    void *outcome_arg;
    struct list dials; /* direct ones under way */
    struct list connects;
    size_t n_connects;
    bool stopped, closing;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- the table ---------------------------------------------------------------------------------
 */

static void on_node(void *arg, enum local_event ev, const json_t *obj)
{
    struct egress *g = arg;
    const char *name = json_str_at(obj, "metadata.name", "");

    if (ev == LOCAL_DELETED) {
        egress_table_drop_node(g->table, name);
        tunnel_server_forget(g->tunnels, name);
    } else {
        egress_table_set_node(g->table, obj);
    }
}

static void on_pod(void *arg, enum local_event ev, const json_t *obj)
{
    struct egress *g = arg;

    if (ev == LOCAL_DELETED)
        egress_table_drop_pod(g->table, json_str_at(obj, "metadata.namespace", ""),
                              json_str_at(obj, "metadata.name", ""));
    else
        egress_table_set_pod(g->table, obj);
}

void egress_new(struct egress **out, const struct egress_config *c)
{
    struct egress *g = mem_alloc(sizeof *g);

    g->loop = c->loop;
    g->tunnels = c->tunnels;
    g->table = egress_table_new(c->own_node, c->mode);
    list_init(&g->dials);
    g->on_outcome = c->on_outcome;
    g->outcome_arg = c->outcome_arg;
    list_init(&g->connects);
    *out = g;
}

void egress_start(struct egress *g, struct api *api)
{
    static const struct local_watch_events of_nodes = { .on_event = on_node, .no_cache = true };
    static const struct local_watch_events of_pods = { .on_event = on_pod, .no_cache = true };
    struct local_ref nodes = { .resource = "nodes" }, pods = { .resource = "pods" };

    local_watch_start(&g->nodes, api, &nodes, NULL, &of_nodes, g);
    if (egress_table_wants_pods(g->table))
        local_watch_start(&g->pods, api, &pods, NULL, &of_pods, g);
}

/* ---- dialing -----------------------------------------------------------------------------------
 */

struct dial { /* a direct one, so that a stop can end it */
    struct list in;
    struct tcp_dial *tcp;
    bool unreached_by_tunnel; /* it would have gone by one */
    char node[254];
    http_dialed_fn done;
    void *arg;
};

static void on_direct(void *arg, struct stream *s, const struct err *e)
{
    struct dial *d = arg;
    http_dialed_fn done = d->done;
    void *done_arg = d->arg;
    struct err why;

    list_remove(&d->in);
    if (e) {
        why = *e;
        if (d->unreached_by_tunnel)
            err_wrap(&why, "node %s has no tunnel, tried directly", d->node);
    }
    free(d);
    done(done_arg, s, e ? &why : NULL);
}

static void dial_direct(struct egress *g, const struct egress_route *r, uint64_t timeout_ms,
                        http_dialed_fn done, void *arg)
{
    struct dial *d = mem_alloc(sizeof *d);

    d->done = done;
    d->arg = arg;
    d->unreached_by_tunnel = r->way == EGRESS_TUNNEL_PREFERRED;
    memcpy(d->node, r->node, sizeof d->node);
    list_push(&g->dials, &d->in);
    tcp_dial(&d->tcp, g->loop, r->host, r->port, timeout_ms, on_direct, d);
    if (g->stopped)
        tcp_dial_cancel(d->tcp);
}

static void dial_route(struct egress *g, const struct egress_route *r, uint64_t timeout_ms,
                       http_dialed_fn done, void *arg)
{
    auto_buf address = BUF(300);

    if (r->way == EGRESS_DIRECT ||
        (r->way == EGRESS_TUNNEL_PREFERRED && !tunnel_server_has(g->tunnels, r->node))) {
        dial_direct(g, r, timeout_ms, done, arg);
        return;
    }
    err_ignore(url_join_host_port(&address, str_of(r->host), r->port)); /* it fits */
    tunnel_server_dial(g->tunnels, r->node, buf_cstr(&address), timeout_ms, done, arg);
}

void egress_dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg)
{
    struct egress *g = arg;
    struct egress_route r;
    struct str host;
    uint16_t port = 0;
    struct err e;

    err_ignore(
        url_split_host_port(&host, &port, str_of(host_port), 0, &e)); /* the API's own text */
    egress_table_kubelet(g->table, node, port, &r);
    dial_route(g, &r, timeout_ms, done, done_arg);
}

void egress_dial_address(void *arg, const char *host_port, uint64_t timeout_ms, http_dialed_fn done,
                         void *done_arg)
{
    struct egress *g = arg;
    struct egress_route r = { .way = EGRESS_DIRECT };
    struct str host;
    uint16_t port = 0;
    struct err e;

    /* the API's own text, of an address: it splits, and is no long name */
    err_ignore(url_split_host_port(&host, &port, str_of(host_port), 0, &e) ||
               egress_table_route(g->table, host, port, &r, &e));
    dial_route(g, &r, timeout_ms, done, done_arg);
}

/* ---- CONNECT -----------------------------------------------------------------------------------
 */

/*  DIALING --> 200 --> PIPING --> gone     sleeps in DIALING (the dial), PIPING (pump) and, after a
 *      +--> 502 --> gone                   502, until the exchange ends. Whichever of exchange and
 *                                          dial ends last frees it. */
struct connect {
    struct list in;
    struct egress *g;
    struct http_req *req; /* NULL: the exchange is over */
    struct pump *pump;
    char *node; /* NULL: dialed directly */
    uint16_t port;
    bool dialing;
};

static void maybe_gone(struct egress *g)
{
    void (*done)(void *) = g->done;
    void *arg = g->done_arg;

    if (!g->closing || !list_empty(&g->connects)) /* no dial is without its CONNECT any more */
        return;
    egress_table_free(g->table);
    free(g);
    if (done)
        done(arg);
}

static void connect_free(struct connect *c)
{
    struct egress *g = c->g;

    list_remove(&c->in);
    g->n_connects--;
    free(c->node);
    free(c);
    maybe_gone(g);
}

static void reply_status(struct http_req *r, json_t *status_take)
{
    auto_free char *text = json_text(status_take);

    http_req_set_close(r);
    http_reply(r, status_code(status_take), "application/json", str_of(text), NULL, 0);
    json_decref(status_take);
}

static void on_pump_done(void *arg, const struct err *e)
{
    struct connect *c = arg;

    log_debug("egress connection ended", kv("err", e ? e->text : ""));
    connect_free(c);
}

static void refuse_dial(struct connect *c, const struct err *e)
{
    const struct egress *g = c->g;
    char why[512];

    snprintf(why, sizeof why, "%s", e->text);
    if (c->node && g->on_outcome)
        g->on_outcome(g->outcome_arg, c->node, c->port, e, why, sizeof why);
    reply_status(c->req,
                 status_new(STATUS_BAD_GATEWAY, "egress: %s", why)); /* on_req_done frees c */
}

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct connect *c = arg;
    struct http_req *r = c->req;
    struct stream *peer;
    auto_buf leftover = BUF(LEFTOVER_MAX);
    struct err why;

    c->dialing = false;
    if (!r) { /* the caller has gone meanwhile */
        if (s)
            stream_close(s);
        connect_free(c);
        return;
    }
    if (e) {
        refuse_dial(c, e);
        return;
    }
    c->dialing = true; /* keeps c over on_req_done, which http_upgrade calls */
    if (http_upgrade(r, 200, NULL, 0, &peer, &leftover, &why)) {
        c->dialing = false;
        stream_close(s);
        reply_status(r, status_of_err(&why));
        return;
    }
    c->pump = pump_start((struct pump_end){ peer, true, buf_str(&leftover) },
                         (struct pump_end){ s, false, STR("") }, on_pump_done, c);
}

/* Nobody waits for it any more. */
static void dial_cancel(struct egress *g, const void *done_arg)
{
    list_each (d, &g->dials, struct dial, in)
        if (d->arg == done_arg)
            tcp_dial_cancel(d->tcp);
    tunnel_server_dial_cancel(g->tunnels, done_arg);
}

static void on_req_done(struct http_req *r, void *arg, const struct err *e)
{
    struct connect *c = arg;

    (void)r;
    (void)e;
    c->req = NULL;
    if (c->dialing)
        dial_cancel(c->g, c); /* on_dialed frees c; after it, in http_upgrade, there is no dial */
    else
        connect_free(c);
}

static void ignore_body(struct http_req *r, void *arg, const char *p, size_t n)
{
    (void)r;
    (void)arg;
    (void)p;
    (void)n;
}

static void ignore(struct http_req *r, void *arg)
{
    (void)r;
    (void)arg;
}

static const struct http_req_events req_events = {
    .on_body = ignore_body,
    .on_body_end = ignore,
    .on_drain = ignore,
    .on_done = on_req_done,
};

void egress_connect(struct egress *g, struct http_req *r)
{
    struct egress_route route;
    struct connect *c;
    struct str host;
    uint16_t port;
    struct err e;

    if (http_req_is_h2(r)) {
        reply_status(r, status_new(STATUS_BAD_REQUEST, "CONNECT needs HTTP/1.1"));
        return;
    }
    if (url_split_host_port(&host, &port, http_req_target(r), 0, &e) ||
        egress_table_route(g->table, host, port, &route, &e)) {
        reply_status(r, status_new(STATUS_BAD_REQUEST, "CONNECT wants host:port: %s", e.text));
        return;
    }
    if (g->n_connects >= CONNECTS_MAX) {
        reply_status(r, status_too_many_requests("too many CONNECT streams", 1));
        return;
    }
    c = mem_alloc(sizeof *c);
    c->g = g;
    g->n_connects++;
    c->req = r;
    c->dialing = true;
    list_push(&g->connects, &c->in);
    http_req_accept(r, &req_events, c);

    c->node = *route.node ? mem_strdup(route.node) : NULL;
    c->port = route.port;
    dial_route(g, &route, DIAL_TIMEOUT_MS, on_dialed, c);
}

void egress_stop(struct egress *g)
{
    g->stopped = true;
    if (g->nodes)
        local_watch_stop(STEAL(g->nodes));
    if (g->pods)
        local_watch_stop(STEAL(g->pods));
    list_each (d, &g->dials, struct dial, in)
        tcp_dial_cancel(d->tcp);
}

void egress_close(struct egress *g, void (*done)(void *arg), void *arg)
{
    g->closing = true;
    g->done = done;
    g->done_arg = arg;
    egress_stop(g);
    list_each (c, &g->connects, struct connect, in)
        if (c->pump)
            pump_cancel(c->pump);
    maybe_gone(g);
}

#include "server/boot/egress.h"

#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/io/pump.h"
#include "base/io/tcp.h"
#include "base/kube/status.h"
#include "server/api/local.h"
#include "tunnel/server.h"

#include <arpa/inet.h>
#include <stdio.h>

#define DIAL_TIMEOUT_MS 15000 /* of a CONNECT, as K3s's */
#define CRI_STREAM_PORT 10010
#define KUBELET_PORT    10250
#define CONNECTS_MAX    1024
#define LEFTOVER_MAX    (64 * 1024)

struct node { /* what the table knows of one */
    char name[254];
    char internal_ip[INET6_ADDRSTRLEN]; /* "": none */
    uint16_t kubelet_port;
};

struct egress {
    uv_loop_t *loop;
    struct tunnel_server *tunnels;
    char *own_node;
    bool disabled;
    struct local_watch *watch;
    struct map *nodes;   /* name -> struct node * */
    struct map *node_of; /* IP text -> struct node *, borrowed from nodes */
    struct list connects;
    size_t n_connects;
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- the node table ----------------------------------------------------------------------------
 */

static void forget_addresses(struct egress *g, const struct node *n)
{
    struct str key;
    void *value;

    for (size_t i = 0; map_next(g->node_of, &i, &key, &value);)
        if (value == n)
            map_remove(g->node_of, key);
}

static void on_node(void *arg, enum local_event ev, const json_t *obj)
{
    struct egress *g = arg;
    const char *name = json_str_at(obj, "metadata.name", "");
    struct node *n = map_get(g->nodes, str_of(name));
    const json_t *addresses = json_at(obj, "status.addresses"), *a;
    size_t i;

    if (n)
        forget_addresses(g, n);
    if (ev == LOCAL_DELETED) {
        map_remove(g->nodes, str_of(name));
        free(n);
        tunnel_server_forget(g->tunnels, name);
        return;
    }
    if (!n) {
        n = mem_alloc(sizeof *n);
        snprintf(n->name, sizeof n->name, "%s", name);
        map_set(g->nodes, str_of(name), n);
    }
    n->internal_ip[0] = '\0';
    n->kubelet_port =
        (uint16_t)json_i64_at(obj, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT);
    json_array_foreach(addresses, i, a)
    {
        const char *type = json_str_at(a, "type", ""), *ip = json_str_at(a, "address", "");
        bool internal = strcmp(type, "InternalIP") == 0;
        if (!internal && strcmp(type, "ExternalIP") != 0)
            continue;
        map_set(g->node_of, str_of(ip), n);
        if (internal && !n->internal_ip[0])
            snprintf(n->internal_ip, sizeof n->internal_ip, "%s", ip);
    }
}

void egress_new(struct egress **out, const struct egress_config *c)
{
    struct egress *g = mem_alloc(sizeof *g);

    g->loop = c->loop;
    g->tunnels = c->tunnels;
    g->own_node = mem_strdup(c->own_node);
    g->disabled = c->disabled;
    g->nodes = map_new();
    g->node_of = map_new();
    list_init(&g->connects);
    *out = g;
}

void egress_start(struct egress *g, struct api *api)
{
    static const struct local_watch_events events = { .on_event = on_node };
    struct local_ref ref = { .resource = "nodes" };

    local_watch_start(&g->watch, api, &ref, NULL, &events, g);
}

/* ---- dialing -----------------------------------------------------------------------------------
 */

static void dial_direct(struct egress *g, struct str host, uint16_t port, uint64_t timeout_ms,
                        http_dialed_fn done, void *arg)
{
    auto_free char *name = str_dup(host);

    tcp_dial(NULL, g->loop, name, port, timeout_ms, done, arg);
}

void egress_dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg)
{
    struct egress *g = arg;
    const struct node *n = map_get(g->nodes, str_of(node));
    bool own = strcmp(node, g->own_node) == 0;
    struct str host;
    uint16_t port;
    struct err e;

    if ((own || g->disabled) && url_split_host_port(&host, &port, str_of(host_port), 0, &e) == 0) {
        if (own || (n && n->internal_ip[0])) {
            dial_direct(g, own ? host : str_of(n->internal_ip), port, timeout_ms, done, done_arg);
            return;
        } /* a node that tells no address: its tunnel, if it has one, is the only way */
    }
    tunnel_server_dial(g->tunnels, node, host_port, timeout_ms, done, done_arg);
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
    bool dialing;
};

static void connect_free(struct connect *c)
{
    struct egress *g = c->g;

    list_remove(&c->in);
    g->n_connects--;
    free(c);
    if (g->closing && list_empty(&g->connects)) {
        void (*done)(void *) = g->done;
        void *arg = g->done_arg;
        free(g);
        if (done)
            done(arg);
    }
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
        reply_status(r, status_new(STATUS_BAD_GATEWAY, "egress: %s", e->text));
        return; /* on_req_done frees c */
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

static void on_req_done(struct http_req *r, void *arg, const struct err *e)
{
    struct connect *c = arg;

    (void)r;
    (void)e;
    c->req = NULL;
    if (!c->dialing)
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
    const struct node *n;
    struct connect *c;
    struct str host;
    uint16_t port;
    struct err e;

    if (http_req_is_h2(r)) {
        reply_status(r, status_new(STATUS_BAD_REQUEST, "CONNECT needs HTTP/1.1"));
        return;
    }
    if (url_split_host_port(&host, &port, http_req_target(r), 0, &e)) {
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

    unsigned char ip[16];
    auto_free char *host_text = str_dup(host);
    bool is_ip = inet_pton(AF_INET, host_text, ip) == 1 || inet_pton(AF_INET6, host_text, ip) == 1;
    n = is_ip ? map_get(g->node_of, host) : NULL;
    if (is_ip && (!n || (port != n->kubelet_port && port != CRI_STREAM_PORT))) {
        dial_direct(g, host, port, DIAL_TIMEOUT_MS, on_dialed, c);
        return;
    }
    char local[32];
    snprintf(local, sizeof local, "127.0.0.1:%u", port);
    egress_dial(g, n ? n->name : host_text, local, DIAL_TIMEOUT_MS, on_dialed, c);
}

void egress_stop(struct egress *g)
{
    if (g->watch)
        local_watch_stop(STEAL(g->watch));
}

void egress_close(struct egress *g, void (*done)(void *arg), void *arg)
{
    struct str key;
    void *value;

    g->closing = true;
    g->done = done;
    g->done_arg = arg;
    egress_stop(g);
    for (size_t i = 0; map_next(g->nodes, &i, &key, &value);)
        free(value);
    map_free(g->nodes);
    map_free(g->node_of);
    free(g->own_node);
    if (list_empty(&g->connects)) {
        free(g);
        if (done)
            done(arg);
        return;
    }
    list_each (c, &g->connects, struct connect, in)
        if (c->pump)
            pump_cancel(c->pump);
}

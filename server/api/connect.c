/*
 * Connect: the subresources that end outside this server. pods/log, exec, attach, portforward and
 * nodes/proxy end at a kubelet: the node is looked up (and the pod before it), then the request
 * goes on to the kubelet's port over egress (the tunnel) and TLS with the API server's client
 * certificate. pods/proxy and services/proxy end at a pod (connect_proxy.c). The answer streams
 * back. Upgrades (SPDY/3.1, websocket) become a pump of raw bytes.
 *
 *   START --> READ (pod) --> READ (node) --> CONNECT --> (answer streams) | (pump)
 *     \-> READ (what a proxy looks for) ------^
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/pump.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/connect_int.h"

#include <stdio.h>

#define KUBELET_PORT        10250
#define HEADERS_FORWARD_MAX 100
#define EXTRA_MAX           4     /* headers of a proxy's own */
#define REFUSAL_MAX_BYTES   50000 /* as upstream's GenericHttpResponseChecker */

bool connect_is(const struct schema_kind *k, const struct schema_sub *sub)
{
    static const char *const of_pods[] = { "log", "exec", "attach", "portforward", "proxy" };

    if (!sub || *k->group)
        return false;
    if (strcmp(k->plural, "nodes") == 0 || strcmp(k->plural, "services") == 0)
        return strcmp(sub->name, "proxy") == 0;
    if (strcmp(k->plural, "pods") == 0)
        for (size_t i = 0; i < ARRAY_LEN(of_pods); i++)
            if (strcmp(sub->name, of_pods[i]) == 0)
                return true;
    return false;
}

static bool sub_is(const struct api_req *r, const char *name)
{
    return strcmp(r->sub->name, name) == 0;
}

void connect_free(struct connect *c)
{
    c->req->connect = NULL;
    buf_deinit(&c->refusal);
    connect_backend_close(c->backend);
    proxy_search_free(c->search);
    free(c->node);
    free(c->target);
    free(c);
}

void connect_refuse(struct api_req *r, json_t *status_take)
{
    connect_free(r->connect);
    req_status(r, status_take);
}

void connect_redirect(struct api_req *r, const char *location)
{
    struct http_header to = { STR("Location"), str_of(location) };

    connect_free(r->connect);
    r->state = REQ_DONE;
    r->answered = true;
    api_count(r, 301);
    r->sink->reply(r, 301, "text/plain; charset=utf-8", STR(""), &to, 1);
}

struct str connect_query(const struct api_req *r)
{
    struct str path, query;

    str_cut(str_of(r->target), '?', &path, &query);
    return query;
}

/* ---- the answer ---- */

/* RFC 9110 7.6.1, and what the client library writes itself. */
static bool is_hop_header(struct str name)
{
    static const char *const hop[] = {
        "connection",     "keep-alive",        "proxy-connection", "te",
        "trailer",        "transfer-encoding", "upgrade",          "host",
        "content-length", "authorization",     "expect",           "proxy-authenticate"
    };

    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        if (str_eq_nocase(name, str_of(hop[i])))
            return true;
    return false;
}

static size_t copy_headers(struct http_header *out, const struct http_headers *in)
{
    size_t n = 0;

    for (size_t i = 0; i < in->n && n < HEADERS_FORWARD_MAX; i++)
        if (!is_hop_header(in->v[i].name))
            out[n++] = in->v[i];
    return n;
}

size_t connect_drop_headers(struct http_header *v, size_t n, const char *start)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (v[i].name.n < strlen(start) ||
            !str_eq_nocase(str_n(v[i].name.p, strlen(start)), str_of(start)))
            v[kept++] = v[i];
    return kept;
}

static void on_pump_done(void *arg, const struct err *e)
{
    struct api_req *r = arg;
    struct connect *c = r->connect;

    (void)e; /* either end may leave at any time: that is how sessions end */
    c->pump = NULL;
    if (!c->call)
        connect_free(c);
    r->gone = true;
    req_release(r);
}

static void join(struct api_req *r, struct http_call *call, const struct http_headers *h)
{
    struct connect *c = r->connect;
    struct http_header out[HEADERS_FORWARD_MAX + 3];
    size_t n = form_answer(c, out, copy_headers(out, h));
    auto_buf from_node = BUF(1024 * 1024), from_peer = BUF(1024 * 1024);
    bool tunnel = c->form == FORM_TUNNEL;
    struct stream *node, *peer;
    struct err e;

    out[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
    out[n++] = (struct http_header){ STR("Upgrade"), http_headers_get(h, "upgrade") };
    node = http_call_take_stream(call, &from_node);
    c->replied = r->answered = true;
    api_count(r, 101);
    struct http_req *http = r->http;
    r->http = NULL; /* its on_done comes inside http_upgrade and must not end us */
    c->started = true;
    if (tunnel ? form_tunnel(&peer, http, &e)
               : http_upgrade(http, 101, out, n, &peer, &from_peer, &e)) {
        stream_close(node);
        r->http = http;
        if (!tunnel) /* else it has been answered */
            http_reply_abort(http);
        return;
    }
    c->pump = pump_start((struct pump_end){ peer, !tunnel, buf_str(&from_peer) },
                         (struct pump_end){ node, true, buf_str(&from_node) }, on_pump_done, r);
}

/* What the user is told when nothing came back; e NULL: something did. */
static void outcome(const struct api_req *r, const struct err *e, char *why, size_t why_bytes)
{
    const struct api_egress *g = &r->api->config.egress;
    const struct connect *c = r->connect;

    snprintf(why, why_bytes, "%s", e ? e->text : "no answer");
    if (g->on_outcome && !c->backend)
        g->on_outcome(g->outcome_arg, c->node, c->port, e, why, why_bytes);
}

static void on_head(struct http_call *call, void *arg, int status, const struct http_headers *h)
{
    struct api_req *r = arg;
    struct connect *c = r->connect;
    struct http_header out[HEADERS_FORWARD_MAX];
    uint64_t length;

    char none[1];

    if (r->gone)
        return;
    outcome(r, NULL, none, sizeof none);
    if (status == 101 && c->upgrade) {
        join(r, call, h);
        return;
    }
    if (sub_is(r, "log") && status >= 400) { /* plain words: they become a Status */
        c->refused_with = status;
        c->refusal = BUF(REFUSAL_MAX_BYTES);
        return;
    }
    c->replied = r->answered = true;
    api_count(r, status);
    bool known = str_to_u64(http_headers_get(h, "content-length"), &length);
    size_t n = copy_headers(out, h);
    auto_free char *location = NULL;
    if (sub_is(r, "proxy")) { /* as upstream's: it shares our origin, and does not know its path */
        n = connect_drop_headers(out, n, "Access-Control-Allow-");
        for (size_t i = 0; i < n; i++)
            if (!location && str_eq_nocase(out[i].name, STR("location")) && out[i].value.n) {
                location = proxy_location(r, out[i].value);
                out[i].value = str_of(location);
            }
    }
    http_reply_start(r->http, status, out, n, known ? (int64_t)length : -1);
}

static void on_body(struct http_call *call, void *arg, const char *p, size_t n)
{
    struct api_req *r = arg;

    if (r->gone || !r->http)
        return;
    if (r->connect->refused_with) {
        struct buf *b = &r->connect->refusal;
        err_ignore(buf_add(b, p, MIN(n, b->max - b->n))); /* it fits */
        return;
    }
    http_reply_write(r->http, p, n);
    if (http_reply_queued(r->http) > STREAM_HIGH_BYTES) {
        r->connect->paused_call = true;
        http_call_pause(call);
    }
}

static void on_call_drain(struct http_call *call, void *arg)
{
    struct api_req *r = arg;

    (void)call;
    if (r->http && r->connect->paused_req) {
        r->connect->paused_req = false;
        http_req_resume(r->http);
    }
}

/* A kubelet's refusal of a log, for the API's clients. */
static json_t *refusal_status(const struct connect *c)
{
    struct str text = str_trim(buf_str(&c->refusal));

    switch (c->refused_with) {
    case 400:
        return status_new(STATUS_BAD_REQUEST, STR_FMT, STR_ARG(text));
    case 404:
        return status_new(STATUS_NOT_FOUND, STR_FMT, STR_ARG(text));
    case 503:
        return status_new(STATUS_SERVICE_UNAVAILABLE, STR_FMT, STR_ARG(text));
    case 401:
    case 403: /* it is us whom it refused, not our client */
        return status_new(STATUS_BAD_GATEWAY, "node \"%s\" refused the API server: " STR_FMT,
                          c->node, STR_ARG(text));
    default:
        return status_new(STATUS_INTERNAL_ERROR, "Internal error occurred: " STR_FMT,
                          STR_ARG(text));
    }
}

static void on_call_done(struct http_call *call, void *arg, const struct err *e)
{
    struct api_req *r = arg;
    struct connect *c = r->connect;
    bool replied = c->replied;

    (void)call;
    c->call = NULL;
    if (c->pump)
        return; /* the session goes on without the call */
    auto_free char *node = mem_strdup(c->node);
    char why[512] = "";
    if (e && !replied && !c->refused_with && !r->gone)
        outcome(r, e, why, sizeof why);
    bool handed_over = c->started && !r->http, of_backend = c->backend != NULL;
    json_auto_t *refusal = c->refused_with && !e ? refusal_status(c) : NULL;
    connect_free(c);
    if (handed_over) {
        r->gone = true;
        req_release(r);
    } else if (r->gone) {
        req_release(r);
    } else if (refusal) {
        req_status(r, STEAL(refusal));
    } else if (!replied && of_backend) {
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "error trying to reach service: %s",
                                 e ? why : "no answer"));
    } else if (!replied) {
        req_status(r, status_new(e && e->code == ERR_TIMEOUT ? STATUS_TIMEOUT : STATUS_BAD_GATEWAY,
                                 "error dialing backend: node \"%s\": %s", node,
                                 e ? why : "no answer"));
    } else if (e) {
        r->state = REQ_DONE;
        http_reply_abort(r->http);
    } else {
        r->state = REQ_DONE;
        http_reply_end(r->http);
    }
}

/* ---- the question ---- */

void connect_call(struct api_req *r, struct http_endpoint *ep, const struct http_header *extra,
                  size_t n_extra)
{
    static const struct http_call_events events = { on_head, on_body, on_call_drain, on_call_done };
    struct connect *c = r->connect;
    const struct http_headers *in = http_req_headers(r->http);
    struct http_header out[HEADERS_FORWARD_MAX + 3 + EXTRA_MAX];
    size_t n = copy_headers(out, in);
    struct str upgrade = http_headers_get(in, "upgrade"), method = http_req_method(r->http);
    auto_free char *method_text = str_dup(method);

    if (!c->backend) /* sessions of somebody else's are nothing to a kubelet */
        n = connect_drop_headers(out, n, "cookie");
    for (size_t i = 0; i < n_extra; i++)
        out[n++] = extra[i];
    c->upgrade = upgrade.n && http_headers_has_token(in, "connection", "upgrade");
    if (c->upgrade) {
        bool tunnel = c->form == FORM_TUNNEL;

        n = form_ask(c, out, n);
        out[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
        out[n++] = (struct http_header){ STR("Upgrade"), tunnel ? STR("SPDY/3.1") : upgrade };
    }
    struct http_call_config cfg = {
        .method = c->upgrade && c->form == FORM_TUNNEL ? "POST" : method_text,
        .target = c->target,
        .headers = out,
        .n_headers = n,
        .stream_body = !c->upgrade && http_req_has_body(r->http),
        .upgrade = c->upgrade,
    };
    req_move(r, REQ_CONNECT);
    c->started = true;
    http_call_start(&c->call, ep, &cfg, &events, r);
    if (cfg.stream_body)
        http_req_resume(r->http);
}

/* Its kubelet, or another port of the node where nodes/proxy names one: that is no kubelet's, and
 * shown no certificate of ours. */
static void call_node(struct api_req *r, uint16_t kubelet_port)
{
    struct connect *c = r->connect;
    bool other = c->port && c->port != kubelet_port;
    enum kubelet_tls tls = !other ? KUBELET_TLS : proxy_is_tls(r) ? OTHER_TLS : OTHER_PLAIN;
    struct http_endpoint *ep;

    if (!c->port)
        c->port = kubelet_port;
    ep = kubelet_endpoint(r->api, c->node, c->port, tls);
    if (ep)
        connect_call(r, ep, NULL, 0);
    else
        connect_refuse(r,
                       status_new(STATUS_SERVICE_UNAVAILABLE, "too many nodes are connected to"));
}

void connect_read(struct api_req *r, const char *plural, const char *ns, const char *name)
{
    free(r->key);
    r->key =
        resource_key(schema_find(r->api->schema, STR(""), STR("v1"), str_of(plural)), ns, name);
    req_read(r);
}

void connect_step(struct api_req *r)
{
    struct connect *c = r->connect;
    enum connect_form form;
    const json_t *doc;

    if (r->state == REQ_START) {
        if (!r->http) {
            req_status(r, status_new(STATUS_METHOD_NOT_ALLOWED,
                                     "%s/%s needs a connection: not for local callers",
                                     r->kind->plural, r->sub->name));
            return;
        }
        if (!r->api->config.egress.dial) {
            req_status(
                r, status_new(STATUS_SERVICE_UNAVAILABLE, "this server has no way to its nodes"));
            return;
        }
        if (!form_of(r, &form)) {
            req_status(r, status_new(STATUS_BAD_REQUEST,
                                     "unable to upgrade: websocket subprotocol " STR_FMT
                                     " is not supported, SPDY/3.1 is",
                                     STR_ARG(http_headers_get(http_req_headers(r->http),
                                                              "sec-websocket-protocol"))));
            return;
        }
        if (!sub_is(r, "log") && !sub_is(r, "proxy") &&
            !http_headers_has_token(http_req_headers(r->http), "connection", "upgrade")) {
            req_status(r, status_new(STATUS_BAD_REQUEST, "Upgrade request required"));
            return;
        }
        c = r->connect = mem_alloc(sizeof *c);
        c->req = r;
        c->form = form;
        if (http_req_has_body(r->http))
            http_req_pause(r->http);
        if (!sub_is(r, "proxy"))
            connect_read(r, "pods", r->route.namespace_, r->route.name);
        else if (proxy_start(r))
            connect_read(r, "nodes", "", c->node);
        return;
    }
    if (r->state != REQ_READ)
        return;
    if (sub_is(r, "proxy") && strcmp(r->kind->plural, "nodes") != 0) {
        proxy_have_object(r);
        return;
    }
    bool pod_now = strcmp(r->kind->plural, "pods") == 0 && !c->have_pod;
    if (!r->old) {
        connect_refuse(
            r, status_not_found("", pod_now ? "pods" : "nodes", pod_now ? r->route.name : c->node));
        return;
    }
    doc = req_parsed(
        r->api, r->old,
        schema_find(r->api->schema, STR(""), STR("v1"), pod_now ? STR("pods") : STR("nodes")));
    if (!doc) {
        connect_refuse(r, status_new(STATUS_INTERNAL_ERROR, "stored object is damaged"));
        return;
    }
    if (pod_now) {
        c->have_pod = true;
        if (kubelet_target(r, doc))
            connect_read(r, "nodes", "", c->node);
        return;
    }
    int64_t port = json_i64_at(doc, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT);
    call_node(r, port > 0 && port < 65536 ? (uint16_t)port : KUBELET_PORT);
}

/* ---- what the peer does meanwhile ---- */

void connect_body(struct api_req *r, const char *p, size_t n)
{
    struct connect *c = r->connect;

    if (!c || !c->call)
        return;
    http_call_write(c->call, p, n);
    if (http_call_queued(c->call) > STREAM_HIGH_BYTES) {
        c->paused_req = true;
        http_req_pause(r->http);
    }
}

void connect_body_end(struct api_req *r)
{
    struct connect *c = r->connect;

    if (c && c->call && !c->upgrade && http_req_has_body(r->http))
        http_call_end(c->call);
}

void connect_drain(struct api_req *r)
{
    struct connect *c = r->connect;

    if (c && c->call && c->paused_call) {
        c->paused_call = false;
        http_call_resume(c->call);
    }
}

/* The peer is gone, or the server closes. */
void connect_stop(struct api_req *r)
{
    struct connect *c = r->connect;

    if (c->pump)
        pump_cancel(c->pump);
    else if (c->call)
        http_call_cancel(c->call);
    else
        connect_free(c); /* a read or list is under way: its callback finds the request gone */
}

/*
 * Connect: the subresources that end at a kubelet: pods/log, exec, attach, portforward and
 * nodes/proxy. The node is looked up (and the pod before it), then the request goes on to the
 * kubelet's port over egress (the tunnel) and TLS with the API server's client certificate, and the
 * answer streams back. Upgrades (SPDY/3.1, websocket) become a pump of raw bytes.
 *
 *   START --> READ (pod) --> READ (node) --> CONNECT --> (answer streams) | (pump)
 *
 * Kubelet paths: kubelet/pkg/server, 1.32.
 */
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/io/pump.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/request.h"

#include <stdio.h>

#define KUBELET_PORT        10250
#define DIAL_TIMEOUT_MS     15000
#define NODE_CONNECTIONS    256 /* each followed log and each session holds one */
#define NODES_LINKED_MAX    4096
#define HEADERS_FORWARD_MAX 100
#define REFUSAL_MAX_BYTES   50000 /* as upstream's GenericHttpResponseChecker */

/* One kubelet's endpoint, kept for its pooled connections. */
struct node_link {
    struct api *api;
    char *node;
    char *host_port; /* as the node sees it */
    struct http_endpoint *ep;
};

struct connect {
    struct api_req *req;
    char *node;
    char *target;  /* path?query on the kubelet */
    uint16_t port; /* named in the request; 0: the node's, until it is known */
    bool have_pod;
    bool upgrade, started, replied, paused_call, paused_req;
    struct http_call *call;
    struct pump *pump;
    int refused_with; /* the kubelet's status for a log that it cannot give; 0: none */
    struct buf refusal;
};

bool connect_is(const struct schema_kind *k, const struct schema_sub *sub)
{
    static const char *const of_pods[] = { "log", "exec", "attach", "portforward" };

    if (!sub || *k->group)
        return false;
    if (strcmp(k->plural, "nodes") == 0)
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

static void connect_free(struct connect *c)
{
    c->req->connect = NULL;
    buf_deinit(&c->refusal);
    free(c->node);
    free(c->target);
    free(c);
}

/* Answers and lets go: nothing runs yet. */
static void refuse(struct api_req *r, json_t *status_take)
{
    connect_free(r->connect);
    req_status(r, status_take);
}

/* ---- where to ---- */

static void dial_node(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct node_link *l = dial_arg;
    struct api_egress *g = &l->api->config.egress;

    g->dial(g->arg, l->node, l->host_port, timeout_ms, done, arg);
}

static void link_closed(void *arg)
{
    struct node_link *l = arg;

    struct api *a = l->api;

    free(l->node);
    free(l->host_port);
    free(l);
    api_handle_closed(a);
}

static struct node_link *link_of(struct api *a, const char *node, uint16_t port)
{
    auto_free char *authority = mem_printf("%s:%u", node, port);
    struct node_link *l = map_get(a->nodes, str_of(authority));

    if (l)
        return l;
    if (map_len(a->nodes) >= NODES_LINKED_MAX)
        return NULL;
    l = mem_alloc(sizeof *l);
    l->api = a;
    l->node = mem_strdup(node);
    l->host_port = mem_printf("127.0.0.1:%u", port);
    struct http_endpoint_config cfg = {
        .authority = authority, /* its host is the name that the certificate must have */
        .dial = dial_node,
        .dial_arg = l,
        .tls = a->config.kubelet_tls,
        .proto = HTTP_H1,
        .dial_timeout_ms = DIAL_TIMEOUT_MS,
        .n_connections_max = NODE_CONNECTIONS,
    };
    http_endpoint_new(&l->ep, a->loop, &cfg);
    map_set(a->nodes, str_of(authority), l);
    return l;
}

void connect_deinit(struct api *a)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(a->nodes, &i, &key, &v);) {
        struct node_link *l = v;

        a->n_open_handles++;
        http_endpoint_close(l->ep, link_closed, l);
    }
    map_free(a->nodes);
    a->nodes = NULL;
}

static struct str query_of(const struct api_req *r)
{
    struct str path, query;

    str_cut(str_of(r->target), '?', &path, &query);
    return query;
}

/* PodExecOptions and PodAttachOptions as the kubelet's parameters. */
static int add_session_query(struct buf *b, struct str query)
{
    static const struct {
        const char *from, *to;
    } flags[] = {
        { "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" }
    };
    struct str name, value;
    char sep = '?';

    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        bool no = value.n && (str_is(value, "0") || str_eq_nocase(value, STR("false")));

        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if (str_is(name, flags[i].from) && !no) {
                if (buf_addf(b, "%c%s=1", sep, flags[i].to))
                    return ERR_LIMIT;
                sep = '&';
            }
        if (str_is(name, "command") || str_is(name, "port") || str_is(name, "ports")) {
            if (buf_addf(b, "%c%s=", sep, str_is(name, "command") ? "command" : "port") ||
                buf_add_str(b, value)) /* still encoded */
                return ERR_LIMIT;
            sep = '&';
        }
    }
    return 0;
}

/* The container that is meant: named, the only one, or the annotated default. NULL: answered. */
static char *container_of_pod(struct api_req *r, const json_t *pod)
{
    auto_buf named = BUF(256), names = BUF(8192);
    const char *deflt = meta_annotation(pod, "kubectl.kubernetes.io/default-container");
    const json_t *list = json_at(pod, "spec.containers");
    static const char *const lists[] = { "spec.containers", "spec.initContainers",
                                         "spec.ephemeralContainers" };
    size_t i;
    json_t *v;

    err_ignore(url_query_get(&named, query_of(r), "container")); /* absent is fine */
    const char *want = named.n ? buf_cstr(&named) : deflt;
    for (size_t l = 0; *want && l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_at(pod, lists[l]), i,
                           v) if (strcmp(json_str_at(v, "name", ""), want) ==
                                  0) return mem_strdup(want);
    if (named.n) {
        refuse(r, status_new(STATUS_BAD_REQUEST, "container %s is not valid for pod %s",
                             buf_cstr(&named), r->route.name));
        return NULL;
    }
    if (json_array_size(list) == 1)
        return mem_strdup(json_str_at(json_array_get(list, 0), "name", ""));
    json_array_foreach(list, i, v)
        err_ignore(buf_addf(&names, "%s%s", i ? " " : "", json_str_at(v, "name", "")));
    refuse(r, status_new(STATUS_BAD_REQUEST,
                         "a container name must be specified for pod %s, choose one of: [%s]",
                         r->route.name, buf_cstr(&names)));
    return NULL;
}

/* False: answered. */
static bool target_of_pod(struct api_req *r, const json_t *pod)
{
    struct connect *c = r->connect;
    const char *node = json_str_at(pod, "spec.nodeName", "");
    auto_buf t = BUF(HTTP_TARGET_MAX_BYTES);
    auto_free char *container = NULL;
    int rc = 0;

    if (!*node) {
        refuse(r, status_new(STATUS_BAD_REQUEST, "pod %s does not have a host assigned",
                             r->route.name));
        return false;
    }
    c->node = mem_strdup(node);
    if (!sub_is(r, "portforward") && !(container = container_of_pod(r, pod)))
        return false;
    rc = buf_addf(&t, "/%s/",
                  sub_is(r, "log")           ? "containerLogs"
                  : sub_is(r, "portforward") ? "portForward"
                                             : r->sub->name) ||
         url_encode(&t, str_of(r->route.namespace_)) || buf_addc(&t, '/') ||
         url_encode(&t, str_of(r->route.name));
    if (!rc && container)
        rc = buf_addc(&t, '/') || url_encode(&t, str_of(container));
    if (!rc &&
        sub_is(r, "log")) { /* the kubelet knows the same options: container is in the path */
        struct str name, value;
        char sep = '?';

        for (struct str rest = query_of(r); !rc && url_query_next(&rest, &name, &value);) {
            if (str_is(name, "container"))
                continue;
            rc = buf_addc(&t, sep) || buf_add_str(&t, name) || buf_addc(&t, '=') ||
                 buf_add_str(&t, value);
            sep = '&';
        }
    } else if (!rc) {
        rc = add_session_query(&t, query_of(r));
    }
    if (rc) {
        refuse(r, status_new(STATUS_REQUEST_TOO_LARGE, "the request's options are too long"));
        return false;
    }
    c->target = buf_take(&t);
    return true;
}

/* nodes/<name>[:port]/proxy/<rest>. False: answered. */
static bool target_of_node(struct api_req *r)
{
    struct connect *c = r->connect;
    struct str name = str_of(r->route.name), node, port, query = query_of(r);
    uint64_t n = 0;

    if (str_starts(name, STR("https:")))
        name = str_n(name.p + 6, name.n - 6);
    bool colon = str_cut(name, ':', &node, &port);
    if (colon && port.n && (!str_to_u64(port, &n) || n == 0 || n > 65535)) {
        refuse(r,
               status_new(STATUS_BAD_REQUEST, "invalid port in node name \"%s\"", r->route.name));
        return false;
    }
    c->node = str_dup(node);
    c->port = (uint16_t)n;
    c->target = mem_printf("%s" STR_FMT "%s" STR_FMT, r->route.rest.n ? "" : "/",
                           STR_ARG(r->route.rest), query.n ? "?" : "", STR_ARG(query));
    return true;
}

/* ---- the answer ---- */

/* RFC 9110 7.6.1, and what the client library writes itself. */
static bool is_hop_header(struct str name)
{
    static const char *const hop[] = {
        "connection",        "keep-alive",        "proxy-connection", "te",
        "trailer",           "transfer-encoding", "upgrade",          "host",
        "content-length",    "authorization",     "cookie",           "expect",
        "proxy-authenticate"
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
    struct http_header out[HEADERS_FORWARD_MAX + 2];
    size_t n = copy_headers(out, h);
    auto_buf from_node = BUF(1024 * 1024), from_peer = BUF(1024 * 1024);
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
    if (http_upgrade(http, 101, out, n, &peer, &from_peer, &e)) {
        stream_close(node);
        r->http = http;
        http_reply_abort(http);
        return;
    }
    c->pump = pump_start((struct pump_end){ peer, true, buf_str(&from_peer) },
                         (struct pump_end){ node, true, buf_str(&from_node) }, on_pump_done, r);
}

/* What the user is told when nothing came back; e NULL: something did. */
static void outcome(const struct api_req *r, const struct err *e, char *why, size_t why_bytes)
{
    const struct api_egress *g = &r->api->config.egress;
    const struct connect *c = r->connect;

    snprintf(why, why_bytes, "%s", e ? e->text : "no answer");
    if (g->on_outcome)
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
    http_reply_start(r->http, status, out, copy_headers(out, h), known ? (int64_t)length : -1);
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
    bool handed_over = c->started && !r->http;
    json_auto_t *refusal = c->refused_with && !e ? refusal_status(c) : NULL;
    connect_free(c);
    if (handed_over) {
        r->gone = true;
        req_release(r);
    } else if (r->gone) {
        req_release(r);
    } else if (refusal) {
        req_status(r, STEAL(refusal));
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

static void call_node(struct api_req *r, uint16_t port)
{
    static const struct http_call_events events = { on_head, on_body, on_call_drain, on_call_done };
    struct connect *c = r->connect;
    const struct http_headers *in = http_req_headers(r->http);
    struct http_header out[HEADERS_FORWARD_MAX + 2];
    size_t n = copy_headers(out, in);
    struct str upgrade = http_headers_get(in, "upgrade"), method = http_req_method(r->http);
    auto_free char *method_text = str_dup(method);
    struct node_link *l = link_of(r->api, c->node, port);

    if (!l) {
        refuse(r, status_new(STATUS_SERVICE_UNAVAILABLE, "too many nodes are connected to"));
        return;
    }
    c->upgrade = upgrade.n && http_headers_has_token(in, "connection", "upgrade");
    if (c->upgrade) {
        out[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
        out[n++] = (struct http_header){ STR("Upgrade"), upgrade };
    }
    struct http_call_config cfg = {
        .method = method_text,
        .target = c->target,
        .headers = out,
        .n_headers = n,
        .stream_body = !c->upgrade && http_req_has_body(r->http),
        .upgrade = c->upgrade,
    };
    req_move(r, REQ_CONNECT);
    c->started = true;
    c->port = port;
    http_call_start(&c->call, l->ep, &cfg, &events, r);
    if (cfg.stream_body)
        http_req_resume(r->http);
}

static void read_key(struct api_req *r, const char *plural, const char *ns, const char *name)
{
    free(r->key);
    r->key =
        resource_key(schema_find(r->api->schema, STR(""), STR("v1"), str_of(plural)), ns, name);
    req_read(r);
}

/* kubectl >= 1.30 first offers websockets that no kubelet speaks: upstream's API server would turn
 * them into SPDY. Refused here, without a trip to the node, kubectl asks for SPDY itself. */
static bool is_only_for_translators(const struct api_req *r)
{
    static const char *const known[] = { "v4.channel.k8s.io", "v4.base64.channel.k8s.io",
                                         "channel.k8s.io", "base64.channel.k8s.io" };
    const struct http_headers *h = http_req_headers(r->http);

    if (sub_is(r, "proxy") || !str_eq_nocase(http_headers_get(h, "upgrade"), STR("websocket")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (http_headers_has_token(h, "sec-websocket-protocol", known[i]))
            return false;
    return http_headers_get(h, "sec-websocket-protocol").n > 0;
}

void connect_step(struct api_req *r)
{
    struct connect *c = r->connect;
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
        if (is_only_for_translators(r)) {
            req_status(r, status_new(STATUS_BAD_REQUEST,
                                     "unable to upgrade: websocket subprotocol " STR_FMT
                                     " is not supported, SPDY/3.1 is",
                                     STR_ARG(http_headers_get(http_req_headers(r->http),
                                                              "sec-websocket-protocol"))));
            return;
        }
        c = r->connect = mem_alloc(sizeof *c);
        c->req = r;
        if (http_req_has_body(r->http))
            http_req_pause(r->http);
        if (strcmp(r->kind->plural, "pods") == 0)
            read_key(r, "pods", r->route.namespace_, r->route.name);
        else if (target_of_node(r))
            read_key(r, "nodes", "", c->node);
        return;
    }
    if (r->state != REQ_READ)
        return;
    bool pod_now = strcmp(r->kind->plural, "pods") == 0 && !c->have_pod;
    if (!r->old) {
        refuse(r,
               status_not_found("", pod_now ? "pods" : "nodes", pod_now ? r->route.name : c->node));
        return;
    }
    doc = req_parsed(
        r->api, r->old,
        schema_find(r->api->schema, STR(""), STR("v1"), pod_now ? STR("pods") : STR("nodes")));
    if (!doc) {
        refuse(r, status_new(STATUS_INTERNAL_ERROR, "stored object is damaged"));
        return;
    }
    if (pod_now) {
        c->have_pod = true;
        if (target_of_pod(r, doc))
            read_key(r, "nodes", "", c->node);
        return;
    }
    int64_t port =
        c->port ? c->port
                : json_i64_at(doc, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT);
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
        connect_free(c); /* a read is under way: its callback finds the request gone */
}

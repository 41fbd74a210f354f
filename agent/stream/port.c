/*
 * Port: listener, TLS, who may come in, and which path is whose. Logs and sessions are in logs.c
 * and session.c. Source of paths and texts: kubelet/pkg/server/server.go and auth.go, 1.32.
 */
#include "agent/stream/port_impl.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/x509.h"

#define N_CONNECTIONS_MAX 512 /* a node's pods, a few followers of each */
#define PODS_MAX_BYTES    (64u * 1024 * 1024)
#define METRICS_MAX_BYTES (1024u * 1024)

struct port {
    uv_loop_t *loop;
    struct node_view node;
    char *version;
    void (*add_metrics)(void *arg, struct buf *out);
    void *add_metrics_arg;
    struct listener *listener;
    struct tls_server_config *tls;
    struct http_server *http;
    struct list jobs;
    unsigned n_open; /* listener, server and jobs */
    void (*done)(void *arg);
    void *done_arg;
};

static void let_go(struct port *p)
{
    if (--p->n_open)
        return;
    void (*done)(void *) = p->done;
    void *arg = p->done_arg;
    tls_server_config_free(p->tls);
    free(p->version);
    free(p);
    if (done)
        done(arg);
}

void port_job_begin(struct port *p, struct port_job *j, void (*stop)(struct port_job *j))
{
    j->port = p;
    j->stop = stop;
    list_push(&p->jobs, &j->in);
    p->n_open++;
}

void port_job_end(struct port_job *j)
{
    list_remove(&j->in);
    let_go(j->port);
}

struct node_view port_view(const struct port *p)
{
    return p->node;
}

uv_loop_t *port_loop(const struct port *p)
{
    return p->loop;
}

void port_set_pods(struct port *p, struct pods *pods, struct runtime *runtime)
{
    p->node.pods = pods;
    p->node.runtime = runtime;
}

/* ---- answers ---- */

static void reply(struct http_req *r, int status, const char *type, struct str body)
{
    static const struct http_header nosniff = { STR("X-Content-Type-Options"), STR("nosniff") };

    http_reply(r, status, type, body, &nosniff, 1);
}

void port_reply_text(struct http_req *r, int status, const char *fmt, ...)
{
    auto_buf b = BUF(4096);
    va_list ap;

    va_start(ap, fmt);
    err_ignore(buf_vaddf(&b, fmt, ap)); /* nothing is better than half of it */
    va_end(ap);
    err_ignore(buf_addc(&b, '\n'));
    reply(r, status, "text/plain; charset=utf-8", buf_str(&b));
}

void port_reply_err(struct http_req *r, const struct err *e)
{
    int status = e->code == ERR_NOT_FOUND ? 404
                 : e->code == ERR_INVALID ? 400
                 : e->code == ERR_AGAIN   ? 503
                 : e->code == ERR_TIMEOUT ? 504
                                          : 500;

    port_reply_text(r, status, "%s", e->text);
}

/* ---- who ---- */

static bool is_api_server(const struct x509 *x)
{
    if (strcmp(x->common_name, "system:apiserver") == 0 ||
        strcmp(x->common_name, "kube-apiserver") == 0)
        return true;
    for (size_t i = 0; i < x->n_organizations; i++)
        if (strcmp(x->organizations[i], "system:masters") == 0)
            return true;
    return false;
}

static const char *verb_of(struct str method)
{
    return str_is(method, "POST")     ? "create"
           : str_is(method, "PUT")    ? "update"
           : str_is(method, "PATCH")  ? "patch"
           : str_is(method, "DELETE") ? "delete"
                                      : "get";
}

static const char *subresource_of(struct str path)
{
    return str_starts(path, STR("/stats"))     ? "stats"
           : str_starts(path, STR("/metrics")) ? "metrics"
           : str_starts(path, STR("/logs"))    ? "log"
                                               : "proxy";
}

/* False: answered. The TLS layer has let everybody in, so that the refusal can be read. */
static bool is_allowed(struct http_req *r)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));
    AUTO(x509) struct x509 *x = NULL;
    struct err e;

    if (!peer || !peer->leaf_der.n || peer->verify_error ||
        x509_parse_der(&x, peer->leaf_der, &e)) {
        if (peer && peer->leaf_der.n && log_allowed(&limit))
            log_warn("kubelet port refused a client certificate",
                     kv("why", peer->verify_error ? peer->verify_text : e.text));
        port_reply_text(r, 401, "Unauthorized");
        return false;
    }
    if (is_api_server(x))
        return true;
    if (log_allowed(&limit))
        log_warn("kubelet port refused a user who is not the API server",
                 kv("user", x->common_name), kv("path", http_req_path(r)));
    port_reply_text(r, 403, "Forbidden (user=%s, verb=%s, resource=nodes, subresource=%s)",
                    x->common_name, verb_of(http_req_method(r)), subresource_of(http_req_path(r)));
    return false;
}

/* ---- small paths ---- */

static json_t *pod_list(struct port *p)
{
    if (p->node.pods)
        return p->node.source->list(p->node.pods);
    return json_pack("{s:s,s:s,s:{},s:[]}", "kind", "PodList", "apiVersion", "v1", "metadata",
                     "items");
}

static bool is_running(const json_t *pod)
{
    return strcmp(json_str_at(pod, "status.phase", ""), "Running") == 0;
}

static void serve_pods(struct port *p, struct http_req *r, bool only_running)
{
    json_auto_t *list = pod_list(p);
    json_t *items = json_at(list, "items");
    auto_buf b = BUF(PODS_MAX_BYTES);

    for (size_t i = json_array_size(items); only_running && i--;)
        if (!is_running(json_array_get(items, i)))
            json_array_remove(items, i);
    if (json_write(&b, list)) {
        port_reply_text(r, 500, "the list of pods is too large");
        return;
    }
    reply(r, 200, "application/json", buf_str(&b));
}

static void count_running(struct port *p, struct metrics_input *in)
{
    json_auto_t *list = pod_list(p);
    json_t *pod, *status;
    size_t i, k;

    json_array_foreach(json_at(list, "items"), i, pod)
    {
        in->n_pods_running += is_running(pod);
        json_array_foreach(json_at(pod, "status.containerStatuses"), k, status)
            in->n_containers_running += json_at(status, "state.running") != NULL;
    }
}

static void serve_metrics(struct port *p, struct http_req *r)
{
    auto_buf b = BUF(METRICS_MAX_BYTES);
    struct metrics_input in = { .version = p->version };

    count_running(p, &in);
    metrics_write(&b, &in);
    if (p->add_metrics)
        p->add_metrics(p->add_metrics_arg, &b);
    reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
}

static void serve(struct port *p, struct http_req *r)
{
    static const char *const healthy[] = { "/healthz", "/healthz/ping", "/healthz/log",
                                           "/healthz/syncloop" };
    struct str path = http_req_path(r);
    bool is_get = str_is(http_req_method(r), "GET") || str_is(http_req_method(r), "HEAD");
    struct session_path session;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(healthy); i++)
        if (str_is(path, healthy[i])) {
            reply(r, 200, "text/plain; charset=utf-8", STR("ok"));
            return;
        }
    int rc = session_path_parse(&session, path, &e);
    if (rc == ERR_INVALID) {
        port_reply_err(r, &e);
    } else if (rc == 0 && session.kind != SESSION_LOGS) {
        session_serve(p, r, &session);
    } else if (!is_get) {
        port_reply_text(r, 405, "405: Method Not Allowed");
    } else if (rc == 0) {
        logs_serve(p, r, &session);
    } else if (str_is(path, "/pods") || str_is(path, "/pods/")) {
        serve_pods(p, r, false);
    } else if (str_is(path, "/runningpods") || str_is(path, "/runningpods/")) {
        serve_pods(p, r, true);
    } else if (str_is(path, "/metrics")) {
        serve_metrics(p, r);
    } else {
        port_reply_text(r, 404, "404 page not found");
    }
}

static void on_request(struct http_req *r, void *arg)
{
    struct port *p = arg;

    if (is_allowed(r))
        serve(p, r);
}

static void on_accept(void *arg, struct stream *s)
{
    struct port *p = arg;

    http_server_serve(p->http, tls_server_wrap(p->tls, s));
}

/* ---- life ---- */

int port_new_from(struct port **out, const struct port_config *c, const struct source *source,
                  struct err *e)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct tls_server_config *tls;
    struct port *p;

    if (tls_server_config_new(&tls, c->tls.cert_chain, c->tls.key, c->tls.client_ca, alpn, e))
        return err_wrap(e, "kubelet port");
    p = mem_alloc(sizeof *p);
    if (tcp_listen(&p->listener, c->loop, c->bind_address ? c->bind_address : "", c->port,
                   on_accept, p, e)) {
        tls_server_config_free(tls);
        free(p);
        return err_wrap(e, "kubelet port");
    }
    p->loop = c->loop;
    p->tls = tls;
    p->node = (struct node_view){ source, c->pods, c->runtime };
    p->version = mem_strdup(c->version ? c->version : "");
    p->add_metrics = c->add_metrics;
    p->add_metrics_arg = c->add_metrics_arg;
    list_init(&p->jobs);
    struct http_server_config http = {
        .on_request = on_request,
        .arg = p,
        .n_connections_max = N_CONNECTIONS_MAX,
    };
    http_server_new(&p->http, c->loop, &http);
    p->n_open = 2;
    *out = p;
    return 0;
}

int port_reload(struct port *p, const struct port_tls *tls, struct err *e)
{
    if (tls_server_config_reload(p->tls, tls->cert_chain, tls->key, tls->client_ca, e))
        return err_wrap(e, "kubelet port: reload");
    return 0;
}

uint16_t port_number(const struct port *p)
{
    return listener_port(p->listener);
}

static void on_closed(void *arg)
{
    let_go(arg);
}

void port_close(struct port *p, void (*done)(void *arg), void *arg)
{
    p->done = done;
    p->done_arg = arg;
    p->n_open++; /* stays until we are through */
    listener_close(p->listener, on_closed, p);
    list_each (j, &p->jobs, struct port_job, in)
        j->stop(j);
    http_server_close(p->http, on_closed, p);
    let_go(p);
}

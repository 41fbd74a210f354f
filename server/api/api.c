/*
 * The server's life, and where requests come from: HTTP exchanges and callers on this loop.
 *
 * api_start: the services are listed (addresses in use), the system namespaces made, the pods
 * followed (node graph); each step counts in n_starting and the last one tells the owner.
 * api_close: watches are ended and streams cut, the rest may finish within CLOSE_MS; every handle
 * counts in n_open_handles, and the last one frees.
 */
#include "server/api/api.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/tls.h"
#include "base/kube/status.h"
#include "server/api/admission_feed.h"
#include "server/api/charge.h"
#include "server/api/claims.h"
#include "server/api/custom.h"
#include "server/api/local.h"
#include "server/api/request.h"
#include "server/api/scrape.h"
#include "server/api/share.h"
#include "server/auth/impersonate.h"
#include "server/auth/node_graph.h"
#include "server/resource/service_ip.h"
#include "server/schema/crd.h"
#include "server/schema/discovery.h"

#define CLOSE_MS 5000

/* ---- HTTP ---- */

static void http_sink_reply(struct api_req *r, int code, const char *content_type, struct str body,
                            const struct http_header *extra, size_t n_extra)
{
    http_reply(r->http, code, content_type, body, extra, n_extra);
}

static void http_sink_start(struct api_req *r, int code, const char *content_type,
                            const struct http_header *extra, size_t n_extra)
{
    struct http_header h[REPLY_HEADERS_MAX + 3] = { { STR("Content-Type"), str_of(content_type) } };
    size_t n = 1;

    if (r->gzip) {
        h[n++] = (struct http_header){ STR("Content-Encoding"), STR("gzip") };
        h[n++] = (struct http_header){ STR("Vary"), STR("Accept-Encoding") };
    }
    for (size_t i = 0; i < MIN(n_extra, (size_t)REPLY_HEADERS_MAX); i++)
        h[n++] = extra[i];
    http_reply_start(r->http, code, h, n, -1);
}

static void http_sink_write(struct api_req *r, struct str bytes)
{
    http_reply_write(r->http, bytes.p, bytes.n);
}

static size_t http_sink_queued(struct api_req *r)
{
    return http_reply_queued(r->http);
}

static void http_sink_end(struct api_req *r)
{
    http_reply_end(r->http);
}

static void http_sink_abort(struct api_req *r)
{
    http_reply_abort(r->http);
}

static const struct req_sink http_sink = { http_sink_reply,  http_sink_start, http_sink_write,
                                           http_sink_queued, http_sink_end,   http_sink_abort };

static void on_http_body(struct http_req *http, void *arg, const char *p, size_t n)
{
    struct api_req *r = arg;

    if (r->verb == VERB_CONNECT && r->kind) {
        connect_body(r, p, n);
        return;
    }
    if (r->state != REQ_BODY)
        return;
    if (buf_add(&r->body, p, n)) {
        http_req_set_close(http); /* the rest of it is not worth reading */
        req_status(r, status_new(STATUS_REQUEST_TOO_LARGE, "Request entity too large: limit is %d",
                                 API_BODY_MAX_BYTES));
    }
}

static void on_http_body_end(struct http_req *http, void *arg)
{
    struct api_req *r = arg;

    (void)http;
    if (r->verb == VERB_CONNECT && r->kind)
        connect_body_end(r);
    else if (r->state == REQ_BODY)
        api_step(r);
}

static void on_http_drain(struct http_req *http, void *arg)
{
    struct api_req *r = arg;

    (void)http;
    if (r->watch)
        watch_drain(r);
    else if (r->connect)
        connect_drain(r);
    else
        read_drain(r);
}

static void on_http_done(struct http_req *http, void *arg, const struct err *e)
{
    struct api_req *r = arg;

    (void)http;
    (void)e;
    if (!r->http)
        return; /* upgraded: the pump is what lives on */
    r->http = NULL;
    req_gone(r);
}

/* The other that the headers name takes the place of who asks. False: answered. */
static bool impersonate(struct api_req *r, const struct http_headers *h)
{
    AUTO(impersonation) struct impersonation *m = NULL;
    char reason[AUTHZ_REASON_BYTES];
    struct authz_attrs at;
    struct err e;

    if (impersonation_parse(&m, h, &e)) {
        req_err(r, &e);
        return false;
    }
    for (size_t i = 0; m && impersonation_right(m, i, r->id, &at); i++) {
        if (!authz_allowed(r->api->authz, &at, reason)) {
            req_forbidden(r, &at, reason);
            return false;
        }
    }
    if (m) {
        identity_unref(r->id);
        r->id = impersonation_identity(m);
    }
    return true;
}

void api_handle(struct api *a, struct http_req *http)
{
    static const struct http_req_events events = { on_http_body, on_http_body_end, on_http_drain,
                                                   on_http_done };
    const struct http_headers *h = http_req_headers(http);
    auto_free char *method = str_dup(http_req_method(http));
    struct api_req *r = req_new(a, &http_sink, method, http_req_path(http), http_req_query(http));
    struct err e = { 0 };

    r->http = http;
    r->takes_gzip = accept_gzip(http_headers_get(h, "accept-encoding"));
    http_req_accept(http, &events, r);
    if (a->closing) {
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "the server is shutting down"));
        return;
    }
    enum authn_result who = authn_check_req(a->authn, http, &r->id, &e);
    if (who == AUTHN_FAILED || (who == AUTHN_NONE && !a->config.anonymous)) {
        static struct log_limit limit = LOG_LIMIT(10, 1000);

        if (who == AUTHN_FAILED && log_allowed(&limit))
            log_warn("request with bad credentials", kv("path", http_req_path(http)),
                     kv("err", e.text));
        req_status(r, status_new(STATUS_UNAUTHORIZED, "Unauthorized"));
        return;
    }
    if (impersonate(r, h))
        req_begin(r, method, http_headers_get(h, "accept"), http_headers_get(h, "content-type"));
}

/* ---- callers on this loop ---- */

static void local_sink_reply(struct api_req *r, int code, const char *content_type, struct str body,
                             const struct http_header *extra, size_t n_extra)
{
    json_auto_t *doc = NULL;
    struct err e;

    (void)content_type;
    (void)extra;
    (void)n_extra;
    if (json_parse(&doc, body, &e)) { /* a plain path */
        code = 500;
        doc = status_new(STATUS_INTERNAL_ERROR, "%s", e.text);
    }
    r->local_done(r->local_arg, code, doc);
    req_gone(r);
}

/* Local callers ask for nothing that streams: lists come in one piece, watches are local_watch. */
static void local_sink_start(struct api_req *r, int code, const char *content_type,
                             const struct http_header *extra, size_t n_extra)
{
    (void)r;
    (void)code;
    (void)content_type;
    (void)extra;
    (void)n_extra;
}

static void local_sink_write(struct api_req *r, struct str bytes)
{
    (void)r;
    (void)bytes;
}

static size_t local_sink_queued(struct api_req *r)
{
    (void)r;
    return 0;
}

static void local_sink_end(struct api_req *r)
{
    json_auto_t *s = status_new(STATUS_METHOD_NOT_ALLOWED, "streams are not for local callers");

    r->local_done(r->local_arg, 405, s);
    req_gone(r);
}

static const struct req_sink local_sink = { local_sink_reply,  local_sink_start, local_sink_write,
                                            local_sink_queued, local_sink_end,   local_sink_end };

struct local_job { /* for the next turn of the loop */
    struct list link;
    struct api_req *req;
    char *method, *content_type; /* NULL: a request that is under way steps again */
};

static void on_local_idle(uv_idle_t *h)
{
    struct api *a = h->data;
    struct list jobs = LIST(jobs), *l;

    uv_idle_stop(h);
    json_array_clear(a->lent);
    list_move_all(&jobs, &a->local_queue);
    while ((l = list_pop(&jobs))) {
        struct local_job *j = container_of(l, struct local_job, link);
        struct api_req *r = j->req;
        auto_free char *method = j->method, *type = j->content_type;

        free(j);
        r->n_pending--;
        if (!method)
            api_step(r);
        else if (a->closing)
            req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "the server is shutting down"));
        else
            req_begin(r, method, (struct str){ 0 }, str_of(type));
    }
}

static struct local_job *add_job(struct api_req *r)
{
    struct local_job *j = mem_alloc(sizeof *j);

    j->req = r;
    r->n_pending++;
    list_push(&r->api->local_queue, &j->link);
    uv_idle_start(&r->api->local_idle, on_local_idle);
    return j;
}

void req_step_later(struct api_req *r)
{
    add_job(r);
}

void api_call(struct api *a, struct identity *id_take, const char *method, const char *target,
              const char *content_type, const json_t *body,
              void (*done)(void *arg, int code, json_t *doc), void *arg)
{
    struct str path, query;

    str_cut(str_of(target), '?', &path, &query);
    struct api_req *r = req_new(a, &local_sink, method, path, query);
    r->id = id_take;
    r->local_done = done;
    r->local_arg = arg;
    r->in = body ? json_deep_copy(body) : NULL;
    struct local_job *j = add_job(r);
    j->method = mem_strdup(method);
    j->content_type = mem_strdup(content_type ? content_type : "application/json");
}

const json_t *api_lend(struct api *a, json_t *doc_take)
{
    if (!doc_take)
        return NULL;
    json_array_append_new(a->lent, doc_take);
    uv_idle_start(&a->local_idle, on_local_idle);
    return doc_take;
}

/* ---- checks ---- */

struct check {
    struct list link;
    char *name;
    bool ok, live;
};

void api_check_set(struct api *a, const char *name, bool ok, bool live)
{
    struct check *c;

    list_each (x, &a->checks, struct check, link) {
        if (strcmp(x->name, name) != 0)
            continue;
        x->ok = ok;
        return;
    }
    c = mem_alloc(sizeof *c);
    c->name = mem_strdup(name);
    c->ok = ok;
    c->live = live;
    list_push(&a->checks, &c->link);
}

/* Every informer has had its first list. Once that was so it stays so: those of kinds that are
 * defined later make no server unready. */
bool api_is_informed(struct api *a)
{
    if (!a->serving)
        return false;
    a->informed = a->informed || local_watches_are_synced(a);
    return a->informed;
}

bool api_is_ready(struct api *a)
{
    if (!a->serving || a->closing || !api_is_informed(a))
        return false;
    list_each (x, &a->checks, struct check, link)
        if (!x->ok)
            return false;
    return true;
}

void api_checks_walk(struct api *a, bool live, api_check_fn fn, void *arg)
{
    struct err e;

    fn(arg, "ping", NULL);
    if (!live) {
        fn(arg, "start", a->serving && !a->closing ? NULL : "not ready");
        fn(arg, "informer-sync", api_is_informed(a) ? NULL : "not ready");
    }
    list_each (x, &a->checks, struct check, link)
        if (!live || x->live)
            fn(arg, x->name, x->ok ? NULL : "not ready");
    if (!live)
        fn(arg, "storage", store_trouble(a->store, &e) ? e.text : NULL);
}

/* ---- life ---- */

int api_new(struct api **out, const struct api_config *c, struct err *e)
{
    const struct service_ips_config sc = { { c->service_cidrs[0], c->service_cidrs[1] },
                                           c->node_ports };
    struct service_ips *ips;

    if (service_ips_new(&ips, &sc, e))
        return err_wrap(e, "addresses of services");
    struct api *a = mem_alloc(sizeof *a);
    a->config = *c;
    a->loop = c->loop;
    a->store = c->store;
    a->authn = c->authn;
    a->env.service_ips = ips;
    a->git_version = mem_printf("v1.32.0+coracle%s%s", c->version && *c->version ? "." : "",
                                c->version ? c->version : "");
    a->schema = schema_new();
    a->discovery = discovery_new(a->schema, c->advertise_host_port ? c->advertise_host_port : "",
                                 a->git_version);
    node_graph_new(&a->graph);
    authz_new(&a->authz, a->graph);
    a->tally = tally_new();
    a->scrape = scrape_new(a);
    a->users = map_new();
    a->nodes = map_new();
    a->charges = charges_new(a);
    a->lent = json_array();
    list_init(&a->reqs);
    list_init(&a->checks);
    list_init(&a->local_queue);
    list_init(&a->watches);
    list_init(&a->feeds);
    uv_idle_init(a->loop, &a->local_idle);
    a->local_idle.data = a;
    timer_init(&a->close_timer, a->loop);
    timer_init(&a->recount_timer, a->loop);
    *out = a;
    return 0;
}

const struct schema *api_schema(const struct api *a)
{
    return a->schema;
}

bool api_is_shared(const struct api *a)
{
    return store_is_shared(a->store);
}

/* ---- start ---- */

static void started_step(struct api *a, const struct err *e)
{
    if (e && !a->start_err.code)
        a->start_err = *e;
    if (--a->n_starting > 0)
        return;
    a->serving = a->start_err.code == 0;
    a->started(a->started_arg, a->serving ? NULL : &a->start_err);
}

static void on_namespace_made(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)code;
    (void)obj;
    started_step(arg, e && e->code != ERR_EXISTS ? e : NULL);
}

static void make_namespaces(struct api *a)
{
    static const char *const names[] = { "default", "kube-system", "kube-public",
                                         "kube-node-lease" };
    struct local_ref ref = { .resource = "namespaces" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        json_auto_t *ns = json_pack("{s:{s:s}}", "metadata", "name", names[i]);

        a->n_starting++;
        local_create(a, &ref, ns, on_namespace_made, a);
    }
}

static void on_claims_repaired(struct api *a)
{
    started_step(a, NULL);
}

static void on_services(void *arg, const struct store_list *l, const struct err *e)
{
    struct api *a = arg;
    const struct schema_kind *k = schema_find(a->schema, STR(""), STR("v1"), STR("services"));

    for (size_t i = 0; !e && i < l->n; i++) {
        const json_t *doc = req_parsed(a, l->v[i], k);

        if (doc)
            service_ips_hold(a->env.service_ips, doc);
    }
    if (!e) {
        a->n_starting += (unsigned)claims_repair(a, l, on_claims_repaired);
        make_namespaces(a);
    }
    started_step(a, e);
}

static void on_pod(void *arg, enum local_event ev, const json_t *pod)
{
    struct api *a = arg;

    if (ev == LOCAL_DELETED)
        node_graph_remove_pod(a->graph, json_str_at(pod, "metadata.namespace", ""),
                              json_str_at(pod, "metadata.name", ""));
    else
        node_graph_set_pod(a->graph, pod);
}

/* What other servers gave out, and what they took back. */
static void on_service(void *arg, enum local_event ev, const json_t *service)
{
    struct api *a = arg;

    if (ev == LOCAL_DELETED)
        service_ips_release(a->env.service_ips, service, NULL);
    else
        service_ips_hold(a->env.service_ips, service);
}

/* ---- what services hold is counted again, as upstream's repair loop does ---- */

enum { RECOUNT_MS = 3 * 60 * 1000 };

static void recount(void *arg);

static void on_recount(void *arg, const struct store_list *l, const struct err *e)
{
    struct api *a = arg;
    const struct schema_kind *k = schema_find(a->schema, STR(""), STR("v1"), STR("services"));
    size_t lost = 0;

    a->recounting = false;
    if (a->closing)
        return;
    service_ips_recount_begin(a->env.service_ips);
    for (size_t i = 0; !e && i < l->n; i++) {
        const json_t *doc = req_parsed(a, l->v[i], k);

        if (doc)
            service_ips_recount_see(a->env.service_ips, doc);
    }
    if (!e)
        lost = service_ips_recount_end(a->env.service_ips);
    if (lost)
        log_warn("addresses or node ports that no service has were held; they are free again",
                 kv("n", lost));
    timer_start_ms(&a->recount_timer, RECOUNT_MS, recount, a);
}

static void recount(void *arg)
{
    struct api *a = arg;
    auto_free char *prefix =
        resource_prefix(schema_find(a->schema, STR(""), STR("v1"), STR("services")), "");

    a->recounting = true;
    store_list(a->store, str_of(prefix), &(struct store_list_opts){ 0 }, on_recount, a);
}

static void on_pods_synced(void *arg)
{
    started_step(arg, NULL);
}

static void on_customs_synced(void *arg)
{
    started_step(arg, NULL);
}

static void on_feed_synced(void *arg)
{
    started_step(arg, NULL);
}

void api_start(struct api *a, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct local_watch_events events = { .on_event = on_pod,
                                                      .on_synced = on_pods_synced,
                                                      .no_cache = true };
    static const struct local_watch_events of_services = { .on_event = on_service };
    struct local_ref pods = { .resource = "pods" }, services = { .resource = "services" };
    struct local_list_opts bound = { .field_selector = "spec.nodeName!=" };
    auto_free char *prefix =
        resource_prefix(schema_find(a->schema, STR(""), STR("v1"), STR("services")), "");

    a->started = done;
    a->started_arg = arg;
    a->n_starting = 5;
    customs_start(&a->customs, a, on_customs_synced, a);
    admission_feed_start(&a->admission_feed, a, on_feed_synced, a);
    charges_start(a->charges, on_feed_synced, a);
    store_list(a->store, str_of(prefix), &(struct store_list_opts){ 0 }, on_services, a);
    timer_start_ms(&a->recount_timer, RECOUNT_MS, recount, a);
    local_watch_start(&a->pods_watch, a, &pods, &bound, &events, a);
    if (store_is_shared(a->store))
        local_watch_start(&a->services_watch, a, &services, NULL, &of_services, a);
}

/* ---- end ---- */

static void api_free(struct api *a)
{
    void (*closed)(void *) = a->closed;
    void *arg = a->closed_arg;

    for (size_t i = 0; i < API_PARSED_N; i++) {
        store_obj_unref(a->parsed[i].o);
        json_decref(a->parsed[i].doc);
        schema_kind_unref(a->parsed[i].kind);
    }
    watch_frame_free(a->frame);
    struct list *l;
    while ((l = list_pop(&a->checks))) {
        struct check *c = container_of(l, struct check, link);

        free(c->name);
        free(c);
    }
    json_decref(a->lent);
    tls_client_config_free(a->proxy_tls);
    tally_free(a->tally);
    scrape_free(a->scrape);
    share_deinit(a);
    authz_free(a->authz);
    node_graph_free(a->graph);
    service_ips_free(a->env.service_ips);
    customs_free(a->customs);
    charges_free(a->charges);
    discovery_free(a->discovery);
    schema_free(a->schema);
    free(a->git_version);
    free(a);
    closed(arg);
}

void api_handle_closed(struct api *a)
{
    if (--a->n_open_handles == 0)
        api_free(a);
}

static void on_idle_closed(uv_handle_t *h)
{
    api_handle_closed(h->data);
}

static void on_timer_closed(void *arg)
{
    api_handle_closed(arg);
}

static void close_poll(void *arg);

/* Requests under way still need us; they end by themselves or with their connections. */
static void close_step(struct api *a)
{
    if (!list_empty(&a->reqs) || !list_empty(&a->local_queue) || !list_empty(&a->watches) ||
        !list_empty(&a->feeds) || scrape_is_busy(a->scrape) || a->recounting) {
        timer_start_ms(&a->close_timer, 10, close_poll, a);
        return;
    }
    a->n_open_handles = 4;
    uv_close((uv_handle_t *)&a->local_idle, on_idle_closed);
    timer_close(&a->close_timer, on_timer_closed, a);
    timer_close(&a->recount_timer, on_timer_closed, a);
    connect_deinit(a);
    api_handle_closed(a);
}

static void close_poll(void *arg)
{
    struct api *a = arg;

    if (uv_now(a->loop) >= a->close_deadline_ms)
        list_each (r, &a->reqs, struct api_req, link)
            if (r->http)
                http_reply_abort(r->http);
    close_step(a);
}

void api_close(struct api *a, void (*done)(void *arg), void *arg)
{
    struct list reqs = LIST(reqs), *l;

    a->closing = true;
    a->closed = done;
    a->closed_arg = arg;
    a->close_deadline_ms = uv_now(a->loop) + CLOSE_MS;
    timer_stop(&a->recount_timer);
    if (a->pods_watch)
        local_watch_stop(a->pods_watch);
    if (a->services_watch)
        local_watch_stop(a->services_watch);
    a->pods_watch = a->services_watch = NULL;
    admission_feed_stop(a->admission_feed);
    a->admission_feed = NULL;
    customs_stop(a->customs);
    charges_stop(a->charges);
    list_move_all(&reqs, &a->reqs);
    while ((l = list_pop(&reqs))) {
        struct api_req *r = container_of(l, struct api_req, link);

        list_push(&a->reqs, &r->link);
        if (r->connect && !r->http)
            connect_stop(r);
        else if (r->watch)
            watch_shut(r);
        else if (r->connect)
            http_reply_abort(r->http);
    }
    close_step(a);
}

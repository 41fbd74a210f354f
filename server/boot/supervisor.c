/*
 * One table names every path, its role and its handler. A handler either answers at once or keeps
 * an `ask` (one exchange that waits for its body, the node password or the store) and answers
 * later; the exchange may end first, then the ask is freed when what it waits for comes.
 */
#include "server/boot/supervisor_ask.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/http/server.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/key.h"
#include "server/api/api.h"
#include "server/api/local.h"
#include "server/auth/authenticate.h"
#include "server/auth/expired_node.h"
#include "server/boot/egress.h"
#include "server/boot/node_password.h"
#include "server/boot/node_why.h"
#include "server/ca/ca.h"
#include "tunnel/server.h"

#include <stdio.h>

/* How many were asked to come back in the last one or two windows tells how many wait outside: each
 * comes once per Retry-After. So the time we name grows with their number, and what they all
 * together ask of us stays about the same. */
#define BUSY_WINDOW_MS    5000
#define BUSY_PER_SECOND   4 /* refusals of the two windows for each second of waiting */
#define RETRY_AFTER_MAX_S 30

static const char TEXT[] = "text/plain; charset=utf-8";

/* ---- answers ---- */

void ask_reply_status(struct http_req *r, json_t *status_take)
{
    int code = status_code(status_take);
    auto_free char *text = json_text(status_take);
    auto_free char *seconds =
        mem_printf("%lld", (long long)json_i64_at(status_take, "details.retryAfterSeconds", 1));
    const struct http_header retry = { STR("Retry-After"), str_of(seconds) };

    http_req_set_close(r); /* as K3s does; a failing agent comes back on a fresh connection */
    http_reply(r, code, "application/json", str_of(text), &retry, code == 429 || code == 503);
    json_decref(status_take);
}

void ask_refuse(struct ask *a, enum status_reason reason, const char *text)
{
    if (a->req)
        ask_reply_status(a->req, status_new(reason, "%s", text));
}

void ask_reply_text(struct ask *a, struct str text)
{
    http_reply(a->req, 200, TEXT, text, NULL, 0);
}

void ask_reply_json(struct ask *a, struct str text)
{
    http_reply(a->req, 200, "application/json", text, NULL, 0);
}

/* ---- the exchange ---- */

static void ask_free(struct ask *a)
{
    identity_unref(a->id);
    key_free(a->pub);
    free(a->snapshot_dir);
    free(a->snapshot_node);
    free(a);
}

static void on_done(struct http_req *r, void *arg, const struct err *e)
{
    struct ask *a = arg;

    (void)r;
    (void)e;
    a->req = NULL;
    if (a->counted)
        (*(a->is_write ? &a->s->n_writes : &a->s->n_reads))--;
    a->counted = false;
    if (!a->waiting)
        ask_free(a);
}

static void on_body(struct http_req *r, void *arg, const char *p, size_t n)
{
    (void)r;
    (void)arg;
    (void)p;
    (void)n;
}

static void on_quiet(struct http_req *r, void *arg)
{
    (void)r;
    (void)arg;
}

static const struct http_req_events events = {
    .on_body = on_body,
    .on_body_end = on_quiet,
    .on_drain = on_quiet,
    .on_done = on_done,
};

bool ask_resume(struct ask *a)
{
    a->waiting = false;
    if (a->req)
        return true;
    ask_free(a);
    return false;
}

/* ---- simple paths ---- */

static void run_ping(struct ask *a)
{
    ask_reply_text(a, STR("pong"));
}

static void run_cacerts(struct ask *a)
{
    ask_reply_text(a, ca_cacerts(a->s->c.ca));
}

static void run_client_ca(struct ask *a)
{
    ask_reply_text(a, ca_client_ca(a->s->c.ca));
}

static void run_config(struct ask *a)
{
    ask_reply_json(a, str_of(a->s->c.config_doc));
}

/* Agents of every version wait only at a 500 whose body is no Status. */
static void run_readyz(struct ask *a)
{
    if (api_is_ready(a->s->c.api))
        ask_reply_text(a, STR("ok"));
    else
        http_reply(a->req, 500, TEXT, STR("starting"), NULL, 0);
}

static void on_endpoints(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct ask *a = arg;
    json_auto_t *out = json_array();
    json_t *subset, *address;
    size_t i, k;

    (void)code;
    if (!ask_resume(a))
        return;
    json_array_foreach(json_object_get(obj, "subsets"), i, subset)
    {
        int64_t port = json_i64_at(subset, "ports[0].port", 443);
        json_array_foreach(json_object_get(subset, "addresses"), k, address)
        {
            const char *ip = json_str_at(address, "ip", "");
            auto_free char *text = strchr(ip, ':') ? mem_printf("[%s]:%lld", ip, (long long)port)
                                                   : mem_printf("%s:%lld", ip, (long long)port);
            json_array_append_new(out, json_string(text));
        }
    }
    if (e || !json_array_size(out)) { /* never empty once answered with 200 */
        ask_refuse(a, STATUS_SERVICE_UNAVAILABLE,
                   "the addresses of the API servers are not known yet");
        return;
    }
    auto_free char *text = json_text(out);
    ask_reply_json(a, str_of(text));
}

static void run_apiservers(struct ask *a)
{
    struct local_ref ref = { .resource = "endpoints", .ns = "default", .name = "kubernetes" };

    a->waiting = true;
    local_get(a->s->c.api, &ref, on_endpoints, a);
}

static void run_connect(struct ask *a)
{
    if (!a->id || !a->id->node) {
        http_req_set_close(a->req);
        ask_refuse(a, STATUS_UNAUTHORIZED, "only a node's client certificate may open a tunnel");
        return;
    }
    tunnel_server_accept(a->s->c.tunnels, a->req, str_of(a->id->node));
}

static void run_no_etcd(struct ask *a)
{
    ask_refuse(a, STATUS_BAD_REQUEST, "this server has no embedded etcd");
}

static void run_unsupported(struct ask *a)
{
    char text[160];

    snprintf(text, sizeof text, "%s: K3s has this path, this version of Coracle does not",
             a->route->path);
    ask_refuse(a, STATUS_BAD_REQUEST, text);
}

/* ---- routing ---- */

static const struct route routes[] = {
    { "/ping", ROLE_ANYBODY, run_ping, false, CERT_NONE },
    { "/cacerts", ROLE_ANYBODY, run_cacerts, false, CERT_NONE },
    { "/v1-k3s/config", ROLE_AGENT, run_config, true, CERT_NONE },
    { "/v1-k3s/client-ca.crt", ROLE_AGENT, run_client_ca, true, CERT_NONE },
    { "/v1-k3s/server-ca.crt", ROLE_AGENT, run_cacerts, true, CERT_NONE },
    { "/v1-k3s/serving-kubelet.crt", ROLE_AGENT, supervisor_run_cert, true, CERT_SERVING_KUBELET },
    { "/v1-k3s/client-kubelet.crt", ROLE_AGENT, supervisor_run_cert, true, CERT_KUBELET },
    { "/v1-k3s/client-kube-proxy.crt", ROLE_AGENT, supervisor_run_cert, true, CERT_PROXY },
    { "/v1-k3s/client-k3s-controller.crt", ROLE_AGENT, supervisor_run_cert, true, CERT_CONTROLLER },
    { "/v1-k3s/apiservers", ROLE_AGENT, run_apiservers, true, CERT_NONE },
    { "/v1-k3s/readyz", ROLE_AGENT, run_readyz, true, CERT_NONE },
    { "/v1-k3s/connect", ROLE_NODE, run_connect, false, CERT_NONE },
    { "/v1-k3s/server-bootstrap", ROLE_SERVER, run_no_etcd, false, CERT_NONE },
    { "/v1-k3s/encrypt/status", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/encrypt/config", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/cert/cacerts", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/token", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/db/info", ROLE_SERVER, run_no_etcd, false, CERT_NONE },
    { "/db/snapshot", ROLE_SERVER, supervisor_run_snapshot, false, CERT_NONE },
    { "/v1-coracle/report", ROLE_NODE, supervisor_run_report, false, CERT_NONE },
    { "/v1-coracle/why", ROLE_MASTERS, supervisor_run_why, false, CERT_NONE },
};

static bool has_role(const struct identity *id, enum role role)
{
    switch (role) {
    case ROLE_ANYBODY:
        return true;
    case ROLE_AGENT:
        return identity_in(id, "k3s:agent") || identity_in(id, "system:nodes") ||
               identity_in(id, "system:bootstrappers");
    case ROLE_NODE:
        return identity_in(id, "system:nodes");
    case ROLE_SERVER:
        return identity_in(id, "k3s:server");
    case ROLE_MASTERS:
        return identity_in(id, "system:masters");
    }
    return false;
}

/* A node whose certificate has expired, where it asks for a new one and shows nothing else; NULL:
 * it is none. */
static struct identity *identify_returning(struct supervisor *s, struct http_req *r)
{
    static const char *const group = "system:nodes";
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));
    char node[EXPIRED_NODE_NAME_BYTES];
    struct err e;

    if (!peer || !peer->leaf_der.n || http_headers_get(http_req_headers(r), "authorization").n ||
        expired_node_check(node, peer->leaf_der, ca_client_ca(s->c.ca), clock_wall_s(), &e))
        return NULL;
    auto_free char *user = mem_printf("system:node:%s", node);
    return identity_new(user, &group, 1);
}

/* 401 for a bad credential, 403 for none or the wrong one (spec 1.1). NULL: answered. *returning is
 * set instead of a 401 where a node may renew an expired certificate; may be NULL: nowhere here. */
static struct identity *identify(struct supervisor *s, struct http_req *r, bool *returning)
{
    static struct log_limit limit = LOG_LIMIT(5, 2000);
    struct identity *id = NULL;
    struct err e;

    switch (authn_check_req(s->c.authn, r, &id, &e)) {
    case AUTHN_OK:
        return id;
    case AUTHN_NONE:
        ask_reply_status(r, status_new(STATUS_FORBIDDEN, "no credentials: a token is needed"));
        break;
    case AUTHN_FAILED:
        if (returning && (id = identify_returning(s, r)) != NULL) {
            *returning = true;
            return id;
        }
        supervisor_note_refusal(s, r);
        if (log_allowed(&limit))
            log_warn("credentials refused", kv("path", http_req_path(r)), kv("why", e.text));
        /* An expired token may be told so: its holder has shown the secret. */
        ask_reply_status(r, status_new(STATUS_UNAUTHORIZED, "%s",
                                       e.code == ERR_EXPIRED ? e.text : "Unauthorized"));
        break;
    }
    return NULL;
}

/* What those who find us busy are told: in seconds, spread so that they do not come together. */
static int retry_after_s(struct supervisor *s)
{
    uint64_t now_ms = uv_now(s->c.loop);
    unsigned n;

    if (now_ms - s->busy_since_ms >= BUSY_WINDOW_MS) {
        bool adjacent = now_ms - s->busy_since_ms < 2 * (uint64_t)BUSY_WINDOW_MS;
        s->n_refused_before = adjacent ? s->n_refused : 0;
        s->n_refused = 0;
        s->busy_since_ms = now_ms;
    }
    s->n_refused++;
    n = MIN((s->n_refused + s->n_refused_before) / BUSY_PER_SECOND, RETRY_AFTER_MAX_S - 1u);
    return 1 + (int)(n / 2 + rand_below(n / 2 + 1));
}

static bool over_limit(struct supervisor *s, struct ask *a)
{
    a->is_write = str_is(http_req_method(a->req), "POST");
    if (!a->route->limited)
        return false;
    unsigned *n = a->is_write ? &s->n_writes : &s->n_reads;
    if (*n >= (a->is_write ? SUPERVISOR_WRITES_MAX : SUPERVISOR_READS_MAX))
        return true;
    ++*n;
    a->counted = true;
    return false;
}

static void handle_route(struct supervisor *s, struct http_req *r, const struct route *route)
{
    struct identity *id = NULL;
    bool returning = false;
    struct ask *a;

    if (route->role != ROLE_ANYBODY) {
        id = identify(s, r, route->cert == CERT_KUBELET ? &returning : NULL);
        if (!id)
            return;
        if (!has_role(id, route->role)) {
            ask_reply_status(r, status_new(STATUS_FORBIDDEN, "user \"%s\" may not use %s", id->user,
                                           route->path));
            identity_unref(id);
            return;
        }
    }
    if (route->run == run_connect) { /* the tunnel takes the exchange as it is */
        struct ask direct = { .s = s, .req = r, .route = route, .id = id };
        run_connect(&direct);
        identity_unref(id);
        return;
    }
    a = mem_alloc(sizeof *a);
    a->s = s;
    a->req = r;
    a->route = route;
    a->id = id;
    a->returning = returning;
    http_req_accept(r, &events, a);
    if (over_limit(s, a))
        ask_reply_status(r, status_too_many_requests("too many nodes join at once, please retry",
                                                     retry_after_s(s)));
    else
        route->run(a);
}

static void handle_connect_method(struct supervisor *s, struct http_req *r)
{
    struct identity *id = identify(s, r, NULL);

    if (!id)
        return;
    if (identity_in(id, "system:masters"))
        egress_connect(s->c.egress, r);
    else
        ask_reply_status(r, status_new(STATUS_FORBIDDEN, "CONNECT is for system:masters only"));
    identity_unref(id);
}

bool supervisor_handle(struct supervisor *s, struct http_req *r)
{
    struct str path = http_req_path(r);

    if (str_is(http_req_method(r), "CONNECT")) {
        handle_connect_method(s, r);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (str_is(path, routes[i].path)) {
            handle_route(s, r, &routes[i]);
            return true;
        }
    return false;
}

void supervisor_new(struct supervisor **out, const struct supervisor_config *c)
{
    struct supervisor *s = mem_alloc(sizeof *s);

    s->c = *c;
    *out = s;
}

void supervisor_start(struct supervisor *s)
{
    node_passwords_new(&s->passwords, s->c.loop, s->c.api);
}

void supervisor_stop(struct supervisor *s, void (*done)(void *arg), void *arg)
{
    s->c.snapshots = NULL;
    if (s->passwords)
        node_passwords_close(STEAL(s->passwords), done, arg);
    else
        done(arg);
}

static void on_stopped(void *arg)
{
    (void)arg;
}

void supervisor_close(struct supervisor *s, void (*done)(void *arg), void *arg)
{
    supervisor_stop(s, on_stopped, NULL);
    free(s);
    if (done)
        done(arg);
}

/*
 * One table names every path, its role and its handler. A handler either answers at once or keeps
 * an `ask` (one exchange that waits for its body, the node password or the store) and answers
 * later; the exchange may end first, then the ask is freed when what it waits for comes.
 *
 *   cert paths:  head --> BODY --> PASSWORD (only kubelet certificates) --> answer
 */
#include "server/boot/supervisor.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/http/server.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/kube/name.h"
#include "base/kube/status.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"
#include "server/api/api.h"
#include "server/api/local.h"
#include "server/auth/authenticate.h"
#include "server/auth/expired_node.h"
#include "server/boot/egress.h"
#include "server/boot/node_password.h"
#include "server/boot/node_why.h"
#include "server/boot/snapshot_api.h"
#include "server/ca/ca.h"
#include "tunnel/server.h"

#include <ctype.h>
#include <stdio.h>

/* How many were asked to come back in the last one or two windows tells how many wait outside: each
 * comes once per Retry-After. So the time we name grows with their number, and what they all
 * together ask of us stays about the same. */
#define BUSY_WINDOW_MS    5000
#define BUSY_PER_SECOND   4 /* refusals of the two windows for each second of waiting */
#define RETRY_AFTER_MAX_S 30

struct supervisor {
    struct supervisor_config c;
    struct node_passwords *passwords; /* NULL before supervisor_start */
    unsigned n_reads, n_writes;
    uint64_t busy_since_ms; /* start of the window */
    unsigned n_refused, n_refused_before;
};

enum role { ROLE_ANYBODY, ROLE_AGENT, ROLE_NODE, ROLE_SERVER, ROLE_MASTERS };

struct route;
struct ask {
    struct supervisor *s;
    struct http_req *req; /* NULL: the peer is gone */
    const struct route *route;
    struct identity *id;
    bool waiting, is_write, counted;
    bool returning;    /* its certificate has expired: a new one needs more proof */
    char node[254];    /* of the node headers, lower case */
    struct key *pub;   /* of the CSR; NULL: shared key */
    int snapshot_what; /* of /db/snapshot */
    char *snapshot_dir, *snapshot_node;
};

enum node_cert { CERT_NONE, CERT_SERVING_KUBELET, CERT_KUBELET, CERT_PROXY, CERT_CONTROLLER };

struct route {
    const char *path;
    enum role role;
    void (*run)(struct ask *a);
    bool limited;        /* counts towards the join limits */
    enum node_cert cert; /* what run_cert issues; the kubelet's two want the node password */
};

static const char JSON[] = "application/json";
static const char TEXT[] = "text/plain; charset=utf-8";

/* ---- answers -----------------------------------------------------------------------------------
 */

static void reply_status(struct http_req *r, json_t *status_take)
{
    int code = status_code(status_take);
    auto_free char *text = json_text(status_take);
    auto_free char *seconds =
        mem_printf("%lld", (long long)json_i64_at(status_take, "details.retryAfterSeconds", 1));
    const struct http_header retry = { STR("Retry-After"), str_of(seconds) };

    http_req_set_close(r); /* as K3s does; a failing agent comes back on a fresh connection */
    http_reply(r, code, JSON, str_of(text), &retry, code == 429 || code == 503);
    json_decref(status_take);
}

static void refuse(struct ask *a, enum status_reason reason, const char *text)
{
    if (a->req)
        reply_status(a->req, status_new(reason, "%s", text));
}

static void reply_text(struct ask *a, struct str text)
{
    http_reply(a->req, 200, TEXT, text, NULL, 0);
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

/* What was waited for came: false when nobody is there to hear the answer. */
static bool resume(struct ask *a)
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
    reply_text(a, STR("pong"));
}

static void run_cacerts(struct ask *a)
{
    reply_text(a, ca_cacerts(a->s->c.ca));
}

static void run_client_ca(struct ask *a)
{
    reply_text(a, ca_client_ca(a->s->c.ca));
}

static void run_config(struct ask *a)
{
    http_reply(a->req, 200, JSON, str_of(a->s->c.config_doc), NULL, 0);
}

/* Agents of every version wait only at a 500 whose body is no Status. */
static void run_readyz(struct ask *a)
{
    if (api_is_ready(a->s->c.api))
        reply_text(a, STR("ok"));
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
    if (!resume(a))
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
        refuse(a, STATUS_SERVICE_UNAVAILABLE, "the addresses of the API servers are not known yet");
        return;
    }
    auto_free char *text = json_text(out);
    http_reply(a->req, 200, JSON, str_of(text), NULL, 0);
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
        refuse(a, STATUS_UNAUTHORIZED, "only a node's client certificate may open a tunnel");
        return;
    }
    tunnel_server_accept(a->s->c.tunnels, a->req, str_of(a->id->node));
}

static void run_no_etcd(struct ask *a)
{
    refuse(a, STATUS_BAD_REQUEST, "this server has no embedded etcd");
}

/* ---- snapshots ---- */

static void on_snapshots_done(void *arg, const struct snapshot_files *made,
                              const struct snapshot_files *gone, const struct err *e)
{
    struct ask *a = arg;
    auto_buf body = BUF(4 * 1024 * 1024);

    if (!resume(a))
        return;
    if (e && e->code == ERR_NOT_FOUND)
        refuse(a, STATUS_NOT_FOUND, e->text);
    else if (e && (e->code == ERR_AGAIN || e->code == ERR_LIMIT || e->code == ERR_CANCELED))
        refuse(a, STATUS_SERVICE_UNAVAILABLE, e->text);
    else if (e && e->code == ERR_INVALID)
        refuse(a, STATUS_BAD_REQUEST, e->text);
    else if (e)
        refuse(a, STATUS_INTERNAL_ERROR, e->text);
    else if (snapshot_answer(&body, a->snapshot_what, a->snapshot_dir, a->snapshot_node, made,
                             gone))
        refuse(a, STATUS_INTERNAL_ERROR, "there are too many snapshots to list");
    else
        http_reply(a->req, 200, JSON, buf_str(&body), NULL, 0);
}

static void on_snapshot_body(struct http_req *req, void *arg, struct str body)
{
    struct ask *a = arg;
    struct snapshots *snapshots = a->s->c.snapshots;
    struct snapshot_request r;
    struct err e;
    (void)req;

    if (!snapshots) { /* the body took until the server stops */
        refuse(a, STATUS_SERVICE_UNAVAILABLE, "the server is stopping");
        return;
    }
    if (snapshot_request_parse(&r, body, &e)) {
        refuse(a, STATUS_BAD_REQUEST, e.text);
        return;
    }
    a->snapshot_node = mem_strdup(snapshots_node(snapshots));
    a->snapshot_what = r.ask.what;
    a->snapshot_dir = mem_strdup(r.ask.dir && *r.ask.dir ? r.ask.dir : snapshots_dir(snapshots));
    a->waiting = true;
    snapshots_run(snapshots, &r.ask, on_snapshots_done, a);
    snapshot_request_deinit(&r);
}

static void run_snapshot(struct ask *a)
{
    if (!a->s->c.snapshots)
        refuse(a, STATUS_BAD_REQUEST, "this server's datastore has snapshots of its own");
    else if (!str_is(http_req_method(a->req), "POST"))
        refuse(a, STATUS_METHOD_NOT_ALLOWED, "only POST is known here");
    else
        http_req_read_body(a->req, SNAPSHOT_API_MAX_BYTES, on_snapshot_body);
}

static void run_unsupported(struct ask *a)
{
    char text[160];

    snprintf(text, sizeof text, "%s: K3s has this path, this version of Coracle does not",
             a->route->path);
    refuse(a, STATUS_BAD_REQUEST, text);
}

/* ---- why a node is away ---- */

static void address_of(const struct http_req *r, char out[TCP_ADDR_TEXT_BYTES])
{
    struct sockaddr_storage addr;
    char *port;

    snprintf(out, TCP_ADDR_TEXT_BYTES, "an unknown address");
    if (!stream_peer_addr(http_req_stream(r), &addr))
        return;
    tcp_addr_text(out, (struct sockaddr *)&addr);
    port = strrchr(out, ':'); /* another one each time */
    if (port)
        *port = '\0';
}

static void note_refusal(struct supervisor *s, const struct http_req *r)
{
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));
    const struct http_headers *h = http_req_headers(r);
    char address[TCP_ADDR_TEXT_BYTES];
    struct node_why_caller c = { .leaf_der = peer ? peer->leaf_der : STR(""),
                                 .name_header = http_headers_get(h, "k3s-node-name"),
                                 .authorization = http_headers_get(h, "authorization"),
                                 .address = address };

    address_of(r, address);
    node_why_refused(s->c.why, &c);
}

static void on_report(struct http_req *r, void *arg, struct str body)
{
    struct ask *a = arg;
    struct node_report report;
    struct err e;

    (void)r;
    if (node_report_parse(&report, body, &e)) {
        reply_status(a->req, status_of_err(&e));
        return;
    }
    node_why_report(a->s->c.why, a->id->node, &report);
    http_reply(a->req, 204, NULL, STR(""), NULL, 0);
}

static void run_report(struct ask *a)
{
    if (!a->id->node)
        refuse(a, STATUS_FORBIDDEN, "only a node's client certificate may report, of itself");
    else if (!str_is(http_req_method(a->req), "POST"))
        refuse(a, STATUS_METHOD_NOT_ALLOWED, "only POST is known here");
    else
        http_req_read_body(a->req, NODE_REPORT_MAX_BYTES, on_report);
}

static void on_told(void *arg, json_t *doc_take)
{
    struct ask *a = arg;
    json_auto_t *doc = doc_take;

    if (!resume(a))
        return;
    if (!json_bool_at(doc, "known", true)) {
        reply_status(a->req, status_new(STATUS_NOT_FOUND, "%s", json_str_at(doc, "line", "")));
        return;
    }
    auto_free char *text = json_text(doc);
    http_reply(a->req, 200, JSON, str_of(text), NULL, 0);
}

static void run_why(struct ask *a)
{
    auto_buf node = BUF(NAME_SUBDOMAIN_MAX);
    int r = url_query_get(&node, http_req_query(a->req), "node");

    if (r != ERR_NOT_FOUND && (r || name_check_subdomain(buf_str(&node)))) {
        refuse(a, STATUS_BAD_REQUEST, "node=... cannot name a node");
        return;
    }
    a->waiting = true;
    node_why_tell(a->s->c.why, r ? NULL : buf_cstr(&node), on_told, a);
}

/* ---- certificates ---- */

static int issue(struct ask *a, struct buf *pem, struct err *e)
{
    struct ca *ca = a->s->c.ca;
    char ips[CA_NODE_IPS_MAX][46];
    const char *list[CA_NODE_IPS_MAX];
    size_t n = 0;

    if (a->route->cert == CERT_PROXY)
        return ca_issue_kube_proxy(ca, a->pub, pem, e);
    if (a->route->cert == CERT_CONTROLLER)
        return ca_issue_k3s_controller(ca, a->pub, pem, e);
    if (a->route->cert == CERT_KUBELET)
        return ca_issue_client_kubelet(ca, a->node, a->pub, pem, e);
    if (ca_parse_ips(http_headers_get(http_req_headers(a->req), "k3s-node-ip"), ips, &n, e)) {
        e->code = ERR_IO; /* K3s answers 500 to an unreadable k3s-Node-IP */
        return (int)e->code;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = ips[i];
    return ca_issue_serving_kubelet(ca, a->node, list, n, a->pub, pem, e);
}

static void answer_cert(struct ask *a)
{
    auto_buf pem = BUF_SECRET(CA_NODE_PEM_MAX_BYTES); /* without a CSR a key is in it */
    struct err e;

    if (issue(a, &pem, &e)) {
        reply_status(a->req, status_of_err(&e));
        return;
    }
    log_debug("certificate issued", kv("path", a->route->path), kv("node", a->node),
              kv("csr", a->pub != NULL));
    reply_text(a, buf_str(&pem));
}

static void on_password(void *arg, const struct err *e)
{
    struct ask *a = arg;

    if (!resume(a))
        return;
    if (!e && a->returning)
        log_info("a node came back after its certificate had expired", kv("node", a->node));
    if (!e) {
        answer_cert(a);
    } else if (e->code == ERR_DENIED) {
        char address[TCP_ADDR_TEXT_BYTES];
        address_of(a->req, address);
        node_why_password(a->s->c.why, a->node, address);
        refuse(a, STATUS_FORBIDDEN, e->text);
    } else if (e->code == ERR_NOT_FOUND) {
        refuse(a, STATUS_UNAUTHORIZED,
               "the certificate has expired and this cluster has no password of the node any more: "
               "it needs a token");
    } else {
        refuse(a, STATUS_SERVICE_UNAVAILABLE, e->text);
    }
}

/* Rule 6: a node identity counts only while its Node exists; the agent then shows its token again.
 */
static void on_own_node(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct ask *a = arg;

    (void)code;
    (void)obj;
    if (!resume(a))
        return;
    if (e) {
        refuse(a, e->code == ERR_NOT_FOUND ? STATUS_UNAUTHORIZED : STATUS_SERVICE_UNAVAILABLE,
               e->code == ERR_NOT_FOUND ? "the node of this certificate does not exist any more"
                                        : "the node cannot be looked up now");
        return;
    }
    struct str password = http_headers_get(http_req_headers(a->req), "k3s-node-password");
    a->waiting = true;
    node_passwords_check(a->s->passwords, a->node, password, !a->returning, on_password, a);
}

/* The node headers (spec 3): who it says it is, and whether it may. */
static void check_node(struct ask *a)
{
    const struct http_headers *h = http_req_headers(a->req);
    struct str name = http_headers_get(h, "k3s-node-name");
    struct str password = http_headers_get(h, "k3s-node-password");

    if (!name.n || !password.n) {
        refuse(a, STATUS_BAD_REQUEST, "the headers k3s-Node-Name and k3s-Node-Password are needed");
        return;
    }
    if (name.n >= sizeof a->node || password.n > NODE_PASSWORD_MAX_BYTES) {
        refuse(a, STATUS_BAD_REQUEST, "k3s-Node-Name or k3s-Node-Password is too long");
        return;
    }
    for (size_t i = 0; i < name.n; i++)
        a->node[i] = (char)tolower((unsigned char)name.p[i]);
    /* It becomes part of a store key, and JSON. */
    if (name_check_subdomain(str_of(a->node)) || strlen(a->node) != name.n) {
        refuse(a, STATUS_BAD_REQUEST, "k3s-Node-Name cannot name a node");
        return;
    }
    if (a->id->node && strcmp(a->id->node, a->node) != 0) {
        refuse(a, STATUS_BAD_REQUEST, "k3s-Node-Name is not the node of the client certificate");
        return;
    }
    if (!a->s->passwords) { /* nothing can be verified yet: closed */
        refuse(a, STATUS_SERVICE_UNAVAILABLE, "the server is starting");
        return;
    }
    a->waiting = true;
    if (a->id->node) {
        struct local_ref ref = { .resource = "nodes", .name = a->node };
        local_get(a->s->c.api, &ref, on_own_node, a);
    } else {
        node_passwords_check(a->s->passwords, a->node, password, true, on_password, a);
    }
}

static void on_csr(struct http_req *r, void *arg, struct str body)
{
    struct ask *a = arg;
    struct err e;

    (void)r;
    if (body.n && csr_parse(&a->pub, body, &e)) {
        reply_status(a->req, status_new(STATUS_BAD_REQUEST, "certificate request: %s", e.text));
        return;
    }
    if (a->returning && !a->pub) /* it must not get the key that old agents share */
        refuse(a, STATUS_BAD_REQUEST, "a node that comes back must send a certificate request");
    else if (a->route->cert == CERT_SERVING_KUBELET || a->route->cert == CERT_KUBELET)
        check_node(a);
    else
        answer_cert(a);
}

static void run_cert(struct ask *a)
{
    struct str method = http_req_method(a->req);

    if (!str_is(method, "GET") && !str_is(method, "POST")) {
        refuse(a, STATUS_METHOD_NOT_ALLOWED, "only GET and POST are known here");
        return;
    }
    http_req_read_body(a->req, CSR_MAX_BYTES, on_csr);
}

/* ---- routing ---- */

static const struct route routes[] = {
    { "/ping", ROLE_ANYBODY, run_ping, false, CERT_NONE },
    { "/cacerts", ROLE_ANYBODY, run_cacerts, false, CERT_NONE },
    { "/v1-k3s/config", ROLE_AGENT, run_config, true, CERT_NONE },
    { "/v1-k3s/client-ca.crt", ROLE_AGENT, run_client_ca, true, CERT_NONE },
    { "/v1-k3s/server-ca.crt", ROLE_AGENT, run_cacerts, true, CERT_NONE },
    { "/v1-k3s/serving-kubelet.crt", ROLE_AGENT, run_cert, true, CERT_SERVING_KUBELET },
    { "/v1-k3s/client-kubelet.crt", ROLE_AGENT, run_cert, true, CERT_KUBELET },
    { "/v1-k3s/client-kube-proxy.crt", ROLE_AGENT, run_cert, true, CERT_PROXY },
    { "/v1-k3s/client-k3s-controller.crt", ROLE_AGENT, run_cert, true, CERT_CONTROLLER },
    { "/v1-k3s/apiservers", ROLE_AGENT, run_apiservers, true, CERT_NONE },
    { "/v1-k3s/readyz", ROLE_AGENT, run_readyz, true, CERT_NONE },
    { "/v1-k3s/connect", ROLE_NODE, run_connect, false, CERT_NONE },
    { "/v1-k3s/server-bootstrap", ROLE_SERVER, run_no_etcd, false, CERT_NONE },
    { "/v1-k3s/encrypt/status", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/encrypt/config", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/cert/cacerts", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/v1-k3s/token", ROLE_SERVER, run_unsupported, false, CERT_NONE },
    { "/db/info", ROLE_SERVER, run_no_etcd, false, CERT_NONE },
    { "/db/snapshot", ROLE_SERVER, run_snapshot, false, CERT_NONE },
    { "/v1-coracle/report", ROLE_NODE, run_report, false, CERT_NONE },
    { "/v1-coracle/why", ROLE_MASTERS, run_why, false, CERT_NONE },
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
        reply_status(r, status_new(STATUS_FORBIDDEN, "no credentials: a token is needed"));
        break;
    case AUTHN_FAILED:
        if (returning && (id = identify_returning(s, r)) != NULL) {
            *returning = true;
            return id;
        }
        note_refusal(s, r);
        if (log_allowed(&limit))
            log_warn("credentials refused", kv("path", http_req_path(r)), kv("why", e.text));
        /* An expired token may be told so: its holder has shown the secret. */
        reply_status(r, status_new(STATUS_UNAUTHORIZED, "%s",
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
            reply_status(r, status_new(STATUS_FORBIDDEN, "user \"%s\" may not use %s", id->user,
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
        reply_status(r, status_too_many_requests("too many nodes join at once, please retry",
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
        reply_status(r, status_new(STATUS_FORBIDDEN, "CONNECT is for system:masters only"));
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

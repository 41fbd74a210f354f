/*
 * The server role put together.
 *
 *   server_new:  options -> identity, when the datastore is shared -> CA and files -> database ->
 *                loop objects -> listening sockets
 *   server_run:  api_start --> on_api_started: supervisor, snapshots, egress, loops (controllers,
 *                scheduler); ready
 *   server_stop: listeners -> goodbyes -> loops -> supervisor (stopped) -> snapshots -> ways to
 *                nodes, why (stopped) -> API -> HTTP -> egress -> supervisor -> tunnels -> why ->
 *                store, each when the one before it is gone; then the loop is empty
 *
 * The order of the teardown follows who uses whom: whoever makes API calls goes before the API, and
 * whoever answers requests goes before what the answers need.
 */
#include "server/boot/server.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/http/url.h"
#include "base/io/file.h"
#include "base/io/proc.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "server/api/api.h"
#include "server/auth/authenticate.h"
#include "server/boot/addresses.h"
#include "server/boot/bootstrap_tokens.h"
#include "server/boot/config_doc.h"
#include "server/boot/datastore.h"
#include "server/boot/egress.h"
#include "server/boot/identity.h"
#include "server/boot/loops.h"
#include "server/boot/node_why.h"
#include "server/boot/restore.h"
#include "server/boot/server_certs.h"
#include "server/boot/server_id.h"
#include "server/boot/snapshots.h"
#include "server/boot/supervisor.h"
#include "server/ca/ca.h"
#include "server/store/store.h"
#include "tunnel/server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <unistd.h>

#define TOKEN_FILE_WAIT_S 240 /* K3s waits so long for --token-file to appear */
#define TOKEN_FILE_MAX    4096
#define CONFIG_DOC_MAX    (256 * 1024)
#define LISTENERS_MAX     6 /* one address and both loopbacks, two ports each */
/* Of the process's descriptors, not for clients: store, files, direct dials, a node in the same
 * process with its balancer and containers. An agent holds two (its tunnel, its API connection). */
#define DESCRIPTORS_KEPT     512
#define CONNECTIONS_RESERVED 32 /* of the rest, for administrators when the server is full */

struct server {
    struct server_options options; /* with the networks that were left out */
    const struct server_options *o;
    struct server_events events;
    uv_loop_t loop;
    bool loop_ready;
    uv_async_t stop_async;

    struct addresses at;
    char *url, *agent_token, *token_in, *agent_token_in;
    struct buf config_doc;

    struct ca *ca;
    struct store *store;
    struct authn *authn;
    struct api *api;
    struct http_server *http;
    struct http_server *api_http; /* of the API's own port; NULL: the supervisor's serves both */
    struct tunnel_server *tunnels;
    struct egress *egress;
    struct node_why *why;
    struct supervisor *supervisor;
    struct snapshots *snapshots;
    struct bootstrap_tokens *bootstrap;
    struct loops *loops;
    struct identity *identity; /* of a shared datastore, until the CA is open */
    struct server_certs *certs;
    struct listener *listeners[LISTENERS_MAX];
    size_t n_listeners;
    bool started, stopping;
    bool left; /* peers know that we go: nobody asks again on a connection that will not answer */
    bool supervisor_stopped, why_stopped; /* these steps of stopping are done */
};

/* ---- what the options mean ---- */

/* Signals are blocked for the threads' sake: while nothing runs we look for them ourselves. */
static bool is_asked_to_stop(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static int read_secret_file(char **out, const char *value, const char *path, struct err *e)
{
    auto_buf text = BUF_SECRET(TOKEN_FILE_MAX);

    if (value || !path) {
        *out = value ? mem_strdup(value) : NULL;
        return 0;
    }
    for (unsigned waited_s = 0; !file_exists(path) && waited_s < TOKEN_FILE_WAIT_S; waited_s += 2) {
        if (is_asked_to_stop())
            return err_set(e, ERR_CANCELED, "stopped while waiting for the token file %s", path);
        if (waited_s % 20 == 0)
            log_info("waiting for the token file", kv("file", path));
        sleep(2);
    }
    if (file_read(path, TOKEN_FILE_MAX, &text, e))
        return err_wrap(e, "token file");
    *out = str_dup(str_trim(buf_str(&text)));
    return 0;
}

static int read_tokens(struct server *s, struct err *e)
{
    const struct server_options *o = s->o;

    if (read_secret_file(&s->token_in, o->node.token, o->node.token_file, e))
        return (int)e->code;
    return read_secret_file(&s->agent_token_in, o->agent_token, o->agent_token_file, e);
}

/* Before any CA is made: what another server of the same datastore made counts. */
static int open_identity(struct server *s, const char *server_dir, struct err *e)
{
    const struct store_etcd_options so = datastore_etcd(s->o, s->at.node_name);
    struct identity_config ic = { .store = &so,
                                  .server_dir = server_dir,
                                  .token = s->token_in,
                                  .is_stopping = is_asked_to_stop };
    auto_free char *path = mem_printf("%s/token", server_dir);
    auto_buf old = BUF_SECRET(TOKEN_FILE_MAX);

    if (!datastore_is_shared(s->o))
        return 0;
    if (!ic.token && file_exists(path)) { /* of an earlier start */
        if (file_read(path, TOKEN_FILE_MAX, &old, e))
            return err_wrap(e, "token");
        ic.token = buf_cstr(&old);
    }
    return identity_open(&s->identity, &ic, e);
}

static int open_ca(struct server *s, struct err *e)
{
    const struct server_options *o = s->o;
    unsigned long mode = 0;
    char *end = NULL;

    if (o->write_kubeconfig_mode) {
        mode = strtoul(o->write_kubeconfig_mode, &end, 8);
        if (!*o->write_kubeconfig_mode || *end || mode > 0777)
            return err_set(e, ERR_INVALID, "--write-kubeconfig-mode: \"%s\" is not an octal mode",
                           o->write_kubeconfig_mode);
    }
    struct ca_options co = {
        .data_dir = o->node.data_dir,
        .node_name = s->at.node_name,
        .node_ips = s->at.node_ips,
        .n_node_ips = s->at.n_node_ips,
        .node_external_ips = (const char *const *)o->node.node_external_ip.v,
        .n_node_external_ips = o->node.node_external_ip.n,
        .tls_sans = (const char *const *)o->tls_san.v,
        .n_tls_sans = o->tls_san.n,
        .advertise_ip = s->at.advertise_ip,
        .service_ip = s->at.service_ip,
        .cluster_domain = o->cluster_domain,
        .bind_address = o->bind_address,
        .https_port = (unsigned)o->https_listen_port,
        .ipv6 = s->at.ipv6,
        .token = s->token_in,
        .agent_token = s->agent_token_in,
        .kubeconfig = o->write_kubeconfig,
        /* With a kubeconfig of its own elsewhere, the host's default path is left alone. */
        .kubeconfig_default = o->write_kubeconfig,
        .kubeconfig_name = o->write_kubeconfig_name,
        .kubeconfig_mode = (mode_t)mode,
        .kubeconfig_group = o->write_kubeconfig_group,
    };
    if (ca_open(&s->ca, &co, e))
        return (int)e->code;
    return s->identity ? identity_share(STEAL(s->identity), ca_token(s->ca), e) : 0;
}

static int read_agent_token(struct server *s, struct err *e)
{
    auto_free char *path = ca_path(s->ca, "agent-token");
    auto_buf text = BUF_SECRET(TOKEN_FILE_MAX);

    if (file_read(path, TOKEN_FILE_MAX, &text, e))
        return err_wrap(e, "agent token");
    s->agent_token = str_dup(str_trim(buf_str(&text)));
    return 0;
}

/* ---- requests ---- */

static void on_accept(void *arg, struct stream *raw)
{
    struct server *s = arg;

    server_certs_saw(s->certs, raw);
    http_server_serve(s->http, tls_server_wrap(server_certs_listener(s->certs), raw));
}

static void on_accept_api(void *arg, struct stream *raw)
{
    struct server *s = arg;

    server_certs_saw(s->certs, raw);
    http_server_serve(s->api_http, tls_server_wrap(server_certs_listener(s->certs), raw));
}

static bool is_admin(struct server *s, struct http_req *r)
{
    struct identity *id = NULL;
    struct err ignored;
    bool is = authn_check_req(s->authn, r, &id, &ignored) == AUTHN_OK &&
              identity_in(id, "system:masters");

    identity_unref(id);
    return is;
}

/* True: answered: what a request needs may be gone already, or there is no room for it. */
static bool refused(struct server *s, struct http_req *r)
{
    static const struct http_header retry = { { "Retry-After", 11 }, { "5", 1 } };
    const char *why = s->stopping                                  ? "the server is stopping\n"
                      : http_req_is_reserved(r) && !is_admin(s, r) ? "no connection is left\n"
                                                                   : NULL;

    if (!why)
        return false;
    http_req_set_close(r);
    http_reply(r, 503, "text/plain", str_of(why), &retry, 1);
    return true;
}

static void on_request(struct http_req *r, void *arg)
{
    struct server *s = arg;

    if (!refused(s, r) && !supervisor_handle(s->supervisor, r))
        api_handle(s->api, r);
}

static void on_api_request(struct http_req *r, void *arg)
{
    struct server *s = arg;

    if (!refused(s, r))
        api_handle(s->api, r);
}

/* ---- making it ---- */

static void on_stop_async(uv_async_t *h);

static int make_config_doc(struct server *s, struct err *e)
{
    struct config_doc d = {
        .o = s->o,
        .node_name = s->at.node_name,
        .advertise_ip = s->at.advertise_ip,
        .private_ip = s->at.node_ips[0],
        .ipsec_psk = ca_ipsec_psk(s->ca),
        .sans = (const char *const *)s->o->tls_san.v,
        .n_sans = s->o->tls_san.n,
    };

    s->config_doc = BUF_SECRET(CONFIG_DOC_MAX); /* the PSK is in it */
    return config_doc_write(&s->config_doc, &d, e);
}

static void on_node_news(void *arg, const char *node)
{
    struct server *s = arg;

    if (s->loops)
        loops_node_news(s->loops, node);
}

static void make_why(struct server *s)
{
    auto_free char *client_ca = str_dup(ca_client_ca(s->ca));
    struct node_why_config wc = {
        .loop = &s->loop,
        .own_node = s->o->disable_agent ? "" : s->at.node_name,
        .disabled = strcmp(s->o->egress_selector_mode, "disabled") == 0,
        .client_ca_pem = client_ca,
        .on_news = on_node_news,
        .news_arg = s,
    };

    node_why_new(&s->why, &wc);
}

static int make_snapshots(struct server *s, struct err *e)
{
    const struct server_options *o = s->o;
    struct snapshots_config c = {
        .loop = &s->loop,
        .store = s->store,
        .ca = s->ca,
        .dir = o->etcd_snapshot_dir,
        .base = o->etcd_snapshot_name,
        .node = s->at.node_name,
        .version = o->node.version,
        .schedule = o->etcd_disable_snapshots ? NULL : o->etcd_snapshot_schedule_cron,
        .retention = (size_t)o->etcd_snapshot_retention,
        .compress = o->etcd_snapshot_compress,
    };

    if (datastore_is_shared(o)) /* etcd has its own */
        return 0;
    if (o->etcd_snapshot_retention < 0)
        return err_set(e, ERR_INVALID, "--etcd-snapshot-retention: a number from 0");
    return snapshots_new(&s->snapshots, &c, e) ? err_wrap(e, "--etcd-snapshot-...") : 0;
}

static int make_api(struct server *s, struct err *e)
{
    struct tunnel_server_config tc = { .on_node = node_why_on_tunnel };
    struct egress_config ec = {
        .loop = &s->loop,
        .own_node = s->o->disable_agent ? "" : s->at.node_name,
        .on_outcome = node_why_on_outcome,
    };
    auto_buf advertise = BUF(512);

    if (url_join_host_port(&advertise, str_of(s->at.advertise_ip), s->at.advertise_port))
        return err_set(e, ERR_INVALID, "--advertise-address: the name is too long");

    if (tunnel_egress_mode_parse(&ec.mode, str_of(s->o->egress_selector_mode), e))
        return (int)e->code;
    authn_new(&s->authn);
    authn_set_passwd(s->authn, ca_passwd(s->ca));
    make_why(s);
    tc.arg = ec.outcome_arg = s->why;
    tunnel_server_new(&s->tunnels, &s->loop, &tc);
    ec.tunnels = s->tunnels;
    egress_new(&s->egress, &ec);
    struct tls_client_config *kubelet_tls = server_certs_kubelet(s->certs);
    struct node_why_ways ways = { s->tunnels, kubelet_tls, egress_dial, s->egress };
    node_why_set_ways(s->why, &ways);
    struct api_config ac = {
        .loop = &s->loop,
        .store = s->store,
        .authn = s->authn,
        .service_cidrs = { s->o->service_cidr.v[0],
                           s->o->service_cidr.n > 1 ? s->o->service_cidr.v[1] : NULL },
        .node_ports = s->o->service_node_port_range,
        .commit = s->o->build_commit,
        .advertise_host_port = buf_cstr(&advertise),
        .egress = { egress_dial, egress_dial_address, s->egress, node_why_on_outcome, s->why },
        .kubelet_tls = kubelet_tls,
    };
    return api_new(&s->api, &ac, e);
}

static void make_supervisor(struct server *s)
{
    struct supervisor_config sc = {
        .loop = &s->loop,
        .ca = s->ca,
        .authn = s->authn,
        .api = s->api,
        .tunnels = s->tunnels,
        .egress = s->egress,
        .why = s->why,
        .config_doc = buf_cstr(&s->config_doc),
        .snapshots = s->snapshots,
    };
    size_t n_descriptors = proc_raise_descriptors();
    struct http_server_config hc = {
        .on_request = on_request,
        .arg = s,
        .n_connections_max = MAX(n_descriptors, (size_t)2 * DESCRIPTORS_KEPT) - DESCRIPTORS_KEPT,
        .n_reserved = CONNECTIONS_RESERVED,
    };

    if (addresses_is_split(&s->at))
        hc.n_connections_max /= 2;

    supervisor_new(&s->supervisor, &sc);
    http_server_new(&s->http, &s->loop, &hc);
    hc.on_request = on_api_request;
    if (addresses_is_split(&s->at))
        http_server_new(&s->api_http, &s->loop, &hc);
}

static int listen_on(struct server *s, const char *address, struct err *e)
{
    if (tcp_listen(&s->listeners[s->n_listeners], &s->loop, address, s->at.supervisor_port,
                   on_accept, s, e))
        return (int)e->code;
    s->n_listeners++;
    if (!addresses_is_split(&s->at))
        return 0;
    if (tcp_listen(&s->listeners[s->n_listeners], &s->loop, address, s->at.api_port, on_accept_api,
                   s, e))
        return (int)e->code;
    s->n_listeners++;
    return 0;
}

/* Loopback too, for this machine's node and its kubeconfigs: K3s's ListenWithLoopback. */
static int open_listeners(struct server *s, struct err *e)
{
    static const char *const loopbacks[] = { "127.0.0.1", "::1" };
    const char *address = s->o->bind_address ? s->o->bind_address : "";
    struct err ignored;

    if (listen_on(s, address, e))
        return (int)e->code;
    if (!*address || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(loopbacks); i++)
        if (strcmp(address, loopbacks[i]) != 0 && listen_on(s, loopbacks[i], i ? &ignored : e) &&
            i == 0)
            return (int)e->code; /* without the other one: a host without IPv6 */
    return 0;
}

static int build(struct server *s, struct err *e)
{
    auto_free char *server_dir = mem_printf("%s/server", s->o->node.data_dir);

    if (addresses_init(&s->at, &s->options, e) || datastore_check(s->o, server_dir, e) ||
        restore_check(s->o, server_dir, e) || read_tokens(s, e) ||
        open_identity(s, server_dir, e) || open_ca(s, e) || read_agent_token(s, e) ||
        make_config_doc(s, e))
        return (int)e->code;
    s->url = mem_printf("https://127.0.0.1:%u", s->at.supervisor_port);
    uv_loop_init(&s->loop);
    s->loop_ready = true;
    uv_async_init(&s->loop, &s->stop_async, on_stop_async);
    s->stop_async.data = s;
    if (server_certs_new(&s->certs, &s->loop, s->ca, e) ||
        datastore_open(&s->store, &s->loop, s->o, server_dir, s->at.node_name, e) ||
        make_snapshots(s, e) || make_api(s, e))
        return (int)e->code;
    make_supervisor(s);
    return open_listeners(s, e);
}

/* ---- stopping: one step each, the next when it is done ---- */

static void stop_step(void *arg);

static void on_api_gone(void *arg)
{
    struct server *s = arg;

    s->api = NULL;
    stop_step(s);
}

static void stop_step(void *arg)
{
    struct server *s = arg;

    if (s->n_listeners) {
        listener_close(s->listeners[--s->n_listeners], stop_step, s);
    } else if (!s->left) {
        s->left = true;
        if (s->http)
            http_server_leave(s->http);
        if (s->api_http)
            http_server_leave(s->api_http);
        stop_step(s);
    } else if (s->loops) {
        loops_close(STEAL(s->loops), stop_step, s);
    } else if (s->supervisor && !s->supervisor_stopped) {
        s->supervisor_stopped = true;
        supervisor_stop(s->supervisor, stop_step, s);
    } else if (s->snapshots) {
        snapshots_close(STEAL(s->snapshots), stop_step, s);
    } else if (s->why && !s->why_stopped) {
        s->why_stopped = true;
        if (s->egress)
            egress_stop(s->egress);
        if (s->tunnels) /* no node is waited for */
            tunnel_server_stop(s->tunnels);
        node_why_stop(s->why, stop_step, s);
    } else if (s->api) {
        bootstrap_tokens_free(STEAL(s->bootstrap));
        api_close(s->api, on_api_gone, s);
    } else if (s->api_http) {
        http_server_close(STEAL(s->api_http), stop_step, s);
    } else if (s->http) {
        http_server_close(STEAL(s->http), stop_step, s);
    } else if (s->egress) { /* requests that ran until now could still dial */
        egress_close(STEAL(s->egress), stop_step, s);
    } else if (s->supervisor) {
        supervisor_close(STEAL(s->supervisor), stop_step, s);
    } else if (s->tunnels) {
        tunnel_server_close(STEAL(s->tunnels), stop_step, s);
    } else if (s->why) { /* tunnels told it until now */
        node_why_free(STEAL(s->why));
        stop_step(s);
    } else if (s->store) {
        store_close(STEAL(s->store), stop_step, s);
    } else {
        if (s->certs)
            server_certs_stop(s->certs);
        uv_close((uv_handle_t *)&s->stop_async, NULL);
        /* nothing is left on the loop: uv_run returns */
    }
}

static void on_stop_async(uv_async_t *h)
{
    struct server *s = h->data;

    if (s->stopping)
        return;
    s->stopping = true;
    server_certs_stop(s->certs);
    stop_step(s);
}

void server_stop(struct server *s)
{
    uv_async_send(&s->stop_async);
}

/* ---- running ---- */

static void start_loops(struct server *s)
{
    const struct controllers_config cc = {
        .loop = &s->loop,
        .api = s->api,
        .why = node_why_reason,
        .on_lease = node_why_on_lease,
        .node_arg = s->why,
        .advertise_ip = s->at.advertise_ip,
        .advertise_port = s->at.advertise_port,
        .service_port = s->at.api_port,
        .cluster_cidr = s->at.pod_networks,
        .service_ip = s->at.service_ip,
        .cluster_dns = s->at.dns_ip,
        .cluster_domain = s->o->cluster_domain,
        .server_ca_pem = ca_cacerts(s->ca),
        .own_node = s->o->disable_agent ? "" : s->at.node_name,
        .disable_ccm = s->o->disable_cloud_controller,
    };
    auto_free char *id = datastore_is_shared(s->o) ? server_id(s->o->node.data_dir) : NULL;
    const struct loops_config lc = { .controllers = cc,
                                     .node = s->at.node_name,
                                     .server_id = id,
                                     .shared = datastore_is_shared(s->o),
                                     .no_scheduler = s->o->disable_scheduler };
    loops_start(&s->loops, &lc);
}

static void on_api_started(void *arg, const struct err *e)
{
    struct server *s = arg;

    if (e) {
        log_error("the API cannot start", kv("err", e->text));
        if (!s->stopping)
            server_stop(s);
        return;
    }
    if (s->stopping)
        return;
    s->started = true;
    bootstrap_tokens_new(&s->bootstrap, s->api);
    authn_add(s->authn, bootstrap_tokens_check, s->bootstrap);
    supervisor_start(s->supervisor);
    if (s->snapshots)
        snapshots_start(s->snapshots);
    egress_start(s->egress, s->api);
    node_why_start(s->why, s->api);
    start_loops(s);
    server_certs_start(s->certs);
    log_info("server is ready", kv("port", s->o->https_listen_port), kv("node", s->at.node_name),
             kv("advertise", s->at.advertise_ip));
    if (s->events.on_ready)
        s->events.on_ready(s->events.arg);
}

void server_run(struct server *s)
{
    api_start(s->api, on_api_started, s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    log_info("server has stopped");
}

int server_new(struct server **out, const struct server_options *o,
               const struct server_events *events, struct err *e)
{
    struct server *s = mem_alloc(sizeof *s);

    s->options = *o;
    s->o = &s->options;
    s->events = *events;
    if (build(s, e)) {
        struct err keep = *e; /* the teardown may log, but must not change the reason */
        if (s->loop_ready) {
            s->stopping = true;
            stop_step(s);
            uv_run(&s->loop, UV_RUN_DEFAULT);
        }
        server_free(s);
        *e = keep;
        return (int)e->code;
    }
    *out = s;
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->loop_ready && uv_loop_close(&s->loop))
        log_error("the server's loop was not empty at the end");
    server_certs_free(s->certs);
    authn_free(s->authn);
    ca_free(s->ca);
    buf_deinit(&s->config_doc);
    if (s->agent_token)
        explicit_bzero(s->agent_token, strlen(s->agent_token));
    if (s->token_in)
        explicit_bzero(s->token_in, strlen(s->token_in));
    free(s->token_in);
    identity_free(s->identity);
    free(s->agent_token);
    free(s->agent_token_in);
    free(s->url);
    free(s);
}

const char *server_url(const struct server *s)
{
    return s->url;
}

const char *server_agent_token(const struct server *s)
{
    return s->agent_token;
}

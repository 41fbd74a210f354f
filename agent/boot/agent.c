/*
 * The agent role put together.
 *
 *   agent_new:  options -> credentials -> balancer, status socket, runtime, join
 *   join done:  kube clients -> servers (tunnels) -> kubelet port -> node -> own Node watch ->
 * reach of the tunnels -> pods Ready:      the Node is written with Ready=True agent_stop: the
 * reverse, each when the one before it is gone
 *
 * The runtime starts before the join: containerd's start-up hides behind the network's.
 */
#include "agent/boot/agent_int.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/cidr.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"

#include <stdio.h>

#define BALANCER_NAME     "k3s-agent-load-balancer"
#define API_BALANCER_NAME "k3s-api-server-agent-load-balancer"
#define RENEW_LOOK_MS     2000 /* a few comparisons: a clock that was set is noticed at once */
#define RENEW_AGAIN_MS                                                                             \
    (10u * 60 * 1000) /* what is new is due already: the server's clock is wrong */
#define DEFAULT_DATA_DIR "/var/lib/rancher/k3s"

static void stop_step(void *arg);

/* ---- Ready ---- */

static void check_ready(struct agent *a)
{
    if (a->is_ready || !a->node || node_state(a->node) != NODE_RUNNING ||
        !runtime_is_ready(a->runtime))
        return;
    a->is_ready = true;
    if (a->events.on_ready)
        a->events.on_ready(a->events.arg);
}

static void start_pods(struct agent *a)
{
    bool standard = strcmp(a->o->data_dir, DEFAULT_DATA_DIR) == 0;
    auto_free char *state_dir =
        standard ? NULL : mem_printf("%s/agent/kubelet/pods", a->o->data_dir);
    auto_free char *log_root = standard ? NULL : mem_printf("%s/agent/pod-logs", a->o->data_dir);
    struct pods_config c = { .loop = &a->loop,
                             .client = a->kubelet.kube,
                             .runtime = a->runtime,
                             .node_name = a->node_name,
                             .host_ips = a->ips,
                             .n_host_ips = a->n_ips,
                             .state_dir = state_dir,
                             .log_root = log_root,
                             .resolv_conf = a->o->resolv_conf,
                             .cluster_dns = a->config.cluster_dns,
                             .cluster_domain = a->config.cluster_domain };

    if (a->pods || !a->node || node_state(a->node) != NODE_RUNNING || !runtime_is_ready(a->runtime))
        return;
    pods_start(&a->pods, &c);
    port_set_pods(a->port, a->pods, a->runtime);
}

static void on_runtime_change(void *arg)
{
    struct agent *a = arg;

    if (a->stopping)
        return;
    a->object.runtime_ready = runtime_is_ready(a->runtime);
    a->object.runtime_why = runtime_why(a->runtime);
    a->object.runtime_version = runtime_version(a->runtime);
    if (a->node)
        node_touch(a->node);
    start_pods(a);
    if (a->pods)
        pods_kick(a->pods);
    check_ready(a);
}

static void on_node_state(void *arg, enum node_state st)
{
    struct agent *a = arg;

    if (a->stopping || st != NODE_RUNNING)
        return;
    start_pods(a);
    check_ready(a);
}

/* The pod network of this node is cut by the server. */
static void on_own_node(void *arg, json_t *object)
{
    struct agent *a = arg;
    const json_t *cidrs = json_at(object, "spec.podCIDRs"), *cidr;
    auto_buf text = BUF(256);
    size_t i;
    int r = 0;
    struct err e;

    if (a->stopping)
        return;
    if (a->node)
        node_seen(a->node, object);
    if (a->reach)
        reach_seen(a->reach, object);
    json_array_foreach(cidrs, i, cidr) r |=
        buf_addf(&text, "%s%s", i ? "," : "", json_string_value(cidr));
    if (!text.n) /* a server that knows of one family */
        r |= buf_adds(&text, json_str_at(object, "spec.podCIDR", ""));
    if (r || !text.n)
        return;
    if (runtime_set_pod_cidr(a->runtime, buf_cstr(&text), &e))
        log_error("pod network not usable", kv("cidr", buf_cstr(&text)), kv("err", e.text));
}

static void on_own_node_update(void *arg, json_t *before, json_t *object)
{
    (void)before;
    on_own_node(arg, object);
}

/* ---- API clients ---- */

static void dial_balancer(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    const struct client *c = dial_arg;

    tcp_dial(NULL, c->loop, "127.0.0.1", balancer_port(c->balancer), timeout_ms, done, arg);
}

static struct tls_client_options tls_options(const struct agent *a, enum credential which)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };

    return (struct tls_client_options){
        .ca_pem = buf_str(&a->credentials.server_ca),
        .cert_chain_pem = buf_str(&a->credentials.pairs[which].cert_pem),
        .key_pem = buf_str(&a->credentials.pairs[which].key_pem),
        .alpn = alpn,
    };
}

static int client_new(struct agent *a, struct client *c, const struct balancer *b,
                      enum credential which, struct err *e)
{
    struct tls_client_options o = tls_options(a, which);
    struct kube_client_config kc = { .endpoint = { .authority = JOIN_SERVER_NAME,
                                                   .dial = dial_balancer,
                                                   .dial_arg = c,
                                                   .proto = HTTP_ALPN },
                                     .user_agent = "coracle-agent" };

    if (tls_client_config_new(&c->tls, &o, e))
        return (int)e->code;
    c->loop = &a->loop;
    c->balancer = b;
    kc.endpoint.tls = c->tls;
    kube_client_new(&c->kube, &a->loop, &kc);
    return 0;
}

static int client_renew(struct agent *a, struct client *c, enum credential which, struct err *e)
{
    struct tls_client_options o = tls_options(a, which);

    if (tls_client_config_reload(c->tls, &o, e))
        return (int)e->code;
    kube_client_reset(c->kube);
    return 0;
}

/* ---- after the join ---- */

static void on_servers_change(void *arg)
{
    struct agent *a = arg;

    if (!a->stopping)
        check_ready(a);
}

static void on_tunnel(void *arg, const struct tunnel_client_status *st)
{
    struct agent *a = arg;

    if (a->stopping)
        return;
    if (st->state == TUNNEL_CLIENT_CONNECTED && a->node)
        node_hurry(a->node);
    reporter_on_tunnel(a->reporter, st);
}

static struct port_tls port_tls(const struct agent *a)
{
    return (struct port_tls){ buf_str(&a->credentials.pairs[CRED_SERVING].cert_pem),
                              buf_str(&a->credentials.pairs[CRED_SERVING].key_pem),
                              buf_str(&a->credentials.client_ca) };
}

static int start_port(struct agent *a, struct err *e)
{
    struct port_config c = { .loop = &a->loop,
                             .bind_address = a->o->bind_address,
                             .port = (uint16_t)a->o->kubelet_port,
                             .tls = port_tls(a),
                             .node_name = a->node_name,
                             .version = a->o->version,
                             .add_metrics = account_add_metrics,
                             .add_metrics_arg = a };

    if (port_new(&a->port, &c, e))
        return (int)e->code;
    a->object.kubelet_port = port_number(a->port);
    a->authorizer.kubelet_port = a->object.kubelet_port;
    if (a->o->bind_address && *a->o->bind_address && strcmp(a->o->bind_address, "0.0.0.0") != 0 &&
        strcmp(a->o->bind_address, "::") != 0)
        snprintf(a->authorizer.kubelet_host, sizeof a->authorizer.kubelet_host, "%s",
                 a->o->bind_address);
    return 0;
}

static int start_servers(struct agent *a, struct err *e)
{
    struct servers_config c = { .loop = &a->loop,
                                .balancer = a->balancer,
                                .api_balancer = a->api_balancer,
                                .kubelet = a->api_balancer ? a->supervisor.kube : a->kubelet.kube,
                                .node = a->kubelet.kube,
                                .controller = a->controller.kube,
                                .credentials = &a->credentials,
                                .authorizer = &a->authorizer,
                                .seed = a->seed,
                                .on_change = on_servers_change,
                                .on_tunnel = on_tunnel,
                                .arg = a };

    return servers_start(&a->servers, &c, e);
}

static void on_server_time(void *arg, int64_t unix_s)
{
    struct agent *a = arg;

    if (!a->stopping)
        join_heard_time(a->join, unix_s);
}

static void on_node_error(void *arg, const char *text)
{
    struct agent *a = arg;
    bool is_lease = strncmp(text, "renew the lease", 15) == 0;

    if (!a->stopping)
        reporter_note(a->reporter, "node",
                      !*text     ? CAUSE_NONE
                      : is_lease ? CAUSE_LEASE
                                 : CAUSE_NODE,
                      text);
}

static int start_node(struct agent *a, struct err *e)
{
    struct node_config c = { .loop = &a->loop,
                             .client = a->kubelet.kube,
                             .object = &a->object,
                             .machine = &a->machine,
                             .data_dir = a->o->data_dir,
                             .on_state = on_node_state,
                             .on_server_time = on_server_time,
                             .on_error = on_node_error,
                             .arg = a };
    static const struct informer_events events = { .on_add = on_own_node,
                                                   .on_update = on_own_node_update };
    auto_free char *selector = mem_printf("metadata.name=%s", a->node_name);
    struct informer_config ic = { .client = a->kubelet.kube,
                                  .path = "/api/v1/nodes",
                                  .field_selector = selector };

    a->object.external_cloud = !a->config.disable_ccm;
    if (node_start(&a->node, &c, e))
        return (int)e->code;
    informer_new(&a->own_node, &ic, &events, a);
    return 0;
}

/* In the modes in which servers reach pods by the tunnel. */
static int start_reach(struct agent *a, struct err *e)
{
    struct reach_config c = { .loop = &a->loop,
                              .controller = a->controller.kube,
                              .authorizer = &a->authorizer,
                              .cluster = &a->config,
                              .node_name = a->node_name,
                              .ips = a->ips,
                              .n_ips = a->n_ips };

    if (!a->object.pod_egress)
        return 0;
    return reach_start(&a->reach, &c, e);
}

/* Handshakes fail by dates: somebody has set this machine's clock, or the server's. */
static bool clock_is_in_doubt(const struct agent *a)
{
    struct tunnel_client_status st[TUNNEL_SERVERS_MAX];
    size_t n = servers_status(a->servers, st, ARRAY_LEN(st));

    for (size_t i = 0; i < n; i++)
        if (st[i].state != TUNNEL_CLIENT_CONNECTED && cause_is_clock(st[i].error))
            return true;
    return cause_is_clock(node_last_error(a->node));
}

static void on_renew_timer(void *arg)
{
    struct agent *a = arg;

    /* while it joins already, neither does anything */
    if (credentials_are_due(&a->credentials, clock_wall_s()))
        join_renew(a->join);
    else if (clock_is_in_doubt(a))
        join_doubt_time(a->join);
    timer_start_ms(&a->renew_timer, rand_jitter_ms(RENEW_LOOK_MS, 10), on_renew_timer, a);
}

static void arm_renewal(struct agent *a)
{
    bool again = credentials_are_due(&a->credentials, clock_wall_s());

    if (again)
        log_warn("the certificates that the server gave out are due for renewal already: its clock "
                 "or this machine's is wrong");
    timer_start_ms(&a->renew_timer, again ? RENEW_AGAIN_MS : RENEW_LOOK_MS, on_renew_timer, a);
}

static int take_renewed(struct agent *a, struct err *e)
{
    struct port_tls tls = port_tls(a);

    if (client_renew(a, &a->kubelet, CRED_KUBELET, e) ||
        client_renew(a, &a->controller, CRED_CONTROLLER, e) ||
        (a->api_balancer && client_renew(a, &a->supervisor, CRED_KUBELET, e)) ||
        servers_reload(a->servers, e))
        return (int)e->code;
    return port_reload(a->port, &tls, e);
}

static void on_doubt(void *arg, const char *address)
{
    struct agent *a = arg;

    (void)address; /* all of them are asked */
    if (a->servers)
        servers_doubt(a->servers);
}

static int make_balancer(struct agent *a, struct balancer **out, const char *name, int64_t port,
                         const char *seed, struct err *e)
{
    auto_free char *state_dir = mem_printf("%s/agent/etc", a->o->data_dir);
    struct balancer_options o = { .name = name,
                                  .port = (uint16_t)port,
                                  .seed = seed,
                                  .state_dir = state_dir,
                                  .proxy = &a->proxy,
                                  .on_doubt = on_doubt,
                                  .doubt_arg = a };

    return balancer_new(out, &a->loop, &o, e);
}

/* A cluster whose API servers have a port of their own: they get a balancer too, one port below. */
static int start_api_balancer(struct agent *a, struct err *e)
{
    int64_t lb_port = a->o->lb_server_port;
    auto_free char *seed = NULL;

    if (!a->config.https_port)
        return 0;
    seed = mem_printf("%.*s:%u", (int)(strrchr(a->seed, ':') - a->seed), a->seed,
                      a->config.https_port);
    if (make_balancer(a, &a->api_balancer, API_BALANCER_NAME, lb_port ? lb_port - 1 : 0, seed, e))
        return (int)e->code;
    log_info("the API servers have a port of their own and get a balancer of their own",
             kv("server", seed), kv("port", balancer_port(a->api_balancer)));
    return client_new(a, &a->supervisor, a->balancer, CRED_KUBELET, e);
}

static void on_joined(void *arg, const struct cluster_config *config, bool renewed)
{
    struct agent *a = arg;
    struct err e;
    int r;

    if (a->stopping)
        return;
    a->config = *config;
    if (renewed) {
        if (take_renewed(a, &e))
            log_error("new certificates not usable, the old ones stay", kv("err", e.text));
        else
            log_info("certificates renewed");
        arm_renewal(a);
        return;
    }
    log_info("joined the cluster", kv("node", a->node_name), kv("server", a->o->server));
    r = tunnel_authorizer_init(&a->authorizer, str_of(config->egress_mode), &e);
    a->object.pod_egress = !r && (a->authorizer.mode == TUNNEL_EGRESS_POD ||
                                  a->authorizer.mode == TUNNEL_EGRESS_CLUSTER);
    r = r ? r : start_api_balancer(a, &e);
    const struct balancer *api = a->api_balancer ? a->api_balancer : a->balancer;
    r = r ? r : credentials_write_kubeconfigs(&a->credentials, balancer_port(api), &e);
    r = r ? r : client_new(a, &a->kubelet, api, CRED_KUBELET, &e);
    r = r ? r : client_new(a, &a->controller, api, CRED_CONTROLLER, &e);
    r = r ? r : start_port(a, &e);
    r = r ? r : start_servers(a, &e);
    r = r ? r : start_node(a, &e);
    r = r ? r : start_reach(a, &e);
    if (r) { /* a taken port, a full disk: no waiting mends what was half started */
        log_error("the agent cannot go on", kv("err", e.text));
        snprintf(a->why, sizeof a->why, "%s", e.text);
        a->cause = CAUSE_LOCAL;
        return;
    }
    arm_renewal(a);
}

static void on_cause(void *arg, enum cause c, const char *text)
{
    struct agent *a = arg;

    if (!a->stopping)
        reporter_note(a->reporter, "joining", c, text);
    a->cause = c;
    a->since_unix_s = clock_wall_s();
    snprintf(a->why, sizeof a->why, "%s", text);
}

/* ---- making it ---- */

static char *joined_list(const char *const *v, size_t n)
{
    auto_buf b = BUF(4096);

    for (size_t i = 0; i < n; i++)
        if ((i && buf_addc(&b, ',')) || buf_adds(&b, v[i]))
            break;
    return buf_take(&b);
}

static int resolve_options(struct agent *a, struct err *e)
{
    const struct node_options *o = a->o;
    auto_buf seed = BUF(LB_ADDRESS_MAX_BYTES);
    struct url url;
    struct cidr ip;
    size_t n = 0;

    if (url_parse(&url, str_of(o->server), e))
        return err_wrap(e, "--server \"%s\"", o->server);
    if (!str_is(url.scheme, "https"))
        return err_set(e, ERR_INVALID, "--server \"%s\": only https:// is possible", o->server);
    if (url_join_host_port(&seed, url.host, url.port))
        return err_set(e, ERR_INVALID, "--server \"%s\": the name is too long", o->server);
    a->seed = buf_take(&seed);
    if (o->lb_server_port < 0 || o->lb_server_port > 65535 || o->kubelet_port < 0 ||
        o->kubelet_port > 65535)
        return err_set(e, ERR_INVALID, "--lb-server-port and --kubelet-port: 0 to 65535");
    if (host_node_name(a->node_name, o->node_name, o->with_node_id, o->node_dir, e))
        return (int)e->code;
    for (size_t i = 0; i < o->node_ip.n && i < AGENT_ADDRESSES_MAX; i++) {
        if (!cidr_parse_address(&ip, str_of(o->node_ip.v[i])))
            return err_set(e, ERR_INVALID, "--node-ip: \"%s\" is not an address", o->node_ip.v[i]);
        a->ips[a->n_ips++] = o->node_ip.v[i];
    }
    if (!a->n_ips) {
        if (host_default_ips(a->found_ips, &n, e))
            return (int)e->code;
        for (size_t i = 0; i < n; i++)
            a->ips[a->n_ips++] = a->found_ips[i];
    }
    a->ips_text = joined_list(a->ips, a->n_ips);
    a->external_ips_text =
        joined_list((const char *const *)o->node_external_ip.v, o->node_external_ip.n);
    return 0;
}

static void describe_node(struct agent *a)
{
    const struct node_options *o = a->o;

    machine_read(&a->machine, o->data_dir);
    a->object = (struct node_object){
        .name = a->node_name,
        .host_name = a->machine.host_name,
        .ips = a->ips,
        .n_ips = a->n_ips,
        .external_ips = (const char *const *)o->node_external_ip.v,
        .n_external_ips = o->node_external_ip.n,
        .internal_dns = (const char *const *)o->node_internal_dns.v,
        .n_internal_dns = o->node_internal_dns.n,
        .external_dns = (const char *const *)o->node_external_dns.v,
        .n_external_dns = o->node_external_dns.n,
        .labels = (const char *const *)o->node_label.v,
        .n_labels = o->node_label.n,
        .taints = (const char *const *)o->node_taint.v,
        .n_taints = o->node_taint.n,
        .node_args = o->node_args ? o->node_args : "[]",
        .node_env = o->node_env ? o->node_env : "{}",
        .version = o->version,
        .runtime_version = "",
        .kubelet_port = (uint16_t)o->kubelet_port,
        .machine = &a->machine,
        .runtime_why = "the container runtime is starting",
    };
}

static int start_balancer(struct agent *a, struct err *e)
{
    if (lb_proxy_from_env(&a->proxy, a->seed, e))
        return (int)e->code;
    if (a->proxy.kind != LB_PROXY_NONE)
        log_info("servers are dialed through a proxy", kv("proxy", a->proxy.address));
    return make_balancer(a, &a->balancer, BALANCER_NAME, a->o->lb_server_port, a->seed, e);
}

static int start_runtime(struct agent *a, struct err *e)
{
    const struct node_options *o = a->o;
    struct runtime_config c = { .loop = &a->loop,
                                .data_dir = o->data_dir,
                                .run_dir = o->run_dir,
                                .endpoint = o->container_runtime_endpoint,
                                .pause_image = o->pause_image,
                                .snapshotter = o->snapshotter,
                                .on_change = on_runtime_change,
                                .arg = a };

    return runtime_start(&a->runtime, &c, e);
}

static int start_join(struct agent *a, struct err *e)
{
    struct join_config c = { .loop = &a->loop,
                             .balancer = a->balancer,
                             .credentials = &a->credentials,
                             .token = a->o->token,
                             .token_file = a->o->token_file,
                             .node_name = a->node_name,
                             .node_ips = a->ips_text,
                             .node_external_ips = a->external_ips_text,
                             .on_joined = on_joined,
                             .on_cause = on_cause,
                             .arg = a };

    return join_new(&a->join, &c, e);
}

static void on_stop_async(uv_async_t *h)
{
    struct agent *a = h->data;

    if (a->stopping)
        return;
    a->stopping = true;
    timer_stop(&a->renew_timer);
    stop_step(a);
}

static int build(struct agent *a, struct err *e)
{
    if (resolve_options(a, e))
        return (int)e->code;
    if (credentials_open(&a->credentials, a->o->data_dir, a->o->node_dir, e)) {
        a->has_credentials = true;
        return (int)e->code;
    }
    a->has_credentials = true;
    a->status_path = mem_printf("%s/agent/" REPORT_SOCKET, a->o->data_dir);
    a->since_unix_s = clock_wall_s();
    describe_node(a);
    if (start_balancer(a, e))
        return (int)e->code;
    struct reporter_config rc = { .loop = &a->loop,
                                  .balancer = a->balancer,
                                  .credentials = &a->credentials };
    reporter_new(&a->reporter, &rc);
    if (report_start(&a->report, &a->loop, a->status_path, account_make, a, e) ||
        start_runtime(a, e))
        return (int)e->code;
    return start_join(a, e);
}

/* A label or taint that is none would only be told much later. */
static int check_object(const struct agent *a, struct err *e)
{
    json_auto_t *probe = NULL;

    return node_object_new(&probe, &a->object, e);
}

int agent_new(struct agent **out, const struct node_options *o, const struct agent_events *events,
              struct err *e)
{
    struct agent *a = mem_alloc(sizeof *a);

    a->o = o;
    a->events = *events;
    uv_loop_init(&a->loop);
    uv_async_init(&a->loop, &a->stop_async, on_stop_async);
    a->stop_async.data = a;
    timer_init(&a->renew_timer, &a->loop);
    if (build(a, e) || check_object(a, e)) {
        struct err keep = *e;
        a->stopping = true;
        stop_step(a);
        uv_run(&a->loop, UV_RUN_DEFAULT);
        agent_free(a);
        *e = keep;
        return (int)e->code;
    }
    *out = a;
    return 0;
}

void agent_run(struct agent *a)
{
    uv_run(&a->loop, UV_RUN_DEFAULT);
    log_info("agent has stopped");
}

void agent_stop(struct agent *a, bool stop_pods)
{
    if (stop_pods)
        __atomic_store_n(&a->stop_pods, true, __ATOMIC_RELEASE);
    uv_async_send(&a->stop_async);
}

/* ---- stopping: one step each, the next when it is done ---- */

static void client_close(struct client *c, struct agent *a)
{
    kube_client_close(STEAL(c->kube), stop_step, a);
}

static void stop_step(void *arg)
{
    struct agent *a = arg;
    bool stop_pods = __atomic_load_n(&a->stop_pods, __ATOMIC_ACQUIRE);

    if (a->port) {
        port_set_pods(a->port, NULL, NULL);
        port_close(STEAL(a->port), stop_step, a);
    } else if (a->pods) {
        pods_close(STEAL(a->pods), stop_step, a);
    } else if (a->reach) {
        reach_close(STEAL(a->reach), stop_step, a);
    } else if (a->own_node) {
        informer_close(STEAL(a->own_node), stop_step, a);
    } else if (a->node) {
        node_close(STEAL(a->node), stop_step, a);
    } else if (a->servers) {
        servers_close(STEAL(a->servers), stop_step, a);
    } else if (a->reporter) {
        reporter_close(STEAL(a->reporter), stop_step, a);
    } else if (a->report) {
        report_close(STEAL(a->report), stop_step, a);
    } else if (a->join) {
        join_close(STEAL(a->join), stop_step, a);
    } else if (a->kubelet.kube) {
        client_close(&a->kubelet, a);
    } else if (a->controller.kube) {
        client_close(&a->controller, a);
    } else if (a->supervisor.kube) {
        client_close(&a->supervisor, a);
    } else if (a->runtime) {
        runtime_close(STEAL(a->runtime), stop_pods, stop_step, a);
    } else if (a->api_balancer) {
        balancer_close(STEAL(a->api_balancer), stop_step, a);
    } else if (a->balancer) {
        balancer_close(STEAL(a->balancer), stop_step, a);
    } else {
        timer_close(&a->renew_timer, NULL, NULL);
        uv_close((uv_handle_t *)&a->stop_async, NULL);
        /* nothing is left on the loop: uv_run returns */
    }
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    if (uv_loop_close(&a->loop))
        log_error("the agent's loop was not empty at the end");
    tls_client_config_free(a->kubelet.tls);
    tls_client_config_free(a->controller.tls);
    tls_client_config_free(a->supervisor.tls);
    tunnel_authorizer_deinit(&a->authorizer);
    lb_proxy_deinit(&a->proxy);
    if (a->has_credentials)
        credentials_deinit(&a->credentials);
    free(a->ips_text);
    free(a->external_ips_text);
    free(a->seed);
    free(a->status_path);
    free(a);
}

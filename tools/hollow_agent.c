#include "tools/hollow_agent.h"

#include "agent/boot/join.h"
#include "agent/boot/servers.h"
#include "agent/node/node.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "base/io/tls.h"
#include "base/kube/informer.h"
#include "lb/balancer.h"
#include "tools/hollow_garbage.h"

#include <stdio.h>

#define WATCHES        2
#define GREED_PATH     "/api/v1/nodes"
#define GREED_AT_ONCE  4
#define GREED_AGAIN_MS 500

struct api { /* one identity */
    struct hollow_agent *agent;
    struct tls_client_config *tls;
    struct kube_client *kube;
};

struct watched {
    struct hollow_agent *agent;
    struct informer *informer;
};

struct hollow_agent {
    const struct hollow_agent_config *c;
    char name[64], ip[16];
    const char *ips[1];
    struct wire_group wires;
    struct credentials credentials;
    struct tunnel_authorizer authorizer;
    struct join *join;
    struct api kubelet, controller;
    struct servers *servers;
    struct node *node;
    struct node_object object;
    struct watched watches[WATCHES]; /* own Node, own pods */
    struct kube_call *greed[GREED_AT_ONCE];
    struct timer greed_timer;
    bool greedy;
    struct garbage *garbage;
    int64_t tunnel_unix_s;
    size_t n_dials; /* takes turns between servers */
    enum cause cause;
    char why[256];
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

static void failed(struct hollow_agent *a, const char *part, const char *what, const char *text)
{
    char cause[64];

    snprintf(cause, sizeof cause, "%s %s", part, what);
    snprintf(a->why, sizeof a->why, "%s: %.180s", cause, text);
    a->c->on_error(a->c->arg, cause, text);
}

/* ---- connections ---- */

struct dialing {
    struct hollow_agent *agent;
    struct tcp_dial *tcp;
    http_dialed_fn done;
    void *arg;
};

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct dialing *d = arg;
    struct dialing copy = *d;

    free(d);
    copy.done(copy.arg, s ? wire_wrap(&copy.agent->wires, s) : NULL, e);
}

static void *dial(void *arg, const char *host, uint16_t port, uint64_t timeout_ms,
                  http_dialed_fn done, void *done_arg)
{
    struct hollow_agent *a = arg;
    struct dialing *d = mem_alloc(sizeof *d);

    *d = (struct dialing){ .agent = a, .done = done, .arg = done_arg };
    tcp_dial(&d->tcp, a->c->loop, host, port, timeout_ms, on_dialed, d);
    return d;
}

static void cancel_dial(void *dialing)
{
    const struct dialing *d = dialing;

    tcp_dial_cancel(d->tcp);
}

/* The servers in turns, from the best one. */
static void dial_api(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct hollow_agent *a = dial_arg;
    const char *list[TUNNEL_SERVERS_MAX];
    size_t n = balancer_addresses(a->c->known, list, ARRAY_LEN(list));
    const char *address = n ? list[a->n_dials++ % n] : a->c->seed;
    const char *colon = strrchr(address, ':'); /* host:port by contract */
    auto_free char *host = mem_strndup(address, (size_t)(colon - address));

    dial(a, host, (uint16_t)strtoul(colon + 1, NULL, 10), timeout_ms, done, arg);
}

static int api_new(struct hollow_agent *a, struct api *api, enum credential which, struct err *e)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct tls_client_options o = {
        .ca_pem = buf_str(&a->credentials.server_ca),
        .cert_chain_pem = buf_str(&a->credentials.pairs[which].cert_pem),
        .key_pem = buf_str(&a->credentials.pairs[which].key_pem),
        .alpn = alpn,
    };
    struct kube_client_config kc = { .endpoint = { .authority = JOIN_SERVER_NAME,
                                                   .dial = dial_api,
                                                   .dial_arg = a,
                                                   .proto = HTTP_ALPN },
                                     .user_agent = "coracle-hollow" };

    if (tls_client_config_new(&api->tls, &o, e))
        return (int)e->code;
    kc.endpoint.tls = api->tls;
    kube_client_new(&api->kube, a->c->loop, &kc);
    return 0;
}

/* ---- after the join ---- */

static void on_node_state(void *arg, enum node_state st)
{
    struct hollow_agent *a = arg;

    if (st == NODE_GONE)
        failed(a, "node", "deleted", "the Node was deleted");
}

static void on_servers_change(void *arg)
{
    struct hollow_agent *a = arg;
    struct tunnel_client_status st[TUNNEL_SERVERS_MAX];
    size_t n = servers_status(a->servers, st, ARRAY_LEN(st));

    if (a->closing)
        return;
    if (servers_n_connected(a->servers) == 0)
        a->tunnel_unix_s = 0;
    else if (!a->tunnel_unix_s)
        a->tunnel_unix_s = clock_wall_s();
    if (a->tunnel_unix_s && a->node)
        node_hurry(a->node);
    for (size_t i = 0; i < n; i++)
        if (st[i].state == TUNNEL_CLIENT_WAITING)
            failed(a, "tunnel", tunnel_failure_name(st[i].failure), st[i].error);
}

static void on_object(void *arg, json_t *object)
{
    const struct watched *w = arg;

    if (w == &w->agent->watches[0] && w->agent->node)
        node_seen(w->agent->node, object);
}

static void on_update(void *arg, json_t *before, json_t *object)
{
    (void)before;
    on_object(arg, object);
}

static void on_watch_error(void *arg, const struct err *e)
{
    const struct watched *w = arg;

    failed(w->agent, "watch", err_code_name(e->code), e->text);
}

static void watch(struct hollow_agent *a, size_t i, const char *path, const char *field)
{
    static const struct informer_events events = { .on_add = on_object,
                                                   .on_update = on_update,
                                                   .on_error = on_watch_error };
    auto_free char *selector = mem_printf("%s=%s", field, a->name);
    struct informer_config c = { .client = a->kubelet.kube,
                                 .path = path,
                                 .field_selector = selector };

    a->watches[i].agent = a;
    informer_new(&a->watches[i].informer, &c, &events, &a->watches[i]);
}

static int start_parts(struct hollow_agent *a, const struct cluster_config *config, struct err *e)
{
    struct tunnel_dialer dialer = { dial, cancel_dial, a };
    struct servers_config sc = { .loop = a->c->loop,
                                 .balancer = a->c->known,
                                 .kubelet = NULL,
                                 .credentials = &a->credentials,
                                 .authorizer = &a->authorizer,
                                 .seed = a->c->seed,
                                 .on_change = on_servers_change,
                                 .dialer = &dialer,
                                 .remotedialer = a->c->remotedialer,
                                 .arg = a };
    struct node_config nc = { .loop = a->c->loop,
                              .object = &a->object,
                              .machine = a->c->machine,
                              .data_dir = a->c->dir,
                              .on_state = on_node_state,
                              .arg = a,
                              .lease_interval_ms = a->c->lease_ms,
                              .status_interval_ms = a->c->status_ms };

    a->object.external_cloud = !config->disable_ccm;
    if (tunnel_authorizer_init(&a->authorizer, str_of(config->egress_mode), e) ||
        api_new(a, &a->kubelet, CRED_KUBELET, e) || api_new(a, &a->controller, CRED_CONTROLLER, e))
        return (int)e->code;
    sc.kubelet = sc.node = nc.client = a->kubelet.kube;
    sc.controller = a->controller.kube;
    if (servers_start(&a->servers, &sc, e) || node_start(&a->node, &nc, e))
        return (int)e->code;
    watch(a, 0, "/api/v1/nodes", "metadata.name");
    watch(a, 1, "/api/v1/pods", "spec.nodeName");
    return 0;
}

static void on_joined(void *arg, const struct cluster_config *config, bool renewed)
{
    struct hollow_agent *a = arg;
    struct err e;

    if (!renewed && start_parts(a, config, &e))
        failed(a, "start", err_code_name(e.code), e.text);
}

static void on_cause(void *arg, enum cause c, const char *text)
{
    struct hollow_agent *a = arg;

    a->cause = c;
    if (c != CAUSE_NONE)
        failed(a, "join", cause_name(c), text);
    else
        a->why[0] = '\0';
}

/* ---- misbehaving ---- */

static void greed_step(void *arg);

static void on_greed(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct kube_call **slot = arg;

    (void)r;
    (void)e;
    *slot = NULL; /* the timer asks again */
}

static void greed_step(void *arg)
{
    struct hollow_agent *a = arg;

    if (!a->greedy || a->closing)
        return;
    for (size_t i = 0; i < GREED_AT_ONCE && a->kubelet.kube; i++)
        if (!a->greed[i])
            a->greed[i] = kube_get(a->kubelet.kube, GREED_PATH, on_greed, &a->greed[i]);
    timer_start_ms(&a->greed_timer, GREED_AGAIN_MS, greed_step, a);
}

void hollow_agent_greed(struct hollow_agent *a, bool on)
{
    a->greedy = on;
    greed_step(a);
}

void hollow_agent_fault(struct hollow_agent *a, enum wire_fault f)
{
    wire_group_set(&a->wires, f);
}

void hollow_agent_cut(struct hollow_agent *a)
{
    wire_group_cut(&a->wires);
}

static void on_garbage_done(void *arg)
{
    struct hollow_agent *a = arg;

    a->garbage = NULL;
}

void hollow_agent_garbage(struct hollow_agent *a)
{
    struct err e;

    if (a->garbage || a->closing || !a->kubelet.kube)
        return;
    if (garbage_start(&a->garbage, a->c->loop, a->c->seed, &a->credentials, on_garbage_done, a, &e))
        failed(a, "garbage", err_code_name(e.code), e.text);
}

/* ---- life ---- */

static void describe(struct hollow_agent *a)
{
    a->ips[0] = a->ip;
    a->object = (struct node_object){ .name = a->name,
                                      .host_name = a->name,
                                      .ips = a->ips,
                                      .n_ips = 1,
                                      .node_args = "[]",
                                      .node_env = "{}",
                                      .version = "v1.32.0+hollow",
                                      .runtime_version = "hollow://1",
                                      .kubelet_port = TUNNEL_KUBELET_PORT,
                                      .machine = a->c->machine,
                                      .runtime_ready = true,
                                      .runtime_why = "" };
}

int hollow_agent_new(struct hollow_agent **out, const struct hollow_agent_config *c,
                     unsigned number, struct err *e)
{
    struct hollow_agent *a = mem_alloc(sizeof *a);
    struct join_config jc = { .loop = c->loop,
                              .balancer = c->joins,
                              .credentials = &a->credentials,
                              .token = c->token,
                              .token_file = c->token_file,
                              .node_name = a->name,
                              .node_ips = a->ip,
                              .node_external_ips = "",
                              .on_joined = on_joined,
                              .on_cause = on_cause,
                              .arg = a };
    auto_free char *data_dir = mem_printf("%s/%u", c->dir, number);
    auto_free char *node_dir = mem_printf("%s/node", data_dir);

    a->c = c;
    snprintf(a->name, sizeof a->name, "%s%u", c->prefix, number);
    snprintf(a->ip, sizeof a->ip, "10.%u.%u.%u", 128 + (number >> 16) % 64, number >> 8 & 255,
             number & 255);
    wire_group_init(&a->wires);
    describe(a);
    if (credentials_open(&a->credentials, data_dir, node_dir, e) || join_new(&a->join, &jc, e)) {
        credentials_deinit(&a->credentials);
        free(a);
        return err_wrap(e, "hollow agent %u", number);
    }
    timer_init(&a->greed_timer, c->loop);
    *out = a;
    return 0;
}

const char *hollow_agent_name(const struct hollow_agent *a)
{
    return a->name;
}

void hollow_agent_state(const struct hollow_agent *a, struct hollow_agent_state *out)
{
    *out = (struct hollow_agent_state){ .joined = a->node != NULL,
                                        .n_connections = wire_group_n(&a->wires),
                                        .tunnel_unix_s = a->tunnel_unix_s,
                                        .why = a->why };
    if (!a->node)
        return;
    out->ready = node_state(a->node) == NODE_RUNNING && !*node_last_error(a->node);
    out->lease_unix_s = node_lease_renewed_unix_s(a->node);
    out->n_tunnels = servers_n_connected(a->servers);
    if (*node_last_error(a->node))
        out->why = node_last_error(a->node);
    for (size_t i = 0; i < WATCHES; i++)
        out->n_watches += a->watches[i].informer && informer_is_watching(a->watches[i].informer);
}

/* One step each, the next when it is done; the order is the agent's. */
static void close_step(void *arg)
{
    struct hollow_agent *a = arg;
    void (*done)(void *) = a->done;
    void *done_arg = a->done_arg;

    if (a->garbage) {
        garbage_cancel(a->garbage, close_step, a);
        a->garbage = NULL;
    } else if (a->watches[1].informer) {
        informer_close(STEAL(a->watches[1].informer), close_step, a);
    } else if (a->watches[0].informer) {
        informer_close(STEAL(a->watches[0].informer), close_step, a);
    } else if (a->node) {
        node_close(STEAL(a->node), close_step, a);
    } else if (a->servers) {
        servers_close(STEAL(a->servers), close_step, a);
    } else if (a->join) {
        join_close(STEAL(a->join), close_step, a);
    } else if (a->kubelet.kube) {
        kube_client_close(STEAL(a->kubelet.kube), close_step, a);
    } else if (a->controller.kube) {
        kube_client_close(STEAL(a->controller.kube), close_step, a);
    } else if (a->c) {
        a->c = NULL;
        timer_close(&a->greed_timer, close_step, a);
    } else {
        tls_client_config_free(a->kubelet.tls);
        tls_client_config_free(a->controller.tls);
        tunnel_authorizer_deinit(&a->authorizer);
        credentials_deinit(&a->credentials);
        free(a);
        if (done)
            done(done_arg);
    }
}

void hollow_agent_close(struct hollow_agent *a, void (*done)(void *arg), void *arg)
{
    a->closing = true;
    a->done = done;
    a->done_arg = arg;
    wire_group_set(&a->wires, WIRE_GOOD); /* goodbyes can go out */
    close_step(a);
}

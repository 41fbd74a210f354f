#include "agent/boot/servers.h"

#include "agent/boot/join.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/timer.h"
#include "base/kube/informer.h"
#include "lb/balancer.h"
#include "lb/dial.h"

#include <stdio.h>

#define ASK_EVERY_MS  5000
#define DEBOUNCE_MS   3000
#define TICK_MS       500
#define SEED_AFTER_MS 2000 /* no listed tunnel for so long: the fixed address gets one */
/* The same where a listed one has been connected before: most likely its server starts anew, and
 * all its agents come back within this time; a second tunnel each would double the rush. */
#define SEED_AFTER_KNOWN_MS 8000
#define SEED_KEEP_MS        30000 /* a listed one stays up for so long: it is not needed any more */
#define SLICES_PATH         "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

struct servers {
    struct servers_config c;
    struct tunnel_dialer dialer;
    struct tunnel_client_set *tunnels;
    struct informer *slices;
    struct kube_call *ask;
    struct timer ask_timer, apply_timer, tick_timer;
    char addresses[TUNNEL_SERVERS_MAX][272];   /* API servers */
    char supervisors[TUNNEL_SERVERS_MAX][272]; /* the same hosts; tunnels go there */
    size_t n_addresses;
    bool applied, seed_wanted;
    bool node_refused;          /* the kubelet's identity may not watch the slices */
    uint64_t listed_changed_ms; /* when "some listed tunnel is connected" last changed */
    bool listed_connected, listed_known;
    bool closing;
    unsigned n_open;
    void (*done)(void *arg);
    void *done_arg;
};

size_t servers_of_slice(const json_t *slice, char (*out)[272], size_t n_max)
{
    int64_t port = json_i64_at(slice, "ports[0].port", 443);
    const json_t *endpoint, *address;
    size_t n = 0, i, k;

    json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint)
    {
        if (!json_bool_at(endpoint, "conditions.ready", true))
            continue;
        json_array_foreach(json_object_get(endpoint, "addresses"), k, address)
        {
            const char *ip = json_string_value(address);
            if (!ip || n == n_max)
                continue;
            snprintf(out[n++], sizeof *out, strchr(ip, ':') ? "[%.250s]:%lld" : "%.250s:%lld", ip,
                     (long long)port);
        }
    }
    return n;
}

/* ---- acting on a list ---------------------------------------------------------------------------
 */

static bool is_listed(const struct servers *s, const char *address)
{
    for (size_t i = 0; i < s->n_addresses; i++)
        if (strcmp(s->supervisors[i], address) == 0)
            return true;
    return false;
}

/* Where the ports differ, the supervisor of a host has the port of --server. */
static void name_supervisors(struct servers *s)
{
    const char *seed_port = strrchr(s->c.seed, ':');

    for (size_t i = 0; i < s->n_addresses; i++) {
        const char *address = s->addresses[i], *colon = strrchr(address, ':');
        if (s->c.api_balancer && colon && seed_port)
            snprintf(s->supervisors[i], sizeof s->supervisors[i], "%.*s%s",
                     (int)MIN(colon - address, 264), address, seed_port);
        else
            memcpy(s->supervisors[i], address, sizeof s->supervisors[i]);
    }
}

static void set_tunnels(struct servers *s)
{
    const char *list[TUNNEL_SERVERS_MAX];
    size_t n = 0;
    struct err e;

    for (size_t i = 0; i < s->n_addresses && n < ARRAY_LEN(list); i++)
        list[n++] = s->supervisors[i];
    if ((s->seed_wanted || !n) && n < ARRAY_LEN(list) && !is_listed(s, s->c.seed))
        list[n++] = s->c.seed;
    if (tunnel_client_set_servers(s->tunnels, list, n, &e))
        log_warn("tunnels stay with the old list of servers", kv("err", e.text));
}

static void apply(struct servers *s)
{
    const char *list[TUNNEL_SERVERS_MAX];

    for (size_t i = 0; i < s->n_addresses; i++)
        list[i] = s->supervisors[i];
    balancer_set_addresses(s->c.balancer, list, s->n_addresses);
    for (size_t i = 0; i < s->n_addresses; i++)
        list[i] = s->addresses[i];
    if (s->c.api_balancer)
        balancer_set_addresses(s->c.api_balancer, list, s->n_addresses);
    if (!s->applied)
        s->listed_changed_ms = uv_now(s->c.loop);
    s->applied = true;
    set_tunnels(s);
}

static void on_apply_timer(void *arg)
{
    apply(arg);
}

/* A list came. The empty one is never believed. */
static void take(struct servers *s, char (*addresses)[272], size_t n)
{
    if (!n)
        return;
    if (n == s->n_addresses && memcmp(s->addresses, addresses, n * sizeof *addresses) == 0)
        return;
    memcpy(s->addresses, addresses, n * sizeof *addresses);
    s->n_addresses = n;
    s->listed_known = false;
    name_supervisors(s);
    if (s->applied)
        timer_start_ms(&s->apply_timer, DEBOUNCE_MS, on_apply_timer, s);
    else
        apply(s);
}

/* ---- where lists come from ---- */

static void take_slices(struct servers *s)
{
    char found[TUNNEL_SERVERS_MAX][272] = { { 0 } };
    size_t n = 0;
    json_t *slice;

    for (size_t i = 0; (slice = informer_next(s->slices, &i));)
        n += servers_of_slice(slice, found + n, TUNNEL_SERVERS_MAX - n);
    take(s, found, n);
}

static void on_slice(void *arg, json_t *object)
{
    struct servers *s = arg;

    (void)object;
    if (informer_is_synced(s->slices))
        take_slices(s);
}

static void on_slice_update(void *arg, json_t *before, json_t *object)
{
    (void)before;
    on_slice(arg, object);
}

static void on_slices_synced(void *arg)
{
    take_slices(arg);
}

static void on_slices_error(void *arg, const struct err *e);

static void start_watch(struct servers *s)
{
    static const struct informer_events events = { .on_add = on_slice,
                                                   .on_update = on_slice_update,
                                                   .on_delete = on_slice,
                                                   .on_synced = on_slices_synced,
                                                   .on_error = on_slices_error };
    struct informer_config c = { .client = s->node_refused ? s->c.controller : s->c.node,
                                 .path = SLICES_PATH,
                                 .label_selector = "kubernetes.io/service-name=kubernetes" };

    if (!s->slices)
        informer_new(&s->slices, &c, &events, s);
}

static void on_part_closed(void *arg);

/* One connection less than with an identity of its own; K3s' RBAC knows only the latter. */
static void on_slices_error(void *arg, const struct err *e)
{
    struct servers *s = arg;

    if (e->code != ERR_DENIED || s->node_refused || s->closing)
        return;
    s->node_refused = true;
    s->n_open++;
    informer_close(STEAL(s->slices), on_part_closed, s);
    start_watch(s);
}

static void ask(struct servers *s);

static void on_ask_timer(void *arg)
{
    ask(arg);
}

static void maybe_gone(struct servers *s)
{
    void (*done)(void *) = s->done;
    void *arg = s->done_arg;

    if (!s->closing || s->n_open || s->ask)
        return;
    free(s);
    if (done)
        done(arg);
}

static void on_asked(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct servers *s = arg;
    char found[TUNNEL_SERVERS_MAX][272] = { { 0 } };
    const json_t *v;
    size_t n = 0, i;

    s->ask = NULL;
    if (s->closing) {
        maybe_gone(s);
        return;
    }
    if (!e && json_is_array(r->object)) {
        json_array_foreach(r->object, i, v)
        {
            const char *text = json_string_value(v);
            if (text && n < TUNNEL_SERVERS_MAX && strlen(text) < sizeof found[0])
                memcpy(found[n++], text, strlen(text));
        }
        take(s, found, n);
    }
    /* Servers before 2022 do not know the path, and one that starts says 503: the watch tells too.
     */
    start_watch(s);
    if (!n && (!e || e->code == ERR_AGAIN))
        timer_start_ms(&s->ask_timer, ASK_EVERY_MS, on_ask_timer, s);
    else if (!s->applied && !n)
        set_tunnels(s); /* the seed alone */
}

static void ask(struct servers *s)
{
    if (!s->ask && !s->applied)
        s->ask = kube_get(s->c.kubelet, "/v1-k3s/apiservers", on_asked, s);
}

/* ---- tunnels ---- */

static void on_tunnel_state(void *arg, const struct tunnel_client_status *st)
{
    struct servers *s = arg;
    static const enum balancer_health health[] = { [TUNNEL_CLIENT_CONNECTING] = BALANCER_UNKNOWN,
                                                   [TUNNEL_CLIENT_CONNECTED] = BALANCER_OK,
                                                   [TUNNEL_CLIENT_WAITING] = BALANCER_FAILED };

    if (st->state != TUNNEL_CLIENT_CONNECTING) {
        balancer_set_health(s->c.balancer, st->address, health[st->state]);
        for (size_t i = 0; s->c.api_balancer && i < s->n_addresses; i++)
            if (strcmp(s->supervisors[i], st->address) == 0)
                balancer_set_health(s->c.api_balancer, s->addresses[i], health[st->state]);
    }
    if (st->state == TUNNEL_CLIENT_CONNECTED)
        log_info("tunnel connected", kv("server", st->address));
    else if (st->state == TUNNEL_CLIENT_WAITING && st->failure != TUNNEL_OK)
        log_debug("tunnel down", kv("server", st->address),
                  kv("cause", tunnel_failure_name(st->failure)), kv("err", st->error));
    if (s->c.on_tunnel)
        s->c.on_tunnel(s->c.arg, st);
    s->c.on_change(s->c.arg);
}

static void on_tick(void *arg)
{
    struct servers *s = arg;
    struct tunnel_client_status st[TUNNEL_SERVERS_MAX];
    size_t n = MIN(tunnel_client_set_status(s->tunnels, st, ARRAY_LEN(st)), ARRAY_LEN(st));
    uint64_t now_ms = uv_now(s->c.loop);
    bool connected = false, wanted = s->seed_wanted;

    for (size_t i = 0; i < n; i++)
        connected |= st[i].state == TUNNEL_CLIENT_CONNECTED && is_listed(s, st[i].address);
    if (connected != s->listed_connected) {
        s->listed_connected = connected;
        s->listed_changed_ms = now_ms;
        s->listed_known = true;
    }
    if (s->applied && !connected &&
        now_ms - s->listed_changed_ms >= (s->listed_known ? SEED_AFTER_KNOWN_MS : SEED_AFTER_MS))
        wanted = true;
    else if (connected && now_ms - s->listed_changed_ms >= SEED_KEEP_MS)
        wanted = false;
    if (wanted != s->seed_wanted) {
        s->seed_wanted = wanted;
        if (wanted)
            log_info("no listed server is in reach: a tunnel goes to the fixed address",
                     kv("address", s->c.seed));
        set_tunnels(s);
    }
    timer_start_ms(&s->tick_timer, TICK_MS, on_tick, s);
}

/* ---- life ---- */

static void on_part_closed(void *arg)
{
    struct servers *s = arg;

    s->n_open--;
    maybe_gone(s);
}

/* Tunnels bypass the balancer, not its resolver and its proxy. */
static void *dial_server(void *arg, const char *host, uint16_t port, uint64_t timeout_ms,
                         http_dialed_fn done, void *done_arg)
{
    struct lb_dial *d;

    lb_dial_start(&d, arg, host, port, timeout_ms, done, done_arg);
    return d;
}

static void cancel_dial(void *d)
{
    lb_dial_cancel(d);
}

int servers_start(struct servers **out, const struct servers_config *c, struct err *e)
{
    const struct pair *kubelet = &c->credentials->pairs[CRED_KUBELET];
    struct servers *s = mem_alloc(sizeof *s);
    struct tunnel_client_options o = { .ca_pem = buf_str(&c->credentials->server_ca),
                                       .cert_chain_pem = buf_str(&kubelet->cert_pem),
                                       .key_pem = buf_str(&kubelet->key_pem),
                                       .authorizer = c->authorizer,
                                       .tls_name = JOIN_SERVER_NAME,
                                       .dialer = &s->dialer,
                                       .on_state = on_tunnel_state,
                                       .arg = s,
                                       .remotedialer = c->remotedialer };

    s->c = *c;
    s->dialer =
        c->dialer ? *c->dialer : (struct tunnel_dialer){ dial_server, cancel_dial, c->balancer };
    if (tunnel_client_set_new(&s->tunnels, c->loop, &o, e)) {
        free(s);
        return (int)e->code;
    }
    timer_init(&s->ask_timer, c->loop);
    timer_init(&s->apply_timer, c->loop);
    timer_init(&s->tick_timer, c->loop);
    s->n_open = 4;
    timer_start_ms(&s->tick_timer, TICK_MS, on_tick, s);
    ask(s);
    *out = s;
    return 0;
}

int servers_reload(struct servers *s, struct err *e)
{
    const struct credentials *cr = s->c.credentials;
    const struct pair *kubelet = &cr->pairs[CRED_KUBELET];

    return tunnel_client_set_reload(s->tunnels, buf_str(&cr->server_ca),
                                    buf_str(&kubelet->cert_pem), buf_str(&kubelet->key_pem), e);
}

void servers_doubt(struct servers *s)
{
    tunnel_client_set_doubt(s->tunnels);
}

size_t servers_n_connected(const struct servers *s)
{
    return tunnel_client_set_n_connected(s->tunnels);
}

size_t servers_status(const struct servers *s, struct tunnel_client_status *out, size_t n_max)
{
    return MIN(tunnel_client_set_status(s->tunnels, out, n_max), n_max);
}

void servers_close(struct servers *s, void (*done)(void *arg), void *arg)
{
    s->closing = true;
    s->done = done;
    s->done_arg = arg;
    if (s->ask)
        kube_call_cancel(s->ask);
    if (s->slices) {
        s->n_open++;
        informer_close(s->slices, on_part_closed, s);
    }
    timer_close(&s->ask_timer, on_part_closed, s);
    timer_close(&s->apply_timer, on_part_closed, s);
    timer_close(&s->tick_timer, on_part_closed, s);
    tunnel_client_set_close(s->tunnels, on_part_closed, s);
}

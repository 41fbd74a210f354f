/*
 * The parts of a balancer put together: clients come in by the front, become connections (conns),
 * which take a server of the set; names, probes, tunnels and the cluster tell the set what it has.
 *
 * Health reports are kept per address and applied once a second, as K3s does, so that a flapping
 * tunnel moves a server at most that often; only the first bad one counts at once.
 */
#include "lb/balancer.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/timer.h"
#include "lb/connect.h"
#include "lb/conns.h"
#include "lb/front.h"
#include "lb/keeper.h"
#include "lb/probe.h"

#include <stdio.h>

#define CONNS_MAX          1024
#define DIAL_TIMEOUT_MS    10000
#define HEALTH_INTERVAL_MS 1000

struct balancer {
    uv_loop_t *loop;
    char *name, *seed;
    uint16_t port;
    struct lb_server_set *set;
    struct map *health; /* address -> &health_values[...] */
    struct lb_dialer dialer;
    struct lb_prober *prober;
    struct lb_keeper *keeper; /* NULL: nothing is kept */
    struct front *front;
    struct conns *conns; /* NULL: closed, while other parts still are */
    struct timer health_timer;
    unsigned n_open; /* parts that are closing or have to be */
    void (*done)(void *arg);
    void *done_arg;
};

static const enum balancer_health health_values[] = { BALANCER_UNKNOWN, BALANCER_OK,
                                                      BALANCER_FAILED };

/* ---- connections ---- */

static void on_room(void *arg)
{
    struct balancer *b = arg;

    front_go_on(b->front);
}

static bool has_room(void *arg)
{
    struct balancer *b = arg;

    return conns_has_room(b->conns);
}

static void on_client(void *arg, int fd_take)
{
    struct balancer *b = arg;

    conns_add(b->conns, fd_take);
}

static void drop_conns(void *arg, struct lb_server *s)
{
    struct balancer *b = arg;

    if (b->conns)
        conns_drop(b->conns, s);
}

/* ---- probes ---- */

static enum balancer_health health_of(void *arg, const char *address)
{
    const struct balancer *b = arg;
    const enum balancer_health *h = map_get(b->health, str_of(address));

    return h ? *h : BALANCER_UNKNOWN;
}

/* A tunnel is the better probe: it proves the server, not only its port. */
static bool probe_wanted(void *arg, const struct lb_server *s)
{
    return health_of(arg, s->address) == BALANCER_UNKNOWN;
}

static void on_probed(void *arg, struct lb_server *found, const struct err *e)
{
    struct balancer *b = arg;

    if (!e && b->conns && found->state != LB_INVALID)
        conns_found(b->conns, found);
}

/* ---- what the cluster and the tunnels say ---- */

static void save_state(const struct balancer *b)
{
    struct lb_server *listed[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_listed(b->set, listed);
    auto_free struct lb_state_file *f = mem_alloc(sizeof *f);

    if (!b->keeper)
        return;
    snprintf(f->server_url, sizeof f->server_url, "https://%s", b->seed);
    for (size_t i = 0; i < n && i < LB_SERVERS_MAX; i++)
        snprintf(f->addresses[f->n_addresses++], sizeof f->addresses[0], "%s", listed[i]->address);
    lb_keeper_put(b->keeper, f);
}

static void load_state(struct balancer *b, const char *path)
{
    auto_free struct lb_state_file *f = mem_alloc(sizeof *f);
    auto_free char *url = mem_printf("https://%s", b->seed);
    struct str list[LB_SERVERS_MAX];
    struct err e;

    if (lb_state_file_read(f, path, &e)) {
        if (e.code != ERR_NOT_FOUND)
            log_warn("load balancer starts from the configured server", kv("err", e.text));
        return;
    }
    if (strcmp(f->server_url, url) != 0) {
        log_info("load balancer: the saved list is of another server URL and is left",
                 kv("saved", f->server_url), kv("configured", url));
        return;
    }
    for (size_t i = 0; i < f->n_addresses; i++)
        list[i] = str_of(f->addresses[i]);
    lb_server_set_addresses(b->set, list, f->n_addresses, uv_now(b->loop));
}

void balancer_set_addresses(struct balancer *b, const char *const *addresses, size_t n)
{
    struct str list[LB_SERVERS_MAX];

    if (!n)
        return;
    if (n > LB_SERVERS_MAX) {
        log_warn("load balancer: the list of servers is cut", kv("servers", n),
                 kv("max", LB_SERVERS_MAX));
        n = LB_SERVERS_MAX;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = str_of(addresses[i]);
    if (lb_server_set_addresses(b->set, list, n, uv_now(b->loop))) {
        log_info("load balancer has a new list of servers", kv("name", b->name), kv("servers", n),
                 kv("first", addresses[0]));
        save_state(b);
        lb_prober_tick(b->prober);
    }
}

static void apply_health(struct balancer *b, struct lb_server *s)
{
    enum balancer_health h = health_of(b, s->address);
    bool is_news =
        h == BALANCER_FAILED && s->state != LB_FAILED && (s->state != LB_STANDBY || s->reached);
    struct err down;

    if (h == BALANCER_UNKNOWN)
        return;
    if (is_news)
        err_set(&down, ERR_CLOSED, "the tunnel to this server is down");
    lb_server_set_event(b->set, s, h == BALANCER_OK ? LB_CHECK_OK : LB_CHECK_FAIL,
                        is_news ? &down : NULL, uv_now(b->loop));
}

void balancer_set_health(struct balancer *b, const char *address, enum balancer_health h)
{
    bool fails_now = h == BALANCER_FAILED && health_of(b, address) == BALANCER_OK;
    struct lb_server *s = lb_server_set_find(b->set, str_of(address));

    map_set(b->health, str_of(address), (void *)&health_values[h]);
    if (fails_now && s) {
        apply_health(b, s);
        if (s->state == LB_STANDBY) /* where it serves it fails as others do, but for its state */
            drop_conns(b, s);
    }
}

static void on_health_timer(void *arg)
{
    struct balancer *b = arg;
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(b->set, order), i = 0;
    struct str key;
    void *value;

    for (size_t k = 0; k < n; k++)
        apply_health(b, order[k]);
    while (map_next(b->health, &i, &key, &value)) /* forget those of servers that are gone */
        if (!lb_server_set_find(b->set, key))
            map_remove(b->health, key);
    lb_prober_tick(b->prober);
    timer_start_ms(&b->health_timer, HEALTH_INTERVAL_MS, on_health_timer, b);
}

/* ---- life ---- */

static void on_poller_closed(void *arg)
{
    struct balancer *b = arg;
    void (*done)(void *arg) = b->done;
    void *done_arg = b->done_arg;

    lb_server_set_free(b->set);
    map_free(b->health);
    lb_proxy_deinit(&b->dialer.proxy);
    free(b->name);
    free(b->seed);
    free(b);
    if (done)
        done(done_arg);
}

static void on_part_closed(void *arg)
{
    struct balancer *b = arg;

    if (--b->n_open == 0)
        poller_close(b->dialer.poller, on_poller_closed, b);
}

static void on_conns_closed(void *arg)
{
    struct balancer *b = arg;

    b->conns = NULL;
    on_part_closed(b);
}

void balancer_close(struct balancer *b, void (*done)(void *arg), void *arg)
{
    b->done = done;
    b->done_arg = arg;
    front_close(STEAL(b->front));
    b->n_open = b->keeper ? 5 : 4;
    conns_close(b->conns, on_conns_closed, b);
    if (b->keeper)
        lb_keeper_close(b->keeper, on_part_closed, b);
    lb_prober_close(b->prober, on_part_closed, b);
    lb_names_close(b->dialer.names, on_part_closed, b);
    timer_close(&b->health_timer, on_part_closed, b);
}

int balancer_new(struct balancer **out, uv_loop_t *loop, const struct balancer_options *o,
                 struct err *e)
{
    struct balancer *b = mem_alloc(sizeof *b);
    struct lb_prober_config pc = {
        .dialer = &b->dialer, .wanted = probe_wanted, .on_probed = on_probed, .arg = b
    };
    struct conns_config cc = {
        .loop = loop,
        .dialer = &b->dialer,
        .n_max = o->n_conns_max ? o->n_conns_max : CONNS_MAX,
        .dial_timeout_ms = o->dial_timeout_ms ? o->dial_timeout_ms : DIAL_TIMEOUT_MS,
        .health_of = health_of,
        .on_room = on_room,
        .arg = b,
        .on_doubt = o->on_doubt,
        .doubt_arg = o->doubt_arg,
    };
    struct front_config fc = {
        .port = o->port, .has_room = has_room, .on_client = on_client, .arg = b
    };
    auto_free char *path = o->state_dir ? mem_printf("%s/%s.json", o->state_dir, o->name) : NULL;

    if (poller_new(&b->dialer.poller, loop, e)) {
        free(b);
        return err_wrap(e, "load balancer");
    }
    b->loop = loop;
    b->name = mem_strdup(o->name);
    b->seed = mem_strdup(o->seed);
    if (o->proxy)
        b->dialer.proxy = *o->proxy;
    b->dialer.names = lb_names_new(loop, o->resolve);
    b->health = map_new();
    b->keeper = path ? lb_keeper_new(loop, path) : NULL;
    lb_server_set_new(&b->set, drop_conns, b);
    cc.set = pc.set = b->set;
    cc.name = b->name;
    b->conns = conns_new(&cc);
    b->prober = lb_prober_new(&pc);
    timer_init(&b->health_timer, loop);
    fc.poller = b->dialer.poller;
    if (front_open(&b->front, &fc, e)) {
        balancer_close(b, NULL, NULL);
        return (int)e->code;
    }
    b->port = front_port(b->front);
    /* A seed that is our own address would make a loop: then only a list helps. */
    auto_free char *self4 = mem_printf("127.0.0.1:%u", b->port);
    auto_free char *self6 = mem_printf("[::1]:%u", b->port);
    if (strcmp(self4, b->seed) != 0 && strcmp(self6, b->seed) != 0)
        lb_server_set_default(b->set, str_of(b->seed), uv_now(loop));
    if (path)
        load_state(b, path);
    timer_start_ms(&b->health_timer, 0, on_health_timer, b); /* also the first probes */
    *out = b;
    return 0;
}

uint16_t balancer_port(const struct balancer *b)
{
    return b->port;
}

struct lb_dialer *balancer_dialer(struct balancer *b)
{
    return &b->dialer;
}

const char *balancer_name(const struct balancer *b)
{
    return b->name;
}

const struct lb_dial_times *balancer_dial_times(const struct balancer *b)
{
    return conns_dial_times(b->conns);
}

size_t balancer_addresses(const struct balancer *b, const char **out, size_t n_max)
{
    struct lb_server *listed[LB_SERVERS_MAX + 1];
    size_t n = MIN(lb_server_set_listed(b->set, listed), n_max);

    for (size_t i = 0; i < n; i++)
        out[i] = listed[i]->address;
    if (!n && n_max && lb_server_set_get_default(b->set)) {
        out[0] = lb_server_set_get_default(b->set)->address;
        n = 1;
    }
    return n;
}

size_t balancer_status(const struct balancer *b, struct balancer_server_status *out, size_t n_max)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = MIN(lb_server_set_order(b->set, order), n_max);
    uint64_t now_ms = uv_now(b->loop);

    for (size_t i = 0; i < n; i++) {
        const struct lb_server *s = order[i];
        uint64_t n_up, n_down;

        conns_n_bytes(s, &n_up, &n_down);
        out[i] = (struct balancer_server_status){
            .state = s->state,
            .is_default = s == lb_server_set_get_default(b->set),
            .in_state_ms = now_ms - s->since_ms,
            .n_conns = s->n_conns,
            .n_dials = s->n_dials,
            .n_failures = s->n_failures,
            .rtt_us = s->rtt_us,
            .n_up = s->n_up + n_up,
            .n_down = s->n_down + n_down,
            .reached = s->reached,
            .last_error_ago_ms = s->last_err.code ? now_ms - s->last_err_ms : 0,
        };
        snprintf(out[i].address, sizeof out[i].address, "%s", s->address);
        snprintf(out[i].last_error, sizeof out[i].last_error, "%s", s->last_err.text);
    }
    return n;
}

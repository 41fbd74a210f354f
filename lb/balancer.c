/*
 * A connection's life:
 *
 *   accept --> DIALING (lb/race.h) --> RELAYING --> gone
 *                 |                       |  ^ (never answered: lb/second.h finds another server)
 *                 |                       +--+
 *                 +--> gone, when none answers: the client sees a close without bytes
 *
 * Health reports are kept per address and applied once a second, as K3s does, so that a flapping
 * tunnel moves a server at most that often; only the first bad one counts at once.
 */
#include "lb/balancer.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "lb/connect.h"
#include "lb/keeper.h"
#include "lb/probe.h"
#include "lb/race.h"
#include "lb/relay.h"
#include "lb/second.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX          1024
#define DIAL_TIMEOUT_MS    10000
#define HEALTH_INTERVAL_MS 1000
#define DOUBT_LOOK_MS      250
#define DOUBT_AFTER_MS     500
#define DOUBT_RTTS         3
#define MOVE_MS            1000 /* no first word: another server is asked beside it */
#define MUTE_MS            2000 /* the same with a second witness: this one is failed */
#define MUTE_RTTS          6
#define LOST_MS            3000
#define SECONDS_MAX        10 /* of one connection, with more patience the more there were */
#define ACCEPTS_PER_TURN   64
#define IDLE_PIPES_MAX     32
#define ACCEPT_RETRY_MS    100 /* after running out of descriptors */
#define LISTEN_BACKLOG     1024

struct conn {
    struct list in_all;    /* balancer.conns */
    struct list in_server; /* lb_server.conns, while relaying */
    struct balancer *b;
    int client_fd;            /* -1 once the relay has it */
    struct lb_server *server; /* ref'd; NULL while dialing */
    uint64_t began_us;
    struct relay *relay;
    uint64_t n_up, quiet_since_ms; /* what went up when it was last looked at, and since when */
    bool doubted, has_other;       /* it was never answered, and its name has other addresses */
    bool heard;                    /* its server has said something */
    bool leaves;                   /* its server lost it; it was never answered and may move */
    struct second *second;         /* NULL: none is dialed */
    struct lb_server *next;        /* ref'd: second's */
    unsigned n_seconds;
};

struct balancer {
    uv_loop_t *loop;
    char *name, *seed;
    uint16_t port;
    size_t n_conns_max, n_conns;
    struct lb_server_set *set;
    struct map *health; /* address -> &health_values[...] */
    struct lb_dialer dialer;
    struct lb_prober *prober;
    struct race_track *track;
    struct lb_keeper *keeper;   /* NULL: nothing is kept */
    struct watch *listeners[2]; /* NULL: not there */
    struct poller_task accepting, leaving;
    struct poller_deadline accept_retry;
    struct list conns;
    struct relay_pipes *pipes;
    struct timer health_timer, doubt_timer;
    void (*on_doubt)(void *arg, const char *address);
    void *doubt_arg;
    struct lb_dial_times dial_times[2];
    bool closing, poller_closing;
    unsigned n_open; /* parts that are closing or have to be */
    void (*done)(void *arg);
    void *done_arg;
};

static const enum balancer_health health_values[] = { BALANCER_UNKNOWN, BALANCER_OK,
                                                      BALANCER_FAILED };

static void accept_some(void *arg);
static void maybe_gone(struct balancer *b);

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
    struct balancer *b = c->b;

    if (c->second) { /* on_second is what frees it */
        c->relay = NULL;
        list_remove(&c->in_server);
        list_init(&c->in_server);
        second_cancel(c->second);
        return;
    }
    list_remove(&c->in_all);
    list_remove(&c->in_server); /* before the server may go: it has the list's head */
    lb_server_unref(c->server);
    if (c->client_fd >= 0)
        close(c->client_fd);
    free(c);
    if (b->n_conns-- == b->n_conns_max && !b->closing)
        poller_soon(b->dialer.poller, &b->accepting, accept_some, b);
    if (b->closing)
        maybe_gone(b);
}

static void on_relay_done(void *arg, uint64_t n_up, uint64_t n_down, const struct err *e)
{
    struct conn *c = arg;
    struct lb_server *s = c->server;

    log_debug("balanced connection ended", kv("server", s->address), kv("bytes_up", n_up),
              kv("bytes_down", n_down), kv("err", e ? e->text : ""));
    s->n_conns--;
    s->n_up += n_up;
    s->n_down += n_down;
    conn_free(c);
}

static void move_those_that_leave(void *arg);

/* The set decided that a server's connections have to go. */
static void close_conns(void *arg, struct lb_server *s)
{
    (void)arg;
    if (s->n_conns)
        log_info("load balancer closes the connections of a server", kv("server", s->address),
                 kv("state", lb_state_name(s->state)), kv("count", s->n_conns));
    list_each (c, &s->conns, struct conn, in_server) {
        c->leaves = relay_can_move(c->relay);
        if (!c->leaves)
            relay_cancel(c->relay);
        else
            poller_soon(c->b->dialer.poller, &c->b->leaving, move_those_that_leave, c->b);
    }
}

static void count_dial(struct conn *c, bool failed)
{
    struct lb_dial_times *t = &c->b->dial_times[failed];
    uint64_t us = uv_hrtime() / 1000 - c->began_us;
    size_t i = 0;

    while (i + 1 < LB_DIAL_BUCKETS && us > (1000u << i))
        i++;
    t->n[i]++;
    t->sum_us += us;
}

static void on_listener(void *arg, struct watch *w);

static void start_relay(struct conn *c, struct watch *server)
{
    struct lb_server *s = c->server;
    struct watch *client;
    struct err e;

    if (watch_open(&client, c->b->dialer.poller, c->client_fd, on_listener, NULL, &e)) {
        log_warn("balanced connection dropped", kv("err", e.text));
        watch_close(server);
        conn_free(c);
        return;
    }
    c->client_fd = -1;
    client->readable = client->writable = true; /* it had time to speak: look, rather than wait */
    s->n_conns++;
    list_push(&s->conns, &c->in_server);
    relay_start(&c->relay, c->b->pipes, client, server, on_relay_done, c);
}

static void on_raced(void *arg, struct lb_server *server, struct watch *w, size_t n_tried)
{
    static struct log_limit limit = LOG_LIMIT(3, 5000);
    struct conn *c = arg;

    c->server = server;
    if (server && c->b->closing) {
        watch_close(w);
        conn_free(c);
        return;
    }
    count_dial(c, !server);
    if (server) {
        start_relay(c, w);
        return;
    }
    if (!c->b->closing && log_allowed(&limit))
        log_warn("load balancer: all servers failed", kv("name", c->b->name),
                 kv("servers", n_tried));
    conn_free(c);
}

static void conn_new(struct balancer *b, int fd)
{
    struct conn *c = mem_alloc(sizeof *c);

    c->b = b;
    c->client_fd = fd;
    c->began_us = uv_hrtime() / 1000;
    list_init(&c->in_server);
    list_push(&b->conns, &c->in_all);
    b->n_conns++;
    race_start(b->track, on_raced, c);
}

/* ---- probes ---- */

static enum balancer_health health_of(const struct balancer *b, const char *address)
{
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

    if (!e && found->state != LB_INVALID)
        race_track_found(b->track, found);
}

/* ---- listening ---- */

static void accept_from(struct balancer *b, struct watch *w)
{
    for (int i = 0; w->readable && i < ACCEPTS_PER_TURN; i++) {
        int fd;
        if (b->n_conns >= b->n_conns_max)
            return; /* conn_free goes on */
        fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(b, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            static struct log_limit limit = LOG_LIMIT(2, 10000);
            if (log_allowed(&limit))
                log_warn("load balancer cannot accept, waiting", kv("err", strerror(errno)));
            poller_deadline_start(b->dialer.poller, &b->accept_retry, ACCEPT_RETRY_MS, accept_some,
                                  b);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            w->readable = false;
        }
    }
    if (w->readable)
        poller_soon(b->dialer.poller, &b->accepting, accept_some, b);
}

static void accept_some(void *arg)
{
    struct balancer *b = arg;

    for (size_t i = 0; i < ARRAY_LEN(b->listeners); i++)
        if (b->listeners[i])
            accept_from(b, b->listeners[i]);
}

static void on_listener(void *arg, struct watch *w)
{
    accept_from(arg, w);
}

static int bind_one(int *out, int family, uint16_t *port, struct err *e)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(*port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons(*port) };
    struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t n = family == AF_INET ? sizeof v4 : sizeof v6;
    auto_close int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return err_sys(e, errno, "load balancer: socket");
    err_ignore(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    lb_tune_socket(fd); /* Linux hands it on to what is accepted */
    if (family == AF_INET6)
        err_ignore(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    if (bind(fd, addr, n) || listen(fd, LISTEN_BACKLOG)) {
        int sys = errno;
        err_sys(e, sys, "load balancer: listen on %s:%u", family == AF_INET ? "127.0.0.1" : "[::1]",
                *port);
        if (sys == EADDRINUSE)
            e->code = ERR_EXISTS;
        return (int)e->code;
    }
    if (getsockname(fd, addr, &n))
        return err_sys(e, errno, "load balancer: getsockname");
    *port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    *out = fd;
    fd = -1;
    return 0;
}

static int open_listeners(struct balancer *b, uint16_t port, struct err *e)
{
    static const int families[2] = { AF_INET, AF_INET6 };
    struct err why;
    int fd = -1;

    b->port = port;
    for (size_t i = 0; i < 2; i++) {
        if (bind_one(&fd, families[i], &b->port, &why)) {
            if (i == 0) {
                *e = why;
                return (int)e->code;
            }
            log_debug("load balancer: no IPv6 loopback", kv("err", why.text));
            continue;
        }
        if (watch_open(&b->listeners[i], b->dialer.poller, fd, on_listener, b, e)) {
            close(fd);
            return err_wrap(e, "load balancer");
        }
    }
    return 0;
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
            close_conns(b, s);
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

/* ---- servers that take connections and say nothing ---- */

/* No tunnel tells which address of a name it is that hangs, and a listed server that hangs is there
 * by its name too: the next dial of a name takes another one. */
static bool avoid_address(struct conn *c)
{
    struct lb_addr addr;
    char text[TCP_ADDR_TEXT_BYTES];

    if (!relay_peer(c->relay, &addr))
        return false;
    log_debug("a server does not answer", kv("server", c->server->address),
              kv("at", tcp_addr_text(text, &addr.u.any)));
    return lb_names_silent(c->b->dialer.names, c->server->address, &addr);
}

static void note_heard(struct conn *c)
{
    struct lb_addr addr;

    c->heard = true;
    if (relay_peer(c->relay, &addr))
        lb_names_heard(c->b->dialer.names, &addr);
}

/* No first word, and a second witness: its tunnel is down, or it has none yet and another server's
 * stands. A slow answer alone is none, nor is a tunnel that something else keeps away. */
static bool is_mute(const struct conn *c)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(c->b->set, order);
    enum balancer_health h = health_of(c->b, c->server->address);
    bool other_stands = false;

    for (size_t i = 0; i < n; i++)
        other_stands |= health_of(c->b, order[i]->address) == BALANCER_OK;
    return h == BALANCER_FAILED ? n > 1 : h == BALANCER_UNKNOWN && other_stands;
}

static bool try_second(struct conn *c);

static void on_second(void *arg, bool moved)
{
    struct conn *c = arg;
    struct lb_server *old = c->server, *now = STEAL(c->next);

    c->second = NULL;
    if (!c->relay) {
        lb_server_unref(now);
        conn_free(c);
    } else if (moved) {
        log_debug("a connection that was never answered moves", kv("from", old->address),
                  kv("to", now->address));
        list_remove(&c->in_server);
        list_push(&now->conns, &c->in_server);
        old->n_conns--;
        now->n_conns++;
        c->server = now;
        c->leaves = false;
        if (now != old && now->state != LB_INVALID)
            lb_server_set_event(c->b->set, now, LB_DIAL_OK, NULL, uv_now(c->b->loop));
        lb_server_unref(old);
    } else {
        lb_server_unref(now);
        if (c->leaves && relay_can_move(c->relay) && !try_second(c))
            relay_cancel(c->relay); /* its client tries again, elsewhere */
    }
}

/* Other addresses of its name, and the other servers (FAILED ones as a last resort), in turns. */
static struct lb_server *second_for(const struct conn *c)
{
    struct lb_server *v[LB_SERVERS_MAX + 2];
    size_t n = 0, n_all;

    if (c->has_other && c->server->state != LB_INVALID)
        v[n++] = c->server;
    n_all = n + lb_server_set_order(c->b->set, v + n);
    for (size_t i = n; i < n_all; i++)
        if (v[i] != c->server && (v[i]->state != LB_FAILED || !n))
            v[n++] = v[i];
    return n ? v[c->n_seconds % n] : NULL;
}

/* False: there is none, or there were enough. */
static bool try_second(struct conn *c)
{
    struct lb_server *s = second_for(c);

    if (c->second)
        return true;
    if (!s || !relay_can_move(c->relay) || c->n_seconds == SECONDS_MAX || c->b->closing)
        return false;
    c->next = lb_server_ref(s);
    c->n_seconds++;
    second_start(&c->second, &c->b->dialer, c->relay, s->address,
                 (uint64_t)MOVE_MS << MIN(c->n_seconds / 3, 3u), on_second, c);
    return true;
}

static void move_those_that_leave(void *arg)
{
    struct balancer *b = arg;

    list_each (c, &b->conns, struct conn, in_all) {
        if (c->leaves && c->relay && !try_second(c))
            relay_cancel(c->relay);
    }
}

/* There are two witnesses: it goes elsewhere, or its client does. */
static void give_up(struct conn *c)
{
    struct lb_server *s = c->server;
    struct err e;

    if (s->state != LB_INVALID) {
        err_set(&e, ERR_TIMEOUT, "it takes connections and says nothing");
        lb_server_set_event(c->b->set, s, LB_CHECK_FAIL, &e, uv_now(c->b->loop));
    }
    c->leaves = true;
    if (!try_second(c))
        relay_cancel(c->relay);
}

static void look_at(struct conn *c, uint64_t now_ms)
{
    struct balancer *b = c->b;
    uint64_t n_up, n_down, quiet_ms;

    relay_n_bytes(c->relay, &n_up, &n_down);
    if (n_down && !c->heard) {
        note_heard(c);
        if (c->second)
            second_cancel(c->second);
    }
    /* Who sends more is being heard: only silence after the last word counts. */
    if (n_up != c->n_up || !relay_is_unanswered(c->relay)) {
        c->n_up = n_up;
        c->quiet_since_ms = now_ms;
        c->doubted = c->has_other = false;
        return;
    }
    quiet_ms = now_ms - c->quiet_since_ms;
    if (!c->doubted &&
        quiet_ms >= MAX((uint64_t)DOUBT_AFTER_MS, DOUBT_RTTS * c->server->rtt_us / 1000)) {
        c->doubted = true;
        c->has_other = avoid_address(c) && n_down == 0;
        if (b->on_doubt)
            b->on_doubt(b->doubt_arg, c->server->address);
    } else if (quiet_ms >= LOST_MS && relay_is_lost(c->relay)) {
        relay_cancel(c->relay); /* TCP itself would try for 15 s */
    } else if (n_down == 0 && c->doubted &&
               quiet_ms >= MAX((uint64_t)MOVE_MS, MUTE_RTTS * c->server->rtt_us / 1000)) {
        bool has_second = try_second(c);

        if (!c->leaves && !c->has_other && quiet_ms >= MUTE_MS && is_mute(c))
            give_up(c);
        else if (!has_second && c->has_other)
            relay_cancel(c->relay);
    }
}

static void on_doubt_timer(void *arg)
{
    struct balancer *b = arg;
    uint64_t now_ms = uv_now(b->loop);

    timer_start_ms(&b->doubt_timer, DOUBT_LOOK_MS, on_doubt_timer, b);
    list_each (c, &b->conns, struct conn, in_all) {
        if (c->relay)
            look_at(c, now_ms);
    }
}

/* ---- life ---- */

static void on_poller_closed(void *arg)
{
    struct balancer *b = arg;
    void (*done)(void *arg) = b->done;
    void *done_arg = b->done_arg;

    lb_server_set_free(b->set);
    map_free(b->health);
    relay_pipes_free(b->pipes);
    lb_proxy_deinit(&b->dialer.proxy);
    free(b->name);
    free(b->seed);
    free(b);
    if (done)
        done(done_arg);
}

static void maybe_gone(struct balancer *b)
{
    if (b->n_open || b->n_conns || b->poller_closing)
        return;
    b->poller_closing = true;
    poller_task_cancel(&b->accepting);
    poller_task_cancel(&b->leaving);
    poller_deadline_stop(&b->accept_retry);
    poller_close(b->dialer.poller, on_poller_closed, b);
}

static void on_part_closed(void *arg)
{
    struct balancer *b = arg;

    b->n_open--;
    maybe_gone(b);
}

void balancer_close(struct balancer *b, void (*done)(void *arg), void *arg)
{
    b->closing = true;
    b->done = done;
    b->done_arg = arg;
    for (size_t i = 0; i < ARRAY_LEN(b->listeners); i++)
        watch_close(STEAL(b->listeners[i]));
    list_each (c, &b->conns, struct conn, in_all) {
        if (c->relay)
            relay_cancel(c->relay);
    }
    b->n_open = b->keeper ? 6 : 5;
    race_track_close(b->track, on_part_closed, b);
    if (b->keeper)
        lb_keeper_close(b->keeper, on_part_closed, b);
    lb_prober_close(b->prober, on_part_closed, b);
    lb_names_close(b->dialer.names, on_part_closed, b);
    timer_close(&b->health_timer, on_part_closed, b);
    timer_close(&b->doubt_timer, on_part_closed, b);
}

int balancer_new(struct balancer **out, uv_loop_t *loop, const struct balancer_options *o,
                 struct err *e)
{
    struct balancer *b = mem_alloc(sizeof *b);
    struct lb_prober_config pc = {
        .dialer = &b->dialer, .wanted = probe_wanted, .on_probed = on_probed, .arg = b
    };
    auto_free char *path = o->state_dir ? mem_printf("%s/%s.json", o->state_dir, o->name) : NULL;

    if (poller_new(&b->dialer.poller, loop, e)) {
        free(b);
        return err_wrap(e, "load balancer");
    }
    b->loop = loop;
    b->name = mem_strdup(o->name);
    b->seed = mem_strdup(o->seed);
    b->n_conns_max = o->n_conns_max ? o->n_conns_max : CONNS_MAX;
    if (o->proxy)
        b->dialer.proxy = *o->proxy;
    b->dialer.names = lb_names_new(loop, o->resolve);
    b->health = map_new();
    b->pipes = relay_pipes_new(IDLE_PIPES_MAX);
    b->keeper = path ? lb_keeper_new(loop, path) : NULL;
    list_init(&b->conns);
    lb_server_set_new(&b->set, close_conns, b);
    pc.set = b->set;
    b->track = race_track_new(&b->dialer, b->set,
                              o->dial_timeout_ms ? o->dial_timeout_ms : DIAL_TIMEOUT_MS);
    b->prober = lb_prober_new(&pc);
    timer_init(&b->health_timer, loop);
    timer_init(&b->doubt_timer, loop);
    b->on_doubt = o->on_doubt;
    b->doubt_arg = o->doubt_arg;
    if (open_listeners(b, o->port, e)) {
        balancer_close(b, NULL, NULL);
        return (int)e->code;
    }
    /* A seed that is our own address would make a loop: then only a list helps. */
    auto_free char *self = mem_printf("127.0.0.1:%u", b->port);
    if (strcmp(self, b->seed) != 0)
        lb_server_set_default(b->set, str_of(b->seed), uv_now(loop));
    if (path)
        load_state(b, path);
    timer_start_ms(&b->health_timer, 0, on_health_timer, b); /* also the first probes */
    timer_start_ms(&b->doubt_timer, DOUBT_LOOK_MS, on_doubt_timer, b);
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
    return b->dial_times;
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
        uint64_t n_up = s->n_up, n_down = s->n_down;

        list_each (c, &s->conns, const struct conn, in_server) {
            uint64_t up, down;
            relay_n_bytes(c->relay, &up, &down);
            n_up += up;
            n_down += down;
        }
        out[i] = (struct balancer_server_status){
            .state = s->state,
            .is_default = s == lb_server_set_get_default(b->set),
            .in_state_ms = now_ms - s->since_ms,
            .n_conns = s->n_conns,
            .n_dials = s->n_dials,
            .n_failures = s->n_failures,
            .rtt_us = s->rtt_us,
            .n_up = n_up,
            .n_down = n_down,
            .reached = s->reached,
            .last_error_ago_ms = s->last_err.code ? now_ms - s->last_err_ms : 0,
        };
        snprintf(out[i].address, sizeof out[i].address, "%s", s->address);
        snprintf(out[i].last_error, sizeof out[i].last_error, "%s", s->last_err.text);
    }
    return n;
}

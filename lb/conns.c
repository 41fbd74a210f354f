/*
 * A connection's life:
 *
 *   accept --> DIALING (lb/race.h) --> RELAYING --> gone
 *                 |                       |  ^ (never answered: lb/second.h finds another server)
 *                 |                       +--+
 *                 +--> gone, when none answers: the client sees a close without bytes
 */
#include "lb/conns.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "lb/connect.h"
#include "lb/race.h"
#include "lb/relay.h"
#include "lb/second.h"

#include <unistd.h>

#define DOUBT_LOOK_MS  250
#define DOUBT_AFTER_MS 500
#define DOUBT_RTTS     3
#define MOVE_MS        1000 /* no first word: another server is asked beside it */
#define MUTE_MS        2000 /* the same with a second witness: this one is failed */
#define MUTE_RTTS      6
#define LOST_MS        3000
#define SECONDS_MAX    10 /* of one connection, with more patience the more there were */
#define IDLE_PIPES_MAX 32

struct conn {
    struct list in_all;    /* conns.all */
    struct list in_server; /* lb_server.conns, while relaying */
    struct conns *cs;
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

struct conns {
    struct conns_config c;
    struct list all;
    size_t n;
    struct race_track *track;
    struct relay_pipes *pipes;
    struct poller_task leaving;
    struct timer doubt_timer;
    struct lb_dial_times dial_times[2];
    bool closing;
    unsigned n_open; /* parts that are closing */
    void (*done)(void *arg);
    void *done_arg;
};

static void maybe_gone(struct conns *cs);
static void move_those_that_leave(void *arg);

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
    struct conns *cs = c->cs;

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
    if (cs->n-- == cs->c.n_max && !cs->closing)
        cs->c.on_room(cs->c.arg);
    if (cs->closing)
        maybe_gone(cs);
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

void conns_drop(struct conns *cs, struct lb_server *s)
{
    if (s->n_conns)
        log_info("load balancer closes the connections of a server", kv("server", s->address),
                 kv("state", lb_state_name(s->state)), kv("count", s->n_conns));
    list_each (c, &s->conns, struct conn, in_server) {
        c->leaves = relay_can_move(c->relay);
        if (!c->leaves)
            relay_cancel(c->relay);
        else
            poller_soon(cs->c.dialer->poller, &cs->leaving, move_those_that_leave, cs);
    }
}

static void count_dial(struct conn *c, bool failed)
{
    struct lb_dial_times *t = &c->cs->dial_times[failed];
    uint64_t us = uv_hrtime() / 1000 - c->began_us;
    size_t i = 0;

    while (i + 1 < LB_DIAL_BUCKETS && us > (1000u << i))
        i++;
    t->n[i]++;
    t->sum_us += us;
}

/* The relay sets its own before anything can come. */
static void on_client(void *arg, struct watch *w)
{
    (void)arg;
    (void)w;
}

static void start_relay(struct conn *c, struct watch *server)
{
    struct lb_server *s = c->server;
    struct watch *client;
    struct err e;

    if (watch_open(&client, c->cs->c.dialer->poller, c->client_fd, on_client, NULL, &e)) {
        log_warn("balanced connection dropped", kv("err", e.text));
        watch_close(server);
        conn_free(c);
        return;
    }
    c->client_fd = -1;
    client->readable = client->writable = true; /* it had time to speak: look, rather than wait */
    s->n_conns++;
    list_push(&s->conns, &c->in_server);
    relay_start(&c->relay, c->cs->pipes, client, server, on_relay_done, c);
}

static void on_raced(void *arg, struct lb_server *server, struct watch *w, size_t n_tried)
{
    static struct log_limit limit = LOG_LIMIT(3, 5000);
    struct conn *c = arg;

    c->server = server;
    if (server && c->cs->closing) {
        watch_close(w);
        conn_free(c);
        return;
    }
    count_dial(c, !server);
    if (server) {
        start_relay(c, w);
        return;
    }
    if (!c->cs->closing && log_allowed(&limit))
        log_warn("load balancer: all servers failed", kv("name", c->cs->c.name),
                 kv("servers", n_tried));
    conn_free(c);
}

void conns_add(struct conns *cs, int fd_take)
{
    struct conn *c = mem_alloc(sizeof *c);

    c->cs = cs;
    c->client_fd = fd_take;
    c->began_us = uv_hrtime() / 1000;
    list_init(&c->in_server);
    list_push(&cs->all, &c->in_all);
    cs->n++;
    race_start(cs->track, on_raced, c);
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
    return lb_names_silent(c->cs->c.dialer->names, c->server->address, &addr);
}

static void note_heard(struct conn *c)
{
    struct lb_addr addr;

    c->heard = true;
    if (relay_peer(c->relay, &addr))
        lb_names_heard(c->cs->c.dialer->names, &addr);
}

/* No first word, and a second witness: its tunnel is down, or it has none yet and another server's
 * stands. A slow answer alone is none, nor is a tunnel that something else keeps away. */
static bool is_mute(const struct conn *c)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(c->cs->c.set, order);
    enum balancer_health h = c->cs->c.health_of(c->cs->c.arg, c->server->address);
    bool other_stands = false;

    for (size_t i = 0; i < n; i++)
        other_stands |= c->cs->c.health_of(c->cs->c.arg, order[i]->address) == BALANCER_OK;
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
            lb_server_set_event(c->cs->c.set, now, LB_DIAL_OK, NULL, uv_now(c->cs->c.loop));
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
    n_all = n + lb_server_set_order(c->cs->c.set, v + n);
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
    if (!s || !relay_can_move(c->relay) || c->n_seconds == SECONDS_MAX || c->cs->closing)
        return false;
    c->next = lb_server_ref(s);
    c->n_seconds++;
    second_start(&c->second, c->cs->c.dialer, c->relay, s->address,
                 (uint64_t)MOVE_MS << MIN(c->n_seconds / 3, 3u), on_second, c);
    return true;
}

static void move_those_that_leave(void *arg)
{
    struct conns *cs = arg;

    list_each (c, &cs->all, struct conn, in_all) {
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
        lb_server_set_event(c->cs->c.set, s, LB_CHECK_FAIL, &e, uv_now(c->cs->c.loop));
    }
    c->leaves = true;
    if (!try_second(c))
        relay_cancel(c->relay);
}

static void look_at(struct conn *c, uint64_t now_ms)
{
    struct conns *cs = c->cs;
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
        if (cs->c.on_doubt)
            cs->c.on_doubt(cs->c.doubt_arg, c->server->address);
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
    struct conns *cs = arg;
    uint64_t now_ms = uv_now(cs->c.loop);

    timer_start_ms(&cs->doubt_timer, DOUBT_LOOK_MS, on_doubt_timer, cs);
    list_each (c, &cs->all, struct conn, in_all) {
        if (c->relay)
            look_at(c, now_ms);
    }
}

/* ---- life ---- */

struct conns *conns_new(const struct conns_config *c)
{
    struct conns *cs = mem_alloc(sizeof *cs);

    cs->c = *c;
    list_init(&cs->all);
    cs->pipes = relay_pipes_new(IDLE_PIPES_MAX);
    cs->track = race_track_new(c->dialer, c->set, c->dial_timeout_ms);
    timer_init(&cs->doubt_timer, c->loop);
    timer_start_ms(&cs->doubt_timer, DOUBT_LOOK_MS, on_doubt_timer, cs);
    return cs;
}

static void maybe_gone(struct conns *cs)
{
    void (*done)(void *) = cs->done;
    void *arg = cs->done_arg;

    if (cs->n_open || cs->n)
        return;
    poller_task_cancel(&cs->leaving);
    relay_pipes_free(cs->pipes);
    free(cs);
    done(arg);
}

static void on_part_closed(void *arg)
{
    struct conns *cs = arg;

    cs->n_open--;
    maybe_gone(cs);
}

void conns_close(struct conns *cs, void (*done)(void *arg), void *arg)
{
    cs->closing = true;
    cs->done = done;
    cs->done_arg = arg;
    cs->n_open = 2;
    list_each (c, &cs->all, struct conn, in_all) {
        if (c->relay)
            relay_cancel(c->relay);
    }
    race_track_close(cs->track, on_part_closed, cs);
    timer_close(&cs->doubt_timer, on_part_closed, cs);
}

/* ---- what others ask ---- */

bool conns_has_room(const struct conns *cs)
{
    return cs->n < cs->c.n_max;
}

void conns_found(struct conns *cs, struct lb_server *s)
{
    race_track_found(cs->track, s);
}

void conns_n_bytes(const struct lb_server *s, uint64_t *n_up, uint64_t *n_down)
{
    *n_up = *n_down = 0;
    list_each (c, &s->conns, const struct conn, in_server) {
        uint64_t up, down;
        relay_n_bytes(c->relay, &up, &down);
        *n_up += up;
        *n_down += down;
    }
}

const struct lb_dial_times *conns_dial_times(const struct conns *cs)
{
    return cs->dial_times;
}

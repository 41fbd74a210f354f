/*
 * A connection's life:
 *
 *   accept --> DIALING (server 1, 2, ... of the order when it began) --> RELAYING --> gone
 *                 +--> gone, when none answers: the client sees a close without bytes
 *
 * The order is a snapshot: servers that leave the set meanwhile are kept alive by a reference and
 * are skipped. Health reports are kept per address and applied once a second, as K3s does, so that
 * a flapping tunnel moves a server at most that often.
 */
#include "lb/balancer.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/timer.h"
#include "lb/connect.h"
#include "lb/relay.h"
#include "lb/state_file.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX          1024
#define DIAL_TIMEOUT_MS    10000
#define DIAL_QUICK_MS      3000 /* a silent server costs no more while others are left */
#define HEALTH_INTERVAL_MS 1000
#define ACCEPTS_PER_TURN   64
#define IDLE_PIPES_MAX     16
#define ACCEPT_RETRY_MS    100 /* after running out of descriptors */
#define LISTEN_BACKLOG     1024

struct listener_fd {
    uv_poll_t poll;
    int fd; /* -1: not there */
};

struct conn {
    struct list in_all;    /* balancer.conns */
    struct list in_server; /* lb_server.conns, while relaying */
    struct balancer *b;
    int client_fd;                               /* -1 once the relay has it */
    struct lb_server *order[LB_SERVERS_MAX + 1]; /* ref'd */
    size_t n_order, at;
    struct lb_connect *dial;
    struct relay *relay;
};

struct balancer {
    uv_loop_t *loop;
    char *name, *seed, *state_path;
    uint16_t port;
    size_t n_conns_max, n_conns;
    uint64_t dial_timeout_ms;
    struct lb_server_set *set;
    struct map *health; /* address -> &health_values[...] */
    struct listener_fd listeners[2];
    bool listening;
    struct list conns;
    struct relay_pipes *pipes;
    struct timer health_timer, accept_timer;
    bool closing;
    unsigned n_open; /* handles */
    void (*done)(void *arg);
    void *done_arg;
};

static const enum balancer_health health_values[] = { BALANCER_UNKNOWN, BALANCER_OK,
                                                      BALANCER_FAILED };

static void listen_on(struct balancer *b);
static void maybe_gone(struct balancer *b);

/* ---- connections ------------------------------------------------------------------------------
 */

static void conn_free(struct conn *c)
{
    struct balancer *b = c->b;

    for (size_t i = 0; i < c->n_order; i++)
        lb_server_unref(c->order[i]);
    if (c->client_fd >= 0)
        close(c->client_fd);
    list_remove(&c->in_all);
    list_remove(&c->in_server);
    free(c);
    b->n_conns--;
    if (b->closing)
        maybe_gone(b);
    else
        listen_on(b);
}

static void on_relay_done(void *arg, uint64_t n_up, uint64_t n_down, const struct err *e)
{
    struct conn *c = arg;
    struct lb_server *s = c->order[c->at];

    log_debug("balanced connection ended", kv("server", s->address), kv("bytes_up", n_up),
              kv("bytes_down", n_down), kv("err", e ? e->text : ""));
    if (!list_empty(&c->in_server))
        s->n_conns--;
    conn_free(c);
}

/* The set decided that a server's connections have to go. */
static void close_conns(void *arg, struct lb_server *s)
{
    (void)arg;
    if (s->n_conns)
        log_info("load balancer closes the connections of a server", kv("server", s->address),
                 kv("state", lb_state_name(s->state)), kv("count", s->n_conns));
    list_each (c, &s->conns, struct conn, in_server)
        relay_cancel(c->relay);
}

static void dial_next(struct conn *c);

static void on_dialed(void *arg, int fd, uint64_t took_us, const struct err *e)
{
    struct conn *c = arg;
    struct balancer *b = c->b;
    struct lb_server *s = c->order[c->at];
    uint64_t now_ms = uv_now(b->loop);
    struct err why;

    c->dial = NULL;
    if (e && e->code == ERR_CANCELED) {
        conn_free(c);
        return;
    }
    if (e) {
        log_debug("load balancer cannot reach a server", kv("server", s->address),
                  kv("err", e->text));
        if (s->state != LB_INVALID)
            lb_server_set_event(b->set, s, LB_DIAL_FAIL, e, now_ms);
        c->at++;
        dial_next(c);
        return;
    }
    s->rtt_us = took_us;
    if (s->state != LB_INVALID)
        lb_server_set_event(b->set, s, LB_DIAL_OK, NULL, now_ms);
    int client_fd = c->client_fd;
    c->client_fd = -1;
    if (relay_start(&c->relay, b->loop, b->pipes, client_fd, fd, on_relay_done, c, &why)) {
        log_warn("balanced connection dropped", kv("err", why.text));
        conn_free(c);
        return;
    }
    s->n_conns++;
    list_push(&s->conns, &c->in_server);
}

static void dial_next(struct conn *c)
{
    struct balancer *b = c->b;

    while (c->at < c->n_order && c->order[c->at]->state == LB_INVALID)
        c->at++; /* it left the set while others were tried */
    if (c->at == c->n_order) {
        static struct log_limit limit = LOG_LIMIT(3, 5000);
        if (log_allowed(&limit))
            log_warn("load balancer: all servers failed", kv("name", b->name),
                     kv("servers", c->n_order));
        conn_free(c);
        return;
    }
    uint64_t timeout_ms = c->at + 1 < c->n_order ? MIN(b->dial_timeout_ms, (uint64_t)DIAL_QUICK_MS)
                                                 : b->dial_timeout_ms;
    lb_connect_start(&c->dial, b->loop, c->order[c->at]->address, timeout_ms, on_dialed, c);
}

static void conn_new(struct balancer *b, int fd)
{
    struct conn *c = mem_alloc(sizeof *c);

    lb_tune_socket(fd);
    c->b = b;
    c->client_fd = fd;
    list_init(&c->in_server);
    list_push(&b->conns, &c->in_all);
    b->n_conns++;
    c->n_order = lb_server_set_order(b->set, c->order);
    for (size_t i = 0; i < c->n_order; i++)
        lb_server_ref(c->order[i]);
    dial_next(c);
}

/* ---- listening --------------------------------------------------------------------------------
 */

static void stop_listening(struct balancer *b)
{
    if (!b->listening)
        return;
    b->listening = false;
    for (size_t i = 0; i < ARRAY_LEN(b->listeners); i++)
        if (b->listeners[i].fd >= 0)
            uv_poll_stop(&b->listeners[i].poll);
}

static void on_accept_retry(void *arg)
{
    listen_on(arg);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
    struct listener_fd *l = container_of(h, struct listener_fd, poll);
    struct balancer *b = h->data;

    (void)events;
    for (int i = 0; status == 0 && i < ACCEPTS_PER_TURN; i++) {
        int fd;
        if (b->n_conns >= b->n_conns_max) {
            stop_listening(b); /* conn_free listens again */
            return;
        }
        fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(b, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            static struct log_limit limit = LOG_LIMIT(2, 10000);
            if (log_allowed(&limit))
                log_warn("load balancer cannot accept, waiting", kv("err", strerror(errno)));
            stop_listening(b);
            timer_start_ms(&b->accept_timer, ACCEPT_RETRY_MS, on_accept_retry, b);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void listen_on(struct balancer *b)
{
    if (b->listening || b->closing || timer_is_running(&b->accept_timer))
        return;
    b->listening = true;
    for (size_t i = 0; i < ARRAY_LEN(b->listeners); i++)
        if (b->listeners[i].fd >= 0) /* fails only while closing */
            err_ignore(uv_poll_start(&b->listeners[i].poll, UV_READABLE, on_acceptable));
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
        b->listeners[i].fd = fd;
        b->listeners[i].poll.data = b;
        if (uv_poll_init(b->loop, &b->listeners[i].poll, fd)) {
            close(fd);
            b->listeners[i].fd = -1;
            return err_set(e, ERR_IO, "load balancer: the loop refuses the socket");
        }
        b->n_open++;
    }
    return 0;
}

/* ---- what the cluster and the tunnels say ------------------------------------------------------
 */

struct save {
    uv_work_t req;
    char *path;
    struct lb_state_file f;
    struct err err;
};

static void on_save(uv_work_t *req)
{
    struct save *s = container_of(req, struct save, req);

    if (lb_state_file_write(s->path, &s->f, &s->err) == 0)
        s->err.code = ERR_OK;
}

static void on_saved(uv_work_t *req, int status)
{
    struct save *s = container_of(req, struct save, req);

    (void)status; /* never cancelled */
    if (s->err.code)
        log_warn("load balancer keeps its list in memory only", kv("err", s->err.text));
    free(s->path);
    free(s);
}

/* The write blocks (fsync), so it happens in the pool, with copies. */
static void save_state(const struct balancer *b)
{
    struct lb_server *listed[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_listed(b->set, listed);
    struct save *s;

    if (!b->state_path)
        return;
    s = mem_alloc(sizeof *s);
    s->path = mem_strdup(b->state_path);
    snprintf(s->f.server_url, sizeof s->f.server_url, "https://%s", b->seed);
    for (size_t i = 0; i < n && i < LB_SERVERS_MAX; i++)
        snprintf(s->f.addresses[s->f.n_addresses++], sizeof s->f.addresses[0], "%s",
                 listed[i]->address);
    if (uv_queue_work(b->loop, &s->req, on_save, on_saved)) { /* only without a callback */
        free(s->path);
        free(s);
    }
}

static void load_state(struct balancer *b)
{
    auto_free struct lb_state_file *f = mem_alloc(sizeof *f);
    auto_free char *url = mem_printf("https://%s", b->seed);
    struct str list[LB_SERVERS_MAX];
    struct err e;

    if (!b->state_path)
        return;
    if (lb_state_file_read(f, b->state_path, &e)) {
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
    }
}

void balancer_set_health(struct balancer *b, const char *address, enum balancer_health h)
{
    map_set(b->health, str_of(address), (void *)&health_values[h]);
}

static void on_health_timer(void *arg)
{
    struct balancer *b = arg;
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(b->set, order), i = 0;
    uint64_t now_ms = uv_now(b->loop);
    struct str key;
    void *value;

    for (size_t k = 0; k < n; k++) {
        const enum balancer_health *h = map_get(b->health, str_of(order[k]->address));
        struct err down;

        if (!h || *h == BALANCER_UNKNOWN)
            continue;
        if (*h == BALANCER_FAILED && order[k]->state != LB_FAILED)
            err_set(&down, ERR_CLOSED, "the tunnel to this server is down");
        lb_server_set_event(b->set, order[k], *h == BALANCER_OK ? LB_CHECK_OK : LB_CHECK_FAIL,
                            *h == BALANCER_FAILED && order[k]->state != LB_FAILED ? &down : NULL,
                            now_ms);
    }
    while (map_next(b->health, &i, &key, &value)) /* forget those of servers that are gone */
        if (!lb_server_set_find(b->set, key))
            map_remove(b->health, key);
    timer_start_ms(&b->health_timer, HEALTH_INTERVAL_MS, on_health_timer, b);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void balancer_free(struct balancer *b)
{
    lb_server_set_free(b->set);
    map_free(b->health);
    relay_pipes_free(b->pipes);
    free(b->name);
    free(b->seed);
    free(b->state_path);
    free(b);
}

static void maybe_gone(struct balancer *b)
{
    void (*done)(void *arg) = b->done;
    void *arg = b->done_arg;

    if (b->n_open || b->n_conns)
        return;
    balancer_free(b);
    if (done)
        done(arg);
}

static void on_timer_closed(void *arg)
{
    struct balancer *b = arg;

    b->n_open--;
    maybe_gone(b);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct listener_fd *l = container_of((uv_poll_t *)h, struct listener_fd, poll);
    struct balancer *b = h->data;

    close(l->fd);
    b->n_open--;
    maybe_gone(b);
}

void balancer_close(struct balancer *b, void (*done)(void *arg), void *arg)
{

    stop_listening(b);
    b->closing = true;
    b->done = done;
    b->done_arg = arg;
    for (size_t i = 0; i < ARRAY_LEN(b->listeners); i++)
        if (b->listeners[i].fd >= 0)
            uv_close((uv_handle_t *)&b->listeners[i].poll, on_listener_closed);
    timer_close(&b->health_timer, on_timer_closed, b);
    timer_close(&b->accept_timer, on_timer_closed, b);
    list_each (c, &b->conns, struct conn, in_all) {
        if (c->relay)
            relay_cancel(c->relay);
        else if (c->dial)
            lb_connect_cancel(c->dial);
    }
}

int balancer_new(struct balancer **out, uv_loop_t *loop, const struct balancer_options *o,
                 struct err *e)
{
    struct balancer *b = mem_alloc(sizeof *b);

    b->loop = loop;
    b->name = mem_strdup(o->name);
    b->seed = mem_strdup(o->seed);
    b->state_path = o->state_dir ? mem_printf("%s/%s.json", o->state_dir, o->name) : NULL;
    b->n_conns_max = o->n_conns_max ? o->n_conns_max : CONNS_MAX;
    b->dial_timeout_ms = o->dial_timeout_ms ? o->dial_timeout_ms : DIAL_TIMEOUT_MS;
    b->health = map_new();
    b->pipes = relay_pipes_new(IDLE_PIPES_MAX);
    b->listeners[0].fd = b->listeners[1].fd = -1;
    list_init(&b->conns);
    lb_server_set_new(&b->set, close_conns, b);
    timer_init(&b->health_timer, loop);
    timer_init(&b->accept_timer, loop);
    b->n_open = 2;
    if (open_listeners(b, o->port, e)) {
        balancer_close(b, NULL, NULL);
        return (int)e->code;
    }
    /* A seed that is our own address would make a loop: then only a list helps. */
    auto_free char *self = mem_printf("127.0.0.1:%u", b->port);
    if (strcmp(self, b->seed) != 0)
        lb_server_set_default(b->set, str_of(b->seed), uv_now(loop));
    load_state(b);
    timer_start_ms(&b->health_timer, HEALTH_INTERVAL_MS, on_health_timer, b);
    listen_on(b);
    *out = b;
    return 0;
}

uint16_t balancer_port(const struct balancer *b)
{
    return b->port;
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
        out[i] = (struct balancer_server_status){
            .state = s->state,
            .is_default = s == lb_server_set_get_default(b->set),
            .in_state_ms = now_ms - s->since_ms,
            .n_conns = s->n_conns,
            .n_dials = s->n_dials,
            .n_failures = s->n_failures,
            .rtt_us = s->rtt_us,
            .last_error_ago_ms = s->last_err.code ? now_ms - s->last_err_ms : 0,
        };
        snprintf(out[i].address, sizeof out[i].address, "%s", s->address);
        snprintf(out[i].last_error, sizeof out[i].last_error, "%s", s->last_err.text);
    }
    return n;
}

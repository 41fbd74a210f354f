/*
 *  RESOLVE --> RACE (an address more each 250 ms) --+--------------> done
 *                |  ^                               +--> PROXY ----> done
 *                +--+ addresses from before: resolved again            any: deadline --> done(e)
 *
 * Literals and names that were resolved a short while ago skip RESOLVE. When all their addresses
 * have failed, or nothing answers for a second, the name is resolved beside the race, and addresses
 * that are new join it: a server that moved is found though its old address only swallows packets.
 */
#include "lb/connect.h"

#include "base/core/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define STAGGER_MS      250
#define RESOLVE_WAIT_MS 1500 /* then addresses of an earlier time serve, when there are any */
#define FRESH_AFTER_MS  1000 /* silence that makes addresses from before doubtful */
#define TALK_MAX_BYTES  2048

struct lb_connect {
    struct lb_dialer *d;
    char *address;   /* what we were asked for */
    const char *hop; /* where the TCP connection goes: address, or the proxy's */
    struct lb_addrs addrs;
    struct watch *racing[LB_ADDRS_MAX]; /* NULL: not started, or failed */
    uint64_t racing_since_us[LB_ADDRS_MAX];
    size_t next, n_racing;
    struct watch *won;
    struct lb_name_wait wait;
    struct poller_deadline late, stagger, fresh;
    struct poller_task task;
    struct lb_proxy_talk talk;
    struct buf to_send; /* to the proxy; may hold a password */
    uint64_t began_us;  /* of the address that has won, later */
    bool may_resolve;   /* the addresses are from before: a failure is no proof yet */
    bool resolving;
    bool avoids; /* the address below */
    struct lb_addr avoid;
    lb_connect_fn done;
    void *arg;
    struct err err;
};

void lb_tune_socket(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 60 }, { IPPROTO_TCP, TCP_KEEPINTVL, 15 },
        { IPPROTO_TCP, TCP_KEEPCNT, 4 },
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++) /* a socket that refuses still works */
        err_ignore(setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                              sizeof options[i].value));
}

/* Towards servers only (a slow reader on this host is no cut): bytes that nobody acknowledges for
 * so long mean that the way is broken, and a fresh connection is quicker than TCP's backoff, which
 * may wait a minute after the way has healed. */
static void limit_silence(int fd)
{
    static const unsigned silence_ms = 15000;

    err_ignore(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms));
}

static void drop_racers(struct lb_connect *c)
{
    for (size_t i = 0; i < c->next; i++)
        watch_close(STEAL(c->racing[i]));
    c->n_racing = 0;
}

static void stop(struct lb_connect *c)
{
    watch_close(STEAL(c->won));
    drop_racers(c);
    lb_name_wait_cancel(&c->wait);
    poller_deadline_stop(&c->late);
    poller_deadline_stop(&c->stagger);
    poller_deadline_stop(&c->fresh);
    poller_task_cancel(&c->task);
}

/* The outcome is known: w, or c->err. */
static void conclude(struct lb_connect *c, struct watch *w)
{
    lb_connect_fn done = c->done;
    void *arg = c->arg;
    struct err err = c->err;
    uint64_t took_us = uv_hrtime() / 1000 - c->began_us;

    if (c->won == w)
        c->won = NULL;
    stop(c);
    buf_deinit(&c->to_send);
    free(c->address);
    free(c);
    done(arg, w, took_us, w ? NULL : &err);
}

static void conclude_failed(void *arg)
{
    conclude(arg, NULL);
}

/* For failures inside lb_connect_start and lb_connect_cancel. */
static void conclude_soon(struct lb_connect *c)
{
    poller_soon(c->d->poller, &c->task, conclude_failed, c);
}

/* ---- the proxy ---------------------------------------------------------------------------------
 */

static void on_proxy(void *arg, struct watch *w);

/* Reads what is there without taking it, so that bytes behind the proxy's answer stay for the
 * client. The answers are small: a new edge comes when more bytes do. */
static void talk(struct lb_connect *c)
{
    for (;;) {
        char in[LB_PROXY_ANSWER_MAX];
        size_t used = 0;
        ssize_t n;

        while (c->to_send.n) {
            n = send(c->won->fd, c->to_send.p, c->to_send.n, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0 && errno != EINTR) {
                err_sys(&c->err, errno, "connect %s: proxy %s", c->address, c->hop);
                conclude(c, NULL);
                return;
            }
            if (n > 0)
                buf_drop(&c->to_send, (size_t)n);
        }
        n = recv(c->won->fd, in, sizeof in, MSG_PEEK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (n < 0)
                err_sys(&c->err, errno, "connect %s: proxy %s", c->address, c->hop);
            else
                err_set(&c->err, ERR_CLOSED, "connect %s: proxy %s closed the connection",
                        c->address, c->hop);
            conclude(c, NULL);
            return;
        }
        enum lb_proxy_step step =
            lb_proxy_feed(&c->talk, str_n(in, (size_t)n), &used, &c->to_send, &c->err);
        if (used && recv(c->won->fd, in, used, 0) != (ssize_t)used) {
            err_set(&c->err, ERR_IO, "connect %s: proxy: cannot read its answer", c->address);
            step = LB_PROXY_FAILED;
        } else if (step == LB_PROXY_FAILED) {
            err_wrap(&c->err, "connect %s through %s", c->address, c->hop);
        }
        if (step == LB_PROXY_FAILED) {
            conclude(c, NULL);
            return;
        }
        if (step == LB_PROXY_OPEN) {
            conclude(c, c->won);
            return;
        }
        if (!used && !c->to_send.n) {
            if (!c->won->ended)
                return; /* more has to come */
            err_set(&c->err, ERR_CLOSED, "connect %s: proxy %s closed the connection", c->address,
                    c->hop);
            conclude(c, NULL);
            return;
        }
    }
}

static void on_proxy(void *arg, struct watch *w)
{
    (void)w;
    talk(arg);
}

/* ---- the race ----------------------------------------------------------------------------------
 */

static void start_next(struct lb_connect *c);
static void resolve_again(struct lb_connect *c);

static void win(struct lb_connect *c, size_t i)
{
    struct watch *w = STEAL(c->racing[i]);

    c->began_us = c->racing_since_us[i];
    if (c->addrs.n > 1)
        lb_names_worked(c->d->names, c->hop, &c->addrs.v[i]);
    if (c->d->proxy.kind == LB_PROXY_NONE) {
        conclude(c, w);
        return;
    }
    drop_racers(c);
    lb_name_wait_cancel(&c->wait);
    poller_deadline_stop(&c->stagger);
    poller_deadline_stop(&c->fresh);
    c->won = w;
    w->fn = on_proxy;
    if (lb_proxy_begin(&c->talk, &c->d->proxy, c->address, &c->to_send, &c->err)) {
        conclude(c, NULL);
        return;
    }
    talk(c);
}

static void on_racer(void *arg, struct watch *w)
{
    struct lb_connect *c = arg;
    int sys = 0;
    socklen_t n = sizeof sys;
    size_t i = 0;

    while (c->racing[i] != w)
        i++;
    if (w->failed || w->ended) {
        err_ignore(getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &sys, &n));
        if (!sys && w->failed)
            sys = ECONNRESET; /* somebody read the error before us */
    }
    if (!sys && w->writable) {
        win(c, i);
        return;
    }
    if (!sys)
        return;
    err_sys(&c->err, sys, "connect %s", c->hop);
    watch_close(STEAL(c->racing[i]));
    c->n_racing--;
    start_next(c);
}

static void on_stagger(void *arg)
{
    start_next(arg);
}

static void start_next(struct lb_connect *c)
{
    while (c->next < c->addrs.n) {
        size_t i = c->next++;
        const struct lb_addr *a = &c->addrs.v[i];
        int fd;

        if (c->avoids && lb_addr_eq(a, &c->avoid))
            continue;
        fd = socket(a->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            err_sys(&c->err, errno, "connect %s: socket", c->hop);
            continue;
        }
        lb_tune_socket(fd);
        limit_silence(fd);
        c->racing_since_us[i] = uv_hrtime() / 1000;
        if (connect(fd, &a->u.any, a->n) && errno != EINPROGRESS) {
            err_sys(&c->err, errno, "connect %s", c->hop);
            close(fd);
            continue;
        }
        if (watch_open(&c->racing[i], c->d->poller, fd, on_racer, c, &c->err)) {
            close(fd);
            continue;
        }
        c->n_racing++;
        if (c->next < c->addrs.n)
            poller_deadline_start(c->d->poller, &c->stagger, STAGGER_MS, on_stagger, c);
        return;
    }
    if (c->n_racing || c->resolving)
        return;
    if (!c->err.code)
        err_set(&c->err, ERR_NOT_FOUND, "connect %s: it has no other address", c->hop);
    if (c->may_resolve) /* every known address has failed */
        resolve_again(c);
    else
        conclude_soon(c);
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void add_new(struct lb_connect *c, const struct lb_addrs *addrs)
{
    for (size_t i = 0; i < addrs->n && c->addrs.n < LB_ADDRS_MAX; i++) {
        size_t k = 0;
        while (k < c->addrs.n && !lb_addr_eq(&c->addrs.v[k], &addrs->v[i]))
            k++;
        if (k == c->addrs.n)
            c->addrs.v[c->addrs.n++] = addrs->v[i];
    }
}

static void on_addrs(void *arg, const struct lb_addrs *addrs, const struct err *e)
{
    struct lb_connect *c = arg;

    c->resolving = false;
    if (c->addrs.n == 0)
        poller_deadline_stop(&c->stagger); /* on_resolver_slow's */
    if (!e) {
        add_new(c, addrs);
    } else if (!c->err.code) { /* else what the addresses said tells more */
        c->err = *e;
        err_wrap(&c->err, "connect %s", c->hop);
    }
    if (c->next < c->addrs.n)
        start_next(c);
    else if (!c->n_racing)
        conclude(c, NULL);
}

static void resolve(struct lb_connect *c)
{
    c->resolving = true;
    lb_names_resolve(c->d->names, c->hop, &c->wait, on_addrs, c);
}

static void resolve_again(struct lb_connect *c)
{
    poller_deadline_stop(&c->fresh);
    if (!c->may_resolve)
        return;
    c->may_resolve = false;
    resolve(c);
}

static void on_silence(void *arg)
{
    resolve_again(arg);
}

/* The resolver takes its time: what it said the last time is better than nothing, until it comes.
 */
static void on_resolver_slow(void *arg)
{
    struct lb_connect *c = arg;
    struct lb_addrs known;

    if (!lb_names_known(c->d->names, c->hop, &known))
        return;
    add_new(c, &known);
    start_next(c);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void on_late(void *arg)
{
    struct lb_connect *c = arg;

    err_set(&c->err, ERR_TIMEOUT, "connect %s: %s in time", c->address,
            c->addrs.n == 0 ? "its name does not resolve"
            : c->won        ? "no answer from the proxy"
                            : "no answer");
    conclude(c, NULL);
}

void lb_connect_start(struct lb_connect **out, struct lb_dialer *d, const char *address,
                      uint64_t timeout_ms, const struct lb_addr *avoid, lb_connect_fn done,
                      void *arg)
{
    struct lb_connect *c = mem_alloc(sizeof *c);
    char host[LB_PROXY_HOST_BYTES], port[6];

    c->d = d;
    c->address = mem_strdup(address);
    c->hop = d->proxy.kind == LB_PROXY_NONE ? c->address : d->proxy.address;
    c->avoids = avoid && d->proxy.kind == LB_PROXY_NONE;
    if (c->avoids)
        c->avoid = *avoid;
    c->to_send = BUF_SECRET(TALK_MAX_BYTES);
    c->done = done;
    c->arg = arg;
    c->began_us = uv_hrtime() / 1000;
    if (out)
        *out = c;
    if (!lb_address_split(c->hop, host, sizeof host, port)) {
        err_set(&c->err, ERR_INVALID, "connect %s: it is not host:port", c->hop);
        conclude_soon(c);
        return;
    }
    poller_deadline_start(d->poller, &c->late, timeout_ms, on_late, c);
    if (lb_names_get(d->names, c->hop, &c->addrs)) {
        struct lb_addr literal;
        c->may_resolve = !lb_addr_parse(&literal, c->hop);
        if (c->may_resolve)
            poller_deadline_start(d->poller, &c->fresh, FRESH_AFTER_MS, on_silence, c);
        start_next(c);
    } else {
        resolve(c);
        poller_deadline_start(d->poller, &c->stagger, RESOLVE_WAIT_MS, on_resolver_slow, c);
    }
}

void lb_connect_cancel(struct lb_connect *c)
{
    err_set(&c->err, ERR_CANCELED, "connect %s: canceled", c->address);
    stop(c); /* nothing may come before the news */
    conclude_soon(c);
}

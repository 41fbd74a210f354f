/*
 *  RESOLVE --> CONNECT (next address)* --> done        sleeps in RESOLVE (uv_getaddrinfo), CONNECT
 * (poll)
 *      +-----------+--> done(e)                        one timer over all of it
 *
 * Every handle is closed before done is called; a getaddrinfo that is past cancelling holds the
 * memory until it returns, but done does not wait for it.
 */
#include "lb/connect.h"

#include "base/core/mem.h"
#include "base/io/timer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

struct lb_connect {
    uv_loop_t *loop;
    char *address, *host;
    uv_getaddrinfo_t resolve;
    struct addrinfo *found, *next;
    uv_poll_t poll;
    int fd;
    struct timer timer;
    uint64_t began_us;
    lb_connect_fn done;
    void *arg;
    struct err err;
    unsigned n_open;               /* handles and the resolve request */
    bool resolving, polling, over; /* over: the outcome is known */
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

static void release(struct lb_connect *c)
{
    if (--c->n_open)
        return;
    uv_freeaddrinfo(c->found);
    free(c->address);
    free(c->host);
    free(c);
}

static void on_timer_closed(void *arg)
{
    struct lb_connect *c = arg;
    lb_connect_fn done = c->done;
    void *done_arg = c->arg;
    int fd = c->err.code ? -1 : c->fd;
    struct err err = c->err;
    uint64_t took_us = uv_hrtime() / 1000 - c->began_us;

    release(c);
    done(done_arg, fd, took_us, err.code ? &err : NULL);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct lb_connect *c = h->data;

    if (c->err.code && c->fd >= 0)
        close(c->fd);
    timer_close(&c->timer, on_timer_closed, c);
    release(c);
}

/* The outcome is in err and fd: close what is open, done is last. */
static void conclude(struct lb_connect *c)
{
    if (c->over)
        return;
    c->over = true;
    timer_stop(&c->timer);
    if (c->resolving)
        uv_cancel((uv_req_t *)&c->resolve); /* it calls back either way */
    if (c->polling) {
        c->polling = false;
        uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    } else {
        timer_close(&c->timer, on_timer_closed, c);
    }
}

static void try_next(struct lb_connect *c);

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct lb_connect *c = h->data;
    int sys = status < 0 ? -status : 0;
    socklen_t n = sizeof sys;

    (void)events;
    if (c->over)
        return;
    err_ignore(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &n)); /* then sys keeps status */
    if (sys) {
        err_sys(&c->err, sys, "connect %s", c->address);
        if (c->next) {
            try_next(c);
            return;
        }
    } else {
        c->err.code = ERR_OK;
    }
    conclude(c);
}

static void on_old_poll_closed(uv_handle_t *h)
{
    struct lb_connect *c = h->data;

    close(c->fd);
    c->fd = -1;
    if (c->over) {
        release(c);
        return;
    }
    c->n_open--; /* the timer holds the object */
    try_next(c);
}

/* Starts the next address. A poll handle is for one descriptor: the old one is closed first and
 * calls us again. */
static void try_next(struct lb_connect *c)
{
    if (c->polling) {
        c->polling = false;
        uv_close((uv_handle_t *)&c->poll, on_old_poll_closed);
        return;
    }
    while (c->next) {
        const struct addrinfo *ai = c->next;
        c->next = ai->ai_next;
        c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
            err_sys(&c->err, errno, "connect %s: socket", c->address);
            continue;
        }
        lb_tune_socket(c->fd);
        if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) && errno != EINPROGRESS) {
            err_sys(&c->err, errno, "connect %s", c->address);
            close(c->fd);
            c->fd = -1;
            continue;
        }
        c->poll.data = c;
        if (uv_poll_init(c->loop, &c->poll, c->fd) ||
            uv_poll_start(&c->poll, UV_WRITABLE, on_poll)) {
            err_set(&c->err, ERR_IO, "connect %s: the loop refuses the socket", c->address);
            close(c->fd);
            c->fd = -1;
            continue;
        }
        c->polling = true;
        c->n_open++;
        return;
    }
    conclude(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lb_connect *c = req->data;

    c->resolving = false;
    c->found = found;
    if (c->over) {
        release(c);
        return;
    }
    if (status)
        err_set(&c->err, status == UV_EAI_AGAIN ? ERR_AGAIN : ERR_NOT_FOUND,
                "connect %s: resolve %s: %s", c->address, c->host, uv_strerror(status));
    else
        err_set(&c->err, ERR_NOT_FOUND, "connect %s: the name has no address", c->address);
    c->next = found;
    c->n_open--; /* the timer holds the object */
    try_next(c);
}

static void on_late(void *arg)
{
    struct lb_connect *c = arg;

    err_set(&c->err, ERR_TIMEOUT, "connect %s: no answer in time", c->address);
    conclude(c);
}

static void on_bad_address(void *arg)
{
    conclude(arg);
}

/* "host:port", "[v6]:port": host is copied, port borrowed. */
static bool split(struct lb_connect *c, const char **port)
{
    const char *colon = strrchr(c->address, ':');

    if (!colon || colon == c->address || !colon[1])
        return false;
    if (c->address[0] == '[' && colon[-1] == ']')
        c->host = mem_strndup(c->address + 1, (size_t)(colon - c->address - 2));
    else
        c->host = mem_strndup(c->address, (size_t)(colon - c->address));
    *port = colon + 1;
    return true;
}

void lb_connect_start(struct lb_connect **out, uv_loop_t *loop, const char *address,
                      uint64_t timeout_ms, lb_connect_fn done, void *arg)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct lb_connect *c = mem_alloc(sizeof *c);
    const char *port;
    int status;

    c->loop = loop;
    c->address = mem_strdup(address);
    c->fd = -1;
    c->done = done;
    c->arg = arg;
    c->began_us = uv_hrtime() / 1000;
    c->n_open = 1; /* the timer */
    c->resolve.data = c;
    timer_init(&c->timer, loop);
    if (out)
        *out = c;
    if (!split(c, &port)) {
        err_set(&c->err, ERR_INVALID, "connect %s: it is not host:port", address);
        timer_start_ms(&c->timer, 0, on_bad_address, c);
        return;
    }
    status = uv_getaddrinfo(loop, &c->resolve, on_resolved, c->host, port, &hints);
    if (status) {
        err_sys(&c->err, status, "connect %s: resolve", address);
        timer_start_ms(&c->timer, 0, on_bad_address, c);
        return;
    }
    c->resolving = true;
    c->n_open++;
    timer_start_ms(&c->timer, timeout_ms, on_late, c);
}

void lb_connect_cancel(struct lb_connect *c)
{
    if (c->over)
        return;
    err_set(&c->err, ERR_CANCELED, "connect %s: canceled", c->address);
    conclude(c);
}

#include "lb/front.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "lb/connect.h"
#include "lb/poller.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define ACCEPT_RETRY_MS  100 /* after running out of descriptors */
#define LISTEN_BACKLOG   1024

struct front {
    struct front_config c;
    uint16_t port;
    struct watch *listeners[2]; /* NULL: not there */
    struct poller_task accepting;
    struct poller_deadline retry;
};

static void accept_some(void *arg);

static void accept_from(struct front *f, struct watch *w)
{
    for (int i = 0; w->readable && i < ACCEPTS_PER_TURN; i++) {
        int fd;
        if (!f->c.has_room(f->c.arg))
            return; /* front_go_on */
        fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            f->c.on_client(f->c.arg, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            static struct log_limit limit = LOG_LIMIT(2, 10000);
            if (log_allowed(&limit))
                log_warn("load balancer cannot accept, waiting", kv("err", strerror(errno)));
            poller_deadline_start(f->c.poller, &f->retry, ACCEPT_RETRY_MS, accept_some, f);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            w->readable = false;
        }
    }
    if (w->readable)
        poller_soon(f->c.poller, &f->accepting, accept_some, f);
}

static void accept_some(void *arg)
{
    struct front *f = arg;

    for (size_t i = 0; i < ARRAY_LEN(f->listeners); i++)
        if (f->listeners[i])
            accept_from(f, f->listeners[i]);
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

void front_close(struct front *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < ARRAY_LEN(f->listeners); i++)
        watch_close(STEAL(f->listeners[i]));
    poller_task_cancel(&f->accepting);
    poller_deadline_stop(&f->retry);
    free(f);
}

int front_open(struct front **out, const struct front_config *c, struct err *e)
{
    static const int families[2] = { AF_INET, AF_INET6 };
    struct front *f = mem_alloc(sizeof *f);
    struct err why;
    int fd = -1;

    f->c = *c;
    f->port = c->port;
    for (size_t i = 0; i < 2; i++) {
        if (bind_one(&fd, families[i], &f->port, &why)) {
            if (i == 0) {
                *e = why;
                front_close(f);
                return (int)e->code;
            }
            log_debug("load balancer: no IPv6 loopback", kv("err", why.text));
            continue;
        }
        if (watch_open(&f->listeners[i], f->c.poller, fd, on_listener, f, e)) {
            close(fd);
            front_close(f);
            return err_wrap(e, "load balancer");
        }
    }
    *out = f;
    return 0;
}

uint16_t front_port(const struct front *f)
{
    return f->port;
}

void front_go_on(struct front *f)
{
    poller_soon(f->c.poller, &f->accepting, accept_some, f);
}

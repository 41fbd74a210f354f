#include "lb/dial.h"

#include "base/core/mem.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "lb/balancer.h"
#include "lb/connect.h"

#include <netinet/tcp.h>

struct lb_dial {
    struct lb_connect *connect;
    uv_loop_t *loop;
    http_dialed_fn done;
    void *arg;
};

static void on_connected(void *arg, struct watch *w, uint64_t took_us, const struct err *e)
{
    struct lb_dial *d = arg;
    http_dialed_fn done = d->done;
    void *done_arg = d->arg;
    uv_loop_t *loop = d->loop;
    struct stream *s = NULL;
    struct err why;
    int fd, none = 0;

    (void)took_us;
    free(d);
    if (w) {
        fd = watch_release(w);
        /* How long silence may last is for the tunnel's pings to say. */
        err_ignore(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &none, sizeof none));
        if (tcp_take(&s, loop, fd, &why))
            e = &why;
    }
    done(done_arg, s, s ? NULL : e);
}

void lb_dial_start(struct lb_dial **out, struct balancer *b, const char *host, uint16_t port,
                   uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct lb_dial *d = mem_alloc(sizeof *d);
    auto_buf address = BUF(LB_ADDRESS_MAX_BYTES);

    d->loop = poller_loop(balancer_dialer(b)->poller);
    d->done = done;
    d->arg = arg;
    /* One that does not fit is empty then, which the connect refuses. */
    err_ignore(url_join_host_port(&address, str_of(host), port));
    if (out)
        *out = d;
    lb_connect_start(&d->connect, balancer_dialer(b), buf_cstr(&address), timeout_ms, NULL,
                     on_connected, d);
}

void lb_dial_cancel(struct lb_dial *d)
{
    lb_connect_cancel(d->connect);
}

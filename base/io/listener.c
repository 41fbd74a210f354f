#include "base/io/listener.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/sock.h"
#include "base/io/timer.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16 /* the connections we have want their turn too, and so do handshakes */
#define REST_MS          100

/* libuv's own listening would spin when descriptors run out; so we poll and accept ourselves. */
struct listener {
    int fd;
    uv_poll_t poll;
    struct timer rest;
    unsigned n_open;
    char *unlink_path;
    listener_accept_fn on_accept;
    void *arg;
    void (*done)(void *arg);
    void *done_arg;
    struct log_limit limit;
    bool closing;
};

static void on_readable(uv_poll_t *h, int status, int events);

static void on_rested(void *arg)
{
    struct listener *l = arg;

    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

/* True: accept again. */
static bool on_accept_error(struct listener *l, int sys)
{
    if (sys == EAGAIN)
        return false;
    /* accept(2): errors that belong to the connection, not to us */
    if (sys == EINTR || sys == ECONNABORTED || sys == EPROTO || sys == ENETDOWN ||
        sys == ENOPROTOOPT || sys == EHOSTDOWN || sys == EHOSTUNREACH || sys == ENETUNREACH)
        return true;
    if (log_allowed(&l->limit))
        log_warn("cannot accept connections, resting", kv("port", listener_port(l)),
                 kv("err", strerrorname_np(sys)));
    uv_poll_stop(&l->poll);
    timer_start_ms(&l->rest, rand_jitter_ms(REST_MS, 20), on_rested, l);
    return false;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct listener *l = h->data;
    struct stream *s;
    struct err e;
    int fd;

    (void)status; /* accept says it better */
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->closing; i++) {
        fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (on_accept_error(l, errno))
                continue;
            return;
        }
        if (sock_open(&s, h->loop, fd, &e)) {
            if (log_allowed(&l->limit))
                log_warn("cannot serve an accepted connection", kv("err", e.text));
            continue;
        }
        l->on_accept(l->arg, s);
    }
}

struct listener *listener_new(uv_loop_t *loop, int fd_take, const char *unlink_path,
                              listener_accept_fn on_accept, void *arg)
{
    struct listener *l = mem_alloc(sizeof *l);

    l->fd = fd_take;
    l->unlink_path = unlink_path ? mem_strdup(unlink_path) : NULL;
    l->on_accept = on_accept;
    l->arg = arg;
    l->limit = (struct log_limit)LOG_LIMIT(5, 10000);
    l->n_open = 2;
    uv_poll_init(loop, &l->poll, fd_take); /* fails only for what epoll refuses: not sockets */
    l->poll.data = l;
    timer_init(&l->rest, loop);
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return l;
}

uint16_t listener_port(const struct listener *l)
{
    struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
    socklen_t n = sizeof a;

    if (getsockname(l->fd, (struct sockaddr *)&a, &n))
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&a)->sin_port);
    if (a.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return 0;
}

static void on_part_closed(void *arg)
{
    struct listener *l = arg;
    void (*done)(void *arg) = l->done;
    void *done_arg = l->done_arg;

    if (--l->n_open)
        return;
    free(l->unlink_path);
    free(l);
    if (done)
        done(done_arg);
}

static void on_poll_closed(uv_handle_t *h)
{
    on_part_closed(h->data);
}

void listener_close(struct listener *l, void (*done)(void *arg), void *arg)
{
    l->closing = true;
    l->done = done;
    l->done_arg = arg;
    uv_close((uv_handle_t *)&l->poll, on_poll_closed); /* takes the fd out of epoll at once */
    timer_close(&l->rest, on_part_closed, l);
    if (l->unlink_path)
        err_ignore(unlink(l->unlink_path)); /* somebody else removed it: as good */
    close(l->fd);
    l->fd = -1;
}

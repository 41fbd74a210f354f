/*
 * Each direction is source socket -> pipe -> destination socket. A direction wants to read when its
 * pipe is empty and to write when it is not, so each socket has at most one interest per direction
 * and the poll masks follow from the two states. The pipe is filled only when empty: then EAGAIN
 * from the source can only mean that the socket has nothing.
 */
#include "lb/relay.h"

#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 16 /* pipe fulls moved per wake-up: others on the loop want their turn */

struct pipe_pair {
    int rd, wr;
};

struct relay_pipes {
    struct pipe_pair *idle;
    size_t n_idle, n_idle_max;
};

struct end {
    uv_poll_t poll;
    int fd;
    int mask; /* what is asked of the poll handle now */
};

struct direction {
    struct end *from, *to;
    struct pipe_pair pipe; /* rd -1: none lent */
    size_t in_pipe;
    uint64_t n_bytes;
    bool want_read, want_write, ended, finished; /* ended: EOF read; finished: forwarded */
};

struct relay {
    struct relay_pipes *pipes;
    struct end a, b;
    struct direction up, down;
    relay_done_fn done;
    void *arg;
    struct err err;
    unsigned n_open;
    bool closing;
};

struct relay_pipes *relay_pipes_new(size_t n_idle_max)
{
    struct relay_pipes *p = mem_alloc(sizeof *p);

    p->idle = mem_calloc(n_idle_max, sizeof *p->idle);
    p->n_idle_max = n_idle_max;
    return p;
}

void relay_pipes_free(struct relay_pipes *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_idle; i++) {
        close(p->idle[i].rd);
        close(p->idle[i].wr);
    }
    free(p->idle);
    free(p);
}

static int lend(struct relay_pipes *p, struct pipe_pair *out)
{
    int fds[2];

    if (p->n_idle) {
        *out = p->idle[--p->n_idle];
        return 0;
    }
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
        return errno;
    err_ignore(fcntl(fds[1], F_SETPIPE_SZ, RELAY_PIPE_BYTES) < 0); /* the default size serves too */
    *out = (struct pipe_pair){ fds[0], fds[1] };
    return 0;
}

static void give_back(struct relay_pipes *p, struct direction *d)
{
    if (d->pipe.rd < 0)
        return;
    if (d->in_pipe == 0 && p->n_idle < p->n_idle_max) {
        p->idle[p->n_idle++] = d->pipe;
    } else { /* bytes of one connection must never reach another */
        close(d->pipe.rd);
        close(d->pipe.wr);
    }
    d->pipe.rd = d->pipe.wr = -1;
    d->in_pipe = 0;
}

static void on_end_closed(uv_handle_t *h)
{
    struct relay *r = h->data;

    if (--r->n_open)
        return;
    close(r->a.fd);
    close(r->b.fd);
    r->done(r->arg, r->up.n_bytes, r->down.n_bytes, r->err.code ? &r->err : NULL);
    free(r);
}

static void finish(struct relay *r)
{
    if (r->closing)
        return;
    r->closing = true;
    give_back(r->pipes, &r->up);
    give_back(r->pipes, &r->down);
    uv_close((uv_handle_t *)&r->a.poll, on_end_closed);
    uv_close((uv_handle_t *)&r->b.poll, on_end_closed);
}

static void fail(struct relay *r, int sys, const char *what)
{
    if (!r->err.code)
        err_sys(&r->err, sys, "%s", what);
    finish(r);
}

/* Empties the pipe into the destination. False: it would block, or the relay has failed. */
static bool drain(struct relay *r, struct direction *d)
{
    while (d->in_pipe) {
        ssize_t n = splice(d->pipe.rd, NULL, d->to->fd, NULL, d->in_pipe,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            d->in_pipe -= (size_t)n;
            d->n_bytes += (uint64_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            d->want_write = true;
            return false;
        } else if (n < 0 && errno != EINTR) {
            fail(r, errno, "send");
            return false;
        }
    }
    return true;
}

static void move_bytes(struct relay *r, struct direction *d)
{
    int sys;

    d->want_read = d->want_write = false;
    for (int turn = 0; turn < TURNS_MAX && !d->finished; turn++) {
        ssize_t n;

        if (!drain(r, d))
            return;
        if (d->ended) {
            d->finished = true;
            /* ENOTCONN: the peer is gone already; its own direction will tell */
            err_ignore(shutdown(d->to->fd, SHUT_WR));
            break;
        }
        if (d->pipe.rd < 0 && (sys = lend(r->pipes, &d->pipe))) {
            fail(r, sys, "make a pipe");
            return;
        }
        n = splice(d->from->fd, NULL, d->pipe.wr, NULL, RELAY_PIPE_BYTES,
                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            d->in_pipe = (size_t)n;
        } else if (n == 0) {
            d->ended = true;
        } else if (errno == EAGAIN) {
            give_back(r->pipes, d);
            break;
        } else if (errno != EINTR) {
            fail(r, errno, "receive");
            return;
        }
    }
    d->want_write = d->in_pipe > 0;
    d->want_read = !d->ended && !d->want_write;
    if (d->finished)
        give_back(r->pipes, d);
}

static void on_poll(uv_poll_t *h, int status, int events);

static void set_mask(struct relay *r, struct end *end, bool rd, bool wr)
{
    int mask = (rd ? UV_READABLE : 0) | (wr ? UV_WRITABLE : 0);

    if (mask == end->mask)
        return;
    end->mask = mask;
    if (!mask)
        uv_poll_stop(&end->poll);
    else if (uv_poll_start(&end->poll, mask, on_poll))
        fail(r, EINVAL, "watch a socket");
}

static void watch(struct relay *r)
{
    if (r->closing)
        return;
    if (r->up.finished && r->down.finished) {
        finish(r);
        return;
    }
    set_mask(r, &r->a, r->up.want_read, r->down.want_write);
    set_mask(r, &r->b, r->down.want_read, r->up.want_write);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct relay *r = h->data;
    const struct end *end = container_of(h, struct end, poll);
    struct direction *from = end == &r->a ? &r->up : &r->down;
    struct direction *to = end == &r->a ? &r->down : &r->up;

    if (status < 0) { /* the socket has an error: reading tells which */
        events = UV_READABLE | UV_WRITABLE;
    }
    if ((events & UV_READABLE) && from->want_read)
        move_bytes(r, from);
    if (!r->closing && (events & UV_WRITABLE) && to->want_write)
        move_bytes(r, to);
    if (!r->closing && status < 0 && !from->want_read && !to->want_write)
        fail(r, status, "watch a socket");
    watch(r);
}

/* Only the first handle was made: nothing to tell, just memory to give back. */
static void on_refused(uv_handle_t *h)
{
    free(h->data);
}

int relay_start(struct relay **out, uv_loop_t *loop, struct relay_pipes *pipes, int fd_a, int fd_b,
                relay_done_fn done, void *arg, struct err *e)
{
    struct relay *r = mem_alloc(sizeof *r);
    int status;

    r->pipes = pipes;
    r->done = done;
    r->arg = arg;
    r->a.fd = fd_a;
    r->b.fd = fd_b;
    r->up = (struct direction){ .from = &r->a, .to = &r->b, .pipe = { -1, -1 }, .want_read = true };
    r->down =
        (struct direction){ .from = &r->b, .to = &r->a, .pipe = { -1, -1 }, .want_read = true };
    r->a.poll.data = r->b.poll.data = r;
    status = uv_poll_init(loop, &r->a.poll, fd_a);
    if (!status) {
        r->n_open++;
        status = uv_poll_init(loop, &r->b.poll, fd_b);
        if (!status)
            r->n_open++;
    }
    if (r->n_open < 2) { /* epoll refused the descriptor: only out of memory or descriptors */
        close(fd_a);
        close(fd_b);
        if (r->n_open) /* the handle never started: nothing to wait for but its memory */
            uv_close((uv_handle_t *)&r->a.poll, on_refused);
        else
            free(r);
        return err_sys(e, status, "watch a connection");
    }
    watch(r);
    *out = r;
    return 0;
}

void relay_cancel(struct relay *r)
{
    if (r->closing)
        return;
    err_set(&r->err, ERR_CANCELED, "closed by the load balancer");
    finish(r);
}

uint64_t relay_n_bytes(const struct relay *r)
{
    return r->up.n_bytes + r->down.n_bytes;
}

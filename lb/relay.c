/*
 * A direction reads when its source is readable and nothing of it waits, and writes what waits when
 * its destination is writable:
 *
 *   COPY:   recv --> shared buffer --> send; what does not go out waits in `rest` (16 KiB at most)
 *     | a read filled the buffer     ^ a burst of splices was small
 *     v                              |
 *   SPLICE: source --> pipe --> destination; what does not go out waits in the pipe
 *
 * Readiness is edge-triggered: a flag of the watch is cleared only at EAGAIN, or after a short read
 * when no end is reported, which saves the read that would say EAGAIN.
 */
#include "lb/relay.h"

#include "base/core/buf.h"
#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_BYTES  (4u << 20)   /* moved per wake-up: others on the loop want their turn */
#define LOST_MS     2500         /* without any acknowledgement */
#define BURST_BYTES (128u << 10) /* a burst of splices below this was not worth a pipe */

struct pipe_pair {
    int rd, wr;
};

struct relay_pipes {
    struct pipe_pair *idle;
    size_t n_idle, n_idle_max;
    char buffer[RELAY_COPY_BYTES];
};

struct direction {
    struct watch *from, *to;
    struct pipe_pair pipe; /* rd -1: none lent */
    size_t in_pipe;
    char *rest; /* n_rest bytes from rest_at on; NULL: nothing waits */
    size_t rest_at, n_rest;
    uint64_t n_bytes;
    bool by_splice, ended, finished; /* ended: EOF read; finished: forwarded */
};

struct relay {
    struct relay_pipes *pipes;
    struct watch *a, *b;
    struct direction up, down;
    struct poller_task task;
    uint64_t n_up_answered; /* up.n_bytes when the last byte came down */
    struct buf first;       /* what came from a, while b is silent */
    bool lost_first;        /* it was too much, or b is not silent any more */
    relay_done_fn done;
    void *arg;
    struct err err;
    bool over;
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

static void finish(struct relay *r)
{
    poller_task_cancel(&r->task);
    give_back(r->pipes, &r->up);
    give_back(r->pipes, &r->down);
    free(r->up.rest);
    free(r->down.rest);
    buf_deinit(&r->first);
    watch_close(r->a);
    watch_close(r->b);
    r->done(r->arg, r->up.n_bytes, r->down.n_bytes, r->err.code ? &r->err : NULL);
    free(r);
}

static void fail(struct relay *r, int sys, const char *what)
{
    if (!r->err.code)
        err_sys(&r->err, sys, "%s", what);
    r->over = true;
}

/* Sends what waits. False: it would block, or the relay has failed. */
static bool send_rest(struct relay *r, struct direction *d)
{
    while (d->n_rest && d->to->writable) {
        ssize_t n = send(d->to->fd, d->rest + d->rest_at, d->n_rest, MSG_NOSIGNAL);
        if (n > 0) {
            d->rest_at += (size_t)n;
            d->n_rest -= (size_t)n;
            d->n_bytes += (uint64_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            d->to->writable = false;
        } else if (n < 0 && errno != EINTR) {
            fail(r, errno, "send");
            return false;
        }
    }
    if (d->n_rest)
        return false;
    free(STEAL(d->rest));
    return true;
}

static bool drain_pipe(struct relay *r, struct direction *d)
{
    while (d->in_pipe && d->to->writable) {
        ssize_t n = splice(d->pipe.rd, NULL, d->to->fd, NULL, d->in_pipe,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            d->in_pipe -= (size_t)n;
            d->n_bytes += (uint64_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            d->to->writable = false;
        } else if (n < 0 && errno != EINTR) {
            fail(r, errno, "send");
            return false;
        }
    }
    return d->in_pipe == 0;
}

static void lose_first(struct relay *r)
{
    r->lost_first = true;
    buf_deinit(&r->first);
    r->first = BUF(0);
}

static void keep_first(struct relay *r, const struct direction *d, const char *p, size_t n)
{
    if (d == &r->down || (!r->lost_first && buf_add(&r->first, p, n)))
        lose_first(r);
}

/* One read and the write of it. *n_moved: bytes read. False: nothing more to do now. */
static bool copy_some(struct relay *r, struct direction *d, size_t *n_moved)
{
    char *buffer = r->pipes->buffer;
    ssize_t n = recv(d->from->fd, buffer, RELAY_COPY_BYTES, 0), sent;

    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN) {
        d->from->readable = false;
        return false;
    }
    if (n < 0) {
        fail(r, errno, "receive");
        return false;
    }
    if (n == 0) {
        d->ended = true;
        return true;
    }
    *n_moved = (size_t)n;
    keep_first(r, d, buffer, (size_t)n);
    if (n == RELAY_COPY_BYTES)
        d->by_splice = true;
    else if (!d->from->ended)
        d->from->readable = false; /* a short read: the socket is empty */
    sent = d->to->writable ? send(d->to->fd, buffer, (size_t)n, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        fail(r, errno, "send");
        return false;
    }
    sent = MAX(sent, (ssize_t)0);
    d->n_bytes += (uint64_t)sent;
    if (sent < n) {
        d->n_rest = (size_t)(n - sent);
        d->rest = mem_dup(buffer + sent, d->n_rest);
        d->rest_at = 0;
    }
    return true;
}

static bool splice_some(struct relay *r, struct direction *d, size_t *n_moved)
{
    ssize_t n;
    int sys;

    if (d->pipe.rd < 0 && (sys = lend(r->pipes, &d->pipe))) {
        d->by_splice = false; /* out of descriptors: copying needs none */
        return true;
    }
    n = splice(d->from->fd, NULL, d->pipe.wr, NULL, RELAY_PIPE_BYTES,
               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
        d->in_pipe = (size_t)n;
        *n_moved = (size_t)n;
        lose_first(r);
        return true;
    }
    if (n == 0) {
        d->ended = true;
        return true;
    }
    if (errno == EINTR)
        return true;
    if (errno == EAGAIN) { /* the pipe is empty, so it is the socket's */
        d->from->readable = false;
        return false;
    }
    fail(r, errno, "receive");
    return false;
}

static void on_task(void *arg);

static void move_bytes(struct relay *r, struct direction *d)
{
    size_t n_total = 0;
    bool spliced = d->by_splice;

    while (!r->over && !d->finished) {
        size_t n = 0;

        if (!send_rest(r, d) || !drain_pipe(r, d))
            return;
        if (d->ended) {
            const struct direction *other = d == &r->up ? &r->down : &r->up;
            d->finished = true;
            if (other->finished)
                r->over = true;
            else /* ENOTCONN: the peer is gone already; its own direction will tell */
                err_ignore(shutdown(d->to->fd, SHUT_WR));
            break;
        }
        if (!d->from->readable)
            break;
        if (n_total >= TURN_BYTES) {
            poller_soon(d->from->p, &r->task, on_task, r);
            return;
        }
        spliced |= d->by_splice;
        if (!(d->by_splice ? splice_some(r, d, &n) : copy_some(r, d, &n)))
            break;
        n_total += n;
    }
    if (n_total && d == &r->down)
        r->n_up_answered = r->up.n_bytes;
    if (spliced && n_total < BURST_BYTES)
        d->by_splice = false;
    if (!d->in_pipe)
        give_back(r->pipes, d);
}

static void step(struct relay *r)
{
    if (!r->over)
        move_bytes(r, &r->up);
    if (!r->over)
        move_bytes(r, &r->down);
    if (r->over)
        finish(r);
}

static void on_task(void *arg)
{
    step(arg);
}

static void on_event(void *arg, struct watch *w)
{
    struct relay *r = arg;
    const struct direction *from = w == r->a ? &r->up : &r->down;
    int sys = 0;
    socklen_t n = sizeof sys;

    /* A reset after the end: no read will find it. */
    if (w->failed && from->ended && !r->over) {
        err_ignore(getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &sys, &n));
        fail(r, sys ? sys : ECONNRESET, "connection");
    }
    step(r);
}

void relay_start(struct relay **out, struct relay_pipes *pipes, struct watch *a, struct watch *b,
                 relay_done_fn done, void *arg)
{
    struct relay *r = mem_alloc(sizeof *r);

    r->pipes = pipes;
    r->first = BUF_SECRET(RELAY_COPY_BYTES);
    r->done = done;
    r->arg = arg;
    r->a = a;
    r->b = b;
    r->up = (struct direction){ .from = a, .to = b, .pipe = { -1, -1 } };
    r->down = (struct direction){ .from = b, .to = a, .pipe = { -1, -1 } };
    a->fn = b->fn = on_event;
    a->arg = b->arg = r;
    poller_soon(a->p, &r->task, on_task, r); /* edges that came before are in the flags */
    *out = r;
}

void relay_cancel(struct relay *r)
{
    if (!r->over)
        err_set(&r->err, ERR_CANCELED, "closed by the load balancer");
    r->over = true;
    poller_soon(r->a->p, &r->task, on_task, r);
}

bool relay_peer(const struct relay *r, struct lb_addr *out)
{
    return lb_addr_of_peer(out, r->b->fd);
}

bool relay_is_unanswered(const struct relay *r)
{
    return r->up.n_bytes != r->n_up_answered;
}

bool relay_is_lost(const struct relay *r)
{
    struct tcp_info info = { 0 };
    socklen_t n = sizeof info;

    return getsockopt(r->b->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_unacked &&
           info.tcpi_retransmits && info.tcpi_last_ack_recv >= LOST_MS;
}

bool relay_can_move(const struct relay *r)
{
    return !r->over && !r->lost_first && r->first.n && !r->down.ended && !r->up.in_pipe;
}

struct str relay_first(const struct relay *r)
{
    return relay_can_move(r) ? buf_str(&r->first) : (struct str){ 0 };
}

void relay_move(struct relay *r, struct watch *b_take, size_t n_told)
{
    watch_close(r->b);
    r->b = b_take;
    r->b->fn = on_event;
    r->b->arg = r;
    r->up.to = r->down.from = r->b;
    r->up.finished = false; /* an end is forwarded once more */
    r->up.n_bytes = n_told;
    r->n_up_answered = 0;
    free(STEAL(r->up.rest));
    r->up.rest_at = 0;
    r->up.n_rest = r->first.n - n_told;
    if (r->up.n_rest)
        r->up.rest = mem_dup(r->first.p + n_told, r->up.n_rest);
    r->b->readable = r->b->writable = true;
    poller_soon(r->a->p, &r->task, on_task, r);
}

void relay_n_bytes(const struct relay *r, uint64_t *n_up, uint64_t *n_down)
{
    *n_up = r->up.n_bytes;
    *n_down = r->down.n_bytes;
}

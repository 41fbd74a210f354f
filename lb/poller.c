/*
 * libuv sees one descriptor, the epoll set, level-triggered:
 *
 *   uv_poll readable --> epoll_wait (no waiting), a batch --> fn of each watch --> tasks
 *
 * A watch that is closed in the middle of a batch may still have an event there: its memory lives
 * until the batch is over and its fn is not called.
 */
#include "lb/poller.h"

#include "base/core/mem.h"
#include "base/io/timer.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 128

struct poller {
    uv_loop_t *loop;
    int fd;
    uv_poll_t poll;
    uv_idle_t idle; /* runs while tasks wait and no event may come */
    struct timer timer;
    uint64_t timer_at_ms; /* while the timer runs */
    struct list tasks, deadlines, closed;
    size_t n_watches;
    bool dispatching;
    unsigned n_open;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- tasks ------------------------------------------------------------------------------------
 */

static void run_tasks(struct poller *p)
{
    struct list now = LIST(now), *l;

    list_move_all(&now, &p->tasks);
    while ((l = list_pop(&now))) {
        struct poller_task *t = container_of(l, struct poller_task, link);
        t->fn(t->arg);
    }
}

static void on_idle(uv_idle_t *h)
{
    struct poller *p = h->data;

    run_tasks(p);
    if (list_empty(&p->tasks))
        uv_idle_stop(&p->idle);
}

static void start_idle(struct poller *p)
{
    if (!list_empty(&p->tasks))
        uv_idle_start(&p->idle, on_idle);
}

void poller_soon(struct poller *p, struct poller_task *t, void (*fn)(void *arg), void *arg)
{
    poller_task_cancel(t);
    t->fn = fn;
    t->arg = arg;
    list_push(&p->tasks, &t->link);
    if (!p->dispatching)
        start_idle(p);
}

void poller_task_cancel(struct poller_task *t)
{
    if (t->link.next)
        list_remove(&t->link);
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

static void on_timer(void *arg);

static void arm(struct poller *p)
{
    const struct poller_deadline *first;
    uint64_t now_ms = uv_now(p->loop);

    if (list_empty(&p->deadlines))
        return; /* a timer that still runs finds nothing and is cheaper than stopping it */
    first = list_first(&p->deadlines, struct poller_deadline, link);
    if (timer_is_running(&p->timer) && p->timer_at_ms <= first->at_ms)
        return;
    p->timer_at_ms = first->at_ms;
    timer_start_ms(&p->timer, first->at_ms > now_ms ? first->at_ms - now_ms : 0, on_timer, p);
}

static void on_timer(void *arg)
{
    struct poller *p = arg;
    uint64_t now_ms = uv_now(p->loop);

    while (!list_empty(&p->deadlines)) {
        struct poller_deadline *d = list_first(&p->deadlines, struct poller_deadline, link);
        if (d->at_ms > now_ms)
            break;
        list_remove(&d->link);
        d->fn(d->arg);
    }
    arm(p);
}

void poller_deadline_start(struct poller *p, struct poller_deadline *d, uint64_t ms,
                           void (*fn)(void *arg), void *arg)
{
    struct list *at = p->deadlines.prev;

    poller_deadline_stop(d);
    d->at_ms = uv_now(p->loop) + ms;
    d->fn = fn;
    d->arg = arg;
    at = p->deadlines.prev;
    /* most have the same length, so the place is at the end */
    while (at != &p->deadlines && container_of(at, struct poller_deadline, link)->at_ms > d->at_ms)
        at = at->prev;
    list_push_front(at, &d->link);
    arm(p);
}

void poller_deadline_stop(struct poller_deadline *d)
{
    if (d->link.next)
        list_remove(&d->link);
}

/* ---- watches -----------------------------------------------------------------------------------
 */

static void free_closed(struct poller *p)
{
    struct list *l;

    while ((l = list_pop(&p->closed)))
        free(container_of(l, struct watch, link));
}

static void on_events(uv_poll_t *h, int status, int uv_events)
{
    struct poller *p = h->data;
    struct epoll_event ev[BATCH];
    int n = epoll_wait(p->fd, ev, BATCH, 0);

    (void)status;
    (void)uv_events;
    p->dispatching = true;
    for (int i = 0; i < n; i++) {
        struct watch *w = ev[i].data.ptr;
        uint32_t what = ev[i].events;

        if (w->fd < 0)
            continue; /* closed by an earlier one of this batch */
        if (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
            w->readable = true;
        if (what & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            w->writable = true;
        /* urgent bytes cut a read short, as an end does: reading goes on to EAGAIN then */
        if (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
            w->ended = true;
        if (what & EPOLLERR)
            w->failed = true;
        w->fn(w->arg, w);
    }
    run_tasks(p);
    p->dispatching = false;
    free_closed(p);
    start_idle(p);
}

int watch_open(struct watch **out, struct poller *p, int fd, void (*fn)(void *arg, struct watch *w),
               void *arg, struct err *e)
{
    struct watch *w = mem_alloc(sizeof *w);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                              .data.ptr = w };

    if (epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &ev)) {
        free(w);
        return err_sys(e, errno, "watch a connection");
    }
    w->fd = fd;
    w->fn = fn;
    w->arg = arg;
    w->p = p;
    p->n_watches++;
    *out = w;
    return 0;
}

int watch_release(struct watch *w)
{
    int fd = w->fd;

    /* A close alone is not enough: a child between fork and exec holds the socket too, and its
     * events would still come here, with a pointer to a watch that is gone. */
    err_ignore(epoll_ctl(w->p->fd, EPOLL_CTL_DEL, fd, NULL));
    w->fd = -1;
    w->p->n_watches--;
    if (w->p->dispatching)
        list_push(&w->p->closed, &w->link);
    else
        free(w);
    return fd;
}

void watch_close(struct watch *w)
{
    if (w)
        close(watch_release(w));
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void release(struct poller *p)
{
    void (*done)(void *arg) = p->done;
    void *arg = p->done_arg;

    if (--p->n_open)
        return;
    close(p->fd);
    free(p);
    if (done)
        done(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    release(h->data);
}

static void on_timer_closed(void *arg)
{
    release(arg);
}

int poller_new(struct poller **out, uv_loop_t *loop, struct err *e)
{
    struct poller *p = mem_alloc(sizeof *p);

    p->loop = loop;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0) {
        free(p);
        return err_sys(e, errno, "make an epoll set");
    }
    p->poll.data = p->idle.data = p;
    if (uv_poll_init(loop, &p->poll, p->fd)) {
        close(p->fd);
        free(p);
        return err_set(e, ERR_IO, "the loop refuses an epoll set");
    }
    list_init(&p->tasks);
    list_init(&p->deadlines);
    list_init(&p->closed);
    uv_idle_init(loop, &p->idle);
    timer_init(&p->timer, loop);
    p->n_open = 3;
    err_ignore(uv_poll_start(&p->poll, UV_READABLE, on_events)); /* fails only while closing */
    *out = p;
    return 0;
}

uv_loop_t *poller_loop(const struct poller *p)
{
    return p->loop;
}

uint64_t poller_now_ms(const struct poller *p)
{
    return uv_now(p->loop);
}

void poller_close(struct poller *p, void (*done)(void *arg), void *arg)
{
    assert(p->n_watches == 0 && list_empty(&p->tasks) && list_empty(&p->deadlines));
    p->done = done;
    p->done_arg = arg;
    uv_close((uv_handle_t *)&p->poll, on_handle_closed);
    uv_close((uv_handle_t *)&p->idle, on_handle_closed);
    timer_close(&p->timer, on_timer_closed, p);
}

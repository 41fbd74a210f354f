#include "lb/second.h"

#include "base/core/mem.h"

#include <errno.h>
#include <sys/socket.h>

struct second {
    struct lb_dialer *d;
    struct relay *relay; /* NULL: canceled */
    char *address;
    uint64_t patience_ms;
    struct lb_connect *dial;
    struct watch *w; /* NULL: DIALING */
    size_t n_told;
    struct poller_deadline late;
    struct poller_task task;
    second_done_fn done;
    void *arg;
};

static void conclude(struct second *s, bool spoke)
{
    second_done_fn done = s->done;
    void *arg = s->arg;
    bool moved = spoke && s->relay && relay_can_move(s->relay);

    poller_deadline_stop(&s->late);
    poller_task_cancel(&s->task);
    if (moved)
        relay_move(s->relay, s->w, s->n_told);
    else
        watch_close(s->w);
    free(s->address);
    free(s);
    done(arg, moved);
}

static void on_canceled(void *arg)
{
    conclude(arg, false);
}

static void on_late(void *arg)
{
    struct second *s = arg;
    struct lb_addr addr;

    if (lb_addr_of_peer(&addr, s->w->fd))
        (void)lb_names_silent(s->d->names, s->address, &addr); /* the next try takes another */
    conclude(s, false);
}

static void step(struct second *s)
{
    struct str first = s->relay ? relay_first(s->relay) : (struct str){ 0 };
    ssize_t n;
    char c;

    while (s->n_told < first.n && s->w->writable) {
        n = send(s->w->fd, first.p + s->n_told, first.n - s->n_told, MSG_NOSIGNAL);
        if (n > 0) {
            s->n_told += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            s->w->writable = false;
        } else if (n < 0 && errno != EINTR) {
            conclude(s, false);
            return;
        }
    }
    while (s->w->readable) {
        n = recv(s->w->fd, &c, 1, MSG_PEEK);
        if (n < 0 && errno == EAGAIN) {
            s->w->readable = false;
        } else if (n >= 0 || errno != EINTR) {
            conclude(s, n > 0);
            return;
        }
    }
}

static void on_event(void *arg, struct watch *w)
{
    (void)w;
    step(arg);
}

static void on_dialed(void *arg, struct watch *w, uint64_t took_us, const struct err *e)
{
    struct second *s = arg;

    (void)took_us;
    (void)e;
    s->dial = NULL;
    s->w = w;
    if (!w || !s->relay) {
        conclude(s, false);
        return;
    }
    w->fn = on_event;
    w->arg = s;
    w->readable = w->writable = true; /* edges that came before */
    poller_deadline_start(s->d->poller, &s->late, s->patience_ms, on_late, s);
    step(s);
}

void second_start(struct second **out, struct lb_dialer *d, struct relay *r, const char *address,
                  uint64_t patience_ms, second_done_fn done, void *arg)
{
    struct second *s = mem_alloc(sizeof *s);
    struct lb_addr first;

    s->d = d;
    s->relay = r;
    s->address = mem_strdup(address);
    s->patience_ms = patience_ms;
    s->done = done;
    s->arg = arg;
    *out = s;
    lb_connect_start(&s->dial, d, address, patience_ms, relay_peer(r, &first) ? &first : NULL,
                     on_dialed, s);
}

void second_cancel(struct second *s)
{
    if (!s->relay)
        return;
    s->relay = NULL;
    if (s->dial)
        lb_connect_cancel(s->dial);
    else
        poller_soon(s->d->poller, &s->task, on_canceled, s);
}

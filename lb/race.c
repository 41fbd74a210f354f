/*
 *   race_start --> RUNNING --(one answers)---------> done(server); losers run on, without a race
 *                   |  ^ +--(all failed, canceled)-> done(NULL)
 *                   +--+ one fails, or is silent: the next one starts
 */
#include "lb/race.h"

#include "base/core/mem.h"

#define QUICK_MS  3000 /* of a silent server, while others are left */
#define BESIDE_MS 1000 /* silence after which the next one starts too */
enum { BESIDE_RTTS = 3 };

struct race_track {
    struct lb_dialer *dialer;
    struct lb_server_set *set;
    uint64_t dial_timeout_ms;
    struct list races;
    struct list losers; /* runners without a race */
    size_t n_runners;
    struct poller_task task;
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

struct race {
    struct list link;
    struct race_track *t;
    struct list runners;
    struct lb_server *tried[LB_SERVERS_MAX + 1]; /* ref'd */
    size_t n_tried;
    struct poller_deadline beside;
    struct poller_task task;
    race_done_fn done;
    void *arg;
};

struct runner {
    struct list link;
    struct race_track *t;
    struct race *race; /* NULL: it is over */
    struct lb_server *server;
    struct lb_connect *dial;
};

static void track_maybe_gone(void *arg)
{
    struct race_track *t = arg;
    void (*done)(void *) = t->done;
    void *done_arg = t->done_arg;

    if (!t->closing || t->n_runners || !list_empty(&t->races))
        return;
    poller_task_cancel(&t->task);
    free(t);
    if (done)
        done(done_arg);
}

/* ---- one race ---- */

static void conclude(struct race *r, struct lb_server *s, struct watch *w)
{
    race_done_fn done = r->done;
    void *arg = r->arg;
    size_t n_tried = r->n_tried;

    poller_deadline_stop(&r->beside);
    poller_task_cancel(&r->task);
    list_remove(&r->link);
    for (size_t i = 0; i < r->n_tried; i++)
        lb_server_unref(r->tried[i]);
    free(r);
    done(arg, s, w, n_tried);
}

static void conclude_failed(void *arg)
{
    struct race *r = arg;
    struct race_track *t = r->t;

    conclude(r, NULL, NULL);
    track_maybe_gone(t);
}

static bool is_tried(const struct race *r, const struct lb_server *s)
{
    for (size_t i = 0; i < r->n_tried; i++)
        if (r->tried[i] == s)
            return true;
    return false;
}

/* The best server of now that was not tried yet; *more: whether another one is left. */
static struct lb_server *pick(const struct race *r, bool *more)
{
    struct lb_server *order[LB_SERVERS_MAX + 1], *best = NULL;
    size_t n = lb_server_set_order(r->t->set, order);

    *more = false;
    for (size_t i = 0; i < n; i++) {
        if (is_tried(r, order[i]))
            continue;
        if (best) {
            *more = true;
            break;
        }
        best = order[i];
    }
    return best;
}

static void on_dialed(void *arg, struct watch *w, uint64_t took_us, const struct err *e);
static void on_silent(void *arg);

static void run(struct race *r, struct lb_server *s, bool more)
{
    struct race_track *t = r->t;
    struct runner *x = mem_alloc(sizeof *x);
    uint64_t quick_ms = MIN(t->dial_timeout_ms, (uint64_t)QUICK_MS);

    x->t = t;
    x->race = r;
    x->server = lb_server_ref(s);
    r->tried[r->n_tried++] = lb_server_ref(s);
    list_push(&r->runners, &x->link);
    t->n_runners++;
    lb_connect_start(&x->dial, t->dialer, s->address, more ? quick_ms : t->dial_timeout_ms, NULL,
                     on_dialed, x);
    if (more)
        poller_deadline_start(t->dialer->poller, &r->beside,
                              MAX((uint64_t)BESIDE_MS, BESIDE_RTTS * s->rtt_us / 1000), on_silent,
                              r);
}

static void run_next(struct race *r)
{
    bool more;
    struct lb_server *s = r->n_tried < ARRAY_LEN(r->tried) ? pick(r, &more) : NULL;

    if (s && !r->t->closing)
        run(r, s, more);
    else if (list_empty(&r->runners))
        poller_soon(r->t->dialer->poller, &r->task, conclude_failed, r);
}

static void on_silent(void *arg)
{
    run_next(arg);
}

static void on_dialed(void *arg, struct watch *w, uint64_t took_us, const struct err *e)
{
    struct runner *x = arg;
    struct race_track *t = x->t;
    struct race *r = x->race;
    struct lb_server *s = x->server;
    bool counts = s->state != LB_INVALID && !(e && e->code == ERR_CANCELED);
    enum lb_event ev = e ? LB_DIAL_FAIL : r ? LB_DIAL_OK : LB_CHECK_OK;

    list_remove(&x->link);
    free(x);
    t->n_runners--;
    if (w)
        s->rtt_us = took_us;
    if (counts)
        lb_server_set_event(t->set, s, ev, e, uv_now(poller_loop(t->dialer->poller)));
    if (r && w) {
        list_each (y, &r->runners, struct runner, link)
            y->race = NULL;
        list_move_all(&t->losers, &r->runners);
        conclude(r, s, w); /* takes s */
    } else {
        watch_close(w);
        lb_server_unref(s);
        if (r)
            run_next(r);
    }
    track_maybe_gone(t);
}

void race_start(struct race_track *t, race_done_fn done, void *arg)
{
    struct race *r = mem_alloc(sizeof *r);

    r->t = t;
    r->done = done;
    r->arg = arg;
    list_init(&r->runners);
    list_push(&t->races, &r->link);
    run_next(r);
}

/* ---- all of them ---- */

struct race_track *race_track_new(struct lb_dialer *dialer, struct lb_server_set *set,
                                  uint64_t dial_timeout_ms)
{
    struct race_track *t = mem_alloc(sizeof *t);

    t->dialer = dialer;
    t->set = set;
    t->dial_timeout_ms = dial_timeout_ms;
    list_init(&t->races);
    list_init(&t->losers);
    return t;
}

void race_track_found(struct race_track *t, struct lb_server *s)
{
    list_each (r, &t->races, struct race, link) {
        bool known = is_tried(r, s) || r->n_tried == ARRAY_LEN(r->tried);

        list_each (x, &r->runners, const struct runner, link)
            known |= x->server->reached;
        if (!known && !list_empty(&r->runners))
            run(r, s, true);
    }
}

static void cancel(struct list *runners)
{
    list_each (x, runners, struct runner, link)
        lb_connect_cancel(x->dial);
}

void race_track_close(struct race_track *t, void (*done)(void *arg), void *arg)
{
    t->closing = true;
    t->done = done;
    t->done_arg = arg;
    list_each (r, &t->races, struct race, link)
        cancel(&r->runners);
    cancel(&t->losers);
    poller_soon(t->dialer->poller, &t->task, track_maybe_gone, t);
}

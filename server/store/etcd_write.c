/*
 * Commits.
 *
 *   started --> [waits for the link] --> SENT --> landed --> (feed, order) --> acknowledged
 *                  ^                      |  \--> refused: answered
 *                  +--(not done, or in    |
 *                      doubt and guarded)-+
 *                  in doubt and refused --> TORN: the feed tells whose the change was
 *
 * The deadline of a flight ends it wherever it is: landed is a success, in doubt is ERR_TIMEOUT,
 * else nothing happened.
 */
#include "server/store/etcd.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/store/etcd_fault.h"

#include <assert.h>
#include <stdio.h>

#define REQUEST_MAX_BYTES (80u << 20) /* the front's limits are far below */

struct flight {
    struct list link; /* in q->flights */
    struct etcd *q;
    struct store_write *w;
    struct etcd_ticket ticket;
    struct etcd_call *call; /* the attempt that runs */
    uint64_t deadline_ms, retry_ms;
    bool landed, doubtful, torn;
    bool replaced;     /* somebody else's event ended the precondition of the first operation */
    bool expired;      /* the deadline is over, the attempt is being called off */
    int64_t shown_rev; /* the feed showed ours at this revision */
    int64_t torn_rev;  /* TORN: when the feed is here without showing ours, it was another's */
    struct err err;    /* TORN: the refusal; else the last failure */
};

static bool is_guarded(const struct store_write *w)
{
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind != STORE_CREATE && !w->ops[i].if_mod_rev)
            return false;
    return true;
}

/* ---- attempts ---- */

static void on_txn(void *arg, const struct etcd_answer *a, const struct err *e);

static void attempt(struct flight *f)
{
    struct etcd *q = f->q;
    auto_buf b = BUF(REQUEST_MAX_BYTES);
    uint64_t now_ms = uv_now(q->loop);
    uint64_t left_ms = f->deadline_ms > now_ms ? f->deadline_ms - now_ms : 1;

    if (etcd_pack_commit(&b, f->w)) {
        err_set(&f->err, ERR_LIMIT, "a commit of more than %u bytes", REQUEST_MAX_BYTES);
        f->expired = true; /* the tick answers it */
        return;
    }
    f->call = etcd_link_call(q->link, ETCD_TXN, ETCD_ANSWER_TXN, buf_str(&b),
                             MIN((uint64_t)ETCD_ATTEMPT_MS, left_ms), on_txn, f);
}

/* Sent again only what cannot happen twice. */
static bool may_send(const struct flight *f)
{
    return etcd_order_is_first(&f->ticket) && !f->call && !f->landed && !f->torn && !f->expired &&
           (!f->doubtful || is_guarded(f->w));
}

static void send_next(struct etcd *q, struct str key)
{
    struct etcd_ticket *t = etcd_order_first(&q->order, key);
    struct flight *f = t ? container_of(t, struct flight, ticket) : NULL;

    if (f && may_send(f) && etcd_link_is_up(q->link))
        attempt(f);
}

/* ---- the end of one ---- */

static void finish(struct flight *f, const struct err *e)
{
    struct etcd *q = f->q;
    struct store_write *w = f->w;

    assert(!f->call);
    if (e)
        w->err = *e;
    else
        w->failed = 0;
    q->n_doubts -= f->doubtful && !f->landed;
    etcd_order_leave(&q->order, &f->ticket);
    list_remove(&f->link);
    if (!f->landed)
        send_next(q, w->ops[0].key);
    free(f);
    if (!e) { /* a refusal that the feed set right */
        store_obj_unref(w->current);
        w->current = NULL;
    }
    store_answer_write(q->store, w);
}

static void land(struct flight *f, int64_t rev)
{
    struct etcd *q = f->q;

    q->n_doubts -= f->doubtful;
    f->landed = true;
    f->w->rev = rev;
    etcd_order_landed(&q->order, &f->ticket, rev);
    send_next(q, f->w->ops[0].key);
    if (rev > q->feed_rev && !q->feed_late_ms)
        q->feed_late_ms = uv_now(q->loop);
}

/* ---- refusals ---- */

/* Fills the answer from the state of all keys that came with the refusal. */
static void refusal(struct flight *f, const struct etcd_answer *a)
{
    struct store_write *w = f->w;

    for (size_t i = 0; i < w->n_ops && i < a->n; i++) {
        const struct store_write_op *op = &w->ops[i];
        const struct etcd_kv *kv = &a->kvs[i];
        bool live = kv->key.n > 0;

        if (op->kind == STORE_CREATE && live)
            err_set(&f->err, ERR_EXISTS, "key " STR_FMT " exists already", STR_ARG(op->key));
        else if (op->kind != STORE_CREATE && !live)
            err_set(&f->err, ERR_NOT_FOUND, "key " STR_FMT " does not exist", STR_ARG(op->key));
        else if (op->kind != STORE_CREATE && op->if_mod_rev && op->if_mod_rev != kv->mod_rev)
            err_set(&f->err, ERR_CONFLICT, "key " STR_FMT " is at revision %lld, not %lld",
                    STR_ARG(op->key), (long long)kv->mod_rev, (long long)op->if_mod_rev);
        else
            continue;
        w->failed = i;
        store_obj_unref(w->current);
        w->current = NULL;
        if (live && !etcd_check_value(kv->key, kv->value, &f->err))
            w->current = etcd_obj(kv);
        return;
    }
    err_set(&f->err, ERR_PROTOCOL, "etcd refused a write whose conditions hold");
}

/* In doubt: has the feed told enough? */
static void doubt_look(struct flight *f)
{
    struct etcd *q = f->q;

    if (f->call || f->landed || !f->doubtful)
        return;
    if (f->shown_rev)
        land(f, f->shown_rev);
    else if (f->torn && (f->replaced || (f->torn_rev && q->feed_rev >= f->torn_rev)))
        finish(f, &f->err); /* copied before f goes */
}

void etcd_write_settle(struct etcd *q)
{
    struct etcd_ticket *t;

    if (q->n_doubts) /* callbacks may add flights, no more */
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that ends takes out itself only
        list_each (f, &q->flights, struct flight, link)
            doubt_look(f);
    while ((t = etcd_order_next(&q->order)))
        finish(container_of(t, struct flight, ticket), NULL);
    etcd_maybe_close(q);
}

static void on_refused(struct flight *f, const struct etcd_answer *a)
{
    refusal(f, a);
    if (!f->doubtful) {
        finish(f, &f->err);
        return;
    }
    /* Ours, if it happened, lies at or before the last change of each of its live keys. */
    for (size_t i = 0; i < a->n; i++)
        f->torn_rev = MAX(f->torn_rev, a->kvs[i].mod_rev);
    f->torn = true; /* who calls settles */
}

/* ---- answers ---- */

/* Nothing runs for f, and it may not be tried again, or not in time. */
static void end_late(struct flight *f)
{
    struct etcd *q = f->q;
    struct err e = f->err;

    if (f->landed) {
        finish(f, NULL);
        return;
    }
    if (f->doubtful)
        err_set(&e, ERR_TIMEOUT,
                "the outcome of the write is unknown, it may or may not have happened: %s",
                f->err.text);
    else if (!e.code || e.code == ERR_CLOSED)
        etcd_unreachable(q, &e);
    finish(f, &e);
}

static void on_failed(struct flight *f, const struct err *failure)
{
    struct etcd *q = f->q;
    struct err e = *failure;
    enum etcd_fate fate = etcd_call_failed(q, &e);

    f->err = e;
    if (fate == ETCD_REFUSED && !f->doubtful) {
        finish(f, &e);
        return;
    }
    if (fate == ETCD_UNKNOWN && !f->doubtful) {
        f->doubtful = true;
        q->n_doubts++;
    }
    f->retry_ms = uv_now(q->loop) + rand_jitter_ms(ETCD_RETRY_MS, 50);
    if (f->expired)
        end_late(f);
}

static void on_txn(void *arg, const struct etcd_answer *a, const struct err *e)
{
    struct flight *f = arg;
    struct etcd *q = f->q;

    f->call = NULL;
    if (e)
        on_failed(f, e);
    else if (a->succeeded)
        land(f, a->rev);
    else
        on_refused(f, a);
    etcd_write_settle(q);
}

void etcd_write_start(struct etcd *q, struct store_write *w)
{
    struct flight *f = mem_alloc(sizeof *f);

    f->q = q;
    f->w = w;
    f->deadline_ms = uv_now(q->loop) + ETCD_REQUEST_MS;
    list_push(&q->flights, &f->link);
    etcd_order_enter(&q->order, &f->ticket, w->ops[0].key);
    for (size_t i = 0; i < w->n_ops && !f->err.code; i++)
        if (!etcd_is_ours(q, w->ops[i].key))
            err_set(&f->err, ERR_INVALID, "key " STR_FMT " does not begin with %s",
                    STR_ARG(w->ops[i].key), q->prefix);
    etcd_need_tick(q);
    if (f->err.code)
        f->expired = true; /* the tick answers it */
    else if (may_send(f) && etcd_link_is_up(q->link))
        attempt(f);
}

void etcd_write_tick(struct etcd *q, uint64_t now_ms, bool link_came_up)
{
    list_each (f, &q->flights, struct flight, link) { /* callbacks may add others, no more */
        if (now_ms >= f->deadline_ms && !f->expired) {
            f->expired = true;
            if (f->call)
                etcd_call_cancel(f->call);
        }
        if (!f->call && f->expired) {
            end_late(f);
        } else if (!f->call && !f->doubtful && !f->landed && etcd_is_out_of_patience(q)) {
            end_late(f);
        } else if (may_send(f) && etcd_link_is_up(q->link) &&
                   (link_came_up || now_ms >= f->retry_ms)) {
            attempt(f);
        }
    }
    etcd_write_settle(q);
}

/* ---- what the feed tells ---- */

static bool is_ours(const struct store_write *w, const struct store_ev *evs, size_t n)
{
    if (n != w->n_ops)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct store_write_op *op = &w->ops[i];
        const struct store_ev *ev = &evs[i];
        int64_t was = ev->prev ? ev->prev->mod_rev : 0;

        if ((op->kind == STORE_DELETE) != (ev->now == NULL) ||
            (op->kind == STORE_CREATE ? was != 0 : op->if_mod_rev && op->if_mod_rev != was) ||
            !str_eq(op->key, store_ev_key(ev)) ||
            (ev->now && !str_eq(store_obj_value(op->now), store_obj_value(ev->now))))
            return false;
    }
    return true;
}

/* Before the hub's watchers hear of it: what they write then is no candidate. */
void etcd_write_saw(struct etcd *q, int64_t rev, const struct store_ev *evs, size_t n)
{
    struct str key = store_ev_key(&evs[0]);
    int64_t was = evs[0].prev ? evs[0].prev->mod_rev : 0;
    struct etcd_ticket *t = etcd_order_first(&q->order, key);
    struct flight *f = t ? container_of(t, struct flight, ticket) : NULL;

    if (f && !f->call && !f->doubtful)
        f = NULL; /* not sent yet */
    if (f && !f->shown_rev && is_ours(f->w, evs, n))
        f->shown_rev = rev;
    else if (f && was && was == f->w->ops[0].if_mod_rev)
        f->replaced = true;
    etcd_order_seen(&q->order, rev, key);
    q->feed_late_ms = list_empty(&q->order.landed) ? 0 : uv_now(q->loop);
}

/*
 * Commits.
 *
 *   started --> [waits: for the link, for the one before it on its key] --> SENT --> landed
 *                  ^                                                         |         |
 *                  +--(not done; or no answer: in doubt, sent again)---------+     (feed, order)
 *                                            refused: answered  <------------+         v
 *                                               ^                            |    acknowledged
 *                                               +--- FENCED <--(in doubt)----+
 *
 * Every transaction carries a mark (etcd_mark.h), so that it happens once at most and the mark
 * tells whether it did. One that is refused while an earlier attempt is in doubt could still happen
 * later, should its preconditions hold again: so its mark is moved first, which ends all attempts.
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
    struct etcd_mark mark;  /* not taken: the commit has no room for one */
    struct etcd_call *call; /* the attempt that runs */
    uint64_t deadline_ms, retry_ms;
    uint64_t tick; /* in which it began */
    bool landed;
    bool doubtful; /* an attempt ended without an answer */
    bool fencing;  /* it is refused, with err, once its mark has moved */
    bool expired;  /* the deadline is over, the attempt is being called off; or it cannot be sent */
    struct err err; /* the last failure */
};

/* ---- attempts ---- */

static void on_txn(void *arg, const struct etcd_answer *a, const struct err *e);

static bool is_void(const struct flight *f, struct str value)
{
    return value.n == strlen(f->mark.value) + 1 && str_starts(value, str_of(f->mark.value));
}

static void attempt(struct flight *f)
{
    struct etcd *q = f->q;
    auto_buf b = BUF(REQUEST_MAX_BYTES);
    uint64_t now_ms = uv_now(q->loop);
    uint64_t left_ms = f->deadline_ms > now_ms ? f->deadline_ms - now_ms : 1;
    char void_value[sizeof f->mark.value + 1];
    int rc;

    if (!f->mark.taken && f->w->n_ops < STORE_OPS_MAX) /* etcd's --max-txn-ops is the same */
        etcd_mark_take(&q->marks, &f->mark);
    snprintf(void_value, sizeof void_value, "%s!", f->mark.value);
    rc = f->fencing ? etcd_pack_fence(&b, &f->mark, str_of(void_value))
                    : etcd_pack_commit(&b, f->w, f->mark.taken ? &f->mark : NULL);
    if (rc) {
        err_set(&f->err, ERR_LIMIT, "a commit of more than %u bytes", REQUEST_MAX_BYTES);
        f->expired = true; /* the tick answers it */
        return;
    }
    f->call = etcd_link_call(q->link, ETCD_TXN, ETCD_ANSWER_TXN, buf_str(&b),
                             MIN((uint64_t)ETCD_ATTEMPT_MS, left_ms), on_txn, f);
}

/* In doubt and without a mark it might happen twice. */
static bool may_send(const struct flight *f)
{
    return etcd_order_is_first(&f->ticket) && !f->call && !f->landed && !f->expired &&
           (!f->doubtful || f->mark.taken) && etcd_link_is_up(f->q->link);
}

static void send_next(struct etcd *q, struct str key)
{
    struct etcd_ticket *t = etcd_order_first(&q->order, key);
    struct flight *f = t ? container_of(t, struct flight, ticket) : NULL;

    if (f && may_send(f))
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
    etcd_mark_give(&q->marks, &f->mark);
    etcd_order_leave(&q->order, &f->ticket);
    list_remove(&f->link);
    if (!f->landed)
        send_next(q, w->ops[0].key);
    free(f);
    store_answer_write(q->store, w);
}

/* It happened, at rev. */
static void land(struct flight *f, int64_t rev)
{
    struct etcd *q = f->q;

    f->landed = true;
    f->w->rev = rev;
    store_obj_unref(f->w->current); /* of a refusal that was none */
    f->w->current = NULL;
    f->mark.mod_rev = rev;
    etcd_mark_give(&q->marks, &f->mark);
    etcd_order_landed(&q->order, &f->ticket, rev);
    send_next(q, f->w->ops[0].key);
    if (rev > q->feed_rev && !q->feed_late_ms)
        q->feed_late_ms = uv_now(q->loop);
}

void etcd_write_settle(struct etcd *q)
{
    struct etcd_ticket *t;

    while ((t = etcd_order_next(&q->order)))
        finish(container_of(t, struct flight, ticket), NULL);
    if (list_empty(&q->order.landed))
        q->feed_late_ms = 0;
    etcd_maybe_close(q);
}

void etcd_write_saw(struct etcd *q, int64_t rev, struct str key)
{
    etcd_order_seen(&q->order, rev, key);
    q->feed_late_ms = uv_now(q->loop); /* it lives; settle says whether it is waited for */
}

/* ---- answers ---- */

/* From the state of all keys that came with it; false: every precondition holds. for_ever: it will
 * not hold again. */
static bool is_refused(struct flight *f, const struct etcd_answer *a, bool *for_ever)
{
    struct store_write *w = f->w;
    bool found = false;

    *for_ever = false;
    for (size_t i = 0; i < w->n_ops; i++) {
        const struct store_write_op *op = &w->ops[i];
        const struct etcd_kv *kv = &a->kvs[i];
        bool live = kv->key.n > 0;
        bool gone = op->kind != STORE_CREATE && op->if_mod_rev && op->if_mod_rev != kv->mod_rev;

        *for_ever |= gone;
        if (found || (op->kind == STORE_CREATE ? !live : live && !gone))
            continue;
        found = true;
        if (op->kind == STORE_CREATE)
            err_set(&f->err, ERR_EXISTS, "key " STR_FMT " exists already", STR_ARG(op->key));
        else if (!live)
            err_set(&f->err, ERR_NOT_FOUND, "key " STR_FMT " does not exist", STR_ARG(op->key));
        else
            err_set(&f->err, ERR_CONFLICT, "key " STR_FMT " is at revision %lld, not %lld",
                    STR_ARG(op->key), (long long)kv->mod_rev, (long long)op->if_mod_rev);
        w->failed = i;
        store_obj_unref(w->current);
        w->current = NULL;
        if (live && !etcd_check_value(kv->key, kv->value, &f->err))
            w->current = etcd_obj(kv);
    }
    return found;
}

/* What the mark tells; true: f has landed. Attempts that compared an older state of it are over. */
static bool look_at_mark(struct flight *f, const struct etcd_kv *kv)
{
    if (str_is(kv->value, f->mark.value)) {
        land(f, kv->mod_rev);
        return true;
    }
    if (kv->mod_rev != f->mark.mod_rev || is_void(f, kv->value))
        f->doubtful = false;
    f->mark.mod_rev = kv->mod_rev;
    return false;
}

static void on_not_done(struct flight *f, const struct etcd_answer *a)
{
    size_t n_expected = f->fencing ? 1 : f->w->n_ops + f->mark.taken;
    bool for_ever = false, was_moved;
    int64_t mark_rev = f->mark.mod_rev;
    struct err e;

    if (a->n != n_expected) {
        err_set(&e, ERR_PROTOCOL, "etcd: Txn: %zu answers to %zu questions", a->n, n_expected);
        f->err = e;
        f->expired = true;
        return;
    }
    if (f->mark.taken && look_at_mark(f, &a->kvs[a->n - 1]))
        return;
    was_moved = mark_rev != f->mark.mod_rev;
    if (f->fencing) { /* somebody moved it before us: an attempt of ours, or of who had the slot */
        finish(f, &f->err);
    } else if (!is_refused(f, a, &for_ever)) {
        if (was_moved && may_send(f))
            attempt(f); /* an old write of the slot's had come through */
        else
            f->retry_ms = uv_now(f->q->loop) + rand_jitter_ms(ETCD_RETRY_MS, 50);
    } else if (!f->doubtful || for_ever) {
        finish(f, &f->err);
    } else if (f->mark.taken) {
        f->fencing = true;
        if (may_send(f))
            attempt(f);
    } /* else: in doubt until the deadline */
}

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

    if (!f->fencing)
        f->err = e;
    if (fate == ETCD_REFUSED && !f->doubtful) {
        finish(f, &e);
        return;
    }
    f->doubtful |= fate == ETCD_UNKNOWN;
    f->retry_ms = uv_now(q->loop) + rand_jitter_ms(ETCD_RETRY_MS, 50);
    if (f->expired)
        end_late(f);
}

static void on_txn(void *arg, const struct etcd_answer *a, const struct err *e)
{
    struct flight *f = arg;
    struct etcd *q = f->q;

    f->call = NULL;
    if (e) {
        on_failed(f, e);
    } else if (!a->succeeded) {
        on_not_done(f, a);
    } else if (f->fencing) {
        f->mark.mod_rev = a->rev;
        finish(f, &f->err);
    } else {
        land(f, a->rev);
    }
    etcd_write_settle(q);
}

/* ---- start and deadlines ---- */

void etcd_write_start(struct etcd *q, struct store_write *w)
{
    struct flight *f = mem_alloc(sizeof *f);

    f->q = q;
    f->w = w;
    f->tick = q->n_ticks;
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
    else if (may_send(f))
        attempt(f);
}

void etcd_write_tick(struct etcd *q, uint64_t now_ms, bool link_came_up)
{
    list_each (f, &q->flights, struct flight, link) { /* callbacks may add others, no more */
        if (f->tick == q->n_ticks)
            break; /* these, and for a later tick */
        if (now_ms >= f->deadline_ms && !f->expired) {
            f->expired = true;
            if (f->call)
                etcd_call_cancel(f->call);
        }
        if (f->call)
            continue;
        if (f->expired || (!f->doubtful && !f->landed && etcd_is_out_of_patience(q)))
            end_late(f);
        else if (may_send(f) && (link_came_up || now_ms >= f->retry_ms))
            attempt(f);
    }
    etcd_write_settle(q);
}

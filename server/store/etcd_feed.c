/*
 * The feed: one watch on all that is ours, for as long as the store is open. It begins some
 * revisions before the store was opened, so that clients who come back after a restart find the
 * events they missed in the hub's window. When its stream breaks it goes on behind the last
 * revision that was handed out. Events that a compaction took meanwhile are lost: all watches end
 * with ERR_EXPIRED, and the feed starts over at etcd's newest revision.
 *
 *   down --(link up)--> watching --(stream ended)--> down, again after RETRY_MS
 *    ^                     +--(compacted)--> lost --(asked for the revision)--> down
 */
#include "server/store/etcd.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/store/etcd_fault.h"

#include <assert.h>

enum {
    RETRY_MS = 100,
    REFUSED_MS = 2000, /* etcd ended it with a reason, which may last */
    LATE_MS = 3000, /* a write of ours that the feed does not show for so long: the feed is dead */
};

/* ---- events ---- */

int etcd_batch_add(struct etcd_batch *b, const struct etcd_event *ev, struct err *e)
{
    bool had_prev = ev->deleted || ev->kv.create_rev < ev->kv.mod_rev;

    assert(b->n == 0 || b->rev == ev->kv.mod_rev);
    if (b->n == STORE_OPS_MAX)
        return err_set(e, ERR_LIMIT, "revision %lld has more than %d events",
                       (long long)ev->kv.mod_rev, STORE_OPS_MAX);
    if (had_prev && !ev->prev.key.n)
        return err_set(e, ERR_EXPIRED, "what " STR_FMT " was before revision %lld is compacted",
                       STR_ARG(ev->kv.key), (long long)ev->kv.mod_rev);
    b->rev = ev->kv.mod_rev;
    b->evs[b->n] = (struct store_ev){ .pos = store_pos(b->rev, (int64_t)b->n),
                                      .now = ev->deleted ? NULL : etcd_obj(&ev->kv),
                                      .prev = had_prev ? etcd_obj(&ev->prev) : NULL };
    b->n++;
    return 0;
}

void etcd_batch_clear(struct etcd_batch *b)
{
    while (b->n)
        store_ev_deinit(&b->evs[--b->n]);
}

static void hand_out(struct etcd *q)
{
    struct etcd_batch *b = q->feed_batch;
    bool history = b->rev <= q->open_rev;

    if (b->n == 0)
        return;
    if (b->rev > q->feed_rev) { /* else: told twice */
        q->feed_rev = q->feed_event_rev = b->rev;
        etcd_write_saw(q, b->rev, store_ev_key(&b->evs[0]));
        for (size_t i = 0; i < b->n && !history; i++)
            q->n_objects += !b->evs[i].prev - !b->evs[i].now;
        store_publish(q->store, b->rev, b->evs, b->n, history);
    }
    etcd_batch_clear(b);
}

/* ---- the stream ---- */

static void lose(struct etcd *q, const struct err *e)
{
    if (!q->feed_lost.code)
        q->feed_lost = *e;
    if (q->feed)
        grpc_cancel(q->feed);
}

static void on_canceled(struct etcd *q, const struct etcd_answer *a)
{
    struct err e;

    if (a->compact_rev && !q->feed_event_rev && a->compact_rev <= q->open_rev) {
        /* History does not reach back that far: nobody has been told anything yet. */
        q->compacted = MAX(q->compacted, a->compact_rev);
        q->feed_rev = a->compact_rev;
        store_skip(q->store, q->feed_rev, NULL);
        grpc_cancel(q->feed);
    } else if (a->compact_rev) {
        q->compacted = MAX(q->compacted, a->compact_rev);
        err_set(&e, ERR_EXPIRED, "revisions up to %lld were compacted while etcd was not in reach",
                (long long)a->compact_rev);
        lose(q, &e);
    } else {
        static struct log_limit limit = LOG_LIMIT(1, 60 * 1000);
        if (log_allowed(&limit))
            log_warn("etcd ended our watch, will retry", kv("reason", a->text));
        q->feed_refused = true;
        err_set(&e, ERR_AGAIN, "%s", a->text);
        etcd_call_failed(q, &e); /* the token may be void */
        grpc_cancel(q->feed);
    }
}

static void on_answer(struct etcd *q, const struct etcd_answer *a)
{
    struct err e;

    if (a->canceled) {
        on_canceled(q, a);
        return;
    }
    for (size_t i = 0; i < a->n_events; i++) {
        const struct etcd_event *ev = &a->events[i];
        if (q->feed_batch->n && q->feed_batch->rev != ev->kv.mod_rev)
            hand_out(q);
        if (ev->kv.mod_rev <= q->feed_rev)
            continue;
        if (etcd_batch_add(q->feed_batch, ev, &e)) {
            lose(q, &e);
            return;
        }
    }
    if (!a->fragment)
        hand_out(q);
    /* Progress: nothing of ours happened up to here. etcd tells it every ten minutes; we do not ask
     * for it, for before 3.4.25 and 3.5.8 it answers before the events are out. */
    if (!a->created && !a->fragment && a->n_events == 0 && a->rev > q->feed_rev) {
        q->feed_rev = a->rev;
        etcd_write_saw(q, a->rev, STR(""));
        store_publish(q->store, a->rev, NULL, 0, a->rev <= q->open_rev);
    }
}

static void on_message(struct grpc_call *g, void *arg, struct str message)
{
    struct etcd *q = arg;
    struct etcd_answer a;
    struct err e;

    if (g != q->feed || q->feed_lost.code)
        return;
    if (etcd_answer_read(&a, ETCD_ANSWER_WATCH, message, &e)) {
        log_warn("etcd's watch is not understood, will retry", kv("err", e.text));
        grpc_cancel(g);
        return;
    }
    on_answer(q, &a);
    etcd_answer_deinit(&a);
    etcd_write_settle(q);
}

static void on_timer(void *arg);

static void on_done(struct grpc_call *g, void *arg, const struct err *e)
{
    struct etcd *q = arg;
    struct err why = e ? *e : (struct err){ 0 };

    if (g != q->feed)
        return;
    q->feed = NULL;
    etcd_batch_clear(q->feed_batch);
    q->feed_late_ms = 0;
    if (e && e->code != ERR_CANCELED)
        etcd_call_failed(q, &why);
    if (!q->closing)
        timer_start_ms(&q->feed_timer, rand_jitter_ms(q->feed_refused ? REFUSED_MS : RETRY_MS, 50),
                       on_timer, q);
    q->feed_refused = false;
    etcd_maybe_close(q);
}

static const struct grpc_call_events feed_events = { .on_message = on_message, .on_done = on_done };

/* ---- lost ---- */

static void on_fresh(void *arg, const struct etcd_answer *a, const struct err *e)
{
    struct etcd *q = arg;
    struct err why = e ? *e : (struct err){ 0 };

    q->feed_asking = false;
    if (q->closing) {
        etcd_maybe_close(q);
        return;
    }
    if (e) {
        etcd_call_failed(q, &why);
        timer_start_ms(&q->feed_timer, RETRY_MS, on_timer, q);
        return;
    }
    why = q->feed_lost;
    q->feed_lost.code = ERR_OK;
    log_warn("events were lost, all watches start over", kv("err", why.text),
             kv("revision", a->rev));
    q->feed_rev = q->open_rev = q->feed_event_rev = a->rev;
    q->n_objects = a->count;
    store_know(q->store, a->rev);
    etcd_write_saw(q, a->rev, STR(""));
    store_skip(q->store, a->rev, &why);
    etcd_write_settle(q);
    etcd_feed_start(q);
}

static void ask_fresh(struct etcd *q)
{
    auto_buf b = BUF(8192);
    const struct etcd_range r = { .key = etcd_first_key(q),
                                  .end = buf_str(&q->key_end),
                                  .count_only = true };

    err_ignore(etcd_pack_range(&b, &r)); /* the prefix is short */
    q->feed_asking = true;
    etcd_link_call(q->link, ETCD_RANGE, ETCD_ANSWER_RANGE, buf_str(&b), ETCD_ATTEMPT_MS, on_fresh,
                   q);
}

/* ---- start and stop ---- */

void etcd_feed_start(struct etcd *q)
{
    auto_buf b = BUF(8192);

    if (q->feed || q->feed_asking || q->closing || !etcd_link_is_up(q->link))
        return;
    timer_stop(&q->feed_timer);
    if (q->feed_lost.code) {
        ask_fresh(q);
        return;
    }
    err_ignore(etcd_pack_watch(&b, etcd_first_key(q), buf_str(&q->key_end),
                               q->feed_rev + 1)); /* the prefix is short */
    q->feed = etcd_link_stream(q->link, ETCD_WATCH, &feed_events, q);
    grpc_call_send(q->feed, buf_str(&b));
}

static void on_timer(void *arg)
{
    etcd_feed_start(arg);
}

void etcd_feed_stop(struct etcd *q)
{
    timer_stop(&q->feed_timer);
    if (q->feed)
        grpc_cancel(q->feed);
}

void etcd_feed_tick(struct etcd *q, uint64_t now_ms)
{
    if (!q->feed || !q->feed_late_ms || now_ms - q->feed_late_ms < LATE_MS)
        return;
    log_warn("etcd's watch does not show our own writes, starting it again");
    q->feed_late_ms = 0;
    grpc_cancel(q->feed);
}

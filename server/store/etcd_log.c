/*
 * Events older than the hub's window: a watch of its own from an old revision, of all that is ours
 * (an event's place in its revision must be the same as in the feed) and filtered here. It has
 * caught up when it shows the last event that the feed has shown. Before the feed has shown any it
 * cannot know, so it goes on until an event or its deadline comes; the hub then asks again.
 */
#include "server/store/etcd.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/store/etcd_fault.h"

enum { LOG_MS = 60 * 1000 };

struct log_ask {
    struct list link; /* in q->logs */
    struct etcd *q;
    struct store_read *r;
    struct grpc_call *stream; /* NULL: its turn has not come, or is to come again */
    struct etcd_batch batch;  /* a revision that is not complete yet */
    uint64_t deadline_ms, retry_ms;
    size_t cap;
    bool over; /* the answer is complete: only the stream's end is missing */
};

static void finish(struct log_ask *k)
{
    struct etcd *q = k->q;
    struct store_read *r = k->r;

    etcd_batch_clear(&k->batch);
    list_remove(&k->link);
    free(k);
    store_answer_read(q->store, r);
    etcd_maybe_close(q);
}

/* The answer is complete; on_done hands it in. For when a stream runs. */
static void conclude(struct log_ask *k, bool more, int64_t rev)
{
    k->over = true;
    k->r->more = more;
    k->r->rev = rev;
    grpc_cancel(k->stream);
}

static void conclude_err(struct log_ask *k, const struct err *e)
{
    k->r->err = *e;
    conclude(k, false, 0);
}

/* For when a stream may run or not. */
static void stop(struct log_ask *k, const struct err *e)
{
    if (k->over)
        return;
    if (e)
        k->r->err = *e;
    k->r->more = !e;
    k->over = true;
    if (k->stream)
        grpc_cancel(k->stream);
    else
        finish(k);
}

static void take_batch(struct log_ask *k)
{
    struct store_read *r = k->r;
    struct etcd_batch *b = &k->batch;
    bool full = false;

    for (size_t i = 0; i < b->n && !full; i++) {
        struct store_ev *ev = &b->evs[i];
        if (ev->pos <= r->from_pos || !str_starts(store_ev_key(ev), r->key))
            continue;
        full = r->limit && r->n == r->limit;
        if (full)
            break;
        if (r->n == k->cap) {
            k->cap = k->cap ? 2 * k->cap : 16;
            r->evs = mem_realloc(r->evs, k->cap * sizeof *r->evs);
        }
        r->evs[r->n++] = *ev;
        *ev = (struct store_ev){ 0 };
    }
    if (full)
        conclude(k, true, b->rev);
    else if (k->q->feed_event_rev && b->rev >= k->q->feed_event_rev)
        conclude(k, false, b->rev);
    else if (r->n == 0)
        r->from_pos = store_pos_end(b->rev); /* where a broken stream goes on */
    etcd_batch_clear(b);
}

static void on_answer(struct log_ask *k, const struct etcd_answer *a)
{
    struct err e;

    if (a->canceled) {
        if (a->compact_rev) {
            k->q->compacted = MAX(k->q->compacted, a->compact_rev);
            err_set(&e, ERR_EXPIRED, "revision %lld is compacted, the oldest is %lld",
                    (long long)store_pos_rev(k->r->from_pos), (long long)a->compact_rev);
        } else {
            err_set(&e, ERR_IO, "etcd ended a watch of old events: %s", a->text);
        }
        conclude_err(k, &e);
        return;
    }
    for (size_t i = 0; i < a->n_events && !k->over; i++) {
        if (k->batch.n && k->batch.rev != a->events[i].kv.mod_rev)
            take_batch(k);
        if (!k->over && etcd_batch_add(&k->batch, &a->events[i], &e)) {
            e.code = ERR_EXPIRED;
            conclude_err(k, &e);
        }
    }
    if (k->over || a->fragment)
        return;
    if (k->batch.n)
        take_batch(k);
    if (k->r->n)
        conclude(k, true, k->batch.rev);
}

static void on_message(struct grpc_call *g, void *arg, struct str message)
{
    struct log_ask *k = arg;
    struct etcd_answer a;
    struct err e;

    (void)g;
    if (k->over)
        return;
    if (etcd_answer_read(&a, ETCD_ANSWER_WATCH, message, &e)) {
        conclude_err(k, &e);
        return;
    }
    on_answer(k, &a);
    etcd_answer_deinit(&a);
}

static void on_done(struct grpc_call *g, void *arg, const struct err *e)
{
    struct log_ask *k = arg;
    struct err why = e ? *e : (struct err){ 0 };

    (void)g;
    k->stream = NULL;
    k->q->n_log_streams--;
    etcd_batch_clear(&k->batch);
    if (k->over) {
        finish(k);
        return;
    }
    if (e && e->code != ERR_CANCELED)
        etcd_call_failed(k->q, &why);
    k->retry_ms = uv_now(k->q->loop) + rand_jitter_ms(ETCD_RETRY_MS, 50);
}

static void open_stream(struct log_ask *k)
{
    static const struct grpc_call_events events = { .on_message = on_message, .on_done = on_done };
    int64_t rev = store_pos_rev(k->r->from_pos);
    auto_buf b = BUF(8192);

    if (k->r->from_pos == store_pos_end(rev))
        rev++;
    err_ignore(etcd_pack_watch(&b, etcd_first_key(k->q), buf_str(&k->q->key_end), rev)); /* short */
    k->stream = etcd_link_stream(k->q->link, ETCD_WATCH, &events, k);
    k->q->n_log_streams++;
    grpc_call_send(k->stream, buf_str(&b));
}

void etcd_log_start(struct etcd *q, struct store_read *r)
{
    struct log_ask *k = mem_alloc(sizeof *k);

    k->q = q;
    k->r = r;
    k->deadline_ms = uv_now(q->loop) + LOG_MS;
    list_push(&q->logs, &k->link);
    etcd_need_tick(q);
    if (etcd_link_is_up(q->link) && q->n_log_streams < ETCD_LOG_STREAMS_MAX)
        open_stream(k);
}

void etcd_log_tick(struct etcd *q, uint64_t now_ms)
{
    list_each (k, &q->logs, struct log_ask, link) {
        if (now_ms >= k->deadline_ms)
            stop(k, NULL);
        else if (!k->stream && !k->over && etcd_link_is_up(q->link) && now_ms >= k->retry_ms &&
                 q->n_log_streams < ETCD_LOG_STREAMS_MAX)
            open_stream(k);
    }
}

void etcd_log_cancel_all(struct etcd *q)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "the store is closing");
    list_each (k, &q->logs, struct log_ask, link)
        stop(k, &e);
}

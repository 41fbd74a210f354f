/*
 * Gets and lists. Both are ranges that a majority confirms. A list goes page by page, all of one
 * revision, so that no answer of etcd is larger than our buffers; a page that failed is asked
 * again.
 */
#include "server/store/etcd.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/store/etcd_fault.h"

#include <assert.h>

enum {
    PAGE_FIRST = 500,
    PAGE_MOST = 10000,
    PAGE_BYTES = 4 << 20, /* what a page should have, as the ones before tell */
    KEY_BYTES_MAX = 4096,
    RESTARTS_MAX = 3, /* of a list whose revision was compacted under it */
};

struct ask {
    struct list link; /* in q->asks */
    struct etcd *q;
    struct store_read *r;
    struct etcd_call *call;
    uint64_t deadline_ms, retry_ms;
    uint64_t tick; /* in which it began */
    bool expired;
    struct buf next, end; /* what is left of the range */
    int64_t rev;          /* of the list; 0: its first page tells */
    size_t page, cap;
    unsigned n_restarts;
    struct err err; /* it cannot be asked at all */
};

static void finish(struct ask *k, const struct err *e)
{
    struct etcd *q = k->q;
    struct store_read *r = k->r;

    assert(!k->call);
    if (e)
        r->err = *e;
    list_remove(&k->link);
    buf_deinit(&k->next);
    buf_deinit(&k->end);
    free(k);
    store_answer_read(q->store, r);
    etcd_maybe_close(q);
}

static int take_objects(struct ask *k, const struct etcd_answer *a, size_t n, struct err *e)
{
    struct store_read *r = k->r;

    if (r->n + n > k->cap) {
        k->cap = MAX(r->n + n, 2 * k->cap);
        r->objs = mem_realloc(r->objs, k->cap * sizeof(struct store_obj *));
    }
    for (size_t i = 0; i < n; i++) {
        if (etcd_check_value(a->kvs[i].key, a->kvs[i].value, e))
            return (int)e->code;
        r->objs[r->n++] = etcd_obj(&a->kvs[i]);
    }
    return 0;
}

static void ask_send(struct ask *k);

static void next_page(struct ask *k, const struct etcd_answer *a, size_t n)
{
    struct str last = a->kvs[n - 1].key;
    size_t n_bytes = 0;
    struct err e;

    for (size_t i = 0; i < n; i++)
        n_bytes += a->kvs[i].key.n + a->kvs[i].value.n + 64;
    k->page = MIN(MAX(PAGE_BYTES / (n_bytes / n), (size_t)1), (size_t)PAGE_MOST);
    buf_clear(&k->next);
    if (buf_add_str(&k->next, last) || buf_addc(&k->next, '\0')) {
        err_set(&e, ERR_LIMIT, "a key of %zu bytes in etcd", last.n);
        finish(k, &e);
        return;
    }
    k->deadline_ms = uv_now(k->q->loop) + ETCD_REQUEST_MS;
    ask_send(k);
}

static void on_page(struct ask *k, const struct etcd_answer *a)
{
    struct store_read *r = k->r;
    size_t n = a->n;
    struct err e;

    if (r->kind == STORE_READ_GET)
        n = MIN(n, (size_t)1);
    else if (r->limit)
        n = MIN(n, r->limit - r->n);
    if (!k->rev)
        k->rev = r->at_rev ? r->at_rev : a->rev;
    r->rev = k->rev;
    if (take_objects(k, a, n, &e)) {
        finish(k, &e);
    } else if (r->kind == STORE_READ_GET || (!a->more && n == a->n) || n == 0) {
        finish(k, NULL);
    } else if (r->limit && r->n == r->limit) {
        r->more = true;
        r->n_remaining = MAX(a->count - (int64_t)n, (int64_t)0);
        finish(k, NULL);
    } else {
        next_page(k, a, n);
    }
}

/* From the start, at a newer revision; false: it may not. */
static bool restart(struct ask *k)
{
    struct store_read *r = k->r;
    auto_buf end = BUF(KEY_BYTES_MAX);
    struct str start;
    struct err e;

    if (r->at_rev || r->kind != STORE_READ_LIST || !k->rev || k->n_restarts++ == RESTARTS_MAX ||
        etcd_range_of(k->q, &start, &end, r->key, &e))
        return false;
    while (r->n)
        store_obj_unref(r->objs[--r->n]);
    k->rev = 0;
    buf_clear(&k->next);
    if (r->after.n && (buf_add_str(&k->next, r->after) || buf_addc(&k->next, '\0')))
        return false;
    return r->after.n || !buf_add_str(&k->next, start);
}

static void on_failed(struct ask *k, const struct err *failure)
{
    struct err e = *failure;
    enum etcd_fate fate;

    if (e.code == ERR_LIMIT && strstr(e.text, "gRPC message") && k->page > 1) {
        k->page = MAX(k->page / 8, (size_t)1); /* large objects: fewer at once */
        ask_send(k);
        return;
    }
    fate = etcd_call_failed(k->q, &e);
    if (e.code == ERR_EXPIRED && restart(k))
        fate = ETCD_NOT_DONE;
    if (fate == ETCD_REFUSED) {
        finish(k, &e);
    } else if (k->expired) {
        etcd_unreachable(k->q, &e);
        finish(k, &e);
    } else {
        k->retry_ms = uv_now(k->q->loop) + rand_jitter_ms(ETCD_RETRY_MS, 50);
    }
}

static void on_range(void *arg, const struct etcd_answer *a, const struct err *e)
{
    struct ask *k = arg;

    k->call = NULL;
    if (e)
        on_failed(k, e);
    else
        on_page(k, a);
}

static void ask_send(struct ask *k)
{
    const struct store_read *r = k->r;
    auto_buf b = BUF(4 * KEY_BYTES_MAX);
    struct etcd_range range = { .key = buf_str(&k->next),
                                .end = buf_str(&k->end),
                                .limit = (int64_t)k->page,
                                .rev = k->rev ? k->rev : r->at_rev };

    if (!etcd_link_is_up(k->q->link))
        return; /* the tick goes on */
    if (r->limit)
        range.limit = (int64_t)MIN(k->page, r->limit - r->n);
    if (r->kind == STORE_READ_GET)
        range.limit = 0;
    err_ignore(etcd_pack_range(&b, &range)); /* keys of that length fit */
    k->call = etcd_link_call(k->q->link, ETCD_RANGE, ETCD_ANSWER_RANGE, buf_str(&b),
                             ETCD_ATTEMPT_MS, on_range, k);
}

static bool is_behind(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, MIN(a.n, b.n));

    return c > 0 || (c == 0 && a.n >= b.n);
}

void etcd_read_start(struct etcd *q, struct store_read *r)
{
    struct ask *k = mem_alloc(sizeof *k);
    struct str start = r->key;

    k->q = q;
    k->r = r;
    k->tick = q->n_ticks;
    k->page = PAGE_FIRST;
    k->next = BUF(KEY_BYTES_MAX);
    k->end = BUF(KEY_BYTES_MAX);
    k->deadline_ms = uv_now(q->loop) + ETCD_REQUEST_MS;
    list_push(&q->asks, &k->link);
    etcd_need_tick(q);
    if (r->kind == STORE_READ_GET && !etcd_is_ours(q, r->key))
        err_set(&k->err, ERR_INVALID, "key " STR_FMT " does not begin with %s", STR_ARG(r->key),
                q->prefix);
    else if (r->kind == STORE_READ_LIST)
        err_ignore(etcd_range_of(q, &start, &k->end, r->key, &k->err)); /* looked at below */
    if (!k->err.code && (r->after.n && is_behind(r->after, start)
                             ? buf_add_str(&k->next, r->after) || buf_addc(&k->next, '\0')
                             : buf_add_str(&k->next, start)))
        err_set(&k->err, ERR_INVALID, "a key of more than %d bytes", KEY_BYTES_MAX);
    if (k->err.code)
        k->expired = true; /* the tick answers it */
    else
        ask_send(k);
}

void etcd_read_tick(struct etcd *q, uint64_t now_ms, bool link_came_up)
{
    struct err e;

    list_each (k, &q->asks, struct ask, link) { /* callbacks may add others, no more */
        if (k->tick == q->n_ticks)
            break; /* these, and for a later tick */
        if (now_ms >= k->deadline_ms && !k->expired) {
            k->expired = true;
            if (k->call)
                etcd_call_cancel(k->call);
        }
        if (k->call)
            continue;
        if (k->err.code) {
            e = k->err; /* k goes away */
            finish(k, &e);
        } else if (k->expired || etcd_is_out_of_patience(q)) {
            etcd_unreachable(q, &e);
            finish(k, &e);
        } else if (link_came_up || now_ms >= k->retry_ms) {
            ask_send(k);
        }
    }
}

void etcd_read_cancel_all(struct etcd *q)
{
    list_each (k, &q->asks, struct ask, link) {
        k->expired = true; /* the tick, or its call's end, answers it */
        if (k->call)
            etcd_call_cancel(k->call);
    }
}

#include "server/controller/queue.h"

#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"

#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 60000
#define QUIET_TRIES                                                                                \
    2 /* a lost race or two is everyday; from the next failure on it is a warning                  \
       */

enum item_state { ITEM_READY, ITEM_RUNNING, ITEM_WAITING };

struct queue_item {
    struct list in; /* queue.ready */
    struct queue *q;
    enum item_state state;
    struct backoff backoff;
    uint64_t at_ms; /* WAITING: when; RUNNING: when again, with again set */
    size_t heap_at; /* WAITING: its place in the heap */
    bool dirty;     /* RUNNING: added meanwhile */
    bool again;     /* RUNNING: given a deadline meanwhile */
    char key[];
};

struct queue {
    struct queue_config config;
    struct map *items;
    struct list ready;
    struct queue_item **heap; /* WAITING, the earliest first */
    size_t n_heap, heap_cap;
    unsigned n_running;
    struct timer timer;
    bool closing, timer_closed;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- the heap of deadlines ---- */

static void heap_put(struct queue *q, size_t i, struct queue_item *it)
{
    q->heap[i] = it;
    it->heap_at = i;
}

static void heap_up(struct queue *q, size_t i, struct queue_item *it)
{
    for (; i > 0 && q->heap[(i - 1) / 2]->at_ms > it->at_ms; i = (i - 1) / 2)
        heap_put(q, i, q->heap[(i - 1) / 2]);
    heap_put(q, i, it);
}

static void heap_down(struct queue *q, size_t i, struct queue_item *it)
{
    for (size_t child; (child = 2 * i + 1) < q->n_heap; i = child) {
        if (child + 1 < q->n_heap && q->heap[child + 1]->at_ms < q->heap[child]->at_ms)
            child++;
        if (q->heap[child]->at_ms >= it->at_ms)
            break;
        heap_put(q, i, q->heap[child]);
    }
    heap_put(q, i, it);
}

static void heap_add(struct queue *q, struct queue_item *it)
{
    if (q->n_heap == q->heap_cap) {
        q->heap_cap = q->heap_cap ? q->heap_cap * 2 : 16;
        q->heap = mem_realloc(q->heap, q->heap_cap * sizeof *q->heap);
    }
    heap_up(q, q->n_heap++, it);
}

static void heap_remove(struct queue *q, struct queue_item *it)
{
    size_t i = it->heap_at;
    struct queue_item *last = q->heap[--q->n_heap];

    if (last == it)
        return;
    if (i > 0 && q->heap[(i - 1) / 2]->at_ms > last->at_ms)
        heap_up(q, i, last);
    else
        heap_down(q, i, last);
}

/* ---- steps ---- */

static void on_timer(void *arg);

static void plan(struct queue *q)
{
    uint64_t now = uv_now(q->config.loop), ms;

    if (q->closing || q->config.held)
        return;
    if (!list_empty(&q->ready) && q->n_running < q->config.n_parallel)
        ms = 0;
    else if (q->n_heap)
        ms = q->heap[0]->at_ms > now ? q->heap[0]->at_ms - now : 0;
    else
        ms = UINT64_MAX;
    if (ms == UINT64_MAX)
        timer_stop(&q->timer);
    else
        timer_start_ms(&q->timer, ms, on_timer, q);
}

static void make_ready(struct queue_item *it)
{
    if (it->state == ITEM_WAITING)
        heap_remove(it->q, it);
    it->state = ITEM_READY;
    list_push(&it->q->ready, &it->in);
}

static void wait_for(struct queue_item *it, uint64_t at_ms)
{
    if (it->state == ITEM_WAITING)
        heap_remove(it->q, it);
    it->state = ITEM_WAITING;
    it->at_ms = at_ms;
    heap_add(it->q, it);
}

static void item_free(struct queue_item *it)
{
    if (it->state == ITEM_WAITING)
        heap_remove(it->q, it);
    list_remove(&it->in);
    map_remove(it->q->items, str_of(it->key));
    free(it);
}

static void on_timer(void *arg)
{
    struct queue *q = arg;
    uint64_t now = uv_now(q->config.loop);
    struct list *l;

    while (q->n_heap && q->heap[0]->at_ms <= now)
        make_ready(q->heap[0]);
    while (q->n_running < q->config.n_parallel && (l = list_pop(&q->ready))) {
        struct queue_item *it = container_of(l, struct queue_item, in);

        it->state = ITEM_RUNNING;
        it->dirty = it->again = false;
        q->n_running++;
        q->config.work(q->config.arg, it); /* it may be gone now */
    }
    plan(q);
}

/* ---- adding ---- */

static struct queue_item *item_of(struct queue *q, const char *key)
{
    struct queue_item *it = map_get(q->items, str_of(key));
    size_t n = strlen(key);

    if (it)
        return it;
    it = mem_alloc(sizeof *it + n + 1);
    memcpy(it->key, key, n + 1);
    it->q = q;
    it->backoff = (struct backoff)BACKOFF(q->config.retry_min_ms, q->config.retry_max_ms);
    list_init(&it->in);
    it->state = ITEM_READY; /* the caller decides */
    map_set(q->items, str_of(key), it);
    return it;
}

void queue_add(struct queue *q, const char *key)
{
    struct queue_item *it;

    if (q->closing)
        return;
    it = item_of(q, key);
    if (it->state == ITEM_RUNNING)
        it->dirty = true;
    else if (it->state == ITEM_WAITING || list_empty(&it->in))
        make_ready(it);
    plan(q);
}

void queue_at(struct queue *q, const char *key, uint64_t ms)
{
    struct queue_item *it;

    if (q->closing)
        return;
    it = item_of(q, key);
    if (it->state == ITEM_RUNNING) {
        it->again = true;
        it->at_ms = uv_now(q->config.loop) + ms;
    } else if (it->state == ITEM_WAITING || list_empty(&it->in)) {
        wait_for(it, uv_now(q->config.loop) + ms);
    }
    plan(q);
}

void queue_forget(struct queue *q, const char *key)
{
    struct queue_item *it = map_get(q->items, str_of(key));

    if (it && it->state == ITEM_RUNNING)
        it->dirty = it->again = false;
    else if (it)
        item_free(it);
}

size_t queue_len(const struct queue *q)
{
    return map_len(q->items);
}

/* ---- work ---- */

const char *queue_key(const struct queue_item *it)
{
    return it->key;
}

bool queue_is_closing(const struct queue_item *it)
{
    return it->q->closing;
}

static void close_step(struct queue *q);

static void finish(struct queue_item *it)
{
    struct queue *q = it->q;

    q->n_running--;
    it->state = ITEM_READY; /* in no list */
    if (q->closing)
        item_free(it);
    else if (it->dirty)
        make_ready(it);
    else if (it->again)
        wait_for(it, it->at_ms);
    else
        item_free(it);
    if (q->closing)
        close_step(q);
    else
        plan(q);
}

void queue_done(struct queue_item *it, const struct err *e)
{
    struct queue *q = it->q;
    uint64_t ms;

    if (!e) {
        backoff_reset(&it->backoff);
        finish(it);
        return;
    }
    ms = backoff_next_ms(&it->backoff);
    if (!q->closing && e->code != ERR_AGAIN && it->backoff.n_tries > QUIET_TRIES) {
        log_warn("controller failed, will retry", kv("controller", q->config.name),
                 kv("key", it->key), kv("err", e->text), kv("retry_ms", ms));
    } else {
        log_debug("controller failed, will retry", kv("controller", q->config.name),
                  kv("key", it->key), kv("err", e->text), kv("retry_ms", ms));
    }
    if (!it->again || it->at_ms > uv_now(q->config.loop) + ms)
        it->at_ms = uv_now(q->config.loop) + ms;
    it->again = true;
    finish(it);
}

void queue_done_again(struct queue_item *it, uint64_t ms)
{
    uint64_t at_ms = uv_now(it->q->config.loop) + ms;

    backoff_reset(&it->backoff);
    if (!it->again || it->at_ms > at_ms)
        it->at_ms = at_ms;
    it->again = true;
    finish(it);
}

void queue_done_local(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)code;
    (void)obj;
    if (e && (e->code == ERR_NOT_FOUND || e->code == ERR_EXISTS || e->code == ERR_CONFLICT))
        e = NULL;
    queue_done(arg, e);
}

/* ---- life ---- */

void queue_new(struct queue **out, const struct queue_config *c)
{
    struct queue *q = mem_alloc(sizeof *q);

    q->config = *c;
    q->config.n_parallel = c->n_parallel ? c->n_parallel : 1;
    q->config.retry_min_ms = c->retry_min_ms ? c->retry_min_ms : RETRY_MIN_MS;
    q->config.retry_max_ms = c->retry_max_ms ? c->retry_max_ms : RETRY_MAX_MS;
    q->items = map_new();
    list_init(&q->ready);
    timer_init(&q->timer, c->loop);
    *out = q;
}

void queue_release(struct queue *q)
{
    q->config.held = false;
    plan(q);
}

static void close_step(struct queue *q)
{
    void (*done)(void *) = q->done;
    void *arg = q->done_arg;

    if (!q->timer_closed || q->n_running)
        return;
    map_free(q->items);
    free(q->heap);
    free(q);
    done(arg);
}

static void on_timer_closed(void *arg)
{
    struct queue *q = arg;

    q->timer_closed = true;
    close_step(q);
}

void queue_close(struct queue *q, void (*done)(void *arg), void *arg)
{
    struct str key;
    void *v;

    q->closing = true;
    q->done = done;
    q->done_arg = arg;
    for (size_t i = 0; map_next(q->items, &i, &key, &v);) {
        struct queue_item *it = v;

        if (it->state != ITEM_RUNNING)
            item_free(it);
    }
    timer_close(&q->timer, on_timer_closed, q);
}

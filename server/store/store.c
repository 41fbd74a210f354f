/*
 * The front of the store: arguments, bounds, cache, watch hub, and every callback.
 *
 * Five handles. async: something was queued back, from any thread. prepare and check: the commits
 * of one turn of the loop go to the backend together, so that they share one group and one fsync.
 * timer: progress of watches, armed by a commit, so an idle store does not wake up. deadline: the
 * end of the time that the oldest commit has; armed while one is with the backend.
 *
 * A commit whose time is over is taken back from the backend, or, where that is not possible any
 * more, answered all the same; its events still come if it happens later.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "server/store/cache.h"
#include "server/store/hub.h"

#include <assert.h>

enum {
    KEY_MAX = 2048,       /* group, resource, namespace, name: well below 1 kB */
    VALUE_MAX = 16 << 20, /* the API refuses bodies above 3 MiB */
    PROGRESS_MS = 1000,
};

struct store {
    uv_loop_t *loop;
    const struct store_ops *ops;
    void *impl; /* NULL once it is closed */
    struct store_limits limits;
    struct cache *cache;
    struct hub *hub;
    struct list ready_reads, ready_writes, ready_tasks; /* answered without the backend */
    struct list waiting;                                /* writes with the backend, oldest first */
    size_t n_writes, n_write_bytes, n_reads;
    uint64_t n_commits;
    int64_t known_rev; /* shared: the newest that an answer told of; the hub may be behind it */
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer, deadline;
    int n_open;
    bool closing, watches_ended, handles_closing;
    void (*close_done)(void *arg);
    void *close_arg;
};

/* ---- answers ---- */

void store_publish(struct store *s, int64_t rev, const struct store_ev *evs, size_t n, bool history)
{
    for (size_t i = 0; i < n && !history; i++) {
        if (evs[i].now)
            cache_put(s->cache, evs[i].now);
        else
            cache_remove(s->cache, store_ev_key(&evs[i]));
    }
    hub_publish(s->hub, rev, evs, n);
    if (!uv_is_active((uv_handle_t *)&s->timer) && !s->closing)
        uv_timer_start(&s->timer, s->timer.timer_cb, PROGRESS_MS, 0);
}

void store_know(struct store *s, int64_t rev)
{
    s->known_rev = MAX(s->known_rev, rev);
}

void store_skip(struct store *s, int64_t rev, const struct err *e)
{
    hub_skip(s->hub, rev);
    cache_free(s->cache); /* it may miss what was deleted */
    s->cache = cache_new(s->limits.cache_bytes);
    if (e)
        hub_end_all(s->hub, e);
}

void store_answer_write(struct store *s, struct store_write *w)
{
    bool ok = w->err.code == 0;

    if (!list_empty(&w->in_waiting)) {
        list_remove(&w->in_waiting);
        s->n_writes--;
        s->n_write_bytes -= w->n_bytes;
    }
    if (ok)
        s->n_commits++;
    if (ok && s->ops->shared) {
        store_know(s, w->rev);
    } else if (ok) {
        struct store_ev evs[STORE_OPS_MAX];
        for (size_t i = 0; i < w->n_ops; i++)
            evs[i] =
                (struct store_ev){ store_pos(w->rev, (int64_t)i), w->ops[i].now, w->ops[i].prev };
        store_publish(s, w->rev, evs, w->n_ops, false);
    }
    if (w->done)
        w->done(w->arg, w->rev, w->failed, w->current, ok ? NULL : &w->err);
    for (size_t i = 0; i < w->n_ops; i++) {
        store_obj_unref(w->ops[i].now);
        store_obj_unref(w->ops[i].prev);
    }
    store_obj_unref(w->current);
    free(w);
}

void store_answer_read(struct store *s, struct store_read *r)
{
    if (s->n_reads)
        s->n_reads--;
    if (s->ops->shared)
        store_know(s, r->rev);
    r->done(r);
}

void store_answer_task(struct store *s, struct store_task *t)
{
    (void)s;
    if (t->done)
        t->done(t->arg, t->err.code ? &t->err : NULL);
    free(t);
}

static void answer_ready(struct store *s)
{
    struct list reads = LIST(reads), writes = LIST(writes), tasks = LIST(tasks), *l;

    list_move_all(&reads, &s->ready_reads);
    list_move_all(&writes, &s->ready_writes);
    list_move_all(&tasks, &s->ready_tasks);
    while ((l = list_pop(&writes)))
        store_answer_write(s, container_of(l, struct store_write, link));
    while ((l = list_pop(&reads))) {
        struct store_read *r = container_of(l, struct store_read, link);
        r->done(r);
    }
    while ((l = list_pop(&tasks)))
        store_answer_task(s, container_of(l, struct store_task, link));
}

static bool any_ready(const struct store *s)
{
    return !list_empty(&s->ready_reads) || !list_empty(&s->ready_writes) ||
           !list_empty(&s->ready_tasks);
}

/* ---- the loop ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct store *s = handle->data;
    void (*done)(void *arg) = s->close_done;
    void *arg = s->close_arg;

    if (--s->n_open > 0)
        return;
    while (any_ready(s))
        answer_ready(s);
    hub_free(s->hub);
    cache_free(s->cache);
    free(s);
    if (done)
        done(arg);
}

static void close_handles(struct store *s)
{
    s->handles_closing = true;
    uv_close((uv_handle_t *)&s->async, on_handle_closed);
    uv_close((uv_handle_t *)&s->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&s->check, on_handle_closed);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->deadline, on_handle_closed);
}

static void on_async(uv_async_t *async)
{
    struct store *s = async->data;

    if (s->impl)
        s->ops->drain(s->impl);
    answer_ready(s);
    hub_pump(s->hub);
    if (!s->closing)
        return;
    if (!s->watches_ended) {
        struct err e;
        err_set(&e, ERR_CANCELED, "the store is closing");
        s->watches_ended = true;
        hub_end_all(s->hub, &e);
    }
    if (!s->impl && !s->handles_closing && !any_ready(s))
        close_handles(s);
    else if (any_ready(s))
        store_wake(s);
}

static void flush_turn(struct store *s)
{
    uv_prepare_stop(&s->prepare);
    uv_check_stop(&s->check);
    if (s->impl)
        s->ops->flush(s->impl);
}
static void on_prepare(uv_prepare_t *p)
{
    flush_turn(p->data);
}
static void on_check(uv_check_t *c)
{
    flush_turn(c->data);
}

static void on_timer(uv_timer_t *t)
{
    struct store *s = t->data;

    hub_progress(s->hub);
}

/* ---- time limits ---- */

static int timed_out(const struct store *s, const struct store_write *w, struct err *e)
{
    uint64_t waited_ms = uv_now(s->loop) - w->since_ms;

    if (waited_ms < s->limits.write_timeout_ms)
        return 0;
    return err_set(e, ERR_TIMEOUT, "the disk of the datastore has not answered for %llu.%llu s",
                   (unsigned long long)waited_ms / 1000,
                   (unsigned long long)waited_ms % 1000 / 100);
}

/* The oldest one that somebody still waits for. */
static struct store_write *first_heard(struct store *s)
{
    list_each (w, &s->waiting, struct store_write, in_waiting)
        if (w->done)
            return w;
    return NULL;
}

static void write_expire(struct store *s, struct store_write *w, const struct err *e)
{
    store_commit_fn done = w->done;
    struct err why = *e;

    if (s->ops->withdraw && s->ops->withdraw(s->impl, w)) {
        err_set(&w->err, e->code, "%s; the write was taken back", e->text);
        store_answer_write(s, w);
        return;
    }
    err_set(&why, e->code, "%s; the write may still happen", e->text);
    w->done = NULL;
    done(w->arg, 0, 0, NULL, &why);
}

static void deadline_arm(struct store *s)
{
    struct store_write *w = s->closing ? NULL : first_heard(s);
    uint64_t now_ms = uv_now(s->loop), at_ms;

    if (!w)
        return;
    at_ms = w->since_ms + s->limits.write_timeout_ms;
    uv_timer_start(&s->deadline, s->deadline.timer_cb, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void on_deadline(uv_timer_t *t)
{
    struct store *s = t->data;
    struct store_write *w;
    struct err e;

    while (!s->closing && (w = first_heard(s)) && timed_out(s, w, &e))
        write_expire(s, w, &e);
    deadline_arm(s);
}

int store_trouble(const struct store *s, struct err *e)
{
    list_each (w, &((struct store *)s)->waiting, struct store_write, in_waiting) /* the oldest */
        if (timed_out(s, w, e))
            return (int)e->code;
        else
            break;
    return s->impl && s->ops->trouble ? s->ops->trouble(s->impl, e) : 0;
}

void store_wake(struct store *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->async))
        uv_async_send(&s->async);
}

int store_new(struct store **out, uv_loop_t *loop, const struct store_ops *ops, void *impl,
              const struct store_limits *l, int64_t rev, struct err *e)
{
    struct store *s = mem_alloc(sizeof *s);
    int rc = uv_async_init(loop, &s->async, on_async);

    if (rc) {
        free(s);
        return err_sys(e, rc, "open store");
    }
    uv_prepare_init(loop, &s->prepare); /* these cannot fail */
    uv_check_init(loop, &s->check);
    uv_timer_init(loop, &s->timer);
    uv_timer_init(loop, &s->deadline);
    s->timer.timer_cb = on_timer;
    s->deadline.timer_cb = on_deadline;
    s->async.data = s->prepare.data = s->check.data = s->timer.data = s->deadline.data = s;
    s->n_open = 5;
    s->loop = loop;
    s->ops = ops;
    s->impl = impl;
    s->limits = *l;
    s->cache = cache_new(l->cache_bytes);
    s->hub = hub_new(s, l, rev);
    list_init(&s->ready_reads);
    list_init(&s->ready_writes);
    list_init(&s->ready_tasks);
    list_init(&s->waiting);
    *out = s;
    return 0;
}

void store_close(struct store *s, void (*done)(void *arg), void *arg)
{
    assert(!s->closing);
    s->closing = true;
    s->close_done = done;
    s->close_arg = arg;
    uv_timer_stop(&s->timer);
    uv_timer_stop(&s->deadline);
    flush_turn(s);
    s->ops->close(s->impl);
    store_wake(s);
}

void store_closed(struct store *s)
{
    s->impl = NULL;
    store_wake(s);
}

/* ---- reads ---- */

int64_t store_revision(const struct store *s)
{
    return MAX(hub_rev(s->hub), s->known_rev);
}

bool store_is_shared(const struct store *s)
{
    return s->ops->shared;
}

struct store_obj *store_peek(struct store *s, struct str key)
{
    return store_obj_ref(cache_get(s->cache, key));
}

static struct store_read *read_new(enum store_read_kind kind, struct str key, struct str after)
{
    struct store_read *r = mem_alloc(sizeof *r + key.n + after.n);
    char *p = (char *)(r + 1);

    r->kind = kind;
    if (key.n)
        memcpy(p, key.p, key.n);
    if (after.n)
        memcpy(p + key.n, after.p, after.n);
    r->key = str_n(p, key.n);
    r->after = str_n(p + key.n, after.n);
    r->n_remaining = -1;
    list_init(&r->link);
    return r;
}

static void read_ready(struct store *s, struct store_read *r)
{
    list_push(&s->ready_reads, &r->link);
    store_wake(s);
}

static void read_start(struct store *s, struct store_read *r)
{
    if (s->closing)
        err_set(&r->err, ERR_CANCELED, "the store is closing");
    else if (r->err.code)
        ; /* its maker has refused it */
    else if (s->n_reads >= s->limits.read_queue)
        err_set(&r->err, ERR_LIMIT, "too many reads wait for the store (%zu)", s->n_reads);
    else if (r->key.n > KEY_MAX || r->after.n > KEY_MAX)
        err_set(&r->err, ERR_INVALID, "key of %zu bytes, at most %d", r->key.n, KEY_MAX);
    if (r->err.code) {
        read_ready(s, r);
        return;
    }
    s->n_reads++;
    s->ops->read(s->impl, r);
}

struct get { /* what a GET carries besides the user's argument */
    struct store *s;
    void *arg;
};

static void on_get(struct store_read *r)
{
    struct get *g = r->arg;
    struct store_obj *o = r->n ? r->objs[0] : NULL;

    if (!r->err.code && !o)
        err_set(&r->err, ERR_NOT_FOUND, "key " STR_FMT " does not exist", STR_ARG(r->key));
    if (o && !hub_changed_since(g->s->hub, r->key, r->rev))
        cache_put(g->s->cache, o);
    r->fn.get(g->arg, o, r->rev, r->err.code ? &r->err : NULL);
    free(g);
    store_read_free(r);
}

void store_get(struct store *s, struct str key, store_get_fn done, void *arg)
{
    struct store_read *r = read_new(STORE_READ_GET, key, STR(""));
    struct store_obj *o = s->ops->shared ? NULL : cache_get(s->cache, key);
    struct get *g = mem_alloc(sizeof *g);

    *g = (struct get){ s, arg };
    r->done = on_get;
    r->fn.get = done;
    r->arg = g;
    if (!o) {
        read_start(s, r);
        return;
    }
    r->objs = mem_calloc(1, sizeof *r->objs);
    r->objs[0] = store_obj_ref(o);
    r->n = 1;
    r->rev = hub_rev(s->hub);
    read_ready(s, r);
}

struct refresh {
    void (*done)(void *arg);
    void *arg;
};

static void on_refreshed(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct refresh r = *(struct refresh *)arg;
    (void)o;
    (void)rev; /* store_answer_read took note of it */
    (void)e;

    free(arg);
    r.done(r.arg);
}

void store_refresh(struct store *s, void (*done)(void *arg), void *arg)
{
    struct refresh *r = mem_alloc(sizeof *r);

    *r = (struct refresh){ done, arg };
    store_get(s, STR("/registry/"), on_refreshed, r); /* no object has that key */
}

static void on_list(struct store_read *r)
{
    struct store_list l = {
        .v = r->objs, .n = r->n, .rev = r->rev, .more = r->more, .n_remaining = r->n_remaining
    };

    if (r->err.code)
        r->fn.list(r->arg, NULL, &r->err);
    else
        r->fn.list(r->arg, &l, NULL);
    store_read_free(r);
}

void store_list(struct store *s, struct str prefix, const struct store_list_opts *o,
                store_list_fn done, void *arg)
{
    static const struct store_list_opts none;
    struct store_read *r;

    o = o ? o : &none;
    r = read_new(STORE_READ_LIST, prefix, o->after);
    r->at_rev = o->at_rev;
    r->limit = o->limit;
    r->likes = o->likes;
    r->likes_arg = o->likes_arg;
    r->done = on_list;
    r->fn.list = done;
    r->arg = arg;
    read_start(s, r);
}

static void on_copied(struct store_read *r)
{
    r->fn.copy(r->arg, r->err.code ? &r->err : NULL);
    store_read_free(r);
}

void store_copy(struct store *s, const char *path, void (*done)(void *arg, const struct err *e),
                void *arg)
{
    struct store_read *r = read_new(STORE_READ_COPY, str_n(path, strlen(path) + 1), STR(""));

    r->done = on_copied;
    r->fn.copy = done;
    r->arg = arg;
    if (!s->ops->copies)
        err_set(&r->err, ERR_INVALID, "a datastore of kind %s has snapshots of its own",
                s->ops->name);
    read_start(s, r);
}

struct store_read *store_read_log(struct store *s, struct str prefix, int64_t from_pos,
                                  size_t limit, void (*done)(struct store_read *r), void *arg)
{
    struct store_read *r = read_new(STORE_READ_LOG, prefix, STR(""));

    r->from_pos = from_pos;
    r->limit = limit;
    r->done = done;
    r->arg = arg;
    read_start(s, r);
    return r;
}

/* ---- writes ---- */

static int ops_check(const struct store *s, const struct store_op *ops, size_t n, size_t n_bytes,
                     struct err *e)
{
    if (s->closing)
        return err_set(e, ERR_CANCELED, "the store is closing");
    if (n == 0 || n > STORE_OPS_MAX)
        return err_set(e, ERR_INVALID, "commit of %zu operations, 1 to %d", n, STORE_OPS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (ops[i].key.n == 0 || ops[i].key.n > KEY_MAX)
            return err_set(e, ERR_INVALID, "key of %zu bytes, 1 to %d", ops[i].key.n, KEY_MAX);
        if (memchr(ops[i].key.p, '\0', ops[i].key.n))
            return err_set(e, ERR_INVALID, "key with a zero byte");
        if (ops[i].value.n > VALUE_MAX)
            return err_set(e, ERR_INVALID, "value of %zu bytes, at most %d", ops[i].value.n,
                           VALUE_MAX);
        for (size_t j = 0; j < i; j++)
            if (str_eq(ops[i].key, ops[j].key))
                return err_set(e, ERR_INVALID, "key " STR_FMT " twice in one commit",
                               STR_ARG(ops[i].key));
    }
    if (s->n_writes >= s->limits.write_queue ||
        s->n_write_bytes + n_bytes > s->limits.write_queue_bytes)
        return err_set(e, ERR_AGAIN, "too many writes wait for the disk (%zu, %zu bytes)",
                       s->n_writes, s->n_write_bytes);
    return 0;
}

void store_commit(struct store *s, const struct store_op *ops, size_t n, store_commit_fn done,
                  void *arg)
{
    size_t n_keys = 0, n_bytes = 0;
    struct err e = { 0 };
    struct store_write *w;
    char *p;

    for (size_t i = 0; i < n && n <= STORE_OPS_MAX; i++) {
        n_keys += ops[i].kind == STORE_DELETE ? ops[i].key.n : 0;
        n_bytes += sizeof *w->ops + ops[i].key.n + ops[i].value.n;
    }
    if (ops_check(s, ops, n, n_bytes, &e)) {
        w = mem_alloc(sizeof *w);
        w->err = e;
        w->done = done;
        w->arg = arg;
        list_init(&w->in_waiting);
        list_push(&s->ready_writes, &w->link);
        store_wake(s);
        return;
    }
    w = mem_alloc(sizeof *w + n * sizeof *w->ops + n_keys);
    w->ops = (struct store_write_op *)(w + 1);
    p = (char *)(w->ops + n);
    w->n_ops = n;
    w->n_bytes = n_bytes;
    w->done = done;
    w->arg = arg;
    w->since_ms = uv_now(s->loop);
    list_init(&w->in_waiting);
    for (size_t i = 0; i < n; i++) {
        struct store_write_op *op = &w->ops[i];
        *op = (struct store_write_op){ .kind = ops[i].kind,
                                       .ephemeral = ops[i].ephemeral,
                                       .if_mod_rev = ops[i].if_mod_rev };
        if (op->kind == STORE_DELETE) {
            memcpy(p, ops[i].key.p, ops[i].key.n);
            op->key = str_n(p, ops[i].key.n);
            p += ops[i].key.n;
        } else {
            op->now = store_obj_new(ops[i].key, ops[i].value, 0, 0);
            op->key = store_obj_key(op->now);
        }
    }
    s->n_writes++;
    s->n_write_bytes += n_bytes;
    list_push(&s->waiting, &w->in_waiting);
    if (!uv_is_active((uv_handle_t *)&s->deadline))
        deadline_arm(s);
    s->ops->write(s->impl, w);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
}

/* ---- watches, upkeep ---- */

void store_watch_start(struct store_watch **out, struct store *s, struct str prefix,
                       int64_t from_rev, const struct store_watch_events *events, void *arg)
{
    *out = hub_watch(s->hub, prefix, from_rev ? from_rev : store_revision(s), events, arg);
}

void store_compact(struct store *s, int64_t rev, void (*done)(void *arg, const struct err *e),
                   void *arg)
{
    struct store_task *t = mem_alloc(sizeof *t);

    t->rev = rev;
    t->done = done;
    t->arg = arg;
    if (s->closing)
        err_set(&t->err, ERR_CANCELED, "the store is closing");
    else if (rev > store_revision(s))
        err_set(&t->err, ERR_INVALID, "revision %lld is in the future, now is %lld", (long long)rev,
                (long long)store_revision(s));
    if (!t->err.code) {
        s->ops->compact(s->impl, t);
        return;
    }
    list_push(&s->ready_tasks, &t->link);
    store_wake(s);
}

int64_t store_compacted_rev(const struct store *s)
{
    return s->impl ? s->ops->compacted(s->impl) : 0;
}

void store_stats(const struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){ .n_commits = s->n_commits };
    hub_stats(s->hub, out);
    if (s->impl)
        s->ops->stats(s->impl, out);
}

size_t store_written(const struct store *s, struct store_written out[STORE_WRITERS_MAX])
{
    return s->impl && s->ops->written ? s->ops->written(s->impl, out) : 0;
}

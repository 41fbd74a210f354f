#include "server/store/hub.h"

#include "base/core/map.h"
#include "base/core/mem.h"

#include <assert.h>

enum {
    TURN_EVENTS = 256, /* what one watcher gets before the others' turn */
    TURN_SCAN = 4096,  /* events of the window it looks at */
    LOG_EVENTS = 256,  /* one read of the log */
};

enum watch_state { WATCH_BEHIND, WATCH_READING, WATCH_LIVE, WATCH_ENDING };

/*
 * The watchers of one prefix. A prefix that ends inside a name (one object's key: each node watches
 * its own) hangs below the group of its folder, so that an event is compared with those of its own
 * folders only, and thousands of them cost the rest nothing.
 */
struct group {
    struct str prefix;
    struct list watches;
    struct list below;    /* group.in_folder: prefixes that go on inside a name of this folder */
    struct group *folder; /* NULL: the prefix ends in '/' or is empty */
    struct list in_folder;
    struct list idle; /* in hub.idle when nothing is left in it */
};

struct store_watch {
    struct hub *hub;
    struct group *group;
    struct list in_group, in_all, in_pending;
    struct store_watch_events events;
    void *arg;
    enum watch_state state;
    bool held;
    int64_t pos;          /* everything up to here was delivered; LIVE: or lies before its start */
    int64_t progress_rev; /* last told */
    struct store_read *batch; /* READING: the request; BEHIND: its answer, from batch_i on */
    size_t batch_i;
    struct err err; /* ENDING */
};

struct hub {
    struct store *store;
    struct store_ev *ring; /* a power of two; grows up to events_max */
    size_t cap, head, n;
    size_t bytes, bytes_max, events_max;
    int64_t dropped_pos; /* the window holds everything behind this */
    int64_t rev;
    struct map *groups;
    struct list idle, all, pending;
    size_t n_watches;
    struct list *next;           /* of the walk that goes on now, moved by a stop */
    struct store_watch *calling; /* cleared when it is stopped from inside */
};

static struct store_ev *ring_at(const struct hub *h, size_t i)
{
    return &h->ring[(h->head + i) & (h->cap - 1)];
}

static size_t ev_bytes(const struct store_ev *ev)
{
    size_t n = sizeof *ev;

    if (ev->now)
        n += sizeof *ev->now + ev->now->key_n + ev->now->value_n;
    if (ev->prev)
        n += sizeof *ev->prev + ev->prev->key_n + ev->prev->value_n;
    return n;
}

struct hub *hub_new(struct store *s, const struct store_limits *l, int64_t rev)
{
    struct hub *h = mem_alloc(sizeof *h);

    h->store = s;
    h->bytes_max = l->window_bytes;
    h->events_max = l->window_events;
    h->cap = 64;
    h->ring = mem_calloc(h->cap, sizeof *h->ring);
    h->rev = rev;
    h->dropped_pos = store_pos_end(rev);
    h->groups = map_new();
    list_init(&h->idle);
    list_init(&h->all);
    list_init(&h->pending);
    return h;
}

static void ring_drop_first(struct hub *h)
{
    struct store_ev *ev = ring_at(h, 0);

    h->bytes -= ev_bytes(ev);
    h->dropped_pos = ev->pos;
    store_ev_deinit(ev);
    h->head = (h->head + 1) & (h->cap - 1);
    h->n--;
}

static void ring_add(struct hub *h, const struct store_ev *ev)
{
    if (h->n == h->cap) {
        struct store_ev *bigger = mem_calloc(2 * h->cap, sizeof *bigger);
        for (size_t i = 0; i < h->n; i++)
            bigger[i] = *ring_at(h, i);
        free(h->ring);
        h->ring = bigger;
        h->head = 0;
        h->cap *= 2;
    }
    h->n++;
    *ring_at(h, h->n - 1) = (struct store_ev){ .pos = ev->pos,
                                               .now = store_obj_ref(ev->now),
                                               .prev = store_obj_ref(ev->prev) };
    h->bytes += ev_bytes(ev);
    while (h->n && (h->n > h->events_max || h->bytes > h->bytes_max))
        ring_drop_first(h);
}

/* The first event behind pos. */
static size_t ring_find(const struct hub *h, int64_t pos)
{
    size_t lo = 0, hi = h->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ring_at(h, mid)->pos > pos)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void idle_if_unused(struct hub *h, struct group *g)
{
    if (list_empty(&g->watches) && list_empty(&g->below) && list_empty(&g->idle))
        list_push(&h->idle, &g->idle);
}

static void idle_sweep(struct hub *h)
{
    struct list *l;

    while ((l = list_pop(&h->idle))) {
        struct group *g = container_of(l, struct group, idle);
        list_remove(&g->in_folder);
        map_remove(h->groups, g->prefix);
        if (g->folder)
            idle_if_unused(h, g->folder);
        free(g);
    }
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    assert(list_empty(&h->all));
    idle_sweep(h);
    while (h->n)
        ring_drop_first(h);
    map_free(h->groups);
    free(h->ring);
    free(h);
}

/* ---- delivering ---- */

enum told { TOLD_OK, TOLD_HELD, TOLD_GONE };

static enum told tell(struct store_watch *w, const struct store_ev *ev)
{
    struct hub *h = w->hub;
    struct store_event out = { .rev = store_pos_rev(ev->pos), .now = ev->now, .prev = ev->prev };
    bool ok;

    h->calling = w;
    ok = w->events.on_event(w->arg, &out);
    if (h->calling != w)
        return TOLD_GONE;
    h->calling = NULL;
    return ok ? TOLD_OK : TOLD_HELD;
}

static void group_publish(struct hub *h, struct group *g, const struct store_ev *ev)
{
    for (struct list *l = g->watches.next; l != &g->watches; l = h->next) {
        struct store_watch *w = container_of(l, struct store_watch, in_group);
        h->next = l->next;
        if (w->state != WATCH_LIVE || ev->pos <= w->pos)
            continue;
        if (tell(w, ev) == TOLD_HELD) {
            w->state = WATCH_BEHIND;
            w->held = true;
            w->pos = ev->pos - 1;
        }
    }
    h->next = NULL;
}

/* The folder's own watchers, and those below whose prefix fits. No group is freed before
 * idle_sweep, but new ones may come in front: they have nobody LIVE. */
static void folder_publish(struct hub *h, struct str folder, const struct store_ev *ev)
{
    struct group *f = map_get(h->groups, folder);

    if (!f)
        return;
    group_publish(h, f, ev);
    for (struct list *l = f->below.next; l != &f->below; l = l->next) {
        struct group *g = container_of(l, struct group, in_folder);
        if (str_starts(store_ev_key(ev), g->prefix))
            group_publish(h, g, ev);
    }
}

static void publish_one(struct hub *h, const struct store_ev *ev)
{
    struct str key = store_ev_key(ev);

    folder_publish(h, STR(""), ev);
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] == '/')
            folder_publish(h, str_n(key.p, i + 1), ev);
}

void hub_publish(struct hub *h, int64_t rev, const struct store_ev *evs, size_t n)
{
    assert(rev > h->rev);
    h->rev = rev;
    for (size_t i = 0; i < n; i++)
        ring_add(h, &evs[i]);
    if (list_empty(&h->all))
        return;
    for (size_t i = 0; i < n; i++)
        publish_one(h, &evs[i]);
    idle_sweep(h);
}

static void pend(struct store_watch *w)
{
    if (list_empty(&w->in_pending))
        list_push(&w->hub->pending, &w->in_pending);
    store_wake(w->hub->store);
}

static void on_log(struct store_read *r)
{
    struct store_watch *w = r->arg;

    if (!w) { /* stopped meanwhile */
        store_read_free(r);
        return;
    }
    if (r->err.code) {
        w->batch = NULL;
        w->state = WATCH_ENDING;
        w->err = r->err;
        store_read_free(r);
    } else {
        w->state = WATCH_BEHIND;
        w->batch_i = 0;
    }
    pend(w);
}

/* From the log's answer. TOLD_OK: it is used up. */
static enum told pump_batch(struct store_watch *w)
{
    struct store_read *r = w->batch;

    for (; w->batch_i < r->n; w->batch_i++) {
        enum told t = tell(w, &r->evs[w->batch_i]);
        if (t != TOLD_OK)
            return t;
        w->pos = r->evs[w->batch_i].pos;
    }
    if (!r->more && w->pos < store_pos_end(r->rev))
        w->pos = store_pos_end(r->rev);
    w->batch = NULL;
    store_read_free(r);
    return TOLD_OK;
}

static void watch_free(struct store_watch *w)
{
    struct hub *h = w->hub;

    if (h->next == &w->in_group)
        h->next = w->in_group.next;
    if (h->next == &w->in_all)
        h->next = w->in_all.next;
    if (h->calling == w)
        h->calling = NULL;
    list_remove(&w->in_group);
    list_remove(&w->in_all);
    list_remove(&w->in_pending);
    idle_if_unused(h, w->group);
    if (w->batch && w->state == WATCH_READING)
        w->batch->arg = NULL;
    else
        store_read_free(w->batch);
    h->n_watches--;
    free(w);
}

static void watch_end(struct store_watch *w)
{
    struct store_watch_events events = w->events;
    void *arg = w->arg;
    struct err e = w->err;

    watch_free(w);
    events.on_end(arg, &e);
}

static void pump(struct store_watch *w)
{
    struct hub *h = w->hub;
    size_t i, n_told = 0, n_seen = 0;

    if (w->state == WATCH_ENDING) {
        watch_end(w);
        return;
    }
    if (w->held || w->state != WATCH_BEHIND)
        return;
    if (w->batch) {
        enum told t = pump_batch(w);
        if (t == TOLD_HELD)
            w->held = true;
        if (t != TOLD_OK)
            return;
    }
    if (w->pos < h->dropped_pos) {
        w->state = WATCH_READING;
        w->batch = store_read_log(h->store, w->group->prefix, w->pos, LOG_EVENTS, on_log, w);
        return;
    }
    for (i = ring_find(h, w->pos); i < h->n; i++) {
        const struct store_ev *ev = ring_at(h, i);
        if (n_told == TURN_EVENTS || n_seen++ == TURN_SCAN) {
            pend(w);
            return;
        }
        if (str_starts(store_ev_key(ev), w->group->prefix)) {
            enum told t = tell(w, ev);
            if (t == TOLD_HELD)
                w->held = true;
            if (t != TOLD_OK)
                return;
            n_told++;
        }
        w->pos = ev->pos;
    }
    w->state = WATCH_LIVE;
}

void hub_pump(struct hub *h)
{
    struct list now = LIST(now), *l;

    list_move_all(&now, &h->pending);
    while ((l = list_pop(&now)))
        pump(container_of(l, struct store_watch, in_pending));
    idle_sweep(h);
}

void hub_progress(struct hub *h)
{
    for (struct list *l = h->all.next; l != &h->all; l = h->next) {
        struct store_watch *w = container_of(l, struct store_watch, in_all);
        h->next = l->next;
        if (w->state != WATCH_LIVE || w->progress_rev >= h->rev || !w->events.on_progress)
            continue;
        w->progress_rev = h->rev;
        w->events.on_progress(w->arg, h->rev);
    }
    h->next = NULL;
    idle_sweep(h);
}

void hub_end_all(struct hub *h, const struct err *e)
{
    struct list *l;

    while ((l = h->all.next) != &h->all) {
        struct store_watch *w = container_of(l, struct store_watch, in_all);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): watch_free took the last one out of the list
        w->err = *e;
        watch_end(w);
    }
    idle_sweep(h);
}

/* ---- watches ---- */

static struct str folder_of(struct str prefix)
{
    size_t n = prefix.n;

    while (n && prefix.p[n - 1] != '/')
        n--;
    return str_n(prefix.p, n);
}

/* Depth two at most: a folder has no folder here. */
static struct group *group_of(struct hub *h, struct str prefix)
{
    struct group *g = map_get(h->groups, prefix);
    struct str folder = folder_of(prefix);

    if (g) {
        list_remove(&g->idle);
        return g;
    }
    g = mem_alloc(sizeof *g + prefix.n);
    if (prefix.n)
        memcpy(g + 1, prefix.p, prefix.n);
    g->prefix = str_n(g + 1, prefix.n);
    list_init(&g->watches);
    list_init(&g->below);
    list_init(&g->in_folder);
    list_init(&g->idle);
    map_set(h->groups, g->prefix, g);
    if (folder.n != prefix.n) {
        g->folder = group_of(h, folder);
        list_push_front(&g->folder->below, &g->in_folder);
    }
    return g;
}

struct store_watch *hub_watch(struct hub *h, struct str prefix, int64_t from_rev,
                              const struct store_watch_events *events, void *arg)
{
    struct store_watch *w = mem_alloc(sizeof *w);

    w->hub = h;
    w->group = group_of(h, prefix);
    w->events = *events;
    w->arg = arg;
    w->pos = store_pos_end(from_rev ? from_rev : h->rev);
    w->progress_rev = MAX(h->rev, from_rev); /* of another server's: ours may be behind it */
    list_init(&w->in_group);
    list_init(&w->in_all);
    list_init(&w->in_pending);
    list_push_front(&w->group->watches, &w->in_group);
    list_push_front(&h->all, &w->in_all);
    h->n_watches++;
    pend(w);
    return w;
}

void store_watch_resume(struct store_watch *w)
{
    if (!w->held)
        return;
    w->held = false;
    pend(w);
}

void store_watch_stop(struct store_watch *w)
{
    watch_free(w); /* its group is swept after the walk that may be going on */
}

void hub_skip(struct hub *h, int64_t rev)
{
    while (h->n)
        ring_drop_first(h);
    h->rev = rev;
    h->dropped_pos = store_pos_end(rev);
    list_each (w, &h->all, struct store_watch, in_all) {
        if (w->state != WATCH_LIVE || w->pos >= h->dropped_pos)
            continue;
        w->state = WATCH_BEHIND;
        pend(w);
    }
}

int64_t hub_rev(const struct hub *h)
{
    return h->rev;
}

bool hub_changed_since(const struct hub *h, struct str key, int64_t rev)
{
    if (store_pos_end(rev) < h->dropped_pos)
        return true;
    for (size_t i = ring_find(h, store_pos_end(rev)); i < h->n; i++)
        if (str_eq(store_ev_key(ring_at(h, i)), key))
            return true;
    return false;
}

void hub_stats(const struct hub *h, struct store_stats *out)
{
    out->n_events_in_window = h->n;
    out->n_watches = h->n_watches;
}

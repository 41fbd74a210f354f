/*
 * The informer of local_meta.h:
 *
 *   LISTING (page by page, of one revision) --> FOLLOWING --(lost)--> timer --> LISTING
 *      +--(failed, expired)--> timer --> LISTING
 *
 * Objects of a kind that is not served are passed over. When other kinds are served than before,
 * the next event has everything listed again.
 */
#include "server/api/local_meta.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/data/json_pick.h"
#include "server/api/request.h"

#include <stdio.h>

#define ROOT      "/registry/"
#define EVENTS    "/registry/core/events/"
#define PAGE      500
#define RETRY_MS  1000
#define PLACE_MAX 600 /* "<group>/<plural>" */

struct local_meta {
    struct list link; /* api.feeds */
    struct api *api;
    struct local_meta_events events;
    void *arg;
    struct map *kinds; /* "<group>/<plural>" as in keys -> the kind that is stored there */
    uint64_t kinds_of; /* the schema's generation that they are from */
    struct store_watch *sw;
    struct timer timer;
    int64_t rev;
    struct buf after; /* the last key of the list so far */
    unsigned n_busy;  /* a list under way, or our own frames on the stack */
    bool missed;      /* objects of kinds that are not served were passed over */
    bool stopped, closing;
};

static void list_again(void *arg);

/* ---- end ---- */

static void on_timer_closed(void *arg)
{
    struct local_meta *m = arg;

    list_remove(&m->link);
    map_free(m->kinds);
    buf_deinit(&m->after);
    free(m);
}

static void release(struct local_meta *m)
{
    if (!m->stopped || m->n_busy || m->closing)
        return;
    m->closing = true;
    timer_close(&m->timer, on_timer_closed, m);
}

void local_meta_stop(struct local_meta *m)
{
    m->stopped = true;
    if (m->sw)
        store_watch_stop(m->sw);
    m->sw = NULL;
    release(m);
}

/* ---- keys ---- */

static void learn_kinds(struct local_meta *m)
{
    size_t n;
    const struct schema_kind *const *v = schema_kinds(m->api->schema, &n);
    char place[PLACE_MAX];

    map_free(m->kinds);
    m->kinds = map_new();
    m->kinds_of = schema_generation(m->api->schema);
    for (size_t i = 0; i < n; i++) {
        if (!resource_is_home(v[i]))
            continue;
        snprintf(place, sizeof place, "%s/%s", *v[i]->group ? v[i]->group : "core", v[i]->plural);
        map_set(m->kinds, str_of(place), (void *)(uintptr_t)v[i]);
    }
}

/* False: no kind that is served has its objects there. */
static bool place_of(struct local_meta *m, struct local_meta_obj *o, struct str key)
{
    struct str rest = str_n(key.p + strlen(ROOT), key.n - strlen(ROOT)), group, plural;

    if (str_starts(key, STR(EVENTS)) || !str_cut(rest, '/', &group, &rest) ||
        !str_cut(rest, '/', &plural, &rest))
        return false;
    if (!m->kinds || m->kinds_of != schema_generation(m->api->schema))
        learn_kinds(m);
    o->kind = map_get(m->kinds, str_n(group.p, group.n + 1 + plural.n));
    m->missed = m->missed || !o->kind;
    o->ns = STR("");
    o->name = rest;
    return o->kind && (!o->kind->namespaced || str_cut(rest, '/', &o->ns, &o->name));
}

/* What is told of s, new, with o pointing into it. NULL: nothing. */
static json_t *object_of(struct local_meta *m, struct local_meta_obj *o, const struct store_obj *s)
{
    static const char *const paths[] = { "metadata.uid", "metadata.ownerReferences",
                                         "metadata.finalizers", "metadata.deletionTimestamp" };
    json_t *doc = NULL;
    struct err e;

    if (!place_of(m, o, store_obj_key(s)))
        return NULL;
    if (json_pick(&doc, store_obj_value(s), paths, ARRAY_LEN(paths), &e)) {
        log_error("stored object is damaged", kv("key", store_obj_key(s)), kv("err", e.text));
        return NULL;
    }
    o->meta = json_object_get(doc, "metadata");
    return doc;
}

/* ---- following ---- */

static void retry(struct local_meta *m, bool soon)
{
    buf_clear(&m->after);
    m->rev = 0;
    timer_start_ms(&m->timer, soon ? 1 : rand_jitter_ms(RETRY_MS, 20), list_again, m);
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct local_meta *m = arg;
    struct local_meta_obj o;
    bool others = m->kinds && m->kinds_of != schema_generation(m->api->schema), missed = m->missed;
    json_auto_t *doc = object_of(m, &o, ev->now ? ev->now : ev->prev);

    if (others && missed) { /* what was passed over may be of a kind that is served now */
        store_watch_stop(m->sw);
        m->sw = NULL;
        retry(m, true);
        return true;
    }
    if (!doc)
        return true;
    m->n_busy++;
    if (ev->now)
        m->events.on_object(m->arg, &o);
    else
        m->events.on_gone(m->arg, json_str_at(o.meta, "uid", ""));
    m->n_busy--;
    release(m);
    return true;
}

static void on_end(void *arg, const struct err *e)
{
    struct local_meta *m = arg;

    m->sw = NULL;
    if (e->code != ERR_CANCELED) /* then the store closes */
        retry(m, e->code == ERR_EXPIRED);
}

/* ---- the list ---- */

static void tell(struct local_meta *m, const struct store_list *l)
{
    struct local_meta_obj o;

    if (!m->rev) {
        m->missed = false;
        m->events.on_list(m->arg);
    }
    m->rev = l->rev;
    for (size_t i = 0; i < l->n && !m->stopped; i++) {
        json_auto_t *doc = object_of(m, &o, l->v[i]);

        if (doc)
            m->events.on_object(m->arg, &o);
    }
}

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    static const struct store_watch_events events = { on_event, NULL, on_end };
    struct local_meta *m = arg;

    if (!m->stopped && !e) {
        tell(m, l);
        if (!m->stopped && l->more) {
            buf_clear(&m->after);
            err_ignore(buf_add_str(&m->after, store_obj_key(l->v[l->n - 1]))); /* keys fit */
            list_again(m);
        } else if (!m->stopped) {
            m->events.on_listed(m->arg);
            if (!m->stopped)
                store_watch_start(&m->sw, m->api->store, STR(ROOT), m->rev, &events, m);
        }
    } else if (!m->stopped && e->code != ERR_CANCELED) {
        if (e->code != ERR_EXPIRED)
            log_warn("listing all metadata failed, will retry", kv("err", e->text));
        retry(m, e->code == ERR_EXPIRED);
    }
    m->n_busy--;
    release(m);
}

static void list_again(void *arg)
{
    struct local_meta *m = arg;
    struct store_list_opts o = { .at_rev = m->rev, .after = buf_str(&m->after), .limit = PAGE };

    m->n_busy++;
    store_list(m->api->store, STR(ROOT), &o, on_list, m);
}

void local_meta_start(struct local_meta **out, struct api *a,
                      const struct local_meta_events *events, void *arg)
{
    struct local_meta *m = mem_alloc(sizeof *m);

    m->api = a;
    m->events = *events;
    m->arg = arg;
    m->after = BUF(64 * 1024);
    timer_init(&m->timer, a->loop);
    list_push(&a->feeds, &m->link);
    *out = m;
    list_again(m);
}

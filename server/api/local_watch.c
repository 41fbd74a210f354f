/*
 * The informer of local.h, straight on the store:
 *
 *   LISTING --> FOLLOWING --(expired)--> LISTING
 *      +--(failed)--> timer --> LISTING
 *
 * Every object is known by its key and revision; a list after a lost watch is compared with what
 * is known, and the differences are told as events.
 */
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/selector.h"
#include "server/api/local.h"
#include "server/api/match.h"
#include "server/api/request.h"
#include "server/schema/crd.h"
#include "server/schema/fields.h"

#define RETRY_MS 1000
#define PAGE_MAX 500        /* objects of a list in one turn of the loop, parsed each */
#define KEY_MAX  (4 * 1024) /* of where a page ended */

struct entry {
    int64_t rev;
    struct store_obj *obj; /* bytes that the store shares, a sixth of a parsed document; NULL with
                              no_cache */
    bool seen;
};

struct local_watch {
    struct list link; /* api.watches */
    struct api *api;
    const struct schema_kind *kind;
    char *prefix;
    struct label_selector *labels;
    struct field_selector *fields;
    struct local_watch_events events;
    void *arg;
    struct map *objs; /* key -> struct entry */
    struct store_watch *sw;
    struct timer timer;
    int64_t list_rev; /* of the pages of the list that is under way */
    struct buf after; /* where its last one ended */
    unsigned n_busy;  /* a list under way, or our own frames on the stack */
    bool synced, stopped, closing;
};

static void list_again(void *arg);

/* ---- end ---- */

static void on_timer_closed(void *arg)
{
    struct local_watch *w = arg;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(w->objs, &i, &key, &v);) {
        struct entry *e = v;

        store_obj_unref(e->obj);
        free(e);
    }
    map_free(w->objs);
    label_selector_free(w->labels);
    field_selector_free(w->fields);
    list_remove(&w->link);
    buf_deinit(&w->after);
    schema_kind_unref(w->kind);
    free(w->prefix);
    free(w);
}

static void release(struct local_watch *w)
{
    if (!w->stopped || w->n_busy || w->closing)
        return;
    w->closing = true;
    timer_close(&w->timer, on_timer_closed, w);
}

void local_watch_stop(struct local_watch *w)
{
    w->stopped = true;
    if (w->sw)
        store_watch_stop(w->sw);
    w->sw = NULL;
    release(w);
}

/* ---- events; each may stop the watch, the caller holds n_busy ---- */

/* A new reference to the shared document; NULL: damaged, which is logged. */
static json_t *parse(const struct local_watch *w, struct store_obj *o)
{
    return json_incref((json_t *)req_parsed(w->api, o, w->kind)); /* nobody changes it */
}

/* The document of an object that the selectors want, else NULL. What they do not want is most of a
 * busy cluster, and not parsed. */
static json_t *wanted(const struct local_watch *w, struct store_obj *o)
{
    struct match m = { .kind = w->kind, .labels = w->labels, .fields = w->fields };
    enum match_verdict v = match_object(&m, o);
    json_t *doc = v == MATCH_NO ? NULL : parse(w, o);

    if (v == MATCH_PARSE && doc && !match_doc(&m, doc)) {
        json_decref(doc);
        doc = NULL;
    }
    return doc;
}

/* last: what the event tells of it, or NULL */
static void forget(struct local_watch *w, struct str key, struct store_obj *last)
{
    struct entry *e = map_remove(w->objs, key);
    json_auto_t *doc = NULL;

    if (!e)
        return;
    doc = e->obj ? parse(w, e->obj) : last ? parse(w, last) : NULL;
    store_obj_unref(e->obj);
    free(e);
    if (!doc) { /* missed, and not kept: what the key tells */
        auto_free char *rest = str_dup(str_n(key.p + strlen(w->prefix), key.n - strlen(w->prefix)));
        char *slash = strchr(rest, '/');

        doc = slash ? json_pack("{s:{s:s%, s:s}}", "metadata", "namespace", rest,
                                (size_t)(slash - rest), "name", slash + 1)
                    : json_pack("{s:{s:s}}", "metadata", "name", rest);
    }
    if (doc)
        w->events.on_event(w->arg, LOCAL_DELETED, doc);
}

static void learn(struct local_watch *w, struct store_obj *o, const json_t *doc)
{
    struct entry *e = map_get(w->objs, store_obj_key(o));
    enum local_event ev = e ? LOCAL_MODIFIED : LOCAL_ADDED;

    if (!e) {
        e = mem_alloc(sizeof *e);
        map_set(w->objs, store_obj_key(o), e);
    }
    e->rev = o->mod_rev;
    e->seen = true;
    if (!w->events.no_cache) {
        store_obj_unref(e->obj);
        e->obj = store_obj_ref(o);
    }
    w->events.on_event(w->arg, ev, doc);
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct local_watch *w = arg;
    struct store_obj *o = ev->now ? ev->now : ev->prev;
    json_t *doc;

    w->n_busy++;
    doc = ev->now ? wanted(w, o) : NULL;
    if (doc)
        learn(w, o, doc);
    else
        forget(w, store_obj_key(o), o);
    json_decref(doc);
    w->n_busy--;
    release(w);
    return true;
}

static void on_end(void *arg, const struct err *e)
{
    struct local_watch *w = arg;

    w->sw = NULL;
    if (e->code == ERR_CANCELED)
        return; /* the store closes */
    timer_start_ms(&w->timer, e->code == ERR_EXPIRED ? 1 : rand_jitter_ms(RETRY_MS, 20), list_again,
                   w);
}

/* ---- the list ---- */

static void compare_page(struct local_watch *w, const struct store_list *l)
{
    for (size_t i = 0; i < l->n && !w->stopped; i++) {
        struct entry *e = map_get(w->objs, store_obj_key(l->v[i]));

        if (e && e->rev == l->v[i]->mod_rev) {
            e->seen = true;
            continue;
        }
        json_t *doc = wanted(w, l->v[i]);
        if (doc)
            learn(w, l->v[i], doc);
        json_decref(doc);
    }
}

/* What no page had is gone. */
static void compare_end(struct local_watch *w)
{
    struct str key;
    void *v;

    for (size_t i = 0; !w->stopped && map_next(w->objs, &i, &key, &v);) {
        if (((struct entry *)v)->seen)
            continue;
        auto_free char *copy = str_dup(key); /* the map's own goes away */

        forget(w, str_n(copy, strlen(copy)), NULL);
    }
}

static void next_page(struct local_watch *w, const struct store_list *l);

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    static const struct store_watch_events events = { on_event, NULL, on_end };
    struct local_watch *w = arg;

    if (!w->stopped && !e) {
        compare_page(w, l);
        if (!w->stopped && l->more) {
            next_page(w, l);
            return;
        }
        compare_end(w);
        if (!w->stopped && !w->synced) {
            w->synced = true;
            if (w->events.on_synced)
                w->events.on_synced(w->arg);
        }
        if (!w->stopped)
            store_watch_start(&w->sw, w->api->store, str_of(w->prefix), l->rev, &events, w);
    } else if (!w->stopped && e->code == ERR_EXPIRED && w->list_rev) {
        timer_start_ms(&w->timer, 1, list_again, w); /* its pages took too long */
    } else if (!w->stopped && e->code != ERR_CANCELED) {
        log_warn("listing for a controller failed, will retry", kv("prefix", w->prefix),
                 kv("err", e->text));
        timer_start_ms(&w->timer, rand_jitter_ms(RETRY_MS, 20), list_again, w);
    }
    w->n_busy--;
    release(w);
}

static void list_page(struct local_watch *w)
{
    struct store_list_opts o = { .at_rev = w->list_rev,
                                 .after = buf_str(&w->after),
                                 .limit = PAGE_MAX };

    store_list(w->api->store, str_of(w->prefix), &o, on_list, w);
}

static void next_page(struct local_watch *w, const struct store_list *l)
{
    w->list_rev = l->rev;
    buf_clear(&w->after);
    err_ignore(buf_add_str(&w->after, store_obj_key(l->v[l->n - 1]))); /* keys are shorter */
    list_page(w);
}

static void list_again(void *arg)
{
    struct local_watch *w = arg;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(w->objs, &i, &key, &v);)
        ((struct entry *)v)->seen = false;
    w->list_rev = 0;
    buf_clear(&w->after);
    w->n_busy++;
    list_page(w);
}

/* ---- start and cache ---- */

void local_watch_start(struct local_watch **out, struct api *a, const struct local_ref *r,
                       const struct local_list_opts *o, const struct local_watch_events *events,
                       void *arg)
{
    struct local_watch *w = mem_alloc(sizeof *w);
    const char *group = r->group ? r->group : "";
    const char *version = r->version ? r->version : local_version(a, group, r->resource);
    struct err e;

    w->kind = schema_find(a->schema, str_of(group), str_of(version), str_of(r->resource));
    if (!w->kind ||
        (o && o->label_selector &&
         label_selector_parse(&w->labels, str_of(o->label_selector), &e)) ||
        (o && o->field_selector &&
         (field_selector_parse(&w->fields, str_of(o->field_selector), &e) ||
          fields_check(w->kind, w->fields, &e))))
        abort(); /* constants of our own controllers */
    schema_kind_ref(w->kind);
    w->api = a;
    w->prefix = resource_prefix(w->kind, r->ns ? r->ns : "");
    w->events = *events;
    w->arg = arg;
    w->objs = map_new();
    w->after = (struct buf)BUF(KEY_MAX);
    timer_init(&w->timer, a->loop);
    list_push(&a->watches, &w->link);
    *out = w;
    list_again(w);
}

const json_t *local_watch_get(const struct local_watch *w, const char *ns, const char *name)
{
    auto_free char *key = resource_key(w->kind, w->kind->namespaced ? ns : "", name);
    const struct entry *e = map_get(w->objs, str_of(key));

    return e && e->obj ? api_lend(w->api, parse(w, e->obj)) : NULL;
}

size_t local_watch_len(const struct local_watch *w)
{
    return map_len(w->objs);
}

bool local_watch_is_synced(const struct local_watch *w)
{
    return w->synced;
}

bool local_watches_are_synced(const struct api *a)
{
    list_each (w, &((struct api *)a)->watches, struct local_watch, link)
        if (!w->synced && !w->stopped)
            return false;
    return true;
}

void local_watch_each(const struct local_watch *w, bool (*fn)(void *arg, const json_t *obj),
                      void *arg)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(w->objs, &i, &key, &v);) {
        const struct entry *e = v;
        json_auto_t *doc = e->obj ? parse(w, e->obj) : NULL;

        if (doc && !fn(arg, doc))
            return;
    }
}

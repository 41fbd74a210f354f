/*
 * The informer's states. Whatever a state waited for ends in informer_step, with the outcome in
 * err (code 0: it went well).
 *
 *              +--------------- next page ---+
 *              v                             |
 *   (new) --> LIST ----------- whole --------+--> WATCH --+
 *              ^  \                            ^    |     | the server ended it, after a while
 *              |   failure                     |    +-----+
 *              |     v                         |    |
 *              +-- BACKOFF --------------------+    | failure, or an end right away
 *              |     ^------------------------------+
 *              +------------------------------------+ 410 Expired: once without a pause
 *
 * After a failure the watch goes on from the last resourceVersion, unless the server refused it:
 * then, and after RELIST_AFTER failures in a row (a datastore that was restored), it lists again.
 * Upstream's reflector (client-go tools/cache/reflector.go) behaves the same way.
 */
#include "base/kube/informer.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"

#include <assert.h>
#include <string.h>

#define PAGE_N              500
#define N_OBJECTS_MAX       10000
#define BACKOFF_MIN_MS      800 /* upstream's reflector: 800 ms to 30 s */
#define BACKOFF_MAX_MS      30000
#define BACKOFF_JITTER_PCT  50
#define WATCH_TIMEOUT_MIN_S 300
#define WATCH_SHORT_MS      1000 /* a watch that ends before, without an event, is a failure */
#define RELIST_AFTER        8

enum informer_state { INFORMER_LIST, INFORMER_WATCH, INFORMER_BACKOFF };

struct informer {
    struct kube_client *client;
    char *path, *label_selector, *field_selector;
    size_t n_objects_max;
    struct informer_events events;
    void *arg;

    enum informer_state state;
    struct map *objects;    /* "namespace/name" -> json_t *, a reference each */
    char *resource_version; /* of the last event or list; NULL: list */
    bool synced;
    struct kube_call *call; /* runs, in LIST and WATCH */
    struct timer timer;     /* BACKOFF */
    struct backoff backoff;
    struct err err; /* outcome of the last wait */
    uint64_t retry_after_ms;
    unsigned n_failures; /* in a row */

    json_t *items; /* pages of a list so far; owned */
    char *continue_token;

    uint64_t watch_started_ms;
    bool watch_had_event;

    bool closing;
    void (*close_done)(void *arg);
    void *close_arg;
};

static void informer_step(struct informer *inf);

/* ---- the objects ---- */

static void add_key(struct buf *out, const char *ns, const char *name)
{
    buf_clear(out);
    err_ignore(buf_addf(out, "%s/%s", ns ? ns : "", name)); /* names are below 1 KiB; a cut one
                                                               is just not found */
}

static bool same_version(const json_t *a, const json_t *b)
{
    const char *v = meta_str(a, "resourceVersion");

    return *v && strcmp(v, meta_str(b, "resourceVersion")) == 0;
}

static void put_object(struct informer *inf, json_t *object)
{
    auto_buf key = BUF(1024);
    json_t *before;

    json_object_del(meta_of(object), "managedFields");
    add_key(&key, meta_namespace(object), meta_name(object));
    before = map_get(inf->objects, buf_str(&key));
    if (before && same_version(before, object))
        return;
    map_set(inf->objects, buf_str(&key), json_incref(object));
    if (!before && inf->events.on_add)
        inf->events.on_add(inf->arg, object);
    else if (before && inf->events.on_update)
        inf->events.on_update(inf->arg, before, object);
    json_decref(before); /* takes NULL */
}

static void drop_object(struct informer *inf, struct str key, json_t *last)
{
    json_t *before = map_remove(inf->objects, key);

    if (!before)
        return;
    if (inf->events.on_delete)
        inf->events.on_delete(inf->arg, last ? last : before);
    json_decref(before);
}

static void set_version(struct informer *inf, const char *version)
{
    if (!*version)
        return;
    free(inf->resource_version);
    inf->resource_version = mem_strdup(version);
}

/* ---- list ---- */

static void drop_pages(struct informer *inf)
{
    json_decref(inf->items);
    inf->items = NULL;
    free(inf->continue_token);
    inf->continue_token = NULL;
}

/* Items of lists come without kind and apiVersion, those of watches with: make them alike. */
static void name_kind(json_t *item, const json_t *list)
{
    const char *kind = json_str_at(list, "kind", ""),
               *version = json_str_at(list, "apiVersion", "");
    size_t n = strlen(kind);

    if (n > 4 && strcmp(kind + n - 4, "List") == 0 && !json_object_get(item, "kind") && *version) {
        json_object_set_new(item, "kind", json_stringn(kind, n - 4));
        json_object_set_new(item, "apiVersion", json_string(version));
    }
}

/* Everything has been listed: tell the differences. */
static void replace_objects(struct informer *inf)
{
    json_auto_t *items = STEAL(inf->items);
    AUTO(map) struct map *listed = map_new();
    auto_buf key = BUF(1024);
    json_auto_t *gone = json_array(); /* keys; for callbacks must not run inside the walk */
    struct str k;
    void *value;
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        add_key(&key, meta_namespace(item), meta_name(item));
        map_set(listed, buf_str(&key), item);
    }
    for (size_t at = 0; map_next(inf->objects, &at, &k, &value);)
        if (!map_get(listed, k))
            json_array_append_new(gone, json_stringn(k.p, k.n));
    json_array_foreach(gone, i, item)
    {
        if (inf->closing)
            return;
        drop_object(inf, str_n(json_string_value(item), json_string_length(item)), NULL);
    }
    json_array_foreach(items, i, item)
    {
        if (inf->closing)
            return;
        put_object(inf, item);
    }
    if (!inf->synced && !inf->closing) {
        inf->synced = true;
        if (inf->events.on_synced)
            inf->events.on_synced(inf->arg);
    }
}

static int take_page(struct informer *inf, json_t *list, struct err *e)
{
    json_t *items = json_object_get(list, "items"), *item;
    const char *more = json_str_at(list, "metadata.continue", "");
    size_t i;

    if (!json_is_object(list) || (!json_is_array(items) && !json_is_null(items)))
        return err_set(e, ERR_PROTOCOL, "list %s: the answer is not a list", inf->path);
    if (!inf->items)
        inf->items = json_array();
    json_array_foreach(items, i, item)
    {
        if (!*meta_name(item))
            return err_set(e, ERR_PROTOCOL, "list %s: an item has no name", inf->path);
        name_kind(item, list);
        json_array_append(inf->items, item);
    }
    if (json_array_size(inf->items) > inf->n_objects_max)
        return err_set(e, ERR_LIMIT, "list %s: more than %zu objects", inf->path,
                       inf->n_objects_max);
    free(inf->continue_token);
    inf->continue_token = *more ? mem_strdup(more) : NULL;
    if (!*more)
        set_version(inf, json_str_at(list, "metadata.resourceVersion", ""));
    return 0;
}

static void on_list(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct informer *inf = arg;

    inf->call = NULL;
    inf->err = e ? *e : (struct err){ 0 };
    inf->retry_after_ms = r->retry_after_ms;
    if (!e && !inf->closing)
        err_ignore(take_page(inf, r->object, &inf->err)); /* kept in err */
    informer_step(inf);
}

static void start_list(struct informer *inf)
{
    const struct kube_list_options o = { .label_selector = inf->label_selector,
                                         .field_selector = inf->field_selector,
                                         .continue_token = inf->continue_token,
                                         .limit = PAGE_N };

    inf->call = kube_list(inf->client, inf->path, &o, on_list, inf);
}

/* ---- watch ---- */

static void set_healthy(struct informer *inf)
{
    inf->n_failures = 0;
    backoff_reset(&inf->backoff);
}

static void on_event(void *arg, enum kube_event_type type, json_t *object)
{
    struct informer *inf = arg;
    auto_buf key = BUF(1024);
    struct err e;

    if (inf->closing || inf->err.code)
        return;
    inf->watch_had_event = true;
    set_healthy(inf);
    set_version(inf, meta_str(object, "resourceVersion"));
    if (type == KUBE_BOOKMARK)
        return;
    if (type == KUBE_DELETED) {
        add_key(&key, meta_namespace(object), meta_name(object));
        drop_object(inf, buf_str(&key), object);
        return;
    }
    if (map_len(inf->objects) >= inf->n_objects_max) {
        add_key(&key, meta_namespace(object), meta_name(object));
        if (!map_get(inf->objects, buf_str(&key))) {
            err_set(&e, ERR_LIMIT, "watch %s: more than %zu objects", inf->path,
                    inf->n_objects_max);
            inf->err = e;
            kube_call_cancel(inf->call);
            return;
        }
    }
    put_object(inf, object);
}

static void on_watch_done(void *arg, uint64_t retry_after_ms, const struct err *e)
{
    struct informer *inf = arg;
    bool was_short = !inf->watch_had_event &&
                     uv_now(kube_client_loop(inf->client)) < inf->watch_started_ms + WATCH_SHORT_MS;

    inf->call = NULL;
    inf->retry_after_ms = retry_after_ms;
    if (e && !inf->err.code) /* else our own verdict stands */
        inf->err = *e;
    else if (!e && was_short)
        err_set(&inf->err, ERR_CLOSED, "watch %s: the server ended it at once", inf->path);
    informer_step(inf);
}

static void start_watch(struct informer *inf)
{
    static const struct kube_watch_events events = { .on_event = on_event,
                                                     .on_done = on_watch_done };
    const struct kube_watch_options o = {
        .label_selector = inf->label_selector,
        .field_selector = inf->field_selector,
        .resource_version = inf->resource_version,
        .timeout_s = (uint32_t)(WATCH_TIMEOUT_MIN_S + rand_below(WATCH_TIMEOUT_MIN_S)),
        .bookmarks = true,
    };

    inf->watch_started_ms = uv_now(kube_client_loop(inf->client));
    inf->watch_had_event = false;
    inf->err = (struct err){ 0 };
    inf->call = kube_watch(inf->client, inf->path, &o, &events, inf);
}

/* ---- the machine ---- */

static void informer_move(struct informer *inf, enum informer_state to)
{
    static const unsigned next[] = {
        [INFORMER_LIST] = 1u << INFORMER_LIST | 1u << INFORMER_WATCH | 1u << INFORMER_BACKOFF,
        [INFORMER_WATCH] = 1u << INFORMER_LIST | 1u << INFORMER_WATCH | 1u << INFORMER_BACKOFF,
        [INFORMER_BACKOFF] = 1u << INFORMER_LIST | 1u << INFORMER_WATCH,
    };

    assert(next[inf->state] & 1u << to);
    inf->state = to;
    if (to == INFORMER_LIST)
        start_list(inf);
    else if (to == INFORMER_WATCH)
        start_watch(inf);
}

static void on_backoff_over(void *arg)
{
    struct informer *inf = arg;

    inf->err = (struct err){ 0 };
    informer_step(inf);
}

static void on_closed(void *arg)
{
    struct informer *inf = arg;
    void (*done)(void *arg) = inf->close_done;
    void *done_arg = inf->close_arg;
    void *object;
    struct str key;

    for (size_t i = 0; map_next(inf->objects, &i, &key, &object);)
        json_decref(object);
    map_free(inf->objects);
    drop_pages(inf);
    free(inf->resource_version);
    free(inf->path);
    free(inf->label_selector);
    free(inf->field_selector);
    free(inf);
    if (done)
        done(done_arg);
}

/* Can the watch go on where it was? */
static bool may_resume(const struct informer *inf)
{
    switch (inf->err.code) {
    case ERR_AGAIN:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_IO:
    case ERR_DENIED:    /* rights may come later; the version is as good as before */
    case ERR_NOT_FOUND: /* a name that does not resolve now; or a kind that will be there later */
        return inf->n_failures % RELIST_AFTER != 0;
    default:
        return false;
    }
}

static void fail_step(struct informer *inf)
{
    bool expired = inf->err.code == ERR_EXPIRED;

    inf->n_failures++;
    drop_pages(inf);
    if (inf->resource_version && !may_resume(inf)) {
        free(inf->resource_version);
        inf->resource_version = NULL;
    }
    if (expired && inf->n_failures == 1) { /* nothing is wrong: we were away for too long */
        informer_move(inf, INFORMER_LIST);
        return;
    }
    informer_move(inf, INFORMER_BACKOFF);
    timer_start_ms(&inf->timer, MAX(backoff_next_ms(&inf->backoff), inf->retry_after_ms),
                   on_backoff_over, inf);
    if (inf->events.on_error)
        inf->events.on_error(inf->arg, &inf->err);
}

static void informer_step(struct informer *inf)
{
    if (inf->closing) {
        if (!inf->call && !uv_is_closing((uv_handle_t *)&inf->timer.h))
            timer_close(&inf->timer, on_closed, inf);
        return;
    }
    if (inf->err.code) {
        fail_step(inf);
        return;
    }
    switch (inf->state) {
    case INFORMER_LIST:
        if (inf->continue_token) {
            informer_move(inf, INFORMER_LIST);
            break;
        }
        replace_objects(inf);
        if (inf->closing) /* in a callback; informer_close has seen to it */
            break;
        informer_move(inf, INFORMER_WATCH);
        break;
    case INFORMER_WATCH:
        set_healthy(inf);
        informer_move(inf, INFORMER_WATCH);
        break;
    case INFORMER_BACKOFF:
        informer_move(inf, inf->resource_version ? INFORMER_WATCH : INFORMER_LIST);
        break;
    }
}

/* ---- the public side ---- */

void informer_new(struct informer **out, const struct informer_config *c,
                  const struct informer_events *events, void *arg)
{
    struct informer *inf = mem_alloc(sizeof *inf);

    inf->client = c->client;
    inf->path = mem_strdup(c->path);
    inf->label_selector = c->label_selector ? mem_strdup(c->label_selector) : NULL;
    inf->field_selector = c->field_selector ? mem_strdup(c->field_selector) : NULL;
    inf->n_objects_max = c->n_objects_max ? c->n_objects_max : N_OBJECTS_MAX;
    inf->events = *events;
    inf->arg = arg;
    inf->objects = map_new();
    inf->backoff = (struct backoff){ .min_ms = BACKOFF_MIN_MS,
                                     .max_ms = BACKOFF_MAX_MS,
                                     .jitter_percent = BACKOFF_JITTER_PCT };
    timer_init(&inf->timer, kube_client_loop(c->client));
    inf->state = INFORMER_LIST;
    start_list(inf);
    *out = inf;
}

void informer_close(struct informer *inf, void (*done)(void *arg), void *arg)
{
    assert(!inf->closing);
    inf->closing = true;
    inf->close_done = done;
    inf->close_arg = arg;
    timer_stop(&inf->timer);
    if (inf->call)
        kube_call_cancel(inf->call); /* its end steps us */
    else
        informer_step(inf);
}

bool informer_is_watching(const struct informer *inf)
{
    return inf->state == INFORMER_WATCH && inf->call;
}

bool informer_is_synced(const struct informer *inf)
{
    return inf->synced;
}

size_t informer_n_objects(const struct informer *inf)
{
    return map_len(inf->objects);
}

json_t *informer_get(const struct informer *inf, const char *ns, const char *name)
{
    auto_buf key = BUF(1024);

    add_key(&key, ns, name);
    return map_get(inf->objects, buf_str(&key));
}

json_t *informer_next(const struct informer *inf, size_t *i)
{
    struct str key;
    void *object;

    return map_next(inf->objects, i, &key, &object) ? object : NULL;
}

void informer_kick(struct informer *inf)
{
    if (inf->state == INFORMER_BACKOFF && !inf->closing)
        timer_start_ms(&inf->timer, 0, on_backoff_over, inf);
}

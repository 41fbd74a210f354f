/*
 * Quota: keeps the status of each ResourceQuota true: what its namespace uses of the amounts that
 * it names (pkg/controller/resourcequota of kubernetes, 1.32). What is created the API server has
 * charged with the object itself (server/api/charge.h); here is counted what a new quota finds and
 * what has become free.
 *
 *   read --> for each kind that its names count: list --> sum --> (the next) --> write
 *    ^---------------------------(somebody charged it meanwhile)---------------------+
 *
 * Every write that takes from a quota changes it, so a sum that is written over the version that
 * was read before the lists has missed nothing. Keys are "namespace/name".
 */
#include "base/core/clock.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/api/local_gone.h"
#include "server/controller/controller.h"
#include "server/resource/quota.h"
#include "server/schema/schema.h"

#define SOON_MS   500    /* after something has gone: things go in swarms */
#define AGAIN_MS  300000 /* upstream's resync: what nobody tells of */
#define TRIES_MAX 5      /* at once, when somebody charges it meanwhile */

struct counter {
    struct controller c;
    struct local_gone *gone;
    struct map *specs; /* key -> the spec that was seen last */
};

struct count {
    struct controller *c;
    struct queue_item *it;
    json_t *quota, *used;
    json_t *resources; /* "pods", "jobs.batch": each once */
    size_t at;
    unsigned n_tries;
};

static void count_free(struct count *k)
{
    json_decref(k->quota);
    json_decref(k->used);
    json_decref(k->resources);
    free(k);
}

static const char *resource_of(const struct count *k)
{
    return json_string_value(json_array_get(k->resources, k->at));
}

/* ---- the status ---- */

static void read_quota(struct count *k);

static void on_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct count *k = arg;
    struct queue_item *it = k->it;
    bool lost = e && e->code == ERR_CONFLICT;

    if (lost && ++k->n_tries < TRIES_MAX && !queue_is_closing(it)) {
        read_quota(k);
        return;
    }
    count_free(k);
    if (!e || lost)
        queue_done_again(it, lost ? SOON_MS : AGAIN_MS);
    else
        queue_done_local(it, code, obj, e);
}

static void write_status(struct count *k)
{
    struct local_ref ref = { .resource = "resourcequotas",
                             .ns = meta_namespace(k->quota),
                             .name = meta_name(k->quota),
                             .subresource = "status" };
    json_t *hard = json_at(k->quota, "spec.hard");
    json_auto_t *status = json_object();

    if (json_object_size(hard))
        json_object_set(status, "hard", hard);
    if (json_object_size(k->used))
        json_object_set(status, "used", k->used);
    if (json_equal(status, json_object_get(k->quota, "status"))) {
        on_written(k, 200, NULL, NULL);
        return;
    }
    json_object_set(k->quota, "status", status);
    local_update(k->c->env->config.api, &ref, k->quota, on_written, k);
}

/* ---- the objects ---- */

static void list_next(struct count *k);

static void on_list(void *arg, int code, const json_t *list, const struct err *e)
{
    struct count *k = arg;
    int64_t now_s = clock_wall_s();
    json_t *obj;
    size_t i;

    (void)code;
    if (queue_is_closing(k->it) || e) {
        struct queue_item *it = k->it;

        count_free(k);
        queue_done(it, e);
        return;
    }
    quota_begin(k->used, json_at(k->quota, "spec.hard"), resource_of(k));
    json_array_foreach(json_object_get(list, "items"), i, obj)
    {
        if (quota_covers(k->quota, resource_of(k), obj))
            quota_use(k->used, resource_of(k), obj, now_s);
    }
    k->at++;
    list_next(k);
}

/* What is not served, or is in no namespace, uses nothing and is not shown. */
static const struct schema_kind *kind_of(const struct count *k, const char *resource)
{
    const struct schema_kind *const *kinds;
    struct str plural, group;
    size_t n;

    kinds = schema_kinds(api_schema(k->c->env->config.api), &n);
    str_cut(str_of(resource), '.', &plural, &group);
    for (size_t i = 0; i < n; i++)
        if (kinds[i]->namespaced && str_is(group, kinds[i]->group) &&
            str_is(plural, kinds[i]->plural))
            return kinds[i];
    return NULL;
}

static void list_next(struct count *k)
{
    const struct schema_kind *kind = NULL;

    while (resource_of(k) && !(kind = kind_of(k, resource_of(k))))
        k->at++;
    if (!kind) {
        write_status(k);
        return;
    }
    struct local_ref ref = { .group = kind->group,
                             .resource = kind->plural,
                             .ns = meta_namespace(k->quota) };
    local_list(k->c->env->config.api, &ref, NULL, on_list, k);
}

static void add_resource(json_t *list, const char *hard_name)
{
    auto_free char *resource = quota_counts(hard_name);
    json_t *v;
    size_t i;

    if (!resource)
        return;
    json_array_foreach(list, i, v)
    {
        if (strcmp(json_string_value(v), resource) == 0)
            return;
    }
    json_array_append_new(list, json_string(resource));
}

static void on_quota(void *arg, int code, const json_t *quota, const struct err *e)
{
    struct count *k = arg;
    struct queue_item *it = k->it;
    const char *hard;
    json_t *v;

    if (queue_is_closing(it) || e || meta_is_deleting(quota)) {
        count_free(k);
        queue_done_local(it, code, quota, e);
        return;
    }
    json_decref(k->quota);
    k->quota = json_deep_copy(quota);
    json_object_clear(k->used);
    json_array_clear(k->resources);
    k->at = 0;
    json_object_foreach(json_at(k->quota, "spec.hard"), hard, v) add_resource(k->resources, hard);
    list_next(k);
}

static void read_quota(struct count *k)
{
    struct str ns, name;

    str_cut(str_of(queue_key(k->it)), '/', &ns, &name);
    auto_free char *ns_text = str_dup(ns), *name_text = str_dup(name);
    struct local_ref ref = { .resource = "resourcequotas", .ns = ns_text, .name = name_text };
    local_get(k->c->env->config.api, &ref, on_quota, k);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct count *k = mem_alloc(sizeof *k);

    *k = (struct count){ .c = c, .it = it, .used = json_object(), .resources = json_array() };
    read_quota(k);
}

/* ---- events ---- */

struct change {
    struct controller *c;
    const char *resource, *ns; /* NULL: any */
};

static bool counts(const json_t *quota, const char *resource)
{
    json_auto_t *names = json_object();

    quota_begin(names, json_at(quota, "spec.hard"), resource);
    return json_object_size(names) > 0;
}

static bool add_if_counted(void *arg, const json_t *quota)
{
    const struct change *p = arg;

    if ((!p->ns || strcmp(meta_namespace(quota), p->ns) == 0) &&
        (!p->resource || counts(quota, p->resource))) {
        auto_free char *key = mem_printf("%s/%s", meta_namespace(quota), meta_name(quota));
        queue_at(p->c->queue, key, SOON_MS);
    }
    return true;
}

static void changed(struct controller *c, const char *resource, const char *ns)
{
    struct change p = { c, resource, ns };

    if (c->env->watches[WATCH_QUOTAS])
        local_watch_each(c->env->watches[WATCH_QUOTAS], add_if_counted, &p);
}

static void on_gone(void *arg, const char *resource, const char *ns)
{
    changed(arg, resource, ns);
}

/* It holds less than before. */
static bool is_ending(const json_t *pod)
{
    const char *phase = json_str_at(pod, "status.phase", "");

    return strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0 || meta_is_deleting(pod);
}

/* Charges change the status only, and need no count; what somebody else writes there is put right
 * by the next one, as upstream does. */
static void on_quota_event(struct counter *q, enum local_event ev, const json_t *quota)
{
    auto_free char *key = mem_printf("%s/%s", meta_namespace(quota), meta_name(quota));
    json_t *spec = json_object_get(quota, "spec"), *known;

    if (ev == LOCAL_DELETED) {
        json_decref(map_remove(q->specs, str_of(key)));
        queue_forget(q->c.queue, key);
        return;
    }
    known = map_get(q->specs, str_of(key));
    if (known && spec && json_equal(known, spec))
        return;
    if (spec)
        json_decref(map_set(q->specs, str_of(key), json_incref(spec)));
    queue_add(q->c.queue, key);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    if (w == WATCH_QUOTAS)
        on_quota_event((struct counter *)c, ev, obj);
    else if (w == WATCH_CRDS)
        changed(c, NULL, NULL); /* a kind that a quota names may be served now */
    else if (is_ending(obj))
        changed(c, "pods", meta_namespace(obj));
}

static struct controller *make(const struct controllers_config *config)
{
    struct counter *q = mem_alloc(sizeof *q);

    (void)config;
    q->specs = map_new();
    return &q->c;
}

static void start(struct controller *c)
{
    local_gone_start(&((struct counter *)c)->gone, c->env->config.api, on_gone, c);
    queue_release(c->queue);
}

static void stop(struct controller *c)
{
    struct counter *q = (struct counter *)c;

    if (q->gone)
        local_gone_stop(q->gone);
    q->gone = NULL;
}

static void counter_free(struct controller *c)
{
    struct counter *q = (struct counter *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(q->specs, &i, &key, &v);)
        json_decref(v);
    map_free(q->specs);
    free(q);
}

const struct controller_ops quota_controller = {
    .name = "quota",
    .watches = WATCH_BIT(WATCH_QUOTAS) | WATCH_BIT(WATCH_PODS) | WATCH_BIT(WATCH_CRDS),
    .n_parallel = 4,
    .make = make,
    .start = start,
    .stop = stop,
    .on_event = on_event,
    .work = work,
    .free = counter_free,
};

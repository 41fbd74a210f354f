/*
 * Quota: keeps the status of each ResourceQuota true: what its namespace uses of the amounts that
 * it names (pkg/controller/resourcequota of kubernetes, 1.32).
 *
 *   for each kind that its names count: list --> sum --> (the next) --> write
 *
 * Keys are "namespace/name". Pods are watched; the other kinds are counted every AGAIN_MS.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/resource/quota.h"
#include "server/schema/schema.h"

#define SOON_MS                                                                                    \
    500                /* after a change: pods change in swarms, and what a quota was charged for  \
                          is not there yet */
#define AGAIN_MS 15000 /* while it counts what nobody tells of */

struct count {
    struct controller *c;
    struct queue_item *it;
    json_t *quota, *used;
    json_t *resources; /* "pods", "jobs.batch": each once */
    size_t at;
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

static bool is_polled(const struct count *k)
{
    return json_array_size(k->resources) > 1 ||
           (json_array_size(k->resources) == 1 &&
            strcmp(json_string_value(json_array_get(k->resources, 0)), "pods") != 0);
}

static void on_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct count *k = arg;
    struct queue_item *it = k->it;
    bool polled = is_polled(k);

    count_free(k);
    if (!e && polled)
        queue_done_again(it, AGAIN_MS);
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

static void work(struct controller *c, struct queue_item *it)
{
    struct str ns, name;
    const char *hard;
    json_t *v;

    str_cut(str_of(queue_key(it)), '/', &ns, &name);
    auto_free char *ns_text = str_dup(ns), *name_text = str_dup(name);
    const json_t *quota = local_watch_get(c->env->watches[WATCH_QUOTAS], ns_text, name_text);
    if (!quota || meta_is_deleting(quota)) {
        queue_done(it, NULL);
        return;
    }
    struct count *k = mem_alloc(sizeof *k);
    *k = (struct count){ .c = c,
                         .it = it,
                         .quota = json_deep_copy(quota),
                         .used = json_object(),
                         .resources = json_array() };
    json_object_foreach(json_at(k->quota, "spec.hard"), hard, v) add_resource(k->resources, hard);
    list_next(k);
}

/* ---- events ---- */

struct pod_change {
    struct controller *c;
    const char *ns;
};

static bool add_of_namespace(void *arg, const json_t *quota)
{
    const struct pod_change *p = arg;

    if (strcmp(meta_namespace(quota), p->ns) == 0) {
        auto_free char *key = mem_printf("%s/%s", p->ns, meta_name(quota));
        queue_at(p->c->queue, key, SOON_MS);
    }
    return true;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    auto_free char *key = mem_printf("%s/%s", meta_namespace(obj), meta_name(obj));
    struct pod_change p = { c, meta_namespace(obj) };

    if (w == WATCH_PODS)
        local_watch_each(c->env->watches[WATCH_QUOTAS], add_of_namespace, &p);
    else if (ev == LOCAL_DELETED)
        queue_forget(c->queue, key);
    else if (json_equal(json_at(obj, "spec.hard"), json_at(obj, "status.hard")))
        queue_at(c->queue, key, SOON_MS);
    else
        queue_add(c->queue, key);
}

const struct controller_ops quota_controller = {
    .name = "quota",
    .watches = WATCH_BIT(WATCH_QUOTAS) | WATCH_BIT(WATCH_PODS),
    .n_parallel = 4,
    .on_event = on_event,
    .work = work,
};

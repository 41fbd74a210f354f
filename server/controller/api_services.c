/*
 * APIService objects of what is served here: `kubectl get apiservices` and operators look for
 * their condition Available (pkg/controlplane/controller/crdregistration and kube-aggregator
 * pkg/controllers/autoregister, 1.32). They carry a label; an object without it, say of an
 * extension API server, is never touched. Unlike upstream ours come back when deleted, and follow
 * the schema for ever, not at the start only.
 *
 * Keys are names of APIServices; "" looks through the schema for those that are missing. Custom
 * kinds come and go with their definitions: the schema follows these within a moment, so we look
 * again a little after each of their events, and once a minute.
 */
#include "server/controller/api_services.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"

enum { AFTER_EVENT_MS = 1000, RESYNC_MS = 60000 };

/* What an APIService says of a group that names no priorities (crdregistration_controller.go). */
enum { CUSTOM_GROUP_PRIORITY = 1000, CUSTOM_VERSION_PRIORITY = 100 };

#define OURS          "kube-aggregator.kubernetes.io/automanaged"
#define REGISTRATIONS "apiregistration.k8s.io"

static const struct local_ref where = { .group = REGISTRATIONS, .resource = "apiservices" };

bool api_service_name_parse(struct str *version, struct str *group, const char *name)
{
    return str_cut(str_of(name), '.', version, group) && version->n;
}

static char *name_of(const struct schema_kind *k)
{
    return mem_printf("%s.%s", k->version, k->group);
}

/* A kind of that group and version; NULL: none is served. */
static const struct schema_kind *kind_of(const struct schema *s, const char *name)
{
    struct str version, group;
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    if (!api_service_name_parse(&version, &group, name) || str_is(group, REGISTRATIONS))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (str_is(group, k[i]->group) && str_is(version, k[i]->version))
            return k[i];
    return NULL;
}

json_t *api_service_wanted(const struct schema *s, const char *name)
{
    const struct schema_kind *k = kind_of(s, name);

    if (!k)
        return NULL;
    bool builtin = k->group_priority;
    return json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:s, s:i, s:i}}", "metadata", "name", name,
                     "labels", OURS, builtin ? "onstart" : "true", "spec", "group", k->group,
                     "version", k->version, "groupPriorityMinimum",
                     builtin ? k->group_priority : CUSTOM_GROUP_PRIORITY, "versionPriority",
                     builtin ? k->version_priority : CUSTOM_VERSION_PRIORITY);
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

    if (json_is_string(y) && !json_string_length(y) && !x)
        return true; /* an empty group is not written */
    return x && y ? json_equal(x, y) : x == y;
}

enum api_service_step api_service_step(const json_t *now, const json_t *wanted)
{
    static const char *const keys[] = {
        "group",   "version",  "groupPriorityMinimum", "versionPriority",
        "service", "caBundle", "insecureSkipTLSVerify"
    };
    const json_t *is = json_object_get(now, "spec"), *should = json_object_get(wanted, "spec");

    if (!now)
        return wanted ? API_SERVICE_CREATE : API_SERVICE_LEAVE;
    if (!*meta_label(now, OURS) || meta_is_deleting(now))
        return API_SERVICE_LEAVE;
    if (!wanted)
        return API_SERVICE_DELETE;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!same(is, should, keys[i]))
            return API_SERVICE_UPDATE;
    return API_SERVICE_LEAVE;
}

/* ---- the loop ---- */

static bool add_one(void *arg, const json_t *obj)
{
    queue_add(arg, meta_name(obj));
    return true;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)ev;
    if (w == WATCH_API_SERVICES)
        queue_add(c->queue, meta_name(obj));
    else
        queue_at(c->queue, "", AFTER_EVENT_MS);
}

static void start(struct controller *c)
{
    queue_add(c->queue, "");
}

static void look_through(struct controller *c, struct queue_item *it)
{
    size_t n;
    const struct schema_kind *const *k = schema_kinds(api_schema(c->env->config.api), &n);

    for (size_t i = 0; i < n; i++) {
        auto_free char *name = name_of(k[i]);
        if (!local_watch_get(c->env->watches[WATCH_API_SERVICES], "", name))
            queue_add(c->queue, name);
    }
    local_watch_each(c->env->watches[WATCH_API_SERVICES], add_one, c->queue); /* gone kinds */
    queue_done_again(it, RESYNC_MS);
}

static void work(struct controller *c, struct queue_item *it)
{
    const char *name = queue_key(it);
    struct local_ref ref = where;
    struct api *api = c->env->config.api;

    if (!*name) {
        look_through(c, it);
        return;
    }
    ref.name = name;
    const json_t *now = local_watch_get(c->env->watches[WATCH_API_SERVICES], "", name);
    json_auto_t *wanted = api_service_wanted(api_schema(api), name), *next = NULL;
    struct local_delete_opts o = { .grace_period_s = -1, .uid = now ? meta_uid(now) : NULL };

    switch (api_service_step(now, wanted)) {
    case API_SERVICE_LEAVE:
        queue_done(it, NULL);
        break;
    case API_SERVICE_CREATE:
        local_create(api, &ref, wanted, queue_done_local, it);
        break;
    case API_SERVICE_UPDATE:
        next = json_deep_copy(now);
        json_object_set(next, "spec", json_object_get(wanted, "spec"));
        local_update(api, &ref, next, queue_done_local, it);
        break;
    case API_SERVICE_DELETE:
        local_delete(api, &ref, &o, queue_done_local, it);
        break;
    }
}

const struct controller_ops api_services_controller = {
    .name = "api_services",
    .watches = WATCH_BIT(WATCH_API_SERVICES) | WATCH_BIT(WATCH_CRDS),
    .n_parallel = 4,
    .start = start,
    .on_event = on_event,
    .work = work,
};

/*
 * Namespace lifecycle: empties a Namespace that is being deleted and then lets it go, by taking
 * "kubernetes" out of its spec.finalizers (pkg/controller/namespace of kubernetes).
 *
 *   KIND --> LIST --> DELETE (a few at a time) --> KIND (the next) ... --> conditions, if they have
 *   changed --> nothing left: FINALIZE
 *          \-> something left: again
 *
 * Of each kind that is served now, custom ones too. A kind that cannot be emptied does not keep the
 * others. What stays for a while (pods in their grace, finalizers of others) is looked at again
 * with a backoff, and at once when a pod of the namespace has gone.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/controller/namespace_left.h"
#include "server/resource/resource.h"
#include "server/schema/crd.h"
#include "server/schema/schema.h"

#define DELETES_MAX 16 /* under way at once: the cluster has other work too */

struct sweep { /* one pass over one namespace */
    struct controller *c;
    struct queue_item *it;
    size_t kind;         /* the next one of schema_kinds */
    uint64_t generation; /* of the schema that it counts in */
    const struct schema_kind *at; /* ref speaks of it */
    struct local_ref ref;
    char **names;
    size_t n_names, at_name, n_pending;
    struct namespace_left left;
};

static void sweep_step(struct sweep *s);

static void names_free(struct sweep *s)
{
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i]);
    free(s->names);
    s->names = NULL;
    s->n_names = s->at_name = 0;
}

static void sweep_free(struct sweep *s)
{
    names_free(s);
    namespace_left_deinit(&s->left);
    schema_kind_unref(s->at);
    free(s);
}

/* Again after a while, or at the next event. */
static void sweep_end(struct sweep *s)
{
    struct queue_item *it = s->it;
    size_t n_errors = json_array_size(s->left.errors);
    struct err e = { 0 };

    if (n_errors)
        err_set(&e, ERR_IO, "%s", json_string_value(json_array_get(s->left.errors, 0)));
    else if (s->left.n_objects)
        err_set(&e, ERR_AGAIN, "%zu objects are still there", s->left.n_objects);
    sweep_free(s);
    queue_done(it, e.code ? &e : NULL);
}

static void failed(struct sweep *s, const char *what, const struct err *e)
{
    auto_free char *why = mem_printf("%s %s: %s", what, s->ref.resource, e->text);

    namespace_left_failed(&s->left, why);
}

/* The next kind whose objects live in namespaces and are stored under it; NULL: no more. */
static const struct schema_kind *next_kind(struct sweep *s)
{
    size_t n;
    const struct schema *schema = api_schema(s->c->env->config.api);
    const struct schema_kind *const *v = schema_kinds(schema, &n);

    if (s->generation != schema_generation(schema)) /* a kind came or went: from the start */
        s->kind = 0;
    s->generation = schema_generation(schema);
    while (s->kind < n) {
        const struct schema_kind *k = v[s->kind++];
        unsigned need = SCHEMA_DELETE | SCHEMA_LIST_VERB;

        if (k->namespaced && (k->verbs & need) == need && resource_is_home(k))
            return k;
    }
    return NULL;
}

static void on_deleted(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct sweep *s = arg;

    (void)code;
    s->n_pending--;
    if (e && e->code != ERR_NOT_FOUND)
        failed(s, "delete", e);
    else if (!e && meta_is_deleting(obj))
        namespace_left_add(&s->left, s->ref.group, s->ref.resource, obj);
    sweep_step(s);
}

static void on_list(void *arg, int code, const json_t *list, const struct err *e)
{
    struct sweep *s = arg;
    json_t *items = json_object_get(list, "items"), *o;
    size_t i;

    (void)code;
    s->n_pending--;
    if (e) {
        failed(s, "list", e);
    } else {
        s->names = mem_calloc(json_array_size(items) + 1, sizeof *s->names);
        json_array_foreach(items, i, o) s->names[s->n_names++] = mem_strdup(meta_name(o));
    }
    sweep_step(s);
}

/* ns has its newest version. */
static void finalize(struct sweep *s, const json_t *ns)
{
    struct controller *c = s->c;
    struct queue_item *it = s->it;
    const json_t *f;
    struct local_ref ref = { .resource = "namespaces",
                             .name = queue_key(it),
                             .subresource = "finalize" };
    json_t *left = json_array();
    size_t i;

    sweep_free(s);
    json_array_foreach(json_at(ns, "spec.finalizers"), i, f)
    {
        if (!json_is_string(f) || strcmp(json_string_value(f), "kubernetes") != 0)
            json_array_append(left, (json_t *)f);
    }
    if (!ns || json_array_size(left) == json_array_size(json_at(ns, "spec.finalizers"))) {
        json_decref(left);
        queue_done(it, NULL); /* gone, or others still hold it */
        return;
    }
    json_auto_t *obj = json_deep_copy(ns);
    json_object_set_new(json_object_get(obj, "spec"), "finalizers", left);
    local_update(c->env->config.api, &ref, obj, queue_done_local, it);
}

static void conclude(struct sweep *s, const json_t *ns)
{
    if (s->left.n_objects || json_array_size(s->left.errors))
        sweep_end(s);
    else
        finalize(s, ns);
}

static void on_told(void *arg, int code, const json_t *ns, const struct err *e)
{
    struct sweep *s = arg;

    if (!e) {
        conclude(s, ns);
        return;
    }
    struct queue_item *it = s->it;
    sweep_free(s);
    queue_done_local(it, code, ns, e);
}

/* Everything was looked at once. */
static void tell(struct sweep *s)
{
    struct local_ref ref = { .resource = "namespaces",
                             .name = queue_key(s->it),
                             .subresource = "status" };
    const json_t *ns = local_watch_get(s->c->env->watches[WATCH_NAMESPACES], "", queue_key(s->it));
    char now[TIME_TEXT_BYTES];

    if (!ns) {
        finalize(s, NULL);
        return;
    }
    json_auto_t *obj = json_deep_copy(ns);
    json_t *status = json_object_get(obj, "status");
    if (!status) {
        status = json_object();
        json_object_set_new(obj, "status", status);
    }
    time_now_s(now);
    json_object_set_new(status, "phase", json_string("Terminating"));
    if (namespace_left_conditions(&s->left, status, now))
        local_update(s->c->env->config.api, &ref, obj, on_told, s);
    else
        conclude(s, ns);
}

static void sweep_step(struct sweep *s)
{
    struct api *api = s->c->env->config.api;

    if (queue_is_closing(s->it)) {
        if (s->n_pending == 0)
            sweep_end(s);
        return;
    }
    if (s->at_name < s->n_names) {
        struct local_delete_opts o = { .grace_period_s = -1, .propagation = "Background" };

        while (s->at_name < s->n_names && s->n_pending < DELETES_MAX) {
            s->ref.name = s->names[s->at_name++];
            s->n_pending++;
            local_delete(api, &s->ref, &o, on_deleted, s);
        }
        return;
    }
    if (s->n_pending)
        return;
    names_free(s);
    schema_kind_unref(s->at);
    const struct schema_kind *k = s->at = next_kind(s);
    schema_kind_ref(k);
    if (k) {
        s->ref = (struct local_ref){
            .group = k->group, .version = k->version, .resource = k->plural, .ns = queue_key(s->it)
        };
        s->n_pending++;
        local_list(api, &s->ref, NULL, on_list, s);
    } else {
        tell(s);
    }
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    const json_t *ns;

    if (w == WATCH_PODS) {
        if (ev != LOCAL_DELETED || !c->env->watches[WATCH_NAMESPACES])
            return;
        ns = local_watch_get(c->env->watches[WATCH_NAMESPACES], "", meta_namespace(obj));
    } else {
        ns = ev == LOCAL_DELETED ? NULL : obj;
    }
    if (ns && meta_is_deleting(ns))
        queue_add(c->queue, meta_name(ns));
}

static void work(struct controller *c, struct queue_item *it)
{
    const json_t *ns = local_watch_get(c->env->watches[WATCH_NAMESPACES], "", queue_key(it));
    struct sweep *s;

    if (!ns || !meta_is_deleting(ns)) {
        queue_done(it, NULL);
        return;
    }
    s = mem_alloc(sizeof *s);
    s->c = c;
    s->it = it;
    namespace_left_init(&s->left);
    sweep_step(s);
}

const struct controller_ops namespace_lifecycle_controller = {
    .name = "namespace_lifecycle",
    .watches = WATCH_BIT(WATCH_NAMESPACES) | WATCH_BIT(WATCH_PODS),
    .n_parallel = 2,
    .retry_max_ms = 5000,
    .on_event = on_event,
    .work = work,
};

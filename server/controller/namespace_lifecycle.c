/*
 * Namespace lifecycle: empties a Namespace that is being deleted and then lets it go, by taking
 * "kubernetes" out of its spec.finalizers (pkg/controller/namespace of kubernetes).
 *
 *   KIND --> LIST --> DELETE (a few at a time) --> KIND (the next) ... --> nothing left: FINALIZE
 *                                                                     \-> something left: again
 *
 * What stays for a while (pods in their grace, finalizers of others) is looked at again with a
 * backoff, and at once when a pod of the namespace has gone.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/schema/schema.h"

#define DELETES_MAX 16 /* under way at once: the cluster has other work too */

struct sweep { /* one pass over one namespace */
    struct controller *c;
    struct queue_item *it;
    size_t kind; /* the next one of schema_kinds */
    struct local_ref ref;
    char **names;
    size_t n_names, at_name, n_pending;
    size_t n_left; /* objects that are still there after their delete */
    struct err err;
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

static void sweep_end(struct sweep *s)
{
    struct queue_item *it = s->it;
    struct err e = s->err;

    if (!e.code && s->n_left)
        err_set(&e, ERR_AGAIN, "%zu objects are still there", s->n_left);
    names_free(s);
    free(s);
    queue_done(it, e.code ? &e : NULL);
}

/* The next kind whose objects live in namespaces and are stored under it; NULL: no more. */
static const struct schema_kind *next_kind(struct sweep *s)
{
    size_t n;
    const struct schema_kind *const *v = schema_kinds(api_schema(s->c->env->config.api), &n);

    while (s->kind < n) {
        const struct schema_kind *k = v[s->kind++];
        unsigned need = SCHEMA_DELETE | SCHEMA_LIST_VERB;

        const char *stored = k->storage_group ? k->storage_group : "";

        if (strcmp(stored, "core") == 0)
            stored = "";

        if (k->namespaced && (k->verbs & need) == need && strcmp(stored, k->group) == 0 &&
            strcmp(k->version, k->storage_version) == 0)
            return k;
    }
    return NULL;
}

static void on_deleted(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct sweep *s = arg;

    (void)code;
    s->n_pending--;
    if (e && e->code != ERR_NOT_FOUND) {
        s->err = *e;
        err_wrap(&s->err, "delete %s", s->ref.resource);
    } else if (!e && meta_is_deleting(obj)) {
        s->n_left++;
    }
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
        s->err = *e;
        err_wrap(&s->err, "list %s", s->ref.resource);
    } else {
        s->names = mem_calloc(json_array_size(items) + 1, sizeof *s->names);
        json_array_foreach(items, i, o) s->names[s->n_names++] = mem_strdup(meta_name(o));
    }
    sweep_step(s);
}

static void finalize(struct sweep *s)
{
    struct controller *c = s->c;
    struct queue_item *it = s->it;
    const json_t *ns = local_watch_get(c->env->watches[WATCH_NAMESPACES], "", queue_key(it)), *f;
    struct local_ref ref = { .resource = "namespaces",
                             .name = queue_key(it),
                             .subresource = "finalize" };
    json_t *left = json_array();
    size_t i;

    names_free(s);
    free(s);
    json_array_foreach(json_at(ns, "spec.finalizers"), i,
                       f) if (!json_is_string(f) || strcmp(json_string_value(f), "kubernetes") != 0)
        json_array_append(left, (json_t *)f);
    if (!ns || json_array_size(left) == json_array_size(json_at(ns, "spec.finalizers"))) {
        json_decref(left);
        queue_done(it, NULL); /* gone, or others still hold it */
        return;
    }
    json_auto_t *obj = json_deep_copy(ns);
    json_object_set_new(json_object_get(obj, "spec"), "finalizers", left);
    local_update(c->env->config.api, &ref, obj, queue_done_local, it);
}

static void sweep_step(struct sweep *s)
{
    struct api *api = s->c->env->config.api;

    if (s->err.code || queue_is_closing(s->it)) {
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
    const struct schema_kind *k = next_kind(s);
    if (k) {
        s->ref = (struct local_ref){
            .group = k->group, .version = k->version, .resource = k->plural, .ns = queue_key(s->it)
        };
        s->n_pending++;
        local_list(api, &s->ref, NULL, on_list, s);
    } else if (s->n_left) {
        sweep_end(s);
    } else {
        finalize(s);
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
    sweep_step(s);
}

const struct controller_ops namespace_lifecycle_controller = {
    .name = "namespace_lifecycle",
    .watches = WATCH_BIT(WATCH_NAMESPACES) | WATCH_BIT(WATCH_PODS),
    .n_parallel = 2,
    .retry_max_ms = 15000,
    .on_event = on_event,
    .work = work,
};

/*
 * CRD finalizer: a definition that is deleted goes when the objects of its kinds are gone
 * (apiextensions-apiserver pkg/controller/finalizer).
 *
 *   MARK (Terminating: nothing new is created) --> LIST --> DELETE (a few at a time) --> LIST
 *        --> nothing left: RELEASE (our finalizer goes, and the definition with it)
 *        \-> something left (finalizers of others): again later
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/schema/crd.h"

#include <string.h>

#define DELETES_MAX   16 /* under way at once: the cluster has other work too */
#define LOOK_AGAIN_MS 1000
#define SEEN_AFTER_MS 500 /* by the other servers of a shared datastore */

struct object {
    char *ns, *name;
};

struct sweep { /* one pass over one definition */
    struct controller *c;
    struct queue_item *it;
    const struct schema_kind *kind; /* a reference */
    struct object *v;
    size_t n, at, n_pending;
    bool deleted; /* the list to come is the one after */
    struct err err;
};

static void objects_free(struct sweep *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].ns);
        free(s->v[i].name);
    }
    free(s->v);
    s->v = NULL;
    s->n = s->at = 0;
}

static struct queue_item *sweep_free(struct sweep *s)
{
    struct queue_item *it = s->it;

    objects_free(s);
    schema_kind_unref(s->kind);
    free(s);
    return it;
}

static const json_t *definition(const struct controller *c, const struct queue_item *it)
{
    return local_watch_get(c->env->watches[WATCH_CRDS], "", queue_key(it));
}

static bool has_ours(const json_t *doc)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_at(doc, "metadata.finalizers"), i, f)
    {
        if (json_is_string(f) && strcmp(json_string_value(f), CRD_FINALIZER) == 0)
            return true;
    }
    return false;
}

/* ---- writes to the definition ---- */

static struct local_ref ref_of(const struct queue_item *it, const char *subresource)
{
    return (struct local_ref){ .group = CRD_GROUP,
                               .resource = CRD_PLURAL,
                               .name = queue_key(it),
                               .subresource = subresource };
}

/* The last step: without our finalizer there is nothing that holds it. */
static void release(struct controller *c, struct queue_item *it)
{
    const json_t *doc = definition(c, it), *f;
    struct local_ref ref = ref_of(it, NULL);
    json_t *left = json_array(), *patch;
    size_t i;

    if (!doc || !has_ours(doc)) {
        json_decref(left);
        queue_done(it, NULL);
        return;
    }
    json_array_foreach(json_at(doc, "metadata.finalizers"), i, f)
    {
        if (!json_is_string(f) || strcmp(json_string_value(f), CRD_FINALIZER) != 0)
            json_array_append(left, (json_t *)f);
    }
    patch = controller_patch_of(doc);
    json_object_set_new(json_object_get(patch, "metadata"), "finalizers", left);
    controller_patch(c, it, &ref, patch);
}

/* The condition Terminating says how far it is. True: a write is under way that ends the work. */
static bool mark(struct controller *c, struct queue_item *it, const json_t *doc, const char *reason,
                 const char *message)
{
    struct local_ref ref = ref_of(it, "status");
    json_auto_t *now = json_deep_copy(doc);
    json_t *patch;

    crd_set_condition(now, clock_wall_s(), "Terminating", true, reason, message);
    if (json_equal(now, (json_t *)doc))
        return false;
    patch = controller_patch_of(doc);
    json_object_set_new(patch, "status",
                        json_pack("{s:O}", "conditions", json_at(now, "status.conditions")));
    controller_patch(c, it, &ref, patch);
    return true;
}

/* ---- the objects ---- */

static void sweep_step(struct sweep *s);

static void on_deleted(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct sweep *s = arg;

    (void)code;
    (void)obj;
    s->n_pending--;
    if (e && e->code != ERR_NOT_FOUND)
        s->err = *e;
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
    } else {
        s->v = mem_calloc(json_array_size(items) + 1, sizeof *s->v);
        json_array_foreach(items, i, o) s->v[s->n++] =
            (struct object){ mem_strdup(meta_namespace(o)), mem_strdup(meta_name(o)) };
    }
    sweep_step(s);
}

static void list(struct sweep *s)
{
    struct local_ref ref = { .group = s->kind->group,
                             .version = s->kind->version,
                             .resource = s->kind->plural };

    s->n_pending++;
    local_list(s->c->env->config.api, &ref, NULL, on_list, s);
}

static void sweep_step(struct sweep *s)
{
    struct local_delete_opts o = { .grace_period_s = -1, .propagation = "Background" };
    struct controller *c = s->c;

    if (s->err.code || queue_is_closing(s->it)) {
        if (s->n_pending)
            return;
        struct err e = s->err;
        struct queue_item *it = sweep_free(s);
        queue_done(it, e.code ? &e : NULL);
        return;
    }
    while (!s->deleted && s->at < s->n && s->n_pending < DELETES_MAX) {
        struct local_ref ref = { .group = s->kind->group,
                                 .version = s->kind->version,
                                 .resource = s->kind->plural,
                                 .ns = s->v[s->at].ns,
                                 .name = s->v[s->at].name };

        s->at++;
        s->n_pending++;
        local_delete(c->env->config.api, &ref, &o, on_deleted, s);
    }
    if (s->n_pending)
        return;
    if (s->n == 0) {
        release(c, sweep_free(s));
    } else if (!s->deleted) {
        s->deleted = true;
        objects_free(s);
        list(s);
    } else { /* somebody's finalizers hold what is left */
        queue_done_again(sweep_free(s), LOOK_AGAIN_MS);
    }
}

/* A version of the definition that is served. NULL: none. */
static const struct schema_kind *served(const struct controller *c, const json_t *doc)
{
    size_t n;
    const struct schema_kind *const *k = schema_kinds(api_schema(c->env->config.api), &n);

    for (size_t i = 0; i < n; i++)
        if (k[i]->custom && strcmp(k[i]->group, json_str_at(doc, "spec.group", "")) == 0 &&
            strcmp(k[i]->plural, json_str_at(doc, "spec.names.plural", "")) == 0)
            return k[i];
    return NULL;
}

static void work(struct controller *c, struct queue_item *it)
{
    const json_t *doc = definition(c, it);

    if (!doc || !meta_is_deleting(doc) || !has_ours(doc)) {
        queue_done(it, NULL);
        return;
    }
    if (!crd_condition_is_true(doc, "Established")) { /* it never had any */
        release(c, it);
        return;
    }
    const struct schema_kind *k = served(c, doc);
    if (!k) {
        if (!mark(c, it, doc, "InstanceDeletionFailed",
                  "no version is served, so its objects cannot be deleted: serve one"))
            queue_done_again(it, LOOK_AGAIN_MS);
        return;
    }
    if (mark(c, it, doc, "InstanceDeletionInProgress", "CustomResource deletion is in progress"))
        return;
    if (!k->custom->terminating) { /* its event is on the way: nothing new is created then */
        queue_done_again(it, 10);
        return;
    }
    struct sweep *s = mem_alloc(sizeof *s);
    s->c = c;
    s->it = it;
    s->kind = k;
    schema_kind_ref(k);
    list(s);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *doc)
{
    (void)w;
    if (ev == LOCAL_DELETED || !meta_is_deleting(doc))
        return;
    if (api_is_shared(c->env->config.api)) /* the other servers stop creating too */
        queue_at(c->queue, meta_name(doc), SEEN_AFTER_MS);
    else
        queue_add(c->queue, meta_name(doc));
}

const struct controller_ops crd_finalizer_controller = {
    .name = "crd_finalizer",
    .watches = WATCH_BIT(WATCH_CRDS),
    .n_parallel = 2,
    .retry_max_ms = 15000,
    .on_event = on_event,
    .work = work,
};

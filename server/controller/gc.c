/*
 * Garbage collector (pkg/controller/garbagecollector of kubernetes, 1.32): deletes objects whose
 * owners are all gone, deletes before its owner what a foreground deletion waits for, and takes the
 * owner out of its dependents where they are to be left behind.
 *
 * What there is comes from one informer over all metadata (server/api/local_meta.h) and is kept as
 * far as it owns or is owned (gc_graph.h). Keys are uids of nodes:
 *
 *   an owner that nobody has seen       asked for, once; not there: its dependents are looked at
 *   being deleted, finalizer orphan     its dependents are freed, then the finalizer goes
 *   being deleted, foregroundDeletion   no dependent blocks it any more: the finalizer goes
 *   has owners                          all are gone, or wait for it: it is deleted (gc_item.c)
 *
 * Before it deletes anything it asks the API for the object and for each owner that it has not seen
 * go: the graph may be late, and is never the only witness.
 */
#include "server/controller/gc.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/api/local_meta.h"
#include "server/schema/crd.h"
#include "server/schema/schema.h"

#include <stdio.h>

#define PARALLEL 16 /* they share commits */

/* ---- what the informer tells ---- */

static size_t owners_of(struct gc *gc, struct gc_owner out[GC_OWNERS_MAX], const json_t *refs)
{
    const struct schema *schema = api_schema(gc->c.env->config.api);
    size_t i, n = 0;
    json_t *r;

    json_array_foreach(refs, i, r)
    {
        const char *api = json_str_at(r, "apiVersion", ""), *kind = json_str_at(r, "kind", "");

        if (n < GC_OWNERS_MAX)
            out[n++] = (struct gc_owner){ .uid = str_of(json_str_at(r, "uid", "")),
                                          .name = str_of(json_str_at(r, "name", "")),
                                          .api_version = str_of(api),
                                          .kind = str_of(kind),
                                          .found = schema_find_api(schema, api, kind),
                                          .block = json_bool_at(r, "blockOwnerDeletion", false) };
    }
    return n;
}

static bool has_finalizer(const json_t *meta, const char *finalizer)
{
    json_t *f;
    size_t i;

    json_array_foreach(json_object_get(meta, "finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), finalizer) == 0)
            return true;
    }
    return false;
}

static void see(struct gc *gc, const struct schema_kind *k, struct str ns, struct str name,
                const json_t *meta)
{
    struct gc_owner owners[GC_OWNERS_MAX] = { 0 };
    struct gc_object seen = {
        .kind = k,
        .ns = ns,
        .name = name,
        .uid = str_of(json_str_at(meta, "uid", "")),
        .deleting = json_object_get(meta, "deletionTimestamp") != NULL,
        .orphan = has_finalizer(meta, "orphan"),
        .foreground = has_finalizer(meta, "foregroundDeletion"),
        .owners = owners,
        .n_owners = owners_of(gc, owners, json_object_get(meta, "ownerReferences")),
    };

    gc_graph_see(gc->graph, &seen);
}

static void on_object(void *arg, const struct local_meta_obj *o)
{
    see(arg, o->kind, o->ns, o->name, o->meta);
}

static void on_gone(void *arg, const char *uid)
{
    gc_graph_gone(((struct gc *)arg)->graph, uid);
}

static void on_list(void *arg)
{
    gc_graph_list_begin(((struct gc *)arg)->graph);
}

static void on_listed(void *arg)
{
    struct gc *gc = arg;

    gc_graph_list_end(gc->graph);
    queue_release(gc->c.queue);
    log_debug("garbage collector has listed", kv("nodes", gc_graph_len(gc->graph)));
}

void gc_see_doc(struct gc *gc, const struct schema_kind *k, const json_t *doc)
{
    const struct gc_node *n = gc_graph_find(gc->graph, meta_uid(doc));

    if (n && !n->absent)
        see(gc, k, str_of(meta_namespace(doc)), str_of(meta_name(doc)),
            json_object_get(doc, "metadata"));
}

/* ---- calls ---- */

void gc_address_of(struct gc_address *out, const struct gc_node *n)
{
    const char *slash = strchr(n->where, '/');

    *out = (struct gc_address){ .ref.ns = NULL };
    snprintf(out->ns, sizeof out->ns, "%.*s", (int)(slash - n->where), n->where);
    snprintf(out->name, sizeof out->name, "%s", slash + 1);
    out->ref = (struct local_ref){ .group = n->kind->group,
                                   .version = n->kind->version,
                                   .resource = n->kind->plural,
                                   .ns = n->kind->namespaced ? out->ns : NULL,
                                   .name = out->name };
}

/* A path that is not served is not found either, and says nothing of the objects behind it. */
static bool is_served(void *arg, const struct schema_kind *k)
{
    const struct gc *gc = arg;

    return k && schema_find(api_schema(gc->c.env->config.api), str_of(k->group), str_of(k->version),
                            str_of(k->plural)) != NULL;
}

void gc_done(struct gc *gc, struct queue_item *it, const struct err *e)
{
    const struct gc_node *n = gc_graph_find(gc->graph, queue_key(it));
    struct err again;

    if (e && e->code == ERR_NOT_FOUND && n && !is_served(gc, n->kind)) {
        err_set(&again, ERR_AGAIN, "its kind is not served now");
        queue_done(it, &again);
    } else if (e && e->code == ERR_NOT_FOUND) {
        auto_free char *uid = mem_strdup(queue_key(it));

        queue_done(it, NULL);
        gc_graph_gone(gc->graph, uid);
    } else if (e && (e->code == ERR_CONFLICT || e->code == ERR_EXISTS)) {
        err_set(&again, ERR_AGAIN, "%s", e->text);
        queue_done(it, &again);
    } else {
        queue_done(it, e);
    }
}

struct job { /* one item under way */
    struct gc *gc;
    struct queue_item *it;
    const struct schema_kind *kind;
    const char *finalizer;
};

static struct job *job_new(struct gc *gc, struct queue_item *it, const struct gc_node *n)
{
    struct job *j = mem_alloc(sizeof *j);

    j->gc = gc;
    j->it = it;
    j->kind = n->kind;
    schema_kind_ref(j->kind);
    return j;
}

static void job_end(struct job *j_take, const struct err *e)
{
    struct job j = *j_take;

    free(j_take);
    schema_kind_unref(j.kind);
    gc_done(j.gc, j.it, e);
}

/* ---- an owner that nobody has seen ---- */

static void owner_end(struct job *j, const json_t *doc)
{
    struct gc *gc = j->gc;
    const struct schema_kind *kind = j->kind;
    auto_free char *uid = mem_strdup(queue_key(j->it));

    schema_kind_ref(kind);
    job_end(j, NULL);
    if (doc)
        gc_see_doc(gc, kind, doc);
    else
        gc_graph_not_found(gc->graph, uid);
    schema_kind_unref(kind);
}

/* All of its name in all namespaces. */
static void on_namesakes(void *arg, int code, const json_t *list, const struct err *e)
{
    struct job *j = arg;
    const json_t *found = NULL;
    json_t *doc;
    size_t i;

    (void)code;
    if (e) {
        job_end(j, e);
        return;
    }
    json_array_foreach(json_object_get(list, "items"), i, doc)
    {
        if (strcmp(meta_uid(doc), queue_key(j->it)) == 0)
            found = doc;
    }
    owner_end(j, found);
}

/* A new reference may mean an owner in another namespace: its writer is told of that, so it is
 * looked for. Those that are older than this collector were judged when they were new. */
static bool may_be_elsewhere(const struct job *j, const struct gc_node *n)
{
    return n && j->kind->namespaced && !n->from_list && !strpbrk(strchr(n->where, '/'), ",=\\");
}

static void on_owner(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct job *j = arg;
    const struct gc_node *n = gc_graph_find(j->gc->graph, queue_key(j->it));
    bool found = !e && strcmp(meta_uid(doc), queue_key(j->it)) == 0;

    (void)code;
    if (e && e->code != ERR_NOT_FOUND) {
        job_end(j, e);
    } else if (found || !may_be_elsewhere(j, n)) {
        owner_end(j, found ? doc : NULL);
    } else {
        auto_free char *selector = mem_printf("metadata.name=%s", strchr(n->where, '/') + 1);
        struct local_ref ref = { .group = j->kind->group,
                                 .version = j->kind->version,
                                 .resource = j->kind->plural };
        struct local_list_opts o = { .field_selector = selector };

        local_list(j->gc->c.env->config.api, &ref, &o, on_namesakes, j);
    }
}

static void ask_for(struct gc *gc, struct queue_item *it, const struct gc_node *n)
{
    struct gc_address at;
    bool nowhere = !n->kind || (n->kind->namespaced && n->where[0] == '/');

    if (nowhere || n->absent) { /* each dependent says where it thinks that it is */
        list_each (r, &n->dependents, struct gc_ref, in)
            queue_add(gc->c.queue, r->dependent->uid);
        queue_done(it, NULL);
        return;
    }
    gc_address_of(&at, n);
    local_get(gc->c.env->config.api, &at.ref, on_owner, job_new(gc, it, n));
}

/* ---- finalizers ---- */

static void on_patched(void *arg, int code, const json_t *doc, const struct err *e)
{
    (void)code;
    (void)doc;
    job_end(arg, e);
}

static void on_finalized(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct job *j = arg;
    json_t *left, *f;
    struct err gone;
    size_t i;

    (void)code;
    if (!e && strcmp(meta_uid(doc), queue_key(j->it)) != 0) {
        err_set(&gone, ERR_NOT_FOUND, "another object has its name");
        e = &gone;
    }
    if (e || !has_finalizer(json_object_get(doc, "metadata"), j->finalizer)) {
        job_end(j, e);
        return;
    }
    left = json_array();
    json_array_foreach(json_at(doc, "metadata.finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), j->finalizer) != 0)
            json_array_append(left, f);
    }
    json_auto_t *patch = controller_patch_of(doc);
    json_object_set_new(json_object_get(patch, "metadata"), "finalizers", left);
    struct local_ref ref = { .group = j->kind->group,
                             .version = j->kind->version,
                             .resource = j->kind->plural,
                             .ns = j->kind->namespaced ? meta_namespace(doc) : NULL,
                             .name = meta_name(doc) };
    local_patch(j->gc->c.env->config.api, &ref, LOCAL_PATCH_MERGE, patch, on_patched, j);
}

void gc_remove_finalizer(struct gc *gc, struct queue_item *it, const char *finalizer)
{
    const struct gc_node *n = gc_graph_find(gc->graph, queue_key(it));
    struct gc_address at;

    if (!n || !n->observed) {
        queue_done(it, NULL);
        return;
    }
    struct job *j = job_new(gc, it, n);
    j->finalizer = finalizer;
    gc_address_of(&at, n);
    local_get(gc->c.env->config.api, &at.ref, on_finalized, j);
}

/* ---- the controller ---- */

static bool is_blocked(const struct gc_node *n)
{
    list_each (r, &((struct gc_node *)(uintptr_t)n)->dependents, struct gc_ref, in)
        if (r->block)
            return true;
    return false;
}

/* Is one of its owners not simply there? */
static bool is_in_doubt(const struct gc_node *n)
{
    for (size_t i = 0; i < n->n_refs; i++) {
        const struct gc_node *o = n->refs[i].owner;

        if (!o->observed || gc_node_waits(o) || !gc_ref_fits(&n->refs[i]))
            return true;
    }
    return false;
}

static void work(struct controller *c, struct queue_item *it)
{
    struct gc *gc = (struct gc *)c;
    const struct gc_node *n = gc_graph_find(gc->graph, queue_key(it));

    if (n && !n->observed)
        ask_for(gc, it, n);
    else if (n && n->deleting && n->orphan)
        gc_orphan_start(gc, it);
    else if (n && gc_node_waits(n) && !is_blocked(n))
        gc_remove_finalizer(gc, it, "foregroundDeletion");
    else if (n && !n->deleting && is_in_doubt(n))
        gc_item_start(gc, it);
    else
        queue_done(it, NULL);
}

static void look(void *arg, const char *uid)
{
    queue_add(((struct gc *)arg)->c.queue, uid);
}

static void start(struct controller *c)
{
    static const struct local_meta_events events = { on_list, on_object, on_gone, on_listed };
    struct gc *gc = (struct gc *)c;

    local_meta_start(&gc->feed, c->env->config.api, &events, gc);
}

static struct controller *make(const struct controllers_config *config)
{
    static const struct gc_graph_events events = { look, is_served };
    struct gc *gc = mem_alloc(sizeof *gc);

    (void)config;
    gc_graph_new(&gc->graph, &events, gc);
    return &gc->c;
}

static void stop(struct controller *c)
{
    struct gc *gc = (struct gc *)c;

    if (gc->feed)
        local_meta_stop(gc->feed);
    gc->feed = NULL;
}

static void gc_free(struct controller *c)
{
    struct gc *gc = (struct gc *)c;

    gc_graph_free(gc->graph);
    free(gc);
}

const struct controller_ops gc_controller = {
    .name = "garbage-collector",
    .n_parallel = PARALLEL,
    .make = make,
    .start = start,
    .stop = stop,
    .work = work,
    .free = gc_free,
};

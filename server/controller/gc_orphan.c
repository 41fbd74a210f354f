/*
 * GC orphan: takes an owner that is deleted with the finalizer "orphan" out of the references of
 * its dependents, a few at a time, and then the finalizer off it (attemptToOrphanWorker).
 *
 *   each dependent: get --> patch (a lost race: get again) ... all done --> the finalizer
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/gc.h"

#define PARALLEL  16
#define TRIES_MAX 8

struct orphaning {
    struct gc *gc;
    struct queue_item *it;
    char **uids; /* of the dependents when it began */
    size_t n, at, n_pending;
    struct err err;
};

struct orphan {
    struct orphaning *all;
    struct gc_address where;
    unsigned n_tries;
};

static void step(struct orphaning *o);

static void orphan_end(struct orphan *x_take, const struct err *e)
{
    struct orphaning *all = x_take->all;

    free(x_take);
    all->n_pending--;
    if (e && e->code != ERR_NOT_FOUND)
        all->err = *e;
    step(all);
}

static void on_got(void *arg, int code, const json_t *doc, const struct err *e);

static void get(struct orphan *x)
{
    local_get(x->all->gc->c.env->config.api, &x->where.ref, on_got, x);
}

static void on_patched(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct orphan *x = arg;

    (void)code;
    (void)doc;
    if (e && e->code == ERR_CONFLICT && ++x->n_tries < TRIES_MAX)
        get(x);
    else
        orphan_end(x, e);
}

static void on_got(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct orphan *x = arg;
    const char *owner = queue_key(x->all->it);
    json_t *refs = json_at(doc, "metadata.ownerReferences"), *left, *r;
    size_t i;

    (void)code;
    if (e || queue_is_closing(x->all->it)) {
        orphan_end(x, e);
        return;
    }
    left = json_array();
    json_array_foreach(refs, i, r)
    {
        if (strcmp(json_str_at(r, "uid", ""), owner) != 0)
            json_array_append(left, r);
    }
    if (json_array_size(left) == json_array_size(refs)) { /* it is free already */
        json_decref(left);
        orphan_end(x, NULL);
        return;
    }
    json_auto_t *patch = controller_patch_of(doc);
    json_object_set_new(json_object_get(patch, "metadata"), "ownerReferences", left);
    local_patch(x->all->gc->c.env->config.api, &x->where.ref, LOCAL_PATCH_MERGE, patch, on_patched,
                x);
}

static void begin_one(struct orphaning *o, const char *uid)
{
    const struct gc_node *n = gc_graph_find(o->gc->graph, uid);

    if (!n || !n->observed)
        return;
    struct orphan *x = mem_alloc(sizeof *x);
    x->all = o;
    gc_address_of(&x->where, n);
    o->n_pending++;
    get(x);
}

static void step(struct orphaning *o)
{
    while (!o->err.code && o->at < o->n && o->n_pending < PARALLEL && !queue_is_closing(o->it))
        begin_one(o, o->uids[o->at++]);
    if (o->n_pending)
        return;
    struct orphaning all = *o;
    bool closing = queue_is_closing(o->it);
    for (size_t i = 0; i < all.n; i++)
        free(all.uids[i]);
    free(all.uids);
    free(o);
    if (all.err.code || closing)
        queue_done(all.it, all.err.code ? &all.err : NULL);
    else
        gc_remove_finalizer(all.gc, all.it, "orphan");
}

void gc_orphan_start(struct gc *gc, struct queue_item *it)
{
    struct gc_node *n = gc_graph_node(gc->graph, queue_key(it));
    struct orphaning *o = mem_alloc(sizeof *o);
    size_t max = 0;

    o->gc = gc;
    o->it = it;
    list_each (r, &n->dependents, struct gc_ref, in)
        max++;
    o->uids = mem_calloc(max + 1, sizeof *o->uids);
    list_each (r, &n->dependents, struct gc_ref, in)
        o->uids[o->n++] = mem_strdup(r->dependent->uid);
    step(o);
}

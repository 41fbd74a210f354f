/*
 * GC item: is an object garbage? (attemptToDeleteItem of garbagecollector.go)
 *
 *   get the object --> each owner in doubt: get it --> judge --> patch its references | delete it
 *
 *   owner          where the reference says    and waits for its dependents
 *   solid          there                       no
 *   waiting        there                       yes
 *   dangling       not there, or of another uid
 *
 * One solid owner keeps the object; the other references are taken out. Else it is deleted: in the
 * foreground if an owner waits and it has dependents itself, and as its own finalizers say if not.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/gc.h"
#include "server/schema/crd.h"
#include "server/schema/schema.h"

struct item {
    struct gc *gc;
    struct queue_item *it;
    const struct schema_kind *kind;
    json_t *doc;   /* as it was got */
    json_t *solid; /* references that stay */
    size_t at, n_dangling, n_waiting;
};

static void next_owner(struct item *x);

static void item_end(struct item *x_take, const struct err *e)
{
    struct item x = *x_take;

    json_decref(x.doc);
    json_decref(x.solid);
    schema_kind_unref(x.kind);
    free(x_take);
    gc_done(x.gc, x.it, e);
}

static const json_t *ref_at(const struct item *x)
{
    return json_array_get(json_at(x->doc, "metadata.ownerReferences"), x->at);
}

static struct local_ref address_of(const struct item *x)
{
    return (struct local_ref){ .group = x->kind->group,
                               .version = x->kind->version,
                               .resource = x->kind->plural,
                               .ns = x->kind->namespaced ? meta_namespace(x->doc) : NULL,
                               .name = meta_name(x->doc) };
}

static void on_done(void *arg, int code, const json_t *doc, const struct err *e)
{
    (void)code;
    (void)doc;
    item_end(arg, e);
}

/* ---- the verdict ---- */

static void delete_it(struct item *x, const char *version, const char *propagation)
{
    struct local_ref ref = address_of(x);
    struct local_delete_opts o = { .grace_period_s = -1,
                                   .uid = meta_uid(x->doc),
                                   .resource_version = version,
                                   .propagation = propagation };

    log_debug("deleting what nobody owns any more", kv("resource", x->kind->plural),
              kv("namespace", meta_namespace(x->doc)), kv("name", meta_name(x->doc)),
              kv("propagation", propagation));
    local_delete(x->gc->c.env->config.api, &ref, &o, on_done, x);
}

static void patch_refs(struct item *x, json_t *refs_take, local_fn done)
{
    struct local_ref ref = address_of(x);
    json_auto_t *patch = controller_patch_of(x->doc);

    json_object_set_new(json_object_get(patch, "metadata"), "ownerReferences", refs_take);
    local_patch(x->gc->c.env->config.api, &ref, LOCAL_PATCH_MERGE, patch, done, x);
}

static void on_unblocked(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct item *x = arg;

    (void)code;
    if (e)
        item_end(x, e);
    else
        delete_it(x, meta_str(doc, "resourceVersion"), "Foreground");
}

/* Two that wait for each other would wait for ever: its references block nobody any more. */
static void unblock(struct item *x)
{
    json_t *refs = json_deep_copy(json_at(x->doc, "metadata.ownerReferences")), *r;
    size_t i;

    json_array_foreach(refs, i, r) json_object_set_new(r, "blockOwnerDeletion", json_false());
    patch_refs(x, refs, on_unblocked);
}

static const char *own_propagation(const struct item *x)
{
    json_t *f;
    size_t i;

    json_array_foreach(json_at(x->doc, "metadata.finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), "orphan") == 0)
            return "Orphan";
        if (strcmp(json_string_value(f), "foregroundDeletion") == 0)
            return "Foreground";
    }
    return "Background";
}

static void judge(struct item *x)
{
    struct gc_node *n = gc_graph_node(x->gc->graph, meta_uid(x->doc));
    const char *version = meta_str(x->doc, "resourceVersion");

    if (json_array_size(x->solid)) {
        if (x->n_dangling + x->n_waiting)
            patch_refs(x, json_incref(x->solid), on_done);
        else
            item_end(x, NULL);
        return;
    }
    if (!x->n_waiting || !n || list_empty(&n->dependents)) {
        delete_it(x, version, own_propagation(x));
        return;
    }
    list_each (r, &n->dependents, struct gc_ref, in) {
        if (!gc_node_waits(r->dependent))
            continue;
        unblock(x);
        return;
    }
    delete_it(x, version, "Foreground");
}

/* ---- the owners ---- */

static void tell_once(struct item *x, const json_t *ref)
{
    struct gc_node *n = gc_graph_node(x->gc->graph, meta_uid(x->doc));

    if (!n || n->told)
        return;
    n->told = true;
    json_auto_t *about = controller_reference(x->doc);
    auto_free char *why = mem_printf(
        "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace \"%s\"",
        json_str_at(ref, "apiVersion", ""), json_str_at(ref, "kind", ""), meta_namespace(x->doc),
        json_str_at(ref, "name", ""), json_str_at(ref, "uid", ""), meta_namespace(x->doc));
    controller_event(&x->gc->c, about, "Warning", "OwnerRefInvalidNamespace", why);
}

/* The owner lives in another namespace? Then whoever wrote the reference should be told. */
static void tell_if_elsewhere(struct item *x, const json_t *ref)
{
    const struct gc_node *o = gc_graph_find(x->gc->graph, json_str_at(ref, "uid", ""));
    const char *ns = meta_namespace(x->doc);
    size_t n = strlen(ns);

    if (o && o->observed && o->where[0] != '/' &&
        (strncmp(o->where, ns, n) != 0 || o->where[n] != '/'))
        tell_once(x, ref);
}

static void settle(struct item *x, bool there, bool waits)
{
    if (!there)
        x->n_dangling++;
    else if (waits)
        x->n_waiting++;
    else
        json_array_append(x->solid, (json_t *)ref_at(x));
    x->at++;
    next_owner(x);
}

static void on_owner(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct item *x = arg;
    const json_t *ref = ref_at(x);
    bool there = !e && strcmp(meta_uid(doc), json_str_at(ref, "uid", "")) == 0, waits = false;
    json_t *f;
    size_t i;

    (void)code;
    if ((e && e->code != ERR_NOT_FOUND) || queue_is_closing(x->it)) {
        item_end(x, e);
        return;
    }
    if (there) {
        const struct schema_kind *k =
            schema_find_api(api_schema(x->gc->c.env->config.api),
                            json_str_at(ref, "apiVersion", ""), json_str_at(ref, "kind", ""));

        json_array_foreach(json_at(doc, "metadata.finalizers"), i, f)
        {
            waits = waits || (meta_is_deleting(doc) &&
                              strcmp(json_string_value(f), "foregroundDeletion") == 0);
        }
        if (k)
            gc_see_doc(x->gc, k, doc);
    } else {
        tell_if_elsewhere(x, ref);
    }
    settle(x, there, waits);
}

/* The graph's reference of x's node that is this one; NULL: it knows none. */
static const struct gc_ref *known_ref(const struct item *x, const json_t *ref)
{
    const struct gc_node *n = gc_graph_find(x->gc->graph, meta_uid(x->doc));

    for (size_t i = 0; n && i < n->n_refs; i++)
        if (strcmp(n->refs[i].owner->uid, json_str_at(ref, "uid", "")) == 0)
            return &n->refs[i];
    return NULL;
}

static void next_owner(struct item *x)
{
    const json_t *ref = ref_at(x);
    const struct gc_ref *known;
    const struct gc_node *o;
    struct err e;

    if (!ref) {
        judge(x);
        return;
    }
    known = known_ref(x, ref);
    o = known ? known->owner : NULL;
    if (o && o->observed && gc_ref_fits(known)) {
        settle(x, true, gc_node_waits(o));
        return;
    }
    const char *api = json_str_at(ref, "apiVersion", ""), *kind = json_str_at(ref, "kind", "");
    const struct schema_kind *k = schema_find_api(api_schema(x->gc->c.env->config.api), api, kind);
    if (k && k->namespaced && !x->kind->namespaced) { /* no such owner can be: it is left alone */
        tell_once(x, ref);
        item_end(x, NULL);
        return;
    }
    if (o && o->gone) {
        settle(x, false, false);
        return;
    }
    if (!k) { /* perhaps it is served in a while; to guess that it is gone would be fatal */
        err_set(&e, ERR_AGAIN, "no matches for kind \"%.100s\" in version \"%.100s\"", kind, api);
        item_end(x, &e);
        return;
    }
    struct local_ref at = { .group = k->group,
                            .version = k->version,
                            .resource = k->plural,
                            .ns = k->namespaced ? meta_namespace(x->doc) : NULL,
                            .name = json_str_at(ref, "name", "") };
    local_get(x->gc->c.env->config.api, &at, on_owner, x);
}

/* ---- the object ---- */

static void on_item(void *arg, int code, const json_t *doc, const struct err *e)
{
    struct item *x = arg;
    struct err gone;

    (void)code;
    if (!e && strcmp(meta_uid(doc), queue_key(x->it)) != 0) {
        err_set(&gone, ERR_NOT_FOUND, "another object has its name");
        e = &gone;
    }
    if (e || meta_is_deleting(doc) || queue_is_closing(x->it) ||
        json_array_size(json_at(doc, "metadata.ownerReferences")) == 0) {
        item_end(x, e);
        return;
    }
    x->doc = json_incref((json_t *)doc);
    x->solid = json_array();
    next_owner(x);
}

void gc_item_start(struct gc *gc, struct queue_item *it)
{
    const struct gc_node *n = gc_graph_find(gc->graph, queue_key(it));
    struct item *x = mem_alloc(sizeof *x);
    struct gc_address at;

    x->gc = gc;
    x->it = it;
    x->kind = n->kind;
    schema_kind_ref(x->kind);
    gc_address_of(&at, n);
    local_get(gc->c.env->config.api, &at.ref, on_item, x);
}

#include "server/controller/gc_graph.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "server/schema/crd.h"

#include <string.h>

struct gc_graph {
    struct map *nodes; /* uid -> struct gc_node * */
    struct gc_graph_events events;
    void *arg;
    uint32_t epoch;
    bool listing;
    const struct gc_node *busy; /* is being changed: not to be dropped */
};

static void look(struct gc_graph *g, const struct gc_node *n)
{
    g->events.look(g->arg, n->uid);
}

uint32_t gc_coords(struct str group, struct str kind, struct str name)
{
    const struct str parts[] = { group, kind, name };
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (size_t k = 0; k < parts[i].n; k++)
            h = (h ^ (unsigned char)parts[i].p[k]) * 16777619u;
        h = (h ^ '/') * 16777619u;
    }
    return h;
}

static uint32_t coords_of_owner(const struct gc_owner *o)
{
    struct str group, version;

    if (!str_cut(o->api_version, '/', &group, &version))
        group = STR("");
    return gc_coords(group, o->kind, o->name);
}

/* ---- nodes ---- */

const struct gc_node *gc_graph_find(const struct gc_graph *g, const char *uid)
{
    return map_get(g->nodes, str_of(uid));
}

struct gc_node *gc_graph_node(struct gc_graph *g, const char *uid)
{
    return map_get(g->nodes, str_of(uid));
}

size_t gc_graph_len(const struct gc_graph *g)
{
    return map_len(g->nodes);
}

static struct gc_node *node_new(struct gc_graph *g, struct str uid)
{
    struct gc_node *n = mem_alloc(sizeof *n + uid.n + 1);

    if (uid.n)
        memcpy(n->uid, uid.p, uid.n);
    list_init(&n->dependents);
    map_set(g->nodes, uid, n);
    return n;
}

static void set_kind(struct gc_node *n, const struct schema_kind *k)
{
    schema_kind_ref(k);
    schema_kind_unref(n->kind);
    n->kind = k;
}

static void node_free(struct gc_node *n)
{
    schema_kind_unref(n->kind);
    free(n->refs);
    free(n->where);
    free(n);
}

/* Nobody needs to know of it. */
static void drop_if_idle(struct gc_graph *g, struct gc_node *n)
{
    if (n == g->busy || n->n_refs || !list_empty(&n->dependents) ||
        (n->observed && n->deleting && (n->orphan || n->foreground)))
        return;
    map_remove(g->nodes, str_of(n->uid));
    node_free(n);
}

static void set_where(struct gc_node *n, struct str ns, struct str name)
{
    if (n->where && strlen(n->where) == ns.n + 1 + name.n && memcmp(n->where, ns.p, ns.n) == 0 &&
        n->where[ns.n] == '/' && memcmp(n->where + ns.n + 1, name.p, name.n) == 0)
        return;
    free(n->where);
    n->where = mem_printf(STR_FMT "/" STR_FMT, STR_ARG(ns), STR_ARG(name));
}

/* ---- references ---- */

static struct str ns_of(const struct gc_node *n)
{
    return str_n(n->where, strcspn(n->where, "/"));
}

bool gc_ref_fits(const struct gc_ref *r)
{
    struct str ns = ns_of(r->owner);

    return r->coords == r->owner->coords && (ns.n == 0 || str_eq(ns, ns_of(r->dependent)));
}

/* A dependent's work depends on what its owner is: anything but well and in its place? */
static bool is_suspect(const struct gc_ref *r)
{
    const struct gc_node *o = r->owner;

    return o->absent || (o->observed && (gc_node_waits(o) || !gc_ref_fits(r)));
}

static void look_at_suspects(struct gc_graph *g, struct gc_node *owner)
{
    list_each (r, &owner->dependents, struct gc_ref, in)
        if (is_suspect(r))
            look(g, r->dependent);
}

/* The owner may have waited for this one. */
static void let_go(struct gc_graph *g, struct gc_node *owner)
{
    if (owner->observed && owner->deleting && (owner->foreground || owner->orphan))
        look(g, owner);
    drop_if_idle(g, owner);
}

static void unlink_refs(struct gc_graph *g, struct gc_ref *refs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        list_remove(&refs[i].in);
    for (size_t i = 0; i < n; i++) {
        bool again = false; /* the same owner twice: it may be gone after the first */

        for (size_t k = 0; k < i; k++)
            again = again || refs[k].owner == refs[i].owner;
        if (!again)
            let_go(g, refs[i].owner);
    }
}

static struct gc_node *owner_of(struct gc_graph *g, const struct gc_owner *o, struct str ns)
{
    auto_free char *uid = str_dup(o->uid);
    struct gc_node *n = map_get(g->nodes, str_of(uid));

    if (n)
        return n;
    n = node_new(g, str_of(uid));
    set_kind(n, o->found);
    set_where(n, o->found && !o->found->namespaced ? STR("") : ns, o->name);
    n->coords = coords_of_owner(o);
    n->epoch = g->epoch;
    n->from_list = g->listing;
    look(g, n);
    return n;
}

static bool same_refs(const struct gc_node *n, const struct gc_object *o, size_t n_owners)
{
    if (n->n_refs != n_owners)
        return false;
    for (size_t i = 0; i < n_owners; i++)
        if (n->refs[i].block != o->owners[i].block ||
            !str_is(o->owners[i].uid, n->refs[i].owner->uid) ||
            n->refs[i].coords != coords_of_owner(&o->owners[i]))
            return false;
    return true;
}

static void set_refs(struct gc_graph *g, struct gc_node *n, const struct gc_object *o)
{
    size_t n_owners = MIN(o->n_owners, (size_t)GC_OWNERS_MAX), n_old = n->n_refs;
    struct gc_ref *old = n->refs;
    bool suspect = false;

    if (same_refs(n, o, n_owners))
        return;
    n->refs = n_owners ? mem_calloc(n_owners, sizeof *n->refs) : NULL;
    n->n_refs = (uint16_t)n_owners;
    n->told = false;
    for (size_t i = 0; i < n_owners; i++) {
        struct gc_node *owner = owner_of(g, &o->owners[i], o->ns);

        n->refs[i] = (struct gc_ref){ .owner = owner,
                                      .dependent = n,
                                      .coords = coords_of_owner(&o->owners[i]),
                                      .block = o->owners[i].block };
        list_push(&owner->dependents, &n->refs[i].in);
        suspect = suspect || is_suspect(&n->refs[i]);
    }
    unlink_refs(g, old, n_old);
    free(old);
    if (suspect)
        look(g, n);
}

/* ---- what is told ---- */

void gc_graph_see(struct gc_graph *g, const struct gc_object *o)
{
    auto_free char *uid = str_dup(o->uid);
    struct gc_node *n = map_get(g->nodes, str_of(uid));
    bool job = o->deleting && (o->orphan || o->foreground);

    if (!n && !job && !o->n_owners)
        return;
    if (!n)
        n = node_new(g, str_of(uid));
    g->busy = n; /* it may have been its own owner */
    bool waited = gc_node_waits(n), was_known = n->observed;
    set_kind(n, o->kind);
    set_where(n, o->ns, o->name);
    n->coords = gc_coords(str_of(o->kind->group), str_of(o->kind->kind), o->name);
    n->epoch = g->epoch;
    n->observed = true;
    n->absent = n->gone = false;
    n->deleting = o->deleting;
    n->orphan = o->orphan;
    n->foreground = o->foreground;
    set_refs(g, n, o);
    if (job)
        look(g, n);
    if (!was_known || (gc_node_waits(n) && !waited))
        look_at_suspects(g, n);
    g->busy = NULL;
    drop_if_idle(g, n);
}

void gc_graph_gone(struct gc_graph *g, const char *uid)
{
    struct gc_node *n = map_get(g->nodes, str_of(uid));

    if (!n)
        return;
    struct gc_ref *refs = n->refs;
    size_t n_refs = n->n_refs;
    g->busy = n;
    n->refs = NULL;
    n->n_refs = 0;
    n->observed = n->deleting = n->orphan = n->foreground = false;
    n->absent = n->gone = true;
    unlink_refs(g, refs, n_refs);
    free(refs);
    look_at_suspects(g, n);
    g->busy = NULL;
    drop_if_idle(g, n);
}

void gc_graph_not_found(struct gc_graph *g, const char *uid)
{
    struct gc_node *n = map_get(g->nodes, str_of(uid));

    if (!n || n->observed || n->absent)
        return;
    n->absent = true;
    look_at_suspects(g, n);
}

void gc_graph_list_begin(struct gc_graph *g)
{
    g->epoch++;
    g->listing = true;
}

void gc_graph_list_end(struct gc_graph *g)
{
    struct map *left = map_new();
    struct str key;
    void *v;

    g->listing = false;
    for (size_t i = 0; map_next(g->nodes, &i, &key, &v);) {
        struct gc_node *n = v;

        if (n->observed && n->epoch != g->epoch &&
            (!g->events.is_listed || g->events.is_listed(g->arg, n->kind)))
            map_set(left, key, n);
    }
    for (size_t i = 0; map_next(left, &i, &key, &v);) {
        auto_free char *uid = str_dup(key);

        gc_graph_gone(g, uid);
    }
    map_free(left);
}

/* ---- life ---- */

void gc_graph_new(struct gc_graph **out, const struct gc_graph_events *events, void *arg)
{
    struct gc_graph *g = mem_alloc(sizeof *g);

    g->nodes = map_new();
    g->events = *events;
    g->arg = arg;
    *out = g;
}

void gc_graph_free(struct gc_graph *g)
{
    struct str key;
    void *v;

    if (!g)
        return;
    for (size_t i = 0; map_next(g->nodes, &i, &key, &v);)
        node_free(v);
    map_free(g->nodes);
    free(g);
}

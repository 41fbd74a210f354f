#pragma once
/*
 * GC graph: who owns whom, over all objects of the cluster (pkg/controller/garbagecollector of
 * kubernetes, graph_builder.go). No I/O: it is told what there is and says what to look at.
 *
 * Only what has an owner, is one, or waits for the collector has a node: most objects of a cluster
 * cost nothing. An owner that nobody has seen yet has a node that is not observed; who looks at it
 * asks the API. An uid that is gone never comes back.
 *
 * Loop thread only.
 */
#include "base/core/list.h"
#include "base/core/str.h"

struct schema_kind;

struct gc_node;
struct gc_ref {     /* one ownerReference */
    struct list in; /* owner's dependents */
    struct gc_node *owner, *dependent;
    uint32_t coords; /* what it says of the owner, as gc_coords */
    bool block;      /* blockOwnerDeletion */
};

struct gc_node {
    struct list dependents;         /* gc_ref.in */
    struct gc_ref *refs;            /* its own owners */
    const struct schema_kind *kind; /* a reference (crd.h); of an owner that is not observed: what the first reference
                                       says; NULL: a kind that is not served */
    char *where;                    /* "<ns>/<name>", "/<name>"; the same */
    uint32_t coords, epoch;
    uint16_t n_refs;
    bool observed;  /* an object of this uid is there, and the rest is its */
    bool absent;    /* it is gone, or was asked for and not found */
    bool gone;      /* it was seen to go: nobody needs to be asked */
    bool from_list; /* of an owner: known since the list, which its reference is older than */
    bool deleting, orphan, foreground;
    bool told; /* an event was written about its references */
    char uid[];
};

struct gc_graph;
struct gc_graph_events {
    void (*look)(void *arg, const char *uid); /* at this node; must not change the graph */
    /* Would a list have shown an object of this kind? Else its absence says nothing. NULL: yes. */
    bool (*is_listed)(void *arg, const struct schema_kind *k);
};
void gc_graph_new(struct gc_graph **out, const struct gc_graph_events *events, void *arg);
void gc_graph_free(struct gc_graph *g);
const struct gc_node *gc_graph_find(const struct gc_graph *g, const char *uid);
struct gc_node *gc_graph_node(struct gc_graph *g, const char *uid); /* the same, to change told */
size_t gc_graph_len(const struct gc_graph *g);

/* What an ownerReference says of its owner, without the version: equal texts, equal numbers. */
uint32_t gc_coords(struct str group, struct str kind, struct str name);

#define GC_OWNERS_MAX 64 /* of one object; what is behind them is not followed */
struct gc_owner {
    struct str uid, name;
    struct str api_version, kind;
    const struct schema_kind *found; /* NULL: not served */
    bool block;
};
struct gc_object {
    const struct schema_kind *kind;
    struct str ns, name, uid;
    bool deleting, orphan, foreground;
    const struct gc_owner *owners;
    size_t n_owners;
};
/* There it is, new or changed. */
void gc_graph_see(struct gc_graph *g, const struct gc_object *o);
void gc_graph_gone(struct gc_graph *g, const char *uid);
/* It was asked for where it should be, and is not there. */
void gc_graph_not_found(struct gc_graph *g, const char *uid);

/* Between the two everything that exists is seen; what was observed before and is not seen is gone.
 */
void gc_graph_list_begin(struct gc_graph *g);
void gc_graph_list_end(struct gc_graph *g);

/* Does the reference name the place where the observed owner is? */
bool gc_ref_fits(const struct gc_ref *r);
/* Both of the owner's deletion: it waits until its dependents are deleted. */
static inline bool gc_node_waits(const struct gc_node *n)
{
    return n->deleting && n->foreground;
}

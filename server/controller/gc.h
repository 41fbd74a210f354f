#pragma once
/*
 * GC: the parts of the garbage collector (gc.c, gc_item.c, gc_orphan.c). Inside server/controller
 * only.
 */
#include "server/controller/controller.h"
#include "server/controller/gc_graph.h"

struct local_meta;
struct schema_kind;

struct gc {
    struct controller c;
    struct gc_graph *graph;
    struct local_meta *feed;
};

/* Both end with the item's queue_done; the node of its key exists now, and may be gone later. */
void gc_item_start(struct gc *gc, struct queue_item *it);   /* gc_item.c: deletes it, perhaps */
void gc_orphan_start(struct gc *gc, struct queue_item *it); /* gc_orphan.c: frees its dependents */

/* ---- gc.c ---- */
/* Takes a finalizer off the object of this node and ends the item. */
void gc_remove_finalizer(struct gc *gc, struct queue_item *it, const char *finalizer);
/* An object that was got from the API is there. Not if the graph has heard that it is gone. */
void gc_see_doc(struct gc *gc, const struct schema_kind *k, const json_t *doc);
/* How to address the object of a node; texts live as long as the node does not change. */
struct gc_address {
    struct local_ref ref;
    char ns[256], name[256];
};
void gc_address_of(struct gc_address *out, const struct gc_node *n);
/* Ends an item with the outcome of a call: a lost race comes again soon, what is gone is told to
 * the graph. */
void gc_done(struct gc *gc, struct queue_item *it, const struct err *e);

#pragma once
/*
 * Local meta: an informer over every object of every kind, as parts of its metadata only.
 * One list and one watch for the whole datastore, so kinds that come and go need nothing. Keeps
 * nothing of what it tells. Events of the kinds Event are left out: they own nothing and are owned
 * by nobody. Loop thread only.
 */
#include "base/core/str.h"

#include <jansson.h>

struct api;
struct schema_kind;
struct local_meta;

struct local_meta_obj {
    const struct schema_kind *kind; /* how to address it; lives as long as the schema has it */
    struct str ns, name;            /* ns empty: cluster scope */
    const json_t *meta; /* uid, ownerReferences, finalizers, deletionTimestamp, as far as set */
};

struct local_meta_events {
    /* Everything is about to be told; what is not told until on_listed is not there any more. It
     * comes again when a watch was lost. */
    void (*on_list)(void *arg);
    void (*on_object)(void *arg, const struct local_meta_obj *o);
    void (*on_gone)(void *arg, const char *uid);
    void (*on_listed)(void *arg);
};

void local_meta_start(struct local_meta **out, struct api *a,
                      const struct local_meta_events *events, void *arg);
void local_meta_stop(struct local_meta *m); /* no more events; gone at once for the caller */

#pragma once
/*
 * Remove: the parts of delete and deletecollection (remove.c, remove_options.c, remove_many.c).
 * Inside server/api only.
 */
#include "server/api/write.h"

/* remove_options.c: the body's DeleteOptions, or without a body the query's, as r->opts. False:
 * answered with 400 or 422. */
bool remove_options(struct api_req *r);

/* The finalizers that tell the collector (server/controller/gc.c) what becomes of obj's dependents
 * are added to obj or taken from it as opts, those that are there, and the kind's default demand,
 * in this order (registry/generic/registry/store.go, deletionFinalizersForGarbageCollection). True:
 * they have changed. */
bool remove_set_finalizers(const struct schema_kind *k, json_t *obj, const json_t *opts);

void remove_many_step(struct api_req *r); /* remove_many.c: deletecollection */

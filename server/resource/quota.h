#pragma once
/*
 * Quota: what an object uses of the amounts that a ResourceQuota bounds
 * (pkg/quota/v1/evaluator/core and the generic evaluators of kubernetes, 1.32). Pure functions over
 * documents. Any thread.
 */
#include "base/core/str.h"
#include "base/kube/quantity.h"

#include <jansson.h>

/* Whose objects a name of spec.hard counts, as "pods" or "jobs.batch". A new string; NULL:
 * nobody's. Events are not counted (pkg/quota/v1/install/registry.go). */
char *quota_counts(const char *hard_name);

/* resource: as of quota_counts. Its scopes are those of the object; only pods have any. */
bool quota_covers(const json_t *quota, const char *resource, const json_t *obj);

/* Adds what the object uses to those amounts of used that are there. */
void quota_use(json_t *used, const char *resource, const json_t *obj, int64_t now_s);

/* {"name": "0"} for each name of hard (of a spec or a status) that counts objects of that resource.
 */
void quota_begin(json_t *used, const json_t *hard, const char *resource);

/* An amount of a map like used or hard. False: it is not there. */
bool quota_amount(struct quantity *out, const json_t *map, const char *name);
/* Adds to an amount of used that is there. */
void quota_add_to(json_t *used, const char *name, const struct quantity *more);

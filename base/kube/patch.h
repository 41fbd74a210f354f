#pragma once
/*
 * Patch: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) on documents. Pure; any thread.
 */
#include "base/core/err.h"

#include <jansson.h>

#define PATCH_OPS_MAX   10000 /* upstream's limit of operations in one JSON patch */
#define PATCH_DEPTH_MAX 200   /* as JSON_DEPTH_MAX: our walkers recurse */

/* *out is new; doc and ops are left alone. ERR_INVALID: malformed, or a path does not exist;
 * ERR_CONFLICT: a test did not hold; ERR_LIMIT. */
MUST_USE int patch_json(json_t **out, const json_t *doc, const json_t *ops, struct err *e);
/* ERR_LIMIT when patch is nested deeper than PATCH_DEPTH_MAX. */
MUST_USE int patch_merge(json_t **out, const json_t *doc, const json_t *patch, struct err *e);

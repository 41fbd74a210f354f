#pragma once
/*
 * Defaults: fills what a client may leave out, with upstream's values: first the table's, then the
 * hooks of values that depend on others (imagePullPolicy on the tag, targetPort on port). Run it on
 * every decoded object, on create, update and after a patch; it never changes what is set. Any
 * thread.
 */
#include "server/schema/schema.h"

void defaults_apply(const struct schema_kind *k, json_t *obj);
/* What an object is born with, on create only, before defaults_apply: a Namespace's finalizer, the
 * phase of a Pod, metadata.generation 1; and status taken off where clients may not set it (kinds
 * with a status subresource). */
void defaults_prepare_create(const struct schema_kind *k, json_t *obj);
/* Table defaults only: a part of an object, or a type that is no kind. */
void defaults_apply_type(const struct schema_type *t, json_t *value);

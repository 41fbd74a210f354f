#pragma once
/*
 * Validate hooks: rules that no table can say, by the type they are about, so that a pod's rules
 * hold in every template too. Upstream's pkg/apis/<group>/validation, release 1.32. For validate.c.
 */
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

/* v is an object of the type, at p. */
typedef void (*validate_hook_fn)(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe);
validate_hook_fn validate_hook(const struct schema_type *t); /* NULL: none */

/* What an update of the whole object may not change. */
typedef void (*validate_update_fn)(const json_t *v, const json_t *old, struct field_errors *fe);
validate_update_fn validate_update_hook(const struct schema_kind *k); /* NULL: none */

#pragma once
/*
 * Validate hooks: rules that no table can say. By the type they are about, so that a pod's rules
 * hold in every template too; and by kind, for what depends on the verb or on the object as it was.
 * Upstream's pkg/apis/<group>/validation, release 1.32; one file per noun, registered here. For
 * validate.c.
 */
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

/* v is an object of the type, at p; its children have been looked at. */
typedef void (*validate_hook_fn)(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe);
validate_hook_fn validate_hook(const struct schema_type *t); /* NULL: none */

enum validate_when {
    VALIDATE_CREATE, /* old is NULL */
    VALIDATE_UPDATE, /* of the whole object */
    VALIDATE_STATUS,
    VALIDATE_EPHEMERAL, /* ephemeralcontainers */
    VALIDATE_APPROVAL,  /* approval */
};
/* v is the object as it would be stored, old the stored one. */
typedef void (*validate_kind_fn)(const json_t *v, const json_t *old, struct field_errors *fe);
validate_kind_fn validate_kind_hook(const struct schema_kind *k, enum validate_when when);

/* The values that a string of t may have, in the order in which errors list them. NULL: any, or a
 * hook looks. */
const char *const *validate_variants(const struct schema_type *t);

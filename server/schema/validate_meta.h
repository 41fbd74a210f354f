#pragma once
/*
 * Validate meta: an object's metadata (apimachinery pkg/api/validation/objectmeta.go, release 1.32,
 * and what the built-in kinds demand of finalizers' names beyond it). For validate*.c. Any thread.
 */
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

void check_metadata(const struct schema_kind *k, const json_t *metadata, struct field_errors *fe);
void check_metadata_update(const json_t *now, const json_t *old, struct field_errors *fe);
/* Of a resource that lies inside of another, at p. */
void validate_embedded_meta(const json_t *meta, const struct field_path *p,
                            struct field_errors *fe);
/* NULL: a name that finalizers of built-in kinds may have: known, or with a domain. */
const char *finalizer_problem(const char *name);

/* NULL: s has the form, else upstream's sentence. Forms of numbers are always fine. */
const char *format_problem(enum schema_format format, const char *s);

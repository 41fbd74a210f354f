#pragma once
/*
 * Validate_rig: tables of what validation says. A row is a patch (RFC 7386, ' for ") onto a base
 * object that is fine, and the causes: "field: message" each, one a line, "" for none. The object
 * goes the way of a request's: strict decoding, defaults, validation; and what has its defaults is
 * not changed by getting them again. A failing row ends the test. cmocka first.
 */
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

struct vrow {
    const char *patch, *errors;
};
struct urow {
    const char *old, *now, *errors;
};
typedef void (*rig_update_fn)(const struct schema_kind *k, const json_t *obj, const json_t *old,
                              struct field_errors *fe);

/* kind: "v1 Pod" */
void rig_create(const char *kind, const char *base, const struct vrow *rows, size_t n);
/* Both are patched onto base. update: validate_update and its kin. */
void rig_update(const char *kind, const char *base, rig_update_fn update, const struct urow *rows,
                size_t n);
/* errors: the object with its defaults, compact, its keys sorted, ' for ". */
void rig_defaults(const char *kind, const char *base, const struct vrow *rows, size_t n);

#pragma once
/*
 * Fields: the labels that field selectors may use, and their values in an object. Any thread.
 */
#include "base/core/err.h"
#include "base/kube/selector.h"
#include "server/schema/schema.h"

/* The value as selectors see it: "" when absent, "false" for an absent bool. Borrowed from obj, or
 * constant; a number lies in scratch. NULL: k does not support this label. */
#define FIELDS_SCRATCH_MAX 32
const char *fields_value(const struct schema_kind *k, const json_t *obj, const char *label,
                         char scratch[FIELDS_SCRATCH_MAX]);

/* Where its value lies in the object, "spec.nodeName"; label is one that k supports. */
const char *fields_path(const struct schema_kind *k, const char *label);
/* Where it lies when that is empty. NULL: nowhere. */
const char *fields_fallback(const struct schema_kind *k, const char *label);

/* ERR_INVALID: `field label not supported: spec.foo`. */
MUST_USE int fields_check(const struct schema_kind *k, const struct field_selector *s,
                          struct err *e);
bool fields_match(const struct schema_kind *k, const json_t *obj, const struct field_selector *s);

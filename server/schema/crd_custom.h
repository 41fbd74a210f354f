#pragma once
/*
 * CRD custom: what a version of a definition does to whole objects: validation, and the way between
 * the version that is stored and the one that is asked for. Conversion is "None": the same fields
 * under another apiVersion, so what the other version does not know goes.
 */
#include "server/schema/crd.h"
#include "server/schema/field_error.h"

/* old NULL: a create. */
void crd_custom_validate(const struct crd_version *v, const json_t *obj, const json_t *old,
                         struct field_errors *fe);
/* The status alone, as its subresource writes it; rules of the whole object. */
void crd_custom_validate_status(const struct crd_version *v, const json_t *obj, const json_t *old,
                                struct field_errors *fe);

/* Of every custom kind: defaults and pruning on read, pruning by the stored version's schema on
 * write. */
extern const struct schema_convert crd_custom_convert;

#pragma once
/*
 * Strategic: strategic merge patch, by the tables' patch strategies and merge keys, with the
 * directives $patch (replace, delete, merge), $deleteFromPrimitiveList/<list>,
 * $setElementOrder/<list> and $retainKeys (the community document "strategic-merge-patch"). Custom
 * resources have no strategic merge patch: the API answers 415 for them. Any thread.
 */
#include "base/core/err.h"
#include "server/schema/schema.h"

/* *out is a new object; original and patch are left alone. ERR_INVALID: the patch is malformed. */
MUST_USE int strategic_apply(json_t **out, const struct schema_type *t, const json_t *original,
                             const json_t *patch, struct err *e);

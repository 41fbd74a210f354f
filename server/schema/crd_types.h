#pragma once
/*
 * CRD types: a custom kind's schema as the tables that built-in kinds have, for what reads tables:
 * owners of fields and server-side apply, field selectors. What tables cannot say (values,
 * alternatives) stays with the tree. Any thread; the tree outlives what is made.
 */
#include "base/core/arena.h"
#include "server/schema/crd_node.h"

/* The type of the whole object, named kind, in a, which has no bounds. group_version is
 * borrowed. */
const struct schema_type *crd_types_make(struct arena *a, const struct crd_node *root,
                                         const char *group_version, const char *kind);

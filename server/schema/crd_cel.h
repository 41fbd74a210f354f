#pragma once
/*
 * CRD cel: what a part of a custom kind's schema is to the expressions of its rules
 * (k8s.io/apiserver pkg/cel/common/schemas.go): which fields they see, as which types, and how long
 * and many these can be.
 */
#include "server/cel/cel.h"
#include "server/schema/crd_node.h"

#define CRD_REQUEST_MAX_BYTES (3U * 1024 * 1024) /* sizes without a bound of their own follow */

/* is_root: of a whole object or an embedded resource, whose apiVersion, kind and the names in its
 * metadata are always seen. NULL: expressions do not see it. Made in a, which has no bounds; n and
 * its document outlive it. */
const struct cel_type *crd_cel_type(struct arena *a, const struct crd_node *n, bool is_root);

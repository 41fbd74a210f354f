#pragma once
/*
 * CRD validate: an instance against its schema, in upstream's words (kube-openapi/pkg/validation,
 * apiextensions-apiserver pkg/apiserver/{validation,schema/listtype,schema/objectmeta}). One
 * thread.
 *
 * On an update, values that are what they were before are not looked at again (KEP 4008, CRD
 * validation ratcheting): an object that was stored under an older schema can still be changed
 * elsewhere.
 */
#include "server/schema/crd_node.h"
#include "server/schema/field_error.h"

#define CRD_CHECKS_MAX 500000 /* values looked at for one object, once for each alternative */

/* old: the value before, NULL: there was none. prefix: where v lies, "" for a whole object; names
 * inside the sentences count from v, as upstream's. */
void crd_validate(const struct crd_node *n, const json_t *v, const json_t *old, const char *prefix,
                  struct field_errors *fe);
/* Lists of type set and map hold nothing twice. p: where v lies. */
void crd_validate_lists(const struct crd_node *n, const json_t *v, const struct field_path *p,
                        struct field_errors *fe);
/* apiVersion, kind and metadata of embedded resources. p NULL: v is a whole object, whose own are
 * not looked at. */
void crd_validate_embedded(const struct crd_node *n, const json_t *v, const struct field_path *p,
                           struct field_errors *fe);

#pragma once
/*
 * CRD check: is a CustomResourceDefinition one that can be served? Upstream's rules and words:
 * apiextensions-apiserver pkg/apis/apiextensions/validation and pkg/apiserver/schema (structural
 * schemas), release 1.32. Any thread.
 *
 * Conversion by webhook, which upstream takes, is refused.
 */
#include "server/schema/field_error.h"

#include <jansson.h>

/* doc has its defaults and its storedVersions. */
void crd_check(const json_t *doc, struct field_errors *fe);
/* What an update may not change. */
void crd_check_update(const json_t *doc, const json_t *old, struct field_errors *fe);
/* One version's openAPIV3Schema, at p. has_status: the version has a status subresource. */
void crd_check_schema(const json_t *schema, const struct field_path *p, bool has_status,
                      struct field_errors *fe);
/* The x-kubernetes-validations of a schema that is fine otherwise. */
struct crd_node;
void crd_check_rules(const struct crd_node *n, const struct field_path *p, struct field_errors *fe);

/* spec with what upstream fills in: singular, listKind, conversion. */
void crd_set_defaults(json_t *spec);

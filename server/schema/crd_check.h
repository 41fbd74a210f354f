#pragma once
/*
 * CRD check: is a CustomResourceDefinition one that can be served? Upstream's rules and words:
 * apiextensions-apiserver pkg/apis/apiextensions/validation and pkg/apiserver/schema (structural
 * schemas), release 1.32. Any thread.
 *
 * Two things that upstream takes are not done here yet: conversion by webhook is refused; rules of
 * x-kubernetes-validations are accepted, not enforced, and who writes them is warned (crd_warn).
 */
#include "server/schema/decode.h"
#include "server/schema/field_error.h"

#include <jansson.h>

/* doc has its defaults and its storedVersions. */
void crd_check(const json_t *doc, struct field_errors *fe);
/* What an update may not change. */
void crd_check_update(const json_t *doc, const json_t *old, struct field_errors *fe);
/* One version's openAPIV3Schema, at p. has_status: the version has a status subresource. */
void crd_check_schema(const json_t *schema, const struct field_path *p, bool has_status,
                      struct field_errors *fe);
/* One note for each version that has rules. */
void crd_warn(const json_t *doc, struct decode_notes *notes);

/* spec with what upstream fills in: singular, listKind, conversion. */
void crd_set_defaults(json_t *spec);

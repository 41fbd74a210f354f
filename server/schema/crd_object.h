#pragma once
/*
 * CRD object: what a custom kind's schema does to an instance: fields that it does not know go,
 * defaults come (apiextensions-apiserver pkg/apiserver/schema/{pruning,defaulting,objectmeta}).
 * apiVersion, kind and metadata of the object, and of every embedded resource, are always known.
 * One thread.
 */
#include "server/schema/crd_node.h"
#include "server/schema/decode.h"

/* Takes off what n does not know; each path is noted (notes may be NULL). is_root: v is a whole
 * object. True: something was taken. */
bool crd_prune(const struct crd_node *n, json_t *v, bool is_root, struct decode_notes *notes);
/* Nulls that the schema does not allow and has no default for. True: something was taken. */
bool crd_drop_nulls(const struct crd_node *n, json_t *v);
/* Values for what is absent, or null where it may not be. True: something was set. */
bool crd_default(const struct crd_node *n, json_t *v);

/* decode_object for a custom kind: types of metadata, unknown fields. */
MUST_USE int crd_decode(const struct crd_node *root, json_t *obj, struct str raw,
                        enum decode_mode mode, struct decode_notes *notes, struct err *e);

#pragma once
/*
 * CRD node: the openAPIV3Schema of a custom kind as a tree that instances are checked against. The
 * protocol facts are apiextensions.k8s.io/v1 JSONSchemaProps and upstream's structural schema
 * (apiextensions-apiserver pkg/apiserver/schema).
 *
 * Texts and values are borrowed from the document that the tree is made from: it outlives the tree
 * and nobody changes it. A tree is constant but for its patterns, which keep their workspace: one
 * thread.
 */
#include "base/core/err.h"
#include "base/data/regex.h"
#include "server/schema/schema.h"

#include <jansson.h>

enum crd_type {
    CRD_ANY, /* no type is named */
    CRD_OBJECT,
    CRD_ARRAY,
    CRD_STRING,
    CRD_INTEGER,
    CRD_NUMBER,
    CRD_BOOLEAN,
};

struct crd_node;
struct crd_prop {
    const char *name;
    struct crd_node *node;
};
struct crd_nodes {
    struct crd_node **v;
    size_t n;
};

struct crd_node {
    enum crd_type type;
    bool nullable, int_or_string, preserve_unknown, embedded;
    struct crd_prop *props; /* sorted by name */
    size_t n_props;
    bool has_additional, allows_additional; /* additionalProperties: true, false or a schema */
    struct crd_node *additional;            /* its schema; NULL */
    struct crd_node *items;                 /* NULL */
    const json_t *deflt;                    /* NULL */
    bool has_defaults;                      /* here or anywhere below */
    uint8_t list_type;                      /* enum schema_list_type */
    bool map_atomic;
    const json_t *list_keys; /* texts; NULL */

    const char *format; /* a known one; NULL */
    const char *pattern_text;
    struct regex *pattern; /* NULL */
    const json_t *enums;   /* NULL */
    const json_t *required;
    double maximum, minimum, multiple_of; /* NaN: none */
    bool exclusive_maximum, exclusive_minimum, unique_items;
    int64_t max_length, min_length, max_items, min_items, max_properties, min_properties; /* -1 */
    struct crd_nodes all_of, any_of, one_of;
    struct crd_node *not_;
    const json_t *rules; /* x-kubernetes-validations; NULL */
    bool has_rules;      /* here or anywhere below */
};

#define CRD_NODES_MAX 50000 /* of one version; a document of 3 MiB could hold more */

/* ERR_INVALID: something is not as JSONSchemaProps says; ERR_LIMIT. The text names the place. */
MUST_USE int crd_node_new(struct crd_node **out, const json_t *schema, struct err *e);
void crd_node_free(struct crd_node *n);
const struct crd_node *crd_node_prop(const struct crd_node *n, const char *name); /* NULL */
/* "string", "integer", ...; "" for CRD_ANY. */
const char *crd_type_name(enum crd_type t);
enum crd_type crd_type_of(const char *name); /* CRD_ANY for what is none */

DEFINE_AUTO(crd_node);

#pragma once
/*
 * CRD: the kinds that one CustomResourceDefinition makes, one for each version that it serves, as
 * the same structs that built-in kinds have.
 *
 * Kinds of a definition come and go while requests, watches and caches hold pointers to them: who
 * keeps one beyond the turn of the loop takes a reference (schema_kind_ref, nothing for a built-in
 * kind). The definition's document and all that is made from it live until the last is given back.
 * Loop thread only.
 */
#include "server/schema/crd_node.h"
#include "server/schema/schema.h"

#define CRD_GROUP      "apiextensions.k8s.io"
#define CRD_PLURAL     "customresourcedefinitions"
#define CRD_FINALIZER  "customresourcecleanup.apiextensions.k8s.io"
#define CRD_DEPRECATED "%s/%s %s is deprecated" /* upstream's warning without a text of its own */

struct crd;

struct crd_version {
    struct schema_kind kind; /* what is served; kind.custom is this */
    struct crd *crd;
    struct crd_node *root;
    struct crd_rules *rules; /* NULL: it has none */
    const json_t *schema;             /* the openAPIV3Schema that root was made from */
    const struct crd_version *stored; /* the version that objects are stored in */
    const char *list_kind;            /* "ThingList" */
    bool is_served;
    bool terminating;          /* the definition is being deleted: nothing new is created */
    struct schema_scale scale; /* kind.scale points here if it has the subresource */
};

/* doc: a definition as it is stored, with its accepted names in its status; kept. ERR_INVALID,
 * ERR_LIMIT: its schemas cannot be read. The caller has one reference. */
MUST_USE int crd_new(struct crd **out, json_t *doc, struct err *e);
void crd_unref(struct crd *c);
/* All its versions, in the order of the document. */
const struct crd_version *crd_versions(const struct crd *c, size_t *n);

/* Is this condition's status "True"? */
bool crd_condition_is_true(const json_t *doc, const char *type);
/* doc's status.conditions gets it. Its lastTransitionTime is now_s only if the status is another
 * than before. */
void crd_set_condition(json_t *doc, int64_t now_s, const char *type, bool is_true,
                       const char *reason, const char *message);
/* Of the versions, the one under which all objects are found once: the stored one if it is served,
 * else the first that is. */
bool crd_version_is_home(const struct crd_version *v);

/* NULL is fine. */
void schema_kind_ref(const struct schema_kind *k);
void schema_kind_unref(const struct schema_kind *k);

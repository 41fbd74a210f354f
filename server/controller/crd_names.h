#pragma once
/*
 * CRD names: which of the names that a CustomResourceDefinition asks for it gets, and whether its
 * kinds are served (apiextensions-apiserver pkg/controller/{status,establish}).
 */
#include "server/schema/schema.h"

#include <jansson.h>

/* Names that others have taken: each a set of texts as keys of a JSON object. */
struct crd_taken {
    json_t *resources, *kinds;
};
void crd_taken_init(struct crd_taken *t);
void crd_taken_deinit(struct crd_taken *t);
void crd_taken_add(struct crd_taken *t, const json_t *accepted_names);
/* What is built in, of that group. */
void crd_taken_add_builtin(struct crd_taken *t, const struct schema *s, const char *group);

/* The status that doc should have: a copy with its acceptedNames and the conditions NamesAccepted
 * and Established as they are at now_s. may_establish: every server serves it by now. New; NULL:
 * it is right as it is. */
json_t *crd_names_status(const json_t *doc, const struct crd_taken *taken, bool may_establish,
                         int64_t now_s);

#pragma once
/* Openapi's inside: what the files openapi*.c share. */
#include "server/schema/openapi.h"
#include "server/schema/texts.h"

enum { OPENAPI_NAME_MAX = 512 };

struct openapi_writer {
    const char *ref; /* what stands in front of a name in "$ref" */
    bool v2;
    json_t *schemas; /* by name; also what has been seen */
    const struct texts *texts;
};

/* "io.k8s.api.core.v1.PodList", "com.example.v1.Toy": upstream's names, for clients keep them. */
void openapi_kind_name(char out[OPENAPI_NAME_MAX], const struct schema_kind *k, const char *suffix);
/* A type's schema, or the reference to it. New. */
json_t *openapi_schema_of(struct openapi_writer *w, const struct schema_type *t);
json_t *openapi_ref(const struct openapi_writer *w, const char *name);
/* {"group":"","version":"v1","kind":"PodList"} */
json_t *openapi_gvk(const struct schema_kind *k, const char *suffix);

/* The query parameters of lists, which their operations refer to. */
json_t *openapi_parameters(const struct openapi_writer *w);
/* The paths of a kind and of its subresources, each with its operations. */
void openapi_add_paths(struct openapi_writer *w, json_t *paths, const struct schema_kind *k);

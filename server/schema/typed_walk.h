#pragma once
/*
 * Typed walk: how a value is owned and what its parts are; for typed*.c only.
 */
#include "server/schema/typed.h"

enum typed_how {
    TYPED_LEAF,    /* owned as a whole */
    TYPED_FIELDS,  /* a struct */
    TYPED_ENTRIES, /* a map, or a raw object */
    TYPED_ITEMS,   /* a list whose items have owners */
};
/* v decides for raw values only. */
enum typed_how typed_how(const struct schema_field *f, const json_t *v);

bool typed_is_empty(const json_t *v); /* absent, null, or a container with nothing in it */

/* The field below f of that name: of a struct, a map or a raw object. NULL: there is none. */
const struct schema_field *typed_child(const struct schema_field *f, const char *name);

/* Values of fields that a document leaves out and Go writes nevertheless. */
struct typed_zeros {
    json_t *v[SCHEMA_STRUCT + 1]; /* made when first needed */
};
void typed_zeros_deinit(struct typed_zeros *z);

/* A struct's field as Go writes it: NULL when it is left out. Borrowed from v or z. */
const json_t *typed_go_field(struct typed_zeros *z, const struct schema_field *f, const json_t *v);

/* The element of one item of f, a TYPED_ITEMS list. go: read the item as Go writes it; NULL: as it
 * stands. NULL: it has none, and *why (heap, yours; may be NULL) says why. */
const char *typed_item(struct arena *a, const struct schema_field *f, const json_t *item,
                       struct typed_zeros *go, char **why);

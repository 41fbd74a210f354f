#pragma once
/*
 * Filled: documents that have every field of their kind, made from the schema, for tests that want
 * to see all of it: two items in each list and map, every value another one, in its canonical form
 * and none of them zero (JSON may leave zeros out). A type that holds itself is not made again
 * inside itself. Texts take one of the allowed values where the schema names them; other rules are
 * not kept, for nothing here validates.
 */
#include "server/schema/schema.h"

struct filled {
    bool wire_only; /* without what the protobuf encoding does not carry (apiVersion of a part) */
    unsigned n;     /* values made so far; each differs by it */
    const struct schema_type *inside[32]; /* the structs that are being made */
    unsigned n_inside;
};

/* New. Fails the test for a shape that it does not know. */
json_t *filled_struct(struct filled *f, const struct schema_type *t);

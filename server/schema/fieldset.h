#pragma once
/*
 * Field set: which fields of an object somebody owns, as managedFields writes it (fieldsV1;
 * sigs.k8s.io/structured-merge-diff/v4/fieldpath, its serialize.go and serialize-pe.go).
 *
 * A path is a row of elements, and an element is a text:
 *
 *     f:spec                                 a field of a struct, or a key of a map
 *     k:{"containerPort":80,"protocol":"TCP"} an item of a list, by the values of its key fields
 *     v:"kubernetes"                         an item of a set
 *     i:3                                    an index: read and kept, never made here
 *
 * A set is a tree of them: {"f:spec":{".":{},"f:x":{}}} holds spec itself (".") and spec.x. An
 * element whose value is {} is a member.
 *
 * Sets never change and share their parts; they lie in the arena they were made in, and the texts
 * of a set that was read may point into its JSON. NULL is the empty set, and nothing else is empty.
 * An operation that changes nothing returns its first argument, so a pointer tells whether a set
 * changed. Any thread, one arena at a time.
 */
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/err.h"

#include <jansson.h>

struct fieldset_node {
    const char *element;
    const struct fieldset *below; /* NULL: nothing */
    bool member;
};
struct fieldset {
    size_t n;
    struct fieldset_node v[]; /* in the order of fieldset_order */
};

#define FIELDSET_ELEMENT_MAX                                                                       \
    16384                         /* bytes of one element: a key's values are texts of the object */
#define FIELDSET_NODES_MAX 200000 /* elements of one set that is read */

/* The order in which fieldsV1 lists elements: fields, keys, values, indices; numbers by value.
 * 0 only for equal texts. */
int fieldset_order(const char *a, const char *b);

/* ---- JSON ---- */
/* Elements of a type that we do not know are left out, as upstream does. Keys and values are
 * brought to their one form, unless the JSON is ours and has it. ERR_INVALID, ERR_LIMIT. */
MUST_USE int fieldset_read(const struct fieldset **out, struct arena *a, const json_t *fields_v1,
                           bool ours, struct err *e);
json_t *fieldset_json(const struct fieldset *s); /* new reference; {} for the empty set */

struct fieldset_part { /* one field of a key */
    const char *name;
    const json_t *value;
};
/* Elements: of a list's item by its key (parts are sorted in place), of a set's item, of a field.
 */
const char *fieldset_key(struct arena *a, struct fieldset_part *parts, size_t n);
const char *fieldset_value(struct arena *a, const json_t *scalar);
const char *fieldset_field(struct arena *a, const char *name);

/* ---- building: in any order, then once done ---- */
struct fieldset_builder {
    struct arena *a;
    struct fieldset_node *v;
    size_t n, cap;
};
/* Nothing is added for what is no member and has nothing below. */
void fieldset_add(struct fieldset_builder *b, const char *element, bool member,
                  const struct fieldset *below);
const struct fieldset *fieldset_done(struct fieldset_builder *b);

/* ---- algebra ---- */
const struct fieldset *fieldset_union(struct arena *a, const struct fieldset *x,
                                      const struct fieldset *y);
const struct fieldset *fieldset_intersection(struct arena *a, const struct fieldset *x,
                                             const struct fieldset *y);
/* x without the members of y; what lies below a member of y stays. */
const struct fieldset *fieldset_difference(struct arena *a, const struct fieldset *x,
                                           const struct fieldset *y);
/* That too goes. */
const struct fieldset *fieldset_difference_deep(struct arena *a, const struct fieldset *x,
                                                const struct fieldset *y);

const struct fieldset_node *fieldset_find(const struct fieldset *s, const char *element);

/* Every member's path as people read it, in order: `.spec.ports[port=80,protocol="TCP"].name`. */
void fieldset_each(const struct fieldset *s, void (*fn)(void *arg, const char *path), void *arg);
/* One element of such a path, at the end of b. ERR_LIMIT. */
MUST_USE int fieldset_print_element(struct buf *b, const char *element);

#pragma once
/*
 * Typed: objects as server-side apply sees them: which fields they have, how two differ, what one
 * laid over another gives, and what is left without some fields. The schema says what is a field
 * of its own and what is owned as a whole (atomic), and which fields tell list items apart
 * (sigs.k8s.io/structured-merge-diff/v4/typed). Fields of raw objects are told by their values.
 * Any thread.
 */
#include "base/core/buf.h"
#include "server/schema/fieldset.h"
#include "server/schema/schema.h"

struct typed_changes {
    const struct fieldset *added, *modified, *removed;
};

/* From was to is, two decoded objects (was {} for one that is new). Both are looked at as upstream
 * writes them: what Go never omits counts as there (an empty struct, a null list or time), so a new
 * object does not own it. List items without their key fields are passed over. */
void typed_compare(struct typed_changes *out, struct arena *a, const struct schema_type *t,
                   const json_t *was, const json_t *is);

/* Everything that v says. v needs not be decoded, but typed_check has found no problem. */
const struct fieldset *typed_fields(struct arena *a, const struct schema_type *t, const json_t *v);

/* live with config laid over it; lists of items keep live's order as far as config's has it too.
 * New. */
json_t *typed_merge(const struct schema_type *t, const json_t *live, const json_t *config);

/* v without the members of s. A container that loses all it has becomes null. New. */
json_t *typed_remove(const struct schema_type *t, const json_t *v, const struct fieldset *s);

/* s, and every struct's field that has something below in it, as a member. */
const struct fieldset *typed_named(struct arena *a, const struct schema_type *t,
                                   const struct fieldset *s);

/* What is wrong with a document that a client wrote by hand: `.spec.x: field not declared in
 * schema`, several as `errors:` and one per line. Nothing is added when all is right. */
void typed_check(struct buf *out, const struct schema_type *t, const json_t *v);

#pragma once
/*
 * Decode: makes a JSON document that a client sent into a clean object of its type.
 *
 * In place: unknown fields are pruned, nulls and empty optional values dropped, quantities, times
 * and int-or-strings brought to their one canonical form, embedded structs that upstream always
 * writes added ("status": {}). apiVersion and kind are left alone (the caller has checked them).
 * What is written is what upstream's decode and encode would leave (sigs.k8s.io/json, Go
 * encoding/json). Any thread.
 */
#include "base/core/err.h"
#include "server/schema/schema.h"

enum decode_mode { /* the fieldValidation query parameter */
                   DECODE_IGNORE,
                   DECODE_WARN,
                   DECODE_STRICT,
};
/* "" is Warn, upstream's default. False: not one of Ignore, Warn, Strict. */
MUST_USE bool decode_mode_of(enum decode_mode *out, struct str text);

#define DECODE_NOTES_MAX 64
struct decode_notes {
    char **v; /* `unknown field "spec.foo"`: one Warning header each */
    size_t n;
};
#define auto_decode_notes __attribute__((cleanup(decode_notes_deinit))) struct decode_notes
void decode_notes_deinit(struct decode_notes *n);
/* Past DECODE_NOTES_MAX nothing is added. */
void decode_notes_add(struct decode_notes *n, const char *fmt, ...) PRINTF_FMT(2, 3);
void decode_notes_cut(struct decode_notes *n, size_t to); /* forgets the later ones */

/*
 * obj is changed in place. raw is the JSON text it came from, searched for duplicate fields (empty:
 * not searched: json_parse_noting saw none, or YAML, whose reader refuses them, or a patch's
 * result). ERR_INVALID: a value has the wrong type (e: "json: cannot unmarshal ..."), or
 * DECODE_STRICT found something (e: `strict decoding error: unknown field "spec.foo", ...`). The
 * API answers 400 with decode_bad_request's text. obj may be half cleaned then.
 */
MUST_USE int decode_object(const struct schema_kind *k, json_t *obj, struct str raw,
                           enum decode_mode mode, struct decode_notes *notes, struct err *e);
/* The same for a type that is no kind: DeleteOptions, the body of a subresource. */
MUST_USE int decode_value(const struct schema_type *t, json_t *obj, struct str raw,
                          enum decode_mode mode, struct decode_notes *notes, struct err *e);

/* The same for what a strategic merge patch left, which upstream reads without making it text again:
 * what has the wrong type is told in other words ("cannot restore map from string"). */
MUST_USE int decode_map(const struct schema_type *t, json_t *obj, enum decode_mode mode,
                        struct decode_notes *notes, struct err *e);

/* `Pod in version "v1" cannot be handled as a Pod: <e->text>`; what DECODE_STRICT found is said in
 * full, from the notes. Heap, yours. */
char *decode_bad_request(const struct schema_kind *k, const struct decode_notes *notes,
                         const struct err *e);

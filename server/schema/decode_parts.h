#pragma once
/*
 * Decode parts: what the decoders of built-in and of custom kinds share (decode.c, crd_object.c).
 */
#include "server/schema/decode.h"
#include "server/schema/field_error.h"

/* `<what> field "<path>"`; n may be NULL: nothing is noted. */
void decode_note(struct decode_notes *n, const char *what, const struct field_path *p);
/* v, which lies at p, as a value of t. notes may be NULL. */
MUST_USE int decode_part(const struct schema_type *t, json_t *v, const struct field_path *p,
                         struct decode_notes *notes, struct err *e);
/* Notes the fields of raw, JSON text, that are there twice. */
void decode_duplicates(struct str raw, struct decode_notes *notes);
/* e is `strict decoding error: ...`. */
int decode_strict_error(const struct decode_notes *notes, struct err *e);

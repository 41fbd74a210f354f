#pragma once
/*
 * JSON (RFC 8259): our own reader and writer for jansson's json_t, with limits and errors. json_t
 * is passed around freely inside the API server; elsewhere read JSON into a C struct at the edge
 * with the path readers. jansson counts references without locks here: one json_t belongs to one
 * thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <jansson.h>

#define JSON_DEPTH_MAX  200         /* deeper documents are ERR_LIMIT: our walkers recurse */
#define JSON_BYTES_MAX  (256 << 20) /* the longest lists are a fifth of it */
#define JSON_VALUES_MAX 2000000     /* a value takes 32 bytes and more of memory, and 2 of text */

/* ERR_INVALID with line and column (in characters) of what is wrong, ERR_LIMIT past a maximum.
 * Anything but blanks after the value is invalid. Any value may be the top. Of duplicate keys the
 * last one counts, in the place of the first; with json_parse_strict they are invalid.
 *
 * Strings are UTF-8 and may hold "\u0000", keys may not; escaped surrogates come in pairs. Numbers
 * without point and exponent are integers of 64 bits, others reals; what does not fit is invalid.
 */
MUST_USE int json_parse(json_t **out, struct str text, struct err *e);
MUST_USE int json_parse_strict(json_t **out, struct str text, struct err *e);
/* As json_parse; *repeats: some object has a key twice. */
MUST_USE int json_parse_noting(json_t **out, struct str text, bool *repeats, struct err *e);
json_t *json_from(const char *text); /* for texts of our own; NULL: it is no JSON */

/* Compact text at the end of b; sorted: by the bytes of the keys, at all depths. ERR_LIMIT past b's
 * maximum, or when j is a circle; then b is what it was. NULL is ERR_LIMIT too. */
MUST_USE int json_write(struct buf *b, const json_t *j);
MUST_USE int json_write_sorted(struct buf *b, const json_t *j);
/* An object's members as json_write has them between the brackets, without those named in but,
 * which ends with NULL. */
MUST_USE int json_write_members(struct buf *b, const json_t *object, const char *const *but);
MUST_USE int json_write_indented(struct buf *b, const json_t *j, unsigned spaces);
char *json_text(const json_t *j); /* heap string, yours; "null" for NULL */
char *json_text_sorted(const json_t *j);

/* A JSON string with its quotes and escapes, at the end of b. When it is not UTF-8, all its bytes
 * beyond ASCII become '?'. */
MUST_USE int json_write_str(struct buf *b, struct str s);

/*
 * Path readers: "spec.containers[0].name"; a key that holds dots is written ["a.b/c"]. They borrow
 * from j. ERR_NOT_FOUND when something on the path is absent or null, ERR_INVALID when the value
 * has another type; both name the path.
 */
MUST_USE int json_path(json_t **out, const json_t *j, const char *path, struct err *e);
MUST_USE int json_path_str(const char **out, const json_t *j, const char *path, struct err *e);
MUST_USE int json_path_i64(int64_t *out, const json_t *j, const char *path, struct err *e);
MUST_USE int json_path_bool(bool *out, const json_t *j, const char *path, struct err *e);

/* For optional things: NULL or the fallback unless a value of that type is there. */
json_t *json_at(const json_t *j, const char *path);
const char *json_str_at(const json_t *j, const char *path, const char *fallback);
int64_t json_i64_at(const json_t *j, const char *path, int64_t fallback);
bool json_bool_at(const json_t *j, const char *path, bool fallback);

/* Never fails for valid UTF-8; other bytes are replaced. The caller owns the reference. */
json_t *json_str_of(struct str s);

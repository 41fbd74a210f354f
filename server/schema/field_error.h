#pragma once
/*
 * Field errors: what is wrong with an object, one entry per field, in upstream's words. The API
 * layer makes Status causes of them: reason and message of a cause are field_reason_name and
 * detail; field is its field.
 *
 * A list is bounded (FIELD_ERRORS_MAX): what comes later is dropped, the object is refused anyhow.
 * Any thread, one at a time.
 */
#include "base/core/buf.h"

#include <jansson.h>

enum field_reason { /* names of metav1.CauseType */
                    FIELD_INVALID,
                    FIELD_REQUIRED,
                    FIELD_NOT_SUPPORTED,
                    FIELD_FORBIDDEN,
                    FIELD_DUPLICATE,
                    FIELD_NOT_FOUND,
                    FIELD_TOO_LONG,
                    FIELD_TOO_MANY,
                    FIELD_TYPE_INVALID,
                    FIELD_INTERNAL,
};
const char *field_reason_name(enum field_reason r); /* "FieldValueInvalid" */

/* Where we are inside an object; lives on the stack of the walk. */
struct field_path {
    const struct field_path *parent; /* NULL: the root */
    const char *name;                /* NULL: an index or a key */
    const char *key;                 /* NULL: an index */
    size_t index;
};
#define FIELD_AT(parent_, name_) (&(struct field_path){ .parent = (parent_), .name = (name_) })
#define FIELD_INDEX(parent_, i_) (&(struct field_path){ .parent = (parent_), .index = (i_) })
#define FIELD_KEY(parent_, key_) (&(struct field_path){ .parent = (parent_), .key = (key_) })
/* "spec.containers[0].name", "metadata.annotations[a/b]"; the root alone is "". Heap, yours. */
char *field_path_text(const struct field_path *p);

#define FIELD_ERRORS_MAX 256
struct field_error {
    enum field_reason reason;
    char *field;  /* "spec.containers[0].name" */
    char *detail; /* "Required value", "Invalid value: \"x\": must be ..." */
};
struct field_errors {
    struct field_error *v;
    size_t n;
    char **warnings; /* what is wrong, was so before and may stay: "spec.x: Invalid value: ..." */
    size_t n_warnings;
};
#define auto_field_errors __attribute__((cleanup(field_errors_deinit))) struct field_errors
void field_errors_deinit(struct field_errors *fe);

/* detail may be "" where upstream's is empty. */
void field_invalid(struct field_errors *fe, const struct field_path *p, const char *value,
                   const char *detail);
/* The value printed as upstream does: strings quoted, numbers plain, objects as JSON. */
void field_invalid_json(struct field_errors *fe, const struct field_path *p, const json_t *value,
                        const char *detail);
void field_required(struct field_errors *fe, const struct field_path *p, const char *detail);
/* variants: sorted, NULL-terminated. */
void field_not_supported(struct field_errors *fe, const struct field_path *p, const char *value,
                         const char *const *variants);
void field_forbidden(struct field_errors *fe, const struct field_path *p, const char *detail);
void field_duplicate(struct field_errors *fe, const struct field_path *p, const char *value);
void field_not_found(struct field_errors *fe, const struct field_path *p, const char *value);
void field_too_long(struct field_errors *fe, const struct field_path *p, size_t max_bytes);
void field_too_many(struct field_errors *fe, const struct field_path *p, size_t n, size_t max);
void field_add(struct field_errors *fe, enum field_reason r, const struct field_path *p,
               const char *fmt, ...) PRINTF_FMT(4, 5);

/* to gets a copy of all errors of from. */
void field_errors_copy(struct field_errors *to, const struct field_errors *from);
#define FIELD_WARNINGS_MAX 32
/* All errors of from become warnings of fe. */
void field_errors_warn(struct field_errors *fe, const struct field_errors *from);

/* "spec.x: Required value", or "[a: ..., b: ...]" for several: what follows `Pod "p" is invalid: `
 * in a Status message. Heap, yours. */
char *field_errors_text(const struct field_errors *fe);

#pragma once
/*
 * Selector: label selectors (the query text "a=b,c in (d,e),!f" and the LabelSelector object) and
 * field selectors ("spec.nodeName=n1,status.phase!=Failed"). Parsing is bounded
 * (SELECTOR_TERMS_MAX); matching does not allocate. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

#define SELECTOR_TERMS_MAX  256
#define SELECTOR_VALUES_MAX 1024 /* over all terms */

enum selector_op {
    SELECTOR_EQ,
    SELECTOR_NE, /* also true when the key is absent */
    SELECTOR_IN,
    SELECTOR_NOT_IN, /* also true when the key is absent */
    SELECTOR_EXISTS,
    SELECTOR_NOT_EXISTS,
    SELECTOR_GT, /* integers */
    SELECTOR_LT,
};

struct selector_term {
    char *key;
    enum selector_op op;
    char **values;
    size_t n_values;
};

struct label_selector; /* a NULL selector and an empty one match everything */

/* ERR_INVALID in upstream's words ("unable to parse requirement: ..."), ERR_LIMIT. */
MUST_USE int label_selector_parse(struct label_selector **out, struct str text, struct err *e);
/* From a LabelSelector object: {"matchLabels":{},"matchExpressions":[]}. NULL matches nothing. */
MUST_USE int label_selector_from_json(struct label_selector **out, const json_t *o, struct err *e);
/* labels: a JSON object of strings, or NULL. */
bool label_selector_match(const struct label_selector *s, const json_t *labels);
bool label_selector_is_empty(const struct label_selector *s);
/* Text that parses to the same selector, keys and values sorted as upstream prints them. Heap,
 * yours. */
char *label_selector_text(const struct label_selector *s);
const struct selector_term *label_selector_terms(const struct label_selector *s, size_t *n);
void label_selector_free(struct label_selector *s);

struct field_selector;
MUST_USE int field_selector_parse(struct field_selector **out, struct str text, struct err *e);
/* SELECTOR_EQ and SELECTOR_NE only, one value each. */
const struct selector_term *field_selector_terms(const struct field_selector *s, size_t *n);
bool field_selector_is_empty(const struct field_selector *s);
/* The value that s demands of field (field=value), NULL when it demands none: lets a list by
 * metadata.name be a get. */
const char *field_selector_requires(const struct field_selector *s, const char *field);
void field_selector_free(struct field_selector *s);

DEFINE_AUTO(label_selector);
DEFINE_AUTO(field_selector);

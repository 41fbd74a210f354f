#pragma once
/*
 * Rule rows: tables of what the API says of an object. A document that is fine, and per row a merge
 * patch (RFC 7386) on it and the causes of the answer, in order: "field: message", one a line. JSON
 * is written with ' for ". The reason of a cause is checked against the beginning of its message.
 */
#include <stddef.h>

struct rule_row {
    const char *change, *errors; /* "" for none */
};

struct rule_base {
    const char *api_version, *kind, *document;
};

/* The changed document is created. */
void expect_create(const struct rule_base *b, const struct rule_row *rows, size_t n);
/* The document is changed. */
void expect_update(const struct rule_base *b, const struct rule_row *rows, size_t n);
/* The same at the status subresource. */
void expect_status(const struct rule_base *b, const struct rule_row *rows, size_t n);
/* At approval. */
void expect_approval(const struct rule_base *b, const struct rule_row *rows, size_t n);

/* What defaults make of the document: part (a path of json_at, "" for all) equals text. */
void expect_defaults(const struct rule_base *b, const char *part, const char *text);

#pragma once
/*
 * YAML: documents into json_t, as Kubernetes clients mean them: plain scalars by YAML 1.1
 * (yes and on are true, 0644 is octal, dates stay text), string keys only, anchors and aliases with
 * a bound on what they expand to. Any thread.
 */
#include "base/data/json.h"

#define YAML_NODES_MAX 200000 /* aliases count each time: a small text cannot explode */

/* The next document of the text at *offset, which is moved behind it; *out is NULL at the end.
 * ERR_INVALID with the line; ERR_LIMIT for too many nodes or too deep nesting. */
MUST_USE int yaml_parse_next(json_t **out, struct str text, size_t *offset, struct err *e);

/* Exactly one document (an empty text is a null). */
MUST_USE int yaml_parse(json_t **out, struct str text, struct err *e);

/* yaml_write.c: block style, keys sorted, two spaces a level and none before a list, as upstream
 * writes it; what could be read as another type is quoted. Reads back to an equal value. ERR_LIMIT
 * past b's maximum. */
MUST_USE int yaml_write(struct buf *b, const json_t *j);

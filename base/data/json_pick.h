#pragma once
/*
 * JSON pick: a few values out of a JSON object without parsing the rest, for documents that are our
 * own (stored objects) and of which one field in a hundred is asked for. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

#define JSON_PICK_PATHS_MAX 32

/* out: a new object that has only what lies at the paths ("metadata.labels": names without dots,
 * brackets and escapes). What is absent in text is absent in out. The scan ends with the last value
 * wanted, or with the last member of the whole that could hold one: what lies in front is skipped
 * without being checked, what lies behind is not read.
 * ERR_INVALID: no JSON object as far as it was read. ERR_LIMIT: too deep, or too many paths. */
MUST_USE int json_pick(json_t **out, struct str text, const char *const *paths, size_t n_paths,
                       struct err *e);

/* The text of the value at one path, as it stands in text; false: there is none, or text is no JSON
 * object as far as it was read. */
bool json_find(struct str *out, struct str text, const char *path);

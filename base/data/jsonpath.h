#pragma once
/*
 * JSONPath: the part of k8s.io/client-go/util/jsonpath that the columns of custom kinds use.
 *
 *     .spec.x  ['a.b/c']  .a\.b  [0] [-1] [1:3] [0,2] [*] .*  ..name
 *     [?(@.type=="Ready")]  with == != < <= > >=, texts, numbers, true and false; [?(@.x)]
 *
 * A path is read once and is then constant. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

#define JSONPATH_STEPS_MAX 64  /* of one path; the path comes from a peer */
#define JSONPATH_FOUND_MAX 256 /* values looked at side by side; more are dropped */

struct jsonpath;

/* text as in a CustomResourceDefinition, without the braces around. ERR_INVALID says what and
 * where. */
MUST_USE int jsonpath_new(struct jsonpath **out, struct str text, struct err *e);
void jsonpath_free(struct jsonpath *p);
/* The first value that the path leads to, borrowed from doc; NULL: there is none. */
const json_t *jsonpath_first(const struct jsonpath *p, const json_t *doc);

DEFINE_AUTO(jsonpath);

#pragma once
/*
 * Go text: a JSON value as Go's fmt prints the map, list or scalar that it is decoded into. Words of
 * upstream's that quote a whole value quote it so. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <jansson.h>

/* sharp: %#v, `map[string]interface {}{"a":[]interface {}{1}}`; else %v and %+v, `map[a:[1]]`.
 * ERR_LIMIT: it does not fit; b holds its beginning. */
MUST_USE int go_text(struct buf *b, const json_t *v, bool sharp);

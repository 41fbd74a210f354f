#pragma once
/*
 * Match: does a stored object fit the selectors of a list or watch? Loop thread.
 */
#include "base/kube/selector.h"
#include "server/schema/schema.h"
#include "server/store/store.h"

#include <jansson.h>

struct match {
    const struct schema_kind *kind;
    const struct label_selector *labels;
    const struct field_selector *fields; /* checked: fields_check */
};

bool match_is_all(const struct match *m);
bool match_doc(const struct match *m, const json_t *doc);

/* Does every object that fits have labels? */
bool match_wants_labels(const struct match *m);
/* For struct store_list_opts: arg is a label selector. Any thread. */
bool match_labels(void *arg, struct str labels);

enum match_verdict { MATCH_NO, MATCH_YES, MATCH_PARSE };
/* From the object's bytes, without parsing all of it. MATCH_PARSE: only match_doc can tell, or that
 * it is damaged. */
enum match_verdict match_object(const struct match *m, struct store_obj *o);

#include "server/api/match.h"

#include "base/core/macros.h"
#include "base/data/json.h"
#include "base/data/json_pick.h"
#include "server/schema/fields.h"

bool match_is_all(const struct match *m)
{
    return label_selector_is_empty(m->labels) && field_selector_is_empty(m->fields);
}

bool match_doc(const struct match *m, const json_t *doc)
{
    return label_selector_match(m->labels,
                                json_object_get(json_object_get(doc, "metadata"), "labels")) &&
           fields_match(m->kind, doc, m->fields);
}

bool match_wants_labels(const struct match *m)
{
    size_t n;
    const struct selector_term *t = label_selector_terms(m->labels, &n);

    for (size_t i = 0; i < n; i++)
        if (t[i].op != SELECTOR_NE && t[i].op != SELECTOR_NOT_IN && t[i].op != SELECTOR_NOT_EXISTS)
            return true;
    return false;
}

/* Is text one of the strings in a JSON object without escapes? */
static bool has_string(struct str json, const char *text)
{
    size_t n = strlen(text);
    const char *end = json.p + json.n, *p = json.p;

    while ((p = memmem(p, (size_t)(end - p), text, n)) != NULL) {
        if (p > json.p && p[-1] == '"' && p + n < end && p[n] == '"')
            return true;
        p++;
    }
    return false;
}

bool match_labels(void *arg, struct str labels)
{
    json_auto_t *doc = NULL;
    struct err e;
    size_t n;
    const struct selector_term *t = label_selector_terms(arg, &n);

    /* most of a long list is told by this, at a tenth of the cost of parsing */
    for (size_t i = 0; i < n; i++)
        if (t[i].op == SELECTOR_EQ && *t[i].values[0] && !has_string(labels, t[i].values[0]))
            return false;
    return json_parse(&doc, labels, &e) || label_selector_match(arg, doc);
}

/* Name and namespace are the ends of the key. False: t is about something else. */
static bool key_decides(const struct match *m, struct str key, const struct selector_term *t,
                        bool *fits)
{
    bool name = strcmp(t->key, "metadata.name") == 0;
    const char *slash = memrchr(key.p, '/', key.n);
    struct str have = STR("");

    if ((!name && strcmp(t->key, "metadata.namespace") != 0) || !slash)
        return false;
    if (name) {
        have = str_n(slash + 1, (size_t)(key.p + key.n - slash - 1));
    } else if (m->kind->namespaced) {
        const char *before = memrchr(key.p, '/', (size_t)(slash - key.p));

        if (!before)
            return false;
        have = str_n(before + 1, (size_t)(slash - before - 1));
    }
    *fits = str_is(have, t->values[0]) == (t->op == SELECTOR_EQ);
    return true;
}

enum match_verdict match_object(const struct match *m, struct store_obj *o)
{
    const char *paths[JSON_PICK_PATHS_MAX];
    json_auto_t *doc = NULL;
    size_t n_terms, n = 0;
    const struct selector_term *t = field_selector_terms(m->fields, &n_terms);
    bool fits, by_key = label_selector_is_empty(m->labels);
    struct err e;

    for (size_t i = 0; i < n_terms; i++) {
        bool decided = key_decides(m, store_obj_key(o), &t[i], &fits);

        if (decided && !fits)
            return MATCH_NO;
        by_key = by_key && decided;
    }
    if (by_key) /* everything, or what the key says */
        return MATCH_YES;
    if (m->kind->convert || 2 * n_terms >= ARRAY_LEN(paths))
        return MATCH_PARSE;
    if (!label_selector_is_empty(m->labels))
        paths[n++] = "metadata.labels";
    for (size_t i = 0; i < n_terms; i++) {
        const char *fallback = fields_fallback(m->kind, t[i].key);

        paths[n++] = fields_path(m->kind, t[i].key);
        if (fallback)
            paths[n++] = fallback;
    }
    if (json_pick(&doc, store_obj_value(o), paths, n, &e))
        return MATCH_PARSE;
    return match_doc(m, doc) ? MATCH_YES : MATCH_NO;
}

/* What a schema promises about lists and embedded resources, apart from their values. */
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/name.h"
#include "server/schema/crd_validate.h"
#include "server/schema/validate_meta.h"

#include <ctype.h>

/* ---- lists of type set and map ---- */

/* What tells an item apart: itself, or its key fields. New. */
static json_t *identity(const struct crd_node *n, const json_t *item)
{
    const json_t *key;
    json_t *out;
    size_t i;

    if (n->list_type == SCHEMA_LIST_SET)
        return json_incref((json_t *)item);
    out = json_object();
    json_array_foreach(n->list_keys, i, key)
    {
        json_t *v = json_object_get(item, json_string_value(key));
        if (v)
            json_object_set(out, json_string_value(key), v);
    }
    return out;
}

static void check_items(const struct crd_node *n, const json_t *list, const struct field_path *p,
                        struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new(); /* text -> how often it was seen */
    static char once, twice;
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (n->list_type != SCHEMA_LIST_MAP || json_is_object(item) || json_is_null(item))
            continue;
        field_invalid_json(fe, FIELD_INDEX(p, i), item,
                           "must be an object for an array of list-type map");
        return;
    }
    json_array_foreach(list, i, item)
    {
        json_auto_t *id = identity(n, item);
        char *raw = id ? json_text_sorted(id) : NULL;
        void *times = raw ? map_get(seen, str_of(raw)) : NULL;

        if (times == &once)
            field_add(fe, FIELD_DUPLICATE, FIELD_INDEX(p, i), "Duplicate value: %s", raw);
        if (raw)
            map_set(seen, str_of(raw), times ? &twice : &once);
        free(raw);
    }
}

void crd_validate_lists(const struct crd_node *n, const json_t *v, const struct field_path *p,
                        struct field_errors *fe)
{
    const char *key;
    json_t *child;
    size_t i;

    if (!n)
        return;
    if (json_is_array(v) && n->list_type != SCHEMA_LIST_ATOMIC)
        check_items(n, v, p, fe);
    json_array_foreach(v, i, child) crd_validate_lists(n->items, child, FIELD_INDEX(p, i), fe);
    json_object_foreach((json_t *)v, key, child)
    {
        const struct crd_node *part = crd_node_prop(n, key);

        if (part)
            crd_validate_lists(part, child, FIELD_AT(p, key), fe);
        else
            crd_validate_lists(n->additional, child, FIELD_KEY(p, key), fe);
    }
}

/* ---- embedded resources ---- */

static void check_kind(const char *kind, const struct field_path *p, struct field_errors *fe)
{
    auto_free char *lower = mem_strdup(kind);
    const char *why;

    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if ((why = name_check_label35(str_of(lower)))) {
        auto_free char *text =
            mem_printf("may have mixed case, but should otherwise match: %s", why);
        field_invalid(fe, p, kind, text);
    }
}

static void check_embedded(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const texts[] = { "apiVersion", "kind" };
    const json_t *meta = json_object_get(v, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct field_path *at = FIELD_AT(p, texts[i]);
        const json_t *text = json_object_get(v, texts[i]);

        if (!text || (json_is_string(text) && !json_string_length(text)))
            field_required(fe, at, "");
        else if (!json_is_string(text))
            field_invalid_json(fe, at, text, "must be a string");
        else if (i == 1)
            check_kind(json_string_value(text), at, fe);
    }
    if (meta)
        validate_embedded_meta(meta, FIELD_AT(p, "metadata"), fe);
}

static void walk_embedded(const struct crd_node *n, const json_t *v, const struct field_path *p,
                          bool is_root, struct field_errors *fe)
{
    const char *key;
    json_t *child;
    size_t i;

    if (!n)
        return;
    if (n->embedded && json_is_object(v) && !is_root)
        check_embedded(v, p, fe);
    json_array_foreach(v, i, child) walk_embedded(n->items, child, FIELD_INDEX(p, i), false, fe);
    json_object_foreach((json_t *)v, key, child)
    {
        const struct crd_node *part = crd_node_prop(n, key);

        if (part)
            walk_embedded(part, child, FIELD_AT(p, key), false, fe);
        else
            walk_embedded(n->additional, child, FIELD_KEY(p, key), false, fe);
    }
}

void crd_validate_embedded(const struct crd_node *n, const json_t *v, const struct field_path *p,
                           struct field_errors *fe)
{
    walk_embedded(n, v, p, p == NULL, fe);
}

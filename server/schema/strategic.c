#include "server/schema/strategic.h"

#include "base/core/mem.h"

/*
 * A patch is walked beside the object. Maps merge key by key; a list whose field says so merges by
 * its merge key (or as a set), any other is replaced. Directives are keys of the patch:
 *
 *     "$patch": "replace" | "delete" | "merge"      of the map it is in, or, in a list of maps, an
 *                                                   item: {"$patch":"replace"} empties the list
 *                                                   first, {"$patch":"delete","<key>":x} drops x
 *     "$retainKeys": [..]                           keys of this map that stay
 *     "$deleteFromPrimitiveList/<list>": [..]       values that leave a set
 *     "$setElementOrder/<list>": [..]               the order of the merged list
 */
#define DELETE_FROM "$deleteFromPrimitiveList/"
#define SET_ORDER   "$setElementOrder/"

enum { LIST_ITEMS_MAX = 5000 }; /* merging compares each with each */

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static const char *directive(const json_t *patch)
{
    const char *s = json_string_value(json_object_get(patch, "$patch"));

    return s ? s : "";
}

static int merge_map(const struct schema_type *t, json_t *into, const json_t *patch, struct err *e);

/* What a patch leaves when there is nothing to patch: its values without directives and nulls. */
static int fresh(const struct schema_type *t, const json_t *patch, json_t **out, struct err *e)
{
    json_auto_t *o = json_object();

    if (merge_map(t, o, patch, e))
        return e->code;
    *out = json_incref(o);
    return 0;
}

/* ---- lists ---- */

static size_t find_item(const json_t *list, const char *key, const json_t *value)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const json_t *have = key ? json_object_get(item, key) : item;
        if (have && json_equal(have, value))
            return i;
    }
    return SIZE_MAX;
}

/* Where list has the item that item is a version of. */
static size_t find_like(const struct schema_field *f, const json_t *list, const json_t *item)
{
    const json_t *value = f->merge_key ? json_object_get(item, f->merge_key) : item;

    return value ? find_item(list, f->merge_key, value) : SIZE_MAX;
}

static int check_items(const json_t *patch, const char *key, const char *name, struct err *e)
{
    const json_t *item;
    size_t i;

    json_array_foreach(patch, i, item)
    {
        if (!json_is_object(item))
            return err_set(e, ERR_INVALID, "expected an object in the list \"%s\" of the patch",
                           name);
        if (!json_object_get(item, key) && strcmp(directive(item), "replace") != 0)
            return err_set(e, ERR_INVALID, "map: does not contain declared merge key: %s", key);
    }
    return 0;
}

static int merge_items(const struct schema_field *f, json_t *into, const json_t *patch,
                       struct err *e)
{
    const struct schema_type *t = f->type->item->type;
    json_t *item;
    size_t i;

    json_array_foreach(patch, i, item)
    {
        if (strcmp(directive(item), "replace") == 0)
            json_array_clear(into);
    }
    json_array_foreach(patch, i, item)
    {
        const json_t *value = json_object_get(item, f->merge_key);
        size_t at;
        if (!value)
            continue; /* {"$patch":"replace"} */
        at = find_item(into, f->merge_key, value);
        if (strcmp(directive(item), "delete") == 0) {
            for (; at != SIZE_MAX; at = find_item(into, f->merge_key, value))
                json_array_remove(into, at);
        } else if (at == SIZE_MAX) {
            json_t *one = NULL;
            if (fresh(t, item, &one, e))
                return e->code;
            json_array_append_new(into, one);
        } else if (merge_map(t, json_array_get(into, at), item, e)) {
            return e->code;
        }
    }
    return 0;
}

/* Upstream's order (its design proposal preserve-order-in-strategic-merge-patch): items that the
 * patch names come in its order, the others in that of the live list; of one of each the other goes
 * first only if both are in the live list, in that order. */
static void set_order(const struct schema_field *f, json_t *list, const json_t *order,
                      const json_t *live)
{
    json_auto_t *named = json_array(), *others = json_copy(list);
    size_t i, at, k = 0;
    json_t *want, *other;

    json_array_foreach(order, i, want)
    {
        at = find_like(f, others, want);
        if (at == SIZE_MAX)
            continue;
        json_array_append(named, json_array_get(others, at));
        json_array_remove(others, at);
    }
    json_array_clear(list);
    json_array_foreach(named, i, want)
    {
        size_t place = find_like(f, live, want);
        while (place != SIZE_MAX && (other = json_array_get(others, k)) != NULL &&
               find_like(f, live, other) < place) {
            json_array_append(list, other);
            k++;
        }
        json_array_append(list, want);
    }
    while ((other = json_array_get(others, k++)) != NULL)
        json_array_append(list, other);
}

static int merge_list(const struct schema_field *f, json_t *into, const json_t *patch,
                      struct err *e)
{
    json_t *item;
    size_t i;

    if (json_array_size(into) + json_array_size(patch) > LIST_ITEMS_MAX)
        return err_set(e, ERR_LIMIT, "the list \"%s\" is too long to be merged: over %d items",
                       f->name, LIST_ITEMS_MAX);
    if (f->merge_key) {
        if (check_items(patch, f->merge_key, f->name, e))
            return e->code;
        return merge_items(f, into, patch, e);
    }
    json_array_foreach(patch, i, item)
    {
        if (find_item(into, NULL, item) == SIZE_MAX)
            json_array_append_new(into, json_deep_copy(item));
    }
    return 0;
}

/* ---- maps ---- */

static const struct schema_field *field_of(const struct schema_type *t, const char *key)
{
    if (!t)
        return NULL;
    return t->shape == SCHEMA_MAP ? t->item : schema_field(t, key);
}

/* order: what the patch says of the list's; NULL: nothing */
static int merge_value(const struct schema_field *f, json_t *into, const char *key,
                       const json_t *patch, const json_t *order, struct err *e)
{
    const struct schema_type *t = f ? f->type : NULL;
    json_t *have = json_object_get(into, key), *made = NULL;
    bool merge = f && f->flags & SCHEMA_PATCH_MERGE;

    if (json_is_object(patch)) {
        if (json_is_object(have) && !(f && f->flags & SCHEMA_PATCH_REPLACE))
            return merge_map(t, have, patch, e);
        if (fresh(t, patch, &made, e))
            return e->code;
    } else if (json_is_array(patch) && merge) {
        json_auto_t *live = json_is_array(have) ? json_copy(have) : json_array();
        made = json_is_array(have) ? json_incref(have) : json_array();
        if (merge_list(f, made, patch, e)) {
            json_decref(made);
            return e->code;
        }
        set_order(f, made, json_is_array(order) ? order : patch, live);
    } else {
        made = json_deep_copy(patch);
    }
    json_object_set_new(into, key, made);
    return 0;
}

static int delete_from(json_t *into, const char *list, const json_t *values, struct err *e)
{
    json_t *have = json_object_get(into, list), *v;
    size_t i, at;

    if (json_array_size(values) + json_array_size(have) > LIST_ITEMS_MAX)
        return err_set(e, ERR_LIMIT, DELETE_FROM "%.64s: over %d items", list, LIST_ITEMS_MAX);
    if (!json_is_array(values))
        return err_set(e, ERR_INVALID, DELETE_FROM "%s is no list", list);
    json_array_foreach(values, i, v)
    {
        while ((at = find_item(have, NULL, v)) != SIZE_MAX)
            json_array_remove(have, at);
    }
    return 0;
}

static int retain_keys(json_t *into, const json_t *patch, struct err *e)
{
    const json_t *keys = json_object_get(patch, "$retainKeys"), *k;
    const char *key;
    json_t *v;
    void *next;
    size_t i;

    if (!keys)
        return 0;
    if (!json_is_array(keys))
        return err_set(e, ERR_INVALID, "$retainKeys is no list");
    json_object_foreach((json_t *)patch, key, v)
    {
        json_auto_t *name = json_string(key);
        if (key[0] != '$' && !json_is_null(v) && find_item(keys, NULL, name) == SIZE_MAX)
            return err_set(e, ERR_INVALID,
                           "$retainKeys: the patch sets \"%.64s\", which is not in the list", key);
    }
    json_array_foreach(keys, i, k)
    {
        if (!json_is_string(k))
            return err_set(e, ERR_INVALID, "$retainKeys holds something that is no string");
    }
    json_object_foreach_safe(into, next, key, v)
    {
        json_auto_t *name = json_string(key);
        if (find_item(keys, NULL, name) == SIZE_MAX)
            json_object_del(into, key);
    }
    return 0;
}

/* Lists that the patch only orders; and of all it orders, whether it may. */
static int order_lists(const struct schema_type *t, json_t *into, const json_t *patch,
                       struct err *e)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)patch, key, v)
    {
        if (!starts(key, SET_ORDER))
            continue;
        const char *name = key + strlen(SET_ORDER);
        const struct schema_field *f = field_of(t, name);
        json_t *list = json_object_get(into, name);
        if (!json_is_array(v))
            return err_set(e, ERR_INVALID, "%.100s is no list", key);
        if (json_array_size(v) + json_array_size(list) > LIST_ITEMS_MAX)
            return err_set(e, ERR_LIMIT, "%.100s is too long: over %d items", key, LIST_ITEMS_MAX);
        if (json_is_array(json_object_get(patch, name)))
            continue; /* it was merged in this order */
        if (f && f->flags & SCHEMA_PATCH_MERGE && json_is_array(list)) {
            json_auto_t *live = json_copy(list);
            set_order(f, list, v, live);
        }
    }
    return 0;
}

static int merge_map(const struct schema_type *t, json_t *into, const json_t *patch, struct err *e)
{
    const char *how = directive(patch), *key;
    json_t *v;

    if (strcmp(how, "replace") == 0 || strcmp(how, "delete") == 0) {
        json_object_clear(into);
        if (how[0] == 'd')
            return 0;
    } else if (*how && strcmp(how, "merge") != 0) {
        return err_set(e, ERR_INVALID, "unknown patch type: %.40s", how);
    }
    if (retain_keys(into, patch, e))
        return e->code;
    json_object_foreach((json_t *)patch, key, v)
    {
        if (starts(key, DELETE_FROM)) {
            if (delete_from(into, key + strlen(DELETE_FROM), v, e))
                return e->code;
        } else if (key[0] == '$' && (strcmp(key, "$patch") == 0 || starts(key, SET_ORDER) ||
                                     strcmp(key, "$retainKeys") == 0)) {
            continue;
        } else if (json_is_null(v)) {
            json_object_del(into, key);
        } else {
            auto_free char *order = mem_printf(SET_ORDER "%s", key);
            if (merge_value(field_of(t, key), into, key, v, json_object_get(patch, order), e))
                return e->code;
        }
    }
    return order_lists(t, into, patch, e);
}

int strategic_apply(json_t **out, const struct schema_type *t, const json_t *original,
                    const json_t *patch, struct err *e)
{
    json_auto_t *copy = json_deep_copy(original);

    if (!json_is_object(patch) || !json_is_object(copy))
        return err_set(e, ERR_INVALID, "a strategic merge patch is a JSON object");
    if (merge_map(t, copy, patch, e))
        return e->code;
    *out = STEAL(copy);
    return 0;
}

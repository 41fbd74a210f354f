/* What one object laid over another gives, and what is left without some fields. */
#include "base/core/mem.h"
#include "server/schema/typed_walk.h"

#include <string.h>

/* ---- merge ---- */

static json_t *merge(struct arena *a, const struct schema_field *f, const json_t *live,
                     const json_t *config);

static json_t *merge_entries(struct arena *a, const struct schema_field *f, const json_t *live,
                             const json_t *config)
{
    json_t *out = json_object();
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)live, key, v)
    {
        const struct schema_field *p = typed_child(f, key);
        const json_t *over = json_object_get(config, key);
        json_object_set_new(out, key, p && over ? merge(a, p, v, over) : json_deep_copy(v));
    }
    json_object_foreach((json_t *)config, key, v)
    {
        if (!json_object_get(live, key))
            json_object_set_new(out, key, json_deep_copy(v));
    }
    return out;
}

struct item {
    const char *element;
    const json_t *value;
    size_t index;
    bool twice; /* another item of the list has this element too */
};

struct items {
    struct item *v; /* as in the list */
    size_t n;
    struct item **sorted;
};

static int by_element(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    int d = fieldset_order(x->element, y->element);

    return d ? d : (x->index > y->index) - (x->index < y->index);
}

static struct items items_of(struct arena *a, const struct schema_field *f, const json_t *list)
{
    size_t n = json_array_size(list), i;
    struct items o = { .v = arena_alloc(a, (n + 1) * sizeof *o.v),
                       .sorted = arena_alloc(a, (n + 1) * sizeof *o.sorted) };
    json_t *v;

    json_array_foreach(list, i, v)
    {
        const char *element = typed_item(a, f, v, NULL, NULL);
        if (!element)
            continue;
        o.v[o.n] = (struct item){ .element = element, .value = v, .index = o.n };
        o.sorted[o.n] = &o.v[o.n];
        o.n++;
    }
    qsort(o.sorted, o.n, sizeof *o.sorted, by_element);
    for (size_t k = 1; k < o.n; k++)
        if (strcmp(o.sorted[k - 1]->element, o.sorted[k]->element) == 0)
            o.sorted[k - 1]->twice = o.sorted[k]->twice = true;
    return o;
}

/* NULL: not in it. */
static const struct item *items_find(const struct items *o, const char *element)
{
    size_t low = 0, high = o->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (fieldset_order(element, o->sorted[mid]->element) <= 0)
            high = mid;
        else
            low = mid + 1;
    }
    return low < o->n && strcmp(o->sorted[low]->element, element) == 0 ? o->sorted[low] : NULL;
}

static json_t *merge_item(struct arena *a, const struct schema_field *f, const struct items *live,
                          const struct item *over)
{
    const struct item *under = items_find(live, over->element);

    return under && !under->twice ? merge(a, f->type->item, under->value, over->value)
                                  : json_deep_copy(over->value);
}

/*
 * Items that both have come in config's order, those that only one has where they stand between
 * them (typed/merge.go, visitListItems). shared is the first item of config that live has too and
 * that is not merged yet: one of live's that config has later is passed over until then.
 */
static json_t *merge_items(struct arena *a, const struct schema_field *f, const json_t *live,
                           const json_t *config)
{
    struct items l = items_of(a, f, live), r = items_of(a, f, config);
    json_t *out = json_array();
    size_t i = 0, j = 0, shared = 0;

    while (i < l.n || j < r.n) {
        while (shared < r.n && (shared < j || !items_find(&l, r.v[shared].element)))
            shared++;
        const struct item *over = i < l.n ? items_find(&r, l.v[i].element) : NULL;
        if (i < l.n && !over) {
            json_array_append_new(out, json_deep_copy(l.v[i++].value));
            continue;
        }
        if (over && over->index == j) {
            json_array_append_new(out, merge_item(a, f, &l, over));
            i++;
            j++;
            continue;
        }
        if (over && j < r.n && shared < r.n && over->index != shared) {
            i++;
            continue;
        }
        if (over && over->index < j)
            i++; /* live had it twice */
        if (j < r.n)
            json_array_append_new(out, merge_item(a, f, &l, &r.v[j++]));
    }
    return out;
}

static json_t *merge(struct arena *a, const struct schema_field *f, const json_t *live,
                     const json_t *config)
{
    enum typed_how how = typed_how(f, config);

    if (how == TYPED_LEAF || typed_how(f, live) != how || typed_is_empty(live))
        return json_deep_copy(config);
    if (typed_is_empty(config)) /* says nothing of live's parts */
        return json_deep_copy(live);
    return how == TYPED_ITEMS ? merge_items(a, f, live, config) : merge_entries(a, f, live, config);
}

json_t *typed_merge(const struct schema_type *t, const json_t *live, const json_t *config)
{
    const struct schema_field root = { .type = t };
    auto_arena a = ARENA_UNBOUNDED;

    return merge(&a, &root, live, config);
}

/* ---- remove ---- */

static json_t *without(struct arena *a, const struct schema_field *f, const json_t *v,
                       const struct fieldset *s);

/* What stays of one part, whose element may be in s. NULL: nothing. */
static json_t *part_without(struct arena *a, const struct schema_field *f, const json_t *v,
                            const struct fieldset *s, const char *element)
{
    const struct fieldset_node *n = element && f ? fieldset_find(s, element) : NULL;

    if (n && n->member)
        return NULL;
    return n && n->below ? without(a, f, v, n->below) : json_deep_copy(v);
}

static json_t *or_null(json_t *container_take)
{
    if (!typed_is_empty(container_take))
        return container_take;
    json_decref(container_take);
    return json_null();
}

/* s is not empty. */
static json_t *without(struct arena *a, const struct schema_field *f, const json_t *v,
                       const struct fieldset *s)
{
    enum typed_how how = typed_how(f, v);
    bool container = json_is_array(v) || json_is_object(v);
    json_t *out, *child, *left;
    const char *key;
    size_t i;

    if (how == TYPED_LEAF) /* fields below an atomic container: all of it goes */
        return container ? json_null() : json_deep_copy(v);
    if (how == TYPED_ITEMS) {
        out = json_array();
        json_array_foreach(v, i, child)
        {
            left = part_without(a, f->type->item, child, s, typed_item(a, f, child, NULL, NULL));
            if (left)
                json_array_append_new(out, left);
        }
        return or_null(out);
    }
    out = json_object();
    json_object_foreach((json_t *)v, key, child)
    {
        left = part_without(a, typed_child(f, key), child, s, fieldset_field(a, key));
        if (left)
            json_object_set_new(out, key, left);
    }
    return or_null(out);
}

json_t *typed_remove(const struct schema_type *t, const json_t *v, const struct fieldset *s)
{
    const struct schema_field root = { .type = t };
    auto_arena a = ARENA_UNBOUNDED;

    return s ? without(&a, &root, v, s) : json_deep_copy(v);
}

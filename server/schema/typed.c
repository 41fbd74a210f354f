#include "server/schema/typed.h"

#include "base/core/mem.h"
#include "server/schema/typed_walk.h"

#include <string.h>

/* A path in a set: it itself, and what lies below it. */
struct path {
    bool member;
    const struct fieldset *below;
};

/* ---- compare ---- */

enum { ADDED, MODIFIED, REMOVED, CHANGES_N };

struct compare {
    struct arena *a;
    struct typed_zeros zeros;
};

static void compare(struct compare *c, const struct schema_field *f, const json_t *was,
                    const json_t *is, struct path out[CHANGES_N]);

static void compare_leaf(const json_t *was, const json_t *is, struct path out[CHANGES_N])
{
    if (!was)
        out[ADDED].member = true;
    else if (!is)
        out[REMOVED].member = true;
    else if (!json_equal((json_t *)was, (json_t *)is))
        out[MODIFIED].member = true;
}

struct builders {
    struct fieldset_builder b[CHANGES_N];
};

static void builders_init(struct builders *b, struct arena *a)
{
    *b = (struct builders){ { { .a = a }, { .a = a }, { .a = a } } };
}

static void builders_done(struct builders *b, struct path out[CHANGES_N])
{
    for (int i = 0; i < CHANGES_N; i++)
        out[i].below = fieldset_done(&b->b[i]);
}

/* element NULL: that of the field name. */
static void compare_part(struct compare *c, struct builders *b, const struct schema_field *f,
                         const char *element, const char *name, const json_t *was, const json_t *is)
{
    struct path part[CHANGES_N] = { 0 };

    compare(c, f, was, is, part);
    for (int i = 0; i < CHANGES_N; i++) {
        if (!part[i].member && !part[i].below)
            continue;
        if (!element)
            element = fieldset_field(c->a, name);
        fieldset_add(&b->b[i], element, part[i].member, part[i].below);
    }
}

static bool struct_is_empty(struct compare *c, const struct schema_field *f, const json_t *v)
{
    if (!typed_is_empty(v))
        return false;
    for (uint16_t i = 0; json_is_object(v) && i < f->type->n_fields; i++)
        if (typed_go_field(&c->zeros, &f->type->fields[i], v))
            return false;
    return true;
}

/* What a struct holds beside its fields. */
static void compare_unknown(struct compare *c, struct builders *b, const struct schema_field *f,
                            const json_t *was, const json_t *is)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)was, key, v)
    {
        if (!schema_field(f->type, key))
            compare_part(c, b, typed_child(f, key), NULL, key, v, json_object_get(is, key));
    }
    json_object_foreach((json_t *)is, key, v)
    {
        if (!schema_field(f->type, key) && !json_object_get(was, key))
            compare_part(c, b, typed_child(f, key), NULL, key, NULL, v);
    }
}

static void compare_fields(struct compare *c, const struct schema_field *f, const json_t *was,
                           const json_t *is, struct path out[CHANGES_N])
{
    struct builders b;

    builders_init(&b, c->a);
    for (uint16_t i = 0; i < f->type->n_fields; i++) {
        const struct schema_field *p = &f->type->fields[i];
        const json_t *x = json_is_object(was) ? typed_go_field(&c->zeros, p, was) : NULL;
        const json_t *y = json_is_object(is) ? typed_go_field(&c->zeros, p, is) : NULL;

        if (x != y)
            compare_part(c, &b, p, NULL, p->name, x, y);
    }
    if (f->type->preserve_unknown)
        compare_unknown(c, &b, f, was, is);
    builders_done(&b, out);
}

static void compare_entries(struct compare *c, const struct schema_field *f, const json_t *was,
                            const json_t *is, struct path out[CHANGES_N])
{
    struct builders b;
    const char *key;
    json_t *v;

    builders_init(&b, c->a);
    json_object_foreach((json_t *)was, key, v)
        compare_part(c, &b, typed_child(f, key), NULL, key, v, json_object_get(is, key));
    json_object_foreach((json_t *)is, key, v)
    {
        if (!json_object_get(was, key))
            compare_part(c, &b, typed_child(f, key), NULL, key, NULL, v);
    }
    builders_done(&b, out);
}

struct item {
    const char *element;
    const json_t *value;
    size_t index;
    bool is; /* of the second list */
};

static int by_element(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int d = fieldset_order(x->element, y->element);

    if (!d)
        d = (int)x->is - (int)y->is;
    return d ? d : (x->index > y->index) - (x->index < y->index);
}

static size_t add_items(struct compare *c, const struct schema_field *f, const json_t *list,
                        bool is, struct item *out)
{
    size_t n = 0, i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        const char *element = typed_item(c->a, f, v, &c->zeros, NULL);
        if (element)
            out[n++] = (struct item){ element, v, i, is };
    }
    return n;
}

/* Items that a list has twice are owned together, as a leaf (typed/compare.go, visitListItems). */
static void compare_item(struct compare *c, struct builders *b, const struct schema_field *f,
                         const struct item *v, size_t n_was, size_t n_is)
{
    const struct item *is = v + n_was;
    bool equal = n_was == n_is;

    if (n_was <= 1 && n_is <= 1) {
        compare_part(c, b, f->type->item, v->element, NULL, n_was ? v->value : NULL,
                     n_is ? is->value : NULL);
    } else if (n_was >= 2 && n_is >= 2) {
        for (size_t i = 0; equal && i < n_was; i++)
            equal = json_equal((json_t *)v[i].value, (json_t *)is[i].value);
        fieldset_add(&b->b[MODIFIED], v->element, !equal, NULL);
    } else if (n_was >= 2) {
        if (n_is)
            compare_part(c, b, f->type->item, v->element, NULL, NULL, is->value);
        fieldset_add(&b->b[REMOVED], v->element, true, NULL);
    } else {
        if (n_was)
            compare_part(c, b, f->type->item, v->element, NULL, v->value, NULL);
        fieldset_add(&b->b[ADDED], v->element, true, NULL);
    }
}

static void compare_items(struct compare *c, const struct schema_field *f, const json_t *was,
                          const json_t *is, struct path out[CHANGES_N])
{
    size_t max = json_array_size(was) + json_array_size(is);
    struct item *v = arena_alloc(c->a, (max + 1) * sizeof *v);
    size_t n = add_items(c, f, was, false, v);
    struct builders b;

    n += add_items(c, f, is, true, v + n);
    qsort(v, n, sizeof *v, by_element);
    builders_init(&b, c->a);
    for (size_t i = 0, end; i < n; i = end) {
        size_t n_was = 0;

        for (end = i; end < n && strcmp(v[end].element, v[i].element) == 0; end++)
            n_was += !v[end].is;
        compare_item(c, &b, f, v + i, n_was, end - i - n_was);
    }
    builders_done(&b, out);
}

/* At most one of was and is is NULL: absent. */
static void compare(struct compare *c, const struct schema_field *f, const json_t *was,
                    const json_t *is, struct path out[CHANGES_N])
{
    enum typed_how how = typed_how(f, is ? is : was);
    bool empty = how == TYPED_FIELDS ? struct_is_empty(c, f, was) && struct_is_empty(c, f, is)
                                     : typed_is_empty(was) && typed_is_empty(is);

    /* raw values of two kinds: the whole is another, and all parts came or went */
    if (was && is && typed_how(f, was) != how) {
        out[MODIFIED].member = true;
        compare_entries(c, f, json_is_object(was) ? was : NULL, json_is_object(is) ? is : NULL,
                        out);
        return;
    }
    if (how == TYPED_LEAF || empty) {
        compare_leaf(was, is, out);
        return;
    }
    if (how == TYPED_FIELDS)
        compare_fields(c, f, was, is, out);
    else if (how == TYPED_ENTRIES)
        compare_entries(c, f, was, is, out);
    else
        compare_items(c, f, was, is, out);
    out[ADDED].member |= !was;
    out[REMOVED].member |= !is;
}

void typed_compare(struct typed_changes *out, struct arena *a, const struct schema_type *t,
                   const json_t *was, const json_t *is)
{
    const struct schema_field root = { .type = t };
    struct compare c = { .a = a };
    struct path changes[CHANGES_N] = { 0 };

    compare(&c, &root, was, is, changes);
    typed_zeros_deinit(&c.zeros);
    *out = (struct typed_changes){ changes[ADDED].below, changes[MODIFIED].below,
                                   changes[REMOVED].below };
}

/* ---- all fields ---- */

static struct path fields_of(struct arena *a, const struct schema_field *f, const json_t *v);

static const struct fieldset *entries_of(struct arena *a, const struct schema_field *f,
                                         const json_t *v)
{
    struct fieldset_builder b = { .a = a };
    const char *key;
    json_t *child;

    json_object_foreach((json_t *)v, key, child)
    {
        const struct schema_field *p = typed_child(f, key);
        if (!p)
            continue;
        struct path part = fields_of(a, p, child);
        bool hollow = json_is_null(child) || (json_is_object(child) && typed_is_empty(child));
        fieldset_add(&b, fieldset_field(a, key),
                     part.member || hollow || f->type->shape != SCHEMA_STRUCT, part.below);
    }
    return fieldset_done(&b);
}

static const struct fieldset *items_of(struct arena *a, const struct schema_field *f,
                                       const json_t *v)
{
    struct fieldset_builder b = { .a = a };
    size_t n = json_array_size(v);
    struct item *items = arena_alloc(a, (n + 1) * sizeof *items);
    size_t n_items = 0, i;
    json_t *child;

    json_array_foreach(v, i, child)
    {
        const char *element = typed_item(a, f, child, NULL, NULL);
        if (element)
            items[n_items++] = (struct item){ element, child, i, false };
    }
    qsort(items, n_items, sizeof *items, by_element);
    for (size_t k = 0, end; k < n_items; k = end) {
        struct path part = { 0 };

        for (end = k + 1; end < n_items && strcmp(items[end].element, items[k].element) == 0;)
            end++;
        if (end == k + 1) /* items that are there twice are owned together */
            part = fields_of(a, f->type->item, items[k].value);
        fieldset_add(&b, items[k].element, true, part.below);
    }
    return fieldset_done(&b);
}

static struct path fields_of(struct arena *a, const struct schema_field *f, const json_t *v)
{
    switch (typed_how(f, v)) {
    case TYPED_LEAF:
        return (struct path){ .member = true };
    case TYPED_ITEMS:
        return (struct path){ .below = items_of(a, f, v) };
    default:
        return (struct path){ .below = entries_of(a, f, v) };
    }
}

const struct fieldset *typed_fields(struct arena *a, const struct schema_type *t, const json_t *v)
{
    const struct schema_field root = { .type = t };

    return fields_of(a, &root, v).below;
}

/* ---- named fields ---- */

static const struct fieldset *named(struct arena *a, const struct schema_field *f,
                                    const struct fieldset *s)
{
    struct fieldset_builder b = { .a = a };

    if (!s || !f)
        return s;
    for (size_t i = 0; i < s->n; i++) {
        const struct fieldset_node *n = &s->v[i];
        bool field = n->element[0] == 'f';
        const struct schema_field *p = field ? typed_child(f, n->element + 2)
                                       : f->type->shape == SCHEMA_LIST ? f->type->item
                                                                       : NULL;
        fieldset_add(&b, n->element, n->member || (field && p && f->type->shape == SCHEMA_STRUCT),
                     named(a, p, n->below));
    }
    return fieldset_done(&b);
}

const struct fieldset *typed_named(struct arena *a, const struct schema_type *t,
                                   const struct fieldset *s)
{
    const struct schema_field root = { .type = t };

    return named(a, &root, s);
}

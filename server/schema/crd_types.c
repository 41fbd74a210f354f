#include "server/schema/crd_types.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <string.h>

static const struct schema_type *type_of(struct arena *a, const struct crd_node *n);

static const struct schema_type *scalar(enum schema_shape shape)
{
    static const struct schema_type types[] = {
#define SCALAR(s) [s] = { .name = "", .group_version = "", .shape = s }
        SCALAR(SCHEMA_STRING), SCALAR(SCHEMA_BOOL),          SCALAR(SCHEMA_INT64),
        SCALAR(SCHEMA_NUMBER), SCALAR(SCHEMA_INT_OR_STRING), SCALAR(SCHEMA_ANY),
        SCALAR(SCHEMA_OBJECT),
#undef SCALAR
    };

    return &types[shape];
}

static struct schema_type *new_type(struct arena *a, enum schema_shape shape)
{
    struct schema_type *t = arena_alloc(a, sizeof *t);

    t->name = "";
    t->group_version = "";
    t->shape = shape;
    return t;
}

/* Every field is one that may be absent: an instance is what its document says, no Go struct. */
static void set_field(struct arena *a, struct schema_field *f, const char *name,
                      const struct crd_node *n)
{
    const json_t *key;
    const char **keys;
    size_t i;

    f->name = name;
    f->type = type_of(a, n);
    f->flags = (uint16_t)(SCHEMA_POINTER | (n->map_atomic ? SCHEMA_ATOMIC : 0));
    f->list_type = n->list_type;
    if (n->list_keys) {
        f->list_keys = keys = arena_alloc(a, (json_array_size(n->list_keys) + 1) * sizeof *keys);
        json_array_foreach(n->list_keys, i, key) keys[i] =
            json_string_value(key) ? json_string_value(key) : "";
    }
    if (n->deflt) {
        auto_free char *text = json_text(n->deflt);
        f->deflt = arena_strndup(a, text, strlen(text));
    }
}

static const struct schema_field *item_of(struct arena *a, const struct crd_node *n)
{
    struct schema_field *f = arena_alloc(a, sizeof *f);

    set_field(a, f, NULL, n);
    return f;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct schema_field *)a)->name, ((const struct schema_field *)b)->name);
}

/* has_meta: a whole object, whose apiVersion, kind and metadata no schema needs to name. */
static struct schema_type *struct_of(struct arena *a, const struct crd_node *n, bool has_meta)
{
    static const char *const meta[] = { "apiVersion", "kind", "metadata" };
    struct schema_type *t = new_type(a, SCHEMA_STRUCT);
    struct schema_field *f = arena_alloc(a, (n->n_props + ARRAY_LEN(meta)) * sizeof *f);

    for (size_t i = 0; i < n->n_props && t->n_fields < UINT16_MAX - ARRAY_LEN(meta); i++) {
        const char *name = n->props[i].name;
        if (has_meta && (strcmp(name, meta[0]) == 0 || strcmp(name, meta[1]) == 0 ||
                         strcmp(name, meta[2]) == 0))
            continue;
        set_field(a, &f[t->n_fields++], name, n->props[i].node);
    }
    for (size_t i = 0; has_meta && i < ARRAY_LEN(meta); i++)
        f[t->n_fields++] = (struct schema_field){
            .name = meta[i],
            .type = i == 2 ? schema_builtin_type("meta/v1", "ObjectMeta") : scalar(SCHEMA_STRING),
            .flags = SCHEMA_POINTER,
        };
    qsort(f, t->n_fields, sizeof *f, by_name);
    t->fields = f;
    t->preserve_unknown = n->preserve_unknown;
    return t;
}

static const struct schema_type *type_of(struct arena *a, const struct crd_node *n)
{
    struct schema_type *t;

    if (n->int_or_string)
        return scalar(SCHEMA_INT_OR_STRING);
    switch (n->type) {
    case CRD_STRING:
        return scalar(SCHEMA_STRING);
    case CRD_BOOLEAN:
        return scalar(SCHEMA_BOOL);
    case CRD_INTEGER:
        return scalar(SCHEMA_INT64);
    case CRD_NUMBER:
        return scalar(SCHEMA_NUMBER);
    case CRD_ARRAY:
        if (!n->items)
            return scalar(SCHEMA_ANY);
        t = new_type(a, SCHEMA_LIST);
        t->item = item_of(a, n->items);
        return t;
    case CRD_ANY:
    case CRD_OBJECT:
        break;
    }
    if (n->n_props || n->embedded)
        return struct_of(a, n, n->embedded);
    if (!n->additional)
        return scalar(n->type == CRD_OBJECT ? SCHEMA_OBJECT : SCHEMA_ANY);
    t = new_type(a, SCHEMA_MAP);
    t->item = item_of(a, n->additional);
    return t;
}

const struct schema_type *crd_types_make(struct arena *a, const struct crd_node *root,
                                         const char *group_version, const char *kind)
{
    struct schema_type *t = struct_of(a, root, true);

    t->name = kind;
    t->group_version = group_version;
    return t;
}

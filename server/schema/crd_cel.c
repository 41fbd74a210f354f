#include "server/schema/crd_cel.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#define LIMIT (CRD_REQUEST_MAX_BYTES - 2) /* less two quotes or brackets */

enum { DURATION_MAX = 32, DATE_BYTES = 12, DATE_TIME_MIN = 21, DATE_TIME_MAX = 32 };

static uint64_t bound(int64_t said, uint64_t otherwise)
{
    return said >= 0 ? (uint64_t)said : otherwise;
}

static struct cel_type *plain(struct arena *a, const struct crd_node *n, enum cel_kind kind)
{
    struct cel_type *t = arena_alloc(a, sizeof *t);

    *t = cel_types[kind];
    t->nullable = n->nullable;
    return t;
}

/* The longest of a text's allowed values. */
static uint64_t longest(const json_t *enums)
{
    const json_t *one;
    size_t i, n = 0;

    json_array_foreach(enums, i, one) n = MAX(n, json_string_length(one));
    return n;
}

static const struct cel_type *text_type(struct arena *a, const struct crd_node *n)
{
    static const struct {
        const char *format;
        enum cel_kind kind;
        enum cel_text text;
        uint64_t min, max;
    } formats[] = {
        { "byte", CEL_BYTES, CEL_TEXT_BASE64, 2, LIMIT },
        { "duration", CEL_DURATION, CEL_TEXT_DURATION, 3, DURATION_MAX },
        { "date", CEL_TIMESTAMP, CEL_TEXT_DATE, DATE_BYTES, DATE_BYTES },
        { "date-time", CEL_TIMESTAMP, CEL_TEXT_DATE_TIME, DATE_TIME_MIN, DATE_TIME_MAX },
    };

    for (size_t i = 0; n->format && i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].format, n->format) != 0)
            continue;
        struct cel_type *t = plain(a, n, formats[i].kind);
        t->text = formats[i].text;
        t->min_bytes = formats[i].min;
        t->max_elements = i == 0 ? bound(n->max_length, formats[i].max) : formats[i].max;
        return t;
    }
    struct cel_type *t = plain(a, n, CEL_STRING);
    /* a code point has up to four bytes, and bytes are what is counted */
    t->max_elements = n->max_length >= 0 ? 4 * (uint64_t)n->max_length
                      : n->enums         ? longest(n->enums)
                                         : LIMIT;
    return t;
}

static const struct cel_type *list_type(struct arena *a, const struct crd_node *n)
{
    const struct cel_type *elem = n->items ? crd_cel_type(a, n->items, n->items->embedded) : NULL;

    if (!elem)
        return NULL;
    struct cel_type *t = plain(a, n, CEL_LIST);
    t->elem = elem;
    t->list = n->list_type == SCHEMA_LIST_MAP   ? CEL_LIST_BY_KEY
              : n->list_type == SCHEMA_LIST_SET ? CEL_LIST_SET
                                                : CEL_LIST_PLAIN;
    t->list_keys = n->list_keys;
    t->max_elements = bound(n->max_items, LIMIT / (elem->min_bytes + 1));
    t->min_bytes = 2;
    return t;
}

static const struct cel_type *map_type(struct arena *a, const struct crd_node *n)
{
    const struct cel_type *elem = crd_cel_type(a, n->additional, n->additional->embedded);

    if (!elem)
        return NULL;
    struct cel_type *t = plain(a, n, CEL_MAP), *key = plain(a, n, CEL_STRING);
    key->nullable = false;
    key->max_elements = LIMIT;
    t->key = key;
    t->elem = elem;
    t->max_elements = bound(n->max_properties, LIMIT / (elem->min_bytes + 6));
    t->min_bytes = 2;
    return t;
}

/* ---- objects ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cel_field *)a)->name, ((const struct cel_field *)b)->name);
}

static bool is_required(const struct crd_node *n, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(n->required, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static bool is_meta(const char *name)
{
    return strcmp(name, "metadata") == 0 || strcmp(name, "apiVersion") == 0 ||
           strcmp(name, "kind") == 0;
}

static const struct cel_type *meta_text(struct arena *a)
{
    static const struct crd_node none = { .max_length = -1 };

    return text_type(a, &none);
}

static const struct cel_type *meta_type(struct arena *a)
{
    static const struct crd_node none = { .type = CRD_OBJECT };
    struct cel_type *t = plain(a, &none, CEL_OBJECT);
    struct cel_field *fields = arena_alloc(a, 2 * sizeof *fields);
    const struct cel_type *text = meta_text(a);

    fields[0] = (struct cel_field){ "generateName", "generateName", text };
    fields[1] = (struct cel_field){ "name", "name", text };
    t->fields = fields;
    t->n_fields = 2;
    t->max_elements = 0;
    t->min_bytes = 2;
    return t;
}

static const struct cel_type *object_type(struct arena *a, const struct crd_node *n, bool is_root)
{
    struct cel_type *t = plain(a, n, CEL_OBJECT);
    struct cel_field *fields = arena_alloc(a, (n->n_props + 3) * sizeof *fields);

    t->fields = fields;
    t->max_elements = 0; /* upstream's estimates take objects for empty */
    t->min_bytes = 2;
    for (size_t i = 0; i < n->n_props; i++) {
        const struct crd_prop *p = &n->props[i];
        auto_free char *name = NULL;
        const struct cel_type *type;

        if ((is_root && is_meta(p->name)) || !(type = crd_cel_type(a, p->node, p->node->embedded)))
            continue;
        if (is_required(n, p->name) && !p->node->deflt)
            t->min_bytes += strlen(p->name) + type->min_bytes + 4;
        if ((name = cel_escape(p->name)))
            fields[t->n_fields++] = (struct cel_field){ strcmp(name, p->name) == 0
                                                            ? p->name
                                                            : arena_strndup(a, name, strlen(name)),
                                                        p->name, type };
    }
    if (is_root) {
        const struct cel_type *text = meta_text(a);
        fields[t->n_fields++] = (struct cel_field){ "apiVersion", "apiVersion", text };
        fields[t->n_fields++] = (struct cel_field){ "kind", "kind", text };
        fields[t->n_fields++] = (struct cel_field){ "metadata", "metadata", meta_type(a) };
    }
    qsort(fields, t->n_fields, sizeof *fields, by_name);
    return t;
}

const struct cel_type *crd_cel_type(struct arena *a, const struct crd_node *n, bool is_root)
{
    struct cel_type *t;

    if (n->int_or_string) {
        t = plain(a, n, CEL_DYN);
        t->int_or_string = true;
        t->min_bytes = 1;
        t->max_elements = n->max_length >= 0 ? 4 * (uint64_t)n->max_length : LIMIT;
        return t;
    }
    switch (is_root ? CRD_OBJECT : n->type) {
    case CRD_OBJECT:
        if (n->additional)
            return map_type(a, n);
        return object_type(a, n, is_root);
    case CRD_ARRAY:
        return list_type(a, n);
    case CRD_STRING:
        return text_type(a, n);
    case CRD_BOOLEAN:
        return plain(a, n, CEL_BOOL);
    case CRD_NUMBER:
        return plain(a, n, CEL_DOUBLE);
    case CRD_INTEGER:
        return plain(a, n, CEL_INT);
    case CRD_ANY: /* nothing is known of it */
        break;
    }
    return NULL;
}

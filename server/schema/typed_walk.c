#include "server/schema/typed_walk.h"

#include "base/core/mem.h"
#include "base/data/json.h"

enum { PARTS_MAX = 16 }; /* key fields of a list; no kind has more than four */

static const struct schema_type RAW = { .name = "", .group_version = "", .shape = SCHEMA_ANY };
static const struct schema_field RAW_FIELD = { .type = &RAW };

enum typed_how typed_how(const struct schema_field *f, const json_t *v)
{
    if (f->flags & SCHEMA_ATOMIC)
        return TYPED_LEAF;
    switch (f->type->shape) {
    case SCHEMA_STRUCT:
        return TYPED_FIELDS;
    case SCHEMA_MAP:
        return TYPED_ENTRIES;
    case SCHEMA_LIST:
        return f->list_type == SCHEMA_LIST_ATOMIC ? TYPED_LEAF : TYPED_ITEMS;
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
        return json_is_object(v) ? TYPED_ENTRIES : TYPED_LEAF;
    default:
        return TYPED_LEAF;
    }
}

bool typed_is_empty(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

const struct schema_field *typed_child(const struct schema_field *f, const char *name)
{
    const struct schema_field *p;

    switch (f->type->shape) {
    case SCHEMA_STRUCT:
        p = schema_field(f->type, name);
        return p || !f->type->preserve_unknown ? p : &RAW_FIELD;
    case SCHEMA_MAP:
        return f->type->item;
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
        return &RAW_FIELD;
    default:
        return NULL;
    }
}

static json_t *new_zero(enum schema_shape shape)
{
    switch (shape) {
    case SCHEMA_STRING:
        return json_string("");
    case SCHEMA_BOOL:
        return json_false();
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_NUMBER:
    case SCHEMA_INT_OR_STRING:
        return json_integer(0);
    case SCHEMA_DURATION:
        return json_string("0s");
    case SCHEMA_QUANTITY:
        return json_string("0");
    case SCHEMA_STRUCT:
        return json_object();
    default:
        return json_null();
    }
}

static const json_t *zero(struct typed_zeros *z, enum schema_shape shape)
{
    if (!z->v[shape])
        z->v[shape] = new_zero(shape);
    return z->v[shape];
}

void typed_zeros_deinit(struct typed_zeros *z)
{
    for (size_t i = 0; i < ARRAY_LEN(z->v); i++)
        json_decref(z->v[i]);
}

/* encoding/json: omitempty never omits a struct, and some of our scalars are structs there. */
static bool is_go_struct(enum schema_shape s)
{
    return s == SCHEMA_STRUCT || s == SCHEMA_TIME || s == SCHEMA_MICROTIME ||
           s == SCHEMA_DURATION || s == SCHEMA_QUANTITY || s == SCHEMA_INT_OR_STRING;
}

const json_t *typed_go_field(struct typed_zeros *z, const struct schema_field *f, const json_t *v)
{
    /* of an object that is new, one side of all comparisons is empty */
    const json_t *have = json_object_size(v) ? json_object_get(v, f->name) : NULL;

    if (have)
        return have;
    if (f->flags & SCHEMA_POINTER)
        return f->flags & SCHEMA_REQUIRED ? json_null() : NULL;
    return f->flags & SCHEMA_REQUIRED || is_go_struct(f->type->shape) ? zero(z, f->type->shape)
                                                                      : NULL;
}

static const char *item_of_map(struct arena *a, const struct schema_field *f, const json_t *item,
                               struct typed_zeros *go, char **why)
{
    const struct schema_type *t = f->type->item->type;
    struct fieldset_part parts[PARTS_MAX];
    json_t *made[PARTS_MAX] = { 0 };
    const char *missing = NULL, *element = NULL;
    size_t n = 0;

    for (; n < PARTS_MAX && f->list_keys[n] && !missing; n++) {
        const struct schema_field *k = schema_field(t, f->list_keys[n]);
        const json_t *v =
            go && k ? typed_go_field(go, k, item) : json_object_get(item, f->list_keys[n]);

        if (!v && k && k->deflt)
            v = made[n] = json_from(k->deflt);
        if (!v)
            missing = f->list_keys[n];
        parts[n] = (struct fieldset_part){ f->list_keys[n], v };
    }
    if (!missing)
        element = fieldset_key(a, parts, n);
    else if (why)
        *why = mem_printf("associative list with keys has an element that omits key field \"%s\" "
                          "(and doesn't have default value)",
                          missing);
    for (size_t i = 0; i < n; i++)
        json_decref(made[i]);
    return element;
}

const char *typed_item(struct arena *a, const struct schema_field *f, const json_t *item,
                       struct typed_zeros *go, char **why)
{
    const char *wrong = NULL;

    if (f->list_type == SCHEMA_LIST_MAP) {
        if (json_is_object(item))
            return item_of_map(a, f, item, go, why);
        wrong = json_is_null(item) ? "associative list with keys may not have a null element"
                                   : "associative list with keys may not have non-map elements";
    } else if (json_is_object(item)) {
        wrong = "associative list without keys has an element that's a map type";
    } else if (json_is_array(item)) {
        wrong = "not supported: associative list with lists as elements";
    } else if (json_is_null(item)) {
        wrong = "associative list without keys has an element that's an explicit null";
    }
    if (!wrong)
        return fieldset_value(a, item);
    if (why)
        *why = mem_strdup(wrong);
    return NULL;
}

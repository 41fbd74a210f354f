#include "server/schema/crd_node.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/strfmt.h"

#include <math.h>

static const char *const type_names[] = { "",        "object", "array",  "string",
                                          "integer", "number", "boolean" };

const char *crd_type_name(enum crd_type t)
{
    return type_names[t];
}

enum crd_type crd_type_of(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(type_names); i++)
        if (strcmp(type_names[i], name) == 0)
            return (enum crd_type)i;
    return CRD_ANY;
}

static void nodes_deinit(struct crd_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++)
        crd_node_free(nodes->v[i]);
    free(nodes->v);
}

void crd_node_free(struct crd_node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_props; i++)
        crd_node_free(n->props[i].node);
    free(n->props);
    crd_node_free(n->additional);
    crd_node_free(n->items);
    nodes_deinit(&n->all_of);
    nodes_deinit(&n->any_of);
    nodes_deinit(&n->one_of);
    crd_node_free(n->not_);
    regex_free(n->pattern);
    free(n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct crd_prop *)a)->name, ((const struct crd_prop *)b)->name);
}

const struct crd_node *crd_node_prop(const struct crd_node *n, const char *name)
{
    struct crd_prop key = { .name = name };
    const struct crd_prop *p =
        n->n_props ? bsearch(&key, n->props, n->n_props, sizeof key, by_name) : NULL;

    return p ? p->node : NULL;
}

/* ---- making it ---- */

struct maker {
    size_t n_nodes;
    struct err *e;
};

static int make(struct maker *m, struct crd_node **out, const json_t *s);

static double number(const json_t *s, const char *key)
{
    const json_t *v = json_object_get(s, key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int64_t count(const json_t *s, const char *key)
{
    const json_t *v = json_object_get(s, key);

    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static const json_t *list(const json_t *s, const char *key)
{
    const json_t *v = json_object_get(s, key);

    return json_array_size(v) ? v : NULL;
}

static int make_list(struct maker *m, struct crd_nodes *out, const json_t *s, const char *key)
{
    const json_t *v = list(s, key);

    if (!v)
        return 0;
    out->v = mem_calloc(json_array_size(v), sizeof(struct crd_node *));
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (make(m, &out->v[i], json_array_get(v, i)))
            return err_wrap(m->e, "%s[%zu]", key, i);
        out->n++;
    }
    return 0;
}

static int make_props(struct maker *m, struct crd_node *n, const json_t *props)
{
    const char *key;
    json_t *v;

    n->props = mem_calloc(json_object_size(props) + 1, sizeof *n->props);
    json_object_foreach((json_t *)props, key, v)
    {
        struct crd_prop *p = &n->props[n->n_props];
        p->name = key;
        if (make(m, &p->node, v))
            return err_wrap(m->e, "properties[%s]", key);
        n->n_props++;
        n->has_defaults |= p->node->has_defaults;
        n->has_rules |= p->node->has_rules;
    }
    qsort(n->props, n->n_props, sizeof *n->props, by_name);
    return 0;
}

/* The value validations, which say nothing about the shape. */
static int make_checks(struct maker *m, struct crd_node *n, const json_t *s)
{
    const char *format = json_str_at(s, "format", "");
    struct err e;

    n->format = strfmt_is_known(format) ? format : NULL;
    n->enums = list(s, "enum");
    n->required = list(s, "required");
    n->maximum = number(s, "maximum");
    n->minimum = number(s, "minimum");
    n->multiple_of = number(s, "multipleOf");
    n->exclusive_maximum = json_is_true(json_object_get(s, "exclusiveMaximum"));
    n->exclusive_minimum = json_is_true(json_object_get(s, "exclusiveMinimum"));
    n->unique_items = json_is_true(json_object_get(s, "uniqueItems"));
    n->max_length = count(s, "maxLength");
    n->min_length = count(s, "minLength");
    n->max_items = count(s, "maxItems");
    n->min_items = count(s, "minItems");
    n->max_properties = count(s, "maxProperties");
    n->min_properties = count(s, "minProperties");
    n->pattern_text = json_str_at(s, "pattern", "");
    if (*n->pattern_text && regex_new(&n->pattern, str_of(n->pattern_text), &e)) {
        *m->e = e;
        return err_wrap(m->e, "pattern");
    }
    if (make_list(m, &n->all_of, s, "allOf") || make_list(m, &n->any_of, s, "anyOf") ||
        make_list(m, &n->one_of, s, "oneOf"))
        return m->e->code;
    const json_t *not_ = json_object_get(s, "not");
    return not_ && make(m, &n->not_, not_) ? err_wrap(m->e, "not") : 0;
}

static void make_lists(struct crd_node *n, const json_t *s)
{
    const char *type = json_str_at(s, "x-kubernetes-list-type", "");

    n->list_keys = list(s, "x-kubernetes-list-map-keys");
    n->list_type = strcmp(type, "map") == 0 && n->list_keys ? SCHEMA_LIST_MAP
                   : strcmp(type, "set") == 0               ? SCHEMA_LIST_SET
                                                            : SCHEMA_LIST_ATOMIC;
    n->map_atomic = strcmp(json_str_at(s, "x-kubernetes-map-type", ""), "atomic") == 0;
}

static int make(struct maker *m, struct crd_node **out, const json_t *s)
{
    const json_t *additional = json_object_get(s, "additionalProperties");
    const json_t *items = json_object_get(s, "items");

    if (!json_is_object(s))
        return err_set(m->e, ERR_INVALID, "a schema is no object");
    if (++m->n_nodes > CRD_NODES_MAX)
        return err_set(m->e, ERR_LIMIT, "the schema has more than %d parts", CRD_NODES_MAX);
    AUTO(crd_node) struct crd_node *n = mem_alloc(sizeof *n);
    n->type = crd_type_of(json_str_at(s, "type", ""));
    n->nullable = json_is_true(json_object_get(s, "nullable"));
    n->int_or_string = json_is_true(json_object_get(s, "x-kubernetes-int-or-string"));
    n->preserve_unknown = json_is_true(json_object_get(s, "x-kubernetes-preserve-unknown-fields"));
    n->embedded = json_is_true(json_object_get(s, "x-kubernetes-embedded-resource"));
    n->deflt = json_object_get(s, "default");
    if (json_is_null(n->deflt))
        n->deflt = NULL;
    n->has_defaults = n->deflt != NULL;
    n->rules = list(s, "x-kubernetes-validations");
    n->has_rules = n->rules != NULL;
    n->has_additional = additional != NULL;
    n->allows_additional = !json_is_false(additional);
    make_lists(n, s);
    if (make_props(m, n, json_object_get(s, "properties")) || make_checks(m, n, s))
        return m->e->code;
    if (json_is_object(additional) && make(m, &n->additional, additional))
        return err_wrap(m->e, "additionalProperties");
    if (items && make(m, &n->items, items))
        return err_wrap(m->e, "items");
    n->has_defaults |=
        (n->additional && n->additional->has_defaults) || (n->items && n->items->has_defaults);
    n->has_rules |=
        (n->additional && n->additional->has_rules) || (n->items && n->items->has_rules);
    *out = STEAL(n);
    return 0;
}

int crd_node_new(struct crd_node **out, const json_t *schema, struct err *e)
{
    struct maker m = { .e = e };

    return make(&m, out, schema);
}

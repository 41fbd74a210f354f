/*
 * The schema of a version must be structural: every field has one type, told outside of allOf,
 * anyOf, oneOf and not, which may only restrict values (KEP 20190425-structural-openapi). Then
 * pruning, defaults and apply know what an instance means without trying alternatives.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/regex.h"
#include "server/schema/crd_check.h"
#include "server/schema/crd_object.h"
#include "server/schema/crd_rules.h"
#include "server/schema/crd_validate.h"

#include <string.h>

enum level { LEVEL_ROOT, LEVEL_ITEM, LEVEL_FIELD };

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static bool flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static bool has_items(const json_t *list_or_object)
{
    return json_array_size(list_or_object) || json_object_size(list_or_object);
}

static bool is_meta(const char *name)
{
    return strcmp(name, "metadata") == 0 || strcmp(name, "kind") == 0 ||
           strcmp(name, "apiVersion") == 0;
}

/* ---- inside of allOf, anyOf, oneOf and not ---- */

static const char *const junctors[] = { "allOf", "anyOf", "oneOf" };

/* anyOf: [{type: integer}, {type: string}], which int-or-string fields may say again */
static bool is_int_or_string(const json_t *any_of)
{
    const json_t *a = json_array_get(any_of, 0), *b = json_array_get(any_of, 1);

    return json_array_size(any_of) == 2 && json_object_size(a) == 1 && json_object_size(b) == 1 &&
           strcmp(text(a, "type"), "integer") == 0 && strcmp(text(b, "type"), "string") == 0;
}

static void check_pattern(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    AUTO(regex) struct regex *r = NULL;
    const char *pattern = text(s, "pattern");
    struct err e;

    if (!*pattern || !regex_new(&r, str_of(pattern), &e))
        return;
    auto_free char *why = mem_printf("must be a valid regular expression, but isn't: %s", e.text);
    field_invalid(fe, FIELD_AT(p, "pattern"), pattern, why);
}

static void check_values(const json_t *s, bool may_be_int_or_string, const struct field_path *p,
                         struct field_errors *fe);

/* What a junctor's schema may not say. */
static void check_nested(const json_t *s, bool may_be_int_or_string, const struct field_path *p,
                         struct field_errors *fe)
{
    static const struct {
        const char *key, *say;
    } forbidden[] = {
        { "type", "must be empty to be structural" },
        { "additionalProperties", "must be undefined to be structural" },
        { "default", "must be undefined to be structural" },
        { "title", "must be empty to be structural" },
        { "description", "must be empty to be structural" },
        { "nullable", "must be false to be structural" },
        { "externalDocs", "must be undefined to be structural" },
        { "x-kubernetes-preserve-unknown-fields", "must be false to be structural" },
        { "x-kubernetes-embedded-resource", "must be false to be structural" },
        { "x-kubernetes-int-or-string", "must be false to be structural" },
        { "x-kubernetes-list-map-keys", "must be empty to be structural" },
        { "x-kubernetes-list-type", "must be undefined to be structural" },
        { "x-kubernetes-map-type", "must be undefined to be structural" },
        { "x-kubernetes-validations", "must be empty to be structural" },
    };
    const struct field_path *properties = FIELD_AT(p, "properties");
    const char *key;
    json_t *v;

    check_values(s, may_be_int_or_string, p, fe);
    if (json_object_get(s, "items"))
        check_nested(json_object_get(s, "items"), false, FIELD_AT(p, "items"), fe);
    json_object_foreach(json_object_get(s, "properties"), key, v)
        check_nested(v, false, FIELD_KEY(properties, key), fe);
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        v = json_object_get(s, forbidden[i].key);
        bool empty = !v || json_is_false(v) || json_is_null(v) ||
                     (json_is_string(v) && !json_string_length(v)) ||
                     (json_is_array(v) && !json_array_size(v));
        if (!empty || (v && (i == 1 || i == 2))) /* these two are told by being there */
            field_forbidden(fe, FIELD_AT(p, forbidden[i].key), forbidden[i].say);
    }
    if (json_object_get(json_object_get(s, "properties"), "metadata"))
        field_forbidden(fe, FIELD_KEY(properties, "metadata"),
                        "must not be specified in a nested context");
}

static void check_values(const json_t *s, bool may_be_int_or_string, const struct field_path *p,
                         struct field_errors *fe)
{
    const json_t *not_ = json_object_get(s, "not"), *v;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(junctors); k++) {
        const struct field_path *at = FIELD_AT(p, junctors[k]);

        json_array_foreach(json_object_get(s, junctors[k]), i, v)
        {
            bool known = may_be_int_or_string &&
                         ((k == 1 && is_int_or_string(json_object_get(s, "anyOf"))) ||
                          (k == 0 && i == 0 && is_int_or_string(json_object_get(v, "anyOf"))));
            if (known && k == 1)
                break;
            check_nested(v, known, FIELD_INDEX(at, i), fe);
        }
    }
    if (not_)
        check_nested(not_, false, FIELD_AT(p, "not"), fe);
    check_pattern(s, p, fe);
}

/* Every field that a junctor speaks of is there outside of it too. in: the schema around. */
static void check_complete(const json_t *nested, const json_t *s, const struct field_path *at,
                           const struct field_path *in, struct field_errors *fe)
{
    const json_t *v, *items = json_object_get(nested, "items"),
                     *not_ = json_object_get(nested, "not");
    const json_t *properties = json_object_get(s, "properties");
    const char *key;
    json_t *child;
    size_t i;

    if (!s) {
        auto_free char *where = field_path_text(in);
        auto_free char *why = mem_printf("because it is defined in %s", where);
        field_required(fe, at, why);
        return;
    }
    for (size_t k = 0; k < ARRAY_LEN(junctors); k++) {
        const struct field_path *junctor = FIELD_AT(in, junctors[k]);
        json_array_foreach(json_object_get(nested, junctors[k]), i, v)
            check_complete(v, s, at, FIELD_INDEX(junctor, i), fe);
    }
    if (not_)
        check_complete(not_, s, at, FIELD_AT(in, "not"), fe);
    if (nested == s) /* not inside of one yet */
        return;
    if (items)
        check_complete(items, json_object_get(s, "items"), FIELD_AT(at, "items"),
                       FIELD_AT(in, "items"), fe);
    json_object_foreach(json_object_get(nested, "properties"), key, child)
    {
        const struct field_path *a = FIELD_AT(at, "properties"), *b = FIELD_AT(in, "properties");
        check_complete(child, json_object_get(properties, key), FIELD_KEY(a, key),
                       FIELD_KEY(b, key), fe);
    }
}

/* ---- defaults ---- */

static void check_default(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    AUTO(crd_node) struct crd_node *n = NULL;
    const struct field_path *at = FIELD_AT(p, "default");
    const json_t *value = json_object_get(s, "default");
    auto_arena a = ARENA_UNBOUNDED; /* the document is bounded */
    AUTO(crd_rules) struct crd_rules *rules = NULL;
    size_t before = fe->n;
    json_auto_t *less = json_deep_copy(value);
    auto_free char *where = field_path_text(at);
    struct err e;

    if (crd_node_new(&n, s, &e)) /* told where it is wrong */
        return;
    rules = crd_rules_new(&a, n, false);
    if (crd_prune(n, less, false, NULL))
        field_invalid_json(fe, at, value, "must not have unknown fields");
    crd_validate_embedded(n, value, at, fe);
    crd_validate(n, value, NULL, where, fe);
    crd_validate_lists(n, value, at, fe);
    if (fe->n == before)
        crd_rules_check(rules, value, NULL, at, fe);
}

/* ---- what a schema may say, wherever it stands ---- */

static void check_openapi(const json_t *s, const char *no_default, const struct field_path *p,
                          struct field_errors *fe)
{
    static const char *const types[] = { "array",  "boolean", "integer", "number",
                                         "object", "string",  NULL };
    static const char *const unsupported[] = {
        "id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"
    };
    const char *type = text(s, "type");
    const json_t *v;

    if (strcmp(type, "null") == 0)
        field_forbidden(fe, FIELD_AT(p, "type"),
                        "type cannot be set to null, use nullable as an alternative");
    else if (*type && crd_type_of(type) == CRD_ANY)
        field_not_supported(fe, FIELD_AT(p, "type"), type, types);
    if (json_object_get(s, "default") && no_default) {
        auto_free char *why = mem_printf("must not be set %s", no_default);
        field_forbidden(fe, FIELD_AT(p, "default"), why);
    }
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
        auto_free char *why = mem_printf("%s is not supported", unsupported[i]);
        if ((v = json_object_get(s, unsupported[i])) && !json_is_null(v))
            field_forbidden(fe, FIELD_AT(p, unsupported[i]), why);
    }
    if (json_is_array(json_object_get(s, "items")))
        field_forbidden(fe, FIELD_AT(p, "items"), "items must be a schema object and not an array");
    if (flag(s, "uniqueItems"))
        field_forbidden(fe, FIELD_AT(p, "uniqueItems"),
                        "uniqueItems cannot be set to true since the runtime complexity becomes "
                        "quadratic");
    v = json_object_get(s, "additionalProperties");
    if (v && !json_is_true(v) && has_items(json_object_get(s, "properties")))
        field_forbidden(fe, FIELD_AT(p, "additionalProperties"),
                        "additionalProperties and properties are mutual exclusive");
    v = json_object_get(s, "x-kubernetes-preserve-unknown-fields");
    if (json_is_false(v))
        field_invalid_json(fe, FIELD_AT(p, "x-kubernetes-preserve-unknown-fields"), v,
                           "must be true or undefined");
}

static void need_type(const json_t *s, const char *type, const char *say,
                      const struct field_path *p, struct field_errors *fe)
{
    if (!*text(s, "type"))
        field_required(fe, FIELD_AT(p, "type"), say);
    else if (strcmp(text(s, "type"), type) != 0)
        field_invalid(fe, FIELD_AT(p, "type"), text(s, "type"), say);
}

static bool lists(const json_t *array, const char *name)
{
    const json_t *v;
    size_t i;

    json_array_foreach(array, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), name) == 0)
            return true;
    }
    return false;
}

static void check_map_keys(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    const json_t *keys = json_object_get(s, "x-kubernetes-list-map-keys"), *key;
    const json_t *items = json_object_get(s, "items"),
                 *properties = json_object_get(items, "properties");
    const struct field_path *at = FIELD_AT(p, "x-kubernetes-list-map-keys");
    const struct field_path *below = FIELD_AT(FIELD_AT(p, "items"), "properties");
    size_t i;

    if (!json_array_size(keys))
        field_required(fe, at, "must not be empty if x-kubernetes-list-type is map");
    if (!items) {
        field_required(fe, FIELD_AT(p, "items"),
                       "must have a schema if x-kubernetes-list-type is map");
        return;
    }
    if (strcmp(text(items, "type"), "object") != 0) {
        field_invalid(fe, FIELD_AT(FIELD_AT(p, "items"), "type"), text(items, "type"),
                      "must be object if parent array's x-kubernetes-list-type is map");
        return;
    }
    json_array_foreach(keys, i, key)
    {
        const char *name = json_string_value(key) ? json_string_value(key) : "";
        const json_t *f = json_object_get(properties, name);
        const struct field_path *here = FIELD_KEY(below, name);
        const char *type = text(f, "type");

        if (!f) {
            field_invalid_json(fe, at, keys, "entries must all be names of item properties");
            continue;
        }
        if (strcmp(type, "array") == 0 || strcmp(type, "object") == 0)
            field_invalid(fe, FIELD_AT(here, "type"), text(items, "type"),
                          "must be a scalar type if parent array's x-kubernetes-list-type is map");
        for (size_t k = 0; k < i; k++)
            if (json_equal(json_array_get(keys, k), (json_t *)key))
                field_invalid_json(fe, at, keys, "must not contain duplicate entries");
        if (!lists(json_object_get(items, "required"), name) && !json_object_get(f, "default"))
            field_required(fe, FIELD_AT(here, "default"),
                           "this property is in x-kubernetes-list-map-keys, so it must have a "
                           "default or be a required property");
        if (flag(f, "nullable"))
            field_forbidden(fe, FIELD_AT(here, "nullable"),
                            "this property is in x-kubernetes-list-map-keys, so it cannot be "
                            "nullable");
    }
}

static void check_lists(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    static const char *const list_types[] = { "atomic", "set", "map", NULL };
    static const char *const map_types[] = { "atomic", "granular", NULL };
    const char *list = text(s, "x-kubernetes-list-type"), *map = text(s, "x-kubernetes-map-type");
    const json_t *items = json_object_get(s, "items");
    const struct field_path *item = FIELD_AT(p, "items");
    bool is_map = strcmp(list, "map") == 0, is_set = strcmp(list, "set") == 0;

    if (*map)
        need_type(s, "object", "must be object if x-kubernetes-map-type is specified", p, fe);
    if (*map && strcmp(map, "atomic") != 0 && strcmp(map, "granular") != 0)
        field_not_supported(fe, FIELD_AT(p, "x-kubernetes-map-type"), map, map_types);
    if (*list)
        need_type(s, "array", "must be array if x-kubernetes-list-type is specified", p, fe);
    if (is_set && strcmp(text(items, "type"), "array") == 0 &&
        *text(items, "x-kubernetes-list-type") &&
        strcmp(text(items, "x-kubernetes-list-type"), "atomic") != 0)
        field_invalid(fe, FIELD_AT(item, "x-kubernetes-list-type"),
                      text(items, "x-kubernetes-list-type"),
                      "must be atomic as item of a list with x-kubernetes-list-type=set");
    if (is_set && strcmp(text(items, "type"), "object") == 0 &&
        strcmp(text(items, "x-kubernetes-map-type"), "atomic") != 0)
        field_invalid(fe, FIELD_AT(item, "x-kubernetes-map-type"),
                      text(items, "x-kubernetes-map-type"),
                      "must be atomic as item of a list with x-kubernetes-list-type=set");
    if (*list && !is_map && !is_set && strcmp(list, "atomic") != 0)
        field_not_supported(fe, FIELD_AT(p, "x-kubernetes-list-type"), list, list_types);
    if (json_array_size(json_object_get(s, "x-kubernetes-list-map-keys")) && !is_map) {
        const struct field_path *at = FIELD_AT(p, "x-kubernetes-list-type");
        if (!*list)
            field_required(fe, at, "must be map if x-kubernetes-list-map-keys is non-empty");
        else
            field_invalid(fe, at, list, "must be map if x-kubernetes-list-map-keys is non-empty");
    }
    if ((is_map || is_set) && flag(items, "nullable")) {
        auto_free char *why =
            mem_printf("cannot be nullable when x-kubernetes-list-type is %s", list);
        field_forbidden(fe, FIELD_AT(item, "nullable"), why);
    }
    if (is_map)
        check_map_keys(s, p, fe);
}

/* ---- the shape ---- */

/* Of the root's metadata a schema may restrict name and generateName. */
static void check_metadata(const json_t *m, bool is_meta_here, enum level level,
                           const struct field_path *p, struct field_errors *fe)
{
    const char *key;
    json_t *v;
    bool more = false;

    if (is_meta_here && strcmp(text(m, "type"), "object") != 0)
        field_invalid(fe, FIELD_AT(p, "type"), text(m, "type"), "must be object");
    if (level != LEVEL_ROOT)
        return;
    json_object_foreach((json_t *)m, key, v) more =
        more || (strcmp(key, "type") != 0 && strcmp(key, "properties") != 0);
    json_object_foreach(json_object_get(m, "properties"), key, v) more =
        more || (strcmp(key, "name") != 0 && strcmp(key, "generateName") != 0);
    if (more)
        field_forbidden(fe, p,
                        "must not specify anything other than name and generateName, but metadata "
                        "is implicitly specified");
}

static void check_embedded(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    need_type(s, "object", "must be object if x-kubernetes-embedded-resource is true", p, fe);
    if (json_object_get(s, "additionalProperties"))
        field_forbidden(fe, FIELD_AT(p, "additionalProperties"),
                        "must not be used if x-kubernetes-embedded-resource is set");
    if (!flag(s, "x-kubernetes-preserve-unknown-fields") &&
        !has_items(json_object_get(s, "properties")))
        field_required(fe, FIELD_AT(p, "properties"),
                       "must not be empty if x-kubernetes-embedded-resource is true without "
                       "x-kubernetes-preserve-unknown-fields");
}

static void check_extensions(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    static const char *const others[] = { "x-kubernetes-preserve-unknown-fields",
                                          "x-kubernetes-embedded-resource" };

    for (size_t i = 0; flag(s, "x-kubernetes-int-or-string") && i < ARRAY_LEN(others); i++)
        if (flag(s, others[i]))
            field_invalid_json(fe, FIELD_AT(p, others[i]), json_object_get(s, others[i]),
                               "must be false if x-kubernetes-int-or-string is true");
}

static void check_type(const json_t *s, enum level level, const struct field_path *p,
                       struct field_errors *fe)
{
    static const char *const say[] = { "must not be empty at the root",
                                       "must not be empty for specified array items",
                                       "must not be empty for specified object fields" };
    const char *type = text(s, "type");

    if (!*type && !flag(s, "x-kubernetes-int-or-string") &&
        !flag(s, "x-kubernetes-preserve-unknown-fields") &&
        !flag(s, "x-kubernetes-embedded-resource"))
        field_required(fe, FIELD_AT(p, "type"), say[level]);
    if (level == LEVEL_ROOT && *type && strcmp(type, "object") != 0)
        field_invalid(fe, FIELD_AT(p, "type"), type, "must be object at the root");
    if (strcmp(type, "array") == 0 && !json_object_get(s, "items"))
        field_required(fe, FIELD_AT(p, "items"), "must be specified");
}

static void check_properties(const json_t *s, bool has_meta, enum level level,
                             const struct field_path *p, struct field_errors *fe)
{
    const json_t *properties = json_object_get(s, "properties");
    const struct field_path *at = FIELD_AT(p, "properties");
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)properties, key, v)
    {
        const struct field_path *here = FIELD_KEY(at, key);

        if (strcmp(key, "metadata") == 0)
            check_metadata(v, has_meta, level, here, fe);
        else if (is_meta(key) && has_meta && strcmp(text(v, "type"), "string") != 0)
            field_invalid(fe, FIELD_AT(here, "type"), text(v, "type"), "must be string");
    }
}

/* no_default: why a default may not stand here; NULL: it may. */
static void check_shape(const json_t *s, enum level level, const char *no_default,
                        const struct field_path *p, struct field_errors *fe)
{
    const json_t *items = json_object_get(s, "items");
    const json_t *additional = json_object_get(s, "additionalProperties");
    const struct field_path *at = FIELD_AT(p, "properties");
    bool embedded = flag(s, "x-kubernetes-embedded-resource");
    const char *key;
    json_t *v;

    if (!json_is_object(s)) {
        field_invalid_json(fe, p, s, "must be a schema object");
        return;
    }
    check_openapi(s, no_default, p, fe);
    check_lists(s, p, fe);
    check_type(s, level, p, fe);
    check_extensions(s, p, fe);
    check_values(s, true, p, fe);
    check_complete(s, s, p, p, fe);
    if (embedded)
        check_embedded(s, p, fe);
    check_properties(s, level == LEVEL_ROOT || embedded, level, p, fe);
    if (json_is_object(items))
        check_shape(items, LEVEL_ITEM, no_default, FIELD_AT(p, "items"), fe);
    if (additional && level == LEVEL_ROOT)
        field_forbidden(fe, FIELD_AT(p, "additionalProperties"), "must not be used at the root");
    if (json_is_object(additional))
        check_shape(additional, LEVEL_FIELD, no_default, FIELD_AT(p, "additionalProperties"), fe);
    json_object_foreach(json_object_get(s, "properties"), key, v)
    {
        auto_free char *why = mem_printf("in top-level %s", key);
        bool top = level == LEVEL_ROOT && is_meta(key);

        check_shape(v, LEVEL_FIELD, top ? why : no_default, FIELD_KEY(at, key), fe);
    }
}

/* Once the shape is right: the defaults against it. */
static void check_defaults(const json_t *s, const struct field_path *p, struct field_errors *fe)
{
    const json_t *items = json_object_get(s, "items");
    const json_t *additional = json_object_get(s, "additionalProperties");
    const struct field_path *at = FIELD_AT(p, "properties");
    const char *key;
    json_t *v;

    if (json_object_get(s, "default"))
        check_default(s, p, fe);
    if (items)
        check_defaults(items, FIELD_AT(p, "items"), fe);
    if (json_is_object(additional))
        check_defaults(additional, FIELD_AT(p, "additionalProperties"), fe);
    json_object_foreach(json_object_get(s, "properties"), key, v)
        check_defaults(v, FIELD_KEY(at, key), fe);
}

void crd_check_schema(const json_t *schema, const struct field_path *p, bool has_status,
                      struct field_errors *fe)
{
    static const char *const of_values[] = { "allOf", "anyOf",    "oneOf",  "not",
                                             "enum",  "nullable", "default" };
    AUTO(crd_node) struct crd_node *n = NULL;
    size_t before = fe->n;
    struct err e;

    /* the status is looked at alone, so what holds it may not say more than what its fields are */
    for (size_t i = 0; has_status && i < 5; i++)
        if (json_object_get(schema, of_values[i])) {
            field_invalid(fe, p, "",
                          "only [Description Type Format Title Maximum ExclusiveMaximum Minimum "
                          "ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems "
                          "UniqueItems MultipleOf Required Items Properties ExternalDocs Example "
                          "XPreserveUnknownFields XValidations] fields are allowed at the root of "
                          "the schema if the status subresource is enabled");
            break;
        }
    if (flag(schema, "nullable"))
        field_forbidden(fe, FIELD_AT(p, "nullable"), "nullable cannot be true at the root");
    check_shape(schema, LEVEL_ROOT, NULL, p, fe);
    if (fe->n > before)
        return;
    if (crd_node_new(&n, schema, &e)) {
        auto_free char *why = mem_printf("error building validator: %s", e.text);
        field_invalid(fe, p, "", why);
        return;
    }
    crd_check_rules(n, p, fe);
    if (fe->n == before) /* their rules can be run */
        check_defaults(schema, p, fe);
}

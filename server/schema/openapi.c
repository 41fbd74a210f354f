#include "server/schema/openapi.h"

#include "server/schema/crd_openapi.h"

#include <stdio.h>

enum { NAME_MAX_BYTES = 512 };

struct writer {
    const char *ref; /* what stands in front of a name in "$ref" */
    bool v2;
    json_t *schemas; /* by name; also what has been seen */
};

/* "io.k8s.api.core.v1.Pod": upstream's names, for clients keep them */
static void type_name(char out[NAME_MAX_BYTES], const struct schema_type *t, const char *suffix)
{
    struct str group, version, first, rest;

    str_cut(str_of(t->group_version), '/', &group, &version);
    str_cut(group, '.', &first, &rest);
    if (str_is(group, "meta"))
        snprintf(out, NAME_MAX_BYTES, "io.k8s.apimachinery.pkg.apis.meta." STR_FMT ".%s%s",
                 STR_ARG(version), t->name, suffix);
    else
        snprintf(out, NAME_MAX_BYTES, "io.k8s.api." STR_FMT "." STR_FMT ".%s%s", STR_ARG(first),
                 STR_ARG(version), t->name, suffix);
}

static json_t *ref_to(const struct writer *w, const char *name)
{
    return json_pack("{s:o}", "$ref", json_sprintf("%s%s", w->ref, name));
}

static json_t *schema_of(struct writer *w, const struct schema_type *t);

static json_t *list_of_texts(const char *const *l)
{
    json_t *out = json_array();

    for (; l && *l; l++)
        json_array_append_new(out, json_string(*l));
    return out;
}

static const char *patch_strategy(unsigned flags)
{
    bool merge = flags & SCHEMA_PATCH_MERGE, retain = flags & SCHEMA_PATCH_RETAIN;

    if (flags & SCHEMA_PATCH_REPLACE)
        return "replace";
    return merge && retain ? "merge,retainKeys" : merge ? "merge" : retain ? "retainKeys" : NULL;
}

static json_t *field_schema(struct writer *w, const struct schema_field *f)
{
    static const char *const list_types[] = { "atomic", "set", "map" };
    json_t *s = schema_of(w, f->type), *extra = json_object();
    const char *strategy = patch_strategy(f->flags);

    if (f->type->shape == SCHEMA_LIST)
        json_object_set_new(extra, "x-kubernetes-list-type", json_string(list_types[f->list_type]));
    else if (f->flags & SCHEMA_ATOMIC)
        json_object_set_new(extra, "x-kubernetes-map-type", json_string("atomic"));
    if (f->list_keys)
        json_object_set_new(extra, "x-kubernetes-list-map-keys", list_of_texts(f->list_keys));
    if (strategy)
        json_object_set_new(extra, "x-kubernetes-patch-strategy", json_string(strategy));
    if (f->merge_key)
        json_object_set_new(extra, "x-kubernetes-patch-merge-key", json_string(f->merge_key));
    if (f->deflt && !w->v2)
        json_object_set_new(extra, "default", json_loads(f->deflt, JSON_DECODE_ANY, NULL));
    /* v3 lets nothing stand beside "$ref" */
    if (json_object_get(s, "$ref") && json_object_size(extra) && !w->v2)
        s = json_pack("{s:[o]}", "allOf", s);
    json_object_update(s, extra);
    json_decref(extra);
    return s;
}

static json_t *struct_schema(struct writer *w, const struct schema_type *t)
{
    json_t *properties = json_object(), *required = json_array();
    json_t *s = json_pack("{s:s}", "type", "object");

    for (size_t i = 0; i < t->n_fields; i++) {
        json_object_set_new(properties, t->fields[i].name, field_schema(w, &t->fields[i]));
        if (t->fields[i].flags & (SCHEMA_REQUIRED | SCHEMA_NONEMPTY))
            json_array_append_new(required, json_string(t->fields[i].name));
    }
    json_object_set_new(s, "properties", properties);
    if (json_array_size(required))
        json_object_set(s, "required", required);
    if (t->preserve_unknown)
        json_object_set_new(s, "x-kubernetes-preserve-unknown-fields", json_true());
    json_decref(required);
    return s;
}

static json_t *scalar(const char *type, const char *format)
{
    return format ? json_pack("{s:s, s:s}", "type", type, "format", format)
                  : json_pack("{s:s}", "type", type);
}

static json_t *schema_of(struct writer *w, const struct schema_type *t)
{
    char name[NAME_MAX_BYTES];
    json_t *s;

    switch (t->shape) {
    case SCHEMA_STRING:
        s = scalar("string", NULL);
        if (t->variants)
            json_object_set_new(s, "enum", list_of_texts(t->variants));
        return s;
    case SCHEMA_DURATION:
    case SCHEMA_QUANTITY:
        return scalar("string", NULL);
    case SCHEMA_BOOL:
        return scalar("boolean", NULL);
    case SCHEMA_INT32:
        return scalar("integer", "int32");
    case SCHEMA_INT64:
        return scalar("integer", "int64");
    case SCHEMA_NUMBER:
        return scalar("number", "double");
    case SCHEMA_BYTES:
        return scalar("string", "byte");
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
        return scalar("string", "date-time");
    case SCHEMA_INT_OR_STRING:
        if (w->v2)
            return scalar("string", "int-or-string");
        return json_pack("{s:s, s:[{s:s}, {s:s}]}", "format", "int-or-string", "oneOf", "type",
                         "integer", "type", "string");
    case SCHEMA_ANY:
        return json_object();
    case SCHEMA_OBJECT:
        return scalar("object", NULL);
    case SCHEMA_LIST:
        return json_pack("{s:s, s:o}", "type", "array", "items", field_schema(w, t->item));
    case SCHEMA_MAP:
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                         field_schema(w, t->item));
    case SCHEMA_STRUCT:
        break;
    }
    if (!t->name[0]) /* a struct inside a custom resource */
        return struct_schema(w, t);
    type_name(name, t, "");
    if (!json_object_get(w->schemas, name)) {
        json_object_set_new(w->schemas, name, json_null()); /* seen: types may hold themselves */
        json_object_set_new(w->schemas, name, struct_schema(w, t));
    }
    return ref_to(w, name);
}

/* ---- kinds ---- */

static json_t *gvk(const struct schema_kind *k, const char *suffix)
{
    return json_pack("{s:s, s:s, s:o}", "group", k->group, "version", k->version, "kind",
                     json_sprintf("%s%s", k->kind, suffix));
}

static void kind_name(char out[NAME_MAX_BYTES], const struct schema_kind *k, const char *suffix)
{
    if (k->custom)
        crd_openapi_name(out, NAME_MAX_BYTES, k, suffix);
    else
        type_name(out, k->type, suffix);
}

static json_t *kind_schema(struct writer *w, const struct schema_kind *k)
{
    char name[NAME_MAX_BYTES];

    if (!k->custom)
        return schema_of(w, k->type);
    kind_name(name, k, "");
    json_t *meta = schema_of(w, schema_builtin_type("meta/v1", "ObjectMeta"));
    json_object_set_new(w->schemas, name, crd_openapi_schema(k->custom, meta, w->v2));
    return ref_to(w, name);
}

static void add_kind(struct writer *w, const struct schema_kind *k)
{
    char name[NAME_MAX_BYTES], list_name[NAME_MAX_BYTES];
    json_t *item = kind_schema(w, k), *list;
    const struct schema_type *list_meta = schema_builtin_type("meta/v1", "ListMeta");

    kind_name(name, k, "");
    json_object_set_new(json_object_get(w->schemas, name), "x-kubernetes-group-version-kind",
                        json_pack("[o]", gvk(k, "")));
    if (!(k->verbs & SCHEMA_LIST_VERB)) {
        json_decref(item);
        return;
    }
    list =
        json_pack("{s:s, s:[s], s:{s:o, s:o, s:o, s:{s:s, s:o}}, s:[o]}", "type", "object",
                  "required", "items", "properties", "apiVersion", scalar("string", NULL), "kind",
                  scalar("string", NULL), "metadata", schema_of(w, list_meta), "items", "type",
                  "array", "items", item, "x-kubernetes-group-version-kind", gvk(k, "List"));
    kind_name(list_name, k, "List");
    json_object_set_new(w->schemas, list_name, list);
}

static json_t *query(const char *name, bool v2)
{
    if (v2)
        return json_pack("{s:s, s:s, s:s, s:b}", "name", name, "in", "query", "type", "string",
                         "uniqueItems", 1);
    return json_pack("{s:s, s:s, s:{s:s}}", "name", name, "in", "query", "schema", "type",
                     "string");
}

/* kubectl looks for the PATCH of a kind to see whether dryRun and fieldValidation are known. */
static void add_paths(const struct writer *w, json_t *paths, const struct schema_kind *k)
{
    static const char *const params[] = { "dryRun", "fieldManager", "fieldValidation", "force" };
    char path[NAME_MAX_BYTES];
    json_t *parameters = json_array(), *answer;

    snprintf(path, sizeof path, "/%s%s%s/%s/%s%s/{name}", k->group[0] ? "apis" : "api",
             k->group[0] ? "/" : "", k->group, k->version,
             k->namespaced ? "namespaces/{namespace}/" : "", k->plural);
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        json_array_append_new(parameters, query(params[i], w->v2));
    answer = json_pack("{s:{s:s}}", "200", "description", "OK");
    if (!(k->verbs & SCHEMA_PATCH)) {
        json_decref(parameters);
        json_decref(answer);
        return;
    }
    json_object_set_new(paths, path,
                        json_pack("{s:{s:s, s:o, s:o, s:s, s:o}}", "patch", "operationId",
                                  k->plural, "parameters", parameters, "responses", answer,
                                  "x-kubernetes-action", "patch", "x-kubernetes-group-version-kind",
                                  gvk(k, "")));
}

json_t *openapi_v3(const struct schema *s, struct str group, struct str version,
                   const char *git_version)
{
    struct writer w = { .ref = "#/components/schemas/", .schemas = json_object() };
    json_t *paths = json_object();
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    for (size_t i = 0; i < n; i++) {
        if (!str_is(group, k[i]->group) || !str_is(version, k[i]->version))
            continue;
        add_kind(&w, k[i]);
        add_paths(&w, paths, k[i]);
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.0", "info", "title",
                     "Kubernetes", "version", git_version, "paths", paths, "components", "schemas",
                     w.schemas);
}

json_t *openapi_v2(const struct schema *s, const char *git_version)
{
    struct writer w = { .ref = "#/definitions/", .v2 = true, .schemas = json_object() };
    json_t *paths = json_object();
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    for (size_t i = 0; i < n; i++) {
        add_kind(&w, k[i]);
        add_paths(&w, paths, k[i]);
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:o}", "swagger", "2.0", "info", "title",
                     "Kubernetes", "version", git_version, "paths", paths, "definitions",
                     w.schemas);
}

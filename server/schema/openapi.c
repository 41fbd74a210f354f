#include "server/schema/openapi_int.h"

#include "base/data/json.h"
#include "server/schema/crd_openapi.h"

#include <stdio.h>

/* "io.k8s.api.core.v1." */
static int type_prefix(char out[OPENAPI_NAME_MAX], struct str group, struct str version)
{
    static const char *const others[][2] = {
        { "meta", "io.k8s.apimachinery.pkg.apis.meta" },
        { "apiregistration.k8s.io", "io.k8s.kube-aggregator.pkg.apis.apiregistration" },
        { "apiextensions.k8s.io", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions" },
    };
    struct str first, rest;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_is(group, others[i][0]))
            return snprintf(out, OPENAPI_NAME_MAX, "%s." STR_FMT ".", others[i][1],
                            STR_ARG(version));
    str_cut(group, '.', &first, &rest);
    return snprintf(out, OPENAPI_NAME_MAX, "io.k8s.api." STR_FMT "." STR_FMT ".", STR_ARG(first),
                    STR_ARG(version));
}

static void type_name(char out[OPENAPI_NAME_MAX], const struct schema_type *t)
{
    struct str group, version;

    str_cut(str_of(t->group_version), '/', &group, &version);
    int n = type_prefix(out, group, version);
    snprintf(out + n, OPENAPI_NAME_MAX - (size_t)n, "%s", t->name);
}

void openapi_kind_name(char out[OPENAPI_NAME_MAX], const struct schema_kind *k, const char *suffix)
{
    struct str group, version;

    if (k->custom) {
        crd_openapi_name(out, OPENAPI_NAME_MAX, k, suffix);
        return;
    }
    str_cut(str_of(k->type->group_version), '/', &group, &version);
    int n = type_prefix(out, group, version);
    snprintf(out + n, OPENAPI_NAME_MAX - (size_t)n, "%s%s", k->kind, suffix);
}

json_t *openapi_ref(const struct openapi_writer *w, const char *name)
{
    return json_pack("{s:o}", "$ref", json_sprintf("%s%s", w->ref, name));
}

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

static void describe(const struct openapi_writer *w, json_t *s, unsigned text)
{
    if (text)
        json_object_set_new(s, "description", json_string(texts_get(w->texts, text)));
}

/* s with what extra says beside it. v3 lets nothing stand beside "$ref". */
static json_t *beside(const struct openapi_writer *w, json_t *s_take, json_t *extra_take)
{
    if (json_object_get(s_take, "$ref") && json_object_size(extra_take) && !w->v2)
        s_take = json_pack("{s:[o]}", "allOf", s_take);
    json_object_update(s_take, extra_take);
    json_decref(extra_take);
    return s_take;
}

static json_t *field_schema(struct openapi_writer *w, const struct schema_field *f)
{
    static const char *const list_types[] = { "atomic", "set", "map" };
    json_t *s = openapi_schema_of(w, f->type), *extra = json_object();
    const char *strategy = patch_strategy(f->flags);

    describe(w, extra, f->text);
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
    if (f->variants)
        json_object_set_new(extra, "enum", list_of_texts(f->variants));
    if (f->deflt && !w->v2)
        json_object_set_new(extra, "default", json_from(f->deflt));
    return beside(w, s, extra);
}

static json_t *struct_schema(struct openapi_writer *w, const struct schema_type *t)
{
    json_t *properties = json_object(), *required = json_array();
    json_t *s = json_pack("{s:s}", "type", "object");

    describe(w, s, t->text);
    for (size_t i = 0; i < t->n_fields; i++) {
        json_object_set_new(properties, t->fields[i].name, field_schema(w, &t->fields[i]));
        /* what is only refused when empty is optional upstream */
        if ((t->fields[i].flags & (SCHEMA_REQUIRED | SCHEMA_OPTIONAL)) == SCHEMA_REQUIRED)
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

/* Types with a form of their own that upstream gives a name; tools show it. */
static json_t *named_scalar(struct openapi_writer *w, const struct schema_type *t)
{
    static const struct {
        enum schema_shape shape;
        const char *name, *v2, *v3;
    } rows[] = {
        { SCHEMA_QUANTITY, "api.resource.Quantity", "{\"type\":\"string\"}",
          "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}" },
        { SCHEMA_INT_OR_STRING, "util.intstr.IntOrString",
          "{\"type\":\"string\",\"format\":\"int-or-string\"}",
          "{\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":"
          "\"string\"}]}" },
        { SCHEMA_TIME, "apis.meta.v1.Time", "{\"type\":\"string\",\"format\":\"date-time\"}",
          NULL },
        { SCHEMA_MICROTIME, "apis.meta.v1.MicroTime",
          "{\"type\":\"string\",\"format\":\"date-time\"}", NULL },
    };
    char name[OPENAPI_NAME_MAX];
    size_t i = 0;

    while (rows[i].shape != t->shape)
        i++;
    snprintf(name, sizeof name, "io.k8s.apimachinery.pkg.%s", rows[i].name);
    if (!json_object_get(w->schemas, name)) {
        json_t *s = json_from(w->v2 || !rows[i].v3 ? rows[i].v2 : rows[i].v3);
        describe(w, s, t->text);
        json_object_set_new(w->schemas, name, s);
    }
    return openapi_ref(w, name);
}

json_t *openapi_schema_of(struct openapi_writer *w, const struct schema_type *t)
{
    char name[OPENAPI_NAME_MAX];
    json_t *s;

    switch (t->shape) {
    case SCHEMA_STRING:
        s = scalar("string", NULL);
        if (t->variants)
            json_object_set_new(s, "enum", list_of_texts(t->variants));
        return s;
    case SCHEMA_DURATION:
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
    case SCHEMA_QUANTITY:
    case SCHEMA_INT_OR_STRING:
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
        return named_scalar(w, t);
    case SCHEMA_ANY: /* kubectl's templates fail over an empty schema */
        return json_pack("{s:b}", "x-kubernetes-preserve-unknown-fields", 1);
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
    type_name(name, t);
    if (!json_object_get(w->schemas, name)) {
        json_object_set_new(w->schemas, name, json_null()); /* seen: types may hold themselves */
        json_object_set_new(w->schemas, name, struct_schema(w, t));
    }
    return openapi_ref(w, name);
}

/* ---- kinds ---- */

json_t *openapi_gvk(const struct schema_kind *k, const char *suffix)
{
    return json_pack("{s:s, s:s, s:o}", "group", k->group, "version", k->version, "kind",
                     json_sprintf("%s%s", k->kind, suffix));
}

/* A list of the objects whose schema has that name; head: what every object has. */
static json_t *list_schema(struct openapi_writer *w, const struct schema_kind *k, const char *name,
                           json_t *head)
{
    json_t *meta =
        beside(w, openapi_schema_of(w, schema_builtin_type("meta/v1", "ListMeta")),
               json_pack("{s:s}", "description",
                         "Version of the list and, for a page, where the next one begins."));

    return json_pack(
        "{s:s, s:o, s:[s], s:{s:O, s:O, s:o, s:{s:o, s:s, s:o}}, s:[o]}", "type", "object",
        "description", json_sprintf("List of %s.", k->plural), "required", "items", "properties",
        "apiVersion", json_object_get(head, "apiVersion"), "kind", json_object_get(head, "kind"),
        "metadata", meta, "items", "description",
        json_sprintf("The list of returned %s, ordered by namespace and name.", k->plural), "type",
        "array", "items", openapi_ref(w, name), "x-kubernetes-group-version-kind",
        openapi_gvk(k, "List"));
}

static void add_kind(struct openapi_writer *w, const struct schema_kind *k)
{
    char name[OPENAPI_NAME_MAX], list_name[OPENAPI_NAME_MAX];
    json_auto_t *bare = struct_schema(w, schema_builtin_type("meta/v1", "PartialObjectMetadata"));
    json_t *head = json_object_get(bare, "properties");

    openapi_kind_name(name, k, "");
    openapi_kind_name(list_name, k, "List");
    if (k->custom) {
        json_object_set_new(w->schemas, name, crd_openapi_schema(k->custom, head, w->v2));
    } else {
        json_decref(openapi_schema_of(w, k->type)); /* it is among the schemas now */
    }
    json_object_set_new(json_object_get(w->schemas, name), "x-kubernetes-group-version-kind",
                        json_pack("[o]", openapi_gvk(k, "")));
    if (!(k->verbs & SCHEMA_LIST_VERB))
        return;
    json_object_set_new(w->schemas, list_name, list_schema(w, k, name, head));
}

json_t *openapi_v3(const struct schema *s, const struct texts *texts, struct str group,
                   struct str version, const char *git_version)
{
    AUTO(texts) struct texts *own = texts ? NULL : texts_new();
    struct openapi_writer w = { .ref = "#/components/schemas/",
                                .schemas = json_object(),
                                .texts = texts ? texts : own };
    json_t *paths = json_object();
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    for (size_t i = 0; i < n; i++) {
        if (!str_is(group, k[i]->group) || !str_is(version, k[i]->version))
            continue;
        add_kind(&w, k[i]);
        openapi_add_paths(&w, paths, k[i]);
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:o}}", "openapi", "3.0.0", "info", "title",
                     "Kubernetes", "version", git_version, "paths", paths, "components", "schemas",
                     w.schemas, "parameters", openapi_parameters(&w));
}

json_t *openapi_v2(const struct schema *s, const char *git_version)
{
    AUTO(texts) struct texts *texts = texts_new();
    struct openapi_writer w = {
        .ref = "#/definitions/", .v2 = true, .schemas = json_object(), .texts = texts
    };
    json_t *paths = json_object();
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    for (size_t i = 0; i < n; i++) {
        add_kind(&w, k[i]);
        openapi_add_paths(&w, paths, k[i]);
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:o, s:o}", "swagger", "2.0", "info", "title",
                     "Kubernetes", "version", git_version, "paths", paths, "definitions", w.schemas,
                     "parameters", openapi_parameters(&w));
}

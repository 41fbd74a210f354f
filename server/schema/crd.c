#include "server/schema/crd.h"

#include "base/core/arena.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "server/schema/crd_custom.h"
#include "server/schema/crd_rules.h"
#include "server/schema/crd_types.h"

#include <assert.h>

struct crd {
    unsigned n_refs;
    json_t *doc;
    struct arena a;
    struct crd_version *v;
    size_t n;
};

#define ALL_VERBS                                                                                  \
    (SCHEMA_CREATE | SCHEMA_DELETE | SCHEMA_DELETECOLLECTION | SCHEMA_GET | SCHEMA_LIST_VERB |     \
     SCHEMA_PATCH | SCHEMA_UPDATE | SCHEMA_WATCH)
#define SUB_VERBS (SCHEMA_GET | SCHEMA_PATCH | SCHEMA_UPDATE)

static void crd_free(struct crd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        crd_rules_free(c->v[i].rules);
        crd_node_free(c->v[i].root);
    }
    arena_deinit(&c->a);
    json_decref(c->doc);
    free(c);
}

void crd_unref(struct crd *c)
{
    if (c && --c->n_refs == 0)
        crd_free(c);
}

void schema_kind_ref(const struct schema_kind *k)
{
    if (k && k->custom)
        k->custom->crd->n_refs++;
}

void schema_kind_unref(const struct schema_kind *k)
{
    if (k && k->custom)
        crd_unref(k->custom->crd);
}

const struct crd_version *crd_versions(const struct crd *c, size_t *n)
{
    *n = c->n;
    return c->v;
}

bool crd_condition_is_true(const json_t *doc, const char *type)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_at(doc, "status.conditions"), i, one)
    {
        if (strcmp(json_str_at(one, "type", ""), type) == 0)
            return strcmp(json_str_at(one, "status", ""), "True") == 0;
    }
    return false;
}

void crd_set_condition(json_t *doc, int64_t now_s, const char *type, bool is_true,
                       const char *reason, const char *message)
{
    json_t *status = json_object_get(doc, "status"), *list, *one, *at = NULL;
    const char *text = is_true ? "True" : "False";
    char now[TIME_TEXT_BYTES];
    size_t i;

    if (!status)
        json_object_set_new(doc, "status", status = json_object());
    list = json_object_get(status, "conditions");
    if (!json_is_array(list))
        json_object_set_new(status, "conditions", list = json_array());
    json_array_foreach(list, i, one) if (strcmp(json_str_at(one, "type", ""), type) == 0) at = one;
    if (!at) {
        at = json_pack("{s:s}", "type", type);
        json_array_append_new(list, at);
    }
    if (strcmp(json_str_at(at, "status", ""), text) != 0) {
        time_text_s(now, now_s);
        json_object_set_new(at, "lastTransitionTime", json_string(now));
    }
    json_object_set_new(at, "status", json_string(text));
    json_object_set_new(at, "reason", json_string(reason));
    json_object_set_new(at, "message", json_string(message));
}

bool crd_version_is_home(const struct crd_version *v)
{
    if (v->stored->is_served)
        return v->stored == v;
    for (size_t i = 0; i < v->crd->n; i++)
        if (v->crd->v[i].is_served)
            return &v->crd->v[i] == v;
    return false;
}

/* ---- making it ---- */

/* A list of texts, NULL at its end. skip: bytes left out at the front of each. */
static const char *const *texts(struct arena *a, const json_t *list, const char *key, size_t skip)
{
    const char **out = arena_alloc(a, (json_array_size(list) + 1) * sizeof *out);
    const json_t *v;
    size_t i, n = 0;

    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(key ? json_object_get(v, key) : v);
        if (s && strlen(s) > skip)
            out[n++] = s + skip;
    }
    return out;
}

static void set_columns(struct arena *a, struct schema_kind *k, const json_t *columns)
{
    static const struct schema_column name = {
        "Name", "string", "name", "Name, unique among its kind in a namespace", ".metadata.name", 0
    };
    static const struct schema_column age = {
        "Age", "date", "", "Time when it was made", "=jsonpath:date:.metadata.creationTimestamp", 0
    };
    size_t n = json_array_size(columns);
    struct schema_column *out = arena_alloc(a, (n + 2) * sizeof *out);
    const json_t *c;
    size_t i;

    k->columns = out;
    out[k->n_columns++] = name;
    if (!n)
        out[k->n_columns++] = age;
    json_array_foreach(columns, i, c)
    {
        const char *path = json_str_at(c, "jsonPath", ""), *type = json_str_at(c, "type", "string");
        auto_free char *source = mem_printf("=jsonpath:%s:%s", type, path);
        auto_free char *plain =
            mem_printf("Custom resource definition column (in JSONPath format): %s", path);
        const char *description = json_str_at(c, "description", "");

        out[k->n_columns++] = (struct schema_column){
            .name = json_str_at(c, "name", ""),
            .type = type,
            .format = json_str_at(c, "format", ""),
            .description = *description ? description : arena_strndup(a, plain, strlen(plain)),
            .source = arena_strndup(a, source, strlen(source)),
            .priority = (int)json_i64_at(c, "priority", 0),
        };
    }
}

/* The path without its first dot; NULL: there is none. */
static const char *behind_dot(const json_t *scale, const char *key)
{
    const char *path = json_str_at(scale, key, "");

    return *path ? path + (path[0] == '.') : NULL;
}

static void set_subs(struct arena *a, struct crd_version *v, const json_t *subs)
{
    const json_t *scale = json_object_get(subs, "scale");
    struct schema_sub *out = arena_alloc(a, 2 * sizeof *out);

    v->kind.subs = out;
    if (json_is_object(scale)) {
        v->scale = (struct schema_scale){ behind_dot(scale, "specReplicasPath"),
                                          behind_dot(scale, "statusReplicasPath"),
                                          behind_dot(scale, "labelSelectorPath") };
        v->kind.scale = &v->scale;
        out[v->kind.n_subs++] = (struct schema_sub){
            .name = "scale", .kind = "Scale", .group_version = "autoscaling/v1", .verbs = SUB_VERBS
        };
    }
    if (json_is_object(json_object_get(subs, "status")))
        out[v->kind.n_subs++] =
            (struct schema_sub){ .name = "status", .kind = v->kind.kind, .verbs = SUB_VERBS };
}

static int make_version(struct crd *c, struct crd_version *v, const json_t *doc, struct err *e)
{
    const json_t *spec = json_object_get(c->doc, "spec");
    const json_t *names = json_at(c->doc, "status.acceptedNames");
    struct schema_kind *k = &v->kind;
    char api[SCHEMA_API_VERSION_MAX];

    v->crd = c;
    v->is_served = json_is_true(json_object_get(doc, "served"));
    v->terminating = crd_condition_is_true(c->doc, "Terminating");
    v->schema = json_at(doc, "schema.openAPIV3Schema");
    k->custom = v;
    k->group = json_str_at(spec, "group", "");
    k->version = json_str_at(doc, "name", "");
    k->kind = json_str_at(names, "kind", "");
    k->plural = json_str_at(names, "plural", "");
    v->list_kind = json_str_at(names, "listKind", "");
    k->singular = json_str_at(names, "singular", "");
    if (!*k->group || !*k->version || !*k->kind || !*k->plural)
        return err_set(e, ERR_INVALID, "a name is missing");
    k->short_names = texts(&c->a, json_object_get(names, "shortNames"), NULL, 0);
    k->categories = texts(&c->a, json_object_get(names, "categories"), NULL, 0);
    k->selectable = texts(&c->a, json_object_get(doc, "selectableFields"), "jsonPath", 1);
    k->namespaced = strcmp(json_str_at(spec, "scope", ""), "Namespaced") == 0;
    k->generation = true;
    k->name_format = SCHEMA_FMT_SUBDOMAIN;
    k->verbs = ALL_VERBS;
    k->convert = &crd_custom_convert;
    k->storage_group = k->group;
    set_subs(&c->a, v, json_object_get(doc, "subresources"));
    set_columns(&c->a, k, json_object_get(doc, "additionalPrinterColumns"));
    if (crd_node_new(&v->root, v->schema, e))
        return err_wrap(e, "version %s: openAPIV3Schema", k->version);
    v->rules = crd_rules_new(&c->a, v->root, true);
    schema_api_version(k, api);
    k->type = crd_types_make(&c->a, v->root, arena_strndup(&c->a, api, strlen(api)), k->kind);
    if (json_is_true(json_object_get(doc, "deprecated"))) {
        auto_free char *text = mem_printf(CRD_DEPRECATED, k->group, k->version, k->kind);
        k->deprecated =
            json_str_at(doc, "deprecationWarning", arena_strndup(&c->a, text, strlen(text)));
    }
    return 0;
}

int crd_new(struct crd **out, json_t *doc, struct err *e)
{
    const json_t *versions = json_at(doc, "spec.versions"), *v;
    struct crd *c = mem_alloc(sizeof *c);
    const struct crd_version *stored = NULL;
    size_t i;

    c->n_refs = 1;
    c->doc = json_object(); /* without the metadata, which is the larger part of many */
    json_object_set(c->doc, "spec", json_object_get(doc, "spec"));
    json_object_set(c->doc, "status", json_object_get(doc, "status"));
    c->a = ARENA_UNBOUNDED; /* the document is bounded */
    c->v = arena_alloc(&c->a, (json_array_size(versions) + 1) * sizeof *c->v);
    json_array_foreach(versions, i, v)
    {
        if (make_version(c, &c->v[c->n++], v, e))
            goto fail;
        if (json_is_true(json_object_get(v, "storage")))
            stored = &c->v[i];
    }
    if (!stored) {
        err_set(e, ERR_INVALID, "no version is the stored one");
        goto fail;
    }
    for (i = 0; i < c->n; i++) {
        c->v[i].stored = stored;
        c->v[i].kind.storage_version = stored->kind.version;
    }
    *out = c;
    return 0;
fail:
    crd_free(c);
    return e->code;
}

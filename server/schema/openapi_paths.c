/*
 * The paths of OpenAPI documents. kubectl finds a resource's kind by them (explain), and by the
 * query parameters of a kind's PATCH whether dryRun and fieldValidation are known here. What lists
 * take stands once in the document, and each list refers to it.
 */
#include "base/core/mem.h"
#include "server/schema/openapi_int.h"

#include <stdio.h>

struct param {
    const char *name, *type;
};
static const struct param write_params[] = {
    { "dryRun", "string" },
    { "fieldManager", "string" },
    { "fieldValidation", "string" },
    { "force", "boolean" }, /* of an apply: the last, so that others leave it out */
};
static const struct param delete_params[] = {
    { "dryRun", "string" },
    { "gracePeriodSeconds", "integer" },
    { "orphanDependents", "boolean" },
    { "propagationPolicy", "string" },
};

static const struct {
    struct param param;
    bool watch; /* and not for a deletecollection */
    const char *text;
} list_params[] = {
    { { "allowWatchBookmarks", "boolean" },
      true,
      "Let a watch hear of the versions it has missed nothing of, as events of type BOOKMARK." },
    { { "continue", "string" },
      false,
      "Where a list with a limit goes on: metadata.continue of the "
      "page before." },
    { { "fieldSelector", "string" }, false, "Only objects whose fields have these values." },
    { { "labelSelector", "string" }, false, "Only objects whose labels match." },
    { { "limit", "integer" },
      false,
      "At most so many objects at once; metadata.continue leads to "
      "the others." },
    { { "resourceVersion", "string" }, false, "The version to read, or to watch from." },
    { { "resourceVersionMatch", "string" },
      false,
      "Exact, or NotOlderThan: what resourceVersion means to a list." },
    { { "sendInitialEvents", "boolean" },
      true,
      "Let a watch begin with what there is, and say when that was all." },
    { { "timeoutSeconds", "integer" }, false, "When the server ends the call." },
    { { "watch", "boolean" },
      true,
      "Watch for changes to the described resources, and return them as a stream of events. "
      "Begins at resourceVersion." },
};

static json_t *parameter(const struct openapi_writer *w, const char *in, const struct param *p)
{
    json_t *out = json_pack("{s:s, s:s}", "name", p->name, "in", in);

    if (w->v2) {
        json_object_set_new(out, "type", json_string(p->type));
        json_object_set_new(out, "uniqueItems", json_true());
    } else {
        json_object_set_new(out, "schema", json_pack("{s:s}", "type", p->type));
    }
    if (strcmp(in, "path") == 0)
        json_object_set_new(out, "required", json_true());
    return out;
}

static json_t *query(const struct openapi_writer *w, const struct param *p, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, parameter(w, "query", &p[i]));
    return list;
}

json_t *openapi_parameters(const struct openapi_writer *w)
{
    json_t *all = json_object();

    for (size_t i = 0; i < ARRAY_LEN(list_params); i++) {
        json_t *p = parameter(w, "query", &list_params[i].param);

        json_object_set_new(p, "description", json_string(list_params[i].text));
        json_object_set_new(all, list_params[i].param.name, p);
    }
    return all;
}

static void refer(const struct openapi_writer *w, json_t *list, bool watch)
{
    for (size_t i = 0; i < ARRAY_LEN(list_params); i++) {
        json_t *ref = json_sprintf("#/%sparameters/%s", w->v2 ? "" : "components/",
                                   list_params[i].param.name);

        if (watch || !list_params[i].watch)
            json_array_append_new(list, json_pack("{s:O}", "$ref", ref));
        json_decref(ref);
    }
}

/* What one operation carries in and out; NULL: not described. */
struct body {
    const json_t *gvk;
    const char *in, *out; /* names of schemas */
};

static json_t *content(const struct openapi_writer *w, const char *type, const char *name)
{
    return json_pack("{s:{s:{s:o}}}", "content", type, "schema", openapi_ref(w, name));
}

static void add_body(const struct openapi_writer *w, json_t *op, const struct body *b)
{
    json_t *ok = json_pack("{s:s}", "description", "OK");

    if (b->out && w->v2)
        json_object_set_new(ok, "schema", openapi_ref(w, b->out));
    else if (b->out)
        json_object_update_new(ok, content(w, "application/json", b->out));
    json_object_set_new(op, "responses", json_pack("{s:o}", "200", ok));
    if (b->in && w->v2) {
        json_t *list = json_object_get(op, "parameters");
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", "body", "in", "body",
                                              "required", 1, "schema", openapi_ref(w, b->in)));
    } else if (b->in) {
        json_object_set_new(op, "requestBody", content(w, "*/*", b->in));
    }
}

static void add_operation(const struct openapi_writer *w, json_t *item, const char *method,
                          const char *action, const struct body *b)
{
    bool patch = strcmp(method, "patch") == 0, write = patch || b->in;
    json_t *op = json_pack("{s:s, s:O}", "x-kubernetes-action", action,
                           "x-kubernetes-group-version-kind", b->gvk);

    if (strcmp(action, "list") == 0) {
        json_object_set_new(op, "parameters", json_array());
        refer(w, json_object_get(op, "parameters"), true);
    } else if (strcmp(method, "delete") == 0) {
        json_object_set_new(op, "parameters", query(w, delete_params, ARRAY_LEN(delete_params)));
        if (strcmp(action, "deletecollection") == 0)
            refer(w, json_object_get(op, "parameters"), false);
    }
    if (write)
        json_object_set_new(op, "parameters",
                            query(w, write_params, ARRAY_LEN(write_params) - !patch));
    add_body(w, op, b);
    json_object_set_new(item, method, op);
}

struct place {
    const char *path;
    bool ns, name; /* it has {namespace}, {name} */
};

static void add_item(const struct openapi_writer *w, json_t *paths, const struct place *at,
                     json_t *item_take)
{
    static const struct param ns = { "namespace", "string" }, name = { "name", "string" };
    json_t *list = json_array();

    if (!json_object_size(item_take)) {
        json_decref(item_take);
        json_decref(list);
        return;
    }
    if (at->name)
        json_array_append_new(list, parameter(w, "path", &name));
    if (at->ns)
        json_array_append_new(list, parameter(w, "path", &ns));
    if (json_array_size(list))
        json_object_set(item_take, "parameters", list);
    json_decref(list);
    json_object_set_new(paths, at->path, item_take);
}

static void add_collection(const struct openapi_writer *w, json_t *paths, const char *base,
                           const struct schema_kind *k, const json_t *gvk)
{
    char name[OPENAPI_NAME_MAX], list[OPENAPI_NAME_MAX];
    json_t *item = json_object();
    auto_free char *path =
        mem_printf("%s/%s%s", base, k->namespaced ? "namespaces/{namespace}/" : "", k->plural);

    openapi_kind_name(name, k, "");
    openapi_kind_name(list, k, "List");
    if (k->verbs & SCHEMA_LIST_VERB)
        add_operation(w, item, "get", "list", &(struct body){ .gvk = gvk, .out = list });
    if (k->verbs & SCHEMA_CREATE)
        add_operation(w, item, "post", "post",
                      &(struct body){ .gvk = gvk, .in = name, .out = name });
    if (k->verbs & SCHEMA_DELETECOLLECTION)
        add_operation(w, item, "delete", "deletecollection", &(struct body){ .gvk = gvk });
    add_item(w, paths, &(struct place){ .path = path, .ns = k->namespaced }, item);
    if (!k->namespaced || !(k->verbs & SCHEMA_LIST_VERB))
        return;
    auto_free char *everywhere = mem_printf("%s/%s", base, k->plural);
    item = json_object();
    add_operation(w, item, "get", "list", &(struct body){ .gvk = gvk, .out = list });
    add_item(w, paths, &(struct place){ .path = everywhere }, item);
}

/* Of an object or of a subresource; name: the schema of what travels, NULL when it is foreign. */
static json_t *object_item(const struct openapi_writer *w, unsigned verbs, const json_t *gvk,
                           const char *name)
{
    static const struct {
        unsigned verb;
        const char *method, *action;
        bool in, out;
    } rows[] = {
        { SCHEMA_GET, "get", "get", false, true },
        { SCHEMA_UPDATE, "put", "put", true, true },
        { SCHEMA_PATCH, "patch", "patch", false, true },
        { SCHEMA_CREATE, "post", "post", true, true },
        { SCHEMA_DELETE, "delete", "delete", false, false },
    };
    json_t *item = json_object();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (verbs & rows[i].verb)
            add_operation(w, item, rows[i].method, rows[i].action,
                          &(struct body){ .gvk = gvk,
                                          .in = rows[i].in ? name : NULL,
                                          .out = rows[i].out ? name : NULL });
    return item;
}

static json_t *sub_gvk(const struct schema_kind *k, const struct schema_sub *s)
{
    struct str group = str_of(k->group), version = str_of(k->version);

    if (s->group_version)
        str_cut(str_of(s->group_version), '/', &group, &version);
    if (str_is(group, "core"))
        group = STR("");
    return json_pack("{s:o, s:o, s:s}", "group", json_stringn(group.p ? group.p : "", group.n),
                     "version", json_stringn(version.p, version.n), "kind", s->kind);
}

void openapi_add_paths(struct openapi_writer *w, json_t *paths, const struct schema_kind *k)
{
    char name[OPENAPI_NAME_MAX];
    json_auto_t *gvk = openapi_gvk(k, "");
    auto_free char *base = mem_printf("/%s%s%s/%s", k->group[0] ? "apis" : "api",
                                      k->group[0] ? "/" : "", k->group, k->version);
    auto_free char *object = mem_printf("%s/%s%s/{name}", base,
                                        k->namespaced ? "namespaces/{namespace}/" : "", k->plural);
    struct place at = { .path = object, .ns = k->namespaced, .name = true };

    openapi_kind_name(name, k, "");
    add_collection(w, paths, base, k, gvk);
    add_item(w, paths, &at, object_item(w, k->verbs & ~(unsigned)SCHEMA_CREATE, gvk, name));
    for (size_t i = 0; i < k->n_subs; i++) {
        const struct schema_sub *s = &k->subs[i];
        bool own = !s->group_version && strcmp(s->kind, k->kind) == 0;
        json_auto_t *carried = sub_gvk(k, s);
        auto_free char *path = mem_printf("%s/%s", object, s->name);
        at.path = path;
        add_item(w, paths, &at, object_item(w, s->verbs, carried, own ? name : NULL));
    }
}

#include "server/schema/crd_check.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/jsonpath.h"
#include "base/kube/metadata.h"
#include "base/kube/name.h"
#include "server/schema/crd.h"

#include <ctype.h>
#include <string.h>

enum { SELECTABLE_MAX = 8, DEPRECATION_MAX = 256 };

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static char *lower(const char *s) /* yours */
{
    char *out = mem_strdup(s);

    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return out;
}

void crd_set_defaults(json_t *spec)
{
    json_t *names = json_object_get(spec, "names");
    const char *kind = text(names, "kind");

    if (*kind && !*text(names, "singular")) {
        auto_free char *singular = lower(kind);
        json_object_set_new(names, "singular", json_string(singular));
    }
    if (*kind && !*text(names, "listKind"))
        json_object_set_new(names, "listKind", json_sprintf("%sList", kind));
    if (!json_object_get(spec, "conversion"))
        json_object_set_new(spec, "conversion", json_pack("{s:s}", "strategy", "None"));
}

/* ---- names ---- */

static void check_label(const char *s, const struct field_path *p, struct field_errors *fe)
{
    const char *why = *s ? name_check_label35(str_of(s)) : NULL;

    if (why)
        field_invalid(fe, p, s, why);
}

static void check_mixed(const char *s, const struct field_path *p, struct field_errors *fe)
{
    auto_free char *low = lower(s);
    const char *why = *s ? name_check_label35(str_of(low)) : NULL;

    if (why) {
        auto_free char *say =
            mem_printf("may have mixed case, but should otherwise match: %s", why);
        field_invalid(fe, p, s, say);
    }
}

static void check_labels(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v) if (json_is_string(v))
    {
        const char *why = name_check_label35(str_of(json_string_value(v)));
        if (why)
            field_invalid(fe, FIELD_INDEX(p, i), json_string_value(v), why);
    }
}

static void check_names(const json_t *names, const struct field_path *p, struct field_errors *fe)
{
    const char *kind = text(names, "kind"), *list_kind = text(names, "listKind");

    check_label(text(names, "plural"), FIELD_AT(p, "plural"), fe);
    check_label(text(names, "singular"), FIELD_AT(p, "singular"), fe);
    check_mixed(kind, FIELD_AT(p, "kind"), fe);
    check_mixed(list_kind, FIELD_AT(p, "listKind"), fe);
    check_labels(json_object_get(names, "shortNames"), FIELD_AT(p, "shortNames"), fe);
    if (*kind && strcmp(kind, list_kind) == 0)
        field_invalid(fe, FIELD_AT(p, "listKind"), list_kind,
                      "kind and listKind may not be the same");
    check_labels(json_object_get(names, "categories"), FIELD_AT(p, "categories"), fe);
}

static void check_group(const char *group, const struct field_path *p, struct field_errors *fe)
{
    const char *why = name_check_subdomain(str_of(group));

    if (!*group)
        field_required(fe, p, "");
    else if (why)
        field_invalid(fe, p, group, why);
    else if (!strchr(group, '.'))
        field_invalid(fe, p, group, "should be a domain with at least one dot");
}

/* Groups of Kubernetes itself need its review, or a word that they have none. */
static void check_approval(const json_t *doc, struct field_errors *fe)
{
    static const char key[] = "api-approved.kubernetes.io";
    const struct field_path *p = FIELD_AT(FIELD_AT(NULL, "metadata"), "annotations");
    const char *group = json_str_at(doc, "spec.group", ""), *value = meta_annotation(doc, key);
    struct str g = str_of(group);

    if (!str_is(g, "k8s.io") && !str_is(g, "kubernetes.io") && !str_ends(g, STR(".k8s.io")) &&
        !str_ends(g, STR(".kubernetes.io")))
        return;
    if (!*value)
        field_required(fe, FIELD_KEY(p, key),
                       "protected groups must have approval annotation "
                       "\"api-approved.kubernetes.io\", see "
                       "https://github.com/kubernetes/enhancements/pull/1111");
    else if (strncmp(value, "unapproved", 10) != 0 && strncmp(value, "https://", 8) != 0 &&
             strncmp(value, "http://", 7) != 0)
        field_invalid(fe, FIELD_KEY(p, key), value,
                      "protected groups must have approval annotation "
                      "\"api-approved.kubernetes.io\" with either a URL or a reason starting with "
                      "\"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111");
}

/* ---- versions ---- */

static void check_path(const char *path, const char *below, const char *say,
                       const struct field_path *p, struct field_errors *fe)
{
    AUTO(jsonpath) struct jsonpath *parsed = NULL;
    struct err e;

    if (!*path)
        field_required(fe, p, "");
    else if (path[0] != '.')
        field_invalid(fe, p, path, "must be a simple json path starting with .");
    else if (below && strncmp(path, below, strlen(below)) != 0)
        field_invalid(fe, p, path, say);
    else if (jsonpath_new(&parsed, str_of(path), &e))
        field_invalid(fe, p, path, e.text);
}

static void check_subresources(const json_t *subs, const struct field_path *p,
                               struct field_errors *fe)
{
    const json_t *scale = json_object_get(subs, "scale");
    const char *selector = text(scale, "labelSelectorPath");

    if (!json_is_object(scale))
        return;
    check_path(text(scale, "specReplicasPath"), ".spec.", "should be a json path under .spec",
               FIELD_AT(p, "scale.specReplicasPath"), fe);
    check_path(text(scale, "statusReplicasPath"), ".status.", "should be a json path under .status",
               FIELD_AT(p, "scale.statusReplicasPath"), fe);
    if (*selector)
        check_path(selector, strncmp(selector, ".spec.", 6) == 0 ? ".spec." : ".status.",
                   "should be a json path under either .spec or .status",
                   FIELD_AT(p, "scale.labelSelectorPath"), fe);
}

static bool is_one_of(const char *s, const char *const *all)
{
    for (; *all; all++)
        if (strcmp(s, *all) == 0)
            return true;
    return false;
}

static void check_column(const json_t *c, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
    static const char *const formats[] = { "byte",  "date",  "date-time", "double", "float",
                                           "int32", "int64", "password",  NULL };
    const char *type = text(c, "type"), *format = text(c, "format");

    if (!*text(c, "name"))
        field_required(fe, FIELD_AT(p, "name"), "");
    if (!*type)
        field_required(fe, FIELD_AT(p, "type"),
                       "must be one of boolean,date,integer,number,string");
    else if (!is_one_of(type, types))
        field_invalid(fe, FIELD_AT(p, "type"), type,
                      "must be one of boolean,date,integer,number,string");
    if (*format && !is_one_of(format, formats))
        field_invalid(fe, FIELD_AT(p, "format"), format,
                      "must be one of byte,date,date-time,double,float,int32,int64,password");
    check_path(text(c, "jsonPath"), NULL, NULL, FIELD_AT(p, "jsonPath"), fe);
}

static void check_deprecation(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *say = json_string_value(json_object_get(v, "deprecationWarning")), *why = NULL;

    if (!say)
        return;
    if (!json_is_true(json_object_get(v, "deprecated")))
        why = "can only be set for deprecated versions";
    else if (!*say)
        why = "must not be an empty string";
    else if (strlen(say) > DEPRECATION_MAX)
        why = "must be <= 256 characters long";
    for (const char *c = say; !why && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            why = "must only contain printable UTF-8 characters";
    if (why)
        field_invalid(fe, FIELD_AT(p, "deprecationWarning"), say, why);
}

/* The schema of a path in dot notation, which names no list. NULL: there is none. */
static const json_t *schema_at(const json_t *schema, const char *path)
{
    struct str part, rest = str_of(path + (path[0] == '.'));
    bool more;

    do {
        more = str_cut(rest, '.', &part, &rest);
        auto_free char *name = str_dup(part);
        const json_t *next = json_object_get(json_object_get(schema, "properties"), name);
        const json_t *additional = json_object_get(schema, "additionalProperties");
        schema = next ? next : json_is_object(additional) ? additional : NULL;
    } while (schema && more);
    return schema;
}

static void check_selectable(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "string", "boolean", "integer", NULL };
    const json_t *list = json_object_get(v, "selectableFields"), *one;
    const json_t *schema = json_at(v, "schema.openAPIV3Schema");
    AUTO(map) struct map *seen = map_new();
    const struct field_path *at = FIELD_AT(p, "selectableFields");
    static char mark;
    size_t i;

    if (json_array_size(list) && !schema) {
        field_invalid(fe, at, "",
                      "selectableFields may only be set when version.schema.openAPIV3Schema is "
                      "not included");
        return;
    }
    json_array_foreach(list, i, one)
    {
        const struct field_path *here = FIELD_AT(FIELD_INDEX(at, i), "jsonPath");
        const char *path = text(one, "jsonPath");
        const json_t *found = schema_at(schema, path);

        if (!*path) {
            field_required(fe, here, "");
        } else if (path[0] != '.' || !found) {
            field_invalid(fe, here, path, "is an invalid path: does not refer to a valid field");
        } else {
            if (strncmp(path, ".metadata", 9) == 0)
                field_invalid(fe, here, path, "must not point to fields in metadata");
            if (!is_one_of(text(found, "type"), types))
                field_invalid(fe, here, path,
                              "must point to a field of type string, boolean or integer. Enum "
                              "string fields and strings with formats are allowed.");
            if (map_set(seen, str_of(path), &mark))
                field_duplicate(fe, here, path);
        }
    }
    if (map_len(seen) > SELECTABLE_MAX)
        field_too_many(fe, at, map_len(seen), SELECTABLE_MAX);
}

static void check_version(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *schema = json_at(v, "schema.openAPIV3Schema"), *c;
    const json_t *subs = json_object_get(v, "subresources");
    const struct field_path *at = FIELD_AT(FIELD_AT(p, "schema"), "openAPIV3Schema");
    const struct field_path *columns = FIELD_AT(p, "additionalPrinterColumns");
    const char *why = name_check_label35(str_of(text(v, "name")));
    size_t i;

    if (why)
        field_invalid(fe, FIELD_AT(p, "name"), text(v, "name"), why);
    check_deprecation(v, p, fe);
    if (!schema)
        field_required(fe, at, "schemas are required");
    else
        crd_check_schema(schema, at, json_is_object(json_object_get(subs, "status")), fe);
    check_subresources(subs, FIELD_AT(p, "subresources"), fe);
    json_array_foreach(json_object_get(v, "additionalPrinterColumns"), i, c)
        check_column(c, FIELD_INDEX(columns, i), fe);
    check_selectable(v, p, fe);
}

static void check_versions(const json_t *versions, const struct field_path *p,
                           struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new();
    static char mark;
    size_t n_storage = 0, i;
    bool unique = true;
    const json_t *v;

    json_array_foreach(versions, i, v)
    {
        n_storage += json_is_true(json_object_get(v, "storage"));
        unique = !map_set(seen, str_of(text(v, "name")), &mark) && unique;
        check_version(v, FIELD_INDEX(p, i), fe);
    }
    if (!unique)
        field_invalid_json(fe, p, versions, "must contain unique version names");
    if (n_storage != 1)
        field_invalid_json(fe, p, versions,
                           "must have exactly one version marked as storage version");
}

static void check_stored(const json_t *doc, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(FIELD_AT(NULL, "status"), "storedVersions");
    const json_t *stored = json_at(doc, "status.storedVersions"), *v, *one;
    const json_t *versions = json_at(doc, "spec.versions");
    size_t i, k;

    json_array_foreach(stored, i, one)
    {
        const char *name = json_string_value(one) ? json_string_value(one) : "";
        bool there = false;

        json_array_foreach(versions, k, v) there = there || strcmp(text(v, "name"), name) == 0;
        if (there)
            continue;
        auto_free char *why = mem_printf(
            "missing from spec.versions; %s was previously a storage version, and must remain in "
            "spec.versions until a storage migration ensures no data remains persisted in %s and "
            "removes %s from status.storedVersions",
            name, name, name);
        field_invalid(fe, FIELD_INDEX(p, i), name, why);
    }
}

/* ---- the whole ---- */

static void check_conversion(const json_t *c, const struct field_path *p, struct field_errors *fe)
{
    static const char *const known[] = { "None", "Webhook", NULL };
    const char *strategy = text(c, "strategy");

    if (!*strategy)
        field_required(fe, FIELD_AT(p, "strategy"), "");
    else if (strcmp(strategy, "Webhook") == 0)
        field_add(fe, FIELD_NOT_SUPPORTED, FIELD_AT(p, "strategy"),
                  "Unsupported value: \"Webhook\": this server calls no conversion webhooks yet; "
                  "supported values: \"None\"");
    else if (!is_one_of(strategy, known))
        field_not_supported(fe, FIELD_AT(p, "strategy"), strategy, known);
    else if (json_object_get(c, "webhook"))
        field_forbidden(fe, FIELD_AT(p, "webhookClientConfig"),
                        "should not be set when strategy is not set to Webhook");
}

static void fixed(const json_t *now, const json_t *was, const char *path,
                  const struct field_path *p, struct field_errors *fe)
{
    const char *a = json_str_at(now, path, ""), *b = json_str_at(was, path, "");

    if (strcmp(a, b) != 0)
        field_invalid(fe, p, a, "field is immutable");
}

void crd_check(const json_t *doc, struct field_errors *fe)
{
    static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
    static const char *const needed[] = { "plural", "singular", "kind", "listKind" };
    const struct field_path *p = FIELD_AT(NULL, "spec"), *at = FIELD_AT(p, "names");
    const json_t *spec = json_object_get(doc, "spec"), *names = json_object_get(spec, "names");
    const char *scope = text(spec, "scope");
    auto_free char *name = mem_printf("%s.%s", text(names, "plural"), text(spec, "group"));

    if (strcmp(meta_name(doc), name) != 0)
        field_invalid(fe, FIELD_AT(FIELD_AT(NULL, "metadata"), "name"), meta_name(doc),
                      "must be spec.names.plural+\".\"+spec.group");
    check_group(text(spec, "group"), FIELD_AT(p, "group"), fe);
    if (!*scope)
        field_required(fe, FIELD_AT(p, "scope"), "");
    else if (!is_one_of(scope, scopes))
        field_not_supported(fe, FIELD_AT(p, "scope"), scope, scopes);
    if (json_is_true(json_object_get(spec, "preserveUnknownFields")))
        field_invalid_json(fe, FIELD_AT(p, "preserveUnknownFields"),
                           json_object_get(spec, "preserveUnknownFields"),
                           "cannot set to true, set x-kubernetes-preserve-unknown-fields to true "
                           "in spec.versions[*].schema instead");
    check_versions(json_object_get(spec, "versions"), FIELD_AT(p, "versions"), fe);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!*text(names, needed[i]))
            field_required(fe, FIELD_AT(at, needed[i]), "");
    check_names(names, at, fe);
    check_conversion(json_object_get(spec, "conversion"), FIELD_AT(p, "conversion"), fe);
    check_stored(doc, fe);
    check_approval(doc, fe);
}

void crd_check_update(const json_t *doc, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec"), *names = FIELD_AT(p, "names");

    if (crd_condition_is_true(old, "Established")) { /* objects are stored by them */
        fixed(doc, old, "spec.scope", FIELD_AT(p, "scope"), fe);
        fixed(doc, old, "spec.names.kind", FIELD_AT(names, "kind"), fe);
    }
    fixed(doc, old, "spec.group", FIELD_AT(p, "group"), fe);
    fixed(doc, old, "spec.names.plural", FIELD_AT(names, "plural"), fe);
}

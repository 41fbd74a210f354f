#include "server/schema/validate_meta.h"

#include "base/core/mem.h"
#include "base/kube/name.h"
#include "server/schema/tables.h"
#include "server/schema/validate.h"
#include "server/schema/validate_check.h"

#include <stdio.h>
#include <stdlib.h>

const char *format_problem(enum schema_format format, const char *s)
{
    struct str v = str_of(s);

    switch (format) {
    case SCHEMA_FMT_LABEL:
        return name_check_label(v);
    case SCHEMA_FMT_LABEL35:
        return name_check_label35(v);
    case SCHEMA_FMT_SUBDOMAIN:
        return name_check_subdomain(v);
    case SCHEMA_FMT_PATH_SEGMENT:
        return name_check_path_segment(v);
    case SCHEMA_FMT_QUALIFIED:
        return name_check_qualified(v);
    case SCHEMA_FMT_LABEL_VALUE:
        return name_check_label_value(v);
    case SCHEMA_FMT_PORT_NAME:
        return name_check_port_name(v);
    case SCHEMA_FMT_ENV_NAME:
        return name_check_env(v);
    case SCHEMA_FMT_CONFIG_KEY:
        return name_check_config_key(v);
    case SCHEMA_FMT_IP:
        return ip_problem(s);
    case SCHEMA_FMT_CIDR:
        return cidr_problem(s);
    case SCHEMA_FMT_ABSOLUTE_PATH:
        return s[0] == '/' ? NULL : "must be an absolute path";
    case SCHEMA_FMT_NONE:
    case SCHEMA_FMT_PORT:
    case SCHEMA_FMT_NON_NEGATIVE:
    case SCHEMA_FMT_POSITIVE:
        break;
    }
    return NULL;
}

bool validate_name(const struct schema_kind *k, const char *name, bool is_prefix,
                   struct field_errors *fe)
{
    const struct field_path *metadata = FIELD_AT(NULL, "metadata");
    const struct field_path *at = FIELD_AT(metadata, is_prefix ? "generateName" : "name");
    char masked[NAME_SUBDOMAIN_MAX + 3];
    const char *why, *checked = name;
    size_t n = strlen(name);

    /* a prefix may end in what a name may not: upstream puts an 'a' there */
    if (is_prefix && n && n < sizeof masked && name[n - 1] == '-') {
        snprintf(masked, sizeof masked, "%.*sa", (int)n - 1, name);
        checked = masked;
    }
    why = format_problem(k->name_format, checked);
    if (!why)
        why = name_check_path_segment(str_of(checked));
    return check_text(fe, at, name, why);
}

/* ---- owners: upstream's paths have no index ---- */

static void check_owner(struct field_errors *fe, const struct field_path *p, const json_t *o)
{
    static const char *const needed[] = { "kind", "name", "uid" };
    const char *api = part_str(o, "apiVersion"), *slash = strchr(api, '/');

    if (slash ? !slash[1] : !*api)
        field_invalid(fe, FIELD_AT(p, "apiVersion"), api, "version must not be empty");
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!part_str(o, needed[i])[0])
            field_invalid(fe, FIELD_AT(p, needed[i]), "", "must not be empty");
    if (strcmp(api, "v1") == 0 && part_is(o, "kind", "Event"))
        field_invalid_json(fe, p, o, "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(struct field_errors *fe, const struct field_path *p, const json_t *owners)
{
    auto_free char *first = NULL;
    size_t i;
    json_t *o;

    json_array_foreach(owners, i, o)
    {
        check_owner(fe, p, o);
        if (!part_true(o, "controller"))
            continue;
        auto_free char *name = mem_printf("%s/%s", part_str(o, "kind"), part_str(o, "name"));
        if (!first) {
            first = STEAL(name);
            continue;
        }
        auto_free char *why =
            mem_printf("Only one reference can have Controller set to true. Found \"true\" in "
                       "references for %s and %s",
                       first, name);
        field_invalid_json(fe, p, owners, why);
    }
}

/* ---- finalizers ---- */

const char *finalizer_problem(const char *name)
{
    static const char *const known[] = { "foregroundDeletion", "kubernetes", "orphan", NULL };

    return strchr(name, '/') || text_listed(known, name)
               ? NULL
               : "name is neither a standard finalizer name nor is it fully qualified";
}

static bool has_text(const json_t *list, const char *s)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (json_string_value(v) && strcmp(json_string_value(v), s) == 0)
            return true;
    }
    return false;
}

static void check_finalizers(struct field_errors *fe, const struct field_path *p,
                             const json_t *finalizers, bool built_in)
{
    json_t *v;
    size_t i;

    json_array_foreach(finalizers, i, v)
    {
        const char *s = json_string_value(v) ? json_string_value(v) : "";
        (void)check_qualified(fe, p, s);
        if (built_in)
            (void)check_text(fe, FIELD_INDEX(p, i), s, finalizer_problem(s));
    }
    if (has_text(finalizers, "orphan") && has_text(finalizers, "foregroundDeletion"))
        field_invalid_list(fe, p, "string", finalizers,
                           "finalizer orphan and foregroundDeletion cannot be both set");
}

/* An object that is being deleted may only lose some. */
static void check_no_new_finalizers(struct field_errors *fe, const struct field_path *p,
                                    const json_t *now, const json_t *old)
{
    auto_buf extra = BUF(8192);
    json_t *v;
    size_t i;

    json_array_foreach(now, i, v)
    {
        const char *s = json_string_value(v);
        if (s && !has_text(old, s) && buf_addf(&extra, "%s\"%s\"", extra.n ? ", " : "", s))
            break;
    }
    if (extra.n)
        field_add(fe, FIELD_FORBIDDEN, p,
                  "Forbidden: no new finalizers can be added if the object is being deleted, found "
                  "new finalizers []string{%s}",
                  buf_cstr(&extra));
}

/* ---- the whole ---- */

/* The API server's own parts for definitions and for other servers know generic metadata only. */
static bool has_core_rules(const struct schema_kind *k)
{
    return schema_is_builtin(k) && strcmp(k->group, "apiextensions.k8s.io") != 0 &&
           strcmp(k->group, "apiregistration.k8s.io") != 0;
}

void check_metadata(const struct schema_kind *k, const json_t *metadata, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "metadata");
    const char *name = part_str(metadata, "name"), *prefix = part_str(metadata, "generateName");
    const char *ns = part_str(metadata, "namespace");

    if (*prefix)
        (void)validate_name(k, prefix, true, fe);
    if (!*name)
        field_required(fe, FIELD_AT(p, "name"), "name or generateName is required");
    else
        (void)validate_name(k, name, false, fe);
    if (!k->namespaced && *ns)
        field_forbidden(fe, FIELD_AT(p, "namespace"), "not allowed on this type");
    else if (k->namespaced && !*ns)
        field_required(fe, FIELD_AT(p, "namespace"), "");
    else if (k->namespaced)
        (void)check_label(fe, FIELD_AT(p, "namespace"), ns);
    check_labels(fe, FIELD_AT(p, "labels"), part(metadata, "labels"));
    check_annotations(fe, FIELD_AT(p, "annotations"), part(metadata, "annotations"));
    check_owners(fe, FIELD_AT(p, "ownerReferences"), part(metadata, "ownerReferences"));
    check_finalizers(fe, FIELD_AT(p, "finalizers"), part(metadata, "finalizers"),
                     has_core_rules(k));
}

void check_metadata_update(const json_t *now, const json_t *old, struct field_errors *fe)
{
    static const char *const fixed[] = { "name", "namespace", "uid", "creationTimestamp" };
    const struct field_path *p = FIELD_AT(NULL, "metadata");

    if (part(old, "deletionTimestamp"))
        check_no_new_finalizers(fe, FIELD_AT(p, "finalizers"), part(now, "finalizers"),
                                part(old, "finalizers"));
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        json_t *a = part(now, fixed[i]), *b = part(old, fixed[i]);
        if (a && b && !json_equal(a, b))
            field_invalid_json(fe, FIELD_AT(p, fixed[i]), a, "field is immutable");
    }
}

void validate_embedded_meta(const json_t *meta, const struct field_path *p, struct field_errors *fe)
{
    const char *name = part_str(meta, "name"), *ns = part_str(meta, "namespace"), *why;

    if (*name && (why = name_check_path_segment(str_of(name))))
        field_invalid(fe, FIELD_AT(p, "name"), name, why);
    if (*ns)
        (void)check_label(fe, FIELD_AT(p, "namespace"), ns);
    check_labels(fe, FIELD_AT(p, "labels"), part(meta, "labels"));
    check_annotations(fe, FIELD_AT(p, "annotations"), part(meta, "annotations"));
    check_owners(fe, FIELD_AT(p, "ownerReferences"), part(meta, "ownerReferences"));
}

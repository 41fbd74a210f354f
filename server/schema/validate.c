#include "server/schema/validate.h"

#include "base/kube/name.h"
#include "server/schema/validate_hooks.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { ANNOTATIONS_MAX_BYTES = 256 * 1024 };

/* ---- formats ---- */

static bool is_ip(const char *s)
{
    struct in6_addr a;

    return inet_pton(AF_INET, s, &a) == 1 || inet_pton(AF_INET6, s, &a) == 1;
}

static bool is_cidr(const char *s)
{
    struct str ip, bits;
    char text[INET6_ADDRSTRLEN];
    uint64_t n;

    if (!str_cut(str_of(s), '/', &ip, &bits) || ip.n >= sizeof text || !str_to_u64(bits, &n))
        return false;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(ip));
    return is_ip(text) && n <= (strchr(text, ':') ? 128U : 32U);
}

/* NULL: fine, else upstream's sentence */
static const char *check_string(enum schema_format format, const char *s)
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
        return is_ip(s) ? NULL : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    case SCHEMA_FMT_CIDR:
        return is_cidr(s) ? NULL
                          : "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
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

static const char *check_integer(enum schema_format format, json_int_t n)
{
    switch (format) {
    case SCHEMA_FMT_PORT:
        return n >= 1 && n <= 65535 ? NULL : "must be between 1 and 65535, inclusive";
    case SCHEMA_FMT_NON_NEGATIVE:
        return n >= 0 ? NULL : "must be greater than or equal to 0";
    case SCHEMA_FMT_POSITIVE:
        return n > 0 ? NULL : "must be greater than zero";
    default:
        return NULL;
    }
}

/* ---- the walk ---- */

static bool is_absent(const json_t *v)
{
    return !v || (json_is_string(v) && !json_string_length(v)) ||
           (json_is_array(v) && !json_array_size(v)) ||
           (json_is_object(v) && !json_object_size(v)) ||
           (json_is_integer(v) && json_integer_value(v) == 0);
}

static bool listed(const char *const *variants, const char *s)
{
    for (; *variants; variants++)
        if (strcmp(*variants, s) == 0)
            return true;
    return false;
}

static void walk(const struct schema_type *t, const struct schema_field *f, const json_t *v,
                 const struct field_path *p, struct field_errors *fe);

static void check_scalar(const struct schema_type *t, const struct schema_field *f, const json_t *v,
                         const struct field_path *p, struct field_errors *fe)
{
    const char *s = json_string_value(v), *why = NULL;
    const char *const *variants = f && f->variants ? f->variants : t->variants;

    if (s && *s && variants && !listed(variants, s)) {
        field_not_supported(fe, p, s, variants);
        return;
    }
    if (!f || !f->format)
        return;
    if (s && *s && t->shape == SCHEMA_STRING && (why = check_string(f->format, s)))
        field_invalid(fe, p, s, why);
    else if (json_is_integer(v) && (why = check_integer(f->format, json_integer_value(v))))
        field_invalid_json(fe, p, v, why);
}

static void walk_struct(const struct schema_type *t, const json_t *v, const struct field_path *p,
                        struct field_errors *fe)
{
    validate_hook_fn hook = validate_hook(t);

    for (size_t i = 0; i < t->n_fields; i++) {
        const struct schema_field *f = &t->fields[i];
        const json_t *child = json_object_get(v, f->name);
        const struct field_path *at = FIELD_AT(p, f->name);
        if (f->flags & SCHEMA_NONEMPTY && is_absent(child))
            field_required(fe, at, "");
        else if (child && !(p == NULL && strcmp(f->name, "metadata") == 0))
            walk(f->type, f, child, at, fe);
    }
    if (hook)
        hook(v, p, fe);
}

static void walk(const struct schema_type *t, const struct schema_field *f, const json_t *v,
                 const struct field_path *p, struct field_errors *fe)
{
    const char *key;
    json_t *item;
    size_t i;

    switch (t->shape) {
    case SCHEMA_STRUCT:
        walk_struct(t, v, p, fe);
        break;
    case SCHEMA_LIST: /* a list's form is that of its items */
        json_array_foreach(v, i, item)
            walk(t->item->type, f && f->format ? f : t->item, item, FIELD_INDEX(p, i), fe);
        break;
    case SCHEMA_MAP:
        json_object_foreach((json_t *)v, key, item)
            walk(t->item->type, t->item, item, FIELD_KEY(p, key), fe);
        break;
    default:
        check_scalar(t, f, v, p, fe);
        break;
    }
}

/* ---- immutable fields ---- */

static void walk_immutable(const struct schema_type *t, const json_t *v, const json_t *old,
                           const struct field_path *p, struct field_errors *fe)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct schema_field *f = &t->fields[i];
        json_t *a = json_object_get(v, f->name), *b = json_object_get(old, f->name);
        const struct field_path *at = FIELD_AT(p, f->name);
        if (!(f->flags & SCHEMA_IMMUTABLE)) {
            if (a && b && f->type->shape == SCHEMA_STRUCT)
                walk_immutable(f->type, a, b, at, fe);
        } else if (!a != !b || (a && !json_equal(a, b))) {
            json_t *nothing = json_null();
            field_invalid_json(fe, at, a ? a : nothing, "field is immutable");
        }
    }
}

/* ---- metadata: apimachinery pkg/api/validation/objectmeta.go ---- */

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
    why = check_string(k->name_format, checked);
    if (!why)
        why = name_check_path_segment(str_of(checked));
    if (why)
        field_invalid(fe, at, name, why);
    return !why;
}

static void check_labels(const json_t *labels, const struct field_path *p, struct field_errors *fe)
{
    const char *key, *why;
    json_t *v;

    json_object_foreach((json_t *)labels, key, v)
    {
        const char *value = json_string_value(v) ? json_string_value(v) : "";
        if ((why = name_check_qualified(str_of(key))))
            field_invalid(fe, p, key, why);
        if ((why = name_check_label_value(str_of(value))))
            field_invalid(fe, p, value, why);
    }
}

static void check_annotations(const json_t *annotations, const struct field_path *p,
                              struct field_errors *fe)
{
    size_t total = 0;
    const char *key, *why;
    json_t *v;

    json_object_foreach((json_t *)annotations, key, v)
    {
        char lower[NAME_SUBDOMAIN_MAX + NAME_LABEL_MAX + 3];
        size_t n = strlen(key);
        total += n + json_string_length(v);
        for (size_t i = 0; i <= n && n < sizeof lower; i++)
            lower[i] = (char)(key[i] >= 'A' && key[i] <= 'Z' ? key[i] + 32 : key[i]);
        why = name_check_qualified(str_of(n < sizeof lower ? lower : key));
        if (why)
            field_invalid(fe, p, key, why);
    }
    if (total > ANNOTATIONS_MAX_BYTES)
        field_too_long(fe, p, ANNOTATIONS_MAX_BYTES);
}

static void check_owners(const json_t *owners, const struct field_path *p, struct field_errors *fe)
{
    static const char *const needed[] = { "apiVersion", "kind", "name", "uid" };
    size_t i, n_controllers = 0;
    json_t *o;

    json_array_foreach(owners, i, o)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        for (size_t k = 0; k < ARRAY_LEN(needed); k++)
            if (is_absent(json_object_get(o, needed[k])))
                field_invalid(fe, FIELD_AT(at, needed[k]), "", "must not be empty");
        n_controllers += json_is_true(json_object_get(o, "controller"));
    }
    if (n_controllers > 1)
        field_invalid_json(fe, p, owners, "Only one reference can have Controller set to true");
}

static void check_metadata(const struct schema_kind *k, const json_t *metadata,
                           struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name"));
    const char *prefix = json_string_value(json_object_get(metadata, "generateName"));
    const char *ns = json_string_value(json_object_get(metadata, "namespace"));
    const char *why;
    json_t *v;
    size_t i;

    if (prefix && *prefix)
        (void)validate_name(k, prefix, true, fe);
    if (!name || !*name)
        field_required(fe, FIELD_AT(p, "name"), "name or generateName is required");
    else
        (void)validate_name(k, name, false, fe);
    if (!k->namespaced && ns && *ns)
        field_forbidden(fe, FIELD_AT(p, "namespace"), "not allowed on this type");
    else if (k->namespaced && (!ns || !*ns))
        field_required(fe, FIELD_AT(p, "namespace"), "");
    else if (k->namespaced && (why = name_check_label(str_of(ns))))
        field_invalid(fe, FIELD_AT(p, "namespace"), ns, why);
    check_labels(json_object_get(metadata, "labels"), FIELD_AT(p, "labels"), fe);
    check_annotations(json_object_get(metadata, "annotations"), FIELD_AT(p, "annotations"), fe);
    check_owners(json_object_get(metadata, "ownerReferences"), FIELD_AT(p, "ownerReferences"), fe);
    json_array_foreach(json_object_get(metadata, "finalizers"), i, v)
    {
        const char *s = json_string_value(v) ? json_string_value(v) : "";
        if ((why = name_check_qualified(str_of(s))))
            field_invalid(fe, FIELD_AT(p, "finalizers"), s, why);
    }
}

static void check_metadata_update(const json_t *now, const json_t *old, struct field_errors *fe)
{
    static const char *const fixed[] = { "name", "namespace", "uid", "creationTimestamp" };
    const struct field_path *p = FIELD_AT(NULL, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        json_t *a = json_object_get(now, fixed[i]), *b = json_object_get(old, fixed[i]);
        if (a && b && !json_equal(a, b))
            field_invalid_json(fe, FIELD_AT(p, fixed[i]), a, "field is immutable");
    }
}

/* ---- doors ---- */

void validate_create(const struct schema_kind *k, const json_t *obj, struct field_errors *fe)
{
    /* kinds without a form of name are answered, not stored: reviews, bindings */
    if (k->name_format)
        check_metadata(k, json_object_get(obj, "metadata"), fe);
    walk_struct(k->type, obj, NULL, fe);
}

void validate_update(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe)
{
    validate_update_fn hook = validate_update_hook(k);

    check_metadata_update(json_object_get(obj, "metadata"), json_object_get(old, "metadata"), fe);
    validate_create(k, obj, fe);
    walk_immutable(k->type, obj, old, NULL, fe);
    if (hook)
        hook(obj, old, fe);
}

void validate_status(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe)
{
    const struct schema_field *f = schema_field(k->type, "status");
    const json_t *status = json_object_get(obj, "status");

    check_metadata_update(json_object_get(obj, "metadata"), json_object_get(old, "metadata"), fe);
    check_metadata(k, json_object_get(obj, "metadata"), fe);
    if (f && status)
        walk(f->type, f, status, FIELD_AT(NULL, "status"), fe);
}

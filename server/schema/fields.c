#include "server/schema/fields.h"

#include <stdio.h>

/* Labels that every kind has. */
static bool is_common(const char *label)
{
    return strcmp(label, "metadata.name") == 0 || strcmp(label, "metadata.namespace") == 0;
}

static bool is_supported(const struct schema_kind *k, const char *label)
{
    for (const char *const *s = k->selectable; *s; s++)
        if (strcmp(*s, label) == 0)
            return true;
    return is_common(label);
}

/* "a.b.c" down the object and, beside it, the type */
static const json_t *walk(const struct schema_kind *k, const json_t *obj, const char *path,
                          const struct schema_type **type)
{
    struct str part, rest = str_of(path);
    const json_t *at = obj;
    bool more;

    *type = k->type;
    do {
        char name[128];
        more = str_cut(rest, '.', &part, &rest);
        snprintf(name, sizeof name, STR_FMT, STR_ARG(part));
        at = json_object_get(at, name);
        const struct schema_field *f = *type ? schema_field(*type, name) : NULL;
        *type = f ? f->type : NULL;
    } while (more);
    return at;
}

static bool is_source(const struct schema_kind *k, const char *label)
{
    return strcmp(k->kind, "Event") == 0 && strcmp(label, "source") == 0 && !k->custom;
}

/* Labels that are not the path of a value (upstream's pod and event strategies). */
const char *fields_path(const struct schema_kind *k, const char *label)
{
    if (is_source(k, label))
        return k->group[0] == '\0' ? "source.component" : "deprecatedSource.component";
    if (strcmp(k->group, "batch") == 0 && strcmp(label, "status.successful") == 0)
        return "status.succeeded";
    return label;
}

/* Today's recorders name themselves in this field alone. */
const char *fields_fallback(const struct schema_kind *k, const char *label)
{
    if (!is_source(k, label))
        return NULL;
    return k->group[0] == '\0' ? "reportingComponent" : "reportingController";
}

const char *fields_value(const struct schema_kind *k, const json_t *obj, const char *label,
                         char scratch[FIELDS_SCRATCH_MAX])
{
    const char *fallback = fields_fallback(k, label);
    const struct schema_type *type;
    const json_t *v;

    if (!is_supported(k, label))
        return NULL;
    v = walk(k, obj, fields_path(k, label), &type);
    if (fallback && !json_string_length(v))
        v = walk(k, obj, fallback, &type);
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_true(v))
        return "true";
    if (json_is_integer(v)) {
        snprintf(scratch, FIELDS_SCRATCH_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return scratch;
    }
    if (type && type->shape == SCHEMA_BOOL)
        return "false";
    return type && (type->shape == SCHEMA_INT32 || type->shape == SCHEMA_INT64) ? "0" : "";
}

/* Upstream's words differ: kinds without labels of their own have
 * DefaultMetaV1FieldSelectorConversion, a Job has its own (pkg/apis/batch/v1/conversion.go). */
static int not_supported(const struct schema_kind *k, const char *label, struct err *e)
{
    if (!k->selectable[0])
        return err_set(e, ERR_INVALID,
                       "\"%.128s\" is not a known field selector: only \"metadata.name\", "
                       "\"metadata.namespace\"",
                       label);
    if (strcmp(k->group, "batch") == 0 && strcmp(k->kind, "Job") == 0)
        return err_set(e, ERR_INVALID, "field label \"%.128s\" not supported for Job", label);
    return err_set(e, ERR_INVALID, "field label not supported: %.128s", label);
}

int fields_check(const struct schema_kind *k, const struct field_selector *s, struct err *e)
{
    size_t n;
    const struct selector_term *t = field_selector_terms(s, &n);

    for (size_t i = 0; i < n; i++)
        if (!is_supported(k, t[i].key))
            return not_supported(k, t[i].key, e);
    return 0;
}

bool fields_match(const struct schema_kind *k, const json_t *obj, const struct field_selector *s)
{
    char scratch[FIELDS_SCRATCH_MAX];
    size_t n;
    const struct selector_term *t = field_selector_terms(s, &n);

    for (size_t i = 0; i < n; i++) {
        const char *have = fields_value(k, obj, t[i].key, scratch);
        bool equal = have && strcmp(have, t[i].values[0]) == 0;
        if (equal != (t[i].op == SELECTOR_EQ))
            return false;
    }
    return true;
}

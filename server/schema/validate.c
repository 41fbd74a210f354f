#include "server/schema/validate.h"

#include "server/schema/crd_custom.h"
#include "server/schema/rule.h"
#include "server/schema/validate_hooks.h"
#include "server/schema/validate_kinds.h"
#include "server/schema/validate_meta.h"

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

static void walk(const struct schema_type *t, const struct schema_field *f, const json_t *v,
                 const struct field_path *p, struct field_errors *fe);

static void check_scalar(const struct schema_type *t, const struct schema_field *f, const json_t *v,
                         const struct field_path *p, struct field_errors *fe)
{
    const char *s = json_string_value(v), *why = NULL;
    const char *const *variants = f && f->variants ? f->variants : validate_variants(t);

    if (s && *s && variants && !text_listed(variants, s)) {
        field_not_supported(fe, p, s, variants);
        return;
    }
    if (!f || !f->format)
        return;
    if (s && *s && t->shape == SCHEMA_STRING && (why = format_problem(f->format, s)))
        field_invalid(fe, p, s, why);
    else if (json_is_integer(v) && (why = check_integer(f->format, json_integer_value(v))))
        field_invalid_json(fe, p, v, why);
}

static void walk_struct(const struct schema_type *t, const json_t *v, const struct field_path *p,
                        struct field_errors *fe)
{
    validate_hook_fn hook = validate_hook(t);
    const char *const *unchecked = validate_kinds_unchecked(t);

    for (size_t i = 0; i < t->n_fields; i++) {
        const struct schema_field *f = &t->fields[i];
        const json_t *child = json_object_get(v, f->name);
        const struct field_path *at = FIELD_AT(p, f->name);
        if (f->flags & SCHEMA_NONEMPTY && is_absent(child))
            field_required(fe, at, "");
        else if (child && !(p == NULL && strcmp(f->name, "metadata") == 0) &&
                 !(unchecked && text_listed(unchecked, f->name)))
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
            if (strcmp(f->type->name, "LabelSelector") == 0)
                rule_invalid_selector(fe, at, a, "field is immutable");
            else
                field_invalid_json(fe, at, a ? a : json_null(), "field is immutable");
        }
    }
}

/* ---- doors ---- */

static void check_object(const struct schema_kind *k, const json_t *obj, struct field_errors *fe)
{
    if (k->custom) {
        check_metadata(k, json_object_get(obj, "metadata"), fe);
        crd_custom_validate(k->custom, obj, NULL, fe);
        return;
    }
    /* kinds without a form of name are answered, not stored: reviews, bindings */
    if (k->name_format)
        check_metadata(k, json_object_get(obj, "metadata"), fe);
    walk_struct(k->type, obj, NULL, fe);
}

/* Upstream's rules are for the internal type, whatever version was sent: a kind that is stored in
 * another version's form is judged in that form, unless it has rules of its own (events.k8s.io). */
static bool is_judged_as_stored(const struct schema_kind *k)
{
    return schema_stored_kind(k) != k && !validate_kind_hook(k, VALIDATE_CREATE);
}

struct judged {
    const struct schema_kind *kind;
    json_t *obj, *old; /* ours; old may be NULL */
};

static void judged_deinit(struct judged *j)
{
    json_decref(j->obj);
    json_decref(j->old);
}

static json_t *as_stored(const struct schema_kind *k, const json_t *doc)
{
    if (!is_judged_as_stored(k) || !doc)
        return json_incref((json_t *)doc);
    json_t *copy = json_deep_copy(doc);
    k->convert->to_stored(k, copy);
    return copy;
}

#define AUTO_JUDGED __attribute__((cleanup(judged_deinit))) struct judged

static struct judged judged_of(const struct schema_kind *k, const json_t *obj, const json_t *old)
{
    return (struct judged){ is_judged_as_stored(k) ? schema_stored_kind(k) : k, as_stored(k, obj),
                            as_stored(k, old) };
}

void validate_create(const struct schema_kind *k, const json_t *obj, struct field_errors *fe)
{
    AUTO_JUDGED j = judged_of(k, obj, NULL);
    validate_kind_fn hook = validate_kind_hook(j.kind, VALIDATE_CREATE);

    check_object(j.kind, j.obj, fe);
    if (hook)
        hook(j.obj, NULL, fe);
}

void validate_update(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe)
{
    AUTO_JUDGED j = judged_of(k, obj, old);
    validate_kind_fn hook = validate_kind_hook(j.kind, VALIDATE_UPDATE);

    check_metadata_update(json_object_get(obj, "metadata"), json_object_get(old, "metadata"), fe);
    if (k->custom) {
        check_metadata(k, json_object_get(obj, "metadata"), fe);
        crd_custom_validate(k->custom, obj, old, fe);
        return;
    }
    check_object(j.kind, j.obj, fe);
    walk_immutable(j.kind->type, j.obj, j.old, NULL, fe);
    if (hook)
        hook(j.obj, j.old, fe);
}

void validate_status(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe)
{
    AUTO_JUDGED j = judged_of(k, obj, old);
    validate_kind_fn hook = validate_kind_hook(j.kind, VALIDATE_STATUS);
    const struct schema_field *f = schema_field(j.kind->type, "status");
    const json_t *status = json_object_get(j.obj, "status");

    check_metadata_update(json_object_get(obj, "metadata"), json_object_get(old, "metadata"), fe);
    check_metadata(k, json_object_get(obj, "metadata"), fe);
    if (k->custom)
        crd_custom_validate_status(k->custom, obj, old, fe);
    else if (f && status)
        walk(f->type, f, status, FIELD_AT(NULL, "status"), fe);
    if (hook)
        hook(j.obj, j.old, fe);
}

static void validate_part(const struct schema_kind *k, enum validate_when when, const json_t *obj,
                          const json_t *old, struct field_errors *fe)
{
    validate_kind_fn hook = validate_kind_hook(k, when);

    check_metadata_update(json_object_get(obj, "metadata"), json_object_get(old, "metadata"), fe);
    check_object(k, obj, fe);
    if (hook)
        hook(obj, old, fe);
}

void validate_ephemeral(const struct schema_kind *k, const json_t *obj, const json_t *old,
                        struct field_errors *fe)
{
    validate_part(k, VALIDATE_EPHEMERAL, obj, old, fe);
}

void validate_approval(const struct schema_kind *k, const json_t *obj, const json_t *old,
                       struct field_errors *fe)
{
    validate_part(k, VALIDATE_APPROVAL, obj, old, fe);
}

#include "server/schema/crd_custom.h"

#include "base/data/json.h"
#include "base/kube/selector.h"
#include "server/schema/crd_object.h"
#include "server/schema/crd_rules.h"
#include "server/schema/crd_validate.h"

#include <inttypes.h>

/* ---- validation ---- */

static void check_replicas(const json_t *obj, const char *path, struct field_errors *fe)
{
    const json_t *v = path ? json_at(obj, path) : NULL;
    const struct field_path *p = FIELD_AT(NULL, path);

    if (!v)
        return;
    if (!json_is_integer(v))
        field_invalid_json(fe, p, v, "should be an integer");
    else if (json_integer_value(v) < 0)
        field_invalid_json(fe, p, v, "should be a non-negative integer");
    else if (json_integer_value(v) > INT32_MAX)
        field_invalid_json(fe, p, v, "should be less than or equal to 2147483647");
}

static void check_scale(const struct crd_version *v, const json_t *obj, struct field_errors *fe)
{
    const char *path = v->scale.selector_path;
    AUTO(label_selector) struct label_selector *selector = NULL;
    struct err e;

    if (!v->kind.scale)
        return;
    check_replicas(obj, v->scale.spec_path, fe);
    check_replicas(obj, v->scale.status_path, fe);
    if (!path)
        return;
    const char *text = json_str_at(obj, path, "");
    if (*text && label_selector_parse(&selector, str_of(text), &e))
        field_invalid(fe, FIELD_AT(NULL, path), text, e.text);
}

/* Upstream runs rules on what is well-formed enough for them to make sense (hasBlockingErr). */
static void check_rules(const struct crd_version *v, const json_t *obj, const json_t *old,
                        struct field_errors *fe)
{
    for (size_t i = 0; v->rules && i < fe->n; i++) {
        enum field_reason r = fe->v[i].reason;
        if (r != FIELD_NOT_SUPPORTED && r != FIELD_REQUIRED && r != FIELD_TOO_LONG &&
            r != FIELD_TOO_MANY && r != FIELD_TYPE_INVALID)
            continue;
        field_invalid(fe, FIELD_AT(NULL, "<nil>"), "null",
                      "some validation rules were not checked because the object was invalid; "
                      "correct the existing errors to complete validation");
        return;
    }
    if (v->rules)
        crd_rules_check(v->rules, obj, old, NULL, fe);
}

void crd_custom_validate(const struct crd_version *v, const json_t *obj, const json_t *old,
                         struct field_errors *fe)
{
    auto_field_errors before = { 0 };

    crd_validate(v->root, obj, old, "", fe);
    check_scale(v, obj, fe);
    crd_validate_embedded(v->root, obj, NULL, fe);
    /* what an older schema let in may stay */
    if (old)
        crd_validate_lists(v->root, old, NULL, &before);
    if (!before.n)
        crd_validate_lists(v->root, obj, NULL, fe);
    check_rules(v, obj, old, fe);
}

void crd_custom_validate_status(const struct crd_version *v, const json_t *obj, const json_t *old,
                                struct field_errors *fe)
{
    const struct crd_node *n = crd_node_prop(v->root, "status");
    const struct field_path *p = FIELD_AT(NULL, "status");
    const json_t *status = json_object_get(obj, "status"), *was = json_object_get(old, "status");
    auto_field_errors before = { 0 };

    check_scale(v, obj, fe);
    if (n && status) {
        crd_validate(n, status, was, "status", fe);
        crd_validate_embedded(n, status, p, fe);
        if (was)
            crd_validate_lists(n, was, p, &before);
        if (!before.n)
            crd_validate_lists(n, status, p, fe);
    }
    check_rules(v, obj, old, fe); /* of the whole object, as upstream */
}

/* ---- versions ---- */

static void from_stored(const struct schema_kind *k, json_t *doc)
{
    const struct crd_node *root = k->custom->root;

    crd_drop_nulls(root, doc);
    crd_default(root, doc);
    crd_prune(root, doc, true, NULL);
}

static void to_stored(const struct schema_kind *k, json_t *doc)
{
    if (k->custom->stored != k->custom)
        crd_prune(k->custom->stored->root, doc, true, NULL);
}

const struct schema_convert crd_custom_convert = { from_stored, to_stored };

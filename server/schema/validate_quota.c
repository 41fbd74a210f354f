#include "server/schema/validate_quota.h"

#include "server/schema/validate_check.h"
#include "server/schema/validate_resources.h"

/* ---- quotas: amounts ---- */

static void check_amounts(struct field_errors *fe, const struct field_path *p, const json_t *v,
                          const char *key)
{
    const struct field_path *list = FIELD_AT(p, key);
    const char *name;
    json_t *amount;

    json_object_foreach(part(v, key), name, amount)
    {
        const struct field_path *at = FIELD_KEY(list, name);
        check_quota_resource_name(fe, at, name);
        check_resource_amount(fe, at, name, json_string_value(amount));
    }
}

/* ---- quotas: scopes ---- */

static bool is_scope(const char *s)
{
    static const char *const scopes[] = { "BestEffort",
                                          "CrossNamespacePodAffinity",
                                          "NotBestEffort",
                                          "NotTerminating",
                                          "PriorityClass",
                                          "Terminating",
                                          NULL };

    return text_listed(scopes, s);
}

/* helper.IsResourceQuotaScopeValidForResource: scopes pick pods */
static bool counts_pods(const char *scope, const char *resource)
{
    static const char *const compute[] = { "cpu",    "limits.cpu",   "limits.memory",
                                           "memory", "requests.cpu", "requests.memory",
                                           NULL };

    if (!is_scope(scope) || strcmp(resource, "pods") == 0)
        return true;
    return strcmp(scope, "BestEffort") != 0 && text_listed(compute, resource);
}

/* The value that upstream shows with every error. */
static void add_scope_error(struct field_errors *fe, const struct field_path *p,
                            const json_t *scopes, const json_t *selector, const char *why)
{
    if (selector)
        field_invalid_json(fe, p, selector, why);
    else
        field_invalid_list(fe, p, "core.ResourceQuotaScope", scopes, why);
}

static void check_scope_resources(struct field_errors *fe, const struct field_path *p,
                                  const json_t *spec, const char *scope, const json_t *selector)
{
    const char *resource;
    json_t *v;

    json_object_foreach(part(spec, "hard"), resource, v)
    {
        if (resource_is_standard_quota(resource) && !counts_pods(scope, resource))
            add_scope_error(fe, p, part(spec, "scopes"), selector,
                            "unsupported scope applied to resource");
    }
}

static void check_pairs(struct field_errors *fe, const struct field_path *p, const struct map *set,
                        const json_t *scopes)
{
    static const char *const pairs[][2] = { { "BestEffort", "NotBestEffort" },
                                            { "NotTerminating", "Terminating" } };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (name_set_has(set, pairs[i][0]) && name_set_has(set, pairs[i][1]))
            add_scope_error(fe, p, scopes, NULL, "conflicting scopes");
}

static void check_scopes(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    AUTO(map) struct map *set = map_new();
    const json_t *scopes = part(spec, "scopes");
    json_t *v;
    size_t i;

    json_array_foreach(scopes, i, v)
    {
        const char *scope = json_string_value(v);
        if (!is_scope(scope))
            add_scope_error(fe, p, scopes, NULL, "unsupported scope");
        check_scope_resources(fe, p, spec, scope, NULL);
        name_set_add(set, scope);
    }
    check_pairs(fe, p, set, scopes);
}

static void check_scope_values(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *values = part(v, "values");

    if (part_is(v, "operator", "In") || part_is(v, "operator", "NotIn")) {
        if (!json_array_size(values))
            field_required(
                fe, FIELD_AT(p, "values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    } else if (part_is(v, "operator", "Exists") || part_is(v, "operator", "DoesNotExist")) {
        if (json_array_size(values))
            field_invalid_list(
                fe, FIELD_AT(p, "values"), "string", values,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    } else {
        field_invalid(fe, FIELD_AT(p, "operator"), part_str(v, "operator"),
                      "not a valid selector operator");
    }
}

static void check_scope_selector(struct field_errors *fe, const struct field_path *p,
                                 const json_t *spec)
{
    const json_t *selector = part(spec, "scopeSelector");
    AUTO(map) struct map *set = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(part(selector, "matchExpressions"), i, v)
    {
        const char *scope = part_str(v, "scopeName");
        if (!is_scope(scope))
            field_invalid(fe, FIELD_AT(p, "scopeName"), scope, "unsupported scope");
        check_scope_resources(fe, p, spec, scope, selector);
        if (is_scope(scope) && strcmp(scope, "PriorityClass") != 0 &&
            !part_is(v, "operator", "Exists"))
            field_invalid(fe, FIELD_AT(p, "operator"), part_str(v, "operator"),
                          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                          "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                          "ResourceQuotaScopeNotBestEffort or "
                          "ResourceQuotaScopeCrossNamespacePodAffinity");
        check_scope_values(fe, p, v);
        name_set_add(set, scope);
    }
    check_pairs(fe, p, set, part(spec, "scopes"));
}

void validate_quota(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "spec");
    const struct field_path *selector = FIELD_AT(at, "scopeSelector");
    const json_t *spec = part(v, "spec");

    check_amounts(fe, at, spec, "hard");
    check_scopes(fe, FIELD_AT(at, "scopes"), spec);
    check_scope_selector(fe, FIELD_AT(selector, "matchExpressions"), spec);
}

static bool same_set(const json_t *a, const json_t *b)
{
    AUTO(map) struct map *in_a = map_new(), *in_b = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(a, i, v) name_set_add(in_a, json_string_value(v));
    json_array_foreach(b, i, v)
    {
        if (!name_set_has(in_a, json_string_value(v)))
            return false;
        name_set_add(in_b, json_string_value(v));
    }
    return map_len(in_a) == map_len(in_b);
}

void validate_quota_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *spec = FIELD_AT(NULL, "spec");
    const json_t *now = part(part(v, "spec"), "scopes");

    if (!same_set(now, part(part(old, "spec"), "scopes")))
        field_invalid_list(fe, FIELD_AT(spec, "scopes"), "core.ResourceQuotaScope", now,
                           "field is immutable");
}

void validate_quota_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "status");

    (void)old;
    check_amounts(fe, p, part(v, "status"), "hard");
    check_amounts(fe, p, part(v, "status"), "used");
}

/* ---- limits ---- */

/* The amounts that one item of a LimitRange gives one resource. */
enum { MIN, MAX, DEFAULT, REQUEST, RATIO, N_BOUNDS };
static const char *const bounds[N_BOUNDS] = { "min", "max", "default", "defaultRequest",
                                              "maxLimitRequestRatio" };

struct bound {
    bool set;
    struct quantity q;
    const char *text;
};

static void check_order(struct field_errors *fe, const struct field_path *p, const char *name,
                        const struct bound *b)
{
    /* low must not be above high; shown is the value that is printed, at `at` */
    static const struct {
        int low, high, at, shown;
        const char *low_name, *high_name;
    } rules[] = {
        { MIN, MAX, MIN, MIN, "min value", "max value" },
        { MIN, REQUEST, REQUEST, REQUEST, "min value", "default request value" },
        { REQUEST, MAX, REQUEST, REQUEST, "default request value", "max value" },
        { REQUEST, DEFAULT, REQUEST, REQUEST, "default request value", "default limit value" },
        { MIN, DEFAULT, DEFAULT, MIN, "min value", "default value" },
        { DEFAULT, MAX, DEFAULT, MAX, "default value", "max value" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct bound *low = &b[rules[i].low], *high = &b[rules[i].high];
        const struct field_path *at = FIELD_AT(p, bounds[rules[i].at]);
        if (!low->set || !high->set || quantity_cmp(&low->q, &high->q) <= 0)
            continue;
        field_add(fe, FIELD_INVALID, FIELD_KEY(at, name),
                  "Invalid value: \"%s\": %s %s is greater than %s %s", b[rules[i].shown].text,
                  rules[i].low_name, low->text, rules[i].high_name, high->text);
    }
}

static void check_ratio(struct field_errors *fe, const struct field_path *p, const char *name,
                        const struct bound *b)
{
    const struct field_path *list = FIELD_AT(p, bounds[RATIO]);
    const struct field_path *at = FIELD_KEY(list, name);
    struct quantity one = quantity_of(1, QUANTITY_DECIMAL_SI);

    if (!b[RATIO].set)
        return;
    if (quantity_cmp(&b[RATIO].q, &one) < 0)
        field_add(fe, FIELD_INVALID, at, "Invalid value: \"%s\": ratio %s is less than 1",
                  b[RATIO].text, b[RATIO].text);
    if (!b[MIN].set || !b[MAX].set || b[MIN].q.nano == 0)
        return;
    double ratio = (double)quantity_milli_value(&b[RATIO].q) / 1000;
    double limit =
        (double)quantity_milli_value(&b[MAX].q) / (double)quantity_milli_value(&b[MIN].q);
    if (ratio > limit)
        field_add(fe, FIELD_INVALID, at,
                  "Invalid value: \"%s\": ratio %s is greater than max/min = %f", b[RATIO].text,
                  b[RATIO].text, limit);
}

static void check_bounds(struct field_errors *fe, const struct field_path *p, const char *name,
                         const json_t *item)
{
    const struct field_path *requests = FIELD_AT(p, bounds[REQUEST]);
    struct bound b[N_BOUNDS];

    for (int i = 0; i < N_BOUNDS; i++) {
        b[i].text = part_str(part(item, bounds[i]), name);
        b[i].set = part_quantity(&b[i].q, part(item, bounds[i]), name);
    }
    check_order(fe, p, name, b);
    check_ratio(fe, p, name, b);
    if (!resource_may_overcommit(name) && b[DEFAULT].set && b[REQUEST].set &&
        quantity_cmp(&b[DEFAULT].q, &b[REQUEST].q) != 0)
        field_add(fe, FIELD_INVALID, FIELD_KEY(requests, name),
                  "Invalid value: \"%s\": default value %s must equal to defaultRequest value %s "
                  "in %s",
                  b[REQUEST].text, b[DEFAULT].text, b[REQUEST].text, name);
}

static void check_limit_type(struct field_errors *fe, const struct field_path *p, const char *type)
{
    static const char *const types[] = { "Container", "PersistentVolumeClaim", "Pod", NULL };

    if (check_qualified(fe, p, type) && !strchr(type, '/') && !text_listed(types, type))
        field_invalid(fe, p, type, "must be a standard limit type or fully qualified");
}

static void check_limits(struct field_errors *fe, const struct field_path *p, const json_t *item)
{
    bool pod = part_is(item, "type", "Pod"), compute = pod || part_is(item, "type", "Container");
    AUTO(map) struct map *names = map_new();
    const char *name;
    json_t *v;

    for (int i = 0; i < N_BOUNDS; i++) {
        const struct field_path *list = FIELD_AT(p, bounds[i]);
        if (pod && (i == DEFAULT || i == REQUEST)) {
            if (json_object_size(part(item, bounds[i])))
                field_forbidden(fe, list, "may not be specified when `type` is 'Pod'");
            continue;
        }
        json_object_foreach(part(item, bounds[i]), name, v)
        {
            const struct field_path *at = FIELD_KEY(list, name);
            if (compute)
                check_container_resource_name(fe, at, name);
            else
                check_resource_name(fe, at, name);
            if (name_set_add(names, name))
                check_bounds(fe, p, name, item);
        }
    }
    if (part_is(item, "type", "PersistentVolumeClaim") && !part(part(item, "min"), "storage") &&
        !part(part(item, "max"), "storage"))
        field_required(
            fe, FIELD_AT(p, "limits"),
            "either minimum or maximum storage value is required, but neither was provided");
}

void validate_limit_range(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *spec = FIELD_AT(p, "spec");
    const struct field_path *list = FIELD_AT(spec, "limits");
    AUTO(map) struct map *types = map_new();
    json_t *item;
    size_t i;

    json_array_foreach(part(part(v, "spec"), "limits"), i, item)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const char *type = part_str(item, "type");
        check_limit_type(fe, FIELD_AT(at, "type"), type);
        if (!name_set_add(types, type))
            field_duplicate(fe, FIELD_AT(at, "type"), type);
        check_limits(fe, at, item);
    }
}

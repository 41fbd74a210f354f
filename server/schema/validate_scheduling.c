#include "server/schema/validate_scheduling.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/name.h"
#include "server/schema/validate_check.h"

#include <stdio.h>

/* ---- node selectors ---- */

static void check_expression(struct field_errors *fe, const struct field_path *p, const json_t *v,
                             bool check_values)
{
    const struct field_path *at = FIELD_AT(p, "values");
    const json_t *values = part(v, "values");
    size_t n = json_array_size(values), i;
    json_t *value;

    if (part_is(v, "operator", "In") || part_is(v, "operator", "NotIn")) {
        if (!n)
            field_required(fe, at, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (part_is(v, "operator", "Exists") || part_is(v, "operator", "DoesNotExist")) {
        if (n)
            field_forbidden(fe, at,
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (part_is(v, "operator", "Gt") || part_is(v, "operator", "Lt")) {
        if (n != 1)
            field_required(fe, at,
                           "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
        field_invalid(fe, FIELD_AT(p, "operator"), part_str(v, "operator"),
                      "not a valid selector operator");
    }
    (void)check_qualified(fe, FIELD_AT(p, "key"), part_str(v, "key"));
    json_array_foreach(values, i, value)
    {
        const char *s = json_string_value(value);
        if (check_values)
            (void)check_text(fe, FIELD_INDEX(at, i), s, name_check_label_value(str_of(s)));
    }
}

static void check_field(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const struct field_path *at = FIELD_AT(p, "values");
    const json_t *values = part(v, "values");
    json_t *value;
    size_t i;

    if (!part_is(v, "operator", "In") && !part_is(v, "operator", "NotIn"))
        field_invalid(fe, FIELD_AT(p, "operator"), part_str(v, "operator"),
                      "not a valid selector operator");
    else if (json_array_size(values) != 1)
        field_required(fe, at,
                       "must be only one value when `operator` is 'In' or 'NotIn' for node field "
                       "selector");
    if (!part_is(v, "key", "metadata.name"))
        field_invalid(fe, FIELD_AT(p, "key"), part_str(v, "key"), "not a valid field selector key");
    else
        json_array_foreach(values, i, value)(void)
            check_subdomain(fe, FIELD_INDEX(at, i), json_string_value(value));
}

static void check_term(struct field_errors *fe, const struct field_path *p, const json_t *term,
                       bool values)
{
    const struct field_path *expressions = FIELD_AT(p, "matchExpressions");
    const struct field_path *fields = FIELD_AT(p, "matchFields");
    json_t *v;
    size_t i;

    json_array_foreach(part(term, "matchExpressions"), i, v)
        check_expression(fe, FIELD_INDEX(expressions, i), v, values);
    json_array_foreach(part(term, "matchFields"), i, v) check_field(fe, FIELD_INDEX(fields, i), v);
}

void check_node_selector(struct field_errors *fe, const struct field_path *p, const json_t *v,
                         bool values)
{
    const struct field_path *at = FIELD_AT(p, "nodeSelectorTerms");
    const json_t *terms = part(v, "nodeSelectorTerms");
    json_t *term;
    size_t i;

    if (!json_array_size(terms))
        field_required(fe, at, "must have at least one node selector term");
    json_array_foreach(terms, i, term) check_term(fe, FIELD_INDEX(at, i), term, values);
}

static void check_weight(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    int64_t weight = part_int(v, "weight");

    if (weight <= 0 || weight > 100)
        field_invalid_int(fe, FIELD_AT(p, "weight"), weight, "must be in the range 1-100");
}

#define REQUIRED  "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static void check_node_affinity(struct field_errors *fe, const struct field_path *p,
                                const json_t *v)
{
    const struct field_path *list = FIELD_AT(p, PREFERRED);
    json_t *term;
    size_t i;

    if (part(v, REQUIRED))
        check_node_selector(fe, FIELD_AT(p, REQUIRED), part(v, REQUIRED), true);
    json_array_foreach(part(v, PREFERRED), i, term)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        check_weight(fe, at, term);
        check_term(fe, FIELD_AT(at, "preference"), part(term, "preference"), false);
    }
}

/* ---- affinity to pods ---- */

static bool has_text(const json_t *list, const char *s)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v) if (strcmp(json_string_value(v), s) == 0) return true;
    return false;
}

static void check_label_keys(struct field_errors *fe, const struct field_path *p,
                             const json_t *keys, const json_t *selector)
{
    json_t *key;
    size_t i;

    if (json_array_size(keys) && !selector)
        field_forbidden(fe, p, "must not be specified when labelSelector is not set");
    else
        json_array_foreach(keys, i, key)(void)
            check_qualified(fe, FIELD_INDEX(p, i), json_string_value(key));
}

/* A key of matchLabelKeys becomes an expression of the selector when the pod is made, so one more
 * in the selector is one too many. */
static void check_twice(struct field_errors *fe, const struct field_path *p, const json_t *keys,
                        const json_t *selector)
{
    AUTO(map) struct map *seen = map_new();
    const char *label;
    json_t *v, *key;
    size_t i, k;

    json_object_foreach(part(selector, "matchLabels"), label, v) name_set_add(seen, label);
    json_array_foreach(part(selector, "matchExpressions"), i, v)
    {
        const char *name = part_str(v, "key");
        if (name_set_add(seen, name))
            continue;
        json_array_foreach(keys, k, key) if (strcmp(json_string_value(key), name) == 0)
            field_invalid(fe, FIELD_INDEX(p, k), name,
                          "exists in both matchLabelKeys and labelSelector");
    }
}

static void check_pod_term(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *match = part(v, "matchLabelKeys"), *mismatch = part(v, "mismatchLabelKeys");
    const json_t *selector = part(v, "labelSelector");
    const struct field_path *at = FIELD_AT(p, "matchLabelKeys");
    json_t *s;
    size_t i;

    json_array_foreach(part(v, "namespaces"), i, s)(void)
        check_label(fe, FIELD_AT(p, "namespace"), json_string_value(s));
    check_label_keys(fe, at, match, selector);
    check_label_keys(fe, FIELD_AT(p, "mismatchLabelKeys"), mismatch, selector);
    check_twice(fe, p, match, selector);
    json_array_foreach(match, i, s)
    {
        if (has_text(mismatch, json_string_value(s)))
            field_invalid(fe, FIELD_INDEX(at, i), json_string_value(s),
                          "exists in both matchLabelKeys and mismatchLabelKeys");
    }
    if (!part_str(v, "topologyKey")[0])
        field_required(fe, FIELD_AT(p, "topologyKey"), "can not be empty");
    (void)check_qualified(fe, FIELD_AT(p, "topologyKey"), part_str(v, "topologyKey"));
}

static void check_pod_affinity(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const struct field_path *required = FIELD_AT(p, REQUIRED), *preferred = FIELD_AT(p, PREFERRED);
    json_t *term;
    size_t i;

    json_array_foreach(part(v, REQUIRED), i, term)
        check_pod_term(fe, FIELD_INDEX(required, i), term);
    json_array_foreach(part(v, PREFERRED), i, term)
    {
        const struct field_path *at = FIELD_INDEX(preferred, i);
        check_weight(fe, at, term);
        check_pod_term(fe, FIELD_AT(at, "podAffinityTerm"), part(term, "podAffinityTerm"));
    }
}

/* ---- topology spread ---- */

static void check_min_domains(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *n = part(v, "minDomains");
    char why[192];

    if (!n)
        return;
    if (json_integer_value(n) <= 0)
        field_invalid_json(fe, p, n, "must be greater than zero");
    if (!part_is(v, "whenUnsatisfiable", "DoNotSchedule")) {
        snprintf(why, sizeof why,
                 "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %.64s",
                 part_str(v, "whenUnsatisfiable"));
        field_invalid_json(fe, p, n, why);
    }
}

static bool selects_key(const json_t *selector, const char *key)
{
    json_t *v;
    size_t i;

    if (part(part(selector, "matchLabels"), key))
        return true;
    json_array_foreach(part(selector, "matchExpressions"), i,
                       v) if (part_is(v, "key", key)) return true;
    return false;
}

static void check_spread_keys(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *keys = part(v, "matchLabelKeys"), *selector = part(v, "labelSelector");
    json_t *key;
    size_t i;

    if (json_array_size(keys) && !selector)
        field_forbidden(fe, p, "must not be specified when labelSelector is not set");
    json_array_foreach(keys, i, key)
    {
        const char *s = json_string_value(key);
        (void)check_qualified(fe, FIELD_INDEX(p, i), s);
        if (selects_key(selector, s))
            field_invalid(fe, FIELD_INDEX(p, i), s,
                          "exists in both matchLabelKeys and labelSelector");
    }
}

static void check_spread(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway", NULL };
    json_t *v, *later;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        if (!part_str(v, "topologyKey")[0])
            field_required(fe, FIELD_AT(at, "topologyKey"), "can not be empty");
        if (!part_str(v, "whenUnsatisfiable")[0]) /* others: the table */
            field_not_supported(fe, FIELD_AT(at, "whenUnsatisfiable"), "", actions);
        for (size_t k = i + 1; (later = json_array_get(list, k)); k++) {
            if (!part_is(later, "topologyKey", part_str(v, "topologyKey")) ||
                !part_is(later, "whenUnsatisfiable", part_str(v, "whenUnsatisfiable")))
                continue;
            auto_free char *pair = mem_printf("{%s, %s}", part_str(v, "topologyKey"),
                                              part_str(v, "whenUnsatisfiable"));
            field_duplicate(fe, FIELD_AT(at, "{topologyKey, whenUnsatisfiable}"), pair);
            break;
        }
        check_min_domains(fe, FIELD_AT(at, "minDomains"), v);
        check_spread_keys(fe, FIELD_AT(at, "matchLabelKeys"), v);
    }
}

/* ---- tolerations and taints ---- */

static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };

void check_tolerations(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const struct field_path *op = FIELD_AT(at, "operator");
        const char *key = part_str(v, "key"), *value = part_str(v, "value");
        if (part_str(v, "effect")[0])
            (void)check_listed(fe, FIELD_AT(at, "effect"), part_str(v, "effect"), effects);
        if (*key)
            (void)check_qualified(fe, FIELD_AT(at, "key"), key);
        else if (!part_is(v, "operator", "Exists"))
            field_invalid(fe, op, part_str(v, "operator"),
                          "operator must be Exists when `key` is empty, which means \"match all "
                          "values and all keys\"");
        if (part(v, "tolerationSeconds") && !part_is(v, "effect", "NoExecute"))
            field_invalid(fe, FIELD_AT(at, "effect"), part_str(v, "effect"),
                          "effect must be 'NoExecute' when `tolerationSeconds` is set");
        if (part_is(v, "operator", "Equal") || part_is(v, "operator", ""))
            (void)check_text(fe, op, value, name_check_label_value(str_of(value)));
        else if (part_is(v, "operator", "Exists") && *value)
            field_invalid(fe, op, value, "value must be empty when `operator` is 'Exists'");
    }
}

void check_taints(struct field_errors *fe, const struct field_path *p, const json_t *taints)
{
    AUTO(map) struct map *seen = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(taints, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *key = part_str(v, "key"), *value = part_str(v, "value");
        const char *effect = part_str(v, "effect");
        (void)check_qualified(fe, FIELD_AT(at, "key"), key);
        (void)check_text(fe, FIELD_AT(at, "value"), value, name_check_label_value(str_of(value)));
        if (!*effect)
            field_required(fe, FIELD_AT(at, "effect"), "");
        else
            (void)check_listed(fe, FIELD_AT(at, "effect"), effect, effects);
        auto_free char *pair = mem_printf("%s:%s", key, effect);
        if (name_set_add(seen, pair))
            continue;
        auto_free char *text = json_text_sorted(v);
        field_add(fe, FIELD_DUPLICATE, at,
                  "Duplicate value: %s: taints must be unique by key and effect pair", text);
    }
}

void check_scheduling(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const struct field_path *at = FIELD_AT(p, "affinity");
    const json_t *affinity = part(spec, "affinity");

    check_labels(fe, FIELD_AT(p, "nodeSelector"), part(spec, "nodeSelector"));
    check_node_affinity(fe, FIELD_AT(at, "nodeAffinity"), part(affinity, "nodeAffinity"));
    check_pod_affinity(fe, FIELD_AT(at, "podAffinity"), part(affinity, "podAffinity"));
    check_pod_affinity(fe, FIELD_AT(at, "podAntiAffinity"), part(affinity, "podAntiAffinity"));
    check_spread(fe, FIELD_AT(p, "topologySpreadConstraints"),
                 part(spec, "topologySpreadConstraints"));
    check_tolerations(fe, FIELD_AT(p, "tolerations"), part(spec, "tolerations"));
}

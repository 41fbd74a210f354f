/* autoscaling/v2: pkg/apis/autoscaling/validation. Scaling to zero (HPAScaleToZero) is off, as it
 * is upstream. */
#include "base/kube/name.h"
#include "base/kube/quantity.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

enum { PERIOD_MAX_S = 1800, WINDOW_MAX_S = 3600 };

void autoscaling_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *min = json_object_get(v, "minReplicas"), *max = json_object_get(v, "maxReplicas");
    json_auto_t *zero = json_integer(0);

    max = max ? max : zero;
    if (min && json_integer_value(min) < 1)
        field_invalid_json(fe, FIELD_AT(p, "minReplicas"), min,
                           "must be greater than or equal to 1");
    if (json_integer_value(max) < 1)
        field_invalid_json(fe, FIELD_AT(p, "maxReplicas"), max, "must be greater than 0");
    if (min && json_integer_value(max) < json_integer_value(min))
        field_invalid_json(fe, FIELD_AT(p, "maxReplicas"), max,
                           "must be greater than or equal to `minReplicas`");
}

void autoscaling_reference(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const keys[] = { "kind", "name" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *s = part_str(v, keys[i]);
        if (!*s)
            field_required(fe, FIELD_AT(p, keys[i]), "");
        else
            (void)check_text(fe, FIELD_AT(p, keys[i]), s, name_check_path_segment(str_of(s)));
    }
}

/* ---- metrics ---- */

static const struct {
    const char *type, *key;
} sources[] = { /* in the order in which upstream looks */
                { "Object", "object" },
                { "External", "external" },
                { "Pods", "pods" },
                { "Resource", "resource" },
                { "ContainerResource", "containerResource" }
};

void autoscaling_metric(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "ContainerResource", "External", "Object", "Pods",
                                         "Resource",          NULL };
    const char *type = part_str(v, "type");
    size_t n = 0;

    if (!*type)
        field_required(fe, FIELD_AT(p, "type"), "must specify a metric source type");
    if (!text_listed(types, type)) { /* upstream says it twice: on the way in and in its switch */
        field_not_supported(fe, FIELD_AT(p, "type"), type, types);
        field_not_supported(fe, FIELD_AT(p, "type"), type, types);
    }
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        n += rule_has(v, sources[i].key);
        if (strcmp(type, sources[i].type) == 0 && !rule_has(v, sources[i].key))
            field_required(fe, FIELD_AT(p, sources[i].key),
                           "must populate information for the given metric source");
    }
    for (size_t i = 0; n != 1 && i < ARRAY_LEN(sources); i++)
        if (rule_has(v, sources[i].key) && strcmp(type, sources[i].type) != 0)
            field_forbidden(fe, FIELD_AT(p, sources[i].key),
                            "must populate the given metric source only");
}

void autoscaling_identifier(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *name = part_str(v, "name");

    if (!*name)
        field_required(fe, FIELD_AT(p, "name"), "must specify a metric name");
    else
        (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_path_segment(str_of(name)));
}

static void check_positive(const json_t *v, const char *key, const struct field_path *p,
                           struct field_errors *fe)
{
    struct quantity q;
    struct err e;

    if (rule_has(v, key) && !quantity_parse(&q, str_of(part_str(v, key)), &e) && q.nano <= 0)
        field_invalid(fe, FIELD_AT(p, key), part_str(v, key), "must be positive");
}

void autoscaling_target(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "Utilization", "Value", "AverageValue", NULL };
    const json_t *utilization = json_object_get(v, "averageUtilization");
    const char *type = part_str(v, "type");

    if (!*type)
        field_required(fe, FIELD_AT(p, "type"), "must specify a metric target type");
    if (!text_listed(types, type))
        field_invalid(fe, FIELD_AT(p, "type"), type,
                      "must be either Utilization, Value, or AverageValue");
    check_positive(v, "value", p, fe);
    check_positive(v, "averageValue", p, fe);
    if (utilization && json_integer_value(utilization) < 1)
        field_invalid_json(fe, FIELD_AT(p, "averageUtilization"), utilization,
                           "must be greater than 0");
}

void autoscaling_object_source(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *target = json_object_get(v, "target");

    if (!rule_has(target, "value") && !rule_has(target, "averageValue"))
        field_required(fe, FIELD_AT(FIELD_AT(p, "target"), "averageValue"),
                       "must set either a target value or averageValue");
}

void autoscaling_external_source(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe)
{
    const json_t *target = json_object_get(v, "target");
    const struct field_path *at = FIELD_AT(p, "target");

    if (!rule_has(target, "value") && !rule_has(target, "averageValue"))
        field_required(fe, FIELD_AT(at, "averageValue"),
                       "must set either a target value for metric or a per-pod target");
    if (rule_has(target, "value") && rule_has(target, "averageValue"))
        field_forbidden(fe, FIELD_AT(at, "value"),
                        "may not set both a target value for metric and a per-pod target");
}

void autoscaling_pods_source(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (!rule_has(json_object_get(v, "target"), "averageValue"))
        field_required(fe, FIELD_AT(FIELD_AT(p, "target"), "averageValue"),
                       "must specify a positive target averageValue");
}

void autoscaling_resource_source(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe)
{
    const json_t *target = json_object_get(v, "target");
    const struct field_path *at = FIELD_AT(p, "target");

    if (!*part_str(v, "name"))
        field_required(fe, FIELD_AT(p, "name"), "must specify a resource name");
    if (!rule_has(target, "averageUtilization") && !rule_has(target, "averageValue"))
        field_required(fe, FIELD_AT(at, "averageUtilization"),
                       "must set either a target raw value or a target utilization");
    if (rule_has(target, "averageUtilization") && rule_has(target, "averageValue"))
        field_forbidden(fe, FIELD_AT(at, "averageValue"),
                        "may not set both a target raw value and a target utilization");
}

void autoscaling_container_source(const json_t *v, const struct field_path *p,
                                  struct field_errors *fe)
{
    const char *container = part_str(v, "container");

    autoscaling_resource_source(v, p, fe);
    if (!*container)
        field_required(fe, FIELD_AT(p, "container"), "must specify a container");
    else
        (void)check_text(fe, FIELD_AT(p, "container"), container,
                         name_check_label(str_of(container)));
}

/* ---- behaviour ---- */

void autoscaling_scaling_rules(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const selects[] = { "Disabled", "Max", "Min", NULL };
    const json_t *window = json_object_get(v, "stabilizationWindowSeconds");
    const struct field_path *at = FIELD_AT(p, "stabilizationWindowSeconds");

    if (json_integer_value(window) < 0)
        field_invalid_json(fe, at, window, "must be greater than or equal to zero");
    if (json_integer_value(window) > WINDOW_MAX_S)
        field_invalid_json(fe, at, window, "must be less than or equal to 3600");
    if (rule_has(v, "selectPolicy"))
        (void)check_listed(fe, FIELD_AT(p, "selectPolicy"), part_str(v, "selectPolicy"), selects);
    if (!json_array_size(json_object_get(v, "policies")))
        field_required(fe, FIELD_AT(p, "policies"), "must specify at least one Policy");
}

void autoscaling_scaling_policy(const json_t *v, const struct field_path *p,
                                struct field_errors *fe)
{
    static const char *const types[] = { "Percent", "Pods", NULL };
    json_auto_t *value = json_integer(part_int(v, "value"));
    json_auto_t *period = json_integer(part_int(v, "periodSeconds"));
    const struct field_path *at = FIELD_AT(p, "periodSeconds");

    (void)check_listed(fe, FIELD_AT(p, "type"), part_str(v, "type"), types);
    if (json_integer_value(value) <= 0)
        field_invalid_json(fe, FIELD_AT(p, "value"), value, "must be greater than zero");
    if (json_integer_value(period) <= 0)
        field_invalid_json(fe, at, period, "must be greater than zero");
    if (json_integer_value(period) > PERIOD_MAX_S)
        field_invalid_json(fe, at, period, "must be less than or equal to 1800");
}

void autoscaling_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "currentReplicas", "desiredReplicas", NULL };

    rule_non_negatives(v, counts, p, fe);
}

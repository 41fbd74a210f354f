/*
 * HorizontalPodAutoscaler autoscaling/v1, stored as autoscaling/v2
 * (pkg/apis/autoscaling/v1/conversion.go and helpers.go, 1.32).
 *
 * v1 has one figure, the wanted CPU utilization. What else v2 can say stands in four annotations
 * of the v1 object, as JSON: metrics and their present values in v1's own names, conditions, and
 * the behavior in the names of Go's internal type. An annotation that cannot be read is dropped.
 */
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/convert.h"
#include "server/schema/decode.h"

#include <ctype.h>

enum { NOTE_MAX_BYTES = 4 * 1024 * 1024, CPU_PERCENT = 80 /* DefaultCPUUtilization */ };

#define PREFIX "autoscaling.alpha.kubernetes.io/"
static const char metrics_note[] = PREFIX "metrics", current_note[] = PREFIX "current-metrics",
                  conditions_note[] = PREFIX "conditions", behavior_note[] = PREFIX "behavior";

/* A metric's parts: where v2 has them, where v1. */
struct part {
    const char *source; /* "object" */
    const char *v2, *v1;
    bool always; /* no pointer in v1: "0" when it is absent */
};

static const struct part spec_parts[] = {
    { "object", "describedObject", "target", false },
    { "object", "metric.name", "metricName", false },
    { "object", "target.value", "targetValue", true },
    { "object", "metric.selector", "selector", false },
    { "object", "target.averageValue", "averageValue", false },
    { "pods", "metric.name", "metricName", false },
    { "pods", "target.averageValue", "targetAverageValue", true },
    { "pods", "metric.selector", "selector", false },
    { "resource", "name", "name", false },
    { "resource", "target.averageUtilization", "targetAverageUtilization", false },
    { "resource", "target.averageValue", "targetAverageValue", false },
    { "containerResource", "name", "name", false },
    { "containerResource", "target.averageUtilization", "targetAverageUtilization", false },
    { "containerResource", "target.averageValue", "targetAverageValue", false },
    { "containerResource", "container", "container", false },
    { "external", "metric.name", "metricName", false },
    { "external", "metric.selector", "metricSelector", false },
    { "external", "target.value", "targetValue", false },
    { "external", "target.averageValue", "targetAverageValue", false },
    { 0 },
};

static const struct part status_parts[] = {
    { "object", "describedObject", "target", false },
    { "object", "metric.name", "metricName", false },
    { "object", "current.value", "currentValue", true },
    { "object", "metric.selector", "selector", false },
    { "object", "current.averageValue", "averageValue", false },
    { "pods", "metric.name", "metricName", false },
    { "pods", "current.averageValue", "currentAverageValue", true },
    { "pods", "metric.selector", "selector", false },
    { "resource", "name", "name", false },
    { "resource", "current.averageUtilization", "currentAverageUtilization", false },
    { "resource", "current.averageValue", "currentAverageValue", true },
    { "containerResource", "name", "name", false },
    { "containerResource", "current.averageUtilization", "currentAverageUtilization", false },
    { "containerResource", "current.averageValue", "currentAverageValue", true },
    { "containerResource", "container", "container", false },
    { "external", "metric.name", "metricName", false },
    { "external", "metric.selector", "metricSelector", false },
    { "external", "current.value", "currentValue", true },
    { "external", "current.averageValue", "currentAverageValue", false },
    { 0 },
};

/* The sources in the order of Go's struct. */
static const char *const sources[] = { "object", "pods", "resource", "containerResource",
                                       "external" };

/* "a.b" of o; the object a is made when it is not there. */
static void put(json_t *o, const char *path, json_t *v_take)
{
    struct str head, tail;

    if (!str_cut(str_of(path), '.', &head, &tail)) {
        json_object_set_new(o, path, v_take);
        return;
    }
    auto_free char *name = str_dup(head);
    json_t *inner = json_object_get(o, name);
    if (!inner)
        json_object_set_new(o, name, inner = json_object());
    json_object_set_new(inner, tail.p, v_take);
}

static json_t *parts_to_v1(const struct part *p, const char *source, const json_t *from)
{
    json_t *to = json_object();

    for (; p->source; p++) {
        json_t *v = strcmp(p->source, source) == 0 ? json_at(from, p->v2) : NULL;
        if (v)
            json_object_set_new(to, p->v1, json_deep_copy(v));
        else if (p->always && strcmp(p->source, source) == 0)
            json_object_set_new(to, p->v1, json_string("0"));
    }
    return to;
}

static json_t *parts_to_v2(const struct part *p, const char *source, const json_t *from)
{
    json_t *to = json_object();

    for (; p->source; p++) {
        json_t *v = strcmp(p->source, source) == 0 ? json_object_get(from, p->v1) : NULL;
        if (v && !json_is_null(v))
            put(to, p->v2, json_deep_copy(v));
        else if (p->always && strcmp(p->source, source) == 0)
            put(to, p->v2, json_string("0"));
    }
    return to;
}

/* v1 does not say which of its figures is meant; v2 does. */
static const char *target_type(const char *source, const json_t *v1)
{
    bool has_average = json_object_get(v1, "averageValue"),
         has_value = json_object_get(v1, "targetValue"),
         has_share = json_object_get(v1, "targetAverageUtilization");

    if (strcmp(source, "object") == 0)
        return has_average ? "AverageValue" : "Value";
    if (strcmp(source, "external") == 0)
        return has_value ? "Value" : "AverageValue";
    return has_share ? "Utilization" : "AverageValue";
}

static json_t *metric_to_v1(const struct part *parts, const json_t *metric)
{
    json_t *to = json_pack("{s:s}", "type", json_str_at(metric, "type", ""));

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        const json_t *source = json_object_get(metric, sources[i]);
        if (source)
            json_object_set_new(to, sources[i], parts_to_v1(parts, sources[i], source));
    }
    return to;
}

static json_t *metric_to_v2(const struct part *parts, const json_t *metric)
{
    json_t *to = json_object(), *type = json_object_get(metric, "type");

    if (type)
        json_object_set(to, "type", type);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        const json_t *source = json_object_get(metric, sources[i]);
        if (!json_is_object(source))
            continue;
        json_t *v2 = parts_to_v2(parts, sources[i], source);
        if (parts == spec_parts)
            put(v2, "target.type", json_string(target_type(sources[i], source)));
        json_object_set_new(to, sources[i], v2);
    }
    return to;
}

static bool is_cpu(const json_t *metric)
{
    return strcmp(json_str_at(metric, "type", ""), "Resource") == 0 &&
           strcmp(json_str_at(metric, "resource.name", ""), "cpu") == 0;
}

/* ---- annotations ---- */

static void write_note(json_t *doc, const char *name, const json_t *v)
{
    auto_buf text = BUF(NOTE_MAX_BYTES);
    json_t *meta = json_object_get(doc, "metadata"), *notes = json_object_get(meta, "annotations");

    if (json_write(&text, v))
        return; /* an object is smaller than that */
    if (!notes)
        json_object_set_new(meta, "annotations", notes = json_object());
    json_object_set_new(notes, name, json_str_of(buf_str(&text)));
}

/* New; NULL when there is none that can be read. */
static json_t *read_note(const json_t *doc, const char *name)
{
    const json_t *notes = json_at(doc, "metadata.annotations");
    const char *text = json_string_value(json_object_get(notes, name));
    json_t *v = NULL;
    struct err e;

    if (text)
        err_ignore(json_parse(&v, str_of(text), &e)); /* then it is as if it were not there */
    return v;
}

static void drop_notes(json_t *doc)
{
    static const char *const names[] = { metrics_note, current_note, conditions_note,
                                         behavior_note };
    json_t *meta = json_object_get(doc, "metadata"), *notes = json_object_get(meta, "annotations");

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_object_del(notes, names[i]);
    if (json_is_object(notes) && !json_object_size(notes))
        json_object_del(meta, "annotations");
}

/* Clean as a client's own would be. False: of another shape. */
static bool clean(json_t *v, const char *type)
{
    auto_decode_notes notes = { 0 };
    struct err e;

    return json_is_object(v) && !decode_value(schema_builtin_type("autoscaling/v2", type), v,
                                              STR(""), DECODE_IGNORE, &notes, &e);
}

/* A list of an annotation in v2's form, new; NULL when one item is of another shape. */
static json_t *list_of_note(const json_t *doc, const char *name, const struct part *parts,
                            const char *type)
{
    json_auto_t *note = read_note(doc, name), *list = json_array();
    json_t *v;
    size_t i;

    if (!json_is_array(note))
        return NULL;
    json_array_foreach(note, i, v)
    {
        if (!json_is_object(v))
            return NULL;
        json_t *item = parts ? metric_to_v2(parts, v) : json_deep_copy(v);
        json_array_append_new(list, item);
        if (!clean(item, type))
            return NULL;
    }
    return json_incref(list);
}

/* ---- behavior: Go's internal type has no JSON names, so its fields' own are written ---- */

static json_t *or_null(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return v ? json_deep_copy(v) : json_null();
}

static json_t *rules_to_note(const json_t *rules)
{
    json_t *policies =
        json_is_array(json_object_get(rules, "policies")) ? json_array() : json_null();
    json_t *v, *out;
    size_t i;

    if (!rules)
        return json_null();
    json_array_foreach(json_object_get(rules, "policies"), i, v) json_array_append_new(
        policies, json_pack("{s:o, s:o, s:o}", "Type", or_null(v, "type"), "Value",
                            or_null(v, "value"), "PeriodSeconds", or_null(v, "periodSeconds")));
    out = json_pack("{s:o, s:o, s:o}", "StabilizationWindowSeconds",
                    or_null(rules, "stabilizationWindowSeconds"), "SelectPolicy",
                    or_null(rules, "selectPolicy"), "Policies", policies);
    if (json_object_get(rules, "tolerance")) /* 1.33 and later */
        json_object_set_new(out, "Tolerance", or_null(rules, "tolerance"));
    return out;
}

/* Names begin with a small letter in v2; Go reads them in any case. */
static json_t *small_names(const json_t *v)
{
    const char *key;
    json_t *one, *out;
    size_t i;

    if (json_is_array(v)) {
        out = json_array();
        json_array_foreach(v, i, one) json_array_append_new(out, small_names(one));
        return out;
    }
    if (!json_is_object(v))
        return json_deep_copy(v);
    out = json_object();
    json_object_foreach((json_t *)v, key, one)
    {
        auto_free char *name = mem_strdup(key);
        name[0] = (char)tolower((unsigned char)name[0]);
        json_object_set_new(out, name, small_names(one));
    }
    return out;
}

/* ---- the two ways ---- */

static void hpa_from_stored(const struct schema_kind *k, json_t *doc)
{
    json_t *spec = json_object_get(doc, "spec"), *status = json_object_get(doc, "status");
    json_t *behavior = json_object_get(spec, "behavior"), *m;
    json_auto_t *others = json_array(), *current = json_array();
    size_t i;

    (void)k;
    drop_notes(doc);
    json_array_foreach(json_object_get(spec, "metrics"), i, m)
    {
        json_t *percent = is_cpu(m) ? json_at(m, "resource.target.averageUtilization") : NULL;
        if (!percent)
            json_array_append_new(others, metric_to_v1(spec_parts, m));
        else if (!json_object_get(spec, "targetCPUUtilizationPercentage")) /* the first counts */
            json_object_set(spec, "targetCPUUtilizationPercentage", percent);
    }
    json_array_foreach(json_object_get(status, "currentMetrics"), i, m)
    {
        json_t *percent = is_cpu(m) ? json_at(m, "resource.current.averageUtilization") : NULL;
        if (percent) /* the last counts */
            json_object_set(status, "currentCPUUtilizationPercentage", percent);
        json_array_append_new(current, metric_to_v1(status_parts, m));
    }
    if (json_array_size(others))
        write_note(doc, metrics_note, others);
    if (json_array_size(current))
        write_note(doc, current_note, current);
    if (behavior) {
        json_auto_t *note =
            json_pack("{s:o, s:o}", "ScaleUp", rules_to_note(json_object_get(behavior, "scaleUp")),
                      "ScaleDown", rules_to_note(json_object_get(behavior, "scaleDown")));
        write_note(doc, behavior_note, note);
    }
    if (json_array_size(json_object_get(status, "conditions")))
        write_note(doc, conditions_note, json_object_get(status, "conditions"));
    json_object_del(spec, "metrics");
    json_object_del(spec, "behavior");
    json_object_del(status, "currentMetrics");
    json_object_del(status, "conditions");
}

static json_t *cpu_metric(const char *target, json_t *percent_take)
{
    json_t *figures = json_pack("{s:o}", "averageUtilization", percent_take);

    if (strcmp(target, "target") == 0)
        json_object_set_new(figures, "type", json_string("Utilization"));
    return json_pack("{s:s, s:{s:s, s:o}}", "type", "Resource", "resource", "name", "cpu", target,
                     figures);
}

static void hpa_to_stored(const struct schema_kind *k, json_t *doc)
{
    json_t *spec = json_object_get(doc, "spec"), *status = json_object_get(doc, "status");
    json_t *percent = json_object_get(spec, "targetCPUUtilizationPercentage");
    json_t *now = json_object_get(status, "currentCPUUtilizationPercentage");
    json_t *metrics = list_of_note(doc, metrics_note, spec_parts, "MetricSpec");
    json_t *current = list_of_note(doc, current_note, status_parts, "MetricStatus");
    json_t *conditions =
        list_of_note(doc, conditions_note, NULL, "HorizontalPodAutoscalerCondition");
    json_auto_t *note = read_note(doc, behavior_note), *behavior = small_names(note);

    (void)k;
    if (!metrics)
        metrics = json_array();
    if (percent)
        json_array_append_new(metrics, cpu_metric("target", json_incref(percent)));
    if (!json_array_size(metrics)) /* v1's default, which needs to see all metrics */
        json_array_append_new(metrics, cpu_metric("target", json_integer(CPU_PERCENT)));
    if (!current && now)
        current = json_pack("[o]", cpu_metric("current", json_incref(now)));
    if (spec)
        json_object_set(spec, "metrics", metrics);
    if (spec && clean(behavior, "HorizontalPodAutoscalerBehavior") && json_object_size(behavior))
        json_object_set(spec, "behavior", behavior);
    if (!status && (json_array_size(current) || json_array_size(conditions)))
        json_object_set_new(doc, "status", status = json_object());
    if (json_array_size(current))
        json_object_set(status, "currentMetrics", current);
    if (json_array_size(conditions))
        json_object_set(status, "conditions", conditions);
    json_object_del(spec, "targetCPUUtilizationPercentage");
    json_object_del(status, "currentCPUUtilizationPercentage");
    drop_notes(doc);
    json_decref(metrics);
    json_decref(current);
    json_decref(conditions);
}

const struct schema_convert schema_convert_hpa = { hpa_from_stored, hpa_to_stored };

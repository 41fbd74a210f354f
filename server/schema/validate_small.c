/* Groups with few rules: pkg/apis/{scheduling,coordination,node}/validation, core's events.go for
 * events.k8s.io, kube-aggregator's pkg/apis/apiregistration/validation. */
#include "base/data/json.h"
#include "base/kube/name.h"
#include "base/kube/quantity.h"
#include "server/schema/convert.h"
#include "server/schema/rule.h"
#include "server/schema/validate_core.h"
#include "server/schema/validate_kinds.h"

/* ---- scheduling.k8s.io ---- */

#define PRIORITY_MAX 1000000000 /* HighestUserDefinablePriority */

void scheduling_class_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const struct {
        const char *name;
        int64_t value;
    } known[] = { { "system-node-critical", 2000001000 },
                  { "system-cluster-critical", 2000000000 } };
    const char *name = part_str(json_object_get(v, "metadata"), "name");
    int64_t value = part_int(v, "value");
    auto_free char *why = mem_printf("%s is not a known system priority class", name);

    (void)old;
    if (strncmp(name, "system-", 7) != 0) {
        if (value > PRIORITY_MAX)
            field_forbidden(fe, FIELD_AT(NULL, "value"),
                            "maximum allowed value of a user defined priority is 1000000000");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        free(why);
        why = NULL;
        if (value != known[i].value)
            why = mem_printf("value of %s PriorityClass must be %lld", name,
                             (long long)known[i].value);
        else if (json_is_true(json_object_get(v, "globalDefault")))
            why = mem_printf("globalDefault of %s PriorityClass must be false", name);
    }
    if (why)
        field_add(
            fe, FIELD_FORBIDDEN, FIELD_AT(FIELD_AT(NULL, "metadata"), "name"),
            "Forbidden: priority class names with 'system-' prefix are reserved for system use "
            "only. error: %s",
            why);
}

void scheduling_class_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    if (part_int(v, "value") != part_int(old, "value"))
        field_forbidden(fe, FIELD_AT(NULL, "value"), "may not be changed in an update.");
}

/* ---- coordination.k8s.io ---- */

void coordination_lease_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const strategies[] = { "OldestEmulationVersion", NULL };
    const json_t *seconds = json_object_get(v, "leaseDurationSeconds");
    const char *strategy = part_str(v, "strategy");

    if (seconds && json_integer_value(seconds) <= 0)
        field_invalid_json(fe, FIELD_AT(p, "leaseDurationSeconds"), seconds,
                           "must be greater than 0");
    rule_non_negative(v, "leaseTransitions", p, fe);
    if (*strategy && !strchr(strategy, '/'))
        (void)check_listed(fe, FIELD_AT(p, "strategy"), strategy, strategies);
    else if (*strategy)
        (void)check_qualified(fe, FIELD_AT(p, "strategy"), strategy);
    if (*part_str(v, "preferredHolder") && !*strategy)
        field_forbidden(fe, FIELD_AT(p, "preferredHolder"),
                        "may only be specified if `strategy` is defined");
}

/* ---- node.k8s.io ---- */

void node_runtime_class(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *scheduling = json_object_get(v, "scheduling");
    const json_t *fixed = json_object_get(json_object_get(v, "overhead"), "podFixed");
    const json_t *tolerations = json_object_get(scheduling, "tolerations");
    const struct field_path *at = FIELD_AT(p, "scheduling");
    const char *handler = part_str(v, "handler"), *name;
    json_t *q, *t;
    size_t i;

    (void)check_text(fe, FIELD_AT(p, "handler"), handler, name_check_label(str_of(handler)));
    json_object_foreach((json_t *)fixed, name, q)
    {
        const struct field_path *limits = FIELD_AT(FIELD_AT(p, "overhead"), "limits"); /* sic */
        const char *text = json_string_value(q) ? json_string_value(q) : "";
        struct quantity amount;
        struct err e;
        (void)check_qualified(fe, FIELD_KEY(limits, name), name);
        if (!quantity_parse(&amount, str_of(text), &e) && amount.nano < 0)
            field_invalid(fe, FIELD_KEY(limits, name), text, "must be greater than or equal to 0");
    }
    check_labels(fe, FIELD_AT(at, "nodeSelector"), json_object_get(scheduling, "nodeSelector"));
    json_array_foreach(tolerations, i, t)
    {
        for (size_t k = 0; k < i; k++)
            if (rule_same(json_array_get(tolerations, k), t)) {
                auto_free char *text = json_text(t);
                field_add(fe, FIELD_DUPLICATE, FIELD_INDEX(FIELD_AT(at, "tolerations"), i),
                          "Duplicate value: %s", text);
                break;
            }
    }
}

/* ---- events.k8s.io ---- */

/* In the form that upstream checks, and that errors name the fields of: core/v1's. */
static json_t *as_core(const json_t *v)
{
    json_t *copy = json_deep_copy(v);

    schema_convert_core_event.to_stored(NULL, copy);
    return copy;
}

static void check_series(const json_t *series, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(NULL, "series");

    if (series && part_int(series, "count") < 2)
        field_invalid(fe, FIELD_AT(at, "count"), "", "should be at least 2");
    if (series && !*part_str(series, "lastObservedTime"))
        field_required(fe, FIELD_AT(at, "lastObservedTime"), "");
}

void events_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const unset[] = { "firstTimestamp", "lastTimestamp", "count" };
    json_auto_t *event = as_core(v);
    const json_t *source = json_object_get(event, "source");
    const char *type = part_str(event, "type");
    auto_free char *why = mem_printf("has invalid value: %s", type);

    (void)old;
    validate_event(event, NULL, fe);
    check_series(json_object_get(event, "series"), fe);
    if (!*part_str(event, "eventTime"))
        field_required(fe, FIELD_AT(NULL, "eventTime"), "");
    if (strcmp(type, "Normal") != 0 && strcmp(type, "Warning") != 0)
        field_invalid(fe, FIELD_AT(NULL, "type"), "", why);
    for (size_t i = 0; i < ARRAY_LEN(unset); i++)
        if (rule_has(event, unset[i]))
            field_invalid(fe, FIELD_AT(NULL, unset[i]), "", "needs to be unset");
    if (*part_str(source, "component") || *part_str(source, "host"))
        field_invalid(fe, FIELD_AT(NULL, "source"), "", "needs to be unset");
}

void events_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const fixed[][2] = {
        { "involvedObject", "involvedObject" },
        { "reason", "reason" },
        { "message", "message" },
        { "source", "source" },
        { "firstTimestamp", "firstTimestamp" },
        { "lastTimestamp", "lastTimestamp" },
        { "count", "count" },
        { "type", "type" },
        { "eventTime", "eventTime" },
        { "action", "action" },
        { "related", "related" },
        { "reportingComponent", "reportingController" },
        { "reportingInstance", "reportingInstance" },
    };
    json_auto_t *event = as_core(v), *was = as_core(old);

    validate_event(event, NULL, fe);
    if (!rule_same(json_object_get(event, "series"), json_object_get(was, "series")))
        check_series(json_object_get(event, "series"), fe);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        json_t *a = json_object_get(event, fixed[i][0]), *b = json_object_get(was, fixed[i][0]);
        const struct field_path *at = FIELD_AT(NULL, fixed[i][1]);
        if (!rule_same(a, b) && !a && json_is_string(b))
            field_invalid(fe, at, "", "field is immutable");
        else if (!rule_same(a, b))
            field_invalid_json(fe, at, a ? a : json_null(), "field is immutable");
    }
}

/* ---- apiregistration.k8s.io ---- */

static void check_service(const json_t *spec, const struct field_path *p, struct field_errors *fe)
{
    const json_t *service = json_object_get(spec, "service");
    const json_t *port = json_object_get(service, "port");
    const struct field_path *at = FIELD_AT(p, "service");
    bool skips = json_is_true(json_object_get(spec, "insecureSkipTLSVerify"));
    bool trusts = *part_str(spec, "caBundle") != '\0';

    if (!*part_str(service, "namespace"))
        field_required(fe, FIELD_AT(at, "namespace"), "");
    if (!*part_str(service, "name"))
        field_required(fe, FIELD_AT(at, "name"), "");
    if (rule_check_port(json_integer_value(port)))
        field_invalid_json(fe, FIELD_AT(at, "port"), port,
                           "port is not valid: must be between 1 and 65535, inclusive");
    if (skips && trusts)
        field_invalid_json(fe, FIELD_AT(p, "insecureSkipTLSVerify"), json_true(),
                           "may not be true if caBundle is present");
}

void apiregistration_service(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec");
    const struct field_path *at = FIELD_AT(p, "spec");
    const char *name = part_str(json_object_get(v, "metadata"), "name");
    const char *group = part_str(spec, "group"), *version = part_str(spec, "version");
    auto_free char *wanted = mem_printf("%s.%s", version, group);
    json_auto_t *minimum = json_integer(part_int(spec, "groupPriorityMinimum"));
    json_auto_t *priority = json_integer(part_int(spec, "versionPriority"));

    if (strcmp(name, wanted) != 0) {
        auto_free char *why = mem_printf("must be `spec.version+\".\"+spec.group`: \"%s\"", wanted);
        field_invalid(fe, FIELD_AT(FIELD_AT(p, "metadata"), "name"), name, why);
    }
    if (!*group && strcmp(version, "v1") != 0)
        field_required(fe, FIELD_AT(at, "group"),
                       "only v1 may have an empty group and it better be legacy kube");
    if (*group)
        (void)check_text(fe, FIELD_AT(at, "group"), group, name_check_subdomain(str_of(group)));
    (void)check_text(fe, FIELD_AT(at, "version"), version, name_check_label35(str_of(version)));
    if (json_integer_value(minimum) <= 0 || json_integer_value(minimum) > 20000)
        field_invalid_json(fe, FIELD_AT(at, "groupPriorityMinimum"), minimum,
                           "must be positive and less than 20000");
    if (json_integer_value(priority) <= 0 || json_integer_value(priority) > 1000)
        field_invalid_json(fe, FIELD_AT(at, "versionPriority"), priority,
                           "must be positive and less than 1000");
    if (rule_has(spec, "service")) {
        check_service(spec, at, fe);
        return;
    }
    if (*part_str(spec, "caBundle")) {
        size_t n = strlen(part_str(spec, "caBundle")) / 4 * 3;
        const char *end = part_str(spec, "caBundle") + strlen(part_str(spec, "caBundle"));
        auto_free char *size = NULL;
        for (int i = 1; i <= 2 && end[-i] == '='; i++)
            n--;
        size = mem_printf("%zu bytes", n);
        field_invalid(fe, FIELD_AT(at, "caBundle"), size,
                      "local APIServices may not have a caBundle");
    }
    if (json_is_true(json_object_get(spec, "insecureSkipTLSVerify")))
        field_invalid_json(fe, FIELD_AT(at, "insecureSkipTLSVerify"), json_true(),
                           "local APIServices may not have insecureSkipTLSVerify");
}

void apiregistration_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const words[] = { "True", "False", "Unknown", NULL };
    const struct field_path *list = FIELD_AT(p, "conditions");
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(v, "conditions"), i, c)(void)
        check_listed(fe, FIELD_AT(FIELD_INDEX(list, i), "status"), part_str(c, "status"), words);
}

#include "server/schema/validate_core.h"

#include "base/kube/name.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_meta.h"
#include "server/schema/validate_resources.h"
#include "server/schema/validate_scheduling.h"

/* ---- nodes ---- */

static void check_amounts(struct field_errors *fe, const struct field_path *p, const json_t *status,
                          const char *key)
{
    const struct field_path *list = FIELD_AT(p, key);
    const char *name;
    json_t *v;

    json_object_foreach(part(status, key), name, v)
        check_resource_amount(fe, FIELD_AT(list, name), name, json_string_value(v));
}

static bool is_six(const char *cidr)
{
    return strchr(cidr, ':');
}

static void check_pod_cidrs(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    AUTO(map) struct map *seen = map_new();
    size_t i, n = json_array_size(list), n_six = 0;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        (void)check_cidr(fe, FIELD_INDEX(p, i), json_string_value(v));
        n_six += is_six(json_string_value(v));
    }
    if (n > 1 && (n > 2 || n_six != 1))
        field_invalid_list(fe, p, "string", list,
                           "may specify no more than one CIDR for each IP "
                           "family");
    json_array_foreach(list, i, v)
    {
        if (!name_set_add(seen, json_string_value(v)))
            field_duplicate(fe, FIELD_INDEX(p, i), json_string_value(v));
    }
}

void validate_node(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *meta = FIELD_AT(p, "metadata"), *spec = FIELD_AT(p, "spec");
    const struct field_path *status = FIELD_AT(p, "status");

    /* upstream's path of spec.taints */
    check_taints(fe, FIELD_AT(meta, "taints"), part(part(v, "spec"), "taints"));
    check_amounts(fe, status, part(v, "status"), "capacity");
    check_amounts(fe, status, part(v, "status"), "allocatable");
    check_pod_cidrs(fe, FIELD_AT(spec, "podCIDRs"), part(part(v, "spec"), "podCIDRs"));
}

/* ValidateNodeUpdate: also of the status */
void validate_node_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *a = part(v, "spec"), *b = part(old, "spec");
    const json_t *cidrs = part(a, "podCIDRs"), *had = part(b, "podCIDRs"), *list;
    const struct field_path *p = FIELD_AT(NULL, "spec"), *status = FIELD_AT(NULL, "status");
    const struct field_path *addresses = FIELD_AT(status, "addresses");
    json_t *one;
    size_t i;

    check_amounts(fe, status, part(v, "status"), "capacity");
    check_amounts(fe, status, part(v, "status"), "allocatable");
    list = part(part(v, "status"), "addresses");
    json_array_foreach(list, i, one) for (size_t k = 0; k < i; k++)
    {
        if (!json_equal(json_array_get(list, k), one))
            continue;
        field_add(fe, FIELD_DUPLICATE, FIELD_INDEX(addresses, i),
                  "Duplicate value: {\"type\":\"%s\",\"address\":\"%s\"}", part_str(one, "type"),
                  part_str(one, "address"));
        break;
    }
    if (json_array_size(had) && !part_same(cidrs, had))
        field_forbidden(fe, FIELD_AT(p, "podCIDRs"),
                        "node updates may not change podCIDR except from \"\" to valid");
    if (part_str(b, "providerID")[0] && !part_is(a, "providerID", part_str(b, "providerID")))
        field_forbidden(fe, FIELD_AT(p, "providerID"),
                        "node updates may not change providerID except from \"\" to valid");
    if (!part_is(a, "externalID", part_str(b, "externalID")))
        field_forbidden(fe, FIELD_AT(p, "externalID"), "may not be updated");
}

/* ---- namespaces ---- */

void validate_namespace(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *spec = FIELD_AT(p, "spec");
    const struct field_path *at = FIELD_AT(spec, "finalizers");
    json_t *item;
    size_t i;

    json_array_foreach(part(part(v, "spec"), "finalizers"), i, item)
    {
        const char *s = json_string_value(item);
        if (check_qualified(fe, at, s))
            (void)check_text(fe, at, s, finalizer_problem(s));
    }
}

void validate_namespace_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *status = FIELD_AT(NULL, "status");
    const struct field_path *at = FIELD_AT(status, "Phase"); /* upstream's path */
    const char *phase = part_str(part(v, "status"), "phase");
    bool deleting = part(part(old, "metadata"), "deletionTimestamp");

    if (!deleting && strcmp(phase, "Active") != 0)
        field_invalid(fe, at, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    else if (deleting && strcmp(phase, "Terminating") != 0)
        field_invalid(fe, at, phase,
                      "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

/* ---- events: legacyValidateEvent ---- */

static void check_limit(struct field_errors *fe, const json_t *v, const char *key, size_t max,
                        const char *why)
{
    if (strlen(part_str(v, key)) > max)
        field_invalid(fe, FIELD_AT(NULL, key), "", why);
}

static void check_new_event(struct field_errors *fe, const struct field_path *about,
                            const json_t *v, bool home)
{
    const char *reporter = part_str(v, "reportingComponent");
    const struct field_path *reporter_at = FIELD_AT(NULL, "reportingController"); /* upstream's */

    if (!part_str(part(v, "involvedObject"), "namespace")[0] && !home)
        field_invalid(fe, about, "", "does not match event.namespace");
    if (!*reporter)
        field_required(fe, reporter_at, "");
    (void)check_qualified(fe, reporter_at, reporter);
    (void)check_has(fe, NULL, v, "reportingInstance");
    check_limit(fe, v, "reportingInstance", 128, "can have at most 128 characters");
    (void)check_has(fe, NULL, v, "action");
    check_limit(fe, v, "action", 128, "can have at most 128 characters");
    (void)check_has(fe, NULL, v, "reason");
    check_limit(fe, v, "reason", 128, "can have at most 128 characters");
    check_limit(fe, v, "message", 1024, "can have at most 1024 characters");
}

void validate_event(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *object = FIELD_AT(p, "involvedObject");
    const struct field_path *at = FIELD_AT(object, "namespace");
    const char *about = part_str(part(v, "involvedObject"), "namespace");
    const char *ns = part_str(part(v, "metadata"), "namespace");
    bool in_default = strcmp(ns, "default") == 0;

    if (part_str(v, "eventTime")[0])
        check_new_event(fe, at, v, in_default || strcmp(ns, "kube-system") == 0);
    else if (*about ? strcmp(about, ns) != 0 : *ns && !in_default)
        field_invalid(fe, at, about, "does not match event.namespace");
}

/* ---- replication controllers ---- */

static bool matches(const json_t *selector, const json_t *labels)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)selector, key,
                        v) if (!part_same(part(labels, key), v)) return false;
    return true;
}

void validate_replication_controller(const json_t *v, const struct field_path *p,
                                     struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "spec");
    const struct field_path *template_at = FIELD_AT(at, "template");
    const struct field_path *meta = FIELD_AT(template_at, "metadata");
    const struct field_path *pod = FIELD_AT(template_at, "spec");
    const json_t *spec = part(v, "spec"), *template = part(spec, "template");
    const json_t *selector = part(spec, "selector"), *pod_spec = part(template, "spec");
    const json_t *labels = part(part(template, "metadata"), "labels");
    static const char *const always[] = { "Always", NULL };

    (void)check_non_negative(fe, FIELD_AT(at, "minReadySeconds"),
                             part_int(spec, "minReadySeconds"));
    if (!json_object_size(selector))
        field_required(fe, FIELD_AT(at, "selector"), "");
    if (!template) {
        field_required(fe, template_at, "");
        return;
    }
    if (!matches(selector, labels)) {
        json_auto_t *none = json_object();
        field_invalid_json(fe, FIELD_AT(meta, "labels"), labels ? labels : none,
                           "`selector` does not match template `labels`");
    }
    (void)check_listed(fe, FIELD_AT(pod, "restartPolicy"), part_str(pod_spec, "restartPolicy"),
                       always);
    if (part(pod_spec, "activeDeadlineSeconds"))
        field_forbidden(fe, FIELD_AT(pod, "activeDeadlineSeconds"),
                        "activeDeadlineSeconds in ReplicationController is not Supported");
}

void validate_replication_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const counts[] = { "fullyLabeledReplicas", "readyReplicas",
                                          "availableReplicas" };
    const struct field_path *p = FIELD_AT(NULL, "status");
    const json_t *status = part(v, "status");
    int64_t all = part_int(status, "replicas"), ready = part_int(status, "readyReplicas");
    int64_t available = part_int(status, "availableReplicas");

    (void)old;
    (void)check_non_negative(fe, FIELD_AT(p, "replicas"), all);
    (void)check_non_negative(fe, FIELD_AT(p, "observedGeneration"),
                             part_int(status, "observedGeneration"));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        int64_t n = part_int(status, counts[i]);
        (void)check_non_negative(fe, FIELD_AT(p, counts[i]), n);
        if (n > all)
            field_invalid_int(fe, FIELD_AT(p, counts[i]), n,
                              "cannot be greater than status.replicas");
    }
    if (available > ready)
        field_invalid_int(fe, FIELD_AT(p, "availableReplicas"), available,
                          "cannot be greater than readyReplicas");
}

/* ---- label selectors: apimachinery pkg/apis/meta/v1/validation ---- */

void validate_label_selector(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_labels(fe, FIELD_AT(p, "matchLabels"), part(v, "matchLabels"));
}

void validate_label_requirement(const json_t *v, const struct field_path *p,
                                struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "values");
    const json_t *values = part(v, "values");
    json_t *value;
    size_t i;

    if (part_is(v, "operator", "In") || part_is(v, "operator", "NotIn")) {
        if (!json_array_size(values))
            field_required(fe, at, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (part_is(v, "operator", "Exists") || part_is(v, "operator", "DoesNotExist")) {
        if (json_array_size(values))
            field_forbidden(fe, at,
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        field_invalid(fe, FIELD_AT(p, "operator"), part_str(v, "operator"),
                      "not a valid selector operator");
    }
    (void)check_qualified(fe, FIELD_AT(p, "key"), part_str(v, "key"));
    json_array_foreach(values, i, value)
    {
        const char *s = json_string_value(value);
        (void)check_text(fe, FIELD_INDEX(at, i), s, name_check_label_value(str_of(s)));
    }
}

#include "base/data/json.h"
#include "server/resource/kinds.h"
#include "server/schema/defaults_hooks.h"

#include <string.h>

/*
 * matchLabelKeys of an affinity term mean "with the value that this pod has": upstream writes them
 * into the term's selector when the pod is made (applyMatchLabelKeysAndMismatchLabelKeys).
 */
static void add_keys(json_t *selector, const json_t *keys, const char *op, const json_t *labels)
{
    json_t *expressions = json_object_get(selector, "matchExpressions"), *key;
    size_t i;

    json_array_foreach(keys, i, key)
    {
        json_t *value = json_object_get(labels, json_string_value(key));

        if (!value)
            continue;
        if (!expressions) {
            expressions = json_array();
            json_object_set_new(selector, "matchExpressions", expressions);
        }
        json_array_append_new(expressions, json_pack("{s:O, s:s, s:[O]}", "key", key, "operator",
                                                     op, "values", value));
    }
}

static void complete_term(json_t *term, const json_t *labels)
{
    json_t *selector = json_object_get(term, "labelSelector");

    if (!selector)
        return;
    add_keys(selector, json_object_get(term, "matchLabelKeys"), "In", labels);
    add_keys(selector, json_object_get(term, "mismatchLabelKeys"), "NotIn", labels);
}

static void complete_affinity(json_t *pod)
{
    static const char *const kinds[] = { "spec.affinity.podAffinity",
                                         "spec.affinity.podAntiAffinity" };
    const json_t *labels = json_at(pod, "metadata.labels");
    json_t *term;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const json_t *affinity = json_at(pod, kinds[k]);
        json_array_foreach(
            json_object_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), i, term)
            complete_term(term, labels);
        json_array_foreach(
            json_object_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution"), i, term)
            complete_term(json_object_get(term, "podAffinityTerm"), labels);
    }
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    const json_t *spec = json_object_get(obj, "spec");
    json_t *status =
        json_pack("{s:s, s:s}", "phase", "Pending", "qosClass", defaults_pod_qos(spec));

    (void)env;
    (void)e;
    if (json_array_size(json_object_get(spec, "schedulingGates")))
        json_object_set_new(status, "conditions",
                            json_pack("[{s:s, s:s, s:s, s:s}]", "type", "PodScheduled", "status",
                                      "False", "reason", "SchedulingGated", "message",
                                      "Scheduling is blocked due to non-empty scheduling gates"));
    json_object_set_new(obj, "status", status);
    complete_affinity(obj);
    return 0;
}

static int prepare_status(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *status = json_object_get(obj, "status");
    const char *qos = json_str_at(old, "status.qosClass", "");

    (void)env;
    (void)e;
    if (json_is_object(status) && *qos && !json_object_get(status, "qosClass"))
        json_object_set_new(status, "qosClass", json_string(qos));
    return 0;
}

/* registry/core/pod/strategy.go, CheckGracefulDelete: a pod that no kubelet runs goes at once. */
static int64_t grace_s(const json_t *obj, int64_t asked_s)
{
    const char *phase = json_str_at(obj, "status.phase", "");
    int64_t s = asked_s >= 0 ? asked_s : json_i64_at(obj, "spec.terminationGracePeriodSeconds", 30);

    if (!*json_str_at(obj, "spec.nodeName", "") || strcmp(phase, "Succeeded") == 0 ||
        strcmp(phase, "Failed") == 0)
        return 0;
    return s < 0 ? 1 : s;
}

const struct resource_hooks resource_pods = {
    .group = "",
    .plural = "pods",
    .returns_deleted = true,
    .prepare_create = prepare_create,
    .prepare_status = prepare_status,
    .grace_s = grace_s,
};

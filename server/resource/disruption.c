#include "server/resource/disruption.h"

#include "base/data/json.h"
#include "base/kube/selector.h"

#include <string.h>

#define ALLOWED "DisruptionAllowed"

static json_t *condition_of(const json_t *status, const char *type)
{
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) == 0)
            return c;
    }
    return NULL;
}

static bool is_true(const json_t *pod, const char *type)
{
    const json_t *c = condition_of(json_object_get(pod, "status"), type);

    return strcmp(json_str_at(c, "status", ""), "True") == 0;
}

bool disruption_covers(const json_t *budget, const json_t *pod)
{
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;

    return !label_selector_from_json(&s, json_at(budget, "spec.selector"), &e) &&
           label_selector_match(s, json_at(pod, "metadata.labels"));
}

bool disruption_pod_is_ready(const json_t *pod)
{
    return is_true(pod, "Ready");
}

bool disruption_is_target(const json_t *pod)
{
    return is_true(pod, "DisruptionTarget");
}

static const char *reason_of(bool allowed)
{
    return allowed ? "SufficientPods" : "InsufficientPods";
}

void disruption_set_condition_to(json_t *status, bool allowed, const char *reason,
                                 const char *message, const char *now)
{
    const char *word = allowed ? "True" : "False";
    json_t *list = json_object_get(status, "conditions"), *c = condition_of(status, ALLOWED);

    if (!list) {
        list = json_array();
        json_object_set_new(status, "conditions", list);
    }
    if (!c) {
        c = json_pack("{s:s}", "type", ALLOWED);
        json_array_append_new(list, c);
    }
    if (strcmp(json_str_at(c, "status", ""), word) != 0)
        json_object_set_new(c, "lastTransitionTime", json_string(now));
    json_object_set_new(c, "status", json_string(word));
    json_object_set_new(c, "reason", json_string(reason));
    json_object_set_new(c, "message", json_string(message));
    json_object_set_new(c, "observedGeneration",
                        json_integer(json_i64_at(status, "observedGeneration", 0)));
}

void disruption_set_condition(json_t *status, const char *now)
{
    bool allowed = json_i64_at(status, "disruptionsAllowed", 0) > 0;

    disruption_set_condition_to(status, allowed, reason_of(allowed), "", now);
}

bool disruption_condition_is_set(const json_t *status)
{
    bool allowed = json_i64_at(status, "disruptionsAllowed", 0) > 0;
    const json_t *c = condition_of(status, ALLOWED);

    return strcmp(json_str_at(c, "status", ""), allowed ? "True" : "False") == 0 &&
           strcmp(json_str_at(c, "reason", ""), reason_of(allowed)) == 0;
}

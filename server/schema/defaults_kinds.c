#include "server/schema/defaults_kinds.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is(const json_t *v, const char *key, const char *value)
{
    const char *s = json_string_value(json_object_get(v, key));

    return strcmp(s ? s : "", value) == 0;
}

/* Takes value; an absent key gets it, another keeps what it has. */
static void set_absent(json_t *v, const char *key, json_t *value)
{
    if (json_object_get(v, key))
        json_decref(value);
    else
        json_object_set_new(v, key, value);
}

/* ---- apps ---- */

static json_t *rolling(json_t *strategy)
{
    if (!is(strategy, "type", "RollingUpdate"))
        return NULL;
    set_absent(strategy, "rollingUpdate", json_object());
    return json_object_get(strategy, "rollingUpdate");
}

void defaults_deployment_strategy(json_t *v)
{
    json_t *r = rolling(v);

    if (!r)
        return;
    set_absent(r, "maxUnavailable", json_string("25%"));
    set_absent(r, "maxSurge", json_string("25%"));
}

void defaults_daemon_set_strategy(json_t *v)
{
    json_t *r = rolling(v);

    if (!r)
        return;
    set_absent(r, "maxUnavailable", json_integer(1));
    set_absent(r, "maxSurge", json_integer(0));
}

/* The parameters are made up for a strategy that is made up, not for one that was named. */
void defaults_stateful_set_strategy(json_t *v)
{
    json_t *r;

    if (is(v, "type", "")) {
        json_object_set_new(v, "type", json_string("RollingUpdate"));
        set_absent(v, "rollingUpdate", json_object());
    }
    r = json_object_get(v, "rollingUpdate");
    if (is(v, "type", "RollingUpdate") && r)
        set_absent(r, "partition", json_integer(0));
}

void defaults_stateful_set_spec(json_t *v)
{
    set_absent(v, "persistentVolumeClaimRetentionPolicy", json_object());
    json_t *p = json_object_get(v, "persistentVolumeClaimRetentionPolicy");
    set_absent(p, "whenDeleted", json_string("Retain"));
    set_absent(p, "whenScaled", json_string("Retain"));
}

/* ---- batch ---- */

static void job_patterns(json_t *policy)
{
    json_t *rule, *pattern;
    size_t i, k;

    json_array_foreach(json_object_get(policy, "rules"), i, rule)
        json_array_foreach(json_object_get(rule, "onPodConditions"), k, pattern)
            set_absent(pattern, "status", json_string("True"));
}

void defaults_job(json_t *v)
{
    json_t *meta = json_object_get(v, "metadata"), *spec = json_object_get(v, "spec");
    json_t *policy = json_object_get(spec, "podFailurePolicy");
    json_t *labels =
        json_object_get(json_object_get(json_object_get(spec, "template"), "metadata"), "labels");

    if (!spec)
        return;
    if (!json_object_get(spec, "completions") && !json_object_get(spec, "parallelism"))
        json_object_set_new(spec, "completions", json_integer(1));
    set_absent(spec, "parallelism", json_integer(1));
    set_absent(spec, "backoffLimit",
               json_integer(json_object_get(spec, "backoffLimitPerIndex") ? INT32_MAX : 6));
    if (json_object_size(labels) && !json_object_size(json_object_get(meta, "labels")))
        json_object_set_new(meta, "labels", json_deep_copy(labels));
    set_absent(spec, "completionMode", json_string("NonIndexed"));
    set_absent(spec, "suspend", json_false());
    job_patterns(policy);
    set_absent(spec, "podReplacementPolicy",
               json_string(policy ? "Failed" : "TerminatingOrFailed"));
    set_absent(spec, "manualSelector", json_false());
}

/* ---- autoscaling ---- */

void defaults_autoscaler_spec(json_t *v)
{
    if (!json_array_size(json_object_get(v, "metrics")))
        json_object_set_new(v, "metrics",
                            json_pack("[{s:s, s:{s:s, s:{s:s, s:i}}}]", "type", "Resource",
                                      "resource", "name", "cpu", "target", "type", "Utilization",
                                      "averageUtilization", 80));
}

static json_t *scaling_policy(const char *type, int value)
{
    return json_pack("{s:s, s:i, s:i}", "type", type, "value", value, "periodSeconds", 15);
}

static json_t *scaling_rules(json_t *v, const char *key)
{
    set_absent(v, key, json_object());
    json_t *rules = json_object_get(v, key);
    set_absent(rules, "selectPolicy", json_string("Max"));
    return rules;
}

/* pkg/apis/autoscaling/v2/defaults.go: up fast, down slowly; only when a behaviour is named */
void defaults_scaling_behavior(json_t *v)
{
    json_t *up = scaling_rules(v, "scaleUp"), *down = scaling_rules(v, "scaleDown");

    set_absent(up, "stabilizationWindowSeconds", json_integer(0));
    set_absent(up, "policies",
               json_pack("[o, o]", scaling_policy("Pods", 4), scaling_policy("Percent", 100)));
    set_absent(down, "policies", json_pack("[o]", scaling_policy("Percent", 100)));
}

/* ---- others ---- */

void defaults_network_policy_spec(json_t *v)
{
    if (json_array_size(json_object_get(v, "policyTypes")))
        return;
    json_t *types = json_pack("[s]", "Ingress");
    if (json_array_size(json_object_get(v, "egress")))
        json_array_append_new(types, json_string("Egress"));
    json_object_set_new(v, "policyTypes", types);
}

void defaults_rbac_subject(json_t *v)
{
    if (is(v, "kind", "User") || is(v, "kind", "Group"))
        set_absent(v, "apiGroup", json_string("rbac.authorization.k8s.io"));
}

void defaults_level_spec(json_t *v)
{
    if (is(v, "type", "Exempt"))
        set_absent(v, "exempt", json_object());
}

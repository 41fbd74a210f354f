/* apps/v1: pkg/apis/apps/validation/validation.go. */
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

/* ---- what all workloads demand of selector and template ---- */

struct workload {
    const char *empty;    /* why an empty selector is refused */
    const char *deadline; /* why activeDeadlineSeconds is */
    const char *broken;   /* what is said of a selector that does not parse; NULL: nothing */
    bool optional;        /* no selector is not "Required", it only selects nothing */
};

static void check_selector(const struct workload *w, const json_t *spec, const struct field_path *p,
                           struct field_errors *fe)
{
    const json_t *selector = json_object_get(spec, "selector");
    const json_t *meta = json_object_get(json_object_get(spec, "template"), "metadata");
    const json_t *labels = json_object_get(meta, "labels");
    const struct field_path *at = FIELD_AT(p, "selector");
    bool empty = selector && !json_object_size(json_object_get(selector, "matchLabels")) &&
                 !json_array_size(json_object_get(selector, "matchExpressions"));

    if (!selector && !w->optional)
        field_required(fe, at, "");
    if (empty)
        rule_invalid_selector(fe, at, selector, w->empty);
    if (!rule_selector_parses(selector)) {
        if (w->broken)
            rule_invalid_selector(fe, at, selector, w->broken);
    } else if (!rule_selects(selector, labels)) {
        rule_invalid_map(fe, FIELD_AT(FIELD_AT(FIELD_AT(p, "template"), "metadata"), "labels"),
                         labels, "`selector` does not match template `labels`");
    }
}

static void check_template(const struct workload *w, const json_t *spec, const struct field_path *p,
                           struct field_errors *fe)
{
    static const char *const always[] = { "Always", NULL };
    const json_t *pod = json_object_get(json_object_get(spec, "template"), "spec");
    const struct field_path *at = FIELD_AT(FIELD_AT(p, "template"), "spec");

    (void)check_listed(fe, FIELD_AT(at, "restartPolicy"), part_str(pod, "restartPolicy"), always);
    if (rule_has(pod, "activeDeadlineSeconds"))
        field_forbidden(fe, FIELD_AT(at, "activeDeadlineSeconds"), w->deadline);
}

/* The strategy of that kind is none of the words: as Go prints it. */
static void check_strategy_type(const json_t *v, const char *go, const char *const *words,
                                const struct field_path *p, struct field_errors *fe)
{
    const char *type = part_str(v, "type");

    if (text_listed(words, type))
        return;
    field_add(fe, FIELD_NOT_SUPPORTED, p,
              "Unsupported value: apps.%sStrategy{Type:\"%s\", "
              "RollingUpdate:(*apps.RollingUpdate%s)(nil)}: supported values: \"%s\", \"%s\"",
              go, type, strcmp(go, "DaemonSetUpdate") == 0 ? "DaemonSet" : go, words[0], words[1]);
}

/* ---- Deployments and ReplicaSets ---- */

static void rolling_deployment(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *unavailable = json_object_get(v, "maxUnavailable");
    const json_t *surge = json_object_get(v, "maxSurge");
    const struct field_path *at = FIELD_AT(p, "maxUnavailable");

    rule_count_or_percent(unavailable, at, fe);
    rule_count_or_percent(surge, FIELD_AT(p, "maxSurge"), fe);
    if (!rule_count_of(unavailable) && !rule_count_of(surge))
        rule_invalid_count(fe, at, unavailable, "may not be 0 when `maxSurge` is 0");
    rule_percent_max(unavailable, at, fe);
}

void apps_deployment_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const struct workload deployment = {
        .empty = "empty selector is invalid for deployment",
        .deadline = "activeDeadlineSeconds in ReplicaSet is not Supported",
        .broken = "invalid label selector",
    };
    static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
    const json_t *strategy = json_object_get(v, "strategy");
    const json_t *rolling = json_object_get(strategy, "rollingUpdate");
    const json_t *deadline = json_object_get(v, "progressDeadlineSeconds");
    const struct field_path *at = FIELD_AT(FIELD_AT(p, "strategy"), "rollingUpdate");

    check_selector(&deployment, v, p, fe);
    check_template(&deployment, v, p, fe);
    check_strategy_type(strategy, "Deployment", types, FIELD_AT(p, "strategy"), fe);
    if (rolling && part_is(strategy, "type", "Recreate"))
        field_forbidden(fe, at, "may not be specified when strategy `type` is 'Recreate'");
    else if (rolling && part_is(strategy, "type", "RollingUpdate"))
        rolling_deployment(rolling, at, fe);
    if (deadline && json_integer_value(deadline) <= part_int(v, "minReadySeconds"))
        field_invalid_json(fe, FIELD_AT(p, "progressDeadlineSeconds"), deadline,
                           "must be greater than minReadySeconds");
}

void apps_replica_set_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const struct workload replica_set = {
        .empty = "empty selector is invalid for deployment", /* sic */
        .deadline = "activeDeadlineSeconds in ReplicaSet is not Supported",
        .broken = "invalid label selector",
    };

    check_selector(&replica_set, v, p, fe);
    check_template(&replica_set, v, p, fe);
}

#define OF_REPLICAS "cannot be greater than status.replicas"

void apps_deployment_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = {
        "observedGeneration",  "replicas",          "updatedReplicas",
        "readyReplicas",       "availableReplicas", "unavailableReplicas",
        "terminatingReplicas", "collisionCount",    NULL
    };

    rule_non_negatives(v, counts, p, fe);
    rule_at_most(v, "updatedReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "readyReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "readyReplicas", p, "cannot be greater than readyReplicas",
                 fe);
}

void apps_replica_set_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "replicas",
                                          "fullyLabeledReplicas",
                                          "readyReplicas",
                                          "availableReplicas",
                                          "observedGeneration",
                                          "terminatingReplicas",
                                          NULL };

    rule_non_negatives(v, counts, p, fe);
    rule_at_most(v, "fullyLabeledReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "readyReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "readyReplicas", p, "cannot be greater than readyReplicas",
                 fe);
}

/* ---- DaemonSets ---- */

static void rolling_daemon_set(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *unavailable = json_object_get(v, "maxUnavailable");
    const json_t *surge = json_object_get(v, "maxSurge");

    rule_count_or_percent(unavailable, FIELD_AT(p, "maxUnavailable"), fe);
    rule_count_or_percent(surge, FIELD_AT(p, "maxSurge"), fe);
    rule_percent_max(unavailable, FIELD_AT(p, "maxUnavailable"), fe);
    rule_percent_max(surge, FIELD_AT(p, "maxSurge"), fe);
    if (rule_count_of(unavailable) && rule_count_of(surge))
        rule_invalid_count(fe, FIELD_AT(p, "maxSurge"), surge,
                           "may not be set when maxUnavailable is non-zero");
    else if (!rule_count_of(unavailable) && !rule_count_of(surge))
        field_required(fe, FIELD_AT(p, "maxUnavailable"), "cannot be 0 when maxSurge is 0");
}

void apps_daemon_set_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const struct workload daemon_set = {
        .empty = "empty selector is invalid for daemonset",
        .deadline = "activeDeadlineSeconds in DaemonSet is not Supported",
        .optional = true,
    };
    static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
    const json_t *strategy = json_object_get(v, "updateStrategy");
    const json_t *rolling = json_object_get(strategy, "rollingUpdate");

    check_selector(&daemon_set, v, p, fe);
    check_template(&daemon_set, v, p, fe);
    check_strategy_type(strategy, "DaemonSetUpdate", types, FIELD_AT(p, "updateStrategy"), fe);
    if (rolling && part_is(strategy, "type", "RollingUpdate"))
        rolling_daemon_set(rolling, FIELD_AT(FIELD_AT(p, "updateStrategy"), "rollingUpdate"), fe);
}

void apps_daemon_set_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "currentNumberScheduled", "numberMisscheduled",
                                          "desiredNumberScheduled", "numberReady",
                                          "observedGeneration",     "updatedNumberScheduled",
                                          "numberAvailable",        "numberUnavailable",
                                          "collisionCount",         NULL };

    rule_non_negatives(v, counts, p, fe);
}

/* ---- StatefulSets; validate.c leaves their template and claims alone, as upstream does ---- */

static void check_retention(const json_t *policy, const struct field_path *p,
                            struct field_errors *fe)
{
    static const char *const words[] = { "Retain", "Delete", NULL };

    if (!policy)
        return;
    (void)check_listed(fe, FIELD_AT(p, "whenDeleted"), part_str(policy, "whenDeleted"), words);
    (void)check_listed(fe, FIELD_AT(p, "whenScaled"), part_str(policy, "whenScaled"), words);
}

static void check_update_strategy(const json_t *v, const struct field_path *p,
                                  struct field_errors *fe)
{
    const json_t *rolling = json_object_get(v, "rollingUpdate");
    const json_t *unavailable = json_object_get(rolling, "maxUnavailable");
    const struct field_path *at = FIELD_AT(p, "rollingUpdate");

    if (part_is(v, "type", "OnDelete")) {
        if (rolling)
            field_invalid_json(fe, at, rolling, "only allowed for updateStrategy 'RollingUpdate'");
    } else if (!part_is(v, "type", "RollingUpdate")) {
        field_invalid_json(fe, p, v, "must be 'RollingUpdate' or 'OnDelete'");
    } else if (rolling) {
        rule_non_negative(rolling, "partition", at, fe);
        if (unavailable) {
            at = FIELD_AT(at, "maxUnavailable");
            rule_count_or_percent(unavailable, at, fe);
            if (!rule_count_of(unavailable))
                rule_invalid_count(fe, at, unavailable, "cannot be 0");
            rule_percent_max(unavailable, at, fe);
        }
    }
}

void apps_stateful_set_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const struct workload stateful_set = {
        .empty = "empty selector is invalid for statefulset",
        .deadline = "activeDeadlineSeconds in StatefulSet is not Supported",
        .broken = "",
    };
    static const char *const policies[] = { "OrderedReady", "Parallel", NULL };
    const json_t *meta = json_object_get(json_object_get(v, "template"), "metadata");
    const char *policy = part_str(v, "podManagementPolicy");

    if (!text_listed(policies, policy))
        field_invalid(fe, FIELD_AT(p, "podManagementPolicy"), policy,
                      "must be 'OrderedReady' or 'Parallel'");
    check_update_strategy(json_object_get(v, "updateStrategy"), FIELD_AT(p, "updateStrategy"), fe);
    check_retention(json_object_get(v, "persistentVolumeClaimRetentionPolicy"),
                    FIELD_AT(p, "persistentVolumeClaimRetentionPolicy"), fe);
    rule_non_negative(json_object_get(v, "ordinals"), "start", FIELD_AT(p, "ordinals"), fe);
    check_selector(&stateful_set, v, p, fe);
    check_labels(fe, FIELD_AT(FIELD_AT(p, "template"), "labels"), json_object_get(meta, "labels"));
    check_template(&stateful_set, v, p, fe);
}

void apps_stateful_set_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "replicas",          "readyReplicas",
                                          "currentReplicas",   "updatedReplicas",
                                          "availableReplicas", "observedGeneration",
                                          "collisionCount",    NULL };

    rule_non_negatives(v, counts, p, fe);
    rule_at_most(v, "readyReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "currentReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "updatedReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "replicas", p, OF_REPLICAS, fe);
    rule_at_most(v, "availableReplicas", "readyReplicas", p,
                 "cannot be greater than status.readyReplicas", fe);
}

void apps_stateful_set_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const may_change[] = { "replicas",
                                              "ordinals",
                                              "template",
                                              "updateStrategy",
                                              "persistentVolumeClaimRetentionPolicy",
                                              "minReadySeconds" };
    json_auto_t *a = json_copy(json_object_get(v, "spec"));
    json_auto_t *b = json_copy(json_object_get(old, "spec"));

    for (size_t i = 0; i < ARRAY_LEN(may_change); i++) {
        json_object_del(a, may_change[i]);
        json_object_del(b, may_change[i]);
    }
    if (!rule_same(a, b))
        field_forbidden(fe, FIELD_AT(NULL, "spec"),
                        "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                        "'template', 'updateStrategy', "
                        "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                        "forbidden");
}

/* ---- ControllerRevisions ---- */

void apps_controller_revision(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (!rule_has(v, "data"))
        field_required(fe, FIELD_AT(p, "data"), "data is mandatory");
    rule_non_negative(v, "revision", p, fe);
}

void apps_controller_revision_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    json_t *data = json_object_get(v, "data");

    if (data && !json_equal(data, json_object_get(old, "data")))
        field_invalid_json(fe, FIELD_AT(NULL, "data"), data, "field is immutable");
}

/* ---- status updates ---- */

void apps_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *now = json_object_get(v, "status"), *was = json_object_get(old, "status");
    json_auto_t *n = json_integer(part_int(now, "collisionCount"));

    if (rule_has(was, "collisionCount") && json_integer_value(n) < part_int(was, "collisionCount"))
        field_invalid_json(fe, FIELD_AT(FIELD_AT(NULL, "status"), "collisionCount"), n,
                           "cannot be decremented");
}

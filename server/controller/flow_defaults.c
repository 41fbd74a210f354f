#include "server/controller/flow_defaults.h"

#include "base/core/macros.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <string.h>

/* ---- levels ---- */

static const struct level {
    const char *name;
    bool mandatory;
    int shares, lendable_percent;
    int queues, hand, length; /* 0: none, it refuses */
} levels[] = {
    { "exempt", true, 0, 0, 0, 0, 0 },
    { "catch-all", true, 5, 0, 0, 0, 0 },
    { "system", false, 30, 33, 64, 6, 50 },
    { "node-high", false, 40, 25, 64, 6, 50 },
    { "leader-election", false, 10, 0, 16, 4, 50 },
    { "workload-high", false, 40, 50, 128, 6, 50 },
    { "workload-low", false, 100, 90, 128, 6, 50 },
    { "global-default", false, 20, 50, 128, 6, 50 },
};

static json_t *object_of(const char *name, json_t *spec_take)
{
    return json_pack("{s:{s:s, s:{s:s}}, s:o}", "metadata", "name", name, "annotations",
                     FLOW_AUTOUPDATE, "true", "spec", spec_take);
}

static json_t *spec_of_level(const struct level *l)
{
    json_t *queuing, *bound = json_pack("{s:i, s:i}", "nominalConcurrencyShares", l->shares,
                                        "lendablePercent", l->lendable_percent);

    if (strcmp(l->name, "exempt") == 0)
        return json_pack("{s:s, s:o}", "type", "Exempt", "exempt", bound);
    if (l->queues) {
        queuing = json_pack("{s:i, s:i, s:i}", "queues", l->queues, "handSize", l->hand,
                            "queueLengthLimit", l->length);
        json_object_set_new(bound, "limitResponse",
                            json_pack("{s:s, s:o}", "type", "Queue", "queuing", queuing));
    } else {
        json_object_set_new(bound, "limitResponse", json_pack("{s:s}", "type", "Reject"));
    }
    return json_pack("{s:s, s:o}", "type", "Limited", "limited", bound);
}

const char *flow_level_name(size_t i)
{
    return i < ARRAY_LEN(levels) ? levels[i].name : NULL;
}

json_t *flow_level_default(const char *name, bool *mandatory)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (strcmp(levels[i].name, name) != 0)
            continue;
        *mandatory = levels[i].mandatory;
        return object_of(name, spec_of_level(&levels[i]));
    }
    return NULL;
}

/* ---- schemas ---- */

/* Which requests: resources in groups and namespaces, or paths. */
struct rule {
    const char *verbs[4], *groups[2], *resources[3];
    bool cluster_too;
    const char *paths[4];
};

static const struct rule everything[] = {
    { { "*" }, { "*" }, { "*" }, true, { NULL } },
    { { "*" }, { NULL }, { NULL }, false, { "*" } },
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};
static const struct rule health[] = {
    { { "get" }, { NULL }, { NULL }, false, { "/healthz", "/readyz", "/livez" } },
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};
#define LEASES(...)                                                                                \
    {                                                                                              \
        { __VA_ARGS__ }, { "coordination.k8s.io" }, { "leases" }, false,                           \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }
static const struct rule leases[] = {
    LEASES("get", "create", "update"),
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};
static const struct rule endpoints[] = {
    { { "get", "create", "update" }, { "" }, { "endpoints" }, false, { NULL } },
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};
static const struct rule elections[] = {
    { { "get", "create", "update" }, { "" }, { "endpoints", "configmaps" }, false, { NULL } },
    LEASES("get", "create", "update"),
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};
static const struct rule node_health[] = {
    { { "*" }, { "" }, { "nodes", "nodes/status" }, true, { NULL } },
    LEASES("*"),
    { { NULL }, { NULL }, { NULL }, false, { NULL } },
};

/* A subject begins with what it is: user, group, or account of kube-system. */
#define USER    "u"
#define GROUP   "g"
#define ACCOUNT "a"
#define ANYBODY                                                                                    \
    {                                                                                              \
        GROUP "system:unauthenticated", GROUP "system:authenticated"                               \
    }

static const struct schema {
    const char *name, *level;
    bool mandatory;
    int precedence;
    const char *method;
    const char *subjects[4];
    const struct rule *rules; /* the last one has no verbs */
} schemas[] = {
    { "exempt", "exempt", true, 1, NULL, { GROUP "system:masters" }, everything },
    { "probes", "exempt", false, 2, NULL, ANYBODY, health },
    { "system-leader-election",
      "leader-election",
      false,
      100,
      "ByUser",
      { USER "system:kube-controller-manager", USER "system:kube-scheduler", ACCOUNT "*" },
      leases },
    { "endpoint-controller",
      "workload-high",
      false,
      150,
      "ByUser",
      { USER "system:kube-controller-manager", ACCOUNT "endpoint-controller",
        ACCOUNT "endpointslicemirroring-controller" },
      endpoints },
    { "workload-leader-election",
      "leader-election",
      false,
      200,
      "ByUser",
      { ACCOUNT "*" },
      elections },
    { "system-node-high",
      "node-high",
      false,
      400,
      "ByUser",
      { GROUP "system:nodes" },
      node_health },
    { "system-nodes", "system", false, 500, "ByUser", { GROUP "system:nodes" }, everything },
    { "kube-controller-manager",
      "workload-high",
      false,
      800,
      "ByNamespace",
      { USER "system:kube-controller-manager" },
      everything },
    { "kube-scheduler",
      "workload-high",
      false,
      800,
      "ByNamespace",
      { USER "system:kube-scheduler" },
      everything },
    { "kube-system-service-accounts",
      "workload-high",
      false,
      900,
      "ByNamespace",
      { ACCOUNT "*" },
      everything },
    { "service-accounts",
      "workload-low",
      false,
      9000,
      "ByUser",
      { GROUP "system:serviceaccounts" },
      everything },
    { "global-default", "global-default", false, 9900, "ByUser", ANYBODY, everything },
    { "catch-all", "catch-all", true, 10000, "ByUser", ANYBODY, everything },
};

static json_t *texts(const char *const *v, size_t max)
{
    json_t *list = json_array();

    for (size_t i = 0; i < max && v[i]; i++)
        json_array_append_new(list, json_string(v[i]));
    return list;
}

static json_t *subject_of(const char *s)
{
    const char *name = s + 1;

    if (*s == *USER)
        return json_pack("{s:s, s:{s:s}}", "kind", "User", "user", "name", name);
    if (*s == *GROUP)
        return json_pack("{s:s, s:{s:s}}", "kind", "Group", "group", "name", name);
    return json_pack("{s:s, s:{s:s, s:s}}", "kind", "ServiceAccount", "serviceAccount", "namespace",
                     "kube-system", "name", name);
}

static json_t *rules_of(const struct schema *s)
{
    json_t *subjects = json_array(), *out = json_pack("{s:o}", "subjects", subjects);

    for (size_t i = 0; i < ARRAY_LEN(s->subjects) && s->subjects[i]; i++)
        json_array_append_new(subjects, subject_of(s->subjects[i]));
    for (const struct rule *r = s->rules; r->verbs[0]; r++) {
        const char *key = r->paths[0] ? "nonResourceRules" : "resourceRules";
        json_t *rule = json_pack("{s:o}", "verbs", texts(r->verbs, ARRAY_LEN(r->verbs)));

        if (r->paths[0]) {
            json_object_set_new(rule, "nonResourceURLs", texts(r->paths, ARRAY_LEN(r->paths)));
        } else {
            json_object_set_new(rule, "apiGroups", texts(r->groups, ARRAY_LEN(r->groups)));
            json_object_set_new(rule, "resources", texts(r->resources, ARRAY_LEN(r->resources)));
            json_object_set_new(rule, "namespaces", json_pack("[s]", "*"));
            if (r->cluster_too)
                json_object_set_new(rule, "clusterScope", json_true());
        }
        if (!json_object_get(out, key))
            json_object_set_new(out, key, json_array());
        json_array_append_new(json_object_get(out, key), rule);
    }
    return out;
}

const char *flow_schema_name(size_t i)
{
    return i < ARRAY_LEN(schemas) ? schemas[i].name : NULL;
}

json_t *flow_schema_default(const char *name, bool *mandatory)
{
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        const struct schema *s = &schemas[i];

        if (strcmp(s->name, name) != 0)
            continue;
        json_t *spec =
            json_pack("{s:{s:s}, s:i, s:[o]}", "priorityLevelConfiguration", "name", s->level,
                      "matchingPrecedence", s->precedence, "rules", rules_of(s));
        if (s->method)
            json_object_set_new(spec, "distinguisherMethod", json_pack("{s:s}", "type", s->method));
        *mandatory = s->mandatory;
        return object_of(name, spec);
    }
    return NULL;
}

/* ---- keeping them ---- */

/* Go's strconv.ParseBool. False: it is none. */
static bool read_bool(bool *out, const char *s)
{
    static const char *const words[2][6] = {
        { "0", "f", "F", "FALSE", "false", "False" },
        { "1", "t", "T", "TRUE", "true", "True" },
    };

    for (int value = 0; s && value < 2; value++) {
        for (size_t i = 0; i < ARRAY_LEN(words[value]); i++) {
            if (strcmp(s, words[value][i]) != 0)
                continue;
            *out = value;
            return true;
        }
    }
    return false;
}

json_t *flow_repaired(const json_t *current, const json_t *wanted, bool mandatory)
{
    const json_t *annotations = json_at(current, "metadata.annotations");
    const json_t *spec = json_object_get(wanted, "spec");
    bool said = false,
         is_said =
             read_bool(&said, json_string_value(json_object_get(annotations, FLOW_AUTOUPDATE)));
    bool ours = mandatory || (is_said ? said : meta_generation(current) == 1);
    bool same = !ours || json_equal(json_object_get(current, "spec"), spec);

    if (same && is_said && said == ours)
        return NULL;
    json_t *out = json_deep_copy(current);
    json_t *meta = json_object_get(out, "metadata");
    if (!json_object_get(meta, "annotations"))
        json_object_set_new(meta, "annotations", json_object());
    json_object_set_new(json_object_get(meta, "annotations"), FLOW_AUTOUPDATE,
                        json_string(ours ? "true" : "false"));
    if (!same)
        json_object_set_new(out, "spec", json_deep_copy(spec));
    return out;
}

json_t *flow_dangling(const json_t *schema, bool level_is_there, const char *now)
{
    const char *level = json_str_at(schema, "spec.priorityLevelConfiguration.name", "");
    const char *status = level_is_there ? "False" : "True";
    json_t *c = json_pack("{s:s, s:s, s:s, s:s}", "type", "Dangling", "status", status, "reason",
                          level_is_there ? "Found" : "NotFound", "lastTransitionTime", now);
    const json_t *had = NULL;
    json_t *v;
    size_t i;

    json_object_set_new(
        c, "message",
        json_sprintf("This FlowSchema references the PriorityLevelConfiguration "
                     "object named \"%s\" %s",
                     level, level_is_there ? "and it exists" : "but there is no such object"));
    json_array_foreach(json_at(schema, "status.conditions"), i, v)
    {
        if (strcmp(json_str_at(v, "type", ""), "Dangling") == 0)
            had = v;
    }
    if (had && strcmp(json_str_at(had, "status", ""), status) == 0)
        json_object_set(c, "lastTransitionTime", json_object_get(had, "lastTransitionTime"));
    if (!had || !json_equal(had, c))
        return c;
    json_decref(c);
    return NULL;
}

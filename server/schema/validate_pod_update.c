/* What may change in a pod that exists: its spec, its status, its ephemeral containers. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_pod.h"
#include "server/schema/validate_resources.h"

#define MIRROR   "kubernetes.io/config.mirror"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

/* ---- annotations: ValidatePodSpecificAnnotationUpdates ---- */

static void check_fixed(struct field_errors *fe, const struct field_path *p, const char *key,
                        bool added)
{
    if (text_starts(key, APPARMOR))
        field_forbidden(fe, FIELD_KEY(p, key),
                        added ? "may not add AppArmor annotations"
                              : "may not remove or update AppArmor annotations");
    if (strcmp(key, MIRROR) == 0)
        field_forbidden(fe, FIELD_KEY(p, key),
                        added ? "may not add mirror pod annotation"
                              : "may not remove or update mirror pod annotation");
}

static void check_annotation_changes(struct field_errors *fe, const json_t *v, const json_t *old)
{
    const struct field_path *meta = FIELD_AT(NULL, "metadata");
    const struct field_path *p = FIELD_AT(meta, "annotations");
    json_t *now = part(part(v, "metadata"), "annotations"), *item;
    json_t *before = part(part(old, "metadata"), "annotations");
    const char *key;

    json_object_foreach(before, key, item) if (!part_same(part(now, key), item))
        check_fixed(fe, p, key, false);
    json_object_foreach(now, key, item) if (!part(before, key)) check_fixed(fe, p, key, true);
}

/* ---- the spec ---- */

/* Fields whose changes have rules of their own; the rest is compared as a whole. */
static json_t *fixed_part(const json_t *spec, bool gated)
{
    static const char *const lists[] = { "containers", "initContainers" };
    static const char *const free_keys[] = { "activeDeadlineSeconds", "tolerations",
                                             "schedulingGates" };
    json_t *copy = json_deep_copy(spec), *c;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(part(copy, lists[k]), i, c) json_object_del(c, "image");
    for (size_t k = 0; k < ARRAY_LEN(free_keys); k++)
        json_object_del(copy, free_keys[k]);
    if (!gated)
        return copy;
    json_object_del(copy, "nodeSelector");
    json_object_del(part(copy, "affinity"), "nodeAffinity");
    if (!json_object_size(part(copy, "affinity")))
        json_object_del(copy, "affinity");
    return copy;
}

/* False: nothing else can be compared. */
static bool check_same_containers(struct field_errors *fe, const struct field_path *p,
                                  const json_t *now, const json_t *before)
{
    if (json_array_size(now) == json_array_size(before))
        return true;
    field_forbidden(fe, p, "pod updates may not add or remove containers");
    return false;
}

/* False: as above. */
static bool check_deadline(struct field_errors *fe, const struct field_path *p, const json_t *now,
                           const json_t *before)
{
    if (now) {
        if (!check_range(fe, p, json_integer_value(now), 0, INT32_MAX))
            return false;
        if (before && json_integer_value(before) < json_integer_value(now)) {
            field_invalid_json(fe, p, now, "must be less than or equal to previous value");
            return false;
        }
    } else if (before) {
        field_invalid_json(fe, p, json_null(),
                           "must not update from a positive integer to nil value");
    }
    return true;
}

/* Equal but for how long it lasts. */
static bool is_toleration(const json_t *a, const json_t *b)
{
    json_auto_t *x = json_copy((json_t *)a), *y = json_copy((json_t *)b);

    json_object_del(x, "tolerationSeconds");
    json_object_del(y, "tolerationSeconds");
    return json_equal(x, y);
}

static void check_tolerations_kept(struct field_errors *fe, const struct field_path *p,
                                   const json_t *now, const json_t *before)
{
    json_t *old, *v;
    size_t i, k;

    json_array_foreach(before, i, old)
    {
        bool found = false;
        json_array_foreach(now, k, v) found |= is_toleration(old, v);
        if (found)
            continue;
        field_forbidden(fe, p,
                        "existing toleration can not be modified except its tolerationSeconds");
        return;
    }
}

static void check_gates_kept(struct field_errors *fe, const struct field_path *p, const json_t *now,
                             const json_t *before)
{
    AUTO(map) struct map *old = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(before, i, v) name_set_add(old, part_str(v, "name"));
    json_array_foreach(now, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(v, "name");
        if (name_set_has(old, name))
            continue;
        auto_free char *why =
            mem_printf("only deletion is allowed, but found new scheduling gate '%s'", name);
        field_forbidden(fe, FIELD_AT(at, "name"), why);
    }
}

/* ---- what gates still allow: stricter selectors ---- */

static void check_selector_kept(struct field_errors *fe, const struct field_path *p, json_t *now,
                                json_t *before)
{
    const char *key;
    json_t *v;

    json_object_foreach(before, key, v)
    {
        if (part_same(part(now, key), v))
            continue;
        json_auto_t *none = json_object();
        field_invalid_json(fe, p, now ? now : none,
                           "only additions to spec.nodeSelector are allowed (no mutations or "
                           "deletions)");
        return;
    }
}

static bool begins_with(const json_t *now, const json_t *before)
{
    json_t *v;
    size_t i;

    json_array_foreach(before, i, v) if (!part_same(json_array_get(now, i), v)) return false;
    return true;
}

static bool only_adds(const json_t *now, const json_t *before)
{
    static const char *const keys[] = { "matchExpressions", "matchFields" };
    bool empty = !json_array_size(part(before, keys[0])) && !json_array_size(part(before, keys[1]));

    if (empty)
        return !json_array_size(part(now, keys[0])) && !json_array_size(part(now, keys[1]));
    return begins_with(part(now, keys[0]), part(before, keys[0])) &&
           begins_with(part(now, keys[1]), part(before, keys[1]));
}

static const json_t *required_terms(const json_t *spec)
{
    return part(part(part(part(spec, "affinity"), "nodeAffinity"),
                     "requiredDuringSchedulingIgnoredDuringExecution"),
                "nodeSelectorTerms");
}

static void check_affinity_kept(struct field_errors *fe, const struct field_path *p,
                                const json_t *spec, const json_t *old_spec)
{
    const json_t *now = required_terms(spec), *before = required_terms(old_spec);
    const struct field_path *affinity = FIELD_AT(p, "affinity");
    const struct field_path *node = FIELD_AT(affinity, "nodeAffinity");
    const struct field_path *required =
        FIELD_AT(node, "requiredDuringSchedulingIgnoredDuringExecution");
    const struct field_path *at = FIELD_AT(required, "nodeSelectorTerms");
    json_auto_t *none = json_array();
    json_t *v;
    size_t i;

    if (json_array_size(before) && json_array_size(before) != json_array_size(now)) {
        field_invalid_json(fe, at, now ? now : none,
                           "no additions/deletions to non-empty NodeSelectorTerms list are "
                           "allowed");
        return;
    }
    json_array_foreach(before, i, v)
    {
        if (!only_adds(json_array_get(now, i), v))
            field_invalid_json(fe, FIELD_INDEX(at, i), json_array_get(now, i),
                               "only additions are allowed (no mutations or deletions)");
    }
}

/* ValidatePodUpdate. Upstream shows a diff after the sentence, which differs from run to run. */
void validate_pod_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    json_t *spec = part(v, "spec"), *before = part(old, "spec");
    bool gated = json_array_size(part(before, "schedulingGates"));

    check_annotation_changes(fe, v, old);
    if (!check_same_containers(fe, FIELD_AT(p, "containers"), part(spec, "containers"),
                               part(before, "containers")) ||
        !check_same_containers(fe, FIELD_AT(p, "initContainers"), part(spec, "initContainers"),
                               part(before, "initContainers")) ||
        !check_deadline(fe, FIELD_AT(p, "activeDeadlineSeconds"),
                        part(spec, "activeDeadlineSeconds"), part(before, "activeDeadlineSeconds")))
        return;
    check_tolerations_kept(fe, FIELD_AT(p, "tolerations"), part(spec, "tolerations"),
                           part(before, "tolerations"));
    check_gates_kept(fe, FIELD_AT(p, "schedulingGates"), part(spec, "schedulingGates"),
                     part(before, "schedulingGates"));
    if (gated) {
        check_selector_kept(fe, FIELD_AT(p, "nodeSelector"), part(spec, "nodeSelector"),
                            part(before, "nodeSelector"));
        check_affinity_kept(fe, p, spec, before);
    }
    json_auto_t *a = fixed_part(spec, gated), *b = fixed_part(before, gated);
    if (part_int(before, "terminationGracePeriodSeconds") < 0 &&
        part_int(spec, "terminationGracePeriodSeconds") == 1)
        json_object_set(a, "terminationGracePeriodSeconds",
                        part(before, "terminationGracePeriodSeconds"));
    if (!part_same(a, b))
        field_forbidden(
            fe, p,
            "pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
            "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
            "if it was previously negative)");
}

/* ---- the subresource ephemeralcontainers ---- */

static const json_t *find_named(const json_t *list, const char *name)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v) if (part_is(v, "name", name)) return v;
    return NULL;
}

void validate_pod_ephemeral(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *spec = FIELD_AT(NULL, "spec");
    const struct field_path *p = FIELD_AT(spec, "ephemeralContainers");
    const json_t *now = part(part(v, "spec"), "ephemeralContainers");
    json_t *before;
    size_t i;

    if (part(part(part(old, "metadata"), "annotations"), MIRROR)) {
        field_forbidden(fe, NULL, "static pods do not support ephemeral containers");
        return;
    }
    check_annotation_changes(fe, v, old);
    json_array_foreach(part(part(old, "spec"), "ephemeralContainers"), i, before)
    {
        const json_t *c = find_named(now, part_str(before, "name"));
        if (c && json_equal(c, before))
            continue;
        auto_free char *why = mem_printf("existing ephemeral containers \"%s\" may not be %s\n",
                                         part_str(before, "name"), c ? "changed" : "removed");
        field_forbidden(fe, p, why);
    }
}

/* ---- the status ---- */

/* A container that has ended stays so, unless the pod's policy starts it again. */
static void check_ended(struct field_errors *fe, const struct field_path *status,
                        const char *statuses, const json_t *v, const json_t *old,
                        const char *policy)
{
    const struct field_path *p = FIELD_AT(status, statuses);
    const json_t *now = part(part(v, "status"), statuses);
    const json_t *init = part(part(old, "spec"), "initContainers");
    json_t *before;
    size_t i;

    if (strcmp(policy, "Always") == 0)
        return;
    json_array_foreach(part(part(old, "status"), statuses), i, before)
    {
        const char *name = part_str(before, "name");
        const struct field_path *at = FIELD_INDEX(p, i);
        const json_t *ended = part(part(before, "state"), "terminated");
        const json_t *s = find_named(now, name);
        bool restarts = strcmp(statuses, "initContainerStatuses") == 0 &&
                        part_is(find_named(init, name), "restartPolicy", "Always");
        if (!ended || !s || restarts ||
            (part_int(ended, "exitCode") != 0 && strcmp(policy, "OnFailure") == 0))
            continue;
        if (!part(part(s, "state"), "terminated"))
            field_forbidden(fe, FIELD_AT(at, "state"),
                            "may not be transitioned to non-terminated state");
    }
}

static void check_ips(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    AUTO(map) struct map *seen = map_new();
    size_t i, n_six = 0, n = json_array_size(list);
    json_t *v;

    json_array_foreach(list, i, v)
    {
        const char *ip = part_str(v, "ip");
        (void)check_ip(fe, FIELD_INDEX(p, i), ip);
        n_six += ip_is_v6(ip);
        if (name_set_add(seen, ip))
            continue;
        auto_free char *text = json_text(v);
        field_add(fe, FIELD_DUPLICATE, FIELD_INDEX(p, i), "Duplicate value: %s", text);
    }
    if (n > 1 && (n > 2 || n_six != 1))
        field_invalid_json(fe, p, list, "may specify no more than one IP for each IP family");
}

static void check_conditions(struct field_errors *fe, const json_t *conditions)
{
    static const char *const known[] = { "PodScheduled", "Ready", "Initialized", NULL };
    const struct field_path *meta = FIELD_AT(NULL, "metadata"); /* upstream's path */
    const struct field_path *p = FIELD_AT(meta, "conditions");
    json_t *v;
    size_t i;

    json_array_foreach(conditions, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        if (!text_listed(known, part_str(v, "type")))
            (void)check_qualified(fe, FIELD_AT(at, "Type"), part_str(v, "type"));
    }
}

static void check_claim_statuses(struct field_errors *fe, const struct field_path *p,
                                 const json_t *statuses, const json_t *claims)
{
    AUTO(map) struct map *names = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(statuses, i, v)
    {
        const struct field_path *one = FIELD_INDEX(p, i);
        const struct field_path *at = FIELD_AT(one, "name");
        const char *name = part_str(v, "name");
        if (!find_named(claims, name))
            field_invalid(fe, at, name, "must match the name of an entry in `spec.resourceClaims`");
        if (!name_set_add(names, name))
            field_duplicate(fe, at, name);
        if (part(v, "resourceClaimName"))
            (void)check_subdomain(fe, at, part_str(v, "resourceClaimName"));
    }
}

/* ValidatePodStatusUpdate */
void validate_pod_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "status");
    const json_t *now = part(v, "status"), *before = part(old, "status"), *spec = part(old, "spec");
    const char *policy = part_str(spec, "restartPolicy"),
               *node = part_str(now, "nominatedNodeName");
    const json_t *host_ips = part(now, "hostIPs");
    const char *host_ip = part_str(json_array_get(host_ips, 0), "ip");
    const struct field_path *hosts = FIELD_AT(p, "hostIPs");

    check_annotation_changes(fe, v, old);
    check_conditions(fe, part(now, "conditions"));
    if (*node && !part_is(before, "nominatedNodeName", node))
        (void)check_subdomain(fe, FIELD_AT(p, "nominatedNodeName"), node);
    if (part(before, "qosClass") && !part_same(part(now, "qosClass"), part(before, "qosClass")))
        field_invalid(fe, FIELD_AT(p, "qosClass"), part_str(now, "qosClass"), "field is immutable");
    check_ended(fe, p, "containerStatuses", v, old, policy);
    check_ended(fe, p, "initContainerStatuses", v, old, policy);
    check_ended(fe, p, "ephemeralContainerStatuses", v, old, "Never");
    check_claim_statuses(fe, FIELD_AT(p, "resourceClaimStatuses"),
                         part(now, "resourceClaimStatuses"), part(spec, "resourceClaims"));
    check_ips(fe, FIELD_AT(p, "podIPs"), part(now, "podIPs"));
    if (json_array_size(host_ips) && !part_is(now, "hostIP", host_ip))
        field_invalid(fe, FIELD_AT(FIELD_INDEX(hosts, 0), "ip"), host_ip,
                      "must be equal to `hostIP`");
    check_ips(fe, hosts, host_ips);
}

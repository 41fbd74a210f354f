#include "server/schema/validate_hooks.h"

#include "server/schema/validate_claim.h"
#include "server/schema/validate_core.h"
#include "server/schema/validate_data.h"
#include "server/schema/validate_kinds.h"
#include "server/schema/validate_pod.h"
#include "server/schema/validate_quota.h"
#include "server/schema/validate_service.h"

static const struct {
    const char *group_version, *type;
    validate_hook_fn hook;
} hooks[] = {
    { "core/v1", "ConfigMap", validate_config_map },
    { "core/v1", "EndpointSubset", validate_endpoint_subset },
    { "core/v1", "Event", validate_event },
    { "core/v1", "LimitRange", validate_limit_range },
    { "core/v1", "Namespace", validate_namespace },
    { "core/v1", "Node", validate_node },
    { "core/v1", "PersistentVolume", validate_volume_object },
    { "core/v1", "PersistentVolumeClaim", validate_claim },
    { "core/v1", "Pod", validate_pod },
    { "core/v1", "PodSpec", validate_pod_spec },
    { "core/v1", "PodTemplateSpec", validate_pod_template },
    { "core/v1", "ReplicationController", validate_replication_controller },
    { "core/v1", "ResourceQuota", validate_quota },
    { "core/v1", "Secret", validate_secret },
    { "core/v1", "Service", validate_service },
    { "core/v1", "Volume", validate_volume },
    { "meta/v1", "LabelSelector", validate_label_selector },
    { "meta/v1", "LabelSelectorRequirement", validate_label_requirement },
};

static const struct {
    const char *group, *kind;
    enum validate_when when;
    validate_kind_fn hook;
} kind_hooks[] = {
    { "", "ConfigMap", VALIDATE_UPDATE, validate_config_map_update },
    { "", "Namespace", VALIDATE_STATUS, validate_namespace_status },
    { "", "Node", VALIDATE_STATUS, validate_node_update },
    { "", "Node", VALIDATE_UPDATE, validate_node_update },
    { "", "PersistentVolume", VALIDATE_UPDATE, validate_volume_update },
    { "", "PersistentVolumeClaim", VALIDATE_STATUS, validate_claim_status },
    { "", "PersistentVolumeClaim", VALIDATE_UPDATE, validate_claim_update },
    { "", "Pod", VALIDATE_CREATE, validate_pod_create },
    { "", "Pod", VALIDATE_EPHEMERAL, validate_pod_ephemeral },
    { "", "Pod", VALIDATE_STATUS, validate_pod_status },
    { "", "Pod", VALIDATE_UPDATE, validate_pod_update },
    { "", "ReplicationController", VALIDATE_STATUS, validate_replication_status },
    { "", "ResourceQuota", VALIDATE_STATUS, validate_quota_status },
    { "", "ResourceQuota", VALIDATE_UPDATE, validate_quota_update },
    { "", "Secret", VALIDATE_UPDATE, validate_secret_update },
    { "", "Service", VALIDATE_STATUS, validate_service_status },
    { "", "Service", VALIDATE_UPDATE, validate_service_update },
};

/* Enums of the core group whose errors list their values in another order than the alphabet's, or
 * fewer of them than the tables, which know later releases too. An empty list: a hook looks. */
#define VALUES(...) ((const char *const[]){ __VA_ARGS__, NULL })
static const struct {
    const char *type;
    const char *const *values;
} orders[] = {
    { "ClaimResourceStatus", NULL },
    { "DNSPolicy", VALUES("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None") },
    { "IPFamily", NULL },
    { "MountPropagationMode", NULL },
    { "NodeSelectorOperator", NULL },
    { "PersistentVolumeAccessMode", NULL },
    { "PreemptionPolicy", VALUES("PreemptLowerPriority", "Never") },
    { "ResourceQuotaScope", NULL },
    { "RestartPolicy", VALUES("Always", "OnFailure", "Never") },
    { "ScopeSelectorOperator", NULL },
    { "TaintEffect", NULL },
    { "TerminationMessagePolicy", VALUES("File", "FallbackToLogsOnError") },
    { "TolerationOperator", VALUES("Equal", "Exists") },
};

validate_hook_fn validate_hook(const struct schema_type *t)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (strcmp(hooks[i].type, t->name) == 0 &&
            strcmp(hooks[i].group_version, t->group_version) == 0)
            return hooks[i].hook;
    return validate_kinds_hook(t);
}

validate_kind_fn validate_kind_hook(const struct schema_kind *k, enum validate_when when)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_hooks); i++)
        if (kind_hooks[i].when == when && strcmp(kind_hooks[i].kind, k->kind) == 0 &&
            strcmp(kind_hooks[i].group, k->group) == 0)
            return kind_hooks[i].hook;
    return validate_kinds_kind_hook(k, when);
}

const char *const *validate_variants(const struct schema_type *t)
{
    if (!t->variants || strcmp(t->group_version, "core/v1") != 0)
        return t->variants;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        if (strcmp(orders[i].type, t->name) == 0)
            return orders[i].values;
    return t->variants;
}

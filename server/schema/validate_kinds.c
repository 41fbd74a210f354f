#include "server/schema/validate_kinds.h"

#include <pthread.h>

static const struct {
    const char *group_version, *type;
    validate_hook_fn hook;
} hooks[] = {
    { "admissionregistration.k8s.io/v1", "MatchResources", admission_match_resources },
    { "admissionregistration.k8s.io/v1", "MutatingWebhook", admission_webhook },
    { "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", admission_webhooks },
    { "admissionregistration.k8s.io/v1", "NamedRuleWithOperations", admission_rule },
    { "admissionregistration.k8s.io/v1", "RuleWithOperations", admission_rule },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", admission_policy },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBindingSpec",
      admission_binding_spec },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyStatus",
      admission_policy_status },
    { "admissionregistration.k8s.io/v1", "ValidatingWebhook", admission_webhook },
    { "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", admission_webhooks },
    { "apiregistration.k8s.io/v1", "APIService", apiregistration_service },
    { "apiregistration.k8s.io/v1", "APIServiceStatus", apiregistration_status },
    { "apps/v1", "ControllerRevision", apps_controller_revision },
    { "apps/v1", "DaemonSetSpec", apps_daemon_set_spec },
    { "apps/v1", "DaemonSetStatus", apps_daemon_set_status },
    { "apps/v1", "DeploymentSpec", apps_deployment_spec },
    { "apps/v1", "DeploymentStatus", apps_deployment_status },
    { "apps/v1", "ReplicaSetSpec", apps_replica_set_spec },
    { "apps/v1", "ReplicaSetStatus", apps_replica_set_status },
    { "apps/v1", "StatefulSetSpec", apps_stateful_set_spec },
    { "apps/v1", "StatefulSetStatus", apps_stateful_set_status },
    { "autoscaling/v1", "CrossVersionObjectReference", autoscaling_reference },
    { "autoscaling/v1", "HorizontalPodAutoscalerSpec", autoscaling_spec },
    { "autoscaling/v1", "HorizontalPodAutoscalerStatus", autoscaling_status },
    { "autoscaling/v2", "ContainerResourceMetricSource", autoscaling_container_source },
    { "autoscaling/v2", "CrossVersionObjectReference", autoscaling_reference },
    { "autoscaling/v2", "ExternalMetricSource", autoscaling_external_source },
    { "autoscaling/v2", "HPAScalingPolicy", autoscaling_scaling_policy },
    { "autoscaling/v2", "HPAScalingRules", autoscaling_scaling_rules },
    { "autoscaling/v2", "HorizontalPodAutoscalerSpec", autoscaling_spec },
    { "autoscaling/v2", "HorizontalPodAutoscalerStatus", autoscaling_status },
    { "autoscaling/v2", "MetricIdentifier", autoscaling_identifier },
    { "autoscaling/v2", "MetricSpec", autoscaling_metric },
    { "autoscaling/v2", "MetricTarget", autoscaling_target },
    { "autoscaling/v2", "ObjectMetricSource", autoscaling_object_source },
    { "autoscaling/v2", "PodsMetricSource", autoscaling_pods_source },
    { "autoscaling/v2", "ResourceMetricSource", autoscaling_resource_source },
    { "batch/v1", "CronJobSpec", batch_cron_job_spec },
    { "batch/v1", "Job", batch_job },
    { "batch/v1", "JobSpec", batch_job_spec },
    { "batch/v1", "JobStatus", batch_job_status },
    { "batch/v1", "JobTemplateSpec", batch_job_template_spec },
    { "certificates.k8s.io/v1", "CertificateSigningRequestSpec", certificates_request_spec },
    { "certificates.k8s.io/v1", "CertificateSigningRequestStatus", certificates_request_status },
    { "coordination.k8s.io/v1", "LeaseSpec", coordination_lease_spec },
    { "discovery.k8s.io/v1", "EndpointSlice", discovery_slice },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema", flowcontrol_schema },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchemaStatus", flowcontrol_status },
    { "flowcontrol.apiserver.k8s.io/v1", "NonResourcePolicyRule", flowcontrol_non_resource_rule },
    { "flowcontrol.apiserver.k8s.io/v1", "PolicyRulesWithSubjects", flowcontrol_rules },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", flowcontrol_level },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfigurationStatus", flowcontrol_status },
    { "flowcontrol.apiserver.k8s.io/v1", "ResourcePolicyRule", flowcontrol_resource_rule },
    { "flowcontrol.apiserver.k8s.io/v1", "Subject", flowcontrol_subject },
    { "networking.k8s.io/v1", "HTTPIngressPath", networking_ingress_path },
    { "networking.k8s.io/v1", "HTTPIngressRuleValue", networking_ingress_paths },
    { "networking.k8s.io/v1", "IPBlock", networking_ip_block },
    { "networking.k8s.io/v1", "IngressBackend", networking_ingress_backend },
    { "networking.k8s.io/v1", "IngressClassParametersReference", networking_class_parameters },
    { "networking.k8s.io/v1", "IngressClassSpec", networking_class_spec },
    { "networking.k8s.io/v1", "IngressLoadBalancerIngress", networking_ingress_address },
    { "networking.k8s.io/v1", "IngressRule", networking_ingress_rule },
    { "networking.k8s.io/v1", "IngressSpec", networking_ingress_spec },
    { "networking.k8s.io/v1", "IngressTLS", networking_ingress_tls },
    { "networking.k8s.io/v1", "NetworkPolicyPeer", networking_policy_peer },
    { "networking.k8s.io/v1", "NetworkPolicyPort", networking_policy_port },
    { "networking.k8s.io/v1", "NetworkPolicySpec", networking_policy_spec },
    { "node.k8s.io/v1", "RuntimeClass", node_runtime_class },
    { "policy/v1", "PodDisruptionBudgetSpec", policy_budget_spec },
    { "policy/v1", "PodDisruptionBudgetStatus", policy_budget_status },
    { "rbac.authorization.k8s.io/v1", "ClusterRole", rbac_cluster_role },
    { "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", rbac_cluster_role_binding },
    { "rbac.authorization.k8s.io/v1", "Role", rbac_role },
    { "rbac.authorization.k8s.io/v1", "RoleBinding", rbac_role_binding },
    { "storage.k8s.io/v1", "CSIDriverSpec", storage_csi_driver_spec },
    { "storage.k8s.io/v1", "CSINodeSpec", storage_csi_node_spec },
    { "storage.k8s.io/v1", "CSIStorageCapacity", storage_csi_capacity },
    { "storage.k8s.io/v1", "StorageClass", storage_class },
    { "storage.k8s.io/v1", "VolumeAttachmentSpec", storage_attachment_spec },
    { "storage.k8s.io/v1", "VolumeAttachmentStatus", storage_attachment_status },
};

static const struct {
    const char *group, *kind;
    enum validate_when when;
    validate_kind_fn hook;
} kind_hooks[] = {
    { "apps", "ControllerRevision", VALIDATE_UPDATE, apps_controller_revision_update },
    { "apps", "DaemonSet", VALIDATE_STATUS, apps_status },
    { "apps", "Deployment", VALIDATE_STATUS, apps_status },
    { "apps", "StatefulSet", VALIDATE_STATUS, apps_status },
    { "apps", "StatefulSet", VALIDATE_UPDATE, apps_stateful_set_update },
    { "batch", "CronJob", VALIDATE_CREATE, batch_cron_job_create },
    { "batch", "CronJob", VALIDATE_UPDATE, batch_cron_job_update },
    { "batch", "Job", VALIDATE_STATUS, batch_job_status_update },
    { "batch", "Job", VALIDATE_UPDATE, batch_job_update },
    { "certificates.k8s.io", "CertificateSigningRequest", VALIDATE_APPROVAL,
      certificates_approval },
    { "certificates.k8s.io", "CertificateSigningRequest", VALIDATE_STATUS, certificates_status },
    { "certificates.k8s.io", "CertificateSigningRequest", VALIDATE_UPDATE, certificates_update },
    { "discovery.k8s.io", "EndpointSlice", VALIDATE_CREATE, discovery_slice_create },
    { "events.k8s.io", "Event", VALIDATE_CREATE, events_create },
    { "events.k8s.io", "Event", VALIDATE_UPDATE, events_update },
    { "networking.k8s.io", "Ingress", VALIDATE_CREATE, networking_ingress_create },
    { "rbac.authorization.k8s.io", "ClusterRoleBinding", VALIDATE_UPDATE, rbac_binding_update },
    { "rbac.authorization.k8s.io", "RoleBinding", VALIDATE_UPDATE, rbac_binding_update },
    { "scheduling.k8s.io", "PriorityClass", VALIDATE_CREATE, scheduling_class_create },
    { "scheduling.k8s.io", "PriorityClass", VALIDATE_UPDATE, scheduling_class_update },
    { "storage.k8s.io", "CSIDriver", VALIDATE_UPDATE, storage_csi_driver_update },
    { "storage.k8s.io", "CSINode", VALIDATE_UPDATE, storage_csi_node_update },
    { "storage.k8s.io", "StorageClass", VALIDATE_UPDATE, storage_class_update },
    { "storage.k8s.io", "VolumeAttachment", VALIDATE_CREATE, storage_attachment_create },
    { "storage.k8s.io", "VolumeAttachment", VALIDATE_UPDATE, storage_attachment_update },
};

/* The rows by the hash of their type: every struct of every write asks. */
static uint16_t first_row[256], next_row[ARRAY_LEN(hooks)]; /* 1 + row; 0: none */
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

static uint8_t hash_of(const char *s)
{
    uint32_t h = 2166136261U; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619U;
    return (uint8_t)(h ^ h >> 16);
}

static void index_rows(void)
{
    for (size_t i = ARRAY_LEN(hooks); i-- > 0;) {
        uint8_t h = hash_of(hooks[i].type);
        next_row[i] = first_row[h];
        first_row[h] = (uint16_t)(i + 1);
    }
}

validate_hook_fn validate_kinds_hook(const struct schema_type *t)
{
    pthread_once(&rows_once, index_rows);
    for (size_t i = first_row[hash_of(t->name)]; i; i = next_row[i - 1])
        if (strcmp(hooks[i - 1].type, t->name) == 0 &&
            strcmp(hooks[i - 1].group_version, t->group_version) == 0)
            return hooks[i - 1].hook;
    return NULL;
}

const char *const *validate_kinds_unchecked(const struct schema_type *t)
{
    /* A StatefulSet's pods are checked when they are made: its mounts name claims that are no
     * volumes of its template. */
    static const struct {
        const char *type, *fields[4];
    } rows[] = {
        { "StatefulSetSpec", { "podManagementPolicy", "template", "volumeClaimTemplates" } },
        { "StatefulSetUpdateStrategy", { "type" } },
        { "DeploymentStrategy", { "type" } },
        { "DaemonSetUpdateStrategy", { "type" } },
        { "JobSpec", { "completionMode" } },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(t->name, rows[i].type) == 0)
            return rows[i].fields;
    return NULL;
}

validate_kind_fn validate_kinds_kind_hook(const struct schema_kind *k, enum validate_when when)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_hooks); i++)
        if (kind_hooks[i].when == when && strcmp(kind_hooks[i].kind, k->kind) == 0 &&
            strcmp(kind_hooks[i].group, k->group) == 0)
            return kind_hooks[i].hook;
    return NULL;
}

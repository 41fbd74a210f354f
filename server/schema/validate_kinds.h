#pragma once
/*
 * Validate kinds: the hooks of the groups outside core/v1, by the type or the kind they are about,
 * and their tables. Sources: upstream's pkg/apis/<group>/validation and what
 * pkg/registry/<group>/<kind>/strategy.go adds to it, release 1.32; kube-aggregator's
 * pkg/apis/apiregistration/validation. Inside server/schema. Any thread.
 *
 * A type's hook gets (value, path, errors) for every value of the type; _create, _update and
 * _status get whole objects (new, old, errors), old is NULL for a create.
 */
#include "server/schema/validate_hooks.h"

validate_hook_fn validate_kinds_hook(const struct schema_type *t); /* NULL: none */
validate_kind_fn validate_kinds_kind_hook(const struct schema_kind *k, enum validate_when when);
/* Fields of t whose tables are not asked: upstream does not, or its words for them are the hook's.
 * NULL-terminated; NULL: none. */
const char *const *validate_kinds_unchecked(const struct schema_type *t);

#define TYPE_RULE(name)                                                                            \
    void name(const json_t *v, const struct field_path *p, struct field_errors *fe)
#define KIND_RULE(name) void name(const json_t *v, const json_t *old, struct field_errors *fe)

/* validate_apps.c */
TYPE_RULE(apps_deployment_spec);
TYPE_RULE(apps_deployment_status);
TYPE_RULE(apps_replica_set_spec);
TYPE_RULE(apps_replica_set_status);
TYPE_RULE(apps_daemon_set_spec);
TYPE_RULE(apps_daemon_set_status);
TYPE_RULE(apps_stateful_set_spec);
TYPE_RULE(apps_stateful_set_status);
TYPE_RULE(apps_controller_revision);
KIND_RULE(apps_stateful_set_update);
KIND_RULE(apps_controller_revision_update);
KIND_RULE(apps_status); /* collisionCount of Deployment, DaemonSet, StatefulSet */

/* validate_job.c, validate_job_status.c, validate_cronjob.c */
TYPE_RULE(batch_job_spec);
TYPE_RULE(batch_job);
TYPE_RULE(batch_job_template_spec);
TYPE_RULE(batch_job_status);
TYPE_RULE(batch_cron_job_spec);
KIND_RULE(batch_job_update);
KIND_RULE(batch_job_status_update);
KIND_RULE(batch_cron_job_create);
KIND_RULE(batch_cron_job_update);

/* validate_policy.c */
TYPE_RULE(policy_budget_spec);
TYPE_RULE(policy_budget_status);

/* validate_networking.c: NetworkPolicies; validate_ingress.c: Ingresses and their classes */
TYPE_RULE(networking_policy_port);
TYPE_RULE(networking_policy_peer);
TYPE_RULE(networking_ip_block);
TYPE_RULE(networking_policy_spec);
TYPE_RULE(networking_ingress_spec);
TYPE_RULE(networking_ingress_tls);
TYPE_RULE(networking_ingress_rule);
TYPE_RULE(networking_ingress_paths);
TYPE_RULE(networking_ingress_path);
TYPE_RULE(networking_ingress_backend);
TYPE_RULE(networking_ingress_address);
TYPE_RULE(networking_class_spec);
TYPE_RULE(networking_class_parameters);
KIND_RULE(networking_ingress_create);

/* validate_autoscaling.c */
TYPE_RULE(autoscaling_spec);
TYPE_RULE(autoscaling_reference);
TYPE_RULE(autoscaling_metric);
TYPE_RULE(autoscaling_object_source);
TYPE_RULE(autoscaling_pods_source);
TYPE_RULE(autoscaling_resource_source);
TYPE_RULE(autoscaling_container_source);
TYPE_RULE(autoscaling_external_source);
TYPE_RULE(autoscaling_identifier);
TYPE_RULE(autoscaling_target);
TYPE_RULE(autoscaling_scaling_rules);
TYPE_RULE(autoscaling_scaling_policy);
TYPE_RULE(autoscaling_status);

/* validate_rbac.c */
TYPE_RULE(rbac_role);
TYPE_RULE(rbac_cluster_role);
TYPE_RULE(rbac_role_binding);
TYPE_RULE(rbac_cluster_role_binding);
KIND_RULE(rbac_binding_update);

/* validate_storage.c */
TYPE_RULE(storage_class);
TYPE_RULE(storage_attachment_spec);
TYPE_RULE(storage_attachment_status);
TYPE_RULE(storage_csi_driver_spec);
TYPE_RULE(storage_csi_node_spec);
TYPE_RULE(storage_csi_capacity);
KIND_RULE(storage_class_update);
KIND_RULE(storage_attachment_create);
KIND_RULE(storage_attachment_update);
KIND_RULE(storage_csi_driver_update);
KIND_RULE(storage_csi_node_update);

/* validate_small.c: scheduling, coordination, node, events, apiregistration */
TYPE_RULE(coordination_lease_spec);
TYPE_RULE(node_runtime_class);
TYPE_RULE(apiregistration_service);
TYPE_RULE(apiregistration_status);
KIND_RULE(events_create);
KIND_RULE(events_update);
KIND_RULE(scheduling_class_create);
KIND_RULE(scheduling_class_update);

/* validate_slice.c */
TYPE_RULE(discovery_slice);
KIND_RULE(discovery_slice_create);

/* validate_csr.c */
TYPE_RULE(certificates_request_spec);
TYPE_RULE(certificates_request_status);
KIND_RULE(certificates_update);
KIND_RULE(certificates_status);
KIND_RULE(certificates_approval);

/* validate_admission.c: webhooks; validate_admission_policy.c: policies and bindings */
TYPE_RULE(admission_webhooks);
TYPE_RULE(admission_webhook);
TYPE_RULE(admission_rule);
TYPE_RULE(admission_policy);
TYPE_RULE(admission_policy_status);
TYPE_RULE(admission_match_resources);
TYPE_RULE(admission_binding_spec);

/* validate_flowcontrol.c */
TYPE_RULE(flowcontrol_schema);
TYPE_RULE(flowcontrol_rules);
TYPE_RULE(flowcontrol_subject);
TYPE_RULE(flowcontrol_resource_rule);
TYPE_RULE(flowcontrol_non_resource_rule);
TYPE_RULE(flowcontrol_level);
TYPE_RULE(flowcontrol_status);

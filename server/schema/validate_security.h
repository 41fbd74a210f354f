#pragma once
/*
 * Validate security: security contexts of pods and containers (ValidateSecurityContext,
 * validatePodSpecSecurityContext, validateWindowsHostProcessPod of pkg/apis/core/validation,
 * release 1.32). Privileged containers are allowed. For validate_pod.c. Any thread.
 */
#include "server/schema/field_error.h"

/* Of a container. host_users: its pod has no user namespace of its own. */
void check_security_context(struct field_errors *fe, const struct field_path *p, const json_t *sc,
                            bool host_users);
/* Of a PodSpec at p, with what depends on several of its fields. */
void check_pod_security(struct field_errors *fe, const struct field_path *p, const json_t *spec);
/* What spec.os forbids. */
void check_pod_os(struct field_errors *fe, const struct field_path *p, const json_t *spec);

/* Calls visit for each container of the spec: initContainers, containers, ephemeralContainers. */
typedef void (*container_fn)(void *arg, const json_t *c, const struct field_path *p);
void each_container(const json_t *spec, const struct field_path *p, container_fn visit, void *arg);

#pragma once
/*
 * Validate pod: hooks of pods and of what has a pod's spec in it (ValidatePodSpec,
 * ValidatePodCreate, ValidatePodUpdate and their kin in pkg/apis/core/validation, release 1.32).
 * What a type or a number must look like is the table's. For validate_hooks.c. Any thread.
 */
#include "server/schema/field_error.h"

void validate_pod(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_pod_spec(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_pod_template(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_volume(const json_t *v, const struct field_path *p, struct field_errors *fe);

void validate_pod_create(const json_t *v, const json_t *old, struct field_errors *fe);
/* validate_pod_update.c */
void validate_pod_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_pod_status(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_pod_ephemeral(const json_t *v, const json_t *old, struct field_errors *fe);

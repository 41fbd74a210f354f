#pragma once
/*
 * Validate claim: hooks of PersistentVolumes and of the claims to them (ValidatePersistentVolume*,
 * ValidatePersistentVolumeClaim* of pkg/apis/core/validation, release 1.32). For validate_hooks.c.
 * Any thread.
 */
#include "server/schema/field_error.h"

void validate_volume_object(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_volume_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_claim(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_claim_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_claim_status(const json_t *v, const json_t *old, struct field_errors *fe);

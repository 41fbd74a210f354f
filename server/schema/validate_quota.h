#pragma once
/*
 * Validate quota: hooks of ResourceQuotas and LimitRanges (pkg/apis/core/validation, release 1.32).
 * For validate_hooks.c. Any thread.
 */
#include "server/schema/field_error.h"

void validate_quota(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_quota_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_quota_status(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_limit_range(const json_t *v, const struct field_path *p, struct field_errors *fe);

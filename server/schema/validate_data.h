#pragma once
/*
 * Validate data: hooks of ConfigMaps and Secrets (pkg/apis/core/validation, release 1.32). For
 * validate_hooks.c. Any thread.
 */
#include "server/schema/field_error.h"

void validate_config_map(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_config_map_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_secret(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_secret_update(const json_t *v, const json_t *old, struct field_errors *fe);

#pragma once
/*
 * Validate core: hooks of the core group's other kinds: nodes, namespaces, events, replication
 * controllers (pkg/apis/core/validation, release 1.32). For validate_hooks.c. Any thread.
 */
#include "server/schema/field_error.h"

void validate_node(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_node_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_namespace(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_namespace_status(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_event(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_replication_controller(const json_t *v, const struct field_path *p,
                                     struct field_errors *fe);
void validate_replication_status(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_label_selector(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_label_requirement(const json_t *v, const struct field_path *p,
                                struct field_errors *fe);

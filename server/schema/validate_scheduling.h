#pragma once
/*
 * Validate scheduling: where a pod may run: affinity, node selectors, topology spread, tolerations,
 * taints (pkg/apis/core/validation, release 1.32). For validate*.c. Any thread.
 */
#include "server/schema/field_error.h"

/* The affinity, tolerations and spread constraints of a PodSpec at p. */
void check_scheduling(struct field_errors *fe, const struct field_path *p, const json_t *spec);
void check_tolerations(struct field_errors *fe, const struct field_path *p, const json_t *list);
/* A NodeSelector. values: their forms are checked too. */
void check_node_selector(struct field_errors *fe, const struct field_path *p, const json_t *v,
                         bool values);
void check_taints(struct field_errors *fe, const struct field_path *p, const json_t *taints);

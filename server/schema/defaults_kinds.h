#pragma once
/*
 * Defaults kinds: the hooks of the groups outside core/v1; defaults_hooks.c has the table. Values
 * are those of upstream's pkg/apis/<group>/v1/defaults.go, release 1.32. Inside server/schema.
 */
#include <jansson.h>

void defaults_deployment_strategy(json_t *v);
void defaults_daemon_set_strategy(json_t *v);
void defaults_stateful_set_strategy(json_t *v);
void defaults_stateful_set_spec(json_t *v);
void defaults_job(json_t *v); /* a Job only: what a CronJob holds stays as it was sent */
void defaults_autoscaler_spec(json_t *v);
void defaults_scaling_behavior(json_t *v);
void defaults_network_policy_spec(json_t *v);
void defaults_rbac_subject(json_t *v);
void defaults_level_spec(json_t *v);

#pragma once
/*
 * Disruption: what a PodDisruptionBudget says about pods, for the eviction of one (server/api) and
 * for the controller that counts them (policy/v1, component-helpers/apps/poddisruptionbudget). Pure
 * functions over documents. Any thread.
 */
#include "base/core/str.h"

#include <jansson.h>

/* Its selector matches the pod; no selector matches none, an empty one all of its namespace. */
bool disruption_covers(const json_t *budget, const json_t *pod);
bool disruption_pod_is_ready(const json_t *pod); /* condition Ready is True */
bool disruption_is_target(const json_t *pod);    /* condition DisruptionTarget is True */
/* status.conditions says what status.disruptionsAllowed says. now: RFC 3339. */
void disruption_set_condition(json_t *status, const char *now);
/* The same with words of its own. */
void disruption_set_condition_to(json_t *status, bool allowed, const char *reason,
                                 const char *message, const char *now);
/* False: disruption_set_condition would change it. */
bool disruption_condition_is_set(const json_t *status);

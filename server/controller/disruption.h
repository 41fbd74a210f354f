#pragma once
/*
 * Disruption: the decisions of disruption.c, pure functions over documents.
 */
#include "base/core/err.h"

#include <jansson.h>
#include <stdint.h>

/* Does the budget ask for a share of what the pods' controllers want? Else for a count of pods. */
bool disruption_wants_scale(const json_t *budget);
/* The ownerReference of an object's controller, borrowed; NULL: it has none. */
const json_t *disruption_controller_of(const json_t *obj);
/* The status that a budget should have, new. pods: those it covers; scale: the sum of what their
 * controllers want, where disruption_wants_scale. *until_s: when it must be counted again without
 * an event, wall clock; 0: never. ERR_INVALID: the budget's number is none. */
MUST_USE int disruption_count(json_t **out, int64_t *until_s, const json_t *budget,
                              const json_t *pods, int64_t scale, int64_t now_s, struct err *e);
/* The status of a budget that cannot be counted: nothing may go. */
json_t *disruption_failed(const json_t *budget, const char *why, int64_t now_s);

/* ---- disruption_stale.c ---- */
/* When this pod's condition DisruptionTarget is stale, wall clock; 0: it has none that can be. */
int64_t disruption_stale_at(const json_t *pod);
/* Keys of the disruption controller's queue that begin so are pods to look at for it. */
#define DISRUPTION_STALE "!"
struct controller;
struct queue_item;
void disruption_stale_on_pod(struct controller *c, const json_t *pod);
void disruption_stale_work(struct controller *c, struct queue_item *it);

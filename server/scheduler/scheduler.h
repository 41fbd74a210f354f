#pragma once
/*
 * Scheduler: gives each pending pod (schedulerName default-scheduler, no nodeName) to a Ready node
 * that takes it: nodeSelector, taints and tolerations, unschedulable, resource requests against
 * allocatable, the pod count; among those the one with the most left. Binding through pods/binding,
 * Events Scheduled and FailedScheduling, condition PodScheduled. What a pod asks for and we do not
 * know yet (affinity, spread constraints) keeps it Pending with a message that names it. Loop
 * thread only.
 */
#include <uv.h>

struct api;
struct scheduler;

void scheduler_start(struct scheduler **out, uv_loop_t *loop, struct api *api);
void scheduler_close(struct scheduler *s, void (*done)(void *arg), void *arg);

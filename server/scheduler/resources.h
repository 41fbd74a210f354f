#pragma once
/*
 * Resources: what a pod asks for and what a node has, as numbers: cpu in thousandths, all others in
 * whole units (bytes, devices), rounded up. Plain memory; any thread.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resources {
    int64_t cpu_milli, memory_bytes, ephemeral_bytes, n_pods;
    struct resource_extended { /* nvidia.com/gpu, hugepages-2Mi, ... */
        char *name;
        int64_t value;
    } * extended;
    size_t n_extended;
};

void resources_deinit(struct resources *r);
/* Requests of a pod: its containers together, or its largest init container if that is more, and
 * its overhead (k8s.io/component-helpers/resource, PodRequests). n_pods is 1. */
void resources_of_pod(struct resources *out, const json_t *pod);
void resources_of_node(struct resources *out, const json_t *node); /* status.allocatable */
void resources_add(struct resources *r, const struct resources *what);
void resources_sub(struct resources *r, const struct resources *what);
int64_t resources_extended(const struct resources *r, const char *name); /* 0 when absent */

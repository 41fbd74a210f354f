#pragma once
/*
 * Fit: may this pod run on that node, how well, and if not, why, in upstream's words
 * (pkg/scheduler/framework/plugins of kubernetes). Pure.
 */
#include "base/core/buf.h"
#include "server/scheduler/resources.h"

struct fit_port { /* a hostPort */
    char ip[46];  /* "0.0.0.0" stands for all */
    char protocol[8];
    uint16_t port;
};

struct fit_pod { /* what counts of a pod */
    struct resources requests;
    struct fit_port *ports;
    size_t n_ports;
};
void fit_pod_init(struct fit_pod *p, const json_t *pod);
void fit_pod_deinit(struct fit_pod *p);

struct fit_node { /* what counts of a node; labels and taints are references of its own */
    char *name;
    json_t *labels, *taints; /* may be NULL */
    bool unschedulable, ready;
    struct resources allocatable, used;
    struct fit_port *ports; /* in use */
    size_t n_ports;
};
void fit_node_init(struct fit_node *n, const json_t *node); /* nothing used */
void fit_node_deinit(struct fit_node *n);
/* Is the same for scheduling, use aside? */
bool fit_node_same(const struct fit_node *a, const struct fit_node *b);
void fit_node_put(struct fit_node *n, const struct fit_pod *p); /* a pod runs there */
void fit_node_take(struct fit_node *n, const struct fit_pod *p);

/* The part of the spec that asks for something this scheduler does not know, as a path
 * ("spec.affinity.podAntiAffinity"); NULL: it knows all. Preferences may be left unmet, so they do
 * not count. */
const char *fit_unknown(const json_t *pod);

#define FIT_REASONS_MAX  8
#define FIT_REASON_BYTES 400
/* 0: it fits. Else the reasons of the first check that failed. */
size_t fit_check(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                 char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES]);
/* Higher is better: 0 to 100 for what is left of cpu and memory, less 1000 for each
 * PreferNoSchedule taint that the pod does not tolerate. */
int64_t fit_score(const json_t *pod, const struct fit_pod *p, const struct fit_node *n);

/* Reasons of many nodes into one sentence:
 * "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." */
struct fit_summary;
struct fit_summary *fit_summary_new(void);
void fit_summary_free(struct fit_summary *s);
void fit_summary_add(struct fit_summary *s, const char *reason);
char *fit_summary_text(const struct fit_summary *s, size_t n_nodes); /* heap, yours */

DEFINE_AUTO(fit_summary);

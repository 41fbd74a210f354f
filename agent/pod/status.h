#pragma once
/*
 * Status: how a pod is, from plain facts to the PodStatus that kubelet would write: phase,
 * conditions, container statuses. No I/O; any thread.
 */
#include "agent/pod/spec.h"

struct status_run {                          /* one run of a container */
    const char *id;                          /* without "containerd://" */
    int64_t started_unix_s, finished_unix_s; /* 0: not */
    int32_t exit_code;
    const char *reason, *message;
};

struct status_container {
    const char *name, *image, *image_id;
    enum { STATUS_WAITING, STATUS_RUNNING, STATUS_TERMINATED } state;
    const char *reason, *message; /* WAITING */
    struct status_run run;        /* RUNNING, TERMINATED */
    struct status_run last;       /* the run before; id NULL or "": none */
    int64_t restart_count;
};

struct status_facts {
    enum spec_restart restart;
    enum spec_qos qos;
    const char *scheme; /* of container ids: "containerd" */
    const char *const *pod_ips, *const *host_ips;
    size_t n_pod_ips, n_host_ips;
    int64_t start_unix_s;
    int64_t now_unix_s; /* of transitions */
    const struct status_container *init, *main;
    size_t n_init, n_main;
    bool deleting;
    const char *failed_reason, *message; /* of the pod; NULL: none. A reason means phase Failed */
};

/* before: the status that the API has, or NULL: times of conditions that did not change are kept.
 * The caller owns the reference. */
json_t *status_json(const struct status_facts *f, const json_t *before);

/* "Pending", "Running", "Succeeded", "Failed". */
const char *status_phase(const struct status_facts *f);

#pragma once
/*
 * Pods: what this node runs: follows the pods that are bound to it, steps each towards what its
 * object says, and removes what nobody wants any more. Loop thread only.
 *
 * Sandboxes and containers that run already when the agent starts are taken over; those of pods
 * that the API no longer has are removed after the first whole list, never before.
 */
#include "agent/cri/runtime.h"
#include "base/kube/client.h"

struct pods;

struct pods_config {
    uv_loop_t *loop;
    struct kube_client *client; /* kubelet's identity; borrowed */
    struct runtime *runtime;    /* borrowed; the owner calls pods_kick from its on_change */
    const char *node_name;
    const char *const *host_ips; /* the node's addresses; the first, and the first of the other
                                  * family, are shown as hostIPs */
    size_t n_host_ips;
    const char *state_dir;      /* emptyDir and the like; NULL: /var/lib/kubelet/pods */
    const char *log_root;       /* NULL: /var/log/pods */
    const char *resolv_conf;    /* NULL: /etc/resolv.conf */
    const char *cluster_dns;    /* addresses with commas; NULL or "": not known */
    const char *cluster_domain; /* NULL: cluster.local */
};

void pods_start(struct pods **out, const struct pods_config *c);
/* The runtime changed, or the API server is in reach again: look at everything now. */
void pods_kick(struct pods *p);
/* Stops looking; what runs keeps running. Then done (may be NULL) is called, later. */
void pods_close(struct pods *p, void (*done)(void *arg), void *arg);

size_t pods_n(const struct pods *p); /* pods bound to this node */
/* A PodList of the pods bound here with our view of their status, for GET /pods. The caller owns
 * the reference. */
json_t *pods_list_json(const struct pods *p);

struct pods_container { /* borrowed, valid until control returns to the loop */
    const char *pod_uid;
    const char *name;         /* the container's; also when it was asked for as NULL */
    const char *container_id; /* of its newest run, without "containerd://"; "" before the first */
    const char *log_path;     /* absolute; "" before the first run */
    bool running;
    bool tty, stdin_open;          /* as its spec says */
    const char *previous_id;       /* the run before, "" if there was none */
    const char *previous_log_path; /* the file may have been removed since */
};

/* container NULL or "": the only one, or the one of the annotation
 * kubectl.kubernetes.io/default-container. uid NULL or "": any. ERR_NOT_FOUND: no such pod or
 * container; ERR_INVALID: several containers and none was named. The texts are kubelet's. */
MUST_USE int pods_container(const struct pods *p, const char *ns, const char *pod, const char *uid,
                            const char *container, struct pods_container *out, struct err *e);
/* The pod's sandbox, for port-forward: ERR_NOT_FOUND: no such pod, ERR_AGAIN: none runs now. */
MUST_USE int pods_sandbox(const struct pods *p, const char *ns, const char *pod, const char *uid,
                          const char **sandbox_id, struct err *e);

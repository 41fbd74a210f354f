#pragma once
/*
 * Translate: a pod's spec into what the container runtime is asked for: labels and annotations as
 * kubelet sets them (so that crictl and log collectors find names), environment, mounts, cgroup
 * values, DNS. No I/O; any thread. What comes out borrows from the spec, the facts and the arena.
 */
#include "agent/pod/spec.h"

/* Labels and annotations that we read back (kubelet's, pkg/kubelet/types/labels.go). */
#define LABEL_POD_NAME       "io.kubernetes.pod.name"
#define LABEL_POD_NAMESPACE  "io.kubernetes.pod.namespace"
#define LABEL_POD_UID        "io.kubernetes.pod.uid"
#define LABEL_CONTAINER_NAME "io.kubernetes.container.name"
#define ANNO_GRACE           "io.kubernetes.pod.terminationGracePeriod"
#define ANNO_RESTART_COUNT   "io.kubernetes.container.restartCount"

struct translate_facts {
    const char *log_dir;    /* of the pod, absolute */
    const char *volume_dir; /* of the pod; emptyDir volumes are folders in it */
    const char *pod_ip, *pod_ips, *host_ip, *host_ips; /* "" when not known; lists with commas */
    const char *const *dns_servers, *const *dns_searches, *const *dns_options; /* of the host */
    size_t n_dns_servers, n_dns_searches, n_dns_options;
    const char *const *cluster_dns; /* n 0: not known */
    size_t n_cluster_dns;
    const char *cluster_domain;
    int64_t memory_capacity_bytes; /* of the node, for oom_score_adj */
};

MUST_USE int translate_sandbox(struct cri_sandbox_config *out, const struct spec *s,
                               const struct translate_facts *f, uint32_t attempt, struct arena *a,
                               struct err *e);
/* image: what ImageStatus or PullImage answered. ERR_INVALID: an environment entry that cannot be.
 */
MUST_USE int translate_container(struct cri_container_config *out, const struct spec *s,
                                 size_t index, const struct translate_facts *f, uint32_t attempt,
                                 const char *image, struct arena *a, struct err *e);

/* $(VAR) of earlier variables; $$ is one $; what is not known stays as it is
 * (k8s.io/kubernetes third_party/forked/golang/expansion). NULL past the arena's maximum. */
const char *translate_expand(const char *text, const struct cri_pair *env, size_t n_env,
                             struct arena *a);

/* A resolv.conf: servers, search domains and options, at most 3 and 32 and 16. NULL-free lists in
 * the arena. */
struct translate_dns {
    const char **servers, **searches, **options;
    size_t n_servers, n_searches, n_options;
};
void translate_resolv_conf(struct translate_dns *out, struct str text, struct arena *a);

int64_t translate_cpu_shares(int64_t milli);
int64_t translate_cpu_quota_us(int64_t milli); /* per TRANSLATE_CPU_PERIOD_US */
#define TRANSLATE_CPU_PERIOD_US 100000
int64_t translate_oom_score_adj(const struct spec *s, const struct spec_container *c,
                                int64_t memory_capacity_bytes);

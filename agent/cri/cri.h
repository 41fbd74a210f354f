#pragma once
/*
 * Cri: calls to a container runtime over its Unix socket: the Container Runtime Interface v1
 * (k8s.io/cri-api pkg/apis/runtime/v1), which is gRPC. Every call has a deadline; errors name the
 * call and the object: "StopContainer 3f2a...: NOT_FOUND: ...". Loop thread only.
 *
 * done comes exactly once, later, never from inside the call that started it. What it is given is
 * valid during the call: copy what you keep. Configurations are packed before the function returns.
 * Moments are Unix nanoseconds, as CRI has them; 0: not yet.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct cri;
struct cri_call; /* only for cri_cancel; dead once done was called */

struct cri_pair {
    const char *key, *value;
};

/* ---- what we send ---- */

struct cri_port {
    enum { CRI_TCP, CRI_UDP, CRI_SCTP } protocol;
    int32_t container_port, host_port; /* host_port 0: none */
    const char *host_ip;               /* NULL: all */
};

struct cri_sandbox_config {
    const char *name, *uid, *namespace;
    uint32_t attempt;
    const char *hostname;      /* NULL or "" with host_network */
    const char *log_directory; /* absolute */
    const char *cgroup_parent; /* NULL: the runtime's default */
    const char *const *dns_servers, *const *dns_searches, *const *dns_options;
    size_t n_dns_servers, n_dns_searches, n_dns_options;
    const struct cri_port *ports;
    size_t n_ports;
    const struct cri_pair *labels, *annotations, *sysctls;
    size_t n_labels, n_annotations, n_sysctls;
    bool host_network, host_pid, host_ipc;
    bool privileged; /* one of its containers will be */
};

struct cri_mount {
    const char *container_path, *host_path;
    bool readonly;
};

struct cri_container_config {
    const char *name;
    uint32_t attempt;
    const char *image;                        /* reference or id as ImageStatus knows it */
    const char *user_image;                   /* as written in the pod */
    const char *const *command, *const *args; /* command replaces the image's entry point */
    size_t n_command, n_args;
    const char *working_dir; /* NULL: the image's */
    const struct cri_pair *env, *labels, *annotations;
    size_t n_env, n_labels, n_annotations;
    const struct cri_mount *mounts;
    size_t n_mounts;
    const char *log_path; /* relative to the sandbox's log_directory */
    bool stdin_open, stdin_once, tty;

    bool privileged, readonly_rootfs, no_new_privs;
    bool host_network, host_pid, host_ipc;
    bool has_user, has_group;
    int64_t user, group;
    const int64_t *supplemental_groups;
    size_t n_supplemental_groups;
    const char *const *add_capabilities, *const *drop_capabilities; /* without CAP_ */
    size_t n_add_capabilities, n_drop_capabilities;
    const char *const *masked_paths, *const *readonly_paths;
    size_t n_masked_paths, n_readonly_paths;
    bool seccomp_default; /* the runtime's profile; else unconfined */

    int64_t cpu_shares, cpu_quota_us, cpu_period_us; /* 0: not set */
    int64_t memory_limit_bytes;                      /* 0: none */
    int64_t oom_score_adj;
};

/* ---- what we hear; all text may be "" but never NULL ---- */

struct cri_version {
    const char *runtime_name, *runtime_version, *api_version; /* "containerd", "1.6.20~ds1", "v1" */
};

struct cri_status {
    bool runtime_ready, network_ready;
    const char *runtime_why, *network_why; /* "Reason: message" where it is not */
};

struct cri_sandbox {
    const char *id;
    const char *name, *uid, *namespace; /* of the pod, from the metadata */
    uint32_t attempt;
    bool ready;
    int64_t created_at_ns;
    const struct cri_pair *labels, *annotations;
    size_t n_labels, n_annotations;
    const char *const *ips; /* only from cri_sandbox_status; none with the host's network */
    size_t n_ips;
};

enum cri_state { CRI_CREATED, CRI_RUNNING, CRI_EXITED, CRI_UNKNOWN };

struct cri_container {
    const char *id, *sandbox_id; /* sandbox_id: only from cri_list_containers */
    const char *name;
    uint32_t attempt;
    enum cri_state state;
    const char *image;    /* as it was asked for */
    const char *image_id; /* image_ref of CRI: "sha256:..." or name@digest */
    int64_t created_at_ns;
    const struct cri_pair *labels, *annotations;
    size_t n_labels, n_annotations;
    /* only from cri_container_status */
    int64_t started_at_ns, finished_at_ns;
    int32_t exit_code;
    const char *reason, *message, *log_path; /* "Completed", "Error", "OOMKilled"; absolute path */
};

struct cri_image {
    const char *id; /* "sha256:..." */
    const char *const *tags, *const *digests;
    size_t n_tags, n_digests;
    uint64_t size_bytes;
    int64_t uid;          /* the user it runs as; -1: none by number */
    const char *username; /* the user by name, "" if none */
};

struct cri_exec_result {
    struct str out, err; /* stdout and stderr */
    int32_t exit_code;
};

/* value of a label or annotation, "" when absent */
const char *cri_pair_get(const struct cri_pair *v, size_t n, const char *key);

/* ---- the connection ---- */

/* Dials with the first call and again after a failure. */
void cri_new(struct cri **out, uv_loop_t *loop, const char *socket_path);
/* Running calls end with ERR_CANCELED, then done (may be NULL) is called and it is gone. */
void cri_close(struct cri *c, void (*done)(void *arg), void *arg);
void cri_cancel(struct cri_call *call); /* done comes with ERR_CANCELED, later */

/* ---- calls; pointers are NULL when e is set ---- */

typedef void (*cri_done_fn)(void *arg, const struct err *e);
typedef void (*cri_text_fn)(void *arg, const char *text, const struct err *e); /* an id or URL */
typedef void (*cri_version_fn)(void *arg, const struct cri_version *v, const struct err *e);
typedef void (*cri_status_fn)(void *arg, const struct cri_status *s, const struct err *e);
typedef void (*cri_sandboxes_fn)(void *arg, const struct cri_sandbox *v, size_t n,
                                 const struct err *e);
typedef void (*cri_containers_fn)(void *arg, const struct cri_container *v, size_t n,
                                  const struct err *e);
typedef void (*cri_images_fn)(void *arg, const struct cri_image *v, size_t n, const struct err *e);
typedef void (*cri_exec_fn)(void *arg, const struct cri_exec_result *r, const struct err *e);

struct cri_call *cri_get_version(struct cri *c, cri_version_fn done, void *arg);
struct cri_call *cri_get_status(struct cri *c, cri_status_fn done, void *arg);
struct cri_call *cri_update_runtime_config(struct cri *c, const char *pod_cidr, cri_done_fn done,
                                           void *arg);

struct cri_call *cri_run_sandbox(struct cri *c, const struct cri_sandbox_config *s,
                                 cri_text_fn done, void *arg);
struct cri_call *cri_stop_sandbox(struct cri *c, const char *id, cri_done_fn done, void *arg);
struct cri_call *cri_remove_sandbox(struct cri *c, const char *id, cri_done_fn done, void *arg);
struct cri_call *cri_sandbox_status(struct cri *c, const char *id, cri_sandboxes_fn done,
                                    void *arg); /* n is 1 */
struct cri_call *cri_list_sandboxes(struct cri *c, cri_sandboxes_fn done, void *arg);

struct cri_call *cri_create_container(struct cri *c, const char *sandbox_id,
                                      const struct cri_container_config *k,
                                      const struct cri_sandbox_config *s, cri_text_fn done,
                                      void *arg);
struct cri_call *cri_start_container(struct cri *c, const char *id, cri_done_fn done, void *arg);
/* Sends the stop signal, kills after grace_s. */
struct cri_call *cri_stop_container(struct cri *c, const char *id, int64_t grace_s,
                                    cri_done_fn done, void *arg);
struct cri_call *cri_remove_container(struct cri *c, const char *id, cri_done_fn done, void *arg);
struct cri_call *cri_container_status(struct cri *c, const char *id, cri_containers_fn done,
                                      void *arg); /* n is 1 */
/* sandbox_id NULL: all */
struct cri_call *cri_list_containers(struct cri *c, const char *sandbox_id, cri_containers_fn done,
                                     void *arg);
struct cri_call *cri_reopen_log(struct cri *c, const char *container_id, cri_done_fn done,
                                void *arg);

/* Runs to its end, at most timeout_s (0: 60), output collected. */
struct cri_call *cri_exec_sync(struct cri *c, const char *container_id, const char *const *argv,
                               size_t n_argv, int64_t timeout_s, cri_exec_fn done, void *arg);

struct cri_stream_options {
    bool tty, in, out, err;
};
/* These answer the URL of the runtime's own streaming server, where an HTTP upgrade begins it. */
struct cri_call *cri_exec(struct cri *c, const char *container_id, const char *const *argv,
                          size_t n_argv, struct cri_stream_options o, cri_text_fn done, void *arg);
struct cri_call *cri_attach(struct cri *c, const char *container_id, struct cri_stream_options o,
                            cri_text_fn done, void *arg);
struct cri_call *cri_port_forward(struct cri *c, const char *sandbox_id, const int32_t *ports,
                                  size_t n_ports, cri_text_fn done, void *arg);

/* n is 0 when the image is not there, else 1. */
struct cri_call *cri_image_status(struct cri *c, const char *image, cri_images_fn done, void *arg);
struct cri_call *cri_list_images(struct cri *c, cri_images_fn done, void *arg);
/* text: the reference to create containers with. Ten minutes. */
struct cri_call *cri_pull_image(struct cri *c, const char *image,
                                const struct cri_sandbox_config *s, cri_text_fn done, void *arg);

/*
 * Tells when a process of a pod ended: containerd's own event stream, for CRI has none before
 * GetContainerEvents (not in containerd 1.6). on_exit carries nothing: ask what changed, a moment
 * later, for CRI learns of it at the same time. done comes when the stream ends, with an error also
 * from runtimes that are not containerd (then poll).
 */
struct cri_watch;
struct cri_watch *cri_watch_exits(struct cri *c, void (*on_exit)(void *arg), cri_done_fn done,
                                  void *arg);
void cri_watch_cancel(struct cri_watch *w); /* done comes with ERR_CANCELED, later */

#pragma once
/*
 * Spec: what a Pod object asks a node to run, read once into plain structs. A field that we do not
 * carry out is refused by name, for a pod that runs without a part of itself is worse than one
 * that does not. No I/O; any thread, one at a time.
 */
#include "base/core/arena.h"
#include "agent/cri/cri.h"

#include <jansson.h>

#define SPEC_CONTAINERS_MAX 128
#define SPEC_MAX_BYTES      (8u * 1024 * 1024) /* of one spec in memory */

enum spec_restart { SPEC_ALWAYS, SPEC_ON_FAILURE, SPEC_NEVER };
enum spec_pull { SPEC_IF_NOT_PRESENT, SPEC_PULL_ALWAYS, SPEC_PULL_NEVER };
enum spec_qos { SPEC_BEST_EFFORT, SPEC_BURSTABLE, SPEC_GUARANTEED };
enum spec_dns { SPEC_DNS_CLUSTER_FIRST, SPEC_DNS_DEFAULT, SPEC_DNS_NONE };

struct spec_env {
    const char *name, *value; /* value may hold $(VAR) */
    const char *field;        /* fieldRef's path instead of a value, or NULL */
};

struct spec_mount {
    size_t volume; /* index in volumes */
    const char *path, *sub_path;
    bool read_only;
};

struct spec_volume {
    const char *name;
    enum { SPEC_EMPTY_DIR, SPEC_HOST_PATH } kind;
    const char *path; /* HOST_PATH */
    const char *type; /* HOST_PATH: "", "Directory", "DirectoryOrCreate", "File", "FileOrCreate" */
    bool in_memory;   /* EMPTY_DIR, medium Memory */
    int64_t size_bytes; /* of in_memory; 0: not limited */
};

struct spec_container {
    const char *name, *image;
    enum spec_pull pull;
    const char *const *command, *const *args;
    size_t n_command, n_args;
    const char *working_dir;
    struct spec_env *env;
    size_t n_env;
    struct spec_mount *mounts;
    size_t n_mounts;
    bool tty, stdin_open, stdin_once;
    int64_t cpu_request_milli, cpu_limit_milli, memory_request_bytes, memory_limit_bytes;
    bool privileged, readonly_rootfs, no_new_privs, seccomp_unconfined;
    bool has_user, has_group, non_root;
    int64_t user, group;
    const char *const *add_capabilities, *const *drop_capabilities;
    size_t n_add_capabilities, n_drop_capabilities;
};

struct spec {
    struct arena arena; /* owns all text and lists */
    const char *name, *namespace, *uid, *node_name, *service_account;
    const char *host_name;
    struct cri_pair *labels, *annotations, *sysctls;
    size_t n_labels, n_annotations, n_sysctls;
    enum spec_restart restart;
    enum spec_qos qos;
    enum spec_dns dns;
    const char *const *dns_servers, *const *dns_searches, *const *dns_options;
    size_t n_dns_servers, n_dns_searches, n_dns_options;
    bool host_network, host_pid, host_ipc;
    int64_t grace_s;        /* terminationGracePeriodSeconds */
    struct cri_port *ports; /* those with a host port, and all others of the containers */
    size_t n_ports;
    const int64_t *supplemental_groups;
    size_t n_supplemental_groups;
    struct spec_volume *volumes;
    size_t n_volumes;
    struct spec_container *containers; /* init containers first, in their order */
    size_t n_init, n_containers;       /* n_containers counts all */
};

/* ERR_INVALID names what is wrong, ERR_AGAIN what is right but not supported: both texts begin with
 * the field's path. ERR_LIMIT. On failure nothing is left to free. */
MUST_USE int spec_read(struct spec **out, const json_t *pod, struct err *e);
void spec_free(struct spec *s);
DEFINE_AUTO(spec);

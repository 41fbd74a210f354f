#include "agent/cri/request.h"

#include "agent/cri/cri.pb-c.h"
#include "base/core/arena.h"
#include "base/data/protobuf.h"

#include <stdint.h>

/*
 * protobuf-c packs from structs of its own, which only borrow our text: they are filled in an arena
 * without a limit (the sizes are ours) and dropped after packing. Its fields are not const though
 * packing reads them only; mut() is the one place that says so.
 */
static char *mut(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static char **mut_list(const char *const *v)
{
    return (char **)(uintptr_t)v;
}

/* A list of pointers to new messages of Type: in place of n mallocs, one array of each. */
#define LIST(arena, ptrs, Type, init, n)                                                           \
    do {                                                                                           \
        Type *v_ = arena_calloc(arena, n, sizeof *v_);                                             \
        (ptrs) = arena_calloc(arena, n, sizeof *(ptrs));                                           \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                      \
            init(&v_[i_]);                                                                         \
            (ptrs)[i_] = &v_[i_];                                                                  \
        }                                                                                          \
    } while (0)

/* map<string, string>: entries with key and value, a type of its own for each map. */
#define PAIRS(arena, ptrs, n_ptrs, Type, init, pairs, n_pairs)                                     \
    do {                                                                                           \
        LIST(arena, ptrs, Type, init, n_pairs);                                                    \
        for (size_t j_ = 0; j_ < (n_pairs); j_++) {                                                \
            (ptrs)[j_]->key = mut((pairs)[j_].key);                                                \
            (ptrs)[j_]->value = mut((pairs)[j_].value);                                            \
        }                                                                                          \
        (n_ptrs) = (n_pairs);                                                                      \
    } while (0)

#define NEW(arena, ptr, Type, init)                                                                \
    Type *ptr = arena_calloc(arena, 1, sizeof *ptr);                                               \
    init(ptr)

static Runtime__V1__Int64Value *number(struct arena *a, int64_t value)
{
    NEW(a, v, Runtime__V1__Int64Value, runtime__v1__int64_value__init);
    v->value = value;
    return v;
}

static Runtime__V1__NamespaceOption *namespaces(struct arena *a, bool network, bool pid, bool ipc)
{
    NEW(a, o, Runtime__V1__NamespaceOption, runtime__v1__namespace_option__init);
    o->network = network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    o->pid = pid ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    o->ipc = ipc ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    return o;
}

static Runtime__V1__SecurityProfile *seccomp(struct arena *a, bool by_default)
{
    NEW(a, p, Runtime__V1__SecurityProfile, runtime__v1__security_profile__init);
    p->profile_type = by_default ? RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault
                                 : RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Unconfined;
    return p;
}

static Runtime__V1__ImageSpec *image_spec(struct arena *a, const char *image, const char *user)
{
    NEW(a, i, Runtime__V1__ImageSpec, runtime__v1__image_spec__init);
    i->image = mut(image);
    i->user_specified_image = mut(user);
    return i;
}

/* ---- sandboxes ---- */

static Runtime__V1__DNSConfig *dns(struct arena *a, const struct cri_sandbox_config *s)
{
    NEW(a, d, Runtime__V1__DNSConfig, runtime__v1__dnsconfig__init);
    d->servers = mut_list(s->dns_servers);
    d->n_servers = s->n_dns_servers;
    d->searches = mut_list(s->dns_searches);
    d->n_searches = s->n_dns_searches;
    d->options = mut_list(s->dns_options);
    d->n_options = s->n_dns_options;
    return d;
}

static Runtime__V1__LinuxPodSandboxConfig *sandbox_linux(struct arena *a,
                                                         const struct cri_sandbox_config *s)
{
    NEW(a, l, Runtime__V1__LinuxPodSandboxConfig, runtime__v1__linux_pod_sandbox_config__init);
    NEW(a, c, Runtime__V1__LinuxSandboxSecurityContext,
        runtime__v1__linux_sandbox_security_context__init);
    l->cgroup_parent = mut(s->cgroup_parent);
    l->security_context = c;
    c->namespace_options = namespaces(a, s->host_network, s->host_pid, s->host_ipc);
    c->privileged = s->privileged;
    c->seccomp = seccomp(a, true);
    PAIRS(a, l->sysctls, l->n_sysctls, Runtime__V1__LinuxPodSandboxConfig__SysctlsEntry,
          runtime__v1__linux_pod_sandbox_config__sysctls_entry__init, s->sysctls, s->n_sysctls);
    return l;
}

static Runtime__V1__PodSandboxConfig *sandbox(struct arena *a, const struct cri_sandbox_config *s)
{
    NEW(a, p, Runtime__V1__PodSandboxConfig, runtime__v1__pod_sandbox_config__init);
    NEW(a, m, Runtime__V1__PodSandboxMetadata, runtime__v1__pod_sandbox_metadata__init);
    m->name = mut(s->name);
    m->uid = mut(s->uid);
    m->namespace_ = mut(s->namespace);
    m->attempt = s->attempt;
    p->metadata = m;
    p->hostname = mut(s->hostname);
    p->log_directory = mut(s->log_directory);
    p->dns_config = dns(a, s);
    LIST(a, p->port_mappings, Runtime__V1__PortMapping, runtime__v1__port_mapping__init,
         s->n_ports);
    p->n_port_mappings = s->n_ports;
    for (size_t i = 0; i < s->n_ports; i++) {
        p->port_mappings[i]->protocol = (Runtime__V1__Protocol)s->ports[i].protocol;
        p->port_mappings[i]->container_port = s->ports[i].container_port;
        p->port_mappings[i]->host_port = s->ports[i].host_port;
        p->port_mappings[i]->host_ip = mut(s->ports[i].host_ip);
    }
    PAIRS(a, p->labels, p->n_labels, Runtime__V1__PodSandboxConfig__LabelsEntry,
          runtime__v1__pod_sandbox_config__labels_entry__init, s->labels, s->n_labels);
    PAIRS(a, p->annotations, p->n_annotations, Runtime__V1__PodSandboxConfig__AnnotationsEntry,
          runtime__v1__pod_sandbox_config__annotations_entry__init, s->annotations,
          s->n_annotations);
    p->linux_config = sandbox_linux(a, s);
    return p;
}

int request_run_sandbox(struct buf *b, const struct cri_sandbox_config *s)
{
    auto_arena a = ARENA(SIZE_MAX);
    Runtime__V1__RunPodSandboxRequest m = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;

    m.config = sandbox(&a, s);
    return protobuf_pack(b, &m.base);
}

int request_sandbox_id(struct buf *b, const char *id)
{
    Runtime__V1__SandboxIdRequest m = RUNTIME__V1__SANDBOX_ID_REQUEST__INIT;

    m.pod_sandbox_id = mut(id);
    return protobuf_pack(b, &m.base);
}

/* ---- containers ---- */

static Runtime__V1__LinuxContainerSecurityContext *security(struct arena *a,
                                                            const struct cri_container_config *k)
{
    NEW(a, c, Runtime__V1__LinuxContainerSecurityContext,
        runtime__v1__linux_container_security_context__init);
    NEW(a, caps, Runtime__V1__Capability, runtime__v1__capability__init);
    caps->add_capabilities = mut_list(k->add_capabilities);
    caps->n_add_capabilities = k->n_add_capabilities;
    caps->drop_capabilities = mut_list(k->drop_capabilities);
    caps->n_drop_capabilities = k->n_drop_capabilities;
    c->capabilities = caps;
    c->privileged = k->privileged;
    c->namespace_options = namespaces(a, k->host_network, k->host_pid, k->host_ipc);
    if (k->has_user)
        c->run_as_user = number(a, k->user);
    if (k->has_group)
        c->run_as_group = number(a, k->group);
    c->readonly_rootfs = k->readonly_rootfs;
    c->supplemental_groups = (int64_t *)(uintptr_t)k->supplemental_groups;
    c->n_supplemental_groups = k->n_supplemental_groups;
    c->no_new_privs = k->no_new_privs;
    c->masked_paths = mut_list(k->masked_paths);
    c->n_masked_paths = k->n_masked_paths;
    c->readonly_paths = mut_list(k->readonly_paths);
    c->n_readonly_paths = k->n_readonly_paths;
    c->seccomp = seccomp(a, k->seccomp_default);
    return c;
}

static Runtime__V1__LinuxContainerConfig *container_linux(struct arena *a,
                                                          const struct cri_container_config *k)
{
    NEW(a, l, Runtime__V1__LinuxContainerConfig, runtime__v1__linux_container_config__init);
    NEW(a, r, Runtime__V1__LinuxContainerResources, runtime__v1__linux_container_resources__init);
    r->cpu_period = k->cpu_period_us;
    r->cpu_quota = k->cpu_quota_us;
    r->cpu_shares = k->cpu_shares;
    r->memory_limit_in_bytes = k->memory_limit_bytes;
    r->oom_score_adj = k->oom_score_adj;
    l->resources = r;
    l->security_context = security(a, k);
    return l;
}

static void env_and_mounts(struct arena *a, Runtime__V1__ContainerConfig *c,
                           const struct cri_container_config *k)
{
    LIST(a, c->envs, Runtime__V1__KeyValue, runtime__v1__key_value__init, k->n_env);
    c->n_envs = k->n_env;
    for (size_t i = 0; i < k->n_env; i++) {
        c->envs[i]->key = mut(k->env[i].key);
        c->envs[i]->value = mut(k->env[i].value);
    }
    LIST(a, c->mounts, Runtime__V1__Mount, runtime__v1__mount__init, k->n_mounts);
    c->n_mounts = k->n_mounts;
    for (size_t i = 0; i < k->n_mounts; i++) {
        c->mounts[i]->container_path = mut(k->mounts[i].container_path);
        c->mounts[i]->host_path = mut(k->mounts[i].host_path);
        c->mounts[i]->readonly = k->mounts[i].readonly;
    }
}

static Runtime__V1__ContainerConfig *container(struct arena *a,
                                               const struct cri_container_config *k)
{
    NEW(a, c, Runtime__V1__ContainerConfig, runtime__v1__container_config__init);
    NEW(a, m, Runtime__V1__ContainerMetadata, runtime__v1__container_metadata__init);
    m->name = mut(k->name);
    m->attempt = k->attempt;
    c->metadata = m;
    c->image = image_spec(a, k->image, k->user_image);
    c->command = mut_list(k->command);
    c->n_command = k->n_command;
    c->args = mut_list(k->args);
    c->n_args = k->n_args;
    c->working_dir = mut(k->working_dir);
    env_and_mounts(a, c, k);
    PAIRS(a, c->labels, c->n_labels, Runtime__V1__ContainerConfig__LabelsEntry,
          runtime__v1__container_config__labels_entry__init, k->labels, k->n_labels);
    PAIRS(a, c->annotations, c->n_annotations, Runtime__V1__ContainerConfig__AnnotationsEntry,
          runtime__v1__container_config__annotations_entry__init, k->annotations, k->n_annotations);
    c->log_path = mut(k->log_path);
    c->stdin_ = k->stdin_open;
    c->stdin_once = k->stdin_once;
    c->tty = k->tty;
    c->linux_config = container_linux(a, k);
    return c;
}

int request_create_container(struct buf *b, const char *sandbox_id,
                             const struct cri_container_config *k,
                             const struct cri_sandbox_config *s)
{
    auto_arena a = ARENA(SIZE_MAX);
    Runtime__V1__CreateContainerRequest m = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;

    m.pod_sandbox_id = mut(sandbox_id);
    m.config = container(&a, k);
    m.sandbox_config = sandbox(&a, s);
    return protobuf_pack(b, &m.base);
}

int request_container_id(struct buf *b, const char *id)
{
    Runtime__V1__ContainerIdRequest m = RUNTIME__V1__CONTAINER_ID_REQUEST__INIT;

    m.container_id = mut(id);
    return protobuf_pack(b, &m.base);
}

int request_stop_container(struct buf *b, const char *id, int64_t grace_s)
{
    Runtime__V1__StopContainerRequest m = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;

    m.container_id = mut(id);
    m.timeout = grace_s;
    return protobuf_pack(b, &m.base);
}

int request_list_containers(struct buf *b, const char *sandbox_id)
{
    Runtime__V1__ListContainersRequest m = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
    Runtime__V1__ContainerFilter f = RUNTIME__V1__CONTAINER_FILTER__INIT;

    f.pod_sandbox_id = mut(sandbox_id);
    if (sandbox_id)
        m.filter = &f;
    return protobuf_pack(b, &m.base);
}

/* ---- inside a container ---- */

int request_exec_sync(struct buf *b, const char *id, const char *const *argv, size_t n_argv,
                      int64_t timeout_s)
{
    Runtime__V1__ExecSyncRequest m = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;

    m.container_id = mut(id);
    m.cmd = mut_list(argv);
    m.n_cmd = n_argv;
    m.timeout = timeout_s;
    return protobuf_pack(b, &m.base);
}

int request_exec(struct buf *b, const char *id, const char *const *argv, size_t n_argv,
                 struct cri_stream_options o)
{
    Runtime__V1__ExecRequest m = RUNTIME__V1__EXEC_REQUEST__INIT;

    m.container_id = mut(id);
    m.cmd = mut_list(argv);
    m.n_cmd = n_argv;
    m.tty = o.tty;
    m.stdin_ = o.in;
    m.stdout_ = o.out;
    m.stderr_ = o.err;
    return protobuf_pack(b, &m.base);
}

int request_attach(struct buf *b, const char *id, struct cri_stream_options o)
{
    Runtime__V1__AttachRequest m = RUNTIME__V1__ATTACH_REQUEST__INIT;

    m.container_id = mut(id);
    m.tty = o.tty;
    m.stdin_ = o.in;
    m.stdout_ = o.out;
    m.stderr_ = o.err;
    return protobuf_pack(b, &m.base);
}

int request_port_forward(struct buf *b, const char *sandbox_id, const int32_t *ports,
                         size_t n_ports)
{
    Runtime__V1__PortForwardRequest m = RUNTIME__V1__PORT_FORWARD_REQUEST__INIT;

    m.pod_sandbox_id = mut(sandbox_id);
    m.port = (int32_t *)(uintptr_t)ports;
    m.n_port = n_ports;
    return protobuf_pack(b, &m.base);
}

/* ---- images and the rest ---- */

int request_image_status(struct buf *b, const char *image)
{
    auto_arena a = ARENA(SIZE_MAX);
    Runtime__V1__ImageStatusRequest m = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;

    m.image = image_spec(&a, image, NULL);
    return protobuf_pack(b, &m.base);
}

int request_pull_image(struct buf *b, const char *image, const struct cri_sandbox_config *s)
{
    auto_arena a = ARENA(SIZE_MAX);
    Runtime__V1__PullImageRequest m = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;

    m.image = image_spec(&a, image, NULL);
    if (s)
        m.sandbox_config = sandbox(&a, s);
    return protobuf_pack(b, &m.base);
}

int request_version(struct buf *b)
{
    Runtime__V1__VersionRequest m = RUNTIME__V1__VERSION_REQUEST__INIT;

    m.version = mut("v1");
    return protobuf_pack(b, &m.base);
}

int request_runtime_config(struct buf *b, const char *pod_cidr)
{
    Runtime__V1__NetworkConfig n = RUNTIME__V1__NETWORK_CONFIG__INIT;
    Runtime__V1__RuntimeConfig c = RUNTIME__V1__RUNTIME_CONFIG__INIT;
    Runtime__V1__UpdateRuntimeConfigRequest m = RUNTIME__V1__UPDATE_RUNTIME_CONFIG_REQUEST__INIT;

    n.pod_cidr = mut(pod_cidr);
    c.network_config = &n;
    m.runtime_config = &c;
    return protobuf_pack(b, &m.base);
}

int request_subscribe(struct buf *b, const char *filter)
{
    Runtime__V1__SubscribeRequest m = RUNTIME__V1__SUBSCRIBE_REQUEST__INIT;
    char *filters[] = { mut(filter) };

    m.filters = filters;
    m.n_filters = 1;
    return protobuf_pack(b, &m.base);
}

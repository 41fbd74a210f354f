#include "agent/pod/translate.h"

#include "base/core/buf.h"
#include "base/core/mem.h"

#include <stdio.h>

#define ENV_MAX_BYTES (1024 * 1024) /* of one value after expansion; execve allows less */

static const char *copy(struct arena *a, struct str s)
{
    char *p = arena_calloc(a, 1, s.n + 1);

    return p && s.n ? memcpy(p, s.p, s.n) : p;
}

static const char *print(struct arena *a, const char *fmt, ...) PRINTF_FMT(2, 3);
static const char *print(struct arena *a, const char *fmt, ...)
{
    auto_free char *t = NULL;
    va_list ap;

    va_start(ap, fmt);
    t = mem_vprintf(fmt, ap);
    va_end(ap);
    return copy(a, str_of(t));
}

static int too_large(struct err *e)
{
    return err_set(e, ERR_LIMIT, "pod: larger than a node takes");
}

/* ---- cgroup values ---- */

int64_t translate_cpu_shares(int64_t milli)
{
    int64_t shares = milli * 1024 / 1000;

    return shares < 2 ? 2 : shares > 262144 ? 262144 : shares; /* what the kernel takes */
}

int64_t translate_cpu_quota_us(int64_t milli)
{
    int64_t quota = milli * TRANSLATE_CPU_PERIOD_US / 1000;

    return milli <= 0 ? 0 : MAX(quota, (int64_t)1000); /* the kernel's least */
}

/* kubelet's pkg/kubelet/qos/policy.go: the more a pod asked for, the later it is killed. */
int64_t translate_oom_score_adj(const struct spec *s, const struct spec_container *c,
                                int64_t memory_capacity_bytes)
{
    int64_t score;

    if (s->qos == SPEC_GUARANTEED)
        return -997;
    if (s->qos == SPEC_BEST_EFFORT || memory_capacity_bytes <= 0)
        return 1000;
    score = 1000 - 1000 * (c->memory_request_bytes / 1024) / (memory_capacity_bytes / 1024 + 1);
    return score < 3 ? 3 : score >= 1000 ? 999 : score;
}

/* ---- environment ---- */

const char *translate_expand(const char *text, const struct cri_pair *env, size_t n_env,
                             struct arena *a)
{
    auto_buf b = BUF(ENV_MAX_BYTES);
    const char *p = text, *end;

    while (*p) {
        bool known = false;

        if (p[0] == '$' && p[1] == '$') {
            if (buf_addc(&b, '$'))
                return NULL;
            p += 2;
            continue;
        }
        end = p[0] == '$' && p[1] == '(' ? strchr(p, ')') : NULL;
        for (size_t i = n_env; end && i-- > 0 && !known;) {
            struct str name = { p + 2, (size_t)(end - p - 2) };

            known = str_is(name, env[i].key);
            if (known && buf_adds(&b, env[i].value))
                return NULL;
        }
        if (known)
            p = end + 1;
        else if (buf_addc(&b, *p++))
            return NULL;
    }
    return copy(a, buf_str(&b));
}

static const char *pair_of(const struct cri_pair *v, size_t n, const char *field, size_t n_prefix)
{
    const char *key = field + n_prefix;
    size_t n_key = strlen(key) - (str_ends(str_of(key), STR("']")) ? 2 : 0);

    for (size_t i = 0; i < n; i++)
        if (str_eq(str_of(v[i].key), str_n(key, n_key)))
            return v[i].value;
    return "";
}

static const char *field_value(const char *field, const struct spec *s,
                               const struct translate_facts *f)
{
    const struct {
        const char *path, *value;
    } plain[] = {
        { "metadata.name", s->name },
        { "metadata.namespace", s->namespace },
        { "metadata.uid", s->uid },
        { "spec.nodeName", s->node_name },
        { "spec.serviceAccountName", s->service_account },
        { "status.podIP", f->pod_ip },
        { "status.podIPs", f->pod_ips },
        { "status.hostIP", f->host_ip },
        { "status.hostIPs", f->host_ips },
    };

    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (strcmp(field, plain[i].path) == 0)
            return plain[i].value ? plain[i].value : "";
    if (str_starts(str_of(field), STR("metadata.labels['")))
        return pair_of(s->labels, s->n_labels, field, 17);
    return pair_of(s->annotations, s->n_annotations, field, 22);
}

static int add_env(struct cri_container_config *out, const struct spec *s,
                   const struct spec_container *c, const struct translate_facts *f, struct arena *a,
                   struct err *e)
{
    struct cri_pair *v = arena_calloc(a, c->n_env, sizeof *v);
    size_t n = 0;

    if (!v)
        return too_large(e);
    for (size_t i = 0; i < c->n_env; i++) {
        const struct spec_env *env = &c->env[i];
        struct cri_pair p = { env->name, env->field ? field_value(env->field, s, f)
                                                    : translate_expand(env->value, v, n, a) };
        size_t at = 0;

        if (!p.value)
            return err_set(e, ERR_LIMIT, "environment variable %.60s: too long", env->name);
        while (at < n && strcmp(v[at].key, p.key) != 0)
            at++;
        v[at] = p; /* a later one of the same name replaces the earlier */
        n += at == n;
    }
    out->env = v;
    out->n_env = n;
    return 0;
}

static int expand_list(const char *const **out, const char *const *in, size_t n,
                       const struct cri_container_config *k, struct arena *a, struct err *e)
{
    const char **v = arena_calloc(a, n, sizeof *v);

    if (!v)
        return too_large(e);
    for (size_t i = 0; i < n; i++) {
        v[i] = translate_expand(in[i], k->env, k->n_env, a);
        if (!v[i])
            return err_set(e, ERR_LIMIT, "command: too long after $(VAR) expansion");
    }
    *out = v;
    return 0;
}

/* ---- DNS ---- */

static void add_words(const char **v, size_t *n, size_t n_max, struct str words, struct arena *a)
{
    struct str word;

    for (words = str_trim(words); words.n && *n < n_max; words = str_trim(words)) {
        size_t i = 0;

        while (i < words.n && words.p[i] != ' ' && words.p[i] != '\t')
            i++;
        word = str_n(words.p, i);
        words = str_n(words.p + i, words.n - i);
        v[*n] = copy(a, word);
        if (v[*n])
            (*n)++;
    }
}

#define SERVERS_MAX  3 /* what resolvers read */
#define SEARCHES_MAX 32
#define OPTIONS_MAX  16

void translate_resolv_conf(struct translate_dns *out, struct str text, struct arena *a)
{
    struct str line;

    *out = (struct translate_dns){ .servers = arena_calloc(a, SERVERS_MAX, sizeof(char *)),
                                   .searches = arena_calloc(a, SEARCHES_MAX, sizeof(char *)),
                                   .options = arena_calloc(a, OPTIONS_MAX, sizeof(char *)) };
    if (!out->servers || !out->searches || !out->options)
        return;
    while (text.n) {
        str_cut(text, '\n', &line, &text);
        line = str_trim(line);
        if (str_starts(line, STR("nameserver ")) || str_starts(line, STR("nameserver\t"))) {
            add_words(out->servers, &out->n_servers, SERVERS_MAX, str_n(line.p + 11, line.n - 11),
                      a);
        } else if (str_starts(line, STR("search ")) || str_starts(line, STR("search\t"))) {
            out->n_searches = 0; /* the last line counts, resolv.conf(5) */
            add_words(out->searches, &out->n_searches, SEARCHES_MAX, str_n(line.p + 7, line.n - 7),
                      a);
        } else if (str_starts(line, STR("options ")) || str_starts(line, STR("options\t"))) {
            add_words(out->options, &out->n_options, OPTIONS_MAX, str_n(line.p + 8, line.n - 8), a);
        }
    }
}

static const char **join(const char *const *x, size_t n_x, const char *const *y, size_t n_y,
                         size_t *n, struct arena *a)
{
    const char **v = arena_calloc(a, n_x + n_y, sizeof *v);

    *n = 0;
    for (size_t i = 0; v && i < n_x + n_y; i++) {
        const char *t = i < n_x ? x[i] : y[i - n_x];
        size_t k = 0;

        while (k < *n && strcmp(v[k], t) != 0)
            k++;
        if (k == *n)
            v[(*n)++] = t;
    }
    return v;
}

static int add_dns(struct cri_sandbox_config *out, const struct spec *s,
                   const struct translate_facts *f, struct arena *a, struct err *e)
{
    static const char *const ndots[] = { "ndots:5" }; /* kubelet's defaultDNSOptions */
    bool cluster = s->dns == SPEC_DNS_CLUSTER_FIRST && f->n_cluster_dns;
    bool host = s->dns == SPEC_DNS_DEFAULT || (s->dns == SPEC_DNS_CLUSTER_FIRST && !cluster);
    const char *domains[3] = { NULL };
    const char **searches;
    size_t n;

    domains[0] = print(a, "%s.svc.%s", s->namespace, f->cluster_domain);
    domains[1] = print(a, "svc.%s", f->cluster_domain);
    domains[2] = print(a, "%s", f->cluster_domain);
    if (!domains[0] || !domains[1] || !domains[2])
        return too_large(e);
    /* The cluster's, then the host's search domains; or the host's alone; then the pod's own. */
    searches = join(domains, cluster ? 3 : 0, f->dns_searches,
                    cluster || host ? f->n_dns_searches : 0, &n, a);
    if (!searches)
        return too_large(e);
    out->dns_searches =
        join(searches, n, s->dns_searches, s->n_dns_searches, &out->n_dns_searches, a);
    out->dns_servers = join(cluster ? f->cluster_dns : f->dns_servers,
                            cluster ? f->n_cluster_dns
                            : host  ? f->n_dns_servers
                                    : 0,
                            s->dns_servers, s->n_dns_servers, &out->n_dns_servers, a);
    out->dns_options = join(cluster ? ndots : f->dns_options,
                            cluster ? 1
                            : host  ? f->n_dns_options
                                    : 0,
                            s->dns_options, s->n_dns_options, &out->n_dns_options, a);
    return out->dns_searches && out->dns_servers && out->dns_options ? 0 : too_large(e);
}

/* ---- sandbox ---- */

static int sandbox_pairs(struct cri_sandbox_config *out, const struct spec *s, struct arena *a,
                         struct err *e)
{
    struct cri_pair *v = arena_calloc(a, s->n_labels + 3, sizeof *v);
    size_t n = 0;

    if (!v)
        return too_large(e);
    for (size_t i = 0; i < s->n_labels; i++)
        v[n++] = s->labels[i];
    v[n++] = (struct cri_pair){ LABEL_POD_NAME, s->name };
    v[n++] = (struct cri_pair){ LABEL_POD_NAMESPACE, s->namespace };
    v[n++] = (struct cri_pair){ LABEL_POD_UID, s->uid };
    out->labels = v;
    out->n_labels = n;
    out->annotations = s->annotations;
    out->n_annotations = s->n_annotations;
    return 0;
}

int translate_sandbox(struct cri_sandbox_config *out, const struct spec *s,
                      const struct translate_facts *f, uint32_t attempt, struct arena *a,
                      struct err *e)
{
    *out = (struct cri_sandbox_config){ .name = s->name,
                                        .uid = s->uid,
                                        .namespace = s->namespace,
                                        .attempt = attempt,
                                        .hostname = s->host_network ? "" : s->host_name,
                                        .log_directory = f->log_dir,
                                        .ports = s->ports,
                                        .n_ports = s->host_network ? 0 : s->n_ports,
                                        .sysctls = s->sysctls,
                                        .n_sysctls = s->n_sysctls,
                                        .host_network = s->host_network,
                                        .host_pid = s->host_pid,
                                        .host_ipc = s->host_ipc };
    for (size_t i = 0; i < s->n_containers; i++)
        out->privileged = out->privileged || s->containers[i].privileged;
    return sandbox_pairs(out, s, a, e) || add_dns(out, s, f, a, e) ? e->code : 0;
}

/* ---- containers ---- */

static int add_mounts(struct cri_container_config *out, const struct spec *s,
                      const struct spec_container *c, const struct translate_facts *f,
                      struct arena *a, struct err *e)
{
    struct cri_mount *v = arena_calloc(a, c->n_mounts, sizeof *v);

    if (!v)
        return too_large(e);
    for (size_t i = 0; i < c->n_mounts; i++) {
        const struct spec_volume *volume = &s->volumes[c->mounts[i].volume];

        v[i].container_path = c->mounts[i].path;
        v[i].readonly = c->mounts[i].read_only;
        v[i].host_path = volume->kind == SPEC_HOST_PATH
                             ? volume->path
                             : print(a, "%s/%s", f->volume_dir, volume->name);
        if (!v[i].host_path)
            return too_large(e);
    }
    out->mounts = v;
    out->n_mounts = c->n_mounts;
    return 0;
}

static int container_pairs(struct cri_container_config *out, const struct spec *s,
                           const struct spec_container *c, struct arena *a, struct err *e)
{
    struct cri_pair *labels = arena_calloc(a, 4, sizeof *labels);
    struct cri_pair *annotations = arena_calloc(a, 2, sizeof *annotations);
    const char *count = print(a, "%u", out->attempt),
               *grace = print(a, "%lld", (long long)s->grace_s);

    if (!labels || !annotations || !count || !grace)
        return too_large(e);
    labels[0] = (struct cri_pair){ LABEL_POD_NAME, s->name };
    labels[1] = (struct cri_pair){ LABEL_POD_NAMESPACE, s->namespace };
    labels[2] = (struct cri_pair){ LABEL_POD_UID, s->uid };
    labels[3] = (struct cri_pair){ LABEL_CONTAINER_NAME, c->name };
    annotations[0] = (struct cri_pair){ ANNO_RESTART_COUNT, count };
    annotations[1] = (struct cri_pair){ ANNO_GRACE, grace };
    out->labels = labels;
    out->n_labels = 4;
    out->annotations = annotations;
    out->n_annotations = 2;
    return 0;
}

/* What containers do not see of /proc and /sys unless privileged (kubelet's
 * pkg/securitycontext/util.go, default masks). */
static const char *const masked[] = {
    "/proc/asound",        "/proc/acpi",       "/proc/kcore",       "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",          "/sys/firmware",
};
static const char *const readonly[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static void add_security(struct cri_container_config *out, const struct spec *s,
                         const struct spec_container *c)
{
    out->privileged = c->privileged;
    out->readonly_rootfs = c->readonly_rootfs;
    out->no_new_privs = c->no_new_privs;
    out->host_network = s->host_network;
    out->host_pid = s->host_pid;
    out->host_ipc = s->host_ipc;
    out->has_user = c->has_user;
    out->user = c->user;
    out->has_group = c->has_group;
    out->group = c->group;
    out->supplemental_groups = s->supplemental_groups;
    out->n_supplemental_groups = s->n_supplemental_groups;
    out->add_capabilities = c->add_capabilities;
    out->n_add_capabilities = c->n_add_capabilities;
    out->drop_capabilities = c->drop_capabilities;
    out->n_drop_capabilities = c->n_drop_capabilities;
    out->seccomp_default = !c->seccomp_unconfined;
    if (!c->privileged) {
        out->masked_paths = masked;
        out->n_masked_paths = ARRAY_LEN(masked);
        out->readonly_paths = readonly;
        out->n_readonly_paths = ARRAY_LEN(readonly);
    }
}

int translate_container(struct cri_container_config *out, const struct spec *s, size_t index,
                        const struct translate_facts *f, uint32_t attempt, const char *image,
                        struct arena *a, struct err *e)
{
    const struct spec_container *c = &s->containers[index];

    *out = (struct cri_container_config){ .name = c->name,
                                          .attempt = attempt,
                                          .image = image,
                                          .user_image = c->image,
                                          .n_command = c->n_command,
                                          .n_args = c->n_args,
                                          .working_dir = c->working_dir,
                                          .stdin_open = c->stdin_open,
                                          .stdin_once = c->stdin_once,
                                          .tty = c->tty };
    out->cpu_shares = translate_cpu_shares(c->cpu_request_milli);
    out->cpu_quota_us = translate_cpu_quota_us(c->cpu_limit_milli);
    out->cpu_period_us = out->cpu_quota_us ? TRANSLATE_CPU_PERIOD_US : 0;
    out->memory_limit_bytes = c->memory_limit_bytes;
    out->oom_score_adj = translate_oom_score_adj(s, c, f->memory_capacity_bytes);
    out->log_path = print(a, "%s/%u.log", c->name, attempt);
    if (!out->log_path)
        return too_large(e);
    add_security(out, s, c);
    return add_env(out, s, c, f, a, e) ||
                   expand_list(&out->command, c->command, c->n_command, out, a, e) ||
                   expand_list(&out->args, c->args, c->n_args, out, a, e) ||
                   add_mounts(out, s, c, f, a, e) || container_pairs(out, s, c, a, e)
               ? e->code
               : 0;
}

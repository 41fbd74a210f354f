#include "agent/pod/spec.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/quantity.h"

#include <stdio.h>

/* ---- what is refused: path in a pod or container, and what of it is still fine ---- */

struct refusal {
    const char *path;
    const char *fine; /* this one text value is the default and means nothing special */
};

static const struct refusal pod_refusals[] = {
    { "activeDeadlineSeconds", NULL },
    { "ephemeralContainers", NULL },
    { "hostAliases", NULL },
    { "overhead", NULL },
    { "readinessGates", NULL },
    { "resourceClaims", NULL },
    { "resources", NULL },
    { "runtimeClassName", NULL },
    { "setHostnameAsFQDN", NULL },
    { "shareProcessNamespace", NULL },
    { "securityContext.seLinuxOptions", NULL },
    { "securityContext.windowsOptions", NULL },
    { "securityContext.appArmorProfile", NULL },
    { "securityContext.fsGroup", NULL },
};

static const struct refusal container_refusals[] = {
    { "envFrom", NULL },
    { "lifecycle", NULL },
    { "livenessProbe", NULL },
    { "readinessProbe", NULL },
    { "startupProbe", NULL },
    { "restartPolicy", NULL },
    { "volumeDevices", NULL },
    { "resources.claims", NULL },
    { "securityContext.seLinuxOptions", NULL },
    { "securityContext.windowsOptions", NULL },
    { "securityContext.appArmorProfile", NULL },
    { "securityContext.procMount", "Default" },
};

/* Empty lists and objects and false ask for nothing. */
static bool asks_for_something(const json_t *j, const char *fine)
{
    if (!j || json_is_null(j) || json_is_false(j))
        return false;
    if (json_is_array(j) || json_is_object(j))
        return json_array_size(j) + json_object_size(j) > 0;
    return !(fine && json_is_string(j) && strcmp(json_string_value(j), fine) == 0);
}

static int refuse(struct err *e, const char *where, const char *path)
{
    return err_set(e, ERR_AGAIN, "%s%s: not supported by this node yet", where, path);
}

static int check_refusals(const json_t *j, const char *where, const struct refusal *v, size_t n,
                          struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (asks_for_something(json_at(j, v[i].path), v[i].fine))
            return refuse(e, where, v[i].path);
    return 0;
}

/* ---- small readers ---- */

static const char *copy(struct spec *s, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = arena_calloc(&s->arena, 1, n);

    return p ? memcpy(p, text, n) : NULL;
}

static void *list(struct spec *s, size_t n, size_t size, struct err *e)
{
    void *p = arena_calloc(&s->arena, n, size);

    if (!p)
        err_set(e, ERR_LIMIT, "spec: larger than %u bytes", SPEC_MAX_BYTES);
    return p;
}

static const char *text_at(struct spec *s, const json_t *j, const char *path, const char *fallback)
{
    const char *t = json_str_at(j, path, fallback);
    const char *c = t ? copy(s, t) : NULL;

    return c ? c : fallback;
}

static int texts_at(struct spec *s, const json_t *j, const char *path, const char *const **out,
                    size_t *n_out, struct err *e)
{
    const json_t *a = json_at(j, path);
    size_t n = json_array_size(a);
    const char **v = list(s, n, sizeof *v, e);

    if (!v)
        return e->code;
    for (size_t i = 0; i < n; i++) {
        const char *t = json_string_value(json_array_get(a, i));

        v[i] = copy(s, t ? t : "");
        if (!v[i])
            return err_set(e, ERR_LIMIT, "%s: too large", path);
    }
    *out = v;
    *n_out = n;
    return 0;
}

static int pairs_at(struct spec *s, json_t *j, struct cri_pair **out, size_t *n_out, struct err *e)
{
    struct cri_pair *v = list(s, json_object_size(j), sizeof *v, e);
    size_t n = 0;
    const char *key;
    json_t *value;

    if (!v)
        return e->code;
    json_object_foreach(j, key, value)
    {
        v[n].key = copy(s, key);
        v[n].value = copy(s, json_is_string(value) ? json_string_value(value) : "");
        if (!v[n].key || !v[n].value)
            return err_set(e, ERR_LIMIT, "labels or annotations: too large");
        n++;
    }
    *out = v;
    *n_out = n;
    return 0;
}

static int amount(int64_t *out, const json_t *c, const char *path, bool milli, const char *where,
                  struct err *e)
{
    const json_t *j = json_at(c, path);
    struct quantity q;
    char number[32];
    const char *t = number;

    *out = 0;
    if (!j)
        return 0;
    if (json_is_string(j))
        t = json_string_value(j);
    else
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(j));
    if (quantity_parse(&q, str_of(t), e))
        return err_wrap(e, "%s%s", where, path);
    *out = milli ? quantity_milli_value(&q) : quantity_value(&q);
    return 0;
}

/* ---- volumes ---- */

/* The volume with the token that the API server adds to every pod: left out until tokens are
 * mounted; nothing but an API client in the pod misses it. */
static bool is_api_access(const json_t *v)
{
    return json_at(v, "projected") &&
           str_starts(str_of(json_str_at(v, "name", "")), STR("kube-api-access-"));
}

static int read_volume(struct spec *s, struct spec_volume *v, const json_t *j, struct err *e)
{
    static const char *const fine[] = { "", "Directory", "DirectoryOrCreate", "File",
                                        "FileOrCreate" };
    const char *key;
    json_t *value;
    char where[64];

    v->name = text_at(s, j, "name", "");
    snprintf(where, sizeof where, "spec.volumes[%.20s].", v->name);
    if (json_at(j, "emptyDir")) {
        v->kind = SPEC_EMPTY_DIR;
        v->in_memory = strcmp(json_str_at(j, "emptyDir.medium", ""), "Memory") == 0;
        return amount(&v->size_bytes, j, "emptyDir.sizeLimit", false, where, e);
    }
    if (json_at(j, "hostPath")) {
        v->kind = SPEC_HOST_PATH;
        v->path = text_at(s, j, "hostPath.path", "");
        v->type = text_at(s, j, "hostPath.type", "");
        for (size_t i = 0; i < ARRAY_LEN(fine); i++)
            if (strcmp(v->type, fine[i]) == 0)
                return v->path[0] == '/' ? 0
                                         : err_set(e, ERR_INVALID,
                                                   "%shostPath.path: not an absolute path", where);
        return refuse(e, where, "hostPath.type");
    }
    json_object_foreach((json_t *)(uintptr_t)j, key,
                        value) if (strcmp(key, "name") != 0) return refuse(e, where, key);
    return err_set(e, ERR_INVALID, "%s: no kind of volume", where);
}

static int read_volumes(struct spec *s, const json_t *spec, struct err *e)
{
    const json_t *a = json_at(spec, "volumes");
    size_t i;
    json_t *j;

    s->volumes = list(s, json_array_size(a), sizeof *s->volumes, e);
    if (!s->volumes)
        return e->code;
    json_array_foreach(a, i, j)
    {
        if (is_api_access(j))
            continue;
        if (read_volume(s, &s->volumes[s->n_volumes], j, e))
            return e->code;
        s->n_volumes++;
    }
    return 0;
}

static bool is_left_out(const json_t *spec, const char *name)
{
    const json_t *a = json_at(spec, "volumes");
    size_t i;
    json_t *j;

    json_array_foreach(a, i, j) if (strcmp(json_str_at(j, "name", ""), name) ==
                                    0) return is_api_access(j);
    return false;
}

static int read_mounts(struct spec *s, struct spec_container *c, const json_t *spec,
                       const json_t *j, const char *where, struct err *e)
{
    const json_t *a = json_at(j, "volumeMounts");
    size_t i;
    json_t *m;

    c->mounts = list(s, json_array_size(a), sizeof *c->mounts, e);
    if (!c->mounts)
        return e->code;
    json_array_foreach(a, i, m)
    {
        struct spec_mount *out = &c->mounts[c->n_mounts];
        const char *name = json_str_at(m, "name", "");

        if (is_left_out(spec, name))
            continue;
        if (asks_for_something(json_at(m, "subPathExpr"), NULL))
            return refuse(e, where, "volumeMounts.subPathExpr");
        if (asks_for_something(json_at(m, "mountPropagation"), "None"))
            return refuse(e, where, "volumeMounts.mountPropagation");
        if (asks_for_something(json_at(m, "recursiveReadOnly"), "Disabled"))
            return refuse(e, where, "volumeMounts.recursiveReadOnly");
        for (out->volume = 0; out->volume < s->n_volumes; out->volume++)
            if (strcmp(s->volumes[out->volume].name, name) == 0)
                break;
        if (out->volume == s->n_volumes)
            return err_set(e, ERR_INVALID, "%svolumeMounts: no volume \"%s\"", where, name);
        out->path = text_at(s, m, "mountPath", "");
        out->sub_path = text_at(s, m, "subPath", "");
        out->read_only = json_bool_at(m, "readOnly", false);
        /* A link inside the volume could lead out of it: needs the care that comes with volumes. */
        if (*out->sub_path)
            return refuse(e, where, "volumeMounts.subPath");
        c->n_mounts++;
    }
    return 0;
}

/* ---- containers ---- */

static const char *const fields[] = {
    "metadata.name", "metadata.namespace",      "metadata.uid",
    "spec.nodeName", "spec.serviceAccountName", "status.podIP",
    "status.podIPs", "status.hostIP",           "status.hostIPs",
};

static int read_env(struct spec *s, struct spec_container *c, const json_t *j, const char *where,
                    struct err *e)
{
    const json_t *a = json_at(j, "env");
    size_t i, k;
    json_t *v;

    c->env = list(s, json_array_size(a), sizeof *c->env, e);
    if (!c->env)
        return e->code;
    json_array_foreach(a, i, v)
    {
        struct spec_env *out = &c->env[c->n_env++];
        const json_t *from = json_at(v, "valueFrom");

        out->name = text_at(s, v, "name", "");
        out->value = text_at(s, v, "value", "");
        if (!from)
            continue;
        out->field = text_at(s, from, "fieldRef.fieldPath", NULL);
        if (!out->field)
            return err_set(e, ERR_AGAIN,
                           "%senv[%.40s].valueFrom: only fieldRef is supported by this node yet",
                           where, out->name);
        for (k = 0; k < ARRAY_LEN(fields) && strcmp(out->field, fields[k]) != 0; k++)
            ;
        if (k == ARRAY_LEN(fields) && !str_starts(str_of(out->field), STR("metadata.labels['")) &&
            !str_starts(str_of(out->field), STR("metadata.annotations['")))
            return err_set(e, ERR_AGAIN,
                           "%senv[%.40s].valueFrom.fieldRef %.60s: not supported by this node yet",
                           where, out->name, out->field);
    }
    return 0;
}

static int read_resources(struct spec_container *c, const json_t *j, const char *where,
                          struct err *e)
{
    if (amount(&c->cpu_limit_milli, j, "resources.limits.cpu", true, where, e) ||
        amount(&c->memory_limit_bytes, j, "resources.limits.memory", false, where, e) ||
        amount(&c->cpu_request_milli, j, "resources.requests.cpu", true, where, e) ||
        amount(&c->memory_request_bytes, j, "resources.requests.memory", false, where, e))
        return e->code;
    if (!json_at(j, "resources.requests.cpu"))
        c->cpu_request_milli = c->cpu_limit_milli;
    if (!json_at(j, "resources.requests.memory"))
        c->memory_request_bytes = c->memory_limit_bytes;
    return 0;
}

/* The container's word counts before the pod's. */
static const json_t *security(const json_t *spec, const json_t *j, const char *key)
{
    char path[64];
    const json_t *v;

    snprintf(path, sizeof path, "securityContext.%s", key);
    v = json_at(j, path);
    return v ? v : json_at(spec, path);
}

static int read_security(struct spec *s, struct spec_container *c, const json_t *spec,
                         const json_t *j, const char *where, struct err *e)
{
    const json_t *user = security(spec, j, "runAsUser"), *group = security(spec, j, "runAsGroup");
    const json_t *escalate = json_at(j, "securityContext.allowPrivilegeEscalation");
    const char *seccomp = json_string_value(security(spec, j, "seccompProfile.type"));

    c->has_user = json_is_integer(user);
    c->user = json_integer_value(user);
    c->has_group = json_is_integer(group);
    c->group = json_integer_value(group);
    c->non_root = json_is_true(security(spec, j, "runAsNonRoot"));
    c->privileged = json_bool_at(j, "securityContext.privileged", false);
    c->readonly_rootfs = json_bool_at(j, "securityContext.readOnlyRootFilesystem", false);
    c->no_new_privs = json_is_false(escalate);
    if (c->has_group && !c->has_user)
        return err_set(e, ERR_INVALID, "%ssecurityContext.runAsGroup: needs runAsUser", where);
    if (c->non_root && c->has_user && c->user == 0)
        return err_set(
            e, ERR_INVALID,
            "%ssecurityContext.runAsNonRoot: container's runAsUser breaks non-root policy", where);
    /* kubelet without seccompDefault: unconfined unless asked for. */
    c->seccomp_unconfined = !seccomp || strcmp(seccomp, "Unconfined") == 0;
    if (seccomp && strcmp(seccomp, "Localhost") == 0)
        return refuse(e, where, "securityContext.seccompProfile.localhostProfile");
    if (texts_at(s, j, "securityContext.capabilities.add", &c->add_capabilities,
                 &c->n_add_capabilities, e) ||
        texts_at(s, j, "securityContext.capabilities.drop", &c->drop_capabilities,
                 &c->n_drop_capabilities, e))
        return e->code;
    return 0;
}

static enum spec_pull pull_policy(const json_t *j)
{
    const char *p = json_str_at(j, "imagePullPolicy", "");

    if (strcmp(p, "Always") == 0)
        return SPEC_PULL_ALWAYS;
    return strcmp(p, "Never") == 0 ? SPEC_PULL_NEVER : SPEC_IF_NOT_PRESENT;
}

static int read_container(struct spec *s, struct spec_container *c, const json_t *spec,
                          const json_t *j, const char *kind, size_t i, struct err *e)
{
    char where[64];

    snprintf(where, sizeof where, "spec.%s[%zu].", kind, i);
    if (check_refusals(j, where, container_refusals, ARRAY_LEN(container_refusals), e))
        return e->code;
    c->name = text_at(s, j, "name", "");
    c->image = text_at(s, j, "image", "");
    if (!*c->name || !*c->image)
        return err_set(e, ERR_INVALID, "%s%s: required", where, *c->name ? "image" : "name");
    c->pull = pull_policy(j);
    c->working_dir = text_at(s, j, "workingDir", "");
    c->tty = json_bool_at(j, "tty", false);
    c->stdin_open = json_bool_at(j, "stdin", false);
    c->stdin_once = json_bool_at(j, "stdinOnce", false);
    if (texts_at(s, j, "command", &c->command, &c->n_command, e) ||
        texts_at(s, j, "args", &c->args, &c->n_args, e))
        return err_wrap(e, "%s", where);
    return read_env(s, c, j, where, e) || read_resources(c, j, where, e) ||
                   read_security(s, c, spec, j, where, e) || read_mounts(s, c, spec, j, where, e)
               ? e->code
               : 0;
}

static int read_containers(struct spec *s, const json_t *spec, struct err *e)
{
    const json_t *init = json_at(spec, "initContainers"), *main = json_at(spec, "containers");
    size_t n_main = json_array_size(main);

    s->n_init = json_array_size(init);
    if (!n_main)
        return err_set(e, ERR_INVALID, "spec.containers: required");
    if (s->n_init + n_main > SPEC_CONTAINERS_MAX)
        return err_set(e, ERR_LIMIT, "spec.containers: more than %d", SPEC_CONTAINERS_MAX);
    s->n_containers = s->n_init + n_main;
    s->containers = list(s, s->n_containers, sizeof *s->containers, e);
    if (!s->containers)
        return e->code;
    for (size_t i = 0; i < s->n_containers; i++) {
        bool is_init = i < s->n_init;
        size_t k = is_init ? i : i - s->n_init;

        if (read_container(s, &s->containers[i], spec, json_array_get(is_init ? init : main, k),
                           is_init ? "initContainers" : "containers", k, e))
            return e->code;
    }
    return 0;
}

/* ---- the pod ---- */

static int read_ports(struct spec *s, const json_t *spec, struct err *e)
{
    const json_t *containers = json_at(spec, "containers");
    size_t i, k, n = 0;
    json_t *c, *p;

    json_array_foreach(containers, i, c) n += json_array_size(json_at(c, "ports"));
    s->ports = list(s, n, sizeof *s->ports, e);
    if (!s->ports)
        return e->code;
    json_array_foreach(containers, i, c)
    {
        const json_t *ports = json_at(c, "ports");

        json_array_foreach(ports, k, p)
        {
            const char *protocol = json_str_at(p, "protocol", "TCP");

            s->ports[s->n_ports++] =
                (struct cri_port){ .protocol = strcmp(protocol, "UDP") == 0    ? CRI_UDP
                                               : strcmp(protocol, "SCTP") == 0 ? CRI_SCTP
                                                                               : CRI_TCP,
                                   .container_port = (int32_t)json_i64_at(p, "containerPort", 0),
                                   .host_port = (int32_t)json_i64_at(p, "hostPort", 0),
                                   .host_ip = text_at(s, p, "hostIP", "") };
        }
    }
    return 0;
}

static int read_dns(struct spec *s, const json_t *spec, struct err *e)
{
    const char *policy = json_str_at(spec, "dnsPolicy", "ClusterFirst");
    const json_t *options = json_at(spec, "dnsConfig.options");
    const char **v = list(s, json_array_size(options), sizeof *v, e);
    size_t i;
    json_t *o;

    if (!v)
        return e->code;
    s->dns =
        strcmp(policy, "None") == 0      ? SPEC_DNS_NONE
        : strcmp(policy, "Default") == 0 ? SPEC_DNS_DEFAULT
        /* ClusterFirst with the host's network means the host's DNS (API reference, PodSpec) */
        : s->host_network && strcmp(policy, "ClusterFirst") == 0 ? SPEC_DNS_DEFAULT
                                                                 : SPEC_DNS_CLUSTER_FIRST;
    json_array_foreach(options, i, o)
    {
        const char *value = json_str_at(o, "value", "");
        auto_free char *t =
            mem_printf("%s%s%s", json_str_at(o, "name", ""), *value ? ":" : "", value);

        v[i] = copy(s, t);
        if (!v[i])
            return err_set(e, ERR_LIMIT, "spec.dnsConfig.options: too large");
    }
    s->dns_options = v;
    s->n_dns_options = json_array_size(options);
    return texts_at(s, spec, "dnsConfig.nameservers", &s->dns_servers, &s->n_dns_servers, e) ||
                   texts_at(s, spec, "dnsConfig.searches", &s->dns_searches, &s->n_dns_searches, e)
               ? e->code
               : 0;
}

static int read_pod_security(struct spec *s, const json_t *spec, struct err *e)
{
    const json_t *groups = json_at(spec, "securityContext.supplementalGroups");
    const json_t *sysctls = json_at(spec, "securityContext.sysctls");
    int64_t *v = list(s, json_array_size(groups), sizeof *v, e);
    size_t i;
    json_t *j;

    s->sysctls = v ? list(s, json_array_size(sysctls), sizeof *s->sysctls, e) : NULL;
    if (!s->sysctls)
        return e->code;
    json_array_foreach(groups, i, j) v[s->n_supplemental_groups++] = json_integer_value(j);
    s->supplemental_groups = v;
    json_array_foreach(sysctls, i, j) s->sysctls[s->n_sysctls++] =
        (struct cri_pair){ text_at(s, j, "name", ""), text_at(s, j, "value", "") };
    if (json_is_false(json_at(spec, "hostUsers")))
        return refuse(e, "spec.", "hostUsers");
    return 0;
}

/* Upstream's rule (API reference, "Quality of Service"): no requests or limits at all: best
 * effort; limits for cpu and memory equal to the requests everywhere: guaranteed. */
static enum spec_qos qos_of(const struct spec *s)
{
    bool any = false, all = true;

    for (size_t i = 0; i < s->n_containers; i++) {
        const struct spec_container *c = &s->containers[i];

        any = any || c->cpu_request_milli || c->cpu_limit_milli || c->memory_request_bytes ||
              c->memory_limit_bytes;
        all = all && c->cpu_limit_milli && c->memory_limit_bytes &&
              c->cpu_limit_milli == c->cpu_request_milli &&
              c->memory_limit_bytes == c->memory_request_bytes;
    }
    return !any ? SPEC_BEST_EFFORT : all ? SPEC_GUARANTEED : SPEC_BURSTABLE;
}

static int read_all(struct spec *s, const json_t *pod, struct err *e)
{
    const json_t *spec = json_at(pod, "spec");
    const char *restart = json_str_at(spec, "restartPolicy", "Always");

    if (check_refusals(spec, "spec.", pod_refusals, ARRAY_LEN(pod_refusals), e))
        return e->code;
    s->name = copy(s, meta_name(pod));
    s->namespace = copy(s, meta_namespace(pod));
    s->uid = copy(s, meta_uid(pod));
    if (!s->name || !*s->name || !s->namespace || !*s->namespace || !s->uid || !*s->uid)
        return err_set(e, ERR_INVALID, "metadata: name, namespace and uid are required");
    s->node_name = text_at(s, spec, "nodeName", "");
    s->service_account = text_at(s, spec, "serviceAccountName", "default");
    s->host_name = text_at(s, spec, "hostname", s->name);
    s->restart = strcmp(restart, "Never") == 0       ? SPEC_NEVER
                 : strcmp(restart, "OnFailure") == 0 ? SPEC_ON_FAILURE
                                                     : SPEC_ALWAYS;
    s->host_network = json_bool_at(spec, "hostNetwork", false);
    s->host_pid = json_bool_at(spec, "hostPID", false);
    s->host_ipc = json_bool_at(spec, "hostIPC", false);
    s->grace_s = json_i64_at(spec, "terminationGracePeriodSeconds", 30);
    if (pairs_at(s, json_at(pod, "metadata.labels"), &s->labels, &s->n_labels, e) ||
        pairs_at(s, json_at(pod, "metadata.annotations"), &s->annotations, &s->n_annotations, e) ||
        read_dns(s, spec, e) || read_ports(s, spec, e) || read_pod_security(s, spec, e) ||
        read_volumes(s, spec, e) || read_containers(s, spec, e))
        return e->code;
    s->qos = qos_of(s);
    return 0;
}

int spec_read(struct spec **out, const json_t *pod, struct err *e)
{
    AUTO(spec) struct spec *s = mem_alloc(sizeof *s);

    s->arena = ARENA(SPEC_MAX_BYTES);
    if (read_all(s, pod, e))
        return e->code;
    *out = STEAL(s);
    return 0;
}

void spec_free(struct spec *s)
{
    if (!s)
        return;
    arena_deinit(&s->arena);
    free(s);
}

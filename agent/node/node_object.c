#include "agent/node/node_object.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/digest.h"
#include "base/kube/name.h"

#include <stdio.h>

/* Pressure thresholds: K3s's kubelet configuration (evictionHard of nodefs, kubelet's own of
 * memory). */
#define DISK_AVAILABLE_MIN_PERCENT 5
#define MEMORY_AVAILABLE_MIN_BYTES (100ull << 20)
#define PIDS_AVAILABLE_MIN         0

/* K3s pkg/nodeconfig: set in the modes in which agents carry traffic of pods, else taken away. */
#define POD_EGRESS_LABEL "egress.k3s.io/cluster"

static void set_str(json_t *o, const char *key, const char *value)
{
    json_object_set_new(o, key, json_str_of(str_of(value)));
}

static void set_joined(json_t *o, const char *key, const char *const *v, size_t n)
{
    auto_buf b = BUF(4096);

    for (size_t i = 0; i < n; i++)
        if ((i && buf_addc(&b, ',')) || buf_adds(&b, v[i]))
            break; /* more than any host has */
    if (n)
        set_str(o, key, buf_cstr(&b));
}

/* base32 of SHA-256 over both texts (K3s pkg/nodeconfig). */
static void set_config_hash(json_t *annotations, const struct node_object *n)
{
    auto_free char *both = mem_printf("%s%s", n->node_args, n->node_env);
    unsigned char hash[32];
    auto_buf text = BUF(128);

    digest_sha256(hash, str_of(both));
    err_ignore(base32_add(&text, str_n(hash, sizeof hash))); /* 56 bytes fit */
    set_str(annotations, "k3s.io/node-config-hash", buf_cstr(&text));
}

static json_t *annotations_of(const struct node_object *n)
{
    json_t *a = json_object();

    set_str(a, "k3s.io/hostname", n->host_name);
    set_joined(a, "k3s.io/internal-ip", n->ips, n->n_ips);
    set_joined(a, "k3s.io/external-ip", n->external_ips, n->n_external_ips);
    set_joined(a, "k3s.io/internal-dns", n->internal_dns, n->n_internal_dns);
    set_joined(a, "k3s.io/external-dns", n->external_dns, n->n_external_dns);
    set_str(a, "k3s.io/node-args", n->node_args);
    set_str(a, "k3s.io/node-env", n->node_env);
    set_config_hash(a, n);
    set_str(a, "node.alpha.kubernetes.io/ttl", "0");
    set_str(a, "volumes.kubernetes.io/controller-managed-attach-detach", "true");
    return a;
}

static json_t *labels_of(const struct node_object *n)
{
    json_t *l = json_object();

    set_str(l, "beta.kubernetes.io/arch", n->machine->architecture);
    set_str(l, "beta.kubernetes.io/os", "linux");
    set_str(l, "kubernetes.io/arch", n->machine->architecture);
    set_str(l, "kubernetes.io/hostname", n->name);
    set_str(l, "kubernetes.io/os", "linux");
    for (size_t i = 0; i < n->n_labels; i++) {
        struct str key, value;
        str_cut(str_of(n->labels[i]), '=', &key, &value);
        auto_free char *k = str_dup(key);
        json_object_set_new(l, k, json_str_of(value));
    }
    json_object_del(l, POD_EGRESS_LABEL); /* not --node-label's to decide */
    if (n->pod_egress)
        set_str(l, POD_EGRESS_LABEL, "true");
    return l;
}

static int check_label(const char *text, struct err *e)
{
    struct str key, value;
    const char *why;

    if (!str_cut(str_of(text), '=', &key, &value))
        return err_set(e, ERR_INVALID, "--node-label \"%s\": it wants key=value", text);
    why = name_check_qualified(key);
    if (!why)
        why = name_check_label_value(value);
    return why ? err_set(e, ERR_INVALID, "--node-label \"%s\": %s", text, why) : 0;
}

/* "key=value:Effect" or "key:Effect" */
static int add_taint(json_t *taints, const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    struct str key, value;

    if (!colon || (strcmp(colon, ":NoSchedule") != 0 && strcmp(colon, ":PreferNoSchedule") != 0 &&
                   strcmp(colon, ":NoExecute") != 0))
        return err_set(e, ERR_INVALID,
                       "--node-taint \"%s\": it wants key=value:Effect with the effect NoSchedule, "
                       "PreferNoSchedule or NoExecute",
                       text);
    bool has_value = str_cut(str_n(text, (size_t)(colon - text)), '=', &key, &value);
    const char *why = name_check_qualified(key);
    if (!why && has_value)
        why = name_check_label_value(value);
    if (why)
        return err_set(e, ERR_INVALID, "--node-taint \"%s\": %s", text, why);
    json_t *t = json_object();
    json_object_set_new(t, "key", json_str_of(key));
    if (has_value)
        json_object_set_new(t, "value", json_str_of(value));
    set_str(t, "effect", colon + 1);
    json_array_append_new(taints, t);
    return 0;
}

static json_t *addresses_of(const struct node_object *n)
{
    json_t *a = json_array();
    const struct {
        const char *type;
        const char *const *v;
        size_t n;
    } lists[] = {
        { "InternalIP", n->ips, n->n_ips },
        { "ExternalIP", n->external_ips, n->n_external_ips },
        { "InternalDNS", n->internal_dns, n->n_internal_dns },
        { "ExternalDNS", n->external_dns, n->n_external_dns },
        { "Hostname", &n->name, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t k = 0; k < lists[i].n; k++)
            json_array_append_new(
                a, json_pack("{s:s, s:s}", "type", lists[i].type, "address", lists[i].v[k]));
    return a;
}

static json_t *resources_of(const struct machine *m, bool allocatable)
{
    uint64_t kept_bytes = m->disk_bytes / 100 * 95; /* what eviction keeps free is not for pods */
    json_t *r = json_object();
    char text[32];

    snprintf(text, sizeof text, "%u", m->n_cpus);
    set_str(r, "cpu", text);
    if (allocatable)
        snprintf(text, sizeof text, "%llu", (unsigned long long)kept_bytes);
    else
        snprintf(text, sizeof text, "%lluKi", (unsigned long long)(m->disk_bytes / 1024));
    set_str(r, "ephemeral-storage", text);
    set_str(r, "hugepages-1Gi", "0");
    set_str(r, "hugepages-2Mi", "0");
    snprintf(text, sizeof text, "%lluKi", (unsigned long long)(m->memory_bytes / 1024));
    set_str(r, "memory", text);
    snprintf(text, sizeof text, "%d", NODE_PODS_MAX);
    set_str(r, "pods", text);
    return r;
}

/* One condition; its transition time is kept from before while its status stays. */
static void add_condition(json_t *list, const json_t *before, const char *type, bool value,
                          const char *reason, const char *message)
{
    const json_t *old = json_object_get(before, "conditions"), *c;
    const char *status = value ? "True" : "False", *since = NULL;
    char now[TIME_TEXT_BYTES];
    size_t i;

    time_now_s(now);
    json_array_foreach(old, i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) == 0 &&
            strcmp(json_str_at(c, "status", ""), status) == 0)
            since = json_str_at(c, "lastTransitionTime", NULL);
    }
    /* the message is the runtime's and may be cut: json_str_of takes any bytes */
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "type", type, "status",
                                          status, "lastHeartbeatTime", now, "lastTransitionTime",
                                          since ? since : now, "reason", reason, "message",
                                          json_str_of(str_of(message))));
}

static json_t *conditions_of(const struct node_object *n, const json_t *before)
{
    const struct machine *m = n->machine;
    bool memory =
        m->memory_available_bytes && m->memory_available_bytes < MEMORY_AVAILABLE_MIN_BYTES;
    bool disk =
        m->disk_bytes && m->disk_available_bytes < m->disk_bytes / 100 * DISK_AVAILABLE_MIN_PERCENT;
    json_t *list = json_array();

    add_condition(list, before, "MemoryPressure", memory,
                  memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                  memory ? "kubelet has insufficient memory available"
                         : "kubelet has sufficient memory available");
    add_condition(list, before, "DiskPressure", disk,
                  disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                  disk ? "kubelet has disk pressure" : "kubelet has no disk pressure");
    add_condition(list, before, "PIDPressure", false, "KubeletHasSufficientPID",
                  "kubelet has sufficient PID available");
    auto_free char *why = mem_printf("container runtime is down: %s", n->runtime_why);
    add_condition(list, before, "Ready", n->runtime_ready,
                  n->runtime_ready ? "KubeletReady" : "KubeletNotReady",
                  n->runtime_ready ? "kubelet is posting ready status" : why);
    return list;
}

static json_t *node_info_of(const struct node_object *n)
{
    const struct machine *m = n->machine;
    const struct {
        const char *key, *value;
    } fields[] = {
        { "architecture", m->architecture },
        { "bootID", m->boot_id },
        { "containerRuntimeVersion", n->runtime_version },
        { "kernelVersion", m->kernel_version },
        { "kubeProxyVersion", n->version },
        { "kubeletVersion", n->version },
        { "machineID", m->machine_id },
        { "operatingSystem", "linux" },
        { "osImage", m->os_image },
        { "systemUUID", m->system_uuid },
    };
    json_t *info = json_object();

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        set_str(info, fields[i].key, fields[i].value);
    return info;
}

json_t *node_object_status(const struct node_object *n, const json_t *before)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:{s:{s:i}}, s:o}", "addresses", addresses_of(n),
                     "allocatable", resources_of(n->machine, true), "capacity",
                     resources_of(n->machine, false), "conditions", conditions_of(n, before),
                     "daemonEndpoints", "kubeletEndpoint", "Port", (int)n->kubelet_port, "nodeInfo",
                     node_info_of(n));
}

int node_object_new(json_t **out, const struct node_object *n, struct err *e)
{
    json_auto_t *taints = json_array();
    json_auto_t *node = NULL;

    for (size_t i = 0; i < n->n_labels; i++)
        if (check_label(n->labels[i], e))
            return (int)e->code;
    for (size_t i = 0; i < n->n_taints; i++)
        if (add_taint(taints, n->taints[i], e))
            return (int)e->code;
    if (n->external_cloud) /* kubelet --cloud-provider=external */
        json_array_append_new(taints, json_pack("{s:s, s:s, s:s}", "key",
                                                "node.cloudprovider.kubernetes.io/uninitialized",
                                                "value", "true", "effect", "NoSchedule"));
    node = json_pack("{s:s, s:s, s:{s:s, s:o, s:o}, s:{}, s:o}", "apiVersion", "v1", "kind", "Node",
                     "metadata", "name", n->name, "labels", labels_of(n), "annotations",
                     annotations_of(n), "spec", "status", node_object_status(n, NULL));
    if (json_array_size(taints))
        json_object_set(json_object_get(node, "spec"), "taints", taints);
    *out = STEAL(node);
    return 0;
}

json_t *node_object_metadata_patch(const struct node_object *n)
{
    json_t *labels = labels_of(n);

    if (!n->pod_egress) /* of a mode before this one */
        json_object_set_new(labels, POD_EGRESS_LABEL, json_null());
    return json_pack("{s:{s:o, s:o}}", "metadata", "labels", labels, "annotations",
                     annotations_of(n));
}

static json_t *without_heartbeats(const json_t *status)
{
    json_t *copy = json_deep_copy(status), *c;
    size_t i;

    json_array_foreach(json_object_get(copy, "conditions"), i, c)
        json_object_del(c, "lastHeartbeatTime");
    return copy;
}

bool node_object_same_status(const json_t *a, const json_t *b)
{
    json_auto_t *x = without_heartbeats(a), *y = without_heartbeats(b);

    return json_equal(x, y) == 1;
}

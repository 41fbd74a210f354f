#include "server/schema/defaults_hooks.h"

#include "base/core/buf.h"
#include "base/data/base64.h"
#include "base/kube/quantity.h"
#include "server/schema/crd_check.h"
#include "server/schema/defaults_kinds.h"

static const char *str_in(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

static bool is(const json_t *v, const char *key, const char *value)
{
    return strcmp(str_in(v, key), value) == 0;
}

/* Takes value; an absent key gets it, another keeps what it has. */
static void set_absent(json_t *v, const char *key, json_t *value)
{
    if (json_object_get(v, key))
        json_decref(value);
    else
        json_object_set_new(v, key, value);
}

/* ---- pods ---- */

/* "latest" or no tag at all means that the name may point to another image tomorrow. */
static bool image_may_move(const char *image)
{
    const char *name = strrchr(image, '/');
    const char *tag;

    if (strchr(image, '@'))
        return false;
    name = name ? name + 1 : image;
    tag = strchr(name, ':');
    return !tag || strcmp(tag, ":latest") == 0;
}

static json_t *pull_policy(const char *image)
{
    return json_string(image_may_move(image) ? "Always" : "IfNotPresent");
}

static void container(json_t *v)
{
    set_absent(v, "imagePullPolicy", pull_policy(str_in(v, "image")));
}

static void limits_to_requests(json_t *containers)
{
    json_t *c, *limit;
    const char *name;
    size_t i;

    json_array_foreach(containers, i, c)
    {
        json_t *resources = json_object_get(c, "resources");
        json_object_foreach(json_object_get(resources, "limits"), name, limit)
        {
            json_t *requests = json_object_get(resources, "requests");
            if (!requests) {
                requests = json_object();
                json_object_set_new(resources, "requests", requests);
            }
            set_absent(requests, name, json_incref(limit));
        }
    }
}

static void host_ports(json_t *containers)
{
    json_t *c, *port;
    size_t i, j;

    json_array_foreach(containers, i, c)
    {
        json_array_foreach(json_object_get(c, "ports"), j, port)
            set_absent(port, "hostPort", json_incref(json_object_get(port, "containerPort")));
    }
}

static void pod(json_t *v)
{
    json_t *spec = json_object_get(v, "spec");

    if (!spec)
        return;
    set_absent(spec, "enableServiceLinks", json_true());
    limits_to_requests(json_object_get(spec, "containers"));
    limits_to_requests(json_object_get(spec, "initContainers"));
    if (json_is_true(json_object_get(spec, "hostNetwork"))) {
        host_ports(json_object_get(spec, "containers"));
        host_ports(json_object_get(spec, "initContainers"));
    }
}

static void pod_spec(json_t *v)
{
    /* two names of one field: the older one follows (pkg/apis/core/v1/conversion.go) */
    if (str_in(v, "serviceAccountName")[0])
        json_object_set(v, "serviceAccount", json_object_get(v, "serviceAccountName"));
    else if (str_in(v, "serviceAccount")[0])
        json_object_set(v, "serviceAccountName", json_object_get(v, "serviceAccount"));
}

static void volume(json_t *v)
{
    json_t *image = json_object_get(v, "image");

    if (json_object_size(v) == (json_object_get(v, "name") ? 1 : 0)) /* no source */
        json_object_set_new(v, "emptyDir", json_object());
    if (image)
        set_absent(image, "pullPolicy", pull_policy(str_in(image, "reference")));
}

/* Adds a container's cpu and memory; false when one of them has no limit. */
static bool add_resources(const json_t *container_, bool *any, bool *equal)
{
    static const char *const names[] = { "cpu", "memory" };
    bool limited = true;

    for (size_t i = 0; i < 2; i++) {
        struct quantity request = { 0 }, limit = { 0 };
        struct err e;
        const json_t *resources = json_object_get(container_, "resources");
        const char *r = str_in(json_object_get(resources, "requests"), names[i]);
        const char *l = str_in(json_object_get(resources, "limits"), names[i]);
        if (quantity_parse(&limit, str_of(l), &e) || limit.nano <= 0)
            limited = false;
        if (quantity_parse(&request, str_of(*r ? r : l), &e))
            request.nano = 0;
        *any |= request.nano > 0 || limit.nano > 0;
        *equal &= quantity_cmp(&request, &limit) == 0;
    }
    return limited;
}

const char *defaults_pod_qos(const json_t *spec)
{
    static const char *const lists[] = { "containers", "initContainers" };
    bool any = false, equal = true, limited = true;
    json_t *c;
    size_t i;

    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(spec, lists[k]), i, c) limited &=
            add_resources(c, &any, &equal);
    if (!any)
        return "BestEffort";
    return limited && equal ? "Guaranteed" : "Burstable";
}

/*
 * A field that became a list: the older name says the first entry, and wins where they differ, for
 * clients that know nothing else (pkg/apis/core/v1/conversion.go). key: of the entry, NULL when the
 * entries are texts.
 */
static void first_of(json_t *v, const char *one, const char *many, const char *key)
{
    const json_t *first = json_array_get(json_object_get(v, many), 0);
    json_t *text = json_object_get(v, one), *entry = key ? json_object_get(first, key) : NULL;

    if (!key)
        entry = json_array_get(json_object_get(v, many), 0);
    if (json_string_length(text) ? entry && json_equal(text, entry) : !entry)
        return;
    if (!json_string_length(text))
        json_object_set(v, one, entry);
    else if (key)
        json_object_set_new(v, many, json_pack("[{s:O}]", key, text));
    else
        json_object_set_new(v, many, json_pack("[O]", text));
}

static void pod_status(json_t *v)
{
    first_of(v, "podIP", "podIPs", "ip");
}

/* ---- the rest of core ---- */

static void node_spec(json_t *v)
{
    first_of(v, "podCIDR", "podCIDRs", NULL);
}

static void secret(json_t *v)
{
    json_t *plain = json_object_get(v, "stringData"), *text;
    const char *key;

    if (!json_object_size(plain)) {
        json_object_del(v, "stringData");
        return;
    }
    set_absent(v, "data", json_object());
    json_object_foreach(plain, key, text)
    {
        auto_buf b = BUF_SECRET(8 * 1024 * 1024); /* bodies are bounded to less */
        if (base64_add(&b, str_n(json_string_value(text), json_string_length(text))))
            continue;
        json_object_set_new(json_object_get(v, "data"), key, json_stringn(b.p ? b.p : "", b.n));
    }
    json_object_del(v, "stringData");
}

static void name_space(json_t *v)
{
    json_t *metadata = json_object_get(v, "metadata");
    json_t *name = json_object_get(metadata, "name");

    if (!json_string_length(name))
        return;
    set_absent(metadata, "labels", json_object());
    json_object_set(json_object_get(metadata, "labels"), "kubernetes.io/metadata.name", name);
}

static void node_status(json_t *v)
{
    json_t *capacity = json_object_get(v, "capacity");

    if (json_object_size(capacity) && !json_object_size(json_object_get(v, "allocatable")))
        json_object_set_new(v, "allocatable", json_deep_copy(capacity));
}

static void service_spec(json_t *v)
{
    bool balancer = is(v, "type", "LoadBalancer");
    bool outside =
        balancer || is(v, "type", "NodePort") ||
        (is(v, "type", "ClusterIP") && json_array_size(json_object_get(v, "externalIPs")));

    if (is(v, "sessionAffinity", "ClientIP")) {
        json_t *config = json_object_get(v, "sessionAffinityConfig");
        if (!json_object_get(json_object_get(config, "clientIP"), "timeoutSeconds"))
            json_object_set_new(v, "sessionAffinityConfig",
                                json_pack("{s:{s:i}}", "clientIP", "timeoutSeconds", 10800));
    } else {
        json_object_del(v, "sessionAffinityConfig");
    }
    if (outside)
        set_absent(v, "externalTrafficPolicy", json_string("Cluster"));
    if (balancer || is(v, "type", "NodePort") || is(v, "type", "ClusterIP"))
        set_absent(v, "internalTrafficPolicy", json_string("Cluster"));
    if (balancer)
        set_absent(v, "allocateLoadBalancerNodePorts", json_true());
}

static void service(json_t *v)
{
    json_t *ingress, *status = json_object_get(json_object_get(v, "status"), "loadBalancer");
    size_t i;

    if (!is(json_object_get(v, "spec"), "type", "LoadBalancer"))
        return;
    json_array_foreach(json_object_get(status, "ingress"), i, ingress)
    {
        if (str_in(ingress, "ip")[0])
            set_absent(ingress, "ipMode", json_string("VIP"));
    }
}

static void service_port(json_t *v)
{
    json_t *target = json_object_get(v, "targetPort"), *port = json_object_get(v, "port");
    bool unset = !target || (json_is_integer(target) && json_integer_value(target) == 0) ||
                 (json_is_string(target) && json_string_length(target) == 0);

    if (unset && port)
        json_object_set(v, "targetPort", port);
}

/* A map of amounts that is made when it is absent. */
static json_t *amounts(json_t *v, const char *key)
{
    set_absent(v, key, json_object());
    return json_object_get(v, key);
}

static void add_amounts(json_t *to, json_t *from)
{
    const char *name;
    json_t *amount;

    json_object_foreach(from, name, amount) set_absent(to, name, json_incref(amount));
}

static void limit_range_item(json_t *v)
{
    if (!is(v, "type", "Container"))
        return;
    json_t *limits = amounts(v, "default"), *requests = amounts(v, "defaultRequest");
    add_amounts(limits, json_object_get(v, "max"));
    add_amounts(requests, limits);
    add_amounts(requests, json_object_get(v, "min"));
    if (!json_object_size(limits))
        json_object_del(v, "default");
    if (!json_object_size(requests))
        json_object_del(v, "defaultRequest");
}

static void replication_controller(json_t *v)
{
    json_t *spec = json_object_get(v, "spec");
    json_t *labels =
        json_object_get(json_object_get(json_object_get(spec, "template"), "metadata"), "labels");

    if (!json_object_size(labels))
        return;
    if (!json_object_size(json_object_get(spec, "selector")))
        json_object_set_new(spec, "selector", json_deep_copy(labels));
    if (!json_object_size(json_object_get(json_object_get(v, "metadata"), "labels")))
        json_object_set_new(json_object_get(v, "metadata"), "labels", json_deep_copy(labels));
}

/* ---- the table ---- */

static const struct {
    const char *group_version, *type;
    defaults_hook_fn hook;
} hooks[] = {
    { "core/v1", "Container", container },
    { "core/v1", "EphemeralContainer", container },
    { "core/v1", "LimitRangeItem", limit_range_item },
    { "core/v1", "Namespace", name_space },
    { "core/v1", "NodeSpec", node_spec },
    { "core/v1", "NodeStatus", node_status },
    { "core/v1", "Pod", pod },
    { "core/v1", "PodSpec", pod_spec },
    { "core/v1", "PodStatus", pod_status },
    { "core/v1", "ReplicationController", replication_controller },
    { "core/v1", "Secret", secret },
    { "core/v1", "Service", service },
    { "core/v1", "ServicePort", service_port },
    { "core/v1", "ServiceSpec", service_spec },
    { "core/v1", "Volume", volume },
    { "apps/v1", "DaemonSetUpdateStrategy", defaults_daemon_set_strategy },
    { "apps/v1", "DeploymentStrategy", defaults_deployment_strategy },
    { "apps/v1", "StatefulSetSpec", defaults_stateful_set_spec },
    { "apps/v1", "StatefulSetUpdateStrategy", defaults_stateful_set_strategy },
    { "autoscaling/v2", "HorizontalPodAutoscalerBehavior", defaults_scaling_behavior },
    { "autoscaling/v2", "HorizontalPodAutoscalerSpec", defaults_autoscaler_spec },
    { "batch/v1", "Job", defaults_job },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfigurationSpec", defaults_level_spec },
    { "networking.k8s.io/v1", "NetworkPolicySpec", defaults_network_policy_spec },
    { "rbac.authorization.k8s.io/v1", "Subject", defaults_rbac_subject },
    { "apiextensions.k8s.io/v1", "CustomResourceDefinitionSpec", crd_set_defaults },
};

defaults_hook_fn defaults_hook(const struct schema_type *t)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (strcmp(hooks[i].type, t->name) == 0 &&
            strcmp(hooks[i].group_version, t->group_version) == 0)
            return hooks[i].hook;
    return NULL;
}

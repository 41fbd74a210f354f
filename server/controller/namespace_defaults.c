/*
 * Namespace defaults: the namespaces that every cluster has (made again when deleted), and what
 * every active Namespace has: the ConfigMap kube-root-ca.crt (kept true) and the ServiceAccount
 * default (made when missing); and once for the cluster the ConfigMap
 * kube-system/cluster-dns, as K3s publishes it. Keys are names of namespaces; "" is the last.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

static bool add_one(void *arg, const json_t *ns)
{
    queue_add(arg, meta_name(ns));
    return true;
}

/* pkg/controlplane/controller/systemnamespaces */
static const char *const system_namespaces[] = { "default", "kube-system", "kube-public",
                                                 "kube-node-lease" };

static void start(struct controller *c)
{
    queue_add(c->queue, "");
    for (size_t i = 0; i < ARRAY_LEN(system_namespaces); i++)
        queue_add(c->queue, system_namespaces[i]);
    local_watch_each(c->env->watches[WATCH_NAMESPACES], add_one, c->queue);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)ev;
    queue_add(c->queue, w == WATCH_NAMESPACES ? meta_name(obj) : meta_namespace(obj));
}

static void make_cluster_dns(struct controller *c, struct queue_item *it)
{
    struct local_ref ref = { .resource = "configmaps", .ns = "kube-system" };
    json_auto_t *map =
        json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "metadata", "name", "cluster-dns", "namespace",
                  "kube-system", "data", "clusterDNS", c->env->config.cluster_dns, "clusterDomain",
                  c->env->config.cluster_domain);

    local_create(c->env->config.api, &ref, map, queue_done_local, it);
}

/* True: it took over the item. */
static bool fix_ca(struct controller *c, struct queue_item *it, const char *ns)
{
    const json_t *now = local_watch_get(c->env->watches[WATCH_CA_MAPS], ns, "kube-root-ca.crt");
    struct local_ref ref = { .resource = "configmaps", .ns = ns, .name = "kube-root-ca.crt" };
    struct str ca = c->env->config.server_ca_pem;

    if (now) {
        const json_t *has = json_object_get(json_object_get(now, "data"), "ca.crt");

        if (json_is_string(has) && str_is(ca, json_string_value(has)))
            return false;
        json_t *patch = controller_patch_of(now);
        json_object_set_new(patch, "data", json_pack("{s:o}", "ca.crt", json_str_of(ca)));
        controller_patch(c, it, &ref, patch);
        return true;
    }
    json_auto_t *map =
        json_pack("{s:{s:s, s:s, s:{s:s}}, s:{s:o}}", "metadata", "name", "kube-root-ca.crt",
                  "namespace", ns, "annotations", "kubernetes.io/description",
                  "Contains a CA bundle that can be used to verify the kube-apiserver when using "
                  "internal endpoints such as the internal service IP or "
                  "kubernetes.default.svc. No other usage is guaranteed across distributions of "
                  "Kubernetes clusters.",
                  "data", "ca.crt", json_str_of(ca));
    local_create(c->env->config.api, &ref, map, queue_done_local, it);
    return true;
}

static void make_namespace(struct controller *c, struct queue_item *it, const char *name)
{
    struct local_ref ref = { .resource = "namespaces", .name = name };
    json_auto_t *ns = json_pack("{s:{s:s}}", "metadata", "name", name);

    for (size_t i = 0; i < ARRAY_LEN(system_namespaces); i++) {
        if (strcmp(system_namespaces[i], name) != 0)
            continue;
        local_create(c->env->config.api, &ref, ns, queue_done_local, it);
        return;
    }
    queue_done(it, NULL);
}

static void work(struct controller *c, struct queue_item *it)
{
    const char *name = queue_key(it);
    const json_t *ns;

    if (!*name) {
        make_cluster_dns(c, it);
        return;
    }
    ns = local_watch_get(c->env->watches[WATCH_NAMESPACES], "", name);
    if (!ns) {
        make_namespace(c, it, name);
        return;
    }
    if (meta_is_deleting(ns)) {
        queue_done(it, NULL);
        return;
    }
    if (fix_ca(c, it, name))
        return; /* the event of what it did brings us back for the rest */
    if (local_watch_get(c->env->watches[WATCH_ACCOUNTS], name, "default")) {
        queue_done(it, NULL);
        return;
    }
    struct local_ref ref = { .resource = "serviceaccounts", .ns = name, .name = "default" };
    json_auto_t *account =
        json_pack("{s:{s:s, s:s}}", "metadata", "name", "default", "namespace", name);
    local_create(c->env->config.api, &ref, account, queue_done_local, it);
}

const struct controller_ops namespace_defaults_controller = {
    .name = "namespace_defaults",
    .watches = WATCH_BIT(WATCH_NAMESPACES) | WATCH_BIT(WATCH_CA_MAPS) | WATCH_BIT(WATCH_ACCOUNTS),
    .n_parallel = 8,
    .start = start,
    .on_event = on_event,
    .work = work,
};

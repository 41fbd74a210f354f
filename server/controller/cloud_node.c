#include "server/controller/cloud_node.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <string.h>

#define UNINITIALIZED "node.cloudprovider.kubernetes.io/uninitialized"
#define ADDRESSES_MAX 64 /* of one kind; the annotations come from the node */

static const char *internal_ip(const json_t *node)
{
    const char *ip = meta_annotation(node, "k3s.io/internal-ip");

    return *ip ? ip : meta_label(node, "k3s.io/internal-ip"); /* agents before 2019 */
}

json_t *cloud_node_patch(const json_t *node)
{
    static const char *const labels[] = { "node.kubernetes.io/instance-type",
                                          "beta.kubernetes.io/instance-type" };
    json_t *patch, *set = json_object(), *kept = json_array(), *spec = json_object(), *t;
    size_t i;

    if (*internal_ip(node)) {
        for (size_t k = 0; k < ARRAY_LEN(labels); k++)
            if (!*meta_label(node, labels[k])) /* one that was given stays */
                json_object_set_new(set, labels[k], json_string("k3s"));
        if (!*json_str_at(node, "spec.providerID", "")) {
            auto_free char *id = mem_printf("k3s://%s", meta_name(node));

            json_object_set_new(spec, "providerID", json_string(id));
        }
        json_array_foreach(json_at(node, "spec.taints"), i,
                           t) if (strcmp(json_str_at(t, "key", ""), UNINITIALIZED) != 0)
            json_array_append(kept, t);
        if (json_array_size(kept) != json_array_size(json_at(node, "spec.taints")))
            json_object_set(spec, "taints", kept);
    }
    json_decref(kept);
    if (json_object_size(set) == 0 && json_object_size(spec) == 0) {
        json_decref(set);
        json_decref(spec);
        return NULL;
    }
    patch = controller_patch_of(node);
    json_object_set_new(json_object_get(patch, "metadata"), "labels", set);
    json_object_set_new(patch, "spec", spec);
    return patch;
}

static void add_list(json_t *out, const char *type, const char *text)
{
    struct str rest = str_of(text), one;

    for (unsigned n = 0; rest.n && n < ADDRESSES_MAX; n++) {
        str_cut(rest, ',', &one, &rest);
        one = str_trim(one);
        if (one.n)
            json_array_append_new(out,
                                  json_pack("{s:s, s:s%}", "type", type, "address", one.p, one.n));
    }
}

json_t *cloud_node_status_patch(const json_t *node)
{
    json_t *addresses, *patch;
    const char *host = meta_annotation(node, "k3s.io/hostname");

    if (!*internal_ip(node))
        return NULL;
    addresses = json_array();
    add_list(addresses, "InternalIP", internal_ip(node));
    add_list(addresses, "ExternalIP", meta_annotation(node, "k3s.io/external-ip"));
    add_list(addresses, "InternalDNS", meta_annotation(node, "k3s.io/internal-dns"));
    add_list(addresses, "ExternalDNS", meta_annotation(node, "k3s.io/external-dns"));
    add_list(addresses, "Hostname", *host ? host : meta_name(node));
    if (json_equal(addresses, json_at(node, "status.addresses"))) {
        json_decref(addresses);
        return NULL;
    }
    patch = controller_patch_of(node);
    json_object_set_new(patch, "status", json_pack("{s:o}", "addresses", addresses));
    return patch;
}

/* ---- the controller ---- */

static bool is_wanted(const struct controllers_config *config)
{
    return !config->disable_ccm;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)w;
    if (ev != LOCAL_DELETED)
        queue_add(c->queue, meta_name(obj));
}

static void work(struct controller *c, struct queue_item *it)
{
    const json_t *node = controller_node(c, queue_key(it));
    struct local_ref ref = { .resource = "nodes", .name = queue_key(it), .subresource = "status" };
    json_t *patch = NULL;

    /* addresses first: with the taint gone, everybody may use them */
    if (node)
        patch = cloud_node_status_patch(node);
    if (node && !patch) {
        ref.subresource = NULL;
        patch = cloud_node_patch(node);
    }
    if (patch)
        controller_patch(c, it, &ref, patch);
    else
        queue_done(it, NULL);
}

const struct controller_ops cloud_node_controller = {
    .name = "cloud_node",
    .watches = WATCH_BIT(WATCH_NODES),
    .n_parallel = 8,
    .is_wanted = is_wanted,
    .on_event = on_event,
    .work = work,
};

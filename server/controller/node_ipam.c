/*
 * Node IPAM: gives each Node its part of the cluster CIDR (spec.podCIDR, podCIDRs), once; it
 * cannot be changed later. A Node that somebody wrote by hand has no pods to give addresses to, and
 * gets none before a kubelet reports for it. What is taken is what the Nodes say, plus what was
 * promised to one whose patch is under way. The cluster CIDR may be two, "10.42.0.0/16,fd00::/56":
 * the first gives podCIDR.
 */
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/controller/controller.h"
#include "server/controller/subnets.h"

#include "base/kube/metadata.h"

#include <stdio.h>

#define FAMILIES_MAX 2

struct held { /* of one Node */
    char text[FAMILIES_MAX][SUBNET_TEXT_BYTES];
};

struct node_ipam {
    struct controller c;
    struct subnets *subnets[FAMILIES_MAX];
    size_t n;
    struct map *held; /* node -> struct held * */
};

static void let_go(struct node_ipam *ipam, struct held *h)
{
    for (size_t i = 0; h && i < ipam->n; i++)
        if (*h->text[i])
            subnets_release(ipam->subnets[i], h->text[i]);
    free(h);
}

static bool wants(const json_t *node)
{
    return !*json_str_at(node, "spec.podCIDR", "") &&
           *json_str_at(node, "status.nodeInfo.kubeletVersion", "");
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct node_ipam *ipam = (struct node_ipam *)c;
    const char *name = meta_name(obj), *first = json_str_at(obj, "spec.podCIDR", "");
    struct held *h;

    (void)w;
    if (ev == LOCAL_DELETED) {
        let_go(ipam, map_remove(ipam->held, str_of(name)));
        return;
    }
    if (!*first) {
        if (wants(obj))
            queue_add(c->queue, name);
        return;
    }
    /* it says what it has: that replaces what was promised */
    h = mem_alloc(sizeof *h);
    for (size_t i = 0; i < ipam->n; i++) {
        char path[32];
        const char *text;

        for (size_t k = 0; k < FAMILIES_MAX && !*h->text[i]; k++) {
            snprintf(path, sizeof path, "spec.podCIDRs[%zu]", k);
            text = json_str_at(obj, path, k == 0 ? first : "");
            if (*text && subnets_hold(ipam->subnets[i], text))
                snprintf(h->text[i], SUBNET_TEXT_BYTES, "%s", text);
        }
    }
    let_go(ipam, map_set(ipam->held, str_of(name), h));
}

/* What node has, or now gets. NULL: none is left, e says so. */
static const struct held *promise(struct node_ipam *ipam, const char *node, struct err *e)
{
    struct held *h = map_get(ipam->held, str_of(node));

    if (h)
        return h;
    h = mem_alloc(sizeof *h);
    for (size_t i = 0; i < ipam->n; i++)
        if (subnets_take(ipam->subnets[i], h->text[i], e)) {
            let_go(ipam, h);
            return NULL;
        }
    map_set(ipam->held, str_of(node), h);
    return h;
}

static void work(struct controller *c, struct queue_item *it)
{
    struct node_ipam *ipam = (struct node_ipam *)c;
    const json_t *node = controller_node(c, queue_key(it));
    struct local_ref ref = { .resource = "nodes", .name = queue_key(it) };
    const struct held *h;
    json_t *patch, *list;
    struct err e;

    if (!node || !wants(node) || !ipam->n) {
        queue_done(it, NULL);
        return;
    }
    h = promise(ipam, queue_key(it), &e);
    if (!h) {
        queue_done(it, &e);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < ipam->n; i++)
        json_array_append_new(list, json_string(h->text[i]));
    patch = controller_patch_of(node);
    json_object_set_new(patch, "spec",
                        json_pack("{s:s, s:o}", "podCIDR", h->text[0], "podCIDRs", list));
    controller_patch(c, it, &ref, patch);
}

static struct controller *make(const struct controllers_config *config)
{
    struct node_ipam *ipam = mem_alloc(sizeof *ipam);
    struct str rest = str_of(config->cluster_cidr), one;
    struct err e;

    ipam->held = map_new();
    while (rest.n && ipam->n < FAMILIES_MAX) {
        str_cut(rest, ',', &one, &rest);
        auto_free char *text = str_dup(str_trim(one));

        if (subnets_new(&ipam->subnets[ipam->n], text, &e))
            log_error("nodes get no pod network", kv("cluster_cidr", text), kv("err", e.text));
        else
            ipam->n++;
    }
    return &ipam->c;
}

static void ipam_free(struct controller *c)
{
    struct node_ipam *ipam = (struct node_ipam *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(ipam->held, &i, &key, &v);)
        free(v);
    map_free(ipam->held);
    for (size_t i = 0; i < ipam->n; i++)
        subnets_free(ipam->subnets[i]);
    free(ipam);
}

const struct controller_ops node_ipam_controller = {
    .name = "node_ipam",
    .watches = WATCH_BIT(WATCH_NODES),
    .n_parallel = 8,
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = ipam_free,
};

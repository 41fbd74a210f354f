#include "server/controller/node_role.h"

#include "base/core/macros.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <string.h>

json_t *node_role_patch(const json_t *node)
{
    static const char *const labels[] = { "node-role.kubernetes.io/control-plane",
                                          "node-role.kubernetes.io/master" };
    json_t *set = json_object();

    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        if (strcmp(meta_label(node, labels[i]), "true") != 0)
            json_object_set_new(set, labels[i], json_string("true"));
    if (json_object_size(set) == 0) {
        json_decref(set);
        return NULL;
    }
    return json_pack("{s:{s:o}}", "metadata", "labels", set);
}

static bool is_wanted(const struct controllers_config *config)
{
    return *config->own_node;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)w;
    if (ev != LOCAL_DELETED && strcmp(meta_name(obj), c->env->config.own_node) == 0)
        queue_add(c->queue, meta_name(obj));
}

static void work(struct controller *c, struct queue_item *it)
{
    const json_t *node = controller_node(c, queue_key(it));
    struct local_ref ref = { .resource = "nodes", .name = queue_key(it) };
    json_t *patch = node ? node_role_patch(node) : NULL;

    if (patch)
        controller_patch(c, it, &ref, patch);
    else
        queue_done(it, NULL);
}

const struct controller_ops node_role_controller = {
    .name = "node_role",
    .watches = WATCH_BIT(WATCH_NODES),
    .on_each_server = true,
    .is_wanted = is_wanted,
    .on_event = on_event,
    .work = work,
};

/*
 * The two PriorityClasses that every cluster has (upstream's pkg/apis/scheduling/v1/helpers.go,
 * which its API server makes at the start). Ours come back when deleted. Keys are their names;
 * making one that is there already is no failure.
 */
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <string.h>

enum { SYSTEM_CRITICAL = 2000000000 }; /* twice the highest that others may have */

static const struct {
    const char *name;
    int value;
    const char *description;
} classes[] = {
    { "system-node-critical", SYSTEM_CRITICAL + 1000, "For pods that have to stay on their node." },
    { "system-cluster-critical", SYSTEM_CRITICAL,
      "For pods that the cluster needs, on whichever node." },
};

static void start(struct controller *c)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        queue_add(c->queue, classes[i].name);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)w;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (ev == LOCAL_DELETED && strcmp(meta_name(obj), classes[i].name) == 0)
            queue_add(c->queue, classes[i].name);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct local_ref ref = { .group = "scheduling.k8s.io", .resource = "priorityclasses" };
    size_t i = 0;

    while (strcmp(classes[i].name, queue_key(it)) != 0)
        i++;
    json_auto_t *class =
        json_pack("{s:{s:s}, s:i, s:s}", "metadata", "name", classes[i].name, "value",
                  classes[i].value, "description", classes[i].description);
    local_create(c->env->config.api, &ref, class, queue_done_local, it);
}

const struct controller_ops system_priorities_controller = {
    .name = "system_priorities",
    .watches = WATCH_BIT(WATCH_PRIORITIES),
    .start = start,
    .on_event = on_event,
    .work = work,
};

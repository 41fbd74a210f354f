/*
 * Pods that were said to be disrupted and are still there: after two minutes their condition
 * DisruptionTarget turns False (syncStalePodDisruption of pkg/controller/disruption).
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"
#include "server/controller/disruption.h"

#define STALE_S 120

int64_t disruption_stale_at(const json_t *pod)
{
    const char *phase = json_str_at(pod, "status.phase", "");
    int64_t us;
    json_t *c;
    size_t i;

    if (meta_is_deleting(pod) || strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
        return 0;
    json_array_foreach(json_at(pod, "status.conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), "DisruptionTarget") == 0 &&
            strcmp(json_str_at(c, "status", ""), "True") == 0 &&
            strcmp(json_str_at(c, "reason", ""), "TerminationByKubelet") != 0)
            return time_parse(&us, str_of(json_str_at(c, "lastTransitionTime", "")))
                       ? us / 1000000 + STALE_S
                       : 1;
    }
    return 0;
}

struct check {
    struct controller *c;
    struct queue_item *it;
};

static struct local_ref status_of(const json_t *pod)
{
    return (struct local_ref){ .resource = "pods",
                               .ns = meta_namespace(pod),
                               .name = meta_name(pod),
                               .subresource = "status" };
}

static void on_pod(void *arg, int code, const json_t *pod, const struct err *e)
{
    struct check k = *(struct check *)arg;
    int64_t at_s = e ? 0 : disruption_stale_at(pod), now_s = clock_wall_s();
    char now[TIME_TEXT_BYTES];

    free(arg);
    if (e) {
        queue_done_local(k.it, code, pod, e);
    } else if (at_s > now_s) {
        queue_done_again(k.it, (uint64_t)(at_s - now_s) * 1000);
    } else if (!at_s) {
        queue_done(k.it, NULL);
    } else {
        struct local_ref ref = status_of(pod);
        json_auto_t *patch = controller_patch_of(pod);

        time_text_s(now, now_s);
        json_object_set_new(patch, "status",
                            json_pack("{s:[{s:s, s:s, s:n, s:n, s:s}]}", "conditions", "type",
                                      "DisruptionTarget", "status", "False", "reason", "message",
                                      "lastTransitionTime", now));
        local_patch(k.c->env->config.api, &ref, LOCAL_PATCH_STRATEGIC, patch, queue_done_local,
                    k.it);
    }
}

void disruption_stale_on_pod(struct controller *c, const json_t *pod)
{
    int64_t at_s = disruption_stale_at(pod), now_s = clock_wall_s();
    auto_free char *key = NULL;

    if (!at_s)
        return;
    key = mem_printf(DISRUPTION_STALE "%s/%s", meta_namespace(pod), meta_name(pod));
    queue_at(c->queue, key, at_s > now_s ? (uint64_t)(at_s - now_s) * 1000 : 0);
}

void disruption_stale_work(struct controller *c, struct queue_item *it)
{
    const char *key = queue_key(it) + strlen(DISRUPTION_STALE), *slash = strchr(key, '/');
    auto_free char *ns = mem_strndup(key, (size_t)(slash - key));
    struct local_ref ref = { .resource = "pods", .ns = ns, .name = slash + 1 };
    struct check *k = mem_alloc(sizeof *k);

    *k = (struct check){ c, it };
    local_get(c->env->config.api, &ref, on_pod, k);
}

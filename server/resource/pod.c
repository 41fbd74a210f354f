#include "base/data/json.h"
#include "server/resource/kinds.h"

#include <string.h>

/* ---- quality of service (pkg/apis/core/v1/helper/qos) ---- */

static bool is_zero(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p >= '1' && *p <= '9')
            return false;
    return true;
}

static const char *qos_of(const json_t *pod)
{
    static const char *const lists[] = { "spec.containers", "spec.initContainers" };
    static const char *const names[] = { "cpu", "memory" };
    bool guaranteed = true, any = false;
    size_t i;
    json_t *c;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_at(pod, lists[l]), i, c) for (size_t n = 0; n < ARRAY_LEN(names);
                                                              n++)
        {
            const json_t *res = json_object_get(c, "resources");
            const char *limit = json_str_at(json_object_get(res, "limits"), names[n], "0");
            const char *request = json_str_at(json_object_get(res, "requests"), names[n], limit);

            any = any || !is_zero(limit) || !is_zero(request);
            guaranteed = guaranteed && !is_zero(limit) && strcmp(limit, request) == 0;
        }
    return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    json_t *status = json_object();

    (void)env;
    (void)e;
    json_object_set_new(status, "phase", json_string("Pending"));
    json_object_set_new(status, "qosClass", json_string(qos_of(obj)));
    json_object_set_new(obj, "status", status);
    return 0;
}

static int prepare_status(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *status = json_object_get(obj, "status");
    const char *qos = json_str_at(old, "status.qosClass", "");

    (void)env;
    (void)e;
    if (json_is_object(status) && *qos && !json_object_get(status, "qosClass"))
        json_object_set_new(status, "qosClass", json_string(qos));
    return 0;
}

/* registry/core/pod/strategy.go, CheckGracefulDelete: a pod that no kubelet runs goes at once. */
static int64_t grace_s(const json_t *obj, int64_t asked_s)
{
    const char *phase = json_str_at(obj, "status.phase", "");
    int64_t s = asked_s >= 0 ? asked_s : json_i64_at(obj, "spec.terminationGracePeriodSeconds", 30);

    if (!*json_str_at(obj, "spec.nodeName", "") || strcmp(phase, "Succeeded") == 0 ||
        strcmp(phase, "Failed") == 0)
        return 0;
    return s < 0 ? 1 : s;
}

const struct resource_hooks resource_pods = {
    .group = "",
    .plural = "pods",
    .returns_deleted = true,
    .prepare_create = prepare_create,
    .prepare_status = prepare_status,
    .grace_s = grace_s,
};

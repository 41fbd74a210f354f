#include "base/data/json.h"
#include "base/kube/metadata.h"
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

/* What an update may change is made equal; then the rest must be equal. */
static json_t *without_mutable(const json_t *pod, const json_t *other)
{
    static const char *const lists[] = { "containers", "initContainers" };
    json_t *spec = json_deep_copy(json_object_get(pod, "spec"));
    const json_t *other_spec = json_object_get(other, "spec");
    size_t i;
    json_t *c;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_object_get(spec, lists[l]), i, c) json_object_set(
            c, "image",
            json_object_get(json_array_get(json_object_get(other_spec, lists[l]), i), "image"));
    json_object_del(spec, "activeDeadlineSeconds");
    json_object_del(spec, "terminationGracePeriodSeconds");
    json_object_del(spec, "tolerations");
    return spec;
}

static void validate_update(struct resource_env *env, const json_t *obj, const json_t *old,
                            struct field_errors *fe)
{
    json_auto_t *now = without_mutable(obj, old);
    const json_t *was_list = json_at(old, "spec.tolerations"),
                 *now_list = json_at(obj, "spec.tolerations");
    size_t i, k;
    json_t *a, *b;

    (void)env;
    json_auto_t *was = without_mutable(old, old);
    if (!json_equal(now, was))
        field_forbidden(fe, FIELD_AT(NULL, "spec"),
                        "pod updates may not change fields other than `spec.containers[*].image`,"
                        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                        "`spec.tolerations` (only additions to existing tolerations),"
                        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                        "previously negative)");
    json_array_foreach(was_list, i, a)
    {
        bool kept = false;

        json_array_foreach(now_list, k, b) kept =
            kept || strcmp(json_str_at(a, "key", ""), json_str_at(b, "key", "")) == 0;
        if (!kept) {
            field_forbidden(fe, FIELD_AT(FIELD_AT(NULL, "spec"), "tolerations"),
                            "existing toleration can not be modified except its "
                            "tolerationSeconds");
            break;
        }
    }
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
    .validate_update = validate_update,
    .grace_s = grace_s,
};

#include "base/data/time.h"
#include "server/resource/kinds.h"

/* One without a service is answered by this server itself, so it is there from the first moment
 * (kube-aggregator pkg/registry/apiservice/strategy.go, NewLocalAvailableAPIServiceCondition). */
static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    char now[TIME_TEXT_BYTES];

    (void)env;
    (void)e;
    if (json_object_get(json_object_get(obj, "spec"), "service"))
        return 0;
    time_now_s(now);
    json_object_set_new(obj, "status",
                        json_pack("{s:[{s:s, s:s, s:s, s:s, s:s}]}", "conditions", "type",
                                  "Available", "status", "True", "lastTransitionTime", now,
                                  "reason", "Local", "message",
                                  "Local APIServices are always available"));
    return 0;
}

const struct resource_hooks resource_apiservices = {
    .group = "apiregistration.k8s.io",
    .plural = "apiservices",
    .prepare_create = prepare_create,
};

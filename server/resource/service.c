/* Services: the cluster IP and node ports are given at creation and kept (registry/core/service).
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/kinds.h"
#include "server/resource/service_claims.h"
#include "server/resource/service_ip.h"

#include <string.h>

static bool wants_ip(const json_t *obj)
{
    return strcmp(json_str_at(obj, "spec.type", "ClusterIP"), "ExternalName") != 0;
}

static bool wants_ports(const json_t *obj)
{
    const char *type = json_str_at(obj, "spec.type", "ClusterIP");

    return strcmp(type, "NodePort") == 0 ||
           (strcmp(type, "LoadBalancer") == 0 &&
            json_bool_at(obj, "spec.allocateLoadBalancerNodePorts", true));
}

static void set_ip(json_t *obj, const char *ip)
{
    json_t *spec = json_object_get(obj, "spec"), *ips = json_array();

    json_array_append_new(ips, json_string(ip));
    json_object_set_new(spec, "clusterIP", json_string(ip));
    json_object_set_new(spec, "clusterIPs", ips);
    if (!json_object_get(spec, "ipFamilies"))
        json_object_set_new(spec, "ipFamilies", json_pack("[s]", "IPv4"));
    if (!json_object_get(spec, "ipFamilyPolicy"))
        json_object_set_new(spec, "ipFamilyPolicy", json_string("SingleStack"));
}

static bool old_has_port(const json_t *old, int64_t port)
{
    size_t i;
    json_t *p;

    json_array_foreach(json_at(old, "spec.ports"), i,
                       p) if (json_i64_at(p, "nodePort", 0) == port) return true;
    return false;
}

/* The ports that must be on the node. Those taken before a failure are given back by the caller. */
static int take_ports(struct service_ips *ips, json_t *obj, const json_t *old, struct err *e)
{
    const json_t *ports = json_at(obj, "spec.ports");
    size_t i;
    json_t *p;

    if (!wants_ports(obj))
        return 0;
    json_array_foreach(json_at(obj, "spec.ports"), i, p)
    {
        int64_t port = json_i64_at(p, "nodePort", 0);

        if (port) {
            if (!old_has_port(old, port) && service_ips_take_port(ips, port, e)) {
                for (; i < json_array_size(ports); i++) /* not ours to give back */
                    json_object_del(json_array_get(ports, i), "nodePort");
                return e->code;
            }
            continue;
        }
        /* the same port keeps its number when a client leaves it out */
        json_t *was = json_array_get(json_at(old, "spec.ports"), i);
        if (was && json_i64_at(was, "port", -1) == json_i64_at(p, "port", 0) &&
            json_i64_at(was, "nodePort", 0)) {
            json_object_set(p, "nodePort", json_object_get(was, "nodePort"));
            continue;
        }
        if (service_ips_take_any_port(ips, &port, e))
            return e->code;
        json_object_set_new(p, "nodePort", json_integer(port));
    }
    return 0;
}

static int prepare(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    const char *ip = json_str_at(obj, "spec.clusterIP", "");
    const char *had = old && wants_ip(old) ? json_str_at(old, "spec.clusterIP", "") : "";
    char given[16];

    if (!json_is_object(json_object_get(obj, "spec")))
        return 0; /* validation says so */
    if (!*ip)     /* clients may leave it out in an update */
        ip = had;
    if (!wants_ip(obj)) {
        json_object_del(json_object_get(obj, "spec"), "clusterIP");
        json_object_del(json_object_get(obj, "spec"), "clusterIPs");
        return 0;
    }
    auto_free char *want = mem_strdup(ip);
    bool took = *want && strcmp(want, "None") != 0 && strcmp(want, had) != 0;
    if (took && service_ips_take(env->service_ips, want, e))
        return e->code;
    if (!*want) {
        if (service_ips_take_any(env->service_ips, given, e))
            return e->code;
        free(want);
        want = mem_strdup(given);
    }
    set_ip(obj, want);
    if (take_ports(env->service_ips, obj, old, e)) {
        service_ips_release(env->service_ips, obj, old);
        return e->code;
    }
    return 0;
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    return prepare(env, obj, NULL, e);
}

static int prepare_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    return prepare(env, obj, old, e);
}

static void undo(struct resource_env *env, const json_t *obj, const json_t *old)
{
    service_ips_release(env->service_ips, obj, old);
}

static void after_commit(struct resource_env *env, const json_t *obj, const json_t *old)
{
    if (old) /* deleted, or no longer holding all it held */
        service_ips_release(env->service_ips, old, obj);
}

const struct resource_hooks resource_services = {
    .group = "",
    .plural = "services",
    .returns_deleted = true,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .undo = undo,
    .after_commit = after_commit,
    .claims = service_claims_of,
};

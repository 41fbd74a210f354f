/*
 * Services: what they are given at creation and keep: an address, node ports, a port for health
 * checks (pkg/registry/core/service/storage and strategy.go, release 1.32).
 *
 *   prepare   what the client left out comes from the stored Service; what its new type does not
 *             need, and the client did not touch, goes
 *   allocate  families, then the address, then the ports; all of them or none
 *   undo      nothing was stored: what allocate took is free again
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/kinds.h"
#include "server/resource/service_claims.h"
#include "server/resource/service_family.h"
#include "server/resource/service_ip.h"
#include "server/schema/validate_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *str(const json_t *spec, const char *key)
{
    return json_str_at(spec, key, "");
}

static bool is_type(const json_t *spec, const char *type)
{
    return strcmp(str(spec, "type"), type) == 0;
}

static bool needs_ip(const json_t *spec)
{
    return spec && !is_type(spec, "ExternalName");
}

static bool needs_node_ports(const json_t *spec)
{
    return is_type(spec, "NodePort") || is_type(spec, "LoadBalancer");
}

/* The client wants ports that it did not name. */
static bool gives_node_ports(const json_t *spec)
{
    return is_type(spec, "NodePort") || (is_type(spec, "LoadBalancer") &&
                                         json_bool_at(spec, "allocateLoadBalancerNodePorts", true));
}

static bool needs_health_check(const json_t *spec)
{
    return is_type(spec, "LoadBalancer") &&
           strcmp(str(spec, "externalTrafficPolicy"), "Local") == 0;
}

static bool is_external(const json_t *spec)
{
    return needs_node_ports(spec) ||
           (is_type(spec, "ClusterIP") && json_array_size(json_at(spec, "externalIPs")));
}

static bool is_balancer(const json_t *spec)
{
    return is_type(spec, "LoadBalancer");
}

static int64_t node_port(const json_t *port)
{
    return json_i64_at(port, "nodePort", 0);
}

static bool has_node_port(const json_t *spec, int64_t n)
{
    json_t *port;
    size_t i;

    json_array_foreach(json_at(spec, "ports"), i, port)
    {
        if (node_port(port) == n)
            return true;
    }
    return false;
}

/* ---- prepare: patchAllocatedValues ---- */

static void keep_absent(json_t *spec, const json_t *old, const char *key)
{
    json_t *was = json_object_get(old, key);

    if (was && !json_object_get(spec, key))
        json_object_set_new(spec, key, json_deep_copy(was));
}

/* Ports are known by their names; a number that is used already is not given twice. */
static void keep_node_ports(json_t *spec, const json_t *old)
{
    json_t *port, *was;
    size_t i, k;

    json_array_foreach(json_object_get(spec, "ports"), i, port)
    {
        int64_t n = 0;
        if (node_port(port))
            continue;
        json_array_foreach(json_at(old, "ports"), k, was)
        {
            if (strcmp(str(was, "name"), str(port, "name")) == 0)
                n = node_port(was);
        }
        if (n && !has_node_port(spec, n))
            json_object_set_new(port, "nodePort", json_integer(n));
    }
}

/* ---- prepare: dropTypeDependentFields ---- */

static bool same_node_ports(const json_t *spec, const json_t *old)
{
    json_t *port;
    size_t i;

    json_array_foreach(json_at(spec, "ports"), i, port)
    {
        if (!has_node_port(old, node_port(port)))
            return false;
    }
    json_array_foreach(json_at(old, "ports"), i, port)
    {
        if (!has_node_port(spec, node_port(port)))
            return false;
    }
    return true;
}

static void drop(json_t *spec, const json_t *old, const char *key, bool (*needs)(const json_t *))
{
    const json_t *now = json_object_get(spec, key), *was = json_object_get(old, key);

    if (needs(old) && !needs(spec) && now && was && json_equal(now, was))
        json_object_del(spec, key);
}

static void drop_unneeded(json_t *spec, const json_t *old)
{
    static const char *const ip_keys[] = { "clusterIP", "clusterIPs", "ipFamilies",
                                           "ipFamilyPolicy" };
    json_t *port;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(ip_keys); k++)
        drop(spec, old, ip_keys[k], needs_ip);
    if (needs_node_ports(old) && !needs_node_ports(spec) && same_node_ports(spec, old))
        json_array_foreach(json_object_get(spec, "ports"), i, port)
            json_object_del(port, "nodePort");
    drop(spec, old, "healthCheckNodePort", needs_health_check);
    drop(spec, old, "allocateLoadBalancerNodePorts", is_balancer);
    drop(spec, old, "loadBalancerClass", is_balancer);
    drop(spec, old, "externalTrafficPolicy", is_external);
}

static int prepare_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *spec = json_object_get(obj, "spec"), *before = json_object_get(old, "spec");

    (void)env;
    (void)e;
    if (!spec)
        return 0; /* validation says so */
    if (needs_ip(spec) && needs_ip(before)) {
        if (!str(spec, "clusterIP")[0])
            keep_absent(spec, before, "clusterIP");
        keep_absent(spec, before, "clusterIPs");
    }
    if (needs_node_ports(spec) && needs_node_ports(before))
        keep_node_ports(spec, before);
    if (needs_health_check(spec) && needs_health_check(before))
        keep_absent(spec, before, "healthCheckNodePort");
    service_family_normalize(spec, before);
    drop_unneeded(spec, before);
    return 0;
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    (void)env;
    (void)e;
    if (json_object_get(obj, "spec"))
        service_family_normalize(json_object_get(obj, "spec"), NULL);
    return 0;
}

/* ---- allocate ---- */

/* What one request took so far, in the shape of a Service, to be given back when it fails. */
struct taken {
    struct service_ips *ips;
    json_t *addresses, *ports;
};

static void took_ip(struct taken *t, const char *ip)
{
    json_array_append_new(t->addresses, json_string(ip));
}

static const char *text_at(const json_t *spec, const char *key, size_t i)
{
    const char *s = json_string_value(json_array_get(json_object_get(spec, key), i));

    return s ? s : "";
}

static size_t count(const json_t *spec, const char *key)
{
    return json_array_size(json_object_get(spec, key));
}

/* From which of its families on an update needs addresses: all of them when it had none before,
 * the second of one that gets a second (updateClusterIPs). */
static size_t first_to_allocate(const json_t *spec, const json_t *old)
{
    size_t n_old = MAX(count(old, "ipFamilies"), count(old, "clusterIPs"));

    if (!needs_ip(old))
        return 0;
    return strcmp(text_at(old, "clusterIPs", 0), "None") == 0 || n_old > 1
               ? count(spec, "ipFamilies")
               : 1;
}

/* The i-th address: the one that is named, or any. The list has room for it. */
static int allocate_one(struct taken *t, json_t *spec, size_t i, struct field_errors *fe,
                        struct err *e)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    json_t *ips = json_object_get(spec, "clusterIPs");
    const char *ip = text_at(spec, "clusterIPs", i);
    char any[INET6_ADDRSTRLEN], why[256];
    struct err refused;

    if (!*ip) {
        if (service_ips_take_any(t->ips, text_at(spec, "ipFamilies", i), any, e))
            return (int)e->code;
        json_array_set_new(ips, i, json_string(any));
        took_ip(t, any);
    } else if (service_ips_take(t->ips, ip, &refused)) {
        snprintf(why, sizeof why, "failed to allocate IP %.45s: %.180s", ip, refused.text);
        field_invalid_list(fe, FIELD_AT(p, "clusterIPs"), "string", ips, why);
    } else {
        took_ip(t, ip);
    }
    return 0;
}

static int allocate_ips(struct taken *t, json_t *spec, const json_t *old, struct field_errors *fe,
                        struct err *e)
{
    size_t n = MIN(count(spec, "ipFamilies"), (size_t)SERVICE_FAMILIES_MAX);
    size_t first = first_to_allocate(spec, old);
    json_t *ips = json_object_get(spec, "clusterIPs");

    if (!needs_ip(spec) || strcmp(text_at(spec, "clusterIPs", 0), "None") == 0 || first >= n)
        return 0;
    if (!json_is_array(ips)) {
        ips = json_array();
        json_object_set_new(spec, "clusterIPs", ips);
    }
    while (json_array_size(ips) < n)
        json_array_append_new(ips, json_string("")); /* upstream shows them so in its errors */
    for (size_t i = first; i < n; i++) {
        int r = allocate_one(t, spec, i, fe, e);
        if (r || fe->n)
            return r;
    }
    if (first == 0)
        json_object_set(spec, "clusterIP", json_array_get(ips, 0));
    return 0;
}

static void took_port(struct taken *t, int64_t n)
{
    json_array_append_new(t->ports, json_pack("{s:I}", "nodePort", (json_int_t)n));
}

/* Another port of this Service with the same number and another protocol has this node port. */
static int64_t twin_of(const json_t *ports, size_t n, const json_t *port)
{
    json_t *other;
    size_t i;

    json_array_foreach(ports, i, other)
    {
        if (i != n && json_i64_at(other, "port", 0) == json_i64_at(port, "port", 0) &&
            strcmp(str(other, "protocol"), str(port, "protocol")) != 0 && node_port(other))
            return node_port(other);
    }
    return 0;
}

static bool is_taken(const struct taken *t, int64_t n)
{
    json_t *port;
    size_t i;

    json_array_foreach(t->ports, i, port)
    {
        if (node_port(port) == n)
            return true;
    }
    return false;
}

static void allocate_named(struct taken *t, const json_t *old, size_t i, int64_t n,
                           struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *list = FIELD_AT(p, "ports");
    const struct field_path *at = FIELD_INDEX(list, i);
    struct err why;

    if (is_taken(t, n) || (needs_node_ports(old) && has_node_port(old, n)))
        return; /* a doubled one: validation looks at the protocols */
    if (service_ips_take_port(t->ips, n, &why))
        field_add(fe, FIELD_INVALID, FIELD_AT(at, "nodePort"), "Invalid value: %" PRId64 ": %s", n,
                  why.text);
    else
        took_port(t, n);
}

static int allocate_ports(struct taken *t, json_t *spec, const json_t *old, struct field_errors *fe,
                          struct err *e)
{
    json_t *ports = json_object_get(spec, "ports"), *port;
    size_t i;

    if (!needs_node_ports(spec))
        return 0;
    json_array_foreach(ports, i, port) /* those that are asked for come first */
    {
        if (node_port(port))
            allocate_named(t, old, i, node_port(port), fe);
    }
    json_array_foreach(ports, i, port)
    {
        int64_t n = node_port(port);
        if (n || fe->n || !gives_node_ports(spec))
            continue;
        n = twin_of(ports, i, port);
        if (!n) {
            if (service_ips_take_any_port(t->ips, &n, e))
                return e->code;
            took_port(t, n);
        }
        json_object_set_new(port, "nodePort", json_integer(n));
    }
    return 0;
}

static int allocate_health_check(struct taken *t, json_t *spec, const json_t *old, struct err *e)
{
    int64_t n = json_i64_at(spec, "healthCheckNodePort", 0);
    struct err why;

    if (!needs_health_check(spec) || (old && needs_health_check(old)))
        return 0;
    if (!n) {
        if (service_ips_take_any_port(t->ips, &n, e))
            return e->code;
        json_object_set_new(spec, "healthCheckNodePort", json_integer(n));
    } else if (service_ips_take_port(t->ips, n, &why)) {
        return err_set(e, ERR_IO,
                       "failed to allocate requested HealthCheck NodePort %" PRId64 ": %s", n,
                       why.text);
    }
    took_port(t, n);
    return 0;
}

static void undo(struct resource_env *env, const json_t *taken)
{
    service_ips_release(env->service_ips, taken, NULL);
}

static int allocate(struct resource_env *env, json_t *obj, const json_t *old, json_t **taken,
                    struct field_errors *fe, struct err *e)
{
    json_t *spec = json_object_get(obj, "spec"), *before = json_object_get(old, "spec");
    json_auto_t *doc = json_pack("{s:{s:[], s:[]}}", "spec", "clusterIPs", "ports");
    struct taken t = { env->service_ips, json_at(doc, "spec.clusterIPs"),
                       json_at(doc, "spec.ports") };
    struct service_families families = service_ips_families(env->service_ips);
    int r = 0;

    if (!spec)
        return 0;
    bool settled = service_family_is_settled(spec, before);
    service_family_init(spec, before, &families, fe);
    if (!fe->n && !settled)
        r = allocate_ips(&t, spec, before, fe, e);
    if (!r && !fe->n)
        r = allocate_ports(&t, spec, before, fe, e);
    if (!r && !fe->n)
        r = allocate_health_check(&t, spec, before, e);
    if (r || fe->n)
        undo(env, doc);
    else
        *taken = STEAL(doc);
    return r;
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
    .allocate = allocate,
    .undo = undo,
    .after_commit = after_commit,
    .claims = service_claims_of,
};

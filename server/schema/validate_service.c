#include "server/schema/validate_service.h"

#include "base/core/mem.h"
#include "server/schema/validate_check.h"

#include <inttypes.h>
#include <stdio.h>

enum { AFFINITY_MAX_S = 86400 };

static bool is_headless(const json_t *spec)
{
    const json_t *ips = part(spec, "clusterIPs");
    const char *first = json_string_value(json_array_get(ips, 0));

    return json_array_size(ips) == 1 && first && strcmp(first, "None") == 0;
}

static bool is_type(const json_t *spec, const char *type)
{
    return part_is(spec, "type", type);
}

/* ---- ports ---- */

static void check_name(struct field_errors *fe, const struct field_path *p, const char *name,
                       bool needed, struct map *names)
{
    if (!*name) {
        if (needed)
            field_required(fe, p, "");
        return;
    }
    (void)check_label(fe, p, name);
    if (names && !name_set_add(names, name))
        field_duplicate(fe, p, name);
}

static void check_port_pairs(struct field_errors *fe, const struct field_path *at,
                             const json_t *port, struct map *ports, struct map *node_ports)
{
    const char *protocol = part_str(port, "protocol");
    int64_t n = part_int(port, "port"), node = part_int(port, "nodePort");
    auto_free char *key = mem_printf("%s/%" PRId64, protocol, n);
    auto_free char *node_key = mem_printf("%s/%" PRId64, protocol, node);

    if (node && !name_set_add(node_ports, node_key))
        field_add(fe, FIELD_DUPLICATE, FIELD_AT(at, "nodePort"), "Duplicate value: %" PRId64, node);
    if (!name_set_add(ports, key))
        field_add(fe, FIELD_DUPLICATE, at,
                  "Duplicate value: {\"port\":%" PRId64 ",\"protocol\":\"%s\"}", n, protocol);
}

static void check_ports(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    AUTO(map) struct map *names = map_new(), *ports = map_new(), *node_ports = map_new();
    const json_t *list = part(spec, "ports");
    bool many = json_array_size(list) > 1;
    json_t *port;
    size_t i;

    if (!json_array_size(list) && !is_headless(spec) && !is_type(spec, "ExternalName"))
        field_required(fe, p, "");
    json_array_foreach(list, i, port)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        check_name(fe, FIELD_AT(at, "name"), part_str(port, "name"), many, names);
        (void)check_port(fe, FIELD_AT(at, "port"), part_int(port, "port"));
        (void)check_port_or_name(fe, FIELD_AT(at, "targetPort"), part(port, "targetPort"));
        if (part(port, "appProtocol"))
            (void)check_qualified(fe, FIELD_AT(at, "appProtocol"), part_str(port, "appProtocol"));
        if (part_int(port, "nodePort") && is_type(spec, "ClusterIP"))
            field_forbidden(fe, FIELD_AT(at, "nodePort"),
                            "may not be used when `type` is 'ClusterIP'");
        check_port_pairs(fe, at, port, ports, node_ports);
    }
}

/* ---- addresses ---- */

static const char *text_at(const json_t *list, size_t i)
{
    const char *s = json_string_value(json_array_get(list, i));

    return s ? s : "";
}

/* False: an address is none, so that nothing more can be said of them. */
static bool check_ip_texts(struct field_errors *fe, const struct field_path *p, const json_t *ips)
{
    size_t n = json_array_size(ips);
    bool ok = true;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 && strcmp(text_at(ips, 0), "None") == 0) {
            if (n > 1) {
                ok = false;
                field_invalid_list(fe, p, "string", ips, "'None' must be the first and only value");
            }
            continue;
        }
        ok &= check_ip(fe, FIELD_INDEX(p, i), text_at(ips, i));
    }
    if (n > 2)
        field_invalid_list(fe, p, "string", ips, "may only hold up to 2 values");
    return ok;
}

static void check_families(struct field_errors *fe, const struct field_path *p,
                           const json_t *families)
{
    static const char *const known[] = { "IPv4", "IPv6", NULL };
    AUTO(map) struct map *seen = map_new();

    for (size_t i = 0; i < json_array_size(families); i++) {
        (void)check_listed(fe, FIELD_INDEX(p, i), text_at(families, i), known);
        if (!name_set_add(seen, text_at(families, i)))
            field_duplicate(fe, FIELD_INDEX(p, i), text_at(families, i));
    }
}

static void check_ip_families(struct field_errors *fe, const struct field_path *p,
                              const json_t *ips, const json_t *families)
{
    char why[96];

    for (size_t i = 0; i < json_array_size(ips) && i < json_array_size(families); i++) {
        const char *family = text_at(families, i);
        if (strcmp(family, ip_is_v6(text_at(ips, i)) ? "IPv6" : "IPv4") == 0 ||
            (strcmp(family, "IPv4") != 0 && strcmp(family, "IPv6") != 0))
            continue;
        snprintf(why, sizeof why, "expected an %.4s value as indicated by `ipFamilies[%zu]`",
                 family, i);
        field_invalid(fe, FIELD_INDEX(p, i), text_at(ips, i), why);
    }
}

void validate_service_ips(const json_t *spec, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(p, "clusterIPs");
    const json_t *ips = part(spec, "clusterIPs"), *families = part(spec, "ipFamilies");
    const char *ip = part_str(spec, "clusterIP");
    size_t n = json_array_size(ips);

    if (is_type(spec, "ExternalName"))
        return;
    if (!*ip && n)
        field_invalid_list(fe, at, "string", ips,
                           "must be empty when `clusterIP` is not specified");
    else if (*ip && !n)
        field_required(fe, at, "");
    else if (*ip && strcmp(text_at(ips, 0), ip) != 0)
        field_invalid_list(fe, at, "string", ips, "first value must match `clusterIP`");
    check_families(fe, FIELD_AT(p, "ipFamilies"), families);
    if (!check_ip_texts(fe, at, ips))
        return;
    if (n > 1 && ip_is_v6(text_at(ips, 0)) == ip_is_v6(text_at(ips, 1)))
        field_invalid_list(fe, at, "string", ips,
                           "may specify no more than one IP for each IP family");
    if (!is_headless(spec))
        check_ip_families(fe, at, ips, families);
}

/* ---- types ---- */

static void check_external_name(struct field_errors *fe, const struct field_path *p,
                                const json_t *spec)
{
    static const char *const not_for_it[] = { "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
    auto_free char *name = mem_strdup(part_str(spec, "externalName"));
    size_t n = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(not_for_it); i++)
        if (part(spec, not_for_it[i]))
            field_forbidden(fe, FIELD_AT(p, not_for_it[i]),
                            "may not be set for ExternalName services");
    if (n && name[n - 1] == '.') /* fully qualified */
        name[--n] = '\0';
    if (n)
        (void)check_subdomain(fe, FIELD_AT(p, "externalName"), name);
    else
        field_required(fe, FIELD_AT(p, "externalName"), "");
}

static void check_type(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const struct field_path *ips = FIELD_AT(p, "clusterIPs");

    if (is_type(spec, "ExternalName"))
        check_external_name(fe, p, spec);
    else if (is_headless(spec) && is_type(spec, "LoadBalancer"))
        field_invalid(fe, FIELD_INDEX(ips, 0), "None",
                      "may not be set to 'None' for LoadBalancer services");
    else if (is_headless(spec) && is_type(spec, "NodePort"))
        field_invalid(fe, FIELD_INDEX(ips, 0), "None",
                      "may not be set to 'None' for NodePort services");
}

/* ---- affinity, traffic, load balancers ---- */

static void check_affinity(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const struct field_path *config = FIELD_AT(p, "sessionAffinityConfig");
    const struct field_path *client = FIELD_AT(config, "clientIP");
    const json_t *s = part(part(part(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds");

    if (part_is(spec, "sessionAffinity", "ClientIP")) {
        if (!s)
            field_required(fe, FIELD_AT(client, "timeoutSeconds"),
                           "when session affinity type is ClientIP");
        else if (json_integer_value(s) <= 0 || json_integer_value(s) > AFFINITY_MAX_S)
            field_invalid_json(fe, FIELD_AT(client, "timeoutSeconds"), s,
                               "must be greater than 0 and less than 86400");
    } else if (part_is(spec, "sessionAffinity", "None") && part(spec, "sessionAffinityConfig")) {
        field_forbidden(fe, config, "must not be set when session affinity is None");
    }
}

static bool is_balancer(const json_t *spec)
{
    return is_type(spec, "LoadBalancer");
}

static bool is_external(const json_t *spec)
{
    return is_balancer(spec) || is_type(spec, "NodePort") ||
           (is_type(spec, "ClusterIP") && json_array_size(part(spec, "externalIPs")));
}

static bool needs_health_check(const json_t *spec)
{
    return is_balancer(spec) && part_is(spec, "externalTrafficPolicy", "Local");
}

static void check_traffic(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    static const char *const distributions[] = { "PreferClose", NULL };
    const struct field_path *health = FIELD_AT(p, "healthCheckNodePort");
    const char *external = part_str(spec, "externalTrafficPolicy");
    int64_t port = part_int(spec, "healthCheckNodePort");

    if (is_external(spec) && !*external)
        field_required(fe, FIELD_AT(p, "externalTrafficPolicy"), "");
    else if (!is_external(spec) && *external)
        field_invalid(fe, FIELD_AT(p, "externalTrafficPolicy"), external,
                      "may only be set for externally-accessible services");
    if (needs_health_check(spec)) {
        if (port)
            (void)check_port(fe, health, port);
        else
            field_required(fe, health, "");
    } else if (port) {
        field_invalid_int(fe, health, port,
                          "may only be set when `type` is 'LoadBalancer' and "
                          "`externalTrafficPolicy` is 'Local'");
    }
    if ((is_external(spec) || is_type(spec, "ClusterIP")) &&
        !part_str(spec, "internalTrafficPolicy")[0])
        field_required(fe, FIELD_AT(p, "internalTrafficPolicy"), "");
    if (part(spec, "trafficDistribution"))
        (void)check_listed(fe, FIELD_AT(p, "trafficDistribution"),
                           part_str(spec, "trafficDistribution"), distributions);
}

#define ONLY_BALANCER "may only be used when `type` is 'LoadBalancer'"
#define RANGES_KEY    "service.beta.kubernetes.io/load-balancer-source-ranges"

static void check_trimmed_cidr(struct field_errors *fe, const struct field_path *p, struct str text)
{
    auto_free char *cidr = str_dup(str_trim(text));

    (void)check_cidr(fe, p, cidr);
}

static void check_source_ranges(struct field_errors *fe, const struct field_path *p,
                                const json_t *service)
{
    const json_t *spec = part(service, "spec"), *ranges = part(spec, "loadBalancerSourceRanges");
    const json_t *annotations = part(part(service, "metadata"), "annotations");
    const struct field_path *at = FIELD_AT(p, "LoadBalancerSourceRanges"); /* upstream's path */
    const struct field_path *meta = FIELD_AT(NULL, "metadata");
    const struct field_path *keys = FIELD_AT(meta, "annotations");
    struct str one, rest = str_trim(str_of(part_str(annotations, RANGES_KEY)));
    bool more = rest.n;
    json_t *v;
    size_t i;

    if (json_array_size(ranges)) {
        if (!is_balancer(spec))
            field_forbidden(fe, at, ONLY_BALANCER);
        json_array_foreach(ranges, i, v)
            check_trimmed_cidr(fe, FIELD_INDEX(at, i), str_of(json_string_value(v)));
    } else if (part(annotations, RANGES_KEY)) {
        if (!is_balancer(spec))
            field_forbidden(fe, FIELD_KEY(keys, RANGES_KEY), ONLY_BALANCER);
        while (more) {
            more = str_cut(rest, ',', &one, &rest);
            check_trimmed_cidr(fe, FIELD_KEY(keys, RANGES_KEY), one);
        }
    }
}

static void check_balancer(struct field_errors *fe, const struct field_path *p,
                           const json_t *service)
{
    const json_t *spec = part(service, "spec"), *class = part(spec, "loadBalancerClass");

    check_source_ranges(fe, p, service);
    if (part(spec, "allocateLoadBalancerNodePorts") && !is_balancer(spec))
        field_forbidden(fe, FIELD_AT(p, "allocateLoadBalancerNodePorts"), ONLY_BALANCER);
    if (is_balancer(spec) && !part(spec, "allocateLoadBalancerNodePorts"))
        field_required(fe, FIELD_AT(NULL, "allocateLoadBalancerNodePorts"), "");
    if (class && is_balancer(spec))
        (void)check_qualified(fe, FIELD_AT(p, "loadBalancerClass"), json_string_value(class));
    else if (class)
        field_forbidden(fe, FIELD_AT(p, "loadBalancerClass"), ONLY_BALANCER);
}

#define HINTS "service.kubernetes.io/topology-aware-hints"
#define MODE  "service.kubernetes.io/topology-mode"

static void check_topology(struct field_errors *fe, const json_t *annotations)
{
    const struct field_path *meta = FIELD_AT(NULL, "metadata");
    const struct field_path *at = FIELD_AT(meta, "annotations");
    const json_t *hints = part(annotations, HINTS), *mode = part(annotations, MODE);

    if (hints && mode && !json_equal(hints, mode))
        field_invalid(fe, FIELD_KEY(at, MODE), json_string_value(mode),
                      "must match annotations[" HINTS "] when both are specified");
}

void validate_service(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "spec");
    const struct field_path *external = FIELD_AT(at, "externalIPs");
    const json_t *spec = part(v, "spec");
    json_t *ip;
    size_t i;

    check_topology(fe, part(part(v, "metadata"), "annotations"));
    check_type(fe, at, spec);
    check_ports(fe, FIELD_AT(at, "ports"), spec);
    check_labels(fe, FIELD_AT(at, "selector"), part(spec, "selector"));
    check_affinity(fe, at, spec);
    validate_service_ips(spec, fe);
    json_array_foreach(part(spec, "externalIPs"), i, ip)
    {
        const struct field_path *one = FIELD_INDEX(external, i);
        if (check_ip(fe, one, json_string_value(ip)))
            (void)check_plain_ip(fe, one, json_string_value(ip));
    }
    check_balancer(fe, at, v);
    check_traffic(fe, at, spec);
}

/* ---- updates ---- */

/* One of the lists that go together, clusterIPs or ipFamilies: the first stays, the second may
 * come, or go with the policy SingleStack. */
static void check_kept(struct field_errors *fe, const struct field_path *p, const char *key,
                       const json_t *spec, const json_t *before)
{
    bool ips = strcmp(key, "clusterIPs") == 0;
    const json_t *now = part(spec, key), *old = part(before, key);
    const struct field_path *at = FIELD_AT(p, key);
    size_t n = json_array_size(now), n_old = json_array_size(old);
    const char *type = ips ? "string" : "core.IPFamily";

    if (n == n_old) {
        for (size_t i = 0; i < n; i++)
            if (strcmp(text_at(now, i), text_at(old, i)) != 0)
                field_invalid_list(fe, FIELD_INDEX(at, ips ? i : 0), type, now,
                                   "may not change once set");
        return;
    }
    if (!n)
        field_invalid_list(fe, FIELD_INDEX(at, 0), type, now,
                           ips ? "primary clusterIP can not be unset"
                               : "primary ipFamily can not be unset");
    else if (n_old && strcmp(text_at(now, 0), text_at(old, 0)) != 0)
        field_invalid_list(fe, FIELD_INDEX(at, 0), type, now, "may not change once set");
    if (n == 1 && n_old == 2 && !part_is(spec, "ipFamilyPolicy", "SingleStack"))
        field_invalid(fe, FIELD_AT(p, "ipFamilyPolicy"), part_str(spec, "ipFamilyPolicy"),
                      ips ? "must be set to 'SingleStack' when releasing the secondary clusterIP"
                          : "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

/* ValidateServiceUpdate */
void validate_service_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const json_t *spec = part(v, "spec"), *before = part(old, "spec");
    const json_t *class = part(spec, "loadBalancerClass"), *nothing = json_null();

    if (!is_type(spec, "ExternalName") && !is_type(before, "ExternalName")) {
        if (!is_headless(spec) || !is_headless(before))
            check_kept(fe, p, "clusterIPs", spec, before);
        if (!is_headless(spec) && !is_headless(before))
            check_kept(fe, p, "ipFamilies", spec, before);
    }
    if (is_balancer(spec) && is_balancer(before) &&
        !part_same(class, part(before, "loadBalancerClass")))
        field_invalid_json(fe, FIELD_AT(p, "loadBalancerClass"), class ? class : nothing,
                           "may not change once set");
    if (needs_health_check(spec) && needs_health_check(before) &&
        part_int(spec, "healthCheckNodePort") != part_int(before, "healthCheckNodePort"))
        field_forbidden(fe, FIELD_AT(p, "healthCheckNodePort"), "field is immutable");
}

/* ---- status: ValidateLoadBalancerStatus ---- */

void validate_service_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const modes[] = { "Proxy", "VIP", NULL };
    const struct field_path *status = FIELD_AT(NULL, "status");
    const struct field_path *balancer = FIELD_AT(status, "loadBalancer");
    const struct field_path *p = FIELD_AT(balancer, "ingress");
    const json_t *list = part(part(part(v, "status"), "loadBalancer"), "ingress");
    json_t *one;
    size_t i;

    if (json_array_size(list) && !is_balancer(part(old, "spec"))) {
        field_forbidden(fe, p, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    json_array_foreach(list, i, one)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *ip = part_str(one, "ip"), *mode = part_str(one, "ipMode");
        const char *name = part_str(one, "hostname");
        if (*ip)
            (void)check_ip(fe, FIELD_AT(at, "ip"), ip);
        if (*ip && !part(one, "ipMode"))
            field_required(fe, FIELD_AT(at, "ipMode"), "must be specified when `ip` is set");
        else if (!*ip && part(one, "ipMode"))
            field_forbidden(fe, FIELD_AT(at, "ipMode"),
                            "may not be specified when `ip` is not set");
        else if (part(one, "ipMode"))
            (void)check_listed(fe, FIELD_AT(at, "ipMode"), mode, modes);
        if (!*name)
            continue;
        (void)check_subdomain(fe, FIELD_AT(at, "hostname"), name);
        if (!ip_problem(name))
            field_invalid(fe, FIELD_AT(at, "hostname"), name,
                          "must be a DNS name, not an IP address");
    }
}

/* ---- endpoints ---- */

static void check_addresses(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *ip = part_str(v, "ip");
        (void)check_ip(fe, FIELD_AT(at, "ip"), ip);
        if (part_str(v, "hostname")[0])
            (void)check_label(fe, FIELD_AT(at, "hostname"), part_str(v, "hostname"));
        if (part(v, "nodeName"))
            (void)check_subdomain(fe, FIELD_AT(at, "nodeName"), part_str(v, "nodeName"));
        (void)check_plain_ip(fe, FIELD_AT(at, "ip"), ip);
    }
}

void validate_endpoint_subset(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *ready = part(v, "addresses"), *not_ready = part(v, "notReadyAddresses");
    const json_t *ports = part(v, "ports");
    const struct field_path *list = FIELD_AT(p, "ports");
    bool many = json_array_size(ports) > 1;
    json_t *port;
    size_t i;

    if (!json_array_size(ready) && !json_array_size(not_ready))
        field_required(fe, p, "must specify `addresses` or `notReadyAddresses`");
    check_addresses(fe, FIELD_AT(p, "addresses"), ready);
    check_addresses(fe, FIELD_AT(p, "notReadyAddresses"), not_ready);
    json_array_foreach(ports, i, port)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        check_name(fe, FIELD_AT(at, "name"), part_str(port, "name"), many, NULL);
        (void)check_port(fe, FIELD_AT(at, "port"), part_int(port, "port"));
        if (part(port, "appProtocol"))
            (void)check_qualified(fe, FIELD_AT(at, "appProtocol"), part_str(port, "appProtocol"));
    }
}

/* discovery.k8s.io/v1 EndpointSlices: pkg/apis/discovery/validation. */
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <arpa/inet.h>

enum {
    ENDPOINTS_MAX = 1000,
    ADDRESSES_MAX = 100,
    PORTS_MAX = 20000,
    TOPOLOGY_LABELS_MAX = 16,
    ZONE_HINTS_MAX = 8,
};

/* Addresses that no endpoint can have (core's ValidateNonSpecialIP); NULL: it may. */
static const char *special(const char *text)
{
    struct in_addr a4;
    struct in6_addr a6;
    bool v4 = inet_pton(AF_INET, text, &a4) == 1;
    uint32_t n = v4 ? ntohl(a4.s_addr) : 0;

    if (!v4 && inet_pton(AF_INET6, text, &a6) != 1)
        return NULL;
    if (v4 ? n == 0 : IN6_IS_ADDR_UNSPECIFIED(&a6))
        return "may not be unspecified (0.0.0.0 or ::)";
    if (v4 ? n >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&a6))
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    if (v4 ? n >> 16 == 0xa9fe : IN6_IS_ADDR_LINKLOCAL(&a6))
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    if (v4 ? n >> 8 == 0xe00000 : IN6_IS_ADDR_MC_LINKLOCAL(&a6))
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    return NULL;
}

static void check_domain(const char *name, const struct field_path *p, struct field_errors *fe)
{
    size_t n = strlen(name);
    auto_free char *plain = str_dup(str_n(name, n && name[n - 1] == '.' ? n - 1 : n));
    struct str label, rest = str_of(plain);
    bool more = true;

    if (!n) {
        field_required(fe, p, "");
    } else if (name_check_subdomain(rest)) {
        field_invalid(fe, p, plain, name_check_subdomain(rest));
    } else if (!strchr(plain, '.')) {
        field_invalid(fe, p, plain,
                      "should be a domain with at least two segments separated by dots");
    } else {
        while (more) {
            more = str_cut(rest, '.', &label, &rest);
            auto_free char *text = str_dup(label);
            (void)check_text(fe, p, text, name_check_label(label));
        }
    }
}

static void check_address(const char *type, const char *text, const struct field_path *p,
                          struct field_errors *fe)
{
    struct in6_addr a;

    if (strcmp(type, "FQDN") == 0) {
        check_domain(text, p, fe);
        return;
    }
    if (strcmp(type, "IPv4") == 0 && inet_pton(AF_INET, text, &a) != 1)
        field_invalid(fe, p, text, "must be a valid IPv4 address");
    if (strcmp(type, "IPv6") == 0 && inet_pton(AF_INET6, text, &a) != 1)
        field_invalid(fe, p, text, "must be a valid IPv6 address");
    (void)check_text(fe, p, text, special(text));
}

static void check_hints(const json_t *hints, const struct field_path *p, struct field_errors *fe)
{
    const json_t *zones = json_object_get(hints, "forZones");
    const struct field_path *list = FIELD_AT(p, "forZones");
    AUTO(map) struct map *seen = map_new();
    json_t *zone;
    size_t i;

    if (json_array_size(zones) > ZONE_HINTS_MAX) {
        field_too_many(fe, list, json_array_size(zones), ZONE_HINTS_MAX);
        return;
    }
    json_array_foreach(zones, i, zone)
    {
        const struct field_path *at = FIELD_AT(FIELD_INDEX(list, i), "name");
        const char *name = part_str(zone, "name");
        rule_unique(seen, name, at, fe);
        (void)check_text(fe, at, name, name_check_label_value(str_of(name)));
    }
}

static void check_endpoint(const json_t *v, const char *type, const struct field_path *p,
                           struct field_errors *fe)
{
    const json_t *addresses = json_object_get(v, "addresses");
    const json_t *topology = json_object_get(v, "deprecatedTopology");
    const struct field_path *list = FIELD_AT(p, "addresses");
    json_t *address;
    size_t i;

    if (!json_array_size(addresses))
        field_required(fe, list, "must contain at least 1 address");
    else if (json_array_size(addresses) > ADDRESSES_MAX)
        field_too_many(fe, list, json_array_size(addresses), ADDRESSES_MAX);
    json_array_foreach(addresses, i, address)
        check_address(type, json_string_value(address), FIELD_INDEX(list, i), fe);
    if (rule_has(v, "nodeName")) {
        const char *node = part_str(v, "nodeName");
        (void)check_text(fe, FIELD_AT(p, "nodeName"), node, name_check_subdomain(str_of(node)));
    }
    if (json_object_size(topology) > TOPOLOGY_LABELS_MAX)
        field_too_many(fe, FIELD_AT(p, "deprecatedTopology"), json_object_size(topology),
                       TOPOLOGY_LABELS_MAX);
    check_labels(fe, FIELD_AT(p, "deprecatedTopology"), topology);
    check_hints(json_object_get(v, "hints"), FIELD_AT(p, "hints"), fe);
}

static void check_ports(const json_t *ports, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *names = map_new();
    json_t *port;
    size_t i;

    if (json_array_size(ports) > PORTS_MAX) {
        field_too_many(fe, p, json_array_size(ports), PORTS_MAX);
        return;
    }
    json_array_foreach(ports, i, port)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(port, "name"), *protocol = part_str(port, "appProtocol");
        if (*name)
            (void)check_text(fe, FIELD_AT(at, "name"), name, name_check_label(str_of(name)));
        rule_unique(names, name, FIELD_AT(at, "name"), fe);
        if (rule_has(port, "appProtocol"))
            (void)check_qualified(fe, FIELD_AT(at, "appProtocol"), protocol);
    }
}

void discovery_slice(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "FQDN", "IP", "IPv4", "IPv6", NULL };
    const json_t *endpoints = json_object_get(v, "endpoints");
    const struct field_path *list = FIELD_AT(p, "endpoints");
    const char *type = part_str(v, "addressType");
    json_t *endpoint;
    size_t i;

    if (*type)
        (void)check_listed(fe, FIELD_AT(p, "addressType"), type, types);
    if (json_array_size(endpoints) > ENDPOINTS_MAX)
        field_too_many(fe, list, json_array_size(endpoints), ENDPOINTS_MAX);
    else
        json_array_foreach(endpoints, i, endpoint)
            check_endpoint(endpoint, type, FIELD_INDEX(list, i), fe);
    check_ports(json_object_get(v, "ports"), FIELD_AT(p, "ports"), fe);
}

/* "IP" is of the beta: what is stored may keep it. */
void discovery_slice_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };

    (void)old;
    if (part_is(v, "addressType", "IP"))
        field_not_supported(fe, FIELD_AT(NULL, "addressType"), "IP", types);
}

/* networking.k8s.io/v1 NetworkPolicies: pkg/apis/networking/validation. */
#include "base/data/cidr.h"
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

void networking_policy_port(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *port = json_object_get(v, "port"), *end = json_object_get(v, "endPort");
    const struct field_path *port_at = FIELD_AT(p, "port"), *end_at = FIELD_AT(p, "endPort");
    const char *why;

    if (!port && end)
        field_invalid_json(fe, end_at, end, "may not be specified when `port` is not specified");
    if (json_is_string(port)) {
        const char *name = json_string_value(port);
        if (end)
            field_invalid_json(fe, end_at, end, "may not be specified when `port` is non-numeric");
        (void)check_text(fe, port_at, name, name_check_port_name(str_of(name)));
    } else if (port) {
        if ((why = rule_check_port(json_integer_value(port))))
            field_invalid_json(fe, port_at, port, why);
        if (end && json_integer_value(end) < json_integer_value(port))
            field_invalid_json(fe, end_at, port, "must be greater than or equal to `port`");
        if (end && (why = rule_check_port(json_integer_value(end))))
            field_invalid_json(fe, end_at, end, why);
    }
}

void networking_policy_peer(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    bool selects = rule_has(v, "podSelector") || rule_has(v, "namespaceSelector");

    if (!selects && !rule_has(v, "ipBlock"))
        field_required(fe, p, "must specify a peer");
    else if (selects && rule_has(v, "ipBlock"))
        field_forbidden(fe, p, "may not specify both ipBlock and another peer");
}

#define NO_CIDR "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

void networking_ip_block(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *text = part_str(v, "cidr");
    const struct field_path *list = FIELD_AT(p, "except");
    struct cidr outer, inner;
    json_t *except;
    size_t i;

    if (!*text) {
        field_required(fe, FIELD_AT(p, "cidr"), "");
        return;
    }
    if (!cidr_parse(&outer, str_of(text))) {
        field_invalid(fe, FIELD_AT(p, "cidr"), text, NO_CIDR);
        return;
    }
    json_array_foreach(json_object_get(v, "except"), i, except)
    {
        const char *s = json_string_value(except) ? json_string_value(except) : "";
        if (!cidr_parse(&inner, str_of(s)))
            field_invalid(fe, FIELD_INDEX(list, i), s, NO_CIDR);
        else if (!cidr_has(&outer, &inner) || outer.prefix_bits >= inner.prefix_bits)
            field_invalid(fe, FIELD_INDEX(list, i), s, "must be a strict subset of `cidr`");
    }
}

void networking_policy_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *types = json_object_get(v, "policyTypes");

    if (json_array_size(types) > 2)
        field_invalid_list(fe, FIELD_AT(p, "policyTypes"), "networking.PolicyType", types,
                           "may not specify more than two policyTypes");
}

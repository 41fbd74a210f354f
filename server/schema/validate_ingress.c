/* networking.k8s.io/v1 Ingresses and IngressClasses: pkg/apis/networking/validation. */
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

enum { CONTROLLER_MAX_BYTES = 250 };

static const char *check_host(const char *host)
{
    return strchr(host, '*') ? rule_check_wildcard_subdomain(host)
                             : name_check_subdomain(str_of(host));
}

void networking_ingress_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *rules = json_object_get(v, "rules");

    if (!json_array_size(rules) && !rule_has(v, "defaultBackend"))
        field_invalid_list(fe, p, "networking.IngressRule", NULL,
                           "either `defaultBackend` or `rules` must be specified");
    if (rule_has(v, "ingressClassName")) {
        const char *name = part_str(v, "ingressClassName");
        (void)check_text(fe, FIELD_AT(p, "ingressClassName"), name,
                         name_check_subdomain(str_of(name)));
    }
}

void networking_ingress_tls(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *list = FIELD_AT(p, "hosts");
    const char *secret = part_str(v, "secretName");
    json_t *host;
    size_t i;

    json_array_foreach(json_object_get(v, "hosts"), i, host)
    {
        const char *s = json_string_value(host) ? json_string_value(host) : "";
        (void)check_text(fe, FIELD_INDEX(list, i), s, check_host(s));
    }
    if (*secret)
        (void)check_text(fe, FIELD_AT(p, "secretName"), secret,
                         name_check_subdomain(str_of(secret)));
}

void networking_ingress_rule(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *host = part_str(v, "host");
    const struct field_path *at = FIELD_AT(p, "host");

    if (!*host)
        return;
    if (!ip_problem(host))
        field_invalid(fe, at, host, "must be a DNS name, not an IP address");
    (void)check_text(fe, at, host, check_host(host));
}

void networking_ingress_paths(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (!json_array_size(json_object_get(v, "paths")))
        field_required(fe, FIELD_AT(p, "paths"), "");
}

void networking_ingress_path(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
    static const char *const sequences[] = { "//", "/./", "/../", "%2f", "%2F" };
    static const char *const suffixes[] = { "/..", "/." };
    const char *path = part_str(v, "path"), *type = part_str(v, "pathType");
    const struct field_path *at = FIELD_AT(p, "path");
    bool specific = part_is(v, "pathType", "ImplementationSpecific");

    if (!rule_has(v, "pathType")) {
        field_required(fe, FIELD_AT(p, "pathType"), "pathType must be specified");
        return;
    }
    if (!text_listed(types, type)) {
        field_not_supported(fe, FIELD_AT(p, "pathType"), type, types);
        return;
    }
    if (*path != '/' && (*path || !specific))
        field_invalid(fe, at, path, "must be an absolute path");
    for (size_t i = 0; !specific && i < ARRAY_LEN(sequences); i++)
        if (strstr(path, sequences[i])) {
            auto_free char *why = mem_printf("must not contain '%s'", sequences[i]);
            field_invalid(fe, at, path, why);
        }
    for (size_t i = 0; !specific && i < ARRAY_LEN(suffixes); i++)
        if (str_ends(str_of(path), str_of(suffixes[i]))) {
            auto_free char *why = mem_printf("cannot end with '%s'", suffixes[i]);
            field_invalid(fe, at, path, why);
        }
}

/* apiGroup, kind and name, of backends and of a class's parameters */
static void check_object_name(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const keys[] = { "kind", "name" };
    static const char *const missing[] = { "kind is required", "name is required" };

    if (rule_has(v, "apiGroup")) {
        const char *group = part_str(v, "apiGroup");
        (void)check_text(fe, FIELD_AT(p, "apiGroup"), group, name_check_subdomain(str_of(group)));
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *s = part_str(v, keys[i]);
        if (!*s)
            field_required(fe, FIELD_AT(p, keys[i]), missing[i]);
        else
            (void)check_text(fe, FIELD_AT(p, keys[i]), s, name_check_path_segment(str_of(s)));
    }
}

static void check_service(const json_t *v, const struct field_path *backend,
                          struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(backend, "service");
    const json_t *port = json_object_get(v, "port"), *number = json_object_get(port, "number");
    const char *name = part_str(v, "name"), *port_name = part_str(port, "name");
    const char *why;

    if (!*name)
        field_required(fe, FIELD_AT(p, "name"), "");
    else
        (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_label35(str_of(name)));
    if (*port_name && json_integer_value(number))
        field_invalid(fe, backend, "", "cannot set both port name & port number");
    else if (*port_name)
        (void)check_text(fe, FIELD_AT(FIELD_AT(p, "port"), "name"), port_name,
                         name_check_port_name(str_of(port_name)));
    else if (!json_integer_value(number))
        field_required(fe, backend, "port name or number is required");
    else if ((why = rule_check_port(json_integer_value(number))))
        field_invalid_json(fe, FIELD_AT(FIELD_AT(p, "port"), "number"), number, why);
}

void networking_ingress_backend(const json_t *v, const struct field_path *p,
                                struct field_errors *fe)
{
    const json_t *service = json_object_get(v, "service");
    const json_t *resource = json_object_get(v, "resource");

    if (service && resource)
        field_invalid(fe, p, "", "cannot set both resource and service backends");
    else if (resource)
        check_object_name(resource, FIELD_AT(p, "resource"), fe);
    else if (service)
        check_service(service, p, fe);
    else
        field_invalid(fe, p, "", "resource or service backend is required");
}

void networking_ingress_address(const json_t *v, const struct field_path *p,
                                struct field_errors *fe)
{
    const char *ip = part_str(v, "ip"), *host = part_str(v, "hostname");

    if (*ip && ip_problem(ip))
        field_invalid(fe, FIELD_AT(p, "ip"), ip,
                      "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    if (!*host)
        return;
    (void)check_text(fe, FIELD_AT(p, "hostname"), host, name_check_subdomain(str_of(host)));
    if (!ip_problem(host))
        field_invalid(fe, FIELD_AT(p, "hostname"), host, "must be a DNS name, not an IP address");
}

void networking_ingress_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char key[] = "kubernetes.io/ingress.class";
    const json_t *annotations = json_object_get(json_object_get(v, "metadata"), "annotations");
    const json_t *spec = json_object_get(v, "spec");
    const char *value = part_str(annotations, key);

    (void)old;
    if (rule_has(annotations, key) && rule_has(spec, "ingressClassName") &&
        !part_is(spec, "ingressClassName", value))
        field_invalid(fe, FIELD_AT(FIELD_AT(NULL, "annotations"), key), value,
                      "must match `ingressClassName` when both are specified");
}

/* ---- classes ---- */

void networking_class_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *controller = part_str(v, "controller");

    if (strlen(controller) > CONTROLLER_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "controller"), CONTROLLER_MAX_BYTES);
    rule_domain_path(controller, FIELD_AT(p, "controller"), fe);
}

void networking_class_parameters(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe)
{
    static const char *const scopes[] = { "Cluster", "Namespace", NULL };
    const char *scope = part_str(v, "scope"), *ns = part_str(v, "namespace");
    const struct field_path *at = FIELD_AT(p, "namespace");

    check_object_name(v, p, fe);
    (void)check_listed(fe, FIELD_AT(p, "scope"), scope, scopes);
    if (strcmp(scope, "Namespace") == 0) {
        if (!rule_has(v, "namespace"))
            field_required(fe, at, "`parameters.scope` is set to 'Namespace'");
        else
            (void)check_text(fe, at, ns, name_check_label(str_of(ns)));
    } else if (strcmp(scope, "Cluster") == 0 && rule_has(v, "namespace")) {
        field_forbidden(fe, at, "`parameters.scope` is set to 'Cluster'");
    }
}

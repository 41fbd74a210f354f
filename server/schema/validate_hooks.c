#include "server/schema/validate_hooks.h"

#include "base/core/map.h"
#include "base/kube/name.h"
#include "base/kube/quantity.h"

#include <stdio.h>

enum { DATA_MAX_BYTES = 1024 * 1024 }; /* of a ConfigMap or Secret, as upstream */

static const char *str_in(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

static bool is(const json_t *v, const char *key, const char *value)
{
    return strcmp(str_in(v, key), value) == 0;
}

/* ---- containers ---- */

static void check_resources(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    json_t *limits = json_object_get(v, "limits"), *request;
    const char *name;

    json_object_foreach(json_object_get(v, "requests"), name, request)
    {
        const char *limit = str_in(limits, name);
        struct quantity r, l;
        struct err e;
        char why[160];
        if (!*limit || quantity_parse(&r, str_of(json_string_value(request)), &e) ||
            quantity_parse(&l, str_of(limit), &e) || quantity_cmp(&r, &l) <= 0)
            continue;
        snprintf(why, sizeof why, "must be less than or equal to %.60s limit of %.40s", name,
                 limit);
        field_invalid(fe, FIELD_AT(p, "requests"), json_string_value(request), why);
    }
}

static void check_env(const json_t *env, const struct field_path *p, struct field_errors *fe)
{
    json_t *v;
    size_t i;

    json_array_foreach(env, i, v)
    {
        const json_t *from = json_object_get(v, "valueFrom");
        const struct field_path *at = FIELD_INDEX(p, i);
        const struct field_path *from_at = FIELD_AT(at, "valueFrom");
        if (!from)
            continue;
        if (json_object_size(from) == 0)
            field_invalid(fe, from_at, "",
                          "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                          "`secretKeyRef` or `fileKeyRef`");
        else if (json_object_size(from) > 1)
            field_invalid(fe, from_at, "", "may not have more than one field specified at a time");
        if (str_in(v, "value")[0])
            field_invalid(fe, from_at, "", "may not be specified when `value` is not empty");
    }
}

static void check_probe(const json_t *probe, const struct field_path *p, struct field_errors *fe)
{
    static const char *const handlers[] = { "exec", "httpGet", "tcpSocket", "grpc" };
    unsigned n = 0;

    if (!probe)
        return;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (json_object_get(probe, handlers[i]) && n++ > 0)
            field_forbidden(fe, FIELD_AT(p, handlers[i]),
                            "may not specify more than 1 handler type");
    if (!n)
        field_required(fe, p, "must specify a handler type");
}

static void container(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *image = str_in(v, "image");
    size_t n = strlen(image);

    if (n && (image[0] == ' ' || image[n - 1] == ' '))
        field_invalid(fe, FIELD_AT(p, "image"), image,
                      "must not have leading or trailing whitespace");
    check_resources(json_object_get(v, "resources"), FIELD_AT(p, "resources"), fe);
    check_env(json_object_get(v, "env"), FIELD_AT(p, "env"), fe);
    check_probe(json_object_get(v, "livenessProbe"), FIELD_AT(p, "livenessProbe"), fe);
    check_probe(json_object_get(v, "readinessProbe"), FIELD_AT(p, "readinessProbe"), fe);
    check_probe(json_object_get(v, "startupProbe"), FIELD_AT(p, "startupProbe"), fe);
}

/* ---- pods ---- */

static char present; /* the value of keys in sets of names */

/* Adds each name to the set; a name that is there already is an error. */
static void unique_names(struct map *set, const json_t *list, const struct field_path *p,
                         struct field_errors *fe)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *name = str_in(v, "name");
        const struct field_path *at = FIELD_INDEX(p, i);
        if (*name && map_set(set, str_of(name), &present))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
    }
}

static void check_mounts(const struct map *volumes, const json_t *container_,
                         const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *paths = map_new();
    const struct field_path *mounts = FIELD_AT(p, "volumeMounts");
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(container_, "volumeMounts"), i, v)
    {
        const struct field_path *at = FIELD_INDEX(mounts, i);
        const char *name = str_in(v, "name"), *path = str_in(v, "mountPath");
        if (*name && !map_get(volumes, str_of(name)))
            field_not_found(fe, FIELD_AT(at, "name"), name);
        if (*path && map_set(paths, str_of(path), &present))
            field_invalid(fe, FIELD_AT(at, "mountPath"), path, "must be unique");
    }
}

static void check_port_names(const json_t *containers, const struct field_path *p,
                             struct field_errors *fe)
{
    json_t *c, *port;
    size_t i, j;

    json_array_foreach(containers, i, c)
    {
        AUTO(map) struct map *names = map_new();
        const struct field_path *ports = FIELD_AT(FIELD_INDEX(p, i), "ports");
        json_array_foreach(json_object_get(c, "ports"), j, port)
        {
            const char *name = str_in(port, "name");
            const struct field_path *at = FIELD_INDEX(ports, j);
            if (*name && map_set(names, str_of(name), &present))
                field_duplicate(fe, FIELD_AT(at, "name"), name);
        }
    }
}

static void check_container_list(const struct map *volumes, const json_t *list,
                                 const struct field_path *p, struct field_errors *fe)
{
    json_t *c;
    size_t i;

    json_array_foreach(list, i, c)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        if (!str_in(c, "image")[0])
            field_required(fe, FIELD_AT(at, "image"), "");
        check_mounts(volumes, c, at, fe);
    }
    check_port_names(list, p, fe);
}

static void pod_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *volumes = map_new(), *names = map_new();
    static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };

    unique_names(volumes, json_object_get(v, "volumes"), FIELD_AT(p, "volumes"), fe);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const json_t *list = json_object_get(v, lists[i]);
        const struct field_path *at = FIELD_AT(p, lists[i]);
        unique_names(names, list, at, fe);
        check_container_list(volumes, list, at, fe);
    }
    if (is(v, "dnsPolicy", "None") &&
        !json_array_size(json_object_get(json_object_get(v, "dnsConfig"), "nameservers")))
        field_required(fe, FIELD_AT(FIELD_AT(p, "dnsConfig"), "nameservers"),
                       "must provide at least one DNS nameserver when `dnsPolicy` is None");
}

static void volume(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *key;
    json_t *item;
    unsigned n = 0;

    json_object_foreach((json_t *)v, key, item)
    {
        if (strcmp(key, "name") != 0 && n++ > 0)
            field_forbidden(fe, FIELD_AT(p, key), "may not specify more than 1 volume type");
    }
}

static void toleration(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (!str_in(v, "key")[0] && !is(v, "operator", "Exists"))
        field_invalid(fe, FIELD_AT(p, "operator"), str_in(v, "operator"),
                      "operator must be Exists when `key` is empty, which means \"match all values "
                      "and all keys\"");
    if (is(v, "operator", "Exists") && str_in(v, "value")[0])
        field_invalid(fe, FIELD_AT(p, "operator"), str_in(v, "value"),
                      "value must be empty when `operator` is 'Exists'");
}

/* Fields of a pod's spec that may change: the rest is compared as a whole. */
static json_t *fixed_part(const json_t *spec)
{
    static const char *const lists[] = { "containers", "initContainers" };
    json_t *copy = json_deep_copy(spec), *c;
    size_t i;

    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(copy, lists[k]), i, c) json_object_del(c, "image");
    json_object_del(copy, "activeDeadlineSeconds");
    json_object_del(copy, "tolerations");         /* only more of them: pod_update looks */
    json_object_del(copy, "ephemeralContainers"); /* have a subresource of their own */
    json_object_del(copy, "terminationGracePeriodSeconds"); /* -1 to 1 only, which we never store */
    json_object_del(copy, "schedulingGates");               /* only fewer of them */
    return copy;
}

static void pod_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    json_t *spec = json_object_get(v, "spec"), *before = json_object_get(old, "spec"), *t;
    json_auto_t *a = fixed_part(spec), *b = fixed_part(before);
    bool ok = json_equal(a, b);
    size_t i;

    ok &= json_array_size(json_object_get(spec, "schedulingGates")) <=
          json_array_size(json_object_get(before, "schedulingGates"));
    json_array_foreach(json_object_get(before, "tolerations"), i, t) ok &=
        json_equal(t, json_array_get(json_object_get(spec, "tolerations"), i)) == 1;
    if (!ok)
        field_forbidden(
            fe, p,
            "pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
            "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
            "if it was previously negative)");
}

/* ---- config maps and secrets ---- */

static void check_data(const json_t *data, const struct field_path *p, size_t *total,
                       struct field_errors *fe)
{
    const char *key, *why;
    json_t *v;

    json_object_foreach((json_t *)data, key, v)
    {
        if ((why = name_check_config_key(str_of(key))))
            field_invalid(fe, FIELD_KEY(p, key), key, why);
        *total += json_string_length(v);
    }
}

static void config_map(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    size_t total = 0, binary = 0;
    const char *key;
    json_t *item;

    json_object_foreach(json_object_get(v, "binaryData"), key, item)
    {
        if (json_object_get(json_object_get(v, "data"), key))
            field_invalid(fe, FIELD_KEY(FIELD_AT(p, "data"), key), key,
                          "duplicate of key present in binaryData");
    }
    check_data(json_object_get(v, "data"), FIELD_AT(p, "data"), &total, fe);
    check_data(json_object_get(v, "binaryData"), FIELD_AT(p, "binaryData"), &binary, fe);
    if (total + binary / 4 * 3 > DATA_MAX_BYTES)
        field_too_long(fe, p, DATA_MAX_BYTES);
}

static void secret(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const struct {
        const char *type, *key;
    } needed[] = { { "kubernetes.io/dockercfg", ".dockercfg" },
                   { "kubernetes.io/dockerconfigjson", ".dockerconfigjson" },
                   { "kubernetes.io/ssh-auth", "ssh-privatekey" },
                   { "kubernetes.io/tls", "tls.crt" },
                   { "kubernetes.io/tls", "tls.key" } };
    const json_t *data = json_object_get(v, "data");
    const struct field_path *at = FIELD_AT(p, "data");
    size_t total = 0;

    check_data(data, at, &total, fe);
    if (total / 4 * 3 > DATA_MAX_BYTES)
        field_too_long(fe, at, DATA_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (is(v, "type", needed[i].type) && !json_object_get(data, needed[i].key))
            field_required(fe, FIELD_KEY(at, needed[i].key), "");
}

static void sealed_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const parts[] = { "data", "binaryData" };

    if (!json_is_true(json_object_get(old, "immutable")))
        return;
    if (!json_is_true(json_object_get(v, "immutable")))
        field_forbidden(fe, FIELD_AT(NULL, "immutable"),
                        "field is immutable when `immutable` is set");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_t *a = json_object_get(v, parts[i]), *b = json_object_get(old, parts[i]);
        if (!a != !b || (a && !json_equal(a, b)))
            field_forbidden(fe, FIELD_AT(NULL, parts[i]),
                            "field is immutable when `immutable` is set");
    }
}

/* ---- services, endpoints, events, nodes ---- */

static void service_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *names = map_new();
    const json_t *ports = json_object_get(v, "ports");
    const struct field_path *at = FIELD_AT(p, "ports");
    bool external = is(v, "type", "ExternalName");
    json_t *port;
    size_t i;

    if (!json_array_size(ports) && !external && !is(v, "clusterIP", "None"))
        field_required(fe, at, "");
    if (external && !str_in(v, "externalName")[0])
        field_required(fe, FIELD_AT(p, "externalName"), "");
    json_array_foreach(ports, i, port)
    {
        const struct field_path *one = FIELD_INDEX(at, i);
        const char *name = str_in(port, "name");
        if (!*name && json_array_size(ports) > 1)
            field_required(fe, FIELD_AT(one, "name"), "");
        if (*name && map_set(names, str_of(name), &present))
            field_duplicate(fe, FIELD_AT(one, "name"), name);
        if (json_integer_value(json_object_get(port, "nodePort")) && is(v, "type", "ClusterIP"))
            field_forbidden(fe, FIELD_AT(one, "nodePort"),
                            "may not be used when `type` is 'ClusterIP'");
    }
}

static void service_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *a = json_object_get(v, "spec"), *b = json_object_get(old, "spec");
    const char *before = str_in(b, "clusterIP");

    if (*before && !is(a, "type", "ExternalName") && !is(b, "type", "ExternalName") &&
        !is(a, "clusterIP", before))
        field_invalid(fe, FIELD_AT(FIELD_AT(NULL, "spec"), "clusterIP"), str_in(a, "clusterIP"),
                      "may not change once set");
}

static void event(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *about = json_object_get(v, "involvedObject");
    const char *ns = str_in(json_object_get(v, "metadata"), "namespace");
    const struct field_path *at = FIELD_AT(FIELD_AT(p, "involvedObject"), "namespace");

    /* events about cluster-scoped objects live in default */
    if (!str_in(about, "namespace")[0]
            ? *ns && strcmp(ns, "default") != 0 && strcmp(ns, "kube-system") != 0
            : !is(about, "namespace", ns))
        field_invalid(fe, at, str_in(about, "namespace"), "does not match event.namespace");
}

static void node_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *a = json_object_get(v, "spec"), *b = json_object_get(old, "spec");
    const struct field_path *p = FIELD_AT(NULL, "spec");

    if (str_in(b, "podCIDR")[0] && !is(a, "podCIDR", str_in(b, "podCIDR")))
        field_forbidden(fe, FIELD_AT(p, "podCIDR"),
                        "node updates may not change podCIDR except from \"\" to valid");
    if (str_in(b, "providerID")[0] && !is(a, "providerID", str_in(b, "providerID")))
        field_forbidden(fe, FIELD_AT(p, "providerID"),
                        "node updates may not change providerID except from \"\" to valid");
}

static void label_selector_requirement(const json_t *v, const struct field_path *p,
                                       struct field_errors *fe)
{
    size_t n = json_array_size(json_object_get(v, "values"));
    const struct field_path *at = FIELD_AT(p, "values");

    if (is(v, "operator", "In") || is(v, "operator", "NotIn")) {
        if (!n)
            field_required(fe, at, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (is(v, "operator", "Exists") || is(v, "operator", "DoesNotExist")) {
        if (n)
            field_forbidden(fe, at,
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        field_invalid(fe, FIELD_AT(p, "operator"), str_in(v, "operator"),
                      "not a valid selector operator");
    }
}

/* ---- the tables ---- */

static const struct {
    const char *group_version, *type;
    validate_hook_fn hook;
} hooks[] = {
    { "core/v1", "ConfigMap", config_map },
    { "core/v1", "Container", container },
    { "core/v1", "EphemeralContainer", container },
    { "core/v1", "Event", event },
    { "core/v1", "PodSpec", pod_spec },
    { "core/v1", "Secret", secret },
    { "core/v1", "ServiceSpec", service_spec },
    { "core/v1", "Toleration", toleration },
    { "core/v1", "Volume", volume },
    { "meta/v1", "LabelSelectorRequirement", label_selector_requirement },
};

static const struct {
    const char *group, *kind;
    validate_update_fn hook;
} update_hooks[] = {
    { "", "ConfigMap", sealed_update }, { "", "Secret", sealed_update }, { "", "Pod", pod_update },
    { "", "Service", service_update },  { "", "Node", node_update },
};

validate_hook_fn validate_hook(const struct schema_type *t)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (strcmp(hooks[i].type, t->name) == 0 &&
            strcmp(hooks[i].group_version, t->group_version) == 0)
            return hooks[i].hook;
    return NULL;
}

validate_update_fn validate_update_hook(const struct schema_kind *k)
{
    for (size_t i = 0; i < ARRAY_LEN(update_hooks); i++)
        if (strcmp(update_hooks[i].kind, k->kind) == 0 &&
            strcmp(update_hooks[i].group, k->group) == 0)
            return update_hooks[i].hook;
    return NULL;
}

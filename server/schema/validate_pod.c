#include "server/schema/validate_pod.h"

#include "base/core/mem.h"
#include "base/kube/name.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_container.h"
#include "server/schema/validate_resources.h"
#include "server/schema/validate_scheduling.h"
#include "server/schema/validate_security.h"
#include "server/schema/validate_volume.h"

#include <inttypes.h>

/* of the resolver in Linux' C libraries; upstream's names */
enum { DNS_NAMESERVERS_MAX = 3, DNS_SEARCHES_MAX = 32, DNS_SEARCH_CHARS_MAX = 2048 };

#define MIRROR   "kubernetes.io/config.mirror"
#define COST     "controller.kubernetes.io/pod-deletion-cost"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

void validate_volume(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_pod_volume(fe, p, v);
}

/* ---- containers ---- */

/* Host ports of one container, or of all that run at once. */
static void check_host_ports(struct field_errors *fe, const struct field_path *p, const json_t *c,
                             struct map *taken)
{
    const struct field_path *list = FIELD_AT(p, "ports");
    json_t *port;
    size_t i;

    json_array_foreach(part(c, "ports"), i, port)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        int64_t n = part_int(port, "hostPort");
        if (!n)
            continue;
        auto_free char *key =
            mem_printf("%s/%s/%" PRId64, part_str(port, "protocol"), part_str(port, "hostIP"), n);
        if (!name_set_add(taken, key))
            field_duplicate(fe, FIELD_AT(at, "hostPort"), key);
    }
}

static void check_containers(struct field_errors *fe, const struct field_path *p,
                             const struct container_env *env, struct map *names)
{
    AUTO(map) struct map *ports = map_new();
    json_t *c;
    size_t i;

    json_array_foreach(part(env->spec, "containers"), i, c)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(c, "name");
        check_container(fe, at, c, env);
        if (!name_set_add(names, name))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
        check_container_handlers(fe, at, c, env);
        if (part(c, "restartPolicy"))
            field_forbidden(fe, FIELD_AT(at, "restartPolicy"),
                            "may not be set for non-init containers");
        check_host_ports(fe, at, c, ports);
    }
}

/* What only containers that go on running may have. */
static void forbid_handlers(struct field_errors *fe, const struct field_path *p, const json_t *c)
{
    static const char *const keys[] = { "lifecycle", "livenessProbe", "readinessProbe",
                                        "startupProbe" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (part(c, keys[i]))
            field_forbidden(fe, FIELD_AT(p, keys[i]),
                            "may not be set for init containers without restartPolicy=Always");
}

static void check_init_containers(struct field_errors *fe, const struct field_path *p,
                                  const struct container_env *env, struct map *names)
{
    static const char *const policies[] = { "Always", NULL };
    json_t *c;
    size_t i;

    json_array_foreach(part(env->spec, "initContainers"), i, c)
    {
        AUTO(map) struct map *ports = map_new(); /* they run one after the other */
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(c, "name");
        check_container(fe, at, c, env);
        if (part(c, "restartPolicy"))
            (void)check_listed(fe, FIELD_AT(at, "restartPolicy"), part_str(c, "restartPolicy"),
                               policies);
        if (*name && !name_set_add(names, name))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
        /* upstream's path counts from the start of each: a lone container has index 0 */
        check_host_ports(fe, FIELD_INDEX(p, 0), c, ports);
        if (part_is(c, "restartPolicy", "Always"))
            check_container_handlers(fe, at, c, env);
        else
            forbid_handlers(fe, at, c);
        if (json_array_size(part(c, "resizePolicy")))
            field_invalid_json(fe, FIELD_AT(at, "resizePolicy"), part(c, "resizePolicy"),
                               "must not be set for init containers");
    }
}

static bool is_pod_name(const json_t *spec, const char *name)
{
    static const char *const lists[] = { "containers", "initContainers" };
    json_t *c;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(part(spec, lists[k]), i, c) if (part_is(c, "name", name)) return true;
    return false;
}

static void check_trimmed(struct field_errors *fe, const struct field_path *p, const json_t *c)
{
    struct str image = str_of(part_str(c, "image"));

    if (str_trim(image).n != image.n)
        field_invalid(fe, FIELD_AT(p, "image"), image.p,
                      "must not have leading or trailing whitespace");
}

/* allowedEphemeralContainerFields, the other way round */
static void check_ephemeral_fields(struct field_errors *fe, const struct field_path *p,
                                   const json_t *c)
{
    static const char *const not_for_them[] = { "ports",         "resources",      "lifecycle",
                                                "livenessProbe", "readinessProbe", "startupProbe",
                                                "resizePolicy",  "restartPolicy" };
    const struct field_path *mounts = FIELD_AT(p, "volumeMounts");
    static const char *const sub_paths[] = { "subPath", "subPathExpr" };
    const char *why = "cannot be set for an Ephemeral Container";
    json_t *mount;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(not_for_them); k++) {
        const json_t *v = part(c, not_for_them[k]);
        if (v && (!json_is_object(v) || json_object_size(v)))
            field_forbidden(fe, FIELD_AT(p, not_for_them[k]), why);
    }
    json_array_foreach(part(c, "volumeMounts"), i, mount) for (size_t k = 0; k < 2; k++)
    {
        const struct field_path *at = FIELD_INDEX(mounts, i);
        if (part_str(mount, sub_paths[k])[0])
            field_forbidden(fe, FIELD_AT(at, sub_paths[k]), why);
    }
}

static void check_ephemeral_containers(struct field_errors *fe, const struct field_path *p,
                                       const struct container_env *env, struct map *names)
{
    json_t *c;
    size_t i;

    json_array_foreach(part(env->spec, "ephemeralContainers"), i, c)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(c, "name"), *target = part_str(c, "targetContainerName");
        check_container(fe, at, c, env);
        check_trimmed(fe, at, c);
        if (!name_set_add(names, name))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
        if (*target && !is_pod_name(env->spec, target))
            field_not_found(fe, FIELD_AT(at, "targetContainerName"), target);
        check_ephemeral_fields(fe, at, c);
    }
}

/* A pod on its node's network has the node's ports. */
static void check_host_network(struct field_errors *fe, const struct field_path *p,
                               const json_t *spec)
{
    const struct field_path *list = FIELD_AT(p, "containers");
    json_t *c, *port;
    size_t i, k;

    if (!part_true(spec, "hostNetwork"))
        return;
    json_array_foreach(part(spec, "containers"), i, c) json_array_foreach(part(c, "ports"), k, port)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const struct field_path *ports = FIELD_AT(at, "ports");
        int64_t n = part_int(port, "hostPort");
        if (n && n != part_int(port, "containerPort"))
            field_invalid_int(fe, FIELD_AT(FIELD_INDEX(ports, k), "hostPort"), n,
                              "must match `containerPort` when `hostNetwork` is true");
    }
}

/* ---- names and gates ---- */

static void check_dns(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const json_t *config = part(spec, "dnsConfig"), *servers = part(config, "nameservers");
    const json_t *searches = part(config, "searches");
    const struct field_path *servers_at = FIELD_AT(p, "nameservers");
    const struct field_path *searches_at = FIELD_AT(p, "searches");
    const struct field_path *options_at = FIELD_AT(p, "options");
    size_t chars = 0, i;
    json_t *v;

    if (part_is(spec, "dnsPolicy", "None") && !config)
        field_required(fe, p, "must provide `dnsConfig` when `dnsPolicy` is None");
    else if (part_is(spec, "dnsPolicy", "None") && !json_array_size(servers))
        field_required(fe, servers_at,
                       "must provide at least one DNS nameserver when `dnsPolicy` is None");
    if (json_array_size(servers) > DNS_NAMESERVERS_MAX)
        field_invalid_list(fe, servers_at, "string", servers,
                           "must not have more than 3 nameservers");
    json_array_foreach(servers, i, v)(void)
        check_ip(fe, FIELD_INDEX(servers_at, i), json_string_value(v));
    if (json_array_size(searches) > DNS_SEARCHES_MAX)
        field_invalid_list(fe, searches_at, "string", searches,
                           "must not have more than 32 search paths");
    json_array_foreach(searches, i, v) chars += json_string_length(v) + (i > 0);
    if (chars > DNS_SEARCH_CHARS_MAX)
        field_invalid_list(
            fe, searches_at, "string", searches,
            "must not have more than 2048 characters (including spaces) in the search list");
    json_array_foreach(searches, i, v)
    {
        const char *text = json_string_value(v);
        auto_free char *name = mem_strdup(text);
        size_t n = strlen(name);
        if (n && name[n - 1] == '.')
            name[n - 1] = '\0';
        (void)check_subdomain(fe, FIELD_INDEX(searches_at, i), name);
    }
    json_array_foreach(part(config, "options"), i, v)
    {
        if (!part_str(v, "name")[0])
            field_required(fe, FIELD_INDEX(options_at, i), "must not be empty");
    }
}

static void check_host_aliases(struct field_errors *fe, const struct field_path *p,
                               const json_t *list)
{
    json_t *alias, *name;
    size_t i, k;

    json_array_foreach(list, i, alias)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const struct field_path *names = FIELD_AT(at, "hostnames");
        (void)check_ip(fe, FIELD_AT(at, "ip"), part_str(alias, "ip"));
        json_array_foreach(part(alias, "hostnames"), k, name)(void)
            check_subdomain(fe, FIELD_INDEX(names, k), json_string_value(name));
    }
}

static void check_gates(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const struct field_path *readiness = FIELD_AT(p, "readinessGates");
    const struct field_path *scheduling = FIELD_AT(p, "schedulingGates");
    AUTO(map) struct map *seen = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(part(spec, "readinessGates"), i, v)
    {
        const struct field_path *at = FIELD_INDEX(readiness, i);
        (void)check_qualified(fe, FIELD_AT(at, "conditionType"), part_str(v, "conditionType"));
    }
    json_array_foreach(part(spec, "schedulingGates"), i, v)
    {
        const char *name = part_str(v, "name");
        (void)check_qualified(fe, FIELD_INDEX(scheduling, i), name);
        if (!name_set_add(seen, name))
            field_duplicate(fe, FIELD_INDEX(scheduling, i), name);
    }
}

static void check_claims(struct field_errors *fe, const struct field_path *p, const json_t *claims)
{
    AUTO(map) struct map *names = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(claims, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const json_t *claim = part(v, "resourceClaimName"),
                     *template = part(v, "resourceClaimTemplateName");
        const char *name = part_str(v, "name");
        if (!*name)
            field_required(fe, FIELD_AT(at, "name"), "");
        else if (!name_set_add(names, name))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
        else
            (void)check_label(fe, FIELD_AT(at, "name"), name);
        if (claim && template)
            field_invalid_json(fe, at, v,
                               "at most one of `resourceClaimName` or `resourceClaimTemplateName` "
                               "may be specified");
        if (!claim && !template)
            field_invalid_json(
                fe, at, v, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        if (claim)
            (void)check_subdomain(fe, FIELD_AT(at, "resourceClaimName"), json_string_value(claim));
        if (template)
            (void)check_subdomain(fe, FIELD_AT(at, "resourceClaimTemplateName"),
                                  json_string_value(template));
    }
}

/* ---- the spec ---- */

static void name_volumes(struct field_errors *fe, const struct field_path *p, const json_t *list,
                         struct map *volumes)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *name = part_str(v, "name");
        const struct field_path *at = FIELD_INDEX(p, i);
        if (*name && map_get(volumes, str_of(name)))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
        else if (*name)
            map_set(volumes, str_of(name), v);
    }
}

void validate_pod_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *volumes = map_new(), *names = map_new();
    struct container_env env = { .spec = v,
                                 .volumes = volumes,
                                 .host_users = !part_false(v, "hostUsers") };
    const json_t *overhead = part(v, "overhead");

    name_volumes(fe, FIELD_AT(p, "volumes"), part(v, "volumes"), volumes);
    check_claims(fe, FIELD_AT(p, "resourceClaims"), part(v, "resourceClaims"));
    check_containers(fe, FIELD_AT(p, "containers"), &env, names);
    check_init_containers(fe, FIELD_AT(p, "initContainers"), &env, names);
    check_ephemeral_containers(fe, FIELD_AT(p, "ephemeralContainers"), &env, names);
    if (part(v, "resources"))
        check_pod_resources(fe, FIELD_AT(p, "resources"), part(v, "resources"));
    check_host_network(fe, p, v);
    check_scheduling(fe, p, v);
    check_pod_security(fe, p, v);
    check_dns(fe, FIELD_AT(p, "dnsConfig"), v);
    check_gates(fe, p, v);
    if (part(v, "activeDeadlineSeconds"))
        (void)check_range(fe, FIELD_AT(p, "activeDeadlineSeconds"),
                          part_int(v, "activeDeadlineSeconds"), 1, INT32_MAX);
    check_host_aliases(fe, FIELD_AT(p, "hostAliases"), part(v, "hostAliases"));
    if (overhead) {
        json_auto_t *limits = json_pack("{s:O}", "limits", overhead);
        check_resource_requirements(fe, FIELD_AT(p, "overhead"), limits, NULL);
    }
    check_pod_os(fe, p, v);
}

/* ---- annotations that say something about containers ---- */

struct apparmor {
    const char *name;
    bool found;
};

static void visit_name(void *arg, const json_t *c, const struct field_path *p)
{
    struct apparmor *a = arg;

    (void)p;
    a->found |= part_is(c, "name", a->name);
}

static void check_pod_annotations(struct field_errors *fe, const struct field_path *p,
                                  const json_t *annotations, const json_t *spec)
{
    const char *key, *cost = part_str(annotations, COST);
    json_t *v;
    int64_t n;

    if (part(annotations, MIRROR) && !part_str(spec, "nodeName")[0])
        field_invalid(fe, FIELD_KEY(p, MIRROR), part_str(annotations, MIRROR),
                      "must set spec.nodeName if mirror pod annotation is set");
    if (part(annotations, COST) && (!str_to_i64(str_of(cost), &n) || n < INT32_MIN ||
                                    n > INT32_MAX || cost[0] == '+' || (cost[0] == '0' && cost[1])))
        field_invalid(fe, FIELD_KEY(p, COST), cost, "must be a 32bit integer");
    json_object_foreach((json_t *)annotations, key, v)
    {
        const char *profile = json_string_value(v);
        struct apparmor a = { .name = key + strlen(APPARMOR) };
        if (!text_starts(key, APPARMOR))
            continue;
        each_container(spec, p, visit_name, &a);
        if (!a.found)
            field_invalid(fe, FIELD_KEY(p, key), a.name, "container not found");
        if (*profile && strcmp(profile, "runtime/default") != 0 &&
            strcmp(profile, "unconfined") != 0 && !text_starts(profile, "localhost/")) {
            auto_free char *why = mem_printf("invalid AppArmor profile name: \"%s\"", profile);
            field_invalid(fe, FIELD_KEY(p, key), profile, why);
        }
    }
}

void validate_pod_template(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *metadata = part(v, "metadata"), *spec = part(v, "spec");
    const struct field_path *annotations = FIELD_AT(p, "annotations");
    const struct field_path *spec_at = FIELD_AT(p, "spec");

    /* upstream's paths leave metadata out */
    check_labels(fe, FIELD_AT(p, "labels"), part(metadata, "labels"));
    check_annotations(fe, annotations, part(metadata, "annotations"));
    check_pod_annotations(fe, annotations, part(metadata, "annotations"), spec);
    if (json_array_size(part(spec, "ephemeralContainers")))
        field_forbidden(fe, FIELD_AT(spec_at, "ephemeralContainers"),
                        "ephemeral containers not allowed in pod template");
}

/* ---- pods, not templates ---- */

static void check_pod_volumes(struct field_errors *fe, const struct field_path *p,
                              const json_t *pod)
{
    const json_t *spec = part(pod, "spec"), *volumes = part(spec, "volumes");
    const char *pod_name = part_str(part(pod, "metadata"), "name");
    AUTO(map) struct map *made = map_new();
    json_t *v, *source;
    size_t i, k;

    json_array_foreach(volumes, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(v, "name"), *why;
        auto_free char *claim = mem_printf("%s-%s", pod_name, name);
        if (part(v, "image"))
            (void)check_has(fe, FIELD_AT(at, "image"), part(v, "image"), "reference");
        if (!part(v, "ephemeral") || !*pod_name)
            continue;
        name_set_add(made, claim);
        if (!*name || !(why = name_check_subdomain(str_of(claim))))
            continue;
        auto_free char *text = mem_printf("PVC name \"%s\": %s", claim, why);
        field_invalid(fe, FIELD_AT(at, "name"), name, text);
    }
    json_array_foreach(volumes, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const struct field_path *claim = FIELD_AT(at, "persistentVolumeClaim");
        const struct field_path *projected = FIELD_AT(at, "projected");
        const struct field_path *sources = FIELD_AT(projected, "sources");
        const char *name = part_str(part(v, "persistentVolumeClaim"), "claimName");
        if (*name && name_set_has(made, name))
            field_invalid(fe, FIELD_AT(claim, "claimName"), name,
                          "must not reference a PVC that gets created for an ephemeral volume");
        if (part_str(spec, "serviceAccountName")[0])
            continue;
        json_array_foreach(part(part(v, "projected"), "sources"), k, source)
        {
            const struct field_path *one = FIELD_INDEX(sources, k);
            if (part(source, "serviceAccountToken"))
                field_forbidden(fe, FIELD_AT(one, "serviceAccountToken"),
                                "must not be specified when serviceAccountName is not set");
        }
    }
}

void validate_pod(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const lists[] = { "containers", "initContainers" };
    const struct field_path *meta = FIELD_AT(p, "metadata"), *at = FIELD_AT(p, "spec");
    const json_t *spec = part(v, "spec");
    json_t *c;
    size_t i;

    check_pod_annotations(fe, FIELD_AT(meta, "annotations"),
                          part(part(v, "metadata"), "annotations"), spec);
    check_pod_volumes(fe, FIELD_AT(at, "volumes"), v);
    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(part(spec, lists[k]), i, c)
        {
            const struct field_path *list = FIELD_AT(at, lists[k]);
            check_trimmed(fe, FIELD_INDEX(list, i), c);
        }
}

/* ValidatePodCreate */
void validate_pod_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(NULL, "spec");
    const json_t *spec = part(v, "spec");

    (void)old;
    if (json_array_size(part(spec, "ephemeralContainers")))
        field_forbidden(fe, FIELD_AT(at, "ephemeralContainers"), "cannot be set on create");
    if (part_str(spec, "nodeName")[0] && json_array_size(part(spec, "schedulingGates")))
        field_forbidden(fe, FIELD_AT(at, "nodeName"),
                        "cannot be set until all schedulingGates have been cleared");
}

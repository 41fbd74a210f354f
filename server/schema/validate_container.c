#include "server/schema/validate_container.h"

#include "server/schema/validate_check.h"
#include "server/schema/validate_resources.h"
#include "server/schema/validate_security.h"

/* Upstream puts most of these at the list, not at its entries. */
static void check_resize_policy(struct field_errors *fe, const struct field_path *p,
                                const json_t *list, const json_t *spec)
{
    static const char *const resources[] = { "cpu", "memory", NULL };
    static const char *const policies[] = { "NotRequired", "RestartContainer", NULL };
    AUTO(map) struct map *seen = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *name = part_str(v, "resourceName"), *policy = part_str(v, "restartPolicy");
        if (!name_set_add(seen, name))
            field_duplicate(fe, FIELD_INDEX(p, i), name);
        if (!*name)
            field_required(fe, p, "");
        else
            (void)check_listed(fe, p, name, resources);
        if (!*policy)
            field_required(fe, p, "");
        else
            (void)check_listed(fe, p, policy, policies);
        if (part_is(spec, "restartPolicy", "Never") && strcmp(policy, "NotRequired") != 0)
            field_invalid(fe, p, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
}

/* Numbers are the table's. */
static void check_ports(struct field_errors *fe, const struct field_path *p, const json_t *ports)
{
    AUTO(map) struct map *names = map_new();
    json_t *port;
    size_t i;

    json_array_foreach(ports, i, port)
    {
        const char *name = part_str(port, "name");
        const struct field_path *at = FIELD_INDEX(p, i);
        if (*name && check_port_name(fe, FIELD_AT(at, "name"), name) && !name_set_add(names, name))
            field_duplicate(fe, FIELD_AT(at, "name"), name);
    }
}

void check_container(struct field_errors *fe, const struct field_path *p, const json_t *c,
                     const struct container_env *env)
{
    if (!part_str(c, "image")[0])
        field_required(fe, FIELD_AT(p, "image"), "");
    check_ports(fe, FIELD_AT(p, "ports"), part(c, "ports"));
    check_env(fe, FIELD_AT(p, "env"), part(c, "env"));
    check_env_from(fe, FIELD_AT(p, "envFrom"), part(c, "envFrom"));
    check_mounts(fe, p, c, env->volumes);
    check_resource_requirements(fe, FIELD_AT(p, "resources"), part(c, "resources"),
                                part(env->spec, "resourceClaims"));
    check_resize_policy(fe, FIELD_AT(p, "resizePolicy"), part(c, "resizePolicy"), env->spec);
    if (part(c, "securityContext"))
        check_security_context(fe, FIELD_AT(p, "securityContext"), part(c, "securityContext"),
                               env->host_users);
}

void check_container_handlers(struct field_errors *fe, const struct field_path *p, const json_t *c,
                              const struct container_env *env)
{
    if (part(c, "lifecycle"))
        check_lifecycle(fe, FIELD_AT(p, "lifecycle"), part(c, "lifecycle"),
                        part(env->spec, "terminationGracePeriodSeconds"));
    check_probe(fe, p, c, "livenessProbe");
    check_probe(fe, p, c, "readinessProbe");
    check_probe(fe, p, c, "startupProbe");
}

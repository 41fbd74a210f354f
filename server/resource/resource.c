#include "server/resource/resource.h"

#include "base/core/mem.h"
#include "server/resource/kinds.h"
#include "server/schema/crd.h"

#include <string.h>

const struct resource_hooks *resource_hooks_find(const struct schema_kind *k)
{
    static const struct resource_hooks none = { 0 }, custom = { .needs_version = true };
    static const struct resource_hooks *const all[] = {
        &resource_pods,         &resource_nodes,       &resource_namespaces,
        &resource_services,     &resource_leases,      &resource_serviceaccounts,
        &resource_claims,       &resource_volumes,     &resource_podtemplates,
        &resource_quotas,       &resource_jobs,        &resource_daemonsets,
        &resource_statefulsets, &resource_apiservices, &resource_deployments,
        &resource_crds,
    };

    if (k->custom)
        return &custom;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->plural, k->plural) == 0 && strcmp(all[i]->group, k->group) == 0)
            return all[i];
    return &none;
}

static const char *place_of(const struct schema_kind *k)
{
    return k->storage_group && *k->storage_group ? k->storage_group : "core";
}

bool resource_is_home(const struct schema_kind *k)
{
    if (k->custom)
        return crd_version_is_home(k->custom);
    return strcmp(place_of(k), *k->group ? k->group : "core") == 0 &&
           strcmp(k->version, k->storage_version) == 0;
}

char *resource_prefix(const struct schema_kind *k, const char *ns)
{
    return mem_join("/registry/", place_of(k), "/", k->plural, "/", ns, *ns ? "/" : "");
}

char *resource_key(const struct schema_kind *k, const char *ns, const char *name)
{
    return mem_join("/registry/", place_of(k), "/", k->plural, "/", ns, *ns ? "/" : "", name);
}

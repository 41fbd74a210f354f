/* Kinds that differ from the rest by a flag. */
#include "base/data/json.h"
#include "server/resource/kinds.h"

const struct resource_hooks resource_leases = {
    .group = "coordination.k8s.io",
    .plural = "leases",
    .needs_version = true, /* a holder must have read what it takes over */
};

/*
 * A claim's dataSource and dataSourceRef say the same; a client knows one of them
 * (pkg/registry/core/persistentvolumeclaim, NormalizeDataSources).
 */
static void normalize_sources(json_t *obj)
{
    json_t *spec = json_object_get(obj, "spec"), *source = json_object_get(spec, "dataSource");
    json_t *ref = json_object_get(spec, "dataSourceRef");

    if (source && !ref)
        json_object_set_new(spec, "dataSourceRef", json_deep_copy(source));
    else if (ref && !source && !*json_str_at(ref, "namespace", ""))
        json_object_set_new(spec, "dataSource", json_deep_copy(ref));
}

static int claim_create(struct resource_env *env, json_t *obj, struct err *e)
{
    (void)env;
    (void)e;
    normalize_sources(obj);
    return 0;
}

static int claim_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)old;
    (void)e;
    normalize_sources(obj);
    return 0;
}

const struct resource_hooks resource_claims = {
    .group = "",
    .plural = "persistentvolumeclaims",
    .returns_deleted = true,
    .prepare_create = claim_create,
    .prepare_update = claim_update,
};

const struct resource_hooks resource_volumes = {
    .group = "",
    .plural = "persistentvolumes",
    .returns_deleted = true,
};

const struct resource_hooks resource_podtemplates = {
    .group = "",
    .plural = "podtemplates",
    .returns_deleted = true,
};

const struct resource_hooks resource_quotas = {
    .group = "",
    .plural = "resourcequotas",
    .returns_deleted = true,
};

const struct resource_hooks resource_serviceaccounts = {
    .group = "",
    .plural = "serviceaccounts",
    .returns_deleted = true,
};

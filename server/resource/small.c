/* Kinds that differ from the rest by a flag, or by fields that 1.32 drops because their feature is
 * off (the dropDisabledFields of pkg/registry/<group>/<kind>/strategy.go). */
#include "base/data/json.h"
#include "server/resource/kinds.h"

/* ---- leases: CoordinatedLeaderElection is off ---- */

static int lease_prepare(json_t *obj, const json_t *old)
{
    static const char *const keys[] = { "strategy", "preferredHolder" };
    json_t *spec = json_object_get(obj, "spec");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!json_object_get(json_object_get(old, "spec"), keys[i]))
            json_object_del(spec, keys[i]);
    return 0;
}

static int lease_create(struct resource_env *env, json_t *obj, struct err *e)
{
    (void)env;
    (void)e;
    return lease_prepare(obj, NULL);
}

static int lease_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)e;
    return lease_prepare(obj, old);
}

const struct resource_hooks resource_leases = {
    .group = "coordination.k8s.io",
    .plural = "leases",
    .needs_version = true, /* a holder must have read what it takes over */
    .prepare_create = lease_create,
    .prepare_update = lease_update,
};

/* ---- stateful sets: MaxUnavailableStatefulSet is off ---- */

static int set_prepare(json_t *obj, const json_t *old)
{
    static const char path[] = "spec.updateStrategy.rollingUpdate";

    if (!json_object_get(json_at(old, path), "maxUnavailable"))
        json_object_del(json_at(obj, path), "maxUnavailable");
    return 0;
}

static int set_create(struct resource_env *env, json_t *obj, struct err *e)
{
    (void)env;
    (void)e;
    return set_prepare(obj, NULL);
}

static int set_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)e;
    return set_prepare(obj, old);
}

const struct resource_hooks resource_statefulsets = {
    .group = "apps",
    .plural = "statefulsets",
    .prepare_create = set_create,
    .prepare_update = set_update,
};

/* ---- deployments: annotations go to their ReplicaSets, so they count
 * (pkg/registry/apps/deployment/strategy.go) ---- */

static bool annotations_differ(const json_t *obj, const json_t *old)
{
    static const char path[] = "metadata.annotations";
    const json_t *now = json_at(obj, path), *was = json_at(old, path);

    return json_object_size(now) != json_object_size(was) || (now && was && !json_equal(now, was));
}

const struct resource_hooks resource_deployments = {
    .group = "apps",
    .plural = "deployments",
    .counts = annotations_differ,
};

/* ---- others ---- */

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

/* Behind a gate that 1.32 has closed: upstream drops it from objects that do not have it yet. */
static void drop_attributes_class(json_t *obj, const json_t *old)
{
    if (!*json_str_at(old, "spec.volumeAttributesClassName", ""))
        json_object_del(json_object_get(obj, "spec"), "volumeAttributesClassName");
}

static int claim_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)e;
    normalize_sources(obj);
    drop_attributes_class(obj, old);
    return 0;
}

static int claim_create(struct resource_env *env, json_t *obj, struct err *e)
{
    return claim_update(env, obj, NULL, e);
}

static int volume_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)e;
    drop_attributes_class(obj, old);
    return 0;
}

static int volume_create(struct resource_env *env, json_t *obj, struct err *e)
{
    return volume_update(env, obj, NULL, e);
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
    .prepare_create = volume_create,
    .prepare_update = volume_update,
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

/* An account's secrets are of its namespace: names, nothing else (registry/core/serviceaccount). */
static int account_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *secrets = json_object_get(obj, "secrets"), *ref;
    size_t i;

    (void)env;
    (void)old;
    (void)e;
    json_array_foreach(secrets, i, ref)
    {
        json_t *name = json_object_get(ref, "name");
        json_array_set_new(secrets, i, name ? json_pack("{s:O}", "name", name) : json_object());
    }
    return 0;
}

static int account_create(struct resource_env *env, json_t *obj, struct err *e)
{
    return account_update(env, obj, NULL, e);
}

const struct resource_hooks resource_serviceaccounts = {
    .group = "",
    .plural = "serviceaccounts",
    .prepare_create = account_create,
    .prepare_update = account_update,
    .returns_deleted = true,
};

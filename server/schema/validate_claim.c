#include "server/schema/validate_claim.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_resources.h"
#include "server/schema/validate_scheduling.h"
#include "server/schema/validate_volume.h"

#define BETA_CLASS "volume.beta.kubernetes.io/storage-class"

static void check_access_modes(struct field_errors *fe, const struct field_path *p,
                               const json_t *modes)
{
    static const char *const known[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                         "ReadWriteOncePod", NULL };
    bool one_pod = false, others = false;
    json_t *v;
    size_t i;

    json_array_foreach(modes, i, v)
    {
        bool ok = check_listed(fe, p, json_string_value(v), known);
        bool pod = ok && strcmp(json_string_value(v), "ReadWriteOncePod") == 0;
        one_pod |= pod;
        others |= ok && !pod;
    }
    if (one_pod && others)
        field_forbidden(fe, p, "may not use ReadWriteOncePod with other access modes");
}

/* ---- sources of PersistentVolumes ---- */

static void check_secret_ref(struct field_errors *fe, const struct field_path *p, const json_t *v,
                             const char *key)
{
    const struct field_path *at = FIELD_AT(p, key);
    const json_t *ref = part(v, key);

    if (!ref)
        return;
    (void)check_reference(fe, FIELD_AT(at, "name"), part_str(ref, "name"));
    if (check_has(fe, at, ref, "namespace"))
        (void)check_label(fe, FIELD_AT(at, "namespace"), part_str(ref, "namespace"));
}

static VOLUME_CHECK(check_csi_volume)
{
    static const char *const refs[] = { "controllerPublishSecretRef", "controllerExpandSecretRef",
                                        "nodePublishSecretRef", "nodeExpandSecretRef" };

    (void)owner;
    check_csi_driver(fe, FIELD_AT(p, "driver"), part_str(source, "driver"));
    (void)check_has(fe, p, source, "volumeHandle");
    for (size_t i = 0; i < ARRAY_LEN(refs); i++)
        check_secret_ref(fe, p, source, refs[i]);
}

static VOLUME_CHECK(check_local_volume)
{
    if (check_has(fe, p, source, "path"))
        (void)check_no_backsteps(fe, FIELD_AT(p, "path"), part_str(source, "path"));
    if (!part(owner, "nodeAffinity"))
        field_required(fe, FIELD_AT(p->parent, "nodeAffinity"),
                       "Local volume requires node affinity");
}

static VOLUME_CHECK(check_full_secret_ref)
{
    const json_t *ref = part(source, "secretRef");

    (void)owner;
    if (!ref)
        return;
    (void)check_has(fe, FIELD_AT(p, "secretRef"), ref, "name");
    (void)check_has(fe, FIELD_AT(p, "secretRef"), ref, "namespace");
}

static VOLUME_CHECK(check_storageos_volume)
{
    check_storageos(fe, p, source, owner);
    if (part(source, "secretRef"))
        (void)check_has(fe, FIELD_AT(p, "secretRef"), part(source, "secretRef"), "namespace");
}

static VOLUME_CHECK(check_gluster)
{
    const json_t *ns = part(source, "endpointsNamespace");

    (void)owner;
    if (ns && !json_string_length(ns))
        field_invalid(fe, FIELD_AT(p, "endpointsNamespace"), "",
                      "if the endpointnamespace is set, it must be a valid namespace name");
    else if (ns)
        (void)check_label(fe, FIELD_AT(p, "endpointsNamespace"), json_string_value(ns));
}

static VOLUME_CHECK(check_azure_file)
{
    (void)owner;
    if (part(source, "secretNamespace"))
        (void)check_has(fe, p, source, "secretNamespace");
}

static VOLUME_CHECK(check_iscsi_volume)
{
    check_iscsi(fe, p, source, owner);
    check_secret_name(fe, p, source, owner);
}

static const struct volume_source sources[] = {
    { .key = "hostPath", .check = check_host_path },
    { .key = "gcePersistentDisk",
      .path = "persistentDisk",
      .required = { "pdName" },
      .check = check_partition },
    { .key = "awsElasticBlockStore", .required = { "volumeID" }, .check = check_partition },
    { .key = "glusterfs", .required = { "endpoints", "path" }, .check = check_gluster },
    { .key = "flocker", .check = check_flocker },
    { .key = "nfs", .check = check_nfs },
    { .key = "rbd", .required = { "monitors", "image" } },
    { .key = "quobyte", .check = check_quobyte },
    { .key = "cephfs", .second = "cephFS", .required = { "monitors" } },
    { .key = "iscsi", .required = { "targetPortal", "iqn" }, .check = check_iscsi_volume },
    { .key = "cinder", .required = { "volumeID" }, .check = check_full_secret_ref },
    { .key = "fc", .check = check_fc },
    { .key = "flexVolume", .required = { "driver" }, .check = check_flex },
    { .key = "azureFile", .required = { "secretName", "shareName" }, .check = check_azure_file },
    { .key = "vsphereVolume", .required = { "volumePath" } },
    { .key = "photonPersistentDisk", .required = { "pdID" } },
    { .key = "portworxVolume", .required = { "volumeID" } },
    { .key = "azureDisk", .required = { "diskName", "diskURI" }, .check = check_azure_disk },
    { .key = "scaleIO", .required = { "gateway", "system", "volumeName" } },
    { .key = "local", .check = check_local_volume },
    { .key = "storageos", .check = check_storageos_volume },
    { .key = "csi", .check = check_csi_volume },
};

/* ---- PersistentVolumes ---- */

static void check_capacity(struct field_errors *fe, const struct field_path *p,
                           const json_t *capacity)
{
    auto_free char *text = capacity ? json_text_sorted(capacity) : NULL;
    const char *name;
    json_t *v;

    if (!json_object_size(capacity))
        field_required(fe, p, "");
    if (!part(capacity, "storage") || json_object_size(capacity) > 1)
        field_add(fe, FIELD_NOT_SUPPORTED, p,
                  "Unsupported value: %s: supported values: \"storage\"",
                  text ? text : "core.ResourceList(nil)");
    json_object_foreach((json_t *)capacity, name, v)
    {
        const struct field_path *at = FIELD_KEY(p, name);
        struct quantity q;
        if (!part_quantity(&q, capacity, name))
            continue;
        if (q.nano < 0)
            field_invalid_int(fe, at, quantity_value(&q), "must be a valid resource quantity");
        if (q.nano <= 0)
            field_invalid(fe, at, json_string_value(v), "must be greater than zero");
    }
}

/* The path "/", in one of its spellings. */
static bool is_root(const char *path)
{
    return path[0] == '/' && path[strspn(path, "/.")] == '\0' && !strstr(path, "...");
}

void validate_volume_object(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "spec");
    const struct field_path *affinity_at = FIELD_AT(at, "nodeAffinity");
    const json_t *spec = part(v, "spec"), *affinity = part(spec, "nodeAffinity");
    const char *class = part_str(spec, "storageClassName");

    (void)check_has(fe, at, spec, "accessModes");
    check_access_modes(fe, FIELD_AT(at, "accessModes"), part(spec, "accessModes"));
    check_capacity(fe, FIELD_AT(at, "capacity"), part(spec, "capacity"));
    if (affinity && part(affinity, "required"))
        check_node_selector(fe, FIELD_AT(affinity_at, "required"), part(affinity, "required"),
                            true);
    else if (affinity)
        field_required(fe, FIELD_AT(affinity_at, "required"),
                       "must specify required node constraints");
    check_volume_source(fe, at, spec, sources, ARRAY_LEN(sources));
    if (is_root(part_str(part(spec, "hostPath"), "path")) &&
        part_is(spec, "persistentVolumeReclaimPolicy", "Recycle"))
        field_forbidden(fe, FIELD_AT(at, "persistentVolumeReclaimPolicy"),
                        "may not be 'recycle' for a hostPath mount of '/'");
    if (*class)
        (void)check_subdomain(fe, FIELD_AT(at, "storageClassName"), class);
}

/* A source without what may be added to it later. */
static json_t *fixed_source(const json_t *spec, const char *key, const json_t *before)
{
    json_t *copy = json_deep_copy(part(spec, key));

    if (strcmp(key, "csi") == 0 && !part(part(before, "csi"), "controllerExpandSecretRef"))
        json_object_del(copy, "controllerExpandSecretRef");
    return copy;
}

/* Labels of the topology that got their names for good. */
static bool same_affinity(const json_t *now, const json_t *before)
{
    static const char *const renamed[][2] = {
        { "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone" },
        { "failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region" },
        { "beta.kubernetes.io/os", "kubernetes.io/os" },
        { "beta.kubernetes.io/arch", "kubernetes.io/arch" },
        { "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type" },
    };
    json_auto_t *old = json_deep_copy(before);
    json_t *term, *e;
    size_t i, k;

    json_array_foreach(part(part(old, "required"), "nodeSelectorTerms"), i, term)
        json_array_foreach(part(term, "matchExpressions"), k, e)
    {
        const json_t *new_term =
            json_array_get(part(part(now, "required"), "nodeSelectorTerms"), i);
        const char *key = part_str(json_array_get(part(new_term, "matchExpressions"), k), "key");
        for (size_t r = 0; r < ARRAY_LEN(renamed); r++)
            if (part_is(e, "key", renamed[r][0]) && strcmp(key, renamed[r][1]) == 0)
                json_object_set_new(e, "key", json_string(key));
    }
    return part_same(now, old);
}

void validate_volume_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *spec = part(v, "spec"), *before = part(old, "spec");
    const json_t *mode = part(spec, "volumeMode"), *affinity = part(spec, "nodeAffinity");
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const json_t *nothing = json_null();
    bool changed = false;

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        json_auto_t *a = fixed_source(spec, sources[i].key, before);
        json_auto_t *b = fixed_source(before, sources[i].key, before);
        changed |= !part_same(a, b);
    }
    if (changed)
        field_forbidden(fe, FIELD_AT(p, "persistentvolumesource"),
                        "spec.persistentvolumesource is immutable after creation");
    if (!part_same(mode, part(before, "volumeMode")))
        field_invalid_json(fe, FIELD_AT(NULL, "volumeMode"), mode ? mode : nothing,
                           "field is immutable");
    if (part(before, "nodeAffinity") && !same_affinity(affinity, part(before, "nodeAffinity")))
        field_invalid_json(fe, FIELD_AT(NULL, "nodeAffinity"), affinity ? affinity : nothing,
                           "field is immutable, except for updating from beta label to GA");
    if (!part_same(part(spec, "volumeAttributesClassName"),
                   part(before, "volumeAttributesClassName")))
        field_forbidden(fe, FIELD_AT(p, "volumeAttributesClassName"),
                        "update is forbidden when the VolumeAttributesClass feature gate is "
                        "disabled");
}

/* ---- claims ---- */

static void check_data_source(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const char *group = part_str(v, "apiGroup"), *ns = part_str(v, "namespace");

    if (!v)
        return;
    (void)check_has(fe, p, v, "name");
    (void)check_has(fe, p, v, "kind");
    if (*group)
        (void)check_subdomain(fe, FIELD_AT(p, "apiGroup"), group);
    else if (!part_is(v, "kind", "PersistentVolumeClaim"))
        field_invalid(fe, p, part_str(v, "kind"),
                      "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    if (*ns)
        (void)check_label(fe, FIELD_AT(p, "namespace"), ns);
}

static void check_data_sources(struct field_errors *fe, const struct field_path *p,
                               const json_t *spec)
{
    const json_t *source = part(spec, "dataSource"), *ref = part(spec, "dataSourceRef");

    check_data_source(fe, FIELD_AT(p, "dataSource"), source);
    check_data_source(fe, FIELD_AT(p, "dataSourceRef"), ref);
    if (!source || !ref)
        return;
    if (part_str(ref, "namespace")[0])
        field_invalid(fe, p, "spec.dataSource",
                      "may not be specified when dataSourceRef.namespace is specified");
    else if (!part_same(part(source, "apiGroup"), part(ref, "apiGroup")) ||
             !part_is(source, "kind", part_str(ref, "kind")) ||
             !part_is(source, "name", part_str(ref, "name")))
        field_invalid(fe, p, "spec.dataSource", "must match dataSourceRef");
}

void check_claim_spec(struct field_errors *fe, const struct field_path *p, const json_t *spec)
{
    const struct field_path *resources = FIELD_AT(p, "resources");
    const struct field_path *size_at = FIELD_KEY(resources, "storage");
    const char *size = part_str(part(part(spec, "resources"), "requests"), "storage");
    const char *class = part_str(spec, "storageClassName");
    struct quantity q;
    struct err e;

    if (!json_array_size(part(spec, "accessModes")))
        field_required(fe, FIELD_AT(p, "accessModes"), "at least 1 access mode is required");
    check_access_modes(fe, FIELD_AT(p, "accessModes"), part(spec, "accessModes"));
    if (!*size)
        field_required(fe, size_at, "");
    else if (!quantity_parse(&q, str_of(size), &e) && q.nano <= 0)
        field_invalid(fe, size_at, size, "must be greater than zero");
    if (*class)
        (void)check_subdomain(fe, FIELD_AT(p, "storageClassName"), class);
    check_data_sources(fe, p, spec);
}

void validate_claim(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_claim_spec(fe, FIELD_AT(p, "spec"), part(v, "spec"));
}

static const json_t *size_of(const json_t *spec)
{
    return part(part(part(spec, "resources"), "requests"), "storage");
}

/* What an update of a claim's spec is compared by. */
static json_t *fixed_claim(const json_t *spec, bool bound, bool named, bool classed)
{
    json_t *copy = json_deep_copy(spec);

    if (!named) /* the volume comes once */
        json_object_del(copy, "volumeName");
    if (!classed)
        json_object_del(copy, "storageClassName");
    if (bound) {
        json_object_del(part(part(copy, "resources"), "requests"), "storage");
        json_object_del(copy, "volumeAttributesClassName");
    }
    return copy;
}

/* The class may come when there was none, or only the annotation that says the same. */
static bool may_set_class(const json_t *v, const json_t *old)
{
    const char *beta = part_str(part(part(old, "metadata"), "annotations"), BETA_CLASS);
    const char *class = part_str(part(v, "spec"), "storageClassName");

    return !part(part(old, "spec"), "storageClassName") &&
           part(part(v, "spec"), "storageClassName") && (!*beta || strcmp(beta, class) == 0);
}

static void check_size(struct field_errors *fe, const struct field_path *p, const json_t *spec,
                       const json_t *old)
{
    const struct field_path *resources = FIELD_AT(p, "resources");
    const struct field_path *requests = FIELD_AT(resources, "requests");
    struct quantity now, before, real = { 0 };
    struct err e;

    if (quantity_parse(&now, str_of(json_string_value(size_of(spec))), &e) ||
        quantity_parse(&before, str_of(json_string_value(size_of(part(old, "spec")))), &e) ||
        quantity_cmp(&now, &before) >= 0)
        return;
    (void)part_quantity(&real, part(part(old, "status"), "capacity"), "storage");
    if (quantity_cmp(&now, &real) <= 0)
        field_forbidden(fe, FIELD_AT(requests, "storage"),
                        "field can not be less than status.capacity");
}

void validate_claim_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec"), *meta = FIELD_AT(NULL, "metadata");
    const struct field_path *annotations = FIELD_AT(meta, "annotations");
    const json_t *spec = part(v, "spec"), *before = part(old, "spec");
    const json_t *mode = part(spec, "volumeMode"), *nothing = json_null();
    const char *beta = part_str(part(part(v, "metadata"), "annotations"), BETA_CLASS);
    const char *old_beta = part_str(part(part(old, "metadata"), "annotations"), BETA_CLASS);
    bool bound = part_is(part(v, "status"), "phase", "Bound");
    bool named = part_str(before, "volumeName")[0], classed = !may_set_class(v, old);
    json_auto_t *a = fixed_claim(spec, bound, named, classed);
    json_auto_t *b = fixed_claim(before, bound, named, classed);

    if (classed && strcmp(beta, old_beta) != 0)
        field_invalid(fe, FIELD_AT(annotations, BETA_CLASS), beta, "field is immutable");
    if (!part_same(a, b))
        field_forbidden(fe, p,
                        "spec is immutable after creation except resources.requests and "
                        "volumeAttributesClassName for bound claims");
    check_size(fe, p, spec, old);
    if (!part_same(mode, part(before, "volumeMode")))
        field_invalid_json(fe, FIELD_AT(NULL, "volumeMode"), mode ? mode : nothing,
                           "field is immutable");
    if (!part_same(part(spec, "volumeAttributesClassName"),
                   part(before, "volumeAttributesClassName")))
        field_forbidden(fe, FIELD_AT(p, "volumeAttributesClassName"),
                        "update is forbidden when the VolumeAttributesClass feature gate is "
                        "disabled");
}

/* ---- status ---- */

static bool check_claim_resource(struct field_errors *fe, const struct field_path *p,
                                 const char *name)
{
    static const char *const native[] = { "storage", NULL };

    return check_qualified(fe, p, name) &&
           (!resource_is_native(name) || check_listed(fe, p, name, native));
}

static void check_amount(struct field_errors *fe, const struct field_path *p, const json_t *list,
                         const char *name)
{
    struct quantity q;

    if (part_quantity(&q, list, name) && q.nano < 0)
        field_invalid_int(fe, FIELD_KEY(p, name), quantity_value(&q),
                          "must be a valid resource quantity");
}

void validate_claim_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const states[] = {
        "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
        "NodeResizeInfeasible",       "NodeResizePending",          NULL
    };
    const struct field_path *p = FIELD_AT(NULL, "status");
    const struct field_path *resizes_at = FIELD_AT(p, "allocatedResourceStatus"); /* upstream's */
    json_t *status = part(v, "status"), *item;
    json_t *resizes = part(status, "allocatedResourceStatuses");
    json_t *allocated = part(status, "allocatedResources");
    const char *name;

    (void)old;
    json_object_foreach(part(status, "capacity"), name, item)
        check_amount(fe, FIELD_AT(p, "capacity"), part(status, "capacity"), name);
    json_object_foreach(resizes, name, item)
    {
        (void)check_claim_resource(fe, resizes_at, name);
        if (!text_listed(states, json_string_value(item)))
            field_not_supported(fe, resizes_at, name, states);
    }
    json_object_foreach(allocated, name, item)
    {
        const struct field_path *at = FIELD_AT(p, "allocatedResources");
        if (check_claim_resource(fe, at, name))
            check_amount(fe, at, allocated, name);
    }
}

#include "server/schema/validate_volume.h"

#include "server/schema/validate_check.h"
#include "server/schema/validate_container.h"

enum { MODE_MAX = 0777 };
#define MODE_WHY "must be a number between 0 and 0777 (octal), both inclusive"

void check_volume_source(struct field_errors *fe, const struct field_path *p, const json_t *owner,
                         const struct volume_source *sources, size_t n)
{
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        const struct volume_source *s = &sources[i];
        const struct field_path *at = FIELD_AT(p, s->path ? s->path : s->key);
        const json_t *source = part(owner, s->key);
        if (!source)
            continue;
        if (found) {
            field_forbidden(fe, FIELD_AT(p, s->second ? s->second : s->key),
                            "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        for (size_t k = 0; k < ARRAY_LEN(s->required) && s->required[k]; k++)
            (void)check_has(fe, at, source, s->required[k]);
        if (s->check)
            s->check(fe, at, source, owner);
    }
    if (!found)
        field_required(fe, p, "must specify a volume type");
}

/* ---- files ---- */

static void check_mode(struct field_errors *fe, const struct field_path *p, const json_t *v,
                       const char *key)
{
    int64_t mode = part_int(v, key);

    if (mode < 0 || mode > MODE_MAX)
        field_invalid_int(fe, FIELD_AT(p, key), mode, MODE_WHY);
}

/* Keys and paths that may not be empty are the table's. */
static void check_items(struct field_errors *fe, const struct field_path *p, const json_t *items)
{
    json_t *v;
    size_t i;

    json_array_foreach(items, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        check_local(fe, FIELD_AT(at, "path"), part_str(v, "path"));
        check_mode(fe, at, v, "mode");
    }
}

static VOLUME_CHECK(check_items_source)
{
    (void)owner;
    check_mode(fe, p, source, "defaultMode");
    check_items(fe, FIELD_AT(p, "items"), part(source, "items"));
}

/* Upstream's paths name the source, not the file. */
static void check_downward_file(struct field_errors *fe, const struct field_path *p,
                                const json_t *v)
{
    const json_t *field = part(v, "fieldRef"), *resource = part(v, "resourceFieldRef");

    (void)check_has(fe, p, v, "path");
    check_local(fe, FIELD_AT(p, "path"), part_str(v, "path"));
    if (field) {
        check_field_ref(fe, FIELD_AT(p, "fieldRef"), field, downward_file_fields);
        if (resource)
            field_invalid(fe, p, "resource",
                          "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (resource) {
        check_resource_ref(fe, FIELD_AT(p, "resourceFieldRef"), resource, true);
    } else {
        field_required(fe, p, "one of fieldRef and resourceFieldRef is required");
    }
    check_mode(fe, p, v, "mode");
}

static VOLUME_CHECK(check_downward)
{
    json_t *v;
    size_t i;

    (void)owner;
    check_mode(fe, p, source, "defaultMode");
    json_array_foreach(part(source, "items"), i, v) check_downward_file(fe, p, v);
}

/* ---- projected ---- */

/* One path for two files; value is what upstream shows. */
static void check_once(struct field_errors *fe, const struct field_path *p, struct map *paths,
                       const char *path, const char *value)
{
    if (*path && !name_set_add(paths, path))
        field_invalid(fe, p, value, "conflicting duplicate paths");
}

static void check_projected_items(struct field_errors *fe, const struct field_path *p,
                                  const struct field_path *at, const json_t *source,
                                  struct map *paths)
{
    json_t *v;
    size_t i;

    (void)check_has(fe, at, source, "name");
    check_items(fe, FIELD_AT(at, "items"), part(source, "items"));
    json_array_foreach(part(source, "items"), i, v)
        check_once(fe, p, paths, part_str(v, "path"), part_str(source, "name"));
}

static void check_token(struct field_errors *fe, const struct field_path *p,
                        const struct field_path *at, const json_t *source)
{
    int64_t s = part_int(source, "expirationSeconds");

    if (s < 600)
        field_invalid_int(fe, FIELD_AT(at, "expirationSeconds"), s,
                          "may not specify a duration less than 10 minutes");
    if (s > INT64_C(1) << 32)
        field_invalid_int(fe, FIELD_AT(at, "expirationSeconds"), s,
                          "may not specify a duration larger than 2^32 seconds");
    if (!part_str(source, "path")[0])
        field_required(fe, FIELD_AT(p, "path"), "");
    else
        check_local(fe, FIELD_AT(p, "path"), part_str(source, "path"));
}

static void check_bundle(struct field_errors *fe, const struct field_path *p,
                         const struct field_path *at, const json_t *source, struct map *paths)
{
    const json_t *name = part(source, "name"), *signer = part(source, "signerName");
    const json_t *selector = part(source, "labelSelector");

    if (name && signer)
        field_invalid_json(fe, at, source, "only one of name and signerName may be used");
    else if (name && !json_string_length(name))
        field_required(fe, FIELD_AT(at, "name"), "must be a valid object name");
    else if (name && selector)
        field_invalid_json(fe, FIELD_AT(at, "labelSelector"), selector,
                           "labelSelector must be unset if name is specified");
    else if (signer && !json_string_length(signer))
        field_required(fe, FIELD_AT(at, "signerName"), "must be a valid signer name");
    else if (!name && !signer)
        field_required(fe, at, "either name or signerName must be specified");
    (void)check_has(fe, at, source, "path");
    check_local(fe, FIELD_AT(at, "path"), part_str(source, "path"));
    check_once(fe, p, paths, part_str(source, "path"), part_str(source, "path"));
}

static void check_projection(struct field_errors *fe, const struct field_path *p,
                             const struct field_path *source_at, const json_t *v, struct map *paths)
{
    const json_t *token = part(v, "serviceAccountToken"), *bundle = part(v, "clusterTrustBundle");
    static const char *const keyed[] = { "secret", "configMap" };
    const struct field_path *down = FIELD_AT(source_at, "downwardAPI");
    json_t *file;
    size_t i;

    for (size_t k = 0; k < 2; k++)
        if (part(v, keyed[k]))
            check_projected_items(fe, p, FIELD_AT(source_at, keyed[k]), part(v, keyed[k]), paths);
    json_array_foreach(part(part(v, "downwardAPI"), "items"), i, file)
    {
        check_downward_file(fe, down, file);
        check_once(fe, p, paths, part_str(file, "path"), part_str(file, "path"));
    }
    if (token)
        check_token(fe, p, FIELD_AT(source_at, "serviceAccountToken"), token);
    if (bundle)
        check_bundle(fe, p, FIELD_AT(source_at, "clusterTrustBundle"), bundle, paths);
    if (json_object_size(v) > 1)
        field_forbidden(fe, source_at, "may not specify more than 1 volume type per source");
}

static VOLUME_CHECK(check_projected)
{
    AUTO(map) struct map *paths = map_new();
    const struct field_path *list = FIELD_AT(p, "sources");
    json_t *v;
    size_t i;

    (void)owner;
    check_mode(fe, p, source, "defaultMode");
    json_array_foreach(part(source, "sources"), i, v)
        check_projection(fe, p, FIELD_INDEX(list, i), v, paths);
}

/* ---- the rest ---- */

static VOLUME_CHECK(check_empty_dir)
{
    struct quantity q;

    (void)owner;
    if (part_quantity(&q, source, "sizeLimit") && q.nano < 0)
        field_forbidden(fe, FIELD_AT(p, "sizeLimit"),
                        "SizeLimit field must be a valid resource quantity");
}

static VOLUME_CHECK(check_git)
{
    (void)owner;
    check_descending(fe, FIELD_AT(p, "directory"), part_str(source, "directory"));
}

static VOLUME_CHECK(check_ephemeral)
{
    const struct field_path *at = FIELD_AT(p, "volumeClaimTemplate");
    const struct field_path *meta = FIELD_AT(at, "metadata");
    const json_t *claim = part(source, "volumeClaimTemplate"), *metadata = part(claim, "metadata");
    const char *key;
    json_t *v;

    (void)owner;
    if (!claim) {
        field_required(fe, at, "");
        return;
    }
    check_annotations(fe, FIELD_AT(meta, "annotations"), part(metadata, "annotations"));
    check_labels(fe, FIELD_AT(meta, "labels"), part(metadata, "labels"));
    json_object_foreach((json_t *)metadata, key, v)
    {
        if (strcmp(key, "annotations") != 0 && strcmp(key, "labels") != 0)
            field_forbidden(fe, FIELD_AT(meta, key), "cannot be set");
    }
    check_claim_spec(fe, FIELD_AT(at, "spec"), part(claim, "spec"));
}

void check_pod_volume(struct field_errors *fe, const struct field_path *p, const json_t *volume)
{
    static const struct volume_source sources[] = {
        { .key = "emptyDir", .check = check_empty_dir },
        { .key = "hostPath", .check = check_host_path },
        { .key = "gitRepo", .required = { "repository" }, .check = check_git },
        { .key = "gcePersistentDisk",
          .path = "persistentDisk",
          .required = { "pdName" },
          .check = check_partition },
        { .key = "awsElasticBlockStore", .required = { "volumeID" }, .check = check_partition },
        { .key = "secret", .required = { "secretName" }, .check = check_items_source },
        { .key = "nfs", .check = check_nfs },
        { .key = "iscsi", .required = { "targetPortal", "iqn" }, .check = check_iscsi },
        { .key = "glusterfs", .required = { "endpoints", "path" } },
        { .key = "flocker", .check = check_flocker },
        { .key = "persistentVolumeClaim" }, /* claimName: the table */
        { .key = "rbd", .required = { "monitors", "image" } },
        { .key = "cinder", .required = { "volumeID" }, .check = check_secret_name },
        { .key = "cephfs", .second = "cephFS", .required = { "monitors" } },
        { .key = "quobyte", .check = check_quobyte },
        { .key = "downwardAPI", .second = "downwarAPI", .check = check_downward },
        { .key = "fc", .check = check_fc },
        { .key = "flexVolume", .required = { "driver" }, .check = check_flex },
        { .key = "configMap", .required = { "name" }, .check = check_items_source },
        { .key = "azureFile", .required = { "secretName", "shareName" } },
        { .key = "vsphereVolume", .required = { "volumePath" } },
        { .key = "photonPersistentDisk", .required = { "pdID" } },
        { .key = "portworxVolume", .required = { "volumeID" } },
        { .key = "azureDisk", .required = { "diskName", "diskURI" }, .check = check_azure_disk },
        { .key = "storageos", .check = check_storageos },
        { .key = "projected", .check = check_projected },
        { .key = "scaleIO", .required = { "gateway", "system", "volumeName" } },
        { .key = "csi", .check = check_csi },
        { .key = "ephemeral", .check = check_ephemeral },
        { .key = "image" }, /* reference: a pod's, not a template's (validate_pod.c) */
    };

    check_volume_source(fe, p, volume, sources, ARRAY_LEN(sources));
}

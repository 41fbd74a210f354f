/* Cells of volumes, their claims and classes, and storage drivers. */
#include "base/core/buf.h"
#include "server/schema/table_cells.h"

static json_t *access_modes(const json_t *modes)
{
    static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
                                            { "ReadOnlyMany", "ROX" },
                                            { "ReadWriteMany", "RWX" },
                                            { "ReadWriteOncePod", "RWOP" } };
    auto_buf b = BUF(64);

    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        bool has = false;
        for (size_t i = 0; i < json_array_size(modes); i++) {
            const char *mode = json_string_value(json_array_get(modes, i));
            has |= mode && strcmp(mode, names[k][0]) == 0;
        }
        if (has)
            cell_part(&b, ",", names[k][1]);
    }
    return json_string(buf_cstr(&b));
}

static json_t *pv_access_modes(const struct cell *c, const char *arg)
{
    (void)arg;
    return access_modes(cell_at(c->obj, ".spec.accessModes"));
}

static json_t *pv_claim(const struct cell *c, const char *arg)
{
    const json_t *claim = cell_at(c->obj, ".spec.claimRef");

    (void)arg;
    return claim ? json_sprintf("%s/%s", cell_str(claim, "namespace"), cell_str(claim, "name"))
                 : json_string("");
}

/* A claim that is not bound yet has neither. */
static bool is_bound(const struct cell *c)
{
    return json_string_length(cell_at(c->obj, ".spec.volumeName"));
}

static json_t *pvc_capacity(const struct cell *c, const char *arg)
{
    (void)arg;
    return is_bound(c)
               ? cell_text(json_string_value(cell_at(c->obj, ".status.capacity.storage")), "0")
               : json_string("");
}

static json_t *pvc_access_modes(const struct cell *c, const char *arg)
{
    (void)arg;
    return access_modes(is_bound(c) ? cell_at(c->obj, ".status.accessModes") : NULL);
}

/* Of a volume or a claim; the annotation is older than the field and goes before it. */
static json_t *volume_class(const struct cell *c, const char *arg)
{
    const char *old = cell_str(cell_at(c->obj, ".metadata.annotations"),
                               "volume.beta.kubernetes.io/storage-class");

    (void)arg;
    return *old ? json_string(old)
                : json_string(cell_str(json_object_get(c->obj, "spec"), "storageClassName"));
}

static json_t *storageclass_name(const struct cell *c, const char *arg)
{
    const json_t *a = cell_at(c->obj, ".metadata.annotations");
    const char *name = json_string_value(cell_at(c->obj, ".metadata.name"));
    bool is_default =
        strcmp(cell_str(a, "storageclass.kubernetes.io/is-default-class"), "true") == 0 ||
        strcmp(cell_str(a, "storageclass.beta.kubernetes.io/is-default-class"), "true") == 0;

    (void)arg;
    return json_sprintf("%s%s", name ? name : "", is_default ? " (default)" : "");
}

static json_t *csidriver_attach(const struct cell *c, const char *arg)
{
    (void)arg;
    return json_boolean(!json_is_false(cell_at(c->obj, ".spec.attachRequired")));
}

static json_t *csidriver_tokens(const struct cell *c, const char *arg)
{
    const json_t *requests = cell_at(c->obj, ".spec.tokenRequests");

    (void)arg;
    return requests ? cell_join(requests, "audience") : json_string("<unset>");
}

const struct cell_entry cells_of_storage[] = {
    { "pv_access_modes", pv_access_modes },
    { "pv_claim", pv_claim },
    { "pvc_capacity", pvc_capacity },
    { "pvc_access_modes", pvc_access_modes },
    { "volume_class", volume_class },
    { "storageclass_name", storageclass_name },
    { "csidriver_attach", csidriver_attach },
    { "csidriver_tokens", csidriver_tokens },
    { NULL, NULL },
};

/* What containers mount: ValidateVolumeMounts and ValidateVolumeDevices. Upstream names the list,
 * not its entry, in the paths of some errors, and so do we. */
#include "server/schema/validate_check.h"
#include "server/schema/validate_container.h"

static bool has_entry(const json_t *list, const char *key, const char *value)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v) if (part_is(v, key, value)) return true;
    return false;
}

static void check_propagation(struct field_errors *fe, const struct field_path *p, const json_t *c,
                              const json_t *mount)
{
    static const char *const modes[] = { "Bidirectional", "HostToContainer", "None", NULL };
    const char *mode = part_str(mount, "mountPropagation");

    if (!part(mount, "mountPropagation"))
        return;
    (void)check_listed(fe, p, mode, modes);
    if (strcmp(mode, "Bidirectional") == 0 && !part_true(part(c, "securityContext"), "privileged"))
        field_forbidden(fe, p,
                        "Bidirectional mount propagation is available only to privileged "
                        "containers");
}

static void check_recursive(struct field_errors *fe, const struct field_path *p,
                            const json_t *mount)
{
    static const char *const modes[] = { "Disabled", "Enabled", "IfPossible", NULL };
    const char *propagation = part_str(mount, "mountPropagation");

    if (!part(mount, "recursiveReadOnly") ||
        !check_listed(fe, p, part_str(mount, "recursiveReadOnly"), modes) ||
        part_is(mount, "recursiveReadOnly", "Disabled"))
        return;
    if (!part_true(mount, "readOnly"))
        field_forbidden(fe, p, "may only be specified when readOnly is true");
    if (*propagation && strcmp(propagation, "None") != 0)
        field_forbidden(fe, p,
                        "may only be specified when mountPropagation is None or not specified");
}

static void check_sub_path(struct field_errors *fe, const struct field_path *list,
                           const struct field_path *at, const json_t *mount, const json_t *volume)
{
    const char *path = part_str(mount, "subPath"), *expr = part_str(mount, "subPathExpr");

    if (part(volume, "image") && *path)
        field_invalid(fe, FIELD_AT(at, "subPath"), path, "not allowed in image volume sources");
    if (part(volume, "image") && *expr)
        field_invalid(fe, FIELD_AT(at, "subPathExpr"), expr, "not allowed in image volume sources");
    check_descending(fe, FIELD_AT(list, "subPath"), path);
    if (*path && *expr)
        field_invalid(fe, FIELD_AT(at, "subPathExpr"), expr,
                      "subPathExpr and subPath are mutually exclusive");
    check_descending(fe, FIELD_AT(list, "subPathExpr"), expr);
}

static void check_volume_mounts(struct field_errors *fe, const struct field_path *list,
                                const json_t *c, const struct map *volumes)
{
    AUTO(map) struct map *paths = map_new();
    const json_t *devices = part(c, "volumeDevices");
    json_t *mount;
    size_t i;

    json_array_foreach(part(c, "volumeMounts"), i, mount)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const char *name = part_str(mount, "name"), *path = part_str(mount, "mountPath");
        const json_t *volume = map_get(volumes, str_of(name));
        if (!volume)
            field_not_found(fe, FIELD_AT(at, "name"), name);
        if (!name_set_add(paths, path))
            field_invalid(fe, FIELD_AT(at, "mountPath"), path, "must be unique");
        if (has_entry(devices, "name", name))
            field_invalid(fe, FIELD_AT(at, "name"), name,
                          "must not already exist in volumeDevices");
        if (has_entry(devices, "devicePath", path))
            field_invalid(fe, FIELD_AT(at, "mountPath"), path,
                          "must not already exist as a path in volumeDevices");
        check_sub_path(fe, list, at, mount, volume);
        check_propagation(fe, FIELD_AT(list, "mountPropagation"), c, mount);
        check_recursive(fe, FIELD_AT(list, "recursiveReadOnly"), mount);
    }
}

/* Block devices are claims of volumes. */
static void check_device_source(struct field_errors *fe, const struct field_path *p,
                                const char *name, const json_t *volume)
{
    if (!volume)
        field_not_found(fe, p, name);
    else if (!part(volume, "persistentVolumeClaim") && !part(volume, "ephemeral"))
        field_invalid(fe, p, name,
                      "can only use volume source type of PersistentVolumeClaim or Ephemeral for "
                      "block mode");
}

static bool has_backstep(const char *path)
{
    auto_field_errors fe = { 0 };

    return !check_no_backsteps(&fe, NULL, path);
}

static void check_devices(struct field_errors *fe, const struct field_path *list, const json_t *c,
                          const struct map *volumes)
{
    AUTO(map) struct map *names = map_new(), *paths = map_new();
    const json_t *mounts = part(c, "volumeMounts");
    json_t *device;
    size_t i;

    json_array_foreach(part(c, "volumeDevices"), i, device)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const struct field_path *name_at = FIELD_AT(at, "name"),
                                *path_at = FIELD_AT(at, "devicePath");
        const char *name = part_str(device, "name"), *path = part_str(device, "devicePath");
        if (*name && !name_set_add(names, name))
            field_invalid(fe, name_at, name, "must be unique");
        check_device_source(fe, name_at, name, map_get(volumes, str_of(name)));
        if (has_backstep(path))
            field_invalid(fe, path_at, path, "can not contain backsteps ('..')");
        else if (!name_set_add(paths, path))
            field_invalid(fe, path_at, path, "must be unique");
        if (has_entry(mounts, "name", name))
            field_invalid(fe, name_at, name, "must not already exist in volumeMounts");
        if (has_entry(mounts, "mountPath", path))
            field_invalid(fe, path_at, path, "must not already exist as a path in volumeMounts");
    }
}

void check_mounts(struct field_errors *fe, const struct field_path *p, const json_t *c,
                  const struct map *volumes)
{
    check_volume_mounts(fe, FIELD_AT(p, "volumeMounts"), c, volumes);
    check_devices(fe, FIELD_AT(p, "volumeDevices"), c, volumes);
}

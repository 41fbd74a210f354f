/* Rules of single sources of volumes, most of them of storage that is reached over a network. */
#include "base/kube/name.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_volume.h"

#include <stdio.h>

VOLUME_CHECK(check_host_path)
{
    (void)owner; /* a path that is empty: the table */
    (void)check_no_backsteps(fe, FIELD_AT(p, "path"), part_str(source, "path"));
}

VOLUME_CHECK(check_partition)
{
    (void)owner;
    (void)check_range(fe, FIELD_AT(p, "partition"), part_int(source, "partition"), 0, 255);
}

VOLUME_CHECK(check_nfs)
{
    (void)owner;
    (void)check_has(fe, p, source, "server");
    (void)check_has(fe, p, source, "path");
    if (part_str(source, "path")[0] != '/')
        field_invalid(fe, FIELD_AT(p, "path"), part_str(source, "path"),
                      "must be an absolute path");
}

VOLUME_CHECK(check_secret_name)
{
    const json_t *ref = part(source, "secretRef");

    (void)owner;
    if (ref)
        (void)check_has(fe, FIELD_AT(p, "secretRef"), ref, "name");
}

VOLUME_CHECK(check_fc)
{
    const json_t *wwns = part(source, "targetWWNs");
    bool has_wwns = json_array_size(wwns), has_wwids = json_array_size(part(source, "wwids"));

    (void)owner;
    if (!has_wwns && !has_wwids)
        field_required(fe, FIELD_AT(p, "targetWWNs"),
                       "must specify either targetWWNs or wwids, but not both");
    if (has_wwns && has_wwids)
        field_invalid_list(fe, FIELD_AT(p, "targetWWNs"), "string", wwns,
                           "targetWWNs and wwids can not be specified simultaneously");
    if (has_wwns && !part(source, "lun"))
        field_required(fe, FIELD_AT(p, "lun"), "lun is required if targetWWNs is specified");
    else if (has_wwns)
        (void)check_range(fe, FIELD_AT(p, "lun"), part_int(source, "lun"), 0, 255);
}

VOLUME_CHECK(check_flex)
{
    const json_t *options = part(source, "options");
    const struct field_path *at = FIELD_AT(p, "options");
    const char *key;
    json_t *v;

    (void)owner;
    json_object_foreach((json_t *)options, key, v)
    {
        char domain[NAME_SUBDOMAIN_MAX + 2];
        size_t n = strcspn(key, "/");
        snprintf(domain, sizeof domain, ".%.*s", (int)n, key);
        for (char *c = domain; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        if (str_ends(str_of(domain), STR(".kubernetes.io")) ||
            str_ends(str_of(domain), STR(".k8s.io")))
            field_invalid(fe, FIELD_KEY(at, key), key,
                          "kubernetes.io and k8s.io namespaces are reserved");
    }
}

VOLUME_CHECK(check_flocker)
{
    const char *name = part_str(source, "datasetName"), *uuid = part_str(source, "datasetUUID");

    (void)owner;
    if (!*name && !*uuid)
        field_required(fe, p, "one of datasetName and datasetUUID is required");
    if (*name && *uuid)
        field_invalid(fe, p, "resource",
                      "datasetName and datasetUUID can not be specified simultaneously");
    if (strchr(name, '/'))
        field_invalid(fe, FIELD_AT(p, "datasetName"), name, "must not contain '/'");
}

static bool is_host_port(struct str s)
{
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;

    return colon && (s.p[0] == '[' || !memchr(s.p, ':', (size_t)(colon - s.p)));
}

VOLUME_CHECK(check_quobyte)
{
    const char *registry = part_str(source, "registry"), *tenant = part_str(source, "tenant");
    const struct field_path *at = FIELD_AT(p, "registry");
    struct str rest = str_of(registry), one;
    bool more = *registry;

    (void)owner;
    if (!*registry)
        field_required(fe, at, "must be a host:port pair or multiple pairs separated by commas");
    else if (strlen(tenant) > 64)
        field_required(fe, FIELD_AT(p, "tenant"),
                       "must be a UUID and may not exceed a length of 64 characters");
    else
        while (more) {
            more = str_cut(rest, ',', &one, &rest);
            if (!is_host_port(one))
                field_invalid(fe, at, registry,
                              "must be a host:port pair or multiple pairs separated by commas");
        }
    (void)check_has(fe, p, source, "volume");
}

/* iqn.YYYY-MM.domain:name, eui.<16 letters or digits>, naa.<32 of them> */
static bool is_initiator(const char *s)
{
    size_t n = strlen(s), want = text_starts(s, "eui") ? 16 : 32;

    if (text_starts(s, "iqn"))
        return n > 12 && s[3] == '.' && s[8] == '-' && s[11] == '.' && strchr(s + 12, ':') &&
               strspn(s + 4, "0123456789") == 4 && strspn(s + 9, "0123456789") == 2 &&
               !strpbrk(s, ",;*&$| \t\n");
    if (n != 4 + want)
        return false;
    for (size_t i = 4; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
              (s[i] >= 'A' && s[i] <= 'Z')))
            return false;
    return true;
}

static void check_initiator(struct field_errors *fe, const struct field_path *p, const char *name,
                            bool of_pod)
{
    if (!text_starts(name, "iqn") && !text_starts(name, "eui") && !text_starts(name, "naa"))
        field_invalid(fe, p, name,
                      of_pod ? "must be valid format starting with iqn, eui, or naa"
                             : "must be valid format");
    else if (!is_initiator(name))
        field_invalid(fe, p, name, "must be valid format");
}

VOLUME_CHECK(check_iscsi)
{
    const char *iqn = part_str(source, "iqn"), *name = part_str(owner, "name");
    const json_t *initiator = part(source, "initiatorName");
    bool of_pod = part(owner, "name");

    if (*iqn)
        check_initiator(fe, FIELD_AT(p, "iqn"), iqn, of_pod);
    (void)check_range(fe, FIELD_AT(p, "lun"), part_int(source, "lun"), 0, 255);
    if ((part_true(source, "chapAuthDiscovery") || part_true(source, "chapAuthSession")) &&
        !part(source, "secretRef"))
        field_required(fe, FIELD_AT(p, "secretRef"), "");
    if (!initiator)
        return;
    check_initiator(fe, FIELD_AT(p, "initiatorname"), json_string_value(initiator), of_pod);
    if (of_pod && strlen(name) + 1 + strlen(part_str(source, "targetPortal")) > 64)
        field_invalid(fe, FIELD_AT(p->parent, "name"), name,
                      "Total length of <volume name>:<iscsi.targetPortal> must be under 64 "
                      "characters if iscsi.initiatorName is specified.");
}

VOLUME_CHECK(check_azure_disk)
{
    static const char *const managed[] = {
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/"
        "{disk-id}",
        NULL
    };
    static const char *const blob[] = {
        "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd", NULL
    };
    const char *uri = part_str(source, "diskURI");
    bool is_managed = part_is(source, "kind", "Managed");

    (void)owner;
    if (!text_starts(uri, is_managed ? "/subscriptions/" : "https://"))
        field_not_supported(fe, FIELD_AT(p, "diskURI"), uri, is_managed ? managed : blob);
}

VOLUME_CHECK(check_storageos)
{
    const char *name = part_str(source, "volumeName"), *ns = part_str(source, "volumeNamespace");

    if (check_has(fe, p, source, "volumeName"))
        (void)check_label(fe, FIELD_AT(p, "volumeName"), name);
    if (*ns)
        (void)check_label(fe, FIELD_AT(p, "volumeNamespace"), ns);
    check_secret_name(fe, p, source, owner);
}

/* ValidateCSIDriverName: case does not matter */
void check_csi_driver(struct field_errors *fe, const struct field_path *p, const char *name)
{
    char lower[NAME_SUBDOMAIN_MAX + 2];

    if (!*name)
        field_required(fe, p, "");
    if (strlen(name) > 63)
        field_too_long(fe, p, 63);
    snprintf(lower, sizeof lower, "%s", name);
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    (void)check_text(fe, p, name, name_check_subdomain(str_of(lower)));
}

VOLUME_CHECK(check_csi)
{
    const json_t *ref = part(source, "nodePublishSecretRef");
    const struct field_path *at = FIELD_AT(p, "nodePublishSecretRef");

    (void)owner;
    check_csi_driver(fe, FIELD_AT(p, "driver"), part_str(source, "driver"));
    if (ref && check_has(fe, at, ref, "name"))
        (void)check_subdomain(fe, FIELD_AT(p, "name"), part_str(ref, "name"));
}

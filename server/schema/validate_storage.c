/* storage.k8s.io/v1: pkg/apis/storage/validation. */
#include "base/kube/name.h"
#include "base/kube/quantity.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <ctype.h>

enum {
    PARAMETERS_MAX = 512, /* upstream bounds their number with TooLong as well */
    PARAMETERS_MAX_BYTES = 256 * 1024,
    ATTACHMENT_MAX_BYTES = 256 * 1024,
    ERROR_MAX_BYTES = 1024,
    NODE_ID_MAX_BYTES = 256,
    TOKEN_MIN_S = 600,
};

#define ONE_SOURCE "must specify exactly one of inlineVolumeSpec and persistentVolumeName"

static size_t map_bytes(const json_t *map)
{
    const char *key;
    size_t n = 0;
    json_t *v;

    json_object_foreach((json_t *)map, key, v) n += strlen(key) + json_string_length(v);
    return n;
}

/* core's ValidateCSIDriverName */
static void check_driver_name(const char *name, const struct field_path *p, struct field_errors *fe)
{
    auto_free char *lower = mem_strdup(name);

    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (!*name)
        field_required(fe, p, "");
    if (strlen(name) > NAME_LABEL_MAX)
        field_too_long(fe, p, NAME_LABEL_MAX);
    (void)check_text(fe, p, name, name_check_subdomain(str_of(lower)));
}

/* ---- classes ---- */

static void check_requirement(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new();
    const struct field_path *list = FIELD_AT(p, "values");
    const char *key = part_str(v, "key");
    json_t *value;
    size_t i;

    if (!json_array_size(json_object_get(v, "values")))
        field_required(fe, list, "");
    json_array_foreach(json_object_get(v, "values"), i, value)
        rule_unique(seen, json_string_value(value), FIELD_INDEX(list, i), fe);
    (void)check_qualified(fe, FIELD_AT(p, "key"), key);
}

static void check_topologies(const json_t *terms, const struct field_path *p,
                             struct field_errors *fe)
{
    json_t *term, *requirement;
    size_t i, k;

    json_array_foreach(terms, i, term)
    {
        AUTO(map) struct map *keys = map_new();
        const struct field_path *list = FIELD_AT(FIELD_INDEX(p, i), "matchLabelExpressions");
        json_array_foreach(json_object_get(term, "matchLabelExpressions"), k, requirement)
        {
            const struct field_path *at = FIELD_INDEX(list, k);
            check_requirement(requirement, at, fe);
            rule_unique(keys, part_str(requirement, "key"), FIELD_AT(at, "key"), fe);
        }
        for (k = 0; k < i; k++)
            if (rule_same(json_array_get(terms, k), term))
                field_duplicate(fe, list, "");
    }
}

void storage_class(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const policies[] = { "Delete", "Retain", NULL };
    const json_t *parameters = json_object_get(v, "parameters");
    auto_free char *lower = mem_strdup(part_str(v, "provisioner"));

    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (*lower)
        (void)check_qualified(fe, FIELD_AT(p, "provisioner"), lower);
    if (json_object_size(parameters) > PARAMETERS_MAX)
        field_too_long(fe, FIELD_AT(p, "parameters"), PARAMETERS_MAX);
    else if (rule_has(parameters, ""))
        field_invalid(fe, FIELD_AT(p, "parameters"), "", "field can not be empty.");
    else if (map_bytes(parameters) > PARAMETERS_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "parameters"), PARAMETERS_MAX_BYTES);
    if (part_is(v, "reclaimPolicy", "Recycle")) /* volumes may, classes may not */
        field_not_supported(fe, FIELD_AT(p, "reclaimPolicy"), "Recycle", policies);
    check_topologies(json_object_get(v, "allowedTopologies"), FIELD_AT(p, "allowedTopologies"), fe);
}

void storage_class_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const keys[] = { "parameters", "provisioner", "reclaimPolicy" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!rule_same(json_object_get(v, keys[i]), json_object_get(old, keys[i]))) {
            auto_free char *why = mem_printf("updates to %s are forbidden.", keys[i]);
            field_forbidden(fe, FIELD_AT(NULL, keys[i]), why);
        }
}

/* ---- attachments ---- */

void storage_attachment_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *source = json_object_get(v, "source");
    const struct field_path *at = FIELD_AT(p, "source");
    const char *node = part_str(v, "nodeName");
    bool named = rule_has(source, "persistentVolumeName");
    bool inlined = rule_has(source, "inlineVolumeSpec");

    if (!*part_str(v, "attacher"))
        field_required(fe, FIELD_AT(p, "attacher"), "");
    if (!named && !inlined)
        field_required(fe, at, ONE_SOURCE);
    else if (named && inlined)
        field_forbidden(fe, at, ONE_SOURCE);
    else if (named && !*part_str(source, "persistentVolumeName"))
        field_required(fe, FIELD_AT(at, "persistentVolumeName"),
                       "must specify non empty persistentVolumeName");
    (void)check_text(fe, FIELD_AT(p, "nodeName"), node, name_check_subdomain(str_of(node)));
}

void storage_attachment_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const errors[] = { "attachError", "detachError" };

    if (map_bytes(json_object_get(v, "attachmentMetadata")) > ATTACHMENT_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "attachmentMetadata"), ATTACHMENT_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (strlen(part_str(json_object_get(v, errors[i]), "message")) > ERROR_MAX_BYTES)
            field_too_long(fe, FIELD_AT(FIELD_AT(p, errors[i]), "message"), ATTACHMENT_MAX_BYTES);
}

void storage_attachment_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec"), *source = json_object_get(spec, "source");
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const char *attacher = part_str(spec, "attacher");
    const char *volume = part_str(source, "persistentVolumeName");

    (void)old;
    check_driver_name(attacher, FIELD_AT(p, "attacher"), fe);
    if (rule_has(source, "persistentVolumeName"))
        (void)check_text(fe, FIELD_AT(FIELD_AT(p, "source"), "persistentVolumeName"), volume,
                         name_check_subdomain(str_of(volume)));
}

void storage_attachment_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    if (!rule_same(json_object_get(v, "spec"), json_object_get(old, "spec")))
        field_invalid_json(fe, FIELD_AT(NULL, "spec"), json_object_get(v, "spec"),
                           "field is immutable");
}

/* ---- drivers, nodes, capacity ---- */

static void check_tokens(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *audiences = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const json_t *seconds = json_object_get(v, "expirationSeconds");
        const struct field_path *at = FIELD_INDEX(p, i);
        size_t n = fe->n;
        rule_unique(audiences, part_str(v, "audience"), FIELD_AT(at, "audience"), fe);
        if (fe->n > n || !seconds)
            continue;
        if (json_integer_value(seconds) < TOKEN_MIN_S)
            field_invalid_json(fe, FIELD_AT(at, "expirationSeconds"), seconds,
                               "may not specify a duration less than 10 minutes");
        if (json_integer_value(seconds) > (json_int_t)1 << 32)
            field_invalid_json(fe, FIELD_AT(at, "expirationSeconds"), seconds,
                               "may not specify a duration larger than 2^32 seconds");
    }
}

void storage_csi_driver_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const policies[] = { "File", "None", "ReadWriteOnceWithFSType", NULL };
    static const char *const modes[] = { "Persistent", "Ephemeral", NULL };
    json_t *mode;
    size_t i;

    if (rule_has(v, "fsGroupPolicy"))
        (void)check_listed(fe, FIELD_AT(p, "fsGroupPolicy"), part_str(v, "fsGroupPolicy"),
                           policies);
    check_tokens(json_object_get(v, "tokenRequests"), FIELD_AT(p, "tokenRequests"), fe);
    json_array_foreach(json_object_get(v, "volumeLifecycleModes"), i, mode)(void)
        check_listed(fe, FIELD_AT(p, "volumeLifecycleModes"), json_string_value(mode), modes);
}

void storage_csi_driver_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    static const char *const keys[] = { "attachRequired", "volumeLifecycleModes" };
    static const char *const names[] = { "attachedRequired", "volumeLifecycleModes" }; /* sic */
    const json_t *now = json_object_get(v, "spec"), *was = json_object_get(old, "spec");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *a = json_object_get(now, keys[i]);
        if (!rule_same(a, json_object_get(was, keys[i])))
            field_invalid_json(fe, FIELD_AT(FIELD_AT(NULL, "spec"), names[i]), a ? a : json_null(),
                               "field is immutable");
    }
}

void storage_csi_node_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *names = map_new();
    const struct field_path *list = FIELD_AT(p, "drivers");
    json_t *driver, *key;
    size_t i, k;

    json_array_foreach(json_object_get(v, "drivers"), i, driver)
    {
        AUTO(map) struct map *keys = map_new();
        const struct field_path *at = FIELD_INDEX(list, i);
        const char *id = part_str(driver, "nodeID");
        check_driver_name(part_str(driver, "name"), FIELD_AT(at, "name"), fe);
        if (!*id)
            field_required(fe, FIELD_AT(at, "nodeID"), "");
        if (strlen(id) > NODE_ID_MAX_BYTES)
            field_invalid(fe, FIELD_AT(at, "nodeID"), id, "must be 256 characters or less");
        rule_non_negative(json_object_get(driver, "allocatable"), "count",
                          FIELD_AT(at, "allocatable"), fe);
        rule_unique(names, part_str(driver, "name"), FIELD_AT(at, "name"), fe);
        json_array_foreach(json_object_get(driver, "topologyKeys"), k, key)
        {
            const char *s = json_string_value(key) ? json_string_value(key) : "";
            if (!*s)
                field_required(fe, at, "");
            rule_unique(keys, s, at, fe);
            (void)check_qualified(fe, at, s);
        }
    }
}

void storage_csi_node_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *now = json_object_get(json_object_get(v, "spec"), "drivers");
    const json_t *was = json_object_get(json_object_get(old, "spec"), "drivers");
    json_t *a, *b;
    size_t i, k;

    json_array_foreach(was, i, b) json_array_foreach(now, k, a)
    {
        if (part_is(a, "name", part_str(b, "name")) && !rule_same(a, b))
            field_invalid_json(fe, FIELD_AT(FIELD_AT(NULL, "spec"), "drivers"), a,
                               "field is immutable");
    }
}

void storage_csi_capacity(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *class_ = part_str(v, "storageClassName"), *capacity = part_str(v, "capacity");
    struct quantity q;
    struct err e;

    (void)check_text(fe, FIELD_AT(p, "storageClassName"), class_,
                     name_check_subdomain(str_of(class_)));
    if (*capacity && !quantity_parse(&q, str_of(capacity), &e) && q.nano < 0)
        field_invalid(fe, FIELD_AT(p, "capacity"), capacity, "must be greater than or equal to 0");
}

/* Environment variables and what they refer to: ValidateEnv, ValidateEnvFrom and the selectors that
 * downwardAPI volumes share with them. */
#include "base/kube/name.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_container.h"

#include <stdio.h>

static const char *const env_fields[] = { "metadata.name",
                                          "metadata.namespace",
                                          "metadata.uid",
                                          "spec.nodeName",
                                          "spec.serviceAccountName",
                                          "status.hostIP",
                                          "status.hostIPs",
                                          "status.podIP",
                                          "status.podIPs",
                                          NULL };
const char *const downward_file_fields[] = { "metadata.annotations", "metadata.labels",
                                             "metadata.name",        "metadata.namespace",
                                             "metadata.uid",         NULL };
static const char *const resource_fields[] = { "limits.cpu",
                                               "limits.ephemeral-storage",
                                               "limits.memory",
                                               "requests.cpu",
                                               "requests.ephemeral-storage",
                                               "requests.memory",
                                               NULL };

/* podshelper.ConvertDownwardAPIFieldLabel: what a field path may be at all. */
static bool is_pod_field(const char *path)
{
    static const char *const more[] = {
        "spec.restartPolicy",   "spec.schedulerName", "status.nominatedNodeName",
        "status.phase",         "spec.hostNetwork",   "spec.host",
        "metadata.annotations", "metadata.labels",    NULL
    };

    return text_listed(env_fields, path) || text_listed(more, path);
}

/* "metadata.labels['key']": splits it. Without a subscript: false, and path is whole. */
static bool split_subscript(const char *s, char *path, char *key, size_t max)
{
    const char *open = strstr(s, "['"), *end = s + strlen(s);

    snprintf(path, max, "%s", s);
    if (!open || end - s < 2 || strcmp(end - 2, "']") != 0 || open + 2 > end - 2)
        return false;
    snprintf(path, max, "%.*s", (int)(open - s), s);
    snprintf(key, max, "%.*s", (int)(end - 2 - (open + 2)), open + 2);
    return true;
}

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
}

void check_field_ref(struct field_errors *fe, const struct field_path *p, const json_t *ref,
                     const char *const *fields)
{
    const char *text = part_str(ref, "fieldPath");
    char path[512], key[512] = "", why[640];
    bool subscript = split_subscript(text, path, key, sizeof path);

    if (!*text)
        return; /* the table requires it */
    if (!part_is(ref, "apiVersion", "v1")) {
        snprintf(why, sizeof why, "error converting fieldPath: unsupported pod version: %.200s",
                 part_str(ref, "apiVersion"));
        field_invalid(fe, FIELD_AT(p, "fieldPath"), text, why);
    } else if (subscript && strcmp(path, "metadata.annotations") == 0) {
        lower(key);
        (void)check_qualified(fe, p, key);
    } else if (subscript && strcmp(path, "metadata.labels") == 0) {
        (void)check_qualified(fe, p, key);
    } else if (!is_pod_field(path)) {
        snprintf(why, sizeof why, "error converting fieldPath: field label not supported: %.500s",
                 text);
        field_invalid(fe, FIELD_AT(p, "fieldPath"), text, why);
    } else if (subscript) {
        field_invalid(fe, p, path, "does not support subscript");
    } else {
        (void)check_listed(fe, FIELD_AT(p, "fieldPath"), path, fields);
    }
}

static bool is_hugepages_field(const char *name)
{
    return text_starts(name, "requests.hugepages-") || text_starts(name, "limits.hugepages-");
}

static void check_divisor(struct field_errors *fe, const struct field_path *p, const char *name,
                          const json_t *ref)
{
#define BYTES "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
    static const char *const bytes[] = { "1",   "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                         "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL };
    static const char *const cpu[] = { "1", "1m", NULL };
    static const struct {
        const char *resource, *why;
    } rules[] = {
        { "cpu", "only divisor's values 1m and 1 are supported with the cpu resource" },
        { "memory", "only divisor's values " BYTES " are supported with the memory resource" },
        { "ephemeral-storage", "only divisor's values " BYTES
                               " are supported with the local ephemeral storage resource" },
        { "hugepages-",
          "only divisor's values " BYTES " are supported with the hugepages resource" },
    };
    const char *divisor = part_str(ref, "divisor"), *dot = strchr(name, '.');

    if (!*divisor || strcmp(divisor, "0") == 0 || !dot)
        return;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (text_starts(dot + 1, rules[i].resource) && !text_listed(i ? bytes : cpu, divisor))
            field_invalid(fe, FIELD_AT(p, "divisor"), name, rules[i].why);
}

void check_resource_ref(struct field_errors *fe, const struct field_path *p, const json_t *ref,
                        bool in_volume)
{
    const char *name = part_str(ref, "resource");

    if (in_volume && !part_str(ref, "containerName")[0])
        field_required(fe, FIELD_AT(p, "containerName"), "");
    else if (!*name)
        field_required(fe, FIELD_AT(p, "resource"), "");
    else if (!is_hugepages_field(name))
        (void)check_listed(fe, FIELD_AT(p, "resource"), name, resource_fields);
    check_divisor(fe, p, name, ref);
}

static void check_value_from(struct field_errors *fe, const struct field_path *p, const json_t *var)
{
    static const char *const kinds[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef",
                                         "secretKeyRef" };
    const json_t *from = part(var, "valueFrom");
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct field_path *at = FIELD_AT(p, kinds[i]);
        const json_t *ref = part(from, kinds[i]);
        if (!ref)
            continue;
        n++;
        if (i == 0)
            check_field_ref(fe, at, ref, env_fields);
        else if (i == 1)
            check_resource_ref(fe, at, ref, false);
        else
            (void)check_subdomain(fe, FIELD_AT(at, "name"), part_str(ref, "name"));
    }
    if (!n)
        field_invalid(fe, p, "",
                      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                      "`secretKeyRef`");
    else if (part_str(var, "value")[0])
        field_invalid(fe, p, "", "may not be specified when `value` is not empty");
    else if (n > 1)
        field_invalid(fe, p, "", "may not have more than one field specified at a time");
}

void check_env(struct field_errors *fe, const struct field_path *p, const json_t *env)
{
    json_t *var;
    size_t i;

    json_array_foreach(env, i, var)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        if (part(var, "valueFrom"))
            check_value_from(fe, FIELD_AT(at, "valueFrom"), var);
    }
}

/* The names may end in a dash: upstream checks them as prefixes. */
static void check_env_source(struct field_errors *fe, const struct field_path *p, const json_t *ref)
{
    const char *name = part_str(ref, "name");
    char text[NAME_SUBDOMAIN_MAX + 3];
    size_t n = strlen(name);

    if (!n) {
        field_required(fe, FIELD_AT(p, "name"), "");
        return;
    }
    snprintf(text, sizeof text, "%s", name);
    if (n < sizeof text && text[n - 1] == '-')
        text[n - 1] = 'a';
    (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_subdomain(str_of(text)));
}

void check_env_from(struct field_errors *fe, const struct field_path *p, const json_t *list)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *prefix = part_str(v, "prefix");
        const json_t *map = part(v, "configMapRef"), *secret = part(v, "secretRef");
        if (*prefix)
            (void)check_text(fe, FIELD_AT(at, "prefix"), prefix, name_check_env(str_of(prefix)));
        if (map)
            check_env_source(fe, FIELD_AT(at, "configMapRef"), map);
        if (secret)
            check_env_source(fe, FIELD_AT(at, "secretRef"), secret);
        if (!map && !secret)
            field_invalid(fe, p, "", "must specify one of: `configMapRef` or `secretRef`");
        else if (map && secret)
            field_invalid(fe, p, "", "may not have more than one field specified at a time");
    }
}

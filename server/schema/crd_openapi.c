#include "server/schema/crd_openapi.h"

#include <stdio.h>
#include <string.h>

#include "base/data/json.h"

void crd_openapi_name(char *out, size_t n_bytes, const struct schema_kind *k, const char *suffix)
{
    const char *end = k->group + strlen(k->group);
    size_t n = 0;

    out[0] = '\0';
    while (end > k->group && n < n_bytes) { /* the group's parts, the last one first */
        const char *from = end;
        while (from > k->group && from[-1] != '.')
            from--;
        int rc = snprintf(out + n, n_bytes - n, "%.*s.", (int)(end - from), from);
        n += rc > 0 ? (size_t)rc : 0;
        end = from > k->group ? from - 1 : from;
    }
    if (n < n_bytes)
        snprintf(out + n, n_bytes - n, "%s.%s%s", k->version, k->kind, suffix);
}

static bool flag(const json_t *s, const char *key)
{
    return json_is_true(json_object_get(s, key));
}

static void drop(json_t *s, const char *const *keys)
{
    for (; *keys; keys++)
        json_object_del(s, *keys);
}

/* A field that may be null is not required where null cannot be said. */
static void drop_required(json_t *s, const char *name)
{
    json_t *required = json_object_get(s, "required"), *v;
    size_t i;

    json_array_foreach(required, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), name) == 0) {
            json_array_remove(required, i);
            break;
        }
    }
    if (json_is_array(required) && json_array_size(required) == 0)
        json_object_del(s, "required");
}

/* Kubectl's own check of objects reads v2 and takes it at its word: what v2 cannot say must not
 * look like a rule (apiextensions-apiserver pkg/controller/openapi/v2). */
static void to_v2(json_t *s)
{
    static const char *const unknown[] = { "oneOf", "anyOf", "allOf", "not", "nullable", NULL };
    static const char *const shape[] = { "properties", "items", "additionalProperties", "required",
                                         NULL };
    json_t *additional = json_object_get(s, "additionalProperties"), *v;
    bool nullable = flag(s, "nullable"), open = flag(s, "x-kubernetes-preserve-unknown-fields");
    const char *key, *type = json_str_at(s, "type", "");

    drop(s, unknown);
    if (nullable || open)
        drop(s, shape);
    /* it looks into the members of an object of any fields, and stumbles over a null; an array of
     * anything it cannot read */
    if (nullable || (open && strcmp(type, "object") == 0) ||
        (strcmp(type, "array") == 0 && !json_object_get(s, "items")) ||
        flag(s, "x-kubernetes-int-or-string"))
        json_object_del(s, "type");
    json_object_foreach(json_object_get(s, "properties"), key, v)
    {
        if (flag(v, "nullable"))
            drop_required(s, key);
        to_v2(v);
    }
    if (json_object_get(s, "items"))
        to_v2(json_object_get(s, "items"));
    if (json_is_object(additional) && json_object_get(s, "additionalProperties"))
        to_v2(additional);
}

json_t *crd_openapi_schema(const struct crd_version *v, json_t *head, bool v2)
{
    json_t *s = json_deep_copy(v->schema), *properties;
    bool open = flag(s, "x-kubernetes-preserve-unknown-fields");

    if (v2)
        to_v2(s);
    if (v2 && open) { /* kubectl would take the few fields named for all there are */
        json_decref(s);
        return json_pack("{s:s}", "type", "object");
    }
    properties = json_object_get(s, "properties");
    if (!properties) {
        properties = json_object();
        json_object_set_new(s, "properties", properties);
    }
    json_object_update(properties, head);
    return s;
}

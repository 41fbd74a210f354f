/* Secrets and config maps: "immutable: true" freezes data, and itself, for good. */
#include "base/data/base64.h"
#include "server/resource/kinds.h"

#include <string.h>

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

    if (json_object_size(x) == 0 && json_object_size(y) == 0)
        return true;
    return json_equal(x, y);
}

static void frozen(const json_t *obj, const json_t *old, const char *const *fields, size_t n,
                   struct field_errors *fe)
{
    if (!json_is_true(json_object_get(old, "immutable")))
        return;
    if (!json_is_true(json_object_get(obj, "immutable")))
        field_forbidden(fe, FIELD_AT(NULL, "immutable"),
                        "field is immutable when `immutable` is set");
    for (size_t i = 0; i < n; i++)
        if (!same(obj, old, fields[i]))
            field_forbidden(fe, FIELD_AT(NULL, fields[i]),
                            "field is immutable when `immutable` is set");
}

static void secret_update(struct resource_env *env, const json_t *obj, const json_t *old,
                          struct field_errors *fe)
{
    static const char *const fields[] = { "data" };

    (void)env;
    frozen(obj, old, fields, ARRAY_LEN(fields), fe);
}

static void configmap_update(struct resource_env *env, const json_t *obj, const json_t *old,
                             struct field_errors *fe)
{
    static const char *const fields[] = { "data", "binaryData" };

    (void)env;
    frozen(obj, old, fields, ARRAY_LEN(fields), fe);
}

/* stringData is written into data, and never stored (registry/core/secret). */
static int secret_prepare(struct resource_env *env, json_t *obj, struct err *e)
{
    json_t *strings = json_object_get(obj, "stringData"), *data = json_object_get(obj, "data"), *v;
    const char *key;

    (void)env;
    if (!strings)
        return 0;
    if (!data && json_object_size(strings)) {
        data = json_object();
        json_object_set_new(obj, "data", data);
    }
    json_object_foreach(strings, key, v)
    {
        auto_buf b = BUF_SECRET(8 * 1024 * 1024);

        if (base64_add(&b, str_n(json_string_value(v), json_string_length(v))))
            return err_set(e, ERR_LIMIT, "stringData.%s is too long", key);
        json_object_set_new(data, key, json_stringn(buf_cstr(&b), b.n));
    }
    json_object_del(obj, "stringData");
    return 0;
}

static int secret_prepare_update(struct resource_env *env, json_t *obj, const json_t *old,
                                 struct err *e)
{
    (void)old;
    return secret_prepare(env, obj, e);
}

const struct resource_hooks resource_configmaps = {
    .group = "",
    .plural = "configmaps",
    .validate_update = configmap_update,
};

const struct resource_hooks resource_secrets = {
    .group = "",
    .plural = "secrets",
    .prepare_create = secret_prepare,
    .prepare_update = secret_prepare_update,
    .validate_update = secret_update,
};

/* A body to be applied, over an object: the first byte picks the kind, the first line is the object
 * that is there (JSON; none when it does not decode), the rest the body. What is applied by force
 * and valid is not changed when it is applied again. */
#include "base/core/mem.h"
#include "base/data/yaml.h"
#include "base/kube/metadata.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/managed.h"
#include "server/schema/validate.h"

static const struct managed_by BY = { "fuzz", "", "2026-01-01T00:00:00Z" };

static bool decode(const struct schema_kind *k, json_t *obj)
{
    auto_decode_notes notes = { 0 };
    struct err e;

    if (decode_object(k, obj, (struct str){ 0 }, DECODE_IGNORE, &notes, &e))
        return false;
    defaults_apply(k, obj);
    return true;
}

/* The object that is there, with owners. NULL: none. */
static json_t *live_of(const struct schema_kind *k, struct str line)
{
    struct managed_by by = { "maker", "", BY.now };
    json_t *live = NULL;
    struct err e;

    if (json_parse(&live, line, &e))
        return NULL;
    if (json_is_object(live) && decode(k, live)) {
        managed_update(k, &by, NULL, live);
        return live;
    }
    json_decref(live);
    return NULL;
}

static json_t *applied(const struct schema_kind *k, const json_t *live, const json_t *config)
{
    json_t *out = NULL, *status = managed_apply(&out, k, &BY, true, live, config);

    json_decref(status);
    if (out && !decode(k, out)) {
        json_decref(out);
        return NULL;
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct schema *s;
    json_auto_t *live = NULL, *config = NULL, *one = NULL, *two = NULL;
    char api[SCHEMA_API_VERSION_MAX];
    auto_field_errors fe = { 0 };
    struct str line, body;
    struct err e;
    size_t n_kinds;

    if (!s)
        s = schema_new();
    if (!n)
        return 0;
    const struct schema_kind *const *kinds = schema_kinds(s, &n_kinds);
    const struct schema_kind *k = kinds[data[0] % n_kinds];
    str_cut(str_n(data + 1, n - 1), '\n', &line, &body);
    if (yaml_parse(&config, body, &e) || !json_is_object(config))
        return 0;
    json_object_set_new(config, "apiVersion", json_string(schema_api_version(k, api)));
    json_object_set_new(config, "kind", json_string(k->kind));
    live = live_of(k, line);
    one = applied(k, live, config);
    if (one)
        validate_create(k, one, &fe);
    /* who says nothing owns nothing: the object is not tracked, and the next apply adopts it */
    if (!one || fe.n || !json_object_get(json_object_get(one, "metadata"), "managedFields"))
        return 0;
    two = applied(k, one, config);
    if (!two || !json_equal(one, two))
        abort();
    return 0;
}

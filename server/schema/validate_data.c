#include "server/schema/validate_data.h"

#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/kube/name.h"
#include "server/schema/validate_check.h"

enum { DATA_MAX_BYTES = 1024 * 1024 };

/* The keys' form; the size is added to *total. */
static void check_data(struct field_errors *fe, const struct field_path *p, const json_t *data,
                       bool base64, size_t *total)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)data, key, v)
    {
        const char *text = json_string_value(v);
        size_t n = json_string_length(v);
        (void)check_text(fe, FIELD_KEY(p, key), key, name_check_config_key(str_of(key)));
        if (base64 && n >= 4)
            n = n / 4 * 3 - (text[n - 1] == '=') - (text[n - 2] == '=');
        *total += n;
    }
}

void validate_config_map(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    json_t *data = part(v, "data"), *binary = part(v, "binaryData"), *item;
    const struct field_path *at = FIELD_AT(p, "data");
    const char *key;
    size_t total = 0;

    check_data(fe, at, data, false, &total);
    json_object_foreach(data, key, item)
    {
        if (part(binary, key))
            field_invalid(fe, FIELD_KEY(at, key), key, "duplicate of key present in binaryData");
    }
    check_data(fe, FIELD_AT(p, "binaryData"), binary, true, &total);
    if (total > DATA_MAX_BYTES)
        field_too_long(fe, p, DATA_MAX_BYTES);
}

/* ---- secrets ---- */

static bool is_json_object(const char *base64)
{
    auto_buf b = BUF_SECRET(4 * DATA_MAX_BYTES);
    json_auto_t *j = NULL;
    struct err e;

    return !base64_decode(&b, str_of(base64), false) && !json_parse(&j, buf_str(&b), &e) &&
           (json_is_object(j) || json_is_null(j));
}

static void check_needed(struct field_errors *fe, const struct field_path *p, const json_t *data,
                         const char *key)
{
    if (!part(data, key))
        field_required(fe, FIELD_KEY(p, key), "");
}

static void check_docker(struct field_errors *fe, const struct field_path *p, const json_t *data,
                         const char *key)
{
    check_needed(fe, p, data, key);
    if (part(data, key) && !is_json_object(part_str(data, key)))
        field_invalid(fe, FIELD_KEY(p, key), "<secret contents redacted>",
                      "invalid character in JSON, or no object");
}

#define ACCOUNT_NAME "kubernetes.io/service-account.name"

static void check_type(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    const json_t *data = part(v, "data");
    const struct field_path *meta = FIELD_AT(NULL, "metadata");
    const struct field_path *annotations = FIELD_AT(meta, "annotations");

    if (part_is(v, "type", "kubernetes.io/service-account-token")) {
        if (!part_str(part(part(v, "metadata"), "annotations"), ACCOUNT_NAME)[0])
            field_required(fe, FIELD_KEY(annotations, ACCOUNT_NAME), "");
    } else if (part_is(v, "type", "kubernetes.io/dockercfg")) {
        check_docker(fe, p, data, ".dockercfg");
    } else if (part_is(v, "type", "kubernetes.io/dockerconfigjson")) {
        check_docker(fe, p, data, ".dockerconfigjson");
    } else if (part_is(v, "type", "kubernetes.io/basic-auth")) {
        if (!part(data, "username") && !part(data, "password")) {
            check_needed(fe, p, data, "username");
            check_needed(fe, p, data, "password");
        }
    } else if (part_is(v, "type", "kubernetes.io/ssh-auth")) {
        if (!part_str(data, "ssh-privatekey")[0])
            field_required(fe, FIELD_KEY(p, "ssh-privatekey"), "");
    } else if (part_is(v, "type", "kubernetes.io/tls")) {
        check_needed(fe, p, data, "tls.crt");
        check_needed(fe, p, data, "tls.key");
    }
}

void validate_secret(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *at = FIELD_AT(p, "data");
    size_t total = 0;

    check_data(fe, at, part(v, "data"), true, &total);
    if (total > DATA_MAX_BYTES)
        field_too_long(fe, at, DATA_MAX_BYTES);
    check_type(fe, at, v);
}

/* ---- updates ---- */

static bool same_data(const json_t *a, const json_t *b)
{
    return json_object_size(a) == json_object_size(b) && (!json_object_size(a) || part_same(a, b));
}

static void check_sealed(struct field_errors *fe, const json_t *v, const json_t *old,
                         const char *key)
{
    if (part_true(old, "immutable") && !same_data(part(v, key), part(old, key)))
        field_forbidden(fe, FIELD_AT(NULL, key), "field is immutable when `immutable` is set");
}

static void check_seal(struct field_errors *fe, const json_t *v, const json_t *old)
{
    if (part_true(old, "immutable") && !part_true(v, "immutable"))
        field_forbidden(fe, FIELD_AT(NULL, "immutable"),
                        "field is immutable when `immutable` is set");
}

void validate_config_map_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    check_seal(fe, v, old);
    check_sealed(fe, v, old, "data");
    check_sealed(fe, v, old, "binaryData");
}

void validate_secret_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    check_seal(fe, v, old); /* the type is immutable by the table */
    check_sealed(fe, v, old, "data");
}

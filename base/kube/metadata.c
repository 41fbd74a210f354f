#include "base/kube/metadata.h"

#include "base/core/rand.h"
#include "base/data/time.h"

#include <inttypes.h>
#include <stdio.h>

json_t *meta_of(json_t *obj)
{
    json_t *m = json_object_get(obj, "metadata");

    if (!json_is_object(m)) {
        m = json_object();
        json_object_set_new(obj, "metadata", m);
    }
    return m;
}

const char *meta_str(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(json_object_get(obj, "metadata"), key));

    return s ? s : "";
}

int64_t meta_generation(const json_t *obj)
{
    return json_integer_value(json_object_get(json_object_get(obj, "metadata"), "generation"));
}

int meta_resource_version(const json_t *obj, int64_t *out, struct err *e)
{
    const char *s = meta_str(obj, "resourceVersion");
    uint64_t v = 0;

    if (*s && (!str_to_u64(str_of(s), &v) || v > INT64_MAX))
        return err_set(e, ERR_INVALID, "metadata.resourceVersion: invalid value \"%s\"", s);
    *out = (int64_t)v;
    return 0;
}

static const char *meta_sub(const json_t *obj, const char *map, const char *key)
{
    const json_t *m = json_object_get(json_object_get(obj, "metadata"), map);
    const char *s = json_string_value(json_object_get(m, key));

    return s ? s : "";
}

const char *meta_label(const json_t *obj, const char *key)
{
    return meta_sub(obj, "labels", key);
}

const char *meta_annotation(const json_t *obj, const char *key)
{
    return meta_sub(obj, "annotations", key);
}

bool meta_is_deleting(const json_t *obj)
{
    return *meta_str(obj, "deletionTimestamp") != '\0';
}

bool meta_has_finalizers(const json_t *obj)
{
    const json_t *m = json_object_get(obj, "metadata");

    return json_array_size(json_object_get(m, "finalizers")) > 0;
}

void meta_set_str(json_t *obj, const char *key, const char *value)
{
    if (value)
        json_object_set_new(meta_of(obj), key, json_string(value));
    else
        json_object_del(meta_of(obj), key);
}

void meta_set_int(json_t *obj, const char *key, int64_t value)
{
    json_object_set_new(meta_of(obj), key, json_integer(value));
}

void meta_set_resource_version(json_t *obj, int64_t rev)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, rev);
    meta_set_str(obj, "resourceVersion", text);
}

void meta_generate_name(char out[64], const char *base)
{
    /* apimachinery/pkg/util/rand: no vowels, so no words; no 0, 1, 3, so no misreading */
    static const char safe[] = "bcdfghjklmnpqrstvwxz2456789";
    size_t n = MIN(strlen(base), (size_t)58);

    memcpy(out, base, n);
    for (int i = 0; i < 5; i++)
        out[n++] = safe[rand_below(sizeof safe - 1)];
    out[n] = '\0';
}

/* What only the server sets. */
static const char *const SERVER_OWNED[] = {
    "uid",      "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink", "resourceVersion",
};

void meta_init_new(json_t *obj, int64_t now_unix_s)
{
    char uid[37], now[TIME_TEXT_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(SERVER_OWNED); i++)
        json_object_del(meta_of(obj), SERVER_OWNED[i]);
    rand_uuid(uid);
    time_text_s(now, now_unix_s);
    meta_set_str(obj, "uid", uid);
    meta_set_str(obj, "creationTimestamp", now);
}

void meta_carry_over(json_t *obj, const json_t *old)
{
    const json_t *was = json_object_get(old, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(SERVER_OWNED); i++) {
        json_t *v = json_object_get(was, SERVER_OWNED[i]);

        if (v)
            json_object_set(meta_of(obj), SERVER_OWNED[i], v);
        else
            json_object_del(meta_of(obj), SERVER_OWNED[i]);
    }
    json_object_del(meta_of(obj), "resourceVersion");
}

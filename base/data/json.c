/* The path readers; json_read.c and json_write.c are the text. */
#include "base/data/json.h"

/* One step of a path: a key or an index. Returns what is left, NULL for a malformed path. */
static const char *step(const char *p, struct str *key, size_t *index, bool *is_index)
{
    const char *end;

    *is_index = false;
    if (*p == '.')
        p++;
    if (p[0] == '[' && p[1] == '"') {
        end = strstr(p + 2, "\"]");
        if (!end)
            return NULL;
        *key = str_n(p + 2, (size_t)(end - p - 2));
        return end + 2;
    }
    if (p[0] == '[') {
        uint64_t v;
        end = strchr(p, ']');
        if (!end || !str_to_u64(str_n(p + 1, (size_t)(end - p - 1)), &v))
            return NULL;
        *index = (size_t)v;
        *is_index = true;
        return end + 1;
    }
    end = p + strcspn(p, ".[");
    *key = str_n(p, (size_t)(end - p));
    return end;
}

json_t *json_at(const json_t *j, const char *path)
{
    const char *p = path;

    while (j && *p) {
        struct str key;
        size_t index;
        bool is_index;

        p = step(p, &key, &index, &is_index);
        if (!p)
            return NULL;
        j = is_index ? json_array_get(j, index) : json_object_getn(j, key.p, key.n);
    }
    return j && !json_is_null(j) ? (json_t *)j : NULL;
}

int json_path(json_t **out, const json_t *j, const char *path, struct err *e)
{
    json_t *v = json_at(j, path);

    if (!v)
        return err_set(e, ERR_NOT_FOUND, "%s is missing", path);
    *out = v;
    return 0;
}

int json_path_str(const char **out, const json_t *j, const char *path, struct err *e)
{
    json_t *v = NULL; /* gcc cannot see that json_path sets it on success */

    if (json_path(&v, j, path, e))
        return (int)e->code;
    if (!json_is_string(v))
        return err_set(e, ERR_INVALID, "%s is not a string", path);
    *out = json_string_value(v);
    return 0;
}

int json_path_i64(int64_t *out, const json_t *j, const char *path, struct err *e)
{
    json_t *v = NULL; /* gcc cannot see that json_path sets it on success */

    if (json_path(&v, j, path, e))
        return (int)e->code;
    if (!json_is_integer(v))
        return err_set(e, ERR_INVALID, "%s is not an integer", path);
    *out = json_integer_value(v);
    return 0;
}

int json_path_bool(bool *out, const json_t *j, const char *path, struct err *e)
{
    json_t *v = NULL; /* gcc cannot see that json_path sets it on success */

    if (json_path(&v, j, path, e))
        return (int)e->code;
    if (!json_is_boolean(v))
        return err_set(e, ERR_INVALID, "%s is not a boolean", path);
    *out = json_is_true(v);
    return 0;
}

const char *json_str_at(const json_t *j, const char *path, const char *fallback)
{
    json_t *v = json_at(j, path);

    return json_is_string(v) ? json_string_value(v) : fallback;
}

int64_t json_i64_at(const json_t *j, const char *path, int64_t fallback)
{
    json_t *v = json_at(j, path);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool json_bool_at(const json_t *j, const char *path, bool fallback)
{
    json_t *v = json_at(j, path);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

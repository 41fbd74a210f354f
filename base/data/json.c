#include "base/data/json.h"

#include "base/core/mem.h"

#include <ctype.h>
#include <stdio.h>

/* jansson has its own depth limit of 2048; ours protects recursion with larger frames. Brackets
 * inside strings do not count. */
static bool too_deep(struct str s)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

static int parse(json_t **out, struct str text, size_t flags, struct err *e)
{
    json_error_t je;
    json_t *j;

    if (too_deep(text))
        return err_set(e, ERR_LIMIT, "JSON is nested deeper than %d", JSON_DEPTH_MAX);
    j = json_loadb(text.p ? text.p : "", text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &je);
    if (!j)
        return err_set(e, ERR_INVALID, "invalid JSON at line %d column %d: %s", je.line, je.column,
                       je.text);
    *out = j;
    return 0;
}

int json_parse(json_t **out, struct str text, struct err *e)
{
    return parse(out, text, 0, e);
}

int json_parse_strict(json_t **out, struct str text, struct err *e)
{
    return parse(out, text, JSON_REJECT_DUPLICATES, e);
}

static int add_dump(const char *p, size_t n, void *arg)
{
    return buf_add(arg, p, n) ? -1 : 0;
}

static int dump(struct buf *b, const json_t *j, size_t flags)
{
    size_t before = b->n;

    if (json_dump_callback(j, add_dump, b, flags | JSON_ENCODE_ANY)) {
        b->n = before;
        if (b->p)
            b->p[b->n] = '\0';
        return ERR_LIMIT;
    }
    return 0;
}

int json_write(struct buf *b, const json_t *j)
{
    return dump(b, j, JSON_COMPACT);
}

int json_write_indented(struct buf *b, const json_t *j, unsigned spaces)
{
    return dump(b, j, JSON_INDENT(spaces));
}

char *json_text(const json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    char *ours = mem_strdup(s ? s : "null");

    free(s);
    return ours;
}

json_t *json_str_of(struct str s)
{
    json_t *j = json_stringn(s.p ? s.p : "", s.n);
    char *fixed;

    if (j)
        return j;
    fixed = mem_strndup(s.p, s.n); /* not UTF-8: keep the ASCII */
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)fixed[i] >= 0x80)
            fixed[i] = '?';
    j = json_stringn(fixed, s.n);
    free(fixed);
    return j;
}

int json_write_str(struct buf *b, struct str s)
{
    json_t *j = json_str_of(s);
    int r = json_write(b, j);

    json_decref(j);
    return r;
}

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

#include "server/schema/go_text.h"

#include "base/core/mem.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Go sorts the keys. */
static int object(struct buf *b, const json_t *v, bool sharp)
{
    auto_free const char **keys = mem_calloc(json_object_size(v) + 1, sizeof *keys);
    const char *key;
    json_t *child;
    size_t n = 0;

    json_object_foreach((json_t *)v, key, child) keys[n++] = key;
    qsort(keys, n, sizeof *keys, by_name);
    if (buf_adds(b, sharp ? "map[string]interface {}{" : "map["))
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (buf_adds(b, !i      ? ""
                        : sharp ? ", "
                                : " ") ||
            buf_addf(b, sharp ? "\"%s\":" : "%s:", keys[i]) ||
            go_text(b, json_object_get(v, keys[i]), sharp))
            return ERR_LIMIT;
    return buf_addc(b, sharp ? '}' : ']');
}

static int list(struct buf *b, const json_t *v, bool sharp)
{
    json_t *child;
    size_t i;

    if (buf_adds(b, sharp ? "[]interface {}{" : "["))
        return ERR_LIMIT;
    json_array_foreach(v, i, child)
    {
        if (buf_adds(b, !i ? "" : sharp ? ", " : " ") || go_text(b, child, sharp))
            return ERR_LIMIT;
    }
    return buf_addc(b, sharp ? '}' : ']');
}

int go_text(struct buf *b, const json_t *v, bool sharp)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return buf_addf(b, sharp ? "\"%s\"" : "%s", json_string_value(v));
    case JSON_INTEGER:
        return buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return buf_addf(b, "%.15g", json_real_value(v));
    case JSON_TRUE:
    case JSON_FALSE:
        return buf_adds(b, json_is_true(v) ? "true" : "false");
    case JSON_NULL:
        return buf_adds(b, "<nil>");
    case JSON_ARRAY:
        return list(b, v, sharp);
    case JSON_OBJECT:
        break;
    }
    return object(b, v, sharp);
}

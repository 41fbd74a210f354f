/* Values as Go's fmt prints them with %#v (pkg/util/validation/field/errors.go, ErrorBody: what is
 * no number, bool or string). Only the forms that clients meet often; others are shown as JSON. */
#include "base/data/json.h"
#include "server/schema/rule.h"

#include <stdlib.h>

enum { VALUE_MAX_BYTES = 8192 };

static int add_quoted(struct buf *b, const json_t *v)
{
    return json_write_str(b, str_n(json_string_value(v), json_string_length(v)));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Go sorts the keys. */
static int add_map(struct buf *b, const json_t *map)
{
    const char *keys[256], *key;
    size_t n = 0;
    json_t *v;
    int r;

    if (!map)
        return buf_adds(b, "map[string]string(nil)");
    json_object_foreach((json_t *)map, key, v)
    {
        if (n < ARRAY_LEN(keys))
            keys[n++] = key;
    }
    qsort(keys, n, sizeof *keys, by_name);
    r = buf_adds(b, "map[string]string{");
    for (size_t i = 0; !r && i < n; i++) {
        r = i ? buf_adds(b, ", ") : 0;
        r = r ? r : json_write_str(b, str_of(keys[i]));
        r = r ? r : buf_addc(b, ':');
        r = r ? r : add_quoted(b, json_object_get(map, keys[i]));
    }
    return r ? r : buf_addc(b, '}');
}

static int add_list(struct buf *b, const char *type, const json_t *list)
{
    json_t *v;
    size_t i;
    int r;

    if (!list)
        return buf_addf(b, "%s(nil)", type);
    r = buf_addf(b, "%s{", type);
    json_array_foreach(list, i, v)
    {
        r = r || !i ? r : buf_adds(b, ", ");
        if (!r && json_is_string(v))
            r = add_quoted(b, v);
        else if (!r)
            r = json_write(b, v);
    }
    return r ? r : buf_addc(b, '}');
}

static int add_requirements(struct buf *b, const json_t *list)
{
    json_t *v;
    size_t i;
    int r;

    if (!list)
        return buf_adds(b, "[]v1.LabelSelectorRequirement(nil)");
    r = buf_adds(b, "[]v1.LabelSelectorRequirement{");
    json_array_foreach(list, i, v)
    {
        r = r || !i ? r : buf_adds(b, ", ");
        r = r ? r : buf_adds(b, "v1.LabelSelectorRequirement{Key:");
        r = r ? r : json_write_str(b, str_of(part_str(v, "key")));
        r = r ? r : buf_adds(b, ", Operator:");
        r = r ? r : json_write_str(b, str_of(part_str(v, "operator")));
        r = r ? r : buf_adds(b, ", Values:");
        r = r ? r : add_list(b, "[]string", json_object_get(v, "values"));
        r = r ? r : buf_addc(b, '}');
    }
    return r ? r : buf_addc(b, '}');
}

static void add_invalid(struct field_errors *fe, const struct field_path *p, const struct buf *b,
                        int r, const char *detail)
{
    field_add(fe, FIELD_INVALID, p, "Invalid value: %s%s%s", r ? "..." : buf_cstr((struct buf *)b),
              *detail ? ": " : "", detail);
}

void rule_invalid_map(struct field_errors *fe, const struct field_path *p, const json_t *map,
                      const char *detail)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);

    add_invalid(fe, p, &b, add_map(&b, map), detail);
}

void rule_invalid_list(struct field_errors *fe, const struct field_path *p, const char *type,
                       const json_t *list, const char *detail)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);

    add_invalid(fe, p, &b, add_list(&b, type, list), detail);
}

void rule_invalid_selector(struct field_errors *fe, const struct field_path *p, const json_t *s,
                           const char *detail)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);
    int r;

    if (!s) {
        field_invalid_json(fe, p, json_null(), detail);
        return;
    }
    r = buf_adds(&b, "v1.LabelSelector{MatchLabels:");
    r = r ? r : add_map(&b, json_object_get(s, "matchLabels"));
    r = r ? r : buf_adds(&b, ", MatchExpressions:");
    r = r ? r : add_requirements(&b, json_object_get(s, "matchExpressions"));
    r = r ? r : buf_addc(&b, '}');
    add_invalid(fe, p, &b, r, detail);
}

void rule_invalid_count(struct field_errors *fe, const struct field_path *p, const json_t *v,
                        const char *detail)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);
    bool text = json_is_string(v);
    int r = buf_addf(&b, "intstr.IntOrString{Type:%d, IntVal:%lld, StrVal:", text,
                     (long long)json_integer_value(v));

    r = r ? r : json_write_str(&b, str_of(text ? json_string_value(v) : ""));
    r = r ? r : buf_addc(&b, '}');
    add_invalid(fe, p, &b, r, detail);
}

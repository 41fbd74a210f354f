#include "server/schema/table_cells.h"

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/selector.h"

#include <inttypes.h>
#include <stdio.h>

enum { CELL_MAX_BYTES = 64 * 1024 };

const json_t *cell_at(const json_t *obj, const char *path)
{
    return json_at(obj, path + (path[0] == '.'));
}

const char *cell_str(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

json_t *cell_text(const char *s, const char *otherwise)
{
    return json_string(s && *s ? s : otherwise);
}

/* k8s.io/apimachinery pkg/util/duration: two parts at most, fewer the longer it is. */
void cell_duration(char out[CELL_AGE_MAX], int64_t s)
{
    static const struct {
        int64_t below_s, unit_s, part_s;
        char unit, part;
    } forms[] = {
        { 120, 1, 0, 's', 0 },
        { 600, 60, 1, 'm', 's' },
        { 3 * 3600, 60, 0, 'm', 0 },
        { 8 * 3600, 3600, 60, 'h', 'm' },
        { 48 * 3600, 3600, 0, 'h', 0 },
        { 192 * 3600, 86400, 3600, 'd', 'h' },
        { 2LL * 365 * 86400, 86400, 0, 'd', 0 },
        { 8LL * 365 * 86400, 365 * 86400, 86400, 'y', 'd' },
        { INT64_MAX, 365 * 86400, 0, 'y', 0 },
    };
    size_t i = 0;

    if (s < -1) {
        snprintf(out, CELL_AGE_MAX, "<invalid>");
        return;
    }
    s = MAX(s, (int64_t)0);
    while (s >= forms[i].below_s)
        i++;
    int64_t rest = forms[i].part_s ? s % forms[i].unit_s / forms[i].part_s : 0;
    if (rest)
        snprintf(out, CELL_AGE_MAX, "%" PRId64 "%c%" PRId64 "%c", s / forms[i].unit_s,
                 forms[i].unit, rest, forms[i].part);
    else
        snprintf(out, CELL_AGE_MAX, "%" PRId64 "%c", s / forms[i].unit_s, forms[i].unit);
}

void cell_since(char out[CELL_AGE_MAX], const char *time, int64_t now_s)
{
    int64_t us;

    if (!time || !time_parse(&us, str_of(time)))
        snprintf(out, CELL_AGE_MAX, "<unknown>");
    else
        cell_duration(out, now_s - us / 1000000);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *cell_labels(const json_t *labels)
{
    size_t n = json_object_size(labels), i = 0;
    auto_free const char **keys = mem_calloc(n + 1, sizeof *keys);
    auto_buf b = BUF(CELL_MAX_BYTES);
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)labels, key, v) keys[i++] = key;
    qsort(keys, n, sizeof *keys, by_text);
    for (i = 0; i < n; i++)
        if (buf_addf(&b, "%s%s=%s", i ? "," : "", keys[i], cell_str(labels, keys[i])))
            break; /* cut: nobody reads a line of that length */
    return cell_text(buf_cstr(&b), "<none>");
}

/* ---- functions with paths ---- */

static json_t *age(const struct cell *c, const char *arg)
{
    char text[CELL_AGE_MAX];

    (void)arg;
    cell_since(text, json_string_value(cell_at(c->obj, ".metadata.creationTimestamp")), c->now_s);
    return json_string(text);
}

static json_t *since(const struct cell *c, const char *arg)
{
    const json_t *v = cell_at(c->obj, arg);
    char text[CELL_AGE_MAX];

    if (!v)
        return json_string("<none>");
    cell_since(text, json_string_value(v), c->now_s);
    return json_string(text);
}

static json_t *text_or(const struct cell *c, const char *path, const char *otherwise)
{
    const json_t *v = cell_at(c->obj, path);
    char number[32];

    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return json_string(number);
    }
    return cell_text(json_string_value(v), otherwise);
}

static json_t *none(const struct cell *c, const char *arg)
{
    return text_or(c, arg, "<none>");
}

static json_t *unknown(const struct cell *c, const char *arg)
{
    return text_or(c, arg, "<unknown>");
}

static json_t *unset(const struct cell *c, const char *arg)
{
    return text_or(c, arg, "<unset>");
}

static json_t *not_available(const struct cell *c, const char *arg)
{
    return text_or(c, arg, "N/A");
}

static json_t *integer(const struct cell *c, const char *arg)
{
    return json_integer(json_integer_value(cell_at(c->obj, arg)));
}

static json_t *boolean(const struct cell *c, const char *arg)
{
    return json_boolean(json_is_true(cell_at(c->obj, arg)));
}

static json_t *count(const struct cell *c, const char *arg)
{
    const json_t *v = cell_at(c->obj, arg);

    return json_integer((json_int_t)(json_is_array(v) ? json_array_size(v) : json_object_size(v)));
}

/* ".status.ready:.spec.wanted" as "1/3" */
static json_t *ratio(const struct cell *c, const char *arg)
{
    struct str a, b;
    char path[128];

    str_cut(str_of(arg), ':', &a, &b);
    snprintf(path, sizeof path, STR_FMT, STR_ARG(a));
    return json_sprintf("%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
                        json_integer_value(cell_at(c->obj, path)),
                        json_integer_value(cell_at(c->obj, b.p)));
}

json_t *cell_join(const json_t *list, const char *key)
{
    auto_buf b = BUF(CELL_MAX_BYTES);
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *s = key ? cell_str(v, key) : json_string_value(v);
        if (buf_addf(&b, "%s%s", i ? "," : "", s ? s : ""))
            break;
    }
    return json_string(buf_cstr(&b));
}

static json_t *joined(const struct cell *c, const char *arg)
{
    json_t *text = cell_join(cell_at(c->obj, arg), NULL);

    if (!json_string_length(text))
        json_string_set(text, "<none>");
    return text;
}

static json_t *labels_at(const struct cell *c, const char *arg)
{
    return cell_labels(cell_at(c->obj, arg));
}

void cell_part(struct buf *b, const char *sep, const char *s)
{
    if (*s)
        err_ignore(buf_addf(b, "%s%s", b->n ? sep : "", s));
}

void cell_part_set(struct buf *b, const char **v, size_t n)
{
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(v[i], v[i - 1]) != 0)
            cell_part(b, ",", v[i]);
}

void cell_show(struct cell_shown *s, const char *text)
{
    if (s->n++ < s->max)
        cell_part(s->b, s->sep, text);
}

json_t *cell_shown_end(struct cell_shown *s, const char *otherwise)
{
    if (s->n > s->max)
        err_ignore(buf_addf(s->b, " + %u more...", s->n - s->max)); /* a full line stays */
    return cell_text(buf_cstr(s->b), otherwise);
}

/* ---- selectors ---- */

json_t *cell_selector(const json_t *selector, const char *wrong)
{
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;

    if (!selector)
        return json_string("");
    if (label_selector_from_json(&s, selector, &e))
        return json_string(wrong);
    auto_free char *text = label_selector_text(s);
    return json_string(text);
}

/* As metav1.FormatLabelSelector prints it. */
static json_t *selector_at(const struct cell *c, const char *arg)
{
    json_t *text = cell_selector(cell_at(c->obj, arg), "<error>");

    if (!json_string_length(text))
        json_string_set(text, "<none>");
    return text;
}

/* Of a Deployment, which is printed by itself. */
static json_t *plain_selector(const struct cell *c, const char *arg)
{
    return cell_selector(cell_at(c->obj, arg), "<invalid>");
}

/* A pointer to a bool, as kubectl's own words for it. */
static json_t *true_false(const struct cell *c, const char *arg)
{
    const json_t *v = cell_at(c->obj, arg);

    return json_string(json_is_true(v) ? "True" : json_is_false(v) ? "False" : "<unset>");
}

/* "=or:Delete:.reclaimPolicy" */
static json_t *text_or_word(const struct cell *c, const char *arg)
{
    struct str word, path;

    if (!str_cut(str_of(arg), ':', &word, &path))
        return json_null();
    auto_free char *otherwise = str_dup(word);
    return text_or(c, path.p, otherwise);
}

/* "=value-or-none:.spec.limited.nominalConcurrencyShares": what is there, be it a number. */
static json_t *value_or_none(const struct cell *c, const char *arg)
{
    const json_t *v = cell_at(c->obj, arg);

    return v ? json_deep_copy(v) : json_string("<none>");
}

static json_t *containers(const struct cell *c, const char *arg)
{
    return cell_join(json_object_get(cell_at(c->obj, arg), "containers"), "name");
}

static json_t *images(const struct cell *c, const char *arg)
{
    return cell_join(json_object_get(cell_at(c->obj, arg), "containers"), "image");
}

static const struct cell_entry general[] = {
    { "age", age },
    { "since", since },
    { "none", none },
    { "unknown", unknown },
    { "unset", unset },
    { "na", not_available },
    { "int", integer },
    { "bool", boolean },
    { "count", count },
    { "ratio", ratio },
    { "join", joined },
    { "labels", labels_at },
    { "selector", selector_at },
    { "plain-selector", plain_selector },
    { "true-false", true_false },
    { "or", text_or_word },
    { "value-or-none", value_or_none },
    { "containers", containers },
    { "images", images },
    { NULL, NULL },
};

cell_fn cell_find(const char *source, const char **arg)
{
    static const struct cell_entry *const tables[] = { general,          cells_of_pods,
                                                       cells_of_kinds,   cells_of_network,
                                                       cells_of_storage, cells_of_scaling,
                                                       cells_of_custom };
    struct str name, rest;

    str_cut(str_of(source + 1), ':', &name, &rest);
    *arg = rest.n ? rest.p : "";
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cell_entry *x = tables[t]; x->name; x++)
            if (str_is(name, x->name))
                return x->fn;
    return NULL;
}

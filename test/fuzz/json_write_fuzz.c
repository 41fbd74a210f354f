#include "base/core/macros.h"
#include "base/data/json.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { DEPTH_MAX = 30, SPACES = 2 };

static bool has_real, has_nul; /* in what was built: these are written as Go does */

/* What the bytes describe: a letter for each value, its bytes behind it. */
static json_t *build(struct str *s, unsigned depth)
{
    struct str text, rest;
    json_int_t i = 0;
    double d = 0;
    json_t *v;

    if (!s->n)
        return json_null();
    char kind = s->p[0];
    *s = rest = str_n(s->p + 1, s->n - 1);
    switch (kind) {
    case 'i':
        memcpy(&i, rest.p, MIN(rest.n, sizeof i));
        *s = str_n(rest.p + MIN(rest.n, sizeof i), rest.n - MIN(rest.n, sizeof i));
        return json_integer(i);
    case 'd':
        memcpy(&d, rest.p, MIN(rest.n, sizeof d));
        *s = str_n(rest.p + MIN(rest.n, sizeof d), rest.n - MIN(rest.n, sizeof d));
        has_real = true;
        return json_real(isfinite(d) ? d : 0.5);
    case 's':
        str_cut(rest, '|', &text, s);
        return json_str_of(text);
    case '[':
        v = json_array();
        while (s->n && s->p[0] != ']' && depth < DEPTH_MAX)
            json_array_append_new(v, build(s, depth + 1));
        break;
    case '{':
        v = json_object();
        while (s->n && s->p[0] != '}' && depth < DEPTH_MAX) {
            str_cut(*s, '|', &text, s);
            has_nul = has_nul || memchr(text.p, '\0', text.n); /* written, and not read in keys */
            json_auto_t *key = json_str_of(text);
            json_object_setn_new(v, json_string_value(key), json_string_length(key),
                                 build(s, depth + 1));
        }
        break;
    default:
        return json_boolean(kind == 't');
    }
    if (s->n)
        *s = str_n(s->p + 1, s->n - 1);
    return v;
}

static void same(const struct buf *ours, const json_t *doc, char *theirs_take)
{
    json_auto_t *again = json_loadb(ours->p, ours->n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (!again ? !has_nul : !json_equal(again, (json_t *)doc))
        abort();
    if (!has_real && strcmp(buf_cstr(ours), theirs_take) != 0)
        abort();
    free(theirs_take);
}

/* Writes what jansson writes and reads as the same; with room for less, nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str s = str_n(data, n);
    has_real = has_nul = false;
    json_auto_t *doc = build(&s, 0);
    auto_buf plain = BUF(64 << 20), sorted = BUF(64 << 20), lines = BUF(64 << 20);

    if (json_write(&plain, doc) || json_write_sorted(&sorted, doc) ||
        json_write_indented(&lines, doc, SPACES))
        abort();
    same(&plain, doc, json_dumps(doc, JSON_ENCODE_ANY | JSON_COMPACT));
    same(&sorted, doc, json_dumps(doc, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS));
    same(&lines, doc, json_dumps(doc, JSON_ENCODE_ANY | JSON_INDENT(SPACES)));
    auto_buf exact = BUF(plain.n), less = BUF(plain.n - 1);
    if (json_write(&exact, doc) || !json_write(&less, doc) || less.n)
        abort();
    return 0;
}

/*
 * The writer: jansson's text to the byte but for reals (test/fuzz/json_write_fuzz.c compares), into
 * a buf that grows by what is needed. Room for a string is made once for all of it; what has to be
 * escaped is found eight bytes at a time.
 */
#include "base/data/json.h"

#include "base/core/mem.h"
#include "base/data/json_scan.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_DEPTH_MAX = 10 * JSON_DEPTH_MAX, /* ours are put together of parsed ones; not a circle */
    I64_BYTES = 20,
    REAL_BYTES = 32,
    TEXT_BYTES = 500, /* to begin with */
    REAL_DIGITS = 17, /* enough to read the same double again */
};

struct writer {
    struct buf *b;
    unsigned indent; /* 0: compact */
    bool sorted;
};

/* As buf_reserve; the way that is taken nearly always lies here. */
static bool room(struct buf *b, size_t n)
{
    return (n <= b->max - b->n && b->n + n < b->cap) || buf_reserve(b, n) == 0;
}

static int put(struct buf *b, const char *p, size_t n)
{
    if (!room(b, n))
        return ERR_LIMIT;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

static int put_char(struct buf *b, char c)
{
    if (!room(b, 1))
        return ERR_LIMIT;
    b->p[b->n++] = c;
    return 0;
}

/* ---- scalars ---- */

static int put_escape(struct buf *b, unsigned char c)
{
    static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt",
                      digits[] = "0123456789ABCDEF";
    const char *at = c ? strchr(bytes, c) : NULL;
    char longer[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
    char shorter[2] = { '\\', at ? names[at - bytes] : ' ' };

    return at ? put(b, shorter, 2) : put(b, longer, 6);
}

static int put_string(struct buf *b, const char *p, size_t n)
{
    const char *end = p + n, *stop = json_run_end(p, end, false);

    if (!room(b, n + 2)) /* it is no shorter, escaped */
        return ERR_LIMIT;
    b->p[b->n++] = '"';
    while (stop < end) {
        if (put(b, p, (size_t)(stop - p)) || put_escape(b, (unsigned char)*stop))
            return ERR_LIMIT;
        p = stop + 1;
        stop = json_run_end(p, end, false);
    }
    return put(b, p, (size_t)(end - p)) || put_char(b, '"') ? ERR_LIMIT : 0;
}

static int put_integer(struct buf *b, json_int_t v)
{
    char text[I64_BYTES], *p = text + sizeof text;
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        *--p = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0)
        *--p = '-';
    return put(b, p, (size_t)(text + sizeof text - p));
}

/* The fewest digits that are read as v again: more of them never read worse. out: "1.25e+02". */
static int shortest(char out[REAL_BYTES], double v)
{
    int low = 1, high = REAL_DIGITS;

    while (low < high) {
        int mid = (low + high) / 2;

        snprintf(out, REAL_BYTES, "%.*e", mid - 1, v);
        if (strtod(out, NULL) == v)
            high = mid;
        else
            low = mid + 1;
    }
    snprintf(out, REAL_BYTES, "%.*e", low - 1, v);
    return low;
}

/* As Go's encoding/json (floatEncoder): an exponent below 1e-6 and from 1e21 on. But a whole number
 * keeps a ".0": without it, it would be read as an integer. */
static int put_real(struct buf *b, double v)
{
    static const char zeros[] = "00000000000000000000";
    char digits[REAL_BYTES];
    bool minus;
    int n = shortest(digits, v), exponent = atoi(strchr(digits, 'e') + 1);

    minus = digits[0] == '-';
    memmove(digits, digits + minus, sizeof digits - 1); /* "1.25" becomes "125" */
    memmove(digits + 1, digits + 2, (size_t)n - 1);
    digits[n] = '\0';
    if (minus && put_char(b, '-'))
        return ERR_LIMIT;
    if (exponent < -6 || exponent >= 21)
        return buf_addf(b, "%.1s%s%se%s%d", digits, n > 1 ? "." : "", digits + 1,
                        exponent > 0 ? "+" : "", exponent);
    if (exponent < 0)
        return buf_addf(b, "0.%.*s%s", -exponent - 1, zeros, digits);
    if (n <= exponent + 1)
        return buf_addf(b, "%s%.*s.0", digits, exponent + 1 - n, zeros);
    return buf_addf(b, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
}

/* ---- containers ---- */

static int put_value(const struct writer *w, const json_t *v, unsigned depth);

static int put_line(const struct writer *w, unsigned depth)
{
    size_t n = (size_t)w->indent * depth;

    if (!w->indent)
        return 0;
    if (put_char(w->b, '\n') || !room(w->b, n))
        return ERR_LIMIT;
    memset(w->b->p + w->b->n, ' ', n);
    w->b->n += n;
    return 0;
}

static int put_array(const struct writer *w, const json_t *a, unsigned depth)
{
    size_t n = json_array_size(a);

    if (put_char(w->b, '['))
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if ((i && put_char(w->b, ',')) || put_line(w, depth + 1) ||
            put_value(w, json_array_get(a, i), depth + 1))
            return ERR_LIMIT;
    return (n && put_line(w, depth)) || put_char(w->b, ']') ? ERR_LIMIT : 0;
}

static int put_member(const struct writer *w, void *it, bool first, unsigned depth)
{
    if ((!first && put_char(w->b, ',')) || put_line(w, depth) ||
        put_string(w->b, json_object_iter_key(it), json_object_iter_key_len(it)) ||
        put(w->b, ": ", w->indent ? 2 : 1))
        return ERR_LIMIT;
    return put_value(w, json_object_iter_value(it), depth);
}

static int by_key(const void *a, const void *b)
{
    void *x = *(void *const *)a, *y = *(void *const *)b;
    size_t n = json_object_iter_key_len(x), m = json_object_iter_key_len(y);
    int order = memcmp(json_object_iter_key(x), json_object_iter_key(y), MIN(n, m));

    return order ? order : (n > m) - (n < m);
}

static int put_sorted(const struct writer *w, json_t *o, unsigned depth)
{
    size_t n = 0;
    auto_free void **members = mem_calloc(json_object_size(o), sizeof *members);

    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        members[n++] = it;
    qsort(members, n, sizeof *members, by_key);
    for (size_t i = 0; i < n; i++)
        if (put_member(w, members[i], i == 0, depth))
            return ERR_LIMIT;
    return 0;
}

static int put_members(const struct writer *w, json_t *o, unsigned depth)
{
    void *first = json_object_iter(o);

    for (void *it = first; it; it = json_object_iter_next(o, it))
        if (put_member(w, it, it == first, depth))
            return ERR_LIMIT;
    return 0;
}

static int put_object(const struct writer *w, const json_t *given, unsigned depth)
{
    json_t *o = (json_t *)given; /* jansson's iterators can change what they walk; ours do not */
    size_t n = json_object_size(o);

    if (put_char(w->b, '{') ||
        (w->sorted ? put_sorted(w, o, depth + 1) : put_members(w, o, depth + 1)))
        return ERR_LIMIT;
    return (n && put_line(w, depth)) || put_char(w->b, '}') ? ERR_LIMIT : 0;
}

static int put_value(const struct writer *w, const json_t *v, unsigned depth)
{
    if (!v || depth > WRITE_DEPTH_MAX)
        return ERR_LIMIT;
    switch (json_typeof(v)) {
    case JSON_STRING:
        return put_string(w->b, json_string_value(v), json_string_length(v));
    case JSON_OBJECT:
        return put_object(w, v, depth);
    case JSON_ARRAY:
        return put_array(w, v, depth);
    case JSON_INTEGER:
        return put_integer(w->b, json_integer_value(v));
    case JSON_REAL:
        return put_real(w->b, json_real_value(v));
    case JSON_TRUE:
        return put(w->b, "true", 4);
    case JSON_FALSE:
        return put(w->b, "false", 5);
    case JSON_NULL:
        return put(w->b, "null", 4);
    }
    return ERR_LIMIT;
}

/* ---- the doors ---- */

/* All or nothing, and terminated. */
static int written(struct buf *b, size_t before, int rc)
{
    if (rc)
        b->n = before;
    if (b->p)
        b->p[b->n] = '\0';
    return rc;
}

static int write_value(const struct writer *w, const json_t *j)
{
    size_t before = w->b->n;

    return written(w->b, before, put_value(w, j, 0));
}

int json_write(struct buf *b, const json_t *j)
{
    return write_value(&(struct writer){ .b = b }, j);
}

static bool listed(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int json_write_members(struct buf *b, const json_t *o, const char *const *but)
{
    struct writer w = { .b = b };
    size_t before = b->n;
    int rc = 0;

    for (void *it = json_object_iter((json_t *)o); it && !rc;
         it = json_object_iter_next((json_t *)o, it))
        if (!listed(but, json_object_iter_key(it)))
            rc = put_member(&w, it, b->n == before, 1);
    return written(b, before, rc);
}

int json_write_sorted(struct buf *b, const json_t *j)
{
    return write_value(&(struct writer){ .b = b, .sorted = true }, j);
}

int json_write_indented(struct buf *b, const json_t *j, unsigned spaces)
{
    return write_value(&(struct writer){ .b = b, .indent = spaces }, j);
}

char *json_text(const json_t *j)
{
    auto_buf b = BUF(SIZE_MAX / 2);

    err_ignore(buf_reserve(&b, TEXT_BYTES)); /* spares most of the growing */
    return json_write(&b, j) ? mem_strdup("null") : buf_take(&b);
}

char *json_text_sorted(const json_t *j)
{
    auto_buf b = BUF(SIZE_MAX / 2);

    return json_write_sorted(&b, j) ? mem_strdup("null") : buf_take(&b);
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

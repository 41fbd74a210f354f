/*
 * The reader: one pass of recursive descent over RFC 8259, strict where jansson is (its values are
 * what comes out, and test/fuzz/json_read_fuzz.c holds the two together): no lone surrogates, no
 * control characters in strings, UTF-8 only, numbers that fit. A string without escapes is copied
 * once, into its json_t; one with them is put together in a scratch buffer first.
 */
#include "base/data/json.h"

#include "base/core/mem.h"
#include "base/data/json_scan.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NEAR_BYTES = 20,  /* of the text, shown in an error */
    FAST_DIGITS = 18, /* always fit into 64 bits */
};

struct reader {
    const char *begin, *p, *end;
    size_t n_values;
    bool unique;  /* a key that stands twice is an error */
    bool repeats; /* there was one */
    struct buf scratch;
    struct err *e;
};

/* ---- errors ---- */

/* Where, in lines and characters, and what stands there. Called once a text. */
PRINTF_FMT(3, 4) static int fail(struct reader *r, const char *at, const char *fmt, ...)
{
    unsigned line = 1, column = 1, n = 0;
    char what[96], near[NEAR_BYTES + 1];
    va_list ap;

    for (const char *p = r->begin; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) { /* else the rest of a character */
            column++;
        }
    }
    for (; n < NEAR_BYTES && at + n < r->end && at[n] > ' ' && at[n] < 0x7f; n++)
        near[n] = at[n];
    near[n] = '\0';
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (at == r->end)
        return err_set(r->e, ERR_INVALID, "invalid JSON at line %u column %u: %s near end of text",
                       line, column, what);
    if (!n)
        return err_set(r->e, ERR_INVALID, "invalid JSON at line %u column %u: %s", line, column,
                       what);
    return err_set(r->e, ERR_INVALID, "invalid JSON at line %u column %u: %s near '%s'", line,
                   column, what, near);
}

/* ---- strings ---- */

/* Bytes of the character at p (RFC 3629 4), 0: it is none. */
static unsigned utf8_bytes(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    unsigned n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

    if (!n || (size_t)(end - at) < n)
        return 0;
    for (unsigned i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || /* too long; surrogate */
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static void add_utf8(struct buf *b, uint32_t c)
{
    char s[4];
    size_t n;

    if (c < 0x80) {
        s[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        s[0] = (char)(0xc0 | c >> 6);
        s[1] = (char)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        s[0] = (char)(0xe0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 0x3f));
        s[2] = (char)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        s[0] = (char)(0xf0 | c >> 18);
        s[1] = (char)(0x80 | (c >> 12 & 0x3f));
        s[2] = (char)(0x80 | (c >> 6 & 0x3f));
        s[3] = (char)(0x80 | (c & 0x3f));
        n = 4;
    }
    err_ignore(buf_add(b, s, n)); /* no longer than what was escaped: it fits */
}

/* The four digits of "\uXXXX" at p; false: there are none. */
static bool unit_at(uint32_t *out, const struct reader *r, const char *p)
{
    unsigned char v[2];

    if (r->end - p < 6 || p[0] != '\\' || p[1] != 'u' || !str_unhex(v, 2, str_n(p + 2, 4)))
        return false;
    *out = (uint32_t)(v[0] << 8 | v[1]);
    return true;
}

/* p stands at "\u". */
static int read_unit(struct reader *r)
{
    const char *at = r->p;
    uint32_t c, low;

    if (!unit_at(&c, r, r->p))
        return fail(r, at, "invalid escape");
    r->p += 6;
    if (c >= 0xd800 && c < 0xdc00) {
        if (!unit_at(&low, r, r->p) || low < 0xdc00 || low > 0xdfff)
            return fail(r, at, "surrogate without its other half");
        r->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return fail(r, at, "surrogate without its other half");
    }
    add_utf8(&r->scratch, c);
    return 0;
}

/* p stands at a backslash. */
static int read_escape(struct reader *r)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (r->end - r->p < 2)
        return fail(r, r->end, "string without an end");
    if (r->p[1] == 'u')
        return read_unit(r);
    name = r->p[1] ? strchr(names, r->p[1]) : NULL;
    if (!name)
        return fail(r, r->p, "invalid escape");
    err_ignore(buf_addc(&r->scratch, bytes[name - names])); /* shorter than the text: it fits */
    r->p += 2;
    return 0;
}

/* p stands at the quote. out is a part of the text, or with *escaped of the scratch buffer. */
static int read_string(struct reader *r, struct str *out, bool *escaped)
{
    const char *run = ++r->p;

    *escaped = false;
    for (;;) {
        unsigned char c;
        unsigned n;

        r->p = json_run_end(r->p, r->end, true);
        if (r->p == r->end)
            return fail(r, r->p, "string without an end");
        c = (unsigned char)*r->p;
        if (c == '"')
            break;
        if (c == '\\') {
            if (!*escaped)
                buf_clear(&r->scratch);
            *escaped = true;
            err_ignore(buf_add(&r->scratch, run, (size_t)(r->p - run))); /* fits, see above */
            int rc = read_escape(r);
            if (rc)
                return rc;
            run = r->p;
        } else if (c < 0x20) {
            return fail(r, r->p, "control character 0x%02x in a string", c);
        } else {
            n = utf8_bytes(r->p, r->end);
            if (!n)
                return fail(r, r->p, "byte 0x%02x is not UTF-8", c);
            r->p += n;
        }
    }
    *out = str_n(run, (size_t)(r->p - run));
    r->p++;
    if (*escaped) {
        err_ignore(buf_add_str(&r->scratch, *out)); /* fits, see above */
        *out = buf_str(&r->scratch);
    }
    return 0;
}

/* ---- numbers ---- */

static bool is_digit(const struct reader *r, const char *p)
{
    return p < r->end && *p >= '0' && *p <= '9';
}

static const char *digits_end(const struct reader *r, const char *p)
{
    while (is_digit(r, p))
        p++;
    return p;
}

/* One that is long, or no integer: the C library reads it. */
static json_t *number_of(struct reader *r, struct str text, bool real)
{
    double d;
    long long v;

    buf_clear(&r->scratch);
    err_ignore(buf_add_str(&r->scratch, text)); /* a part of the text: it fits */
    errno = 0;
    if (real) {
        d = strtod(r->scratch.p, NULL);
        if (!isinf(d))
            return json_real(d);
        fail(r, text.p, "real number overflow");
        return NULL;
    }
    v = strtoll(r->scratch.p, NULL, 10);
    if (!errno)
        return json_integer(v);
    fail(r, text.p, *text.p == '-' ? "too big negative integer" : "too big integer");
    return NULL;
}

static json_t *read_number(struct reader *r)
{
    const char *begin = r->p, *p = begin + (*begin == '-'), *digits = p;
    bool real = false;
    uint64_t v = 0;

    for (; is_digit(r, p); p++)
        v = v * 10 + (uint64_t)(*p - '0'); /* means something up to FAST_DIGITS */
    if (p == digits || (*digits == '0' && p > digits + 1)) {
        fail(r, begin, "invalid number");
        return NULL;
    }
    if (p < r->end && *p != '.' && *p != 'e' && *p != 'E' && p - digits <= FAST_DIGITS) {
        r->p = p;
        return json_integer(*begin == '-' ? -(json_int_t)v : (json_int_t)v);
    }
    if (p < r->end && *p == '.') {
        real = true;
        if (!is_digit(r, p + 1)) {
            fail(r, begin, "invalid number");
            return NULL;
        }
        p = digits_end(r, p + 1);
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        real = true;
        p++;
        p += p < r->end && (*p == '+' || *p == '-');
        if (!is_digit(r, p)) {
            fail(r, begin, "invalid number");
            return NULL;
        }
        p = digits_end(r, p);
    }
    r->p = p;
    return number_of(r, str_n(begin, (size_t)(p - begin)), real);
}

/* ---- values ---- */

static json_t *read_value(struct reader *r, unsigned depth);

static void blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

/* Blanks, and c if it comes then. */
static bool take(struct reader *r, char c)
{
    blanks(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* "key": value, behind blanks. */
static int read_member(struct reader *r, json_t *o, unsigned depth)
{
    const char *at = r->p;
    auto_free char *copy = NULL; /* reading the value needs the scratch buffer */
    struct str key = { 0 };
    size_t n = json_object_size(o);
    bool escaped;
    json_t *v;
    int rc;

    if (r->p == r->end || *r->p != '"')
        return fail(r, r->p, n ? "string expected" : "string or '}' expected");
    rc = read_string(r, &key, &escaped);
    if (rc)
        return rc;
    if (escaped) {
        if (memchr(key.p, '\0', key.n)) /* the value's users take keys for C strings */
            return fail(r, at, "NUL byte in object key not supported");
        key.p = copy = mem_strndup(key.p, key.n);
    }
    if (!take(r, ':'))
        return fail(r, r->p, "':' expected");
    v = read_value(r, depth);
    if (!v)
        return r->e->code;
    json_object_setn_new_nocheck(o, key.p, key.n, v);
    if (json_object_size(o) > n)
        return 0;
    r->repeats = true;
    return r->unique ? fail(r, at, "duplicate object key") : 0;
}

static int read_members(struct reader *r, json_t *o, unsigned depth)
{
    if (take(r, '}'))
        return 0;
    do {
        blanks(r);
        if (read_member(r, o, depth))
            return r->e->code;
    } while (take(r, ','));
    return take(r, '}') ? 0 : fail(r, r->p, "',' or '}' expected");
}

static int read_items(struct reader *r, json_t *a, unsigned depth)
{
    json_t *v;

    if (take(r, ']'))
        return 0;
    do {
        v = read_value(r, depth);
        if (!v)
            return r->e->code;
        json_array_append_new(a, v);
    } while (take(r, ','));
    return take(r, ']') ? 0 : fail(r, r->p, "',' or ']' expected");
}

/* p stands at the bracket. depth: of what holds it. */
static json_t *read_container(struct reader *r, unsigned depth)
{
    bool object = *r->p++ == '{';
    json_t *c;

    if (depth == JSON_DEPTH_MAX) {
        err_set(r->e, ERR_LIMIT, "JSON is nested deeper than %d", JSON_DEPTH_MAX);
        return NULL;
    }
    c = object ? json_object() : json_array();
    if (object ? read_members(r, c, depth + 1) : read_items(r, c, depth + 1)) {
        json_decref(c);
        return NULL;
    }
    return c;
}

static json_t *read_text(struct reader *r)
{
    struct str s = { 0 };
    bool escaped;

    return read_string(r, &s, &escaped) ? NULL : json_stringn_nocheck(s.p, s.n);
}

static json_t *read_word(struct reader *r)
{
    static const struct str words[] = { STR("true"), STR("false"), STR("null") };
    struct str rest = str_n(r->p, (size_t)(r->end - r->p));

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_starts(rest, words[i])) {
            r->p += words[i].n;
            return i == 0 ? json_true() : i == 1 ? json_false() : json_null();
        }
    fail(r, r->p, "invalid token");
    return NULL;
}

static json_t *read_value(struct reader *r, unsigned depth)
{
    blanks(r);
    if (r->p == r->end) {
        fail(r, r->p, "value expected");
        return NULL;
    }
    if (++r->n_values > JSON_VALUES_MAX) {
        err_set(r->e, ERR_LIMIT, "JSON has more than %d values", JSON_VALUES_MAX);
        return NULL;
    }
    switch (*r->p) {
    case '"':
        return read_text(r);
    case '{':
    case '[':
        return read_container(r, depth);
    case '-':
    case '0' ... '9':
        return read_number(r);
    default:
        return read_word(r);
    }
}

static int parse(json_t **out, struct str text, bool unique, bool *repeats, struct err *e)
{
    struct reader r = { .begin = text.p, .p = text.p, .unique = unique, .e = e };
    json_t *v;

    if (text.n > JSON_BYTES_MAX)
        return err_set(e, ERR_LIMIT, "JSON has more than %d bytes", JSON_BYTES_MAX);
    if (!text.p)
        r.begin = r.p = "";
    r.end = r.begin + text.n;
    r.scratch = BUF(text.n);
    v = read_value(&r, 0);
    blanks(&r);
    if (v && r.p < r.end) {
        fail(&r, r.p, "end of text expected");
        json_decref(v);
        v = NULL;
    }
    buf_deinit(&r.scratch);
    if (!v)
        return e->code;
    *out = v;
    *repeats = r.repeats;
    return 0;
}

int json_parse(json_t **out, struct str text, struct err *e)
{
    bool ignored;

    return parse(out, text, false, &ignored, e);
}

int json_parse_strict(json_t **out, struct str text, struct err *e)
{
    bool ignored;

    return parse(out, text, true, &ignored, e);
}

int json_parse_noting(json_t **out, struct str text, bool *repeats, struct err *e)
{
    return parse(out, text, false, repeats, e);
}

json_t *json_from(const char *text)
{
    struct err ignored;
    json_t *v = NULL;

    return json_parse(&v, str_of(text), &ignored) ? NULL : v;
}

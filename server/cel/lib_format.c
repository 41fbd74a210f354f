/*
 * text.format(list) of the strings library (cel-go ext/formatting.go): %s of anything, %d of whole
 * numbers, %f and %e of numbers, %b %o %x %X of them in other bases; .3 before the letter.
 */
#include "base/core/mem.h"
#include "server/cel/func.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

typedef struct cel_value value;

struct formatter {
    struct cel_run *r;
    struct buf out;
    value error; /* CEL_NULL: none */
    unsigned depth;
};

static void put(struct formatter *f, struct str s)
{
    cel_run_work(f->r, s.n + 8);
    if (buf_add_str(&f->out, s))
        f->r->over = true;
}

static void fail(struct formatter *f, const char *verb, const char *needs, const value *v)
{
    if (f->error.kind == CEL_NULL)
        f->error = cel_error(f->r,
                             "error during formatting: %s clause can only be used on %s, was given "
                             "%s",
                             verb, needs, cel_kind_name(v->kind));
}

/* ---- %s ---- */

static void show(struct formatter *f, const value *v);

static int by_text(const void *a, const void *b)
{
    const value *x = a, *y = b;
    int c;
    bool nan;

    return cel_compare(x, y, &c, &nan) ? c : 0;
}

static void show_map(struct formatter *f, const value *v)
{
    value *all = cel_run_alloc(f->r, v->items.n + 1, 2 * sizeof *all);

    put(f, STR("{"));
    for (size_t i = 0; all && i < v->items.n; i++)
        cel_entry(f->r, v, i, &all[2 * i], &all[2 * i + 1]);
    if (all) /* in the order of their keys, so that it is always the same */
        qsort(all, v->items.n, 2 * sizeof *all, by_text);
    for (size_t i = 0; all && i < v->items.n && !f->r->over; i++) {
        if (i)
            put(f, STR(", "));
        show(f, &all[2 * i]);
        put(f, STR(": "));
        show(f, &all[2 * i + 1]);
    }
    put(f, STR("}"));
}

static void show(struct formatter *f, const value *v)
{
    value text, item;
    char number[40];

    if (++f->depth > CEL_DEPTH_MAX)
        f->r->over = true;
    switch (f->r->over ? CEL_NULL : v->kind) {
    case CEL_LIST:
        put(f, STR("["));
        for (size_t i = 0; i < v->items.n && !f->r->over; i++) {
            if (i)
                put(f, STR(", "));
            item = cel_item(f->r, v, i);
            show(f, &item);
        }
        put(f, STR("]"));
        break;
    case CEL_MAP:
    case CEL_OBJECT:
        show_map(f, v);
        break;
    case CEL_DOUBLE:
        if (isinf(v->d) || isnan(v->d))
            snprintf(number, sizeof number, "%s",
                     isnan(v->d) ? "NaN"
                     : v->d > 0  ? "Infinity"
                                 : "-Infinity");
        else
            cel_double_text(number, v->d);
        put(f, str_of(number));
        break;
    default:
        text = cel_to_string(f->r, v);
        if (text.kind == CEL_STRING)
            put(f, text.s);
        else
            fail(f, "string",
                 "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
                 "timestamps",
                 v);
        break;
    }
    f->depth--;
}

/* ---- numbers ---- */

static void decimal(struct formatter *f, const value *v)
{
    char text[40];

    if (v->kind == CEL_INT)
        snprintf(text, sizeof text, "%" PRId64, v->i);
    else if (v->kind == CEL_UINT)
        snprintf(text, sizeof text, "%" PRIu64, v->u);
    else if (v->kind == CEL_DOUBLE && (isnan(v->d) || isinf(v->d)))
        snprintf(text, sizeof text, "%s",
                 isnan(v->d) ? "NaN"
                 : v->d > 0  ? "Infinity"
                             : "-Infinity");
    else
        return fail(f, "decimal", "integers", v);
    put(f, str_of(text));
}

static void real(struct formatter *f, char verb, int precision, const value *v)
{
    char text[512];
    double d = v->kind == CEL_DOUBLE ? v->d
               : v->kind == CEL_INT  ? (double)v->i
               : v->kind == CEL_UINT ? (double)v->u
                                     : NAN;

    if (v->kind != CEL_DOUBLE && v->kind != CEL_INT && v->kind != CEL_UINT)
        return fail(f, verb == 'f' ? "fixed-point" : "scientific", "doubles", v);
    if (isnan(d) || isinf(d))
        snprintf(text, sizeof text, "%s", isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
    else
        snprintf(text, sizeof text, verb == 'f' ? "%.*f" : "%.*e", precision < 0 ? 6 : precision,
                 d);
    put(f, str_of(text));
}

static void in_base(struct formatter *f, char verb, const value *v)
{
    unsigned base = verb == 'b' ? 2 : verb == 'o' ? 8 : 16;
    const char *digits = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t u = v->kind == CEL_UINT ? v->u : 0;
    char text[80], *p = text + sizeof text;

    if (base == 16 && (v->kind == CEL_STRING || v->kind == CEL_BYTES)) {
        for (size_t i = 0; i < v->s.n && !f->r->over; i++) {
            unsigned char c = (unsigned char)v->s.p[i];
            char two[2] = { digits[c >> 4], digits[c & 15] };
            put(f, str_n(two, 2));
        }
        return;
    }
    if (v->kind == CEL_BOOL && base == 2)
        u = v->b;
    else if (v->kind == CEL_INT)
        u = v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i;
    else if (v->kind != CEL_UINT)
        return fail(f,
                    base == 2   ? "binary"
                    : base == 8 ? "octal"
                                : "hex",
                    base == 2   ? "integers and bools"
                    : base == 8 ? "integers"
                                : "integers, byte buffers, and strings",
                    v);
    do {
        *--p = digits[u % base];
    } while (u /= base);
    if (v->kind == CEL_INT && v->i < 0)
        *--p = '-';
    put(f, str_n(p, (size_t)(text + sizeof text - p)));
}

static void clause(struct formatter *f, char verb, int precision, const value *v)
{
    switch (verb) {
    case 's':
        show(f, v);
        break;
    case 'd':
        decimal(f, v);
        break;
    case 'f':
    case 'e':
        real(f, verb, precision, v);
        break;
    case 'b':
    case 'o':
    case 'x':
    case 'X':
        in_base(f, verb, v);
        break;
    default:
        if (f->error.kind == CEL_NULL)
            f->error = cel_error(f->r,
                                 "could not parse formatting clause: unrecognized formatting "
                                 "clause \"%c\"",
                                 verb);
    }
}

struct cel_value cel_text_format(struct cel_run *r, const struct cel_call *c)
{
    struct str s = c->args[0].s;
    const value *list = &c->args[1];
    struct formatter f = { .r = r, .out = BUF(CEL_ARENA_MAX), .error = CEL_NULL_VALUE };
    size_t used = 0, from = 0;
    value out, v;

    for (size_t i = 0; i < s.n && !r->over && f.error.kind == CEL_NULL; i++) {
        int precision = -1;

        if (s.p[i] != '%')
            continue;
        put(&f, str_n(s.p + from, i - from));
        if (++i < s.n && s.p[i] == '%') {
            from = i;
            continue;
        }
        if (i < s.n && s.p[i] == '.')
            for (precision = 0, i++; i < s.n && isdigit((unsigned char)s.p[i]); i++)
                precision = MIN(precision * 10 + (s.p[i] - '0'), 100);
        from = i + 1;
        if (i >= s.n)
            f.error = cel_error(r, "unexpected end of string");
        else if (used >= list->items.n)
            f.error = cel_error(r, "index %zu out of range", used);
        else if ((v = cel_item(r, list, used++)).kind == CEL_ERROR)
            f.error = v;
        else
            clause(&f, s.p[i], precision, &v);
    }
    if (from < s.n)
        put(&f, str_n(s.p + from, s.n - from));
    out = f.error.kind != CEL_NULL ? f.error : cel_str_copy(r, CEL_STRING, buf_str(&f.out));
    buf_deinit(&f.out);
    return out;
}

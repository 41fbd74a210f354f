/*
 * Texts: the standard functions, cel-go's strings library (ext/strings.go, version 2) and
 * Kubernetes' regex library. Positions count code points, never bytes.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/regex_parse.h"
#include "server/cel/func.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])
#define C        (c->args[2])

static value no_memory(struct cel_run *r)
{
    r->over = true;
    return cel_error(r, CEL_COST_EXCEEDED);
}

/* The byte at which the i-th code point begins; s.n for the one behind the last. */
static size_t byte_at(struct str s, int64_t i)
{
    size_t at = 0;

    for (; at < s.n && i > 0; i--)
        for (at++; at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80;)
            at++;
    return at;
}

static int64_t rune_index(struct str s, size_t byte)
{
    return cel_runes(str_n(s.p, byte));
}

static const char *find(struct str s, struct str what)
{
    return what.n ? memmem(s.p, s.n, what.p, what.n) : s.p ? s.p : "";
}

/* ---- the standard ones ---- */

FN(contains)
{
    (void)r;
    return CEL_BOOL_OF(!B.s.n || (A.s.n && find(A.s, B.s)));
}

FN(starts_with)
{
    (void)r;
    return CEL_BOOL_OF(str_starts(A.s, B.s));
}

FN(ends_with)
{
    (void)r;
    return CEL_BOOL_OF(str_ends(A.s, B.s));
}

/* ---- patterns ---- */

struct regex *cel_call_regex(struct cel_run *r, const struct cel_call *c, struct str pattern,
                             struct cel_value *why)
{
    struct regex *re = c->node->regex;
    struct err e = { 0 };

    if (!re && regex_new(&re, pattern, &e)) {
        *why = cel_error(r, "%s", e.text);
        return NULL;
    }
    if (!c->node->regex)
        cel_run_work(r, 64 * (pattern.n + 16));
    return re;
}

void cel_call_regex_done(const struct cel_call *c, struct regex *re)
{
    if (re != c->node->regex)
        regex_free(re);
}

FN(matches)
{
    value out = CEL_BOOL_OF(false);
    struct regex *re = cel_call_regex(r, c, B.s, &out);
    struct err e = { 0 };

    if (re && regex_match(&out.b, re, A.s, &r->regex_steps, &e))
        out = no_memory(r); /* a pattern that long on texts that long */
    cel_call_regex_done(c, re);
    return out;
}

FN(find_first)
{
    value out = CEL_STR_OF(STR(""));
    struct regex *re = cel_call_regex(r, c, B.s, &out);
    size_t from, to;
    struct err e = { 0 };
    bool found;

    if (re && regex_find(&found, &from, &to, re, A.s, 0, &r->regex_steps, &e))
        out = no_memory(r);
    else if (re && found)
        out = CEL_STR_OF(str_n(A.s.p + from, to - from));
    cel_call_regex_done(c, re);
    return out;
}

/* A list that grows in the run's memory. */
struct texts {
    value *v;
    size_t n, cap;
};

static bool texts_add(struct cel_run *r, struct texts *t, struct str s)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 8;
        value *more = cel_run_alloc(r, cap, sizeof *more);
        if (!more)
            return false;
        if (t->n)
            memcpy(more, t->v, t->n * sizeof *more);
        t->v = more;
        t->cap = cap;
    }
    t->v[t->n++] = CEL_STR_OF(s);
    return true;
}

static value texts_value(struct cel_run *r, struct texts *t)
{
    if (!t->v)
        t->v = cel_run_alloc(r, 1, sizeof *t->v);
    if (r->over)
        return no_memory(r);
    return (value){ .kind = CEL_LIST, .items = { .v = t->v, .n = t->n } };
}

/* Go's FindAllString: an empty match right behind another one is none. */
FN(find_all)
{
    int64_t limit = c->n > 2 ? C.i : -1;
    struct texts all = { 0 };
    value out = CEL_NULL_VALUE;
    struct regex *re = cel_call_regex(r, c, B.s, &out);
    size_t at = 0, from = 0, to = 0, last = SIZE_MAX;
    struct err e = { 0 };
    bool found = true;

    while (re && !r->over && at <= A.s.n && (limit < 0 || all.n < (uint64_t)limit)) {
        if (regex_find(&found, &from, &to, re, A.s, at, &r->regex_steps, &e))
            r->over = true;
        if (r->over || !found)
            break;
        cel_run_work(r, to - at + 64);
        if (to > from || from != last)
            texts_add(r, &all, str_n(A.s.p + from, to - from));
        last = to;
        at = to > at ? to : byte_at(str_n(A.s.p + at, A.s.n - at), 1) + at;
        if (to == from && at == to)
            at = to < A.s.n ? byte_at(str_n(A.s.p + to, A.s.n - to), 1) + to : A.s.n + 1;
        else if (at == A.s.n && to == from && from == A.s.n)
            break;
    }
    cel_call_regex_done(c, re);
    return re ? texts_value(r, &all) : out;
}

/* ---- positions ---- */

FN(char_at)
{
    int64_t n = cel_runes(A.s);
    size_t from;

    if (B.i < 0 || B.i > n)
        return cel_error(r, "index out of range: %" PRId64, B.i);
    from = byte_at(A.s, B.i);
    struct str rest = str_n(A.s.p ? A.s.p + from : NULL, A.s.n - from);
    return CEL_STR_OF(str_n(rest.p, byte_at(rest, 1)));
}

FN(index_of)
{
    int64_t n = cel_runes(A.s), begin = c->n > 2 ? C.i : 0;
    const char *at;

    if (c->n > 2 && (begin < 0 || begin > n))
        return cel_error(r, "index out of range: %" PRId64, begin);
    if (!B.s.n)
        return CEL_INT_OF(begin);
    size_t from = byte_at(A.s, begin);
    if (!A.s.n || !(at = find(str_n(A.s.p + from, A.s.n - from), B.s)))
        return CEL_INT_OF(-1);
    return CEL_INT_OF(rune_index(A.s, (size_t)(at - A.s.p)));
}

FN(last_index_of)
{
    int64_t n = cel_runes(A.s), begin = c->n > 2 ? C.i : n;

    if (c->n > 2 && (begin < 0 || begin > n))
        return cel_error(r, "index out of range: %" PRId64, begin);
    if (!B.s.n)
        return CEL_INT_OF(begin);
    if (B.s.n > A.s.n)
        return CEL_INT_OF(-1);
    cel_run_work(r, A.s.n);
    for (size_t at = MIN(byte_at(A.s, begin), A.s.n - B.s.n) + 1; at-- > 0;)
        if (memcmp(A.s.p + at, B.s.p, B.s.n) == 0)
            return CEL_INT_OF(rune_index(A.s, at));
    return CEL_INT_OF(-1);
}

FN(substring)
{
    int64_t n = cel_runes(A.s), from = B.i, to = c->n > 2 ? C.i : n;

    if (c->n > 2 && from > to)
        return cel_error(r, "invalid substring range. start: %" PRId64 ", end: %" PRId64, from, to);
    if (from < 0 || from > n)
        return cel_error(r, "index out of range: %" PRId64, from);
    if (to < 0 || to > n)
        return cel_error(r, "index out of range: %" PRId64, to);
    size_t a = byte_at(A.s, from), b = byte_at(A.s, to);
    return CEL_STR_OF(str_n(A.s.p ? A.s.p + a : NULL, b - a));
}

/* ---- making others ---- */

static value mapped(struct cel_run *r, struct str s, char low, char high, int by)
{
    value out = cel_str_copy(r, CEL_STRING, s);

    for (size_t i = 0; out.kind == CEL_STRING && i < s.n; i++)
        if (s.p[i] >= low && s.p[i] <= high)
            ((char *)out.s.p)[i] = (char)(s.p[i] + by);
    return out;
}

FN(lower_ascii)
{
    return mapped(r, A.s, 'A', 'Z', 32);
}

FN(upper_ascii)
{
    return mapped(r, A.s, 'a', 'z', -32);
}

/* Go's unicode.IsSpace */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

FN(trim)
{
    const char *p = A.s.p ? A.s.p : "", *end = p + A.s.n, *from = p, *to = p;
    bool inside = false;

    (void)r;
    while (p < end) {
        const char *was = p;
        bool space = is_space(regex_rune(&p, end));
        if (!space && !inside)
            from = was;
        if (!space)
            to = p;
        inside |= !space;
    }
    return CEL_STR_OF(inside ? str_n(from, (size_t)(to - from)) : STR(""));
}

/* Go's strings.Replace: an empty old lies before every code point and at the end. */
FN(replace)
{
    int64_t limit = c->n > 3 ? c->args[3].i : -1;
    auto_buf b = BUF(CEL_ARENA_MAX);
    struct str s = A.s;
    size_t at = 0;
    int rc = 0;

    for (int64_t n = 0; limit < 0 || n < limit; n++) {
        size_t from = at, to = at;
        if (B.s.n) {
            const char *p = s.n > at ? find(str_n(s.p + at, s.n - at), B.s) : NULL;
            if (!p)
                break;
            from = (size_t)(p - s.p);
            to = from + B.s.n;
        } else if (n) {
            if (at == s.n)
                break;
            from = to = at + byte_at(str_n(s.p + at, s.n - at), 1);
        }
        rc = rc ? rc : buf_add(&b, s.p ? s.p + at : "", from - at);
        rc = rc ? rc : buf_add_str(&b, C.s);
        if (rc)
            return no_memory(r);
        at = to;
    }
    if (buf_add(&b, s.p ? s.p + at : "", s.n - at))
        return no_memory(r);
    return cel_str_copy(r, CEL_STRING, buf_str(&b));
}

/* Go's strings.SplitN */
FN(split)
{
    int64_t limit = c->n > 2 ? C.i : -1;
    struct str s = A.s, sep = B.s;
    struct texts all = { 0 };
    size_t at = 0;

    if (limit == 0)
        return texts_value(r, &all);
    while (limit < 0 || (int64_t)all.n < limit - 1) {
        size_t end, next;
        if (sep.n) {
            const char *p = s.n > at ? find(str_n(s.p + at, s.n - at), sep) : NULL;
            if (!p)
                break;
            end = (size_t)(p - s.p);
            next = end + sep.n;
        } else {
            if (at >= s.n)
                return texts_value(r, &all);
            end = next = at + byte_at(str_n(s.p + at, s.n - at), 1);
        }
        if (!texts_add(r, &all, str_n(s.p + at, end - at)))
            break;
        at = next;
    }
    if (sep.n || at < s.n)
        texts_add(r, &all, str_n(s.p ? s.p + at : "", s.n - at));
    return texts_value(r, &all);
}

FN(join)
{
    struct str sep = c->n > 1 ? B.s : STR("");
    auto_buf b = BUF(CEL_ARENA_MAX);

    for (size_t i = 0; i < A.items.n; i++) {
        value one = cel_item(r, &A, i);
        if (one.kind != CEL_STRING)
            return one.kind == CEL_ERROR ? one : cel_no_overload();
        if ((i && buf_add_str(&b, sep)) || buf_add_str(&b, one.s))
            return no_memory(r);
        cel_run_work(r, sep.n + one.s.n);
    }
    return cel_str_copy(r, CEL_STRING, buf_str(&b));
}

FN(quote)
{
    auto_buf b = BUF(CEL_ARENA_MAX);
    static const char plain[] = "\a\b\f\n\r\t\v\\\"", meaning[] = "abfnrtv\\\"";
    int rc = buf_addc(&b, '"');

    for (size_t i = 0; i < A.s.n && !rc; i++) {
        const char *at = A.s.p[i] ? strchr(plain, A.s.p[i]) : NULL;
        rc = at ? buf_addf(&b, "\\%c", meaning[at - plain]) : buf_addc(&b, A.s.p[i]);
    }
    return rc || buf_addc(&b, '"') ? no_memory(r) : cel_str_copy(r, CEL_STRING, buf_str(&b));
}

const struct cel_fn cel_lib_string[] = {
    { "contains", true, "ss:b", contains, PRICE_CONTAINS },
    { "startsWith", true, "ss:b", starts_with, PRICE_PREFIX },
    { "endsWith", true, "ss:b", ends_with, PRICE_PREFIX },
    { "matches", true, "ss:b", matches, PRICE_REGEX },
    { "matches", false, "ss:b", matches, PRICE_REGEX },
    { "find", true, "ss:s", find_first, PRICE_REGEX },
    { "findAll", true, "ss:Ls", find_all, PRICE_REGEX },
    { "findAll", true, "ssi:Ls", find_all, PRICE_REGEX },
    { "charAt", true, "si:s", char_at, PRICE_ONE },
    { "lowerAscii", true, "s:s", lower_ascii, PRICE_ARG0 },
    { "upperAscii", true, "s:s", upper_ascii, PRICE_ARG0 },
    { "substring", true, "si:s", substring, PRICE_ARG0 },
    { "substring", true, "sii:s", substring, PRICE_ARG0 },
    { "trim", true, "s:s", trim, PRICE_ARG0 },
    { "replace", true, "sss:s", replace, PRICE_ARG0_2 },
    { "replace", true, "sssi:s", replace, PRICE_ARG0_2 },
    { "split", true, "ss:Ls", split, PRICE_ARG0_2 },
    { "split", true, "ssi:Ls", split, PRICE_ARG0_2 },
    { "join", true, "Ls:s", join, PRICE_JOIN },
    { "join", true, "Lss:s", join, PRICE_JOIN },
    { "format", true, "sLD:s", cel_text_format, PRICE_FORMAT },
    { "strings.quote", false, "s:s", quote, PRICE_ARG0 },
    { 0 },
};

struct cel_value cel_text_index(struct cel_run *r, const struct cel_call *c, bool last)
{
    return last ? last_index_of(r, c) : index_of(r, c);
}

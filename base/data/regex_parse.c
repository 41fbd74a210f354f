/*
 * The RE2 syntax as Go reads it (regexp/syntax, Perl flags on), by recursive descent:
 *
 *     alt := cat ('|' cat)*      cat := repeat*      repeat := atom ('*' '+' '?' '{n,m}')['?']
 */
#include "base/data/regex_parse.h"

#include "base/core/macros.h"

#include <ctype.h>
#include <stdlib.h>

struct parser {
    struct arena *a;
    const char *at, *end;
    bool fold, multi_line, dot_nl, swap_greed; /* (?i) (?m) (?s) (?U) */
    unsigned depth;
    struct err *e;
};

struct ranges { /* a class in the making */
    struct regex_range v[512];
    uint32_t n;
};

uint32_t regex_rune(const char **p, const char *end)
{
    const unsigned char *s = (const unsigned char *)*p;
    size_t left = (size_t)(end - *p), n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));

    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4 || n > left))
        n = 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            n = 0;
            break;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (n == 0) {
        ++*p;
        return 0xfffd;
    }
    *p += n;
    return c;
}

static int fail(struct parser *p, const char *what, const char *from, const char *to)
{
    return err_set(p->e, ERR_INVALID, "error parsing regexp: %s: `%.*s`", what,
                   (int)MIN(to - from, (ptrdiff_t)120), from);
}

static bool take(struct parser *p, char c)
{
    if (p->at == p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

/* ---- nodes ---- */

static struct regex_node *node(struct parser *p, enum regex_op op)
{
    struct regex_node *n = arena_calloc(p->a, 1, sizeof *n);

    if (!n) {
        err_set(p->e, ERR_LIMIT, "error parsing regexp: expression too large");
        return NULL;
    }
    n->op = op;
    n->depth = 1;
    n->size = op == RE_EMPTY ? 0 : 1;
    return n;
}

static struct regex_node *pair(struct parser *p, enum regex_op op, const struct regex_node *a,
                               const struct regex_node *b)
{
    struct regex_node *n = node(p, op);

    if (!n)
        return NULL;
    n->a = a;
    n->b = b;
    n->size = a->size + b->size + (op == RE_ALT);
    return n;
}

static struct regex_node *assertion(struct parser *p, enum regex_assert a)
{
    struct regex_node *n = node(p, RE_ASSERT);

    if (n)
        n->assert = a;
    return n;
}

/* ---- classes ---- */

static void add_range(struct ranges *r, uint32_t low, uint32_t high)
{
    if (r->n < ARRAY_LEN(r->v))
        r->v[r->n] = (struct regex_range){ low, high };
    r->n++; /* too many is seen at the end */
}

static void add_folded(struct ranges *r, uint32_t low, uint32_t high, bool fold)
{
    add_range(r, low, high);
    if (!fold)
        return;
    uint32_t a = MAX(low, (uint32_t)'a'), b = MIN(high, (uint32_t)'z');
    if (a <= b)
        add_range(r, a - 32, b - 32);
    a = MAX(low, (uint32_t)'A');
    b = MIN(high, (uint32_t)'Z');
    if (a <= b)
        add_range(r, a + 32, b + 32);
}

static int by_low(const void *a, const void *b)
{
    uint32_t x = ((const struct regex_range *)a)->low, y = ((const struct regex_range *)b)->low;

    return x < y ? -1 : x > y;
}

static void normalize(struct ranges *r)
{
    uint32_t n = 0;

    r->n = MIN(r->n, (uint32_t)ARRAY_LEN(r->v));
    qsort(r->v, r->n, sizeof r->v[0], by_low);
    for (uint32_t i = 0; i < r->n; i++) {
        if (n && r->v[i].low <= r->v[n - 1].high + 1)
            r->v[n - 1].high = MAX(r->v[n - 1].high, r->v[i].high);
        else
            r->v[n++] = r->v[i];
    }
    r->n = n;
}

static void negate(struct ranges *r)
{
    uint32_t from = 0;
    struct ranges out = { .n = 0 };

    normalize(r);
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->v[i].low > from)
            add_range(&out, from, r->v[i].low - 1);
        from = r->v[i].high + 1;
    }
    if (from <= RUNE_MAX)
        add_range(&out, from, RUNE_MAX);
    *r = out;
}

static struct regex_node *class_node(struct parser *p, struct ranges *r, const char *from)
{
    if (r->n > ARRAY_LEN(r->v)) {
        fail(p, "character class is too large", from, p->at);
        return NULL;
    }
    normalize(r);
    struct regex_node *n = node(p, RE_CLASS);
    if (!n)
        return NULL;
    n->n_ranges = r->n;
    n->ranges = arena_calloc(p->a, r->n + 1, sizeof *n->ranges);
    if (!n->ranges) {
        err_set(p->e, ERR_LIMIT, "error parsing regexp: expression too large");
        return NULL;
    }
    for (uint32_t i = 0; i < r->n; i++)
        n->ranges[i] = r->v[i];
    return n;
}

static struct regex_node *literal(struct parser *p, uint32_t c)
{
    struct ranges r = { .n = 0 };

    add_folded(&r, c, c, p->fold);
    return class_node(p, &r, p->at);
}

/* \d \s \w and their opposites. False: c is none. */
static bool perl_class(struct ranges *out, char c)
{
    struct ranges r = { .n = 0 };

    switch (tolower((unsigned char)c)) {
    case 'd':
        add_range(&r, '0', '9');
        break;
    case 's':
        add_range(&r, '\t', '\n');
        add_range(&r, '\f', '\r');
        add_range(&r, ' ', ' ');
        break;
    case 'w':
        add_range(&r, '0', '9');
        add_range(&r, 'A', 'Z');
        add_range(&r, '_', '_');
        add_range(&r, 'a', 'z');
        break;
    default:
        return false;
    }
    if (isupper((unsigned char)c))
        negate(&r);
    for (uint32_t i = 0; i < r.n; i++)
        add_range(out, r.v[i].low, r.v[i].high);
    return true;
}

/* [:alpha:], with p->at at its '['. 1: added, 0: none, -1: failed. */
static int posix_class(struct parser *p, struct ranges *out)
{
    static const struct {
        const char *name, *pairs;
    } known[] = {
        { "alnum", "09AZaz" },
        { "alpha", "AZaz" },
        { "ascii", "\x01\x7f" },
        { "blank", "\t\t  " },
        { "cntrl", "\x01\x1f\x7f\x7f" },
        { "digit", "09" },
        { "graph", "!~" },
        { "lower", "az" },
        { "print", " ~" },
        { "punct", "!/:@[`{~" },
        { "space", "\t\r  " },
        { "upper", "AZ" },
        { "word", "09AZaz__" },
        { "xdigit", "09AFaf" },
    };
    struct ranges r = { .n = 0 };
    const char *from = p->at, *name = p->at + 2, *close;
    bool negated = name < p->end && *name == '^';

    if (p->end - p->at < 4 || p->at[1] != ':')
        return 0;
    name += negated;
    for (close = name; close + 1 < p->end && !(close[0] == ':' && close[1] == ']'); close++)
        ;
    if (close + 1 >= p->end)
        return 0;
    p->at = close + 2;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!str_is(str_n(name, (size_t)(close - name)), known[i].name))
            continue;
        for (const char *c = known[i].pairs; *c; c += 2)
            add_folded(&r, (unsigned char)c[0], (unsigned char)c[1], p->fold);
        if (i == 2 || i == 4) /* their first rune is 0, which a text cannot hold */
            add_range(&r, 0, 0);
        if (negated)
            negate(&r);
        for (uint32_t k = 0; k < r.n; k++)
            add_range(out, r.v[k].low, r.v[k].high);
        return 1;
    }
    fail(p, "invalid character class range", from, p->at);
    return -1;
}

/* What follows a backslash and stands for one rune. */
static int escaped_rune(struct parser *p, const char *from, uint32_t *out)
{
    if (p->at == p->end)
        return err_set(p->e, ERR_INVALID,
                       "error parsing regexp: trailing backslash at end of expression: ``");
    uint32_t c = regex_rune(&p->at, p->end), value = 0;
    switch (c) {
    case 'a':
        *out = 7;
        return 0;
    case 'f':
        *out = '\f';
        return 0;
    case 'n':
        *out = '\n';
        return 0;
    case 'r':
        *out = '\r';
        return 0;
    case 't':
        *out = '\t';
        return 0;
    case 'v':
        *out = '\v';
        return 0;
    case 'x':
        if (take(p, '{')) {
            size_t n = 0;
            for (; p->at < p->end && str_hex_digit(*p->at) >= 0 && value <= RUNE_MAX; n++)
                value = value * 16 + (uint32_t)str_hex_digit(*p->at++);
            if (!n || value > RUNE_MAX || !take(p, '}'))
                return fail(p, "invalid escape sequence", from, p->at);
        } else {
            for (int i = 0; i < 2; i++) {
                if (p->at == p->end || str_hex_digit(*p->at) < 0)
                    return fail(p, "invalid escape sequence", from, p->at);
                value = value * 16 + (uint32_t)str_hex_digit(*p->at++);
            }
        }
        *out = value;
        return 0;
    default:
        break;
    }
    /* a single digit would be a reference back, which there is none of */
    if (c >= '0' && c <= '7' && (c == '0' || (p->at < p->end && *p->at >= '0' && *p->at <= '7'))) {
        value = c - '0';
        for (int i = 1; i < 3 && p->at < p->end && *p->at >= '0' && *p->at <= '7'; i++)
            value = value * 8 + (uint32_t)(*p->at++ - '0');
        *out = value;
        return 0;
    }
    if (c < 0x80 && !isalnum((int)c)) {
        *out = c;
        return 0;
    }
    return fail(p, "invalid escape sequence", from, p->at);
}

static int no_properties(struct parser *p, const char *from)
{
    const char *to = p->at;

    while (to < p->end && to - from < 24 && to[-1] != '}')
        to++;
    return fail(p, "classes of Unicode properties are not supported by this server", from, to);
}

static struct regex_node *bracket(struct parser *p) /* behind the '[' */
{
    const char *from = p->at - 1;
    struct ranges r = { .n = 0 };
    bool negated = take(p, '^'), first = true;

    for (;; first = false) {
        uint32_t low = 0, high = 0;
        const char *start = p->at;
        int rc;

        if (p->at == p->end) {
            fail(p, "missing closing ]", from, p->end);
            return NULL;
        }
        if (*p->at == ']' && !first)
            break;
        if (*p->at == '[' && (rc = posix_class(p, &r)) != 0) {
            if (rc < 0)
                return NULL;
            continue;
        }
        if (*p->at == '\\' && p->at + 1 < p->end) {
            if (p->at[1] == 'p' || p->at[1] == 'P') {
                p->at += 2;
                no_properties(p, start);
                return NULL;
            }
            if (perl_class(&r, p->at[1])) {
                p->at += 2;
                continue;
            }
        }
        for (int turn = 0; turn < 2; turn++) { /* low, then perhaps -high */
            uint32_t c;

            if (take(p, '\\')) {
                if (escaped_rune(p, p->at - 1, &c))
                    return NULL;
            } else {
                c = regex_rune(&p->at, p->end);
            }
            if (turn == 0)
                low = high = c;
            else
                high = c;
            if (turn == 1 || p->end - p->at < 2 || p->at[0] != '-' || p->at[1] == ']')
                break;
            p->at++;
        }
        if (high < low) {
            fail(p, "invalid character class range", start, p->at);
            return NULL;
        }
        add_folded(&r, low, high, p->fold);
    }
    p->at++;
    if (r.n > ARRAY_LEN(r.v)) {
        fail(p, "character class is too large", from, p->at);
        return NULL;
    }
    if (negated)
        negate(&r);
    return class_node(p, &r, from);
}

/* ---- the rest ---- */

static const struct regex_node *alternatives(struct parser *p);

/* (?i) and its kin, behind the "(?". 1: flags alone, 0: a group follows, -1: failed. */
static int group_flags(struct parser *p, const char *from)
{
    bool on = true;

    if (take(p, 'P') || (p->at < p->end && *p->at == '<')) { /* (?P<name> */
        const char *name = p->at + 1;
        if (!take(p, '<'))
            goto bad;
        while (p->at < p->end && (isalnum((unsigned char)*p->at) || *p->at == '_'))
            p->at++;
        if (p->at == name || !take(p, '>')) {
            fail(p, "invalid named capture", from, MIN(p->at + 1, p->end));
            return -1;
        }
        return 0;
    }
    for (; p->at < p->end; p->at++) {
        switch (*p->at) {
        case 'i':
            p->fold = on;
            break;
        case 'm':
            p->multi_line = on;
            break;
        case 's':
            p->dot_nl = on;
            break;
        case 'U':
            p->swap_greed = on;
            break;
        case '-':
            if (!on)
                goto bad;
            on = false;
            break;
        case ':':
            p->at++;
            return 0;
        case ')':
            p->at++;
            return 1;
        default:
            goto bad;
        }
    }
    fail(p, "missing closing )", from, p->end);
    return -1;
bad:
    fail(p, "invalid or unsupported Perl syntax", from, MIN(p->at + 1, p->end));
    return -1;
}

static const struct regex_node *group(struct parser *p) /* behind the '(' */
{
    const char *from = p->at - 1;
    struct parser outside = *p;
    const struct regex_node *n;
    int rc = 0;

    if (take(p, '?'))
        rc = group_flags(p, from);
    if (rc < 0)
        return NULL;
    if (rc > 0) /* flags for the rest of the group around */
        return node(p, RE_EMPTY);
    if (++p->depth > REGEX_DEPTH_MAX) {
        err_set(p->e, ERR_LIMIT, "error parsing regexp: expression nests too deeply");
        return NULL;
    }
    n = alternatives(p);
    if (!n)
        return NULL;
    if (!take(p, ')')) {
        fail(p, "missing closing )", from, p->end);
        return NULL;
    }
    p->depth--;
    p->fold = outside.fold;
    p->multi_line = outside.multi_line;
    p->dot_nl = outside.dot_nl;
    p->swap_greed = outside.swap_greed;
    return n;
}

static const struct regex_node *quoted(struct parser *p) /* behind \Q */
{
    const struct regex_node *all = node(p, RE_EMPTY);

    while (all && p->at < p->end) {
        if (p->end - p->at >= 2 && p->at[0] == '\\' && p->at[1] == 'E') {
            p->at += 2;
            break;
        }
        const struct regex_node *one = literal(p, regex_rune(&p->at, p->end));
        all = one ? pair(p, RE_CAT, all, one) : NULL;
    }
    return all;
}

static const struct regex_node *escape(struct parser *p) /* behind the backslash */
{
    const char *from = p->at - 1;
    struct ranges r = { .n = 0 };
    uint32_t c;

    if (p->at < p->end) {
        switch (*p->at++) {
        case 'A':
            return assertion(p, RE_TEXT_BEGIN);
        case 'z':
            return assertion(p, RE_TEXT_END);
        case 'b':
            return assertion(p, RE_WORD);
        case 'B':
            return assertion(p, RE_NO_WORD);
        case 'Q':
            return quoted(p);
        case 'p':
        case 'P':
            no_properties(p, from);
            return NULL;
        case 'C':
            fail(p, "invalid escape sequence", from, p->at);
            return NULL;
        default:
            p->at--;
            break;
        }
        if (perl_class(&r, *p->at)) {
            p->at++;
            return class_node(p, &r, from);
        }
    }
    return escaped_rune(p, from, &c) ? NULL : literal(p, c);
}

static const struct regex_node *atom(struct parser *p)
{
    struct ranges r = { .n = 0 };

    switch (*p->at) {
    case '(':
        p->at++;
        return group(p);
    case '[':
        p->at++;
        return bracket(p);
    case '\\':
        p->at++;
        return escape(p);
    case '.':
        p->at++;
        add_range(&r, 0, p->dot_nl ? RUNE_MAX : '\n' - 1);
        if (!p->dot_nl)
            add_range(&r, '\n' + 1, RUNE_MAX);
        return class_node(p, &r, p->at);
    case '^':
        p->at++;
        return assertion(p, p->multi_line ? RE_LINE_BEGIN : RE_TEXT_BEGIN);
    case '$':
        p->at++;
        return assertion(p, p->multi_line ? RE_LINE_END : RE_TEXT_END);
    default:
        return literal(p, regex_rune(&p->at, p->end));
    }
}

/* A number of a {n,m}; -1: too large for one. False: there is none. */
static bool count(struct parser *p, int *out)
{
    const char *from = p->at;
    int n = 0;

    for (; p->at < p->end && isdigit((unsigned char)*p->at); p->at++)
        n = n < 0 || n > REGEX_REPEAT_MAX ? -1 : n * 10 + (*p->at - '0');
    *out = n > REGEX_REPEAT_MAX ? -1 : n;
    return p->at > from;
}

/* The repetition at p->at. 1: read, 0: there is none, -1: failed. */
static int repetition(struct parser *p, int *min, int *max)
{
    const char *from = p->at;
    int low, high;

    if (p->at == p->end)
        return 0;
    switch (*p->at) {
    case '*':
        *min = 0;
        *max = -1;
        break;
    case '+':
        *min = 1;
        *max = -1;
        break;
    case '?':
        *min = 0;
        *max = 1;
        break;
    case '{':
        p->at++;
        if (!count(p, &low))
            goto none;
        high = low;
        bool open = false;
        if (take(p, ',') && !count(p, &high))
            open = true;
        if (!take(p, '}'))
            goto none;
        p->at--;
        if (low < 0 || high < 0 || (!open && low > high)) {
            fail(p, "invalid repeat count", from, p->at + 1);
            return -1;
        }
        *min = low;
        *max = open ? -1 : high;
        break;
    default:
        return 0;
    }
    p->at++;
    return 1;
none: /* a brace that is a brace */
    p->at = from;
    return 0;
}

static const struct regex_node *repeated(struct parser *p)
{
    const char *from = p->at, *first;
    int min, max, rc = repetition(p, &min, &max);
    const struct regex_node *n;

    if (rc > 0)
        fail(p, "missing argument to repetition operator", from, p->at);
    if (rc != 0)
        return NULL;
    n = atom(p);
    for (first = p->at; n && (rc = repetition(p, &min, &max)) > 0; from = first) {
        bool lazy = take(p, '?') != p->swap_greed;

        if (from == first) { /* two in a row */
            fail(p, "invalid nested repetition operator", from, p->at);
            return NULL;
        }
        struct regex_node *r = node(p, RE_REPEAT);
        if (!r)
            return NULL;
        r->a = n;
        r->min = min;
        r->max = max;
        r->lazy = lazy;
        /* what it repeats becomes min copies and a loop, or max copies with a way out of each */
        r->size = max < 0 ? n->size * ((uint64_t)min + 1) + 1
                          : n->size * (uint64_t)max + (uint64_t)(max - min);
        if (r->size > REGEX_STATES_MAX) {
            fail(p, "invalid repeat count", first, p->at);
            return NULL;
        }
        n = r;
    }
    return rc < 0 ? NULL : n;
}

static const struct regex_node *sequence(struct parser *p)
{
    const struct regex_node *all = node(p, RE_EMPTY);

    while (all && p->at < p->end && *p->at != '|' && *p->at != ')') {
        const struct regex_node *one = repeated(p);
        all = one ? pair(p, RE_CAT, all, one) : NULL;
    }
    return all;
}

static const struct regex_node *alternatives(struct parser *p)
{
    const struct regex_node *all = sequence(p);

    while (all && take(p, '|')) {
        const struct regex_node *one = sequence(p);
        all = one ? pair(p, RE_ALT, all, one) : NULL;
    }
    return all;
}

int regex_parse(const struct regex_node **out, struct arena *a, struct str pattern, struct err *e)
{
    struct parser p = { .a = a,
                        .at = pattern.p ? pattern.p : "",
                        .end = (pattern.p ? pattern.p : "") + pattern.n,
                        .e = e };
    const struct regex_node *n = alternatives(&p);

    if (!n)
        return e->code;
    if (p.at < p.end)
        return fail(&p, "unexpected )", pattern.p, p.end);
    *out = n;
    return 0;
}

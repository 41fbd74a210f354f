#include "base/kube/quantity.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * Amounts are counted in billionths (nano) in 128 bits. The largest one, 2^63-1 units, needs 93
 * bits, so one multiplication by a small number never overflows.
 */
__extension__ typedef __int128 wide;

#define NANO     ((wide)1000000000)
#define WIDE_MAX ((wide)INT64_MAX * NANO)

static const char wrong_format[] = "quantities must match the regular expression "
                                   "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

static wide capped(wide v)
{
    return v > WIDE_MAX ? WIDE_MAX : v < -WIDE_MAX ? -WIDE_MAX : v;
}

struct number {
    struct str whole, fraction; /* digits */
    bool negative;
};

static struct str digits(struct str *s)
{
    struct str d = { s->p, 0 };

    while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
        s->p++;
        s->n--;
        d.n++;
    }
    return d;
}

static bool read_number(struct number *n, struct str *s)
{
    *n = (struct number){ .negative = s->n && s->p[0] == '-' };
    if (s->n && (s->p[0] == '-' || s->p[0] == '+')) {
        s->p++;
        s->n--;
    }
    n->whole = digits(s);
    if (s->n && s->p[0] == '.') {
        s->p++;
        s->n--;
        n->fraction = digits(s);
    }
    return n->whole.n + n->fraction.n > 0;
}

/* number * 10^exponent in nano, rounded up. */
static wide scale_ten(const struct number *n, int exponent)
{
    int64_t take = (int64_t)n->whole.n + exponent + 9; /* digits that stay before the point */
    wide v = 0;
    bool rest = false;

    for (size_t i = 0; i < n->whole.n + n->fraction.n; i++, take--) {
        char c = i < n->whole.n ? n->whole.p[i] : n->fraction.p[i - n->whole.n];
        if (take <= 0)
            rest |= c != '0';
        else if (v <= WIDE_MAX)
            v = v * 10 + (c - '0');
    }
    for (; take > 0 && v && v <= WIDE_MAX; take--)
        v *= 10;
    return v + rest;
}

/* number * 2^bits in nano, rounded up. */
static wide scale_two(const struct number *n, unsigned bits)
{
    enum { FRACTION_DIGITS = 11 }; /* 10^11 * 2^60 * 10^9 still fits into 127 bits */
    wide unit = ((wide)1 << bits) * NANO, v = 0, fraction = 0, below = 1;
    bool rest = false;

    for (size_t i = 0; i < n->whole.n; i++)
        if (v <= (wide)INT64_MAX)
            v = v * 10 + (n->whole.p[i] - '0');
    if (v > WIDE_MAX / unit)
        return WIDE_MAX;
    for (size_t i = 0; i < n->fraction.n; i++) {
        if (i < FRACTION_DIGITS) {
            fraction = fraction * 10 + (n->fraction.p[i] - '0');
            below *= 10;
        } else {
            rest |= n->fraction.p[i] != '0';
        }
    }
    wide f = fraction * unit;
    return v * unit + f / below + (f % below || rest);
}

int quantity_parse(struct quantity *out, struct str text, struct err *e)
{
    static const char *const two[] = { "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    static const char *const ten[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
    struct number n;
    struct str s = text;
    struct quantity q = { 0 };
    int exponent = 0;
    bool known = false;

    if (!read_number(&n, &s))
        return err_set(e, ERR_INVALID, "%s", wrong_format);
    for (unsigned i = 0; i < 6; i++)
        if (str_is(s, two[i])) {
            q.nano = scale_two(&n, 10 * (i + 1));
            q.format = QUANTITY_BINARY_SI;
            known = true;
        }
    for (int i = 0; i < 10; i++)
        if (str_is(s, ten[i])) {
            exponent = 3 * (i - 3);
            known = true;
        }
    if (!known && s.n > 1 && (s.p[0] == 'e' || s.p[0] == 'E')) {
        bool minus = s.p[1] == '-';
        uint64_t v;
        struct str d = str_n(s.p + 1, s.n - 1);
        if (d.p[0] == '-' || d.p[0] == '+')
            d = str_n(d.p + 1, d.n - 1);
        if (str_to_u64(d, &v) && v <= 1000) {
            exponent = minus ? -(int)v : (int)v;
            q.format = QUANTITY_DECIMAL_EXPONENT;
            known = true;
        }
    }
    for (size_t i = 0; !known && i < s.n; i++)
        if (!s.p[i] || !strchr("eEinumkKMGTP+-0123456789", s.p[i]))
            return err_set(e, ERR_INVALID, "%s", wrong_format);
    if (!known)
        return err_set(e, ERR_INVALID, "unable to parse quantity's suffix");
    if (q.format != QUANTITY_BINARY_SI)
        q.nano = scale_ten(&n, exponent);
    q.nano = capped(n.negative ? -q.nano : q.nano);
    *out = q;
    return 0;
}

static void print_wide(char *out, size_t size, wide v, const char *suffix)
{
    char digit[48];
    size_t i = sizeof digit;
    bool negative = v < 0;

    if (negative)
        v = -v;
    digit[--i] = '\0';
    do {
        digit[--i] = (char)('0' + (int)(v % 10));
        v /= 10;
    } while (v);
    snprintf(out, size, "%s%s%s", negative ? "-" : "", digit + i, suffix);
}

/* v / by, away from zero */
static wide divide_up(wide v, wide by)
{
    return v / by + (v % by > 0) - (v % by < 0);
}

static void print_two(char out[QUANTITY_TEXT_MAX], wide units)
{
    static const char *const suffix[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    unsigned i = 0;

    for (; i < 6 && units % 1024 == 0; i++)
        units /= 1024;
    print_wide(out, QUANTITY_TEXT_MAX, units, suffix[i]);
}

void quantity_print(char out[QUANTITY_TEXT_MAX], const struct quantity *q)
{
    static const char *const suffix[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
    wide v = q->nano;
    int exponent = -9;
    char e[8] = "";

    if (q->format == QUANTITY_BINARY_SI && (v >= 1024 * NANO || v <= -1024 * NANO)) {
        print_two(out, divide_up(v, NANO));
        return;
    }
    if (!v) {
        snprintf(out, QUANTITY_TEXT_MAX, "0");
        return;
    }
    while (v % 1000 == 0 && exponent < 18) {
        v /= 1000;
        exponent += 3;
    }
    if (q->format == QUANTITY_DECIMAL_EXPONENT) {
        if (exponent)
            snprintf(e, sizeof e, "e%d", exponent);
        print_wide(out, QUANTITY_TEXT_MAX, v, e);
    } else {
        print_wide(out, QUANTITY_TEXT_MAX, v, suffix[exponent / 3 + 3]);
    }
}

int quantity_cmp(const struct quantity *a, const struct quantity *b)
{
    return (a->nano > b->nano) - (a->nano < b->nano);
}

/* As upstream: a zero takes the other's format. */
struct quantity quantity_add(struct quantity a, const struct quantity *b)
{
    if (!a.nano)
        a.format = b->format;
    a.nano = capped(a.nano + b->nano);
    return a;
}

struct quantity quantity_sub(struct quantity a, const struct quantity *b)
{
    if (!a.nano)
        a.format = b->format;
    a.nano = capped(a.nano - b->nano);
    return a;
}

int64_t quantity_value(const struct quantity *q)
{
    return (int64_t)divide_up(q->nano, NANO);
}

int64_t quantity_milli_value(const struct quantity *q)
{
    wide v = divide_up(q->nano, NANO / 1000);

    return v > INT64_MAX ? INT64_MAX : v < -INT64_MAX ? -INT64_MAX : (int64_t)v;
}

struct quantity quantity_of(int64_t units, enum quantity_format format)
{
    return (struct quantity){ .nano = (wide)units * NANO, .format = format };
}

bool quantity_round_milli(struct quantity *q)
{
    const wide milli = NANO / 1000;
    wide rest = q->nano % milli;

    if (!rest)
        return false;
    q->nano = capped(q->nano - rest + (rest > 0 ? milli : -milli));
    return true;
}

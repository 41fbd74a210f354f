#include "server/schema/job_indexes.h"

#include "base/core/str.h"

struct interval {
    int64_t from, to;
};

static int index_parse(int64_t *out, struct str text, int64_t completions, struct err *e)
{
    struct str digits = text;

    if (digits.n && *digits.p == '+')
        digits = str_n(digits.p + 1, digits.n - 1);
    if (!str_to_i64(digits, out))
        return err_set(e, ERR_INVALID,
                       "cannot convert string to integer for index: \"" STR_FMT "\"",
                       STR_ARG(text));
    if (*out >= completions)
        return err_set(e, ERR_INVALID, "too large index: \"" STR_FMT "\"", STR_ARG(text));
    return 0;
}

static int interval_parse(struct interval *out, struct str text, int64_t completions, struct err *e)
{
    struct str from, to;
    bool two = str_cut(text, '-', &from, &to);

    if (two && to.n && memchr(to.p, '-', to.n))
        return err_set(e, ERR_INVALID,
                       "the fragment \"" STR_FMT "\" violates the requirement that an index "
                       "interval can have at most two parts separated by '-'",
                       STR_ARG(text));
    if (index_parse(&out->from, from, completions, e))
        return (int)e->code;
    out->to = out->from;
    if (!two)
        return 0;
    if (index_parse(&out->to, to, completions, e))
        return (int)e->code;
    if (out->from >= out->to)
        return err_set(e, ERR_INVALID, "non-increasing order, previous: %lld, current: %lld",
                       (long long)out->from, (long long)out->to);
    return 0;
}

int job_indexes_count(int64_t *out, const char *text, int64_t completions, struct err *e)
{
    struct str part, rest = str_of(text);
    struct interval i;
    int64_t total = 0, last = -1;
    bool more = rest.n > 0;

    while (more) {
        more = str_cut(rest, ',', &part, &rest);
        if (interval_parse(&i, part, completions, e))
            return (int)e->code;
        if (total && last >= i.from)
            return err_set(e, ERR_INVALID, "non-increasing order, previous: %lld, current: %lld",
                           (long long)last, (long long)i.from);
        total += i.to - i.from + 1;
        last = i.to;
    }
    *out = total;
    return 0;
}

/* The next interval that is well formed. */
static bool interval_next(struct interval *out, struct str *rest, bool *more, int64_t completions)
{
    struct str part;
    struct err e;

    while (*more) {
        *more = str_cut(*rest, ',', &part, rest);
        if (!interval_parse(out, part, completions, &e))
            return true;
    }
    return false;
}

int64_t job_indexes_overlap(const char *a, const char *b, int64_t completions)
{
    struct str rest_a = str_of(a), rest_b = str_of(b);
    bool more_a = rest_a.n > 0, more_b = rest_b.n > 0;
    struct interval x, y;
    bool has_x = interval_next(&x, &rest_a, &more_a, completions);
    bool has_y = interval_next(&y, &rest_b, &more_b, completions);

    while (has_x && has_y) {
        if (x.from <= y.to && y.from <= x.to)
            return x.from > y.from ? x.from : y.from;
        if (x.from <= y.from)
            has_x = interval_next(&x, &rest_a, &more_a, completions);
        else
            has_y = interval_next(&y, &rest_b, &more_b, completions);
    }
    return -1;
}

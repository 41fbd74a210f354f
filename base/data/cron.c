#include "base/data/cron.h"

#include "base/core/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct field {
    int64_t min, max;
    const char *const *names; /* of min, min + 1, ... */
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                           "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[] = {
    { 0, 59, NULL }, /* minute */
    { 0, 23, NULL }, /* hour */
    { 1, 31, NULL }, /* day of month */
    { 1, 12, month_names }, { 0, 6, day_names },
};

static int number(int64_t *out, const struct field *f, struct str s, struct err *e)
{
    struct str digits = s;

    for (int i = 0; f->names && f->names[i]; i++)
        if (s.n == 3 && strncasecmp(s.p, f->names[i], 3) == 0) {
            *out = f->min + i;
            return 0;
        }
    if (digits.n && *digits.p == '+')
        digits = str_n(digits.p + 1, digits.n - 1);
    if (!str_to_i64(digits, out)) {
        bool digits_only = digits.n > 0;
        for (size_t i = 0; i < digits.n; i++)
            digits_only &= isdigit((unsigned char)digits.p[i]) != 0;
        return err_set(
            e, ERR_INVALID,
            "failed to parse int from " STR_FMT ": strconv.Atoi: parsing \"" STR_FMT "\": %s",
            STR_ARG(s), STR_ARG(s), digits_only ? "value out of range" : "invalid syntax");
    }
    if (*out < 0)
        return err_set(e, ERR_INVALID, "negative number (%lld) not allowed: " STR_FMT,
                       (long long)*out, STR_ARG(s));
    return 0;
}

static size_t count_of(struct str s, char c)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

/* "*", "5", "1-5", each with "/step" behind it */
static int part_parse(uint64_t *bits, bool *any, const struct field *f, struct str part,
                      struct err *e)
{
    struct str range, step_text, from_text, to_text;
    bool has_step = str_cut(part, '/', &range, &step_text);
    bool is_range = str_cut(range, '-', &from_text, &to_text);
    bool star = str_is(from_text, "*") || str_is(from_text, "?");
    int64_t from = f->min, to = f->max, step = 1;

    if (!star) {
        if (number(&from, f, from_text, e))
            return (int)e->code;
        if (count_of(range, '-') > 1)
            return err_set(e, ERR_INVALID, "too many hyphens: " STR_FMT, STR_ARG(part));
        to = from;
        if (is_range && number(&to, f, to_text, e))
            return (int)e->code;
    }
    if (count_of(part, '/') > 1)
        return err_set(e, ERR_INVALID, "too many slashes: " STR_FMT, STR_ARG(part));
    if (has_step) {
        if (number(&step, &(struct field){ 0 }, step_text, e))
            return (int)e->code;
        if (!is_range)
            to = f->max;
    }
    if (from < f->min)
        return err_set(e, ERR_INVALID, "beginning of range (%lld) below minimum (%lld): " STR_FMT,
                       (long long)from, (long long)f->min, STR_ARG(part));
    if (to > f->max)
        return err_set(e, ERR_INVALID, "end of range (%lld) above maximum (%lld): " STR_FMT,
                       (long long)to, (long long)f->max, STR_ARG(part));
    if (from > to)
        return err_set(e, ERR_INVALID,
                       "beginning of range (%lld) beyond end of range (%lld): " STR_FMT,
                       (long long)from, (long long)to, STR_ARG(part));
    if (step == 0)
        return err_set(e, ERR_INVALID, "step of range should be a positive number: " STR_FMT,
                       STR_ARG(part));
    if (star && step == 1) /* with a wider step the days are named after all */
        *any = true;
    for (int64_t i = from; i <= to; i += step > f->max ? f->max + 1 : step)
        *bits |= (uint64_t)1 << i;
    return 0;
}

static int field_parse(uint64_t *bits, bool *any, const struct field *f, struct str text,
                       struct err *e)
{
    struct str part;
    bool more = true;

    *bits = 0;
    *any = false;
    while (more) {
        more = str_cut(text, ',', &part, &text);
        if (part.n && part_parse(bits, any, f, part, e))
            return (int)e->code;
    }
    return 0;
}

/* ---- @every: Go's time.ParseDuration ---- */

#define EVERY_MAX_S 9223372036.0 /* what Go's durations hold */

static double unit_seconds(struct str unit)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "ns", 1e-9 }, { "us", 1e-6 }, { "\302\265s", 1e-6 }, { "\316\274s", 1e-6 },
                  { "ms", 1e-3 }, { "s", 1 },     { "m", 60 },           { "h", 3600 } };

    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_is(unit, units[i].name))
            return units[i].seconds;
    return 0;
}

static size_t digits_of(struct str s)
{
    size_t n = 0;

    while (n < s.n && isdigit((unsigned char)s.p[n]))
        n++;
    return n;
}

static int bad_duration(struct str text, struct err *e)
{
    return err_set(e, ERR_INVALID, "time: invalid duration \"" STR_FMT "\"", STR_ARG(text));
}

static int duration_parse(double *out_s, struct str text, struct err *e)
{
    struct str rest = text;
    double total = 0, seconds;
    bool negative = rest.n && *rest.p == '-';

    if (rest.n && (*rest.p == '-' || *rest.p == '+'))
        rest = str_n(rest.p + 1, rest.n - 1);
    if (str_is(rest, "0")) {
        *out_s = 0;
        return 0;
    }
    if (!rest.n)
        return bad_duration(text, e);
    while (rest.n) {
        size_t whole = digits_of(rest), fraction = 0, n = whole, unit = 0;
        double value = 0, place = 1;
        for (size_t i = 0; i < whole; i++)
            value = 10 * value + (rest.p[i] - '0');
        if (n < rest.n && rest.p[n] == '.') {
            fraction = digits_of(str_n(rest.p + n + 1, rest.n - n - 1));
            for (size_t i = 0; i < fraction; i++)
                value += (rest.p[n + 1 + i] - '0') * (place /= 10);
            n += 1 + fraction;
        }
        if (!whole && !fraction)
            return bad_duration(text, e);
        rest = str_n(rest.p + n, rest.n - n);
        while (unit < rest.n && rest.p[unit] != '.' && !isdigit((unsigned char)rest.p[unit]))
            unit++;
        if (!unit)
            return err_set(e, ERR_INVALID, "time: missing unit in duration \"" STR_FMT "\"",
                           STR_ARG(text));
        seconds = unit_seconds(str_n(rest.p, unit));
        if (seconds == 0)
            return err_set(e, ERR_INVALID,
                           "time: unknown unit \"" STR_FMT "\" in duration \"" STR_FMT "\"",
                           STR_ARG(str_n(rest.p, unit)), STR_ARG(text));
        total += value * seconds;
        if (total > EVERY_MAX_S)
            return bad_duration(text, e);
        rest = str_n(rest.p + unit, rest.n - unit);
    }
    *out_s = negative ? -total : total;
    return 0;
}

static int named_parse(struct cron *out, struct str text, struct err *e)
{
    static const struct {
        const char *name, *fields;
    } rows[] = { { "@yearly", "0 0 1 1 *" },  { "@annually", "0 0 1 1 *" },
                 { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
                 { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
                 { "@hourly", "0 * * * *" } };
    double seconds = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_is(text, rows[i].name))
            return cron_parse(out, str_of(rows[i].fields), e);
    if (!str_starts(text, STR("@every ")))
        return err_set(e, ERR_INVALID, "unrecognized descriptor: " STR_FMT, STR_ARG(text));
    if (duration_parse(&seconds, str_n(text.p + 7, text.n - 7), e)) {
        char why[sizeof e->text];
        snprintf(why, sizeof why, "%s", e->text);
        return err_set(e, ERR_INVALID, "failed to parse duration " STR_FMT ": %.200s",
                       STR_ARG(text), why);
    }
    *out = (struct cron){ .every_s = seconds < 1 ? 1 : (int64_t)seconds };
    return 0;
}

int cron_parse(struct cron *out, struct str text, struct err *e)
{
    uint64_t bits[ARRAY_LEN(fields)];
    bool any[ARRAY_LEN(fields)];
    struct str words[ARRAY_LEN(fields)], rest = str_trim(text), word;
    auto_buf all = BUF(1024);
    size_t n = 0;
    int r = 0;

    if (!text.n)
        return err_set(e, ERR_INVALID, "empty spec string");
    if (str_starts(text, STR("TZ=")) || str_starts(text, STR("CRON_TZ=")))
        return err_set(e, ERR_INVALID, "a time zone in a schedule is not supported: " STR_FMT,
                       STR_ARG(text));
    if (str_starts(text, STR("@")))
        return named_parse(out, text, e);
    while (rest.n) {
        size_t blank = 0;
        while (blank < rest.n && !isspace((unsigned char)rest.p[blank]))
            blank++;
        word = str_n(rest.p, blank);
        rest = str_trim(str_n(rest.p + blank, rest.n - blank));
        if (n < ARRAY_LEN(fields))
            words[n] = word;
        r = r ? r : buf_addf(&all, n ? " " STR_FMT : STR_FMT, STR_ARG(word));
        n++;
    }
    if (n != ARRAY_LEN(fields))
        return err_set(e, ERR_INVALID, "expected exactly 5 fields, found %zu: [%s]", n,
                       buf_cstr(&all));
    for (size_t i = 0; i < n; i++)
        if (field_parse(&bits[i], &any[i], &fields[i], words[i], e))
            return (int)e->code;
    *out = (struct cron){ .minutes = bits[0],
                          .hours = (uint32_t)bits[1],
                          .month_days = (uint32_t)bits[2],
                          .months = (uint16_t)bits[3],
                          .week_days = (uint8_t)bits[4],
                          .any_month_day = any[2],
                          .any_week_day = any[4] };
    return 0;
}

static bool day_fits(const struct cron *c, const struct tm *t)
{
    bool month_day = c->month_days >> t->tm_mday & 1, week_day = c->week_days >> t->tm_wday & 1;

    return c->any_month_day || c->any_week_day ? month_day && week_day : month_day || week_day;
}

int64_t cron_next(const struct cron *c, int64_t unix_s)
{
    time_t at = (time_t)(unix_s - unix_s % 60 + 60);
    const time_t last = at + (time_t)5 * 366 * 86400;
    struct tm t;

    if (c->every_s)
        return unix_s + c->every_s;
    while (at < last) {
        time_t before = at;
        localtime_r(&at, &t);
        if (c->months >> (t.tm_mon + 1) & 1 && day_fits(c, &t)) {
            if (c->hours >> t.tm_hour & 1 && c->minutes >> t.tm_min & 1)
                return (int64_t)at;
            /* hour by hour, minute by minute: an hour that a clock change leaves out is passed */
            at += c->hours >> t.tm_hour & 1 ? 60 : 3600 - t.tm_min * 60;
            continue;
        }
        t.tm_hour = t.tm_min = t.tm_sec = 0;
        t.tm_isdst = -1;
        t.tm_mday += 1;
        at = mktime(&t);
        if (at <= before) /* a day that begins twice */
            at = before + 3600;
    }
    return -1;
}

#include "base/data/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct field {
    const char *name;
    int min, max;
    const char *const *names; /* of min, min + 1, ... */
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                           "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[] = {
    { "minute", 0, 59, NULL },          { "hour", 0, 23, NULL },
    { "day of month", 1, 31, NULL },    { "month", 1, 12, month_names },
    { "day of week", 0, 6, day_names },
};

static int bad(const struct field *f, struct str part, struct err *e)
{
    return err_set(e, ERR_INVALID, "schedule: %s \"" STR_FMT "\" is not within %d to %d", f->name,
                   STR_ARG(part), f->min, f->max);
}

static bool number(int *out, const struct field *f, struct str s)
{
    int n = 0;

    for (int i = 0; f->names && f->names[i]; i++)
        if (s.n == 3 && strncasecmp(s.p, f->names[i], 3) == 0) {
            *out = f->min + i;
            return true;
        }
    for (size_t i = 0; i < s.n; i++) {
        if (!isdigit((unsigned char)s.p[i]) || n > 9999)
            return false;
        n = 10 * n + (s.p[i] - '0');
    }
    *out = n;
    return s.n > 0;
}

/* "*", "5", "1-5", each with "/step" behind it */
static int part_parse(uint64_t *bits, bool *any, const struct field *f, struct str part,
                      struct err *e)
{
    struct str range, step_text, from_text, to_text;
    bool has_step = str_cut(part, '/', &range, &step_text);
    int from = f->min, to = f->max, step = 1;

    if (has_step && (!number(&step, f, step_text) || step < 1))
        return bad(f, part, e);
    if (str_is(range, "*") || str_is(range, "?")) {
        *any = true;
    } else {
        bool is_range = str_cut(range, '-', &from_text, &to_text);
        if (!number(&from, f, from_text) || (is_range && !number(&to, f, to_text)))
            return bad(f, part, e);
        if (!is_range && !has_step)
            to = from;
    }
    if (from < f->min || to > f->max || from > to)
        return bad(f, part, e);
    for (int i = from; i <= to; i += step)
        *bits |= (uint64_t)1 << i;
    return 0;
}

static int field_parse(uint64_t *bits, bool *any, const struct field *f, struct str text,
                       struct err *e)
{
    struct str part;

    *bits = 0;
    *any = false;
    while (text.n) {
        bool more = str_cut(text, ',', &part, &text);
        if (part_parse(bits, any, f, part, e))
            return (int)e->code;
        if (more && !text.n)
            return bad(f, STR(""), e);
    }
    return 0;
}

/* Go's durations, as far as a schedule needs them: 90s, 1h30m. */
static int every_parse(int64_t *out_s, struct str text, struct err *e)
{
    struct str rest = text;
    int64_t total = 0, n = 0;
    bool digits = false;

    for (; rest.n; rest = str_n(rest.p + 1, rest.n - 1)) {
        char c = *rest.p;
        int64_t unit = c == 'h' ? 3600 : c == 'm' ? 60 : c == 's' ? 1 : 0;
        if (isdigit((unsigned char)c) && n < 1000000) {
            n = 10 * n + (c - '0');
            digits = true;
        } else if (unit && digits) {
            total += n * unit;
            n = 0;
            digits = false;
        } else {
            break;
        }
    }
    if (rest.n || digits || total < 1)
        return err_set(e, ERR_INVALID, "schedule: \"" STR_FMT "\" is no duration like 1h30m",
                       STR_ARG(text));
    *out_s = total;
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

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_is(text, rows[i].name))
            return cron_parse(out, str_of(rows[i].fields), e);
    if (str_starts(text, STR("@every "))) {
        *out = (struct cron){ 0 };
        return every_parse(&out->every_s, str_trim(str_n(text.p + 7, text.n - 7)), e);
    }
    return err_set(e, ERR_INVALID, "schedule: \"" STR_FMT "\" is not known", STR_ARG(text));
}

int cron_parse(struct cron *out, struct str text, struct err *e)
{
    uint64_t bits[ARRAY_LEN(fields)];
    bool any[ARRAY_LEN(fields)];
    struct str rest = str_trim(text), word;
    size_t n = 0;

    if (str_starts(rest, STR("@")))
        return named_parse(out, rest, e);
    while (rest.n) {
        str_cut(rest, ' ', &word, &rest);
        rest = str_trim(rest);
        if (n < ARRAY_LEN(fields) && field_parse(&bits[n], &any[n], &fields[n], word, e))
            return (int)e->code;
        n++;
    }
    if (n != ARRAY_LEN(fields))
        return err_set(e, ERR_INVALID,
                       "schedule \"" STR_FMT "\": %zu fields, not minute, hour, day of month, "
                       "month, day of week",
                       STR_ARG(text), n);
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

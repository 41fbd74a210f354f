/* Timestamps and durations: reading, writing, and their parts. */
#include "base/core/mem.h"
#include "base/data/time.h"
#include "server/cel/func.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

typedef struct cel_value value;
__extension__ typedef __int128 wide;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

#define NS 1000000000LL

/* ---- texts ---- */

bool cel_moment_parse(struct cel_moment *t, struct str s)
{
    int64_t us;
    int32_t ns = 0, scale = 100000000;
    size_t i = 20;

    if (!time_parse(&us, s))
        return false;
    t->s = us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000);
    if (s.n > 20 && s.p[19] == '.') /* time_parse keeps six digits of the fraction */
        for (; i < s.n && isdigit((unsigned char)s.p[i]); i++, scale /= 10)
            ns += (s.p[i] - '0') * scale;
    t->ns = ns;
    return true;
}

struct cel_value cel_moment_text(struct cel_run *r, struct cel_moment t)
{
    char text[64], whole[TIME_TEXT_BYTES];
    int n;

    time_text_s(whole, t.s);
    n = (int)strlen(whole) - 1; /* its Z */
    n = snprintf(text, sizeof text, t.ns ? "%.*s.%09d" : "%.*s", n, whole, t.ns);
    while (t.ns && text[n - 1] == '0')
        n--;
    text[n++] = 'Z';
    return cel_str_copy(r, CEL_STRING, str_n(text, (size_t)n));
}

struct cel_value cel_duration_text(struct cel_run *r, int64_t ns)
{
    char text[64];
    uint64_t all = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    int n = snprintf(text, sizeof text, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "",
                     all / (uint64_t)NS, all % (uint64_t)NS);

    while (text[n - 1] == '0')
        n--;
    n -= text[n - 1] == '.';
    text[n++] = 's';
    return cel_str_copy(r, CEL_STRING, str_n(text, (size_t)n));
}

static bool unit_of(struct str s, bool kube, int64_t *ns)
{
    static const struct {
        const char *go, *kube[4];
        int64_t ns;
    } units[] = {
        { "ns", { "nano" }, 1 },
        { "us", { "micro" }, 1000 },
        { "\xc2\xb5s", { 0 }, 1000 },
        { "\xce\xbcs", { 0 }, 1000 },
        { "ms", { "milli" }, 1000000 },
        { "s", { "sec", "second" }, NS },
        { "m", { "min", "minute" }, 60 * NS },
        { "h", { "hr", "hour" }, 3600 * NS },
        { "", { "d", "day" }, 24 * 3600 * NS },
        { "", { "w", "wk", "week" }, 7 * 24 * 3600 * NS },
    };
    struct str one = s.n > 3 && s.p[s.n - 1] == 's' ? str_n(s.p, s.n - 1) : s;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        bool is = s.n && str_is(s, units[i].go);
        for (size_t k = 0; kube && !is && k < 4 && units[i].kube[k]; k++)
            is = str_is(s, units[i].kube[k]) || str_is(one, units[i].kube[k]);
        if (is) {
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

bool cel_duration_parse(int64_t *ns, struct str s, bool kube)
{
    bool minus = s.n && s.p[0] == '-', some = false;
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');
    wide all = 0;

    if (s.n - i == 1 && s.p[i] == '0') {
        *ns = 0;
        return true;
    }
    while (i < s.n) {
        wide whole = 0, part = 0, scale = 1;
        size_t n_digits = 0, from;
        int64_t unit;

        for (; i < s.n && isdigit((unsigned char)s.p[i]); i++, n_digits++)
            if ((whole = whole * 10 + (s.p[i] - '0')) > INT64_MAX)
                return false;
        if (i < s.n && s.p[i] == '.')
            for (i++; i < s.n && isdigit((unsigned char)s.p[i]); i++, n_digits++)
                if (scale < NS * NS) {
                    part = part * 10 + (s.p[i] - '0');
                    scale *= 10;
                }
        while (kube && i < s.n && s.p[i] == ' ')
            i++;
        for (from = i; i < s.n && (isalpha((unsigned char)s.p[i]) || s.p[i] & 0x80); i++)
            ;
        if (!n_digits || !unit_of(str_n(s.p + from, i - from), kube, &unit))
            return false;
        all += whole * unit + part * unit / scale;
        if (all > (wide)INT64_MAX + minus)
            return false;
        some = true;
        while (kube && i < s.n && s.p[i] == ' ')
            i++;
    }
    *ns = (int64_t)(minus ? -all : all);
    return some;
}

/* ---- parts of a timestamp ---- */

struct parts {
    int64_t year;
    int month, day, year_day, week_day, hour, minute, second; /* month and days from 0 */
};

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* The Gregorian calendar, by eras of 400 years that begin in March. */
static struct parts parts_of(int64_t s)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    int64_t days = s >= 0 ? s / 86400 : -((-s + 86399) / 86400), rest = s - days * 86400;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct parts p = { .year = yoe + era * 400 + (mp >= 10) };

    p.day = (int)(doy - (153 * mp + 2) / 5);
    p.month = (int)(mp < 10 ? mp + 2 : mp - 10);
    p.year_day = before[p.month] + p.day + (p.month > 1 && is_leap(p.year));
    p.week_day = (int)((days % 7 + 11) % 7);
    p.hour = (int)(rest / 3600);
    p.minute = (int)(rest / 60 % 60);
    p.second = (int)(rest % 60);
    return p;
}

/* "+02:00", "-08:30", "02:00", "UTC" or "". Zones by name would need the system's database. */
static bool offset_of(struct str zone, int64_t *s)
{
    bool minus = zone.n && zone.p[0] == '-';
    size_t sign = zone.n && (zone.p[0] == '-' || zone.p[0] == '+');
    struct str hours, minutes;
    uint64_t h, m;

    *s = 0;
    if (!zone.n || str_is(zone, "UTC") || str_is(zone, "Z"))
        return true;
    if (!str_cut(str_n(zone.p + sign, zone.n - sign), ':', &hours, &minutes) || hours.n != 2 ||
        minutes.n != 2 || !str_to_u64(hours, &h) || !str_to_u64(minutes, &m) || h > 23 || m > 59)
        return false;
    *s = (int64_t)(h * 3600 + m * 60) * (minus ? -1 : 1);
    return true;
}

static value part(struct cel_run *r, const struct cel_call *c, int64_t (*get)(const struct parts *))
{
    int64_t offset;

    if (!offset_of(c->n > 1 ? B.s : STR(""), &offset))
        return cel_error(r, "unknown time zone " STR_FMT, STR_ARG(B.s));
    struct parts p = parts_of(A.t.s + offset);
    return CEL_INT_OF(get(&p));
}

#define PART(fn, expr)                                                                             \
    static int64_t get_##fn(const struct parts *p)                                                 \
    {                                                                                              \
        return (expr);                                                                             \
    }                                                                                              \
    FN(fn)                                                                                         \
    {                                                                                              \
        return part(r, c, get_##fn);                                                               \
    }
PART(year, p->year)
PART(month, p->month)
PART(date, p->day + 1)
PART(day_of_month, p->day)
PART(day_of_week, p->week_day)
PART(day_of_year, p->year_day)
PART(hours, p->hour)
PART(minutes, p->minute)
PART(seconds, p->second)

FN(milliseconds)
{
    int64_t offset;

    if (!offset_of(c->n > 1 ? B.s : STR(""), &offset))
        return cel_error(r, "unknown time zone " STR_FMT, STR_ARG(B.s));
    return CEL_INT_OF(A.t.ns / 1000000);
}

/* ---- parts of a duration: all of it in that unit, but milliseconds ---- */

FN(duration_hours)
{
    (void)r;
    return CEL_INT_OF(A.i / (3600 * NS));
}

FN(duration_minutes)
{
    (void)r;
    return CEL_INT_OF(A.i / (60 * NS));
}

FN(duration_seconds)
{
    (void)r;
    return CEL_INT_OF(A.i / NS);
}

FN(duration_milliseconds)
{
    (void)r;
    return CEL_INT_OF(A.i / 1000000);
}

#define BOTH(name, fn)                                                                             \
    { name, true, "t:i", fn, PRICE_ONE },                                                          \
    {                                                                                              \
        name, true, "ts:i", fn, PRICE_ONE                                                          \
    }

const struct cel_fn cel_lib_time[] = {
    BOTH("getFullYear", year),
    BOTH("getMonth", month),
    BOTH("getDate", date),
    BOTH("getDayOfMonth", day_of_month),
    BOTH("getDayOfWeek", day_of_week),
    BOTH("getDayOfYear", day_of_year),
    BOTH("getHours", hours),
    { "getHours", true, "r:i", duration_hours, PRICE_ONE },
    BOTH("getMinutes", minutes),
    { "getMinutes", true, "r:i", duration_minutes, PRICE_ONE },
    BOTH("getSeconds", seconds),
    { "getSeconds", true, "r:i", duration_seconds, PRICE_ONE },
    BOTH("getMilliseconds", milliseconds),
    { "getMilliseconds", true, "r:i", duration_milliseconds, PRICE_ONE },
    { 0 },
};

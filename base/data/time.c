#include "base/data/time.h"

#include "base/core/clock.h"

#include <stdio.h>
#include <time.h>

#define YEAR_1_S     -62135596800
#define YEAR_10000_S 253402300800

static size_t text_of(char out[TIME_TEXT_BYTES], int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    int n = snprintf(out, TIME_TEXT_BYTES, "%04d", tm.tm_year + 1900); /* %Y does not pad */
    return (size_t)n + strftime(out + n, TIME_TEXT_BYTES - (size_t)n, "-%m-%dT%H:%M:%S", &tm);
}

void time_text_s(char out[TIME_TEXT_BYTES], int64_t unix_s)
{
    size_t n = text_of(out, unix_s);

    snprintf(out + n, TIME_TEXT_BYTES - n, "Z");
}

void time_text_us(char out[TIME_TEXT_BYTES], int64_t unix_us)
{
    int64_t us = unix_us % 1000000;
    size_t n;

    if (us < 0)
        us += 1000000;
    n = text_of(out, (unix_us - us) / 1000000);
    snprintf(out + n, TIME_TEXT_BYTES - n, ".%06dZ", (int)us);
}

void time_now_s(char out[TIME_TEXT_BYTES])
{
    time_text_s(out, clock_wall_s());
}

void time_now_us(char out[TIME_TEXT_BYTES])
{
    time_text_us(out, clock_wall_us());
}

/* n digits at *p, which moves behind them; -1 if they are not all digits. */
static int digits(const char **p, const char *end, unsigned n)
{
    int v = 0;

    for (; n; n--, (*p)++) {
        if (*p == end || **p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool skip(const char **p, const char *end, char c)
{
    if (*p == end || **p != c)
        return false;
    (*p)++;
    return true;
}

bool time_parse(int64_t *unix_us, struct str text)
{
    const char *p = text.p, *end = text.p + text.n;
    struct tm tm = { 0 };
    int64_t us = 0, scale = 100000;
    int offset_s = 0;

    tm.tm_year = digits(&p, end, 4) - 1900;
    if (tm.tm_year < 1 - 1900 || !skip(&p, end, '-') || (tm.tm_mon = digits(&p, end, 2) - 1) < 0 ||
        !skip(&p, end, '-') || (tm.tm_mday = digits(&p, end, 2)) < 1)
        return false;
    if (!skip(&p, end, 'T'))
        return false;
    if ((tm.tm_hour = digits(&p, end, 2)) < 0 || !skip(&p, end, ':') ||
        (tm.tm_min = digits(&p, end, 2)) < 0 || !skip(&p, end, ':') ||
        (tm.tm_sec = digits(&p, end, 2)) < 0)
        return false;
    if (tm.tm_mon > 11 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    if (skip(&p, end, '.')) {
        const char *first = p;
        for (; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10)
            us += scale * (*p - '0');
        if (p == first)
            return false;
    }
    if (!skip(&p, end, 'Z')) {
        int sign = skip(&p, end, '-') ? -1 : skip(&p, end, '+') ? 1 : 0;
        int h = digits(&p, end, 2);
        int m = skip(&p, end, ':') ? digits(&p, end, 2) : -1;
        if (!sign || h < 0 || h > 23 || m < 0 || m > 59)
            return false;
        offset_s = sign * (h * 3600 + m * 60);
    }
    if (p != end)
        return false;
    int mday = tm.tm_mday;
    time_t t = timegm(&tm);
    if (tm.tm_mday != mday) /* the 31st of a short month */
        return false;
    int64_t s = (int64_t)t - offset_s;
    if (s < YEAR_1_S || s >= YEAR_10000_S) /* an offset led out of what the texts can say */
        return false;
    *unix_us = s * 1000000 + us;
    return true;
}

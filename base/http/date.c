#include "base/http/date.h"

#include "base/core/macros.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* always in English, whatever the locale */
static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

#define FIRST_UNIX_S INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define LAST_UNIX_S  INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

void http_date_text(char out[HTTP_DATE_BYTES], int64_t unix_s)
{
    time_t t = (time_t)MIN(MAX(unix_s, FIRST_UNIX_S), LAST_UNIX_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    snprintf(out, HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* n digits; -1 if they are not all digits. */
static int digits(const char *p, unsigned n)
{
    int v = 0;

    for (; n; n--, p++) {
        if (*p < '0' || *p > '9')
            return -1;
        v = v * 10 + (*p - '0');
    }
    return v;
}

static int index_of(const char (*names)[4], int n, const char *p)
{
    for (int i = 0; i < n; i++)
        if (memcmp(names[i], p, 3) == 0)
            return i;
    return -1;
}

bool http_date_parse(int64_t *unix_s, struct str text)
{
    char again[HTTP_DATE_BYTES];
    struct tm tm = { 0 };
    int64_t at;

    if (text.n != HTTP_DATE_BYTES - 1)
        return false;
    tm.tm_mday = digits(text.p + 5, 2);
    tm.tm_mon = index_of(months, ARRAY_LEN(months), text.p + 8);
    tm.tm_year = digits(text.p + 12, 4) - 1900;
    tm.tm_hour = digits(text.p + 17, 2);
    tm.tm_min = digits(text.p + 20, 2);
    tm.tm_sec = digits(text.p + 23, 2);
    if (tm.tm_mday < 1 || tm.tm_mon < 0 || tm.tm_year < 1 - 1900 || tm.tm_hour < 0 ||
        tm.tm_min < 0 || tm.tm_sec < 0)
        return false;
    at = (int64_t)timegm(&tm);
    http_date_text(again, at); /* separators, weekday, days of the month: all must be as written */
    if (memcmp(again, text.p, text.n) != 0)
        return false;
    *unix_s = at;
    return true;
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/cron.h"
#include "base/data/time.h"

#include <stdlib.h>
#include <time.h>

static const char *next_of(const char *schedule, const char *from)
{
    static char text[TIME_TEXT_BYTES];
    struct cron c;
    struct err e;
    int64_t us, next;

    if (cron_parse(&c, str_of(schedule), &e))
        fail_msg("%s: %s", schedule, e.text);
    assert_true(time_parse(&us, str_of(from)));
    next = cron_next(&c, us / 1000000);
    if (next < 0)
        return "never";
    time_text_s(text, next);
    return text;
}

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static void the_next_moment_is_found(void **state)
{
    static const struct {
        const char *schedule, *from, *next;
    } rows[] = {
        { "0 */12 * * *", "2026-11-30T11:59:59Z", "2026-11-30T12:00:00Z" },
        { "0 */12 * * *", "2026-11-30T12:00:00Z", "2026-12-01T00:00:00Z" },
        { "* * * * *", "2026-11-30T11:59:30Z", "2026-11-30T12:00:00Z" },
        { "*/20 * * * *", "2026-11-30T12:41:00Z", "2026-11-30T13:00:00Z" },
        { "5,35 8-10 * * *", "2026-11-30T10:35:00Z", "2026-12-01T08:05:00Z" },
        { "30 3 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T03:30:00Z" },
        { "0 0 30 2 *", "2026-03-01T00:00:00Z", "never" },
        { "0 0 * * mon", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z" },
        { "0 0 * * 1-5", "2026-12-05T12:00:00Z", "2026-12-07T00:00:00Z" },
        { "0 0 13 * fri", "2026-12-01T00:00:00Z", "2026-12-04T00:00:00Z" }, /* either day */
        { "0 0 13 * *", "2026-12-01T00:00:00Z", "2026-12-13T00:00:00Z" },
        { "0 0 1 JAN ?", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z" },
        { "10/20 * * * *", "2026-12-01T00:31:00Z", "2026-12-01T00:50:00Z" },
        { "@hourly", "2026-12-01T00:31:00Z", "2026-12-01T01:00:00Z" },
        { "@weekly", "2026-11-30T00:00:00Z", "2026-12-06T00:00:00Z" },
        { "@every 1h30m", "2026-11-30T00:00:10Z", "2026-11-30T01:30:10Z" },
        { "@every 1.5h", "2026-11-30T00:00:10Z", "2026-11-30T01:30:10Z" },
        { "@every 1ms", "2026-11-30T00:00:10Z", "2026-11-30T00:00:11Z" },
        { "1, * * * *", "2026-11-30T00:00:10Z", "2026-11-30T00:01:00Z" },
        { "0 0 */2 * mon", "2026-12-01T01:00:00Z", "2026-12-03T00:00:00Z" }, /* no star any more */
        { "0 0 * * mon-wed", "2026-12-03T00:00:00Z", "2026-12-07T00:00:00Z" },
        { "  0   6 * *  * ", "2026-11-30T00:00:00Z", "2026-11-30T06:00:00Z" },
    };
    (void)state;

    zone("UTC");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = next_of(rows[i].schedule, rows[i].from);
        if (strcmp(got, rows[i].next) != 0)
            fail_msg("%s from %s: %s, not %s", rows[i].schedule, rows[i].from, got, rows[i].next);
    }
}

static void hours_are_local_and_clock_changes_are_passed(void **state)
{
    (void)state;
    zone("CET-1CEST,M3.5.0,M10.5.0/3"); /* 2027: forward on 28 March at 2:00, back on 31 October */
    assert_string_equal(next_of("0 12 * * *", "2026-11-30T00:00:00Z"), "2026-11-30T11:00:00Z");
    assert_string_equal(next_of("0 12 * * *", "2027-07-01T00:00:00Z"), "2027-07-01T10:00:00Z");
    assert_string_equal(next_of("30 2 * * *", "2027-03-27T02:00:00Z"), "2027-03-29T00:30:00Z");
    assert_string_equal(next_of("0 4 * * *", "2027-10-30T04:00:00Z"), "2027-10-31T03:00:00Z");
    zone("UTC");
}

static void wrong_schedules_are_named_as_upstream_does(void **state)
{
    static const struct {
        const char *schedule, *error;
    } rows[] = {
        /* robfig/cron v3, parser.go */
        { "", "empty spec string" },
        { "* * * *", "expected exactly 5 fields, found 4: [* * * *]" },
        { "* * * *\t*  *", "expected exactly 5 fields, found 6: [* * * * * *]" },
        { "60 * * * *", "end of range (60) above maximum (59): 60" },
        { "* 24 * * *", "end of range (24) above maximum (23): 24" },
        { "* * 0 * *", "beginning of range (0) below minimum (1): 0" },
        { "* * * 13 *", "end of range (13) above maximum (12): 13" },
        { "* * * * 7", "end of range (7) above maximum (6): 7" },
        { "5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1" },
        { "1-2-3 * * * *", "too many hyphens: 1-2-3" },
        { "1/2/3 * * * *", "too many slashes: 1/2/3" },
        { "*/0 * * * *", "step of range should be a positive number: */0" },
        { "a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax" },
        { "* * * * 1/mon",
          "failed to parse int from mon: strconv.Atoi: parsing \"mon\": invalid syntax" },
        { "99999999999999999999 * * * *",
          "failed to parse int from 99999999999999999999: strconv.Atoi: parsing "
          "\"99999999999999999999\": value out of range" },
        { "@sometimes", "unrecognized descriptor: @sometimes" },
        { "@every soon", "failed to parse duration @every soon: time: invalid duration \"soon\"" },
        { "@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\"" },
        { "@every 5y",
          "failed to parse duration @every 5y: time: unknown unit \"y\" in duration \"5y\"" },
        { "TZ=UTC * * * * *", "a time zone in a schedule is not supported: TZ=UTC * * * * *" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cron c;
        struct err e;
        assert_int_equal(cron_parse(&c, str_of(rows[i].schedule), &e), ERR_INVALID);
        assert_string_equal(e.text, rows[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_moment_is_found),
        cmocka_unit_test(hours_are_local_and_clock_changes_are_passed),
        cmocka_unit_test(wrong_schedules_are_named_as_upstream_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

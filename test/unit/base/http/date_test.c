#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/http/date.h"

static void dates_read_as_they_are_written(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_s;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* RFC 9110 5.6.7 */
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Tue, 29 Feb 2028 23:59:59 GMT", 1835481599 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        { "Mon, 01 Jan 0001 00:00:00 GMT", -62135596800 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[HTTP_DATE_BYTES];
        int64_t at = 1;

        http_date_text(text, rows[i].unix_s);
        assert_string_equal(text, rows[i].text);
        assert_true(http_date_parse(&at, str_of(rows[i].text)));
        assert_int_equal(at, rows[i].unix_s);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT", /* the obsolete forms */
        "Sun Nov  6 08:49:37 1994",
        "Mon, 06 Nov 1994 08:49:37 GMT", /* it was a Sunday */
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3x GMT",
        "Sun. 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t at = 7;

        if (http_date_parse(&at, str_of(bad[i])))
            fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(at, 7);
    }
}

static void years_out_of_range_are_written_as_the_nearest(void **state)
{
    char text[HTTP_DATE_BYTES];
    (void)state;

    http_date_text(text, INT64_MAX);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_text(text, INT64_MIN);
    assert_string_equal(text, "Mon, 01 Jan 0001 00:00:00 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_read_as_they_are_written),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(years_out_of_range_are_written_as_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

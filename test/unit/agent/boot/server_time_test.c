#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/boot/server_time.h"
#include "base/core/macros.h"

#define DAY 86400

/* Times are days; the server's certificate is valid from day 10000 on for a year. */
static void each_word_is_judged(void **state)
{
    static const struct {
        const char *name;
        int64_t said, now, machine, floor;
        bool synced;
        enum server_time_verdict verdict;
    } rows[] = {
        { "all is well", 10100, 10100, 10100, 10099, false, SERVER_TIME_AGREES },
        { "1970", 10100, 9800, 0, 9800, false, SERVER_TIME_TAKE },
        { "1970, and the certificate is valid at the build date", 10100, 10050, 0, 10050, false,
          SERVER_TIME_TAKE },
        { "the server is ahead of a clock that is kept: it cannot be reached otherwise", 10100,
          9990, 9990, 9990, true, SERVER_TIME_TAKE },
        { "the server is a little ahead of a clock that is kept", 10100, 10098, 10098, 10000, true,
          SERVER_TIME_AGREES },
        { "five years ahead", 10100, 11925, 11925, 9800, false, SERVER_TIME_TAKE },
        { "ahead, and the certificate is still valid", 10100, 10200, 10200, 9800, false,
          SERVER_TIME_TAKE },
        { "five years ahead, by a time service: the certificate is old", 10100, 11925, 11925, 9800,
          true, SERVER_TIME_SYNCED },
        { "a thief with an old certificate: it was later already", 10100, 11925, 11925, 11900,
          false, SERVER_TIME_FLOOR },
        { "the thief may go as far as the floor", 10350, 11925, 11925, 10300, false,
          SERVER_TIME_TAKE },
        { "the thief says the truth: his certificate is over", 11925, 11925, 11925, 11900, false,
          SERVER_TIME_OWN_CERT },
        { "before its own certificate", 9999, 11925, 11925, 9800, false, SERVER_TIME_OWN_CERT },
        { "we were told too much: the machine was right", 10100, 11925, 10100, 10090, false,
          SERVER_TIME_MACHINE },
        { "the same, also behind the floor: there are two witnesses", 10100, 11925, 10100, 11900,
          false, SERVER_TIME_MACHINE },
        { "we were told too little", 10100, 10000, 10100, 9000, false, SERVER_TIME_MACHINE },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_time_word w = { .server_unix_s = rows[i].said * DAY,
                                      .from_unix_s = INT64_C(10000) * DAY,
                                      .until_unix_s = INT64_C(10365) * DAY,
                                      .now_unix_s = rows[i].now * DAY,
                                      .machine_unix_s = rows[i].machine * DAY,
                                      .floor_unix_s = rows[i].floor * DAY,
                                      .synced = rows[i].synced };
        enum server_time_verdict v = server_time_judge(&w);

        if (v != rows[i].verdict)
            fail_msg("%s: %d", rows[i].name, v);
        assert_int_equal(*server_time_why(v) == '\0', v <= SERVER_TIME_MACHINE);
    }
}

static void a_floor_wants_two_witnesses(void **state)
{
    (void)state;

    assert_int_equal(server_time_floor_s(10 * DAY, 10 * DAY + 5), 10 * DAY - 7200);
    assert_int_equal(server_time_floor_s(10 * DAY, 5 * DAY), 5 * DAY - 7200);
    assert_int_equal(server_time_floor_s(10 * DAY, 15 * DAY), 10 * DAY - 7200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_judged),
        cmocka_unit_test(a_floor_wants_two_witnesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Starts of machines whose clock is wrong, and what they keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/time.h"
#include "base/io/file.h"
#include "base/io/known_time.h"

#define DAY_S  INT64_C(86400)
#define YEAR_S (365 * DAY_S)

static char dir[64];
static int64_t now_s; /* the real one */

/* A new process on a machine whose clock says that. */
static void boot_at(int64_t unix_s)
{
    clock_set_offset_s(-100 * DAY_S);
    clock_set_offset_s(unix_s - now_s);
}

static void about(int64_t got, int64_t want)
{
    if (llabs(got - want) > 60)
        fail_msg("%lld, not %lld", (long long)got, (long long)want);
}

static char *path(void)
{
    return mem_printf("%s/" KNOWN_TIME_FILE, dir);
}

static void forget(void)
{
    auto_free char *p = path();
    struct err e;

    assert_int_equal(file_remove(p, &e), 0);
}

static void run_once(int64_t machine_s, bool is_authority)
{
    struct known_time k;

    boot_at(machine_s);
    known_time_open(&k, dir, is_authority);
    known_time_look(&k);
    known_time_close(&k);
}

static void a_server_without_a_battery_goes_on_where_it_was(void **state)
{
    struct known_time k;
    (void)state;

    forget();
    run_once(now_s, true);
    boot_at(1000);
    known_time_open(&k, dir, true);
    about(clock_wall_s(), now_s);
    known_time_close(&k);
    boot_at(now_s + YEAR_S); /* and a clock that is ahead is believed */
    known_time_open(&k, dir, true);
    about(clock_wall_s(), now_s + YEAR_S);
    known_time_close(&k);
}

/* An agent's own clock proves nothing, so it is not kept. */
static void an_agent_keeps_what_was_confirmed(void **state)
{
    auto_free char *p = path();
    struct known_time k;
    (void)state;

    forget();
    run_once(now_s + 5 * YEAR_S, false);
    assert_false(file_exists(p));
    boot_at(1000);
    known_time_open(&k, dir, false);
    clock_learn_s(now_s);
    clock_confirm_s(now_s);
    known_time_look(&k);
    known_time_close(&k);
    boot_at(2000);
    known_time_open(&k, dir, false);
    about(clock_wall_s(), now_s);
    about(clock_floor_s(), 0); /* it was only told */
    known_time_close(&k);
}

static void the_floor_comes_back(void **state)
{
    struct known_time k;
    (void)state;

    forget();
    boot_at(now_s);
    known_time_open(&k, dir, false);
    clock_confirm_s(now_s);
    clock_raise_floor_s(now_s - 7200);
    known_time_close(&k);
    boot_at(now_s - YEAR_S);
    known_time_open(&k, dir, false);
    about(clock_floor_s(), now_s - 7200);
    about(clock_wall_s(), now_s);
    clock_learn_s(now_s - YEAR_S);
    about(clock_wall_s(), now_s - 7200);
    known_time_close(&k);
}

static void it_is_written_hourly_and_when_the_time_jumps(void **state)
{
    auto_free char *p = path();
    struct known_time k;
    struct stat first, st;
    (void)state;

    forget();
    boot_at(now_s);
    known_time_open(&k, dir, true);
    known_time_look(&k);
    assert_int_equal(stat(p, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0644);
    for (int i = 0; i < 50; i++)
        known_time_look(&k);
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(st.st_ino, first.st_ino); /* each write is a new file */
    clock_set_offset_s(-YEAR_S);               /* somebody set it: kept, also when it is earlier */
    known_time_look(&k);
    assert_int_equal(stat(p, &st), 0);
    assert_true(st.st_ino != first.st_ino);
    known_time_close(&k);
    boot_at(1000);
    known_time_open(&k, dir, true);
    about(clock_wall_s(), now_s - YEAR_S);
    known_time_close(&k);
}

static void a_broken_file_is_left_out(void **state)
{
    static const char *const texts[] = { "", "known\n", "known yesterday\n",
                                         "floor 2030-01-01T00:00:00Z\n", "\xff\xff\xff" };
    auto_free char *p = path();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct known_time k;
        struct err e;

        assert_int_equal(file_write_atomic(p, str_of(texts[i]), 0644, &e), 0);
        boot_at(now_s);
        known_time_open(&k, dir, false);
        about(clock_wall_s(), now_s);
        assert_int_equal(clock_floor_s(), 0);
        known_time_close(&k);
    }
}

static int setup(void **state)
{
    (void)state;
    log_level_min = LOG_LVL_ERROR;
    now_s = clock_machine_s();
    snprintf(dir, sizeof dir, "/tmp/known-time-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err e;
    (void)state;

    return file_remove_tree(dir, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_without_a_battery_goes_on_where_it_was),
        cmocka_unit_test(an_agent_keeps_what_was_confirmed),
        cmocka_unit_test(the_floor_comes_back),
        cmocka_unit_test(it_is_written_hourly_and_when_the_time_jumps),
        cmocka_unit_test(a_broken_file_is_left_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

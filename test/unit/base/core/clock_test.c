/* The wall clock of a machine whose own may be wrong, and that somebody may set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/core/clock.h"

#define DAY_S  INT64_C(86400)
#define YEAR_S (365 * DAY_S)

static int64_t real_s; /* the machine's own clock, without an offset */

/* A machine whose clock says that, when the process starts. */
static void machine_at(int64_t unix_s)
{
    clock_set_offset_s(-YEAR_S); /* a step: forgets the test before */
    clock_set_offset_s(0);
    clock_set_build_s(0);
    real_s = clock_machine_s();
    clock_set_offset_s(unix_s - real_s);
}

static void set_machine_to(int64_t unix_s)
{
    clock_set_offset_s(unix_s - real_s);
}

static void about(int64_t got, int64_t want)
{
    if (llabs(got - want) > 30)
        fail_msg("%lld, not %lld", (long long)got, (long long)want);
}

static void it_is_never_before_the_build_date(void **state)
{
    int64_t now;
    (void)state;

    machine_at(1000);
    now = real_s;
    clock_set_build_s(now - YEAR_S);
    about(clock_wall_s(), now - YEAR_S);
    int64_t before_us = clock_wall_us();
    usleep(2000);
    assert_true(clock_wall_us() >= before_us + 2000); /* and it goes on from there */
    set_machine_to(now);
    about(clock_wall_s(), now);
    set_machine_to(1000);
    about(clock_wall_s(), now - YEAR_S);
    about(clock_machine_s(), 1000);
}

static void the_floor_only_rises(void **state)
{
    int64_t now;
    (void)state;

    machine_at(1000);
    now = real_s;
    clock_raise_floor_s(now - 10 * DAY_S);
    about(clock_wall_s(), now - 10 * DAY_S);
    clock_raise_floor_s(now - 20 * DAY_S);
    about(clock_wall_s(), now - 10 * DAY_S);
    about(clock_floor_s(), now - 10 * DAY_S);
    clock_learn_s(now - 30 * DAY_S); /* nor does anybody get below it */
    about(clock_wall_s(), now - 10 * DAY_S);
}

static void what_was_learned_counts_until_the_clock_is_set(void **state)
{
    static const struct {
        int64_t machine_years, learned_years, set_years;
    } rows[] = {
        { -5, 0, -1 },               /* forward, then set short of it */
        { -5, 0, 0 },  { 5, 0, 0 },  /* back */
        { 5, 0, 1 },   { 0, 0, -1 }, /* nothing was wrong */
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        machine_at(real_s);
        int64_t now = real_s;
        set_machine_to(now + rows[i].machine_years * YEAR_S);
        clock_learn_s(now + rows[i].learned_years * YEAR_S);
        about(clock_wall_s(), now + rows[i].learned_years * YEAR_S);
        about(clock_wall_us() / 1000000, clock_wall_s());
        set_machine_to(now + rows[i].set_years * YEAR_S);
        about(clock_wall_s(), now + rows[i].set_years * YEAR_S);
    }
}

/* A clock in the future was kept as floor; somebody sets it right. */
static void a_clock_that_is_set_ends_the_floor(void **state)
{
    int64_t now;
    (void)state;

    machine_at(real_s + 5 * YEAR_S);
    now = real_s;
    clock_raise_floor_s(now + 5 * YEAR_S);
    clock_confirm_s(now + 5 * YEAR_S);
    about(clock_known_s(), now + 5 * YEAR_S);
    set_machine_to(now);
    about(clock_wall_s(), now);
    assert_int_equal(clock_floor_s(), 0);
    assert_int_equal(clock_known_s(), 0);

    clock_raise_floor_s(now + 5 * YEAR_S);
    clock_learn_s(now + 6 * YEAR_S);
    clock_trust_machine(); /* the same, without a jump */
    about(clock_wall_s(), now);
    assert_int_equal(clock_floor_s(), 0);
}

static void small_corrections_of_a_time_service_end_nothing(void **state)
{
    (void)state;

    machine_at(1000);
    clock_learn_s(real_s);
    set_machine_to(1000 + 20);
    about(clock_wall_s(), real_s + 20);
    assert_true(clock_wall_s() > real_s - DAY_S);
}

static void a_moved_clock_is_never_called_synced(void **state)
{
    (void)state;

    machine_at(1000);
    assert_false(clock_is_synced());
}

static int setup(void **state)
{
    (void)state;
    real_s = clock_machine_s();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_never_before_the_build_date),
        cmocka_unit_test(the_floor_only_rises),
        cmocka_unit_test(what_was_learned_counts_until_the_clock_is_set),
        cmocka_unit_test(a_clock_that_is_set_ends_the_floor),
        cmocka_unit_test(small_corrections_of_a_time_service_end_nothing),
        cmocka_unit_test(a_moved_clock_is_never_called_synced),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/resource/slots.h"

static void every_place_is_given_once(void **state)
{
    struct slots *s = slots_new(20, 4, 1);
    bool seen[20] = { false };
    size_t i;

    (void)state;
    for (size_t n = 0; n < 19; n++) {
        assert_true(slots_take_any(s, &i));
        assert_false(seen[i]);
        assert_true(n < 16 ? i >= 4 : i >= 1 && i < 4); /* the lower part comes last */
        seen[i] = true;
    }
    assert_false(slots_take_any(s, &i)); /* the first is kept for who names it */
    assert_true(slots_take(s, 0));
    assert_false(slots_take(s, 0));
    slots_free(s);
}

static void places_beyond_the_end_are_none(void **state)
{
    struct slots *s = slots_new(9, 0, 0);

    (void)state;
    assert_true(slots_has(s, 8));
    assert_false(slots_has(s, 9));
    assert_false(slots_take(s, 9));
    assert_false(slots_take(s, SIZE_MAX));
    slots_hold(s, 9);
    slots_give(s, SIZE_MAX);
    slots_recount_begin(s);
    slots_recount_see(s, SIZE_MAX);
    assert_int_equal(slots_recount_end(s), 0);
    slots_free(s);
}

static void what_two_recounts_miss_is_free(void **state)
{
    struct slots *s = slots_new(9, 0, 0);

    (void)state;
    assert_true(slots_take(s, 3));
    for (size_t n = 0; n < 2; n++) {
        assert_false(slots_take(s, 3));
        slots_recount_begin(s);
        slots_recount_see(s, 5);
        assert_int_equal(slots_recount_end(s), n);
    }
    assert_false(slots_take(s, 5)); /* seen: held */
    assert_true(slots_take(s, 3));
    slots_recount_begin(s); /* taken anew: the first recount only suspects it */
    slots_recount_see(s, 5);
    assert_int_equal(slots_recount_end(s), 0);
    slots_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_is_given_once),
        cmocka_unit_test(places_beyond_the_end_are_none),
        cmocka_unit_test(what_two_recounts_miss_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

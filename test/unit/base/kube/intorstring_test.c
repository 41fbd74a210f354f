/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/kube/intorstring.h"
#include "test/unit/json_text.h"

/* Of a total of 10, rounded down and up; bad: refused. */
static const struct {
    const char *text;
    bool valid, bad;
    int64_t down, up;
} rows[] = {
    { "0", true, false, 0, 0 },
    { "3", true, false, 3, 3 },
    { "-3", true, false, -3, -3 },
    { "2147483647", true, false, INT32_MAX, INT32_MAX },
    { "2147483648", false, false, 2147483648, 2147483648 },
    { "'25%'", true, false, 2, 3 },
    { "'0%'", true, false, 0, 0 },
    { "'100%'", true, false, 10, 10 },
    { "'150%'", true, false, 15, 15 },
    { "'http'", true, true, 0, 0 }, /* the name of a port, no count */
    { "'25'", true, true, 0, 0 },
    { "'%'", true, true, 0, 0 },
    { "'2.5%'", true, true, 0, 0 },
    { "''", true, true, 0, 0 },
    { "1.5", false, true, 0, 0 },
    { "true", false, true, 0, 0 },
    { "null", false, true, 0, 0 },
    { "{}", false, true, 0, 0 },
};

static void it_is_a_small_integer_or_a_string(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *v = json_of(rows[i].text);

        if (intorstring_valid(v) != rows[i].valid)
            fail_msg("%s", rows[i].text);
    }
}

static void percentages_are_of_a_total(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *v = json_of(rows[i].text);
        int64_t down = -1, up = -1;
        struct err e = { 0 };
        int r = intorstring_scale(&down, v, 10, false, &e);

        if ((r != 0) != rows[i].bad || intorstring_scale(&up, v, 10, true, &e) != r)
            fail_msg("%s: %s", rows[i].text, e.text);
        if (rows[i].bad)
            assert_int_equal(r, ERR_INVALID);
        else if (down != rows[i].down || up != rows[i].up)
            fail_msg("%s: %ld and %ld", rows[i].text, (long)down, (long)up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_small_integer_or_a_string),
        cmocka_unit_test(percentages_are_of_a_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

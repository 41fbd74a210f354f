/* The tunnel client's patience; what it does on a loop is in loop_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "tunnel/client.h"

static void what_is_down_for_long_is_tried_more_rarely(void **state)
{
    static const struct {
        uint64_t down_ms;
        bool refused;
        uint64_t min_ms, max_ms;
    } rows[] = {
        { 0, false, 500, 2500 },
        { 119999, false, 500, 2500 }, /* a cut of a minute: as after one of a second */
        { 120000, false, 1000, 5000 },
        { 600000, false, 3000, 15000 },
        { 7ull * 86400 * 1000, false, 3000, 15000 },
        { 0, true, 1000, 4000 },
        { 600000, true, 6000, 24000 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t min_ms, max_ms;

        tunnel_client_wait_range(&min_ms, &max_ms, rows[i].refused, rows[i].down_ms);
        if (min_ms != rows[i].min_ms || max_ms != rows[i].max_ms)
            fail_msg("row %zu: %llu to %llu", i, (unsigned long long)min_ms,
                     (unsigned long long)max_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_down_for_long_is_tried_more_rarely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

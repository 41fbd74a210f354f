/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/controller/subnets.h"

static void parts_are_given_in_order_and_never_twice(void **state)
{
    static const struct {
        const char *cidr, *first, *second, *last;
        unsigned n;
    } rows[] = {
        { "10.42.0.0/16", "10.42.0.0/24", "10.42.1.0/24", "10.42.255.0/24", 256 },
        { "10.42.7.9/16", "10.42.0.0/24", "10.42.1.0/24", "10.42.255.0/24", 256 },
        { "10.42.4.0/22", "10.42.4.0/24", "10.42.5.0/24", "10.42.7.0/24", 4 },
        { "10.42.4.0/24", "10.42.4.0/24", NULL, "10.42.4.0/24", 1 },
        { "10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "10.255.255.0/24", 65536 },
        { "2001:cafe:42::/56", "2001:cafe:42::/64", "2001:cafe:42:1::/64", "2001:cafe:42:ff::/64",
          256 },
        { "fd00::/32", "fd00::/64", "fd00:0:0:1::/64", "fd00:0:0:ffff::/64", 65536 },
    };
    char text[SUBNET_TEXT_BYTES];
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(subnets) struct subnets *s = NULL;

        assert_int_equal(subnets_new(&s, rows[i].cidr, &e), 0);
        for (unsigned n = 0; n < rows[i].n; n++) {
            assert_int_equal(subnets_take(s, text, &e), 0);
            if (n == 0)
                assert_string_equal(text, rows[i].first);
            if (n == 1)
                assert_string_equal(text, rows[i].second);
        }
        assert_string_equal(text, rows[i].last);
        assert_int_equal(subnets_take(s, text, &e), ERR_LIMIT);
        subnets_release(s, rows[i].first);
        assert_int_equal(subnets_take(s, text, &e), 0);
        assert_string_equal(text, rows[i].first);
    }
}

static void what_nodes_say_is_not_given(void **state)
{
    AUTO(subnets) struct subnets *s = NULL;
    char text[SUBNET_TEXT_BYTES];
    struct err e = { 0 };

    (void)state;
    assert_int_equal(subnets_new(&s, "10.42.0.0/16", &e), 0);
    assert_true(subnets_hold(s, "10.42.0.0/24"));
    assert_true(subnets_hold(s, "10.42.1.0/24"));
    assert_true(subnets_hold(s, "10.42.1.0/24")); /* two claim it */
    assert_int_equal(subnets_take(s, text, &e), 0);
    assert_string_equal(text, "10.42.2.0/24");
    subnets_release(s, "10.42.1.0/24");
    for (unsigned n = 3; n < 256; n++)
        assert_int_equal(subnets_take(s, text, &e), 0);
    assert_int_equal(subnets_take(s, text, &e), ERR_LIMIT); /* one still has it */
    subnets_release(s, "10.42.1.0/24");
    assert_int_equal(subnets_take(s, text, &e), 0);
    assert_string_equal(text, "10.42.1.0/24");
}

static void foreign_networks_are_not_held(void **state)
{
    static const char *const rows[] = {
        "10.43.0.0/24", "10.42.0.0/25",  "10.42.0.0",       "", "fd00::/64", "10.42.0.0/33",
        "10.42.0/24",   "10.42.0.0/-24", "10.42.0.0/24/24",
    };
    AUTO(subnets) struct subnets *s = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(subnets_new(&s, "10.42.0.0/16", &e), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (subnets_hold(s, rows[i]))
            fail_msg("held: %s", rows[i]);
    assert_true(subnets_hold(s, "10.42.0.1/24")); /* host bits do not make another network */
}

static void useless_cluster_networks_are_refused(void **state)
{
    static const char *const rows[] = { "", "10.42.0.0", "10.42.0.0/25", "fd00::/65", "x/16" };
    struct subnets *s = NULL;
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(subnets_new(&s, rows[i], &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_given_in_order_and_never_twice),
        cmocka_unit_test(what_nodes_say_is_not_given),
        cmocka_unit_test(foreign_networks_are_not_held),
        cmocka_unit_test(useless_cluster_networks_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

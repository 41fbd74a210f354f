#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/data/cidr.h"

static void reads_blocks_and_drops_host_bits(void **state)
{
    static const struct {
        const char *text;
        const char *first; /* address 0; NULL: not a block */
        unsigned prefix_bits;
    } rows[] = {
        { "10.42.0.0/16", "10.42.0.0", 16 },
        { "10.42.7.9/16", "10.42.0.0", 16 },
        { "10.42.7.9/32", "10.42.7.9", 32 },
        { "0.0.0.0/0", "0.0.0.0", 0 },
        { "10.42.1.129/25", "10.42.1.128", 25 },
        { "fd00:42::5/56", "fd00:42::", 56 },
        { "::1/128", "::1", 128 },
        { "10.42.0.0", NULL, 0 },
        { "10.42.0.0/", NULL, 0 },
        { "10.42.0.0/33", NULL, 0 },
        { "fd00::/129", NULL, 0 },
        { "10.42.0/16", NULL, 0 },
        { "10.42.0.0/ 16", NULL, 0 },
        { "10.42.0.0/16/8", NULL, 0 },
        { "/16", NULL, 0 },
        { "", NULL, 0 },
        { "n1/16", NULL, 0 },
        { "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/16", NULL, 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cidr c = { .family = 77 };
        char first[INET6_ADDRSTRLEN];

        if (!rows[i].first) {
            assert_false(cidr_parse(&c, str_of(rows[i].text)));
            assert_int_equal(c.family, 77);
            continue;
        }
        assert_true(cidr_parse(&c, str_of(rows[i].text)));
        assert_int_equal(c.prefix_bits, rows[i].prefix_bits);
        cidr_nth(first, &c, 0);
        assert_string_equal(first, rows[i].first);
    }
}

static void an_address_is_a_block_of_one(void **state)
{
    struct cidr c;
    (void)state;

    assert_true(cidr_parse_address(&c, STR("192.0.2.1")));
    assert_int_equal(c.prefix_bits, 32);
    assert_true(cidr_parse_address(&c, STR("2001:db8::1")));
    assert_int_equal(c.prefix_bits, 128);
    assert_true(cidr_parse_address(&c, STR("::ffff:192.0.2.1")));
    assert_int_equal(c.family, AF_INET);
    assert_int_equal(c.prefix_bits, 32);
    assert_false(cidr_parse_address(&c, STR("192.0.2.0/24")));
    assert_false(cidr_parse_address(&c, STR("192.0.2.1\0")));
    assert_false(cidr_parse_address(&c, STR("")));
}

static void a_block_has_what_its_prefix_says(void **state)
{
    static const struct {
        const char *outer, *inner;
        bool has;
    } rows[] = {
        { "10.42.0.0/16", "10.42.255.255/32", true },
        { "10.42.0.0/16", "10.43.0.0/32", false },
        { "10.42.0.0/16", "10.42.0.0/16", true },
        { "10.42.0.0/16", "10.0.0.0/8", false },
        { "0.0.0.0/0", "198.51.100.7/32", true },
        { "10.42.1.128/25", "10.42.1.127/32", false },
        { "10.42.1.128/25", "10.42.1.200/32", true },
        { "10.42.0.0/16", "::ffff:10.42.3.5/32", true },
        { "fd00:42::/56", "fd00:42:0:ff::1/128", true },
        { "fd00:42::/56", "fd00:42:0:100::1/128", false },
        { "::/0", "10.42.0.1/32", false },
        { "0.0.0.0/0", "::1/128", false },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cidr outer, inner;

        assert_true(cidr_parse(&outer, str_of(rows[i].outer)));
        assert_true(cidr_parse(&inner, str_of(rows[i].inner)));
        assert_int_equal(cidr_has(&outer, &inner), rows[i].has);
    }
}

static void addresses_are_counted_over_bytes(void **state)
{
    static const struct {
        const char *block;
        unsigned n;
        const char *address;
    } rows[] = {
        { "10.43.0.0/16", 1, "10.43.0.1" },     { "10.43.0.0/16", 10, "10.43.0.10" },
        { "10.43.0.0/16", 257, "10.43.1.1" },   { "10.43.255.0/24", 256, "10.44.0.0" },
        { "255.255.255.255/32", 1, "0.0.0.0" }, { "fd00:43::/112", 65536, "fd00:43::1:0" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cidr c;
        char text[INET6_ADDRSTRLEN];

        assert_true(cidr_parse(&c, str_of(rows[i].block)));
        cidr_nth(text, &c, rows[i].n);
        assert_string_equal(text, rows[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_blocks_and_drops_host_bits),
        cmocka_unit_test(an_address_is_a_block_of_one),
        cmocka_unit_test(a_block_has_what_its_prefix_says),
        cmocka_unit_test(addresses_are_counted_over_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

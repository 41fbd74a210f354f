/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/json.h"
#include "server/resource/service_ip.h"

#include <stdlib.h>
#include <string.h>

static void only_ipv4_ranges_of_a_sane_size_are_taken(void **state)
{
    static const struct {
        const char *cidr;
        bool ok;
    } rows[] = {
        { "10.43.0.0/16", true },  { "10.43.0.0/30", true },
        { "10.43.0.0/31", false }, { "10.43.0.0/7", false },
        { "10.43.0.0", false },    { "fd00::/112", false },
        { "x/16", false },         { "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct service_ips *s = NULL;
        struct err e = { 0 };

        if ((service_ips_new(&s, rows[i].cidr, NULL, &e) == 0) != rows[i].ok)
            fail_msg("%s", rows[i].cidr);
        service_ips_free(s);
    }
}

static void addresses_are_given_once_until_none_is_left(void **state)
{
    struct service_ips *s;
    char ip[16], seen[8][16];
    struct err e = { 0 };

    (void)state;
    assert_int_equal(service_ips_new(&s, "10.43.0.0/29", NULL, &e), 0);
    /* eight, without the network, its first (for the kubernetes Service) and its last */
    for (size_t n = 0; n < 5; n++) {
        assert_int_equal(service_ips_take_any(s, ip, &e), 0);
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(ip, seen[i]);
        memcpy(seen[n], ip, sizeof ip);
    }
    assert_int_equal(service_ips_take_any(s, ip, &e), ERR_LIMIT);
    assert_int_equal(service_ips_take(s, "10.43.0.1", &e), 0);
    assert_int_equal(service_ips_take(s, "10.43.0.1", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "10.43.0.7", &e), ERR_INVALID);
    assert_int_equal(service_ips_take(s, "10.44.0.2", &e), ERR_INVALID);
    service_ips_free(s);
}

static void what_services_hold_is_known_after_a_restart(void **state)
{
    json_auto_t *a = json_pack("{s:{s:s, s:[{s:i}]}}", "spec", "clusterIP", "10.43.0.9", "ports",
                               "nodePort", 30001);
    json_auto_t *b = json_pack("{s:{s:s}}", "spec", "clusterIP", "10.43.0.9");
    struct service_ips *s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(service_ips_new(&s, "10.43.0.0/16", NULL, &e), 0);
    service_ips_hold(s, a);
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take_port(s, 30001, &e), ERR_EXISTS);
    service_ips_release(s, a, b); /* b keeps the address, not the port */
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take_port(s, 30001, &e), 0);
    service_ips_release(s, b, NULL);
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), 0);
    service_ips_free(s);
}

static void the_range_of_ports_is_chosen(void **state)
{
    static const char *const bad[] = { "", "1", "0-1", "2-1", "1-65536", "a-b", "1-2-3" };
    struct service_ips *s;
    struct err e = { 0 };
    int64_t port;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(service_ips_new(&s, "10.43.0.0/16", bad[i], &e), ERR_INVALID);
    assert_int_equal(service_ips_new(&s, "10.43.0.0/16", "80-81", &e), 0);
    assert_int_equal(service_ips_take_port(s, 82, &e), ERR_INVALID);
    assert_string_equal(e.text, "provided port is not in the valid range. The range of valid ports "
                                "is 80-81");
    assert_int_equal(service_ips_take_port(s, 79, &e), ERR_INVALID);
    assert_int_equal(service_ips_take_port(s, 81, &e), 0);
    assert_int_equal(service_ips_take_any_port(s, &port, &e), 0);
    assert_int_equal(port, 80);
    assert_int_equal(service_ips_take_any_port(s, &port, &e), ERR_LIMIT);
    service_ips_free(s);
}

static void health_checks_have_ports_too(void **state)
{
    json_auto_t *a = json_pack("{s:{s:i}}", "spec", "healthCheckNodePort", 30002);
    struct service_ips *s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(service_ips_new(&s, "10.43.0.0/16", NULL, &e), 0);
    service_ips_hold(s, a);
    assert_int_equal(service_ips_take_port(s, 30002, &e), ERR_EXISTS);
    service_ips_release(s, a, NULL);
    assert_int_equal(service_ips_take_port(s, 30002, &e), 0);
    service_ips_free(s);
}

static void people_choose_from_the_lower_part(void **state)
{
    struct service_ips *s;
    struct err e = { 0 };
    int64_t port;
    char ip[16];

    (void)state;
    assert_int_equal(service_ips_new(&s, "10.43.0.0/24", NULL, &e), 0);
    for (size_t i = 0; i < 254 - 16; i++) { /* 16 of 256 are left to them */
        assert_int_equal(service_ips_take_any(s, ip, &e), 0);
        assert_true(atoi(strrchr(ip, '.') + 1) > 16);
    }
    assert_int_equal(service_ips_take_any(s, ip, &e), 0);
    assert_true(atoi(strrchr(ip, '.') + 1) <= 16);
    for (size_t i = 0; i < 2768 - 86; i++) {
        assert_int_equal(service_ips_take_any_port(s, &port, &e), 0);
        assert_true(port >= 30086);
    }
    assert_int_equal(service_ips_take_any_port(s, &port, &e), 0);
    assert_true(port < 30086);
    service_ips_free(s);
}

/* Held without a Service: freed by the second recount, and not by one. */
static void a_recount_finds_what_was_lost(void **state)
{
    json_auto_t *a = json_pack("{s:{s:s, s:[{s:i}]}}", "spec", "clusterIP", "10.43.0.9", "ports",
                               "nodePort", 30001);
    struct service_ips *s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(service_ips_new(&s, "10.43.0.0/16", NULL, &e), 0);
    assert_int_equal(service_ips_take(s, "10.43.0.8", &e), 0);
    assert_int_equal(service_ips_take_port(s, 30008, &e), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(service_ips_take(s, "10.43.0.8", &e), ERR_EXISTS);
        service_ips_recount_begin(s);
        service_ips_recount_see(s, a); /* and what it missed is held now */
        assert_int_equal(service_ips_recount_end(s), i ? 2 : 0);
    }
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take_port(s, 30001, &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "10.43.0.8", &e), 0);
    assert_int_equal(service_ips_take_port(s, 30008, &e), 0);
    service_ips_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ipv4_ranges_of_a_sane_size_are_taken),
        cmocka_unit_test(addresses_are_given_once_until_none_is_left),
        cmocka_unit_test(what_services_hold_is_known_after_a_restart),
        cmocka_unit_test(the_range_of_ports_is_chosen),
        cmocka_unit_test(health_checks_have_ports_too),
        cmocka_unit_test(people_choose_from_the_lower_part),
        cmocka_unit_test(a_recount_finds_what_was_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

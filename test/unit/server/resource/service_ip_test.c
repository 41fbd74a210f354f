/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/json.h"
#include "server/resource/service_ip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int make(struct service_ips **out, const char *first, const char *second, struct err *e)
{
    const struct service_ips_config c = { .cidrs = { first, second } };

    return service_ips_new(out, &c, e);
}

/* Bounds: kube-apiserver's maxCIDRBits of 20, and 8 addresses of ServiceIPRange at least. */
static void one_range_or_one_of_each_family_is_taken(void **state)
{
    static const struct {
        const char *first, *second, *families; /* NULL: refused */
    } rows[] = {
        { "10.43.0.0/16", NULL, "IPv4" },
        { "10.43.0.0/29", NULL, "IPv4" },
        { "10.43.0.0/30", NULL, NULL },
        { "10.32.0.0/12", NULL, "IPv4" },
        { "10.32.0.0/11", NULL, NULL },
        { "10.43.0.0", NULL, NULL },
        { "x/16", NULL, NULL },
        { "", NULL, NULL },
        { NULL, NULL, NULL },
        { "fd00:43::/112", NULL, "IPv6" },
        { "fd00:43::/108", NULL, "IPv6" },
        { "fd00:43::/107", NULL, NULL },
        { "fd00:43::/125", NULL, "IPv6" },
        { "fd00:43::/126", NULL, NULL },
        { "10.43.0.0/16", "fd00:43::/112", "IPv4 IPv6" },
        { "fd00:43::/112", "10.43.0.0/16", "IPv6 IPv4" },
        { "10.43.0.0/16", "10.44.0.0/16", NULL }, /* "must be of different IP family" */
        { "fd00:43::/112", "fd00:44::/112", NULL },
        { "10.43.0.0/16", "fd00::/64", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct service_ips *s = NULL;
        struct err e = { 0 };
        int r = make(&s, rows[i].first, rows[i].second, &e);

        if (!rows[i].families && r != ERR_INVALID)
            fail_msg("row %zu is not refused", i);
        if (rows[i].families) {
            if (r)
                fail_msg("row %zu: %s", i, e.text);
            struct service_families f = service_ips_families(s);
            char got[16] = "";
            snprintf(got, sizeof got, "%s%s%s", f.names[0], f.n > 1 ? " " : "",
                     f.n > 1 ? f.names[1] : "");
            assert_string_equal(got, rows[i].families);
        }
        service_ips_free(s);
    }
}

/* ipallocator.Range: IPv6 has no broadcast address, so its last one is given too; the first one of
 * the primary range is the kubernetes Service's, that of the secondary is nobody's. */
static void each_family_is_given_from_its_range(void **state)
{
    struct service_ips *s;
    char ip[INET6_ADDRSTRLEN];
    struct err e = { 0 };

    (void)state;
    assert_int_equal(make(&s, "fd00:43::/125", "10.43.0.0/29", &e), 0);
    for (size_t n = 0; n < 6; n++) { /* ::2 to ::7 */
        assert_int_equal(service_ips_take_any(s, "IPv6", ip, &e), 0);
        assert_memory_equal(ip, "fd00:43::", 9);
        assert_string_not_equal(ip, "fd00:43::1");
    }
    assert_int_equal(service_ips_take_any(s, "IPv6", ip, &e), ERR_LIMIT);
    for (size_t n = 0; n < 6; n++) { /* .1 to .6 */
        assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), 0);
        assert_memory_equal(ip, "10.43.0.", 8);
    }
    assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), ERR_LIMIT);
    assert_int_equal(service_ips_take_any(s, "IPv5", ip, &e), ERR_INVALID);
    service_ips_free(s);
}

/* However an IPv6 address is written, it is one. */
static void an_address_is_known_by_every_spelling(void **state)
{
    json_auto_t *a = json_pack("{s:{s:s, s:[s, s]}}", "spec", "clusterIP", "10.43.0.9",
                               "clusterIPs", "10.43.0.9", "FD00:43:0::000a");
    struct service_ips *s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(make(&s, "10.43.0.0/16", "fd00:43::/112", &e), 0);
    service_ips_hold(s, a);
    assert_int_equal(service_ips_take(s, "fd00:43::a", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "fd00:0043:0:0:0:0:0:a", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "fd00:43::1:0", &e), ERR_INVALID);
    assert_string_equal(e.text, "the provided IP (fd00:43::1:0) is not in the valid range. The "
                                "range of valid IPs is fd00:43::/112");
    assert_int_equal(service_ips_take(s, "fd00:43::ffff", &e), 0);
    service_ips_release(s, a, NULL);
    assert_int_equal(service_ips_take(s, "fd00:43::a", &e), 0);
    service_ips_free(s);
}

static void what_a_service_keeps_of_two_stays_held(void **state)
{
    json_auto_t *two = json_pack("{s:{s:s, s:[s, s]}}", "spec", "clusterIP", "10.43.0.9",
                                 "clusterIPs", "10.43.0.9", "fd00:43::9");
    json_auto_t *one =
        json_pack("{s:{s:s, s:[s]}}", "spec", "clusterIP", "10.43.0.9", "clusterIPs", "10.43.0.9");
    struct service_ips *s;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(make(&s, "10.43.0.0/16", "fd00:43::/112", &e), 0);
    service_ips_hold(s, two);
    service_ips_release(s, two, one);
    assert_int_equal(service_ips_take(s, "10.43.0.9", &e), ERR_EXISTS);
    assert_int_equal(service_ips_take(s, "fd00:43::9", &e), 0);
    for (size_t i = 0; i < 2; i++) { /* nobody has it: lost at the second recount */
        service_ips_recount_begin(s);
        service_ips_recount_see(s, one);
        assert_int_equal(service_ips_recount_end(s), i);
    }
    assert_int_equal(service_ips_take(s, "fd00:43::9", &e), 0);
    service_ips_free(s);
}

static void addresses_are_given_once_until_none_is_left(void **state)
{
    struct service_ips *s;
    char ip[INET6_ADDRSTRLEN], seen[8][INET6_ADDRSTRLEN];
    struct err e = { 0 };

    (void)state;
    assert_int_equal(make(&s, "10.43.0.0/29", NULL, &e), 0);
    /* eight, without the network, its first (for the kubernetes Service) and its last */
    for (size_t n = 0; n < 5; n++) {
        assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), 0);
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(ip, seen[i]);
        memcpy(seen[n], ip, sizeof ip);
    }
    assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), ERR_LIMIT);
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
    assert_int_equal(make(&s, "10.43.0.0/16", NULL, &e), 0);
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
        assert_int_equal(
            service_ips_new(&s, &(struct service_ips_config){ { "10.43.0.0/16" }, .ports = bad[i] },
                            &e),
            ERR_INVALID);
    assert_int_equal(
        service_ips_new(&s, &(struct service_ips_config){ { "10.43.0.0/16" }, .ports = "80-81" },
                        &e),
        0);
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
    assert_int_equal(make(&s, "10.43.0.0/16", NULL, &e), 0);
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
    char ip[INET6_ADDRSTRLEN];

    (void)state;
    assert_int_equal(make(&s, "10.43.0.0/24", NULL, &e), 0);
    for (size_t i = 0; i < 254 - 16; i++) { /* 16 of 256 are left to them */
        assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), 0);
        assert_true(atoi(strrchr(ip, '.') + 1) > 16);
    }
    assert_int_equal(service_ips_take_any(s, "IPv4", ip, &e), 0);
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
    assert_int_equal(make(&s, "10.43.0.0/16", NULL, &e), 0);
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
        cmocka_unit_test(one_range_or_one_of_each_family_is_taken),
        cmocka_unit_test(each_family_is_given_from_its_range),
        cmocka_unit_test(an_address_is_known_by_every_spelling),
        cmocka_unit_test(what_a_service_keeps_of_two_stays_held),
        cmocka_unit_test(addresses_are_given_once_until_none_is_left),
        cmocka_unit_test(what_services_hold_is_known_after_a_restart),
        cmocka_unit_test(the_range_of_ports_is_chosen),
        cmocka_unit_test(health_checks_have_ports_too),
        cmocka_unit_test(people_choose_from_the_lower_part),
        cmocka_unit_test(a_recount_finds_what_was_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

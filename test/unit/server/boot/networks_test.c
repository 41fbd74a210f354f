/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "server/boot/networks.h"

#include <string.h>

static size_t count(const char *const *v)
{
    size_t n = 0;

    while (v[n])
        n++;
    return n;
}

/* K3s: pkg/util GetDefaultAddresses, pkg/agent/run.go; two at most and of two families:
 * kube-apiserver's --service-cluster-ip-range, kube-controller-manager's --cluster-cidr. */
static void networks_agree_or_are_named(void **state)
{
    static const struct {
        const char *pods[4], *services[4], *node[3];
        bool no_agent;
        const char *want; /* NULL: fine */
    } rows[] = {
        { { NULL }, { NULL }, { "192.0.2.1" }, false, NULL },
        { { NULL }, { NULL }, { "2001:db8::1" }, false, NULL },
        { { NULL }, { NULL }, { "192.0.2.1", "2001:db8::1" }, false, NULL },
        { { "10.42.0.0/16", "fd00:42::/56" },
          { "10.43.0.0/16", "fd00:43::/112" },
          { "2001:db8::1", "192.0.2.1" },
          false,
          NULL },
        { { "fd00:42::/56", "10.42.0.0/16" },
          { "fd00:43::/112", "10.43.0.0/16" },
          { "192.0.2.1", "2001:db8::1" },
          false,
          NULL },
        { { "x" },
          { NULL },
          { "192.0.2.1" },
          false,
          "--cluster-cidr: \"x\" is not a network like 10.42.0.0/16" },
        { { NULL },
          { "10.43.0.0/33" },
          { "192.0.2.1" },
          false,
          "--service-cidr: \"10.43.0.0/33\" is not a network like 10.43.0.0/16" },
        { { "10.42.0.0/16", "10.44.0.0/16" },
          { NULL },
          { "192.0.2.1" },
          false,
          "--cluster-cidr: 10.42.0.0/16 and 10.44.0.0/16 are of one IP family" },
        { { NULL },
          { "fd00::/112", "fd01::/112" },
          { "192.0.2.1" },
          false,
          "--service-cidr: fd00::/112 and fd01::/112 are of one IP family" },
        { { "10.42.0.0/16", "fd00::/56", "fd01::/56" },
          { NULL },
          { "192.0.2.1" },
          false,
          "--cluster-cidr: two networks at most, one of each family" },
        { { "10.42.0.0/25" },
          { NULL },
          { "192.0.2.1" },
          false,
          "--cluster-cidr: 10.42.0.0/25 is smaller than the /24 that each node gets" },
        { { "fd00:42::/65" },
          { "fd00:43::/112" },
          { "2001:db8::1" },
          false,
          "--cluster-cidr: fd00:42::/65 is smaller than the /64 that each node gets" },
        { { "fd00:42::/47" },
          { "fd00:43::/112" },
          { "2001:db8::1" },
          false,
          "--cluster-cidr: fd00:42::/47 is too large: at least /48 for IPv6" },
        { { "10.42.0.0/16", "fd00:42::/56" },
          { NULL },
          { "192.0.2.1", "2001:db8::1" },
          false,
          "cluster-cidr: [10.42.0.0/16 fd00:42::/56] and service-cidr: [10.43.0.0/16], must share "
          "the same IP version (IPv4, IPv6 or dual-stack)" },
        { { "10.42.0.0/16", "fd00:42::/56" },
          { "fd00:43::/112", "10.43.0.0/16" },
          { "192.0.2.1", "2001:db8::1" },
          false,
          "cluster-cidr: [10.42.0.0/16 fd00:42::/56] and service-cidr: [fd00:43::/112 "
          "10.43.0.0/16], must share the same IP version (IPv4, IPv6 or dual-stack)" },
        { { "10.42.0.0/16", "fd00:42::/56" },
          { "10.43.0.0/16", "fd00:43::/112" },
          { "192.0.2.1" },
          false,
          "cluster-cidr: [10.42.0.0/16 fd00:42::/56] and node-ip: [192.0.2.1], must share the same "
          "IP version (IPv4, IPv6 or dual-stack)" },
        { { "10.42.0.0/16", "fd00:42::/56" },
          { "10.43.0.0/16", "fd00:43::/112" },
          { "192.0.2.1" },
          true,
          NULL }, /* no node of its own */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_options o = {
            .cluster_cidr = { (char **)rows[i].pods, count(rows[i].pods) },
            .service_cidr = { (char **)rows[i].services, count(rows[i].services) },
            .disable_agent = rows[i].no_agent,
        };
        struct err e = { 0 };
        int r;

        networks_default(&o, rows[i].node[0]);
        r = networks_check(&o, rows[i].node, count(rows[i].node), &e);
        if (r != (rows[i].want ? ERR_INVALID : 0) ||
            (rows[i].want && strcmp(e.text, rows[i].want) != 0))
            fail_msg("row %zu: %s", i, e.text);
    }
}

static void defaults_follow_the_node(void **state)
{
    struct server_options four = { .disable_agent = false }, six = { .disable_agent = false };

    (void)state;
    networks_default(&four, "192.0.2.1");
    networks_default(&six, "2001:db8::1");
    assert_string_equal(four.cluster_cidr.v[0], "10.42.0.0/16");
    assert_string_equal(four.service_cidr.v[0], "10.43.0.0/16");
    assert_string_equal(six.cluster_cidr.v[0], "fd00:42::/56");
    assert_string_equal(six.service_cidr.v[0], "fd00:43::/112");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_agree_or_are_named),
        cmocka_unit_test(defaults_follow_the_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

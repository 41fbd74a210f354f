#include "tunnel/authorizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void only_the_kubelet_and_the_stream_port_of_this_host_are_allowed(void **state)
{
    static const struct {
        const char *proto, *address;
        int code;
    } t[] = {
        { "tcp", "127.0.0.1:10250", 0 },
        { "tcp", "[::1]:10250", 0 },
        { "tcp", "127.0.0.1:10010", 0 },
        { "tcp", "127.0.0.1:22", ERR_DENIED },
        { "tcp", "127.0.0.1:10255", ERR_DENIED },
        { "tcp", "127.0.0.2:10250", ERR_DENIED },
        { "tcp", "localhost:10250", ERR_DENIED }, /* a name is somebody else's to define */
        { "tcp", "10.42.0.5:10250", ERR_DENIED },
        { "tcp", "0.0.0.0:10250", ERR_DENIED },
        { "tcp", "[::ffff:127.0.0.1]:10250", ERR_DENIED },
        { "udp", "127.0.0.1:10250", ERR_DENIED },
        { "unix", "127.0.0.1:10250", ERR_DENIED },
        { "client-a::tcp", "127.0.0.1:10250", ERR_DENIED }, /* peering, which we do not speak */
        { "tcp", "127.0.0.1", ERR_INVALID },
        { "tcp", "127.0.0.1:", ERR_INVALID },
        { "tcp", "127.0.0.1:99999", ERR_INVALID },
        { "tcp", "", ERR_INVALID },
        { "", "127.0.0.1:10250", ERR_DENIED },
    };
    struct tunnel_authorizer a;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_authorizer_init(&a, STR("agent"), &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct tunnel_target out;
        int code = tunnel_authorizer_check(&a, str_of(t[i].proto), str_of(t[i].address), &out, &e);

        if (code != t[i].code)
            fail_msg("%s/%s: %d, expected %d", t[i].proto, t[i].address, code, t[i].code);
        if (code == ERR_DENIED)
            assert_true(str_starts(str_of(e.text), STR("not allowed: ")));
    }
}

static void the_kubelets_port_and_address_may_change(void **state)
{
    struct tunnel_authorizer a;
    struct tunnel_target out;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_authorizer_init(&a, STR("disabled"), &e), 0);
    a.kubelet_port = 20250;
    assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("127.0.0.1:10250"), &out, &e),
                     ERR_DENIED);
    assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("[::1]:20250"), &out, &e), 0);
    assert_string_equal(out.host, "::1");
    assert_int_equal(out.port, 20250);
    memcpy(a.kubelet_host, "192.0.2.7", 10);
    assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("[::1]:20250"), &out, &e), 0);
    assert_string_equal(out.host, "192.0.2.7");
    assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("127.0.0.1:10010"), &out, &e), 0);
    assert_string_equal(out.host, "127.0.0.1");
}

static void a_mode_that_does_not_exist_is_refused_by_name(void **state)
{
    struct tunnel_authorizer a;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_authorizer_init(&a, STR("clusters"), &e), ERR_INVALID);
    assert_string_equal(e.text,
                        "egress-selector-mode \"clusters\" does not exist; agent, disabled, "
                        "pod and cluster do");
    assert_int_equal(tunnel_authorizer_init(&a, STR(""), &e), ERR_INVALID);
}

static const char *const node_ips[] = { "192.0.2.7", "2001:db8::7" };
static const char *const cidrs[] = { "10.42.0.0/15", "fd00:42::/57" };
static const char *const pod_ips[] = { "10.42.3.5", "fd00:42::5" };
static const char *const host_pod_ips[] = { "192.0.2.7" };
static const uint16_t pod_ports[] = { 80 }, host_pod_ports[] = { 9100, 9101 };
static const struct tunnel_pod pods[] = {
    { pod_ips, ARRAY_LEN(pod_ips), false, pod_ports, ARRAY_LEN(pod_ports) },
    { host_pod_ips, ARRAY_LEN(host_pod_ips), true, host_pod_ports, ARRAY_LEN(host_pod_ports) },
};

static void pods_and_nodes_are_allowed_as_the_mode_says(void **state)
{
    static const struct {
        const char *address;
        bool agent, pod, cluster;
    } t[] = {
        { "127.0.0.1:10250", true, true, true },
        { "127.0.0.1:80", false, false, false },
        { "10.42.3.5:80", false, true, true },
        { "10.42.3.5:22", false, true, true },  /* any port of a pod */
        { "10.42.3.6:80", false, false, true }, /* another node's pod */
        { "10.43.255.255:80", false, false, true },
        { "10.44.0.0:80", false, false, false },
        { "10.41.255.255:80", false, false, false },
        { "[fd00:42::5]:80", false, true, true },
        { "[fd00:42:0:7f::1]:80", false, false, true },
        { "[fd00:42:0:80::1]:80", false, false, false },
        { "192.0.2.7:9100", false, true, true },
        { "192.0.2.7:9102", false, false, true },
        { "192.0.2.8:9100", false, false, false },
        { "[2001:db8::7]:9101", false, true, true },
        { "[::ffff:10.42.3.5]:80", false, true, true }, /* the same address */
        { "localhost:80", false, false, false },
        { "pod.example:80", false, false, false },
        { "8.8.8.8:53", false, false, false },
    };
    static const char *const names[] = { "agent", "pod", "cluster" };

    (void)state;
    for (size_t mode = 0; mode < ARRAY_LEN(names); mode++) {
        struct tunnel_authorizer a;
        struct tunnel_target out;
        struct err e;

        assert_int_equal(tunnel_authorizer_init(&a, str_of(names[mode]), &e), 0);
        for (unsigned told = 0; told < 2; told++) {
            for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                bool want = mode == 0 ? t[i].agent : mode == 1 ? t[i].pod : t[i].cluster;
                int code = tunnel_authorizer_check(&a, STR("tcp"), str_of(t[i].address), &out, &e);

                want = told ? want : t[i].agent; /* before it is told, nothing more */
                if (code != (want ? 0 : ERR_DENIED))
                    fail_msg("%s, told %u: %s: %d", names[mode], told, t[i].address, code);
            }
            assert_int_equal(tunnel_authorizer_check(&a, STR("udp"), STR("10.42.3.5:80"), &out, &e),
                             ERR_DENIED);
            assert_int_equal(tunnel_authorizer_set_node(&a, node_ips, ARRAY_LEN(node_ips), cidrs,
                                                        ARRAY_LEN(cidrs), &e),
                             0);
            assert_int_equal(tunnel_authorizer_set_pods(&a, pods, ARRAY_LEN(pods), &e), 0);
        }
        assert_int_equal(tunnel_authorizer_set_pods(&a, NULL, 0, &e), 0);
        assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("10.42.3.5:80"), &out, &e),
                         mode == 2 ? 0 : ERR_DENIED);
        tunnel_authorizer_deinit(&a);
    }
}

static void what_is_no_address_changes_nothing(void **state)
{
    static const char *const bad_cidrs[] = { "10.42.0.0/33" }, *const bad_ips[] = {
        "10.42.0.0/16"
    };
    static const struct tunnel_pod bad_pod = { .ips = bad_ips, .n_ips = 1 };
    struct tunnel_authorizer a;
    struct tunnel_target out;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_authorizer_init(&a, STR("cluster"), &e), 0);
    assert_int_equal(tunnel_authorizer_set_node(&a, node_ips, 2, cidrs, 2, &e), 0);
    assert_int_equal(tunnel_authorizer_set_node(&a, node_ips, 2, bad_cidrs, 1, &e), ERR_INVALID);
    assert_string_equal(e.text, "not an address block: 10.42.0.0/33");
    assert_int_equal(tunnel_authorizer_set_node(&a, bad_ips, 1, cidrs, 2, &e), ERR_INVALID);
    assert_int_equal(tunnel_authorizer_set_pods(&a, &bad_pod, 1, &e), ERR_INVALID);
    assert_string_equal(e.text, "not an IP address: 10.42.0.0/16");
    assert_int_equal(tunnel_authorizer_check(&a, STR("tcp"), STR("10.42.0.1:1"), &out, &e), 0);
    tunnel_authorizer_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_kubelet_and_the_stream_port_of_this_host_are_allowed),
        cmocka_unit_test(the_kubelets_port_and_address_may_change),
        cmocka_unit_test(a_mode_that_does_not_exist_is_refused_by_name),
        cmocka_unit_test(pods_and_nodes_are_allowed_as_the_mode_says),
        cmocka_unit_test(what_is_no_address_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

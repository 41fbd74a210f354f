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

static void modes_we_do_not_have_are_refused_by_name(void **state)
{
    struct tunnel_authorizer a;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_authorizer_init(&a, STR("cluster"), &e), ERR_INVALID);
    assert_string_equal(
        e.text, "egress-selector-mode \"cluster\" is not supported; agent and disabled are");
    assert_int_equal(tunnel_authorizer_init(&a, STR("pod"), &e), ERR_INVALID);
    assert_int_equal(tunnel_authorizer_init(&a, STR(""), &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_kubelet_and_the_stream_port_of_this_host_are_allowed),
        cmocka_unit_test(the_kubelets_port_and_address_may_change),
        cmocka_unit_test(modes_we_do_not_have_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

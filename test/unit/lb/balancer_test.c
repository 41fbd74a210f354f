#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/rand.h"
#include "base/io/file.h"
#include "lb/state_file.h"
#include "test/unit/lb/rig.h"

static void bytes_pass_both_ways_and_the_end_is_forwarded(void **state)
{
    enum { N_BYTES = 3 << 20 };
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server s;
    struct client c;
    uv_loop_t loop;
    struct err e;
    char *bytes = mem_alloc(N_BYTES);
    (void)state;

    rand_bytes(bytes, N_BYTES);
    uv_loop_init(&loop);
    server_start(&s, &loop, "one");
    o.seed = s.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    send_copy((uv_stream_t *)&c.tcp, bytes, N_BYTES);
    uv_shutdown_t *shut = mem_alloc(sizeof *shut);
    uv_shutdown(shut, (uv_stream_t *)&c.tcp, NULL);
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 3 + N_BYTES);
    assert_memory_equal(c.got.p + 3, bytes, N_BYTES);
    free(shut);
    client_stop(&c);
    server_kill(&s);
    finish(&loop, b);
    free(bytes);
}

static void a_killed_server_costs_the_next_request_nothing(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server one, two;
    struct client c1, c2;
    uv_loop_t loop;
    struct err e;
    const char *list[2];
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    server_start(&two, &loop, "two");
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = one.address;
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    bool first_is_one = strcmp(buf_cstr(&c1.got), "one") == 0;
    struct server *used = first_is_one ? &one : &two, *other = first_is_one ? &two : &one;
    server_kill(used);
    RUN_UNTIL(&loop, c1.ended);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_string_equal(buf_cstr(&c2.got), other->name);
    assert_int_equal(state_of(b, used->address), LB_FAILED);
    client_stop(&c1);
    client_stop(&c2);
    server_kill(other);
    finish(&loop, b);
}

static void a_failed_tunnel_closes_the_connections_of_its_server(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server one, two;
    struct client c1, c2;
    uv_loop_t loop;
    struct err e;
    const char *list[2];
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    server_start(&two, &loop, "two");
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = one.address;
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    balancer_set_health(b, one.address, BALANCER_OK);
    RUN_UNTIL(&loop, state_of(b, one.address) == LB_PREFERRED);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    assert_string_equal(buf_cstr(&c1.got), "one");
    assert_int_equal(state_of(b, one.address), LB_ACTIVE);
    balancer_set_health(b, one.address, BALANCER_FAILED);
    balancer_set_health(b, two.address, BALANCER_OK);
    RUN_UNTIL(&loop, c1.ended); /* the server is well, but its connections were closed */
    assert_int_equal(state_of(b, one.address), LB_FAILED);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_string_equal(buf_cstr(&c2.got), "two");
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&one);
    server_kill(&two);
    finish(&loop, b);
}

static void no_server_means_a_close_without_bytes(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "127.0.0.1:1" };
    struct balancer *b;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 0);
    client_stop(&c);
    finish(&loop, b);
}

static void a_taken_port_is_named(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "127.0.0.1:1" };
    struct balancer *b, *b2;
    uv_loop_t loop;
    struct err e;
    char want[64];
    (void)state;

    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    o.port = balancer_port(b);
    assert_int_equal(balancer_new(&b2, &loop, &o, &e), ERR_EXISTS);
    snprintf(want, sizeof want, "load balancer: listen on 127.0.0.1:%u", o.port);
    assert_memory_equal(e.text, want, strlen(want));
    finish(&loop, b);
}

/* It would only dial itself: without a list there is nobody. */
static void its_own_address_is_no_server(void **state)
{
    struct balancer_options o = { .name = "test", .seed = "seed.example:6443" };
    const char *addresses[1];
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    assert_int_equal(balancer_addresses(b, addresses, 1), 1);
    o.port = balancer_port(b); /* free again in a moment */
    finish(&loop, b);
    for (size_t i = 0; i < 2; i++) {
        char seed[32];

        snprintf(seed, sizeof seed, i ? "[::1]:%u" : "127.0.0.1:%u", o.port);
        o.seed = seed;
        uv_loop_init(&loop);
        assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
        assert_int_equal(balancer_addresses(b, addresses, 1), 0);
        finish(&loop, b);
    }
}

static void the_list_survives_a_restart_for_the_same_url_only(void **state)
{
    char dir[] = "/tmp/lb-test-XXXXXX";
    struct balancer_options o = { .name = "k3s-agent-load-balancer", .seed = "seed.example:6443" };
    const char *list[] = { "10.0.0.1:6443", "10.0.0.2:6443" };
    auto_buf text = BUF(4096);
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    assert_non_null(mkdtemp(dir));
    auto_free char *etc = mem_printf("%s/etc", dir);
    auto_free char *path = mem_printf("%s/k3s-agent-load-balancer.json", etc);
    o.state_dir = etc;
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    balancer_set_addresses(b, list, 2);
    balancer_set_addresses(b, list, 0); /* an empty list is never believed */
    finish(&loop, b);
    assert_int_equal(file_read(path, 4096, &text, &e), 0);
    assert_string_equal(buf_cstr(&text), "{\n  \"ServerURL\": \"https://seed.example:6443\",\n"
                                         "  \"ServerAddresses\": [\n    \"10.0.0.1:6443\",\n"
                                         "    \"10.0.0.2:6443\"\n  ]\n}");
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    assert_int_equal(state_of(b, "10.0.0.2:6443"), LB_UNCHECKED);
    assert_int_equal(state_of(b, "seed.example:6443"), LB_STANDBY);
    finish(&loop, b);
    o.seed = "other.example:6443";
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    assert_int_equal(state_of(b, "10.0.0.2:6443"), LB_INVALID);
    finish(&loop, b);
    unlink(path);
    rmdir(etc);
    rmdir(dir);
}

static void broken_state_files_are_refused_or_cleaned(void **state)
{
    static const struct {
        const char *text;
        int code;
        size_t n;
    } rows[] = {
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":[\"b:1\"],\"Listener\":null}", 0, 1 },
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":null}", 0, 0 },
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":[1,\"b\",\"b:0\",\"b:x\",\"a/"
          "b:1\",\":1\"]}",
          0, 0 },
        { "{\"ServerAddresses\":[\"b:1\"]}", ERR_NOT_FOUND, 0 },
        { "{\"ServerURL\":7}", ERR_INVALID, 0 },
        { "not json", ERR_INVALID, 0 },
        { "", ERR_INVALID, 0 },
    };
    auto_free struct lb_state_file *f = mem_alloc(sizeof *f);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        assert_int_equal(lb_state_file_parse(f, str_of(rows[i].text), &e), rows[i].code);
        if (!rows[i].code)
            assert_int_equal(f->n_addresses, rows[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways_and_the_end_is_forwarded),
        cmocka_unit_test(a_killed_server_costs_the_next_request_nothing),
        cmocka_unit_test(a_failed_tunnel_closes_the_connections_of_its_server),
        cmocka_unit_test(no_server_means_a_close_without_bytes),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(its_own_address_is_no_server),
        cmocka_unit_test(the_list_survives_a_restart_for_the_same_url_only),
        cmocka_unit_test(broken_state_files_are_refused_or_cleaned),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

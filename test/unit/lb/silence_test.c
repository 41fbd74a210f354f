/* Servers that swallow connects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>

#include "test/unit/base/io/hole.h"
#include "test/unit/lb/rig.h"

static void run_ms(uv_loop_t *loop, uint64_t ms)
{
    uint64_t until_ns = uv_hrtime() + ms * 1000000;

    RUN_UNTIL(loop, uv_hrtime() > until_ns);
}

static void a_silent_server_costs_a_moment_and_is_failed_in_the_end(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct server one, two;
    struct client c1, c2;
    struct balancer *b;
    struct hole hole;
    uv_loop_t loop;
    const char *list[2];
    char address[32];
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    server_start(&two, &loop, "two");
    snprintf(address, sizeof address, "%s", one.address);
    o.seed = address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = address;
    balancer_set_addresses(b, list, 1);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    balancer_set_health(b, address, BALANCER_OK);
    RUN_UNTIL(&loop, state_of(b, address) == LB_ACTIVE);
    balancer_set_health(b, address, BALANCER_UNKNOWN);
    server_kill(&one);
    RUN_UNTIL(&loop, c1.ended && one.closed && !one.peers);
    hole_dig_at(&hole, "127.0.0.1", one.port);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_string_equal(buf_cstr(&c2.got), "two");
    RUN_UNTIL(&loop, state_of(b, address) == LB_FAILED);
    assert_false(c2.ended); /* the winner's connection is its own */
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&two);
    finish(&loop, b);
    hole_fill(&hole);
}

static void closing_ends_races_and_their_losers(void **state)
{
    struct balancer_options o = { .name = "t", .dial_timeout_ms = 3600000 };
    struct client c;
    struct balancer *b;
    struct hole hole, seed;
    uv_loop_t loop;
    const char *list[1];
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    hole_dig(&hole, "127.0.0.1");
    hole_dig(&seed, "127.0.0.1");
    o.seed = seed.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = hole.address;
    balancer_set_addresses(b, list, 1);
    client_start(&c, &loop, balancer_port(b));
    run_ms(&loop, 1300); /* both are being dialed */
    client_stop(&c);
    finish(&loop, b);
    hole_fill(&hole);
    hole_fill(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_server_costs_a_moment_and_is_failed_in_the_end),
        cmocka_unit_test(closing_ends_races_and_their_losers),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

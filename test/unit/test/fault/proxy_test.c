/* The fault proxy between a client and an echo, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/tcp.h"
#include "test/fault/proxy.h"
#include "test/unit/base/io/io_end.h"

#include <errno.h>
#include <stdio.h>

enum { N_ENDS = 4, QUIET_TURNS = 20 };

struct world {
    uv_loop_t loop;
    struct fault_proxy *proxy;
    struct listener *target;
    struct end servers[N_ENDS], clients[N_ENDS];
    size_t n_servers, n_clients;
    bool no_echo;
    int n_closed;
};

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;
    struct end *d = &w->servers[w->n_servers++];

    d->echo = !w->no_echo;
    end_open(d, s);
}

static void world_init(struct world *w)
{
    char target[32];
    struct err e;

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(tcp_listen(&w->target, &w->loop, "127.0.0.1", 0, on_accept, w, &e), 0);
    snprintf(target, sizeof target, "127.0.0.1:%u", listener_port(w->target));
    assert_int_equal(fault_proxy_new(&w->proxy, &w->loop, "127.0.0.1:0", target, &e), 0);
}

static void count_closed(void *arg)
{
    ((struct world *)arg)->n_closed++;
}

static void world_deinit(struct world *w)
{
    for (size_t i = 0; i < w->n_clients; i++)
        end_close(&w->clients[i]);
    for (size_t i = 0; i < w->n_servers; i++)
        end_close(&w->servers[i]);
    fault_proxy_close(w->proxy, count_closed, w);
    listener_close(w->target, count_closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->n_closed, 2);
    for (size_t i = 0; i < N_ENDS; i++) {
        end_deinit(&w->clients[i]);
        end_deinit(&w->servers[i]);
    }
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

struct dialed {
    struct world *w;
    int n, n_errors;
};

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct dialed *d = arg;

    d->n++;
    if (e)
        d->n_errors++;
    else
        end_open(&d->w->clients[d->w->n_clients++], s);
}

static int is_dialed(void *arg)
{
    return ((struct dialed *)arg)->n;
}

static struct end *dial(struct world *w)
{
    struct dialed d = { .w = w };

    tcp_dial(NULL, &w->loop, "127.0.0.1", fault_proxy_port(w->proxy), 5000, on_dialed, &d);
    run_until(&w->loop, is_dialed, &d);
    assert_int_equal(d.n_errors, 0);
    return &w->clients[w->n_clients - 1];
}

/* The kernel accepts before the proxy does: the reset comes during the dial or after it. */
static void dial_fails(struct world *w)
{
    struct dialed d = { .w = w };

    tcp_dial(NULL, &w->loop, "127.0.0.1", fault_proxy_port(w->proxy), 5000, on_dialed, &d);
    run_until(&w->loop, is_dialed, &d);
    if (!d.n_errors)
        run_until(&w->loop, end_has_error, &w->clients[w->n_clients - 1]);
}

static void say(struct end *d, const char *text)
{
    stream_write(d->s, text, strlen(text));
    d->want += strlen(text);
}

static struct end *dial_and_talk(struct world *w)
{
    struct end *c = dial(w);

    say(c, "hello");
    run_until(&w->loop, end_got_want, c);
    return c;
}

/* Long enough for whatever passes at once to have passed. */
static void turns(struct world *w)
{
    for (int i = 0; i < QUIET_TURNS; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

static void everything_passes_when_all_is_well(void **state)
{
    struct world w;
    struct end *c;

    (void)state;
    world_init(&w);
    c = dial(&w);
    end_send_pattern(c, 12 * 1024 * 1024); /* more than waits in the proxy at most */
    run_until(&w.loop, end_got_pattern, c);
    stream_shutdown(c->s);
    run_until(&w.loop, end_has_ended, c);
    assert_int_equal(w.servers[0].n_ends, 1);
    world_deinit(&w);
}

static void a_reset_reaches_the_sides_it_is_for(void **state)
{
    static const struct {
        enum fault_ways ways;
        int client, target; /* errors */
    } t[] = { { FAULT_BOTH, 1, 1 }, { FAULT_UP, 0, 1 }, { FAULT_DOWN, 1, 0 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;
        struct end *c;

        world_init(&w);
        c = dial_and_talk(&w);
        fault_proxy_reset(w.proxy, t[i].ways);
        run_until(&w.loop, end_has_error, t[i].client ? c : &w.servers[0]);
        turns(&w);
        assert_int_equal(c->n_errors, t[i].client);
        assert_int_equal(w.servers[0].n_errors, t[i].target);
        assert_int_equal((t[i].client ? c : &w.servers[0])->err.sys, ECONNRESET);
        assert_int_equal(c->n_ends + w.servers[0].n_ends, 0);
        dial_and_talk(&w); /* new ones work */
        world_deinit(&w);
    }
}

static void a_hole_holds_all_until_it_heals(void **state)
{
    static const enum fault_ways t[] = { FAULT_UP, FAULT_DOWN, FAULT_BOTH };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;
        struct end *c, *late;

        world_init(&w);
        c = dial_and_talk(&w);
        fault_proxy_hole(w.proxy, t[i]);
        say(c, " world");
        late = dial(&w); /* as a balancer would accept it */
        say(late, "late");
        turns(&w);
        assert_int_equal(c->got.n, 5);
        assert_int_equal(w.servers[0].n_data, t[i] & FAULT_UP ? 1 : 2);
        assert_int_equal(w.n_servers, 1);
        fault_proxy_heal(w.proxy);
        run_until(&w.loop, end_got_want, c);
        run_until(&w.loop, end_got_want, late);
        assert_memory_equal(c->got.p, "hello world", 11);
        world_deinit(&w);
    }
}

static void a_hole_hides_a_reset_until_it_heals(void **state)
{
    struct world w;
    struct end *c;

    (void)state;
    world_init(&w);
    w.no_echo = true;
    c = dial(&w);
    say(c, "x");
    while (!w.n_servers || !w.servers[0].n_data)
        uv_run(&w.loop, UV_RUN_ONCE);
    fault_proxy_hole(w.proxy, FAULT_UP);
    stream_write(w.servers[0].s, "unread", 6);
    stream_pause(c->s); /* closing it with unread bytes is a reset */
    turns(&w);
    end_close(c);
    turns(&w);
    assert_int_equal(w.servers[0].n_ends + w.servers[0].n_errors, 0);
    fault_proxy_heal(w.proxy);
    while (!w.servers[0].n_ends && !w.servers[0].n_errors)
        uv_run(&w.loop, UV_RUN_ONCE);
    world_deinit(&w);
}

static void a_lost_connection_hears_nothing_more_and_new_ones_work(void **state)
{
    struct world w;
    struct end *c;

    (void)state;
    world_init(&w);
    c = dial_and_talk(&w);
    fault_proxy_lose(w.proxy);
    say(c, "?");
    turns(&w);
    end_close(c);
    turns(&w);
    fault_proxy_heal(w.proxy);
    turns(&w);
    assert_int_equal(w.servers[0].n_data, 1);
    assert_int_equal(w.servers[0].n_ends + w.servers[0].n_errors, 0);
    dial_and_talk(&w);
    world_deinit(&w);
}

static void halfclose_ends_one_direction(void **state)
{
    struct world w;
    struct end *c;

    (void)state;
    world_init(&w);
    w.no_echo = true;
    c = dial(&w);
    say(c, "x");
    while (!w.n_servers || !w.servers[0].n_data)
        uv_run(&w.loop, UV_RUN_ONCE);
    fault_proxy_halfclose(w.proxy, FAULT_UP);
    run_until(&w.loop, end_has_ended, &w.servers[0]);
    say(c, "dropped");
    stream_write(w.servers[0].s, "still there", 11);
    c->want = 11;
    run_until(&w.loop, end_got_want, c);
    turns(&w);
    assert_int_equal(w.servers[0].got.n, 1);
    assert_int_equal(c->n_ends + c->n_errors, 0);
    stream_shutdown(w.servers[0].s);
    run_until(&w.loop, end_has_ended, c);
    world_deinit(&w);
}

static void one_bit_is_corrupted_once(void **state)
{
    struct world w;
    struct end *c;

    (void)state;
    world_init(&w);
    c = dial_and_talk(&w);
    fault_proxy_corrupt(w.proxy, FAULT_DOWN);
    say(c, "aaa");
    run_until(&w.loop, end_got_want, c);
    say(c, "bbb");
    run_until(&w.loop, end_got_want, c);
    assert_memory_equal(c->got.p,
                        "hello"
                        "a`a"
                        "bbb",
                        11);
    world_deinit(&w);
}

static void a_delay_takes_its_time(void **state)
{
    struct world w;
    struct end *c;
    uint64_t t;

    (void)state;
    world_init(&w);
    c = dial_and_talk(&w);
    fault_proxy_delay(w.proxy, FAULT_BOTH, 40);
    t = uv_now(&w.loop);
    say(c, "x");
    run_until(&w.loop, end_got_want, c);
    assert_true(uv_now(&w.loop) - t >= 80);
    fault_proxy_delay(w.proxy, FAULT_UP, 1000 * 1000);
    say(c, "y");
    turns(&w);
    fault_proxy_heal(w.proxy); /* nobody waits for what heals */
    run_until(&w.loop, end_got_want, c);
    world_deinit(&w);
}

static void a_rate_is_kept(void **state)
{
    struct world w;
    struct end *c;
    uint64_t t;

    (void)state;
    world_init(&w);
    c = dial_and_talk(&w);
    fault_proxy_rate(w.proxy, FAULT_UP, 400 * 1024);
    t = uv_now(&w.loop);
    c->got.n = 0;
    end_send_pattern(c, 100 * 1024);
    run_until(&w.loop, end_got_pattern, c);
    assert_true(uv_now(&w.loop) - t >= 200); /* 250 ms, and the loop's turns */
    world_deinit(&w);
}

static void refused_connections_are_reset(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    fault_proxy_refuse(w.proxy);
    dial_fails(&w);
    fault_proxy_heal(w.proxy);
    dial_and_talk(&w);
    world_deinit(&w);
}

static void connects_are_reordered(void **state)
{
    struct world w;
    struct end *first, *second;

    (void)state;
    world_init(&w);
    w.no_echo = true;
    fault_proxy_reorder(w.proxy, 2);
    first = dial(&w);
    say(first, "1");
    turns(&w);
    assert_int_equal(w.n_servers, 0);
    second = dial(&w);
    say(second, "2");
    w.servers[0].want = w.servers[1].want = 1;
    run_until(&w.loop, end_got_want, &w.servers[0]);
    run_until(&w.loop, end_got_want, &w.servers[1]);
    assert_int_equal(w.servers[0].got.p[0], '2');
    assert_int_equal(w.servers[1].got.p[0], '1');

    fault_proxy_reorder(w.proxy, 2); /* a single one waits for a second, no longer */
    say(dial(&w), "3");
    w.servers[2].want = 1;
    run_until(&w.loop, end_got_want, &w.servers[2]);
    world_deinit(&w);
}

static void a_target_that_refuses_resets_the_client(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    world_init(&w);
    assert_int_equal(fault_proxy_target(w.proxy, "127.0.0.1:1", &e), 0);
    dial_fails(&w);
    world_deinit(&w);
}

static void addresses_are_checked(void **state)
{
    static const char *const bad[] = { "", "127.0.0.1", "localhost:1", "127.0.0.1:65536",
                                       "[::1:1" };
    struct fault_proxy *p;
    uv_loop_t loop;
    struct err e;

    (void)state;
    uv_loop_init(&loop);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(fault_proxy_new(&p, &loop, bad[i], "127.0.0.1:1", &e), ERR_INVALID);
        assert_int_equal(fault_proxy_new(&p, &loop, "127.0.0.1:0", bad[i], &e), ERR_INVALID);
    }
    assert_int_equal(fault_proxy_new(&p, &loop, "192.0.2.1:0", "[::1]:1", &e), ERR_IO);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_passes_when_all_is_well),
        cmocka_unit_test(a_reset_reaches_the_sides_it_is_for),
        cmocka_unit_test(a_hole_holds_all_until_it_heals),
        cmocka_unit_test(a_hole_hides_a_reset_until_it_heals),
        cmocka_unit_test(a_lost_connection_hears_nothing_more_and_new_ones_work),
        cmocka_unit_test(halfclose_ends_one_direction),
        cmocka_unit_test(one_bit_is_corrupted_once),
        cmocka_unit_test(a_delay_takes_its_time),
        cmocka_unit_test(a_rate_is_kept),
        cmocka_unit_test(refused_connections_are_reset),
        cmocka_unit_test(connects_are_reordered),
        cmocka_unit_test(a_target_that_refuses_resets_the_client),
        cmocka_unit_test(addresses_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

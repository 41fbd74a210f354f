/* Servers that swallow connects, and servers that take connections and say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/base/io/hole.h"
#include "test/unit/lb/rig.h"

/* A port whose connections the kernel completes, and nobody ever reads: a process that hangs. */
static int mute_open(const char *ip, uint16_t port, char address[32])
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = inet_addr(ip),
                             .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof a;

    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(address, 32, "%s:%u", ip, ntohs(a.sin_port));
    return fd;
}

struct doubts {
    unsigned n;
    char last[64];
};

static void on_doubt(void *arg, const char *address)
{
    struct doubts *d = arg;

    d->n++;
    snprintf(d->last, sizeof d->last, "%s", address);
}

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

static void who_does_not_answer_is_doubted_and_who_does_is_not(void **state)
{
    struct doubts d = { 0 };
    struct balancer_options o = { .name = "t", .on_doubt = on_doubt, .doubt_arg = &d };
    char address[32];
    struct server one;
    struct client quiet, c;
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one"); /* and echoes */
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    for (size_t i = 1; i <= 10; i++) {
        send_copy((uv_stream_t *)&c.tcp, "x", 1);
        RUN_UNTIL(&loop, c.got.n == 3 + i);
        run_ms(&loop, 100);
    }
    assert_int_equal(d.n, 0);
    client_stop(&c);
    server_kill(&one);
    finish(&loop, b);

    uv_loop_init(&loop);
    int mute = mute_open("127.0.0.1", 0, address);
    o.seed = address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&quiet, &loop, balancer_port(b)); /* asks nothing: nothing is owed */
    run_ms(&loop, 1500);
    assert_int_equal(d.n, 0);
    client_start(&c, &loop, balancer_port(b));
    run_ms(&loop, 100);
    send_copy((uv_stream_t *)&c.tcp, "hello", 5);
    RUN_UNTIL(&loop, d.n);
    assert_string_equal(d.last, address);
    run_ms(&loop, 1500);
    assert_int_equal(d.n, 1); /* once for what was said */
    send_copy((uv_stream_t *)&c.tcp, "hello?", 6);
    RUN_UNTIL(&loop, d.n == 2);
    assert_false(c.ended); /* there is no other: it may be slow */
    client_stop(&quiet);
    client_stop(&c);
    finish(&loop, b);
    close(mute);
}

/* ---- a name with several addresses ---- */

static const char *answers[3];
static _Atomic unsigned n_asked;

static int resolve(const char *host, const char *port, struct lb_addrs *out, struct err *e)
{
    (void)host;
    (void)e;
    n_asked++;
    out->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(answers) && answers[i]; i++) {
        struct sockaddr_in *a = &out->v[out->n].u.v4;
        *a = (struct sockaddr_in){ .sin_family = AF_INET,
                                   .sin_addr.s_addr = inet_addr(answers[i]),
                                   .sin_port = htons((uint16_t)atoi(port)) };
        out->v[out->n++].n = sizeof *a;
    }
    return 0;
}

static void an_address_that_never_speaks_is_left_for_the_names_others(void **state)
{
    struct balancer_options o = { .name = "t", .resolve = resolve };
    char address[32], seed[64];
    struct server one;
    struct client c1, c2;
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start_at(&one, &loop, "one", "127.0.0.3", 0);
    int mute = mute_open("127.0.0.5", one.port, address);
    answers[0] = "127.0.0.5";
    answers[1] = "127.0.0.3";
    answers[2] = NULL;
    snprintf(seed, sizeof seed, "srv.test:%u", one.port);
    o.seed = seed;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c1, &loop, balancer_port(b));
    run_ms(&loop, 200);
    assert_int_equal(c1.got.n, 0);
    send_copy((uv_stream_t *)&c1.tcp, "hello", 5);
    RUN_UNTIL(&loop, c1.got.n == 8); /* its server says its name first */
    assert_memory_equal(c1.got.p, "onehello", 8);
    assert_false(c1.ended);
    send_copy((uv_stream_t *)&c1.tcp, "more", 4);
    RUN_UNTIL(&loop, c1.got.n == 12);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&one);
    finish(&loop, b);
    close(mute);
}

/* More than is kept: its client has to say it again. */
static void who_has_said_too_much_is_closed(void **state)
{
    struct balancer_options o = { .name = "t", .resolve = resolve };
    static char much[3 * 16 * 1024];
    char address[32], seed[64];
    struct server one;
    struct client c;
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start_at(&one, &loop, "one", "127.0.0.3", 0);
    int mute = mute_open("127.0.0.5", one.port, address);
    answers[0] = "127.0.0.5";
    answers[1] = "127.0.0.3";
    answers[2] = NULL;
    snprintf(seed, sizeof seed, "srv.test:%u", one.port);
    o.seed = seed;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    run_ms(&loop, 200);
    send_copy((uv_stream_t *)&c.tcp, much, sizeof much);
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 0);
    client_stop(&c);
    server_kill(&one);
    finish(&loop, b);
    close(mute);
}

struct verdict {
    struct balancer *b;
    const char *of;
};

static void fail_at_doubt(void *arg, const char *address)
{
    const struct verdict *v = arg;

    if (v->b && strcmp(address, v->of) == 0)
        balancer_set_health(v->b, v->of, BALANCER_FAILED);
}

/* The tunnel's verdict ends the connections of its server, but for those that were never answered:
 * another server gets them. */
static void a_listed_server_that_hangs_loses_its_connections_to_another(void **state)
{
    struct verdict v = { NULL, NULL };
    struct balancer_options o = { .name = "t", .on_doubt = fail_at_doubt, .doubt_arg = &v };
    const char *list[2];
    struct server two;
    struct client c[3];
    struct balancer *b;
    char address[32];
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&two, &loop, "two");
    int mute = mute_open("127.0.0.1", 0, address);
    o.seed = "127.0.0.1:1";
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = address;
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    balancer_set_health(b, address, BALANCER_OK);
    RUN_UNTIL(&loop, state_of(b, address) == LB_PREFERRED || state_of(b, address) == LB_ACTIVE);
    v = (struct verdict){ b, address };
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        client_start(&c[i], &loop, balancer_port(b));
    run_ms(&loop, 200);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        send_copy((uv_stream_t *)&c[i].tcp, "hello", 5);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        RUN_UNTIL(&loop, c[i].got.n == 8);
        assert_memory_equal(c[i].got.p, "twohello", 8);
    }
    assert_int_equal(state_of(b, address), LB_FAILED);
    assert_true(state_of(b, two.address) >= LB_RECOVERING);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        client_stop(&c[i]);
    server_kill(&two);
    finish(&loop, b);
    close(mute);
}

/* It keeps its state, but a request that hangs on it must not wait for TCP to give up; and while
 * the tunnel stays away what works is left alone. */
static void the_last_resort_loses_its_connections_once_when_its_tunnel_fails(void **state)
{
    struct balancer_options o = { .name = "t" };
    const char *list[] = { "127.0.0.1:1" };
    struct client before, after;
    struct balancer *b;
    struct server one;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    balancer_set_addresses(b, list, 1);
    client_start(&before, &loop, balancer_port(b));
    RUN_UNTIL(&loop, before.got.n == 3);
    assert_int_equal(state_of(b, one.address), LB_STANDBY);
    balancer_set_health(b, one.address, BALANCER_OK);
    balancer_set_health(b, one.address, BALANCER_FAILED);
    RUN_UNTIL(&loop, before.ended);
    client_start(&after, &loop, balancer_port(b));
    RUN_UNTIL(&loop, after.got.n == 3);
    run_ms(&loop, 2500);
    assert_false(after.ended);
    assert_int_equal(state_of(b, one.address), LB_STANDBY);
    client_stop(&before);
    client_stop(&after);
    server_kill(&one);
    finish(&loop, b);
}

/* The one address of before hangs; the name tells where the server is now. */
static void silence_is_reason_to_ask_for_the_name_again(void **state)
{
    struct balancer_options o = { .name = "t", .resolve = resolve };
    char address[32], seed[64];
    struct server one;
    struct client c1, c2;
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start_at(&one, &loop, "one", "127.0.0.3", 0);
    int mute = mute_open("127.0.0.5", one.port, address);
    answers[0] = "127.0.0.5";
    answers[1] = NULL;
    snprintf(seed, sizeof seed, "srv.test:%u", one.port);
    o.seed = seed;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c1, &loop, balancer_port(b));
    run_ms(&loop, 200);
    answers[0] = "127.0.0.3";
    n_asked = 0;
    send_copy((uv_stream_t *)&c1.tcp, "hello", 5);
    RUN_UNTIL(&loop, n_asked > 0);
    run_ms(&loop, 200);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&one);
    finish(&loop, b);
    close(mute);
}

/* Patience is measured by it: an address that was waited for in vain does not make its name slow.
 */
static void the_round_trip_is_of_the_address_that_answered(void **state)
{
    enum { STAGGER_US = 250000, GRAIN_US = 10000 };
    struct balancer_options o = { .name = "t", .resolve = resolve };
    struct balancer_server_status st[2];
    char seed[64];
    struct server one;
    struct client c;
    struct balancer *b;
    struct hole hole;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start_at(&one, &loop, "one", "127.0.0.3", 0);
    hole_dig_at(&hole, "127.0.0.5", one.port);
    answers[0] = "127.0.0.5";
    answers[1] = "127.0.0.3";
    answers[2] = NULL;
    snprintf(seed, sizeof seed, "srv.test:%u", one.port);
    o.seed = seed;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    uint64_t began_us = uv_hrtime() / 1000;
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    uint64_t took_us = uv_hrtime() / 1000 - began_us;
    assert_int_equal(balancer_status(b, st, 2), 1);
    assert_true(st[0].rtt_us > 0);
    assert_true(st[0].rtt_us + STAGGER_US <= took_us + GRAIN_US);
    client_stop(&c);
    server_kill(&one);
    finish(&loop, b);
    hole_fill(&hole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_server_costs_a_moment_and_is_failed_in_the_end),
        cmocka_unit_test(closing_ends_races_and_their_losers),
        cmocka_unit_test(who_does_not_answer_is_doubted_and_who_does_is_not),
        cmocka_unit_test(an_address_that_never_speaks_is_left_for_the_names_others),
        cmocka_unit_test(who_has_said_too_much_is_closed),
        cmocka_unit_test(a_listed_server_that_hangs_loses_its_connections_to_another),
        cmocka_unit_test(the_last_resort_loses_its_connections_once_when_its_tunnel_fails),
        cmocka_unit_test(silence_is_reason_to_ask_for_the_name_again),
        cmocka_unit_test(the_round_trip_is_of_the_address_that_answered),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io/file.h"
#include "lb/metrics.h"
#include "test/unit/base/io/hole.h"
#include "test/unit/lb/rig.h"

static struct balancer_server_status status_of(const struct balancer *b, const char *address)
{
    struct balancer_server_status st[8];
    size_t n = balancer_status(b, st, ARRAY_LEN(st));

    for (size_t i = 0; i < n; i++)
        if (strcmp(st[i].address, address) == 0)
            return st[i];
    return (struct balancer_server_status){ 0 };
}

static void a_learned_address_that_swallows_connects_never_delays_the_seed(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server seed;
    struct client c1, c2;
    struct hole hole;
    uv_loop_t loop;
    struct err e;
    const char *list[1];
    (void)state;

    uv_loop_init(&loop);
    hole_dig(&hole, "127.0.0.1");
    server_start(&seed, &loop, "one");
    o.seed = seed.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    list[0] = hole.address;
    balancer_set_addresses(b, list, 1);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_int_equal(status_of(b, hole.address).n_dials, 0); /* probed, never dialed */
    assert_int_equal(status_of(b, seed.address).state, LB_STANDBY);
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&seed);
    finish(&loop, b);
    hole_fill(&hole);
}

/* At boot nothing was reached yet: the saved address is tried first, and given up when the probe
 * finds the seed. */
static void a_dial_into_a_hole_is_given_up_when_a_probe_finds_another_server(void **state)
{
    struct balancer_options o = { .name = "t", .dial_timeout_ms = 600000 };
    struct balancer *b;
    struct server seed;
    struct client c;
    struct hole hole;
    uv_loop_t loop;
    struct err e;
    const char *list[1];
    (void)state;

    uv_loop_init(&loop);
    hole_dig(&hole, "127.0.0.1");
    server_start(&seed, &loop, "one");
    o.seed = seed.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = hole.address;
    balancer_set_addresses(b, list, 1);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    assert_int_equal(status_of(b, hole.address).n_dials, 0); /* the dial had no outcome */
    client_stop(&c);
    server_kill(&seed);
    finish(&loop, b);
    hole_fill(&hole);
}

static void a_failed_server_comes_back_without_traffic(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server one, again;
    struct client c;
    uv_loop_t loop;
    struct err e;
    const char *list[1];
    char address[32];
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    snprintf(address, sizeof address, "%s", one.address);
    o.seed = address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = address;
    balancer_set_addresses(b, list, 1);
    server_kill(&one);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, state_of(b, address) == LB_FAILED);
    RUN_UNTIL(&loop, c.ended);
    server_start_at(&again, &loop, "one", "127.0.0.1", one.port);
    RUN_UNTIL(&loop, state_of(b, address) == LB_RECOVERING);
    client_stop(&c);
    server_kill(&again);
    finish(&loop, b);
}

/* ---- names ---- */

static _Atomic uint32_t dns[3]; /* what the name has now, host order; 0: nothing */
static _Atomic unsigned n_asked;

static int resolve(const char *host, const char *port, struct lb_addrs *out, struct err *e)
{
    n_asked++;
    out->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(dns); i++)
        if (dns[i])
            out->v[out->n++] =
                (struct lb_addr){ .u.v4 = { .sin_family = AF_INET,
                                            .sin_addr.s_addr = htonl(dns[i]),
                                            .sin_port = htons((uint16_t)atoi(port)) },
                                  .n = sizeof(struct sockaddr_in) };
    return out->n ? 0 : err_set(e, ERR_NOT_FOUND, "resolve %s: nothing", host);
}

#define LOCAL(n) (0x7f000000u + (n))

static void every_record_is_tried_and_a_changed_one_is_found(void **state)
{
    struct balancer_options o = { .name = "t", .resolve = resolve };
    struct server first, moved;
    struct balancer *b;
    struct client c1, c2, c3;
    uv_loop_t loop;
    char seed[64];
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&first, &loop, "one");
    snprintf(seed, sizeof seed, "srv.test:%u", first.port);
    o.seed = seed;
    n_asked = 0;
    dns[0] = LOCAL(0x20001); /* nobody listens there */
    dns[1] = LOCAL(1);
    dns[2] = 0;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_int_equal(n_asked, 1); /* one resolution for the probe and both dials */

    server_start_at(&moved, &loop, "two", "127.0.0.3", first.port);
    server_kill(&first);
    dns[0] = LOCAL(3);
    dns[1] = 0;
    client_start(&c3, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c3.got.n == 3); /* the very next request: the failed dial asks again */
    assert_string_equal(buf_cstr(&c3.got), "two");
    client_stop(&c1);
    client_stop(&c2);
    client_stop(&c3);
    server_kill(&moved);
    finish(&loop, b);
}

/* The address it had swallows packets now: silence is reason enough to ask where it went. */
static void a_server_that_moved_is_found_though_its_old_address_is_silent(void **state)
{
    struct balancer_options o = { .name = "t", .resolve = resolve };
    struct server first, moved;
    struct balancer *b;
    struct client c1, c2;
    struct hole hole;
    uv_loop_t loop;
    char seed[64];
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&first, &loop, "one");
    snprintf(seed, sizeof seed, "srv.test:%u", first.port);
    o.seed = seed;
    dns[0] = LOCAL(1);
    dns[1] = dns[2] = 0;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    client_stop(&c1);
    server_kill(&first);
    RUN_UNTIL(&loop, c1.closed && first.closed && !first.peers);
    hole_dig_at(&hole, "127.0.0.1", first.port);
    server_start_at(&moved, &loop, "two", "127.0.0.3", first.port);
    dns[0] = LOCAL(3);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3); /* the first try; without an answer it would have ended */
    assert_string_equal(buf_cstr(&c2.got), "two");
    client_stop(&c2);
    server_kill(&moved);
    finish(&loop, b);
    hole_fill(&hole);
}

static void a_name_that_does_not_resolve_is_named_in_the_last_error(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "srv.test:6443", .resolve = resolve };
    struct balancer *b;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    dns[0] = dns[1] = dns[2] = 0;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.ended);
    assert_non_null(strstr(status_of(b, "srv.test:6443").last_error, "resolve srv.test"));
    client_stop(&c);
    finish(&loop, b);
}

/* ---- a proxy ---- */

/* The server speaks before it reads, so its words lie right behind the proxy's answer. */
static void dials_go_through_the_proxy_and_lose_no_byte(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "srv.test:6443" };
    struct lb_proxy proxy = { .kind = LB_PROXY_HTTP };
    static const char want[] = "oneCONNECT srv.test:6443 HTTP/1.1\r\n";
    struct balancer *b;
    struct server s;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&s, &loop, "HTTP/1.1 200 OK\r\n\r\none"); /* and then echoes our request */
    snprintf(proxy.address, sizeof proxy.address, "%s", s.address);
    o.proxy = &proxy;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n >= sizeof want - 1);
    assert_memory_equal(c.got.p, want, sizeof want - 1);
    client_stop(&c);
    server_kill(&s);
    finish(&loop, b);
}

static void a_refusal_of_the_proxy_is_the_last_error(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "srv.test:6443" };
    struct lb_proxy proxy = { .kind = LB_PROXY_HTTP };
    struct balancer *b;
    struct server s;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&s, &loop, "HTTP/1.1 407 No\r\n\r\n");
    snprintf(proxy.address, sizeof proxy.address, "%s", s.address);
    o.proxy = &proxy;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 0);
    assert_non_null(strstr(status_of(b, "srv.test:6443").last_error, "407"));
    client_stop(&c);
    server_kill(&s);
    finish(&loop, b);
}

/* ---- load, limits, figures ---- */

static void connections_above_the_limit_wait_and_are_served(void **state)
{
    enum { N = 100 };
    struct balancer_options o = { .name = "t", .n_conns_max = 3 };
    struct client *c = mem_calloc(N, sizeof *c);
    struct balancer *b;
    struct server s;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&s, &loop, "one");
    o.seed = s.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    for (size_t i = 0; i < N; i++)
        client_start(&c[i], &loop, balancer_port(b));
    for (size_t i = 0; i < N; i++) { /* each lets the next one in */
        RUN_UNTIL(&loop, c[i].got.n == 3);
        assert_true(status_of(b, s.address).n_conns <= 3);
        client_stop(&c[i]);
    }
    server_kill(&s);
    finish(&loop, b);
    free(c);
}

static void figures_are_told(void **state)
{
    struct balancer_options o = { .name = "t" };
    auto_buf text = BUF(64 * 1024), want = BUF(1024);
    struct balancer *b;
    struct server s;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    server_start(&s, &loop, "one");
    o.seed = s.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    send_copy((uv_stream_t *)&c.tcp, "hello", 5);
    RUN_UNTIL(&loop, c.got.n == 8);
    assert_int_equal(status_of(b, s.address).n_up, 5);
    assert_int_equal(status_of(b, s.address).n_down, 8);
    const struct balancer *all[] = { b };
    assert_int_equal(lb_metrics_add(&text, all, 1), 0);
    static const char *const lines[] = {
        "k3s_loadbalancer_server_connections{name=\"t\",server=\"%s\"} 1\n",
        "k3s_loadbalancer_server_health{name=\"t\",server=\"%s\"} 2\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        auto_free char *line = mem_strdup(lines[i]);
        buf_clear(&want);
        char *at = strstr(line, "%s");
        *at = '\0';
        assert_int_equal(buf_addf(&want, "%s%s%s", line, s.address, at + 2), 0);
        assert_non_null(strstr(buf_cstr(&text), buf_cstr(&want)));
    }
    assert_non_null(strstr(buf_cstr(&text), "k3s_loadbalancer_dial_duration_seconds_bucket{name="
                                            "\"t\",status=\"success\",le=\"+Inf\"} 1\n"));
    assert_non_null(strstr(buf_cstr(&text), "status=\"error\",le=\"0.001\"} 0\n"));
    assert_non_null(strstr(buf_cstr(&text), "status=\"success\",le=\"16.384\"} 1\n"));
    client_stop(&c);
    server_kill(&s);
    finish(&loop, b);
}

static void a_state_file_that_is_no_file_or_no_json_costs_a_warning(void **state)
{
    char dir[] = "/tmp/lb-test-XXXXXX";
    struct balancer_options o = { .name = "b", .seed = "127.0.0.1:1" };
    const char *list[] = { "10.0.0.1:6443" };
    auto_buf text = BUF(4096);
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    assert_non_null(mkdtemp(dir));
    auto_free char *path = mem_printf("%s/b.json", dir);
    o.state_dir = dir;
    assert_int_equal(file_write_atomic(path, STR("{\"ServerURL\": tru"), 0644, &e), 0);
    for (int i = 0; i < 2; i++) {
        uv_loop_init(&loop);
        assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
        assert_int_equal(state_of(b, "127.0.0.1:1"), LB_STANDBY);
        balancer_set_addresses(b, list, 1);
        finish(&loop, b);
        if (i == 0) {
            assert_int_equal(file_read(path, 4096, &text, &e), 0); /* mended */
            assert_non_null(strstr(buf_cstr(&text), "10.0.0.1:6443"));
            unlink(path);
            assert_int_equal(mkdir(path, 0755), 0); /* next: a folder in its place */
        }
    }
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- endpoints that are killed, silenced and moved, in random order ---- */

enum { N_ENDS = 3, STEPS = 60 };
static const char *const end_names[N_ENDS] = { "one", "two", "six" };

struct end {
    struct server s;
    struct hole hole;
    bool alive, silent;
};

static unsigned seed_of_walk(void)
{
    const char *text = getenv("LB_SEED");

    return text ? (unsigned)strtoul(text, NULL, 10) : 20261122u;
}

static const char *address_of(const struct end *end)
{
    return end->silent ? end->hole.address : end->s.address;
}

/* What the cluster would tell: addresses that move are told, tunnels die with their server. */
static void tell(struct balancer *b, const struct end *ends)
{
    const char *list[N_ENDS];

    for (size_t i = 0; i < N_ENDS; i++)
        list[i] = address_of(&ends[i]);
    balancer_set_addresses(b, list, N_ENDS);
}

static void any_order_of_faults_leaves_the_next_request_a_server(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct end ends[N_ENDS] = { 0 };
    unsigned seed = seed_of_walk();
    struct balancer *b;
    struct server fixed; /* the registration address: one of them is always behind it in life */
    uv_loop_t loop;
    struct err e;
    (void)state;

    print_message("seed %u (LB_SEED= repeats a walk)\n", seed);
    srand(seed);
    uv_loop_init(&loop);
    server_start(&fixed, &loop, "fix");
    o.seed = fixed.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    for (size_t i = 0; i < N_ENDS; i++) {
        server_start(&ends[i].s, &loop, end_names[i]);
        ends[i].alive = true;
    }
    tell(b, ends);
    bool fixed_alive = true;
    for (int step = 0; step < STEPS; step++) {
        struct end *end = &ends[rand() % N_ENDS];
        struct client c;
        bool any, silent = false;

        switch (rand() % 4) {
        case 0: /* killed, or started again where it was */
            if (end->silent)
                break;
            if (end->alive)
                server_kill(&end->s);
            RUN_UNTIL(&loop, end->alive ? end->s.closed && !end->s.peers : true);
            if (!end->alive)
                server_start_at(&end->s, &loop, end->s.name, "127.0.0.1", end->s.port);
            end->alive = !end->alive;
            break;
        case 1: /* silenced: its address swallows packets now; or it speaks again */
            if (end->silent) {
                hole_fill(&end->hole);
                end->silent = false;
            } else {
                hole_dig(&end->hole, "127.0.0.1");
                end->silent = true;
            }
            tell(b, ends);
            break;
        case 2: /* moved */
            if (!end->alive || end->silent)
                break;
            server_kill(&end->s);
            RUN_UNTIL(&loop, end->s.closed && !end->s.peers);
            server_start(&end->s, &loop, end_names[end - ends]);
            tell(b, ends);
            break;
        default:
            if (fixed_alive)
                server_kill(&fixed);
            RUN_UNTIL(&loop, fixed_alive ? fixed.closed && !fixed.peers : true);
            if (!fixed_alive)
                server_start_at(&fixed, &loop, "fix", "127.0.0.1", fixed.port);
            fixed_alive = !fixed_alive;
        }
        any = fixed_alive;
        for (size_t i = 0; i < N_ENDS; i++) {
            any |= ends[i].alive && !ends[i].silent;
            silent |= ends[i].silent;
        }
        client_start(&c, &loop, balancer_port(b));
        if (any) /* the first try, whatever happened before it */
            RUN_UNTIL(&loop, c.got.n == 3);
        else if (!silent) /* a walk through addresses that swallow connects takes long */
            RUN_UNTIL(&loop, c.ended);
        client_stop(&c);
        RUN_UNTIL(&loop, c.closed);
    }
    for (size_t i = 0; i < N_ENDS; i++) {
        if (ends[i].alive)
            server_kill(&ends[i].s);
        if (ends[i].silent)
            hole_fill(&ends[i].hole);
    }
    if (fixed_alive)
        server_kill(&fixed);
    finish(&loop, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learned_address_that_swallows_connects_never_delays_the_seed),
        cmocka_unit_test(a_dial_into_a_hole_is_given_up_when_a_probe_finds_another_server),
        cmocka_unit_test(a_failed_server_comes_back_without_traffic),
        cmocka_unit_test(every_record_is_tried_and_a_changed_one_is_found),
        cmocka_unit_test(a_server_that_moved_is_found_though_its_old_address_is_silent),
        cmocka_unit_test(a_name_that_does_not_resolve_is_named_in_the_last_error),
        cmocka_unit_test(dials_go_through_the_proxy_and_lose_no_byte),
        cmocka_unit_test(a_refusal_of_the_proxy_is_the_last_error),
        cmocka_unit_test(connections_above_the_limit_wait_and_are_served),
        cmocka_unit_test(figures_are_told),
        cmocka_unit_test(a_state_file_that_is_no_file_or_no_json_costs_a_warning),
        cmocka_unit_test(any_order_of_faults_leaves_the_next_request_a_server),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

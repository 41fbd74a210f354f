/*
 * The balancer over three servers whose ways are broken in random order: reset, refused, silent
 * both ways, forgotten, moved, in any combination. The test plays the tunnels: asked for a sign of
 * life, it knows whether one would come. FAULT_SEED= repeats a walk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>

#include "test/fault/cut.h"
#include "test/unit/lb/rig.h"

enum { N_ENDS = 3, N_STEPS = 25, LIMIT_MS = 20000 };
enum way { WAY_GOOD, WAY_HOLE, WAY_REFUSED, N_WAYS };

struct end {
    struct server server;
    struct fault_proxy *proxy;
    char address[32];
    enum way way;
};

struct world {
    uv_loop_t loop;
    struct balancer *b;
    struct end ends[N_ENDS];
    unsigned n_closing, n_steps;
    uint64_t worst_ms;
};

static void proxy_start(struct world *w, struct end *end)
{
    struct err e;

    if (fault_proxy_new(&end->proxy, &w->loop, "127.0.0.1:0", end->server.address, &e))
        fail_msg("%s", e.text);
    snprintf(end->address, sizeof end->address, "127.0.0.1:%u", fault_proxy_port(end->proxy));
    end->way = WAY_GOOD;
}

static void proxy_gone(void *arg)
{
    ((struct world *)arg)->n_closing--;
}

static void proxy_stop(struct world *w, struct end *end)
{
    w->n_closing++;
    fault_proxy_close(end->proxy, proxy_gone, w);
}

static struct end *end_at(struct world *w, const char *address)
{
    for (size_t i = 0; i < N_ENDS; i++)
        if (strcmp(w->ends[i].address, address) == 0)
            return &w->ends[i];
    return NULL; /* it has moved */
}

/* The tunnel's part: a server behind a hole does not answer a ping. */
static void on_doubt(void *arg, const char *address)
{
    struct world *w = arg;
    const struct end *end = end_at(w, address);

    balancer_set_health(w->b, address, end && end->way == WAY_GOOD ? BALANCER_OK : BALANCER_FAILED);
}

static void tell(struct world *w)
{
    const char *list[N_ENDS];

    for (size_t i = 0; i < N_ENDS; i++)
        list[i] = w->ends[i].address;
    balancer_set_addresses(w->b, list, N_ENDS);
}

static void set_way(struct world *w, struct end *end, enum way way)
{
    fault_proxy_heal(end->proxy);
    if (way == WAY_HOLE)
        fault_proxy_hole(end->proxy, FAULT_BOTH);
    if (way == WAY_REFUSED) { /* its tunnel breaks with all that is there */
        fault_proxy_refuse(end->proxy);
        fault_proxy_reset(end->proxy, FAULT_BOTH);
    }
    end->way = way;
    if (way != WAY_HOLE) /* of a hole nobody hears */
        balancer_set_health(w->b, end->address, way == WAY_GOOD ? BALANCER_OK : BALANCER_FAILED);
}

static unsigned n_of(const struct world *w, enum way way)
{
    unsigned n = 0;

    for (size_t i = 0; i < N_ENDS; i++)
        n += w->ends[i].way == way;
    return n;
}

/* Asks as clients do, again and again, until it is answered: 5 s are promised, a slow machine has
 * more. */
static void ask(struct world *w, const char *what)
{
    uint64_t began_ms = uv_hrtime() / 1000000, took_ms = 0;
    bool answered = false;

    while (!answered) {
        struct client c;

        client_start(&c, &w->loop, balancer_port(w->b));
        send_copy((uv_stream_t *)&c.tcp, "?", 1);
        RUN_UNTIL(&w->loop, c.got.n >= 4 || c.ended); /* its name, and the echo */
        answered = c.got.n >= 4;
        client_stop(&c);
        RUN_UNTIL(&w->loop, c.closed);
        took_ms = uv_hrtime() / 1000000 - began_ms;
        if (!answered && took_ms > LIMIT_MS)
            fail_msg("step %u, %s: no answer for %llu ms, %u ways are good", w->n_steps, what,
                     (unsigned long long)took_ms, n_of(w, WAY_GOOD));
        uint64_t pause_until_ns = uv_hrtime() + 100000000;
        RUN_UNTIL(&w->loop, answered || uv_hrtime() > pause_until_ns);
    }
    w->worst_ms = MAX(w->worst_ms, took_ms);
}

static void step(struct world *w, struct fault_rand *r)
{
    struct end *end = &w->ends[fault_rand_below(r, N_ENDS)];
    const char *what = "";

    w->n_steps++;
    switch (fault_rand_below(r, 6)) {
    case 0:
        what = "moved";
        proxy_stop(w, end);
        proxy_start(w, end);
        tell(w);
        break;
    case 1:
        what = "forgotten"; /* what is there hangs, what comes works */
        fault_proxy_lose(end->proxy);
        break;
    case 2:
        what = "reset";
        fault_proxy_reset(end->proxy, FAULT_BOTH);
        break;
    default:
        what = "another way";
        set_way(w, end, (enum way)fault_rand_below(r, N_WAYS));
    }
    if (n_of(w, WAY_GOOD) == 0) {
        what = "an outage";
        set_way(w, &w->ends[fault_rand_below(r, N_ENDS)], WAY_GOOD);
    }
    ask(w, what);
}

static void an_answer_comes_in_seconds_whatever_happened(void **state)
{
    static const char *const names[N_ENDS] = { "one", "two", "six" };
    struct fault_rand r = { fault_seed() };
    struct world w = { .n_steps = 0 };
    struct balancer_options o = {
        .name = "t", .seed = "127.0.0.1:1", .on_doubt = on_doubt, .doubt_arg = &w
    };
    struct err e;
    (void)state;

    print_message("FAULT_SEED=%llu\n", (unsigned long long)r.state);
    uv_loop_init(&w.loop);
    for (size_t i = 0; i < N_ENDS; i++) {
        server_start(&w.ends[i].server, &w.loop, names[i]);
        proxy_start(&w, &w.ends[i]);
    }
    assert_int_equal(balancer_new(&w.b, &w.loop, &o, &e), 0);
    tell(&w);
    ask(&w, "the beginning");
    for (int i = 0; i < N_STEPS; i++)
        step(&w, &r);
    print_message("the longest wait was %llu ms\n", (unsigned long long)w.worst_ms);
    for (size_t i = 0; i < N_ENDS; i++) {
        proxy_stop(&w, &w.ends[i]);
        server_kill(&w.ends[i].server);
    }
    RUN_UNTIL(&w.loop, w.n_closing == 0);
    finish(&w.loop, w.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_in_seconds_whatever_happened),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A stream of key strokes beside a bulk stream with a large window: the bulk stream gets little
 * credit while they come, and all of it again afterwards. */
#include "base/core/mem.h"
#include "tunnel/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BULK, KEYS, STREAMS, SHARED = 96 * 1024, LARGE = 512 * 1024 };

struct pair {
    struct tunnel_session *server, *client;
    struct tunnel_flow *a[STREAMS], *b[STREAMS]; /* the server's and the client's ends */
    size_t n_b, got;
    uint64_t now_ms;
};

static void on_data(void *arg, const char *p, size_t n)
{
    (void)p;
    ((struct pair *)arg)->got += n;
}

static void on_end(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
}

static void on_fin(void *arg)
{
    (void)arg;
}

static const struct tunnel_flow_events flow_events = { .on_data = on_data,
                                                       .on_end = on_end,
                                                       .on_fin = on_fin };

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct pair *p = arg;
    (void)proto;
    (void)address;

    p->b[p->n_b++] = f;
    tunnel_flow_bind(f, &flow_events, p);
    tunnel_flow_ready(f);
    tunnel_flow_resume(f);
}

static void ignore(void *arg)
{
    (void)arg;
}

static void on_dead(void *arg, const struct err *e)
{
    (void)arg;
    fail_msg("session died: %s", e->text);
}

static const struct tunnel_session_events session_events = { ignore, ignore, on_open, on_dead };

static void move(struct tunnel_session *from, struct tunnel_session *to, uint64_t now_ms)
{
    struct str m;

    while (tunnel_session_next(from, &m, now_ms)) {
        auto_free char *copy = mem_dup(m.p, m.n);
        tunnel_session_receive(to, str_n(copy, m.n), now_ms);
    }
    tunnel_session_deliver(to);
}

/* ms of a line on which everything takes one; the most that the bulk stream was granted at once,
 * once what had been on its way is through. */
static uint32_t run(struct pair *p, unsigned ms, bool keys)
{
    static char block[64 * 1024];
    uint32_t most = 0;

    for (unsigned i = 0; i < ms; i++) {
        p->now_ms++;
        while (tunnel_flow_queued(p->a[BULK]) < 2 * LARGE)
            tunnel_flow_write(p->a[BULK], block, sizeof block);
        if (keys && i % 50 == 0)
            tunnel_flow_write(p->a[KEYS], "k", 1);
        move(p->server, p->client, p->now_ms);
        move(p->client, p->server, p->now_ms);
        if (i > 10)
            most = MAX(most, p->b[BULK]->rx_credit);
    }
    return most;
}

static void bulk_gets_little_credit_while_somebody_types(void **state)
{
    struct pair p = { .now_ms = 1000 };
    struct tunnel_session_config c = { .role = TUNNEL_SERVER,
                                       .framing = &tunnel_mux,
                                       .key = "x",
                                       .events = &session_events,
                                       .arg = &p };
    struct err e;
    (void)state;

    tunnel_session_new(&p.server, &c, p.now_ms);
    c.role = TUNNEL_CLIENT;
    tunnel_session_new(&p.client, &c, p.now_ms);
    for (size_t i = 0; i < STREAMS; i++)
        assert_int_equal(tunnel_session_open(p.server, &p.a[i], STR("tcp"), STR("h:1"), 1000000,
                                             p.now_ms, &flow_events, &p, &e),
                         0);
    move(p.server, p.client, p.now_ms);
    move(p.client, p.server, p.now_ms);

    assert_true(run(&p, 500, false) >= LARGE);
    assert_int_equal(run(&p, 300, true), SHARED);
    size_t before = p.got;
    assert_int_equal(run(&p, 300, true), SHARED);
    assert_true(p.got - before > SHARED); /* it goes on */
    run(&p, 1100, false);
    assert_true(run(&p, 100, false) >= LARGE);

    tunnel_session_free(p.server);
    tunnel_session_free(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_gets_little_credit_while_somebody_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Two sessions that talk to each other: random traffic arrives whole and nothing stays behind. */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "tunnel/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { N_PIPES = 8, PIPE_BYTES = 200 * 1000 };

struct pipe_end {
    struct tunnel_flow *f;
    size_t sent, got;
    bool ended;
};
struct pair {
    struct tunnel_session *server, *client;
    struct pipe_end a[N_PIPES], b[N_PIPES]; /* server's and client's */
    size_t n_b;
    uint64_t now_ms;
};

static char byte_at(const struct pair *p, const struct pipe_end *from, size_t at)
{
    size_t k =
        from >= p->b && from < p->b + N_PIPES ? (size_t)(from - p->b) + 100 : (size_t)(from - p->a);

    return (char)(at * 7 + at / 251 + k * 31);
}

static struct pair *the_pair;

static void pipe_on_data(void *arg, const char *p, size_t n)
{
    struct pipe_end *me = arg;
    bool is_b = me >= the_pair->b && me < the_pair->b + N_PIPES;
    struct pipe_end *from = is_b ? &the_pair->a[me - the_pair->b] : &the_pair->b[me - the_pair->a];

    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], byte_at(the_pair, from, me->got + i));
    me->got += n;
    if (rand_below(4) == 0)
        tunnel_flow_pause(me->f);
}

static void pipe_on_end(void *arg, const struct err *e)
{
    struct pipe_end *me = arg;

    assert_null(e);
    me->ended = true;
    me->f = NULL;
}

static const struct tunnel_flow_events pipe_events = { .on_data = pipe_on_data,
                                                       .on_end = pipe_on_end };

static void pair_on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct pair *p = arg;
    uint64_t k;

    (void)proto;
    assert_true(str_to_u64(address, &k));
    p->b[k].f = f;
    tunnel_flow_bind(f, &pipe_events, &p->b[k]);
    tunnel_flow_ready(f);
    p->n_b++;
}

static void ignore_work(void *arg)
{
    (void)arg;
}

static void pair_on_dead(void *arg, const struct err *e)
{
    (void)arg;
    fail_msg("session died: %s", e->text);
}

static const struct tunnel_session_events pair_events = { ignore_work, ignore_work, pair_on_open,
                                                          pair_on_dead };

static void move(struct tunnel_session *from, struct tunnel_session *to, uint64_t n,
                 uint64_t now_ms)
{
    struct str m;

    while (n-- > 0 && tunnel_session_next(from, &m, now_ms)) {
        auto_free char *copy = mem_dup(m.p, m.n); /* exact size, for the sanitizer */
        tunnel_session_receive(to, str_n(copy, m.n), now_ms);
    }
    tunnel_session_deliver(to);
}

static void write_some(struct pair *p, struct pipe_end *x)
{
    char bytes[40000];
    size_t n = MIN((size_t)rand_below(sizeof bytes), PIPE_BYTES - x->sent);

    if (!x->f || tunnel_flow_queued(x->f) > 128 * 1024)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(p, x, x->sent + i);
    tunnel_flow_write(x->f, bytes, n);
    x->sent += n;
}

/* Random writes, pauses and turns; every byte arrives once and in order, then all is given back. */
static void random_streams_keep_their_bytes(void **state)
{
    struct pair p = { .now_ms = 1000 };
    struct tunnel_session_config c = { .role = TUNNEL_SERVER,
                                       .framing = &tunnel_remotedialer,
                                       .key = "x",
                                       .events = &pair_events,
                                       .arg = &p };
    bool busy = true;

    (void)state;
    the_pair = &p;
    tunnel_session_new(&p.server, &c, p.now_ms);
    c.role = TUNNEL_CLIENT;
    tunnel_session_new(&p.client, &c, p.now_ms);
    for (size_t i = 0; i < N_PIPES; i++) {
        char text[8];
        struct err e;

        snprintf(text, sizeof text, "%zu", i);
        assert_int_equal(tunnel_session_open(p.server, &p.a[i].f, STR("tcp"), str_of(text), 1000000,
                                             p.now_ms, &pipe_events, &p.a[i], &e),
                         0);
    }
    for (unsigned turn = 0; busy; turn++) {
        assert_true(turn < 100000);
        busy = false;
        for (size_t i = 0; i < N_PIPES; i++) {
            write_some(&p, &p.a[i]);
            write_some(&p, &p.b[i]);
            if (p.a[i].f && rand_below(2))
                tunnel_flow_resume(p.a[i].f);
            if (p.b[i].f && rand_below(2))
                tunnel_flow_resume(p.b[i].f);
            if (p.a[i].got < PIPE_BYTES || p.b[i].got < PIPE_BYTES)
                busy = true;
        }
        move(p.server, p.client, rand_below(20), p.now_ms);
        move(p.client, p.server, rand_below(20), p.now_ms);
    }
    assert_int_equal(p.n_b, N_PIPES);
    for (size_t i = 0; i < N_PIPES; i++) {
        tunnel_flow_close(p.a[i].f, NULL, true, p.now_ms);
        p.a[i].f = NULL;
    }
    move(p.server, p.client, UINT64_MAX, p.now_ms);
    move(p.client, p.server, UINT64_MAX, p.now_ms);
    for (size_t i = 0; i < N_PIPES; i++)
        assert_true(p.b[i].ended);
    assert_int_equal(tunnel_session_n_flows(p.server), 0);
    assert_int_equal(tunnel_session_n_flows(p.client), 0);
    assert_int_equal(p.server->rx_bytes + p.client->rx_bytes, 0);
    tunnel_session_free(p.server);
    tunnel_session_free(p.client);
}

static void ten_thousand_streams_leave_nothing_behind(void **state)
{
    struct pair p = { .now_ms = 1000 };
    struct tunnel_session_config c = { .role = TUNNEL_SERVER,
                                       .framing = &tunnel_remotedialer,
                                       .key = "x",
                                       .events = &pair_events,
                                       .arg = &p };
    struct err e;

    (void)state;
    the_pair = &p;
    tunnel_session_new(&p.server, &c, p.now_ms);
    c.role = TUNNEL_CLIENT;
    tunnel_session_new(&p.client, &c, p.now_ms);
    for (unsigned i = 0; i < 10000; i++) {
        p.a[0] = p.b[0] = (struct pipe_end){ 0 };
        assert_int_equal(tunnel_session_open(p.server, &p.a[0].f, STR("tcp"), STR("0"), 1000000,
                                             p.now_ms, &pipe_events, &p.a[0], &e),
                         0);
        if (i % 10 == 0) { /* gone before it was sent */
            tunnel_flow_close(p.a[0].f, NULL, false, p.now_ms);
            continue;
        }
        move(p.server, p.client, UINT64_MAX, p.now_ms);
        write_some(&p, &p.a[0]);
        if (i % 2)
            tunnel_flow_close(p.a[0].f, NULL, i % 4 == 1, p.now_ms);
        else
            tunnel_flow_close(STEAL(p.b[0].f), NULL, false, p.now_ms);
        move(p.client, p.server, UINT64_MAX, p.now_ms);
        move(p.server, p.client, UINT64_MAX, p.now_ms);
        move(p.client, p.server, UINT64_MAX, p.now_ms);
        if (p.b[0].f) /* unread bytes wait for their reader, then it ends */
            tunnel_flow_close(p.b[0].f, NULL, false, p.now_ms);
        assert_int_equal(tunnel_session_n_flows(p.server) + tunnel_session_n_flows(p.client), 0);
        assert_int_equal(p.server->rx_bytes + p.client->rx_bytes, 0);
        assert_true(p.server->n_spare <= 16 && p.client->n_spare <= 16);
    }
    tunnel_session_free(p.server);
    tunnel_session_free(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_keep_their_bytes),
        cmocka_unit_test(ten_thousand_streams_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

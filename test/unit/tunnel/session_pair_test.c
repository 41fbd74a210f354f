/* Two sessions that talk to each other, with both protocols: random traffic arrives whole, and
 * nothing stays behind. */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "tunnel/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { N_PIPES = 8, PIPE_BYTES = 200 * 1000 };

static const struct tunnel_framing *framing;

struct pipe_end {
    struct tunnel_flow *f;
    size_t sent, got;
    bool ended, fin;
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

static void pipe_on_fin(void *arg)
{
    struct pipe_end *me = arg;

    assert_false(me->fin);
    me->fin = true;
}

static const struct tunnel_flow_events pipe_events = { .on_data = pipe_on_data,
                                                       .on_end = pipe_on_end,
                                                       .on_fin = pipe_on_fin };

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

static void new_pair(struct pair *p)
{
    struct tunnel_session_config c = {
        .role = TUNNEL_SERVER, .framing = framing, .key = "x", .events = &pair_events, .arg = p
    };

    tunnel_session_new(&p->server, &c, p->now_ms);
    c.role = TUNNEL_CLIENT;
    tunnel_session_new(&p->client, &c, p->now_ms);
}

static void open_pipe(struct pair *p, size_t i)
{
    char text[8];
    struct err e;

    snprintf(text, sizeof text, "%zu", i);
    assert_int_equal(tunnel_session_open(p->server, &p->a[i].f, STR("tcp"), str_of(text), 1000000,
                                         p->now_ms, &pipe_events, &p->a[i], &e),
                     0);
}

static void open_pipes(struct pair *p)
{
    new_pair(p);
    for (size_t i = 0; i < N_PIPES; i++)
        open_pipe(p, i);
}

/* Nothing may be left. */
static void close_pair(struct pair *p)
{
    assert_int_equal(tunnel_session_n_flows(p->server), 0);
    assert_int_equal(tunnel_session_n_flows(p->client), 0);
    assert_int_equal(p->server->rx_bytes + p->client->rx_bytes, 0);
    assert_int_equal(p->server->tx_bytes + p->client->tx_bytes, 0);
    assert_int_equal(p->server->rx_grown + p->client->rx_grown, 0);
    tunnel_session_free(p->server);
    tunnel_session_free(p->client);
}

/* Random writes, pauses and turns; every byte arrives once and in order, then all is given back. */
static void random_streams_keep_their_bytes(void **state)
{
    struct pair p = { .now_ms = 1000 };
    bool busy = true;

    (void)state;
    the_pair = &p;
    open_pipes(&p);
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
    close_pair(&p);
}

static void ten_thousand_streams_leave_nothing_behind(void **state)
{
    struct pair p = { .now_ms = 1000 };

    (void)state;
    the_pair = &p;
    new_pair(&p);
    for (unsigned i = 0; i < 10000; i++) {
        p.a[0] = p.b[0] = (struct pipe_end){ 0 };
        open_pipe(&p, 0);
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
        for (unsigned turn = 0; turn < 20; turn++) { /* unread bytes wait for their reader */
            if (p.b[0].f)
                tunnel_flow_resume(p.b[0].f);
            move(p.client, p.server, UINT64_MAX, p.now_ms);
            move(p.server, p.client, UINT64_MAX, p.now_ms);
        }
        assert_int_equal(tunnel_session_n_flows(p.server) + tunnel_session_n_flows(p.client), 0);
        assert_int_equal(p.server->rx_bytes + p.client->rx_bytes, 0);
        assert_true(p.server->n_spare <= 16 && p.client->n_spare <= 16);
    }
    close_pair(&p);
}

/* Both ends write random amounts, then end their direction; every byte and both ends arrive, and
 * what one end still says after the other's end is heard. */
static void random_streams_end_one_direction_at_a_time(void **state)
{
    struct pair p = { .now_ms = 1000 };
    size_t n_ended = 0;

    (void)state;
    the_pair = &p;
    open_pipes(&p);
    for (unsigned turn = 0; n_ended < 2 * N_PIPES; turn++) {
        assert_true(turn < 100000);
        n_ended = 0;
        for (size_t i = 0; i < 2 * N_PIPES; i++) {
            struct pipe_end *x = i < N_PIPES ? &p.a[i] : &p.b[i - N_PIPES];

            n_ended += x->ended;
            if (!x->f)
                continue;
            write_some(&p, x);
            if (rand_below(2))
                tunnel_flow_resume(x->f);
            if (x->sent == PIPE_BYTES && rand_below(10) == 0)
                assert_true(tunnel_flow_shutdown(x->f));
        }
        p.now_ms += rand_below(3);
        move(p.server, p.client, rand_below(20), p.now_ms);
        move(p.client, p.server, rand_below(20), p.now_ms);
    }
    for (size_t i = 0; i < N_PIPES; i++) {
        assert_int_equal(p.a[i].got, PIPE_BYTES);
        assert_int_equal(p.b[i].got, PIPE_BYTES);
    }
    close_pair(&p);
}

/* One reader stands still for good: the tunnel keeps one window of it, the others finish. */
static void a_stalled_stream_stops_no_other(void **state)
{
    struct pair p = { .now_ms = 1000 };
    bool busy = true;

    (void)state;
    the_pair = &p;
    open_pipes(&p);
    move(p.server, p.client, UINT64_MAX, p.now_ms);
    for (unsigned turn = 0; busy; turn++) {
        assert_true(turn < 100000);
        busy = false;
        for (size_t i = 0; i < N_PIPES; i++) {
            write_some(&p, &p.a[i]);
            if (i > 0)
                tunnel_flow_resume(p.b[i].f);
            busy = busy || (i > 0 && p.b[i].got < PIPE_BYTES);
        }
        move(p.server, p.client, 16, p.now_ms);
        move(p.client, p.server, 16, p.now_ms);
    }
    assert_int_equal(p.b[0].got, 0);
    assert_int_equal(p.client->rx_bytes, 32 * 1024);
    assert_true(tunnel_flow_queued(p.a[0].f) > 0);
    for (size_t i = 0; i < N_PIPES; i++)
        tunnel_flow_close(STEAL(p.a[i].f), NULL, false, p.now_ms);
    for (size_t i = 1; i < N_PIPES; i++)
        tunnel_flow_resume(p.b[i].f);
    move(p.server, p.client, UINT64_MAX, p.now_ms);
    tunnel_flow_resume(p.b[0].f);
    while (p.b[0].f) {
        move(p.client, p.server, UINT64_MAX, p.now_ms);
        tunnel_session_deliver(p.client);
        if (p.b[0].f)
            tunnel_flow_resume(p.b[0].f);
    }
    assert_int_equal(p.b[0].got, 32 * 1024); /* what was buffered came before the end */
    close_pair(&p);
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    /* With two spare flows; a tunnel's TLS takes several times as much. */
    assert_true(sizeof(struct tunnel_session) + 2 * sizeof(struct tunnel_flow) < 4096);
}

static int use_remotedialer(void **state)
{
    (void)state;
    framing = &tunnel_remotedialer;
    return 0;
}

static int use_mux(void **state)
{
    (void)state;
    framing = &tunnel_mux;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_keep_their_bytes),
        cmocka_unit_test(ten_thousand_streams_leave_nothing_behind),
    };

    const struct CMUnitTest own[] = {
        cmocka_unit_test(random_streams_keep_their_bytes),
        cmocka_unit_test(random_streams_end_one_direction_at_a_time),
        cmocka_unit_test(a_stalled_stream_stops_no_other),
        cmocka_unit_test(ten_thousand_streams_leave_nothing_behind),
        cmocka_unit_test(an_idle_session_is_small),
    };

    return cmocka_run_group_tests_name("remotedialer", tests, use_remotedialer, NULL) +
           cmocka_run_group_tests_name("coracle.v1", own, use_mux, NULL);
}

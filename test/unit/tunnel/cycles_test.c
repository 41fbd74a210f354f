/*
 * Streams opened and closed through a live tunnel, every tenth given up while it is dialed, and
 * what that leaves behind: nothing. CYCLES asks for more than the default (make chaos: a million).
 */
#include "test/unit/tunnel/cut_rig.h"
#include "test/unit/tunnel/loop_rig.h"

#include "test/fault/cut.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGENT_RSS_KIB = 10 * 1000 };
enum { HEAP_SLACK_BYTES = 64 * 1024 }; /* what is in flight of TLS when it is looked at */
enum { N_CYCLES = 10 * 1000, N_AT_ONCE = 32, CANCEL_EVERY = 10, TURNS_MAX = 6 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool memory_can_be_told = false; /* what is freed stays for a while; leaks are found */
#else
static const bool memory_can_be_told = true;
#endif

static const char request[200] = "GET";

/* ---- the port behind the tunnel: one answer for one request ---- */

static void answer(void *arg, const char *p, size_t n)
{
    (void)p;
    if (n)
        stream_write(*(struct stream **)arg, "OK", 2);
}

static void answered(void *arg)
{
    stream_close(*(struct stream **)arg);
}

static void failed(void *arg, const struct err *e)
{
    (void)e;
    answered(arg);
}

static const struct stream_events port_events = {
    .on_data = answer, .on_end = answered, .on_error = failed, .on_closed = free
};

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    stream_open(s, &port_events, mem_dup(&s, sizeof(struct stream *)));
}

/* ---- cycles ---- */

struct cycles {
    struct world w;
    struct fault_rand rand;
    size_t n_left, n_running, n_answered, n_canceled, n_failed;
    struct cycle {
        struct cycles *all;
        struct stream *s;
        unsigned cancel_in; /* turns of the loop; 0: not */
        bool dialing, running;
    } cycle[N_AT_ONCE];
};

static void cycle_over(struct cycle *c)
{
    c->running = false;
    c->all->n_running--;
}

static void on_answer(void *arg, const char *p, size_t n)
{
    struct cycle *c = arg;

    if (!n || *p != 'O' || !c->s)
        return;
    c->all->n_answered++;
    stream_close(STEAL(c->s));
}

static void on_broken(void *arg, const struct err *e)
{
    struct cycle *c = arg;

    (void)e;
    c->all->n_failed++;
    if (c->s)
        stream_close(STEAL(c->s));
}

static void on_ended(void *arg)
{
    on_broken(arg, NULL);
}

static void on_gone(void *arg)
{
    cycle_over(arg);
}

static const struct stream_events cycle_events = {
    .on_data = on_answer, .on_end = on_ended, .on_error = on_broken, .on_closed = on_gone
};

static void on_cycle_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct cycle *c = arg;

    c->dialing = false;
    if (!s) {
        if (e->code == ERR_CANCELED)
            c->all->n_canceled++;
        else
            c->all->n_failed++;
        cycle_over(c);
        return;
    }
    c->s = s;
    stream_open(s, &cycle_events, c);
    stream_write(s, request, sizeof request);
}

static void cycle_start(struct cycles *x, struct cycle *c)
{
    size_t n = x->n_left--;

    *c = (struct cycle){ .all = x, .dialing = true, .running = true };
    x->n_running++;
    if (n % CANCEL_EVERY == 0)
        c->cancel_in = 1 + (unsigned)fault_rand_below(&x->rand, TURNS_MAX);
    tunnel_server_dial(x->w.ts, "n1", x->w.kubelet_address, 15000, on_cycle_dialed, c);
}

/* Given up while it is dialed, or with the stream at hand, as it comes. */
static void cycle_give_up(struct cycles *x, struct cycle *c)
{
    if (c->dialing) {
        tunnel_server_dial_cancel(x->w.ts, c);
    } else if (c->s) {
        x->n_canceled++;
        stream_close(STEAL(c->s));
    }
}

static void run_cycles(struct cycles *x, size_t n)
{
    x->n_left = n;
    while (x->n_left || x->n_running) {
        for (size_t i = 0; i < N_AT_ONCE; i++) {
            struct cycle *c = &x->cycle[i];

            if (!c->running && x->n_left)
                cycle_start(x, c);
            else if (c->running && c->cancel_in && --c->cancel_in == 0)
                cycle_give_up(x, c);
        }
        uv_run(&x->w.loop, UV_RUN_ONCE);
    }
    run_until(&x->w.loop, wait_no_streams, &x->w);
}

static long rss_anon_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (str_starts(str_of(line), STR("RssAnon:")))
            kib = strtol(line + 8, NULL, 10);
    fclose(f);
    return kib;
}

struct left {
    long fds, rss_kib;
    size_t heap;
};

/* Once what closes has closed. */
static struct left look(struct cycles *x, long fds_max)
{
    for (unsigned i = 0; i < 2000 && (count_fds() > fds_max || i < 50); i++) {
        uv_run(&x->w.loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    return (struct left){ count_fds(), rss_anon_kib(), mallinfo2().uordblks };
}

static void cycles_leave_nothing_behind(void **state)
{
    static struct cycles x;
    const char *text = getenv("CYCLES");
    uint64_t n = N_CYCLES, t;
    struct left before, after;
    struct listener *port;
    struct err e;

    (void)state;
    if (text)
        assert_true(str_to_u64(str_of(text), &n));
    memset(&x, 0, sizeof x);
    connected_world_init(&x.w);
    assert_int_equal(tcp_listen(&port, &x.w.loop, "127.0.0.1", 0, on_accept, NULL, &e), 0);
    x.w.authorizer.kubelet_port = listener_port(port);
    snprintf(x.w.kubelet_address, sizeof x.w.kubelet_address, "127.0.0.1:%u", listener_port(port));
    x.rand.state = fault_seed();

    for (int i = 0; i < 2; i++) { /* pools and buffers have their sizes then */
        run_cycles(&x, n / 10);
        before = look(&x, 0);
    }
    x.n_answered = x.n_canceled = x.n_failed = 0;
    t = uv_hrtime();
    run_cycles(&x, n);
    t = (uv_hrtime() - t) / 1000000;
    after = look(&x, before.fds);
    printf("%s: %zu answered, %zu canceled, %zu failed, in %llu ms; descriptors %ld -> %ld, "
           "RSS %ld -> %ld KiB, heap in use %zu -> %zu bytes\n",
           remotedialer ? "remotedialer" : "coracle.v1", x.n_answered, x.n_canceled, x.n_failed,
           (unsigned long long)t, before.fds, after.fds, before.rss_kib, after.rss_kib, before.heap,
           after.heap);
    assert_int_equal(x.n_failed, 0);
    assert_int_equal(x.n_answered + x.n_canceled, n);
    assert_true(x.n_canceled >= n / CANCEL_EVERY / 2);
    assert_true(is_connected(&x.w)); /* it is the same tunnel */
    assert_int_equal(x.w.n_node_up, 1);
    assert_int_equal(after.fds, before.fds);
    if (memory_can_be_told) { /* the whole process is smaller than an agent */
        assert_true(after.heap <= before.heap + HEAP_SLACK_BYTES);
        assert_true(after.rss_kib <= before.rss_kib + AGENT_RSS_KIB / 100);
    }
    listener_close(port, NULL, NULL);
    world_deinit(&x.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(cycles_leave_nothing_behind) };

    return cmocka_run_group_tests_name("coracle.v1", tests, make_certs, free_certs) +
           cmocka_run_group_tests_name("remotedialer", tests, make_certs_again, free_certs);
}

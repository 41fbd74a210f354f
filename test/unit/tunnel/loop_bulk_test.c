/*
 * A key stroke beside a bulk copy, on a line that the copy fills: 2 MB/s and 20 ms round trip, with
 * megabytes of room in the routers between, as the field's are. The line is the fault proxy's, so
 * its times are much longer than the machine's own. Not so with remotedialer: it has no credit, and
 * what a sender has put into the line waits there.
 */
#include "test/unit/tunnel/loop_rig.h"

#include "test/fault/proxy.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DELAY_MS = 10, /* each way */
    LINE_BYTES_PER_S = 2 * 1000 * 1000,
    BULK_BYTES = 8 * 1000 * 1000,
    N_STROKES = 41,
    N_STROKES_MIN = 5, /* what a busy machine manages before the copy ends */
    TIMES_IDLE_MAX = 3,
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The longest time for which the loop stood still. */
struct lag {
    uv_timer_t timer;
    uint64_t last_ns, longest_ms;
};

static void on_lag(uv_timer_t *t)
{
    struct lag *l = t->data;
    uint64_t now = uv_hrtime();

    l->longest_ms = MAX(l->longest_ms, (now - l->last_ns) / 1000000);
    l->last_ns = now;
}

static void lag_start(struct lag *l, uv_loop_t *loop)
{
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    l->last_ns = uv_hrtime();
    l->longest_ms = 0;
    uv_timer_start(&l->timer, on_lag, 1, 1);
}

/* The median of many; of those that fit beside the copy. */
static uint64_t stroke_ms(struct world *w, struct end *keys, const struct end *bulk)
{
    uint64_t took_ms[N_STROKES];
    size_t n = 0;

    while (n < N_STROKES) {
        uint64_t t = uv_hrtime();

        keys->want = keys->got.n + 1;
        stream_write(keys->s, "k", 1);
        run_until(&w->loop, end_got_want, keys);
        if (bulk && bulk->got.n >= BULK_BYTES)
            break;
        took_ms[n++] = (uv_hrtime() - t) / 1000000;
    }
    if (n < N_STROKES_MIN)
        fail_msg("%zu strokes while %d MB went by", n, BULK_BYTES / 1000000);
    qsort(took_ms, n, sizeof *took_ms, compare);
    return took_ms[n / 2];
}

static void an_echo_beside_a_bulk_copy_takes_little_longer(void **state)
{
    struct world w;
    struct fault_proxy *line;
    struct end keys = { 0 }, bulk = { 0 };
    uint64_t idle_ms, beside_ms, t;
    struct dialed d;
    char address[32];
    struct lag lag;
    struct err e;

    (void)state;
    world_init(&w, 0);
    lag_start(&lag, &w.loop);
    assert_int_equal(fault_proxy_new(&line, &w.loop, "127.0.0.1:0", w.address, &e), 0);
    fault_proxy_delay(line, FAULT_BOTH, DELAY_MS);
    fault_proxy_rate(line, FAULT_BOTH, LINE_BYTES_PER_S);
    snprintf(address, sizeof address, "127.0.0.1:%u", fault_proxy_port(line));
    connect_set(&w, &ca, address);
    w.n_wanted = 1;
    run_until(&w.loop, is_connected, &w);
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&keys, d.s);
    idle_ms = stroke_ms(&w, &keys, NULL);

    w.kubelet_bytes = BULK_BYTES;
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&bulk, d.s);
    t = uv_hrtime();
    while (bulk.got.n < BULK_BYTES / 8)
        uv_run(&w.loop, UV_RUN_ONCE);
    beside_ms = stroke_ms(&w, &keys, &bulk);
    bulk.pattern_bytes = BULK_BYTES;
    run_until(&w.loop, end_got_pattern, &bulk);
    t = (uv_hrtime() - t) / 1000000;
    printf("idle %llu ms, beside bulk %llu ms; bulk %llu kB/s of %d; longest stop %llu ms\n",
           (unsigned long long)idle_ms, (unsigned long long)beside_ms,
           (unsigned long long)(BULK_BYTES / MAX(t, 1u)), LINE_BYTES_PER_S / 1000,
           (unsigned long long)lag.longest_ms);
    assert_true(beside_ms <= TIMES_IDLE_MAX * idle_ms + 3 * lag.longest_ms);
    if (lag.longest_ms < DELAY_MS) /* the line is used, by a machine that has the time */
        assert_true(BULK_BYTES / MAX(t, 1u) > LINE_BYTES_PER_S / 1000 / 2);
    uv_close((uv_handle_t *)&lag.timer, NULL);
    end_finish(&w, &keys);
    end_finish(&w, &bulk);
    fault_proxy_close(line, NULL, NULL);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_beside_a_bulk_copy_takes_little_longer),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}

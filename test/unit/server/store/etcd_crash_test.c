/*
 * What is left after kill -9 of a server on etcd, and of etcd itself, in the middle of a storm of
 * writes: every acknowledged write, none of those that were refused, and watches without a gap or a
 * repetition. A history says so. Leases are no softer than the rest here.
 *
 * STORE_CRASHES is how often, of each kind: 5 unless given, `make chaos` takes 200.
 */
#include "test/unit/server/store/etcd_fix.h"
#include "test/unit/server/store/storm_kill.h"

#include "base/io/timer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { CRASHES = 5, POKE_MS = 20, LIFE_MAX_MS = 400, STUCK_MS = 60000 };

/* The window and the history are so small that watches come to the log, and some too late. */
static const struct store_limits busy = { .compact_ms = 50, .compact_keep_revs = 500 };

static int setup(void **state)
{
    return fix_setup(state, &etcd_backend);
}

static void kill_minus_nine_of_a_server_loses_nothing_acknowledged(void **state)
{
    struct fix *f = *state;
    struct storm_log l = { .h = history_new() };
    unsigned n = storm_n_crashes(CRASHES);

    fix_close(f);
    for (unsigned round = 0; round < n; round++) {
        storm_kill_round(f, &busy, true, &l, round, LIFE_MAX_MS);
        history_crash(l.h);
        fix_open(f, NULL);
        storm_check(f, &l, "kill", round);
        fix_close(f);
    }
    assert_true(history_n_acked(l.h) >= n && l.n_events >= n);
    print_message("%u kills, %zu acknowledged writes, %zu events\n", n, history_n_acked(l.h),
                  l.n_events);
    history_free(l.h);
}

/* ---- etcd ---- */

static void note_to_log(void *arg, const struct storm_note *n)
{
    storm_log_note(arg, n);
}

static void on_poke(void *arg)
{
    storm_poke(arg);
}

static void turn(struct fix *f, struct timer *poke, struct storm *storm)
{
    if (!timer_is_running(poke))
        timer_start_ms(poke, POKE_MS, on_poke, storm);
    uv_run(&f->loop, UV_RUN_ONCE);
}

/* Some more writes are acknowledged, then it goes on for a random time; the loop turns. */
static void live_a_while(struct fix *f, struct timer *poke, struct storm *storm,
                         const struct storm_log *l)
{
    size_t enough = history_n_acked(l->h) + STORM_KEYS;
    uint64_t began_ms = uv_now(&f->loop), until_ms;

    while (history_n_acked(l->h) < enough) {
        turn(f, poke, storm);
        if (uv_now(&f->loop) - began_ms > STUCK_MS)
            fail_msg("etcd is back, and nothing is acknowledged");
    }
    until_ms = uv_now(&f->loop) + (uint64_t)(rand() % LIFE_MAX_MS);
    while (uv_now(&f->loop) < until_ms)
        turn(f, poke, storm);
}

static void kill_minus_nine_of_etcd_loses_nothing_acknowledged(void **state)
{
    static struct storm storm;
    struct fix *f = *state;
    struct storm_log l = { .h = history_new() };
    unsigned n = storm_n_crashes(CRASHES);
    static struct timer poke; /* it is closed by the teardown's loop */

    srand(1);
    fix_close(f);
    fix_open(f, &busy);
    timer_init(&poke, &f->loop);
    storm = (struct storm){ .hard = true, .stubborn = true };
    storm_start(&storm, f->s, 0, l.seen, note_to_log, &l);
    for (unsigned round = 0; round < n; round++) {
        live_a_while(f, &poke, &storm, &l);
        etcd_member_kill(etcd_fix_procs(), 0, SIGKILL);
        etcd_member_begin(etcd_fix_procs(), 0);
    }
    live_a_while(f, &poke, &storm, &l);
    storm_stop(&storm);
    while (!storm_is_quiet(&storm))
        turn(f, &poke, &storm);
    storm_check(f, &l, "kill of etcd", n);
    timer_close(&poke, NULL, NULL);
    assert_true(l.n_events > 10 * n);
    print_message("%u kills of etcd, %zu acknowledged writes, %zu events\n", n,
                  history_n_acked(l.h), l.n_events);
    history_free(l.h);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        T(kill_minus_nine_of_a_server_loses_nothing_acknowledged),
        T(kill_minus_nine_of_etcd_loses_nothing_acknowledged),
    };

    return etcd_fix_can_run() ? cmocka_run_group_tests_name("etcd crashes", tests, NULL, NULL) : 0;
}

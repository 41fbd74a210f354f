/*
 * What is left after kill -9 and after a power cut, in the middle of a storm of writes: every
 * acknowledged write, no revision twice, and watches that go on without a gap. A history says so.
 *
 * STORE_CRASHES is how often, of each kind: 15 unless given, `make chaos` takes 200.
 */
#include "test/unit/server/store/sqlite_fix.h"

#include "base/core/mem.h"
#include "base/data/db.h"
#include "test/lib/disk.h"
#include "test/unit/server/store/storm_kill.h"

#include <stdio.h>

#define LIFE_MAX_MS 60

/* So small that leases, compaction and checkpoints are part of every storm. */
static const struct store_limits busy = { .checkpoint_ms = 20,
                                          .compact_ms = 10,
                                          .compact_keep_revs = 200,
                                          .compact_slice_rows = 32,
                                          .log_pages = 40 };

static int setup(void **state)
{
    return fix_setup(state, &sqlite_backend);
}

static void check_file(struct fix *f)
{
    char path[128];
    auto_db *d = NULL;
    struct err e;

    sqlite_path(path, f->place);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    if (db_check(d, &e))
        fail_msg("%s", e.text);
}

/* ---- kill -9 ---- */

static void kill_minus_nine_loses_nothing_acknowledged(void **state)
{
    struct fix *f = *state;
    struct storm_log l = { .h = history_new() };
    unsigned n = storm_n_crashes(15);

    fix_close(f);
    for (unsigned round = 0; round < n; round++) {
        storm_kill_round(f, &busy, false, &l, round, LIFE_MAX_MS);
        history_crash(l.h);
        fix_open(f, NULL);
        storm_check(f, &l, "kill", round);
        fix_close(f);
        check_file(f);
    }
    assert_true(history_n_acked(l.h) > 10 * n);
    assert_true(l.n_events > 10 * n);
    print_message("%u kills, %zu acknowledged writes, %zu events\n", n, history_n_acked(l.h),
                  l.n_events);
    history_free(l.h);
}

/* ---- the power goes ---- */

static void note_to_log(void *arg, const struct storm_note *n)
{
    storm_log_note(arg, n);
}

/* The store runs until the disk is gone under it; then what the disk has kept is the place. */
static void cut_round(struct fix *f, struct storm_log *l, unsigned round)
{
    static struct storm storm;
    struct disk *disk = disk_new(f->place, round);
    char next[sizeof f->place];

    snprintf(next, sizeof next, "/tmp/store_test.XXXXXX");
    assert_non_null(mkdtemp(next));
    fix_open(f, &busy);
    storm_start(&storm, f->s, round, l->seen, note_to_log, l);
    disk_cut_at(disk, round * 7919 % 40);
    while (!disk_is_cut(disk))
        uv_run(&f->loop, UV_RUN_ONCE);
    storm_stop(&storm);
    fix_close(f);
    disk_salvage(disk, next);
    disk_free(disk);
    fix_remove_place(f->place);
    memcpy(f->place, next, sizeof next);
}

static void a_power_cut_loses_nothing_acknowledged(void **state)
{
    struct fix *f = *state;
    struct storm_log l = { .h = history_new() };
    unsigned n = storm_n_crashes(15);

    fix_close(f);
    for (unsigned round = 0; round < n; round++) {
        cut_round(f, &l, round);
        history_crash(l.h);
        fix_open(f, NULL);
        storm_check(f, &l, "cut", round);
        fix_close(f);
        check_file(f);
    }
    assert_true(history_n_acked(l.h) > 10 * n);
    print_message("%u cuts, %zu acknowledged writes, %zu events\n", n, history_n_acked(l.h),
                  l.n_events);
    history_free(l.h);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        T(kill_minus_nine_loses_nothing_acknowledged),
        T(a_power_cut_loses_nothing_acknowledged),
    };

    return cmocka_run_group_tests_name("sqlite crashes", tests, NULL, NULL);
}

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
#include "test/unit/server/store/storm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* So small that leases, compaction and checkpoints are part of every storm. */
static const struct store_limits busy = { .checkpoint_ms = 20,
                                          .compact_ms = 10,
                                          .compact_keep_revs = 200,
                                          .compact_slice_rows = 32,
                                          .log_pages = 40 };

static unsigned n_crashes(void)
{
    const char *text = getenv("STORE_CRASHES");

    return text ? (unsigned)atoi(text) : 15;
}

static int setup(void **state)
{
    return fix_setup(state, &sqlite_backend);
}

/* Each key's state goes into the history, which then has to be possible. */
static void check(struct fix *f, struct storm_log *l, const char *what, unsigned round)
{
    const char *why;

    history_revision(l->h, store_revision(f->s));
    for (int i = 0; i < STORM_KEYS; i++) {
        char key[16], value[64] = "";
        long long mod = 0, create;
        const char *got;
        storm_key(key, i);
        got = get(f, key);
        if (*got == '!')
            fail_msg("%s %u: %s: %s", what, round, key, got);
        if (*got != '-')
            assert_int_equal(sscanf(got, "%63[0-9]@%lld/%lld", value, &mod, &create), 3);
        history_read(l->h, key, value, mod);
    }
    why = history_check(l->h);
    if (why)
        fail_msg("%s %u: %s", what, round, why);
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

static void note_to_pipe(void *arg, const struct storm_note *n)
{
    if (write(*(int *)arg, n, sizeof *n) != sizeof *n)
        _exit(1);
}

static void child_main(struct fix *parents, int fd, unsigned round, const int64_t *from)
{
    static struct storm storm;
    struct store *s;
    uv_loop_t loop;
    struct err e;

    uv_loop_init(&loop);
    if (sqlite_backend.open(&s, &loop, parents->place, &busy, &e)) {
        fprintf(stderr, "the child's store: %s\n", e.text); /* an assertion would run its tests */
        _exit(2);
    }
    storm_start(&storm, s, round, from, note_to_pipe, &fd);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(1);
}

static void kill_round(struct fix *f, struct storm_log *l, unsigned round)
{
    struct storm_note n;
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child_main(f, fds[1], round, l->seen);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &n, sizeof n), sizeof n); /* it is at work */
    usleep((useconds_t)(round * 7919 % 60) * 1000);
    kill(pid, SIGKILL);
    do
        storm_log_note(l, &n);
    while (read(fds[0], &n, sizeof n) == sizeof n);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void kill_minus_nine_loses_nothing_acknowledged(void **state)
{
    struct fix *f = *state;
    struct storm_log l = { .h = history_new() };

    fix_close(f);
    for (unsigned round = 0; round < n_crashes(); round++) {
        kill_round(f, &l, round);
        history_crash(l.h);
        fix_open(f, NULL);
        check(f, &l, "kill", round);
        fix_close(f);
        check_file(f);
    }
    assert_true(history_n_acked(l.h) > 10 * n_crashes());
    assert_true(l.n_events > 10 * n_crashes());
    print_message("%u kills, %zu acknowledged writes, %zu events\n", n_crashes(),
                  history_n_acked(l.h), l.n_events);
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

    fix_close(f);
    for (unsigned round = 0; round < n_crashes(); round++) {
        cut_round(f, &l, round);
        history_crash(l.h);
        fix_open(f, NULL);
        check(f, &l, "cut", round);
        fix_close(f);
        check_file(f);
    }
    assert_true(history_n_acked(l.h) > 10 * n_crashes());
    print_message("%u cuts, %zu acknowledged writes, %zu events\n", n_crashes(),
                  history_n_acked(l.h), l.n_events);
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

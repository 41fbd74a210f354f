/*
 * Disks that are full, read-only or silent, and what is written to them. Some stand behind the gate
 * of base/data/db_io; a real full one is a small tmpfs in a mount namespace of our own.
 */
#include "test/unit/server/store/sqlite_fix.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/db_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a disk that does as it is told ---- */

static struct {
    _Atomic int fail_write; /* an errno for every write and sync; 0: works */
    _Atomic int fail_sync;  /* for syncs only: what was written may be found after a crash */
    _Atomic uint64_t n_bytes;
    pthread_mutex_t frozen; /* held: nothing passes */
} disk = { .frozen = PTHREAD_MUTEX_INITIALIZER };

static int on_disk(void *arg, const struct db_io_call *call)
{
    (void)arg;
    pthread_mutex_lock(&disk.frozen);
    pthread_mutex_unlock(&disk.frozen);
    if (disk.fail_write)
        return disk.fail_write;
    if (disk.fail_sync && call->op == DB_IO_SYNC)
        return disk.fail_sync;
    if (call->op == DB_IO_WRITE)
        disk.n_bytes += call->bytes.n;
    return 0;
}

static int setup(void **state)
{
    disk.fail_write = disk.fail_sync = 0;
    disk.n_bytes = 0;
    db_io_gate_set(on_disk, NULL);
    return fix_setup(state, &sqlite_backend);
}

static int teardown(void **state)
{
    int rc = fix_teardown(state);

    db_io_gate_set(NULL, NULL);
    return rc;
}

static void turn(struct fix *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    usleep(2000);
}

/* Runs the loop until the trouble is that code (0: none); 30 s at most. Its text. */
static const char *wait_trouble(struct fix *f, int code)
{
    static struct err e;
    uint64_t until_ms = clock_mono_ms() + 30000;

    do {
        e = (struct err){ 0 };
        if (store_trouble(f->s, &e) == code)
            return e.text;
        turn(f);
    } while (clock_mono_ms() < until_ms);
    fail_msg("trouble %d \"%s\", want %d", (int)e.code, e.text, code);
    return NULL;
}

static struct answer try_put(struct fix *f, enum store_op_kind kind, const char *key, bool lease)
{
    struct store_op op = {
        .kind = kind, .key = str_of(key), .value = STR("value"), .ephemeral = lease
    };

    return do_commit(f, &op, 1);
}

/* What holds while the disk takes nothing, whatever the reason. */
static void check_goes_on_without_disk(struct fix *f, enum err_code code, const char *word)
{
    struct seen w = { 0 };
    struct answer a;
    int64_t rev = store_revision(f->s);

    watch(f, &w, "/", 0);
    a = try_put(f, STORE_CREATE, "/r/new", false);
    assert_int_equal(a.err.code, code);
    assert_non_null(strstr(a.err.text, word));
    assert_non_null(strstr(a.err.text, "state.db"));
    assert_int_equal(store_revision(f->s), rev); /* none was used up */
    assert_string_equal(get(f, "/r/new"), "-");
    assert_int_equal(get(f, "/r/old")[0], 'o');
    assert_non_null(strstr(wait_trouble(f, (int)code), word));
    a = try_put(f, STORE_UPDATE, "/l/node", true); /* leases need no disk */
    assert_int_equal(a.err.code, 0);
    assert_non_null(strstr(seen(&w, 1), "~/l/node=value<"));
    unwatch(&w);
}

static void prepare(struct fix *f)
{
    put(f, STORE_CREATE, "/r/old", "o");
    put_lease(f, STORE_CREATE, "/l/node", "0");
    put_lease(f, STORE_UPDATE, "/l/node", "1"); /* reserves revisions */
}

static void a_failing_disk_is_named_and_found_well_again(void **state)
{
    static const struct {
        int sys;
        enum err_code code;
        const char *word;
    } rows[] = {
        { ENOSPC, ERR_LIMIT, "the disk is full" },
        { EDQUOT, ERR_LIMIT, "the disk is full" },
        { EROFS, ERR_DENIED, "read-only" },
        { EIO, ERR_IO, "Input/output error" },
    };
    struct fix *f = *state;

    prepare(f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        disk.fail_write = rows[i].sys;
        check_goes_on_without_disk(f, rows[i].code, rows[i].word);
        disk.fail_write = 0;
        wait_trouble(f, 0); /* nobody writes: it looks by itself */
        put(f, STORE_CREATE, "/r/new", "fits again");
        put(f, STORE_DELETE, "/r/new", "");
    }
}

/* A crash may bring back the commit whose sync failed, so its revision is nobody else's before it
 * is overwritten: not even a lease's, which would need no disk. */
static void after_a_failed_sync_no_revision_is_used_before_one_succeeds(void **state)
{
    struct fix *f = *state;
    struct answer hard = { 0 }, soft = { 0 };
    const struct store_op create = { .kind = STORE_CREATE, .key = STR("/r/new") };
    const struct store_op renew = {
        .kind = STORE_UPDATE, .key = STR("/l/node"), .value = STR("2"), .ephemeral = true
    };
    int64_t rev;

    prepare(f);
    rev = store_revision(f->s);
    disk.fail_sync = EIO;
    store_commit(f->s, &create, 1, on_answer, &hard);
    store_commit(f->s, &renew, 1, on_answer, &soft); /* of the same group */
    while (!hard.done || !soft.done)
        turn(f);
    assert_int_equal(hard.err.code, ERR_IO);
    assert_int_equal(soft.err.code, ERR_IO);
    assert_int_equal(try_put(f, STORE_UPDATE, "/l/node", true).err.code, ERR_IO); /* of its own */
    assert_int_equal(store_revision(f->s), rev);
    disk.fail_sync = 0;
    assert_int_equal(try_put(f, STORE_UPDATE, "/l/node", true).rev, rev + 1);
    assert_string_equal(get(f, "/r/new"), "-");
    wait_trouble(f, 0);
}

static void a_start_on_a_failing_disk_says_why(void **state)
{
    struct fix *f = *state;
    struct err e = { 0 };

    fix_close(f);
    fix_remove_place(f->place);
    assert_int_equal(mkdir(f->place, 0700), 0);
    disk.fail_write = ENOSPC;
    assert_int_equal(sqlite_backend.open(&f->s, &f->loop, f->place, NULL, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "the disk is full"));
    f->s = NULL;
    disk.fail_write = 0;
}

/* ---- a real small disk ---- */

static bool own_mounts;

static void fill(const char *path)
{
    static const char block[4096] = { 1 };
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void a_full_tmpfs_is_survived(void **state)
{
    struct fix *f = *state;
    char ballast[128];
    int n_ok = 0;
    struct answer a = { 0 };

    if (!own_mounts)
        skip();
    fix_close(f);
    assert_int_equal(mount("small", f->place, "tmpfs", 0, "size=4m"), 0);
    snprintf(ballast, sizeof ballast, "%s/ballast", f->place);
    fix_open(f, NULL);
    prepare(f);
    fill(ballast);
    while (n_ok < 5000 && !a.err.code) { /* what the log has room for may still fit */
        a = try_put(f, n_ok % 2 ? STORE_DELETE : STORE_CREATE, "/r/fill", false);
        n_ok += !a.err.code;
    }
    assert_int_equal(a.err.code, ERR_LIMIT);
    check_goes_on_without_disk(f, ERR_LIMIT, "the disk is full");
    assert_int_equal(unlink(ballast), 0);
    wait_trouble(f, 0);
    put(f, STORE_CREATE, "/r/new", "fits again");
    fix_close(f);
    fix_open(f, NULL);
    assert_int_equal(strncmp(get(f, "/r/new"), "fits again@", 11), 0);
    fix_close(f);
    assert_int_equal(umount2(f->place, MNT_DETACH), 0);
}

/* A young log makes room for itself by starting over, as long as the file has free pages. */
static void a_full_disk_writes_in_the_room_it_has(void **state)
{
    struct fix *f = *state;
    char ballast[128], key[32], value[2000];
    int n_ok = 0;

    if (!own_mounts)
        skip();
    fix_close(f);
    assert_int_equal(mount("small", f->place, "tmpfs", 0, "size=32m"), 0);
    snprintf(ballast, sizeof ballast, "%s/ballast", f->place);
    fix_open(f, NULL);
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "/r/%d", i / 2);
        put(f, i % 2 ? STORE_DELETE : STORE_CREATE, key, value);
    }
    assert_int_equal(compact(f, store_revision(f->s)), 0); /* leaves free pages */
    put(f, STORE_CREATE, "/r/one", "");
    fix_close(f); /* and no log */
    fix_open(f, NULL);
    for (int i = 0; i < 20; i++)
        put(f, STORE_UPDATE, "/r/one", "x");
    fill(ballast);
    for (int i = 0; i < 200; i++)
        n_ok += try_put(f, STORE_UPDATE, "/r/one", false).err.code == 0;
    assert_true(n_ok > 150);
    fix_close(f);
    assert_int_equal(umount2(f->place, MNT_DETACH), 0);
}

static void a_read_only_mount_is_named_at_the_start(void **state)
{
    struct fix *f = *state;
    struct err e = { 0 };

    if (!own_mounts)
        skip();
    fix_close(f);
    assert_int_equal(mount(f->place, f->place, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, f->place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    assert_int_not_equal(sqlite_backend.open(&f->s, &f->loop, f->place, NULL, &e), 0);
    assert_non_null(strstr(e.text, "Read-only file system"));
    f->s = NULL;
    assert_int_equal(umount2(f->place, MNT_DETACH), 0);
    fix_open(f, NULL);
}

/* ---- a silent disk ---- */

static void a_frozen_disk_is_answered_for_and_comes_back(void **state)
{
    struct fix *f = *state;
    const struct store_limits quick = { .write_timeout_ms =
                                            4000 }; /* also for the last write, which is in time */
    struct answer begun = { 0 }, queued = { 0 }, late = { 0 };
    struct store_op op = { .kind = STORE_CREATE, .value = STR("v") };
    struct seen w = { 0 };

    fix_close(f);
    fix_open(f, &quick);
    put(f, STORE_CREATE, "/r/old", "o");
    watch(f, &w, "/r/", 0);
    pthread_mutex_lock(&disk.frozen);
    op.key = STR("/r/begun");
    store_commit(f->s, &op, 1, on_answer, &begun);
    for (int i = 0; i < 500; i++)
        turn(f); /* the writer has taken it */
    op.key = STR("/r/queued");
    store_commit(f->s, &op, 1, on_answer, &queued);
    while (!begun.done || !queued.done)
        turn(f);
    assert_int_equal(begun.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(begun.err.text, "may still happen"));
    assert_int_equal(queued.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(queued.err.text, "taken back"));
    assert_non_null(strstr(wait_trouble(f, ERR_TIMEOUT), "has not answered for"));
    assert_int_equal(get(f, "/r/old")[0], 'o'); /* reads go on */
    op.key = STR("/r/late");
    store_commit(f->s, &op, 1, on_answer, &late);
    pthread_mutex_unlock(&disk.frozen);
    while (!late.done)
        turn(f);
    assert_int_equal(late.err.code, 0);
    wait_trouble(f, 0);
    assert_int_equal(get(f, "/r/begun")[0], 'v'); /* it did, and watchers know */
    assert_string_equal(get(f, "/r/queued"), "-");
    assert_non_null(strstr(seen(&w, 2), "+/r/begun=v@"));
    assert_non_null(strstr(w.text, "+/r/late=v@"));
    unwatch(&w);
}

/* ---- the budget ---- */

static uint64_t written_by(struct fix *f, const char *writer, uint64_t *sum)
{
    struct store_written w[STORE_WRITERS_MAX];
    size_t n = store_written(f->s, w);
    uint64_t bytes = 0;

    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        *sum += w[i].bytes;
        bytes += strcmp(w[i].writer, writer) == 0 ? w[i].bytes : 0;
    }
    return bytes;
}

static void every_byte_has_a_writer(void **state)
{
    static const char *const writers[] = { "open",       "pods",       "events", "leases",
                                           "compaction", "checkpoint", "other" };
    struct fix *f = *state;
    const struct store_limits busy = {
        .compact_ms = 20, .compact_keep_revs = 20, .checkpoint_ms = 20, .compact_slice_rows = 16
    };
    struct store_stats st;
    uint64_t sum, pods, events;
    char value[900], key[64];

    fix_close(f);
    fix_remove_place(f->place);
    assert_int_equal(mkdir(f->place, 0700), 0);
    disk.n_bytes = 0;
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    fix_open(f, &busy);
    put_lease(f, STORE_CREATE, "/registry/coordination.k8s.io/leases/kube-node-lease/n", "l");
    put(f, STORE_CREATE, "/unusual", "");
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "/registry/core/pods/default/p%d", i);
        put(f, STORE_CREATE, key, value);
        if (i % 10 == 0) {
            snprintf(key, sizeof key, "/registry/core/events/default/e%d", i);
            put(f, STORE_CREATE, key, value);
        }
        put_lease(f, STORE_UPDATE, "/registry/coordination.k8s.io/leases/kube-node-lease/n", "l");
    }
    while (written_by(f, "compaction", &sum) == 0 || written_by(f, "checkpoint", &sum) == 0)
        put(f, STORE_UPDATE, "/unusual", "");
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        if (written_by(f, writers[i], &sum) == 0)
            fail_msg("nothing is written by %s", writers[i]);
    pods = written_by(f, "pods", &sum);
    events = written_by(f, "events", &sum);
    assert_true(pods > 5 * events && pods < 20 * events);
    for (int i = 0; i < 10000 && written_by(f, "", &sum) + sum != disk.n_bytes; i++)
        turn(f); /* something may be under way */
    written_by(f, "", &sum);
    assert_int_equal(sum, disk.n_bytes); /* to the byte */
    store_stats(f->s, &st);
    assert_int_equal(sum, st.written_bytes);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_failing_disk_is_named_and_found_well_again),
        T(after_a_failed_sync_no_revision_is_used_before_one_succeeds),
        T(a_start_on_a_failing_disk_says_why),
        T(a_full_tmpfs_is_survived),
        T(a_full_disk_writes_in_the_room_it_has),
        T(a_read_only_mount_is_named_at_the_start),
        T(a_frozen_disk_is_answered_for_and_comes_back),
        T(every_byte_has_a_writer),
    };

    own_mounts =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests_name("sqlite disks", tests, NULL, NULL);
}

#include "server/store/snapshot.h"

#include "base/core/mem.h"
#include "base/data/db_io.h"
#include "test/unit/server/store/sqlite_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct snap { /* a store, and a folder for what is made of it */
    struct fix *f;
    char dir[64], path[96];
};

static int setup(void **state)
{
    struct snap *s = mem_alloc(sizeof *s);

    snprintf(s->dir, sizeof s->dir, "/tmp/snapshot_test.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/snap", s->dir);
    *state = s;
    return fix_setup((void **)&s->f, &sqlite_backend);
}

static int teardown(void **state)
{
    struct snap *s = *state;
    struct fix *f = s->f;

    fix_remove_place(s->dir);
    free(s);
    return fix_teardown((void **)&f);
}

struct copied {
    bool done;
    struct err err;
};

static void on_copied(void *arg, const struct err *e)
{
    *(struct copied *)arg = (struct copied){ true, e ? *e : (struct err){ 0 } };
}

static struct err copy(struct snap *s)
{
    struct copied c = { 0 };

    store_copy(s->f->s, s->path, on_copied, &c);
    assert_false(c.done);
    while (!c.done)
        uv_run(&s->f->loop, UV_RUN_ONCE);
    return c.err;
}

static void snapshot(struct snap *s)
{
    auto_facts facts = { .created_unix_s = 1700000000,
                         .node = "srv1",
                         .version = "test",
                         .sealed = BUF(SNAPSHOT_SEALED_MAX) };
    struct err e = copy(s);

    assert_int_equal(e.code, 0);
    assert_int_equal(buf_adds(&facts.sealed, "sealed text"), 0);
    if (snapshot_finish(s->path, &facts, &e))
        fail_msg("%s", e.text);
}

/* What was in the store's place is gone; the snapshot's is there. */
static void restore(struct snap *s)
{
    char path[128];
    struct err e;

    fix_close(s->f);
    sqlite_path(path, s->f->place);
    if (snapshot_restore(s->path, path, FMT("%s-old", path), &e))
        fail_msg("%s", e.text);
    assert_int_equal(access(FMT("%s-old", path), F_OK), 0);
    fix_open(s->f, NULL);
}

static void fill(struct snap *s)
{
    for (int i = 0; i < 300; i++)
        put(s->f, STORE_CREATE, FMT("/r/%03d", i), "value");
    put(s->f, STORE_DELETE, "/r/000", "");
    put_lease(s->f, STORE_CREATE, "/l/x", "old");
    put_lease(s->f, STORE_UPDATE, "/l/x", "new");
}

static void a_snapshot_says_what_it_is(void **state)
{
    struct snap *s = *state;
    auto_facts facts = { 0 };
    struct stat st;
    struct err e;

    fill(s);
    int64_t rev = store_revision(s->f->s);
    snapshot(s);
    if (snapshot_read(&facts, s->path, &e))
        fail_msg("%s", e.text);
    assert_true(facts.rev >= rev);
    assert_int_equal(facts.n_objects, 300);
    assert_int_equal(facts.created_unix_s, 1700000000);
    assert_string_equal(facts.node, "srv1");
    assert_string_equal(facts.version, "test");
    assert_string_equal(buf_cstr(&facts.sealed), "sealed text");
    assert_int_not_equal(stat(FMT("%s-wal", s->path), &st), 0); /* one file */
    put(s->f, STORE_CREATE, "/r/more", "the store goes on");
}

static void what_was_there_is_there_again(void **state)
{
    struct snap *s = *state;
    struct seen w = { 0 };
    int64_t rev, now;

    fill(s);
    snapshot(s);
    put(s->f, STORE_CREATE, "/r/later", "is not in it");
    rev = store_revision(s->f->s);
    restore(s);
    assert_int_equal(strncmp(get(s->f, "/r/299"), "value@", 6), 0);
    assert_string_equal(get(s->f, "/r/000"), "-");
    assert_string_equal(get(s->f, "/r/later"), "-");
    assert_int_equal(get(s->f, "/l/x")[0], 'o'); /* the renewal was of the last minute */
    now = store_revision(s->f->s);
    assert_true(now > rev + SNAPSHOT_REV_JUMP / 2); /* none that was given out comes again */
    watch(s->f, &w, "/r/", rev); /* a client that knows the past has to list again */
    while (!w.over)
        uv_run(&s->f->loop, UV_RUN_ONCE);
    assert_string_equal(w.text, "!expired");
    unwatch(&w);
    watch(s->f, &w, "/r/", now);
    put(s->f, STORE_UPDATE, "/r/299", "goes on");
    assert_non_null(strstr(seen(&w, 1), "~/r/299=goes on<value@"));
    unwatch(&w);
    fix_close(s->f); /* and once more */
    fix_open(s->f, NULL);
    assert_int_equal(strncmp(get(s->f, "/r/299"), "goes on@", 8), 0);
    snapshot(s);
    restore(s);
    assert_int_equal(strncmp(get(s->f, "/r/299"), "goes on@", 8), 0);
}

static void a_copy_is_of_one_moment_while_writers_go_on(void **state)
{
    struct snap *s = *state;
    struct copied c = { 0 };
    int n = 0;

    /* Both keys of a commit have the same value, always. */
    const struct store_op first[] = {
        { .kind = STORE_CREATE, .key = STR("/p/a"), .value = STR("0") },
        { .kind = STORE_CREATE, .key = STR("/p/b"), .value = STR("0") },
    };
    assert_int_equal(do_commit(s->f, first, 2).err.code, 0);
    for (int i = 0; i < 500; i++)
        put(s->f, STORE_CREATE, FMT("/r/%d", i), "a value that makes the copy take a while");
    store_copy(s->f->s, s->path, on_copied, &c);
    while (!c.done) {
        const char *v = FMT("%d", ++n);
        const struct store_op both[] = {
            { .kind = STORE_UPDATE, .key = STR("/p/a"), .value = str_of(v) },
            { .kind = STORE_UPDATE, .key = STR("/p/b"), .value = str_of(v) },
        };
        assert_int_equal(do_commit(s->f, both, 2).err.code, 0);
    }
    assert_int_equal(c.err.code, 0);
    auto_facts facts = { .sealed = BUF(16) };
    struct err e;
    assert_int_equal(snapshot_finish(s->path, &facts, &e), 0);
    restore(s);
    auto_free char *a = mem_strdup(get(s->f, "/p/a")), *b = mem_strdup(get(s->f, "/p/b"));
    assert_string_equal(a, b);
}

static void a_file_that_is_there_is_left_alone(void **state)
{
    struct snap *s = *state;
    struct err e;
    int fd = open(s->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    close(fd);
    assert_int_equal(copy(s).code, ERR_EXISTS);
    assert_int_equal(unlink(s->path), 0);
    snapshot(s);
    assert_int_not_equal(snapshot_restore(s->path, "/nonexistent/db", "/nonexistent/old", &e), 0);
    put(s->f, STORE_CREATE, "/r/x", "the store goes on");
}

static int no_room_for_copies(void *arg, const struct db_io_call *call)
{
    const char *dir = arg;

    return strncmp(call->path, dir, strlen(dir)) == 0 && call->op == DB_IO_WRITE ? ENOSPC : 0;
}

static void a_full_disk_leaves_no_half_copy(void **state)
{
    struct snap *s = *state;

    fill(s);
    fix_close(s->f);
    db_io_gate_set(no_room_for_copies, s->dir);
    fix_open(s->f, NULL);
    struct err e = copy(s);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_not_equal(access(s->path, F_OK), 0);
    put(s->f, STORE_CREATE, "/r/x", "the store goes on");
    fix_close(s->f);
    db_io_gate_set(NULL, NULL);
    fix_open(s->f, NULL);
    assert_int_equal(snprintf(s->path, sizeof s->path, "/nonexistent/snap"), 17);
    assert_int_not_equal(copy(s).code, 0);
}

static void what_is_no_snapshot_is_named(void **state)
{
    struct snap *s = *state;
    auto_facts facts = { 0 };
    char path[128];
    struct err e = { 0 };
    FILE *f;

    assert_int_equal(snapshot_read(&facts, s->path, &e), ERR_NOT_FOUND);
    f = fopen(s->path, "we");
    fputs("this is a letter, long enough to be looked at as a database, but it is a letter. "
          "this is a letter, long enough to be looked at as a database, but it is a letter.",
          f);
    fclose(f);
    assert_int_equal(snapshot_read(&facts, s->path, &e), ERR_IO);
    assert_non_null(strstr(e.text, "not an SQLite file"));
    unlink(s->path);
    assert_int_equal(copy(s).code, 0); /* not finished */
    assert_int_equal(snapshot_read(&facts, s->path, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "no snapshot"));
    sqlite_path(path, s->f->place);
    fix_close(s->f);
    assert_int_equal(snapshot_read(&facts, path, &e), ERR_INVALID); /* a database at work */
    fix_open(s->f, NULL);
}

static void damage_is_found_before_anything_is_restored(void **state)
{
    struct snap *s = *state;
    char path[128];
    unsigned seed = 5;
    size_t n_found = 0;
    struct stat st;

    fill(s);
    snapshot(s);
    fix_close(s->f);
    sqlite_path(path, s->f->place);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stat(s->path, &st), 0);
    for (int round = 0; round < 100; round++) {
        int fd = open(s->path, O_RDWR | O_CLOEXEC);
        char good[8], bad[8];
        off_t at;
        auto_facts facts = { 0 };
        struct err e = { 0 };
        seed = seed * 1103515245 + 12345;
        at = (off_t)((seed >> 4) % (size_t)(st.st_size - 8));
        if (round % 2) /* b-tree page headers and cell pointers */
            at = at / 4096 * 4096 + at % 40;
        assert_int_equal(pread(fd, good, sizeof good, at), sizeof good);
        memset(bad, (int)(seed >> 24), sizeof bad);
        assert_int_equal(pwrite(fd, bad, sizeof bad, at), sizeof bad);
        if (snapshot_read(&facts, s->path, &e)) {
            assert_non_null(strstr(e.text, "snap"));
            n_found++;
        }
        assert_int_equal(pwrite(fd, good, sizeof good, at), sizeof good);
        close(fd);
    }
    assert_true(n_found > 30);
    fix_open(s->f, NULL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_snapshot_says_what_it_is),
        T(what_was_there_is_there_again),
        T(a_copy_is_of_one_moment_while_writers_go_on),
        T(a_file_that_is_there_is_left_alone),
        T(a_full_disk_leaves_no_half_copy),
        T(what_is_no_snapshot_is_named),
        T(damage_is_found_before_anything_is_restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

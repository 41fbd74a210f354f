/* The suite of all backends, then what only SQLite's files can suffer. */
#include "test/unit/server/store/sqlite_fix.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/db.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    return fix_setup(state, &sqlite_backend);
}

/* Opening must fail; the text is returned. */
static const char *refusal(struct fix *f, enum err_code code)
{
    static struct err e;
    struct store *s = NULL;

    assert_int_equal(sqlite_backend.open(&s, &f->loop, f->place, NULL, &e), code);
    assert_null(s);
    return e.text;
}

/* ---- who may open what ---- */

static void a_second_process_is_refused_by_name(void **state)
{
    struct fix *f = *state;
    const char *text = refusal(f, ERR_AGAIN);
    char pid[32];

    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(text, "in use"));
    assert_non_null(strstr(text, pid));
    put(f, STORE_CREATE, "/r/x", "the first one goes on");
}

static void a_newer_format_is_refused(void **state)
{
    struct fix *f = *state;

    fix_close(f);
    sqlite_alter(f, "PRAGMA user_version=99");
    assert_non_null(strstr(refusal(f, ERR_INVALID), "format 99"));
}

static void a_database_of_somebody_else_is_refused(void **state)
{
    struct fix *f = *state;

    fix_close(f);
    fix_remove_place(f->place);
    assert_int_equal(mkdir(f->place, 0700), 0);
    sqlite_alter(f, "CREATE TABLE kine (id INTEGER)");
    assert_non_null(strstr(refusal(f, ERR_INVALID), "not made by coracle"));
}

static void a_missing_folder_is_named(void **state)
{
    struct fix *f = *state;
    struct store *s = NULL;
    struct err e = { 0 };

    assert_int_equal(store_sqlite_open(&s, &f->loop, "/nonexistent/dir/state.db", &e),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "/nonexistent/dir"));
}

/* ---- disks ---- */

static void a_full_disk_refuses_writes_and_still_reads(void **state)
{
    struct fix *f = *state;
    const struct store_limits small = { .db_bytes_max = 256 * 1024 };
    char *big = mem_alloc(20000);
    int n_ok = 0;
    struct answer a = { 0 };
    char key[32];
    int64_t rev;

    fix_close(f);
    fix_open(f, &small);
    memset(big, 'x', 19999);
    for (; n_ok < 100; n_ok++) {
        struct store_op op = { .kind = STORE_CREATE, .value = str_of(big) };
        snprintf(key, sizeof key, "/r/%02d", n_ok);
        op.key = str_of(key);
        a = do_commit(f, &op, 1);
        if (a.err.code)
            break;
    }
    assert_true(n_ok > 2 && n_ok < 20);
    assert_int_equal(a.err.code, ERR_LIMIT);
    assert_non_null(strstr(a.err.text, "full"));
    assert_string_equal(get(f, key), "-");
    assert_int_equal(get(f, "/r/00")[0], 'x');
    rev = store_revision(f->s);
    assert_int_equal(put(f, STORE_CREATE, "/r/small", "fits"), rev + 1); /* none was used up */
    put(f, STORE_DELETE, "/r/small", "");
    free(big);
}

static void churn_does_not_grow_the_file(void **state)
{
    struct fix *f = *state;
    const struct store_limits eager = { .compact_ms = 10,
                                        .compact_keep_revs = 50,
                                        .compact_most_revs = 400,
                                        .compact_slice_rows = 32 };
    char value[1001], path[128];
    struct stat st;

    memset(value, 'v', 1000);
    value[1000] = '\0';
    fix_close(f);
    fix_open(f, &eager);
    for (int i = 0; i < 50; i++) {
        char key[32];
        snprintf(key, sizeof key, "/r/%d", i);
        put(f, STORE_CREATE, key, value);
    }
    for (int i = 0; i < 3000; i++) {
        char key[32];
        snprintf(key, sizeof key, "/r/%d", i % 50);
        put(f, STORE_UPDATE, key, value);
    }
    assert_true(store_compacted_rev(f->s) > 2000);
    fix_close(f);
    sqlite_path(path, f->place);
    assert_int_equal(stat(path, &st), 0);
    /* 50 kB live, 450 kB of history, 1 MB of free pages that are kept for the next writes */
    assert_true(st.st_size < 2 << 20);
    assert_true(sqlite_number(f, "SELECT count(*) FROM log") < 500);
}

static void renewing_a_lease_does_not_touch_the_disk(void **state)
{
    struct fix *f = *state;
    struct store_stats before, after;

    put_lease(f, STORE_CREATE, "/l/node", "0");
    put_lease(f, STORE_UPDATE, "/l/node", "1"); /* reserves revisions */
    store_stats(f->s, &before);
    for (int i = 0; i < 500; i++)
        put_lease(f, STORE_UPDATE, "/l/node", "2");
    store_stats(f->s, &after);
    assert_int_equal(after.n_groups - before.n_groups, 500);
    fix_close(f);
    assert_int_equal(sqlite_number(f, "SELECT count(*) FROM log"), 1); /* its create */
    assert_int_equal(sqlite_number(f, "SELECT count(*) FROM lease"),
                     1); /* written out at the end */
}

static void a_database_of_format_1_is_taken_over(void **state)
{
    struct fix *f = *state;
    int64_t rev;

    put(f, STORE_CREATE, "/r/x", "v");
    rev = put_lease(f, STORE_CREATE, "/l/node", "0");
    fix_close(f);
    sqlite_alter(f, "DROP TABLE lease; DROP TABLE label; PRAGMA user_version=1");
    fix_open(f, NULL);
    assert_int_equal(store_revision(f->s), rev);
    assert_int_equal(get(f, "/r/x")[0], 'v');
    put_lease(f, STORE_UPDATE, "/l/node", "1");
    fix_close(f);
    fix_open(f, NULL);
    assert_int_equal(get(f, "/l/node")[0], '1');
}

/* ---- lists by labels ---- */

static bool likes_blue(void *arg, struct str labels)
{
    ++*(int *)arg;
    return memmem(labels.p, labels.n, "blue", 4) != NULL;
}

#define LABELED(text, labels) "{\"metadata\":{\"name\":\"" text "\",\"labels\":" labels "}}"

/* What a list by labels gives, as "key key"; *n_asked: how often it asked. */
static const char *blue(struct fix *f, const char *prefix, size_t limit, int64_t at_rev,
                        int *n_asked)
{
    static char text[256];
    struct store_list_opts o = {
        .limit = limit, .at_rev = at_rev, .likes = likes_blue, .likes_arg = n_asked
    };
    size_t n = 0;

    *n_asked = 0;
    text[0] = '\0';
    auto_free char *all = mem_strdup(list(f, prefix, &o));
    for (char *save, *word = strtok_r(all, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (*word == '/')
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? " " : "",
                                  (int)strcspn(word, "="), word);
    return text;
}

static void a_list_by_labels_reads_what_has_them(void **state)
{
    struct fix *f = *state;
    int64_t before;
    int n;

    put(f, STORE_CREATE, "/r/a", LABELED("a", "{\"c\":\"blue\"}"));
    put(f, STORE_CREATE, "/r/b", LABELED("b", "{\"c\":\"red\"}"));
    put(f, STORE_CREATE, "/r/c", "{\"metadata\":{\"name\":\"c\"},\"labels\":{\"c\":\"blue\"}}");
    put(f, STORE_CREATE, "/r/d", LABELED("d", "{}"));
    before = put(f, STORE_CREATE, "/r/e", LABELED("e", "{\"c\":\"blue\"}"));
    assert_string_equal(blue(f, "/r/", 0, 0, &n), "/r/a /r/e");
    assert_int_equal(n, 3);
    assert_string_equal(blue(f, "/r/", 1, 0, &n), "/r/a");
    assert_string_equal(blue(f, "/s/", 0, 0, &n), "");
    put(f, STORE_UPDATE, "/r/a", LABELED("a", "{\"c\":\"green\"}"));
    put(f, STORE_UPDATE, "/r/b", LABELED("b", "{\"c\":\"blue\"}"));
    put(f, STORE_UPDATE, "/r/e", "{\"metadata\":{\"name\":\"e\"}}");
    assert_string_equal(blue(f, "/r/", 0, 0, &n), "/r/b");
    put(f, STORE_DELETE, "/r/b", NULL);
    assert_string_equal(blue(f, "/r/", 0, 0, &n), "");
    /* the past has values only: others come too */
    assert_string_equal(blue(f, "/r/", 0, before, &n), "/r/a /r/b /r/c /r/d /r/e");
}

static void labels_survive_a_start_and_an_older_format(void **state)
{
    struct fix *f = *state;
    int n;

    put(f, STORE_CREATE, "/r/a", LABELED("a", "{\"c\":\"blue\"}"));
    put(f, STORE_CREATE, "/r/b", "{\"metadata\":{\"name\":\"b\"}}");
    fix_close(f);
    fix_open(f, NULL);
    assert_string_equal(blue(f, "/r/", 0, 0, &n), "/r/a");
    fix_close(f);
    sqlite_alter(f, "DROP TABLE label; PRAGMA user_version=2");
    fix_open(f, NULL);
    assert_string_equal(blue(f, "/r/", 0, 0, &n), "/r/a");
    assert_int_equal(n, 1);
}

static void labels_of_leases_in_memory_are_not_missed(void **state)
{
    struct fix *f = *state;
    int n;

    put_lease(f, STORE_CREATE, "/l/a", LABELED("a", "{\"c\":\"red\"}"));
    put_lease(f, STORE_UPDATE, "/l/a", LABELED("a", "{\"c\":\"blue\"}"));
    assert_string_equal(blue(f, "/l/", 0, 0, &n), "/l/a");
    fix_close(f); /* written out, to a table of its own */
    fix_open(f, NULL);
    assert_string_equal(blue(f, "/l/", 0, 0, &n), "/l/a");
    put(f, STORE_UPDATE, "/l/a", LABELED("a", "{\"c\":\"blue\",\"d\":\"e\"}")); /* a durable one */
    assert_string_equal(blue(f, "/l/", 0, 0, &n), "/l/a");
    assert_int_equal(n, 1);
}

/* ---- damage ---- */

static void on_get_any(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    (void)o;
    (void)rev;
    if (e && e->code != ERR_NOT_FOUND)
        assert_true(strlen(e->text) > 0);
    *(int *)arg -= 1;
}
static void on_list_any(void *arg, const struct store_list *l, const struct err *e)
{
    assert_true((l == NULL) == (e != NULL));
    *(int *)arg -= 1;
}
static void on_commit_any(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                          const struct err *e)
{
    (void)rev;
    (void)failed;
    (void)current;
    if (e)
        assert_true(strlen(e->text) > 0);
    *(int *)arg -= 1;
}
static bool on_event_any(void *arg, const struct store_event *ev)
{
    (void)arg;
    assert_true(ev->now || ev->prev);
    return true;
}
static void on_end_any(void *arg, const struct err *e)
{
    assert_true(strlen(e->text) > 0);
    *(struct store_watch **)arg = NULL;
}

static void use_everything(struct fix *f, int64_t rev)
{
    static const struct store_watch_events events = { .on_event = on_event_any,
                                                      .on_end = on_end_any };
    const struct store_op ops[] = {
        { .kind = STORE_UPDATE, .key = STR("/r/03"), .value = STR("new") },
        { .kind = STORE_CREATE, .key = STR("/r/new"), .value = STR("new") },
        { .kind = STORE_DELETE, .key = STR("/r/05") },
        { .kind = STORE_DELETE, .key = STR("/r/lease") },
    };
    const struct store_list_opts past = { .at_rev = rev / 2, .limit = 7 };
    struct store_watch *w = NULL;
    int left = 8;

    store_watch_start(&w, f->s, STR("/r/"), rev / 3, &events, &w);
    store_get(f->s, STR("/r/01"), on_get_any, &left);
    store_list(f->s, STR("/r/"), NULL, on_list_any, &left);
    store_list(f->s, STR("/"), &past, on_list_any, &left);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        store_commit(f->s, &ops[i], 1, on_commit_any, &left);
    store_get(f->s, STR("/r/07"), on_get_any, &left);
    while (left)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    if (w)
        store_watch_stop(w);
}

static size_t slurp(const char *path, char **out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(fstat(fd, &st), 0);
    *out = mem_alloc((size_t)st.st_size);
    assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

static void flipped_bytes_are_named_never_crashed_on(void **state)
{
    struct fix *f = *state;
    char path[128], wal[160], shm[160], value[400];
    auto_free char *good = NULL;
    unsigned seed = 11;
    size_t n, n_refused = 0;
    int64_t rev;

    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 120; i++) {
        char key[32];
        snprintf(key, sizeof key, "/r/%02d", i % 40);
        put(f, i < 40 ? STORE_CREATE : STORE_UPDATE, key, value + i);
    }
    for (int i = 0; i < 20; i++)
        put_lease(f, i ? STORE_UPDATE : STORE_CREATE, "/r/lease", value + i);
    rev = store_revision(f->s);
    fix_close(f);
    sqlite_path(path, f->place);
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(shm, sizeof shm, "%s-shm", path);
    n = slurp(path, &good);
    for (int round = 0; round < 150; round++) {
        auto_free char *bad = mem_dup(good, n);
        struct err e = { 0 };
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        unlink(wal);
        unlink(shm);
        for (int i = 0; i < 1 + round % 8; i++) {
            size_t at, page = round % 3 ? n : 200; /* headers more often than their share */
            seed = seed * 1103515245 + 12345;
            at = (seed >> 8) % page;
            if (round % 3 == 1) /* b-tree page headers and cell pointers */
                at = at / 4096 * 4096 + at % 40;
            bad[at] = (char)(bad[at] ^ (1 << (seed >> 4) % 8));
        }
        assert_int_equal(write(fd, bad, n), n);
        close(fd);
        if (sqlite_backend.open(&f->s, &f->loop, f->place, NULL, &e)) {
            assert_non_null(strstr(e.text, "state.db"));
            n_refused++;
            f->s = NULL;
            continue;
        }
        use_everything(f, rev);
        fix_close(f);
    }
    assert_true(n_refused > 5);
}

/* A reader that keeps its snapshot keeps the log from starting over; commits go on all the same. */
static void a_reader_that_stays_does_not_hold_up_the_writer(void **state)
{
    struct fix *f = *state;
    const struct store_limits short_log = { .log_pages = 20 };
    uint64_t start_ms, longest_ms = 0;
    char path[128];
    auto_db *d = NULL;
    struct err e;
    int64_t n = 0;

    fix_close(f);
    fix_open(f, &short_log);
    put(f, STORE_CREATE, "/r/x", "0");
    sqlite_path(path, f->place);
    assert_int_equal(db_open(&d, path, &(struct db_opts){ .read_only = true }, &e), 0);
    assert_int_equal(db_begin(d, false, &e), 0);
    assert_int_equal(db_query_i64(d, "SELECT count(*) FROM live", &n, &e), 0);
    for (int i = 0; i < 1000; i++) { /* past all bounds: WAL_MAX times 20 pages */
        start_ms = clock_mono_ms();
        put(f, STORE_UPDATE, "/r/x", "1");
        longest_ms = MAX(longest_ms, clock_mono_ms() - start_ms);
    }
    assert_true(longest_ms < 20000);
    db_rollback(d);
    db_close(STEAL(d));
    for (int i = 0; i < 100; i++)
        put(f, STORE_UPDATE, "/r/x", "2");
}

static void damage_under_a_running_store_is_named(void **state)
{
    struct fix *f = *state;
    static const char junk[4096] = { 0x7f };
    char path[128], value[400];
    struct err e = { 0 };
    struct stat st;
    int fd;

    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "/r/%02d", i);
        put(f, STORE_CREATE, key, value);
    }
    fix_close(f);
    fix_open(f, NULL); /* nothing is in memory now */
    assert_int_equal(store_trouble(f->s, &e), 0);
    sqlite_path(path, f->place);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 4096; at < st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
    assert_string_equal(list(f, "/r/", NULL), "!io");
    assert_int_equal(store_trouble(f->s, &e), ERR_IO);
    assert_non_null(strstr(e.text, "state.db is malformed"));
    assert_non_null(strstr(e.text, "restore a snapshot"));
    use_everything(f, 50);
    assert_int_equal(store_trouble(f->s, &e), ERR_IO); /* it does not heal */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        T(a_second_process_is_refused_by_name),
        T(a_newer_format_is_refused),
        T(a_database_of_somebody_else_is_refused),
        T(a_missing_folder_is_named),
        T(a_full_disk_refuses_writes_and_still_reads),
        T(churn_does_not_grow_the_file),
        T(renewing_a_lease_does_not_touch_the_disk),
        T(a_database_of_format_1_is_taken_over),
        T(a_list_by_labels_reads_what_has_them),
        T(labels_survive_a_start_and_an_older_format),
        T(labels_of_leases_in_memory_are_not_missed),
        T(flipped_bytes_are_named_never_crashed_on),
        T(damage_under_a_running_store_is_named),
        T(a_reader_that_stays_does_not_hold_up_the_writer),
    };
    int failed = suite_run(&sqlite_backend);

    return failed + cmocka_run_group_tests_name("sqlite files", tests, NULL, NULL);
}

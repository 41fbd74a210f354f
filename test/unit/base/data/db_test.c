#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/data/db.h"

static char dir[64], path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/db_test.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.db", dir);
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char p[128];
        snprintf(p, sizeof p, "%s%s", path, suffixes[i]);
        unlink(p);
    }
    return rmdir(dir);
}

static void what_was_committed_is_there_after_reopening(void **state)
{
    struct err e = { 0 };
    int64_t n = 0;
    (void)state;

    for (int round = 0; round < 2; round++) {
        auto_db *d = NULL;
        AUTO(db_stmt) struct db_stmt *ins = NULL;
        assert_int_equal(db_open(&d, path, NULL, &e), 0);
        assert_int_equal(db_exec(d, "CREATE TABLE IF NOT EXISTS t (a TEXT, b BLOB) STRICT", &e), 0);
        assert_int_equal(db_prepare(&ins, d, "INSERT INTO t VALUES (?1, ?2)", &e), 0);
        assert_int_equal(db_begin(d, true, &e), 0);
        db_bind_text(ins, 1, STR("key"));
        db_bind_blob(ins, 2, str_n("a\0b", 3));
        assert_int_equal(db_run(ins, &e), 0);
        db_reset(ins);
        assert_int_equal(db_commit(d, &e), 0);
        assert_true(db_written_bytes(d) > 0);
        assert_int_equal(db_begin(d, true, &e), 0);
        db_bind_text(ins, 1, STR("lost"));
        db_bind_blob(ins, 2, STR(""));
        assert_int_equal(db_run(ins, &e), 0);
        db_rollback(d);
        assert_int_equal(
            db_query_i64(d, "SELECT count(*) FROM t WHERE a='key' AND length(b)=3", &n, &e), 0);
        assert_int_equal(n, round + 1);
        assert_int_equal(db_query_i64(d, "SELECT count(*) FROM t", &n, &e), 0);
        assert_int_equal(n, round + 1);
        assert_int_equal(db_check(d, &e), 0);
    }
}

static void a_reader_sees_one_snapshot_while_the_writer_goes_on(void **state)
{
    struct err e = { 0 };
    auto_db *w = NULL, *r = NULL;
    int64_t n = -1;
    (void)state;

    assert_int_equal(db_open(&w, path, NULL, &e), 0);
    assert_int_equal(db_exec(w, "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1)", &e),
                     0);
    assert_int_equal(db_open(&r, path, &(struct db_opts){ .read_only = true }, &e), 0);
    assert_int_equal(db_begin(r, false, &e), 0);
    assert_int_equal(db_query_i64(r, "SELECT count(*) FROM t", &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(db_exec(w, "INSERT INTO t VALUES (2)", &e), 0);
    assert_int_equal(db_query_i64(r, "SELECT count(*) FROM t", &n, &e), 0);
    assert_int_equal(n, 1);
    db_rollback(r);
    assert_int_equal(db_query_i64(r, "SELECT count(*) FROM t", &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(db_exec(r, "INSERT INTO t VALUES (3)", &e), ERR_DENIED);
}

static void a_full_database_says_so_and_recovers(void **state)
{
    struct err e = { 0 };
    auto_db *d = NULL;
    (void)state;

    assert_int_equal(db_open(&d, path, &(struct db_opts){ .max_bytes = 64 * 1024 }, &e), 0);
    assert_int_equal(db_exec(d, "CREATE TABLE t (b BLOB) STRICT", &e), 0);
    assert_int_equal(db_exec(d, "INSERT INTO t VALUES (zeroblob(200000))", &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "full"));
    assert_int_equal(db_exec(d, "INSERT INTO t VALUES (zeroblob(2000))", &e), 0);
}

static void two_writers_get_in_each_others_way_with_a_name(void **state)
{
    struct err e = { 0 };
    auto_db *a = NULL, *b = NULL;
    const struct db_opts o = { .busy_ms = 1 };
    (void)state;

    assert_int_equal(db_open(&a, path, &o, &e), 0);
    assert_int_equal(db_open(&b, path, &o, &e), 0);
    assert_int_equal(db_begin(a, true, &e), 0);
    assert_int_equal(db_begin(b, true, &e), ERR_AGAIN);
    db_rollback(a);
    assert_int_equal(db_begin(b, true, &e), 0);
    db_rollback(b);
}

static void a_file_that_is_no_database_is_named(void **state)
{
    struct err e = { 0 };
    struct db *d = NULL;
    FILE *f = fopen(path, "w");
    (void)state;

    for (int i = 0; i < 1000; i++)
        fputs("not a database ", f);
    fclose(f);
    assert_int_equal(db_open(&d, path, NULL, &e), ERR_IO);
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.text, "malformed"));
    assert_null(d);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_committed_is_there_after_reopening),
        T(a_reader_sees_one_snapshot_while_the_writer_goes_on),
        T(a_full_database_says_so_and_recovers),
        T(two_writers_get_in_each_others_way_with_a_name),
        T(a_file_that_is_no_database_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/db.h"
#include "base/data/db_io.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

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

/* ---- the way to the disk ---- */

struct gate {
    uint64_t n_bytes;
    unsigned n_writes, n_syncs;
    int fail; /* an errno */
    enum db_io_op fail_op;
};

static int on_io(void *arg, const struct db_io_call *call)
{
    struct gate *g = arg;

    assert_non_null(strstr(call->path, "x.db"));
    if (g->fail && call->op == g->fail_op)
        return g->fail;
    g->n_bytes += call->bytes.n;
    g->n_writes += call->op == DB_IO_WRITE;
    g->n_syncs += call->op == DB_IO_SYNC;
    return 0;
}

static void every_byte_is_counted_and_no_index_is_on_the_disk(void **state)
{
    struct gate g = { 0 };
    struct err e;
    struct db *d, *r;
    int64_t n = 0;
    char shm[128];
    (void)state;

    db_io_gate_set(on_io, &g);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    assert_int_equal(db_exec(d, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x')", &e), 0);
    assert_int_equal(db_open(&r, path, &(struct db_opts){ .read_only = true }, &e), 0);
    assert_int_equal(db_query_i64(r, "SELECT count(*) FROM t", &n, &e), 0);
    assert_int_equal(n, 1);
    assert_true(g.n_syncs > 0);
    assert_int_equal(db_checkpoint(d, DB_CHECKPOINT_PASSIVE, 0, &e), 0);
    assert_int_equal(db_written_bytes(d), g.n_bytes);
    assert_int_equal(db_written_bytes(r), 0);
    snprintf(shm, sizeof shm, "%s-shm", path);
    assert_int_not_equal(access(shm, F_OK), 0);
    db_close(r);
    db_close(d);
    db_io_gate_set(NULL, NULL);
}

static void a_commit_is_one_write_and_one_sync(void **state)
{
    struct gate g = { 0 };
    struct err e;
    struct db *d;
    (void)state;

    db_io_gate_set(on_io, &g);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    assert_int_equal(db_exec(d, "CREATE TABLE t (a TEXT); CREATE TABLE u (a TEXT)", &e), 0);
    g = (struct gate){ 0 };
    assert_int_equal(
        db_exec(d, "BEGIN; INSERT INTO t VALUES ('x'); INSERT INTO u VALUES ('y'); COMMIT", &e), 0);
    assert_int_equal(g.n_writes, 1);
    assert_true(g.n_bytes > (uint64_t)2 * 4096); /* both pages, and what stands before each */
    assert_int_equal(g.n_syncs, 1);
    db_close(d);
    db_io_gate_set(NULL, NULL);
}

/* A transaction that is larger than the cache goes to the log before its end, and is read from
 * there. */
static void large_transactions_read_what_they_wrote(void **state)
{
    static const char *const insert =
        "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
        "INSERT INTO t SELECT i, printf('%.*c', 7000, 'x') FROM n; UPDATE t SET a = a || 'y'";
    static const char *const sum = "SELECT sum(length(a)) FROM t";
    const struct db_opts small = { .cache_kib = 64 }, reader = { .read_only = true };
    struct err e;
    struct db *d, *r;
    int64_t n = 0;
    (void)state;

    assert_int_equal(db_open(&d, path, &small, &e), 0);
    assert_int_equal(db_exec(d, "CREATE TABLE t (i INTEGER PRIMARY KEY, a TEXT)", &e), 0);
    assert_int_equal(db_open(&r, path, &reader, &e), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_exec(d, insert, &e), 0);
        assert_int_equal(db_query_i64(d, sum, &n, &e), 0);
        assert_int_equal(n, 500 * 7001);
        assert_int_equal(db_query_i64(r, "SELECT count(*) FROM t", &n, &e), 0);
        assert_int_equal(n, 0);
        assert_int_equal(db_exec(d, i ? "COMMIT" : "ROLLBACK", &e), 0);
    }
    assert_int_equal(db_query_i64(r, sum, &n, &e), 0);
    assert_int_equal(n, 500 * 7001);
    assert_int_equal(db_check(r, &e), 0);
    db_close(r);
    db_close(d);
}

static void what_the_disk_says_is_the_error(void **state)
{
    static const struct {
        enum db_io_op op;
        int sys;
        enum err_code code;
        const char *text;
    } rows[] = {
        { DB_IO_WRITE, ENOSPC, ERR_LIMIT, "the disk is full" },
        { DB_IO_WRITE, EDQUOT, ERR_LIMIT, "the disk is full" },
        { DB_IO_WRITE, EROFS, ERR_DENIED, "read-only" },
        { DB_IO_WRITE, EIO, ERR_IO, "Input/output error" },
        { DB_IO_SYNC, EIO, ERR_IO, "Input/output error" },
        { DB_IO_SYNC, ENOSPC, ERR_LIMIT, "the disk is full" },
    };
    struct gate g = { 0 };
    struct err e;
    struct db *d;
    (void)state;

    db_io_gate_set(on_io, &g);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    assert_int_equal(db_exec(d, "CREATE TABLE t (a TEXT)", &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t n = -1;
        g.fail = rows[i].sys;
        g.fail_op = rows[i].op;
        assert_int_equal(db_begin(d, true, &e), 0);
        assert_int_equal(db_exec(d, "INSERT INTO t VALUES ('lost')", &e), 0);
        assert_int_equal(db_commit(d, &e), rows[i].code);
        assert_non_null(strstr(e.text, rows[i].text));
        assert_int_equal(e.code == ERR_IO ? e.sys : EIO, EIO);
        g.fail = 0;
        assert_int_equal(db_query_i64(d, "SELECT count(*) FROM t", &n, &e), 0);
        assert_int_equal(n, 0);
    }
    assert_int_equal(db_exec(d, "INSERT INTO t VALUES ('kept')", &e), 0);
    db_close(d);
    db_io_gate_set(NULL, NULL);
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
        T(every_byte_is_counted_and_no_index_is_on_the_disk),
        T(a_commit_is_one_write_and_one_sync),
        T(large_transactions_read_what_they_wrote),
        T(what_the_disk_says_is_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/data/db.h"

#include "base/core/mem.h"
#include "base/data/db_io_impl.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

struct db {
    sqlite3 *h;
    char *path;
    uint64_t wal_frames;
    unsigned page_bytes, busy_ms;
    bool unsure;
    struct db_stmt *begin_read, *begin_write, *commit, *rollback;
};

/* SQLite's statement is its own allocation; ours would only add a pointer. */
static sqlite3_stmt *raw(struct db_stmt *st)
{
    return (sqlite3_stmt *)(void *)st;
}

/* ---- errors ---- */

int db_malformed(const struct db *d, struct err *e, const char *fmt, ...)
{
    char what[96];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    err_set(e, ERR_IO,
            "database %s is malformed (%s): keep a copy of it, then restore a snapshot or rescue "
            "its rows with \"sqlite3 FILE .recover\"",
            d->path, what);
    e->sys = EUCLEAN;
    return ERR_IO;
}

static int db_err(struct db *d, int rc, struct err *e)
{
    int sys = db_io_errno();
    const char *what = d->h ? sqlite3_errmsg(d->h) : sqlite3_errstr(rc);
    enum err_code code = ERR_IO;

    if (!sys && d->h)
        sys = sqlite3_system_errno(d->h); /* of an open */
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return err_set(e, ERR_LIMIT, "database %s: the disk is full", d->path);
    case SQLITE_IOERR:
        if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
            return err_set(e, ERR_LIMIT, "database %s: the disk is full", d->path);
        if (sys == EROFS)
            return err_set(e, ERR_DENIED, "database %s: it or its disk is read-only", d->path);
        what = sqlite3_errstr(rc);
        break;
    case SQLITE_READONLY:
        return err_set(e, ERR_DENIED, "database %s: it or its disk is read-only", d->path);
    case SQLITE_PERM:
    case SQLITE_AUTH:
        code = ERR_DENIED;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = ERR_AGAIN;
        break;
    case SQLITE_CANTOPEN:
        if (sys)
            return err_sys(e, sys, "open database %s", d->path);
        break;
    case SQLITE_CORRUPT:
        return db_malformed(d, e, "%s", sqlite3_errstr(sqlite3_extended_errcode(d->h)));
    case SQLITE_NOTADB:
        return db_malformed(d, e, "not an SQLite file");
    case SQLITE_INTERRUPT:
        code = ERR_CANCELED;
        break;
    case SQLITE_TOOBIG:
        code = ERR_LIMIT;
        break;
    default:
        break;
    }
    err_set(e, code, "database %s: %s (%d)%s%s", d->path, what, sqlite3_extended_errcode(d->h),
            sys ? ": " : "", sys ? strerror(sys) : "");
    e->sys = sys;
    return e->code;
}

/* ---- open, close ---- */

static pthread_once_t sqlite_once = PTHREAD_ONCE_INIT;
static void sqlite_setup(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* its counters are one global mutex */
    sqlite3_initialize();
}

static int on_wal(void *arg, sqlite3 *h, const char *name, int n_frames)
{
    struct db *d = arg;
    (void)h;
    (void)name;

    d->wal_frames = (uint64_t)n_frames;
    return SQLITE_OK;
}

static int pragma_i64(struct db *d, const char *name, uint64_t v, struct err *e)
{
    char sql[64];

    snprintf(sql, sizeof sql, "PRAGMA %s=%llu", name, (unsigned long long)v);
    return db_exec(d, sql, e);
}

static int db_setup(struct db *d, const struct db_opts *o, struct err *e)
{
    int64_t page = 4096;
    char mode[8] = "", sql[64];
    AUTO(db_stmt) struct db_stmt *st = NULL;
    bool row;

    sqlite3_extended_result_codes(d->h, 1);
    d->busy_ms = o->busy_ms ? o->busy_ms : 5000;
    sqlite3_busy_timeout(d->h, (int)d->busy_ms);
    snprintf(sql, sizeof sql, "PRAGMA cache_size=-%u", o->cache_kib ? o->cache_kib : 2048);
    if (db_exec(d, sql, e) ||
        db_exec(d, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0", e))
        return e->code;
    if (!o->read_only) {
        /* Only a file without tables takes this setting, later it is a no-op. */
        if (db_exec(d, "PRAGMA auto_vacuum=INCREMENTAL", e) ||
            db_prepare(&st, d, "PRAGMA journal_mode=WAL", e) || db_step(st, &row, e))
            return e->code;
        if (row)
            snprintf(mode, sizeof mode, STR_FMT, STR_ARG(db_col_str(st, 0)));
        if (strcmp(mode, "wal") != 0)
            return err_set(e, ERR_IO, "database %s: its file system does not support WAL (%s)",
                           d->path, mode);
        db_reset(st);
        if (db_exec(d, "PRAGMA synchronous=FULL", e) ||
            pragma_i64(d, "journal_size_limit",
                       1024 * (uint64_t)(o->wal_limit_kib ? o->wal_limit_kib : 16384), e))
            return e->code;
    }
    if (db_query_i64(d, "PRAGMA page_size", &page, e))
        return e->code;
    d->page_bytes = (unsigned)page;
    if (o->max_bytes && pragma_i64(d, "max_page_count", o->max_bytes / d->page_bytes, e))
        return e->code;
    sqlite3_wal_hook(d->h, on_wal, d); /* also turns automatic checkpoints off */
    if (db_prepare(&d->begin_read, d, "BEGIN", e) ||
        db_prepare(&d->begin_write, d, "BEGIN IMMEDIATE", e) ||
        db_prepare(&d->commit, d, "COMMIT", e) || db_prepare(&d->rollback, d, "ROLLBACK", e))
        return e->code;
    return 0;
}

int db_open(struct db **out, const char *path, const struct db_opts *o, struct err *e)
{
    static const struct db_opts none;
    struct db *d = mem_alloc(sizeof *d);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int rc;

    pthread_once(&sqlite_once, sqlite_setup);
    o = o ? o : &none;
    flags |= o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    d->path = mem_strdup(path);
    rc = sqlite3_open_v2(path, &d->h, flags, db_io_vfs());
    if (rc != SQLITE_OK)
        db_err(d, rc, e);
    else
        rc = db_setup(d, o, e);
    if (rc) {
        db_close(d);
        return e->code;
    }
    *out = d;
    return 0;
}

void db_close(struct db *d)
{
    int rc;

    if (!d)
        return;
    db_stmt_free(d->begin_read);
    db_stmt_free(d->begin_write);
    db_stmt_free(d->commit);
    db_stmt_free(d->rollback);
    rc = sqlite3_close(d->h);
    assert(rc != SQLITE_BUSY); /* a statement is still there */
    (void)rc;
    free(d->path);
    free(d);
}

const char *db_path(const struct db *d)
{
    return d->path;
}

/* ---- statements ---- */

int db_exec(struct db *d, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(d->h, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : db_err(d, rc, e);
}

int db_query_i64(struct db *d, const char *sql, int64_t *out, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;
    bool row;

    if (db_prepare(&st, d, sql, e) || db_step(st, &row, e))
        return e->code;
    if (row && !db_col_null(st, 0))
        *out = db_col_i64(st, 0);
    return 0;
}

int db_prepare(struct db_stmt **out, struct db *d, const char *sql, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v3(d->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);

    if (rc != SQLITE_OK)
        return db_err(d, rc, e);
    *out = (struct db_stmt *)(void *)st;
    return 0;
}

void db_stmt_free(struct db_stmt *st)
{
    sqlite3_finalize(raw(st));
}

/* Binding fails only for a wrong index or no memory: both are ours. */
static void bound(int rc)
{
    assert(rc == SQLITE_OK);
    (void)rc;
}

void db_bind_i64(struct db_stmt *st, int i, int64_t v)
{
    bound(sqlite3_bind_int64(raw(st), i, v));
}

void db_bind_text(struct db_stmt *st, int i, struct str v)
{
    bound(sqlite3_bind_text64(raw(st), i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_blob(struct db_stmt *st, int i, struct str v)
{
    bound(sqlite3_bind_blob64(raw(st), i, v.p ? v.p : "", v.n, SQLITE_STATIC));
}

void db_bind_null(struct db_stmt *st, int i)
{
    bound(sqlite3_bind_null(raw(st), i));
}

static struct db *db_of(struct db_stmt *st, struct db *tmp)
{
    tmp->h = sqlite3_db_handle(raw(st));
    tmp->path = (char *)(uintptr_t)sqlite3_db_filename(tmp->h, "main");
    return tmp;
}

int db_step(struct db_stmt *st, bool *row, struct err *e)
{
    int rc = sqlite3_step(raw(st));
    struct db tmp = { 0 };

    if (rc == SQLITE_ROW) {
        *row = true;
        return 0;
    }
    *row = false;
    if (rc == SQLITE_DONE) {
        db_reset(st);
        return 0;
    }
    db_err(db_of(st, &tmp), rc, e);
    db_reset(st);
    return e->code;
}

int db_run(struct db_stmt *st, struct err *e)
{
    bool row;
    int rc = db_step(st, &row, e);

    if (!rc && row)
        db_reset(st);
    return rc;
}

void db_reset(struct db_stmt *st)
{
    sqlite3_reset(raw(st)); /* repeats the error of the last step, which was reported already */
    sqlite3_clear_bindings(raw(st));
}

bool db_col_null(struct db_stmt *st, int i)
{
    return sqlite3_column_type(raw(st), i) == SQLITE_NULL;
}

int64_t db_col_i64(struct db_stmt *st, int i)
{
    return sqlite3_column_int64(raw(st), i);
}

struct str db_col_str(struct db_stmt *st, int i)
{
    const void *p = sqlite3_column_blob(raw(st), i);
    int n = sqlite3_column_bytes(raw(st), i);

    return p && n > 0 ? str_n(p, (size_t)n) : str_n("", 0);
}

int64_t db_last_id(const struct db *d)
{
    return sqlite3_last_insert_rowid(d->h);
}

int64_t db_n_changed(const struct db *d)
{
    return sqlite3_changes64(d->h);
}

/* ---- transactions ---- */

int db_begin(struct db *d, bool write, struct err *e)
{
    return db_run(write ? d->begin_write : d->begin_read, e);
}

int db_commit(struct db *d, struct err *e)
{
    uint64_t before = db_written_bytes(d);
    int rc = db_run(d->commit, e), why = sqlite3_extended_errcode(d->h);

    if (!rc) {
        d->unsure = d->unsure && db_written_bytes(d) == before; /* nothing to write: no sync */
        return 0;
    }
    d->unsure = d->unsure || why == SQLITE_IOERR_FSYNC || why == SQLITE_IOERR_DIR_FSYNC;
    db_rollback(d);
    return rc;
}

bool db_unsure(const struct db *d)
{
    return d->unsure;
}

void db_rollback(struct db *d)
{
    struct err e;

    if (!sqlite3_get_autocommit(d->h))       /* some errors have rolled back already */
        err_ignore(db_run(d->rollback, &e)); /* nothing of it was durable: gone either way */
}

uint64_t db_wal_frames(const struct db *d)
{
    return d->wal_frames;
}

int db_checkpoint(struct db *d, enum db_checkpoint_mode mode, unsigned wait_ms, struct err *e)
{
    static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART,
                                 SQLITE_CHECKPOINT_TRUNCATE };
    int rc;

    sqlite3_busy_timeout(d->h, (int)wait_ms);
    rc = sqlite3_wal_checkpoint_v2(d->h, NULL, modes[mode], NULL, NULL);
    sqlite3_busy_timeout(d->h, (int)d->busy_ms);
    if (rc != SQLITE_OK)
        return db_err(d, rc, e);
    if (mode == DB_CHECKPOINT_TRUNCATE)
        d->wal_frames = 0;
    return 0;
}

uint64_t db_written_bytes(struct db *d)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(d->h, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return db_io_written(file);
}

int db_check(struct db *d, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;
    bool row;

    if (db_prepare(&st, d, "PRAGMA quick_check(1)", e) || db_step(st, &row, e))
        return e->code;
    if (row && str_is(db_col_str(st, 0), "ok"))
        return 0;
    return db_malformed(d, e, STR_FMT, STR_ARG(row ? db_col_str(st, 0) : STR("no answer")));
}

void db_interrupt(struct db *d)
{
    sqlite3_interrupt(d->h);
}

#include "server/store/snapshot.h"

#include "base/core/mem.h"
#include "base/data/db.h"
#include "server/store/sqlite_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void snapshot_facts_deinit(struct snapshot_facts *f)
{
    buf_deinit(&f->sealed);
}

/* ---- making ---- */

static int put(struct db_stmt *st, const char *name, struct str value, struct err *e)
{
    db_bind_text(st, 1, str_of(name));
    db_bind_blob(st, 2, value);
    return db_run(st, e);
}

static int describe(struct db *d, const struct snapshot_facts *f, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;
    char created[32];

    snprintf(created, sizeof created, "%lld", (long long)f->created_unix_s);
    if (db_exec(d,
                "CREATE TABLE snapshot (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, "
                "WITHOUT ROWID",
                e) ||
        db_prepare(&st, d, "INSERT INTO snapshot VALUES (?1, ?2)", e) ||
        put(st, "created", str_of(created), e) || put(st, "node", str_of(f->node), e) ||
        put(st, "version", str_of(f->version), e) || put(st, "bootstrap", buf_str(&f->sealed), e))
        return (int)e->code;
    return 0;
}

/* What SQLite wrote without syncs of its own is synced here. */
static int sync_file(const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd))
        return err_sys(e, errno, "sync %s", path);
    return 0;
}

static int sync_dir_of(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");

    return sync_file(dir, e);
}

int snapshot_finish(const char *path, const struct snapshot_facts *facts, struct err *e)
{
    auto_db *d = NULL;
    int rc;

    if (db_open(&d, path, NULL, e) || db_begin(d, true, e))
        return (int)e->code;
    rc = describe(d, facts, e);
    if (rc) {
        db_rollback(d);
        return rc;
    }
    /* Without a log it is one file, and can be read where nothing can be written. */
    if (db_commit(d, e) || db_check(d, e) || db_exec(d, "PRAGMA journal_mode=DELETE", e))
        return (int)e->code;
    db_close(STEAL(d));
    return sync_file(path, e);
}

/* ---- reading ---- */

static int get(struct buf *out, struct db *d, const char *name, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;
    bool row;

    if (db_prepare(&st, d, "SELECT value FROM snapshot WHERE name=?1", e))
        return (int)e->code;
    db_bind_text(st, 1, str_of(name));
    if (db_step(st, &row, e))
        return (int)e->code;
    if (!row)
        return err_set(e, ERR_INVALID, "%s is no snapshot: it has no %s", db_path(d), name);
    if (buf_add_str(out, db_col_str(st, 0)))
        return err_set(e, ERR_INVALID, "%s is no snapshot: %s is too long", db_path(d), name);
    return 0;
}

static int get_text(char *out, size_t n, struct db *d, const char *name, struct err *e)
{
    auto_buf text = BUF(n - 1);

    if (get(&text, d, name, e))
        return (int)e->code;
    snprintf(out, n, "%s", buf_cstr(&text));
    return 0;
}

static int is_snapshot(struct db *d, struct err *e)
{
    int64_t app = 0, version = 0, n = 0;

    if (db_query_i64(d, "PRAGMA application_id", &app, e) ||
        db_query_i64(d, "PRAGMA user_version", &version, e) ||
        db_query_i64(d, "SELECT count(*) FROM sqlite_schema WHERE name='snapshot'", &n, e))
        return (int)e->code;
    if (app != SQLITE_FORMAT_APPLICATION_ID || n != 1)
        return err_set(e, ERR_INVALID, "%s is no snapshot of a coracle datastore", db_path(d));
    if (version < 1 || version > SQLITE_FORMAT_VERSION)
        return err_set(e, ERR_INVALID,
                       "%s has format %lld, this coracle knows %d: use the newer coracle that made "
                       "it",
                       db_path(d), (long long)version, SQLITE_FORMAT_VERSION);
    return 0;
}

static int read_facts(struct snapshot_facts *f, struct db *d, struct err *e)
{
    int64_t newest = 0, reserved = 0;
    char created[32] = "";

    if (get_text(created, sizeof created, d, "created", e) ||
        get_text(f->node, sizeof f->node, d, "node", e) ||
        get_text(f->version, sizeof f->version, d, "version", e) ||
        get(&f->sealed, d, "bootstrap", e) ||
        db_query_i64(d, "SELECT max(id) FROM log", &newest, e) ||
        db_query_i64(d, "SELECT value FROM meta WHERE name='reserved'", &reserved, e) ||
        db_query_i64(d, "SELECT count(*) FROM live", &f->n_objects, e))
        return (int)e->code;
    f->created_unix_s = strtoll(created, NULL, 10);
    f->rev = MAX(reserved, newest >> SQLITE_FORMAT_SEQ_BITS);
    if (newest < 0 || reserved < 0 || f->rev > SQLITE_FORMAT_REV_MAX - SNAPSHOT_REV_JUMP)
        return db_malformed(d, e, "revision %lld", (long long)f->rev);
    return 0;
}

int snapshot_read(struct snapshot_facts *facts, const char *path, struct err *e)
{
    auto_db *d = NULL;
    struct snapshot_facts f = { .sealed = BUF(SNAPSHOT_SEALED_MAX) };

    if (db_open(&d, path, &(struct db_opts){ .read_only = true }, e) || is_snapshot(d, e) ||
        db_check(d, e) || read_facts(&f, d, e)) {
        snapshot_facts_deinit(&f);
        return (int)e->code;
    }
    *facts = f;
    return 0;
}

/* ---- restoring ---- */

static int start_over(struct db *d, int64_t rev, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;

    if (db_exec(d, "DELETE FROM log; DROP TABLE snapshot", e) ||
        db_prepare(&st, d, "UPDATE meta SET value=?1", e)) /* reserved and compacted */
        return (int)e->code;
    db_bind_i64(st, 1, rev);
    return db_run(st, e);
}

static int prepare(const char *path, struct err *e)
{
    auto_facts facts = { 0 };
    auto_db *d = NULL;
    int rc;

    if (snapshot_read(&facts, path, e) || db_open(&d, path, NULL, e) || db_begin(d, true, e))
        return (int)e->code;
    rc = start_over(d, facts.rev + SNAPSHOT_REV_JUMP, e);
    if (rc) {
        db_rollback(d);
        return rc;
    }
    if (db_commit(d, e) || db_checkpoint(d, DB_CHECKPOINT_TRUNCATE, 1000, e))
        return (int)e->code;
    db_close(STEAL(d));
    return sync_file(path, e);
}

/* Its log first: a database without its log is older, a log without its database is nothing. */
static int move_aside(const char *db_path, const char *aside, struct err *e)
{
    auto_free char *log = mem_printf("%s-wal", db_path), *log_aside = mem_printf("%s-wal", aside);

    if ((rename(log, log_aside) && errno != ENOENT) || (rename(db_path, aside) && errno != ENOENT))
        return err_sys(e, errno, "move %s aside", db_path);
    return 0;
}

int snapshot_restore(const char *path, const char *db_path, const char *aside, struct err *e)
{
    if (prepare(path, e) || move_aside(db_path, aside, e))
        return (int)e->code;
    if (rename(path, db_path))
        return err_sys(e, errno, "make %s the database %s", path, db_path);
    return sync_dir_of(db_path, e);
}

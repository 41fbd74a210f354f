#pragma once
/*
 * Db: one connection to one SQLite file; with base/data/db_io the only module that names SQLite.
 * WAL, synchronous=FULL: what db_commit acknowledged survives a power cut. Two users: the server's
 * datastore and the agent's offline store.
 *
 * Any thread, one at a time per connection; several connections of one process may share a file,
 * another process gets ERR_AGAIN. Strings that are
 * read from a statement lie inside it until its next step or reset. SQL is constant text of ours;
 * data travels in bindings only. Errors: ERR_LIMIT the disk is full; ERR_DENIED it is read-only or
 * not ours to open; ERR_AGAIN another connection holds the lock; ERR_CANCELED db_interrupt; ERR_IO
 * the rest, also a malformed file or one that is no database: then sys is EUCLEAN, and the text
 * says so, and what to do.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_stmt;

struct db_opts {
    bool read_only;         /* no file is created, every write is refused */
    unsigned cache_kib;     /* page cache of this connection; 0: 2048 */
    unsigned busy_ms;       /* how long to wait for another connection's lock; 0: 5000 */
    uint64_t max_bytes;     /* refuse to grow beyond this with ERR_LIMIT; 0: the disk decides */
    unsigned wal_limit_kib; /* what a log is cut back to after a checkpoint; 0: 16384 */
};

MUST_USE int db_open(struct db **out, const char *path, const struct db_opts *o, struct err *e);
void db_close(struct db *d); /* statements must be gone. NULL is fine */
const char *db_path(const struct db *d);

/* One or more constant statements without results. */
MUST_USE int db_exec(struct db *d, const char *sql, struct err *e);
/* A constant query of one row and one integer; *out stays as it is when there is no row or it is
 * NULL. */
MUST_USE int db_query_i64(struct db *d, const char *sql, int64_t *out, struct err *e);

/* Kept for the life of the connection; sql is constant text. */
MUST_USE int db_prepare(struct db_stmt **out, struct db *d, const char *sql, struct err *e);
void db_stmt_free(struct db_stmt *st); /* NULL is fine */

/* Parameters count from 1. Text and blobs are not copied: they must live until db_reset. */
void db_bind_i64(struct db_stmt *st, int i, int64_t v);
void db_bind_text(struct db_stmt *st, int i, struct str v);
void db_bind_blob(struct db_stmt *st, int i, struct str v); /* an empty one is not NULL */
void db_bind_null(struct db_stmt *st, int i);

/* One row further: *row tells whether there is one. After the last row or an error the statement
 * is reset; else reset it yourself when enough was read. */
MUST_USE int db_step(struct db_stmt *st, bool *row, struct err *e);
MUST_USE int db_run(struct db_stmt *st, struct err *e); /* step of a statement without rows */
void db_reset(struct db_stmt *st);                      /* also forgets the bindings */

/* Columns count from 0. A damaged file can hold any type anywhere: wrong ones read as 0 or empty.
 */
bool db_col_null(struct db_stmt *st, int i);
int64_t db_col_i64(struct db_stmt *st, int i);
struct str db_col_str(struct db_stmt *st, int i);

int64_t db_last_id(const struct db *d); /* rowid of the last insert of this connection */
int64_t db_n_changed(const struct db *d);

MUST_USE int db_begin(struct db *d, bool write, struct err *e); /* write: takes the lock now */
MUST_USE int db_commit(struct db *d, struct err *e); /* durable once 0; rolled back if not */
/* The last commit was written and its sync failed: it was rolled back, but a crash may bring it
 * back, until another commit is durable, which takes its place. */
bool db_unsure(const struct db *d);
void db_rollback(struct db *d);                      /* fine without a transaction */

/* Frames that wait in the log, as this connection saw them at its last commit. */
uint64_t db_wal_frames(const struct db *d);
/* Moves the log into the file. RESTART: also waits for readers (at most wait_ms) so that the log
 * starts over; PASSIVE waits for nobody. TRUNCATE: as RESTART, and leaves an empty log. ERR_AGAIN:
 * a reader was in the way. */
enum db_checkpoint_mode { DB_CHECKPOINT_PASSIVE, DB_CHECKPOINT_RESTART, DB_CHECKPOINT_TRUNCATE };
MUST_USE int db_checkpoint(struct db *d, enum db_checkpoint_mode mode, unsigned wait_ms,
                           struct err *e);

/* Bytes this connection has given to the kernel so far, for the file and for its log. */
uint64_t db_written_bytes(struct db *d);

/* Reads every page once: 0, or ERR_IO with the first damage in words. Slow. */
MUST_USE int db_check(struct db *d, struct err *e);
/* ERR_IO for what SQLite finds well-formed and its user does not: says what, and what to do. */
int db_malformed(const struct db *d, struct err *e, const char *fmt, ...) PRINTF_FMT(3, 4);

void db_interrupt(struct db *d); /* any thread: what runs now ends with ERR_CANCELED */

DEFINE_AUTO(db_stmt);
static inline void db_auto_close(struct db **d)
{
    db_close(*d);
}
#define auto_db __attribute__((cleanup(db_auto_close))) struct db

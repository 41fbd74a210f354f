#pragma once
/*
 * Sqlite: the default backend. One writer thread owns the write connection and decides commits in
 * groups; two reader threads answer from snapshots. Private to server/store/sqlite*.c.
 *
 *   live  (id, key, create_rev, mod_rev, value)    what exists
 *   log   (id, key, kind, prev_create_rev, prev_mod_rev, prev_value)
 *   lease (id, pos, value)                         newer versions of live rows, see below
 *   label (key, labels)                            of live rows that have some (sqlite_labels.c)
 *   meta  (name, value)                            'reserved', 'compacted' revisions
 *
 * The log is an undo log: id is the event's position (store_pos) and a row holds what the key was
 * BEFORE it; what the key became is the next row of that key, or the live row. So a value is in the
 * file once while it is live and once more after it was replaced, a create logs no value at all, a
 * delete carries the last one by itself, and compaction is the removal of the oldest rows without
 * looking at any key. What a key was at revision R: the first row behind R tells, else live.
 *
 * Leases: an UPDATE of ephemeral ops only goes to memory (struct eph, the overlay); creates and
 * deletes are durable as any other, so every key of the overlay has a live row, and the newest
 * version of such a key is the overlay's. Once a minute those that changed are written to the table
 * lease, and to no other: one page holds several, where a row in live, one in the log and one in
 * its index are three pages or more each. A start loads the overlay from there. A durable operation
 * first makes the overlay's version an event of the log, then the entry is gone. A crash loses the
 * renewals of the last minute, never a revision: meta 'reserved' is raised, and durable, before a
 * revision above it is used in memory only, and a start goes on behind it. History knows of a
 * lease what is in live, log and lease.
 *
 * A read is consistent when its snapshot and the overlay belong together: the newest row of the log
 * in the snapshot must be the one the writer published with the overlay; else it tries again.
 */
#include "base/core/buf.h"
#include "base/core/map.h"
#include "base/data/db.h"
#include "server/store/budget.h"
#include "server/store/store_impl.h"

enum { SQLITE_READERS = 2, REV_RESERVE = 4096 };
enum sqlite_log_kind { LOG_CREATE, LOG_UPDATE, LOG_DELETE }; /* in the file: never renumber */

struct eph {
    struct str key;        /* lies behind this struct */
    struct store_obj *pub; /* what readers see; under sqlite.overlay_m */
    int64_t pub_pos;
    struct store_obj *obj; /* the writer's newest, NULL: a row is enough again */
    int64_t pos;
    bool dirty, was_dirty; /* not in the file yet; and before this group */
    struct list staged;    /* changed by the group that goes on */
};

struct writer {
    struct db *db;
    struct db_stmt *find, *log, *insert, *update, *remove, *set_meta, *lease_set, *lease_drop;
    struct db_stmt *log_slice, *log_drop, *label_set, *label_drop;
    /* The state of the newest group; restored when it fails. */
    struct writer_state {
        int64_t rev, reserved, durable; /* durable: the newest revision in the log */
        int64_t n_objects;
    } st;
    struct list staged;
    bool in_txn;
    uint64_t flush_at_ms; /* 0: nothing is dirty */
    bool dirty, flush_failing;
    /* compaction */
    uint64_t tick_at_ms;
    int64_t tick_rev;
    int64_t compact_to; /* 0: none goes on */
    bool vacuuming;     /* look for pages to give back */
    struct list tasks;
    bool compact_failing;
    uint64_t retry_at_ms;
    /* what is written, and whether it can be */
    struct budget_shares shares; /* of the transaction that goes on; names lie in its keys */
    uint64_t n_counted;          /* bytes that the budget knows of */
    bool failing;                /* the last transaction that wrote could not */
    uint64_t failing_since_ms, probe_at_ms;
    uint64_t wal_tried_frames; /* the last checkpoint of a log that was too long */
    uint64_t wal_wait_at_ms;   /* not sooner is a reader waited for */
};

struct reader {
    struct sqlite *q;
    uv_thread_t thread;
    struct db *db;
    struct db_stmt *newest, *compacted, *get, *lease, *list, *count, *list_past, *log, *log_next;
    struct db_stmt *copy, *labels;
};

struct sqlite {
    struct store *store;
    struct store_limits limits;
    char *path;
    int lock_fd;
    struct list fresh; /* loop thread: writes of this turn */

    uv_mutex_t m; /* the queues, closing, n_running, trouble */
    uv_cond_t to_writer, to_readers;
    struct list writes, reads, tasks;
    struct list done_writes, done_reads, done_tasks;
    bool closing;
    int n_running;
    struct err trouble; /* code 0: none */
    struct budget *budget;

    uv_mutex_t overlay_m; /* eph.pub, changes of the map itself, the two revisions */
    struct map *overlay;  /* key to struct eph */
    int64_t pub_rev, pub_durable;

    uv_thread_t writer_thread;
    struct writer w;
    struct reader readers[SQLITE_READERS];
    /* Atomics, for the loop thread. */
    int64_t compacted;
    uint64_t n_objects, n_groups, db_bytes, wal_bytes;
};

/* sqlite_writer.c */
MUST_USE int writer_open(struct sqlite *q, struct err *e);
void writer_close(struct sqlite *q);
void writer_main(void *arg); /* arg: the sqlite */
/* One transaction of the writer's own: fn between begin and commit; who: in the budget, for what
 * no key took part in. */
MUST_USE int writer_txn(struct sqlite *q, const char *who,
                        int (*fn)(struct sqlite *q, struct err *e), struct err *e);
/* Everything written since the last call is who's, or that of the keys that took part. */
void writer_account(struct sqlite *q, const char *who);
MUST_USE int writer_set_meta(struct writer *w, const char *name, int64_t v, struct err *e);

/* sqlite_eph.c, writer thread */
MUST_USE int eph_load(struct sqlite *q, struct err *e); /* at the start, on the opener's */
struct eph *eph_find(struct sqlite *q, struct str key);
void eph_set(struct sqlite *q, struct str key, struct store_obj *o, int64_t pos); /* o NULL: drop */
/* Its version becomes an event of the log and the live row. */
MUST_USE int eph_write_out(struct sqlite *q, struct eph *en, struct err *e);
void eph_publish(struct sqlite *q);  /* the group is durable */
void eph_rollback(struct sqlite *q); /* it is not */
MUST_USE int eph_checkpoint(struct sqlite *q, struct err *e);
void eph_free_all(struct sqlite *q);

/* sqlite_labels.c, writer thread */
MUST_USE int labels_open(struct sqlite *q, struct err *e);
void labels_close(struct sqlite *q);
/* The value of key is another one; empty: there is none. In a transaction. */
MUST_USE int labels_change(struct writer *w, struct str key, struct str before, struct str now,
                           struct err *e);
/* Of every live row: the table is new. In a transaction. */
MUST_USE int labels_fill(struct sqlite *q, struct err *e);

/* sqlite_upkeep.c, writer thread */
/* A transaction that wrote has ended; e NULL: well. */
void upkeep_outcome(struct sqlite *q, const struct err *e);
/* A damaged file stays one: it is named until the end. Any thread. */
void upkeep_damaged(struct sqlite *q, const struct err *e);
/* The disk is full: makes the log start over, in the room it has already. False: it cannot. */
bool upkeep_make_room(struct sqlite *q);
/* Between groups. Until when the writer may sleep, on clock_mono_ms. */
uint64_t upkeep_step(struct sqlite *q);
void upkeep_open(struct sqlite *q);
void upkeep_close(struct sqlite *q);

/* sqlite_compact.c, writer thread */
MUST_USE int compact_open(struct sqlite *q, struct err *e);
/* The next slice, if one is due. Returns when it wants to be called again, on the clock of
 * clock_mono_ms: 0 at once, UINT64_MAX when there is nothing to do. */
uint64_t compact_step(struct sqlite *q, uint64_t now_ms);
void compact_cancel(struct sqlite *q);

/* sqlite_reader.c */
MUST_USE int reader_open(struct reader *r, struct sqlite *q, struct err *e);
void reader_close(struct reader *r);
void reader_main(void *arg); /* arg: the reader */

/*
 * Compaction: forgets the oldest rows of the log, a slice per transaction between groups of
 * commits. First 'compacted' is raised, durably, so that no read trusts what is going away; the
 * rows that are still there below it are the work left, so the log itself is the cursor and a
 * restart goes on where it stopped. Then the pages that came free go back to the file system.
 *
 * By itself: every compact_ms, up to where the log ended at the tick before; sooner when there are
 * many more revisions than wanted. The newest row always stays: it tells readers which snapshot
 * they have.
 */
#include "server/store/sqlite.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"

enum {
    VACUUM_PAGES = 64,     /* per slice */
    FREE_PAGES_KEEP = 256, /* 1 MB for the next writes: not worth moving pages */
    FREE_SHARE = 8,        /* or an eighth of the file */
    RETRY_MS = 5000,
};

int compact_open(struct sqlite *q, struct err *e)
{
    struct writer *w = &q->w;

    if (db_prepare(&w->log_slice, w->db,
                   "SELECT id FROM log WHERE id<=?1 ORDER BY id LIMIT 1 OFFSET ?2", e) ||
        db_prepare(&w->log_drop, w->db,
                   "DELETE FROM log WHERE id<=?1 AND id<(SELECT max(id) FROM log)", e))
        return e->code;
    w->compact_to = q->compacted; /* rows may be left from before */
    w->vacuuming = true;
    w->tick_rev = w->st.rev;
    return 0;
}

/* Steps that are too small are not worth their fsync. */
static int64_t worth(const struct sqlite *q, int64_t to)
{
    return to > q->compacted + q->limits.compact_keep_revs / 4 ? to : 0;
}

static int64_t target_of_policy(struct sqlite *q, uint64_t now_ms)
{
    struct writer *w = &q->w;
    const struct store_limits *l = &q->limits;
    int64_t rev = w->st.rev, to = 0;

    if (now_ms >= w->tick_at_ms) {
        if (w->tick_at_ms)
            to = worth(q, MIN(w->tick_rev, rev - l->compact_keep_revs));
        w->tick_at_ms = now_ms + l->compact_ms;
        w->tick_rev = rev;
    }
    if (rev - q->compacted > l->compact_most_revs + l->compact_most_revs / 8)
        to = MAX(to, rev - l->compact_most_revs);
    return to;
}

static int slice(struct sqlite *q, struct err *e)
{
    struct writer *w = &q->w;
    int64_t to_pos = store_pos_end(w->compact_to), last = to_pos;
    bool row;

    if (w->compact_to > q->compacted && writer_set_meta(w, "compacted", w->compact_to, e))
        return e->code;
    db_bind_i64(w->log_slice, 1, to_pos);
    db_bind_i64(w->log_slice, 2, q->limits.compact_slice_rows - 1);
    if (db_step(w->log_slice, &row, e))
        return e->code;
    if (row) {
        last = db_col_i64(w->log_slice, 0);
        db_reset(w->log_slice);
    }
    db_bind_i64(w->log_drop, 1, last);
    return db_run(w->log_drop, e);
}

/* 1: more free pages than worth keeping; 0: not; -1: e. */
static int vacuum_due(struct sqlite *q, struct err *e)
{
    int64_t n_free = 0, n_pages = 0;

    if (db_query_i64(q->w.db, "PRAGMA freelist_count", &n_free, e) ||
        db_query_i64(q->w.db, "PRAGMA page_count", &n_pages, e))
        return -1;
    return n_free > MAX((int64_t)FREE_PAGES_KEEP, n_pages / FREE_SHARE);
}

static int vacuum(struct sqlite *q, struct err *e)
{
    _Static_assert(VACUUM_PAGES == 64, "the statement is constant text");
    return db_exec(q->w.db, "PRAGMA incremental_vacuum(64)", e);
}

static void tasks_done(struct sqlite *q, const struct err *e)
{
    struct list done = LIST(done);

    list_each (t, &q->w.tasks, struct store_task, link) {
        if (!e && t->rev > q->compacted)
            continue; /* asked for while the last ones ran */
        if (e)
            t->err = *e;
        list_remove(&t->link);
        list_push(&done, &t->link);
    }
    if (list_empty(&done))
        return;
    uv_mutex_lock(&q->m);
    list_move_all(&q->done_tasks, &done);
    uv_mutex_unlock(&q->m);
    store_wake(q->store);
}

static int step(struct sqlite *q, struct err *e)
{
    struct writer *w = &q->w;
    int due;

    if (w->compact_to) {
        int64_t n_before = w->compact_to;
        if (writer_txn(q, "compaction", slice, e))
            return e->code;
        if (n_before > q->compacted)
            __atomic_store_n(&q->compacted, n_before, __ATOMIC_RELEASE);
        if (db_n_changed(w->db) < q->limits.compact_slice_rows) {
            w->compact_to = 0;
            w->vacuuming = true;
        }
        return 0;
    }
    if (!w->vacuuming)
        return 0;
    due = vacuum_due(q, e);
    if (due < 0)
        return e->code;
    w->vacuuming = due > 0;
    return due > 0 ? writer_txn(q, "vacuum", vacuum, e) : 0;
}

uint64_t compact_step(struct sqlite *q, uint64_t now_ms)
{
    struct writer *w = &q->w;
    struct err e = { 0 };
    int64_t to;

    to = target_of_policy(q, now_ms);
    list_each (t, &w->tasks, struct store_task, link)
        to = MAX(to, t->rev > q->compacted ? t->rev : 0);
    w->compact_to = MAX(w->compact_to, to);
    if (w->retry_at_ms > now_ms)
        return w->retry_at_ms;
    w->retry_at_ms = 0;
    if (step(q, &e)) {
        if (!w->compact_failing)
            log_warn("compaction stopped, will retry", kv("path", q->path), kv("err", e.text));
        w->compact_failing = true;
        w->retry_at_ms = now_ms + RETRY_MS;
        tasks_done(q, &e);
        return w->retry_at_ms;
    }
    if (w->compact_failing)
        log_info("compaction goes on", kv("path", q->path));
    w->compact_failing = false;
    if (!w->compact_to)
        tasks_done(q, NULL);
    if (w->compact_to || w->vacuuming)
        return 0;
    /* Nothing was written since the last tick and nothing is old: sleep until a write. */
    if (w->st.rev == w->tick_rev && !worth(q, w->st.rev - q->limits.compact_keep_revs))
        return UINT64_MAX;
    return w->tick_at_ms;
}

void compact_cancel(struct sqlite *q)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "the store is closing");
    tasks_done(q, &e);
}

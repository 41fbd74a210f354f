/*
 * What the writer does between groups: leases to the file once a minute, compaction, the bound of
 * the log, and finding out whether a disk that failed works again.
 *
 *     well --(a transaction fails)--> failing --(one succeeds: a commit, or the probe)--> well
 *
 * While it fails, commits are tried as ever and say why not; a small write every PROBE_MS finds the
 * end of it when nobody else writes.
 */
#include "server/store/sqlite.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    WAL_FORCE = 3, /* times log_pages: readers keep the log from starting over, wait briefly */
    WAL_MAX = 12,  /* about 100 MB: wait longer, they have no new ones meanwhile */
    WAL_STEP = 4,  /* a quarter of log_pages between two tries */
    WAL_WAIT_MS = 50,
    WAL_WAIT_MAX_MS = 1000,
    WAL_PAUSES = 10, /* times the wait, between two of them: commits come first */
    RETRY_MS = 5000, /* after a failed checkpoint of leases */
    PROBE_MS = 2000,
};

/* ---- can it be written? ---- */

static bool is_damage(const struct err *e)
{
    return e->sys == EUCLEAN;
}

/* False: the file was known to be damaged already, and that does not heal. */
static bool trouble_set(struct sqlite *q, const struct err *e)
{
    bool news;

    uv_mutex_lock(&q->m);
    news = !is_damage(&q->trouble);
    if (news)
        q->trouble = e ? *e : (struct err){ 0 };
    uv_mutex_unlock(&q->m);
    return news;
}

void upkeep_damaged(struct sqlite *q, const struct err *e)
{
    if (is_damage(e) && trouble_set(q, e))
        log_error("the database is damaged", kv("err", e->text));
}

void upkeep_outcome(struct sqlite *q, const struct err *e)
{
    struct writer *w = &q->w;
    uint64_t now_ms = clock_mono_ms();

    if (e && is_damage(e)) {
        upkeep_damaged(q, e);
        return;
    }
    if (!e && !w->failing)
        return;
    if (e && !w->failing) {
        log_error("the database cannot be written; reads go on", kv("err", e->text));
        w->failing_since_ms = now_ms;
    } else if (!e) {
        log_info("the database can be written again", kv("path", q->path),
                 kv("after_s", (now_ms - w->failing_since_ms) / 1000));
    }
    w->failing = e != NULL;
    w->probe_at_ms = now_ms + PROBE_MS;
    trouble_set(q, e);
}

/* Something has to change, else SQLite writes nothing. */
static int probe(struct sqlite *q, struct err *e)
{
    int64_t reserved = MAX(q->w.st.reserved, q->w.st.rev) + 1;

    if (writer_set_meta(&q->w, "reserved", reserved, e))
        return e->code;
    q->w.st.reserved = reserved;
    return 0;
}

static uint64_t probe_step(struct sqlite *q, uint64_t now_ms)
{
    struct writer *w = &q->w;
    struct err e;

    if (w->failing && now_ms >= w->probe_at_ms)
        err_ignore(writer_txn(q, "probe", probe, &e)); /* its outcome is what it is for */
    return w->failing ? w->probe_at_ms : UINT64_MAX;
}

/* ---- the log's bound ---- */

static void sizes_note(struct sqlite *q)
{
    auto_free char *wal = mem_printf("%s-wal", q->path);
    struct stat st;

    if (!stat(q->path, &st))
        __atomic_store_n(&q->db_bytes, (uint64_t)st.st_size, __ATOMIC_RELAXED);
    if (!stat(wal, &st))
        __atomic_store_n(&q->wal_bytes, (uint64_t)st.st_size, __ATOMIC_RELAXED);
}

static int checkpoint(struct sqlite *q, enum db_checkpoint_mode mode, unsigned wait_ms,
                      struct err *e)
{
    int rc = db_checkpoint(q->w.db, mode, wait_ms, e);

    writer_account(q, "checkpoint");
    sizes_note(q);
    return rc;
}

bool upkeep_make_room(struct sqlite *q)
{
    struct err e;

    /* It says nothing where it fails: the commit does. */
    return db_wal_frames(q->w.db) && !checkpoint(q, DB_CHECKPOINT_RESTART, WAL_WAIT_MS, &e);
}

static void wal_bound(struct sqlite *q, uint64_t now_ms)
{
    static struct log_limit limit = LOG_LIMIT(1, 60 * 1000);
    struct writer *w = &q->w;
    uint64_t n = db_wal_frames(w->db), enough = q->limits.log_pages;
    bool wait = n >= WAL_FORCE * enough;
    struct err e;

    if (n < w->wal_tried_frames)
        w->wal_tried_frames = 0; /* it has started over */
    if (n < enough || n < w->wal_tried_frames + enough / WAL_STEP)
        return;
    if (wait && now_ms < w->wal_wait_at_ms)
        return;
    w->wal_tried_frames = n;
    unsigned wait_ms = n < WAL_MAX * enough ? WAL_WAIT_MS : WAL_WAIT_MAX_MS;
    if (wait)
        w->wal_wait_at_ms = now_ms + (uint64_t)WAL_PAUSES * wait_ms;
    if (checkpoint(q, wait ? DB_CHECKPOINT_RESTART : DB_CHECKPOINT_PASSIVE, wait_ms, &e) &&
        e.code != ERR_AGAIN && log_allowed(&limit)) /* busy: a long read, next time */
        log_warn("checkpoint of the database failed, its log grows", kv("path", q->path),
                 kv("err", e.text));
}

/* ---- leases ---- */

static void leases_write(struct sqlite *q, uint64_t now_ms)
{
    struct writer *w = &q->w;
    struct err e;

    if (!eph_checkpoint(q, &e)) {
        if (w->flush_failing)
            log_info("leases are written out again", kv("path", q->path));
        w->flush_failing = false;
        w->flush_at_ms = 0;
        return;
    }
    if (!w->flush_failing)
        log_warn("leases stay in memory for now, will retry", kv("err", e.text));
    w->flush_failing = true;
    w->flush_at_ms = now_ms + RETRY_MS;
}

/* ---- the step, open and close ---- */

uint64_t upkeep_step(struct sqlite *q)
{
    struct writer *w = &q->w;
    uint64_t now_ms = clock_mono_ms();
    uint64_t at = compact_step(q, now_ms);

    if (!w->flush_at_ms && w->dirty)
        w->flush_at_ms = now_ms + q->limits.checkpoint_ms;
    if (w->flush_at_ms && w->flush_at_ms <= now_ms)
        leases_write(q, now_ms);
    if (w->flush_at_ms)
        at = MIN(at, w->flush_at_ms);
    at = MIN(at, probe_step(q, now_ms));
    wal_bound(q, now_ms);
    return at;
}

void upkeep_open(struct sqlite *q)
{
    writer_account(q, "open");
    sizes_note(q);
}

static int set_reserved_exactly(struct sqlite *q, struct err *e)
{
    return writer_set_meta(&q->w, "reserved", q->w.st.rev, e);
}

void upkeep_close(struct sqlite *q)
{
    struct err e;

    compact_cancel(q);
    if (q->w.dirty && eph_checkpoint(q, &e))
        log_warn("closing the store: lease renewals of the last minute are lost",
                 kv("err", e.text));
    if (q->w.st.rev != MAX(q->w.st.reserved, q->w.st.durable) &&
        writer_txn(q, "close", set_reserved_exactly, &e))
        log_debug("closing the store: revisions will jump", kv("err", e.text));
    if (checkpoint(q, DB_CHECKPOINT_TRUNCATE, WAL_WAIT_MAX_MS, &e))
        log_debug("closing the store: its log stays", kv("err", e.text));
}

/* Opening, queues and closing of the SQLite backend. The story is in sqlite.h. */
#include "server/store/sqlite.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "server/store/sqlite_format.h"
#include "server/store/sqlite_lock.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(STORE_SEQ_BITS == SQLITE_FORMAT_SEQ_BITS, "it is in the file");
#define STR_(x)      #x
#define STRING_OF(x) STR_(x)

#define LEASE_TABLE                                                                                \
    "CREATE TABLE lease (id INTEGER PRIMARY KEY, pos INTEGER NOT NULL, value BLOB NOT NULL) "      \
    "STRICT;"
#define LABEL_TABLE                                                                                \
    "CREATE TABLE label (key TEXT PRIMARY KEY, labels TEXT NOT NULL) STRICT, WITHOUT ROWID;"
#define MARKS                                                                                      \
    "PRAGMA application_id=" STRING_OF(                                                            \
        SQLITE_FORMAT_APPLICATION_ID) ";"                                                          \
                                      "PRAGMA user_version=" STRING_OF(SQLITE_FORMAT_VERSION) ";"

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE live (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
    " create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL, value BLOB NOT NULL) STRICT;"
    "CREATE TABLE log (id INTEGER PRIMARY KEY, key TEXT NOT NULL, kind INTEGER NOT NULL,"
    " prev_create_rev INTEGER, prev_mod_rev INTEGER, prev_value BLOB) STRICT;"
    "CREATE INDEX log_key ON log (key);" LEASE_TABLE LABEL_TABLE
    "INSERT INTO meta VALUES ('reserved', 0), ('compacted', 0);" MARKS "COMMIT;";
/* Format 1 wrote checkpoints of leases to live and log; format 2 had only the values to look for
 * labels in. */
static const char schema_from_1[] = LEASE_TABLE LABEL_TABLE;
static const char schema_from_2[] = LABEL_TABLE;
static const char marks[] = MARKS;

/* ---- open ---- */

/* One transaction: an older format, or this one. */
static int schema_raise(struct sqlite *q, const char *sql, struct err *e)
{
    struct db *d = q->w.db;

    if (db_begin(d, true, e))
        return e->code;
    if (db_exec(d, sql, e) || labels_open(q, e) || labels_fill(q, e) || db_exec(d, marks, e)) {
        labels_close(q);
        db_rollback(d);
        return e->code;
    }
    labels_close(q);
    q->w.label_set = q->w.label_drop = NULL;
    return db_commit(d, e);
}

static int schema_check(struct sqlite *q, struct err *e)
{
    struct db *d = q->w.db;
    int64_t app = 0, version = 0, n_tables = 0;

    if (db_query_i64(d, "PRAGMA application_id", &app, e) ||
        db_query_i64(d, "PRAGMA user_version", &version, e) ||
        db_query_i64(d, "SELECT count(*) FROM sqlite_schema", &n_tables, e))
        return e->code;
    if (n_tables == 0 && app == 0)
        return db_exec(d, schema, e);
    if (app != SQLITE_FORMAT_APPLICATION_ID)
        return err_set(e, ERR_INVALID,
                       "database %s was not made by coracle: move it away, or name another",
                       q->path);
    if (version == 1 || version == 2)
        return schema_raise(q, version == 1 ? schema_from_1 : schema_from_2, e);
    if (version != SQLITE_FORMAT_VERSION)
        return err_set(e, ERR_INVALID,
                       "database %s has format %lld, this coracle knows %d: run the newer coracle "
                       "that made it",
                       q->path, (long long)version, SQLITE_FORMAT_VERSION);
    return 0;
}

static int state_load(struct sqlite *q, struct err *e)
{
    struct writer_state *st = &q->w.st;
    struct db *d = q->w.db;
    int64_t newest = 0, reserved = -1, compacted = -1;

    if (db_query_i64(d, "SELECT max(id) FROM log", &newest, e) ||
        db_query_i64(d, "SELECT value FROM meta WHERE name='reserved'", &reserved, e) ||
        db_query_i64(d, "SELECT value FROM meta WHERE name='compacted'", &compacted, e) ||
        db_query_i64(d, "SELECT count(*) FROM live", &st->n_objects, e))
        return e->code;
    st->durable = store_pos_rev(newest);
    if (newest < 0 || reserved < 0 || compacted < 0 || st->durable > SQLITE_FORMAT_REV_MAX ||
        reserved > SQLITE_FORMAT_REV_MAX || compacted > MAX(reserved, st->durable))
        return db_malformed(d, e, "revisions %lld, %lld, %lld", (long long)st->durable,
                            (long long)reserved, (long long)compacted);
    st->reserved = reserved;
    st->rev = MAX(reserved, st->durable);
    q->compacted = compacted;
    q->n_objects = (uint64_t)st->n_objects;
    q->pub_rev = st->rev;
    q->pub_durable = st->durable;
    return 0;
}

static void sqlite_free(struct sqlite *q)
{
    for (size_t i = 0; i < SQLITE_READERS; i++)
        reader_close(&q->readers[i]);
    writer_close(q);
    eph_free_all(q);
    map_free(q->overlay);
    budget_free(q->budget);
    if (q->lock_fd >= 0)
        close(q->lock_fd);
    uv_mutex_destroy(&q->m);
    uv_mutex_destroy(&q->overlay_m);
    uv_cond_destroy(&q->to_writer);
    uv_cond_destroy(&q->to_readers);
    free(q->path);
    free(q);
}

static struct sqlite *sqlite_new(const char *path, const struct store_limits *l)
{
    struct sqlite *q = mem_alloc(sizeof *q);

    q->limits = store_limits_or_default(l);
    q->path = mem_strdup(path);
    q->lock_fd = -1;
    q->overlay = map_new();
    q->budget = budget_new();
    list_init(&q->fresh);
    list_init(&q->writes);
    list_init(&q->reads);
    list_init(&q->tasks);
    list_init(&q->done_writes);
    list_init(&q->done_reads);
    list_init(&q->done_tasks);
    list_init(&q->w.staged);
    list_init(&q->w.tasks);
    if (uv_mutex_init(&q->m) || uv_mutex_init(&q->overlay_m) || uv_cond_init(&q->to_writer) ||
        uv_cond_init(&q->to_readers))
        abort(); /* no memory: as mem_alloc */
    return q;
}

static int open_files(struct sqlite *q, struct err *e)
{
    const struct db_opts o = { .cache_kib = 4096, .max_bytes = q->limits.db_bytes_max };

    if (sqlite_lock(&q->lock_fd, q->path, e) || db_open(&q->w.db, q->path, &o, e))
        return e->code;
    if (chmod(q->path, 0600))
        return err_sys(e, errno, "chmod %s", q->path);
    if (schema_check(q, e) || state_load(q, e) || eph_load(q, e) || writer_open(q, e))
        return e->code;
    for (size_t i = 0; i < SQLITE_READERS; i++)
        if (reader_open(&q->readers[i], q, e))
            return e->code;
    return 0;
}

static void threads_start(struct sqlite *q)
{
    const uv_thread_options_t o = { .flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = 512 * 1024 };

    q->n_running = 1 + SQLITE_READERS;
    /* Out of threads at the very start is out of memory: there is nothing to fall back to. */
    if (uv_thread_create_ex(&q->writer_thread, &o, writer_main, q))
        abort();
    for (size_t i = 0; i < SQLITE_READERS; i++)
        if (uv_thread_create_ex(&q->readers[i].thread, &o, reader_main, &q->readers[i]))
            abort();
}

/* ---- the backend's side of store_ops, loop thread ---- */

static void sqlite_write(void *impl, struct store_write *w)
{
    struct sqlite *q = impl;

    list_push(&q->fresh, &w->link);
}

/* Signals come after the unlock: who is woken would only wait for the mutex then. */
static void sqlite_flush(void *impl)
{
    struct sqlite *q = impl;

    uv_mutex_lock(&q->m);
    list_move_all(&q->writes, &q->fresh);
    uv_mutex_unlock(&q->m);
    uv_cond_signal(&q->to_writer);
}

static void sqlite_read(void *impl, struct store_read *r)
{
    struct sqlite *q = impl;

    uv_mutex_lock(&q->m);
    list_push(&q->reads, &r->link);
    uv_mutex_unlock(&q->m);
    uv_cond_signal(&q->to_readers);
}

static void sqlite_compact(void *impl, struct store_task *t)
{
    struct sqlite *q = impl;

    uv_mutex_lock(&q->m);
    list_push(&q->tasks, &t->link);
    uv_mutex_unlock(&q->m);
    uv_cond_signal(&q->to_writer);
}

static int64_t sqlite_compacted(const void *impl)
{
    const struct sqlite *q = impl;

    return __atomic_load_n(&q->compacted, __ATOMIC_ACQUIRE);
}

static void sqlite_stats(const void *impl, struct store_stats *out)
{
    const struct sqlite *q = impl;

    out->n_objects = __atomic_load_n(&q->n_objects, __ATOMIC_RELAXED);
    out->n_groups = __atomic_load_n(&q->n_groups, __ATOMIC_RELAXED);
    out->written_bytes = budget_sum(q->budget);
    out->db_bytes = __atomic_load_n(&q->db_bytes, __ATOMIC_RELAXED);
    out->wal_bytes = __atomic_load_n(&q->wal_bytes, __ATOMIC_RELAXED);
}

static int sqlite_trouble(void *impl, struct err *e)
{
    struct sqlite *q = impl;
    struct err now;

    uv_mutex_lock(&q->m);
    now = q->trouble;
    uv_mutex_unlock(&q->m);
    if (now.code)
        *e = now;
    return (int)now.code;
}

static size_t sqlite_written(void *impl, struct store_written out[STORE_WRITERS_MAX])
{
    return budget_read(((struct sqlite *)impl)->budget, out);
}

static bool sqlite_withdraw(void *impl, struct store_write *w)
{
    struct sqlite *q = impl;
    bool ours;

    uv_mutex_lock(&q->m);
    ours = w->begun;
    if (!ours)
        list_remove(&w->link);
    uv_mutex_unlock(&q->m);
    return !ours;
}

static void sqlite_drain(void *impl)
{
    struct sqlite *q = impl;
    struct store *s = q->store;
    struct list writes = LIST(writes), reads = LIST(reads), tasks = LIST(tasks), *l;
    bool over;

    uv_mutex_lock(&q->m);
    list_move_all(&writes, &q->done_writes);
    list_move_all(&reads, &q->done_reads);
    list_move_all(&tasks, &q->done_tasks);
    over = q->closing && q->n_running == 0;
    uv_mutex_unlock(&q->m);
    while ((l = list_pop(&writes)))
        store_answer_write(s, container_of(l, struct store_write, link));
    while ((l = list_pop(&reads)))
        store_answer_read(s, container_of(l, struct store_read, link));
    while ((l = list_pop(&tasks)))
        store_answer_task(s, container_of(l, struct store_task, link));
    if (!over)
        return;
    uv_thread_join(&q->writer_thread); /* they have said goodbye: this does not wait */
    for (size_t i = 0; i < SQLITE_READERS; i++)
        uv_thread_join(&q->readers[i].thread);
    sqlite_free(q);
    store_closed(s);
}

static void sqlite_close(void *impl)
{
    struct sqlite *q = impl;

    uv_mutex_lock(&q->m);
    q->closing = true;
    uv_cond_signal(&q->to_writer);
    uv_cond_broadcast(&q->to_readers);
    uv_mutex_unlock(&q->m);
    for (size_t i = 0; i < SQLITE_READERS; i++)
        db_interrupt(q->readers[i].db);
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .copies = true,
    .write = sqlite_write,
    .flush = sqlite_flush,
    .read = sqlite_read,
    .compact = sqlite_compact,
    .compacted = sqlite_compacted,
    .stats = sqlite_stats,
    .trouble = sqlite_trouble,
    .written = sqlite_written,
    .withdraw = sqlite_withdraw,
    .drain = sqlite_drain,
    .close = sqlite_close,
};

int store_sqlite_open_with(struct store **out, uv_loop_t *loop, const char *path,
                           const struct store_limits *l, struct err *e)
{
    struct sqlite *q = sqlite_new(path, l);

    if (open_files(q, e) ||
        store_new(&q->store, loop, &sqlite_ops, q, &q->limits, q->w.st.rev, e)) {
        sqlite_free(q);
        return err_wrap(e, "open store");
    }
    *out = q->store;
    threads_start(q);
    return 0;
}

int store_sqlite_open(struct store **out, uv_loop_t *loop, const char *path, struct err *e)
{
    return store_sqlite_open_with(out, loop, path, NULL, e);
}

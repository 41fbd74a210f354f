/*
 * The reader threads: each read sees one snapshot of the file and the overlay that belongs to it
 * (sqlite.h). Live rows, what the log knows about the past, and the overlay are three streams in
 * key order, merged.
 */
#include "server/store/sqlite.h"

#include "base/core/mem.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SNAPSHOT_TRIES = 2000,
    COUNT_MAX = 100 * 1000, /* counting further behind a limit is not cheap any more */
    LOG_BYTES = 4 << 20,    /* of one answer */
};

int reader_open(struct reader *r, struct sqlite *q, struct err *e)
{
    const struct db_opts o = { .read_only = true };

    r->q = q;
    if (db_open(&r->db, q->path, &o, e) ||
        db_prepare(&r->newest, r->db, "SELECT max(id) FROM log", e) ||
        db_prepare(&r->compacted, r->db, "SELECT value FROM meta WHERE name='compacted'", e) ||
        db_prepare(&r->get, r->db, "SELECT create_rev, mod_rev, value FROM live WHERE key=?1", e) ||
        db_prepare(&r->lease, r->db,
                   "SELECT live.create_rev, lease.pos, lease.value FROM lease JOIN live USING (id) "
                   "WHERE live.key=?1",
                   e) ||
        db_prepare(&r->list, r->db,
                   "SELECT key, create_rev, mod_rev, value FROM live WHERE key>=?1 AND key<?2 "
                   "ORDER BY key",
                   e) ||
        db_prepare(&r->count, r->db,
                   "SELECT count(*) FROM (SELECT 1 FROM live WHERE key>=?1 AND key<?2 LIMIT ?3)",
                   e) ||
        /* Each key's first row behind a position; SQLite takes the other columns from the row that
         * has the minimum (lang_select.html, "bare columns"). */
        db_prepare(&r->list_past, r->db,
                   "SELECT key, prev_create_rev, prev_mod_rev, prev_value, kind, min(id) FROM log "
                   "INDEXED BY log_key WHERE key>=?1 AND key<?2 AND id>?3 GROUP BY key "
                   "ORDER BY key",
                   e) ||
        db_prepare(&r->log, r->db,
                   "SELECT id, key, kind, prev_create_rev, prev_mod_rev, prev_value FROM log "
                   "NOT INDEXED WHERE id>?1 AND key>=?2 AND key<?3 ORDER BY id LIMIT ?4",
                   e) ||
        db_prepare(&r->log_next, r->db,
                   "SELECT prev_create_rev, prev_mod_rev, prev_value, prev_value IS NULL FROM log "
                   "INDEXED BY log_key WHERE key=?1 AND id>?2 ORDER BY id LIMIT 1",
                   e) ||
        db_prepare(&r->labels, r->db,
                   "SELECT key, labels FROM label WHERE key>=?1 AND key<?2 ORDER BY key", e) ||
        db_prepare(&r->copy, r->db, "VACUUM INTO ?1", e))
        return e->code;
    return 0;
}

void reader_close(struct reader *r)
{
    db_stmt_free(r->newest);
    db_stmt_free(r->compacted);
    db_stmt_free(r->get);
    db_stmt_free(r->lease);
    db_stmt_free(r->list);
    db_stmt_free(r->count);
    db_stmt_free(r->list_past);
    db_stmt_free(r->log);
    db_stmt_free(r->log_next);
    db_stmt_free(r->copy);
    db_stmt_free(r->labels);
    db_close(r->db);
}

/* ---- a snapshot and its overlay ---- */

struct snap {
    int64_t rev;
    struct store_ev *over; /* pos and now of the entries that were asked for, in key order */
    size_t n_over;
};

static int by_key(const void *a, const void *b)
{
    const struct store_obj *x = ((const struct store_ev *)a)->now;
    const struct store_obj *y = ((const struct store_ev *)b)->now;
    int c = memcmp(x->key, y->key, MIN(x->key_n, y->key_n));

    return c ? c : (x->key_n > y->key_n) - (x->key_n < y->key_n);
}

static void over_add(struct snap *s, const struct eph *en)
{
    if (!(s->n_over & (s->n_over - 1))) /* grows at 0 and powers of two */
        s->over = mem_realloc(s->over, (s->n_over ? 2 * s->n_over : 1) * sizeof *s->over);
    s->over[s->n_over++] = (struct store_ev){ .pos = en->pub_pos, .now = store_obj_ref(en->pub) };
}

/* Under overlay_m. */
static void over_copy(struct snap *s, const struct map *overlay, const struct store_read *req)
{
    struct str key;
    void *v;

    if (req->kind == STORE_READ_GET) {
        const struct eph *en = map_get(overlay, req->key);
        if (en && en->pub)
            over_add(s, en);
        return;
    }
    for (size_t i = 0; map_next(overlay, &i, &key, &v);) {
        const struct eph *en = v;
        if (en->pub && str_starts(key, req->key))
            over_add(s, en);
    }
}

static int snap_open(struct snap *s, struct reader *r, const struct store_read *req, struct err *e)
{
    struct sqlite *q = r->q;

    *s = (struct snap){ 0 };
    for (int i = 0; i < SNAPSHOT_TRIES; i++) {
        int64_t newest;
        bool row, same;
        if (db_begin(r->db, false, e))
            return e->code;
        if (db_step(r->newest, &row, e)) {
            db_rollback(r->db);
            return e->code;
        }
        newest = row ? store_pos_rev(db_col_i64(r->newest, 0)) : 0;
        db_reset(r->newest);
        uv_mutex_lock(&q->overlay_m);
        same = newest == q->pub_durable;
        if (same) {
            s->rev = q->pub_rev;
            over_copy(s, q->overlay, req);
        }
        uv_mutex_unlock(&q->overlay_m);
        if (same) {
            if (s->n_over > 1)
                qsort(s->over, s->n_over, sizeof *s->over, by_key);
            return 0;
        }
        db_rollback(r->db);
        if (i < 4)
            sched_yield(); /* the writer is between its commit and its word about it */
        else
            usleep(100);
    }
    return err_set(e, ERR_AGAIN, "database %s: no consistent snapshot, does another program write?",
                   q->path);
}

static void snap_close(struct snap *s, struct reader *r)
{
    for (size_t i = 0; i < s->n_over; i++)
        store_ev_deinit(&s->over[i]);
    free(s->over);
    db_rollback(r->db); /* it only read */
}

/* ---- helpers ---- */

/* The first key behind all that start with prefix. */
static void prefix_end(struct buf *out, struct str prefix)
{
    while (prefix.n && (unsigned char)prefix.p[prefix.n - 1] == 0xff)
        prefix.n--;
    if (!prefix.n) {                             /* keys are text: nothing sorts behind this */
        err_ignore(buf_add(out, "\xff\xff", 2)); /* fits */
        return;
    }
    err_ignore(buf_add_str(out, prefix)); /* fits: keys have a maximum below the buffer's */
    out->p[out->n - 1]++;
}

static int check_not_compacted(struct reader *r, int64_t rev, struct err *e)
{
    int64_t compacted = 0;
    bool row;

    if (db_step(r->compacted, &row, e))
        return e->code;
    if (row) {
        compacted = db_col_i64(r->compacted, 0);
        db_reset(r->compacted);
    }
    if (rev < compacted)
        return err_set(e, ERR_EXPIRED, "revision %lld is compacted, the oldest is %lld",
                       (long long)rev, (long long)compacted);
    return 0;
}

static void objs_add(struct store_read *req, size_t *cap, struct store_obj *o)
{
    if (req->n == *cap) {
        *cap = *cap ? 2 * *cap : 16;
        req->objs = mem_realloc(req->objs, *cap * sizeof(struct store_obj *));
    }
    req->objs[req->n++] = o;
}

/* The live row of key, or NULL. */
static int get_live(struct store_obj **out, struct reader *r, struct str key, struct err *e)
{
    bool row;

    *out = NULL;
    db_bind_text(r->get, 1, key);
    if (db_step(r->get, &row, e) || !row)
        return row ? 0 : e->code;
    *out = store_obj_new(key, db_col_str(r->get, 2), db_col_i64(r->get, 0), db_col_i64(r->get, 1));
    db_reset(r->get);
    return 0;
}

/* ---- GET ---- */

static int read_get(struct reader *r, struct store_read *req, struct snap *s, struct err *e)
{
    struct store_obj *o = NULL;
    size_t cap = 0;

    if (s->n_over)
        o = store_obj_ref(s->over[0].now);
    else if (get_live(&o, r, req->key, e))
        return e->code;
    if (o)
        objs_add(req, &cap, o);
    return 0;
}

/* ---- LIST ---- */

struct merge {
    struct reader *r;
    struct snap *s;
    size_t i_over;
    int64_t at_rev;
    bool past;
    bool live_row, past_row;
    struct str live_key, past_key;
};

static int live_next(struct merge *m, struct err *e)
{
    if (db_step(m->r->list, &m->live_row, e))
        return e->code;
    if (m->live_row)
        m->live_key = db_col_str(m->r->list, 0);
    return 0;
}

static int past_next(struct merge *m, struct err *e)
{
    if (!m->past)
        return 0;
    if (db_step(m->r->list_past, &m->past_row, e))
        return e->code;
    if (m->past_row)
        m->past_key = db_col_str(m->r->list_past, 0);
    return 0;
}

static int key_cmp(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, MIN(a.n, b.n));

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* The checkpoint of a lease, if it is not too new either. */
static int lease_at(struct store_obj **out, struct merge *m, struct str key, struct err *e)
{
    struct db_stmt *st = m->r->lease;
    bool row;

    db_bind_text(st, 1, key);
    if (db_step(st, &row, e) || !row)
        return row ? 0 : e->code;
    if (store_pos_rev(db_col_i64(st, 1)) <= m->at_rev)
        *out = store_obj_new(key, db_col_str(st, 2), db_col_i64(st, 0),
                             store_pos_rev(db_col_i64(st, 1)));
    db_reset(st);
    return 0;
}

/* What a lease was at the asked revision, where that is not what the row says; a reference. */
static int over_at(struct store_obj **out, struct merge *m, struct str key, struct err *e)
{
    struct snap *s = m->s;
    int c = 1;

    *out = NULL;
    while (m->i_over < s->n_over && (c = key_cmp(store_obj_key(s->over[m->i_over].now), key)) < 0)
        m->i_over++;
    if (m->i_over == s->n_over || c)
        return 0;
    if (s->over[m->i_over].now->mod_rev > m->at_rev)
        return lease_at(out, m, key, e);
    *out = store_obj_ref(s->over[m->i_over].now);
    return 0;
}

static struct store_obj *obj_of_row(struct db_stmt *st)
{
    return store_obj_new(db_col_str(st, 0), db_col_str(st, 3), db_col_i64(st, 1),
                         db_col_i64(st, 2));
}

/* The next object in key order. *end: there is none. out NULL: it is only counted. */
static int merge_next(struct merge *m, struct store_obj **out, bool *end, struct err *e)
{
    for (;;) {
        int c = !m->past_row ? -1 : !m->live_row ? 1 : key_cmp(m->live_key, m->past_key);
        struct db_stmt *st = c < 0 ? m->r->list : m->r->list_past;
        bool there = true;
        *end = !m->live_row && !m->past_row;
        if (*end)
            return 0;
        if (c >= 0)
            there = db_col_i64(st, 4) != LOG_CREATE; /* its first row makes it: it was not there */
        if (there && out) {
            if (over_at(out, m, c < 0 ? m->live_key : m->past_key, e))
                return e->code;
            *out = *out ? *out : obj_of_row(st);
        }
        if ((c <= 0 && live_next(m, e)) || (c >= 0 && past_next(m, e))) {
            if (there && out)
                store_obj_unref(*out);
            return e->code;
        }
        if (there)
            return 0;
    }
}

static int merge_open(struct merge *m, struct str from, struct str end, struct err *e)
{
    db_bind_text(m->r->list, 1, from);
    db_bind_text(m->r->list, 2, end);
    if (m->past) {
        db_bind_text(m->r->list_past, 1, from);
        db_bind_text(m->r->list_past, 2, end);
        db_bind_i64(m->r->list_past, 3, store_pos_end(m->at_rev));
    }
    return live_next(m, e) || past_next(m, e) ? e->code : 0;
}

static int count_rest(struct merge *m, struct store_read *req, struct str end, struct err *e)
{
    int64_t n = 0;
    bool over = false, row;

    if (m->past) {
        while (n <= COUNT_MAX) {
            if (merge_next(m, NULL, &over, e))
                return e->code;
            if (over)
                break;
            n++;
        }
    } else { /* the row that we stand on is the first one left */
        auto_buf from = BUF(4096);
        err_ignore(buf_add_str(&from, m->live_key));
        db_bind_text(m->r->count, 1, buf_str(&from));
        db_bind_text(m->r->count, 2, end);
        db_bind_i64(m->r->count, 3, COUNT_MAX + 1);
        if (db_step(m->r->count, &row, e))
            return e->code;
        n = db_col_i64(m->r->count, 0);
        db_reset(m->r->count);
    }
    req->n_remaining = n > COUNT_MAX ? -1 : n;
    return 0;
}

static int list_rows(struct merge *m, struct store_read *req, struct str end, struct err *e)
{
    size_t cap = 0;
    bool over = false;

    while (!req->limit || req->n < req->limit) {
        struct store_obj *o = NULL;
        if (merge_next(m, &o, &over, e))
            return e->code;
        if (over)
            return 0;
        objs_add(req, &cap, o);
    }
    if (!m->live_row && !m->past_row)
        return 0;
    /* What is left may be only keys that were not there yet: count before saying more. */
    if (count_rest(m, req, end, e))
        return e->code;
    req->more = req->n_remaining != 0;
    if (!req->more)
        req->n_remaining = -1;
    return 0;
}

/* A list of now by labels, where no lease is newer in memory. */
static int labels_rows(struct reader *r, struct store_read *req, struct str from, struct str end,
                       struct err *e)
{
    size_t cap = 0;
    bool row;

    req->n_remaining = -1;
    db_bind_text(r->labels, 1, from);
    db_bind_text(r->labels, 2, end);
    for (;;) {
        struct store_obj *o;
        if (db_step(r->labels, &row, e))
            return e->code;
        if (!row)
            return 0;
        if (req->limit && req->n == req->limit) {
            req->more = true; /* perhaps: who goes on sees it */
            return 0;
        }
        struct str key = db_col_str(r->labels, 0);
        if (!req->likes(req->likes_arg, db_col_str(r->labels, 1)))
            continue;
        if (get_live(&o, r, key, e))
            return e->code;
        if (!o)
            return db_malformed(r->db, e, "labels of " STR_FMT ", which is not there",
                                STR_ARG(key));
        objs_add(req, &cap, o);
    }
}

static int read_list(struct reader *r, struct store_read *req, struct snap *s, struct err *e)
{
    auto_buf from = BUF(4096), end = BUF(4096);
    struct merge m = { .r = r, .s = s, .at_rev = req->at_rev ? req->at_rev : s->rev };
    int rc;

    if (req->at_rev > s->rev)
        return err_set(e, ERR_INVALID, "revision %lld is in the future, now is %lld",
                       (long long)req->at_rev, (long long)s->rev);
    m.past = m.at_rev < s->rev;
    if (m.past && check_not_compacted(r, m.at_rev, e))
        return e->code;
    req->rev = m.at_rev;
    prefix_end(&end, req->key);
    if (req->after.n && key_cmp(req->after, req->key) >= 0) {
        err_ignore(buf_add_str(&from, req->after));
        err_ignore(buf_addc(&from, '\0')); /* the very next key */
    } else {
        err_ignore(buf_add_str(&from, req->key));
    }
    if (req->likes && !m.past && !s->n_over)
        rc = labels_rows(r, req, buf_str(&from), buf_str(&end), e);
    else
        rc = merge_open(&m, buf_str(&from), buf_str(&end), e) ||
             list_rows(&m, req, buf_str(&end), e);
    db_reset(r->labels);
    db_reset(r->list);
    db_reset(r->list_past);
    return rc ? e->code : 0;
}

/* ---- LOG ---- */

/* What key became by the event at pos. */
static int log_now(struct store_obj **out, struct reader *r, struct str key, int64_t pos,
                   struct store_obj *prev, struct err *e)
{
    int64_t rev = store_pos_rev(pos);
    bool row;

    db_bind_text(r->log_next, 1, key);
    db_bind_i64(r->log_next, 2, pos);
    if (db_step(r->log_next, &row, e))
        return e->code;
    if (row) {
        if (!db_col_i64(r->log_next, 3))
            *out = store_obj_new(key, db_col_str(r->log_next, 2), db_col_i64(r->log_next, 0),
                                 db_col_i64(r->log_next, 1));
        db_reset(r->log_next);
    } else if (get_live(out, r, key, e)) {
        return e->code;
    }
    if (*out && (*out)->mod_rev == rev && (*out)->create_rev == (prev ? prev->create_rev : rev))
        return 0;
    return db_malformed(r->db, e, "history of " STR_FMT, STR_ARG(key));
}

static int log_row(struct reader *r, struct store_read *req, size_t *n_bytes, struct err *e)
{
    struct db_stmt *st = r->log;
    struct store_ev *ev = &req->evs[req->n];
    struct str key = db_col_str(st, 1);
    int64_t kind = db_col_i64(st, 2);

    *ev = (struct store_ev){ .pos = db_col_i64(st, 0) };
    req->n++; /* from here on it is released with the request */
    if (kind != LOG_CREATE)
        ev->prev = store_obj_new(key, db_col_str(st, 5), db_col_i64(st, 3), db_col_i64(st, 4));
    if (kind != LOG_DELETE && log_now(&ev->now, r, key, ev->pos, ev->prev, e))
        return e->code;
    *n_bytes += (ev->prev ? ev->prev->value_n : 0) + (ev->now ? ev->now->value_n : 0);
    return 0;
}

static int by_pos(const void *a, const void *b)
{
    const struct store_ev *x = a, *y = b;

    return (x->pos > y->pos) - (x->pos < y->pos);
}

/* Adds the leases that are newer in memory; those the log has as well count once. */
static int log_overlay(struct reader *r, struct store_read *req, struct snap *s, int64_t up_to,
                       struct err *e)
{
    size_t n_log = req->n;

    if (!s->n_over)
        return 0;
    req->evs = mem_realloc(req->evs, (n_log + s->n_over) * sizeof *req->evs);
    for (size_t i = 0; i < s->n_over; i++) {
        struct store_ev *over = &s->over[i], *ev = &req->evs[req->n];
        if (over->pos <= req->from_pos || over->pos > up_to ||
            bsearch(over, req->evs, n_log, sizeof *over, by_pos))
            continue;
        *ev = (struct store_ev){ .pos = over->pos, .now = store_obj_ref(over->now) };
        req->n++;
        if (get_live(&ev->prev, r, store_obj_key(over->now), e))
            return e->code;
    }
    if (req->n > n_log)
        qsort(req->evs, req->n, sizeof *req->evs, by_pos);
    return 0;
}

static int read_log(struct reader *r, struct store_read *req, struct snap *s, struct err *e)
{
    auto_buf end = BUF(4096);
    size_t n_bytes = 0;
    int64_t up_to = INT64_MAX;
    bool row = true;
    int rc = 0;

    if (check_not_compacted(r, store_pos_rev(req->from_pos), e))
        return e->code;
    req->rev = s->rev;
    req->evs = mem_calloc(req->limit, sizeof *req->evs);
    prefix_end(&end, req->key);
    db_bind_i64(r->log, 1, req->from_pos);
    db_bind_text(r->log, 2, req->key);
    db_bind_text(r->log, 3, buf_str(&end));
    db_bind_i64(r->log, 4, (int64_t)req->limit);
    while (!rc && req->n < req->limit && n_bytes < LOG_BYTES) {
        rc = db_step(r->log, &row, e);
        if (rc || !row)
            break;
        rc = log_row(r, req, &n_bytes, e);
    }
    if (row && !rc) { /* stopped early */
        req->more = true;
        up_to = req->evs[req->n - 1].pos;
    }
    db_reset(r->log);
    return rc ? rc : log_overlay(r, req, s, up_to, e);
}

/* ---- COPY ---- */

static int read_copy(struct reader *r, struct store_read *req, struct err *e)
{
    struct stat st;

    if (!lstat(req->key.p, &st)) /* SQLite takes an empty one, and that is somebody's too */
        return err_set(e, ERR_EXISTS, "%s exists already", req->key.p);
    db_bind_text(r->copy, 1, str_of(req->key.p));
    if (db_run(r->copy, e)) {
        unlink(req->key.p); /* if it was begun */
        return err_wrap(e, "copy to %s", req->key.p);
    }
    if (!stat(req->key.p, &st))
        budget_add(r->q->budget, STR("snapshot"), (uint64_t)st.st_size);
    return 0;
}

/* ---- the thread ---- */

static void run(struct reader *r, struct store_read *req)
{
    struct snap s;

    if (req->kind == STORE_READ_COPY) { /* its snapshot is its own */
        err_ignore(read_copy(r, req, &req->err));
        return;
    }
    if (snap_open(&s, r, req, &req->err))
        return;
    req->rev = s.rev;
    switch (req->kind) {
    case STORE_READ_GET:
        err_ignore(read_get(r, req, &s, &req->err)); /* the request carries it */
        break;
    case STORE_READ_LIST:
        err_ignore(read_list(r, req, &s, &req->err));
        break;
    case STORE_READ_LOG:
        err_ignore(read_log(r, req, &s, &req->err));
        break;
    case STORE_READ_COPY:
        break;
    }
    snap_close(&s, r);
}

static void serve(struct reader *r, struct store_read *req)
{
    run(r, req);
    if (req->err.code)
        upkeep_damaged(r->q, &req->err);
}

void reader_main(void *arg)
{
    struct reader *r = arg;
    struct sqlite *q = r->q;

    uv_mutex_lock(&q->m);
    for (;;) {
        struct list *l;
        struct store_read *req;
        bool closing;
        while (list_empty(&q->reads) && !q->closing)
            uv_cond_wait(&q->to_readers, &q->m);
        l = list_pop(&q->reads);
        if (!l)
            break;
        req = container_of(l, struct store_read, link);
        closing = q->closing;
        uv_mutex_unlock(&q->m);
        if (closing)
            err_set(&req->err, ERR_CANCELED, "the store is closing");
        else
            serve(r, req);
        uv_mutex_lock(&q->m);
        list_push(&q->done_reads, &req->link);
        uv_mutex_unlock(&q->m);
        store_wake(q->store);
        uv_mutex_lock(&q->m);
    }
    q->n_running--;
    uv_mutex_unlock(&q->m);
    store_wake(q->store);
}

/*
 * The writer thread: takes every commit that waits as one group, decides each, one transaction and
 * one fsync for all, then answers. A failed precondition answers for itself; a failed disk answers
 * for the whole group, and the state goes back to where it was; but a full disk is tried again in
 * the room that the log has already, and renewals of leases, which need no disk, are then made
 * without the others. Between groups: sqlite_upkeep.c.
 */
#include "server/store/sqlite.h"

#include "base/core/clock.h"
#include "base/core/mem.h"

#include <assert.h>

enum {
    GROUP_COMMITS = 512,
    GROUP_BYTES = 8 << 20,
};

/* ---- open, close ---- */

int writer_open(struct sqlite *q, struct err *e)
{
    struct writer *w = &q->w;
    struct db *d = w->db;

    if (db_prepare(&w->find, d, "SELECT id, create_rev, mod_rev, value FROM live WHERE key=?1",
                   e) ||
        db_prepare(&w->log, d, "INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6)", e) ||
        db_prepare(&w->insert, d,
                   "INSERT INTO live (key, create_rev, mod_rev, value) VALUES (?1, ?2, ?2, ?3)",
                   e) ||
        db_prepare(&w->update, d, "UPDATE live SET mod_rev=?1, value=?2 WHERE id=?3", e) ||
        db_prepare(&w->remove, d, "DELETE FROM live WHERE id=?1", e) ||
        db_prepare(&w->set_meta, d, "UPDATE meta SET value=?2 WHERE name=?1", e) ||
        db_prepare(&w->lease_set, d,
                   "INSERT INTO lease SELECT id, ?2, ?3 FROM live WHERE key=?1 "
                   "ON CONFLICT (id) DO UPDATE SET pos=excluded.pos, value=excluded.value",
                   e) ||
        db_prepare(&w->lease_drop, d, "DELETE FROM lease WHERE id=?1", e))
        return e->code;
    return labels_open(q, e) || compact_open(q, e) ? e->code : 0;
}

void writer_close(struct sqlite *q)
{
    struct writer *w = &q->w;

    db_stmt_free(w->find);
    db_stmt_free(w->log);
    db_stmt_free(w->insert);
    db_stmt_free(w->update);
    db_stmt_free(w->remove);
    db_stmt_free(w->set_meta);
    db_stmt_free(w->lease_set);
    db_stmt_free(w->lease_drop);
    labels_close(q);
    db_stmt_free(w->log_slice);
    db_stmt_free(w->log_drop);
    db_close(w->db);
}

int writer_set_meta(struct writer *w, const char *name, int64_t v, struct err *e)
{
    db_bind_text(w->set_meta, 1, str_of(name));
    db_bind_i64(w->set_meta, 2, v);
    return db_run(w->set_meta, e);
}

/* ---- one commit ---- */

struct found {
    struct store_obj *obj; /* a reference; NULL: not live */
    int64_t row;           /* 0: not looked up, the overlay knew */
    struct eph *eph;
};

static int txn_need(struct writer *w, struct err *e)
{
    if (w->in_txn)
        return 0;
    if (db_begin(w->db, true, e))
        return e->code;
    w->in_txn = true;
    return 0;
}

static int find_row(struct writer *w, struct str key, struct found *f, struct err *e)
{
    bool row;

    if (txn_need(w, e))
        return e->code;
    db_bind_text(w->find, 1, key);
    if (db_step(w->find, &row, e))
        return e->code;
    if (!row)
        return 0;
    f->row = db_col_i64(w->find, 0);
    if (!f->obj)
        f->obj = store_obj_new(key, db_col_str(w->find, 3), db_col_i64(w->find, 1),
                               db_col_i64(w->find, 2));
    db_reset(w->find);
    return 0;
}

static int find(struct sqlite *q, struct str key, struct found *f, struct err *e)
{
    *f = (struct found){ .eph = eph_find(q, key) };
    if (f->eph && f->eph->obj) {
        f->obj = store_obj_ref(f->eph->obj);
        return 0;
    }
    return find_row(&q->w, key, f, e);
}

/* 0, or the reason why op may not happen, in x's answer. */
static int op_refused(struct store_write *x, size_t i, struct store_obj *live)
{
    const struct store_write_op *op = &x->ops[i];

    if (op->kind == STORE_CREATE) {
        if (!live)
            return 0;
        err_set(&x->err, ERR_EXISTS, "key " STR_FMT " exists already", STR_ARG(op->key));
    } else if (!live) {
        err_set(&x->err, ERR_NOT_FOUND, "key " STR_FMT " does not exist", STR_ARG(op->key));
    } else if (op->if_mod_rev && op->if_mod_rev != live->mod_rev) {
        err_set(&x->err, ERR_CONFLICT, "key " STR_FMT " is at revision %lld, not %lld",
                STR_ARG(op->key), (long long)live->mod_rev, (long long)op->if_mod_rev);
    } else {
        return 0;
    }
    x->failed = i;
    x->current = store_obj_ref(live);
    return x->err.code;
}

/* In the live row and in the log's. */
static size_t op_bytes(const struct store_write_op *op, const struct store_obj *before)
{
    return 2 * op->key.n + (op->now ? op->now->value_n : 0) + (before ? before->value_n : 0);
}

static int op_durable(struct sqlite *q, struct store_write_op *op, int64_t pos, struct found *f,
                      struct err *e)
{
    static const enum sqlite_log_kind kinds[] = {
        [STORE_CREATE] = LOG_CREATE, [STORE_UPDATE] = LOG_UPDATE, [STORE_DELETE] = LOG_DELETE
    };
    struct writer *w = &q->w;
    int64_t rev = store_pos_rev(pos);

    budget_share(&w->shares, budget_writer_of(op->key), op_bytes(op, f->obj));
    if (f->eph && f->eph->obj) {
        if (!f->row && find_row(w, op->key, f, e))
            return e->code;
        if (eph_write_out(q, f->eph, e))
            return e->code;
        eph_set(q, op->key, NULL, 0);
    }
    db_bind_i64(w->log, 1, pos);
    db_bind_text(w->log, 2, op->key);
    db_bind_i64(w->log, 3, kinds[op->kind]);
    if (f->obj) {
        db_bind_i64(w->log, 4, f->obj->create_rev);
        db_bind_i64(w->log, 5, f->obj->mod_rev);
        db_bind_blob(w->log, 6, store_obj_value(f->obj));
    }
    if (db_run(w->log, e) || labels_change(w, op->key, f->obj ? store_obj_value(f->obj) : STR(""),
                                           op->now ? store_obj_value(op->now) : STR(""), e))
        return e->code;
    assert(op->kind == STORE_DELETE || op->now); /* made by the front for every value */
    switch (op->kind) {
    case STORE_CREATE:
        db_bind_text(w->insert, 1, op->key);
        db_bind_i64(w->insert, 2, rev);
        db_bind_blob(w->insert, 3, store_obj_value(op->now));
        w->st.n_objects++;
        return db_run(w->insert, e);
    case STORE_UPDATE:
        db_bind_i64(w->update, 1, rev);
        db_bind_blob(w->update, 2, store_obj_value(op->now));
        db_bind_i64(w->update, 3, f->row);
        return db_run(w->update, e);
    case STORE_DELETE:
        db_bind_i64(w->remove, 1, f->row);
        w->st.n_objects--;
        return db_run(w->remove, e);
    }
    return 0;
}

static bool is_soft(const struct store_write *x)
{
    for (size_t i = 0; i < x->n_ops; i++)
        if (!x->ops[i].ephemeral || x->ops[i].kind != STORE_UPDATE)
            return false;
    return true;
}

static int write_apply(struct sqlite *q, struct store_write *x, struct found *f, struct err *e)
{
    struct writer *w = &q->w;
    bool soft = is_soft(x);
    int64_t rev = ++w->st.rev;

    x->rev = rev;
    if (soft && (rev > w->st.reserved || db_unsure(w->db))) {
        budget_share(&w->shares, budget_writer_of(x->ops[0].key), 1);
        if (txn_need(w, e) || writer_set_meta(w, "reserved", rev + REV_RESERVE, e))
            return e->code;
        w->st.reserved = rev + REV_RESERVE;
    }
    if (!soft) {
        if (txn_need(w, e))
            return e->code;
        w->st.durable = rev;
    }
    for (size_t i = 0; i < x->n_ops; i++) {
        struct store_write_op *op = &x->ops[i];
        int64_t pos = store_pos(rev, (int64_t)i);
        if (op->now) {
            op->now->mod_rev = rev;
            op->now->create_rev = f[i].obj ? f[i].obj->create_rev : rev;
        }
        op->prev = store_obj_ref(f[i].obj);
        if (soft)
            eph_set(q, op->key, op->now, pos);
        else if (op_durable(q, op, pos, &f[i], e))
            return e->code;
    }
    return 0;
}

/* 0 also when x was refused; else the database failed and the group with it. */
static int write_one(struct sqlite *q, struct store_write *x, struct err *e)
{
    struct found f[STORE_OPS_MAX];
    size_t n = 0;
    int rc = 0;

    assert(x->n_ops && x->n_ops <= STORE_OPS_MAX);
    memset(f, 0, x->n_ops * sizeof *f);
    while (n < x->n_ops && !rc && !x->err.code) {
        rc = find(q, x->ops[n].key, &f[n], e);
        if (!rc)
            op_refused(x, n, f[n].obj);
        n++;
    }
    if (!rc && !x->err.code)
        rc = write_apply(q, x, f, e);
    for (size_t i = 0; i < n; i++)
        store_obj_unref(f[i].obj);
    return rc;
}

/* ---- a group ---- */

static void write_unanswer(struct store_write *x)
{
    for (size_t i = 0; i < x->n_ops; i++) {
        store_obj_unref(x->ops[i].prev);
        x->ops[i].prev = NULL;
    }
    store_obj_unref(x->current);
    x->current = NULL;
    x->rev = 0;
    x->failed = 0;
    x->err = (struct err){ 0 };
}

static int commit_or_restore(struct sqlite *q, const struct writer_state *before, int rc,
                             struct err *e)
{
    struct writer *w = &q->w;
    bool wrote = w->in_txn;

    if (!rc && w->in_txn)
        rc = db_commit(w->db, e);
    if (rc && w->in_txn)
        db_rollback(w->db);
    w->in_txn = false;
    if (rc) {
        w->st = *before;
        eph_rollback(q);
        upkeep_outcome(q, e);
        return rc;
    }
    if (wrote && db_written_bytes(w->db) > w->n_counted)
        upkeep_outcome(q, NULL);
    eph_publish(q);
    __atomic_store_n(&q->n_objects, (uint64_t)w->st.n_objects, __ATOMIC_RELAXED);
    return 0;
}

void writer_account(struct sqlite *q, const char *who)
{
    struct writer *w = &q->w;
    uint64_t n = db_written_bytes(w->db);

    budget_split(q->budget, &w->shares, str_of(who), n - w->n_counted);
    w->n_counted = n;
}

int writer_txn(struct sqlite *q, const char *who, int (*fn)(struct sqlite *q, struct err *e),
               struct err *e)
{
    const struct writer_state before = q->w.st;
    int rc = txn_need(&q->w, e);

    if (!rc)
        rc = fn(q, e);
    rc = commit_or_restore(q, &before, rc, e);
    writer_account(q, who);
    return rc;
}

static void answer(struct sqlite *q, struct list *group)
{
    uv_mutex_lock(&q->m);
    list_move_all(&q->done_writes, group);
    uv_mutex_unlock(&q->m);
    store_wake(q->store);
}

/* One transaction for all of list. When it fails, nothing of it has happened. */
static int list_commit(struct sqlite *q, struct list *list, struct err *e)
{
    const struct writer_state before = q->w.st;
    int rc = 0;

    list_each (x, list, struct store_write, link) {
        rc = write_one(q, x, e);
        if (rc)
            break;
    }
    rc = commit_or_restore(q, &before, rc, e);
    writer_account(q, "other");
    if (rc)
        list_each (x, list, struct store_write, link)
            write_unanswer(x);
    else if (!list_empty(&q->w.staged))
        abort(); /* publish leaves none */
    return rc;
}

static void list_refuse(struct list *list, const struct err *e)
{
    list_each (x, list, struct store_write, link)
        x->err = *e;
}

/* The disk takes nothing: what stays in memory goes on without the rest. Not so after a sync that
 * failed: a crash may bring back what was written, with the revision that would be used now. */
static void group_salvage(struct sqlite *q, struct list *group, const struct err *e)
{
    struct list soft = LIST(soft);
    struct err soft_e;

    list_each (x, group, struct store_write, link) {
        if (!is_soft(x))
            continue;
        list_remove(&x->link);
        list_push(&soft, &x->link);
    }
    list_refuse(group, e);
    if (!list_empty(&soft) && list_commit(q, &soft, &soft_e))
        list_refuse(&soft, &soft_e);
    list_move_all(group, &soft);
}

static void group_run(struct sqlite *q, struct list *group)
{
    struct err e;
    int rc = list_commit(q, group, &e);

    if (rc == ERR_LIMIT && upkeep_make_room(q))
        rc = list_commit(q, group, &e);
    if (rc && db_unsure(q->w.db))
        list_refuse(group, &e);
    else if (rc)
        group_salvage(q, group, &e);
    __atomic_add_fetch(&q->n_groups, 1, __ATOMIC_RELAXED);
    answer(q, group);
}

static void group_take(struct sqlite *q, struct list *group)
{
    size_t n = 0, n_bytes = 0;
    struct list *l;

    while (n < GROUP_COMMITS && n_bytes < GROUP_BYTES && (l = list_pop(&q->writes))) {
        struct store_write *x = container_of(l, struct store_write, link);
        x->begun = true;
        list_push(group, l);
        n++;
        n_bytes += x->n_bytes;
    }
}

void writer_main(void *arg)
{
    struct sqlite *q = arg;
    uint64_t wake_at_ms = 0;

    upkeep_open(q);
    for (bool over = false; !over;) {
        struct list group = LIST(group);

        uv_mutex_lock(&q->m);
        while (list_empty(&q->writes) && list_empty(&q->tasks) && !q->closing) {
            uint64_t now_ms = clock_mono_ms();
            if (wake_at_ms <= now_ms)
                break;
            if (wake_at_ms == UINT64_MAX)
                uv_cond_wait(&q->to_writer, &q->m);
            else
                uv_cond_timedwait(&q->to_writer, &q->m, (wake_at_ms - now_ms) * 1000000);
        }
        group_take(q, &group);
        list_move_all(&q->w.tasks, &q->tasks);
        over = q->closing && list_empty(&group);
        uv_mutex_unlock(&q->m);
        if (!list_empty(&group))
            group_run(q, &group);
        if (!over)
            wake_at_ms = upkeep_step(q);
    }
    upkeep_close(q);
    uv_mutex_lock(&q->m);
    q->n_running--;
    uv_mutex_unlock(&q->m);
    store_wake(q->store);
}

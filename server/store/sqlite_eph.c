/* The overlay: leases that are newer in memory than in the file. The story is in sqlite.h. */
#include "server/store/sqlite.h"

#include "base/core/mem.h"

static struct eph *eph_new(struct str key)
{
    struct eph *en = mem_alloc(sizeof *en + key.n);

    memcpy(en + 1, key.p, key.n);
    en->key = str_n(en + 1, key.n);
    list_init(&en->staged);
    return en;
}

static int load_row(struct sqlite *q, struct db_stmt *st, struct err *e)
{
    struct str key = db_col_str(st, 0);
    int64_t create_rev = db_col_i64(st, 1), pos = db_col_i64(st, 2), rev = store_pos_rev(pos);
    struct eph *en;

    if (rev <= 0 || rev > q->w.st.rev || create_rev > rev || !key.n)
        return db_malformed(q->w.db, e, "lease " STR_FMT " at revision %lld", STR_ARG(key),
                            (long long)rev);
    en = eph_new(key);
    en->obj = store_obj_new(key, db_col_str(st, 3), create_rev, rev);
    en->pub = store_obj_ref(en->obj);
    en->pos = en->pub_pos = pos;
    map_set(q->overlay, en->key, en); /* id is unique, and so is the live row's key */
    return 0;
}

int eph_load(struct sqlite *q, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *st = NULL;
    bool row;

    if (db_prepare(&st, q->w.db,
                   "SELECT live.key, live.create_rev, lease.pos, lease.value FROM lease JOIN live "
                   "USING (id)",
                   e))
        return e->code;
    for (;;) {
        if (db_step(st, &row, e))
            return e->code;
        if (!row)
            return 0;
        if (load_row(q, st, e)) {
            db_reset(st);
            return e->code;
        }
    }
}

struct eph *eph_find(struct sqlite *q, struct str key)
{
    return map_get(q->overlay, key); /* only the writer changes the map: it reads without lock */
}

void eph_set(struct sqlite *q, struct str key, struct store_obj *o, int64_t pos)
{
    struct eph *en = map_get(q->overlay, key);

    if (!en) {
        en = eph_new(key);
        uv_mutex_lock(&q->overlay_m);
        map_set(q->overlay, key, en);
        uv_mutex_unlock(&q->overlay_m);
    }
    if (list_empty(&en->staged)) {
        list_push(&q->w.staged, &en->staged);
        en->was_dirty = en->dirty;
    }
    store_obj_unref(en->obj);
    en->obj = store_obj_ref(o);
    en->pos = pos;
    en->dirty = o != NULL;
}

/* Inside the group's transaction. */
int eph_write_out(struct sqlite *q, struct eph *en, struct err *e)
{
    struct writer *w = &q->w;
    struct store_obj *o = en->obj, *prev = NULL;
    int64_t row = 0;
    bool found;
    int rc;

    db_bind_text(w->find, 1, store_obj_key(o));
    if (db_step(w->find, &found, e))
        return e->code;
    if (!found)
        return db_malformed(w->db, e, "no row of " STR_FMT, STR_ARG(store_obj_key(o)));
    row = db_col_i64(w->find, 0);
    prev = store_obj_new(store_obj_key(o), db_col_str(w->find, 3), db_col_i64(w->find, 1),
                         db_col_i64(w->find, 2));
    db_reset(w->find);
    db_bind_i64(w->log, 1, en->pos);
    db_bind_text(w->log, 2, store_obj_key(o));
    db_bind_i64(w->log, 3, LOG_UPDATE);
    db_bind_i64(w->log, 4, prev->create_rev);
    db_bind_i64(w->log, 5, prev->mod_rev);
    db_bind_blob(w->log, 6, store_obj_value(prev));
    budget_share(&w->shares, budget_writer_of(en->key), en->key.n + o->value_n);
    rc = db_run(w->log, e);
    if (!rc)
        rc = labels_change(w, en->key, store_obj_value(prev), store_obj_value(o), e);
    if (!rc) {
        db_bind_i64(w->update, 1, o->mod_rev);
        db_bind_blob(w->update, 2, store_obj_value(o));
        db_bind_i64(w->update, 3, row);
        rc = db_run(w->update, e);
    }
    if (!rc) {
        db_bind_i64(w->lease_drop, 1, row);
        rc = db_run(w->lease_drop, e);
    }
    store_obj_unref(prev);
    if (!rc)
        w->st.durable = MAX(w->st.durable, o->mod_rev);
    return rc;
}

static void eph_drop(struct sqlite *q, struct eph *en)
{
    map_remove(q->overlay, en->key);
    store_obj_unref(en->pub);
    store_obj_unref(en->obj);
    free(en);
}

void eph_publish(struct sqlite *q)
{
    struct list *l;

    uv_mutex_lock(&q->overlay_m);
    while ((l = list_pop(&q->w.staged))) {
        struct eph *en = container_of(l, struct eph, staged);
        if (!en->obj) {
            eph_drop(q, en);
            continue;
        }
        store_obj_unref(en->pub);
        en->pub = store_obj_ref(en->obj);
        en->pub_pos = en->pos;
        q->w.dirty = true;
    }
    q->pub_rev = q->w.st.rev;
    q->pub_durable = q->w.st.durable;
    uv_mutex_unlock(&q->overlay_m);
}

void eph_rollback(struct sqlite *q)
{
    struct list *l;

    uv_mutex_lock(&q->overlay_m);
    while ((l = list_pop(&q->w.staged))) {
        struct eph *en = container_of(l, struct eph, staged);
        store_obj_unref(en->obj);
        en->obj = store_obj_ref(en->pub);
        en->pos = en->pub_pos;
        en->dirty = en->was_dirty;
        if (!en->obj)
            eph_drop(q, en);
    }
    uv_mutex_unlock(&q->overlay_m);
}

/* ---- the minute's checkpoint ---- */

static int checkpoint_one(struct sqlite *q, struct eph *en, struct err *e)
{
    struct writer *w = &q->w;

    budget_share(&w->shares, budget_writer_of(en->key), en->key.n + en->obj->value_n);
    db_bind_text(w->lease_set, 1, en->key);
    db_bind_i64(w->lease_set, 2, en->pos);
    db_bind_blob(w->lease_set, 3, store_obj_value(en->obj));
    if (db_run(w->lease_set, e))
        return e->code;
    if (db_n_changed(w->db) != 1)
        return db_malformed(w->db, e, "no row of " STR_FMT, STR_ARG(en->key));
    return 0;
}

static int checkpoint_all(struct sqlite *q, struct err *e)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(q->overlay, &i, &key, &v);) {
        struct eph *en = v;
        if (en->dirty && checkpoint_one(q, en, e))
            return e->code;
    }
    return 0;
}

int eph_checkpoint(struct sqlite *q, struct err *e)
{
    struct str key;
    void *v;

    if (writer_txn(q, "leases", checkpoint_all, e))
        return err_wrap(e, "write leases");
    for (size_t i = 0; map_next(q->overlay, &i, &key, &v);)
        ((struct eph *)v)->dirty = false;
    q->w.dirty = false;
    return 0;
}

void eph_free_all(struct sqlite *q)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(q->overlay, &i, &key, &v);) {
        struct eph *en = v;
        store_obj_unref(en->pub);
        store_obj_unref(en->obj);
        free(en);
    }
}

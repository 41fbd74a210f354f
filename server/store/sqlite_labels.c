/*
 * The table label: of each live object that has labels, its key and the JSON object at
 * metadata.labels, beside each other in a b-tree of their own. Lists by label walk it instead of
 * the values, whose pages are many times as many. An object without labels costs nothing, and a
 * write that leaves the labels alone writes nothing here. Leases that are newer in memory only
 * (sqlite.h) are not told: who lists where there are such reads the values.
 */
#include "base/core/mem.h"
#include "base/data/json_pick.h"
#include "server/store/sqlite.h"

/* Empty: there are none. */
static struct str labels_of(struct str value)
{
    struct str labels;

    if (!json_find(&labels, value, "metadata.labels") || str_is(labels, "{}"))
        return STR("");
    return labels;
}

int labels_open(struct sqlite *q, struct err *e)
{
    struct writer *w = &q->w;

    if (db_prepare(&w->label_set, w->db,
                   "INSERT INTO label VALUES (?1, ?2) "
                   "ON CONFLICT (key) DO UPDATE SET labels=excluded.labels",
                   e) ||
        db_prepare(&w->label_drop, w->db, "DELETE FROM label WHERE key=?1", e))
        return e->code;
    return 0;
}

void labels_close(struct sqlite *q)
{
    db_stmt_free(q->w.label_set);
    db_stmt_free(q->w.label_drop);
}

int labels_change(struct writer *w, struct str key, struct str before, struct str now,
                  struct err *e)
{
    struct str was = labels_of(before), is = labels_of(now);

    if (str_eq(was, is))
        return 0;
    db_bind_text(is.n ? w->label_set : w->label_drop, 1, key);
    if (is.n)
        db_bind_text(w->label_set, 2, is);
    return db_run(is.n ? w->label_set : w->label_drop, e);
}

int labels_fill(struct sqlite *q, struct err *e)
{
    AUTO(db_stmt) struct db_stmt *all = NULL;
    bool row;

    if (db_prepare(&all, q->w.db, "SELECT key, value FROM live", e))
        return e->code;
    for (;;) {
        if (db_step(all, &row, e))
            return e->code;
        if (!row)
            return 0;
        if (labels_change(&q->w, db_col_str(all, 0), STR(""), db_col_str(all, 1), e))
            return e->code;
    }
}

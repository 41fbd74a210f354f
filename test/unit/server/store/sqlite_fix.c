#include "test/unit/server/store/sqlite_fix.h"

#include "base/data/db.h"

#include <stdio.h>

void sqlite_path(char path[128], const char *place)
{
    snprintf(path, 128, "%s/state.db", place);
}

static int open_sqlite(struct store **out, uv_loop_t *loop, const char *place,
                       const struct store_limits *l, struct err *e)
{
    char path[128];

    sqlite_path(path, place);
    return store_sqlite_open_with(out, loop, path, l, e);
}

const struct suite_backend sqlite_backend = { "sqlite", open_sqlite, NULL };

void sqlite_alter(struct fix *f, const char *sql)
{
    char path[128];
    auto_db *d = NULL;
    struct err e;

    sqlite_path(path, f->place);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    assert_int_equal(db_exec(d, sql, &e), 0);
}

int64_t sqlite_number(struct fix *f, const char *sql)
{
    char path[128];
    auto_db *d = NULL;
    struct err e;
    int64_t n = -1;

    sqlite_path(path, f->place);
    assert_int_equal(db_open(&d, path, NULL, &e), 0);
    assert_int_equal(db_query_i64(d, sql, &n, &e), 0);
    return n;
}

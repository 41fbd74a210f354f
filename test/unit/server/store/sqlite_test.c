#include "test/unit/server/store/suite.h"

#include "base/core/mem.h"

#include <stdio.h>

static int open_sqlite(struct store **out, uv_loop_t *loop, const char *place,
                       const struct store_limits *l, struct err *e)
{
    char path[128];

    snprintf(path, sizeof path, "%s/state.db", place);
    return store_sqlite_open_with(out, loop, path, l, e);
}

static const struct suite_backend sqlite = { "sqlite", open_sqlite };

int main(void)
{
    return suite_run(&sqlite);
}

#pragma once
/* For a file of tests one cluster with all its controllers: setup and teardown of its group. */
#include "test/unit/server/controller/rig.h"

static struct cluster c;
static struct controllers *cs;

static inline int setup(void **state)
{
    (void)state;
    cluster_open(&c);
    cs = rig_start(&c);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rig_stop(&c, cs);
    cluster_close(&c);
    return 0;
}

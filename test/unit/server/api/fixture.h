#pragma once
/* For a file of tests one API of its own: setup and teardown of its group. */
#include "test/unit/server/api/harness.h"

static struct harness h;

static inline int setup(void **state)
{
    (void)state;
    harness_open(&h, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

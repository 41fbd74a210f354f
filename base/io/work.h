#pragma once
/*
 * Work: a blocking job on the pool, its outcome on the loop.
 *
 * fn runs on a pool thread and touches only what arg points to, which holds copies. done runs on
 * the loop exactly once, later; then the request is gone. A canceled request that had not begun
 * brings ERR_CANCELED without fn; one that runs already brings ERR_CANCELED after fn. Loop thread
 * only.
 */
#include "base/core/err.h"

#include <uv.h>

struct work;
/* 0, or fills e and returns its code. */
typedef int (*work_fn)(void *arg, struct err *e);
typedef void (*work_done_fn)(void *arg, const struct err *e); /* e NULL: fn returned 0 */

/* out may be NULL; it is valid until done. */
void work_start(struct work **out, uv_loop_t *loop, work_fn fn, work_done_fn done, void *arg);
void work_cancel(struct work *w);

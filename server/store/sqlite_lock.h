#pragma once
/* Sqlite_lock: one process has a database at a time, whether it serves it or restores it. */
#include "base/core/err.h"

/* Takes <path>.lock, which lives as long as the descriptor: a crash leaves no stale one; close it
 * to let go. ERR_AGAIN names the process that has it. Any thread. */
MUST_USE int sqlite_lock(int *fd_out, const char *path, struct err *e);

#pragma once
/*
 * Db_io: SQLite's way to the disk, beneath base/data/db.h. It counts every byte that is handed to
 * the kernel, file by file, and keeps the log's index in memory: in a mapped file, as SQLite has it
 * by default, a full, read-only or failing disk would be a SIGBUS, a frozen one would stop readers,
 * and its pages would be written again and again. So one process has a database at a time.
 *
 * A gate stands in front of the disk for tests: it may fail a call, hold it up, or write it down.
 */
#include "base/core/str.h"

#include <stdint.h>

enum db_io_op { DB_IO_WRITE, DB_IO_TRUNCATE, DB_IO_SYNC, DB_IO_DELETE };

struct db_io_call {
    enum db_io_op op;
    const char *path;
    int64_t at;       /* WRITE: where; TRUNCATE: the new size */
    struct str bytes; /* WRITE */
};

/* Before the call reaches the disk, on the thread that makes it. 0: let it through; an errno: it
 * fails with that and the disk sees nothing of it. */
typedef int (*db_io_gate_fn)(void *arg, const struct db_io_call *call);

/* Of the whole process; NULL: none. While no database is open. */
void db_io_gate_set(db_io_gate_fn gate, void *arg);

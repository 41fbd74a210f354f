#pragma once
/* Db_io, as base/data/db.c uses it. */
#include "base/data/db_io.h"

#include <sqlite3.h>

const char *db_io_vfs(void); /* the name to open with; registers it once */
/* Given to the kernel by the connection of this database file, its logs included. */
uint64_t db_io_written(sqlite3_file *f);
/* Of the call that failed last on this thread; 0: none since this was asked. */
int db_io_errno(void);

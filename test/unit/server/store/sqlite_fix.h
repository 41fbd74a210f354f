#pragma once
/* Sqlite_fix: the default backend for the helpers of suite.h, and its file by hand. */
#include "test/unit/server/store/suite.h"

extern const struct suite_backend sqlite_backend;

void sqlite_path(char path[128], const char *place);
/* Both open the file themselves. */
void sqlite_alter(struct fix *f, const char *sql);
int64_t sqlite_number(struct fix *f, const char *sql); /* -1: no row */

#pragma once
/*
 * File: whole small files, written so that a crash leaves the old or the new one, never half.
 *
 * These calls block. On a loop thread use them for small local files only; else from a work request
 * (base/io/work.h). Any thread. Errors name the path; codes as err_sys gives them.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <sys/types.h>

/* Adds the file's bytes to out. ERR_NOT_FOUND; ERR_LIMIT above max_bytes (nothing is added then);
 * ERR_INVALID for a directory. */
MUST_USE int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e);

/* Replaces or creates: a temporary file beside it, fsync, rename, fsync of the directory. The mode
 * is exact, whatever the umask. */
MUST_USE int file_write_atomic(const char *path, struct str bytes, mode_t mode, struct err *e);
/* As file_write_atomic, but ERR_EXISTS when the path is there already. */
MUST_USE int file_write_new(const char *path, struct str bytes, mode_t mode, struct err *e);
/* Does nothing (no write to the flash) when the file has these bytes already; *changed may be NULL.
 */
MUST_USE int file_write_if_changed(const char *path, struct str bytes, mode_t mode, bool *changed,
                                   struct err *e);

/* The directory and those above it; new ones get mode, what exists is left alone. ERR_INVALID when
 * something else has the name. */
MUST_USE int file_mkdirs(const char *path, mode_t mode, struct err *e);
/* The directories above path. */
MUST_USE int file_mkdirs_for(const char *path, mode_t mode, struct err *e);

/* A relative path begins at the working directory. Heap, yours. */
MUST_USE int file_absolute(char **out, const char *path, struct err *e);
bool file_exists(const char *path); /* false also when it cannot be looked at */
bool file_is_dir(const char *path);
/* ERR_DENIED when anybody but the owner may read or write it: for keys and tokens. */
MUST_USE int file_check_private(const char *path, struct err *e);

/* A file or empty directory; what is not there is fine. */
MUST_USE int file_remove(const char *path, struct err *e);
/* A whole tree; symbolic links are removed, not followed, and mount points are not entered
 * (ERR_CONFLICT). What is not there is fine. */
MUST_USE int file_remove_tree(const char *path, struct err *e);
/* Points link_path at target, atomically, replacing a link that is there. */
MUST_USE int file_symlink_atomic(const char *target, const char *link_path, struct err *e);

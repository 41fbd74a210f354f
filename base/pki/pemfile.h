#pragma once
/*
 * Pemfile: small files of certificates, keys and secrets: read whole, written so that a crash
 * leaves the old or the new one. Blocking: at start, in the pool, or for tiny files. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <sys/types.h>

/* Appends the file. ERR_NOT_FOUND, ERR_LIMIT when it does not fit out, ERR_INVALID when it is not
 * a regular file. */
MUST_USE int pemfile_read(struct buf *out, const char *path, struct err *e);
/* Writes <path>.tmp with this mode, fsync, rename, fsync of the directory. */
MUST_USE int pemfile_write(const char *path, struct str bytes, mode_t mode, struct err *e);
/* The same without waiting for the disk: after a power cut the file may be old, new or empty. For
 * what can be made again, and for many files with one pemfile_sync behind them. */
MUST_USE int pemfile_write_lazy(const char *path, struct str bytes, mode_t mode, struct err *e);
/* Waits until all that was written to the filesystem of path is on the disk. */
MUST_USE int pemfile_sync(const char *path, struct err *e);
/* mkdir -p; mode is for folders that are made (their parents get 0755). */
MUST_USE int pemfile_mkdir(const char *path, mode_t mode, struct err *e);

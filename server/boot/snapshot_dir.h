#pragma once
/*
 * Snapshot_dir: the snapshots in one folder of the disk: how they are called, which there are, and
 * which go. K3s's names: <base>-<node>-<Unix seconds>, compressed ones with ".zip" behind it.
 * Whatever else lies in the folder is left alone. The calls block; any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <stdint.h>

struct snapshot_facts;

#define SNAPSHOT_NAME_MAX 512

struct snapshot_file {
    char *name;
    int64_t created_unix_s; /* of the name */
    uint64_t size_bytes;
};
struct snapshot_files {
    struct snapshot_file *v;
    size_t n;
};
void snapshot_files_add(struct snapshot_files *l, const char *name, int64_t created_unix_s,
                        uint64_t size_bytes);
void snapshot_files_free(struct snapshot_files *l);
#define auto_snapshot_files __attribute__((cleanup(snapshot_files_free))) struct snapshot_files

/* ERR_INVALID: a base that is no part of a file's name. */
MUST_USE int snapshot_dir_name(char out[SNAPSHOT_NAME_MAX], const char *base, const char *node,
                               int64_t unix_s, bool compressed, struct err *e);
/* Where a copy grows before it is a snapshot: a hidden file. Heap, yours. */
char *snapshot_dir_part(const char *dir, const char *name);

/* Makes the folder (0700), and removes what crashed attempts have left in it. */
MUST_USE int snapshot_dir_prepare(const char *dir, struct err *e);
/* The copy at snapshot_dir_part becomes the snapshot: finished, checked, compressed if name says
 * so, synced, renamed. On failure the copy is gone. */
MUST_USE int snapshot_dir_take(const char *dir, const char *name,
                               const struct snapshot_facts *facts, struct err *e);

/* Oldest first. A folder that is not there is empty. */
MUST_USE int snapshot_dir_list(struct snapshot_files *out, const char *dir, struct err *e);
/* All but the newest keep of base on node; those that went are added to gone. keep 0: none goes. */
MUST_USE int snapshot_dir_prune(struct snapshot_files *gone, const char *dir, const char *base,
                                const char *node, size_t keep, struct err *e);
/* ERR_NOT_FOUND names it. */
MUST_USE int snapshot_dir_delete(struct snapshot_files *gone, const char *dir, const char *name,
                                 struct err *e);

#pragma once
/*
 * Snapshot: a datastore as one file that describes itself: a database like the store's own, and a
 * table with where and when it was made and the sealed data that a cluster is started from. Made of
 * store_copy's file, restored as the database of a server that is not running.
 *
 *   copy --snapshot_finish--> snapshot --snapshot_read--> facts
 *                                 +--snapshot_restore--> database
 *
 * The calls block and need no loop. Any thread. A file that is damaged or no snapshot is ERR_IO or
 * ERR_INVALID with what is wrong.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <stdint.h>

/* Revisions jump so far ahead at a restore, so that none is given out twice: clients that know
 * later ones than the snapshot are told that theirs are compacted (410) and list again. */
#define SNAPSHOT_REV_JUMP INT64_C(1000000000)

#define SNAPSHOT_SEALED_MAX (2 * 1024 * 1024)

struct snapshot_facts {
    int64_t rev, n_objects, created_unix_s;
    char node[254], version[64];
    struct buf sealed; /* the bootstrap data, base/pki/seal.h */
};
void snapshot_facts_deinit(struct snapshot_facts *f);
#define auto_facts __attribute__((cleanup(snapshot_facts_deinit))) struct snapshot_facts

/* Puts created_unix_s, node, version and sealed of facts into the copy at path, reads all of it
 * once for damage, and syncs it. */
MUST_USE int snapshot_finish(const char *path, const struct snapshot_facts *facts, struct err *e);

/* Reads all of it once for damage. facts need not be initialised; on success deinit it. */
MUST_USE int snapshot_read(struct snapshot_facts *facts, const char *path, struct err *e);

/* Makes a snapshot, which is used up, the database at db_path. Its history is dropped and its
 * revision jumps. What is there already is renamed to aside, log and all. The caller holds
 * sqlite_lock of db_path. */
MUST_USE int snapshot_restore(const char *path, const char *db_path, const char *aside,
                              struct err *e);

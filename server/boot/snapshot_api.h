#pragma once
/*
 * Snapshot_api: POST /db/snapshot, what `etcd-snapshot` asks a server (K3s pkg/etcd/s3 and
 * snapshot_handler.go): JSON in and out. Without I/O.
 *
 *   { "operation": "save|list|prune|delete", "name": [...], "dir", "compress", "retention", "s3" }
 *   save, prune, delete: { "created": [name...], "deleted": [name...] }
 *   list: a list object of ETCDSnapshotFile
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "server/boot/snapshots.h"

#define SNAPSHOT_API_MAX_BYTES (64 * 1024)

struct snapshot_request { /* texts are of doc */
    struct snapshots_ask ask;
    const char **names;
    void *doc;
};
/* ERR_INVALID: no such request, or S3, which is not known yet. On success deinit it. */
MUST_USE int snapshot_request_parse(struct snapshot_request *out, struct str body, struct err *e);
void snapshot_request_deinit(struct snapshot_request *r);

/* dir: where they lie. Appends the answer's body. */
MUST_USE int snapshot_answer(struct buf *out, int what, const char *dir, const char *node,
                             const struct snapshot_files *made, const struct snapshot_files *gone);

#pragma once
/*
 * Etcd_msg: requests to etcd as bytes, and its answers read from bytes: the only file that knows
 * the generated messages of etcd.proto. No I/O; any thread.
 *
 * An answer is a peer's: every count and size is bounded by its arena, and what it must have is
 * looked for here (a key, a revision), so that nobody behind has to.
 */
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "server/store/etcd_mark.h"
#include "server/store/store_impl.h"

/* One answer may not need more memory than this, whatever its bytes claim. */
#define ETCD_ANSWER_MAX_BYTES (96u * 1024 * 1024)

#define ETCD_RANGE        "/etcdserverpb.KV/Range"
#define ETCD_TXN          "/etcdserverpb.KV/Txn"
#define ETCD_COMPACT      "/etcdserverpb.KV/Compact"
#define ETCD_WATCH        "/etcdserverpb.Watch/Watch"
#define ETCD_AUTHENTICATE "/etcdserverpb.Auth/Authenticate"
#define ETCD_STATUS       "/etcdserverpb.Maintenance/Status"

/* ---- answers ---- */

enum etcd_answer_kind {
    ETCD_ANSWER_RANGE,
    ETCD_ANSWER_TXN,
    ETCD_ANSWER_WATCH,
    ETCD_ANSWER_AUTHENTICATE,
    ETCD_ANSWER_STATUS,
    ETCD_ANSWER_NONE, /* nothing in it matters */
    ETCD_ANSWER_KINDS_N,
};

struct etcd_kv { /* key.n 0: there is none */
    struct str key, value;
    int64_t create_rev, mod_rev, version;
};

struct etcd_event {
    bool deleted;
    struct etcd_kv kv;   /* deleted: key and mod_rev only */
    struct etcd_kv prev; /* key.n 0: created, or compacted: see kv.create_rev */
};

struct etcd_answer {
    struct arena arena; /* owns all that follows */
    int64_t rev;        /* of the whole store when it answered; 0: not told */
    const struct etcd_kv
        *kvs; /* RANGE: in key order. TXN: one for each operation, its range's first */
    size_t n;
    bool more;                       /* RANGE: the limit cut it */
    int64_t count;                   /* RANGE: keys in the whole range */
    bool succeeded;                  /* TXN: its comparisons held */
    const struct etcd_event *events; /* WATCH, in order */
    size_t n_events;
    bool created, canceled;
    bool fragment;       /* WATCH: the next answer belongs to the same batch */
    int64_t compact_rev; /* WATCH, canceled: the start lay before this */
    uint64_t db_bytes;   /* STATUS */
    const char *text;    /* WATCH: why canceled; AUTHENTICATE: the token */
};

/* ERR_PROTOCOL: not such a message, or without what it must have. a needs etcd_answer_deinit only
 * after success. */
MUST_USE int etcd_answer_read(struct etcd_answer *a, enum etcd_answer_kind kind, struct str bytes,
                              struct err *e);
void etcd_answer_deinit(struct etcd_answer *a);

/* ---- requests ---- */

/* The end of the range of all keys that begin with prefix: adds it to out; one zero byte, etcd's
 * word for "to the last key", when there is none. */
MUST_USE int etcd_prefix_end(struct buf *out, struct str prefix);

struct etcd_range {
    struct str key, end; /* end empty: this key only */
    int64_t limit, rev;  /* 0: none, now */
    bool keys_only, count_only;
};
MUST_USE int etcd_pack_range(struct buf *out, const struct etcd_range *r);
/* The commit as one transaction: every precondition is a comparison; when one does not hold, the
 * live objects of all its keys are the answer, and the mark's state behind them. mark NULL: none.
 */
MUST_USE int etcd_pack_commit(struct buf *out, const struct store_write *w,
                              const struct etcd_mark *mark);
/* The mark moves on if nothing moved it; else its state is the answer. */
MUST_USE int etcd_pack_fence(struct buf *out, const struct etcd_mark *mark, struct str value);
/* If key's version is version, it becomes value; else its state is the answer. version 0: absent.
 */
MUST_USE int etcd_pack_claim(struct buf *out, struct str key, int64_t version, struct str value);
MUST_USE int etcd_pack_compact(struct buf *out, int64_t rev);
/* With previous values, in fragments, told of progress. */
MUST_USE int etcd_pack_watch(struct buf *out, struct str key, struct str end, int64_t start_rev);
MUST_USE int etcd_pack_authenticate(struct buf *out, const char *name, const char *password);

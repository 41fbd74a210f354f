#pragma once
/*
 * Store: every object of the cluster, as bytes under a key, with one 64-bit revision for the whole
 * datastore, like etcd (docs/architecture.md). Backends (sqlite; etcd) lie behind struct store_ops
 * and pass one test-suite (test/unit/server/store).
 *
 * Keys are "/registry/<group>/<resource>/[<namespace>/]<name>". Values are the object's final JSON
 * without metadata.resourceVersion; the revision travels beside them.
 *
 * Loop thread only. Every operation calls its callback exactly once, later, from the loop.
 * A commit is acknowledged only after it is durable; readers never wait for the writer.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct store;

/* One version of one object: reference-counted, immutable, shared by cache, watchers and answers.
 * Refcounts are atomic: a reader thread may make it. */
struct store_obj {
    int refs;
    int64_t mod_rev;    /* the revision that wrote it: metadata.resourceVersion */
    int64_t create_rev; /* the revision that created it */
    uint32_t key_n, value_n;
    const char *key;   /* both lie behind this struct */
    const char *value; /* '\0'-terminated for convenience, value_n does not count it */
};
/* One allocation; one reference, yours. */
struct store_obj *store_obj_new(struct str key, struct str value, int64_t create_rev,
                                int64_t mod_rev);
struct store_obj *store_obj_ref(struct store_obj *o);
void store_obj_unref(struct store_obj *o); /* NULL is fine */
static inline struct str store_obj_key(const struct store_obj *o)
{
    return str_n(o->key, o->key_n);
}
static inline struct str store_obj_value(const struct store_obj *o)
{
    return str_n(o->value, o->value_n);
}

/* The last revision that is durable and visible to every read that starts now. With a shared
 * datastore (etcd) it is the newest one we know of: other servers write too. */
int64_t store_revision(const struct store *s);
/* Other servers write into it: what is in our memory may have been replaced a moment ago. */
bool store_is_shared(const struct store *s);
/* Asks for the newest revision; afterwards store_revision knows every write that was acknowledged
 * before the call, by whichever server. done comes once, later, also when nobody could be asked. */
void store_refresh(struct store *s, void (*done)(void *arg), void *arg);

/* ---- reads ---- */
/* The live object if it is in memory now: one reference, yours; NULL: unknown, use store_get. When
 * the store is shared it may be a moment old: not an answer for anybody who asks for the newest. */
struct store_obj *store_peek(struct store *s, struct str key);

/* o is borrowed; NULL with e->code ERR_NOT_FOUND when absent. rev is the store's at the read.
 * Sees every write that was acknowledged before, by whichever server. */
typedef void (*store_get_fn)(void *arg, struct store_obj *o, int64_t rev, const struct err *e);
void store_get(struct store *s, struct str key, store_get_fn done, void *arg);

struct store_list_opts {
    int64_t
        at_rev; /* 0: now. A past one: ERR_EXPIRED when compacted, ERR_INVALID when in the future */
    struct str after; /* only keys greater than this one (continue); empty: from the start */
    size_t limit;     /* 0: no limit */
    /* Not NULL: only objects whose labels it likes are asked for, and none that has no labels; but a
     * backend may also give others. labels is the JSON object at metadata.labels. Called on other
     * threads, until done. What is left behind a limit is not counted then. */
    bool (*likes)(void *arg, struct str labels);
    void *likes_arg;
};
struct store_list {
    struct store_obj **v; /* in key order; borrowed, valid during the callback (ref to keep) */
    size_t n;
    int64_t rev;         /* the consistent revision of this list */
    bool more;           /* the limit cut it */
    int64_t n_remaining; /* objects behind the cut; -1 when unknown */
};
typedef void (*store_list_fn)(void *arg, const struct store_list *l, const struct err *e);
void store_list(struct store *s, struct str prefix, const struct store_list_opts *o,
                store_list_fn done, void *arg);

/* ---- writes ---- */
enum store_op_kind { STORE_CREATE, STORE_UPDATE, STORE_DELETE };
struct store_op {
    enum store_op_kind kind;
    struct str key;
    struct str value;   /* CREATE, UPDATE */
    int64_t if_mod_rev; /* UPDATE, DELETE: required mod_rev of the live object; 0: any live one */
    bool ephemeral; /* a Lease: kept in memory, checkpointed within a minute, revisions as usual */
};
/* All ops happen, at one revision, or none. Errors: ERR_EXISTS (create of a live key),
 * ERR_NOT_FOUND, ERR_CONFLICT (if_mod_rev differs); then *failed is the op's index, and current the
 * live object of its key or NULL (borrowed). ERR_AGAIN: too many commits wait, or another program
 * holds the database; ERR_LIMIT: the disk is full; ERR_DENIED: it is read-only; ERR_CLOSED: etcd is
 * not in reach, nothing happened; ERR_TIMEOUT: no answer, the text says whether the ops may still
 * happen; ERR_INVALID: impossible ops (no key, a key twice, too large); ERR_CANCELED: the store is
 * closing; ERR_IO.
 * Ephemeral holds for updates: creates and deletes of a Lease are durable like any other. */
typedef void (*store_commit_fn)(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                                const struct err *e);
/* Copies keys and values. n ops, at most STORE_OPS_MAX. */
#define STORE_OPS_MAX 128
void store_commit(struct store *s, const struct store_op *ops, size_t n, store_commit_fn done,
                  void *arg);

/* ---- watch ---- */
struct store_event { /* borrowed; its objects may be ref'd */
    int64_t rev;
    struct store_obj *now;  /* NULL: deleted */
    struct store_obj *prev; /* NULL: created. Needed for selectors and for DELETED events */
};
struct store_watch;
struct store_watch_events {
    /* In revision order, each event once. Return false to be held back: no more events come until
     * store_watch_resume, and this one is delivered again. */
    bool (*on_event)(void *arg, const struct store_event *ev);
    /* Everything up to rev has been delivered (progress for bookmarks); at most once a second. */
    void (*on_progress)(void *arg, int64_t rev);
    /* The watch is over: ERR_EXPIRED (from_rev compacted, or held back for longer than the window
     * lasts), ERR_IO, ERR_CANCELED. Last call; the watch is gone. */
    void (*on_end)(void *arg, const struct err *e);
};
/* Events with revision > from_rev; 0: from now. Nothing is called from inside. */
void store_watch_start(struct store_watch **out, struct store *s, struct str prefix,
                       int64_t from_rev, const struct store_watch_events *events, void *arg);
void store_watch_resume(struct store_watch *w);
void store_watch_stop(struct store_watch *w); /* no on_end; gone at once */

/* ---- upkeep ---- */
/* Forgets versions older than rev, in slices; done when the cursor has passed. */
void store_compact(struct store *s, int64_t rev, void (*done)(void *arg, const struct err *e),
                   void *arg);
int64_t store_compacted_rev(const struct store *s);

struct store_stats {
    uint64_t n_objects, n_events_in_window, n_watches;
    uint64_t n_commits, n_groups, written_bytes;
    uint64_t db_bytes, wal_bytes;
};
void store_stats(const struct store *s, struct store_stats *out);

/* Why commits fail now: a code and text of store_commit's errors, or a damaged file that a read
 * came across. 0 while all is well. Reads and watches go on as far as they can; commits are tried
 * as ever, and the trouble ends by itself within seconds of its cause. */
int store_trouble(const struct store *s, struct err *e);

/* Bytes given to the disk since the start, by what caused them: the resource of the key ("leases",
 * "events", "pods") or upkeep ("compaction", "checkpoint", "vacuum", "snapshot", "open", "close").
 * Their sum is stats.written_bytes. Returns how many there are. */
#define STORE_WRITERS_MAX 64
struct store_written {
    char writer[48];
    uint64_t bytes;
};
size_t store_written(const struct store *s, struct store_written out[STORE_WRITERS_MAX]);

/* Everything as it is now as one file, which must not exist; reads and writes go on beside it.
 * server/store/snapshot.h makes a snapshot of it. Renewals of leases of the last minute may be
 * missing. Nothing is left behind on failure. ERR_INVALID: the datastore is not ours to copy. */
void store_copy(struct store *s, const char *path, void (*done)(void *arg, const struct err *e),
                void *arg);

/* Writes out what is in memory only (leases), ends reads and watches with ERR_CANCELED, closes. */
void store_close(struct store *s, void (*done)(void *arg), void *arg);

/* ---- backends ---- */
/* path: the database file; its folder exists. A malformed database is named with what to do. */
MUST_USE int store_sqlite_open(struct store **out, uv_loop_t *loop, const char *path,
                               struct err *e);

/* server/store/etcd.h has the story of this one. */
struct store_limits;
struct store_etcd_options {
    const char *endpoints;            /* "http://[user:password@]host:2379,https://..." */
    const char *ca_file;              /* whom to trust for https; NULL: the host's trust store */
    const char *cert_file, *key_file; /* who we are; NULL: no certificate */
    const char *prefix;  /* what is ours in this etcd; NULL: "/registry/"; "": everything */
    const char *writer;  /* this server's name and no other's; NULL: one of this start only */
    uint64_t timeout_ms; /* for the first answer; 0: 10 s */
    const struct store_limits *limits; /* NULL: the defaults */
};
/* Runs the loop until etcd has answered. ERR_INVALID: endpoints or files are wrong, or a Kubernetes
 * keeps its objects there; ERR_DENIED; ERR_CLOSED: no endpoint answers (the text says why). */
MUST_USE int store_etcd_open(struct store **out, uv_loop_t *loop,
                             const struct store_etcd_options *o, struct err *e);

#pragma once
/*
 * Store_impl: what a backend sees of the store, and the store of a backend. The front (store.c)
 * checks arguments, keeps the cache and the watch hub, and owns every callback of store.h; a
 * backend decides commits and answers reads.
 *
 *     store_commit -> struct store_write -> ops->write ... store_answer_write -> events, done
 *     store_list   -> struct store_read  -> ops->read  ... store_answer_read  -> done
 *
 * A backend is called on the loop thread and never answers from inside. It may work on other
 * threads, which then own the request until they queue it back, call store_wake (any thread), and
 * get ops->drain on the loop thread to hand the answers in. Writes are handed in by revision.
 *
 * Where other servers write too, a backend is shared: it hands every event in by store_publish, its
 * own writes' as well, and an answered write is an answer only.
 */
#include "base/core/list.h"
#include "server/store/store.h"

#include <assert.h>

/* An event has a position in the whole history: its revision and its place in the commit. */
#define STORE_SEQ_BITS 7
_Static_assert(STORE_OPS_MAX <= 1 << STORE_SEQ_BITS, "the places of a commit fit");
static inline int64_t store_pos(int64_t rev, int64_t seq)
{
    return rev << STORE_SEQ_BITS | seq;
}
static inline int64_t store_pos_rev(int64_t pos)
{
    return pos >> STORE_SEQ_BITS;
}
/* Everything of rev lies at or before this. */
static inline int64_t store_pos_end(int64_t rev)
{
    return store_pos(rev, (1 << STORE_SEQ_BITS) - 1);
}

struct store_ev { /* owns one reference of each */
    int64_t pos;
    struct store_obj *now, *prev;
};
void store_ev_deinit(struct store_ev *ev);
static inline struct str store_ev_key(const struct store_ev *ev)
{
    assert(ev->now || ev->prev);
    return store_obj_key(ev->now ? ev->now : ev->prev);
}

/* ---- requests ---- */
struct store_write_op {
    enum store_op_kind kind;
    bool ephemeral;
    int64_t if_mod_rev;
    struct str key;         /* of now, or behind the request */
    struct store_obj *now;  /* CREATE, UPDATE: the backend fills its revisions */
    struct store_obj *prev; /* answer: what was live before; a reference */
};
struct store_write {
    struct list link;
    size_t n_ops, n_bytes;
    struct store_write_op *ops;
    bool begun; /* the backend's */
    /* answer */
    int64_t rev;
    size_t failed;
    struct store_obj *current; /* a reference */
    struct err err;
    /* the front's */
    struct list in_waiting; /* while the backend has it */
    uint64_t since_ms;
    store_commit_fn done; /* NULL: its time was over, nobody waits for the answer */
    void *arg;
};

enum store_read_kind { STORE_READ_GET, STORE_READ_LIST, STORE_READ_LOG, STORE_READ_COPY };
struct store_read {
    struct list link;
    enum store_read_kind kind;
    struct str key, after; /* key, prefix, or COPY: the path with a '\0'; behind the request */
    int64_t at_rev;        /* LIST */
    int64_t from_pos;      /* LOG: events behind this one, in order, at most limit */
    size_t limit;          /* LIST: 0 none */
    bool (*likes)(void *arg, struct str labels); /* LIST: as store_list_opts */
    void *likes_arg;
    /* answer */
    struct store_obj **objs; /* GET: one or none; LIST */
    struct store_ev *evs;    /* LOG */
    size_t n;
    int64_t rev; /* of the snapshot that answered */
    bool more;
    int64_t n_remaining;
    struct err err;
    /* the front's */
    void (*done)(struct store_read *r); /* owns r from here on */
    union {
        store_get_fn get;
        store_list_fn list;
        void (*copy)(void *arg, const struct err *e);
    } fn;
    void *arg;
};
void store_read_free(struct store_read *r);

struct store_task { /* a compaction */
    struct list link;
    int64_t rev;
    struct err err;
    void (*done)(void *arg, const struct err *e);
    void *arg;
};

/* ---- a backend ---- */
struct store_ops {
    const char *name;
    bool shared;
    bool copies; /* it answers COPY */
    void (*write)(void *impl, struct store_write *w);
    void (*flush)(void *impl); /* all writes of this turn of the loop are in: start */
    void (*read)(void *impl, struct store_read *r);
    void (*compact)(void *impl, struct store_task *t);
    int64_t (*compacted)(const void *impl);
    void (*stats)(const void *impl, struct store_stats *out); /* adds its own */
    /* As store_trouble and store_written; NULL: it never has any. */
    int (*trouble)(void *impl, struct err *e);
    size_t (*written)(void *impl, struct store_written out[STORE_WRITERS_MAX]);
    /* Takes back a write that was not begun: true, it is the front's again. NULL: it cannot. */
    bool (*withdraw)(void *impl, struct store_write *w);
    void (*drain)(void *impl);
    /* Finishes writes, cancels reads, then calls store_closed from drain, last. */
    void (*close)(void *impl);
};

struct store_limits {           /* 0: the default */
    size_t cache_bytes;         /* live objects for store_peek: 16 MiB */
    size_t window_bytes;        /* recent events: 4 MiB */
    size_t window_events;       /* and at most 8192 of them */
    size_t write_queue;         /* commits that wait: 4096 */
    size_t write_queue_bytes;   /* 64 MiB */
    size_t read_queue;          /* reads that wait: 4096 */
    unsigned write_timeout_ms;  /* a commit is answered by then: 10 000 */
    unsigned checkpoint_ms;     /* leases are written out this often: 60 000 */
    unsigned compact_ms;        /* history is kept at least this long: 300 000 */
    int64_t compact_keep_revs;  /* and this many revisions: 1000 */
    int64_t compact_most_revs;  /* but never more than about this many: 50 000 */
    int64_t compact_slice_rows; /* per transaction: 256 */
    unsigned log_pages;         /* SQLite's log is moved into the file from here on: 2000 */
    uint64_t db_bytes_max;      /* refuse to grow beyond; the disk decides */
};
struct store_limits store_limits_or_default(const struct store_limits *l);

MUST_USE int store_new(struct store **out, uv_loop_t *loop, const struct store_ops *ops, void *impl,
                       const struct store_limits *l, int64_t rev, struct err *e);
void store_wake(struct store *s);                                /* any thread */
void store_answer_write(struct store *s, struct store_write *w); /* frees w */
void store_answer_read(struct store *s, struct store_read *r);   /* owns r */
void store_answer_task(struct store *s, struct store_task *t);   /* frees t */
void store_closed(struct store *s); /* impl is gone; s ends soon, by itself */

/* ---- for shared backends ---- */
/* One revision's events, in order; revisions rise. history: from before the start, for watches. */
void store_publish(struct store *s, int64_t rev, const struct store_ev *evs, size_t n,
                   bool history);
void store_know(struct store *s, int64_t rev); /* such a revision exists */
/* Nothing is known of the events up to rev: watches go on behind it. With e, there were watches
 * that miss some: all end with it. */
void store_skip(struct store *s, int64_t rev, const struct err *e);

MUST_USE int store_sqlite_open_with(struct store **out, uv_loop_t *loop, const char *path,
                                    const struct store_limits *l, struct err *e);

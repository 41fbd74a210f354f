#pragma once
/*
 * Etcd: the backend for several servers on one etcd (v3 API, 3.4 and later). Private to
 * server/store/etcd*.c; all of it on the loop thread.
 *
 *   etcd_link    the way there: one member at a time          etcd_endpoints, etcd_fault, etcd_msg
 *   etcd_write   commits, each one transaction; many at once  etcd_order, etcd_mark
 *   etcd_read    gets and lists, always asked of etcd
 *   etcd_feed    one watch on all our keys: what feeds the hub and acknowledges writes
 *   etcd_log     events older than the hub's window
 *   etcd_compact one server at a time forgets old revisions
 *
 * Revisions are etcd's. A key, its create and mod revision and its value are etcd's too; a K3s's
 * own values (protobuf, "k8s\0") are refused by name.
 *
 * Reads are linearizable: a majority confirms each, so a read sees every write that any server has
 * acknowledged. Nothing is answered from memory; what store_peek knows may be a moment old.
 *
 * Writes are compared and written by etcd in one transaction, and acknowledged in the order of
 * their revisions once the feed has told of them: whoever is acknowledged finds his event in the
 * hub and his revision in store_revision. A write whose answer got lost is in doubt: it is sent
 * again, to another member if need be, and cannot happen twice, for it carries a mark that tells it
 * apart (etcd_mark.h); the mark also tells whether it happened before. What stays in doubt until
 * its deadline is answered with ERR_TIMEOUT, which says so. Commits to one key keep their order.
 *
 * When the link is down, what is new waits PATIENCE_MS for it and is then refused with ERR_CLOSED
 * and the reason. Leases are objects like any other: every server has to see them.
 */
#include "base/core/buf.h"
#include "base/io/timer.h"
#include "server/store/etcd_link.h"
#include "server/store/etcd_mark.h"
#include "server/store/etcd_order.h"

enum {
    ETCD_PATIENCE_MS = 3000,   /* that a new request waits for a link that is down */
    ETCD_REQUEST_MS = 10000,   /* from start to answer; of lists: from one page to the next */
    ETCD_ATTEMPT_MS = 6000,    /* one call */
    ETCD_RETRY_MS = 100,       /* before the same is tried again, with jitter */
    ETCD_TICK_MS = 100,        /* of deadlines and retries, while anything waits */
    ETCD_LOG_STREAMS_MAX = 32, /* watches that read old events at once */
};

struct etcd_batch;

struct etcd {
    uv_loop_t *loop;
    struct store *store; /* NULL while it is opened */
    struct store_limits limits;
    struct etcd_endpoints endpoints;
    struct tls_client_config *tls;
    struct etcd_link *link;
    char *prefix;       /* of everything that is ours; may be "" */
    struct buf key_end; /* the end of its range */
    bool closing, parts_closing, gone;
    size_t n_open; /* timers, and the link */

    struct list flights; /* writes, by age */
    struct etcd_order order;
    struct etcd_marks marks;

    struct list asks; /* reads, by deadline */
    struct list logs; /* reads of old events, by age */
    size_t n_log_streams;
    struct timer tick;
    uint64_t n_ticks;

    struct grpc_call *feed; /* NULL: it is down */
    struct timer feed_timer;
    struct etcd_batch *feed_batch; /* a revision that is not complete yet */
    int64_t feed_rev;              /* everything up to here was handed to the hub */
    int64_t feed_event_rev;        /* the last that had an event; 0: none yet */
    int64_t open_rev;              /* what came before belongs to watches only */
    struct err feed_lost;          /* code: events are gone, start over at a fresh revision */
    bool feed_asking;              /* for that revision */
    bool feed_refused;             /* etcd ended the last stream with a reason */
    uint64_t feed_late_ms;         /* since when a write of ours waits for it; 0: none does */

    int64_t compacted; /* what we know of */
    int64_t turn;      /* the version of the key by which servers take turns, as far as we know */
    int64_t turn_rev;  /* the newest revision at the last turn; 0: there was none yet */
    size_t n_compactions; /* calls that run, of etcd_compact.c */
    struct etcd_call *status_call;
    uint64_t db_bytes; /* of the member that answers us, as it said last; 0: not yet */
    struct list ready_tasks;
    struct timer compact_timer;
    int64_t n_objects;
};

/* ---- etcd.c ---- */
/* [*start, *end) of all keys that begin with prefix and are ours; ERR_INVALID: they are not. end is
 * added to the buffer. */
MUST_USE int etcd_range_of(const struct etcd *q, struct str *start, struct buf *end,
                           struct str prefix, struct err *e);
struct str etcd_first_key(const struct etcd *q); /* where the range of all that is ours begins */
bool etcd_is_ours(const struct etcd *q, struct str key);
/* ERR_INVALID: a value that a Kubernetes wrote. */
MUST_USE int etcd_check_value(struct str key, struct str value, struct err *e);
struct store_obj *etcd_obj(const struct etcd_kv *kv);
/* Something waits: look after its deadline. */
void etcd_need_tick(struct etcd *q);
/* What a request is told that nothing became of. */
void etcd_unreachable(const struct etcd *q, struct err *e);
bool etcd_is_out_of_patience(const struct etcd *q);
/* After an error of a call: what the link has to do about it. */
enum etcd_fate etcd_call_failed(struct etcd *q, struct err *e);
void etcd_maybe_close(struct etcd *q);

/* ---- etcd_write.c ---- */
void etcd_write_start(struct etcd *q, struct store_write *w);
void etcd_write_tick(struct etcd *q, uint64_t now_ms, bool link_came_up);
/* The feed is about to hand out rev, whose first key is key; none: progress. */
void etcd_write_saw(struct etcd *q, int64_t rev, struct str key);
void etcd_write_settle(struct etcd *q); /* answers what is due, after on_txn and the feed */

/* ---- etcd_read.c ---- */
void etcd_read_start(struct etcd *q, struct store_read *r);
void etcd_read_tick(struct etcd *q, uint64_t now_ms, bool link_came_up);
void etcd_read_cancel_all(struct etcd *q);

/* ---- etcd_feed.c ---- */
void etcd_feed_start(struct etcd *q); /* the link is up */
void etcd_feed_stop(struct etcd *q);
void etcd_feed_tick(struct etcd *q, uint64_t now_ms);

/* The events of one revision as they come, made into the hub's. Start with { 0 }. */
struct etcd_batch {
    int64_t rev;
    size_t n;
    struct store_ev evs[STORE_OPS_MAX];
};
/* ev is the first or has the revision of the others. ERR_EXPIRED: what it was before is compacted;
 * ERR_LIMIT: more than a commit of ours has. */
MUST_USE int etcd_batch_add(struct etcd_batch *b, const struct etcd_event *ev, struct err *e);
void etcd_batch_clear(struct etcd_batch *b);

/* ---- etcd_log.c ---- */
void etcd_log_start(struct etcd *q, struct store_read *r);
void etcd_log_tick(struct etcd *q, uint64_t now_ms);
void etcd_log_cancel_all(struct etcd *q);

/* ---- etcd_compact.c ---- */
void etcd_compact_start(struct etcd *q, struct store_task *t);
void etcd_compact_open(struct etcd *q);
void etcd_compact_cancel(struct etcd *q); /* what nobody waits for */

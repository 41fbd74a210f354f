#pragma once
/*
 * Etcd_order: which write of this server goes out, and in which order they are acknowledged. etcd
 * answers a write and tells the feed of it on two streams, in any order, and other servers write
 * too.
 *
 *   - Of the writes to one key, one is on its way at a time, the oldest: they happen in the order
 * in which they were asked for. (A commit counts for its first key.)
 *   - A write is acknowledged when the feed has told of its revision and no write that is on its
 * way may have a smaller one.
 *
 *     enter --> first of its key: sent --> landed (its revision is known) --> next: acknowledge it
 *         \--> leave (refused, given up) <--/
 *
 * A revision that the feed tells of while one of ours is on its way to its first key may be that
 * one's: this is a claim, and holds back all later ones until ours has landed or left. No I/O; loop
 * thread only.
 */
#include "base/core/list.h"
#include "base/core/map.h"

struct etcd_ticket {
    struct list link; /* of its key, then of the landed */
    struct order_key *key;
    bool in;
    int64_t rev; /* 0: not landed */
};

struct etcd_order {
    struct map *keys;
    struct list claims; /* by revision */
    struct list landed; /* by revision */
    int64_t seen_rev;
};

void etcd_order_init(struct etcd_order *o, int64_t seen_rev);
void etcd_order_deinit(struct etcd_order *o); /* asserts that no ticket is in */
void etcd_order_enter(struct etcd_order *o, struct etcd_ticket *t, struct str key);
bool etcd_order_is_first(const struct etcd_ticket *t);
/* The one that is on its way to key, or waits to be; NULL: none. */
struct etcd_ticket *etcd_order_first(const struct etcd_order *o, struct str key);
void etcd_order_landed(struct etcd_order *o, struct etcd_ticket *t, int64_t rev);
void etcd_order_leave(struct etcd_order *o, struct etcd_ticket *t);
/* The feed told of rev, whose first key is key; empty: of progress up to rev. Revisions rise. */
void etcd_order_seen(struct etcd_order *o, int64_t rev, struct str key);
/* Takes out the next one to acknowledge; NULL: none yet. */
struct etcd_ticket *etcd_order_next(struct etcd_order *o);

#pragma once
/*
 * Hub: hands events to watchers. A window of recent events is in memory, bounded in bytes and
 * count; who needs older ones reads them from the backend's log. Loop thread only.
 *
 *     start --> BEHIND --(nothing left behind)--> LIVE --(refused: held)--> BEHIND
 *                 |  ^                                     (resume goes on)
 *                 v  | (older than the window)
 *               READING --(compacted, failed)--> ENDING --> gone
 *
 * LIVE watchers get an event inside hub_publish. BEHIND ones wait in a list and are pumped in
 * turns of bounded length from hub_pump, which the store calls after store_wake.
 */
#include "server/store/store_impl.h"

struct hub;

struct hub *hub_new(struct store *s, const struct store_limits *l, int64_t rev);
void hub_free(struct hub *h); /* asserts that no watch is left */

/* One commit's events, in order; hub takes its own references. */
void hub_publish(struct hub *h, int64_t rev, const struct store_ev *evs, size_t n);
int64_t hub_rev(const struct hub *h);
/* Forgets the window; the next event lies behind rev. Who wants older ones reads the log: so only
 * while no event was published, or before hub_end_all. */
void hub_skip(struct hub *h, int64_t rev);
/* Has key changed after rev? True also when the window does not reach back that far. */
bool hub_changed_since(const struct hub *h, struct str key, int64_t rev);
void hub_pump(struct hub *h);
void hub_progress(struct hub *h); /* once a second at most, by the store's timer */
void hub_end_all(struct hub *h, const struct err *e);
void hub_stats(const struct hub *h, struct store_stats *out);

struct store_watch *hub_watch(struct hub *h, struct str prefix, int64_t from_rev,
                              const struct store_watch_events *events, void *arg);

/* Of the store: starts a LOG read; r->done is called with the answer. */
struct store_read *store_read_log(struct store *s, struct str prefix, int64_t from_pos,
                                  size_t limit, void (*done)(struct store_read *r), void *arg);

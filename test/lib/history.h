#pragma once
/*
 * History: what the clients of a store did and saw, across crashes of it, and whether a store that
 * keeps its promises can have behaved like that. For every backend and for a whole server.
 *
 *   every acknowledged write is there until a later one of its key; revisions never go back and
 *   none is given out twice; a write that began after another was acknowledged has the higher
 *   revision; a watch sees every write of its prefix once, in order.
 *
 * Soft writes (leases in memory) may be lost in a crash, and a watch that catches up may see only
 * the newest; the rest holds for them too. A write without an answer may have happened or not.
 * Every value must be new for its key, since that is how a write is known again. One write each.
 */
#include "base/core/str.h"

#include <stdint.h>

struct history;

struct history *history_new(void);
void history_free(struct history *h); /* NULL is fine */

/* ---- writes ---- */
/* value NULL: it deletes. Returns its number. */
size_t history_begin(struct history *h, const char *key, const char *value, bool soft);
void history_acked(struct history *h, size_t op, int64_t rev);
void history_refused(struct history *h, size_t op); /* for certain it did not happen */
size_t history_n_acked(const struct history *h);

/* The store is gone. What comes after it is of the next one. */
void history_crash(struct history *h);

/* ---- what is seen ---- */
/* A key's state, asked for after all that was recorded so far; mod_rev 0: it is not there. */
void history_read(struct history *h, const char *key, const char *value, int64_t mod_rev);
void history_revision(struct history *h, int64_t rev); /* the store's own now */

/* All events of keys with prefix behind from_rev. After a crash: another watch. */
size_t history_watch(struct history *h, const char *prefix, int64_t from_rev);
void history_event(struct history *h, size_t watch, const char *key, const char *value,
                   int64_t rev);                                 /* value NULL: deleted */
void history_seen(struct history *h, size_t watch, int64_t rev); /* all up to rev was delivered */

/* NULL: fine; else the first contradiction in words, owned by h. */
const char *history_check(struct history *h);

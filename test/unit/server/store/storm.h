#pragma once
/*
 * Storm: many clients of one store at once, each with a key of its own that it creates, updates and
 * deletes, every fourth one a lease; and watches of them all. What they do and see comes out as
 * notes, plain memory that also fits through a pipe, and goes into a history.
 */
#include "server/store/store.h"
#include "test/lib/history.h"

enum { STORM_KEYS = 16, STORM_WATCHES = 2 };

struct storm_note {
    enum storm_what {
        STORM_BEGIN, /* key, value (0: delete), soft */
        STORM_ACKED, /* key, rev */
        STORM_REFUSED,
        STORM_READ,  /* key, value and rev (0: not there) */
        STORM_WATCH, /* watch, rev: from where */
        STORM_EVENT, /* watch, key, value, rev */
        STORM_SEEN,  /* watch, rev */
    } what;
    int key, watch;
    bool soft;
    uint64_t value;
    int64_t rev;
};
typedef void (*storm_note_fn)(void *arg, const struct storm_note *n);

struct storm {
    struct store *s;
    storm_note_fn note;
    void *arg;
    struct storm_client {
        struct storm *storm;
        int key;
        enum store_op_kind kind;
        bool live, waits, lost; /* lost: its last write failed */
    } clients[STORM_KEYS];
    struct storm_watch {
        struct storm *storm;
        struct store_watch *w;
        int i;
        int64_t seen;
        bool expired;
    } watches[STORM_WATCHES];
    uint64_t random, n_values;
    unsigned boot;
    bool stopping;
    bool hard;     /* leases are no softer than the rest (etcd) */
    bool stubborn; /* a client whose write failed looks what is there and goes on, at storm_poke */
};

/* boot: another one each time. from: where each watch goes on; 0: now. hard and stubborn are st's
 * own already, the rest is made here. */
void storm_start(struct storm *st, struct store *s, unsigned boot,
                 const int64_t from[STORM_WATCHES], storm_note_fn note, void *arg);
/* Stubborn: those whose last write failed, and watches that ended, go on. */
void storm_poke(struct storm *st);
bool storm_is_quiet(const struct storm *st); /* stopped, and no write is under way */
/* No more writes are begun; watches end. Those under way are answered by the store's close. */
void storm_stop(struct storm *st);

/* ---- the other end of the notes ---- */
struct storm_log {
    struct history *h;
    size_t open[STORM_KEYS]; /* the write of each key that is under way */
    size_t watch[STORM_WATCHES];
    int64_t seen[STORM_WATCHES];
    size_t n_events;
};
void storm_log_note(struct storm_log *l, const struct storm_note *n);

void storm_key(char out[16], int key);

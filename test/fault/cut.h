#pragma once
/*
 * Cut: one fault for some time, as a line of text or drawn at random from a seed.
 *
 * The same seed draws the same cuts. fault_seed takes it from the environment's FAULT_SEED, so that
 * a failure that printed its seed can be had again.
 */
#include "test/fault/proxy.h"

enum fault_kind {
    FAULT_RESET,
    FAULT_HALFCLOSE,
    FAULT_LOSE,
    FAULT_CORRUPT,
    FAULT_HOLE,
    FAULT_DELAY,
    FAULT_RATE,
    FAULT_REFUSE, /* resets what is there, and all that comes */
    FAULT_REORDER,
    FAULT_N_KINDS,
};
const char *fault_kind_name(enum fault_kind kind); /* "reset" */

struct fault_cut {
    enum fault_kind kind;
    enum fault_ways ways;
    uint64_t amount;  /* delay: ms; rate: bytes per second; reorder: connections */
    uint64_t time_ms; /* until fault_proxy_heal: the owner's to keep */
};

struct fault_rand {
    uint64_t state;
};
uint64_t fault_seed(void); /* FAULT_SEED, else a new one */
uint64_t fault_rand_below(struct fault_rand *r, uint64_t n);

/* Any kind but reorder; those that last do so for up to time_max_ms. */
void fault_cut_random(struct fault_cut *out, struct fault_rand *r, uint64_t time_max_ms);
void fault_cut_start(struct fault_proxy *p, const struct fault_cut *c);
#define FAULT_CUT_TEXT_BYTES 64
char *fault_cut_text(char out[FAULT_CUT_TEXT_BYTES], const struct fault_cut *c);

/*
 * A command, one line: a cut, which then lasts until "heal", or one of
 *
 *   heal                 all works again       reset [WAYS]          hole [WAYS]
 *   status               counts                halfclose [WAYS]      delay MS [WAYS]
 *   target IP:PORT       of new connections    corrupt [WAYS]        rate BYTES_PER_S [WAYS]
 *                                              lose, refuse          reorder N
 *
 * WAYS: up, down, both (the default). What it answers, if anything, is added to reply. ERR_INVALID.
 */
MUST_USE int fault_command(struct fault_proxy *p, struct str line, struct buf *reply,
                           struct err *e);

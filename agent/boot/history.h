#pragma once
/*
 * History: what kept this agent from its servers lately, kept in memory until it can tell them
 * (agent/boot/reporter.h). Sans-I/O.
 *
 * Things that can be wrong have a name ("joining", "tunnel to 10.0.0.1:6443"); each is wrong for
 * one cause at a time or not at all. A time of one cause is a spell. At most HISTORY_SPELLS_MAX are
 * kept: the oldest one that is over goes first, then the oldest of all.
 *
 * Memory only: a file would cost a write of flash at each change, and most outages end without a
 * restart of the agent. Times are the loop's, so a wall clock that jumps does not spoil them.
 */
#include "base/kube/node_report.h"

#define HISTORY_SPELLS_MAX  NODE_REPORT_SPELLS_MAX
#define HISTORY_ABOUT_BYTES 96

struct history_spell {
    enum cause cause;
    uint64_t began_ms, ended_ms; /* ended_ms 0: ongoing */
    uint32_t n_times;
    char about[HISTORY_ABOUT_BYTES];
    char text[NODE_SPELL_TEXT_BYTES];
};

struct history {
    char run[NODE_REPORT_RUN_BYTES];
    struct history_spell spells[HISTORY_SPELLS_MAX]; /* oldest first */
    size_t n;
};

void history_init(struct history *h); /* a run of its own */

/* What is wrong with about now; CAUSE_NONE: nothing any more. The same cause again counts up and
 * keeps the newest text. Longer texts are cut. True: a spell began or ended. */
bool history_note(struct history *h, const char *about, enum cause cause, const char *text,
                  uint64_t now_ms);

/* The whole history as a report of now; now_unix_s by the wall clock. */
void history_report(const struct history *h, struct node_report *out, uint64_t now_ms,
                    int64_t now_unix_s);

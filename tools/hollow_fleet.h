#pragma once
/*
 * Fleet: many hollow agents on one loop: started at a rate, counted, and made to misbehave. Loop
 * thread only.
 */
#include "tools/hollow_agent.h"

#include <jansson.h>

struct fleet;

struct fleet_config {
    struct hollow_agent_config agent; /* on_error and arg are the fleet's */
    unsigned n_agents, first;         /* nodes <prefix><first> ... */
    double rate_per_s;                /* of starts; 0: all at once */
    unsigned n_joining_max;           /* at once; the next starts when one has joined; 0: any. Real
                                       * agents have a processor each, these share one: too many
                                       * handshakes together would all be late */
};

struct fleet_counts {
    unsigned started, joined, ready, tunnels, watches, connections;
};

void fleet_new(struct fleet **out, const struct fleet_config *c);
void fleet_count(const struct fleet *f, struct fleet_counts *out);

/* From now on: how long until every agent has a tunnel, no failure and a Lease renewed later than
 * this call. */
void fleet_mark(struct fleet *f);

/* The first n agents get the fault; the others are good. garbage: n agents, once. */
void fleet_fault(struct fleet *f, enum wire_fault fault, unsigned n);
void fleet_garbage(struct fleet *f, unsigned n);
void fleet_cut(struct fleet *f);
void fleet_storm(struct fleet *f, uint64_t every_ms); /* cuts all so often; 0: no more */

/* One line: counts, and causes with how often each came since the last line. */
void fleet_line(struct fleet *f, struct buf *out);
json_t *fleet_summary(const struct fleet *f);
/* Agents that are not back, with the reason: for a test that gives up. */
void fleet_laggards(const struct fleet *f, struct buf *out, unsigned n_max);

void fleet_close(struct fleet *f, void (*done)(void *arg), void *arg);

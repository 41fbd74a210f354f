#pragma once
/* Storm_kill: a storm on a store in a process of its own, which is killed with -9 in the middle. */
#include "test/unit/server/store/storm.h"
#include "test/unit/server/store/suite.h"

/* Of a test's crashes: STORE_CRASHES, else n. */
unsigned storm_n_crashes(unsigned n);
/* Opens f's backend on its place with those limits, storms, and dies at an instant that round
 * draws, up to life_max_ms after the first acknowledgement. What it did up to then is in the log. f
 * is closed before and after. */
void storm_kill_round(struct fix *f, const struct store_limits *limits, bool hard,
                      struct storm_log *l, unsigned round, unsigned life_max_ms);
/* Reads every key of the store that f has open; the whole history then has to be possible. */
void storm_check(struct fix *f, struct storm_log *l, const char *what, unsigned round);

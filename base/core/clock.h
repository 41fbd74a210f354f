#pragma once
/*
 * Clock: the two times. Monotonic for waits inside the process (a loop turn uses uv_now), wall for
 * certificates, objects and people. Any thread.
 *
 * The machine's own wall clock may be wrong: without a battery it starts in 1970, with a broken one
 * anywhere. It is never changed here; the process's wall clock is the machine's plus a correction:
 *
 *     clock_wall = the larger of   machine's + correction   and   floor + what has passed since
 *
 * - The floor is the build date at first, then what was kept of earlier runs
 * (base/io/known_time.h).
 * - clock_learn_s sets the correction: somebody who is trusted says what time it is.
 * - Somebody sets the machine's clock (it jumps by more than a minute against the time since boot):
 *   a clock that is minded is followed, both ways: correction, floor and what was confirmed end;
 *   the build date stays.
 */
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_SLACK_S 300 /* clocks that differ by less agree */

uint64_t clock_mono_ms(void);
int64_t clock_wall_s(void);    /* Unix seconds */
int64_t clock_wall_us(void);   /* Unix microseconds */
int64_t clock_machine_s(void); /* what the machine's own clock says; proves nothing */

/* A program was built then: no time before it is believed from here on. */
void clock_set_build_s(int64_t unix_s);
/* It is at least that late now; only ever raises the floor. */
void clock_raise_floor_s(int64_t unix_s);
int64_t clock_floor_s(void); /* running on; 0: none */
/* It is that late now, until somebody sets the machine's clock. Not below the floor. */
void clock_learn_s(int64_t unix_s);

/* The machine's clock is right after all: as if somebody had just set it. */
void clock_trust_machine(void);

/* What is worth keeping for the next start. Somebody who is trusted, or this machine where nobody
 * else can tell, says that it is that late now. */
void clock_confirm_s(int64_t unix_s);
int64_t clock_known_s(void); /* the last confirmed time, running on; 0: none in this run */

/* The kernel says that a time service (NTP) keeps the machine's clock. */
bool clock_is_synced(void);

/* Tests only: as if the machine's clock were that much ahead, and set by nobody. Counts as somebody
 * setting it. */
void clock_set_offset_s(int64_t offset_s);
/* Tests only: moves the monotonic clock on. A wait that goes on already does not notice. */
void clock_advance_mono_ms(uint64_t by_ms);

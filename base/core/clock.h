#pragma once
/*
 * Clock: the two times. Monotonic for waits inside the process (a loop turn uses uv_now), wall for
 * certificates, objects and people. Tests move the wall clock with clock_set_offset_s. Any thread.
 */
#include <stdint.h>

uint64_t clock_mono_ms(void);
int64_t clock_wall_s(void);  /* Unix seconds, offset included */
int64_t clock_wall_us(void); /* Unix microseconds, offset included */

void clock_set_offset_s(int64_t offset_s); /* tests only */

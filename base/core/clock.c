#include "base/core/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t offset_s;

uint64_t clock_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ((int64_t)ts.tv_sec + atomic_load(&offset_s)) * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
    return clock_wall_us() / 1000000;
}

void clock_set_offset_s(int64_t s)
{
    atomic_store(&offset_s, s);
}

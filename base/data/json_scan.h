#pragma once
/*
 * JSON scan: the end of a run of bytes that a JSON string holds as they are, eight at a time (the
 * zero-byte test of Bit Twiddling Hacks). For json_read.c and json_write.c.
 */
#include "base/core/macros.h"

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A bit in each of the eight bytes at p that stops a run. It may stand in others too, but not below
 * the first: a borrow marks bytes only behind one that is meant. */
static inline uint64_t json_stops(const char *p, bool stop_at_high)
{
    const uint64_t ones = 0x0101010101010101, high = ones * 0x80;
    uint64_t w, quote, back, found;

    memcpy(&w, p, sizeof w);
    w = le64toh(w);
    quote = w ^ (ones * '"');
    back = w ^ (ones * '\\');
    found = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((back - ones) & ~back);
    return (stop_at_high ? found | w : found) & high;
}

/* The first quote, backslash or control character in [p, end), else end; with stop_at_high bytes
 * from 0x80 on stop it too. */
static inline const char *json_run_end(const char *p, const char *end, bool stop_at_high)
{
    if (end - p >= 8) {
        for (;; p = MIN(p + 8, end - 8)) { /* the last eight may have been looked at in part */
            uint64_t found = json_stops(p, stop_at_high);

            if (found)
                return p + __builtin_ctzll(found) / 8;
            if (end - p == 8)
                return end;
        }
    }
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == '"' || c == '\\' || (stop_at_high && c >= 0x80))
            break;
    }
    return p;
}

#pragma once
/*
 * JSON scan: the end of a run of bytes that a JSON string holds as they are, eight at a time (the
 * zero-byte test of Bit Twiddling Hacks). For json_read.c and json_write.c.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The first quote, backslash or control character in [p, end), else end; with stop_at_high bytes
 * from 0x80 on stop it too. */
static inline const char *json_run_end(const char *p, const char *end, bool stop_at_high)
{
    const uint64_t ones = 0x0101010101010101, high = ones * 0x80;

    for (; end - p >= 8; p += 8) {
        uint64_t w, quote, back, found;

        memcpy(&w, p, sizeof w);
        w = le64toh(w);
        quote = w ^ (ones * '"');
        back = w ^ (ones * '\\');
        /* A borrow marks bytes that are none, but only behind one that is. */
        found = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((back - ones) & ~back);
        found = (stop_at_high ? found | w : found) & high;
        if (found)
            return p + __builtin_ctzll(found) / 8;
    }
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == '"' || c == '\\' || (stop_at_high && c >= 0x80))
            break;
    }
    return p;
}

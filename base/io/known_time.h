#pragma once
/*
 * Known time: what this machine knew of the time when it last ran, in <data_dir>/last-known-time,
 * so that a machine without a battery does not start in 1970.
 *
 *     known 2026-11-29T23:51:15Z     the last confirmed time: where the clock starts
 *     floor 2026-11-29T21:51:15Z     the clock's floor (base/core/clock.h): never before it
 *
 * Written at most once an hour, for the flash card's sake, and at a clean stop; by rename, so a
 * power cut leaves the old one. A file that cannot be read or written is a line in the log, never
 * an end. One thread; the calls block.
 */
#include <stdbool.h>
#include <stdint.h>

#define KNOWN_TIME_FILE "last-known-time"

struct known_time {
    char *path;
    bool is_authority;
    int64_t written_unix_s; /* "known" of the file; 0: none */
    uint64_t written_mono_ms;
    bool told; /* that it cannot be written */
};

/* Starts the clock from the file. Where the kernel says that a time service keeps the machine's
 * clock, that counts and the file does not. is_authority: nobody can tell this machine the time (a
 * server), so its own clock is what is kept. */
void known_time_open(struct known_time *k, const char *data_dir, bool is_authority);
/* About once a minute: writes when an hour has passed or the time has jumped. */
void known_time_look(struct known_time *k);
void known_time_close(struct known_time *k); /* writes, too */

#pragma once
/*
 * Arena: many small things that end together, with a maximum: what one message needs while it is
 * packed or read. Any thread, one at a time.
 */
#include <stddef.h>

struct arena {
    size_t max_bytes; /* of all allocations together */
    size_t n_bytes;
    struct arena_block *blocks;
};

#define ARENA(max) ((struct arena){ .max_bytes = (max) })
#define auto_arena __attribute__((cleanup(arena_deinit))) struct arena

void arena_deinit(struct arena *a);
/* Zeroed; NULL past the maximum. n is a number of things of size_bytes each. */
void *arena_calloc(struct arena *a, size_t n, size_t size_bytes);

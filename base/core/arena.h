#pragma once
/*
 * Arena: many small things that end together, with a maximum: what one message or one request
 * needs while it is read or made. Any thread, one at a time.
 *
 *     auto_arena a = ARENA(64 * 1024);
 */
#include <stddef.h>
#include <stdint.h>

struct arena {
    size_t max_bytes; /* of all allocations together */
    size_t n_bytes;
    struct arena_block *blocks, *lent;
};

#define ARENA(max) ((struct arena){ .max_bytes = (max) })
/* For what grows with something that is bounded already, as an object that was read. */
#define ARENA_UNBOUNDED ARENA(SIZE_MAX / 2)
#define auto_arena      __attribute__((cleanup(arena_deinit))) struct arena

void arena_deinit(struct arena *a);
/* Before the first allocation: mem, aligned as malloc's, is used before the heap is (where a block
 * costs more than most arenas put into it), and stays the caller's. */
void arena_lend(struct arena *a, void *mem, size_t n_bytes);
/* Zeroed; NULL past the maximum. n is a number of things of size_bytes each. */
void *arena_calloc(struct arena *a, size_t n, size_t size_bytes);

/* Both for an arena without bounds; never NULL. */
void *arena_alloc(struct arena *a, size_t size_bytes) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));

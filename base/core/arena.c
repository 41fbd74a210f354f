#include "base/core/arena.h"

#include "base/core/mem.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#define BLOCK_BYTES 8192

struct arena_block {
    struct arena_block *next;
    size_t n_used, n_bytes;
    alignas(max_align_t) char data[];
};

void arena_deinit(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        if (b != a->lent)
            free(b);
    }
    a->lent = NULL;
    a->n_bytes = 0;
}

void arena_lend(struct arena *a, void *mem, size_t n_bytes)
{
    struct arena_block *b = mem;

    assert(!a->blocks && n_bytes > sizeof *b);
    *b = (struct arena_block){ .n_bytes = n_bytes - sizeof *b };
    a->blocks = a->lent = b;
}

void *arena_calloc(struct arena *a, size_t n, size_t size_bytes)
{
    size_t align = alignof(max_align_t);
    struct arena_block *b = a->blocks;
    size_t want, room;
    void *p;

    if (n && size_bytes > a->max_bytes / n)
        return NULL;
    want = (n * size_bytes + align - 1) / align * align;
    if (!want)
        want = align;
    if (want < n * size_bytes || want > a->max_bytes - a->n_bytes)
        return NULL;
    if (!b || b->n_bytes - b->n_used < want) {
        room = want > BLOCK_BYTES / 4 ? want : BLOCK_BYTES;
        b = mem_alloc(sizeof *b + room);
        b->n_bytes = room;
        b->next = a->blocks;
        a->blocks = b;
    }
    p = b->data + b->n_used;
    if (b == a->lent)
        memset(p, 0, want);
    b->n_used += want;
    a->n_bytes += want;
    return p;
}

void *arena_alloc(struct arena *a, size_t size_bytes)
{
    void *p = arena_calloc(a, 1, size_bytes);

    assert(p); /* the arena has no bounds */
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    memcpy(p, s, n);
    return p;
}

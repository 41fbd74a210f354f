#include "tunnel/fifo.h"

#include "base/core/mem.h"

enum { CHUNK_MIN_BYTES = 2048 };

void tunnel_fifo_deinit(struct tunnel_fifo *q)
{
    struct tunnel_chunk *c;

    while ((c = tunnel_fifo_take(q)))
        free(c);
}

static struct tunnel_chunk *chunk_new(struct tunnel_fifo *q, size_t n)
{
    size_t want = q->last ? 2 * (size_t)(q->last->cap - TUNNEL_FIFO_HEADROOM) : CHUNK_MIN_BYTES;
    struct tunnel_chunk *c;

    want = MIN(MAX(want, n), TUNNEL_FIFO_CHUNK_MAX);
    /* malloc, not mem_alloc: up to 32 KiB that would be zeroed for nothing */
    c = mem_realloc(NULL, sizeof *c + TUNNEL_FIFO_HEADROOM + want);
    c->next = NULL;
    c->begin = c->end = TUNNEL_FIFO_HEADROOM;
    c->cap = (uint32_t)(TUNNEL_FIFO_HEADROOM + want);
    if (q->last)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    return c;
}

void tunnel_fifo_add(struct tunnel_fifo *q, const void *p, size_t n)
{
    const char *from = p;

    while (n > 0) {
        struct tunnel_chunk *c = q->last;
        size_t part;

        if (!c || c->end == c->cap)
            c = chunk_new(q, n);
        part = MIN(n, (size_t)(c->cap - c->end));
        memcpy(c->data + c->end, from, part);
        c->end += (uint32_t)part;
        q->n += part;
        from += part;
        n -= part;
    }
}

struct tunnel_chunk *tunnel_fifo_take(struct tunnel_fifo *q)
{
    struct tunnel_chunk *c = q->first;

    if (!c)
        return NULL;
    q->first = c->next;
    if (!q->first)
        q->last = NULL;
    c->next = NULL;
    q->n -= c->end - c->begin;
    return c;
}

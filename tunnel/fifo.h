#pragma once
/*
 * Fifo: a queue of bytes in chunks that can be taken out whole, without a copy.
 *
 * Each chunk leaves TUNNEL_FIFO_HEADROOM bytes free in front of its contents, so that a message
 * header can be written there and header and contents go out as one piece. A chunk holds at most
 * TUNNEL_FIFO_CHUNK_MAX bytes; small additions share one, and chunks grow while a backlog builds,
 * so that a slow peer gets few large messages. The bound on the whole is the caller's to keep.
 */
#include "base/core/str.h"

#define TUNNEL_FIFO_HEADROOM  40
#define TUNNEL_FIFO_CHUNK_MAX (32u * 1024) /* what K3s' own ends put into one message */

struct tunnel_chunk {
    struct tunnel_chunk *next;
    uint32_t begin, end, cap; /* offsets into data */
    char data[];              /* headroom first */
};

struct tunnel_fifo {
    struct tunnel_chunk *first, *last;
    size_t n; /* bytes in it */
};

void tunnel_fifo_deinit(struct tunnel_fifo *q); /* empties it; zeroed memory is an empty one */
void tunnel_fifo_add(struct tunnel_fifo *q, const void *p, size_t n);
/* The oldest chunk, yours to free(); NULL when empty. */
struct tunnel_chunk *tunnel_fifo_take(struct tunnel_fifo *q);

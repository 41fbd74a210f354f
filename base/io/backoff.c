#include "base/io/backoff.h"

#include "base/core/macros.h"
#include "base/core/rand.h"

uint64_t backoff_next_ms(struct backoff *b)
{
    uint64_t ms = MAX(b->next_ms, b->min_ms);
    double factor = b->factor > 1 ? b->factor : 2;
    double next;

    ms = MIN(ms, b->max_ms);
    next = (double)MAX(ms, (uint64_t)1) * factor;
    b->next_ms = next >= (double)b->max_ms ? b->max_ms : (uint64_t)next;
    b->n_tries++;
    return rand_jitter_ms(ms, b->jitter_percent ? b->jitter_percent : 20);
}

void backoff_reset(struct backoff *b)
{
    b->next_ms = 0;
    b->n_tries = 0;
}

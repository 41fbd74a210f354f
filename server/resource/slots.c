#include "server/resource/slots.h"

#include "base/core/mem.h"
#include "base/core/rand.h"

#include <string.h>

struct slots {
    size_t n, n_lower, n_kept;
    size_t n_bytes; /* of each set */
    uint8_t *used;
    uint8_t *seen;    /* by the recount that runs */
    uint8_t *suspect; /* used, but not seen by the last recount */
    uint8_t bits[];
};

static bool get(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void put(uint8_t *bits, size_t i, bool on)
{
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1u << (i % 8) : bits[i / 8] & ~(1u << (i % 8)));
}

struct slots *slots_new(size_t n, size_t n_lower, size_t n_kept)
{
    size_t n_bytes = (n + 7) / 8;
    struct slots *s = mem_alloc(sizeof *s + 3 * n_bytes);

    s->n = n;
    s->n_lower = MIN(n_lower, n);
    s->n_kept = MIN(n_kept, n);
    s->n_bytes = n_bytes;
    s->used = s->bits;
    s->seen = s->used + n_bytes;
    s->suspect = s->seen + n_bytes;
    return s;
}

void slots_free(struct slots *s)
{
    free(s);
}

bool slots_has(const struct slots *s, size_t i)
{
    return i < s->n;
}

bool slots_take(struct slots *s, size_t i)
{
    if (!slots_has(s, i) || get(s->used, i))
        return false;
    put(s->used, i, true);
    return true;
}

/* A free place in [first, end), from a random one on. */
static bool take_between(struct slots *s, size_t first, size_t end, size_t *out)
{
    size_t n = end > first ? end - first : 0, start = n ? (size_t)rand_below((uint32_t)n) : 0;

    for (size_t k = 0; k < n; k++) {
        size_t i = first + (start + k) % n;

        if (!slots_take(s, i))
            continue;
        *out = i;
        return true;
    }
    return false;
}

bool slots_take_any(struct slots *s, size_t *out)
{
    size_t middle = MAX(s->n_lower, s->n_kept);

    return take_between(s, middle, s->n, out) || take_between(s, s->n_kept, middle, out);
}

void slots_hold(struct slots *s, size_t i)
{
    if (i < s->n)
        put(s->used, i, true);
}

void slots_give(struct slots *s, size_t i)
{
    if (i < s->n)
        put(s->used, i, false);
}

void slots_recount_begin(struct slots *s)
{
    memset(s->seen, 0, s->n_bytes);
}

void slots_recount_see(struct slots *s, size_t i)
{
    if (i >= s->n)
        return;
    put(s->seen, i, true);
    put(s->used, i, true);
}

size_t slots_recount_end(struct slots *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_bytes; i++) {
        uint8_t unseen = (uint8_t)(s->used[i] & ~s->seen[i]);
        uint8_t lost = unseen & s->suspect[i];

        s->used[i] = (uint8_t)(s->used[i] & ~lost);
        s->suspect[i] = (uint8_t)(unseen & ~lost);
        n += (size_t)__builtin_popcount(lost);
    }
    return n;
}

/*
 * Open addressing with linear probing; deletion shifts the cluster back instead of leaving
 * tombstones, so a map that churns for years stays quick.
 *
 * map_next walks downwards, each cluster from its end to its beginning, and starts at a free slot:
 * no cluster lies across the start. Removing the current key then only moves keys that were visited
 * already into its place.
 */
#include "base/core/map.h"

#include "base/core/mem.h"
#include "base/core/rand.h"

struct slot {
    char *key; /* NULL: free */
    size_t key_n;
    uint64_t hash;
    void *value;
};

struct map {
    struct slot *slots;
    size_t cap; /* power of two, 0 before the first key */
    size_t n;
};

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static uint64_t seed[2];

__attribute__((constructor)) static void seed_once(void) /* before any thread exists */
{
    rand_bytes(seed, sizeof seed);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012). */
static uint64_t hash_of(struct str key)
{
    uint64_t v0, v1, v2, v3, m;
    size_t left = key.n;
    const unsigned char *p = (const unsigned char *)key.p;

    v0 = seed[0] ^ 0x736f6d6570736575ULL;
    v1 = seed[1] ^ 0x646f72616e646f6dULL;
    v2 = seed[0] ^ 0x6c7967656e657261ULL;
    v3 = seed[1] ^ 0x7465646279746573ULL;
#define ROUND()                                                                                    \
    do {                                                                                           \
        v0 += v1, v1 = rotl(v1, 13) ^ v0;                                                          \
        v0 = rotl(v0, 32);                                                                         \
        v2 += v3, v3 = rotl(v3, 16) ^ v2;                                                          \
        v0 += v3, v3 = rotl(v3, 21) ^ v0;                                                          \
        v2 += v1, v1 = rotl(v1, 17) ^ v2;                                                          \
        v2 = rotl(v2, 32);                                                                         \
    } while (0)
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&m, p, 8);
        v3 ^= m;
        ROUND();
        v0 ^= m;
    }
    m = (uint64_t)key.n << 56;
    for (size_t i = 0; i < left; i++)
        m |= (uint64_t)p[i] << (8 * i);
    v3 ^= m;
    ROUND();
    v0 ^= m;
    v2 ^= 0xff;
    ROUND();
    ROUND();
    ROUND();
#undef ROUND
    return v0 ^ v1 ^ v2 ^ v3;
}

struct map *map_new(void)
{
    return mem_alloc(sizeof(struct map));
}

void map_free(struct map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    free(m);
}

size_t map_len(const struct map *m)
{
    return m->n;
}

/* The key's slot, or the free one where it belongs. cap > n always holds. */
static struct slot *find(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].key) {
        struct slot *s = &m->slots[i];
        if (s->hash == hash && str_eq(str_n(s->key, s->key_n), key))
            return s;
        i = (i + 1) & (m->cap - 1);
    }
    return &m->slots[i];
}

void *map_get(const struct map *m, struct str key)
{
    return m->cap ? find(m, key, hash_of(key))->value : NULL;
}

static void grow(struct map *m)
{
    struct map old = *m;

    m->cap = old.cap ? old.cap * 2 : 8;
    m->slots = mem_calloc(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++) {
        struct slot *s = &old.slots[i];
        if (s->key)
            *find(m, str_n(s->key, s->key_n), s->hash) = *s;
    }
    free(old.slots);
}

void *map_set(struct map *m, struct str key, void *value)
{
    uint64_t hash = hash_of(key);
    struct slot *s;
    void *old;

    if ((m->n + 1) * 4 > m->cap * 3)
        grow(m);
    s = find(m, key, hash);
    old = s->value;
    if (!s->key) {
        s->key = mem_strndup(key.p, key.n);
        s->key_n = key.n;
        s->hash = hash;
        m->n++;
    }
    s->value = value;
    return old;
}

void *map_remove(struct map *m, struct str key)
{
    struct slot *s;
    size_t hole, i;
    void *value;

    if (!m->cap)
        return NULL;
    s = find(m, key, hash_of(key));
    if (!s->key)
        return NULL;
    value = s->value;
    free(s->key);
    m->n--;
    hole = (size_t)(s - m->slots);
    for (i = (hole + 1) & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
        size_t home = m->slots[i].hash & (m->cap - 1);
        /* Move it into the hole unless its home lies cyclically after the hole. */
        if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct slot){ 0 };
    return value;
}

/* *i holds the free slot where the walk began (plus one) in its upper half and the number of slots
 * behind it that were visited in its lower half. */
bool map_next(const struct map *m, size_t *i, struct str *key, void **value)
{
    size_t start, n;

    if (!m->n)
        return false;
    if (!*i) {
        start = m->cap - 1;
        while (m->slots[start].key) /* cap > n: there is one */
            start--;
        *i = (start + 1) << 32;
    }
    start = (*i >> 32) - 1;
    for (n = *i & UINT32_MAX; n < m->cap; n++) {
        const struct slot *s = &m->slots[(start - n) & (m->cap - 1)];
        if (s->key) {
            *key = str_n(s->key, s->key_n);
            *value = s->value;
            *i = (start + 1) << 32 | (n + 1);
            return true;
        }
    }
    *i = (start + 1) << 32 | n;
    return false;
}

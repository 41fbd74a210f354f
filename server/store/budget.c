#include "server/store/budget.h"

#include "base/core/mem.h"

#include <ctype.h>
#include <stdio.h>

struct budget {
    uv_mutex_t m;
    struct store_written v[STORE_WRITERS_MAX]; /* the first one is "other" */
    size_t n;
};

static const struct str OTHER = { "other", 5 };

struct budget *budget_new(void)
{
    struct budget *b = mem_alloc(sizeof *b);

    if (uv_mutex_init(&b->m))
        abort(); /* no memory: as mem_alloc */
    b->n = 1;
    snprintf(b->v[0].writer, sizeof b->v[0].writer, STR_FMT, STR_ARG(OTHER));
    return b;
}

void budget_free(struct budget *b)
{
    if (!b)
        return;
    uv_mutex_destroy(&b->m);
    free(b);
}

struct str budget_writer_of(struct str key)
{
    struct str root, group, resource, rest;

    if (!str_starts(key, STR("/registry/")))
        return OTHER;
    str_cut(str_n(key.p + 1, key.n - 1), '/', &root, &rest);
    if (!str_cut(rest, '/', &group, &rest) || !str_cut(rest, '/', &resource, &rest))
        return OTHER;
    for (size_t i = 0; i < resource.n; i++)
        if (!isalnum((unsigned char)resource.p[i]) && resource.p[i] != '-' && resource.p[i] != '.')
            return OTHER;
    return resource.n ? resource : OTHER;
}

static struct store_written *find(struct budget *b, struct str writer)
{
    for (size_t i = 0; i < b->n; i++)
        if (str_is(writer, b->v[i].writer))
            return &b->v[i];
    if (b->n == STORE_WRITERS_MAX || writer.n >= sizeof b->v[0].writer)
        return &b->v[0];
    snprintf(b->v[b->n].writer, sizeof b->v[0].writer, STR_FMT, STR_ARG(writer));
    return &b->v[b->n++];
}

void budget_add(struct budget *b, struct str writer, uint64_t n_bytes)
{
    if (!n_bytes)
        return;
    uv_mutex_lock(&b->m);
    find(b, writer)->bytes += n_bytes;
    uv_mutex_unlock(&b->m);
}

void budget_share(struct budget_shares *s, struct str writer, uint64_t weight)
{
    size_t i = 0;

    while (i < s->n && !str_eq(s->v[i].writer, writer))
        i++;
    if (i == STORE_WRITERS_MAX)
        i--; /* more kinds at once than have names: the last one carries them */
    else if (i == s->n)
        s->v[s->n++] = (struct budget_share){ .writer = writer };
    s->v[i].weight += weight;
    s->weight += weight;
}

void budget_split(struct budget *b, struct budget_shares *s, struct str rest, uint64_t n_bytes)
{
    uint64_t left = n_bytes;

    for (size_t i = 0; i < s->n && s->weight; i++) {
        uint64_t part = (uint64_t)((unsigned __int128)n_bytes * s->v[i].weight / s->weight);
        budget_add(b, s->v[i].writer, part);
        left -= part;
    }
    budget_add(b, s->n ? s->v[0].writer : rest, left); /* fractions go to the first */
    s->n = 0;
    s->weight = 0;
}

size_t budget_read(struct budget *b, struct store_written out[STORE_WRITERS_MAX])
{
    size_t n = 0;

    uv_mutex_lock(&b->m);
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].bytes)
            out[n++] = b->v[i];
    uv_mutex_unlock(&b->m);
    return n;
}

uint64_t budget_sum(struct budget *b)
{
    uint64_t sum = 0;

    uv_mutex_lock(&b->m);
    for (size_t i = 0; i < b->n; i++)
        sum += b->v[i].bytes;
    uv_mutex_unlock(&b->m);
    return sum;
}

#pragma once
/*
 * Budget: bytes that a backend gave to the disk, by what caused them: a resource ("leases",
 * "pods"), or upkeep of the backend's own ("compaction"). Flash wears, so every byte has a name.
 * Any thread.
 */
#include "server/store/store.h"

struct budget;

struct budget *budget_new(void);
void budget_free(struct budget *b); /* NULL is fine */

/* The resource of a key: "pods" of "/registry/core/pods/default/x"; "other" for other keys. The
 * text lies in key. */
struct str budget_writer_of(struct str key);

/* Names are copied; those beyond STORE_WRITERS_MAX count as "other". */
void budget_add(struct budget *b, struct str writer, uint64_t n_bytes);

/* What one transaction wrote, among those who took part in it. */
struct budget_shares {
    struct budget_share {
        struct str writer; /* borrowed */
        uint64_t weight;   /* bytes of their own */
    } v[STORE_WRITERS_MAX];
    size_t n;
    uint64_t weight;
};
void budget_share(struct budget_shares *s, struct str writer, uint64_t weight);
/* Divides n_bytes by weight, to the last byte, and empties s; without shares they are rest's. */
void budget_split(struct budget *b, struct budget_shares *s, struct str rest, uint64_t n_bytes);

size_t budget_read(struct budget *b, struct store_written out[STORE_WRITERS_MAX]);
uint64_t budget_sum(struct budget *b);

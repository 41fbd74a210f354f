#pragma once
/*
 * Map: string keys to pointers, hashed with a per-process random key so that a peer cannot choose
 * collisions. Keys are copied; values are the caller's. Not thread-safe.
 */
#include "base/core/str.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* the values are not freed: walk first. NULL is fine */
size_t map_len(const struct map *m);

void *map_get(const struct map *m, struct str key); /* NULL when absent */
void *map_set(struct map *m, struct str key,
              void *value);                      /* value not NULL; returns the old one or NULL */
void *map_remove(struct map *m, struct str key); /* returns the value, NULL when absent */

/* Walks in no order:  for (size_t i = 0; map_next(m, &i, &key, &value);)
 * Removing the current key during the walk is fine, adding is not. */
bool map_next(const struct map *m, size_t *i, struct str *key, void **value);

DEFINE_AUTO(map);

#pragma once
/*
 * Cache: live objects by key, least recently used out first, bounded in bytes. It never goes back:
 * an older version does not replace a newer one. Loop thread only.
 */
#include "server/store/store.h"

struct cache;

struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *c);
void cache_put(struct cache *c, struct store_obj *o); /* takes its own reference */
void cache_remove(struct cache *c, struct str key);
struct store_obj *cache_get(struct cache *c, struct str key); /* borrowed; NULL: unknown */

#include "server/store/cache.h"

#include "base/core/list.h"
#include "base/core/map.h"
#include "base/core/mem.h"

struct entry {
    struct list lru; /* the first is the one unused for longest */
    struct store_obj *o;
};

struct cache {
    struct map *by_key;
    struct list lru;
    size_t bytes, max_bytes;
};

/* The map copies the key and keeps a slot; malloc adds its own heads. */
static size_t cost(const struct store_obj *o)
{
    return sizeof *o + sizeof(struct entry) + 2 * (size_t)o->key_n + o->value_n + 96;
}

struct cache *cache_new(size_t max_bytes)
{
    struct cache *c = mem_alloc(sizeof *c);

    c->by_key = map_new();
    c->max_bytes = max_bytes;
    list_init(&c->lru);
    return c;
}

static void drop(struct cache *c, struct entry *en)
{
    c->bytes -= cost(en->o);
    map_remove(c->by_key, store_obj_key(en->o));
    list_remove(&en->lru);
    store_obj_unref(en->o);
    free(en);
}

void cache_free(struct cache *c)
{
    struct list *l;

    if (!c)
        return;
    while ((l = list_pop(&c->lru)))
        drop(c, container_of(l, struct entry, lru));
    map_free(c->by_key);
    free(c);
}

void cache_put(struct cache *c, struct store_obj *o)
{
    struct entry *en = map_get(c->by_key, store_obj_key(o));

    if (en) {
        if (en->o->mod_rev >= o->mod_rev)
            return;
        c->bytes -= cost(en->o);
        store_obj_unref(en->o);
        list_remove(&en->lru);
    } else {
        en = mem_alloc(sizeof *en);
        map_set(c->by_key, store_obj_key(o), en);
    }
    en->o = store_obj_ref(o);
    list_init(&en->lru);
    list_push(&c->lru, &en->lru);
    c->bytes += cost(o);
    while (c->bytes > c->max_bytes && !list_empty(&c->lru))
        drop(c, container_of(list_pop(&c->lru), struct entry, lru));
}

void cache_remove(struct cache *c, struct str key)
{
    struct entry *en = map_get(c->by_key, key);

    if (en)
        drop(c, en);
}

struct store_obj *cache_get(struct cache *c, struct str key)
{
    struct entry *en = map_get(c->by_key, key);

    if (!en)
        return NULL;
    list_remove(&en->lru);
    list_push(&c->lru, &en->lru);
    return en->o;
}

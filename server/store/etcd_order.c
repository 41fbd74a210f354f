#include "server/store/etcd_order.h"

#include "base/core/mem.h"

#include <assert.h>

struct order_key {
    struct list tickets; /* the first is on its way */
    struct list claims;  /* that it may own */
    struct str name;     /* lies behind this struct */
};

struct claim {
    struct list in_all, in_key;
    int64_t rev;
};

void etcd_order_init(struct etcd_order *o, int64_t seen_rev)
{
    *o = (struct etcd_order){ .keys = map_new(), .seen_rev = seen_rev };
    list_init(&o->claims);
    list_init(&o->landed);
}

void etcd_order_deinit(struct etcd_order *o)
{
    assert(map_len(o->keys) == 0 && list_empty(&o->landed) && list_empty(&o->claims));
    map_free(o->keys);
    o->keys = NULL;
}

void etcd_order_enter(struct etcd_order *o, struct etcd_ticket *t, struct str key)
{
    struct order_key *k = map_get(o->keys, key);

    if (!k) {
        k = mem_alloc(sizeof *k + key.n);
        if (key.n)
            memcpy(k + 1, key.p, key.n);
        k->name = str_n(k + 1, key.n);
        list_init(&k->tickets);
        list_init(&k->claims);
        map_set(o->keys, k->name, k);
    }
    t->key = k;
    t->in = true;
    t->rev = 0;
    list_push(&k->tickets, &t->link);
}

bool etcd_order_is_first(const struct etcd_ticket *t)
{
    return t->key && t->key->tickets.next == &t->link;
}

struct etcd_ticket *etcd_order_first(const struct etcd_order *o, struct str key)
{
    struct order_key *k = map_get(o->keys, key);

    return k ? list_first(&k->tickets, struct etcd_ticket, link) : NULL;
}

/* The claims were the first one's; the next has not been sent before now. */
static void off_its_way(struct etcd_order *o, struct etcd_ticket *t)
{
    struct order_key *k = t->key;
    bool was_first = etcd_order_is_first(t);

    t->key = NULL;
    list_remove(&t->link);
    if (was_first)
        list_each (c, &k->claims, struct claim, in_key) {
            list_remove(&c->in_all);
            list_remove(&c->in_key);
            free(c);
        }
    if (list_empty(&k->tickets)) {
        map_remove(o->keys, k->name);
        free(k);
    }
}

void etcd_order_landed(struct etcd_order *o, struct etcd_ticket *t, int64_t rev)
{
    struct list *at = o->landed.prev;

    assert(etcd_order_is_first(t) && rev > 0);
    off_its_way(o, t);
    t->rev = rev;
    while (at != &o->landed && container_of(at, struct etcd_ticket, link)->rev > rev)
        at = at->prev;
    list_insert_before(at->next, &t->link);
}

void etcd_order_leave(struct etcd_order *o, struct etcd_ticket *t)
{
    if (!t->in)
        return;
    t->in = false;
    if (t->key)
        off_its_way(o, t);
    else
        list_remove(&t->link);
}

void etcd_order_seen(struct etcd_order *o, int64_t rev, struct str key)
{
    struct order_key *k = key.n ? map_get(o->keys, key) : NULL;
    struct claim *c;

    assert(rev >= o->seen_rev);
    o->seen_rev = rev;
    if (!k)
        return;
    list_each (t, &o->landed, struct etcd_ticket, link) {
        if (t->rev == rev)
            return; /* it has its owner */
        if (t->rev > rev)
            break;
    }
    c = mem_alloc(sizeof *c);
    c->rev = rev;
    list_push(&o->claims, &c->in_all);
    list_push(&k->claims, &c->in_key);
}

struct etcd_ticket *etcd_order_next(struct etcd_order *o)
{
    struct etcd_ticket *t;

    if (list_empty(&o->landed))
        return NULL;
    t = list_first(&o->landed, struct etcd_ticket, link);
    if (t->rev > o->seen_rev)
        return NULL;
    if (!list_empty(&o->claims) && list_first(&o->claims, struct claim, in_all)->rev < t->rev)
        return NULL;
    list_remove(&t->link);
    t->in = false;
    return t;
}

/* Objects, events and limits: the plain data of the store. */
#include "base/core/mem.h"
#include "server/store/store_impl.h"

#include <assert.h>

struct store_obj *store_obj_new(struct str key, struct str value, int64_t create_rev,
                                int64_t mod_rev)
{
    struct store_obj *o = malloc(sizeof *o + key.n + value.n + 2);
    char *p;

    if (!o)
        abort(); /* as mem_alloc; not zeroed here because every byte is written below */
    p = (char *)(o + 1);
    *o = (struct store_obj){
        .refs = 1,
        .mod_rev = mod_rev,
        .create_rev = create_rev,
        .key_n = (uint32_t)key.n,
        .value_n = (uint32_t)value.n,
        .key = p,
        .value = p + key.n + 1,
    };
    if (key.n)
        memcpy(p, key.p, key.n);
    p[key.n] = '\0';
    p += key.n + 1;
    if (value.n)
        memcpy(p, value.p, value.n);
    p[value.n] = '\0';
    return o;
}

struct store_obj *store_obj_ref(struct store_obj *o)
{
    if (o)
        __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED);
    return o;
}

void store_obj_unref(struct store_obj *o)
{
    if (!o)
        return;
    assert(__atomic_load_n(&o->refs, __ATOMIC_RELAXED) > 0);
    if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(o);
}

void store_ev_deinit(struct store_ev *ev)
{
    store_obj_unref(ev->now);
    store_obj_unref(ev->prev);
    ev->now = ev->prev = NULL;
}

void store_read_free(struct store_read *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        if (r->kind == STORE_READ_LOG)
            store_ev_deinit(&r->evs[i]);
        else
            store_obj_unref(r->objs[i]);
    }
    free(r->objs);
    free(r->evs);
    free(r);
}

struct store_limits store_limits_or_default(const struct store_limits *l)
{
    struct store_limits d = l ? *l : (struct store_limits){ 0 };

#define DEFAULT(field, value) d.field = d.field ? d.field : (value)
    DEFAULT(cache_bytes, 16 << 20);
    DEFAULT(window_bytes, 4 << 20);
    DEFAULT(window_events, 8192);
    DEFAULT(write_queue, 4096);
    DEFAULT(write_queue_bytes, 64 << 20);
    DEFAULT(read_queue, 4096);
    DEFAULT(write_timeout_ms, 10 * 1000);
    DEFAULT(checkpoint_ms, 60 * 1000);
    DEFAULT(compact_ms, 300 * 1000);
    DEFAULT(compact_keep_revs, 1000);
    DEFAULT(compact_most_revs, 50 * 1000);
    DEFAULT(compact_slice_rows, 256);
    DEFAULT(log_pages, 2000); /* 8 MB: hot pages are moved once, not often */
#undef DEFAULT
    return d;
}

#include "server/api/claims.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "server/resource/service_claims.h"

int claims_add(const struct api_req *r, struct service_claims *keys, struct store_op *ops,
               size_t *n, struct err *e)
{
    const json_t *obj = r->removes ? NULL : r->obj, *old = r->old ? r->old_doc : NULL;

    if (r->hooks->claims(keys, obj, old, e))
        return (int)e->code;
    for (size_t i = 0; i < keys->n; i++) {
        const struct service_claim *c = &keys->v[i];

        if (c->take || !r->claims_kept)
            ops[(*n)++] = (struct store_op){ .kind = c->take ? STORE_CREATE : STORE_DELETE,
                                             .key = str_of(c->key),
                                             .value = str_of(c->take ? r->key : NULL) };
    }
    return 0;
}

/* ---- repair ---- */

struct repair {
    struct api *a;
    void (*step)(struct api *a);
    struct store_obj **services; /* references */
    size_t n_services, n_pending;
    int64_t rev;
};

static void done_one(struct repair *p)
{
    struct api *a = p->a;
    void (*step)(struct api *) = p->step;

    if (--p->n_pending)
        return;
    for (size_t i = 0; i < p->n_services; i++)
        store_obj_unref(p->services[i]);
    free(p->services);
    free(p);
    step(a);
}

static void on_repaired(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                        const struct err *e)
{
    (void)rev;
    (void)failed;
    (void)current;
    if (e) /* somebody was faster, or the next start does it */
        log_info("a claim of a service was not repaired", kv("err", e->text));
    done_one(arg);
}

static void commit(struct repair *p, const struct store_op *ops, size_t n)
{
    p->n_pending++;
    store_commit(p->a->store, ops, n, on_repaired, p);
}

/* Claims that the service lacks, in one commit that fails when it is another by now. */
static void claim_for(struct repair *p, struct store_obj *o, const struct map *there,
                      struct map *held)
{
    const struct schema_kind *k = schema_find(p->a->schema, STR(""), STR("v1"), STR("services"));
    auto_free struct service_claims *claims = mem_alloc(sizeof *claims);
    const json_t *doc = req_parsed(p->a, o, k);
    struct store_op ops[SERVICE_CLAIMS_MAX + 1];
    size_t n = 0;
    struct err e;

    if (!doc || service_claims_of(claims, doc, NULL, &e))
        return;
    for (size_t i = 0; i < claims->n; i++) {
        struct str key = str_of(claims->v[i].key);
        const struct store_obj *other = map_get(held, key);

        if (other) {
            log_warn("two services have the same address or node port, give one of them up",
                     kv("claim", claims->v[i].key), kv("service", o->key), kv("other", other->key));
            continue;
        }
        map_set(held, key, o);
        if (!map_get(there, key))
            ops[n++] =
                (struct store_op){ .kind = STORE_CREATE, .key = key, .value = store_obj_key(o) };
    }
    if (!n)
        return;
    ops[n++] = (struct store_op){ .kind = STORE_UPDATE,
                                  .key = store_obj_key(o),
                                  .value = store_obj_value(o),
                                  .if_mod_rev = o->mod_rev };
    commit(p, ops, n);
}

static void on_claims(void *arg, const struct store_list *l, const struct err *e)
{
    struct repair *p = arg;
    struct map *there, *held;

    if (e) {
        log_warn("claims of services are not looked at", kv("err", e->text));
        done_one(p);
        return;
    }
    there = map_new();
    held = map_new();
    for (size_t i = 0; i < l->n; i++)
        map_set(there, store_obj_key(l->v[i]), l->v[i]);
    for (size_t i = 0; i < p->n_services; i++)
        claim_for(p, p->services[i], there, held);
    for (size_t i = 0; i < l->n; i++) {
        const struct store_obj *o = l->v[i];
        const struct store_op op = { .kind = STORE_DELETE,
                                     .key = store_obj_key(o),
                                     .if_mod_rev = o->mod_rev };

        /* One that came with a service of later than our list is not stale. */
        if (!map_get(held, store_obj_key(o)) && o->mod_rev <= p->rev)
            commit(p, &op, 1);
    }
    map_free(there);
    map_free(held);
    done_one(p);
}

size_t claims_repair(struct api *a, const struct store_list *services, void (*step)(struct api *a))
{
    struct repair *p;

    if (!store_is_shared(a->store))
        return 0;
    p = mem_alloc(sizeof *p);
    p->a = a;
    p->step = step;
    p->rev = services->rev;
    p->n_services = services->n;
    p->services = mem_calloc(services->n + 1, sizeof(struct store_obj *));
    for (size_t i = 0; i < services->n; i++)
        p->services[i] = store_obj_ref(services->v[i]);
    p->n_pending = 1;
    store_list(a->store, STR(SERVICE_CLAIMS_PREFIX), NULL, on_claims, p);
    return 1;
}

#include "server/api/charge.h"

#include "base/core/clock.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/local.h"
#include "server/api/write.h"
#include "server/resource/quota_charge.h"

#define TRIES_MAX 20  /* quotas that others changed: other servers, and the controller that counts \
                       */
#define WAIT_MS 10000 /* for one's turn; upstream's too */

struct quota { /* one that there is */
    int64_t rev;
    json_t *doc; /* nobody changes it */
};

struct home { /* a namespace with quotas; stays while somebody waits */
    char *ns;
    struct quota *v; /* by name */
    size_t n;
    struct list charges; /* of requests, the first one has its turn */
};

struct charges {
    struct api *api;
    struct map *homes; /* namespace -> struct home */
    struct local_watch *watch;
    void (*synced)(void *arg);
    void *arg;
};

struct charged { /* one quota after it */
    int64_t rev;
    json_t *doc;
    char *key, *text;
};

struct charge {
    struct list link; /* home.charges */
    struct api_req *req;
    struct home *home;
    uint64_t since_ms;
    unsigned n_tries;
    struct charged *v;
    size_t n, first_op; /* in the commit */
};

/* ---- quotas ---- */

static void home_drop(struct charges *cs, struct home *h)
{
    if (h->n || !list_empty(&h->charges))
        return;
    map_remove(cs->homes, str_of(h->ns));
    free(h->v);
    free(h->ns);
    free(h);
}

static struct home *home_of(struct charges *cs, const char *ns)
{
    struct home *h = map_get(cs->homes, str_of(ns));

    if (!h) {
        h = mem_alloc(sizeof *h);
        h->ns = mem_strdup(ns);
        list_init(&h->charges);
        map_set(cs->homes, str_of(ns), h);
    }
    return h;
}

/* Where a quota of that name is, or belongs. */
static size_t place_of(const struct home *h, const char *name, bool *there)
{
    size_t i = 0;
    int order = -1;

    while (i < h->n && (order = strcmp(meta_name(h->v[i].doc), name)) < 0)
        i++;
    *there = i < h->n && order == 0;
    return i;
}

static void forget(struct home *h, size_t at)
{
    json_decref(h->v[at].doc);
    memmove(&h->v[at], &h->v[at + 1], (--h->n - at) * sizeof *h->v);
}

/* doc is how the quota is at rev; what is older than what we know is no news. */
static void learn(struct home *h, const json_t *doc, int64_t rev)
{
    bool there;
    size_t at = place_of(h, meta_name(doc), &there);

    if (there && h->v[at].rev >= rev)
        return;
    if (there) {
        json_decref(h->v[at].doc);
    } else {
        h->v = mem_realloc(h->v, (h->n + 1) * sizeof *h->v);
        memmove(&h->v[at + 1], &h->v[at], (h->n++ - at) * sizeof *h->v);
    }
    h->v[at] = (struct quota){ .rev = rev, .doc = json_incref((json_t *)doc) };
}

static void on_event(void *arg, enum local_event ev, const json_t *obj)
{
    struct charges *cs = arg;
    struct home *h = home_of(cs, meta_namespace(obj));
    const char *uid = meta_uid(obj);
    int64_t rev = 0;
    bool there;
    struct err e;

    if (ev != LOCAL_DELETED) {
        if (!meta_resource_version(obj, &rev, &e))
            learn(h, obj, rev);
        return;
    }
    size_t at = place_of(h, meta_name(obj), &there);
    if (there && (!*uid || strcmp(uid, meta_uid(h->v[at].doc)) == 0))
        forget(h, at);
    home_drop(cs, h);
}

static void on_synced(void *arg)
{
    struct charges *cs = arg;

    cs->synced(cs->arg);
}

struct charges *charges_new(struct api *a)
{
    struct charges *cs = mem_alloc(sizeof *cs);

    cs->api = a;
    cs->homes = map_new();
    return cs;
}

void charges_start(struct charges *cs, void (*synced)(void *arg), void *arg)
{
    static const struct local_watch_events events = { .on_event = on_event,
                                                      .on_synced = on_synced,
                                                      .no_cache = true };
    struct local_ref quotas = { .resource = "resourcequotas" };

    cs->synced = synced;
    cs->arg = arg;
    local_watch_start(&cs->watch, cs->api, &quotas, NULL, &events, cs);
}

void charges_stop(struct charges *cs)
{
    if (cs->watch)
        local_watch_stop(cs->watch);
    cs->watch = NULL;
}

void charges_free(struct charges *cs)
{
    struct str key;
    void *v;

    if (!cs)
        return;
    for (size_t i = 0; map_next(cs->homes, &i, &key, &v);) {
        struct home *h = v;

        while (h->n)
            forget(h, h->n - 1);
        home_drop(cs, h);
    }
    map_free(cs->homes);
    free(cs);
}

/* ---- turns ---- */

static void forget_amounts(struct charge *c)
{
    for (size_t i = 0; i < c->n; i++) {
        json_decref(c->v[i].doc);
        free(c->v[i].key);
        free(c->v[i].text);
    }
    free(c->v);
    c->v = NULL;
    c->n = 0;
}

void charge_leave(struct api_req *r)
{
    struct charge *c = r->charge;

    if (!c)
        return;
    struct home *h = c->home;
    bool first = list_first(&h->charges, struct charge, link) == c;
    if (r->state == REQ_QUOTA) /* it comes to no commit */
        write_give_back(r);
    r->charge = NULL;
    list_remove(&c->link);
    forget_amounts(c);
    free(c);
    if (first && !list_empty(&h->charges))
        req_step_later(list_first(&h->charges, struct charge, link)->req);
    home_drop(r->api->charges, h);
}

/* ---- what is taken ---- */

static char *resource_of(const struct api_req *r)
{
    return mem_printf("%s%s%s", r->kind->plural, *r->kind->group ? "." : "", r->kind->group);
}

/* False: refused, *why is the reason. */
static bool take(struct charge *c, const char *resource, char **why)
{
    const struct schema_kind *kind =
        schema_find(c->req->api->schema, STR(""), STR("v1"), STR("resourcequotas"));
    const struct home *h = c->home;
    const struct api_req *r = c->req;

    forget_amounts(c);
    for (size_t i = 0; i < h->n && !r->old; i++)
        if ((*why = quota_demand(h->v[i].doc, resource, r->obj)))
            return false;
    c->v = mem_calloc(h->n + 1, sizeof *c->v);
    for (size_t i = 0; i < h->n; i++) {
        struct charged *now = &c->v[c->n];

        if (!quota_charge(&now->doc, why, h->v[i].doc, resource, r->obj, r->old ? r->old_doc : NULL,
                          clock_wall_s()))
            return false;
        if (!now->doc)
            continue;
        now->rev = h->v[i].rev;
        now->key = resource_key(kind, h->ns, meta_name(now->doc));
        now->text = encode_stored(kind, now->doc);
        c->n++;
    }
    return true;
}

void charge_step(struct api_req *r)
{
    struct charge *c = r->charge;
    auto_free char *resource = resource_of(r), *why = NULL;

    if (list_first(&c->home->charges, struct charge, link) != c)
        return;
    if (c->n_tries >= TRIES_MAX && c->n)
        req_status(r, status_conflict("", "resourcequotas", meta_name(c->v[0].doc), NULL));
    else if (uv_now(r->api->loop) - c->since_ms > WAIT_MS)
        req_status(r, status_new(STATUS_INTERNAL_ERROR,
                                 "Internal error occurred: resource quota evaluation timed out"));
    else if (take(c, resource, &why))
        write_commit(r);
    else
        req_status(r, status_forbidden(r->kind->group, r->kind->plural, r->name, why));
}

void charge_commit(struct api_req *r)
{
    struct home *h = r->kind->namespaced && !r->sub && !r->removes
                         ? map_get(r->api->charges->homes, str_of(req_ns(r)))
                         : NULL;
    auto_free char *resource = h ? resource_of(r) : NULL;

    if (!h || !h->n || !quota_is_charged(resource, r->old != NULL)) {
        write_commit(r);
        return;
    }
    struct charge *c = mem_alloc(sizeof *c);
    c->req = r;
    c->home = h;
    c->since_ms = uv_now(r->api->loop);
    list_push(&h->charges, &c->link);
    r->charge = c;
    req_move(r, REQ_QUOTA);
    charge_step(r);
}

/* ---- the commit ---- */

int charge_add(const struct api_req *r, struct store_op *ops, size_t *n, struct err *e)
{
    struct charge *c = r->charge;

    if (!c)
        return 0;
    if (*n + c->n >= STORE_OPS_MAX) /* less one: the etcd store adds its mark */
        return err_set(e, ERR_LIMIT, "more than %zu quotas at once", c->n - 1);
    c->first_op = *n;
    for (size_t i = 0; i < c->n; i++)
        ops[(*n)++] = (struct store_op){ .kind = STORE_UPDATE,
                                         .key = str_of(c->v[i].key),
                                         .value = str_of(c->v[i].text),
                                         .if_mod_rev = c->v[i].rev };
    return 0;
}

/* How the quota of a failed operation is now. */
static void learn_current(struct charge *c, const struct charged *lost, struct store_obj *current)
{
    struct api *a = c->req->api;
    const struct schema_kind *kind =
        schema_find(a->schema, STR(""), STR("v1"), STR("resourcequotas"));
    const json_t *doc = current ? req_parsed(a, current, kind) : NULL;
    bool there;

    if (doc) {
        learn(c->home, doc, current->mod_rev);
        return;
    }
    size_t at = place_of(c->home, meta_name(lost->doc), &there);
    if (there && c->home->v[at].rev == lost->rev)
        forget(c->home, at);
}

bool charge_lost(struct api_req *r, size_t failed, struct store_obj *current, int64_t rev,
                 const struct err *e)
{
    struct charge *c = r->charge;

    if (!c)
        return false;
    for (size_t i = 0; !e && i < c->n; i++)
        learn(c->home, c->v[i].doc, rev);
    if (!e || failed < c->first_op || failed - c->first_op >= c->n ||
        (e->code != ERR_CONFLICT && e->code != ERR_NOT_FOUND))
        return false;
    const struct charged *lost = &c->v[failed - c->first_op];
    learn_current(c, lost, current);
    c->n_tries++;
    return true;
}

#include "server/api/custom.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/local.h"
#include "server/api/request.h"
#include "server/schema/crd.h"

struct served {
    struct crd *crd;
    json_t *spec, *names; /* what it was made from */
    bool terminating;
};

struct customs {
    struct api *api;
    struct map *by_name; /* of the definition -> struct served */
    struct local_watch *watch;
    void (*synced)(void *arg);
    void *arg;
};

/* ---- a kind that goes ---- */

/* What is kept to save work lets go of k, and its watches end. */
static void forget(struct api *a, const struct schema_kind *k)
{
    for (size_t i = 0; i < API_PARSED_N; i++) {
        if (a->parsed[i].kind != k)
            continue;
        store_obj_unref(a->parsed[i].o);
        json_decref(a->parsed[i].doc);
        schema_kind_unref(k);
        a->parsed[i].o = NULL;
        a->parsed[i].kind = NULL;
        a->parsed[i].doc = NULL;
    }
    watch_frame_forget(a, k);
    list_each (r, &a->reqs, struct api_req, link)
        if (r->kind == k && r->watch)
            watch_end(r);
}

static void unserve(struct customs *c, struct served *s)
{
    size_t n;
    const struct crd_version *v = crd_versions(s->crd, &n);

    for (size_t i = 0; i < n; i++) {
        schema_remove(c->api->schema, &v[i].kind);
        forget(c->api, &v[i].kind);
    }
    crd_unref(s->crd);
    json_decref(s->spec);
    json_decref(s->names);
    free(s);
}

/* ---- and comes ---- */

static void serve(struct customs *c, const json_t *doc)
{
    const char *name = meta_name(doc);
    struct served *s = mem_alloc(sizeof *s);
    const struct crd_version *v;
    struct err e;
    size_t n;

    if (crd_new(&s->crd, (json_t *)doc, &e)) {
        log_error("custom kind cannot be served", kv("definition", name), kv("err", e.text));
        free(s);
        return;
    }
    s->spec = json_incref(json_object_get(doc, "spec"));
    s->names = json_incref(json_at(doc, "status.acceptedNames"));
    s->terminating = crd_condition_is_true(doc, "Terminating");
    v = crd_versions(s->crd, &n);
    for (size_t i = 0; i < n; i++)
        if (v[i].is_served && !schema_add(c->api->schema, &v[i].kind))
            log_warn("custom kind has the name of one that is served already",
                     kv("definition", name), kv("version", v[i].kind.version));
    map_set(c->by_name, str_of(name), s);
}

/* Upstream serves a definition from the moment that its names are accepted. */
static bool is_to_serve(const json_t *doc)
{
    return crd_condition_is_true(doc, "NamesAccepted") || crd_condition_is_true(doc, "Established");
}

static bool is_same(const struct served *s, const json_t *doc)
{
    return s->terminating == crd_condition_is_true(doc, "Terminating") &&
           json_equal(s->spec, json_object_get(doc, "spec")) &&
           json_equal(s->names, json_at(doc, "status.acceptedNames"));
}

static void on_event(void *arg, enum local_event ev, const json_t *doc)
{
    struct customs *c = arg;
    struct str name = str_of(meta_name(doc));
    struct served *s = map_get(c->by_name, name);
    bool wanted = ev != LOCAL_DELETED && is_to_serve(doc);

    if (s && wanted && is_same(s, doc))
        return;
    if (s) {
        map_remove(c->by_name, name);
        unserve(c, s);
    }
    if (wanted)
        serve(c, doc);
}

static void on_synced(void *arg)
{
    struct customs *c = arg;

    c->synced(c->arg);
}

/* ---- life ---- */

void customs_start(struct customs **out, struct api *a, void (*synced)(void *arg), void *arg)
{
    static const struct local_watch_events events = { .on_event = on_event,
                                                      .on_synced = on_synced };
    struct local_ref crds = { .group = CRD_GROUP, .resource = CRD_PLURAL };
    struct customs *c = mem_alloc(sizeof *c);

    c->api = a;
    c->by_name = map_new();
    c->synced = synced;
    c->arg = arg;
    *out = c;
    local_watch_start(&c->watch, a, &crds, NULL, &events, c);
}

void customs_stop(struct customs *c)
{
    if (c && c->watch)
        local_watch_stop(c->watch);
    if (c)
        c->watch = NULL;
}

void customs_free(struct customs *c)
{
    struct str key;
    void *v;

    if (!c)
        return;
    for (size_t i = 0; map_next(c->by_name, &i, &key, &v);)
        unserve(c, v);
    map_free(c->by_name);
    free(c);
}

#include "server/api/admission_feed.h"

#include "base/core/mem.h"
#include "server/api/local.h"

struct admission_feed {
    struct local_watch *watches[ADMISSION_KINDS_N];
    struct admission_world world;
    unsigned n_listing;
    void (*synced)(void *arg);
    void *arg;
};

static const struct local_ref refs[ADMISSION_KINDS_N] = {
    [ADMISSION_PRIORITY_CLASSES] = { .group = "scheduling.k8s.io", .resource = "priorityclasses" },
    [ADMISSION_STORAGE_CLASSES] = { .group = "storage.k8s.io", .resource = "storageclasses" },
    [ADMISSION_INGRESS_CLASSES] = { .group = "networking.k8s.io", .resource = "ingressclasses" },
    [ADMISSION_RUNTIME_CLASSES] = { .group = "node.k8s.io", .resource = "runtimeclasses" },
    [ADMISSION_LIMIT_RANGES] = { .resource = "limitranges" },
};

static const json_t *world_get(void *arg, enum admission_kind k, const char *ns, const char *name)
{
    const struct admission_feed *f = arg;

    return f ? local_watch_get(f->watches[k], ns, name) : NULL;
}

static void world_each(void *arg, enum admission_kind k,
                       bool (*fn)(void *fn_arg, const json_t *obj), void *fn_arg)
{
    const struct admission_feed *f = arg;

    if (f)
        local_watch_each(f->watches[k], fn, fn_arg);
}

const struct admission_world *admission_feed_world(const struct admission_feed *f)
{
    static const struct admission_world empty = { world_get, world_each, NULL };

    return f ? &f->world : &empty;
}

static void on_event(void *arg, enum local_event ev, const json_t *obj)
{
    (void)arg; /* the informer keeps them */
    (void)ev;
    (void)obj;
}

static void on_synced(void *arg)
{
    struct admission_feed *f = arg;

    if (--f->n_listing == 0)
        f->synced(f->arg);
}

void admission_feed_start(struct admission_feed **out, struct api *a, void (*synced)(void *arg),
                          void *arg)
{
    static const struct local_watch_events events = { .on_event = on_event,
                                                      .on_synced = on_synced };
    struct admission_feed *f = mem_alloc(sizeof *f);

    f->world = (struct admission_world){ world_get, world_each, f };
    f->n_listing = ADMISSION_KINDS_N;
    f->synced = synced;
    f->arg = arg;
    *out = f;
    for (size_t i = 0; i < ADMISSION_KINDS_N; i++)
        local_watch_start(&f->watches[i], a, &refs[i], NULL, &events, f);
}

void admission_feed_stop(struct admission_feed *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < ADMISSION_KINDS_N; i++)
        local_watch_stop(f->watches[i]);
    free(f);
}

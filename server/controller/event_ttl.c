/*
 * Upstream's store forgets Events by a lease of etcd; here a key per Event sleeps until its hour is
 * over. Each write of an Event begins a new hour, as there.
 */
#include "server/controller/event_ttl.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

int64_t event_ttl_left_s(const json_t *event, int64_t now_unix_s)
{
    static const char *const paths[] = { "series.lastObservedTime", "lastTimestamp", "eventTime",
                                         "metadata.creationTimestamp" };
    int64_t last_us = 0, us;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (time_parse(&us, str_of(json_str_at(event, paths[i], ""))))
            last_us = MAX(last_us, us);
    if (!last_us || last_us / 1000000 > now_unix_s)
        return EVENT_TTL_S;
    return MAX(EVENT_TTL_S - (now_unix_s - last_us / 1000000), (int64_t)0);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    auto_free char *key = mem_printf("%s/%s", meta_namespace(obj), meta_name(obj));

    (void)w;
    if (ev == LOCAL_DELETED)
        queue_forget(c->queue, key);
    else
        queue_at(c->queue, key, (uint64_t)event_ttl_left_s(obj, clock_wall_s()) * 1000);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct str ns, name;
    struct local_delete_opts o = { .grace_period_s = -1 };

    str_cut(str_of(queue_key(it)), '/', &ns, &name);
    auto_free char *ns_text = str_dup(ns), *name_text = str_dup(name);
    struct local_ref ref = { .resource = "events", .ns = ns_text, .name = name_text };

    local_delete(c->env->config.api, &ref, &o, queue_done_local, it);
}

const struct controller_ops event_ttl_controller = {
    .name = "event_ttl",
    .watches = WATCH_BIT(WATCH_EVENTS),
    .n_parallel = 8, /* a thousand that end together must not hold up the writer */
    .on_event = on_event,
    .work = work,
};

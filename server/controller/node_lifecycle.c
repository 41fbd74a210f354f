/*
 * A node lives while its Lease (kube-node-lease/<node>) or its own heartbeats change. When the
 * change was seen counts, by this server's clock: a node's clock may be anything, and after a start
 * of this server everybody has a full grace again.
 *
 * A key sleeps until its grace would end; renewals only note the time, and the key that wakes up
 * early goes back to sleep. So a quiet cluster costs one wake-up per node and grace.
 *
 * Pods of a node that is gone are not evicted here: the NoExecute taints say what evictors need.
 */
#include "server/controller/node_lifecycle.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <stdio.h>

/* ---- conditions ---- */

static json_t *condition(const json_t *node, const char *type, size_t *at)
{
    json_t *c;
    size_t i;

    json_array_foreach(json_at(node, "status.conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) != 0)
            continue;
        if (at)
            *at = i;
        return c;
    }
    return NULL;
}

static char *stale_message(bool posted, const char *why)
{
    return mem_printf("Kubelet %s node status.%s%s", posted ? "stopped posting" : "never posted",
                      *why ? " " : "", why);
}

static json_t *stale_condition(const json_t *node, const json_t *old, const char *type,
                               const char *why, const char *now)
{
    auto_free char *message = stale_message(old != NULL, why);

    json_t *c = old ? json_deep_copy(old) : json_object();
    json_object_set_new(c, "type", json_string(type));
    json_object_set_new(c, "status", json_string("Unknown"));
    json_object_set_new(c, "reason",
                        json_string(old ? "NodeStatusUnknown" : "NodeStatusNeverUpdated"));
    json_object_set_new(c, "message", json_string(message));
    json_object_set_new(c, "lastTransitionTime", json_string(now));
    if (!old)
        json_object_set_new(c, "lastHeartbeatTime",
                            json_string(meta_str(node, "creationTimestamp")));
    return c;
}

/* A condition that we made Unknown, saying why in other words; NULL: it says so. */
static json_t *reworded(const json_t *old, const char *why)
{
    bool posted = strcmp(json_str_at(old, "reason", ""), "NodeStatusUnknown") == 0;
    auto_free char *message = stale_message(posted, why);
    json_t *c;

    if (!*why || strcmp(json_str_at(old, "message", ""), message) == 0)
        return NULL;
    c = json_deep_copy(old);
    json_object_set_new(c, "message", json_string(message));
    return c;
}

json_t *node_lifecycle_unknown(const json_t *node, const char *why, const char *now)
{
    static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
    json_t *conditions = json_deep_copy(json_at(node, "status.conditions"));
    bool changed = false;

    if (!json_is_array(conditions)) {
        json_decref(conditions);
        conditions = json_array();
    }
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const char *say = strcmp(types[i], "Ready") == 0 ? why : "";
        size_t at = json_array_size(conditions);
        json_t *old = condition(node, types[i], &at), *c;

        if (old && strcmp(json_str_at(old, "status", ""), "Unknown") == 0)
            c = reworded(old, say);
        else
            c = stale_condition(node, old, types[i], say, now);
        if (!c)
            continue;
        changed = true;
        if (old)
            json_array_set_new(conditions, at, c);
        else
            json_array_append_new(conditions, c);
    }
    if (!changed) {
        json_decref(conditions);
        return NULL;
    }
    json_t *patch = controller_patch_of(node);
    json_object_set_new(patch, "status", json_pack("{s:o}", "conditions", conditions));
    return patch;
}

/* ---- taints ---- */

static const struct {
    const char *key, *effect;
    const char *condition; /* NULL: spec.unschedulable */
    const char *status;    /* of the condition that asks for the taint */
} wanted[] = {
    { "node.kubernetes.io/not-ready", "NoSchedule", "Ready", "False" },
    { "node.kubernetes.io/not-ready", "NoExecute", "Ready", "False" },
    { "node.kubernetes.io/unreachable", "NoSchedule", "Ready", "Unknown" },
    { "node.kubernetes.io/unreachable", "NoExecute", "Ready", "Unknown" },
    { "node.kubernetes.io/memory-pressure", "NoSchedule", "MemoryPressure", "True" },
    { "node.kubernetes.io/disk-pressure", "NoSchedule", "DiskPressure", "True" },
    { "node.kubernetes.io/pid-pressure", "NoSchedule", "PIDPressure", "True" },
    { "node.kubernetes.io/network-unavailable", "NoSchedule", "NetworkUnavailable", "True" },
    { "node.kubernetes.io/unschedulable", "NoSchedule", NULL, NULL },
};

static bool taint_is(const json_t *taint, size_t i)
{
    return strcmp(json_str_at(taint, "key", ""), wanted[i].key) == 0 &&
           strcmp(json_str_at(taint, "effect", ""), wanted[i].effect) == 0;
}

/* Whether row i must be there; true in *keep: nobody knows yet. */
static bool asks_for(const json_t *node, size_t i, bool *keep)
{
    const json_t *c;

    *keep = false;
    if (!wanted[i].condition)
        return json_bool_at(node, "spec.unschedulable", false);
    c = condition(node, wanted[i].condition, NULL);
    *keep = !c && strcmp(wanted[i].condition, "Ready") == 0;
    return c && strcmp(json_str_at(c, "status", ""), wanted[i].status) == 0;
}

json_t *node_lifecycle_taints(const json_t *node, const char *now)
{
    json_t *taints = json_deep_copy(json_at(node, "spec.taints"));
    bool changed = false;

    if (!json_is_array(taints)) {
        json_decref(taints);
        taints = json_array();
    }
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        size_t at = 0;
        bool keep, want = asks_for(node, i, &keep);

        while (at < json_array_size(taints) && !taint_is(json_array_get(taints, at), i))
            at++;
        bool has = at < json_array_size(taints);
        if (keep || want == has)
            continue;
        changed = true;
        if (has)
            json_array_remove(taints, at);
        else
            json_array_append_new(taints, json_pack("{s:s, s:s, s:s}", "key", wanted[i].key,
                                                    "effect", wanted[i].effect, "timeAdded", now));
    }
    if (!changed) {
        json_decref(taints);
        return NULL;
    }
    json_t *patch = controller_patch_of(node);
    if (json_array_size(taints) == 0) {
        json_decref(taints);
        taints = json_null();
    }
    json_object_set_new(patch, "spec", json_pack("{s:o}", "taints", taints));
    return patch;
}

/* ---- the controller ---- */

struct heartbeat {
    uint64_t seen_ms; /* when it was last seen to change */
    uint64_t due_ms;  /* when the key sleeps until; 0: it does not */
    bool stale;
    char renewed[TIME_TEXT_BYTES]; /* Lease spec.renewTime */
    char posted[TIME_TEXT_BYTES];  /* Ready's lastHeartbeatTime */
};

struct node_lifecycle {
    struct controller c;
    struct map *beats; /* node -> struct heartbeat *; of nodes, and of leases before their node */
};

/* The loop did not turn for so long: what the nodes sent meanwhile lies unread, so nobody is
 * blamed. */
#define STALL_MS 5000

static struct heartbeat *beat_of(struct node_lifecycle *nl, const char *node)
{
    struct heartbeat *b = map_get(nl->beats, str_of(node));

    if (!b) {
        b = mem_alloc(sizeof *b);
        b->seen_ms = controller_now_ms(&nl->c);
        map_set(nl->beats, str_of(node), b);
    }
    return b;
}

static void forget(struct node_lifecycle *nl, const char *node)
{
    free(map_remove(nl->beats, str_of(node)));
}

/* text is the newest of its kind; known is where the last one is kept. */
static void note(struct node_lifecycle *nl, struct heartbeat *b, char known[TIME_TEXT_BYTES],
                 const char *text, const char *node)
{
    if (!*text || strncmp(known, text, TIME_TEXT_BYTES - 1) == 0)
        return;
    snprintf(known, TIME_TEXT_BYTES, "%s", text);
    b->seen_ms = controller_now_ms(&nl->c);
    if (b->stale)
        queue_add(nl->c.queue, node);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct node_lifecycle *nl = (struct node_lifecycle *)c;
    const char *name = meta_name(obj);

    if (w == WATCH_LEASES) {
        if (ev == LOCAL_DELETED)
            return;
        struct heartbeat *b = beat_of(nl, name);
        note(nl, b, b->renewed, json_str_at(obj, "spec.renewTime", ""), name);
        if (!b->due_ms) /* a Lease whose Node is not there (yet): forgotten when it stays so */
            queue_at(c->queue, name, c->env->config.node_grace_ms);
        return;
    }
    if (ev != LOCAL_DELETED) {
        struct heartbeat *b = beat_of(nl, name);
        note(nl, b, b->posted, json_str_at(condition(obj, "Ready", NULL), "lastHeartbeatTime", ""),
             name);
    }
    queue_add(c->queue, name);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct node_lifecycle *nl = (struct node_lifecycle *)c;
    const char *name = queue_key(it);
    const json_t *node = controller_node(c, name);
    uint64_t now_ms = controller_now_ms(c), grace_ms = c->env->config.node_grace_ms;
    struct local_ref ref = { .resource = "nodes", .name = name };
    const struct controllers_config *cfg = &c->env->config;
    char now[TIME_TEXT_BYTES], why[400] = "";
    json_t *patch = NULL;

    if (!node) {
        forget(nl, name);
        queue_done(it, NULL);
        return;
    }
    struct heartbeat *b = beat_of(nl, name);
    if (b->due_ms && now_ms > b->due_ms + STALL_MS)
        b->seen_ms = now_ms;
    b->due_ms = 0;
    bool was_stale = b->stale;
    b->stale = now_ms - b->seen_ms >= grace_ms;
    if (b->stale != was_stale && cfg->on_lease)
        cfg->on_lease(cfg->node_arg, name, b->stale, now_ms - b->seen_ms);
    time_now_s(now);
    if (b->stale) {
        if (cfg->why)
            cfg->why(cfg->node_arg, name, why, sizeof why);
        patch = node_lifecycle_unknown(node, why, now);
        ref.subresource = "status";
        if (!was_stale)
            log_warn("node does not renew its lease, it is NotReady now", kv("node", name),
                     kv("silent_ms", now_ms - b->seen_ms), kv("why", why));
    }
    if (!patch) {
        ref.subresource = NULL;
        patch = node_lifecycle_taints(node, now);
    }
    if (!b->stale) {
        b->due_ms = b->seen_ms + grace_ms;
        queue_at(c->queue, name, b->due_ms - now_ms);
    }
    if (patch)
        controller_patch(c, it, &ref, patch); /* its event brings us back for the rest */
    else
        queue_done(it, NULL);
}

static struct controller *make(const struct controllers_config *config)
{
    struct node_lifecycle *nl = mem_alloc(sizeof *nl);

    (void)config;
    nl->beats = map_new();
    return &nl->c;
}

static void lifecycle_free(struct controller *c)
{
    struct node_lifecycle *nl = (struct node_lifecycle *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(nl->beats, &i, &key, &v);)
        free(v);
    map_free(nl->beats);
    free(nl);
}

const struct controller_ops node_lifecycle_controller = {
    .name = "node_lifecycle",
    .watches = WATCH_BIT(WATCH_NODES) | WATCH_BIT(WATCH_LEASES),
    .n_parallel = 16,
    .retry_max_ms = 10000,
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = lifecycle_free,
};

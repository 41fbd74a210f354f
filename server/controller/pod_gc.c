/*
 * Pod GC: deletes pods that are bound to a Node which is no more (pkg/controller/podgc of
 * kubernetes, gcOrphaned), after a quarantine: a Node may be deleted and made anew within it, and
 * then keeps its pods. Pods that have ended are left alone.
 */
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <stdio.h>

struct bound { /* a pod with a node */
    char uid[40];
    char *node;
    uint64_t missing_since_ms; /* its node; 0: it is there, as far as we looked */
};

struct pod_gc {
    struct controller c;
    struct map *pods; /* "ns/name" -> struct bound * */
};

static void forget(struct pod_gc *gc, struct str key)
{
    struct bound *b = map_remove(gc->pods, key);

    if (b)
        free(b->node);
    free(b);
}

static void on_node(struct pod_gc *gc, enum local_event ev, const char *name)
{
    struct str key;
    void *v;

    if (ev != LOCAL_DELETED)
        return;
    for (size_t i = 0; map_next(gc->pods, &i, &key, &v);) {
        const struct bound *b = v;
        auto_free char *text = strcmp(b->node, name) == 0 ? str_dup(key) : NULL;

        if (text)
            queue_add(gc->c.queue, text);
    }
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct pod_gc *gc = (struct pod_gc *)c;
    const char *node = json_str_at(obj, "spec.nodeName", "");

    if (w == WATCH_NODES) {
        on_node(gc, ev, meta_name(obj));
        return;
    }
    auto_free char *key = mem_printf("%s/%s", meta_namespace(obj), meta_name(obj));
    struct bound *b = map_get(gc->pods, str_of(key));

    if (ev == LOCAL_DELETED || !*node || (b && strcmp(b->uid, meta_uid(obj)) != 0)) {
        forget(gc, str_of(key));
        b = NULL;
    }
    if (ev == LOCAL_DELETED || !*node || b)
        return;
    b = mem_alloc(sizeof *b);
    snprintf(b->uid, sizeof b->uid, "%s", meta_uid(obj));
    b->node = mem_strdup(node);
    map_set(gc->pods, str_of(key), b);
    queue_add(c->queue, key);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct pod_gc *gc = (struct pod_gc *)c;
    struct bound *b = map_get(gc->pods, str_of(queue_key(it)));
    uint64_t now_ms = controller_now_ms(c), wait_ms = c->env->config.pod_quarantine_ms;
    struct str ns, name;

    if (!b || controller_node(c, b->node)) {
        if (b)
            b->missing_since_ms = 0;
        queue_done(it, NULL);
        return;
    }
    if (!b->missing_since_ms)
        b->missing_since_ms = now_ms;
    if (now_ms - b->missing_since_ms < wait_ms) {
        queue_done_again(it, b->missing_since_ms + wait_ms - now_ms);
        return;
    }
    str_cut(str_of(queue_key(it)), '/', &ns, &name);
    auto_free char *ns_text = str_dup(ns), *name_text = str_dup(name);
    struct local_ref ref = { .resource = "pods", .ns = ns_text, .name = name_text };
    struct local_delete_opts o = { .grace_period_s = 0, .uid = b->uid };

    log_info("deleting a pod whose node is gone", kv("namespace", ns_text), kv("pod", name_text),
             kv("node", b->node));
    local_delete(c->env->config.api, &ref, &o, queue_done_local, it);
}

static struct controller *make(const struct controllers_config *config)
{
    struct pod_gc *gc = mem_alloc(sizeof *gc);

    (void)config;
    gc->pods = map_new();
    return &gc->c;
}

static void gc_free(struct controller *c)
{
    struct pod_gc *gc = (struct pod_gc *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(gc->pods, &i, &key, &v);) {
        free(((struct bound *)v)->node);
        free(v);
    }
    map_free(gc->pods);
    free(gc);
}

const struct controller_ops pod_gc_controller = {
    .name = "pod_gc",
    .watches = WATCH_BIT(WATCH_NODES) | WATCH_BIT(WATCH_PODS),
    .n_parallel = 8,
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = gc_free,
};

/*
 *   pending --(attempt: a node fits)--> binding --(its event says nodeName)--> bound
 *      ^  |                                |
 *      |  +--(none fits: report)--> waits  +--(refused)--> waits
 *      +--------- something changed, not before the backoff; or 30 s ----------+
 *
 * One attempt looks at every node, in memory. The pod counts on its node from the moment it is
 * chosen, so many bindings can be under way and none is given away twice. Attempts go by priority,
 * then by age. A node or a pod that changes in a way that may matter wakes all that wait; backoffs
 * keep a cluster full of hopeless pods quiet.
 */
#include "server/scheduler/scheduler.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"
#include "server/api/local.h"
#include "server/scheduler/fit.h"

#include <stdio.h>

#define NAME              "default-scheduler"
#define RETRY_MS          30000   /* without any event that would wake it */
#define BACKOFF_MIN_MS    1000    /* upstream's podInitialBackoffSeconds */
#define BACKOFF_MAX_MS    10000   /* podMaxBackoffSeconds */
#define BINDINGS_MAX      32      /* under way at once */
#define ATTEMPTS_TURN_MAX 64      /* in one loop turn: others want to run too */
#define REPORT_EVERY_MS   1800000 /* the same FailedScheduling: before its Event is forgotten */
#define EVENT_NAME_MAX    200

struct pending {
    char *key;   /* "ns/name" */
    json_t *pod; /* ours */
    struct fit_pod fit;
    int64_t priority;
    uint64_t seq; /* order of arrival */
    struct backoff backoff;
    uint64_t not_before_ms, retry_ms;
    bool binding;
    char *reported; /* the last message; NULL */
    uint64_t reported_ms;
};

struct bound { /* a pod that counts on a node, or was just given to it */
    char uid[40];
    char *node;
    struct fit_pod fit;
    bool assumed;
};

struct scheduler {
    uv_loop_t *loop;
    struct api *api;
    struct local_watch *nodes_watch, *pods_watch;
    struct map *nodes;   /* name -> struct fit_node * */
    struct map *pending; /* key -> struct pending * */
    struct map *bound;   /* key -> struct bound * */
    struct timer timer;
    uint64_t seq;
    unsigned n_synced, n_bindings, n_calls;
    bool closing, timer_closed;
    void (*done)(void *arg);
    void *done_arg;
};

static void on_timer(void *arg);

/* ---- when to look again ---- */

static void plan(struct scheduler *s)
{
    uint64_t now = uv_now(s->loop), at = UINT64_MAX;
    struct str key;
    void *v;

    if (s->closing || s->n_synced < 2 || s->n_bindings >= BINDINGS_MAX)
        return;
    for (size_t i = 0; map_next(s->pending, &i, &key, &v);) {
        const struct pending *p = v;

        if (!p->binding)
            at = MIN(at, p->retry_ms);
    }
    if (at == UINT64_MAX)
        timer_stop(&s->timer);
    else
        timer_start_ms(&s->timer, at > now ? at - now : 0, on_timer, s);
}

static void wake(struct scheduler *s, struct pending *p)
{
    uint64_t at = MAX(uv_now(s->loop), p->not_before_ms);

    p->retry_ms = MIN(p->retry_ms, at);
}

static void wake_all(struct scheduler *s)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(s->pending, &i, &key, &v);)
        wake(s, v);
    plan(s);
}

static void put_off(struct scheduler *s, struct pending *p, uint64_t retry_ms)
{
    uint64_t now = uv_now(s->loop), ms = backoff_next_ms(&p->backoff);

    p->not_before_ms = now + ms;
    p->retry_ms = now + MAX(ms, retry_ms);
}

/* ---- what is where ---- */

static void bound_free(struct bound *b)
{
    free(b->node);
    fit_pod_deinit(&b->fit);
    free(b);
}

/* True: something was given back. */
static bool unbind(struct scheduler *s, const char *key)
{
    struct bound *b = map_remove(s->bound, str_of(key));
    struct fit_node *n = b ? map_get(s->nodes, str_of(b->node)) : NULL;

    if (n)
        fit_node_take(n, &b->fit);
    if (b)
        bound_free(b);
    return b != NULL;
}

static void bind_to(struct scheduler *s, const char *key, const json_t *pod, const char *node,
                    bool assumed)
{
    struct bound *b = mem_alloc(sizeof *b);
    struct fit_node *n = map_get(s->nodes, str_of(node));

    unbind(s, key);
    snprintf(b->uid, sizeof b->uid, "%s", meta_uid(pod));
    b->node = mem_strdup(node);
    fit_pod_init(&b->fit, pod);
    b->assumed = assumed;
    map_set(s->bound, str_of(key), b);
    if (n)
        fit_node_put(n, &b->fit);
}

static void pending_free(struct pending *p)
{
    free(p->key);
    json_decref(p->pod);
    fit_pod_deinit(&p->fit);
    free(p->reported);
    free(p);
}

static void no_longer_pending(struct scheduler *s, const char *key)
{
    struct pending *p = map_remove(s->pending, str_of(key));

    if (p)
        pending_free(p);
}

/* ---- reports: calls whose outcome changes nothing ---- */

static void close_step(struct scheduler *s);

static void call_ended(struct scheduler *s)
{
    s->n_calls--;
    close_step(s);
}

static void on_reported(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)obj;
    if (e && e->code != ERR_NOT_FOUND)
        log_debug("report of the scheduler not written", kv("code", code), kv("err", e->text));
    call_ended(arg);
}

static void write_event(struct scheduler *s, const json_t *pod, const char *type,
                        const char *reason, const char *action, const char *message)
{
    struct local_ref ref = { .resource = "events", .ns = meta_namespace(pod) };
    char suffix[17], now[TIME_TEXT_BYTES];

    rand_hex(suffix, 8);
    time_now_s(now);
    auto_free char *name = mem_printf("%.*s.%s", EVENT_NAME_MAX, meta_name(pod), suffix);
    json_auto_t *ev = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:{s:s}, s:s, s:s, "
        "s:s, s:s, s:i}",
        "metadata", "name", name, "namespace", meta_namespace(pod), "involvedObject", "apiVersion",
        "v1", "kind", "Pod", "namespace", meta_namespace(pod), "name", meta_name(pod), "uid",
        meta_uid(pod), "resourceVersion", meta_str(pod, "resourceVersion"), "type", type, "reason",
        reason, "action", action, "message", message, "source", "component", NAME,
        "reportingComponent", NAME, "reportingInstance", NAME, "firstTimestamp", now,
        "lastTimestamp", now, "count", 1);
    s->n_calls++;
    local_create(s->api, &ref, ev, on_reported, s);
}

static void write_condition(struct scheduler *s, const json_t *pod, const char *message)
{
    struct local_ref ref = { .resource = "pods",
                             .ns = meta_namespace(pod),
                             .name = meta_name(pod),
                             .subresource = "status" };
    char now[TIME_TEXT_BYTES];
    const char *since = now;
    const json_t *c;
    size_t i;

    time_now_s(now);
    json_array_foreach(json_at(pod, "status.conditions"), i,
                       c) if (strcmp(json_str_at(c, "type", ""), "PodScheduled") == 0 &&
                              strcmp(json_str_at(c, "status", ""), "False") == 0) since =
        json_str_at(c, "lastTransitionTime", now);
    json_auto_t *patch =
        json_pack("{s:{s:s}, s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "metadata", "uid", meta_uid(pod),
                  "status", "conditions", "type", "PodScheduled", "status", "False", "reason",
                  "Unschedulable", "message", message, "lastTransitionTime", since);
    s->n_calls++;
    local_patch(s->api, &ref, LOCAL_PATCH_STRATEGIC, patch, on_reported, s);
}

static void report_failure(struct scheduler *s, struct pending *p, char *message_take)
{
    auto_free char *message = message_take;
    uint64_t now = uv_now(s->loop);

    if (p->reported && strcmp(p->reported, message) == 0 && now - p->reported_ms < REPORT_EVERY_MS)
        return;
    log_info("pod cannot be scheduled", kv("pod", p->key), kv("why", message));
    write_event(s, p->pod, "Warning", "FailedScheduling", "Scheduling", message);
    write_condition(s, p->pod, message);
    free(p->reported);
    p->reported = STEAL(message);
    p->reported_ms = now;
}

/* ---- binding ---- */

struct binding {
    struct scheduler *s;
    char *key, *node;
    char uid[40];
};

static void on_bound(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct binding *b = arg;
    struct scheduler *s = b->s;
    struct pending *p = map_get(s->pending, str_of(b->key));
    const struct bound *assumed = map_get(s->bound, str_of(b->key));

    (void)code;
    (void)obj;
    s->n_bindings--;
    if (e && !s->closing) {
        log_warn("binding failed, will retry", kv("pod", b->key), kv("node", b->node),
                 kv("err", e->text));
        if (assumed && assumed->assumed && strcmp(assumed->uid, b->uid) == 0)
            unbind(s, b->key);
        if (p && p->binding && strcmp(meta_uid(p->pod), b->uid) == 0) {
            p->binding = false;
            put_off(s, p, 0);
        }
    } else if (!e && !s->closing) {
        /* the pod may be known as bound already: what the Event needs we have */
        struct str ns, name;
        str_cut(str_of(b->key), '/', &ns, &name);
        auto_free char *message = mem_printf("Successfully assigned %s to %s", b->key, b->node);
        json_auto_t *pod = json_pack("{s:{s:s%, s:s%, s:s}}", "metadata", "namespace", ns.p, ns.n,
                                     "name", name.p, name.n, "uid", b->uid);
        write_event(s, pod, "Normal", "Scheduled", "Binding", message);
    }
    free(b->key);
    free(b->node);
    free(b);
    plan(s);
    call_ended(s);
}

static void bind_start(struct scheduler *s, struct pending *p, const char *node)
{
    struct binding *b = mem_alloc(sizeof *b);
    struct local_ref ref = { .resource = "pods",
                             .ns = meta_namespace(p->pod),
                             .name = meta_name(p->pod),
                             .subresource = "binding" };
    json_auto_t *doc = json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s}}", "metadata", "namespace",
                                 meta_namespace(p->pod), "name", meta_name(p->pod), "uid",
                                 meta_uid(p->pod), "target", "kind", "Node", "name", node);

    b->s = s;
    b->key = mem_strdup(p->key);
    b->node = mem_strdup(node);
    snprintf(b->uid, sizeof b->uid, "%s", meta_uid(p->pod));
    p->binding = true;
    bind_to(s, p->key, p->pod, node, true);
    s->n_bindings++;
    s->n_calls++;
    local_create(s->api, &ref, doc, on_bound, b);
}

/* ---- an attempt ---- */

static void attempt(struct scheduler *s, struct pending *p)
{
    AUTO(fit_summary) struct fit_summary *sum = fit_summary_new();
    char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES];
    const char *unknown = fit_unknown(p->pod);
    const struct fit_node *best = NULL;
    int64_t best_score = 0;
    struct str name;
    void *v;

    for (size_t i = 0; !unknown && map_next(s->nodes, &i, &name, &v);) {
        const struct fit_node *n = v;
        size_t m = fit_check(p->pod, &p->fit, n, reasons);
        int64_t score;

        for (size_t k = 0; k < m; k++)
            fit_summary_add(sum, reasons[k]);
        if (m)
            continue;
        score = fit_score(p->pod, &p->fit, n);
        if (!best || score > best_score ||
            (score == best_score &&
             (n->used.n_pods < best->used.n_pods ||
              (n->used.n_pods == best->used.n_pods && strcmp(n->name, best->name) < 0)))) {
            best = n;
            best_score = score;
        }
    }
    if (best) {
        bind_start(s, p, best->name);
        return;
    }
    put_off(s, p, rand_jitter_ms(RETRY_MS, 20));
    report_failure(s, p,
                   unknown ? mem_printf("0/%zu nodes are available: the pod asks for %s, which "
                                        "this scheduler does not know yet.",
                                        map_len(s->nodes), unknown)
                           : fit_summary_text(sum, map_len(s->nodes)));
}

static int by_turn(const void *a, const void *b)
{
    const struct pending *x = *(struct pending *const *)a, *y = *(struct pending *const *)b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void on_timer(void *arg)
{
    struct scheduler *s = arg;
    uint64_t now = uv_now(s->loop);
    struct pending **due = mem_calloc(map_len(s->pending) + 1, sizeof *due);
    size_t n = 0;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(s->pending, &i, &key, &v);) {
        struct pending *p = v;

        if (!p->binding && p->retry_ms <= now)
            due[n++] = p;
    }
    qsort(due, n, sizeof *due, by_turn);
    for (size_t i = 0; i < n && i < ATTEMPTS_TURN_MAX && s->n_bindings < BINDINGS_MAX; i++)
        attempt(s, due[i]);
    free(due);
    plan(s);
}

/* ---- events ---- */

static bool is_ours(const json_t *pod)
{
    const char *phase = json_str_at(pod, "status.phase", "");

    return !*json_str_at(pod, "spec.nodeName", "") &&
           strcmp(json_str_at(pod, "spec.schedulerName", NAME), NAME) == 0 &&
           !meta_is_deleting(pod) && json_array_size(json_at(pod, "spec.schedulingGates")) == 0 &&
           strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0;
}

static bool counts(const json_t *pod)
{
    const char *phase = json_str_at(pod, "status.phase", "");

    return *json_str_at(pod, "spec.nodeName", "") && strcmp(phase, "Succeeded") != 0 &&
           strcmp(phase, "Failed") != 0;
}

static void make_pending(struct scheduler *s, const char *key, const json_t *pod)
{
    struct pending *p = map_get(s->pending, str_of(key));
    bool changed = true;

    if (p && strcmp(meta_uid(p->pod), meta_uid(pod)) != 0) {
        no_longer_pending(s, key);
        unbind(s, key); /* the old one was being bound */
        p = NULL;
    }
    if (!p) {
        p = mem_alloc(sizeof *p);
        p->key = mem_strdup(key);
        p->seq = s->seq++;
        p->backoff = (struct backoff)BACKOFF(BACKOFF_MIN_MS, BACKOFF_MAX_MS);
        p->retry_ms = UINT64_MAX;
        map_set(s->pending, str_of(key), p);
    } else {
        /* our own reports change the status only */
        changed = !json_equal(json_object_get(p->pod, "spec"), json_object_get(pod, "spec"));
        json_decref(p->pod);
        fit_pod_deinit(&p->fit);
    }
    p->pod = json_incref((json_t *)pod);
    fit_pod_init(&p->fit, pod);
    p->priority = json_i64_at(pod, "spec.priority", 0);
    if (changed)
        wake(s, p);
}

static void on_pod(void *arg, enum local_event ev, const json_t *pod)
{
    struct scheduler *s = arg;
    auto_free char *key = mem_printf("%s/%s", meta_namespace(pod), meta_name(pod));
    const char *node = json_str_at(pod, "spec.nodeName", "");
    const struct bound *b = map_get(s->bound, str_of(key));

    if (ev != LOCAL_DELETED && is_ours(pod)) {
        make_pending(s, key, pod);
        plan(s);
        return;
    }
    no_longer_pending(s, key);
    if (ev == LOCAL_DELETED || !counts(pod)) {
        if (unbind(s, key))
            wake_all(s);
        return;
    }
    if (b && !b->assumed && strcmp(b->node, node) == 0 && strcmp(b->uid, meta_uid(pod)) == 0)
        return; /* requests of a running pod do not change here */
    bind_to(s, key, pod, node, false);
}

static void on_node(void *arg, enum local_event ev, const json_t *node)
{
    struct scheduler *s = arg;
    const char *name = meta_name(node);
    struct fit_node *old = map_get(s->nodes, str_of(name)), *n;
    struct str key;
    void *v;

    if (ev == LOCAL_DELETED) {
        if (old) {
            map_remove(s->nodes, str_of(name));
            fit_node_deinit(old);
            free(old);
        }
        return;
    }
    n = mem_alloc(sizeof *n);
    fit_node_init(n, node);
    if (old && fit_node_same(old, n)) {
        fit_node_deinit(n);
        free(n);
        return;
    }
    for (size_t i = 0; map_next(s->bound, &i, &key, &v);)
        if (strcmp(((struct bound *)v)->node, name) == 0)
            fit_node_put(n, &((struct bound *)v)->fit);
    map_set(s->nodes, str_of(name), n);
    if (old) {
        fit_node_deinit(old);
        free(old);
    }
    wake_all(s);
}

static void on_synced(void *arg)
{
    struct scheduler *s = arg;

    s->n_synced++;
    plan(s);
}

/* ---- life ---- */

void scheduler_start(struct scheduler **out, uv_loop_t *loop, struct api *api)
{
    static const struct local_watch_events node_events = { .on_event = on_node,
                                                           .on_synced = on_synced,
                                                           .no_cache = true };
    static const struct local_watch_events pod_events = { .on_event = on_pod,
                                                          .on_synced = on_synced,
                                                          .no_cache = true };
    struct local_ref nodes = { .resource = "nodes" }, pods = { .resource = "pods" };
    struct scheduler *s = mem_alloc(sizeof *s);

    s->loop = loop;
    s->api = api;
    s->nodes = map_new();
    s->pending = map_new();
    s->bound = map_new();
    timer_init(&s->timer, loop);
    local_watch_start(&s->nodes_watch, api, &nodes, NULL, &node_events, s);
    local_watch_start(&s->pods_watch, api, &pods, NULL, &pod_events, s);
    *out = s;
}

static void close_step(struct scheduler *s)
{
    void (*done)(void *) = s->done;
    void *arg = s->done_arg, *v;
    struct str key;

    if (!s->closing || !s->timer_closed || s->n_calls)
        return;
    for (size_t i = 0; map_next(s->nodes, &i, &key, &v);) {
        fit_node_deinit(v);
        free(v);
    }
    for (size_t i = 0; map_next(s->pending, &i, &key, &v);)
        pending_free(v);
    for (size_t i = 0; map_next(s->bound, &i, &key, &v);)
        bound_free(v);
    map_free(s->nodes);
    map_free(s->pending);
    map_free(s->bound);
    free(s);
    if (done)
        done(arg);
}

static void on_timer_closed(void *arg)
{
    struct scheduler *s = arg;

    s->timer_closed = true;
    close_step(s);
}

void scheduler_close(struct scheduler *s, void (*done)(void *arg), void *arg)
{
    s->closing = true;
    s->done = done;
    s->done_arg = arg;
    local_watch_stop(s->nodes_watch);
    local_watch_stop(s->pods_watch);
    timer_close(&s->timer, on_timer_closed, s);
}

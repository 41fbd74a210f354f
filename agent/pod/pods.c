/*
 * The pods of this node. Two sources: the API's list and watch of pods bound here, and looks at the
 * runtime (all sandboxes, then all containers), which every pod sees. A look is made
 *
 *   - when a pod has changed something there, and when a process ended (containerd's event);
 *   - every second while a pod is on its way or there are no events; else every ten seconds.
 *
 * One look at a time; a wish for another while it runs is remembered.
 */
#include "agent/pod/pods.h"

#include "agent/pod/pod.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/file.h"
#include "base/io/timer.h"
#include "base/kube/families.h"
#include "base/kube/informer.h"
#include "base/kube/metadata.h"

#include <stdio.h>
#include <unistd.h>

#define LOOK_FAST_MS   1000
#define LOOK_SLOW_MS   10000
#define EVENT_MS       40  /* CRI handles the same event: give it a moment, */
#define EVENT_LATE_MS  400 /* and look once more in case that was too short */
#define WATCH_RETRY_MS 5000
#define RESOLV_MAX     (64 * 1024)

struct pods {
    struct pods_config c;
    struct pod_node node;
    struct arena arena; /* text of the configuration */
    struct informer *informer;
    struct map *pods; /* uid -> struct pod */

    struct cri_call *look; /* runs: one of its two calls */
    struct arena look_arena;
    struct cri_sandbox *boxes;
    size_t n_boxes;
    uint64_t look_number;
    bool look_again;
    struct timer timer, event_timer;
    bool event_late;

    struct cri_watch *watch;
    uint64_t watch_retry_ms;

    bool closing, informer_closed;
    size_t n_closing; /* pods */
    bool recorder_closed;
    unsigned n_timers;
    void (*done)(void *arg);
    void *done_arg;
};

static void look(struct pods *p);
static void maybe_gone(struct pods *p);

/* ---- pods ---- */

static struct pod *find(const struct pods *p, const char *uid)
{
    return map_get(p->pods, str_of(uid));
}

static void add(struct pods *p, const char *uid, const char *ns, const char *name, json_t *object)
{
    struct pod *pod;

    pod_new(&pod, &p->node, uid, ns, name, object);
    map_set(p->pods, str_of(uid), pod);
}

static void on_pod_closed(void *arg)
{
    struct pods *p = arg;

    p->n_closing--;
    maybe_gone(p);
}

static void close_pod(struct pods *p, struct pod *pod)
{
    map_remove(p->pods, str_of(pod_uid(pod)));
    p->n_closing++;
    pod_close(pod, on_pod_closed, p);
}

static void on_pod_gone(void *arg, struct pod *pod)
{
    close_pod(arg, pod);
}

static void on_object(void *arg, json_t *object)
{
    struct pods *p = arg;
    struct pod *pod = find(p, meta_uid(object));

    if (pod) {
        pod_set_object(pod, object);
        return;
    }
    add(p, meta_uid(object), meta_namespace(object), meta_name(object), object);
    look(p);
}

static void on_object_gone(void *arg, json_t *object)
{
    struct pods *p = arg;
    struct pod *pod = find(p, meta_uid(object));

    if (pod) {
        pod_orphan(pod);
        look(p);
    }
}

static void on_object_changed(void *arg, json_t *before, json_t *object)
{
    if (strcmp(meta_uid(before), meta_uid(object)) != 0) /* another pod of that name */
        on_object_gone(arg, before);
    on_object(arg, object);
}

static void on_synced(void *arg)
{
    look(arg);
}

/* ---- looking at the runtime ---- */

static void on_timer(void *arg)
{
    look(arg);
}

static void on_event_timer(void *arg)
{
    struct pods *p = arg;

    if (p->event_late) {
        p->event_late = false;
        timer_start_ms(&p->event_timer, EVENT_LATE_MS, on_event_timer, p);
    }
    look(p);
}

static void on_exit_event(void *arg)
{
    struct pods *p = arg;

    if (p->closing)
        return;
    p->event_late = true;
    timer_start_ms(&p->event_timer, EVENT_MS, on_event_timer, p);
}

static void on_watch_done(void *arg, const struct err *e)
{
    struct pods *p = arg;

    p->watch = NULL;
    if (p->closing) {
        maybe_gone(p);
        return;
    }
    p->watch_retry_ms = uv_now(p->c.loop) + WATCH_RETRY_MS;
    log_debug("container events ended, polling", kv("err", e ? e->text : "end of stream"));
}

static bool is_busy(const struct pods *p)
{
    struct str key;
    void *pod;

    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);)
        if (!pod_is_settled(pod))
            return true;
    return false;
}

static void look_end(struct pods *p)
{
    arena_deinit(&p->look_arena);
    p->boxes = NULL;
    p->n_boxes = 0;
    p->look = NULL;
    if (p->closing) {
        maybe_gone(p);
        return;
    }
    timer_start_ms(&p->timer,
                   p->look_again             ? 0
                   : !p->watch || is_busy(p) ? LOOK_FAST_MS
                                             : LOOK_SLOW_MS,
                   on_timer, p);
    p->look_again = false;
}

static char *keep(struct pods *p, const char *text)
{
    size_t n = strlen(text) + 1;
    char *t = arena_calloc(&p->look_arena, 1, n);

    return memcpy(t, text, n); /* this arena has no limit: the answer had one */
}

/* Sandboxes whose pod the API does not have: only after its whole list is known. */
static void adopt_orphans(struct pods *p)
{
    if (!informer_is_synced(p->informer))
        return;
    for (size_t i = 0; i < p->n_boxes; i++) {
        const struct cri_sandbox *s = &p->boxes[i];

        if (!*s->uid || find(p, s->uid))
            continue;
        log_info("removing a pod that the cluster does not have", kv("pod", s->name),
                 kv("namespace", s->namespace), kv("uid", s->uid));
        add(p, s->uid, s->namespace, s->name, NULL);
    }
}

/* Pods may leave while they look: a list of them first. */
static void show(struct pods *p, const struct cri_container *v, size_t n)
{
    size_t n_pods = map_len(p->pods), k = 0;
    struct pod **list = mem_calloc(n_pods + 1, sizeof *list);
    struct str key;
    void *pod;

    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);)
        list[k++] = pod;
    for (size_t i = 0; i < k; i++)
        pod_observe(list[i], p->look_number, p->boxes, p->n_boxes, v, n);
    free(list);
}

static void on_containers(void *arg, const struct cri_container *v, size_t n, const struct err *e)
{
    struct pods *p = arg;

    if (!e && !p->closing) {
        adopt_orphans(p);
        show(p, v, n);
    } else if (e && e->code != ERR_CANCELED) {
        log_debug("containers not listed, will retry", kv("err", e->text));
    }
    look_end(p);
}

static void on_sandboxes(void *arg, const struct cri_sandbox *v, size_t n, const struct err *e)
{
    struct pods *p = arg;
    struct cri *cri = runtime_cri(p->c.runtime);

    if (e && e->code != ERR_CANCELED)
        log_debug("sandboxes not listed, will retry", kv("err", e->text));
    if (e || !cri || p->closing) {
        look_end(p);
        return;
    }
    p->boxes = arena_calloc(&p->look_arena, n, sizeof *p->boxes);
    p->n_boxes = n;
    for (size_t i = 0; i < n; i++)
        p->boxes[i] = (struct cri_sandbox){ .id = keep(p, v[i].id),
                                            .name = keep(p, v[i].name),
                                            .namespace = keep(p, v[i].namespace),
                                            .uid = keep(p, v[i].uid),
                                            .attempt = v[i].attempt,
                                            .ready = v[i].ready,
                                            .created_at_ns = v[i].created_at_ns };
    p->look = cri_list_containers(cri, NULL, on_containers, p);
}

static void look(struct pods *p)
{
    struct cri *cri = runtime_cri(p->c.runtime);

    if (p->closing)
        return;
    if (p->look) {
        p->look_again = true;
        return;
    }
    if (!cri) { /* pods_kick comes when there is one again; this is the safety net */
        timer_start_ms(&p->timer, LOOK_FAST_MS, on_timer, p);
        return;
    }
    if (!p->watch && uv_now(p->c.loop) >= p->watch_retry_ms)
        p->watch = cri_watch_exits(cri, on_exit_event, on_watch_done, p);
    timer_stop(&p->timer);
    p->look_number = p->node.next_look++;
    p->look = cri_list_sandboxes(cri, on_sandboxes, p);
}

static void on_look_wanted(void *arg)
{
    struct pods *p = arg;

    if (p->look)
        p->look_again = true;
    else if (!p->closing)
        timer_start_ms(&p->timer, 0, on_timer, p); /* several in one turn are one look */
}

void pods_kick(struct pods *p)
{
    struct str key;
    void *pod;

    if (p->closing)
        return;
    informer_kick(p->informer);
    p->watch_retry_ms = 0;
    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);)
        pod_retry_images(pod);
    on_look_wanted(p);
}

/* ---- start ---- */

static const char *keep_config(struct pods *p, const char *text)
{
    size_t n = strlen(text) + 1;
    char *t = arena_calloc(&p->arena, 1, n);

    return memcpy(t, text, n); /* our own words, no limit */
}

static void read_dns(struct pods *p)
{
    const char *path =
        p->c.resolv_conf && *p->c.resolv_conf ? p->c.resolv_conf : "/etc/resolv.conf";
    auto_buf text = BUF(RESOLV_MAX);
    struct translate_facts *f = &p->node.facts;
    struct str rest = str_of(p->c.cluster_dns), head;
    struct translate_dns dns;
    const char **cluster;
    struct err e;

    if (file_read(path, RESOLV_MAX, &text, &e))
        log_warn("pods get no DNS servers of the host", kv("err", e.text));
    translate_resolv_conf(&dns, buf_str(&text), &p->arena);
    f->dns_servers = dns.servers;
    f->n_dns_servers = dns.n_servers;
    f->dns_searches = dns.searches;
    f->n_dns_searches = dns.n_searches;
    f->dns_options = dns.options;
    f->n_dns_options = dns.n_options;
    cluster = arena_calloc(&p->arena, 8, sizeof *cluster);
    while (rest.n && f->n_cluster_dns < 8) {
        auto_free char *one = NULL;

        str_cut(rest, ',', &head, &rest);
        one = str_dup(str_trim(head));
        if (*one)
            cluster[f->n_cluster_dns++] = keep_config(p, one);
    }
    f->cluster_dns = cluster;
    f->cluster_domain = keep_config(
        p, p->c.cluster_domain && *p->c.cluster_domain ? p->c.cluster_domain : "cluster.local");
    f->memory_capacity_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

void pods_start(struct pods **out, const struct pods_config *c)
{
    static const struct informer_events events = { .on_add = on_object,
                                                   .on_update = on_object_changed,
                                                   .on_delete = on_object_gone,
                                                   .on_synced = on_synced };
    struct pods *p = mem_alloc(sizeof *p);
    auto_free char *selector = mem_printf("spec.nodeName=%s", c->node_name);
    struct informer_config ic = { .client = c->client,
                                  .path = "/api/v1/pods",
                                  .field_selector = selector };
    const char **ips, *shown[2];
    size_t n_shown;

    p->c = *c;
    p->arena = ARENA(SIZE_MAX);
    p->look_arena = ARENA(SIZE_MAX);
    p->pods = map_new();
    read_dns(p);
    n_shown = families_pick(shown, c->host_ips, c->n_host_ips,
                            c->n_host_ips && strchr(c->host_ips[0], ':'));
    ips = arena_calloc(&p->arena, n_shown, sizeof *ips);
    for (size_t i = 0; i < n_shown; i++)
        ips[i] = keep_config(p, shown[i]);
    p->node.loop = c->loop;
    p->node.client = c->client;
    p->node.runtime = c->runtime;
    p->node.host_ips = ips;
    p->node.n_host_ips = n_shown;
    p->node.state_dir =
        keep_config(p, c->state_dir && *c->state_dir ? c->state_dir : "/var/lib/kubelet/pods");
    p->node.log_root = keep_config(p, c->log_root && *c->log_root ? c->log_root : "/var/log/pods");
    p->node.next_look = 1;
    p->node.look = on_look_wanted;
    p->node.gone = on_pod_gone;
    p->node.arg = p;
    recorder_new(&p->node.recorder, c->client, c->node_name);
    timer_init(&p->timer, c->loop);
    timer_init(&p->event_timer, c->loop);
    timer_start_ms(&p->timer, 0, on_timer, p);
    informer_new(&p->informer, &ic, &events, p);
    *out = p;
}

/* ---- closing ---- */

static void on_timer_closed(void *arg)
{
    struct pods *p = arg;
    void (*done)(void *) = p->done;
    void *done_arg = p->done_arg;

    if (--p->n_timers)
        return;
    map_free(p->pods);
    arena_deinit(&p->arena);
    arena_deinit(&p->look_arena);
    free(p);
    if (done)
        done(done_arg);
}

static void on_recorder_closed(void *arg)
{
    struct pods *p = arg;

    p->recorder_closed = true;
    maybe_gone(p);
}

/* Pods and the informer first, the recorder that they use after them. */
static void maybe_gone(struct pods *p)
{
    if (!p->closing || !p->informer_closed || p->n_closing || p->look || p->watch)
        return;
    if (p->node.recorder) {
        recorder_close(STEAL(p->node.recorder), on_recorder_closed, p);
        return;
    }
    if (!p->recorder_closed)
        return;
    p->n_timers = 2;
    timer_close(&p->timer, on_timer_closed, p);
    timer_close(&p->event_timer, on_timer_closed, p);
}

static void on_informer_closed(void *arg)
{
    struct pods *p = arg;

    p->informer_closed = true;
    maybe_gone(p);
}

void pods_close(struct pods *p, void (*done)(void *arg), void *arg)
{
    struct str key;
    void *pod;

    p->closing = true;
    p->done = done;
    p->done_arg = arg;
    timer_stop(&p->timer);
    timer_stop(&p->event_timer);
    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);)
        close_pod(p, pod);
    if (p->look)
        cri_cancel(p->look);
    if (p->watch)
        cri_watch_cancel(p->watch);
    informer_close(p->informer, on_informer_closed, p);
}

/* ---- questions ---- */

size_t pods_n(const struct pods *p)
{
    struct str key;
    size_t n = 0;
    void *pod;

    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);)
        n += pod_object(pod) != NULL;
    return n;
}

json_t *pods_list_json(const struct pods *p)
{
    json_t *list = json_pack("{s:s, s:s, s:{}, s:[]}", "kind", "PodList", "apiVersion", "v1",
                             "metadata", "items");
    struct str key;
    void *pod;

    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);) {
        json_t *object = pod_object(pod), *status = pod_status(pod), *copy;

        if (object) {
            copy = json_copy(object); /* shallow: only the status is replaced */
            if (status)
                json_object_set(copy, "status", status);
            json_array_append_new(json_object_get(list, "items"), copy);
        }
        json_decref(status);
    }
    return list;
}

static struct pod *by_name(const struct pods *p, const char *ns, const char *name, const char *uid)
{
    struct str key;
    void *pod;

    for (size_t i = 0; map_next(p->pods, &i, &key, &pod);) {
        json_t *o = pod_object(pod);

        if (o && strcmp(meta_name(o), name) == 0 && strcmp(meta_namespace(o), ns) == 0 &&
            (!uid || !*uid || strcmp(pod_uid(pod), uid) == 0))
            return pod;
    }
    return NULL;
}

static const char *default_container(const struct pod *pod, const char *pod_name, struct err *e)
{
    const json_t *o = pod_object(pod), *list = json_at(o, "spec.containers");
    const char *name = meta_annotation(o, "kubectl.kubernetes.io/default-container");

    if (name && *name)
        return name;
    if (json_array_size(list) == 1)
        return json_str_at(json_array_get(list, 0), "name", "");
    err_set(e, ERR_INVALID, "a container name must be specified for pod %s", pod_name);
    return NULL;
}

int pods_container(const struct pods *p, const char *ns, const char *pod, const char *uid,
                   const char *container, struct pods_container *out, struct err *e)
{
    const struct pod *found = by_name(p, ns, pod, uid);

    if (!found)
        return err_set(e, ERR_NOT_FOUND, "pod \"%s\" not found", pod);
    if (!container || !*container) {
        container = default_container(found, pod, e);
        if (!container)
            return e->code;
    }
    if (!pod_container(found, container, out))
        return err_set(e, ERR_NOT_FOUND, "container \"%s\" not found in pod \"%s\"", container,
                       pod);
    return 0;
}

int pods_sandbox(const struct pods *p, const char *ns, const char *pod, const char *uid,
                 const char **sandbox_id, struct err *e)
{
    const struct pod *found = by_name(p, ns, pod, uid);

    if (!found)
        return err_set(e, ERR_NOT_FOUND, "pod \"%s\" not found", pod);
    if (!*pod_sandbox_id(found))
        return err_set(e, ERR_AGAIN, "pod \"%s\" is not running", pod);
    *sandbox_id = pod_sandbox_id(found);
    return 0;
}

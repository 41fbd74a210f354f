#include "agent/pod/recorder.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"

#include <stdio.h>

#define KNOWN_N     64 /* remembered, for counting repeats */
#define IN_FLIGHT_N 32 /* a server that is slow must not cost memory */
#define REPEAT_S    10 /* one update of a count per so many seconds */
#define MESSAGE_MAX 1024

struct known {
    char *key;  /* uid, container, reason, message */
    char *path; /* of the Event; NULL until it was created */
    int64_t count, written_unix_s;
};

struct recorder {
    struct kube_client *client;
    char *node_name;
    struct known known[KNOWN_N];
    size_t next;
    uv_timer_t *closer; /* calls done from the loop when nothing is in flight */
    unsigned n_calls;
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

struct note { /* a request that runs */
    struct recorder *r;
    char *key;
};

static void known_clear(struct known *k)
{
    free(k->key);
    free(k->path);
    *k = (struct known){ 0 };
}

static struct known *find(struct recorder *r, const char *key)
{
    for (size_t i = 0; i < KNOWN_N; i++)
        if (r->known[i].key && strcmp(r->known[i].key, key) == 0)
            return &r->known[i];
    return NULL;
}

static void on_closer_closed(uv_handle_t *h)
{
    struct recorder *r = h->data;
    void (*done)(void *) = r->done;
    void *arg = r->done_arg;

    for (size_t i = 0; i < KNOWN_N; i++)
        known_clear(&r->known[i]);
    free(h);
    free(r->node_name);
    free(r);
    if (done)
        done(arg);
}

static void maybe_gone(struct recorder *r)
{
    if (r->closing && !r->n_calls)
        uv_close((uv_handle_t *)r->closer, on_closer_closed);
}

static void on_written(void *arg, const struct kube_reply *reply, const struct err *e)
{
    struct note *n = arg;
    struct recorder *r = n->r;
    struct known *k = find(r, n->key);

    if (e && e->code != ERR_CANCELED)
        log_debug("event not written", kv("err", e->text));
    if (k && !e && !k->path && reply->object)
        k->path = mem_printf("/api/v1/namespaces/%s/events/%s", meta_namespace(reply->object),
                             meta_name(reply->object));
    else if (k && e) /* gone or never there: the next one starts over */
        known_clear(k);
    free(n->key);
    free(n);
    r->n_calls--;
    maybe_gone(r);
}

static struct note *note_new(struct recorder *r, const char *key)
{
    struct note *n = mem_alloc(sizeof *n);

    n->r = r;
    n->key = mem_strdup(key);
    r->n_calls++;
    return n;
}

static void repeat(struct recorder *r, struct known *k, int64_t now)
{
    char t[TIME_TEXT_BYTES];
    char body[128];

    k->count++;
    if (!k->path || now - k->written_unix_s < REPEAT_S)
        return;
    k->written_unix_s = now;
    time_text_s(t, now);
    snprintf(body, sizeof body, "{\"count\":%lld,\"lastTimestamp\":\"%s\"}", (long long)k->count,
             t);
    kube_patch(r->client, k->path, KUBE_PATCH_MERGE, str_of(body), on_written, note_new(r, k->key));
}

static json_t *event(const struct recorder *r, const json_t *pod, const char *container,
                     const char *type, const char *reason, const char *message, int64_t now)
{
    auto_free char *name =
        mem_printf("%.200s.%llx", meta_name(pod), (unsigned long long)clock_wall_us() * 1000);
    char t[TIME_TEXT_BYTES];
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "Pod", "apiVersion", "v1",
                              "namespace", meta_namespace(pod), "name", meta_name(pod), "uid",
                              meta_uid(pod), "resourceVersion", meta_str(pod, "resourceVersion"));
    json_t *o;

    time_text_s(t, now);
    if (container)
        json_object_set_new(about, "fieldPath", json_sprintf("spec.containers{%s}", container));
    o = json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:o, s:s, s:s, s:s, s:i, s:{s:s, s:s}, s:s, s:s}",
        "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace",
        meta_namespace(pod), "involvedObject", about, "reason", reason, "message",
        json_str_of(str_of(message)), "type", type, "firstTimestamp", t, "lastTimestamp", t,
        "count", 1, "source", "component", "kubelet", "host", r->node_name, "reportingComponent",
        "kubelet", "reportingInstance", r->node_name);
    return o;
}

void recorder_note(struct recorder *r, const json_t *pod, const char *container, const char *type,
                   const char *reason, const char *fmt, ...)
{
    static struct log_limit limit = LOG_LIMIT(100, 1000);
    auto_free char *message = NULL, *key = NULL, *path = NULL, *text = NULL;
    int64_t now = clock_wall_s();
    json_auto_t *o = NULL;
    struct known *k;
    va_list ap;

    va_start(ap, fmt);
    message = mem_vprintf(fmt, ap);
    va_end(ap);
    if (strlen(message) > MESSAGE_MAX) /* what the API takes */
        message[MESSAGE_MAX] = '\0';
    key = mem_printf("%s/%s/%s/%s", meta_uid(pod), container ? container : "", reason, message);
    if (r->closing || r->n_calls >= IN_FLIGHT_N)
        return;
    k = find(r, key);
    if (k) {
        repeat(r, k, now);
        return;
    }
    if (!log_allowed(&limit)) /* a hundred at once, one per second for ever */
        return;
    k = &r->known[r->next++ % KNOWN_N];
    known_clear(k);
    *k = (struct known){ .key = mem_strdup(key), .count = 1, .written_unix_s = now };
    o = event(r, pod, container, type, reason, message, now);
    text = json_text(o);
    path = mem_printf("/api/v1/namespaces/%s/events", meta_namespace(pod));
    kube_create(r->client, path, str_of(text), on_written, note_new(r, key));
}

void recorder_new(struct recorder **out, struct kube_client *client, const char *node_name)
{
    struct recorder *r = mem_alloc(sizeof *r);

    r->client = client;
    r->node_name = mem_strdup(node_name);
    r->closer = mem_alloc(sizeof *r->closer);
    uv_timer_init(kube_client_loop(client), r->closer);
    r->closer->data = r;
    *out = r;
}

void recorder_close(struct recorder *r, void (*done)(void *arg), void *arg)
{
    r->closing = true;
    r->done = done;
    r->done_arg = arg;
    maybe_gone(r);
}

/*
 * storm HOST:PORT CA CERT KEY SECONDS [hard] [pause=MS]: a storm of writes on an API server, while
 * somebody kills and starts it again. Twelve clients each write an object of their own, eight
 * ConfigMaps and four Leases; two watches follow them, and go on behind a break where they were. At
 * the end every object is read, and the history of it all has to be possible (test/lib/history.h).
 *
 *     connected --(a call fails without an answer)--> broken: a new life of the server begins
 *         ^---------------(a call is answered)-----------+
 *
 * hard: Leases are no softer than the rest, the datastore is an etcd. pause=MS: between the writes
 * of a client. HOST:PORT may be a balancer in front of several servers.
 *
 * Prints what it did, or the contradiction; the exit code says which.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/loop.h"
#include "base/io/timer.h"
#include "base/kube/client.h"
#include "base/kube/metadata.h"
#include "test/lib/admin.h"
#include "test/lib/history.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    CLIENTS = 12,
    LEASES = 4,
    RETRY_MS = 100,
    CALL_MS = 5000,
    END_MS = 60 * 1000, /* for the last reads, once no more is written */
};

static const struct kind {
    const char *path, *resource, *value_path;
    bool soft;
    const char *outside; /* of the value, in the object */
} KINDS[] = {
    { "/api/v1/namespaces/default/configmaps", "cm", "data.v", false, "data\":{\"v" },
    { "/apis/coordination.k8s.io/v1/namespaces/default/leases", "lease", "spec.holderIdentity",
      true, "spec\":{\"holderIdentity" },
};

struct storm {
    uv_loop_t loop;
    struct kube_client *kube;
    struct history *h;
    struct timer end;
    bool broken, ending, failed, hard;
    uint64_t pause_ms;
    unsigned n_breaks, n_left; /* left: clients that have not read at the end */
    size_t n_events;
    uint64_t n_values;
    struct client {
        struct storm *s;
        const struct kind *kind;
        char name[32], key[48];
        bool live, known;
        size_t op;
        struct timer retry;
    } clients[CLIENTS];
    struct watch {
        struct storm *s;
        const struct kind *kind;
        char prefix[16];
        size_t id;
        int64_t seen; /* 0: list first */
        struct timer retry;
        struct kube_call *call;
    } watches[ARRAY_LEN(KINDS)];
};

static void connection_is(struct storm *s, bool good)
{
    if (!good && !s->broken) {
        s->n_breaks++;
        history_crash(s->h);
    }
    s->broken = !good;
}

static int64_t rev_of(const json_t *object)
{
    return strtoll(json_str_at(object, "metadata.resourceVersion", "0"), NULL, 10);
}

static const char *value_of(const struct kind *kind, const json_t *object)
{
    return json_str_at(object, kind->value_path, "");
}

/* ---- clients ---- */

static void client_step(void *arg);

static void client_later(struct client *c)
{
    timer_start_ms(&c->retry, RETRY_MS, client_step, c);
}

static void finish_if_done(struct storm *s);

static void on_read(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct client *c = arg;

    connection_is(c->s, r->status != 0);
    if (e && e->code != ERR_NOT_FOUND) {
        client_later(c);
        return;
    }
    c->live = !e;
    c->known = true;
    history_read(c->s->h, c->key, e ? NULL : value_of(c->kind, r->object),
                 e ? 0 : rev_of(r->object));
    if (c->s->ending) {
        c->s->n_left--;
        finish_if_done(c->s);
        return;
    }
    client_step(c);
}

static void on_written(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct client *c = arg;

    connection_is(c->s, r->status != 0);
    if (!e) {
        history_acked(c->s->h, c->op, rev_of(r->object));
        c->live = true;
        if (c->s->pause_ms)
            timer_start_ms(&c->retry, c->s->pause_ms, client_step, c);
        else
            client_step(c);
        return;
    }
    if (e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND || e->code == ERR_AGAIN)
        history_refused(c->s->h, c->op);
    c->known = false; /* it may have happened: look */
    client_later(c);
}

static void client_write(struct client *c)
{
    auto_free char *item = mem_printf("%s/%s", c->kind->path, c->name);
    struct storm *s = c->s;
    auto_free char *value = mem_printf("%" PRIu64, ++s->n_values);
    auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"%s\"},\"%s\":\"%s\"}}", c->name,
                                      c->kind->outside, value);

    c->op = history_begin(s->h, c->key, value, c->kind->soft && c->live && !s->hard);
    if (c->live)
        kube_patch(s->kube, item, KUBE_PATCH_MERGE, str_of(text), on_written, c);
    else
        kube_create(s->kube, c->kind->path, str_of(text), on_written, c);
}

static void client_step(void *arg)
{
    struct client *c = arg;
    auto_free char *item = mem_printf("%s/%s", c->kind->path, c->name);

    if (c->known && !c->s->ending)
        client_write(c);
    else
        kube_get(c->s->kube, item, on_read, c);
}

/* ---- watches ---- */

static void watch_step(void *arg);

static void watch_later(struct watch *w)
{
    if (!w->s->ending || w->s->n_left)
        timer_start_ms(&w->retry, RETRY_MS, watch_step, w);
}

static void on_event(void *arg, enum kube_event_type type, json_t *object)
{
    struct watch *w = arg;
    int64_t rev = rev_of(object);
    char key[64];

    connection_is(w->s, true);
    w->seen = rev;
    if (type == KUBE_BOOKMARK) {
        history_seen(w->s->h, w->id, rev);
        return;
    }
    snprintf(key, sizeof key, "%s%.40s", w->prefix, meta_name(object));
    if (strncmp(meta_name(object), "storm-", 6) != 0)
        return; /* somebody else's */
    history_event(w->s->h, w->id, key, type == KUBE_DELETED ? NULL : value_of(w->kind, object),
                  rev);
    w->s->n_events++;
}

static void on_watch_done(void *arg, uint64_t retry_after_ms, const struct err *e)
{
    struct watch *w = arg;
    (void)retry_after_ms;

    w->call = NULL;
    if (e && e->code == ERR_EXPIRED)
        w->seen = 0;
    watch_later(w);
}

static void on_listed(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct watch *w = arg;

    connection_is(w->s, r->status != 0);
    if (!e)
        w->seen = rev_of(r->object);
    watch_later(w);
}

static void watch_step(void *arg)
{
    static const struct kube_watch_events events = { on_event, on_watch_done };
    struct watch *w = arg;
    struct kube_watch_options o = { .bookmarks = true };
    char rev[24];

    if (!w->seen) {
        kube_list(w->s->kube, w->kind->path, &(struct kube_list_options){ .limit = 1 }, on_listed,
                  w);
        return;
    }
    snprintf(rev, sizeof rev, "%" PRId64, w->seen);
    o.resource_version = rev;
    w->id = history_watch(w->s->h, w->prefix, w->seen);
    w->call = kube_watch(w->s->kube, w->kind->path, &o, &events, w);
}

/* ---- the end ---- */

static void close_all(struct storm *s)
{
    for (size_t i = 0; i < CLIENTS; i++)
        timer_close(&s->clients[i].retry, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(s->watches); i++)
        timer_close(&s->watches[i].retry, NULL, NULL);
    timer_close(&s->end, NULL, NULL);
    kube_client_close(s->kube, NULL, NULL);
}

static void finish_if_done(struct storm *s)
{
    if (!s->n_left)
        close_all(s);
}

static void on_too_late(void *arg)
{
    struct storm *s = arg;

    s->failed = true;
    printf("storm: %u objects could not be read at the end\n", s->n_left);
    close_all(s);
}

static void on_end(void *arg)
{
    struct storm *s = arg;

    s->ending = true;
    timer_start_ms(&s->end, END_MS, on_too_late, s);
}

/* ---- the start ---- */

static void start(struct storm *s)
{
    s->n_left = CLIENTS;
    for (size_t i = 0; i < ARRAY_LEN(s->watches); i++) {
        struct watch *w = &s->watches[i];
        w->s = s;
        w->kind = &KINDS[i];
        snprintf(w->prefix, sizeof w->prefix, "/%s/", w->kind->resource);
        timer_init(&w->retry, &s->loop);
        watch_step(w);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &s->clients[i];
        c->s = s;
        c->kind = &KINDS[i < LEASES];
        snprintf(c->name, sizeof c->name, "storm-%zu", i);
        snprintf(c->key, sizeof c->key, "/%s/%s", c->kind->resource, c->name);
        timer_init(&c->retry, &s->loop);
        client_step(c);
    }
}

static bool read_words(struct storm *s, char **words)
{
    for (; *words; words++) {
        struct str key, value;

        if (strcmp(*words, "hard") == 0)
            s->hard = true;
        else if (!str_cut(str_of(*words), '=', &key, &value) || !str_is(key, "pause") ||
                 !str_to_u64(value, &s->pause_ms))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct storm s;
    const char *why;

    if (argc < 6 || !read_words(&s, argv + 6)) {
        fprintf(stderr, "usage: storm HOST:PORT CA CERT KEY SECONDS [hard] [pause=MS]\n");
        return 2;
    }
    loop_ignore_sigpipe();
    log_level_min = LOG_LVL_ERROR;
    setvbuf(stdout, NULL, _IOLBF, 0);
    uv_loop_init(&s.loop);
    s.h = history_new();
    struct tls_client_config *tls = admin_tls(argv[2], argv[3], argv[4], NULL);
    struct kube_client_config kc = { .endpoint = { .authority = argv[1],
                                                   .tls = tls,
                                                   .proto = HTTP_H1,
                                                   .n_connections_max = 64,
                                                   .dial_timeout_ms = 2000 },
                                     .timeout_ms = CALL_MS };
    kube_client_new(&s.kube, &s.loop, &kc);
    timer_init(&s.end, &s.loop);
    timer_start_ms(&s.end, strtoull(argv[5], NULL, 10) * 1000, on_end, &s);
    start(&s);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    why = history_check(s.h);
    printf("storm: %zu acknowledged writes, %zu events, %u breaks: %s\n", history_n_acked(s.h),
           s.n_events, s.n_breaks, why ? why : "all there");
    s.failed = s.failed || why || !s.n_events || !history_n_acked(s.h);
    history_free(s.h);
    tls_client_config_free(tls);
    uv_loop_close(&s.loop);
    return s.failed;
}

#include "server/boot/announce.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/timer.h"
#include "server/api/local.h"
#include "server/controller/kubernetes_service.h"

#define SERVERS_MAX 64

static const char *const endpoints_fields[] = { "subsets", NULL };
static const char *const slice_fields[] = { "endpoints", "ports", NULL };

static const struct {
    struct local_ref ref;
    json_t *(*make)(const struct kubernetes_want *w);
    const char *const *fields;
    const char *list, *ip; /* where the addresses are, and each of them in its item */
} objects[] = {
    { { .resource = "endpoints", .ns = "default", .name = "kubernetes" },
      kubernetes_endpoints_new,
      endpoints_fields,
      "subsets[0].addresses",
      "ip" },
    { { .group = "discovery.k8s.io",
        .resource = "endpointslices",
        .ns = "default",
        .name = "kubernetes" },
      kubernetes_slice_new,
      slice_fields,
      "endpoints",
      "addresses[0]" },
};

struct announce {
    struct announce_config config;
    char *ip;
    struct timer timer;
    uint64_t until_ms;
    size_t at;                             /* the object that is looked at */
    unsigned n_missed[ARRAY_LEN(objects)]; /* in a row */
    bool busy, closing;
    void (*done)(void *arg);
    void *done_arg;
};

static void look(struct announce *a);

static void on_timer(void *arg)
{
    struct announce *a = arg;

    a->at = 0;
    look(a);
}

static void on_timer_closed(void *arg)
{
    struct announce *a = arg;
    void (*done)(void *) = a->done;
    void *done_arg = a->done_arg;

    free(a->ip);
    free(a);
    done(done_arg);
}

static void next(struct announce *a)
{
    a->busy = false;
    if (a->closing) {
        timer_close(&a->timer, on_timer_closed, a);
    } else if (++a->at < ARRAY_LEN(objects)) {
        look(a);
    } else if (uv_now(a->config.loop) < a->until_ms) {
        timer_start_ms(&a->timer, a->config.look_ms, on_timer, a);
    }
}

static void on_patched(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)code;
    (void)obj;
    if (e) /* somebody was faster: the next look tells */
        log_debug("own address not announced", kv("err", e->text));
    next(arg);
}

/* The patch that adds our address; NULL: it is there. */
static json_t *patch_of(const struct announce *a, const json_t *now)
{
    const json_t *list = json_at(now, objects[a->at].list), *item;
    const char *ips[SERVERS_MAX + 1];
    bool v6 = strcmp(json_str_at(now, "addressType", ""), "IPv6") == 0; /* a slice stays so */
    struct kubernetes_want w = { .service_ip = v6 ? "::" : "", .ips = ips, .port = a->config.port };
    char why[160];
    size_t i;

    if (!kubernetes_publishes(a->ip, why, sizeof why)) /* the controllers say so */
        return NULL;

    json_array_foreach(list, i, item)
    {
        const char *ip = json_str_at(item, objects[a->at].ip, "");

        if (strcmp(ip, a->ip) == 0)
            return NULL;
        if (*ip && w.n_ips < SERVERS_MAX)
            ips[w.n_ips++] = ip;
    }
    ips[w.n_ips++] = a->ip;
    json_auto_t *want = objects[a->at].make(&w);
    return kubernetes_slice_must_go(now, want) && a->at == 1
               ? NULL
               : kubernetes_fix(now, want, objects[a->at].fields);
}

static void on_read(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct announce *a = arg;
    json_auto_t *patch = e || a->closing ? NULL : patch_of(a, obj);

    (void)code;
    if (!patch) {
        a->n_missed[a->at] = 0;
        next(a);
        return;
    }
    if (a->n_missed[a->at]++ == 0) { /* the controllers are just about to */
        next(a);
        return;
    }
    a->n_missed[a->at] = 0;
    log_info("nobody adds this server to the endpoints: it does so itself",
             kv("object", objects[a->at].ref.resource), kv("address", a->ip));
    local_patch(a->config.api, &objects[a->at].ref, LOCAL_PATCH_MERGE, patch, on_patched, a);
}

static void look(struct announce *a)
{
    a->busy = true;
    local_get(a->config.api, &objects[a->at].ref, on_read, a);
}

/* ---- life ---- */

void announce_start(struct announce **out, const struct announce_config *c)
{
    struct announce *a = mem_alloc(sizeof *a);

    a->config = *c;
    a->ip = mem_strdup(c->ip);
    a->config.look_ms = c->look_ms ? c->look_ms : ANNOUNCE_LOOK_MS;
    a->until_ms = uv_now(c->loop) + ANNOUNCE_FOR_MS;
    timer_init(&a->timer, c->loop);
    *out = a;
    look(a);
}

void announce_close(struct announce *a, void (*done)(void *arg), void *arg)
{
    a->closing = true;
    a->done = done;
    a->done_arg = arg;
    if (!a->busy)
        timer_close(&a->timer, on_timer_closed, a);
}

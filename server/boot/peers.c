#include "server/boot/peers.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"
#include "server/api/local.h"

#include <stdio.h>

#define LABEL    "coracle.io/component"
#define TICK_MS  1000
#define RETRY_MS 2000

struct peer {
    char ip[46];
    char uid[40];     /* of its Lease */
    uint64_t seen_ms; /* when it was last seen to change */
    bool live;
};

struct peers {
    struct peers_config config;
    char *own_ip, *own_name;
    struct local_watch *watch;
    struct map *by_name;
    struct timer tick;
    uint64_t renew_at_ms;
    bool busy, closing;
    void (*done)(void *arg);
    void *done_arg;
};

static struct local_ref ref_of(const struct peers *p)
{
    return (struct local_ref){ .group = "coordination.k8s.io",
                               .resource = "leases",
                               .ns = "kube-system",
                               .name = p->own_name };
}

/* ---- others ---- */

static bool set_live(struct peer *x, bool live)
{
    if (x->live == live)
        return false;
    x->live = live;
    if (live)
        log_info("server of this cluster", kv("address", x->ip));
    else
        log_warn("server of this cluster is gone", kv("address", x->ip));
    return true;
}

/* How old is it when we see it for the first time? Its own clock tells, if it agrees with ours. */
static bool looks_dead(const json_t *lease)
{
    int64_t renewed_us;

    if (!time_parse(&renewed_us, str_of(json_str_at(lease, "spec.renewTime", ""))))
        return true;
    return clock_wall_us() - renewed_us > (int64_t)PEERS_DEAD_MS * 1000;
}

static void on_event(void *arg, enum local_event ev, const json_t *lease)
{
    struct peers *p = arg;
    struct str name = str_of(meta_name(lease));
    struct peer *x = map_get(p->by_name, name);
    const char *ip = json_str_at(lease, "spec.holderIdentity", "");
    bool changed, is_new = !x;

    if (ev == LOCAL_DELETED) {
        x = map_remove(p->by_name, name);
        changed = x && set_live(x, false);
        free(x);
    } else {
        if (!*ip || strlen(ip) >= sizeof x->ip || strcmp(ip, p->own_ip) == 0)
            return;
        if (!x) {
            x = mem_alloc(sizeof *x);
            map_set(p->by_name, name, x);
        }
        memcpy(x->ip, ip, strlen(ip) + 1);
        snprintf(x->uid, sizeof x->uid, "%s", meta_uid(lease));
        x->seen_ms = uv_now(p->config.loop);
        changed = set_live(x, !(is_new && looks_dead(lease)));
    }
    if (changed)
        p->config.on_change(p->config.arg);
}

static void look_for_dead(struct peers *p)
{
    uint64_t now_ms = uv_now(p->config.loop);
    bool changed = false;
    struct str name;
    void *v;

    for (size_t i = 0; map_next(p->by_name, &i, &name, &v);) {
        struct peer *x = v;
        if (x->live && now_ms - x->seen_ms >= PEERS_DEAD_MS)
            changed |= set_live(x, false);
    }
    if (changed)
        p->config.on_change(p->config.arg);
}

static void maybe_closed(struct peers *p);

static void on_forgotten(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct peers *p = arg;

    (void)code;
    (void)obj;
    p->busy = false;
    if (e && e->code != ERR_NOT_FOUND)
        log_debug("the lease of a dead server stays", kv("err", e->text));
    maybe_closed(p);
}

/* One at a time: a server that moves leaves a Lease behind for each address that it had. */
static void forget_dead(struct peers *p)
{
    uint64_t now_ms = uv_now(p->config.loop);
    uint64_t forget_ms = p->config.forget_ms ? p->config.forget_ms : PEERS_FORGET_MS;
    struct str name;
    void *v;

    for (size_t i = 0; map_next(p->by_name, &i, &name, &v);) {
        struct peer *x = v;
        auto_free char *text = NULL;
        struct local_ref ref = ref_of(p);
        struct local_delete_opts o = { .grace_period_s = -1, .uid = x->uid };

        if (x->live || now_ms - x->seen_ms < forget_ms)
            continue;
        text = str_dup(name);
        ref.name = text;
        x->seen_ms = now_ms; /* its event takes it away, or it is tried again */
        p->busy = true;
        local_delete(p->config.api, &ref, &o, on_forgotten, p);
        return;
    }
}

size_t peers_live(const struct peers *p, const char **ips, size_t max)
{
    struct str name;
    size_t n = 0;
    void *v;

    if (max)
        ips[n++] = p->own_ip;
    for (size_t i = 0; n < max && map_next(p->by_name, &i, &name, &v);) {
        const struct peer *x = v;
        if (x->live)
            ips[n++] = x->ip;
    }
    return n;
}

/* ---- our own ---- */

static void on_renewed(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct peers *p = arg;

    (void)code;
    (void)obj;
    p->busy = false;
    if (e && e->code == ERR_NOT_FOUND) {
        struct local_ref ref = ref_of(p);
        char now[TIME_TEXT_BYTES];

        if (!p->closing) {
            time_now_us(now);
            json_auto_t *lease = json_pack(
                "{s:{s:s, s:s, s:{s:s}}, s:{s:s, s:i, s:s}}", "metadata", "name", p->own_name,
                "namespace", "kube-system", "labels", LABEL, "server", "spec", "holderIdentity",
                p->own_ip, "leaseDurationSeconds", PEERS_DEAD_MS / 1000, "renewTime", now);
            p->busy = true;
            local_create(p->config.api, &ref, lease, on_renewed, p);
            return;
        }
    } else if (e) {
        p->renew_at_ms = uv_now(p->config.loop) + RETRY_MS;
    }
    maybe_closed(p);
}

static void renew(struct peers *p)
{
    struct local_ref ref = ref_of(p);
    char now[TIME_TEXT_BYTES];

    time_now_us(now);
    json_auto_t *patch =
        json_pack("{s:{s:s, s:s}}", "spec", "holderIdentity", p->own_ip, "renewTime", now);
    p->busy = true;
    p->renew_at_ms = uv_now(p->config.loop) + PEERS_RENEW_MS;
    local_patch(p->config.api, &ref, LOCAL_PATCH_MERGE, patch, on_renewed, p);
}

static void on_tick(void *arg)
{
    struct peers *p = arg;

    timer_start_ms(&p->tick, TICK_MS, on_tick, p);
    if (!p->busy && uv_now(p->config.loop) >= p->renew_at_ms)
        renew(p);
    look_for_dead(p);
    if (!p->busy)
        forget_dead(p);
}

/* ---- life ---- */

void peers_start(struct peers **out, const struct peers_config *c)
{
    static const struct local_watch_events events = { .on_event = on_event, .no_cache = true };
    static const struct local_list_opts opts = { .label_selector = LABEL "=server" };
    struct local_ref leases = { .group = "coordination.k8s.io",
                                .resource = "leases",
                                .ns = "kube-system" };
    struct peers *p = mem_alloc(sizeof *p);

    p->config = *c;
    p->own_ip = mem_strdup(c->own_ip);
    p->own_name = mem_printf("coracle-%s-server", c->own_ip);
    for (char *s = p->own_name; *s; s++)
        if (*s == ':')
            *s = '-';
    p->by_name = map_new();
    timer_init(&p->tick, c->loop);
    *out = p;
    local_watch_start(&p->watch, c->api, &leases, &opts, &events, p);
    on_tick(p);
}

static void on_timer_closed(void *arg)
{
    struct peers *p = arg;
    void (*done)(void *) = p->done;
    void *done_arg = p->done_arg;
    struct str name;
    void *v;

    for (size_t i = 0; map_next(p->by_name, &i, &name, &v);)
        free(v);
    map_free(p->by_name);
    free(p->own_ip);
    free(p->own_name);
    free(p);
    done(done_arg);
}

static void on_removed(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct peers *p = arg;

    (void)code;
    (void)obj;
    if (e)
        log_debug("our lease among the servers stays", kv("err", e->text));
    timer_close(&p->tick, on_timer_closed, p);
}

static void maybe_closed(struct peers *p)
{
    const struct local_delete_opts o = { .grace_period_s = -1 };
    struct local_ref ref = ref_of(p);

    if (!p->closing || p->busy)
        return;
    local_delete(p->config.api, &ref, &o, on_removed, p);
}

void peers_close(struct peers *p, void (*done)(void *arg), void *arg)
{
    p->closing = true;
    p->done = done;
    p->done_arg = arg;
    local_watch_stop(p->watch);
    timer_stop(&p->tick);
    maybe_closed(p);
}

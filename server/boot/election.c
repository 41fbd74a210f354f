#include "server/boot/election.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"
#include "server/api/local.h"

#include <stdio.h>

#define LEASE_NAME "coracle-controllers"

struct election {
    struct election_config config;
    char me[384], before[352];
    bool first_look; /* an earlier start of ours may still stand there */
    struct timer retry, deadline;
    bool busy; /* a call runs */
    bool leader, closing;
    char *seen; /* resourceVersion of the lease as last seen */
    uint64_t seen_ms;
    uint64_t asked_ms; /* when the call that runs began */
    size_t n_open;
    void (*done)(void *arg);
    void *done_arg;
};

static const struct local_ref lease_ref = {
    .group = "coordination.k8s.io", .resource = "leases", .ns = "kube-system", .name = LEASE_NAME
};

enum election_step election_decide(const char *me, const char *before, const char *holder,
                                   uint64_t unchanged_ms)
{
    if (!holder)
        return ELECTION_CREATE;
    if (strcmp(holder, me) == 0)
        return ELECTION_RENEW;
    if (before && strncmp(holder, before, strlen(before)) == 0)
        return ELECTION_TAKE;
    return !*holder || unchanged_ms >= ELECTION_DURATION_MS ? ELECTION_TAKE : ELECTION_WAIT;
}

static void try_now(void *arg);

static void try_later(struct election *el)
{
    if (!el->closing)
        timer_start_ms(&el->retry, rand_jitter_ms(ELECTION_RETRY_MS, 10), try_now, el);
}

/* ---- in and out ---- */

static void lose(struct election *el, const char *why)
{
    if (!el->leader)
        return;
    el->leader = false;
    timer_stop(&el->deadline);
    log_warn("this server's controllers stop, another may take over", kv("why", why));
    if (!el->closing)
        el->config.on_lost(el->config.arg);
}

static void on_deadline(void *arg)
{
    lose(arg, "the lease could not be renewed in time");
}

/* Ours from when we asked on: others count from when they see it, which is later. */
static void hold(struct election *el)
{
    uint64_t gone_ms = uv_now(el->config.loop) - el->asked_ms;

    if (gone_ms >= ELECTION_RENEW_MS) {
        lose(el, "the renewal took too long");
        return;
    }
    timer_start_ms(&el->deadline, ELECTION_RENEW_MS - gone_ms, on_deadline, el);
    if (el->leader)
        return;
    el->leader = true;
    el->first_look = false;
    log_info("this server's controllers run", kv("holder", el->me));
    el->config.on_elected(el->config.arg);
}

/* ---- calls ---- */

static void maybe_closed(struct election *el);

static void note(struct election *el, const json_t *lease)
{
    const char *rv = meta_str(lease, "resourceVersion");

    if (el->seen && strcmp(el->seen, rv) == 0)
        return;
    free(el->seen);
    el->seen = mem_strdup(rv);
    el->seen_ms = uv_now(el->config.loop);
}

static void on_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct election *el = arg;

    (void)code;
    el->busy = false;
    if (!e) {
        note(el, obj);
        if (!el->closing)
            hold(el);
    } else if (e->code != ERR_CONFLICT && e->code != ERR_EXISTS && e->code != ERR_CLOSED) {
        log_debug("lease of the controllers not written", kv("err", e->text));
    }
    try_later(el);
    maybe_closed(el);
}

static json_t *lease_of(const struct election *el, const json_t *old, const char *holder)
{
    char now[TIME_TEXT_BYTES];
    bool same = old && strcmp(json_str_at(old, "spec.holderIdentity", ""), holder) == 0;
    int64_t n = json_i64_at(old, "spec.leaseTransitions", 0);
    json_t *lease;

    (void)el;
    time_now_us(now);
    lease =
        json_pack("{s:{s:s, s:s}, s:{s:s, s:i, s:s, s:s, s:I}}", "metadata", "name", LEASE_NAME,
                  "namespace", "kube-system", "spec", "holderIdentity", holder,
                  "leaseDurationSeconds", *holder ? ELECTION_DURATION_MS / 1000 : 1, "acquireTime",
                  same ? json_str_at(old, "spec.acquireTime", now) : now, "renewTime", now,
                  "leaseTransitions", (json_int_t)(old && !same && *holder ? n + 1 : n));
    if (old)
        json_object_set_new(json_object_get(lease, "metadata"), "resourceVersion",
                            json_string(meta_str(old, "resourceVersion")));
    return lease;
}

static void write_lease(struct election *el, const json_t *old, const char *holder)
{
    json_auto_t *lease = lease_of(el, old, holder);

    el->busy = true;
    el->asked_ms = uv_now(el->config.loop);
    if (old)
        local_update(el->config.api, &lease_ref, lease, on_written, el);
    else
        local_create(el->config.api, &lease_ref, lease, on_written, el);
}

static void on_read(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct election *el = arg;
    const char *holder = e ? NULL : json_str_at(obj, "spec.holderIdentity", "");
    enum election_step step;

    (void)code;
    el->busy = false;
    if (!e)
        note(el, obj);
    step = election_decide(el->me, el->first_look ? el->before : NULL, holder,
                           uv_now(el->config.loop) - el->seen_ms);
    if (!e && step != ELECTION_TAKE) /* a write that fails is tried again */
        el->first_look = false;
    if (el->closing && !e && step == ELECTION_RENEW) {
        write_lease(el, obj, ""); /* given up */
        return;
    }
    if (el->closing || (e && e->code != ERR_NOT_FOUND) || step == ELECTION_WAIT) {
        if (!e && step == ELECTION_WAIT)
            lose(el, "another server holds the lease");
        try_later(el);
        maybe_closed(el);
        return;
    }
    write_lease(el, e ? NULL : obj, el->me);
}

static void try_now(void *arg)
{
    struct election *el = arg;

    if (el->busy)
        return;
    el->busy = true;
    local_get(el->config.api, &lease_ref, on_read, el);
}

/* ---- life ---- */

void election_start(struct election **out, const struct election_config *c)
{
    struct election *el = mem_alloc(sizeof *el);
    char uuid[37], start[9];

    el->config = *c;
    rand_uuid(uuid);
    rand_hex(start, 4);
    snprintf(el->before, sizeof el->before, "%s_%s_", c->node, c->id ? c->id : uuid);
    snprintf(el->me, sizeof el->me, "%s%s", el->before, start);
    el->first_look = true;
    timer_init(&el->retry, c->loop);
    timer_init(&el->deadline, c->loop);
    *out = el;
    try_now(el);
}

bool election_is_leader(const struct election *el)
{
    return el && el->leader;
}

static void on_part_closed(void *arg)
{
    struct election *el = arg;
    void (*done)(void *) = el->done;
    void *done_arg = el->done_arg;

    if (--el->n_open)
        return;
    free(el->seen);
    free(el);
    done(done_arg);
}

static void maybe_closed(struct election *el)
{
    if (!el->closing || el->busy || el->n_open)
        return;
    el->n_open = 2;
    timer_close(&el->retry, on_part_closed, el);
    timer_close(&el->deadline, on_part_closed, el);
}

void election_close(struct election *el, void (*done)(void *arg), void *arg)
{
    bool held = el->leader;

    el->closing = true;
    el->leader = false;
    el->done = done;
    el->done_arg = arg;
    timer_stop(&el->retry);
    timer_stop(&el->deadline);
    if (held && !el->busy)
        try_now(el); /* reads it, gives it up, closes */
    else
        maybe_closed(el);
}

#include "tools/hollow_fleet.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/timer.h"

#include <stdio.h>

#define TICK_MS         100
#define STARTS_PER_TICK 50u /* keys are made in the loop: the running ones want their turn */
#define CLOSES_AT_ONCE  100

struct seen { /* a cause */
    unsigned n, n_told;
};

struct fleet {
    struct fleet_config c;
    struct hollow_agent **agents;
    unsigned n_started;
    uint64_t began_ms, all_joined_ms, marked_ms, back_ms; /* loop's clock; 0: not yet */
    int64_t marked_unix_s;
    struct map *causes; /* text -> struct seen */
    struct timer tick_timer, storm_timer;
    uint64_t storm_ms;
    unsigned n_closing, next_close, n_timers;
    void (*done)(void *arg);
    void *done_arg;
};

static void on_error(void *arg, const char *cause, const char *text)
{
    struct fleet *f = arg;
    struct seen *s = map_get(f->causes, str_of(cause));

    if (!s) {
        s = mem_alloc(sizeof *s);
        map_set(f->causes, str_of(cause), s);
    }
    s->n++;
    log_debug("hollow agent failed", kv("cause", cause), kv("err", text));
}

static uint64_t now_ms(const struct fleet *f)
{
    return uv_now(f->c.agent.loop);
}

static void start_one(struct fleet *f)
{
    struct err e;

    if (hollow_agent_new(&f->agents[f->n_started], &f->c.agent, f->c.first + f->n_started, &e)) {
        log_error("hollow agent cannot start", kv("err", e.text));
        on_error(f, "start", e.text);
    }
    f->n_started++;
}

static bool is_back(const struct fleet *f, const struct hollow_agent *a)
{
    struct hollow_agent_state st;

    if (!a)
        return false;
    hollow_agent_state(a, &st);
    return st.ready && st.n_tunnels && st.lease_unix_s > f->marked_unix_s;
}

static bool all_are(const struct fleet *f,
                    bool (*is)(const struct fleet *f, const struct hollow_agent *a))
{
    if (f->n_started < f->c.n_agents)
        return false;
    for (unsigned i = 0; i < f->n_started; i++)
        if (!is(f, f->agents[i]))
            return false;
    return true;
}

static bool is_up(const struct fleet *f, const struct hollow_agent *a)
{
    struct hollow_agent_state st;

    (void)f;
    if (!a)
        return false;
    hollow_agent_state(a, &st);
    return st.ready && st.n_tunnels;
}

static unsigned n_joining(const struct fleet *f)
{
    struct fleet_counts n;

    fleet_count(f, &n);
    return n.started - n.joined;
}

static void on_tick(void *arg)
{
    struct fleet *f = arg;
    unsigned max = f->c.n_joining_max ? f->c.n_joining_max : f->c.n_agents;
    unsigned room = f->n_started < f->c.n_agents ? max - MIN(max, n_joining(f)) : 0;
    double elapsed_s = (double)(now_ms(f) - f->began_ms) / 1000;
    double due = f->c.rate_per_s > 0 ? 1 + elapsed_s * f->c.rate_per_s : f->c.n_agents;

    for (unsigned i = 0;
         i < MIN(room, STARTS_PER_TICK) && f->n_started < f->c.n_agents && f->n_started < due; i++)
        start_one(f);
    if (!f->all_joined_ms && all_are(f, is_up))
        f->all_joined_ms = now_ms(f);
    if (f->marked_ms && !f->back_ms && all_are(f, is_back))
        f->back_ms = now_ms(f);
    timer_start_ms(&f->tick_timer, TICK_MS, on_tick, f);
}

void fleet_new(struct fleet **out, const struct fleet_config *c)
{
    struct fleet *f = mem_alloc(sizeof *f);

    f->c = *c;
    f->c.agent.on_error = on_error;
    f->c.agent.arg = f;
    f->agents = mem_calloc(c->n_agents, sizeof(struct hollow_agent *));
    f->causes = map_new();
    f->began_ms = now_ms(f);
    timer_init(&f->tick_timer, c->agent.loop);
    timer_init(&f->storm_timer, c->agent.loop);
    f->n_timers = 2;
    timer_start_ms(&f->tick_timer, 0, on_tick, f);
    *out = f;
}

void fleet_mark(struct fleet *f)
{
    f->marked_ms = now_ms(f);
    f->marked_unix_s = clock_wall_s();
    f->back_ms = 0;
}

/* ---- misbehaving ---- */

void fleet_fault(struct fleet *f, enum wire_fault fault, unsigned n)
{
    for (unsigned i = 0; i < f->n_started; i++) {
        struct hollow_agent *a = f->agents[i];
        bool bad = i < n && fault != WIRE_GOOD;

        if (!a)
            continue;
        hollow_agent_fault(a, bad ? fault : WIRE_GOOD);
        hollow_agent_greed(a, bad && fault == WIRE_SLOW);
    }
}

void fleet_garbage(struct fleet *f, unsigned n)
{
    for (unsigned i = 0; i < n && i < f->n_started; i++)
        if (f->agents[i])
            hollow_agent_garbage(f->agents[i]);
}

void fleet_cut(struct fleet *f)
{
    for (unsigned i = 0; i < f->n_started; i++)
        if (f->agents[i])
            hollow_agent_cut(f->agents[i]);
}

static void on_storm(void *arg)
{
    struct fleet *f = arg;

    fleet_cut(f);
    fleet_storm(f, f->storm_ms);
}

void fleet_storm(struct fleet *f, uint64_t every_ms)
{
    f->storm_ms = every_ms;
    if (every_ms)
        timer_start_ms(&f->storm_timer, every_ms, on_storm, f);
    else
        timer_stop(&f->storm_timer);
}

/* ---- counting ---- */

void fleet_count(const struct fleet *f, struct fleet_counts *out)
{
    *out = (struct fleet_counts){ .started = f->n_started };
    for (unsigned i = 0; i < f->n_started; i++) {
        struct hollow_agent_state st;

        if (!f->agents[i])
            continue;
        hollow_agent_state(f->agents[i], &st);
        out->joined += st.joined;
        out->ready += st.ready;
        out->tunnels += (unsigned)st.n_tunnels;
        out->watches += (unsigned)st.n_watches;
        out->connections += (unsigned)st.n_connections;
    }
}

static double seconds(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0;
}

void fleet_line(struct fleet *f, struct buf *out)
{
    struct fleet_counts n;
    struct str cause;
    void *value;
    int r;

    fleet_count(f, &n);
    r = buf_addf(out, "%.1f started=%u joined=%u ready=%u tunnels=%u watches=%u connections=%u",
                 seconds(f->began_ms, now_ms(f)), n.started, n.joined, n.ready, n.tunnels,
                 n.watches, n.connections);
    if (f->all_joined_ms)
        r |= buf_addf(out, " up_s=%.1f", seconds(f->began_ms, f->all_joined_ms));
    if (f->back_ms)
        r |= buf_addf(out, " back_s=%.1f", seconds(f->marked_ms, f->back_ms));
    for (size_t i = 0; map_next(f->causes, &i, &cause, &value);) {
        struct seen *s = value;

        if (s->n != s->n_told)
            r |= buf_addf(out, " [" STR_FMT ": %u]", STR_ARG(cause), s->n - s->n_told);
        s->n_told = s->n;
    }
    err_ignore(r); /* a line that is too long is cut */
}

json_t *fleet_summary(const struct fleet *f)
{
    json_t *causes = json_object();
    struct fleet_counts n;
    struct str cause;
    void *value;

    fleet_count(f, &n);
    for (size_t i = 0; map_next(f->causes, &i, &cause, &value);) {
        const struct seen *s = value;
        json_object_setn_new(causes, cause.p, cause.n, json_integer(s->n));
    }
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:o}", "agents", f->c.n_agents, "joined", n.joined,
        "ready", n.ready, "tunnels", n.tunnels, "watches", n.watches, "upMilliseconds",
        (json_int_t)(f->all_joined_ms ? f->all_joined_ms - f->began_ms : 0), "backMilliseconds",
        (json_int_t)(f->back_ms ? f->back_ms - f->marked_ms : 0), "errors", causes);
}

void fleet_laggards(const struct fleet *f, struct buf *out, unsigned n_max)
{
    int r = 0;

    for (unsigned i = 0; i < f->n_started && n_max; i++) {
        struct hollow_agent_state st;

        if (!f->agents[i] || (f->marked_ms ? is_back : is_up)(f, f->agents[i]))
            continue;
        hollow_agent_state(f->agents[i], &st);
        r |= buf_addf(out, "%s joined=%d ready=%d tunnels=%zu lease_unix_s=%lld %s\n",
                      hollow_agent_name(f->agents[i]), st.joined, st.ready, st.n_tunnels,
                      (long long)st.lease_unix_s, st.why);
        n_max--;
    }
    err_ignore(r); /* as far as it fits */
}

/* ---- the end ---- */

static void maybe_gone(struct fleet *f)
{
    void (*done)(void *) = f->done;
    void *arg = f->done_arg;
    struct str key;
    void *value;

    if (f->n_closing || f->n_timers || f->next_close < f->n_started)
        return;
    for (size_t i = 0; map_next(f->causes, &i, &key, &value);)
        free(value);
    map_free(f->causes);
    free(f->agents);
    free(f);
    if (done)
        done(arg);
}

static void close_more(struct fleet *f);

static void on_agent_closed(void *arg)
{
    struct fleet *f = arg;

    f->n_closing--;
    close_more(f);
}

static void close_more(struct fleet *f)
{
    while (f->next_close < f->n_started && f->n_closing < CLOSES_AT_ONCE) {
        struct hollow_agent *a = f->agents[f->next_close++];

        if (!a)
            continue;
        f->n_closing++;
        hollow_agent_close(a, on_agent_closed, f);
    }
    maybe_gone(f);
}

static void on_timer_closed(void *arg)
{
    struct fleet *f = arg;

    f->n_timers--;
    maybe_gone(f);
}

void fleet_close(struct fleet *f, void (*done)(void *arg), void *arg)
{
    f->done = done;
    f->done_arg = arg;
    timer_close(&f->tick_timer, on_timer_closed, f);
    timer_close(&f->storm_timer, on_timer_closed, f);
    close_more(f);
}

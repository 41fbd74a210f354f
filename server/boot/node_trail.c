/*
 * Records by name, each in one of two queues, least recent news first: known (something was proved)
 * or claimed (nothing was). A claimed record moves over with the first proved fact and never back.
 */
#include "server/boot/node_trail.h"

#include "base/core/list.h"
#include "base/core/map.h"
#include "base/core/mem.h"

#include <stdio.h>

#define TEXT_BYTES     200
#define EVICT_LOOK_MAX 64 /* of the oldest records: a full table must not cost a walk each time */

struct ring { /* events of one source, oldest first */
    struct trail_event *v;
    size_t n, cap;
};

struct record {
    struct list in; /* known or claimed */
    char *name;
    bool is_known;
    struct node_facts facts; /* its texts are this record's */
    struct ring rings[N_TRAIL_FROM];
    char run[NODE_REPORT_RUN_BYTES]; /* of the agent's last report */
    size_t n_of_run;                 /* the last so many of the agent's ring are of that run */
    int64_t came_before_unix_s;      /* when the tunnel before this one came; 0: none did */
    int64_t came_unix_s;             /* the last one */
};

struct node_trail {
    int64_t started_unix_s;
    struct map *records;
    struct list known, claimed;
    size_t n_known, n_claimed;
    unsigned claims_left; /* of the bucket */
    int64_t claims_unix_s;
};

const char *trail_from_name(enum trail_from f)
{
    static const char *const names[] = { "server", "agent", "claim" };

    return f < N_TRAIL_FROM ? names[f] : "";
}

/* ---- records ---- */

static void set_text(const char **to, const char *text)
{
    char clean[TEXT_BYTES];

    node_text_clean(clean, sizeof clean, str_of(text));
    free((char *)*to);
    *to = *clean ? mem_strdup(clean) : NULL;
}

static void record_free(struct node_trail *t, struct record *r)
{
    struct node_facts *f = &r->facts;
    const char *texts[] = { f->not_ready,       f->tunnel_text,  f->kubelet_text, f->refused.text,
                            f->with_token.text, f->claimed.text, f->away_text };

    (*(r->is_known ? &t->n_known : &t->n_claimed))--;
    list_remove(&r->in);
    map_remove(t->records, str_of(r->name));
    for (size_t k = 0; k < N_TRAIL_FROM; k++) {
        for (size_t i = 0; i < r->rings[k].n; i++)
            free(r->rings[k].v[i].text);
        free(r->rings[k].v);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free((char *)texts[i]);
    free(r->name);
    free(r);
}

static bool is_there(const struct record *r)
{
    return r->facts.connected || r->facts.has_object;
}

/* The one longest without news goes; one that is there only when its neighbours are too. */
static void make_room(struct node_trail *t)
{
    unsigned looked = 0;

    if (t->n_known < TRAIL_NODES_MAX)
        return;
    list_each (r, &t->known, struct record, in) {
        if (looked++ == EVICT_LOOK_MAX)
            break;
        if (!is_there(r)) {
            record_free(t, r);
            return;
        }
    }
    record_free(t, list_first(&t->known, struct record, in));
}

static struct record *record_new(struct node_trail *t, const char *node)
{
    struct record *r = mem_alloc(sizeof *r);

    r->name = mem_strdup(node);
    map_set(t->records, str_of(node), r);
    return r;
}

/* The record of a node that has proved something just now. */
static struct record *record_of(struct node_trail *t, const char *node)
{
    struct record *r = map_get(t->records, str_of(node));

    if (!r || !r->is_known)
        make_room(t);
    if (!r) {
        r = record_new(t, node);
        t->n_known++;
    } else {
        list_remove(&r->in);
        if (!r->is_known) {
            t->n_claimed--;
            t->n_known++;
        }
    }
    r->is_known = true;
    list_push(&t->known, &r->in);
    return r;
}

/* ---- events ---- */

static void drop_event(struct ring *g, size_t i)
{
    free(g->v[i].text);
    memmove(&g->v[i], &g->v[i + 1], (g->n - i - 1) * sizeof g->v[0]);
    g->n--;
}

/* The event is the newest; text is copied. */
static struct trail_event *add_event(struct record *r, const struct trail_event *ev,
                                     const char *text)
{
    struct ring *g = &r->rings[ev->from];
    char clean[TEXT_BYTES];

    if (g->n == TRAIL_EVENTS_MAX)
        drop_event(g, 0);
    if (g->n == g->cap) {
        g->cap = MIN(g->cap ? 2 * g->cap : 2, (size_t)TRAIL_EVENTS_MAX);
        g->v = mem_realloc(g->v, g->cap * sizeof g->v[0]);
    }
    node_text_clean(clean, sizeof clean, str_of(text));
    g->v[g->n] = *ev;
    g->v[g->n].n_times = MAX(ev->n_times, 1u);
    g->v[g->n].text = mem_strdup(clean);
    return &g->v[g->n++];
}

static void saw(struct record *r, bool up, enum cause c, const char *text, int64_t now_unix_s)
{
    struct trail_event ev = { .at_unix_s = now_unix_s, .from = TRAIL_SERVER, .up = up, .cause = c };

    add_event(r, &ev, text);
}

/* ---- what this server sees ---- */

/* Refusals from before say nothing any more; the events stay. */
static void forgive(struct node_facts *f)
{
    f->refused.cause = f->with_token.cause = f->claimed.cause = CAUSE_NONE;
}

void node_trail_tunnel(struct node_trail *t, const char *node, bool connected, const char *text,
                       int64_t now_unix_s)
{
    struct record *r = record_of(t, node);
    struct node_facts *f = &r->facts;

    f->connected = connected;
    f->tunnel_unix_s = now_unix_s;
    set_text(&f->tunnel_text, text);
    if (connected) { /* a fresh start: what was wrong before may be mended */
        r->came_before_unix_s = r->came_unix_s;
        r->came_unix_s = now_unix_s;
        f->kubelet = CAUSE_NONE;
        f->away = CAUSE_NONE;
        forgive(f);
    }
    saw(r, connected, CAUSE_SESSION, text, now_unix_s);
}

void node_trail_lease(struct node_trail *t, const char *node, int64_t stale_since_unix_s,
                      int64_t now_unix_s)
{
    const struct record *known = map_get(t->records, str_of(node));
    bool stale = stale_since_unix_s != 0;

    if (stale == (known && known->facts.lease_stale))
        return;
    struct record *r = record_of(t, node);
    r->facts.lease_stale = stale;
    r->facts.lease_unix_s = stale_since_unix_s;
    saw(r, !stale, CAUSE_LEASE, stale ? "not renewed any more" : "renewed again", now_unix_s);
}

void node_trail_kubelet(struct node_trail *t, const char *node, enum cause c, const char *text,
                        int64_t now_unix_s)
{
    const struct record *known = map_get(t->records, str_of(node));
    enum cause before = known ? known->facts.kubelet : CAUSE_NONE;

    if (!known && c == CAUSE_NONE)
        return;
    struct record *r = record_of(t, node);
    r->facts.kubelet = c;
    set_text(&r->facts.kubelet_text, text);
    if (c == before)
        return;
    r->facts.kubelet_unix_s = now_unix_s;
    if (c != CAUSE_NONE)
        saw(r, false, c, text, now_unix_s);
    else
        saw(r, true, before, "it answers again", now_unix_s);
}

void node_trail_object(struct node_trail *t, const char *node, const struct trail_object *o,
                       int64_t now_unix_s)
{
    struct record *r = record_of(t, node);
    struct node_facts *f = &r->facts;
    bool had = f->has_object;

    f->has_object = o != NULL;
    set_text(&f->not_ready, o && o->not_ready ? o->not_ready : "");
    if (o) {
        f->kubelet_port = o->kubelet_port;
        f->deleted_unix_s = 0;
        if (!had && o->is_news)
            saw(r, true, CAUSE_NODE, "registered", now_unix_s);
        return;
    }
    f->lease_stale = false;
    if (had) {
        f->deleted_unix_s = now_unix_s;
        forgive(f);
        saw(r, false, CAUSE_NODE, "the Node object was deleted", now_unix_s);
    }
}

static void refuse(struct node_refusal *x, enum cause c, const char *text, int64_t now_unix_s)
{
    x->n_times = x->cause == c ? x->n_times + 1 : 1;
    x->cause = c;
    x->at_unix_s = now_unix_s;
    set_text(&x->text, text);
}

/* The last event counts up when it is the same again. */
static void again_or_new(struct record *r, struct trail_event *last, const struct trail_event *ev,
                         const char *text)
{
    char clean[TEXT_BYTES];

    if (!last || last->up || last->cause != ev->cause) {
        add_event(r, ev, text);
        return;
    }
    node_text_clean(clean, sizeof clean, str_of(text));
    last->n_times++;
    last->until_unix_s = ev->at_unix_s;
    free(last->text);
    last->text = mem_strdup(clean);
}

void node_trail_refused(struct node_trail *t, const char *node, enum cause c, const char *text,
                        int64_t now_unix_s)
{
    struct record *r = record_of(t, node);
    struct ring *g = &r->rings[TRAIL_SERVER];
    struct trail_event ev = { .at_unix_s = now_unix_s, .from = TRAIL_SERVER, .cause = c };

    refuse(&r->facts.refused, c, text, now_unix_s);
    again_or_new(r, g->n ? &g->v[g->n - 1] : NULL, &ev, text);
}

/* ---- claims ---- */

static bool claim_allowed(struct node_trail *t, int64_t now_unix_s)
{
    int64_t passed = now_unix_s - t->claims_unix_s;

    if (passed > TRAIL_CLAIMS_BURST || passed < 0) /* a clock that went back fills it too */
        passed = TRAIL_CLAIMS_BURST;
    t->claims_unix_s = now_unix_s;
    t->claims_left =
        MIN(t->claims_left + (unsigned)passed * TRAIL_CLAIMS_PER_S, (unsigned)TRAIL_CLAIMS_BURST);
    if (!t->claims_left)
        return false;
    t->claims_left--;
    return true;
}

static struct record *claimed_record(struct node_trail *t, const char *node)
{
    struct record *r = map_get(t->records, str_of(node));

    if (r && r->is_known)
        return r; /* a claim is no news of it */
    if (!r) {
        if (t->n_claimed == TRAIL_CLAIMED_MAX)
            record_free(t, list_first(&t->claimed, struct record, in));
        r = record_new(t, node);
        t->n_claimed++;
    } else {
        list_remove(&r->in);
    }
    list_push(&t->claimed, &r->in);
    return r;
}

void node_trail_claim(struct node_trail *t, const char *node, enum cause c, const char *text,
                      bool has_token, int64_t now_unix_s)
{
    struct trail_event ev = { .at_unix_s = now_unix_s, .from = TRAIL_CLAIM, .cause = c };
    struct trail_event *same = NULL;
    struct record *r;
    struct ring *g;

    if (!claim_allowed(t, now_unix_s))
        return;
    r = claimed_record(t, node);
    g = &r->rings[TRAIL_CLAIM];
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].cause == c)
            same = &g->v[i];
    if (!same && g->n == TRAIL_CLAIM_EVENTS_MAX)
        drop_event(g, 0);
    refuse(has_token ? &r->facts.with_token : &r->facts.claimed, c, text, now_unix_s);
    again_or_new(r, same, &ev, text);
}

/* ---- what the agent tells ---- */

#define ABOUT_S 60 /* the tunnel comes some seconds after what kept it away has ended */

/* That the session ended or the lease got old is what the others do. */
static bool is_effect(enum cause c)
{
    return c == CAUSE_SESSION || c == CAUSE_LEASE;
}

static bool explains_better(const struct node_spell *a, const struct node_spell *b)
{
    if (is_effect(a->cause) != is_effect(b->cause))
        return is_effect(b->cause);
    return a->lasted_ms >= b->lasted_ms;
}

/* Which spell kept it away: of those that ended about when its tunnel came, and nearer to that than
 * to when the one before came, the one that says most. (When a tunnel ended is known too late where
 * its end was silent.) */
static void explain_absence(struct record *r, const struct node_report *rep, int64_t now_unix_s)
{
    struct node_facts *f = &r->facts;
    const struct node_spell *best = NULL;
    int64_t half = r->came_before_unix_s + (r->came_unix_s - r->came_before_unix_s + 1) / 2;
    int64_t first = MAX(f->tunnel_unix_s - ABOUT_S, half), best_until = 0;

    for (size_t i = 0; i < rep->n_spells; i++) {
        const struct node_spell *s = &rep->spells[i];
        int64_t until = now_unix_s - (int64_t)((s->began_ago_ms - s->lasted_ms) / 1000);

        if (s->ongoing || until < first || until > f->tunnel_unix_s + ABOUT_S ||
            (best && !explains_better(s, best)))
            continue;
        best = s;
        best_until = until;
    }
    if (!best)
        return;
    f->away = best->cause;
    f->away_from_unix_s = now_unix_s - (int64_t)(best->began_ago_ms / 1000);
    f->away_until_unix_s = best_until;
    set_text(&f->away_text, best->text);
}

void node_trail_report(struct node_trail *t, const char *node, const struct node_report *rep,
                       int64_t now_unix_s)
{
    struct record *r = record_of(t, node);
    struct ring *g = &r->rings[TRAIL_AGENT];

    r->facts.clock_known = true;
    r->facts.clock_ahead_s = rep->now_unix_s - now_unix_s;
    if (strcmp(r->run, rep->run) == 0) /* it tells the whole again */
        for (; r->n_of_run; r->n_of_run--)
            drop_event(g, g->n - 1);
    memcpy(r->run, rep->run, sizeof r->run);
    for (size_t i = 0; i < rep->n_spells; i++) {
        const struct node_spell *s = &rep->spells[i];
        int64_t began = now_unix_s - (int64_t)(s->began_ago_ms / 1000);
        struct trail_event ev = {
            .at_unix_s = began,
            .until_unix_s = s->ongoing ? 0 : began + (int64_t)(s->lasted_ms / 1000),
            .from = TRAIL_AGENT,
            .cause = s->cause,
            .n_times = s->n_times,
        };
        add_event(r, &ev, s->text);
    }
    r->n_of_run = rep->n_spells;
    explain_absence(r, rep, now_unix_s);
}

/* ---- reading ---- */

const struct node_facts *node_trail_facts(const struct node_trail *t, const char *node)
{
    const struct record *r = map_get(t->records, str_of(node));

    return r ? &r->facts : NULL;
}

size_t node_trail_events(const struct node_trail *t, const char *node, struct trail_event *out,
                         size_t n_max)
{
    const struct record *r = map_get(t->records, str_of(node));
    struct trail_event all[TRAIL_MERGED_MAX];
    size_t n = 0, take;

    /* insertion: what happened in one second stays in its order */
    for (size_t k = 0; r && k < N_TRAIL_FROM; k++)
        for (size_t i = 0; i < r->rings[k].n; i++) {
            size_t at = n++;

            for (; at && all[at - 1].at_unix_s > r->rings[k].v[i].at_unix_s; at--)
                all[at] = all[at - 1];
            all[at] = r->rings[k].v[i];
        }
    take = MIN(n, n_max);
    memcpy(out, all + n - take, take * sizeof all[0]);
    return take;
}

bool node_trail_next(const struct node_trail *t, size_t *i, const char **name)
{
    struct str key;
    void *value;

    if (!map_next(t->records, i, &key, &value))
        return false;
    *name = ((const struct record *)value)->name;
    return true;
}

size_t node_trail_n_nodes(const struct node_trail *t)
{
    return t->n_known;
}

int64_t node_trail_started_unix_s(const struct node_trail *t)
{
    return t->started_unix_s;
}

/* ---- life ---- */

void node_trail_new(struct node_trail **out, int64_t now_unix_s)
{
    struct node_trail *t = mem_alloc(sizeof *t);

    t->started_unix_s = t->claims_unix_s = now_unix_s;
    t->claims_left = TRAIL_CLAIMS_BURST;
    t->records = map_new();
    list_init(&t->known);
    list_init(&t->claimed);
    *out = t;
}

void node_trail_free(struct node_trail *t)
{
    struct list *lists[] = { &t->known, &t->claimed };

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        list_each (r, lists[k], struct record, in)
            record_free(t, r);
    map_free(t->records);
    free(t);
}

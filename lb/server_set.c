/*
 * The list is small (a handful, at most LB_SERVERS_MAX), so it is an array that is sorted whenever
 * somebody asks for the order. Closing connections is collected while the states change and done at
 * the end of each function, because the callee touches counters that the decisions read.
 */
#include "lb/server_set.h"

#include "base/core/mem.h"

struct lb_server_set {
    struct lb_server *v[LB_SERVERS_MAX + 1]; /* room for a STANDBY default */
    size_t n;
    struct lb_server *dflt; /* one of v, or NULL */
    void (*close_conns)(void *arg, struct lb_server *s);
    void *arg;
    struct lb_server *to_close[LB_SERVERS_MAX + 1]; /* ref'd */
    size_t n_to_close;
};

const char *lb_state_name(enum lb_state s)
{
    static const char *const names[LB_N_STATES] = { "INVALID",   "FAILED",     "STANDBY",
                                                    "UNCHECKED", "RECOVERING", "HEALTHY",
                                                    "PREFERRED", "ACTIVE" };
    return (size_t)s < LB_N_STATES ? names[s] : "?";
}

enum lb_state lb_next_state(enum lb_state s, enum lb_event ev, size_t n_conns, uint64_t in_state_ms,
                            bool *close_all)
{
    bool failed = ev == LB_DIAL_FAIL || ev == LB_CHECK_FAIL;

    *close_all = false;
    switch (s) {
    case LB_INVALID:
    case LB_STANDBY:
        return s;
    case LB_FAILED:
        return failed ? s : LB_RECOVERING;
    case LB_UNCHECKED:
        return failed ? LB_FAILED : LB_RECOVERING;
    case LB_RECOVERING:
        if (failed)
            return LB_FAILED;
        if (ev == LB_DIAL_OK)
            return s;
        return n_conns ? LB_ACTIVE : LB_PREFERRED;
    case LB_HEALTHY:
    case LB_PREFERRED:
        if (failed) {
            *close_all = true;
            return LB_FAILED;
        }
        if (ev == LB_DIAL_OK)
            return LB_ACTIVE;
        return s == LB_PREFERRED && in_state_ms > LB_PREFERRED_MS ? LB_HEALTHY : s;
    case LB_ACTIVE:
        if (!failed)
            return s;
        *close_all = true;
        return LB_FAILED;
    }
    return s;
}

struct lb_server *lb_server_ref(struct lb_server *s)
{
    s->refs++;
    return s;
}

void lb_server_unref(struct lb_server *s)
{
    if (s && --s->refs == 0)
        free(s);
}

void lb_server_set_new(struct lb_server_set **out,
                       void (*close_conns)(void *arg, struct lb_server *s), void *arg)
{
    struct lb_server_set *set = mem_alloc(sizeof *set);

    set->close_conns = close_conns;
    set->arg = arg;
    *out = set;
}

void lb_server_set_free(struct lb_server_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++) {
        set->v[i]->state = LB_INVALID;
        lb_server_unref(set->v[i]);
    }
    free(set);
}

static void move_to(struct lb_server *s, enum lb_state state, uint64_t now_ms)
{
    if (s->state == state)
        return;
    s->state = state;
    s->since_ms = now_ms;
}

static void close_later(struct lb_server_set *set, struct lb_server *s)
{
    for (size_t i = 0; i < set->n_to_close; i++)
        if (set->to_close[i] == s)
            return;
    set->to_close[set->n_to_close++] = lb_server_ref(s);
}

static void close_now(struct lb_server_set *set)
{
    while (set->n_to_close) {
        struct lb_server *s = set->to_close[--set->n_to_close];
        if (set->close_conns)
            set->close_conns(set->arg, s);
        lb_server_unref(s);
    }
}

static struct lb_server *add(struct lb_server_set *set, struct str address, enum lb_state state,
                             uint64_t now_ms)
{
    struct lb_server *s;

    if (set->n == ARRAY_LEN(set->v) || address.n > LB_ADDRESS_MAX_BYTES)
        return NULL;
    s = mem_alloc(sizeof *s);
    memcpy(s->address, address.p, address.n);
    s->state = state;
    s->since_ms = now_ms;
    s->refs = 1;
    list_init(&s->conns);
    set->v[set->n++] = s;
    return s;
}

static void drop(struct lb_server_set *set, struct lb_server *s, uint64_t now_ms)
{
    size_t i = 0;

    while (set->v[i] != s)
        i++;
    memmove(&set->v[i], &set->v[i + 1], (set->n - i - 1) * sizeof set->v[0]);
    set->n--;
    move_to(s, LB_INVALID, now_ms);
    close_later(set, s);
    lb_server_unref(s); /* close_later holds one more */
}

struct lb_server *lb_server_set_find(const struct lb_server_set *set, struct str address)
{
    for (size_t i = 0; i < set->n; i++)
        if (str_is(address, set->v[i]->address))
            return set->v[i];
    return NULL;
}

const struct lb_server *lb_server_set_get_default(const struct lb_server_set *set)
{
    return set->dflt;
}

void lb_server_set_default(struct lb_server_set *set, struct str address, uint64_t now_ms)
{
    struct lb_server *old = set->dflt;

    if (old && str_is(address, old->address))
        return;
    set->dflt = NULL;
    if (old && old->state == LB_STANDBY)
        drop(set, old, now_ms);
    if (address.n) {
        set->dflt = lb_server_set_find(set, address);
        if (!set->dflt)
            set->dflt = add(set, address, LB_STANDBY, now_ms);
    }
    close_now(set);
}

static bool contains(const struct str *addresses, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(addresses[i], address))
            return true;
    return false;
}

bool lb_server_set_addresses(struct lb_server_set *set, const struct str *addresses, size_t n,
                             uint64_t now_ms)
{
    bool changed = false;

    for (size_t i = set->n; i-- > 0;) {
        struct lb_server *s = set->v[i];
        if (s->state == LB_STANDBY || contains(addresses, n, s->address))
            continue;
        changed = true;
        if (s == set->dflt) {
            move_to(s, LB_STANDBY, now_ms);
            close_later(set, s);
        } else {
            drop(set, s, now_ms);
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct lb_server *s = lb_server_set_find(set, addresses[i]);
        if (s && s->state == LB_STANDBY) {
            move_to(s, LB_UNCHECKED, now_ms);
            changed = true;
        } else if (!s && set->n < LB_SERVERS_MAX) {
            changed |= add(set, addresses[i], LB_UNCHECKED, now_ms) != NULL;
        }
    }
    close_now(set);
    return changed;
}

/* One server serves; the others let go of their connections, so that all of a node's clients talk
 * to the same one. Of two active ones the busier stays, and then nothing else changes. */
static void become_active(struct lb_server_set *set, struct lb_server *s, uint64_t now_ms)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct lb_server *o = set->v[i];

        if (o != s && o->state == LB_ACTIVE && o->n_conns > s->n_conns) {
            move_to(s, LB_PREFERRED, now_ms);
            close_later(set, s);
            return;
        }
    }
    move_to(s, LB_ACTIVE, now_ms);
    for (size_t i = 0; i < set->n; i++) {
        struct lb_server *o = set->v[i];

        if (o == s || o->state == LB_UNCHECKED || o->state == LB_PREFERRED)
            continue;
        if (o->state == LB_ACTIVE)
            move_to(o, LB_PREFERRED, now_ms);
        close_later(set, o);
    }
}

void lb_server_set_event(struct lb_server_set *set, struct lb_server *s, enum lb_event ev,
                         const struct err *e, uint64_t now_ms)
{
    enum lb_state next;
    bool close_all;

    if (ev == LB_DIAL_OK || ev == LB_DIAL_FAIL)
        s->n_dials++;
    s->reached = ev == LB_DIAL_OK || ev == LB_CHECK_OK;
    if (e) {
        s->last_err = *e;
        s->last_err_ms = now_ms;
        s->n_failures++;
    }
    next = lb_next_state(s->state, ev, s->n_conns, now_ms - s->since_ms, &close_all);
    if (next == LB_ACTIVE && s->state != LB_ACTIVE)
        become_active(set, s, now_ms);
    else
        move_to(s, next, now_ms);
    if (close_all)
        close_later(set, s);
    close_now(set);
}

static int rank(const struct lb_server *s)
{
    if (s->state == LB_STANDBY && s->reached)
        return LB_UNCHECKED * 4 + 1; /* between UNCHECKED ones that were reached and the others */
    return (int)s->state * 4 + (s->reached ? 2 : 0);
}

static bool before(const struct lb_server *a, const struct lb_server *b)
{
    return rank(a) != rank(b) ? rank(a) > rank(b) : a->n_conns > b->n_conns;
}

size_t lb_server_set_order(const struct lb_server_set *set, struct lb_server **out)
{
    for (size_t i = 0; i < set->n; i++) {
        size_t at = i;
        for (; at && before(set->v[i], out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = set->v[i];
    }
    return set->n;
}

size_t lb_server_set_listed(const struct lb_server_set *set, struct lb_server **out)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        if (set->v[i]->state != LB_STANDBY)
            out[n++] = set->v[i];
    return n;
}

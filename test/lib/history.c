#include "test/lib/history.h"

#include "base/core/map.h"
#include "base/core/mem.h"

#include <stdio.h>

enum outcome { OPEN, ACKED, REFUSED };

struct op {
    char *key, *value; /* value NULL: deletes */
    bool soft;
    enum outcome outcome;
    int64_t rev;         /* ACKED; else 0, or where it was seen */
    size_t began, ended; /* places in the order of all records */
    unsigned boot;
};

struct sight { /* an event, or a read; watch SIZE_MAX: a read */
    char *key, *value;
    int64_t rev; /* a read: mod_rev, 0: not there */
    size_t watch, at;
    unsigned boot;
};

struct watch {
    char *prefix;
    int64_t from_rev, seen_rev;
    unsigned boot;
};

struct history {
    struct op *ops;
    struct sight *sights;
    struct watch *watches;
    size_t n_ops, n_sights, n_watches, n_acked;
    size_t now;
    unsigned boot;
    int64_t newest;       /* the highest revision that anybody was told */
    struct map *by_value; /* "key\nvalue" to 1 + the op's number */
    char why[512];
};

#define GROW(v, n)                                                                                 \
    ((n) & ((n)-1) ? (void)0 : (void)((v) = mem_realloc((v), ((n) ? 2 * (n) : 1) * sizeof *(v))))

static const char *wrong(struct history *h, const char *fmt, ...) PRINTF_FMT(2, 3);
static const char *wrong(struct history *h, const char *fmt, ...)
{
    va_list ap;

    if (h->why[0])
        return h->why;
    va_start(ap, fmt);
    vsnprintf(h->why, sizeof h->why, fmt, ap);
    va_end(ap);
    return h->why;
}

static char *dup_or_null(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

struct history *history_new(void)
{
    struct history *h = mem_alloc(sizeof *h);

    h->by_value = map_new();
    return h;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n_ops; i++) {
        free(h->ops[i].key);
        free(h->ops[i].value);
    }
    for (size_t i = 0; i < h->n_sights; i++) {
        free(h->sights[i].key);
        free(h->sights[i].value);
    }
    for (size_t i = 0; i < h->n_watches; i++)
        free(h->watches[i].prefix);
    free(h->ops);
    free(h->sights);
    free(h->watches);
    map_free(h->by_value);
    free(h);
}

/* ---- recording ---- */

static struct op *op_of_value(struct history *h, const char *key, const char *value)
{
    auto_free char *id = mem_printf("%s\n%s", key, value);
    size_t i = (size_t)(uintptr_t)map_get(h->by_value, str_of(id));

    return i ? &h->ops[i - 1] : NULL;
}

size_t history_begin(struct history *h, const char *key, const char *value, bool soft)
{
    GROW(h->ops, h->n_ops);
    if (value) {
        auto_free char *id = mem_printf("%s\n%s", key, value);
        if (map_get(h->by_value, str_of(id)))
            wrong(h, "the test itself: %s is given the value %s twice", key, value);
        map_set(h->by_value, str_of(id), (void *)(uintptr_t)(h->n_ops + 1));
    }
    h->ops[h->n_ops] = (struct op){ .key = mem_strdup(key),
                                    .value = dup_or_null(value),
                                    .soft = soft,
                                    .began = h->now++,
                                    .ended = SIZE_MAX,
                                    .boot = h->boot };
    return h->n_ops++;
}

void history_acked(struct history *h, size_t i, int64_t rev)
{
    struct op *op = &h->ops[i];

    op->outcome = ACKED;
    op->ended = h->now++;
    op->rev = rev;
    h->n_acked++;
    h->newest = MAX(h->newest, rev);
}

void history_refused(struct history *h, size_t i)
{
    h->ops[i].outcome = REFUSED;
    h->ops[i].ended = h->now++;
}

size_t history_n_acked(const struct history *h)
{
    return h->n_acked;
}

void history_crash(struct history *h)
{
    h->boot++;
}

static void sight_add(struct history *h, size_t watch, const char *key, const char *value,
                      int64_t rev)
{
    GROW(h->sights, h->n_sights);
    h->sights[h->n_sights++] = (struct sight){ .key = mem_strdup(key),
                                               .value = dup_or_null(value),
                                               .rev = rev,
                                               .watch = watch,
                                               .at = h->now++,
                                               .boot = h->boot };
    h->newest = MAX(h->newest, rev);
}

void history_read(struct history *h, const char *key, const char *value, int64_t mod_rev)
{
    sight_add(h, SIZE_MAX, key, mod_rev ? value : NULL, mod_rev);
}

void history_revision(struct history *h, int64_t rev)
{
    if (rev < h->newest)
        wrong(h, "the revision went back: %lld after %lld", (long long)rev, (long long)h->newest);
    h->newest = MAX(h->newest, rev);
}

size_t history_watch(struct history *h, const char *prefix, int64_t from_rev)
{
    GROW(h->watches, h->n_watches);
    h->watches[h->n_watches] = (struct watch){
        .prefix = mem_strdup(prefix), .from_rev = from_rev, .seen_rev = from_rev, .boot = h->boot
    };
    return h->n_watches++;
}

void history_event(struct history *h, size_t watch, const char *key, const char *value, int64_t rev)
{
    struct watch *w = &h->watches[watch];

    if (rev <= w->seen_rev) /* no commit here has two operations */
        wrong(h, "watch %zu of %s: %s at revision %lld after %lld", watch, w->prefix, key,
              (long long)rev, (long long)w->seen_rev);
    if (strncmp(key, w->prefix, strlen(w->prefix)) != 0)
        wrong(h, "watch %zu of %s got an event of %s", watch, w->prefix, key);
    w->seen_rev = MAX(w->seen_rev, rev);
    sight_add(h, watch, key, value, rev);
}

void history_seen(struct history *h, size_t watch, int64_t rev)
{
    struct watch *w = &h->watches[watch];

    w->seen_rev = MAX(w->seen_rev, rev);
    h->newest = MAX(h->newest, rev);
}

/* ---- checking ---- */

/* Every sight is of a write that somebody began, and says the same as its answer. */
static const char *check_sights(struct history *h)
{
    for (size_t i = 0; i < h->n_sights; i++) {
        struct sight *s = &h->sights[i];
        struct op *op;
        if (!s->value)
            continue;
        op = op_of_value(h, s->key, s->value);
        if (!op || op->began > s->at)
            return wrong(h, "%s=%s at revision %lld was never written", s->key, s->value,
                         (long long)s->rev);
        if (op->outcome == REFUSED)
            return wrong(h, "%s=%s at revision %lld: the write was refused", s->key, s->value,
                         (long long)s->rev);
        if (op->rev && op->rev != s->rev)
            return wrong(h, "%s=%s is at revision %lld and at %lld", s->key, s->value,
                         (long long)op->rev, (long long)s->rev);
        op->rev = s->rev;
        if (op->outcome == OPEN) { /* whoever sees it may count on it */
            op->outcome = ACKED;
            op->ended = s->at;
        }
    }
    return NULL;
}

struct use {
    int64_t rev;
    const char *key, *value;
};

static int use_cmp(const void *a, const void *b)
{
    const struct use *x = a, *y = b;

    return (x->rev > y->rev) - (x->rev < y->rev);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* No revision means two things, whoever saw it. */
static const char *check_unique(struct history *h)
{
    struct use *v = mem_calloc(h->n_ops + h->n_sights + 1, sizeof *v);
    size_t n = 0;

    for (size_t i = 0; i < h->n_ops; i++)
        if (h->ops[i].rev)
            v[n++] = (struct use){ h->ops[i].rev, h->ops[i].key, h->ops[i].value };
    for (size_t i = 0; i < h->n_sights; i++)
        if (h->sights[i].rev)
            v[n++] = (struct use){ h->sights[i].rev, h->sights[i].key, h->sights[i].value };
    qsort(v, n, sizeof *v, use_cmp);
    for (size_t i = 1; i < n && !h->why[0]; i++)
        if (v[i].rev == v[i - 1].rev &&
            (strcmp(v[i].key, v[i - 1].key) != 0 || !same(v[i].value, v[i - 1].value)))
            wrong(h, "revision %lld is %s=%s and %s=%s", (long long)v[i].rev, v[i - 1].key,
                  v[i - 1].value ? v[i - 1].value : "(deleted)", v[i].key,
                  v[i].value ? v[i].value : "(deleted)");
    free(v);
    return h->why[0] ? h->why : NULL;
}

static struct history *sorting; /* qsort has no argument */

static int by_began(const void *a, const void *b)
{
    size_t x = sorting->ops[*(const size_t *)a].began, y = sorting->ops[*(const size_t *)b].began;

    return (x > y) - (x < y);
}
static int by_ended(const void *a, const void *b)
{
    size_t x = sorting->ops[*(const size_t *)a].ended, y = sorting->ops[*(const size_t *)b].ended;

    return (x > y) - (x < y);
}

static size_t *sorted_ops(struct history *h, int (*cmp)(const void *, const void *))
{
    size_t *v = mem_calloc(h->n_ops + 1, sizeof *v);

    for (size_t i = 0; i < h->n_ops; i++)
        v[i] = i;
    sorting = h;
    qsort(v, h->n_ops, sizeof *v, cmp);
    return v;
}

/* What began after an answer has a higher revision than it. */
static const char *check_order(struct history *h)
{
    size_t *began = sorted_ops(h, by_began), *ended = sorted_ops(h, by_ended), k = 0;
    int64_t highest = 0;

    for (size_t i = 0; i < h->n_ops && !h->why[0]; i++) {
        const struct op *op = &h->ops[began[i]];
        for (; k < h->n_ops && h->ops[ended[k]].ended < op->began; k++)
            if (h->ops[ended[k]].outcome == ACKED)
                highest = MAX(highest, h->ops[ended[k]].rev);
        if (op->rev && op->rev <= highest)
            wrong(h, "%s=%s got revision %lld after %lld was given out", op->key,
                  op->value ? op->value : "(deleted)", (long long)op->rev, (long long)highest);
    }
    free(began);
    free(ended);
    return h->why[0] ? h->why : NULL;
}

/* ---- by key ---- */

/* Ops and sights of one key, in order of revision for ops with one. */
struct keyed {
    size_t *ops;
    size_t n_ops;
};

static int by_rev(const void *a, const void *b)
{
    int64_t x = sorting->ops[*(const size_t *)a].rev, y = sorting->ops[*(const size_t *)b].rev;

    return (x > y) - (x < y);
}

static struct map *group_by_key(struct history *h)
{
    struct map *m = map_new();
    struct str key;
    void *v;

    for (size_t i = 0; i < h->n_ops; i++) {
        struct keyed *k = map_get(m, str_of(h->ops[i].key));
        if (!k) {
            k = mem_alloc(sizeof *k);
            map_set(m, str_of(h->ops[i].key), k);
        }
        GROW(k->ops, k->n_ops);
        k->ops[k->n_ops++] = i;
    }
    sorting = h;
    for (size_t i = 0; map_next(m, &i, &key, &v);)
        qsort(((struct keyed *)v)->ops, ((struct keyed *)v)->n_ops, sizeof(size_t), by_rev);
    return m;
}

static void groups_free(struct map *m)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(m, &i, &key, &v);) {
        free(((struct keyed *)v)->ops);
        free(v);
    }
    map_free(m);
}

/* Must a read or a caught-up watch of that boot still know it? */
static bool lasts(const struct op *op, unsigned boot)
{
    return op->outcome == ACKED && (!op->soft || op->boot == boot);
}

/* A read sees the newest acknowledged write, or a later one. */
static void check_read(struct history *h, const struct sight *s, const struct keyed *k)
{
    bool may_be_gone = false;

    for (size_t i = 0; i < k->n_ops; i++) {
        const struct op *op = &h->ops[k->ops[i]];
        if (op->began < s->at && op->outcome == OPEN && !op->value)
            may_be_gone = true;
    }
    for (size_t i = k->n_ops; i-- > 0;) {
        const struct op *op = &h->ops[k->ops[i]];
        if (op->ended > s->at || !lasts(op, s->boot))
            continue;
        if (s->rev && op->rev > s->rev)
            wrong(h, "%s reads as %s of revision %lld, but revision %lld was acknowledged (%s)",
                  s->key, s->value, (long long)s->rev, (long long)op->rev,
                  op->value ? op->value : "deleted");
        else if (!s->rev && op->value && !may_be_gone)
            wrong(h, "%s is gone, but revision %lld was acknowledged (%s)", s->key,
                  (long long)op->rev, op->value);
        return;
    }
}

static const char *check_reads(struct history *h)
{
    struct map *keys = group_by_key(h);
    static const struct keyed none;

    for (size_t i = 0; i < h->n_sights && !h->why[0]; i++) {
        const struct sight *s = &h->sights[i];
        const struct keyed *k = map_get(keys, str_of(s->key));
        if (s->watch == SIZE_MAX)
            check_read(h, s, k ? k : &none);
    }
    groups_free(keys);
    return h->why[0] ? h->why : NULL;
}

/* ---- watches ---- */

static bool has_event(const struct history *h, const size_t *at, size_t n, int64_t rev)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (h->sights[at[mid]].rev < rev)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && h->sights[at[lo]].rev == rev;
}

/* history_event has seen to the order, so what is left is that nothing is missing. A soft write
 * that a later one of its key follows may be left out by a watch that catches up. */
static void check_watch(struct history *h, size_t w_i, const struct map *keys)
{
    const struct watch *w = &h->watches[w_i];
    size_t *at = mem_calloc(h->n_sights + 1, sizeof *at), n = 0;
    struct str key;
    void *v;

    for (size_t i = 0; i < h->n_sights; i++)
        if (h->sights[i].watch == w_i)
            at[n++] = i;
    for (size_t i = 0; map_next(keys, &i, &key, &v);) {
        const struct keyed *k = v;
        bool later = false;
        if (!str_starts(key, str_of(w->prefix)))
            continue;
        for (size_t j = k->n_ops; j-- > 0 && !h->why[0];) {
            const struct op *op = &h->ops[k->ops[j]];
            if (!op->rev || op->rev <= w->from_rev || op->rev > w->seen_rev)
                continue;
            if (lasts(op, w->boot) && !(op->soft && later) && op->boot <= w->boot &&
                !has_event(h, at, n, op->rev))
                wrong(h, "watch %zu of %s (from %lld to %lld) missed revision %lld of %s", w_i,
                      w->prefix, (long long)w->from_rev, (long long)w->seen_rev, (long long)op->rev,
                      op->key);
            later = true;
        }
    }
    free(at);
}

static const char *check_watches(struct history *h)
{
    struct map *keys = group_by_key(h);

    for (size_t i = 0; i < h->n_watches && !h->why[0]; i++)
        check_watch(h, i, keys);
    groups_free(keys);
    return h->why[0] ? h->why : NULL;
}

const char *history_check(struct history *h)
{
    if (h->why[0] || check_sights(h) || check_unique(h) || check_order(h) || check_reads(h) ||
        check_watches(h))
        return h->why;
    return NULL;
}

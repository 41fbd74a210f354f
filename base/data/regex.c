/*
 * The automaton of a pattern, run the way of Thompson and Pike: all states that the text so far can
 * have led to are kept in a set (a sparse one: emptied at no cost), and each rune of the text leads
 * from one set to the next.
 */
#include "base/data/regex.h"

#include "base/core/mem.h"
#include "base/data/regex_parse.h"

enum op { OP_CLASS, OP_ASSERT, OP_SPLIT, OP_MATCH };

struct state {
    enum op op;
    enum regex_assert assert;
    uint32_t n_ranges;
    const struct regex_range *ranges;
    uint32_t next, other; /* other: of a split */
};

struct set {
    uint32_t *dense, *at;
    size_t *from; /* where the match that led to a state began; NULL until regex_find */
    uint32_t n;
};

struct regex {
    struct arena a; /* the ranges */
    struct state *v;
    uint32_t n, start, size;
    struct set now, then;
    uint32_t *stack;
};

/* ---- making it: from the end to the beginning ---- */

static uint32_t add_state(struct regex *r, struct state s)
{
    r->v[r->n] = s;
    return r->n++;
}

/* The state that begins node and goes on to next. */
static uint32_t build(struct regex *r, const struct regex_node *n, uint32_t next)
{
    uint32_t at;

    switch (n->op) {
    case RE_EMPTY:
        return next;
    case RE_CLASS:
        return add_state(
            r, (struct state){
                   .op = OP_CLASS, .ranges = n->ranges, .n_ranges = n->n_ranges, .next = next });
    case RE_ASSERT:
        return add_state(r, (struct state){ .op = OP_ASSERT, .assert = n->assert, .next = next });
    case RE_CAT: /* long ones lean to the left: they need no stack */
        for (; n->op == RE_CAT; n = n->a)
            next = build(r, n->b, next);
        return build(r, n, next);
    case RE_ALT:
        at = build(r, n->a, next);
        return add_state(
            r, (struct state){ .op = OP_SPLIT, .next = at, .other = build(r, n->b, next) });
    case RE_REPEAT:
        break;
    }
    if (n->max < 0) { /* a* */
        at = add_state(r, (struct state){ .op = OP_SPLIT });
        uint32_t body = build(r, n->a, at);
        r->v[at].next = n->lazy ? next : body;
        r->v[at].other = n->lazy ? body : next;
        next = at;
    } else { /* a{0,k}: each may be the last */
        uint32_t end = next;
        for (int i = n->min; i < n->max; i++) {
            at = build(r, n->a, next);
            next = add_state(r, (struct state){ .op = OP_SPLIT,
                                                .next = n->lazy ? end : at,
                                                .other = n->lazy ? at : end });
        }
    }
    for (int i = 0; i < n->min; i++)
        next = build(r, n->a, next);
    return next;
}

int regex_new(struct regex **out, struct str pattern, struct err *e)
{
    AUTO(regex) struct regex *r = mem_alloc(sizeof *r);
    const struct regex_node *root;

    if (pattern.n > REGEX_PATTERN_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "error parsing regexp: expression is longer than %d bytes",
                       REGEX_PATTERN_MAX_BYTES);
    r->a = ARENA((size_t)4 * 1024 * 1024);
    if (regex_parse(&root, &r->a, pattern, e))
        return e->code;
    if (root->size > REGEX_STATES_MAX)
        return err_set(e, ERR_LIMIT, "error parsing regexp: expression too large");
    uint32_t size = (uint32_t)root->size + 1;
    r->size = size;
    r->v = mem_calloc(size, sizeof *r->v);
    r->stack = mem_calloc((size_t)size * 2, sizeof *r->stack);
    r->now.dense = mem_calloc(size, sizeof *r->now.dense);
    r->now.at = mem_calloc(size, sizeof *r->now.at);
    r->then.dense = mem_calloc(size, sizeof *r->then.dense);
    r->then.at = mem_calloc(size, sizeof *r->then.at);
    r->start = build(r, root, add_state(r, (struct state){ .op = OP_MATCH }));
    *out = STEAL(r);
    return 0;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    free(r->now.dense);
    free(r->now.at);
    free(r->then.dense);
    free(r->then.at);
    free(r->now.from);
    free(r->then.from);
    free(r->stack);
    free(r->v);
    arena_deinit(&r->a);
    free(r);
}

/* ---- running it ---- */

struct place { /* between two runes */
    bool first, last, line_first, line_last, word_edge;
};

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(enum regex_assert a, const struct place *p)
{
    switch (a) {
    case RE_TEXT_BEGIN:
        return p->first;
    case RE_TEXT_END:
        return p->last;
    case RE_LINE_BEGIN:
        return p->line_first;
    case RE_LINE_END:
        return p->line_last;
    case RE_WORD:
        return p->word_edge;
    case RE_NO_WORD:
        return !p->word_edge;
    }
    return false;
}

static bool in_class(const struct state *s, uint32_t c)
{
    uint32_t low = 0, high = s->n_ranges;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (c < s->ranges[mid].low)
            high = mid;
        else if (c > s->ranges[mid].high)
            low = mid + 1;
        else
            return true;
    }
    return false;
}

static bool in_set(const struct set *s, uint32_t state)
{
    return s->at[state] < s->n && s->dense[s->at[state]] == state;
}

/* The state and all that follow it without a rune. True: the pattern has matched. */
static bool enter(struct regex *r, struct set *set, uint32_t state, size_t from,
                  const struct place *p, uint64_t *n_steps)
{
    size_t n = 0;

    r->stack[n++] = state;
    while (n) {
        state = r->stack[--n];
        if (in_set(set, state))
            continue;
        set->at[state] = set->n;
        if (set->from)
            set->from[set->n] = from;
        set->dense[set->n++] = state;
        ++*n_steps;
        const struct state *s = &r->v[state];
        switch (s->op) {
        case OP_MATCH:
            return true;
        case OP_SPLIT:
            r->stack[n++] = s->other;
            r->stack[n++] = s->next;
            break;
        case OP_ASSERT:
            if (holds(s->assert, p))
                r->stack[n++] = s->next;
            break;
        case OP_CLASS:
            break;
        }
    }
    return false;
}

static struct place place_at(bool first, bool last, uint32_t before, uint32_t c)
{
    return (struct place){ .first = first,
                           .last = last,
                           .line_first = first || before == '\n',
                           .line_last = last || c == '\n',
                           .word_edge = (!first && is_word(before)) != (!last && is_word(c)) };
}

/* The states of then that take c lead to those of now. */
static void advance(struct regex *r, uint32_t c)
{
    r->now.n = 0;
    for (uint32_t i = 0; i < r->then.n; i++) {
        const struct state *s = &r->v[r->then.dense[i]];
        if (s->op != OP_CLASS || !in_class(s, c) || in_set(&r->now, s->next))
            continue;
        r->now.at[s->next] = r->now.n;
        if (r->now.from)
            r->now.from[r->now.n] = r->then.from[i];
        r->now.dense[r->now.n++] = s->next;
    }
}

static int spend(uint64_t *steps, uint64_t n_steps, struct err *e)
{
    if (n_steps >= *steps) {
        *steps = 0;
        return err_set(e, ERR_LIMIT, "the texts are too long for such patterns");
    }
    *steps -= n_steps;
    return 0;
}

int regex_match(bool *out, struct regex *r, struct str text, uint64_t *steps, struct err *e)
{
    const char *p = text.p ? text.p : "", *end = p + text.n;
    uint32_t before = '\n', c;
    bool first = true;

    *out = false;
    r->now.n = 0;
    for (;;) {
        const char *after = p;
        bool last = p == end;
        c = last ? '\n' : regex_rune(&after, end);
        struct place at = place_at(first, last, before, c);
        uint64_t n_steps = 0;

        /* what came here waits in then, for its assertions ask about this place */
        r->then.n = 0;
        for (uint32_t i = 0; i < r->now.n && !*out; i++)
            *out = enter(r, &r->then, r->now.dense[i], 0, &at, &n_steps);
        *out = *out || enter(r, &r->then, r->start, 0, &at, &n_steps);
        if (*out || last)
            return 0;
        if (spend(steps, n_steps, e))
            return e->code;
        advance(r, c);
        before = c;
        first = false;
        p = after;
    }
}

/* The rune that ends before p. */
static uint32_t rune_before(const char *begin, const char *p)
{
    const char *at = p - 1;

    while (at > begin && p - at < 4 && ((unsigned char)*at & 0xc0) == 0x80)
        at--;
    return regex_rune(&at, p);
}

/* States come into a set in the order in which Perl would try them, so one behind a match is one
 * that it would not have tried. */
int regex_find(bool *out, size_t *from, size_t *to, struct regex *r, struct str text, size_t begin,
               uint64_t *steps, struct err *e)
{
    const char *all = text.p ? text.p : "", *end = all + text.n, *p = all + begin;
    bool first = begin == 0;
    uint32_t before = first ? '\n' : rune_before(all, p), c;

    if (!r->now.from) {
        r->now.from = mem_calloc(r->size, sizeof *r->now.from);
        r->then.from = mem_calloc(r->size, sizeof *r->then.from);
    }
    *out = false;
    r->now.n = 0;
    for (;;) {
        const char *after = p;
        bool last = p == end, hit = false;
        size_t pos = (size_t)(p - all), hit_from = pos;
        c = last ? '\n' : regex_rune(&after, end);
        struct place at = place_at(first, last, before, c);
        uint64_t n_steps = 0;

        r->then.n = 0;
        for (uint32_t i = 0; i < r->now.n && !hit; i++) {
            hit_from = r->now.from[i];
            hit = enter(r, &r->then, r->now.dense[i], hit_from, &at, &n_steps);
        }
        if (!hit && !*out) {
            hit_from = pos;
            hit = enter(r, &r->then, r->start, pos, &at, &n_steps);
        }
        if (hit) {
            *out = true;
            *from = hit_from;
            *to = pos;
        }
        if (last || (*out && r->then.n == 0))
            return 0;
        if (spend(steps, n_steps, e)) {
            *out = false;
            return e->code;
        }
        advance(r, c);
        if (*out && r->now.n == 0)
            return 0;
        before = c;
        first = false;
        p = after;
    }
}

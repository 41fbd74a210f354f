#include "test/fault/cut.h"

#include "base/core/rand.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kind {
    const char *name;
    bool has_ways, has_amount;
    unsigned weight;                 /* how often it is drawn */
    uint64_t amount_min, amount_max; /* when it is drawn */
} kinds[FAULT_N_KINDS] = {
    [FAULT_RESET] = { "reset", true, false, 3, 0, 0 },
    [FAULT_HALFCLOSE] = { "halfclose", true, false, 2, 0, 0 },
    [FAULT_LOSE] = { "lose", false, false, 3, 0, 0 },
    [FAULT_CORRUPT] = { "corrupt", true, false, 1, 0, 0 },
    [FAULT_HOLE] = { "hole", true, false, 7, 0, 0 },
    [FAULT_DELAY] = { "delay", true, true, 1, 50, 1500 },
    [FAULT_RATE] = { "rate", true, true, 1, 8 * 1024, 64 * 1024 },
    [FAULT_REFUSE] = { "refuse", false, false, 2, 0, 0 },
    [FAULT_REORDER] = { "reorder", false, true, 0, 2, 2 },
};
static const char *const ways_names[] = { "", "up", "down", "both" };

const char *fault_kind_name(enum fault_kind kind)
{
    return kinds[kind].name;
}

/* ---- at random ------------------------------------------------------------------------------ */

uint64_t fault_seed(void)
{
    const char *text = getenv("FAULT_SEED");
    uint64_t seed;

    return text && str_to_u64(str_of(text), &seed) ? seed : rand_below(1000 * 1000 * 1000);
}

/* splitmix64: small, and the same everywhere */
static uint64_t next(struct fault_rand *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t fault_rand_below(struct fault_rand *r, uint64_t n)
{
    return next(r) % n;
}

void fault_cut_random(struct fault_cut *out, struct fault_rand *r, uint64_t time_max_ms)
{
    unsigned total = 0, at;
    const struct kind *k;

    for (size_t i = 0; i < FAULT_N_KINDS; i++)
        total += kinds[i].weight;
    at = (unsigned)fault_rand_below(r, total);
    *out = (struct fault_cut){ .ways = FAULT_BOTH };
    while (at >= kinds[out->kind].weight)
        at -= kinds[out->kind++].weight;
    k = &kinds[out->kind];
    if (k->has_ways)
        out->ways = 1 + (enum fault_ways)fault_rand_below(r, FAULT_BOTH);
    if (k->has_amount)
        out->amount = k->amount_min + fault_rand_below(r, k->amount_max - k->amount_min + 1);
    if (out->kind >= FAULT_HOLE)
        out->time_ms = 1 + fault_rand_below(r, time_max_ms);
}

void fault_cut_start(struct fault_proxy *p, const struct fault_cut *c)
{
    switch (c->kind) {
    case FAULT_RESET:
        fault_proxy_reset(p, c->ways);
        break;
    case FAULT_HALFCLOSE:
        fault_proxy_halfclose(p, c->ways);
        break;
    case FAULT_LOSE:
        fault_proxy_lose(p);
        break;
    case FAULT_CORRUPT:
        fault_proxy_corrupt(p, c->ways);
        break;
    case FAULT_HOLE:
        fault_proxy_hole(p, c->ways);
        break;
    case FAULT_DELAY:
        fault_proxy_delay(p, c->ways, c->amount);
        break;
    case FAULT_RATE:
        fault_proxy_rate(p, c->ways, c->amount);
        break;
    case FAULT_REFUSE:
        fault_proxy_refuse(p);
        fault_proxy_reset(p, FAULT_BOTH);
        break;
    case FAULT_REORDER:
        fault_proxy_reorder(p, (unsigned)c->amount);
        break;
    case FAULT_N_KINDS:
        break;
    }
}

char *fault_cut_text(char out[FAULT_CUT_TEXT_BYTES], const struct fault_cut *c)
{
    const struct kind *k = &kinds[c->kind];
    size_t n = (size_t)snprintf(out, FAULT_CUT_TEXT_BYTES, "%s", k->name);

    if (k->has_amount)
        n += (size_t)snprintf(out + n, FAULT_CUT_TEXT_BYTES - n, " %llu",
                              (unsigned long long)c->amount);
    if (k->has_ways)
        n += (size_t)snprintf(out + n, FAULT_CUT_TEXT_BYTES - n, " %s", ways_names[c->ways]);
    return out;
}

/* ---- as text -------------------------------------------------------------------------------- */

/* The next word; empty at the end. */
static struct str word(struct str *line)
{
    struct str w;

    *line = str_trim(*line);
    (void)str_cut(*line, ' ', &w, line); /* without a space it is the last one */
    return w;
}

static int read_cut(struct fault_cut *out, struct str verb, struct str *rest, struct err *e)
{
    struct str w;

    *out = (struct fault_cut){ .ways = FAULT_BOTH };
    while (out->kind < FAULT_N_KINDS && !str_is(verb, kinds[out->kind].name))
        out->kind++;
    if (out->kind == FAULT_N_KINDS)
        return err_set(e, ERR_INVALID, "no such command: " STR_FMT, STR_ARG(verb));
    if (kinds[out->kind].has_amount && !str_to_u64(word(rest), &out->amount))
        return err_set(e, ERR_INVALID, STR_FMT " wants a number", STR_ARG(verb));
    w = kinds[out->kind].has_ways ? word(rest) : str_n(NULL, 0);
    if (!w.n)
        return 0;
    for (unsigned i = FAULT_UP; i <= FAULT_BOTH; i++)
        if (str_is(w, ways_names[i])) {
            out->ways = (enum fault_ways)i;
            return 0;
        }
    return err_set(e, ERR_INVALID, STR_FMT ": up, down or both, not " STR_FMT, STR_ARG(verb),
                   STR_ARG(w));
}

static int set_target(struct fault_proxy *p, struct str *rest, struct err *e)
{
    struct str w = word(rest);
    char text[64];

    snprintf(text, sizeof text, STR_FMT, STR_ARG(w));
    return fault_proxy_target(p, text, e);
}

int fault_command(struct fault_proxy *p, struct str line, struct buf *reply, struct err *e)
{
    struct str verb = word(&line);
    struct fault_count n;
    struct fault_cut c;

    if (str_is(verb, "heal")) {
        fault_proxy_heal(p);
    } else if (str_is(verb, "status")) {
        fault_proxy_count(p, &n);
        if (buf_addf(
                reply, "connections %zu accepted %llu refused %llu up_bytes %llu down_bytes %llu",
                n.n_connections, (unsigned long long)n.n_accepted, (unsigned long long)n.n_refused,
                (unsigned long long)n.up_bytes, (unsigned long long)n.down_bytes))
            return err_set(e, ERR_LIMIT, "the answer is too long");
    } else if (str_is(verb, "target")) {
        return set_target(p, &line, e);
    } else {
        if (read_cut(&c, verb, &line, e))
            return e->code;
        if (str_trim(line).n)
            return err_set(e, ERR_INVALID, STR_FMT ": too much: " STR_FMT, STR_ARG(verb),
                           STR_ARG(line));
        fault_cut_start(p, &c);
    }
    return 0;
}

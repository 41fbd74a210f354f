#include "server/cel/cel.h"

#include "base/core/mem.h"
#include "server/cel/ast.h"

void cel_prog_free(struct cel_prog *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_regexes; i++)
        regex_free(p->regexes[i]);
    free(p->regexes);
}

int cel_compile(struct cel_prog **out, struct arena *a, const struct cel_var *vars, size_t n_vars,
                struct str source, char **why)
{
    size_t before = a->n_bytes;
    AUTO(cel_prog) struct cel_prog *p = arena_alloc(a, sizeof *p);
    auto_arena t = ARENA_UNBOUNDED; /* the source is bounded */
    struct cel_errors es = { .source = source };
    auto_free const struct cel_type **types = NULL;

    p->a = a;
    /* what literals stand for may point into the source, which is the caller's */
    if (source.n <= (size_t)4 * CEL_SOURCE_MAX)
        source = str_n(arena_strndup(a, source.p ? source.p : "", source.n), source.n);
    p->root = cel_parse(a, source, &p->n_nodes, &es);
    if (p->root) {
        types = mem_calloc(p->n_nodes + 1, sizeof *types);
        if (cel_check(p, vars, n_vars, &t, types, &es))
            p->max_cost = cel_estimate(p, n_vars ? vars[0].type : &cel_types[CEL_DYN], types);
    }
    if (es.n) {
        *why = cel_errors_take(&es);
        return ERR_INVALID;
    }
    p->n_bytes = a->n_bytes - before;
    *out = STEAL(p);
    return 0;
}

enum cel_kind cel_prog_kind(const struct cel_prog *p)
{
    return p->kind;
}

bool cel_prog_uses(const struct cel_prog *p, size_t var)
{
    return p->uses >> var & 1;
}

uint64_t cel_prog_max_cost(const struct cel_prog *p)
{
    return p->max_cost;
}

size_t cel_prog_bytes(const struct cel_prog *p)
{
    return p->n_bytes;
}

/*
 * What an expression costs at most, from what the types of its variables say of sizes: cel-go
 * checker/cost.go (0.22) and k8s.io/apiserver pkg/cel/library/cost.go. Macros are counted as the
 * comprehensions that they are there.
 */
#include "base/core/mem.h"
#include "server/cel/func.h"

#define MAX64 UINT64_MAX

struct bounds {
    uint64_t min, max;
};

struct estimate {
    struct bounds cost, size;
    bool sized; /* the size is known from the expression */
    bool path;  /* it is reached from a variable, so its type tells of its size */
};

struct coster {
    const struct cel_type *root; /* of the first variable */
    const struct cel_type *const *types;
    struct estimate vars[CEL_DEPTH_MAX]; /* of macros, by slot */
};

#define FIXED(n) ((struct bounds){ (n), (n) })
static const struct bounds unknown = { 0, MAX64 };

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > MAX64 - b ? MAX64 : a + b;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return b && a > MAX64 / b ? MAX64 : a * b;
}

/* n / d, rounded up; what has no bound keeps none. */
static uint64_t part(uint64_t n, uint64_t d)
{
    return n == MAX64 ? MAX64 / d : n / d + (n % d != 0);
}

static struct bounds add(struct bounds a, struct bounds b)
{
    return (struct bounds){ plus(a.min, b.min), plus(a.max, b.max) };
}

static struct bounds mul(struct bounds a, struct bounds b)
{
    return (struct bounds){ times(a.min, b.min), times(a.max, b.max) };
}

static struct bounds parts(struct bounds a, uint64_t d)
{
    return (struct bounds){ part(a.min, d), part(a.max, d) };
}

static struct bounds both(struct bounds a, struct bounds b)
{
    return (struct bounds){ MIN(a.min, b.min), MAX(a.max, b.max) };
}

static struct estimate cost_of(struct coster *c, const struct cel_node *n);

/* ---- sizes ---- */

static bool is_scalar(const struct cel_type *t)
{
    switch (t->kind) {
    case CEL_BOOL:
    case CEL_INT:
    case CEL_UINT:
    case CEL_DOUBLE:
    case CEL_TIMESTAMP:
    case CEL_DURATION:
        return true;
    case CEL_OPTIONAL:
        return is_scalar(t->elem);
    default:
        return false;
    }
}

static struct bounds type_size(const struct cel_type *t, bool path)
{
    if (path)
        return (struct bounds){ 0, t->max_elements };
    return is_scalar(t) ? FIXED(1) : unknown;
}

static struct bounds size_of(const struct coster *c, const struct cel_node *n,
                             const struct estimate *e)
{
    return e->sized ? e->size : type_size(c->types[n->id], e->path);
}

static struct estimate literal(const struct coster *c, const struct cel_node *n)
{
    struct estimate e = { .sized = true, .size = FIXED(1) };

    if (n->lit->kind == CEL_STRING || n->lit->kind == CEL_BYTES)
        e.size = FIXED(cel_size(n->lit));
    if (n->lit->kind == CEL_TYPE) { /* a name that upstream takes for one below the variable */
        e.cost = FIXED(1);
        e.size = (struct bounds){ 0, c->root->max_elements };
    }
    return e;
}

/* ---- calls ---- */

struct call {
    const struct cel_node *n;
    const struct cel_fn *f;
    struct bounds size[8], args; /* args: the cost of all of them */
    struct estimate e[8];
};

/* How long a text can become when each old one is replaced. */
static struct bounds replaced(struct bounds s, struct bounds from, struct bounds to)
{
    struct bounds count = { 0, 0 }, kept = { 0, 0 };

    if (from.min == 0) {
        count.max = plus(s.max, 1);
        kept.max = s.max;
    } else if (to.max <= from.min) {
        kept.max = s.max;
    } else {
        count.max = part(s.max, from.min);
    }
    if (from.max == 0) {
        count.min = plus(s.min, 1);
        kept.min = s.min;
    } else if (from.max <= to.min) {
        kept.min = s.min;
    } else {
        count.min = part(s.min, from.max);
    }
    return add(mul(count, to), kept);
}

static struct estimate sized(struct bounds cost, struct bounds size)
{
    return (struct estimate){ .cost = cost, .size = size, .sized = true };
}

static struct estimate walk_cost(const struct coster *c, const struct call *k)
{
    const struct cel_type *t = c->types[k->n->args[0]->id];
    struct bounds each = FIXED(1);

    if (t->kind != CEL_LIST)
        return (struct estimate){ .cost = parts(k->size[0], 10) };
    if (t->elem->kind == CEL_STRING || t->elem->kind == CEL_BYTES)
        each = add(each, parts(type_size(t->elem, k->e[0].path), 10));
    return (struct estimate){ .cost = mul(k->size[0], each) };
}

static struct estimate join_cost(const struct coster *c, const struct call *k)
{
    const struct cel_type *t = c->types[k->n->args[0]->id];
    struct bounds list = k->size[0], size = FIXED(0);

    if (t->kind == CEL_LIST)
        size = mul(list, type_size(t->elem, k->e[0].path));
    if (k->n->n > 1) {
        struct bounds gaps = { list.min ? list.min - 1 : 0, list.max ? list.max - 1 : 0 };
        size = add(size, mul(k->size[1], gaps));
    }
    return sized(parts(size, 10), size);
}

/* A call without its arguments. */
static struct estimate fn_cost(const struct coster *c, const struct call *k)
{
    struct bounds a = k->size[0], b = k->size[1], text = FIXED(0), all;
    bool makes_text = c->types[k->n->id]->kind == CEL_STRING;

    switch (k->f->price) {
    case PRICE_ARG0:
        if (makes_text)
            return sized(parts(a, 10), a);
        return (struct estimate){ .cost = parts(a, 10) };
    case PRICE_ARG0_2:
        all = makes_text ? replaced(a, b, k->size[2]) : unknown;
        if (!makes_text) /* split: as many texts as code points */
            all.max = a.max;
        return sized(parts(a, 5), all);
    case PRICE_TO_BYTES:
        return sized(parts(a, 10), (struct bounds){ a.min, times(a.max, 4) });
    case PRICE_FORMAT:
        return (struct estimate){ .cost = parts(a, 10) };
    case PRICE_PREFIX:
        return (struct estimate){ .cost = parts(b, 10) };
    case PRICE_MIN:
        all = (struct bounds){ MIN(a.max, b.max) > 0, MIN(a.max, b.max) };
        return (struct estimate){ .cost = parts(all, 10) };
    case PRICE_SUM:
        return sized(parts(add(a, b), 10), add(a, b));
    case PRICE_ADD_LIST:
        return sized(FIXED(1), add(a, b));
    case PRICE_IN_LIST:
        return (struct estimate){ .cost = b };
    case PRICE_REGEX:
        all = mul(parts(add(a, FIXED(1)), 10), parts(b, 4));
        if (c->types[k->n->id]->kind != CEL_BOOL) /* what it finds */
            return sized(all, (struct bounds){ 0, a.max });
        return (struct estimate){ .cost = all };
    case PRICE_CONTAINS:
        return (struct estimate){ .cost = mul(parts(a, 10), parts(b, 10)) };
    case PRICE_WALK:
        return walk_cost(c, k);
    case PRICE_JOIN:
        return join_cost(c, k);
    case PRICE_CIDR_IP:
    case PRICE_CIDR_CIDR: /* 4 or 16 bytes, twice, and a text that is read first */
        if (c->types[k->n->args[1]->id]->kind == CEL_STRING)
            text = parts(b, 10);
        all = (struct bounds){ 1, 4 };
        if (k->f->price == PRICE_CIDR_CIDR)
            all = (struct bounds){ 3, 7 };
        return (struct estimate){ .cost = add(all, text) };
    case PRICE_SETS:
        return (struct estimate){ .cost = add(mul(a, b), FIXED(1)) };
    case PRICE_INDEX:
        return (struct estimate){ .cost = FIXED(1), .path = k->e[0].path };
    case PRICE_NONE:
    case PRICE_ONE:
    case PRICE_PARSE:
    case PRICE_PARSE_2:
        break;
    }
    return (struct estimate){ .cost = FIXED(1) };
}

static struct estimate call_cost(struct coster *c, const struct cel_node *n)
{
    struct call k = { .n = n, .args = FIXED(0) };
    struct estimate out = { .cost = { MAX64, 0 } };

    for (size_t i = 0; i < n->n; i++) {
        k.e[i] = cost_of(c, n->args[i]);
        k.size[i] = size_of(c, n->args[i], &k.e[i]);
        k.args = add(k.args, k.e[i].cost);
    }
    for (size_t i = 0; i < n->n_fn; i++) { /* whichever it will be */
        struct estimate one;

        if (n->fn[i].member != n->member)
            continue;
        k.f = &n->fn[i];
        one = fn_cost(c, &k);
        out.path |= one.path;
        out.size = out.sized && one.sized ? both(out.size, one.size)
                   : one.sized            ? one.size
                                          : out.size;
        out.sized |= one.sized;
        out.cost = both(out.cost, one.cost);
    }
    if (str_is(n->name, "dyn")) {
        out.sized = k.e[0].sized;
        out.size = k.e[0].size;
        out.path = k.e[0].path;
    }
    out.cost = add(out.cost, k.args);
    return out;
}

/* ---- the rest ---- */

static struct estimate select_cost(struct coster *c, const struct cel_node *n)
{
    struct estimate of = cost_of(c, n->args[0]), out = { .cost = of.cost, .path = of.path };
    enum cel_kind kind = c->types[n->args[0]->id]->kind;

    if (n->test)
        return (struct estimate){ .cost = of.cost };
    if (n->optional || kind == CEL_OPTIONAL)
        return (struct estimate){ .cost = add(of.cost, FIXED(1)) };
    if (kind == CEL_MAP || kind == CEL_OBJECT)
        out.cost = add(out.cost, FIXED(1));
    return out;
}

static struct estimate chain_cost(struct coster *c, const struct cel_node *n)
{
    struct estimate out = cost_of(c, n->args[0]);

    out = (struct estimate){ .cost = out.cost };
    for (size_t i = 1; i < n->n; i++)
        out.cost.max = plus(out.cost.max, cost_of(c, n->args[i]).cost.max);
    return out;
}

static struct estimate cond_cost(struct coster *c, const struct cel_node *n)
{
    struct estimate is = cost_of(c, n->args[0]), yes = cost_of(c, n->args[1]);
    struct estimate no = cost_of(c, n->args[2]);

    return sized(add(is.cost, both(yes.cost, no.cost)),
                 both(size_of(c, n->args[1], &yes), size_of(c, n->args[2], &no)));
}

static struct estimate made_cost(struct coster *c, const struct cel_node *n)
{
    bool map = n->op == OP_MAP;
    struct estimate out = sized(FIXED(map ? 30 : 10), FIXED(map ? n->n / 2 : n->n));

    for (size_t i = 0; i < n->n; i++)
        out.cost = add(out.cost, cost_of(c, n->args[i]).cost);
    return out;
}

static struct estimate fold_cost(struct coster *c, const struct cel_node *n)
{
    struct estimate range = cost_of(c, n->args[0]), out = { .cost = range.cost };
    struct bounds count = size_of(c, n->args[0], &range), step = FIXED(0), p = FIXED(0);

    c->vars[n->slot] = (struct estimate){ .path = range.path };
    if (n->args[1])
        p = cost_of(c, n->args[1]).cost;
    switch ((enum cel_macro)n->macro) {
    case FOLD_ALL: /* @not_strictly_false(accu); accu && p */
        step = add(FIXED(2), (struct bounds){ 1, plus(1, p.max) });
        out.cost = add(out.cost, FIXED(1));
        break;
    case FOLD_EXISTS: /* @not_strictly_false(!accu); accu || p */
        step = add(FIXED(3), (struct bounds){ 1, plus(1, p.max) });
        out.cost = add(out.cost, FIXED(1));
        break;
    case FOLD_EXISTS_ONE: /* p ? accu + 1 : accu; accu == 1 */
        step = add(p, (struct bounds){ 1, 2 });
        out.cost = add(out.cost, FIXED(2));
        break;
    case FOLD_FILTER: /* p ? accu + [x] : accu */
        step = add(p, (struct bounds){ 1, 13 });
        out = sized(add(out.cost, FIXED(11)), count);
        break;
    case FOLD_MAP: /* accu + [f], or p ? that : accu */
        step = add(FIXED(12), cost_of(c, n->args[2]).cost);
        if (n->args[1])
            step = add(p, both(step, FIXED(1)));
        out = sized(add(out.cost, FIXED(11)), count);
        break;
    case FOLD_OPT_MAP: /* x.hasValue() ? optional.of(f) : optional.none() */
    case FOLD_OPT_FLAT_MAP:
        out.cost = add(add(out.cost, range.cost), add(p, FIXED(4)));
        return out;
    }
    out.cost = add(out.cost, mul(count, step));
    return out;
}

static struct estimate cost_of(struct coster *c, const struct cel_node *n)
{
    switch ((enum cel_op)n->op) {
    case OP_LIT:
        return literal(c, n);
    case OP_IDENT:
        return (struct estimate){ .cost = FIXED(1),
                                  .path = n->local ? c->vars[n->slot].path : true };
    case OP_SELECT:
        return select_cost(c, n);
    case OP_CALL:
        return call_cost(c, n);
    case OP_AND:
    case OP_OR:
        return chain_cost(c, n);
    case OP_COND:
        return cond_cost(c, n);
    case OP_LIST:
    case OP_MAP:
        return made_cost(c, n);
    case OP_FOLD:
        break;
    }
    return fold_cost(c, n);
}

uint64_t cel_estimate(const struct cel_prog *p, const struct cel_type *root,
                      const struct cel_type *const *types)
{
    auto_free struct coster *c = mem_alloc(sizeof *c);

    c->root = root;
    c->types = types;
    return cost_of(c, p->root).cost.max;
}

/*
 * Evaluation. An error is a value that goes on to whoever asked for it, but for && and ||, which
 * know without it when the other side settles them (langdef.md, "Logical Operators").
 *
 * Costs are cel-go's (interpreter/runtimecost.go), macros costing what their comprehensions would;
 * that it folds constants beforehand is not taken off. has() is free (environment/base.go).
 */
#include "base/core/mem.h"
#include "server/cel/func.h"

#include <math.h>

struct eval {
    struct cel_run r;
    const struct cel_value *vars;
    struct cel_value *locals;
};

typedef struct cel_value value;

static value run(struct eval *x, const struct cel_node *n);

static const value exceeded = { .kind = CEL_ERROR,
                                .s = { CEL_COST_EXCEEDED, sizeof CEL_COST_EXCEEDED - 1 } };

static void charge(struct eval *x, uint64_t cost)
{
    x->r.cost += cost;
    if (x->r.cost > x->r.cost_max)
        x->r.over = true;
}

static bool is_error(const value *v)
{
    return v->kind == CEL_ERROR;
}

/* ---- prices ---- */

static uint64_t tenth(uint64_t n)
{
    return (n + 9) / 10;
}

static uint64_t quarter(uint64_t n)
{
    return (n + 3) / 4;
}

static uint64_t walk_cost(struct eval *x, const value *v)
{
    uint64_t cost = 0;
    value key, item;

    switch (v->kind) {
    case CEL_STRING:
    case CEL_BYTES:
        return v->s.n / 10;
    case CEL_LIST:
        for (size_t i = 0; i < v->items.n && !x->r.over; i++) {
            item = cel_item(&x->r, v, i);
            cost += walk_cost(x, &item);
            cel_run_work(&x->r, 8);
        }
        return cost;
    case CEL_MAP:
    case CEL_OBJECT:
        for (size_t i = 0; i < v->items.n && !x->r.over; i++) {
            cel_entry(&x->r, v, i, &key, &item);
            cost += walk_cost(x, &key) + walk_cost(x, &item);
        }
        return cost;
    default:
        return 1;
    }
}

static uint64_t price(struct eval *x, const struct cel_fn *f, const value *args, size_t n,
                      const value *result)
{
    uint64_t a = n ? cel_size(&args[0]) : 0, b = n > 1 ? cel_size(&args[1]) : 0;

    switch (f->price) {
    case PRICE_NONE:
        return 0;
    case PRICE_ARG0:
    case PRICE_PARSE:
    case PRICE_PREFIX:
    case PRICE_TO_BYTES:
    case PRICE_FORMAT:
        return tenth(a);
    case PRICE_ARG0_2:
    case PRICE_PARSE_2:
        return tenth(2 * a);
    case PRICE_MIN:
        return tenth(MIN(a, b));
    case PRICE_SUM:
        return tenth(a + b);
    case PRICE_IN_LIST:
        return b;
    case PRICE_REGEX:
        return tenth(a + 1) * quarter(b);
    case PRICE_CONTAINS:
        return tenth(a) * tenth(b);
    case PRICE_WALK:
        return walk_cost(x, &args[0]);
    case PRICE_JOIN:
        return tenth(2 * cel_size(result));
    case PRICE_CIDR_IP:
        return tenth(2 * a) + (n > 1 && args[1].kind == CEL_STRING ? tenth(b) : 0);
    case PRICE_CIDR_CIDR:
        return tenth(2 * a) + tenth(a) + 1 + (n > 1 && args[1].kind == CEL_STRING ? tenth(b) : 0);
    case PRICE_SETS:
        return a * b + 1;
    case PRICE_ONE:
    case PRICE_ADD_LIST:
    case PRICE_INDEX:
        break;
    }
    return 1;
}

/* ---- calls ---- */

static value run_call(struct eval *x, const struct cel_node *n)
{
    value args[8], out = cel_no_overload();
    const struct cel_fn *found = NULL;

    for (size_t i = 0; i < n->n; i++) {
        args[i] = run(x, n->args[i]);
        if (is_error(&args[i]))
            return args[i];
    }
    for (size_t i = 0; i < n->n_fn && !found; i++)
        if (n->fn[i].member == n->member && cel_fn_fits(&n->fn[i], args, n->n))
            found = &n->fn[i];
    if (!found)
        return out;
    struct cel_call c = { n, args, n->n };
    if (found->price != PRICE_JOIN) /* before the work is done */
        charge(x, price(x, found, args, n->n, NULL));
    if (x->r.over)
        return exceeded;
    out = found->run(&x->r, &c);
    if (found->price == PRICE_JOIN)
        charge(x, price(x, found, args, n->n, &out));
    // cppcheck-suppress returnDanglingLifetime ; a function keeps nothing of its call
    return out;
}

/* ---- fields ---- */

static value list_of(const value *v, size_t n)
{
    return (value){ .kind = CEL_LIST, .items = { .v = v, .n = n } };
}

static value some(struct eval *x, value v)
{
    value *of = cel_run_alloc(&x->r, 1, sizeof *of);

    if (!of)
        return exceeded;
    *of = v;
    return (value){ .kind = CEL_OPTIONAL, .of = of };
}

static value run_select(struct eval *x, const struct cel_node *n)
{
    value of = run(x, n->args[0]), out;
    bool optional = n->optional, there;

    if (is_error(&of))
        return of;
    if (!n->test)
        charge(x, 1);
    if (of.kind == CEL_OPTIONAL) {
        if (!of.of)
            return n->test ? CEL_BOOL_OF(false) : of;
        of = *of.of;
        optional = true;
    }
    if (of.kind != CEL_MAP && of.kind != CEL_OBJECT)
        return cel_no_overload();
    there = cel_lookup_name(&x->r, &of, n->name, &out);
    if (n->test)
        return CEL_BOOL_OF(there);
    if (optional && !there)
        return (value){ .kind = CEL_OPTIONAL };
    if (optional)
        return is_error(&out) ? out : some(x, out);
    return there ? out : cel_error(&x->r, "no such key: " STR_FMT, STR_ARG(n->name));
}

/* ---- logic ---- */

static value run_chain(struct eval *x, const struct cel_node *n)
{
    bool settles = n->op == OP_OR;
    value first = CEL_BOOL_OF(!settles);

    for (size_t i = 0; i < n->n; i++) {
        value v = run(x, n->args[i]);
        if (v.kind == CEL_BOOL && v.b == settles)
            return v;
        if (v.kind != CEL_BOOL && !is_error(&v))
            v = cel_no_overload();
        if (is_error(&v) && !is_error(&first))
            first = v;
    }
    return first;
}

static value run_cond(struct eval *x, const struct cel_node *n)
{
    value v = run(x, n->args[0]);

    if (is_error(&v))
        return v;
    return v.kind == CEL_BOOL ? run(x, n->args[v.b ? 1 : 2]) : cel_no_overload();
}

/* ---- lists and maps ---- */

/* A '?x' that is none: *skip. Its value otherwise. */
static value unmark(value v, bool *skip)
{
    *skip = false;
    if (is_error(&v))
        return v;
    if (v.kind != CEL_OPTIONAL)
        return cel_no_overload();
    *skip = !v.of;
    return v.of ? *v.of : v;
}

static value run_list(struct eval *x, const struct cel_node *n)
{
    value *v = cel_run_alloc(&x->r, n->n + 1, sizeof *v);
    size_t k = 0;
    bool skip = false;

    charge(x, 10);
    for (size_t i = 0; v && i < n->n; i++) {
        value item = run(x, n->args[i]);
        if (n->marked && n->marked[i])
            item = unmark(item, &skip);
        if (is_error(&item))
            return item;
        if (!n->marked || !n->marked[i] || !skip)
            v[k++] = item;
    }
    return v ? list_of(v, k) : exceeded;
}

static bool is_key(const value *v)
{
    return v->kind == CEL_BOOL || v->kind == CEL_INT || v->kind == CEL_UINT ||
           v->kind == CEL_STRING;
}

static value run_map(struct eval *x, const struct cel_node *n)
{
    value *v = cel_run_alloc(&x->r, n->n + 1, sizeof *v), out = { .kind = CEL_MAP }, had;
    bool skip = false;

    charge(x, 30);
    out.items.v = v;
    for (size_t i = 0; v && i + 1 < n->n; i += 2) {
        value key = run(x, n->args[i]), item = run(x, n->args[i + 1]);
        bool marked = n->marked && n->marked[i];

        if (marked)
            item = unmark(item, &skip);
        if (is_error(&key) || is_error(&item))
            return is_error(&key) ? key : item;
        if (!is_key(&key))
            return cel_error(&x->r, "unsupported key type");
        if (marked && skip)
            continue;
        if (cel_lookup(&x->r, &out, &key, &had))
            return cel_error(&x->r, "Failed with repeated key");
        v[2 * out.items.n] = key;
        v[2 * out.items.n + 1] = item;
        out.items.n++;
    }
    return v ? out : exceeded;
}

/* ---- macros ---- */

/* What a macro goes over: a list, or the keys of a map. */
static value range_of(struct eval *x, value v)
{
    const char *key;
    json_t *child;
    size_t k = 0;

    if (v.kind == CEL_LIST || is_error(&v))
        return v;
    if (v.kind != CEL_MAP && v.kind != CEL_OBJECT)
        return cel_no_overload();
    value *keys = cel_run_alloc(&x->r, v.items.n + 1, sizeof *keys);
    if (!keys)
        return exceeded;
    if (v.items.v)
        for (k = 0; k < v.items.n; k++)
            keys[k] = v.items.v[2 * k];
    else
        json_object_foreach((json_t *)v.items.json, key, child) keys[k++] = CEL_STR_OF(str_of(key));
    return list_of(keys, k);
}

struct made { /* a list in the making */
    value *v;
    size_t n, cap;
};

static bool made_add(struct eval *x, struct made *m, value v)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 8;
        value *more = cel_run_alloc(&x->r, cap, sizeof *more);
        if (!more)
            return false;
        if (m->n)
            memcpy(more, m->v, m->n * sizeof *more);
        m->v = more;
        m->cap = cap;
    }
    m->v[m->n++] = v;
    return true;
}

/* all and exists: errors of items are absorbed by one that settles it. */
static value run_quantified(struct eval *x, const struct cel_node *n, const value *range)
{
    bool settles = n->macro == FOLD_EXISTS;
    value out = CEL_BOOL_OF(!settles);

    for (size_t i = 0; i < range->items.n && !x->r.over; i++) {
        x->locals[n->slot] = cel_item(&x->r, range, i);
        charge(x, settles ? 4 : 3);
        value v = run(x, n->args[1]);
        if (v.kind == CEL_BOOL && v.b == settles) {
            out = v;
            charge(x, settles ? 3 : 2);
            break;
        }
        if (v.kind != CEL_BOOL && !is_error(&v))
            v = cel_no_overload();
        if (is_error(&v) && !is_error(&out))
            out = v;
    }
    charge(x, 1);
    return out;
}

static value run_exists_one(struct eval *x, const struct cel_node *n, const value *range)
{
    size_t found = 0;

    for (size_t i = 0; i < range->items.n && !x->r.over; i++) {
        x->locals[n->slot] = cel_item(&x->r, range, i);
        value v = run(x, n->args[1]);
        if (v.kind != CEL_BOOL)
            return is_error(&v) ? v : cel_no_overload();
        charge(x, v.b ? 2 : 1);
        found += v.b;
    }
    charge(x, 2);
    return CEL_BOOL_OF(found == 1);
}

static value run_listing(struct eval *x, const struct cel_node *n, const value *range)
{
    struct made m = { 0 };

    charge(x, 10);
    for (size_t i = 0; i < range->items.n && !x->r.over; i++) {
        value item = cel_item(&x->r, range, i), keep = CEL_BOOL_OF(true);
        x->locals[n->slot] = item;
        if (n->args[1])
            keep = run(x, n->args[1]);
        if (keep.kind != CEL_BOOL)
            return is_error(&keep) ? keep : cel_no_overload();
        charge(x, keep.b ? 12 + (n->macro == FOLD_FILTER) : 1);
        if (!keep.b)
            continue;
        if (n->macro == FOLD_MAP)
            item = run(x, n->args[2]);
        if (is_error(&item))
            return item;
        if (!made_add(x, &m, item))
            return exceeded;
    }
    charge(x, 1);
    value *v = m.v ? m.v : cel_run_alloc(&x->r, 1, sizeof *v);
    return v ? list_of(v, m.n) : exceeded;
}

static value run_optional(struct eval *x, const struct cel_node *n, const value *of)
{
    if (of->kind != CEL_OPTIONAL)
        return is_error(of) ? *of : cel_no_overload();
    charge(x, 2);
    if (!of->of)
        return *of;
    x->locals[n->slot] = *of->of;
    value v = run(x, n->args[1]);
    if (is_error(&v))
        return v;
    if (n->macro == FOLD_OPT_MAP)
        return some(x, v);
    return v.kind == CEL_OPTIONAL ? v : cel_no_overload();
}

static value run_fold(struct eval *x, const struct cel_node *n)
{
    value range = run(x, n->args[0]), saved = x->locals[n->slot], out;

    if (n->macro == FOLD_OPT_MAP || n->macro == FOLD_OPT_FLAT_MAP)
        return run_optional(x, n, &range);
    range = range_of(x, range);
    if (is_error(&range))
        return range;
    switch ((enum cel_macro)n->macro) {
    case FOLD_ALL:
    case FOLD_EXISTS:
        out = run_quantified(x, n, &range);
        break;
    case FOLD_EXISTS_ONE:
        out = run_exists_one(x, n, &range);
        break;
    default:
        out = run_listing(x, n, &range);
        break;
    }
    x->locals[n->slot] = saved;
    return out;
}

/* ---- all ---- */

static value run(struct eval *x, const struct cel_node *n)
{
    value v = exceeded;

    if (x->r.over)
        return v;
    switch ((enum cel_op)n->op) {
    case OP_LIT:
        return *n->lit;
    case OP_IDENT:
        charge(x, 1);
        v = n->local ? x->locals[n->slot] : x->vars[n->slot];
        break;
    case OP_SELECT:
        v = run_select(x, n);
        break;
    case OP_CALL:
        v = run_call(x, n);
        break;
    case OP_AND:
    case OP_OR:
        v = run_chain(x, n);
        break;
    case OP_COND:
        v = run_cond(x, n);
        break;
    case OP_LIST:
        v = run_list(x, n);
        break;
    case OP_MAP:
        v = run_map(x, n);
        break;
    case OP_FOLD:
        v = run_fold(x, n);
        break;
    }
    return x->r.over ? exceeded : v;
}

struct cel_value cel_eval(struct cel_prog *p, const struct cel_value *vars, struct arena *a,
                          uint64_t cost_max, uint64_t *cost)
{
    auto_free value *locals = mem_calloc(p->n_slots + 1, sizeof *locals);
    struct eval x = { .r = { .a = a, .cost_max = cost_max, .regex_steps = REGEX_STEPS_MAX },
                      .vars = vars,
                      .locals = locals };
    value v = run(&x, p->root);

    *cost = x.r.over ? MAX(x.r.cost, cost_max + 1) : x.r.cost;
    return v;
}

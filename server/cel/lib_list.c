/* Kubernetes' lists library (k8s.io/apiserver pkg/cel/library/lists.go) and cel-go's sets. */
#include "server/cel/func.h"

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

/* ---- order ---- */

FN(is_sorted)
{
    value before = CEL_NULL_VALUE;
    int order;
    bool nan;

    for (size_t i = 0; i < A.items.n && !r->over; i++) {
        value one = cel_item(r, &A, i);
        if (one.kind == CEL_ERROR)
            return one;
        if (i && !cel_compare(&before, &one, &order, &nan))
            return cel_no_overload();
        if (i && (nan || order > 0))
            return CEL_BOOL_OF(false);
        before = one;
    }
    return CEL_BOOL_OF(true);
}

static value extreme(struct cel_run *r, const value *list, int sign, const char *name)
{
    value best = CEL_NULL_VALUE;
    int order;
    bool nan;

    if (!list->items.n)
        return cel_error(r, "%s called on empty list", name);
    for (size_t i = 0; i < list->items.n && !r->over; i++) {
        value one = cel_item(r, list, i);
        if (one.kind == CEL_ERROR)
            return one;
        if (i && !cel_compare(&one, &best, &order, &nan))
            return cel_no_overload();
        if (!i || (!nan && order * sign > 0))
            best = one;
    }
    return best;
}

FN(min)
{
    return extreme(r, &A, -1, "min");
}

FN(max)
{
    return extreme(r, &A, 1, "max");
}

/* ---- sum ---- */

static const struct cel_fn *adder(const value *v)
{
    size_t n;
    const struct cel_fn *f = cel_fn_find(STR("_+_"), &n);
    value both[2] = { *v, *v };

    for (size_t i = 0; i < n; i++)
        if (cel_fn_fits(&f[i], both, 2))
            return &f[i];
    return NULL;
}

static value sum(struct cel_run *r, const struct cel_call *c, value begin)
{
    for (size_t i = 0; i < A.items.n && !r->over; i++) {
        value both[2] = { begin, cel_item(r, &A, i) };
        struct cel_call add = { c->node, both, 2 };
        const struct cel_fn *f = adder(&begin);

        if (both[1].kind == CEL_ERROR)
            return both[1];
        if (!f || both[1].kind != begin.kind)
            return cel_no_overload();
        begin = f->run(r, &add);
        if (begin.kind == CEL_ERROR)
            break;
    }
    return begin;
}

/* What the items are; of none, what the checker said. */
static value sum_of(struct cel_run *r, const struct cel_call *c, enum cel_kind kind)
{
    value first = A.items.n ? cel_item(r, &A, 0) : (value){ .kind = kind };

    if (first.kind == CEL_ERROR)
        return first;
    if (first.kind != CEL_INT && first.kind != CEL_UINT && first.kind != CEL_DOUBLE &&
        first.kind != CEL_DURATION)
        return cel_no_overload();
    return sum(r, c, (value){ .kind = first.kind });
}

#define SUM(fn, kind)                                                                              \
    FN(fn)                                                                                         \
    {                                                                                              \
        return sum_of(r, c, kind);                                                                 \
    }
SUM(sum_int, CEL_INT)
SUM(sum_uint, CEL_UINT)
SUM(sum_double, CEL_DOUBLE)
SUM(sum_duration, CEL_DURATION)

/* ---- where ---- */

static value position(struct cel_run *r, const value *list, const value *what, bool last)
{
    int64_t at = -1;
    value why;

    for (size_t i = 0; i < list->items.n && !r->over; i++) {
        value one = cel_item(r, list, i);
        if (cel_equal(r, &one, what, &why) != 1)
            continue;
        at = (int64_t)i;
        if (!last)
            break;
    }
    return CEL_INT_OF(at);
}

FN(index_of)
{
    return A.kind == CEL_STRING ? cel_text_index(r, c, false) : position(r, &A, &B, false);
}

FN(last_index_of)
{
    return A.kind == CEL_STRING ? cel_text_index(r, c, true) : position(r, &A, &B, true);
}

/* ---- sets ---- */

static bool holds(struct cel_run *r, const value *list, const value *v)
{
    value why;

    for (size_t i = 0; i < list->items.n && !r->over; i++) {
        value one = cel_item(r, list, i);
        if (cel_equal(r, &one, v, &why) == 1)
            return true;
    }
    return false;
}

static bool holds_all(struct cel_run *r, const value *list, const value *others)
{
    for (size_t i = 0; i < others->items.n && !r->over; i++) {
        value one = cel_item(r, others, i);
        if (!holds(r, list, &one))
            return false;
    }
    return true;
}

FN(set_contains)
{
    return CEL_BOOL_OF(holds_all(r, &A, &B));
}

FN(set_equivalent)
{
    return CEL_BOOL_OF(holds_all(r, &A, &B) && holds_all(r, &B, &A));
}

FN(set_intersects)
{
    for (size_t i = 0; i < A.items.n && !r->over; i++) {
        value one = cel_item(r, &A, i);
        if (holds(r, &B, &one))
            return CEL_BOOL_OF(true);
    }
    return CEL_BOOL_OF(false);
}

#define OF_ORDERED(name, result_of, fn)                                                            \
    { name, true, "Li:" result_of("i"), fn, PRICE_WALK },                                          \
        { name, true, "Lu:" result_of("u"), fn, PRICE_WALK },                                      \
        { name, true, "Ld:" result_of("d"), fn, PRICE_WALK },                                      \
        { name, true, "Lb:" result_of("b"), fn, PRICE_WALK },                                      \
        { name, true, "Lr:" result_of("r"), fn, PRICE_WALK },                                      \
        { name, true, "Lt:" result_of("t"), fn, PRICE_WALK },                                      \
        { name, true, "Ls:" result_of("s"), fn, PRICE_WALK },                                      \
    {                                                                                              \
        name, true, "Ly:" result_of("y"), fn, PRICE_WALK                                           \
    }
#define ITSELF(x) x
#define A_BOOL(x) "b"

const struct cel_fn cel_lib_list[] = {
    OF_ORDERED("isSorted", A_BOOL, is_sorted),
    OF_ORDERED("min", ITSELF, min),
    OF_ORDERED("max", ITSELF, max),
    { "sum", true, "Li:i", sum_int, PRICE_WALK },
    { "sum", true, "Lu:u", sum_uint, PRICE_WALK },
    { "sum", true, "Ld:d", sum_double, PRICE_WALK },
    { "sum", true, "Lr:r", sum_duration, PRICE_WALK },
    { "indexOf", true, "ss:i", index_of, PRICE_WALK },
    { "indexOf", true, "ssi:i", index_of, PRICE_WALK },
    { "indexOf", true, "LAA:i", index_of, PRICE_WALK },
    { "lastIndexOf", true, "ss:i", last_index_of, PRICE_WALK },
    { "lastIndexOf", true, "ssi:i", last_index_of, PRICE_WALK },
    { "lastIndexOf", true, "LAA:i", last_index_of, PRICE_WALK },
    { "sets.contains", false, "LALA:b", set_contains, PRICE_SETS },
    { "sets.equivalent", false, "LALA:b", set_equivalent, PRICE_SETS },
    { "sets.intersects", false, "LALA:b", set_intersects, PRICE_SETS },
    { 0 },
};

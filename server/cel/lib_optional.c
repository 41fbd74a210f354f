/* Optional values (cel-go cel.OptionalTypes, version 0 as Kubernetes 1.32 takes it). */
#include "server/cel/func.h"

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

FN(of)
{
    value *v = cel_run_alloc(r, 1, sizeof *v);

    if (!v)
        return cel_error(r, CEL_COST_EXCEEDED);
    *v = A;
    return (value){ .kind = CEL_OPTIONAL, .of = v };
}

FN(none)
{
    (void)r;
    (void)c;
    return (value){ .kind = CEL_OPTIONAL };
}

static bool is_zero(const value *v)
{
    switch (v->kind) {
    case CEL_NULL:
        return true;
    case CEL_BOOL:
        return !v->b;
    case CEL_INT:
    case CEL_DURATION:
        return v->i == 0;
    case CEL_UINT:
        return v->u == 0;
    case CEL_DOUBLE:
        return v->d == 0;
    case CEL_STRING:
    case CEL_BYTES:
        return v->s.n == 0;
    case CEL_LIST:
    case CEL_MAP:
    case CEL_OBJECT:
        return v->items.n == 0;
    case CEL_TIMESTAMP:
        return v->t.s == CEL_MOMENT_MIN && v->t.ns == 0;
    case CEL_OPTIONAL:
        return !v->of;
    default:
        return false;
    }
}

FN(of_non_zero)
{
    return is_zero(&A) ? none(r, c) : of(r, c);
}

FN(has_value)
{
    (void)r;
    return CEL_BOOL_OF(A.of != NULL);
}

FN(its_value)
{
    return A.of ? *A.of : cel_error(r, "optional.none() dereference");
}

FN(or_optional)
{
    (void)r;
    return A.of ? A : B;
}

FN(or_value)
{
    (void)r;
    return A.of ? *A.of : B;
}

const struct cel_fn cel_lib_optional[] = {
    { "optional.of", false, "A:OA", of, PRICE_ONE },
    { "optional.ofNonZeroValue", false, "A:OA", of_non_zero, PRICE_ONE },
    { "optional.none", false, ":OA", none, PRICE_ONE },
    { "hasValue", true, "OA:b", has_value, PRICE_ONE },
    { "value", true, "OA:A", its_value, PRICE_ONE },
    { "or", true, "OAOA:OA", or_optional, PRICE_ONE },
    { "orValue", true, "OAA:A", or_value, PRICE_ONE },
    { 0 },
};

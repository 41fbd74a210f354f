/* Operators (langdef.md, "List of Standard Definitions"): arithmetic that overflows is an error. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/cel/func.h"

#include <math.h>

typedef struct cel_value value;
__extension__ typedef __int128 wide;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

#define OVERFLOW(r) cel_error(r, "return error for overflow")

/* ---- arithmetic ---- */

#define INT_OP(fn, builtin)                                                                        \
    FN(fn##_int)                                                                                   \
    {                                                                                              \
        int64_t out;                                                                               \
        return builtin(A.i, B.i, &out) ? OVERFLOW(r) : CEL_INT_OF(out);                            \
    }                                                                                              \
    FN(fn##_uint)                                                                                  \
    {                                                                                              \
        uint64_t out;                                                                              \
        return builtin(A.u, B.u, &out) ? OVERFLOW(r) : (value){ .kind = CEL_UINT, .u = out };      \
    }
INT_OP(add, __builtin_add_overflow)
INT_OP(sub, __builtin_sub_overflow)
INT_OP(mul, __builtin_mul_overflow)

#define DOUBLE_OP(fn, op)                                                                          \
    FN(fn##_double)                                                                                \
    {                                                                                              \
        (void)r;                                                                                   \
        return (value){ .kind = CEL_DOUBLE, .d = A.d op B.d };                                     \
    }
DOUBLE_OP(add, +)
DOUBLE_OP(sub, -)
DOUBLE_OP(mul, *)

FN(div_double)
{
    (void)r;
    double d = B.d; /* by zero: an infinity, as IEEE has it */
    double inf = A.d == 0 || isnan(A.d) ? NAN : copysign(INFINITY, A.d) * copysign(1, d);
    return (value){ .kind = CEL_DOUBLE, .d = d == 0 ? inf : A.d / d };
}

FN(div_int)
{
    if (B.i == 0)
        return cel_error(r, "division by zero");
    return A.i == INT64_MIN && B.i == -1 ? OVERFLOW(r) : CEL_INT_OF(A.i / B.i);
}

FN(div_uint)
{
    return B.u == 0 ? cel_error(r, "division by zero")
                    : (value){ .kind = CEL_UINT, .u = A.u / B.u };
}

FN(mod_int)
{
    if (B.i == 0)
        return cel_error(r, "modulus by zero");
    return A.i == INT64_MIN && B.i == -1 ? OVERFLOW(r) : CEL_INT_OF(A.i % B.i);
}

FN(mod_uint)
{
    return B.u == 0 ? cel_error(r, "modulus by zero") : (value){ .kind = CEL_UINT, .u = A.u % B.u };
}

FN(neg_int)
{
    return A.i == INT64_MIN ? OVERFLOW(r) : CEL_INT_OF(-A.i);
}

FN(neg_double)
{
    (void)r;
    return (value){ .kind = CEL_DOUBLE, .d = -A.d };
}

FN(not_bool)
{
    (void)r;
    return CEL_BOOL_OF(!A.b);
}

/* ---- times ---- */

static value moment(struct cel_run *r, struct cel_moment t, int64_t ns, bool minus)
{
    wide all = ((wide)t.s * 1000000000) + t.ns;

    all += minus ? -(wide)ns : (wide)ns;
    int64_t s = (int64_t)(all / 1000000000), rest = (int64_t)(all % 1000000000);
    if (rest < 0) {
        rest += 1000000000;
        s--;
    }
    if (s < CEL_MOMENT_MIN || s > CEL_MOMENT_MAX)
        return cel_error(r, "timestamp overflow");
    return (value){ .kind = CEL_TIMESTAMP, .t = { s, (int32_t)rest } };
}

FN(add_time_duration)
{
    return moment(r, A.t, B.i, false);
}

FN(add_duration_time)
{
    return moment(r, B.t, A.i, false);
}

FN(sub_time_duration)
{
    return moment(r, A.t, B.i, true);
}

static value duration(struct cel_run *r, int64_t a, int64_t b, bool minus)
{
    int64_t out;
    bool over = minus ? __builtin_sub_overflow(a, b, &out) : __builtin_add_overflow(a, b, &out);

    return over ? OVERFLOW(r) : (value){ .kind = CEL_DURATION, .i = out };
}

FN(add_duration)
{
    return duration(r, A.i, B.i, false);
}

FN(sub_duration)
{
    return duration(r, A.i, B.i, true);
}

FN(sub_time)
{
    wide ns = (wide)(A.t.s - B.t.s) * 1000000000 + (A.t.ns - B.t.ns);

    if (ns > INT64_MAX || ns < INT64_MIN)
        return OVERFLOW(r);
    return (value){ .kind = CEL_DURATION, .i = (int64_t)ns };
}

/* ---- adding texts and lists ---- */

FN(add_text)
{
    char *p = cel_run_alloc(r, A.s.n + B.s.n + 1, 1);

    if (!p)
        return cel_error(r, CEL_COST_EXCEEDED);
    if (A.s.n)
        memcpy(p, A.s.p, A.s.n);
    if (B.s.n)
        memcpy(p + A.s.n, B.s.p, B.s.n);
    return (value){ .kind = A.kind, .s = str_n(p, A.s.n + B.s.n) };
}

/* Is v in the first n items of out? By the list's keys or as a whole; *at is where. */
static bool there(struct cel_run *r, const struct cel_type *t, const value *out, size_t n,
                  const value *v, size_t *at)
{
    value why;
    size_t k;

    for (*at = 0; *at < n && !r->over; ++*at) {
        if (t->list == CEL_LIST_SET) {
            if (cel_equal(r, &out[*at], v, &why) == 1)
                return true;
            continue;
        }
        const json_t *key, *a = out[*at].items.json, *b = v->items.json;
        bool same = out[*at].kind == CEL_OBJECT && v->kind == CEL_OBJECT && a && b;
        if (same)
            json_array_foreach(t->list_keys, k, key)
            {
                json_t *x = json_object_get(a, json_string_value(key));
                json_t *y = json_object_get(b, json_string_value(key));
                same = same && (x == y || (x && y && json_equal(x, y)));
            }
        cel_run_work(r, 64);
        if (same)
            return true;
    }
    return false;
}

/* Kubernetes, "Validation rules": sets unite, lists by key merge. */
FN(add_list)
{
    size_t n = A.items.n, at;
    const struct cel_type *t = A.items.v ? NULL : A.items.type;
    value *v = cel_run_alloc(r, n + B.items.n + 1, sizeof *v);

    if (!v)
        return cel_error(r, CEL_COST_EXCEEDED);
    for (size_t i = 0; i < n; i++)
        v[i] = cel_item(r, &A, i);
    for (size_t i = 0; i < B.items.n; i++) {
        value one = cel_item(r, &B, i);
        if (!t || t->list == CEL_LIST_PLAIN || !there(r, t, v, n, &one, &at))
            v[n++] = one;
        else if (t->list == CEL_LIST_BY_KEY)
            v[at] = one;
    }
    cel_run_work(r, n * sizeof *v);
    return (value){ .kind = CEL_LIST, .items = { .v = v, .n = n } };
}

/* ---- equality and order ---- */

FN(equals)
{
    value why;
    int eq = cel_equal(r, &A, &B, &why);

    return eq < 0 ? why : CEL_BOOL_OF(eq == 1);
}

FN(differs)
{
    value why;
    int eq = cel_equal(r, &A, &B, &why);

    return eq < 0 ? why : CEL_BOOL_OF(eq == 0);
}

#define ORDER_OP(fn, op)                                                                           \
    FN(fn)                                                                                         \
    {                                                                                              \
        int order;                                                                                 \
        bool nan;                                                                                  \
        (void)r;                                                                                   \
        if (!cel_compare(&A, &B, &order, &nan))                                                    \
            return cel_no_overload();                                                              \
        return CEL_BOOL_OF(!nan && order op 0);                                                    \
    }
ORDER_OP(less, <)
ORDER_OP(less_equal, <=)
ORDER_OP(greater, >)
ORDER_OP(greater_equal, >=)

/* ---- in, and by index ---- */

FN(in_list)
{
    value first_error = CEL_NULL_VALUE, why;

    for (size_t i = 0; i < B.items.n && !r->over; i++) {
        value one = cel_item(r, &B, i);
        int eq = cel_equal(r, &one, &A, &why);
        if (eq == 1)
            return CEL_BOOL_OF(true);
        if (eq < 0 && first_error.kind == CEL_NULL)
            first_error = why;
    }
    return first_error.kind == CEL_NULL ? CEL_BOOL_OF(false) : first_error;
}

FN(in_map)
{
    value out;

    return CEL_BOOL_OF(cel_lookup(r, &B, &A, &out));
}

static value no_such_key(struct cel_run *r, const value *key)
{
    value text = cel_to_string(r, key);

    return text.kind == CEL_ERROR ? text : cel_error(r, "no such key: " STR_FMT, STR_ARG(text.s));
}

static value by_index(struct cel_run *r, const value *of, const value *key)
{
    value out;

    if (of->kind == CEL_LIST) {
        if (key->kind != CEL_INT)
            return cel_no_overload();
        if (key->i < 0 || (uint64_t)key->i >= of->items.n)
            return cel_error(r, "index out of bounds: %lld", (long long)key->i);
        return cel_item(r, of, (size_t)key->i);
    }
    return cel_lookup(r, of, key, &out) ? out : no_such_key(r, key);
}

static value optional(struct cel_run *r, value v)
{
    value *of;

    if (v.kind == CEL_ERROR)
        return v;
    of = cel_run_alloc(r, 1, sizeof *of);
    if (!of)
        return cel_error(r, CEL_COST_EXCEEDED);
    *of = v;
    return (value){ .kind = CEL_OPTIONAL, .of = of };
}

static value by_index_optional(struct cel_run *r, const value *of, const value *key)
{
    value out;

    if (of->kind == CEL_LIST) {
        if (key->kind != CEL_INT)
            return cel_no_overload();
        if (key->i < 0 || (uint64_t)key->i >= of->items.n)
            return (value){ .kind = CEL_OPTIONAL };
        return optional(r, cel_item(r, of, (size_t)key->i));
    }
    return cel_lookup(r, of, key, &out) ? optional(r, out) : (value){ .kind = CEL_OPTIONAL };
}

FN(at_index)
{
    return by_index(r, &A, &B);
}

FN(at_index_maybe)
{
    return by_index_optional(r, &A, &B);
}

FN(at_index_of_optional)
{
    if (!A.of)
        return A;
    if (A.of->kind != CEL_LIST && A.of->kind != CEL_MAP && A.of->kind != CEL_OBJECT)
        return cel_no_overload();
    return by_index_optional(r, A.of, &B);
}

/* What is ordered, of one type and of two kinds of numbers. */
#define ORDERED(name, fn)                                                                          \
    { name, false, "bb:b", fn, PRICE_ONE }, { name, false, "ii:b", fn, PRICE_ONE },                \
        { name, false, "uu:b", fn, PRICE_ONE }, { name, false, "dd:b", fn, PRICE_ONE },            \
        { name, false, "ss:b", fn, PRICE_MIN }, { name, false, "yy:b", fn, PRICE_MIN },            \
        { name, false, "tt:b", fn, PRICE_ONE }, { name, false, "rr:b", fn, PRICE_ONE },            \
        { name, false, "id:b", fn, PRICE_ONE }, { name, false, "iu:b", fn, PRICE_ONE },            \
        { name, false, "ui:b", fn, PRICE_ONE }, { name, false, "ud:b", fn, PRICE_ONE },            \
        { name, false, "di:b", fn, PRICE_ONE },                                                    \
    {                                                                                              \
        name, false, "du:b", fn, PRICE_ONE                                                         \
    }

const struct cel_fn cel_lib_ops[] = {
    { "_+_", false, "ii:i", add_int, PRICE_ONE },
    { "_+_", false, "uu:u", add_uint, PRICE_ONE },
    { "_+_", false, "dd:d", add_double, PRICE_ONE },
    { "_+_", false, "ss:s", add_text, PRICE_SUM },
    { "_+_", false, "yy:y", add_text, PRICE_SUM },
    { "_+_", false, "LALA:LA", add_list, PRICE_ADD_LIST },
    { "_+_", false, "rr:r", add_duration, PRICE_ONE },
    { "_+_", false, "tr:t", add_time_duration, PRICE_ONE },
    { "_+_", false, "rt:t", add_duration_time, PRICE_ONE },
    { "_-_", false, "ii:i", sub_int, PRICE_ONE },
    { "_-_", false, "uu:u", sub_uint, PRICE_ONE },
    { "_-_", false, "dd:d", sub_double, PRICE_ONE },
    { "_-_", false, "tt:r", sub_time, PRICE_ONE },
    { "_-_", false, "tr:t", sub_time_duration, PRICE_ONE },
    { "_-_", false, "rr:r", sub_duration, PRICE_ONE },
    { "_*_", false, "ii:i", mul_int, PRICE_ONE },
    { "_*_", false, "uu:u", mul_uint, PRICE_ONE },
    { "_*_", false, "dd:d", mul_double, PRICE_ONE },
    { "_/_", false, "ii:i", div_int, PRICE_ONE },
    { "_/_", false, "uu:u", div_uint, PRICE_ONE },
    { "_/_", false, "dd:d", div_double, PRICE_ONE },
    { "_%_", false, "ii:i", mod_int, PRICE_ONE },
    { "_%_", false, "uu:u", mod_uint, PRICE_ONE },
    { "-_", false, "i:i", neg_int, PRICE_ONE },
    { "-_", false, "d:d", neg_double, PRICE_ONE },
    { "!_", false, "b:b", not_bool, PRICE_ONE },
    { "_==_", false, "AA:b", equals, PRICE_MIN },
    { "_!=_", false, "AA:b", differs, PRICE_MIN },
    ORDERED("_<_", less),
    ORDERED("_<=_", less_equal),
    ORDERED("_>_", greater),
    ORDERED("_>=_", greater_equal),
    { "@in", false, "ALA:b", in_list, PRICE_IN_LIST },
    { "@in", false, "AMAB:b", in_map, PRICE_ONE },
    { "_[_]", false, "LAi:A", at_index, PRICE_INDEX },
    { "_[_]", false, "MABA:B", at_index, PRICE_INDEX },
    { "_[_]", false, "OLAi:OA", at_index_of_optional, PRICE_INDEX },
    { "_[_]", false, "OMABA:OB", at_index_of_optional, PRICE_INDEX },
    { "_[?_]", false, "LAi:OA", at_index_maybe, PRICE_INDEX },
    { "_[?_]", false, "MABA:OB", at_index_maybe, PRICE_INDEX },
    { "_[?_]", false, "OLAi:OA", at_index_of_optional, PRICE_INDEX },
    { "_[?_]", false, "OMABA:OB", at_index_of_optional, PRICE_INDEX },
    { 0 },
};

/* Kubernetes' quantity and format libraries (k8s.io/apiserver
 * pkg/cel/library/{quantity,format}.go).
 */
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/kube/name.h"
#include "server/cel/func.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

/* ---- quantities ---- */

static value quantity_value_of(struct cel_run *r, struct quantity q)
{
    struct quantity *of = cel_run_alloc(r, 1, sizeof *of);

    if (!of)
        return cel_error(r, CEL_COST_EXCEEDED);
    *of = q;
    return (value){ .kind = CEL_QUANTITY, .quantity = of };
}

FN(quantity)
{
    struct quantity q;
    struct err e;

    if (quantity_parse(&q, A.s, &e))
        return cel_error(r, "quantity parse error during conversion from string: %s", e.text);
    return quantity_value_of(r, q);
}

FN(is_quantity)
{
    struct quantity q;
    struct err e;

    (void)r;
    return CEL_BOOL_OF(quantity_parse(&q, A.s, &e) == 0);
}

#define NANO 1000000000

static bool is_whole(const struct quantity *q)
{
    return q->nano % NANO == 0 && q->nano / NANO <= INT64_MAX && q->nano / NANO >= INT64_MIN;
}

FN(is_integer)
{
    (void)r;
    return CEL_BOOL_OF(is_whole(A.quantity));
}

FN(as_integer)
{
    if (!is_whole(A.quantity))
        return cel_error(r, "cannot convert value to integer");
    return CEL_INT_OF((int64_t)(A.quantity->nano / NANO));
}

FN(as_float)
{
    (void)r;
    return (value){ .kind = CEL_DOUBLE, .d = (double)A.quantity->nano / NANO };
}

FN(sign)
{
    (void)r;
    return CEL_INT_OF((A.quantity->nano > 0) - (A.quantity->nano < 0));
}

static struct quantity other(const value *v)
{
    return v->kind == CEL_INT ? quantity_of(v->i, QUANTITY_DECIMAL_SI) : *v->quantity;
}

FN(add)
{
    struct quantity b = other(&B);

    return quantity_value_of(r, quantity_add(*A.quantity, &b));
}

FN(sub)
{
    struct quantity b = other(&B);

    return quantity_value_of(r, quantity_sub(*A.quantity, &b));
}

FN(is_less)
{
    (void)r;
    return CEL_BOOL_OF(quantity_cmp(A.quantity, B.quantity) < 0);
}

FN(is_greater)
{
    (void)r;
    return CEL_BOOL_OF(quantity_cmp(A.quantity, B.quantity) > 0);
}

FN(compare_to)
{
    int order = quantity_cmp(A.quantity, B.quantity);

    (void)r;
    return CEL_INT_OF((order > 0) - (order < 0));
}

/* ---- formats ---- */

/* Upstream masks a name's last dash when it is the beginning of a generated one. */
static const char *check_prefix(const char *(*check)(struct str), struct str s)
{
    auto_free char *whole = NULL;

    if (!s.n || s.p[s.n - 1] != '-')
        return check(s);
    whole = str_dup(s);
    whole[s.n - 1] = 'a';
    return check(str_n(whole, s.n));
}

static const char *label_prefix(struct str s)
{
    return check_prefix(name_check_label, s);
}

static const char *subdomain_prefix(struct str s)
{
    return check_prefix(name_check_subdomain, s);
}

static const char *label35_prefix(struct str s)
{
    return check_prefix(name_check_label35, s);
}

static const char *uri(struct str s)
{
    struct cel_call c = { .args = &CEL_STR_OF(s), .n = 1 };
    size_t n;

    return cel_fn_find(STR("isURL"), &n)->run(NULL, &c).b ? NULL : "invalid URI";
}

static const char *uuid(struct str s)
{
    static const unsigned groups[] = { 8, 4, 4, 4, 12 };
    size_t i = 0;

    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        if (g && i < s.n && s.p[i] == '-') /* dashes may be left out */
            i++;
        for (unsigned k = 0; k < groups[g]; k++, i++)
            if (i >= s.n || str_hex_digit(s.p[i]) < 0)
                return "does not match the UUID format";
    }
    return i == s.n ? NULL : "does not match the UUID format";
}

static const char *byte(struct str s)
{
    return base64_valid(s) ? NULL : "invalid base64";
}

static const char *date(struct str s)
{
    char text[32];
    struct cel_moment t;

    if (s.n != 10)
        return "invalid date";
    snprintf(text, sizeof text, STR_FMT "T00:00:00Z", STR_ARG(s));
    return cel_moment_parse(&t, str_of(text)) ? NULL : "invalid date";
}

static const char *datetime(struct str s)
{
    struct cel_moment t;

    return cel_moment_parse(&t, s) ? NULL : "invalid datetime";
}

static const struct {
    const char *name;
    const char *(*check)(struct str s);
} formats[] = {
    { "dns1123Label", name_check_label },
    { "dns1123Subdomain", name_check_subdomain },
    { "dns1035Label", name_check_label35 },
    { "qualifiedName", name_check_qualified },
    { "dns1123LabelPrefix", label_prefix },
    { "dns1123SubdomainPrefix", subdomain_prefix },
    { "dns1035LabelPrefix", label35_prefix },
    { "labelValue", name_check_label_value },
    { "uri", uri },
    { "uuid", uuid },
    { "byte", byte },
    { "date", date },
    { "datetime", datetime },
};

static value optional_of(struct cel_run *r, value v)
{
    value *of = cel_run_alloc(r, 1, sizeof *of);

    if (!of)
        return cel_error(r, CEL_COST_EXCEEDED);
    *of = v;
    return (value){ .kind = CEL_OPTIONAL, .of = of };
}

FN(named)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (str_is(A.s, formats[i].name))
            return optional_of(r, (value){ .kind = CEL_FORMAT, .format = (int)i });
    return (value){ .kind = CEL_OPTIONAL };
}

/* format.dns1123Label() */
FN(by_name)
{
    struct str name = c->node->name, dot, rest;

    str_cut(name, '.', &dot, &rest);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (str_is(rest, formats[i].name))
            return (value){ .kind = CEL_FORMAT, .format = (int)i };
    return cel_error(r, "no such format");
}

FN(validate)
{
    const char *why = formats[A.format].check(B.s);
    value *one;

    if (!why)
        return (value){ .kind = CEL_OPTIONAL };
    one = cel_run_alloc(r, 1, sizeof *one);
    if (!one)
        return cel_error(r, CEL_COST_EXCEEDED);
    *one = CEL_STR_OF(str_of(why));
    return optional_of(r, (value){ .kind = CEL_LIST, .items = { .v = one, .n = 1 } });
}

#define FORMAT(name)                                                                               \
    {                                                                                              \
        "format." name, false, ":f", by_name, PRICE_ONE                                            \
    }

const struct cel_fn cel_lib_kube[] = {
    { "quantity", false, "s:q", quantity, PRICE_PARSE },
    { "isQuantity", false, "s:b", is_quantity, PRICE_PARSE },
    { "isInteger", true, "q:b", is_integer, PRICE_ONE },
    { "asInteger", true, "q:i", as_integer, PRICE_ONE },
    { "asApproximateFloat", true, "q:d", as_float, PRICE_ONE },
    { "sign", true, "q:i", sign, PRICE_ONE },
    { "add", true, "qq:q", add, PRICE_ONE },
    { "add", true, "qi:q", add, PRICE_ONE },
    { "sub", true, "qq:q", sub, PRICE_ONE },
    { "sub", true, "qi:q", sub, PRICE_ONE },
    { "isLessThan", true, "qq:b", is_less, PRICE_ONE },
    { "isGreaterThan", true, "qq:b", is_greater, PRICE_ONE },
    { "compareTo", true, "qq:i", compare_to, PRICE_ONE },
    { "format.named", false, "s:Of", named, PRICE_ONE },
    FORMAT("dns1123Label"),
    FORMAT("dns1123Subdomain"),
    FORMAT("dns1035Label"),
    FORMAT("qualifiedName"),
    FORMAT("dns1123LabelPrefix"),
    FORMAT("dns1123SubdomainPrefix"),
    FORMAT("dns1035LabelPrefix"),
    FORMAT("labelValue"),
    FORMAT("uri"),
    FORMAT("uuid"),
    FORMAT("byte"),
    FORMAT("date"),
    FORMAT("datetime"),
    { "validate", true, "fs:OLs", validate, PRICE_REGEX },
    { 0 },
};

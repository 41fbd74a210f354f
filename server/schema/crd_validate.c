/*
 * The walk keeps the name of the value that it is at ("spec.list[0].x") as text, for that is what
 * the sentences hold. Alternatives (anyOf, oneOf, not) are tried with errors of their own; of those
 * that failed, the one that got furthest tells why.
 */
#include "server/schema/crd_validate.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/strfmt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define NAME_MAX_BYTES   4096
#define ITEMS_BEFORE_MAX 1000 /* of longer lists each item counts as changed */

struct check {
    const char *prefix;
    struct buf name;
    struct field_errors *fe;
    unsigned n_fine; /* how far an alternative got */
    unsigned n_checks;
    uint64_t regex_steps; /* left */
    bool ratchet;
};

/* ---- what is said ---- */

/* Calls add with the place of the value that the walk is at. */
static void say(struct check *c, enum field_reason reason, const char *fmt, ...) PRINTF_FMT(3, 4);
static void say(struct check *c, enum field_reason reason, const char *fmt, ...)
{
    const char *name = buf_cstr(&c->name);
    auto_free char *field = mem_printf("%s%s%s", c->prefix, *c->prefix && *name ? "." : "", name);
    va_list ap;

    va_start(ap, fmt);
    auto_free char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    field_add(c->fe, reason, FIELD_AT(NULL, field), "%s", text);
}

/* A value as upstream prints it behind "Invalid value: ". Yours. */
static char *shown(const json_t *v)
{
    auto_buf b = BUF(4096);

    return json_write(&b, v) ? mem_strdup("...") : buf_take(&b);
}

static void invalid(struct check *c, const json_t *value, const char *fmt, ...) PRINTF_FMT(3, 4);
static void invalid(struct check *c, const json_t *value, const char *fmt, ...)
{
    auto_free char *v = shown(value);
    va_list ap;

    va_start(ap, fmt);
    auto_free char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    say(c, FIELD_INVALID, "Invalid value: %s: %s in body %s", v, buf_cstr(&c->name), text);
}

/* Sentences about alternatives belong to the whole object. */
static void composite(struct check *c, const char *fmt, ...) PRINTF_FMT(2, 3);
static void composite(struct check *c, const char *fmt, ...)
{
    const struct field_path *p = FIELD_AT(NULL, *c->prefix ? c->prefix : "<nil>");
    va_list ap;

    va_start(ap, fmt);
    auto_free char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    field_add(c->fe, FIELD_INVALID, p, "Invalid value: \"\": \"%s\" %s", buf_cstr(&c->name), text);
}

/* A number as Go prints a float64 (%v). */
static const char *go_number(char out[40], double d)
{
    for (int p = 1; p <= 17; p++) {
        snprintf(out, 40, "%.*g", p, d);
        if (strtod(out, NULL) == d)
            break;
    }
    if (strchr(out, 'e') && fabs(d) < 1e21 && fabs(d) >= 1e-4)
        snprintf(out, 40, "%.0f", d);
    return out;
}

/* ---- types ---- */

static const char *type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool is_whole(const json_t *v)
{
    double d = json_is_real(v) ? json_real_value(v) : 0.5;

    return json_is_integer(v) || (d == floor(d) && fabs(d) < 9.007199254740992e15);
}

static bool type_fits(const struct crd_node *n, const json_t *v)
{
    if (json_is_null(v))
        return n->nullable || (n->type == CRD_ANY && !n->int_or_string);
    if (n->int_or_string && n->type == CRD_ANY)
        return json_is_string(v) || is_whole(v);
    switch (n->type) {
    case CRD_ANY:
        return true;
    case CRD_OBJECT:
        return json_is_object(v);
    case CRD_ARRAY:
        return json_is_array(v);
    case CRD_STRING:
        return json_is_string(v);
    case CRD_BOOLEAN:
        return json_is_boolean(v);
    case CRD_INTEGER:
        return is_whole(v);
    case CRD_NUMBER:
        return json_is_number(v);
    }
    return false;
}

static bool check_type(struct check *c, const struct crd_node *n, const json_t *v)
{
    const char *want = n->int_or_string ? "integer,string" : crd_type_name(n->type);

    if (type_fits(n, v))
        return true;
    say(c, FIELD_TYPE_INVALID, "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
        type_of(v), buf_cstr(&c->name), want, type_of(v));
    return false;
}

/* ---- scalars ---- */

static int64_t n_runes(const json_t *v)
{
    const char *s = json_string_value(v);
    int64_t n = 0;

    for (size_t i = 0; i < json_string_length(v); i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

static void check_string(struct check *c, const struct crd_node *n, const json_t *v)
{
    struct str s = str_n(json_string_value(v), json_string_length(v));
    struct err e = { 0 };
    bool match;

    if (n->max_length >= 0 && n_runes(v) > n->max_length)
        say(c, FIELD_TOO_LONG, "Too long: may not be more than %" PRId64 " byte%s", n->max_length,
            n->max_length == 1 ? "" : "s");
    if (n->min_length >= 0 && n_runes(v) < n->min_length)
        invalid(c, v, "should be at least %" PRId64 " chars long", n->min_length);
    if (n->pattern && (regex_match(&match, n->pattern, s, &c->regex_steps, &e) || !match))
        invalid(c, v, "should match '%s'%s%s", n->pattern_text, e.code ? ", but " : "",
                e.code ? e.text : "");
    if (n->format && !strfmt_check(n->format, s)) {
        auto_free char *text = shown(v);
        say(c, FIELD_TYPE_INVALID, "Invalid value: %s: %s in body must be of type %s: %s", text,
            buf_cstr(&c->name), n->format, text);
    }
}

static bool is_multiple(double d, double of)
{
    double n = of < 1 ? 1 / of * d : d / of;

    return fabs(n - round(n)) <= 1e-9 * MAX(1.0, fabs(n));
}

static void check_number(struct check *c, const struct crd_node *n, const json_t *v)
{
    double d = json_number_value(v);
    char text[40];

    if (n->exclusive_maximum ? d >= n->maximum : d > n->maximum)
        invalid(c, v, "should be less than %s%s", n->exclusive_maximum ? "" : "or equal to ",
                go_number(text, n->maximum));
    if (n->exclusive_minimum ? d <= n->minimum : d < n->minimum)
        invalid(c, v, "should be greater than %s%s", n->exclusive_minimum ? "" : "or equal to ",
                go_number(text, n->minimum));
    if (n->multiple_of > 0 && !is_multiple(d, n->multiple_of))
        invalid(c, v, "should be a multiple of %s", go_number(text, n->multiple_of));
}

/* Numbers are equal by value, be they written 1 or 1.0. */
static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal((json_t *)a, (json_t *)b);
}

static void check_enum(struct check *c, const struct crd_node *n, const json_t *v)
{
    auto_buf list = BUF(8192);
    const json_t *one;
    size_t i;

    json_array_foreach(n->enums, i, one)
    {
        if (equal(one, v))
            return;
    }
    json_array_foreach(n->enums, i, one)
    {
        auto_free char *json = shown(one);
        auto_free char *text = json_is_string(one) ? mem_strdup(json) : mem_printf("\"%s\"", json);
        if (buf_addf(&list, "%s%s", i ? ", " : "", text))
            break;
    }
    auto_free char *value = shown(v);
    say(c, FIELD_NOT_SUPPORTED, "Unsupported value: %s: supported values: %s", value,
        buf_cstr(&list));
}

/* ---- what holds other values ---- */

static void walk(struct check *c, const struct crd_node *n, const json_t *v, const json_t *old);

static void walk_child(struct check *c, const struct crd_node *n, const json_t *v,
                       const json_t *old, const char *key, size_t index)
{
    size_t before = c->name.n;
    int rc = key ? buf_addf(&c->name, "%s%s", before ? "." : "", key)
                 : buf_addf(&c->name, "[%zu]", index);

    err_ignore(rc); /* a name that long is told as that of what holds it */
    walk(c, n, v, old);
    c->name.n = before;
    if (c->name.p)
        c->name.p[before] = '\0';
}

/* The item of old that is the same one as v, by the list's keys. */
static const json_t *item_before(const struct crd_node *n, const json_t *old, const json_t *v)
{
    const json_t *one, *key;
    size_t i, k;

    if (n->list_type != SCHEMA_LIST_MAP || json_array_size(old) > ITEMS_BEFORE_MAX)
        return NULL;
    json_array_foreach(old, i, one)
    {
        bool same = true;
        json_array_foreach(n->list_keys, k, key)
        {
            const char *name = json_string_value(key);
            const json_t *a = json_object_get(one, name), *b = json_object_get(v, name);
            same = same && a && b && json_equal((json_t *)a, (json_t *)b);
        }
        if (same)
            return one;
    }
    return NULL;
}

static bool has_doubles(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < i; k++)
            if (equal(json_array_get(list, i), json_array_get(list, k)))
                return true;
    return false;
}

static void check_list(struct check *c, const struct crd_node *n, const json_t *v,
                       const json_t *old)
{
    int64_t size = (int64_t)json_array_size(v);
    json_auto_t *shown_size = json_integer(size);
    json_t *item;
    size_t i;

    json_array_foreach(v, i, item) if (n->items)
        walk_child(c, n->items, item, item_before(n, old, item), NULL, i);
    if (n->min_items >= 0 && size < n->min_items)
        invalid(c, shown_size, "should have at least %" PRId64 " items", n->min_items);
    if (n->max_items >= 0 && size > n->max_items)
        say(c, FIELD_TOO_MANY, "Too many: %" PRId64 ": must have at most %" PRId64 " item%s", size,
            n->max_items, n->max_items == 1 ? "" : "s");
    if (n->unique_items && has_doubles(v)) {
        json_auto_t *none = json_string("");
        invalid(c, none, "shouldn't contain duplicates");
    }
}

static void check_object(struct check *c, const struct crd_node *n, const json_t *v,
                         const json_t *old)
{
    int64_t size = (int64_t)json_object_size(v);
    json_auto_t *shown_size = json_integer(size);
    const char *key;
    json_t *child;
    size_t i;

    if (n->min_properties >= 0 && size < n->min_properties) {
        invalid(c, shown_size, "should have at least %" PRId64 " properties", n->min_properties);
        return;
    }
    if (n->max_properties >= 0 && size > n->max_properties) {
        say(c, FIELD_TOO_MANY, "Too many: %" PRId64 ": must have at most %" PRId64 " item%s", size,
            n->max_properties, n->max_properties == 1 ? "" : "s");
        return;
    }
    json_object_foreach((json_t *)v, key, child)
    {
        const struct crd_node *p = crd_node_prop(n, key);

        if (!p && n->has_additional && !n->allows_additional) {
            json_auto_t *name = json_string(key);
            auto_free char *text = shown(name);
            say(c, FIELD_INVALID, "Invalid value: %s: %s.%s in body is a forbidden property", text,
                buf_cstr(&c->name), key);
        }
        p = p ? p : n->additional;
        if (p)
            walk_child(c, p, child, json_object_get(old, key), key, 0);
    }
    json_array_foreach(n->required, i, child)
    {
        const char *name = json_string_value(child);
        size_t before = c->name.n;

        if (!name || json_object_get(v, name))
            continue;
        err_ignore(buf_addf(&c->name, "%s%s", before ? "." : "", name));
        say(c, FIELD_REQUIRED, "Required value");
        c->name.n = before;
        if (c->name.p)
            c->name.p[before] = '\0';
    }
}

/* ---- alternatives ---- */

/* n alone, its errors in fe. True: v is fine by it. */
static bool try(struct check *c, const struct crd_node *n, const json_t *v, struct field_errors *fe,
                unsigned *n_fine)
{
    struct field_errors *outer = c->fe;
    unsigned fine = c->n_fine;
    bool ratchet = c->ratchet;

    c->fe = fe;
    c->n_fine = 0;
    c->ratchet = false; /* what an alternative is for is not told by what changed */
    walk(c, n, v, NULL);
    c->fe = outer;
    *n_fine = c->n_fine;
    c->n_fine = fine;
    c->ratchet = ratchet;
    return fe->n == 0;
}

/* How many of the alternatives fit. best: the errors of the one that got furthest. */
static unsigned count_fitting(struct check *c, const struct crd_nodes *nodes, const json_t *v,
                              bool first_is_enough, struct field_errors *best)
{
    unsigned n = 0, furthest = 0;

    for (size_t i = 0; i < nodes->n && !(n && first_is_enough); i++) {
        struct field_errors fe = { 0 };
        unsigned n_fine;

        if (try(c, nodes->v[i], v, &fe, &n_fine)) {
            n++;
        } else if (!best->n || n_fine > furthest) {
            field_errors_deinit(best);
            *best = fe;
            fe = (struct field_errors){ 0 };
            furthest = n_fine;
        }
        field_errors_deinit(&fe);
    }
    return n;
}

static void check_alternatives(struct check *c, const struct crd_node *n, const json_t *v)
{
    auto_field_errors any = { 0 }, one = { 0 }, not_ = { 0 };
    unsigned n_fine, fitting, before = (unsigned)c->fe->n;

    if (n->any_of.n && !count_fitting(c, &n->any_of, v, true, &any)) {
        composite(c, "must validate at least one schema (anyOf)");
        field_errors_copy(c->fe, &any);
    }
    if (n->one_of.n && (fitting = count_fitting(c, &n->one_of, v, false, &one)) != 1) {
        if (fitting)
            composite(c,
                      "must validate one and only one schema (oneOf). Found %u valid "
                      "alternatives",
                      fitting);
        else
            composite(c, "must validate one and only one schema (oneOf). Found none valid");
        if (!fitting)
            field_errors_copy(c->fe, &one);
    }
    for (size_t i = 0, n_fit = 0; i < n->all_of.n; i++) {
        auto_field_errors fe = { 0 };

        n_fit += try(c, n->all_of.v[i], v, &fe, &n_fine);
        field_errors_copy(c->fe, &fe);
        if (i + 1 == n->all_of.n && n_fit < n->all_of.n)
            composite(c, "must validate all the schemas (allOf)%s",
                      n_fit ? "" : ". None validated");
    }
    if (n->not_ && try(c, n->not_, v, &not_, &n_fine))
        composite(c, "must not validate the schema (not)");
    c->n_fine += c->fe->n == before;
}

static void walk(struct check *c, const struct crd_node *n, const json_t *v, const json_t *old)
{
    size_t before = c->fe->n;

    if (++c->n_checks > CRD_CHECKS_MAX)
        return;
    bool is_object = !*c->prefix && !c->name.n; /* the whole one has always changed somewhere */

    if (c->ratchet && old && !is_object && json_equal((json_t *)v, (json_t *)old))
        return;
    bool fits = check_type(c, n, v);
    c->n_fine += fits;
    if (json_is_null(v)) {
        if (fits && n->enums)
            check_enum(c, n, v);
        return;
    }
    check_alternatives(c, n, v);
    if (json_is_string(v))
        check_string(c, n, v);
    else if (json_is_number(v))
        check_number(c, n, v);
    else if (json_is_array(v))
        check_list(c, n, v, old);
    if (n->enums)
        check_enum(c, n, v);
    if (json_is_object(v))
        check_object(c, n, v, old);
    c->n_fine += c->fe->n == before;
}

void crd_validate(const struct crd_node *n, const json_t *v, const json_t *old, const char *prefix,
                  struct field_errors *fe)
{
    struct check c = { .prefix = prefix,
                       .name = BUF(NAME_MAX_BYTES),
                       .fe = fe,
                       .regex_steps = REGEX_STEPS_MAX,
                       .ratchet = true };

    walk(&c, n, v, old);
    /* an alternative that was not looked at to its end may look like one that failed */
    if (c.n_checks > CRD_CHECKS_MAX || c.regex_steps == 0)
        composite(&c, "is too large to be checked against its schema");
    buf_deinit(&c.name);
}

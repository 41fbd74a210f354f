/* Values as they are: reading JSON, items, sizes, order, equality (langdef.md, "Equality"). */
#include "server/cel/value.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "server/cel/func.h"

#include <math.h>
#include <stdio.h>

/* ---- the run ---- */

void *cel_run_alloc(struct cel_run *r, size_t n, size_t size_bytes)
{
    void *p = r->over ? NULL : arena_calloc(r->a, n, size_bytes);

    if (!p)
        r->over = true;
    return p;
}

void cel_run_work(struct cel_run *r, uint64_t bytes)
{
    r->work += bytes;
    if (r->work > CEL_WORK_MAX)
        r->over = true;
}

struct cel_value cel_error(struct cel_run *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t size = n < 0 ? 0 : MIN((size_t)n, sizeof text - 1);
    return cel_str_copy(r, CEL_ERROR, str_n(text, size));
}

struct cel_value cel_no_overload(void)
{
    return (struct cel_value){ .kind = CEL_ERROR, .s = STR("no such overload") };
}

struct cel_value cel_str_copy(struct cel_run *r, enum cel_kind kind, struct str s)
{
    char *p = cel_run_alloc(r, s.n + 1, 1);

    if (!p)
        return (struct cel_value){ .kind = CEL_ERROR, .s = STR(CEL_COST_EXCEEDED) };
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct cel_value){ .kind = kind, .s = str_n(p, s.n) };
}

/* ---- JSON ---- */

static struct cel_value constant_error(struct str s)
{
    return (struct cel_value){ .kind = CEL_ERROR, .s = s };
}
#define WRONG(text) constant_error(STR(text))

static struct cel_value text_value(struct str s, const struct cel_type *t, struct arena *a)
{
    struct cel_value v = CEL_STR_OF(s);
    char date[32];

    switch (t->text) {
    case CEL_TEXT_PLAIN:
        return v;
    case CEL_TEXT_DATE:
        if (s.n > 10)
            return WRONG("invalid date formatted string");
        snprintf(date, sizeof date, STR_FMT "T00:00:00Z", STR_ARG(s));
        v.kind = CEL_TIMESTAMP;
        return cel_moment_parse(&v.t, str_of(date)) ? v : WRONG("invalid date formatted string");
    case CEL_TEXT_DATE_TIME:
        v.kind = CEL_TIMESTAMP;
        return cel_moment_parse(&v.t, s) ? v : WRONG("invalid date-time formatted string");
    case CEL_TEXT_DURATION:
        v.kind = CEL_DURATION;
        return cel_duration_parse(&v.i, s, true) ? v : WRONG("invalid duration");
    case CEL_TEXT_BASE64:
        break;
    }
    auto_buf b = BUF(s.n + 4);
    if (base64_decode(&b, s, false))
        return WRONG("invalid byte formatted string");
    char *p = arena_calloc(a, b.n + 1, 1);
    if (!p)
        return WRONG(CEL_COST_EXCEEDED);
    memcpy(p, buf_cstr(&b), b.n);
    return (struct cel_value){ .kind = CEL_BYTES, .s = str_n(p, b.n) };
}

struct cel_value cel_value_of_json(const json_t *json, const struct cel_type *t, struct arena *a)
{
    struct cel_value v = { .kind = t->kind };

    if (!json || json_is_null(json))
        return t->nullable || t->kind == CEL_UNKNOWN
                   ? CEL_NULL_VALUE
                   : WRONG("invalid data, got null for schema with nullable=false");
    switch (t->kind) {
    case CEL_BOOL:
        v.b = json_is_true(json);
        return json_is_boolean(json) ? v : WRONG("invalid data, expected bool");
    case CEL_INT:
        v.i = json_integer_value(json);
        return json_is_integer(json) ? v : WRONG("invalid data, expected int");
    case CEL_DOUBLE:
        v.d = json_number_value(json);
        return json_is_number(json) ? v : WRONG("invalid data, expected float");
    case CEL_STRING:
    case CEL_BYTES:
    case CEL_TIMESTAMP:
    case CEL_DURATION:
        if (!json_is_string(json))
            return WRONG("invalid data, expected string");
        return text_value(str_n(json_string_value(json), json_string_length(json)), t, a);
    case CEL_LIST:
        v.items = (struct cel_items){ .n = json_array_size(json), .json = json, .type = t };
        return json_is_array(json)
                   ? v
                   : WRONG("invalid data, expected an array for the provided schema with "
                           "type=array");
    case CEL_MAP:
    case CEL_OBJECT:
        v.items = (struct cel_items){ .n = json_object_size(json), .json = json, .type = t };
        return json_is_object(json)
                   ? v
                   : WRONG("invalid data, expected a map for the provided schema with "
                           "type=object");
    case CEL_DYN:
        if (json_is_string(json))
            return CEL_STR_OF(str_n(json_string_value(json), json_string_length(json)));
        if (json_is_integer(json))
            return CEL_INT_OF(json_integer_value(json));
        if (t->int_or_string)
            return WRONG("invalid data, expected XIntOrString value to be either a string or "
                         "integer");
        if (json_is_boolean(json))
            return CEL_BOOL_OF(json_is_true(json));
        if (json_is_real(json))
            return (struct cel_value){ .kind = CEL_DOUBLE, .d = json_real_value(json) };
        v.kind = json_is_array(json) ? CEL_LIST : CEL_MAP;
        v.items = (struct cel_items){
            .n = json_is_array(json) ? json_array_size(json) : json_object_size(json),
            .json = json,
            .type = &cel_types[v.kind],
        };
        return v;
    case CEL_UNKNOWN:
    default:
        v.kind = CEL_UNKNOWN;
        v.items = (struct cel_items){ .json = json };
        return v;
    }
}

/* ---- items ---- */

static const struct cel_type unknown = { .kind = CEL_UNKNOWN, .nullable = true };
static const struct cel_type any = { .kind = CEL_DYN, .nullable = true };

/* What lies in a list or map whose type says nothing of it: the plain ones of cel_types. */
static const struct cel_type *inner(const struct cel_type *t)
{
    return t->elem == &cel_types[CEL_DYN] ? &any : t->elem;
}

struct cel_value cel_item(struct cel_run *r, const struct cel_value *list, size_t i)
{
    const struct cel_items *at = &list->items;

    if (at->v)
        return at->v[i];
    return cel_value_of_json(json_array_get(at->json, i), inner(at->type), r->a);
}

static const struct cel_field *field_of_key(const struct cel_type *t, const char *key)
{
    for (size_t i = 0; i < t->n_fields; i++)
        if (strcmp(t->fields[i].key, key) == 0)
            return &t->fields[i];
    return NULL;
}

void cel_entry(struct cel_run *r, const struct cel_value *map, size_t i, struct cel_value *key,
               struct cel_value *value)
{
    const struct cel_items *at = &map->items;
    json_t *obj = (json_t *)at->json;
    void *it;

    if (at->v) {
        *key = at->v[2 * i];
        *value = at->v[2 * i + 1];
        return;
    }
    cel_run_work(r, i * 8);
    it = json_object_iter(obj);
    for (size_t k = 0; it && k < i; k++)
        it = json_object_iter_next(obj, it);
    *key = *value = CEL_NULL_VALUE;
    if (!it)
        return;
    *key = CEL_STR_OF(str_of(json_object_iter_key(it)));
    if (map->kind == CEL_OBJECT) {
        const struct cel_field *f = field_of_key(at->type, json_object_iter_key(it));
        *value = cel_value_of_json(json_object_iter_value(it), f ? f->type : &unknown, r->a);
    } else {
        *value = cel_value_of_json(json_object_iter_value(it), inner(at->type), r->a);
    }
}

bool cel_lookup_name(struct cel_run *r, const struct cel_value *map, struct str name,
                     struct cel_value *out)
{
    const struct cel_items *at = &map->items;
    const struct cel_field *f;
    const json_t *j;

    if (at->v) {
        struct cel_value key = CEL_STR_OF(name);
        return cel_lookup(r, map, &key, out);
    }
    if (map->kind == CEL_OBJECT) {
        f = cel_type_field(at->type, name);
        j = f ? json_object_get(at->json, f->key) : NULL;
        if (!j || json_is_null(j))
            return false;
        *out = cel_value_of_json(j, f->type, r->a);
        return true;
    }
    if (memchr(name.p ? name.p : "", '\0', name.n))
        return false;
    auto_free char *key = str_dup(name);
    if (!(j = json_object_get(at->json, key)))
        return false;
    *out = cel_value_of_json(j, inner(at->type), r->a);
    return true;
}

bool cel_lookup(struct cel_run *r, const struct cel_value *map, const struct cel_value *key,
                struct cel_value *out)
{
    struct cel_value why;

    if (!map->items.v)
        return key->kind == CEL_STRING && cel_lookup_name(r, map, key->s, out);
    for (size_t i = 0; i < map->items.n; i++)
        if (cel_equal(r, &map->items.v[2 * i], key, &why) == 1) {
            *out = map->items.v[2 * i + 1];
            return true;
        }
    return false;
}

/* ---- size ---- */

int64_t cel_runes(struct str s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

uint64_t cel_size(const struct cel_value *v)
{
    switch (v->kind) {
    case CEL_STRING:
        return (uint64_t)cel_runes(v->s);
    case CEL_BYTES:
        return v->s.n;
    case CEL_LIST:
    case CEL_MAP:
    case CEL_OBJECT:
        return v->items.n;
    case CEL_IP:
        return v->net->cidr.family == AF_INET ? 4 : 16;
    case CEL_CIDR:
        return v->net->cidr.family == AF_INET ? 4 : 16;
    default:
        return 1;
    }
}

/* ---- order ---- */

static bool is_number(const struct cel_value *v)
{
    return v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_DOUBLE;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_double_int(double d, int64_t i)
{
    if (d < -9223372036854775808.0)
        return -1;
    if (d >= 9223372036854775808.0)
        return 1;
    int64_t whole = (int64_t)d;
    return whole != i ? ORDER(whole, i) : ORDER(d, (double)whole);
}

static int compare_double_uint(double d, uint64_t u)
{
    if (d < 0)
        return -1;
    if (d >= 18446744073709551616.0)
        return 1;
    uint64_t whole = (uint64_t)d;
    return whole != u ? ORDER(whole, u) : ORDER(d, (double)whole);
}

static int compare_numbers(const struct cel_value *a, const struct cel_value *b, bool *nan)
{
    if ((a->kind == CEL_DOUBLE && isnan(a->d)) || (b->kind == CEL_DOUBLE && isnan(b->d))) {
        *nan = true;
        return 1;
    }
    if (a->kind == b->kind)
        return a->kind == CEL_INT    ? ORDER(a->i, b->i)
               : a->kind == CEL_UINT ? ORDER(a->u, b->u)
                                     : ORDER(a->d, b->d);
    if (a->kind == CEL_DOUBLE)
        return b->kind == CEL_INT ? compare_double_int(a->d, b->i)
                                  : compare_double_uint(a->d, b->u);
    if (b->kind == CEL_DOUBLE)
        return a->kind == CEL_INT ? -compare_double_int(b->d, a->i)
                                  : -compare_double_uint(b->d, a->u);
    if (a->kind == CEL_INT)
        return a->i < 0 ? -1 : ORDER((uint64_t)a->i, b->u);
    return b->i < 0 ? 1 : ORDER(a->u, (uint64_t)b->i);
}

bool cel_compare(const struct cel_value *a, const struct cel_value *b, int *out, bool *nan)
{
    *nan = false;
    if (is_number(a) && is_number(b)) {
        *out = compare_numbers(a, b, nan);
        return true;
    }
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CEL_BOOL:
        *out = ORDER(a->b, b->b);
        return true;
    case CEL_STRING:
    case CEL_BYTES: {
        size_t n = MIN(a->s.n, b->s.n);
        int c = n ? memcmp(a->s.p, b->s.p, n) : 0;
        *out = c ? c : ORDER(a->s.n, b->s.n);
        return true;
    }
    case CEL_TIMESTAMP:
        *out = a->t.s != b->t.s ? ORDER(a->t.s, b->t.s) : ORDER(a->t.ns, b->t.ns);
        return true;
    case CEL_DURATION:
        *out = ORDER(a->i, b->i);
        return true;
    default:
        return false;
    }
}

/* ---- equality ---- */

/* The fields that tell an item of a list by key apart, as one text in b. */
static bool item_key(struct buf *b, const json_t *keys, const struct cel_value *item)
{
    const json_t *k;
    size_t i;

    buf_clear(b);
    json_array_foreach(keys, i, k)
    {
        const json_t *v = json_object_get(item->items.json, json_string_value(k));
        if (buf_addc(b, ',') || (v && json_write(b, v)))
            return false;
    }
    return true;
}

/* The item of b that has the key of x. */
static bool find_by_key(struct cel_run *r, const json_t *keys, const struct cel_value *x,
                        const struct cel_value *b, struct cel_value *out)
{
    auto_buf want = BUF(4096), have = BUF(4096);

    if (!item_key(&want, keys, x))
        return false;
    for (size_t i = 0; i < b->items.n && !r->over; i++) {
        *out = cel_item(r, b, i);
        cel_run_work(r, 64);
        if (out->kind == CEL_OBJECT && out->items.json && item_key(&have, keys, out) &&
            str_eq(buf_str(&want), buf_str(&have)))
            return true;
    }
    return false;
}

static int equal_lists(struct cel_run *r, const struct cel_value *a, const struct cel_value *b,
                       struct cel_value *why)
{
    enum cel_list list = a->items.v ? CEL_LIST_PLAIN : a->items.type->list;
    int all = 1;

    if (a->items.n != b->items.n)
        return 0;
    for (size_t i = 0; i < a->items.n && !r->over; i++) {
        struct cel_value x = cel_item(r, a, i), y = CEL_NULL_VALUE;
        int eq = 0;

        if (list == CEL_LIST_SET) {
            for (size_t k = 0; k < b->items.n && eq != 1 && !r->over; k++) {
                y = cel_item(r, b, k);
                eq = cel_equal(r, &x, &y, why);
            }
        } else if (list == CEL_LIST_BY_KEY && x.kind == CEL_OBJECT) {
            eq =
                find_by_key(r, a->items.type->list_keys, &x, b, &y) ? cel_equal(r, &x, &y, why) : 0;
        } else {
            y = cel_item(r, b, i);
            eq = cel_equal(r, &x, &y, why);
        }
        if (eq == 0)
            return 0;
        all = MIN(all, eq);
    }
    return all;
}

/* json_equal, counted. */
static bool equal_raw(struct cel_run *r, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *child;
    size_t i;

    cel_run_work(r, 16 + json_string_length(a));
    if (r->over || json_typeof(a) != json_typeof(b))
        return false;
    if (!json_is_object(a) && !json_is_array(a))
        return json_equal((json_t *)a, (json_t *)b);
    if (json_object_size(a) != json_object_size(b) || json_array_size(a) != json_array_size(b))
        return false;
    json_array_foreach(a, i, child) if (!equal_raw(r, child, json_array_get(b, i))) return false;
    json_object_foreach((json_t *)a, key, child)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !equal_raw(r, child, other))
            return false;
    }
    return true;
}

/* Two of one type; not as texts, for sets may be in another order. */
static int equal_json(struct cel_run *r, const struct cel_value *a, const struct cel_value *b,
                      struct cel_value *why)
{
    const struct cel_type *t = a->items.type;
    const char *key;
    json_t *child;
    int all = 1;

    if (a->items.n != b->items.n)
        return 0;
    json_object_foreach((json_t *)a->items.json, key, child)
    {
        const struct cel_field *f = a->kind == CEL_OBJECT ? field_of_key(t, key) : NULL;
        const struct cel_type *of = f ? f->type : a->kind == CEL_MAP ? inner(t) : &unknown;
        const json_t *other = json_object_get(b->items.json, key);

        if (!other || r->over)
            return 0;
        struct cel_value x = cel_value_of_json(child, of, r->a);
        struct cel_value y = cel_value_of_json(other, of, r->a);
        int eq = cel_equal(r, &x, &y, why);
        if (eq == 0)
            return 0;
        all = MIN(all, eq);
    }
    return all;
}

static int equal_maps(struct cel_run *r, const struct cel_value *a, const struct cel_value *b,
                      struct cel_value *why)
{
    struct cel_value key, x, y;
    int all = 1;

    if (a->items.json && b->items.json && a->items.type == b->items.type)
        return equal_json(r, a, b, why);
    if (a->items.n != b->items.n || a->kind == CEL_OBJECT || b->kind == CEL_OBJECT)
        return 0;
    for (size_t i = 0; i < a->items.n && !r->over; i++) {
        cel_entry(r, a, i, &key, &x);
        if (!cel_lookup(r, b, &key, &y))
            return 0;
        int eq = cel_equal(r, &x, &y, why);
        if (eq == 0)
            return 0;
        all = MIN(all, eq);
    }
    return all;
}

static bool is_map(const struct cel_value *v)
{
    return v->kind == CEL_MAP || v->kind == CEL_OBJECT;
}

int cel_equal(struct cel_run *r, const struct cel_value *a, const struct cel_value *b,
              struct cel_value *why)
{
    bool nan;
    int c;

    cel_run_work(r, 16);
    if (r->over || a->kind == CEL_ERROR || b->kind == CEL_ERROR) {
        *why = a->kind == CEL_ERROR ? *a : *b;
        return -1;
    }
    if (is_map(a) && is_map(b)) {
        cel_run_work(r, 64 * (a->items.n + b->items.n));
        return equal_maps(r, a, b, why);
    }
    if (a->kind == CEL_STRING || a->kind == CEL_BYTES) {
        if (a->kind != b->kind || a->s.n != b->s.n)
            return 0;
        cel_run_work(r, a->s.n);
        return str_eq(a->s, b->s);
    }
    if (cel_compare(a, b, &c, &nan))
        return !nan && c == 0;
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case CEL_NULL:
        return 1;
    case CEL_LIST:
        return equal_lists(r, a, b, why);
    case CEL_UNKNOWN:
        return equal_raw(r, a->items.json, b->items.json);
    case CEL_OPTIONAL:
        if (!a->of || !b->of)
            return a->of == b->of;
        return cel_equal(r, a->of, b->of, why);
    case CEL_TYPE:
        return a->type == b->type;
    case CEL_QUANTITY:
        return quantity_cmp(a->quantity, b->quantity) == 0;
    case CEL_IP:
    case CEL_CIDR:
        return a->net->cidr.family == b->net->cidr.family &&
               a->net->cidr.prefix_bits == b->net->cidr.prefix_bits &&
               memcmp(a->net->ip, b->net->ip, sizeof a->net->ip) == 0;
    case CEL_URL:
        return str_eq(a->url->scheme, b->url->scheme) && str_eq(a->url->host, b->url->host) &&
               str_eq(a->url->path, b->url->path) && str_eq(a->url->query, b->url->query);
    case CEL_FORMAT:
        return a->format == b->format;
    default:
        return 0;
    }
}

#include "server/schema/fieldset.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <math.h>
#include <stdio.h>

enum { DEPTH_MAX = JSON_DEPTH_MAX, KEY_PARTS_MAX = 64 };

/* ---- order ---- */

static int rank(char type)
{
    static const char types[] = "fkvi";
    const char *p = strchr(types, type);

    return p && type ? (int)(p - types) : (int)sizeof types;
}

/* What a JSON value begins with, in the order of value.Compare: numbers, texts, booleans, null. */
static int value_rank(char c)
{
    switch (c) {
    case '"':
        return 1;
    case 't':
    case 'f':
        return 2;
    case 'n':
        return 3;
    default:
        return 0;
    }
}

/* Both texts are our own compact JSON, equal up to i. */
static int order_json(const char *a, const char *b, size_t i)
{
    bool in_text = false;
    size_t token = 0; /* where the token that holds i begins */

    for (size_t j = 0; j < i; j++) {
        if (in_text && a[j] == '\\')
            j++;
        else if (a[j] == '"')
            in_text = !in_text;
        else if (!in_text && strchr("{,:", a[j]))
            token = j + 1;
    }
    if (in_text) { /* the shorter text is the lesser one */
        if (a[i] == '"' || b[i] == '"')
            return a[i] == '"' ? -1 : 1;
        return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
    }
    int ra = value_rank(a[token]), rb = value_rank(b[token]);
    if (ra == 0 && rb == 0) {
        double na = strtod(a + token, NULL), nb = strtod(b + token, NULL);
        if (na < nb || na > nb)
            return na < nb ? -1 : 1;
    }
    if (a[i] == '}' || b[i] == '}') /* fewer fields */
        return a[i] == '}' ? -1 : 1;
    if (ra != rb)
        return ra - rb;
    return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}

int fieldset_order(const char *a, const char *b)
{
    size_t i = 0;

    if (a[0] != b[0])
        return rank(a[0]) - rank(b[0]);
    while (a[i] && a[i] == b[i])
        i++;
    if (a[i] == b[i])
        return 0;
    if (a[0] == 'f' || i < 2)
        return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
    return order_json(a + 2, b + 2, i - 2);
}

static int by_element(const void *a, const void *b)
{
    return fieldset_order(((const struct fieldset_node *)a)->element,
                          ((const struct fieldset_node *)b)->element);
}

/* ---- elements ---- */

/* Go's encoders write <, > and & as \u003c and so on (encoding/json, HTMLEscape). */
static void escape_html(struct buf *b, struct str json)
{
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (c == '<' || c == '>' || c == '&')
            err_ignore(buf_addf(b, "\\u%04x", (unsigned)c)); /* b is as large as it can get */
        else
            err_ignore(buf_addc(b, c));
    }
}

static json_t *normal_number(const json_t *v)
{
    double d = json_is_real(v) ? json_real_value(v) : 0.5;

    return d == floor(d) && fabs(d) < 9e15 ? json_integer((json_int_t)d) : NULL;
}

static void add_scalar(struct buf *b, const json_t *v)
{
    json_auto_t *whole = normal_number(v);
    auto_free char *text = json_text(whole ? whole : v);

    escape_html(b, str_of(text));
}

static const char *finish(struct arena *a, const struct buf *b)
{
    return arena_strndup(a, buf_cstr(b), b->n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct fieldset_part *)a)->name, ((const struct fieldset_part *)b)->name);
}

const char *fieldset_key(struct arena *a, struct fieldset_part *parts, size_t n)
{
    auto_buf b = BUF(SIZE_MAX / 2); /* texts of an object, which is bounded */

    qsort(parts, n, sizeof *parts, by_name);
    err_ignore(buf_adds(&b, "k:{"));
    for (size_t i = 0; i < n; i++) {
        json_auto_t *name = json_string(parts[i].name);

        err_ignore(i && buf_addc(&b, ','));
        add_scalar(&b, name);
        err_ignore(buf_addc(&b, ':'));
        add_scalar(&b, parts[i].value);
    }
    err_ignore(buf_addc(&b, '}'));
    return finish(a, &b);
}

const char *fieldset_value(struct arena *a, const json_t *scalar)
{
    auto_buf b = BUF(SIZE_MAX / 2);

    err_ignore(buf_adds(&b, "v:"));
    add_scalar(&b, scalar);
    return finish(a, &b);
}

const char *fieldset_field(struct arena *a, const char *name)
{
    size_t n = strlen(name) + 1;
    char *p = arena_alloc(a, n + 2);

    p[0] = 'f';
    p[1] = ':';
    memcpy(p + 2, name, n);
    return p;
}

/* "[name=\"a\",port=80]": the JSON of a key without the quotes of its names. */
static int print_key(struct buf *b, const char *json)
{
    json_auto_t *key = json_from(json);
    const char *name, *sep = "[";
    json_t *v;

    json_object_foreach(key, name, v)
    {
        if (buf_addf(b, "%s%s=", sep, name) || json_write(b, v))
            return ERR_LIMIT;
        sep = ",";
    }
    return buf_addc(b, ']');
}

int fieldset_print_element(struct buf *b, const char *element)
{
    switch (element[0]) {
    case 'f':
        return buf_addf(b, ".%s", element + 2);
    case 'k':
        return print_key(b, element + 2);
    case 'v':
        return buf_addf(b, "[=%s]", element + 2);
    default:
        return buf_addf(b, "[%s]", element + 2);
    }
}

/* ---- building ---- */

void fieldset_add(struct fieldset_builder *b, const char *element, bool member,
                  const struct fieldset *below)
{
    if (!member && !below)
        return;
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 8;
        struct fieldset_node *v = arena_alloc(b->a, cap * sizeof *v);

        if (b->n)
            memcpy(v, b->v, b->n * sizeof *v);
        b->v = v;
        b->cap = cap;
    }
    b->v[b->n++] = (struct fieldset_node){ element, below, member };
}

const struct fieldset *fieldset_done(struct fieldset_builder *b)
{
    bool sorted = true;
    size_t n = 0;

    if (!b->n)
        return NULL;
    for (size_t i = 1; i < b->n && sorted; i++)
        sorted = fieldset_order(b->v[i - 1].element, b->v[i].element) < 0;
    if (!sorted)
        qsort(b->v, b->n, sizeof *b->v, by_element);
    struct fieldset *s = arena_alloc(b->a, sizeof *s + b->n * sizeof *s->v);
    for (size_t i = 0; i < b->n; i++) {
        if (n && !sorted && strcmp(s->v[n - 1].element, b->v[i].element) == 0) {
            s->v[n - 1].member |= b->v[i].member;
            s->v[n - 1].below = fieldset_union(b->a, s->v[n - 1].below, b->v[i].below);
        } else {
            s->v[n++] = b->v[i];
        }
    }
    s->n = n;
    return s;
}

/* ---- algebra ---- */

enum op { UNION, INTERSECTION, DIFFERENCE, DIFFERENCE_DEEP };

static const struct fieldset *combine(struct arena *a, enum op op, const struct fieldset *x,
                                      const struct fieldset *y);

/* One element that both have. */
static struct fieldset_node both(struct arena *a, enum op op, const struct fieldset_node *x,
                                 const struct fieldset_node *y)
{
    struct fieldset_node n = *x;

    switch (op) {
    case UNION:
        n.member = x->member || y->member;
        break;
    case INTERSECTION:
        n.member = x->member && y->member;
        break;
    case DIFFERENCE_DEEP:
        if (y->member)
            return (struct fieldset_node){ x->element, NULL, false };
        break;
    case DIFFERENCE:
        n.member = x->member && !y->member;
        break;
    }
    n.below = combine(a, op, x->below, y->below);
    return n;
}

static const struct fieldset *combine(struct arena *a, enum op op, const struct fieldset *x,
                                      const struct fieldset *y)
{
    struct fieldset_builder b = { .a = a };
    bool same = true; /* the result is x */
    size_t i = 0, j = 0;

    if (!x)
        return op == UNION ? y : NULL;
    if (!y)
        return op == INTERSECTION ? NULL : x;
    if (x == y && (op == UNION || op == INTERSECTION))
        return x;
    while (i < x->n || j < y->n) {
        int d = i == x->n ? 1 : j == y->n ? -1 : fieldset_order(x->v[i].element, y->v[j].element);
        if (d < 0) {
            if (op == INTERSECTION)
                same = false;
            else
                fieldset_add(&b, x->v[i].element, x->v[i].member, x->v[i].below);
            i++;
        } else if (d > 0) {
            if (op == UNION) {
                same = false;
                fieldset_add(&b, y->v[j].element, y->v[j].member, y->v[j].below);
            }
            j++;
        } else {
            struct fieldset_node n = both(a, op, &x->v[i], &y->v[j]);
            same &= n.member == x->v[i].member && n.below == x->v[i].below;
            fieldset_add(&b, n.element, n.member, n.below);
            i++;
            j++;
        }
    }
    return same ? x : fieldset_done(&b);
}

const struct fieldset *fieldset_union(struct arena *a, const struct fieldset *x,
                                      const struct fieldset *y)
{
    return combine(a, UNION, x, y);
}

const struct fieldset *fieldset_intersection(struct arena *a, const struct fieldset *x,
                                             const struct fieldset *y)
{
    return combine(a, INTERSECTION, x, y);
}

const struct fieldset *fieldset_difference(struct arena *a, const struct fieldset *x,
                                           const struct fieldset *y)
{
    return combine(a, DIFFERENCE, x, y);
}

const struct fieldset *fieldset_difference_deep(struct arena *a, const struct fieldset *x,
                                                const struct fieldset *y)
{
    return combine(a, DIFFERENCE_DEEP, x, y);
}

const struct fieldset_node *fieldset_find(const struct fieldset *s, const char *element)
{
    size_t low = 0, high = s ? s->n : 0;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = fieldset_order(element, s->v[mid].element);
        if (!d)
            return &s->v[mid];
        if (d < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static void each(const struct fieldset *s, struct buf *path, void (*fn)(void *arg, const char *p),
                 void *arg)
{
    for (size_t i = 0; s && i < s->n; i++) {
        size_t at = path->n;

        if (fieldset_print_element(path, s->v[i].element))
            continue; /* longer than any path that is worth to be read */
        if (s->v[i].member)
            fn(arg, buf_cstr(path));
        each(s->v[i].below, path, fn, arg);
        path->n = at;
        path->p[at] = '\0';
    }
}

void fieldset_each(const struct fieldset *s, void (*fn)(void *arg, const char *path), void *arg)
{
    auto_buf path = BUF(64 * 1024);

    each(s, &path, fn, arg);
}

/* ---- JSON ---- */

struct reader {
    struct arena *a;
    struct err *e;
    size_t n_nodes;
    bool ours;
};

/* A key in its one form. NULL: no key. */
static const char *normal_key(struct arena *a, const json_t *key)
{
    struct fieldset_part parts[KEY_PARTS_MAX];
    const char *name;
    size_t n = 0;
    json_t *v;

    if (!json_is_object(key) || json_object_size(key) > ARRAY_LEN(parts))
        return NULL;
    json_object_foreach((json_t *)key, name, v) parts[n++] = (struct fieldset_part){ name, v };
    return fieldset_key(a, parts, n);
}

/* *out NULL: a type that we do not know. */
static int read_element(struct reader *r, const char *s, const char **out)
{
    size_t n = strlen(s);
    struct err ignored;
    json_auto_t *v = NULL;
    int64_t index;

    *out = NULL;
    if (n > FIELDSET_ELEMENT_MAX)
        return err_set(r->e, ERR_LIMIT, "an element of a path has more than %d bytes",
                       FIELDSET_ELEMENT_MAX);
    if (n < 2 || s[1] != ':')
        return err_set(r->e, ERR_INVALID, "\"%.40s\" is no element of a path: no type and colon",
                       s);
    if (s[0] == 'f' || r->ours) {
        *out = s;
        return 0;
    }
    switch (s[0]) {
    case 'k':
        if (json_parse(&v, str_of(s + 2), &ignored) == 0)
            *out = normal_key(r->a, v);
        break;
    case 'v':
        if (json_parse(&v, str_of(s + 2), &ignored) == 0)
            *out = fieldset_value(r->a, v);
        break;
    case 'i':
        if (str_to_i64(str_of(s + 2), &index) && index >= 0 && index <= INT32_MAX) {
            auto_free char *text = mem_printf("i:%d", (int)index);
            *out = arena_strndup(r->a, text, strlen(text));
        }
        break;
    default:
        return 0;
    }
    if (!*out)
        return err_set(r->e, ERR_INVALID, "\"%.40s\" is no element of a path", s);
    return 0;
}

/* *self: "." is there, or nothing is. */
static int read_set(struct reader *r, const json_t *j, unsigned depth, const struct fieldset **out,
                    bool *self)
{
    struct fieldset_builder b = { .a = r->a };
    bool dot = false;
    const char *key;
    json_t *v;

    if (!json_is_object(j))
        return err_set(r->e, ERR_INVALID, "a set of fields is an object");
    if (depth > DEPTH_MAX)
        return err_set(r->e, ERR_LIMIT, "a set of fields is nested deeper than %d", DEPTH_MAX);
    json_object_foreach((json_t *)j, key, v)
    {
        const struct fieldset *below = NULL;
        const char *element;
        bool member = false;

        if (strcmp(key, ".") == 0) {
            dot = true;
            continue;
        }
        if (++r->n_nodes > FIELDSET_NODES_MAX)
            return err_set(r->e, ERR_LIMIT, "a set of more than %d fields", FIELDSET_NODES_MAX);
        if (read_element(r, key, &element))
            return r->e->code;
        if (!element)
            continue;
        if (read_set(r, v, depth + 1, &below, &member))
            return r->e->code;
        fieldset_add(&b, element, member, below);
    }
    *out = fieldset_done(&b);
    *self = dot || !*out;
    return 0;
}

int fieldset_read(const struct fieldset **out, struct arena *a, const json_t *fields_v1, bool ours,
                  struct err *e)
{
    struct reader r = { .a = a, .e = e, .ours = ours };
    bool self;

    return read_set(&r, fields_v1, 0, out, &self);
}

json_t *fieldset_json(const struct fieldset *s)
{
    json_t *o = json_object();

    for (size_t i = 0; s && i < s->n; i++) {
        json_t *below = json_object();

        if (s->v[i].member && s->v[i].below)
            json_object_set_new(below, ".", json_object());
        if (s->v[i].below) {
            json_t *rest = fieldset_json(s->v[i].below);

            json_object_update(below, rest);
            json_decref(rest);
        }
        json_object_set_new(o, s->v[i].element, below);
    }
    return o;
}

#include "base/data/jsonpath.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"

#include <string.h>

enum step_kind { STEP_NAME, STEP_INDEX, STEP_SLICE, STEP_ALL, STEP_DEEP, STEP_FILTER, STEP_UNION };
enum compare { CMP_EXISTS, CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

struct step {
    enum step_kind kind;
    char *name;             /* NAME; DEEP: what is looked for at any depth */
    int64_t from, to, by;   /* INDEX: from; SLICE */
    bool has_to;            /* SLICE */
    struct jsonpath *left;  /* FILTER: behind the '@' */
    struct jsonpath *right; /* FILTER: behind another '@'; NULL */
    json_t *literal;        /* FILTER: what left is compared with; NULL */
    enum compare compare;
    struct step *one_of; /* UNION: names and indices */
    size_t n_one_of;
};

struct jsonpath {
    struct step *v;
    size_t n;
};

static void step_deinit(struct step *s)
{
    free(s->name);
    jsonpath_free(s->left);
    jsonpath_free(s->right);
    json_decref(s->literal);
    for (size_t i = 0; i < s->n_one_of; i++)
        step_deinit(&s->one_of[i]);
    free(s->one_of);
}

void jsonpath_free(struct jsonpath *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        step_deinit(&p->v[i]);
    free(p->v);
    free(p);
}

/* ---- reading ---- */

struct reader {
    const char *begin, *at, *end;
    unsigned depth;
    struct err *e;
};

static int fail(const struct reader *r, const char *what)
{
    return err_set(r->e, ERR_INVALID, "JSONPath \"%.*s\": %s at position %td",
                   (int)MIN(r->end - r->begin, (ptrdiff_t)128), r->begin, what, r->at - r->begin);
}

static char peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static void blanks(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t')
        r->at++;
}

static bool take(struct reader *r, const char *token)
{
    size_t n = strlen(token);

    if ((size_t)(r->end - r->at) < n || memcmp(r->at, token, n) != 0)
        return false;
    r->at += n;
    return true;
}

static int add(struct reader *r, struct jsonpath *p, struct step s)
{
    if (p->n == JSONPATH_STEPS_MAX) {
        step_deinit(&s);
        return fail(r, "it has too many steps");
    }
    p->v = mem_realloc(p->v, (p->n + 1) * sizeof *p->v);
    p->v[p->n++] = s;
    return 0;
}

/* A name in dot notation; a backslash takes what follows as it is. "": there is none. Yours. */
static char *plain_name(struct reader *r)
{
    auto_buf b = BUF(1024);

    for (; r->at < r->end && !strchr(".[]()=!<>, \t", *r->at); r->at++) {
        if (*r->at == '\\' && r->at + 1 < r->end)
            r->at++;
        if (buf_addc(&b, *r->at))
            break;
    }
    return b.p ? buf_take(&b) : mem_strdup("");
}

/* 'text' or "text" with backslashes, at its first quote. NULL: failed. Yours. */
static char *quoted(struct reader *r)
{
    auto_buf b = BUF(4096);
    char quote = *r->at++;

    for (; r->at < r->end && *r->at != quote; r->at++) {
        if (*r->at == '\\' && r->at + 1 < r->end)
            r->at++;
        if (buf_addc(&b, *r->at))
            break;
    }
    if (peek(r) != quote) {
        fail(r, "a quoted text does not end");
        return NULL;
    }
    r->at++;
    return b.p ? buf_take(&b) : mem_strdup("");
}

static bool integer(struct reader *r, int64_t *out)
{
    const char *from = r->at;

    if (peek(r) == '-')
        r->at++;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    if (str_to_i64(str_n(from, (size_t)(r->at - from)), out))
        return true;
    r->at = from;
    return false;
}

static int steps(struct reader *r, struct jsonpath *p);

/* What stands on one side of a comparison: @.path, a text, a number, true or false. */
static int operand(struct reader *r, struct jsonpath **path, json_t **literal)
{
    blanks(r);
    if (take(r, "@")) {
        *path = mem_alloc(sizeof **path);
        return steps(r, *path);
    }
    if (peek(r) == '"' || peek(r) == '\'') {
        auto_free char *text = quoted(r);
        if (!text)
            return r->e->code;
        *literal = json_string(text);
        return *literal ? 0 : fail(r, "a text is not UTF-8");
    }
    if (take(r, "true")) {
        *literal = json_true();
        return 0;
    }
    if (take(r, "false")) {
        *literal = json_false();
        return 0;
    }
    auto_free char *text = mem_strndup(r->at, (size_t)MIN(r->end - r->at, (ptrdiff_t)40));
    size_t n = strspn(text, "+-0123456789.eE");
    text[n] = '\0';
    *literal = n ? json_from(text) : NULL;
    if (!*literal)
        return fail(r, "a value is expected");
    r->at += n;
    return 0;
}

static int filter(struct reader *r, struct step *s) /* behind "?(" */
{
    static const struct {
        const char *token;
        enum compare compare;
    } known[] = { { "==", CMP_EQ }, { "!=", CMP_NE }, { "<=", CMP_LE },
                  { ">=", CMP_GE }, { "<", CMP_LT },  { ">", CMP_GT } };
    json_t *left = NULL;

    s->kind = STEP_FILTER;
    if (++r->depth > 8)
        return fail(r, "filters nest too deeply");
    if (operand(r, &s->left, &left)) {
        json_decref(left);
        return r->e->code;
    }
    json_decref(left);
    if (!s->left)
        return fail(r, "a filter begins with '@'");
    blanks(r);
    for (size_t i = 0; i < ARRAY_LEN(known) && s->compare == CMP_EXISTS; i++)
        if (take(r, known[i].token))
            s->compare = known[i].compare;
    if (s->compare != CMP_EXISTS && operand(r, &s->right, &s->literal))
        return r->e->code;
    blanks(r);
    r->depth--;
    return take(r, ")") ? 0 : fail(r, "')' is expected");
}

/* One name, index or slice between brackets. */
static int bracket_item(struct reader *r, struct step *s)
{
    int64_t n = 0;

    blanks(r);
    if (peek(r) == '\'' || peek(r) == '"') {
        s->kind = STEP_NAME;
        s->name = quoted(r);
        if (!s->name)
            return r->e->code;
    } else if (peek(r) == ':' || integer(r, &n)) {
        s->kind = STEP_INDEX;
        s->from = n;
        s->by = 1;
        if (take(r, ":")) {
            s->kind = STEP_SLICE;
            s->has_to = integer(r, &s->to);
            if (take(r, ":") && !integer(r, &s->by))
                s->by = 1;
            if (s->by <= 0)
                return fail(r, "a slice goes forward");
        }
    } else {
        return fail(r, "an index, a quoted name, '*' or '?(' is expected");
    }
    blanks(r);
    return 0;
}

static int bracket(struct reader *r, struct jsonpath *p) /* behind the '[' */
{
    struct step s = { 0 };

    blanks(r);
    if (take(r, "*")) {
        s.kind = STEP_ALL;
    } else if (take(r, "?(")) {
        if (filter(r, &s))
            goto fail;
    } else {
        if (bracket_item(r, &s))
            goto fail;
        if (peek(r) == ',') {
            struct step all = { .kind = STEP_UNION,
                                .one_of = mem_calloc(1, sizeof s),
                                .n_one_of = 1 };
            all.one_of[0] = s;
            s = all;
        }
        while (take(r, ",")) {
            if (s.n_one_of == JSONPATH_STEPS_MAX) {
                fail(r, "it has too many steps");
                goto fail;
            }
            s.one_of = mem_realloc(s.one_of, (s.n_one_of + 1) * sizeof s);
            s.one_of[s.n_one_of] = (struct step){ 0 };
            if (bracket_item(r, &s.one_of[s.n_one_of++]))
                goto fail;
        }
    }
    blanks(r);
    if (!take(r, "]")) {
        fail(r, "']' is expected");
        goto fail;
    }
    return add(r, p, s);
fail:
    step_deinit(&s);
    return r->e->code;
}

static int steps(struct reader *r, struct jsonpath *p)
{
    for (;;) {
        struct step s = { .kind = STEP_NAME };

        if (take(r, "[")) {
            if (bracket(r, p))
                return r->e->code;
            continue;
        }
        if (take(r, ".."))
            s.kind = STEP_DEEP;
        else if (!take(r, "."))
            return 0;
        if (peek(r) == '[' && s.kind == STEP_NAME)
            continue; /* .[0] */
        if (take(r, "*")) {
            if (s.kind == STEP_DEEP)
                return fail(r, "a name is expected behind '..'");
            s.kind = STEP_ALL;
        } else {
            s.name = plain_name(r);
            if (!*s.name && s.kind == STEP_NAME && r->at == r->end && !p->n) {
                free(s.name); /* "." alone is the whole document */
                return 0;
            }
            if (!*s.name) {
                free(s.name);
                return fail(r, "a name is expected");
            }
        }
        if (add(r, p, s))
            return r->e->code;
    }
}

int jsonpath_new(struct jsonpath **out, struct str text, struct err *e)
{
    AUTO(jsonpath) struct jsonpath *p = mem_alloc(sizeof *p);
    struct reader r = { .begin = text.p, .at = text.p, .end = text.p + text.n, .e = e };

    if (!text.n)
        return err_set(e, ERR_INVALID, "JSONPath is empty");
    if (text.p[0] != '.' && text.p[0] != '[' && text.p[0] != '$')
        return fail(&r, "'.' is expected");
    take(&r, "$");
    if (steps(&r, p))
        return e->code;
    if (r.at < r.end)
        return fail(&r, "'.' or '[' is expected");
    *out = STEAL(p);
    return 0;
}

/* ---- finding ---- */

struct found {
    const json_t *v[JSONPATH_FOUND_MAX];
    size_t n;
};

static void put(struct found *f, const json_t *v)
{
    if (v && f->n < JSONPATH_FOUND_MAX)
        f->v[f->n++] = v;
}

static void deep(struct found *out, const json_t *v, const char *name)
{
    const char *key;
    json_t *child;
    size_t i;

    put(out, json_object_get(v, name));
    if (out->n == JSONPATH_FOUND_MAX)
        return;
    json_object_foreach((json_t *)v, key, child) deep(out, child, name);
    json_array_foreach(v, i, child) deep(out, child, name);
}

static bool compared(enum compare c, int d)
{
    switch (c) {
    case CMP_EQ:
        return d == 0;
    case CMP_NE:
        return d != 0;
    case CMP_LT:
        return d < 0;
    case CMP_LE:
        return d <= 0;
    case CMP_GT:
        return d > 0;
    case CMP_GE:
        return d >= 0;
    case CMP_EXISTS:
        break;
    }
    return true;
}

static bool passes(const struct step *s, const json_t *v)
{
    const json_t *left = jsonpath_first(s->left, v);
    const json_t *right = s->right ? jsonpath_first(s->right, v) : s->literal;

    if (s->compare == CMP_EXISTS || !left || !right)
        return s->compare == CMP_EXISTS && left;
    if (json_is_number(left) && json_is_number(right)) {
        double a = json_number_value(left), b = json_number_value(right);
        return compared(s->compare, a < b ? -1 : a > b);
    }
    if (json_is_string(left) && json_is_string(right))
        return compared(s->compare, strcmp(json_string_value(left), json_string_value(right)));
    if (json_is_boolean(left) && json_is_boolean(right))
        return compared(s->compare, json_is_true(left) - json_is_true(right));
    return false; /* values of two kinds are not compared */
}

static void follow(const struct step *s, const json_t *v, struct found *out)
{
    int64_t n = (int64_t)json_array_size(v), to;
    const char *key;
    json_t *child;
    size_t i;

    switch (s->kind) {
    case STEP_NAME:
        put(out, json_object_get(v, s->name));
        break;
    case STEP_INDEX:
        if (s->from < n && s->from >= -n)
            put(out, json_array_get(v, (size_t)(s->from < 0 ? s->from + n : s->from)));
        break;
    case STEP_SLICE:
        to = !s->has_to ? n : s->to < 0 ? s->to + n : MIN(s->to, n);
        for (int64_t at = MAX(s->from < 0 ? s->from + n : s->from, (int64_t)0); at < to;
             at += MIN(s->by, n))
            put(out, json_array_get(v, (size_t)at));
        break;
    case STEP_ALL:
        json_object_foreach((json_t *)v, key, child) put(out, child);
        json_array_foreach(v, i, child) put(out, child);
        break;
    case STEP_DEEP:
        deep(out, v, s->name);
        break;
    case STEP_FILTER:
        json_array_foreach(v, i, child) if (passes(s, child)) put(out, child);
        break;
    case STEP_UNION:
        for (i = 0; i < s->n_one_of; i++)
            follow(&s->one_of[i], v, out);
        break;
    }
}

const json_t *jsonpath_first(const struct jsonpath *p, const json_t *doc)
{
    struct found now = { .v = { doc }, .n = 1 }, then;

    for (size_t i = 0; i < p->n && now.n; i++) {
        then.n = 0;
        for (size_t k = 0; k < now.n; k++)
            follow(&p->v[i], now.v[k], &then);
        memcpy(now.v, then.v, then.n * sizeof then.v[0]);
        now.n = then.n;
    }
    return now.n ? now.v[0] : NULL;
}

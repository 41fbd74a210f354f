#include "base/kube/selector.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/kube/name.h"

#include <stdio.h>

struct terms {
    struct selector_term *v;
    size_t n, n_values;
};

struct label_selector {
    struct terms terms;
    bool nothing;
};

struct field_selector {
    struct terms terms;
};

static struct selector_term *terms_add(struct terms *t, struct str key, enum selector_op op,
                                       struct err *e)
{
    if (t->n == SELECTOR_TERMS_MAX) {
        err_set(e, ERR_LIMIT, "a selector has more than %d requirements", SELECTOR_TERMS_MAX);
        return NULL;
    }
    t->v = mem_realloc(t->v, (t->n + 1) * sizeof *t->v);
    t->v[t->n] = (struct selector_term){ .key = str_dup(key), .op = op };
    return &t->v[t->n++];
}

static int term_add_value(struct terms *t, struct selector_term *term, struct str value,
                          struct err *e)
{
    if (t->n_values == SELECTOR_VALUES_MAX)
        return err_set(e, ERR_LIMIT, "a selector has more than %d values", SELECTOR_VALUES_MAX);
    t->n_values++;
    term->values = mem_realloc(term->values, (term->n_values + 1) * sizeof *term->values);
    term->values[term->n_values++] = str_dup(value);
    return 0;
}

static void terms_deinit(struct terms *t)
{
    for (size_t i = 0; i < t->n; i++) {
        for (size_t j = 0; j < t->v[i].n_values; j++)
            free(t->v[i].values[j]);
        free(t->v[i].values);
        free(t->v[i].key);
    }
    free(t->v);
}

/* ---- label selectors: the grammar of k8s.io/apimachinery pkg/labels/selector.go ---- */

enum token {
    TOK_END,
    TOK_WORD,
    TOK_NOT,
    TOK_EQ,
    TOK_EQ2,
    TOK_NE,
    TOK_GT,
    TOK_LT,
    TOK_OPEN,
    TOK_CLOSE,
    TOK_COMMA
};

struct lexer {
    struct str rest;
    enum token token; /* the current one */
    struct str text;
};

static bool is_special(char c)
{
    return c && strchr("=!(),<>", c) != NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void lex(struct lexer *l)
{
    static const struct {
        const char *text;
        enum token token;
    } marks[] = { { "==", TOK_EQ2 }, { "!=", TOK_NE },   { "=", TOK_EQ },
                  { "!", TOK_NOT },  { ">", TOK_GT },    { "<", TOK_LT },
                  { "(", TOK_OPEN }, { ")", TOK_CLOSE }, { ",", TOK_COMMA } };
    struct str *r = &l->rest;

    while (r->n && is_blank(r->p[0]))
        *r = str_n(r->p + 1, r->n - 1);
    size_t n = 0;
    l->token = r->n ? TOK_WORD : TOK_END;
    if (r->n && is_special(r->p[0])) {
        for (size_t i = 0; i < ARRAY_LEN(marks) && !n; i++)
            if (str_starts(*r, str_of(marks[i].text))) {
                n = strlen(marks[i].text);
                l->token = marks[i].token;
            }
    } else {
        while (n < r->n && !is_blank(r->p[n]) && !is_special(r->p[n]))
            n++;
    }
    l->text = str_n(r->p, n);
    *r = str_n(r->p + n, r->n - n);
}

static int expected(const struct lexer *l, const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "unable to parse requirement: found '%.*s', expected: %s",
                   (int)MIN(l->text.n, (size_t)80), l->text.p ? l->text.p : "", what);
}

static int check_key(struct str key, struct err *e)
{
    const char *why = name_check_qualified(key);

    if (!why)
        return 0;
    return err_set(e, ERR_INVALID,
                   "unable to parse requirement: <nil>: Invalid value: \"%.*s\": %s",
                   (int)MIN(key.n, (size_t)64), key.p, why);
}

static int check_value(struct str key, struct str value, struct err *e)
{
    const char *why = name_check_label_value(value);

    if (!why)
        return 0;
    return err_set(e, ERR_INVALID,
                   "unable to parse requirement: values[0][%.*s]: Invalid value: \"%.*s\": %s",
                   (int)MIN(key.n, (size_t)64), key.p, (int)MIN(value.n, (size_t)64), value.p, why);
}

/* "(a, b)" behind in and notin; a missing value is an empty one */
static int parse_set(struct lexer *l, struct terms *t, struct selector_term *term, struct err *e)
{
    struct str key = str_of(term->key), value;

    if (l->token != TOK_OPEN)
        return expected(l, "'('", e);
    do {
        lex(l);
        value = l->token == TOK_WORD ? l->text : STR("");
        if (check_value(key, value, e) || term_add_value(t, term, value, e))
            return e->code;
        if (l->token == TOK_WORD)
            lex(l);
    } while (l->token == TOK_COMMA);
    if (l->token != TOK_CLOSE)
        return expected(l, "',' or ')'", e);
    lex(l);
    return 0;
}

static int parse_value(struct lexer *l, struct terms *t, struct selector_term *term, struct err *e)
{
    struct str value = l->token == TOK_WORD ? l->text : STR("");
    int64_t number;

    if (l->token != TOK_WORD && l->token != TOK_COMMA && l->token != TOK_END)
        return expected(l, "identifier", e);
    if ((term->op == SELECTOR_GT || term->op == SELECTOR_LT) && !str_to_i64(value, &number))
        return err_set(
            e, ERR_INVALID,
            "unable to parse requirement: values[0][%.64s]: Invalid value: \"%.*s\": for "
            "'Gt', 'Lt' operators, the value must be an integer",
            term->key, (int)MIN(value.n, (size_t)64), value.p);
    if (check_value(str_of(term->key), value, e) || term_add_value(t, term, value, e))
        return e->code;
    if (l->token == TOK_WORD)
        lex(l);
    return 0;
}

static int parse_term(struct lexer *l, struct terms *t, struct err *e)
{
    bool negated = l->token == TOK_NOT;
    struct selector_term *term;
    enum selector_op op;
    bool set = false;

    if (negated)
        lex(l);
    if (l->token != TOK_WORD)
        return expected(l, negated ? "identifier" : "!, identifier, or 'end of string'", e);
    struct str key = l->text;
    if (check_key(key, e))
        return e->code;
    lex(l);
    if (l->token == TOK_END || l->token == TOK_COMMA)
        return terms_add(t, key, negated ? SELECTOR_NOT_EXISTS : SELECTOR_EXISTS, e) ? 0 : e->code;
    if (negated)
        return expected(l, "',' or 'end of string'", e);
    switch (l->token) {
    case TOK_EQ:
    case TOK_EQ2:
        op = SELECTOR_EQ;
        break;
    case TOK_NE:
        op = SELECTOR_NE;
        break;
    case TOK_GT:
        op = SELECTOR_GT;
        break;
    case TOK_LT:
        op = SELECTOR_LT;
        break;
    default:
        set = true;
        op = str_is(l->text, "in") ? SELECTOR_IN : SELECTOR_NOT_IN;
        if (op == SELECTOR_NOT_IN && !str_is(l->text, "notin"))
            return expected(l, "in, notin, =, ==, !=, gt, lt", e);
    }
    lex(l);
    term = terms_add(t, key, op, e);
    if (!term)
        return e->code;
    return set ? parse_set(l, t, term, e) : parse_value(l, t, term, e);
}

static int parse_terms(struct terms *t, struct str text, struct err *e)
{
    struct lexer l = { .rest = text };

    lex(&l);
    if (l.token == TOK_END)
        return 0;
    for (;;) {
        if (parse_term(&l, t, e))
            return e->code;
        if (l.token == TOK_END)
            return 0;
        if (l.token != TOK_COMMA)
            return expected(&l, "',' or 'end of string'", e);
        lex(&l);
        if (l.token != TOK_WORD && l.token != TOK_NOT)
            return expected(&l, "identifier after ','", e);
    }
}

int label_selector_parse(struct label_selector **out, struct str text, struct err *e)
{
    AUTO(label_selector) struct label_selector *s = mem_alloc(sizeof *s);

    if (parse_terms(&s->terms, text, e))
        return e->code;
    *out = STEAL(s);
    return 0;
}

/* ---- LabelSelector objects ---- */

static int from_expression(struct terms *t, const json_t *x, struct err *e)
{
    static const struct {
        const char *name;
        enum selector_op op;
        bool values;
    } ops[] = { { "In", SELECTOR_IN, true },
                { "NotIn", SELECTOR_NOT_IN, true },
                { "Exists", SELECTOR_EXISTS, false },
                { "DoesNotExist", SELECTOR_NOT_EXISTS, false } };
    const char *key = json_string_value(json_object_get(x, "key"));
    const char *op = json_string_value(json_object_get(x, "operator"));
    json_t *values = json_object_get(x, "values"), *v;
    size_t i;

    if (!key || !op)
        return err_set(e, ERR_INVALID, "matchExpressions: key and operator are required");
    for (size_t k = 0; k < ARRAY_LEN(ops); k++) {
        if (strcmp(op, ops[k].name) != 0)
            continue;
        if (ops[k].values != (json_array_size(values) > 0))
            return err_set(e, ERR_INVALID, "matchExpressions: operator %s %s values", op,
                           ops[k].values ? "needs" : "takes no");
        if (check_key(str_of(key), e))
            return e->code;
        struct selector_term *term = terms_add(t, str_of(key), ops[k].op, e);
        if (!term)
            return e->code;
        json_array_foreach(values, i, v)
        {
            struct str text = str_n(json_string_value(v), json_string_length(v));
            if (!json_is_string(v))
                return err_set(e, ERR_INVALID, "matchExpressions: a value is no string");
            if (check_value(str_of(key), text, e) || term_add_value(t, term, text, e))
                return e->code;
        }
        return 0;
    }
    return err_set(e, ERR_INVALID, "\"%.64s\" is not a valid label selector operator", op);
}

int label_selector_from_json(struct label_selector **out, const json_t *o, struct err *e)
{
    AUTO(label_selector) struct label_selector *s = mem_alloc(sizeof *s);
    json_t *v;
    const char *key;
    size_t i;

    s->nothing = !o || json_is_null(o);
    json_object_foreach(json_object_get(o, "matchLabels"), key, v)
    {
        struct str text = str_n(json_string_value(v), json_string_length(v));
        if (!json_is_string(v))
            return err_set(e, ERR_INVALID, "matchLabels: the value of \"%.64s\" is no string", key);
        if (check_key(str_of(key), e) || check_value(str_of(key), text, e))
            return e->code;
        struct selector_term *term = terms_add(&s->terms, str_of(key), SELECTOR_EQ, e);
        if (!term || term_add_value(&s->terms, term, text, e))
            return e->code;
    }
    json_array_foreach(json_object_get(o, "matchExpressions"), i, v)
    {
        if (from_expression(&s->terms, v, e))
            return e->code;
    }
    *out = STEAL(s);
    return 0;
}

/* ---- matching ---- */

static bool has_value(const struct selector_term *t, const char *have)
{
    for (size_t i = 0; i < t->n_values; i++)
        if (strcmp(t->values[i], have) == 0)
            return true;
    return false;
}

static bool match_term(const struct selector_term *t, const char *have)
{
    int64_t a, b;

    switch (t->op) {
    case SELECTOR_EQ:
    case SELECTOR_IN:
        return have && has_value(t, have);
    case SELECTOR_NE:
    case SELECTOR_NOT_IN:
        return !have || !has_value(t, have);
    case SELECTOR_EXISTS:
        return have != NULL;
    case SELECTOR_NOT_EXISTS:
        return have == NULL;
    case SELECTOR_GT:
    case SELECTOR_LT:
        if (!have || !str_to_i64(str_of(have), &a) || !str_to_i64(str_of(t->values[0]), &b))
            return false;
        return t->op == SELECTOR_GT ? a > b : a < b;
    }
    return false;
}

bool label_selector_match(const struct label_selector *s, const json_t *labels)
{
    if (!s)
        return true;
    if (s->nothing)
        return false;
    for (size_t i = 0; i < s->terms.n; i++)
        if (!match_term(&s->terms.v[i],
                        json_string_value(json_object_get(labels, s->terms.v[i].key))))
            return false;
    return true;
}

bool label_selector_is_empty(const struct label_selector *s)
{
    return !s || (!s->nothing && s->terms.n == 0);
}

const struct selector_term *label_selector_terms(const struct label_selector *s, size_t *n)
{
    *n = s ? s->terms.n : 0;
    return s ? s->terms.v : NULL;
}

void label_selector_free(struct label_selector *s)
{
    if (!s)
        return;
    terms_deinit(&s->terms);
    free(s);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_key(const void *a, const void *b)
{
    const struct selector_term *x = *(const struct selector_term *const *)a,
                               *y = *(const struct selector_term *const *)b;
    int d = strcmp(x->key, y->key);

    return d ? d : (x > y) - (x < y);
}

static int text_of_term(struct buf *b, const struct selector_term *t)
{
    static const char *const sign[] = { [SELECTOR_EQ] = "=",     [SELECTOR_NE] = "!=",
                                        [SELECTOR_IN] = " in (", [SELECTOR_NOT_IN] = " notin (",
                                        [SELECTOR_EXISTS] = "",  [SELECTOR_NOT_EXISTS] = "",
                                        [SELECTOR_GT] = ">",     [SELECTOR_LT] = "<" };
    int r = buf_addf(b, "%s%s%s", t->op == SELECTOR_NOT_EXISTS ? "!" : "", t->key, sign[t->op]);

    char **sorted = mem_calloc(t->n_values + 1, sizeof *sorted);
    for (size_t i = 0; i < t->n_values; i++)
        sorted[i] = t->values[i];
    qsort(sorted, t->n_values, sizeof *sorted, by_text);
    for (size_t i = 0; !r && i < t->n_values; i++)
        r = buf_addf(b, "%s%s", i ? "," : "", sorted[i]);
    free(sorted);
    if (!r && (t->op == SELECTOR_IN || t->op == SELECTOR_NOT_IN))
        r = buf_addc(b, ')');
    return r;
}

char *label_selector_text(const struct label_selector *s)
{
    auto_buf b = BUF(SIZE_MAX / 2); /* the terms are bounded already */
    size_t n = s ? s->terms.n : 0;
    const struct selector_term **sorted = mem_calloc(n + 1, sizeof *sorted);

    for (size_t i = 0; i < n; i++)
        sorted[i] = &s->terms.v[i];
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 0; i < n; i++)
        if ((i && buf_addc(&b, ',')) || text_of_term(&b, sorted[i]))
            break;
    free(sorted);
    return b.p ? buf_take(&b) : mem_strdup("");
}

/* ---- field selectors: pkg/fields/selector.go ---- */

/* Up to the next ',' that no backslash escapes. */
static struct str cut_term(struct str *rest)
{
    size_t i = 0;

    while (i < rest->n && rest->p[i] != ',')
        i += rest->p[i] == '\\' && i + 1 < rest->n ? 2 : 1;
    struct str head = str_n(rest->p, i);
    *rest = i < rest->n ? str_n(rest->p + i + 1, rest->n - i - 1) : STR("");
    return head;
}

/* "\\", "\," and "\=" stand for the second character. NULL: another escape, or a bare '='. */
static char *unescape(struct str s)
{
    char *out = mem_alloc(s.n + 1), *to = out;

    for (size_t i = 0; i < s.n; i++) {
        bool escape = s.p[i] == '\\';
        if ((escape && (i + 1 == s.n || !strchr("\\,=", s.p[i + 1]) || !s.p[i + 1])) ||
            s.p[i] == '=') {
            free(out);
            return NULL;
        }
        *to++ = s.p[escape ? ++i : i];
    }
    return out;
}

static int parse_field_term(struct terms *t, struct str text, struct str all, struct err *e)
{
    size_t i = 0;

    while (i < text.n && text.p[i] != '=' && !str_starts(str_n(text.p + i, text.n - i), STR("!=")))
        i++;
    struct str key = str_n(text.p, i), rest = str_n(text.p + i, text.n - i);
    enum selector_op op = str_starts(rest, STR("!=")) ? SELECTOR_NE : SELECTOR_EQ;
    size_t sign = op == SELECTOR_NE || str_starts(rest, STR("==")) ? 2 : 1;
    char *value = rest.n ? unescape(str_n(rest.p + sign, rest.n - sign)) : NULL;
    if (!value)
        return err_set(e, ERR_INVALID, "invalid selector: '%.*s'; can't understand '%.*s'",
                       (int)MIN(all.n, (size_t)80), all.p, (int)MIN(text.n, (size_t)80), text.p);
    struct selector_term *term = terms_add(t, key, op, e);
    int r = term ? term_add_value(t, term, str_of(value), e) : (int)e->code;
    free(value);
    return r;
}

int field_selector_parse(struct field_selector **out, struct str text, struct err *e)
{
    AUTO(field_selector) struct field_selector *s = mem_alloc(sizeof *s);
    struct str rest = text;

    while (rest.n) {
        struct str term = cut_term(&rest);
        if (term.n && parse_field_term(&s->terms, term, text, e))
            return e->code;
    }
    *out = STEAL(s);
    return 0;
}

const struct selector_term *field_selector_terms(const struct field_selector *s, size_t *n)
{
    *n = s ? s->terms.n : 0;
    return s ? s->terms.v : NULL;
}

bool field_selector_is_empty(const struct field_selector *s)
{
    return !s || s->terms.n == 0;
}

const char *field_selector_requires(const struct field_selector *s, const char *field)
{
    for (size_t i = 0; s && i < s->terms.n; i++)
        if (s->terms.v[i].op == SELECTOR_EQ && strcmp(s->terms.v[i].key, field) == 0)
            return s->terms.v[i].values[0];
    return NULL;
}

void field_selector_free(struct field_selector *s)
{
    if (!s)
        return;
    terms_deinit(&s->terms);
    free(s);
}

/*
 * The grammar (langdef.md, "Syntax"), by recursive descent. The sentences about syntax are those
 * that ANTLR makes of it (cel-go parser/gen/CEL.g4) where one token is at fault.
 */
#include "base/core/mem.h"
#include "base/data/regex_parse.h"
#include "server/cel/ast.h"
#include "server/cel/lex.h"

#include <errno.h>
#include <stdio.h>

#define EXPECTED                                                                                   \
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "       \
    "STRING, BYTES, IDENTIFIER}"

struct parser {
    struct arena *a;
    struct cel_lexer lex;
    struct cel_errors *es;
    uint32_t n_nodes;
    unsigned depth;
};

typedef struct cel_node *node;

/* ---- tokens ---- */

static uint32_t pos(const struct parser *p)
{
    return (uint32_t)(p->lex.text.p - p->lex.begin);
}

static bool is(const struct parser *p, const char *sign)
{
    return p->lex.token == TOK_SIGN && str_is(p->lex.text, sign);
}

static bool take(struct parser *p, const char *sign)
{
    if (!is(p, sign))
        return false;
    cel_lex_next(&p->lex);
    return true;
}

/* The present token is none that may stand here. */
static node unexpected(struct parser *p, const char *wanted)
{
    struct str t = p->lex.token == TOK_END ? STR("<EOF>") : p->lex.text;

    if (p->lex.token == TOK_BAD) {
        cel_errors_add(p->es, pos(p), "Syntax error: token recognition error at: '" STR_FMT "'",
                       STR_ARG(p->lex.text));
        cel_lex_next(&p->lex);
        if (p->lex.token == TOK_BAD || p->lex.token == TOK_END)
            return NULL;
        t = p->lex.text;
        cel_errors_add(p->es, pos(p), "Syntax error: extraneous input '" STR_FMT "' expecting %s",
                       STR_ARG(t), wanted);
        return NULL;
    }
    cel_errors_add(p->es, pos(p), "Syntax error: mismatched input '" STR_FMT "' expecting %s",
                   STR_ARG(t), wanted);
    return NULL;
}

static bool need(struct parser *p, const char *sign)
{
    char quoted[8];

    if (take(p, sign))
        return true;
    snprintf(quoted, sizeof quoted, "'%s'", sign);
    unexpected(p, quoted);
    return false;
}

/* ---- nodes ---- */

static node too_deep(struct parser *p, uint32_t at)
{
    cel_errors_add(p->es, at, "expression recursion limit exceeded: %d", CEL_DEPTH_MAX);
    return NULL;
}

static node make(struct parser *p, enum cel_op op, uint32_t at, node const *args, size_t n)
{
    node x = arena_alloc(p->a, sizeof *x);

    x->op = (uint8_t)op;
    x->pos = at;
    x->id = p->n_nodes++;
    x->n = (uint32_t)n;
    x->depth = 1;
    if (n)
        x->args = arena_alloc(p->a, n * sizeof(node));
    for (size_t i = 0; i < n; i++) {
        x->args[i] = args[i];
        if (args[i])
            x->depth = (uint16_t)MAX(x->depth, args[i]->depth + 1);
    }
    return x->depth > CEL_DEPTH_MAX ? too_deep(p, at) : x;
}

static node call(struct parser *p, struct str name, uint32_t at, node const *args, size_t n)
{
    node x = make(p, OP_CALL, at, args, n);

    if (x)
        x->name = name;
    return x;
}

static node literal(struct parser *p, struct cel_value v)
{
    node x = make(p, OP_LIT, pos(p), NULL, 0);

    x->lit = memcpy(arena_alloc(p->a, sizeof v), &v, sizeof v);
    cel_lex_next(&p->lex);
    return x;
}

/* A growing list of nodes, in the parser's arena only once it is done. */
struct list {
    node *v;
    bool *marked;
    uint32_t *ops;
    size_t n, cap;
    bool some_marked;
};

static void list_add(struct list *l, node x, bool marked, uint32_t op)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 8;
        l->v = mem_realloc(l->v, l->cap * sizeof *l->v);
        l->marked = mem_realloc(l->marked, l->cap * sizeof *l->marked);
        l->ops = mem_realloc(l->ops, l->cap * sizeof *l->ops);
    }
    l->v[l->n] = x;
    l->marked[l->n] = marked;
    l->ops[l->n++] = op;
    l->some_marked |= marked;
}

static void list_deinit(struct list *l)
{
    free(l->v);
    free(l->marked);
    free(l->ops);
}
#define auto_list __attribute__((cleanup(list_deinit))) struct list

static void *in_arena(struct parser *p, const void *from, size_t bytes)
{
    return bytes ? memcpy(arena_alloc(p->a, bytes), from, bytes) : NULL;
}

static node expr(struct parser *p);

/* ---- numbers and texts ---- */

static node number(struct parser *p, bool negative)
{
    struct str t = p->lex.text;
    bool is_uint = p->lex.token == TOK_UINT;
    auto_free char *digits =
        mem_printf("%s" STR_FMT, negative ? "-" : "", (int)(t.n - is_uint), t.p);
    bool hex = t.n > 1 && t.p[1] == 'x';
    struct cel_value v;
    char *end;

    errno = 0;
    if (p->lex.token == TOK_DOUBLE)
        v = (struct cel_value){ .kind = CEL_DOUBLE, .d = strtod(digits, &end) };
    else if (is_uint)
        v = (struct cel_value){ .kind = CEL_UINT, .u = strtoull(digits, &end, hex ? 16 : 10) };
    else
        v = CEL_INT_OF(strtoll(digits, &end, hex ? 16 : 10));
    if (errno == ERANGE && (v.kind != CEL_DOUBLE || v.d > 1 || v.d < -1)) {
        cel_errors_add(p->es, pos(p), "invalid %s literal",
                       v.kind == CEL_DOUBLE ? "double"
                       : is_uint            ? "uint"
                                            : "int");
        return NULL;
    }
    return literal(p, v);
}

/* ---- calls and macros ---- */

static bool simple_name(const node x)
{
    return x->op == OP_IDENT;
}

static node fold(struct parser *p, enum cel_macro m, uint32_t at, struct list *args)
{
    node all[3] = { args->v[0], args->v[2], args->n > 3 ? args->v[3] : NULL };
    bool optional = m == FOLD_OPT_MAP || m == FOLD_OPT_FLAT_MAP;
    node x;

    if (!simple_name(args->v[1])) {
        if (optional)
            cel_errors_add(p->es, args->v[1]->pos,
                           "opt%sMap() variable name must be a simple identifier",
                           m == FOLD_OPT_MAP ? "" : "Flat");
        else
            cel_errors_add(p->es, args->v[1]->pos, "argument must be a simple name");
        return NULL;
    }
    if (m == FOLD_MAP && args->n == 3) {
        all[1] = NULL;
        all[2] = args->v[2];
    }
    x = make(p, OP_FOLD, at, all, m == FOLD_MAP ? 3 : 2);
    if (x) {
        x->macro = (uint8_t)m;
        x->name = args->v[1]->name;
    }
    return x;
}

/* args[0] stands before the dot. NULL and *is_macro: it is wrong. */
static node member_macro(struct parser *p, struct str name, uint32_t at, struct list *args,
                         bool *is_macro)
{
    static const struct {
        const char *name;
        enum cel_macro macro;
        size_t n_min, n_max;
    } macros[] = {
        { "all", FOLD_ALL, 3, 3 },
        { "exists", FOLD_EXISTS, 3, 3 },
        { "exists_one", FOLD_EXISTS_ONE, 3, 3 },
        { "filter", FOLD_FILTER, 3, 3 },
        { "map", FOLD_MAP, 3, 4 },
        { "optMap", FOLD_OPT_MAP, 3, 3 },
        { "optFlatMap", FOLD_OPT_FLAT_MAP, 3, 3 },
    };

    *is_macro = true;
    for (size_t i = 0; i < ARRAY_LEN(macros); i++)
        if (str_is(name, macros[i].name) && args->n >= macros[i].n_min &&
            args->n <= macros[i].n_max)
            return fold(p, macros[i].macro, at, args);
    *is_macro = false;
    return NULL;
}

static bool arguments(struct parser *p, struct list *args) /* behind the '(' */
{
    if (take(p, ")"))
        return true;
    do {
        node x = expr(p);
        if (!x)
            return false;
        list_add(args, x, false, 0);
    } while (take(p, ","));
    return need(p, ")");
}

static node global_call(struct parser *p, struct str name)
{
    auto_list args = { 0 };
    uint32_t at = pos(p);

    if (!need(p, "(") || !arguments(p, &args))
        return NULL;
    if (!str_is(name, "has") || args.n != 1)
        return call(p, name, at, args.v, args.n);
    if (args.v[0]->op != OP_SELECT || args.v[0]->test) {
        cel_errors_add(p->es, args.v[0]->pos, "invalid argument to has() macro");
        return NULL;
    }
    args.v[0]->test = true;
    args.v[0]->pos = at;
    return args.v[0];
}

static node member_call(struct parser *p, node target, struct str name)
{
    auto_list args = { 0 };
    uint32_t at = pos(p);
    bool is_macro;

    list_add(&args, target, false, 0);
    if (!need(p, "(") || !arguments(p, &args))
        return NULL;
    node x = member_macro(p, name, at, &args, &is_macro);
    if (is_macro)
        return x;
    x = call(p, name, at, args.v, args.n);
    if (x)
        x->member = true;
    return x;
}

/* ---- primary ---- */

static bool is_reserved(struct str s)
{
    static const char *const words[] = { "as",   "break",    "const",     "continue", "else",
                                         "for",  "function", "if",        "import",   "let",
                                         "loop", "package",  "namespace", "return",   "var",
                                         "void", "while" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_is(s, words[i]))
            return true;
    return false;
}

static node name(struct parser *p, uint32_t at)
{
    struct str text = p->lex.text;

    if (p->lex.token != TOK_IDENT)
        return unexpected(p, "IDENTIFIER");
    if (is_reserved(text)) {
        cel_errors_add(p->es, pos(p), "reserved identifier: " STR_FMT, STR_ARG(text));
        return NULL;
    }
    cel_lex_next(&p->lex);
    if (is(p, "("))
        return global_call(p, text);
    node x = make(p, OP_IDENT, at, NULL, 0);
    if (x)
        x->name = text;
    return x;
}

static node list_or_map(struct parser *p, bool map)
{
    auto_list l = { 0 };
    uint32_t at = pos(p);
    const char *close = map ? "}" : "]";

    cel_lex_next(&p->lex);
    while (!is(p, close)) {
        bool marked = take(p, "?");
        node key = expr(p), value = NULL;

        if (!key || (map && (!need(p, ":") || !(value = expr(p)))))
            return NULL;
        list_add(&l, key, marked, 0);
        if (map)
            list_add(&l, value, marked, 0);
        if (!take(p, ","))
            break;
    }
    if (!need(p, close))
        return NULL;
    node x = make(p, map ? OP_MAP : OP_LIST, at, l.v, l.n);
    if (x && l.some_marked)
        x->marked = in_arena(p, l.marked, l.n * sizeof *l.marked);
    return x;
}

static node primary(struct parser *p)
{
    uint32_t at = pos(p);

    switch (p->lex.token) {
    case TOK_IDENT:
        return name(p, at);
    case TOK_INT:
    case TOK_UINT:
    case TOK_DOUBLE:
        return number(p, false);
    case TOK_STRING:
        return literal(p, CEL_STR_OF(p->lex.value));
    case TOK_BYTES:
        return literal(p, (struct cel_value){ .kind = CEL_BYTES, .s = p->lex.value });
    case TOK_TRUE:
        return literal(p, CEL_BOOL_OF(true));
    case TOK_FALSE:
        return literal(p, CEL_BOOL_OF(false));
    case TOK_NULL:
        return literal(p, CEL_NULL_VALUE);
    case TOK_SIGN:
        break;
    case TOK_END:
    case TOK_BAD:
        return unexpected(p, EXPECTED);
    }
    if (take(p, "."))
        return name(p, at);
    if (is(p, "[") || is(p, "{"))
        return list_or_map(p, is(p, "{"));
    if (take(p, "(")) {
        node x = expr(p);
        return x && need(p, ")") ? x : NULL;
    }
    return unexpected(p, EXPECTED);
}

/* ---- members ---- */

static node select_or_call(struct parser *p, node target, uint32_t dot)
{
    bool optional = take(p, "?");
    struct str field = p->lex.text;

    if (p->lex.token != TOK_IDENT)
        return unexpected(p, "IDENTIFIER");
    cel_lex_next(&p->lex);
    if (is(p, "(") && !optional)
        return member_call(p, target, field);
    if (is_reserved(field)) {
        /* a field of that name is written __name__ */
        cel_errors_add(p->es, dot, "reserved identifier: " STR_FMT, STR_ARG(field));
        return NULL;
    }
    node x = make(p, OP_SELECT, dot, &target, 1);
    if (x) {
        x->name = field;
        x->optional = optional;
    }
    return x;
}

static node member(struct parser *p, node x)
{
    while (x) {
        uint32_t at = pos(p);

        if (take(p, ".")) {
            x = select_or_call(p, x, at);
        } else if (take(p, "[")) {
            bool optional = take(p, "?");
            node index = expr(p);
            if (!index || !need(p, "]"))
                return NULL;
            node both[] = { x, index };
            x = call(p, optional ? STR("_[?_]") : STR("_[_]"), at, both, 2);
        } else if (is(p, "{") && (x->op == OP_IDENT || x->op == OP_SELECT)) {
            cel_errors_add(p->es, at, "undeclared reference to '" STR_FMT "' (in container '')",
                           STR_ARG(x->name)); /* there are no messages to make */
            return NULL;
        } else {
            break;
        }
    }
    return x;
}

/* ---- operators ---- */

static bool is_number_next(const struct parser *p)
{
    return p->lex.token == TOK_INT || p->lex.token == TOK_DOUBLE;
}

static node unary(struct parser *p)
{
    uint32_t at = pos(p);
    const char *sign = is(p, "!") ? "!" : is(p, "-") ? "-" : NULL;
    size_t n = 0;
    node x;

    if (!sign)
        return member(p, primary(p));
    while (take(p, sign))
        n++;
    if (*sign == '-' && n == 1 && is_number_next(p)) {
        if ((x = number(p, true)))
            x->pos = at;
        return member(p, x);
    }
    x = member(p, primary(p));
    return x && n % 2 ? call(p, *sign == '!' ? STR("!_") : STR("-_"), at, &x, 1) : x;
}

struct operator
{
    const char *sign;
    struct str name;
};

static const struct operator products[] = { { "*", { "_*_", 3 } },
                                            { "/", { "_/_", 3 } },
                                            { "%", { "_%_", 3 } } };
static const struct operator sums[] = { { "+", { "_+_", 3 } }, { "-", { "_-_", 3 } } };
static const struct operator relations[] = {
    { "<", { "_<_", 3 } },   { "<=", { "_<=_", 4 } }, { ">", { "_>_", 3 } },
    { ">=", { "_>=_", 4 } }, { "==", { "_==_", 4 } }, { "!=", { "_!=_", 4 } },
    { "in", { "@in", 3 } },
};

static node binary(struct parser *p, const struct operator* ops, size_t n_ops,
                   node (*below)(struct parser *))
{
    node x = below(p);

    while (x) {
        const struct operator* found = NULL;
        uint32_t at = pos(p);

        for (size_t i = 0; i < n_ops && !found; i++)
            if (is(p, ops[i].sign))
                found = &ops[i];
        if (!found)
            break;
        cel_lex_next(&p->lex);
        node right = below(p);
        if (!right)
            return NULL;
        node both[] = { x, right };
        x = call(p, found->name, at, both, 2);
    }
    return x;
}

static node product(struct parser *p)
{
    return binary(p, products, ARRAY_LEN(products), unary);
}

static node sum(struct parser *p)
{
    return binary(p, sums, ARRAY_LEN(sums), product);
}

static node relation(struct parser *p)
{
    return binary(p, relations, ARRAY_LEN(relations), sum);
}

static node chain(struct parser *p, const char *sign, enum cel_op op,
                  node (*below)(struct parser *))
{
    auto_list l = { 0 };
    node x = below(p);

    if (!x || !is(p, sign))
        return x;
    list_add(&l, x, false, 0);
    for (;;) {
        uint32_t at = pos(p);
        if (!take(p, sign))
            break;
        if (!(x = below(p)))
            return NULL;
        list_add(&l, x, false, at);
    }
    x = make(p, op, l.ops[1], l.v, l.n);
    if (x)
        x->ops = in_arena(p, l.ops, l.n * sizeof *l.ops);
    return x;
}

static node conjunction(struct parser *p)
{
    return chain(p, "&&", OP_AND, relation);
}

static node disjunction(struct parser *p)
{
    return chain(p, "||", OP_OR, conjunction);
}

static node expr(struct parser *p)
{
    uint32_t at;
    node x;

    if (p->depth == CEL_DEPTH_MAX)
        return too_deep(p, pos(p));
    p->depth++;
    x = disjunction(p);
    at = pos(p);
    if (x && take(p, "?")) {
        node yes = disjunction(p), no = NULL;
        if (yes && need(p, ":"))
            no = expr(p);
        node all[] = { x, yes, no };
        x = no ? make(p, OP_COND, at, all, 3) : NULL;
    }
    p->depth--;
    return x;
}

struct cel_node *cel_parse(struct arena *a, struct str source, uint32_t *n_nodes,
                           struct cel_errors *es)
{
    struct parser p = { .a = a, .es = es };
    int64_t n = cel_runes(source);

    if (n > CEL_SOURCE_MAX) {
        cel_errors_add(es, 0, "expression code point size exceeds limit: size: %lld, limit %d",
                       (long long)n, CEL_SOURCE_MAX);
        return NULL;
    }
    cel_lex_start(&p.lex, a, source);
    node x = expr(&p);
    if (x && p.lex.token != TOK_END)
        x = unexpected(&p, "<EOF>");
    *n_nodes = p.n_nodes;
    return es->n ? NULL : x;
}

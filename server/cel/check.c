/*
 * Types of an expression (langdef.md, "Gradual type checking"; cel-go checker): each node gets one,
 * names are found, calls keep the overloads that may fit. Type parameters are bound as arguments
 * ask for it; what a wrong overload has bound is taken back.
 */
#include "base/core/mem.h"
#include "server/cel/func.h"

typedef const struct cel_type *type;

struct scope {
    struct str name;
    type t;
};

struct checker {
    struct cel_prog *p;
    const struct cel_var *vars;
    size_t n_vars;
    struct arena *t;
    type *types;
    struct cel_errors *es;
    type *bound; /* of each parameter; NULL: free */
    unsigned n_params, cap_params;
    struct {
        unsigned param;
        type was;
    } * trail;
    size_t n_trail, cap_trail;
    struct scope scopes[CEL_DEPTH_MAX];
    uint32_t n_scopes;
};

#define T(kind) (&cel_types[kind])

/* ---- parameters ---- */

static type new_param(struct checker *c)
{
    struct cel_type *t = arena_alloc(c->t, sizeof *t);

    if (c->n_params == c->cap_params) {
        c->cap_params *= 2;
        c->bound = mem_realloc(c->bound, c->cap_params * sizeof *c->bound);
    }
    c->bound[c->n_params] = NULL;
    *t = (struct cel_type){ .kind = CEL_PARAM, .param = c->n_params++ };
    return t;
}

static void set_param(struct checker *c, unsigned param, type t)
{
    if (c->n_trail == c->cap_trail) {
        c->cap_trail = c->cap_trail ? 2 * c->cap_trail : 64;
        c->trail = mem_realloc(c->trail, c->cap_trail * sizeof *c->trail);
    }
    c->trail[c->n_trail].param = param;
    c->trail[c->n_trail++].was = c->bound[param];
    c->bound[param] = t;
}

static void undo(struct checker *c, size_t to)
{
    while (c->n_trail > to) {
        c->n_trail--;
        c->bound[c->trail[c->n_trail].param] = c->trail[c->n_trail].was;
    }
}

/* t without parameters on its outside that are bound. */
static type seen(const struct checker *c, type t)
{
    while (t->kind == CEL_PARAM && c->bound[t->param])
        t = c->bound[t->param];
    return t;
}

static bool has_inner(type t)
{
    return t->kind == CEL_LIST || t->kind == CEL_MAP || t->kind == CEL_OPTIONAL ||
           t->kind == CEL_TYPE;
}

/* t with all that is known of its parameters; final: what is not is dyn. */
static type resolved(struct checker *c, type t, bool final)
{
    t = seen(c, t);
    if (t->kind == CEL_PARAM)
        return final ? T(CEL_DYN) : t;
    if (!has_inner(t))
        return t;
    type key = t->key ? resolved(c, t->key, final) : NULL;
    type elem = resolved(c, t->elem, final);
    if (key == t->key && elem == t->elem)
        return t;
    struct cel_type *out = arena_alloc(c->t, sizeof *out);
    *out = *t;
    out->key = key;
    out->elem = elem;
    return out;
}

static bool occurs(const struct checker *c, unsigned param, type t)
{
    t = seen(c, t);
    if (t->kind == CEL_PARAM)
        return t->param == param;
    return has_inner(t) && ((t->key && occurs(c, param, t->key)) || occurs(c, param, t->elem));
}

static bool is_dyn(type t)
{
    return t->kind == CEL_DYN || t->kind == CEL_ERROR;
}

static bool takes_null(type t)
{
    switch (t->kind) {
    case CEL_NULL:
    case CEL_OBJECT:
    case CEL_TIMESTAMP:
    case CEL_DURATION:
    case CEL_OPTIONAL:
    case CEL_QUANTITY:
    case CEL_IP:
    case CEL_CIDR:
    case CEL_URL:
    case CEL_FORMAT:
        return true;
    default:
        return false;
    }
}

static bool assign(struct checker *c, type to, type from);

static bool assign_param(struct checker *c, type param, type other, bool to_param)
{
    type now = c->bound[param->param];

    if (now) {
        type t = seen(c, other), s = seen(c, now);
        if (!(to_param ? assign(c, now, other) : assign(c, other, now)))
            return false;
        if (is_dyn(t) && !is_dyn(s)) /* the more general of both */
            set_param(c, param->param, t);
        return true;
    }
    other = seen(c, other);
    if (other->kind == CEL_PARAM && other->param == param->param)
        return true;
    if (occurs(c, param->param, other))
        return false;
    set_param(c, param->param, other);
    return true;
}

static bool same_fields(type a, type b)
{
    return a == b || (a->fields == b->fields && a->n_fields == b->n_fields);
}

static bool assign(struct checker *c, type to, type from)
{
    if (to->kind == CEL_PARAM)
        return assign_param(c, to, from, true);
    if (from->kind == CEL_PARAM)
        return assign_param(c, from, to, false);
    if (is_dyn(to) || is_dyn(from))
        return true;
    if (to->kind == CEL_NULL || from->kind == CEL_NULL)
        return takes_null(to->kind == CEL_NULL ? from : to);
    if (to->kind != from->kind)
        return false;
    switch (to->kind) {
    case CEL_LIST:
    case CEL_OPTIONAL:
        return assign(c, to->elem, from->elem);
    case CEL_MAP:
        return assign(c, to->key, from->key) && assign(c, to->elem, from->elem);
    case CEL_OBJECT:
        return same_fields(to, from);
    default: /* types are types, whatever they are of */
        return true;
    }
}

static bool try_assign(struct checker *c, type to, type from)
{
    size_t before = c->n_trail;

    if (assign(c, to, from))
        return true;
    undo(c, before);
    return false;
}

/* ---- errors ---- */

static void print(struct checker *c, struct buf *b, type t)
{
    if (cel_type_print(b, resolved(c, t, false)))
        err_ignore(buf_adds(b, "..."));
}

static type mismatch(struct checker *c, const struct cel_node *n, type want, type have)
{
    auto_buf a = BUF(1024), b = BUF(1024);

    print(c, &a, want);
    print(c, &b, have);
    cel_errors_add(c->es, n->pos, "expected type '%s' but found '%s'", buf_cstr(&a), buf_cstr(&b));
    return T(CEL_ERROR);
}

static type no_overload(struct checker *c, uint32_t pos, struct str name, type const *args,
                        size_t n, bool member)
{
    auto_buf b = BUF(4096);
    int rc = 0;

    for (size_t i = 0; i < n && !rc; i++) {
        if (i == 0 && !member)
            rc = buf_addc(&b, '(');
        print(c, &b, args[i]);
        rc = rc ? rc : buf_adds(&b, i == 0 && member ? ".(" : i + 1 < n ? ", " : "");
    }
    err_ignore(rc || buf_adds(&b, n ? ")" : "()"));
    cel_errors_add(c->es, pos, "found no matching overload for '" STR_FMT "' applied to '%s'",
                   STR_ARG(name), buf_cstr(&b));
    return T(CEL_ERROR);
}

static type undeclared(struct checker *c, uint32_t pos, struct str name)
{
    cel_errors_add(c->es, pos, "undeclared reference to '" STR_FMT "' (in container '')",
                   STR_ARG(name));
    return T(CEL_ERROR);
}

/* ---- names ---- */

static type check(struct checker *c, struct cel_node *n);

static const struct scope *find_local(const struct checker *c, struct str name, uint32_t *slot)
{
    for (uint32_t i = c->n_scopes; i-- > 0;)
        if (str_eq(c->scopes[i].name, name)) {
            *slot = i;
            return &c->scopes[i];
        }
    return NULL;
}

static bool is_known(const struct checker *c, struct str name)
{
    uint32_t slot;

    for (size_t i = 0; i < c->n_vars; i++)
        if (str_is(name, c->vars[i].name))
            return true;
    return find_local(c, name, &slot) != NULL;
}

static type become_type(struct checker *c, struct cel_node *n, enum cel_kind kind)
{
    struct cel_value *v = arena_alloc(c->p->a, sizeof *v);

    *v = (struct cel_value){ .kind = CEL_TYPE, .type = kind };
    n->op = OP_LIT;
    n->n = 0;
    n->lit = v;
    return cel_type_of(c->t, CEL_TYPE, NULL, T(kind));
}

static type check_ident(struct checker *c, struct cel_node *n)
{
    const struct scope *s = find_local(c, n->name, &n->slot);
    enum cel_kind kind;

    if (s) {
        n->local = true;
        return s->t;
    }
    for (size_t i = 0; i < c->n_vars; i++)
        if (str_is(n->name, c->vars[i].name)) {
            n->slot = (uint32_t)i;
            c->p->uses |= 1U << i;
            return c->vars[i].type;
        }
    kind = cel_kind_named(n->name);
    if (str_is(n->name, "dyn"))
        kind = CEL_DYN;
    return kind != CEL_PARAM ? become_type(c, n, kind) : undeclared(c, n->pos, n->name);
}

/* "a.b.c", if that is what n is and a is no variable. False: it is not. */
static bool qualified(const struct checker *c, const struct cel_node *n, struct buf *b)
{
    if (n->op == OP_IDENT)
        return !is_known(c, n->name) && buf_add_str(b, n->name) == 0;
    if (n->op != OP_SELECT || n->test || n->optional || !qualified(c, n->args[0], b))
        return false;
    return buf_addf(b, "." STR_FMT, STR_ARG(n->name)) == 0;
}

static type check_select(struct checker *c, struct cel_node *n)
{
    auto_buf path = BUF(128);
    type t, out = T(CEL_ERROR);
    bool optional = n->optional;

    if (qualified(c, n, &path)) {
        enum cel_kind kind = cel_kind_named(buf_str(&path));
        if (kind != CEL_PARAM)
            return become_type(c, n, kind);
    }
    t = seen(c, check(c, n->args[0]));
    if (t->kind == CEL_OPTIONAL) {
        optional = true;
        t = seen(c, t->elem);
    }
    switch (t->kind) {
    case CEL_ERROR:
    case CEL_DYN:
        out = T(CEL_DYN);
        break;
    case CEL_PARAM:
        set_param(c, t->param, T(CEL_DYN));
        out = T(CEL_DYN);
        break;
    case CEL_MAP:
        out = t->elem;
        break;
    case CEL_OBJECT: {
        const struct cel_field *f = cel_type_field(t, n->name);
        if (f)
            out = f->type;
        else
            cel_errors_add(c->es, n->pos, "undefined field '" STR_FMT "'", STR_ARG(n->name));
        break;
    }
    default: {
        auto_buf b = BUF(1024);
        print(c, &b, t);
        cel_errors_add(c->es, n->pos, "type '%s' does not support field selection", buf_cstr(&b));
        break;
    }
    }
    if (n->test)
        return T(CEL_BOOL);
    return optional && out->kind != CEL_ERROR ? cel_type_of(c->t, CEL_OPTIONAL, NULL, out) : out;
}

/* ---- calls ---- */

static bool fits(struct checker *c, const struct cel_fn *f, type const *args, size_t n,
                 type *result)
{
    size_t before = c->n_trail;
    type params[3] = { 0 };
    const char *sig = f->sig;

    for (const char *s = sig; *s; s++)
        if (*s >= 'A' && *s <= 'C' && !params[*s - 'A'])
            params[*s - 'A'] = new_param(c);
    for (size_t i = 0; i < n; i++)
        if (*sig == ':' || !assign(c, cel_sig_type(c->t, &sig, params), args[i])) {
            undo(c, before);
            return false;
        }
    if (*sig != ':') {
        undo(c, before);
        return false;
    }
    sig++;
    *result = resolved(c, cel_sig_type(c->t, &sig, params), false);
    return true;
}

static bool same_type(struct checker *c, type a, type b)
{
    auto_buf x = BUF(4096), y = BUF(4096);

    print(c, &x, a);
    print(c, &y, b);
    return str_eq(buf_str(&x), buf_str(&y));
}

/* A literal that a function could not read is told now (cel.ASTValidators). */
static void check_literal(struct checker *c, struct cel_node *n)
{
    static const struct {
        const char *name;
        size_t arg;
    } rows[] = {
        { "matches", 1 }, { "find", 1 }, { "findAll", 1 }, { "duration", 0 }, { "timestamp", 0 }
    };
    const struct cel_node *arg;
    struct cel_moment t;
    int64_t ns;
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!str_is(n->name, rows[i].name) || n->n <= rows[i].arg)
            continue;
        arg = n->args[rows[i].arg];
        if (arg->op != OP_LIT || arg->lit->kind != CEL_STRING)
            return;
        bool bad = i == 3   ? !cel_duration_parse(&ns, arg->lit->s, false)
                   : i == 4 ? !cel_moment_parse(&t, arg->lit->s)
                            : regex_new(&n->regex, arg->lit->s, &e) != 0;
        if (bad)
            cel_errors_add(c->es, arg->pos, "invalid %s argument%s%s", rows[i].name,
                           e.code ? ": " : "", e.code ? e.text : "");
        if (n->regex) {
            c->p->regexes =
                mem_realloc(c->p->regexes, (c->p->n_regexes + 1) * sizeof *c->p->regexes);
            c->p->regexes[c->p->n_regexes++] = n->regex;
        }
        return;
    }
}

static type overloads(struct checker *c, struct cel_node *n)
{
    size_t n_fn = 0;
    const struct cel_fn *f = cel_fn_find(n->name, &n_fn);
    type args[8], out = NULL, result;
    uint32_t n_fitting = 0;

    for (size_t i = 0; i < n->n; i++) {
        type t = check(c, n->args[i]);
        if (i < ARRAY_LEN(args))
            args[i] = t;
    }
    if (!f)
        return undeclared(c, n->pos, n->name);
    for (size_t i = 0; i < n_fn && n->n <= ARRAY_LEN(args); i++) {
        if (f[i].member != n->member || !fits(c, &f[i], args, n->n, &result))
            continue;
        out = !out || same_type(c, out, result) ? result : T(CEL_DYN);
        if (!n_fitting++)
            n->fn = &f[i]; /* those before it do not fit */
    }
    if (!out)
        return no_overload(c, n->pos, n->name, args, MIN(n->n, ARRAY_LEN(args)), n->member);
    n->n_fn = n_fitting > 1 ? (uint32_t)(n_fn - (size_t)(n->fn - f)) : 1;
    check_literal(c, n);
    return out;
}

static type check_call(struct checker *c, struct cel_node *n)
{
    auto_buf path = BUF(128);
    size_t n_fn;

    /* sets.contains(a, b): no member of a variable, but a function with a dot in its name */
    if (n->member && qualified(c, n->args[0], &path) &&
        !buf_addf(&path, "." STR_FMT, STR_ARG(n->name)) && cel_fn_find(buf_str(&path), &n_fn)) {
        n->name = str_of(arena_strndup(c->p->a, buf_cstr(&path), path.n));
        n->args++;
        n->n--;
        n->member = false;
    }
    return overloads(c, n);
}

/* ---- logic ---- */

static type check_chain(struct checker *c, struct cel_node *n)
{
    struct str name = n->op == OP_AND ? STR("_&&_") : STR("_||_");
    type before = check(c, n->args[0]);

    for (size_t i = 1; i < n->n; i++) {
        type both[2] = { before, check(c, n->args[i]) };
        if (!try_assign(c, T(CEL_BOOL), both[0]) || !try_assign(c, T(CEL_BOOL), both[1]))
            no_overload(c, n->ops[i], name, both, 2, false);
        before = T(CEL_BOOL);
    }
    return T(CEL_BOOL);
}

static type check_cond(struct checker *c, struct cel_node *n)
{
    type all[3] = { check(c, n->args[0]), check(c, n->args[1]), check(c, n->args[2]) };
    type a = new_param(c);

    if (!try_assign(c, T(CEL_BOOL), all[0]) || !try_assign(c, a, all[1]) ||
        !try_assign(c, a, all[2]))
        return no_overload(c, n->pos, STR("_?_:_"), all, 3, false);
    return resolved(c, a, false);
}

/* ---- lists and maps ---- */

/* The type of all items so far, and one more (cel.HomogeneousAggregateLiterals). */
static type join(struct checker *c, const struct cel_node *n, type before, type now, bool marked)
{
    if (marked) { /* [?x]: an optional of what the list holds */
        type inner = new_param(c), want = cel_type_of(c->t, CEL_OPTIONAL, NULL, inner);
        if (!try_assign(c, want, now))
            return mismatch(c, n, want, now);
        now = resolved(c, inner, false);
    }
    if (!before)
        return now;
    if (!try_assign(c, before, now)) {
        mismatch(c, n, before, now);
        return before;
    }
    return is_dyn(seen(c, now)) ? now : before;
}

static type check_list(struct checker *c, struct cel_node *n)
{
    type elem = NULL;

    for (size_t i = 0; i < n->n; i++)
        elem = join(c, n->args[i], elem, check(c, n->args[i]), n->marked && n->marked[i]);
    return cel_type_of(c->t, CEL_LIST, NULL, elem ? elem : new_param(c));
}

static type check_map(struct checker *c, struct cel_node *n)
{
    type key = NULL, elem = NULL;

    for (size_t i = 0; i + 1 < n->n; i += 2) {
        key = join(c, n->args[i], key, check(c, n->args[i]), false);
        elem = join(c, n->args[i + 1], elem, check(c, n->args[i + 1]), n->marked && n->marked[i]);
    }
    return cel_type_of(c->t, CEL_MAP, key ? key : new_param(c), elem ? elem : new_param(c));
}

/* ---- macros ---- */

static type range_item(struct checker *c, const struct cel_node *range, type t, bool optional)
{
    auto_buf b = BUF(1024);

    t = seen(c, t);
    if (is_dyn(t))
        return T(CEL_DYN);
    if (t->kind == CEL_PARAM) {
        set_param(c, t->param, T(CEL_DYN));
        return T(CEL_DYN);
    }
    if (optional) {
        type member[1] = { t };
        if (t->kind != CEL_OPTIONAL)
            return no_overload(c, range->pos, STR("hasValue"), member, 1, true);
        return t->elem;
    }
    if (t->kind == CEL_LIST || t->kind == CEL_MAP)
        return t->kind == CEL_LIST ? t->elem : t->key;
    print(c, &b, t);
    cel_errors_add(c->es, range->pos,
                   "expression of type '%s' cannot be range of a comprehension (must be list, "
                   "map, or dynamic)",
                   buf_cstr(&b));
    return T(CEL_ERROR);
}

static void need_bool(struct checker *c, const struct cel_node *n, type t, type result)
{
    if (try_assign(c, T(CEL_BOOL), t))
        return;
    if (n->macro == FOLD_ALL || n->macro == FOLD_EXISTS) {
        type both[2] = { T(CEL_BOOL), t };
        no_overload(c, n->pos, n->macro == FOLD_ALL ? STR("_&&_") : STR("_||_"), both, 2, false);
    } else {
        type all[3] = { t, result, result };
        no_overload(c, n->pos, STR("_?_:_"), all, 3, false);
    }
}

static type check_fold(struct checker *c, struct cel_node *n)
{
    bool optional = n->macro == FOLD_OPT_MAP || n->macro == FOLD_OPT_FLAT_MAP;
    type item = range_item(c, n->args[0], check(c, n->args[0]), optional), out = T(CEL_BOOL);

    n->slot = c->n_scopes;
    c->scopes[c->n_scopes++] = (struct scope){ n->name, item };
    c->p->n_slots = MAX(c->p->n_slots, c->n_scopes);
    type first = n->args[1] ? check(c, n->args[1]) : NULL;
    switch ((enum cel_macro)n->macro) {
    case FOLD_ALL:
    case FOLD_EXISTS:
        need_bool(c, n, first, out);
        break;
    case FOLD_EXISTS_ONE:
        need_bool(c, n, first, T(CEL_INT));
        break;
    case FOLD_FILTER:
        out = cel_type_of(c->t, CEL_LIST, NULL, item);
        need_bool(c, n, first, out);
        break;
    case FOLD_MAP:
        out = cel_type_of(c->t, CEL_LIST, NULL, check(c, n->args[2]));
        if (first)
            need_bool(c, n, first, out);
        break;
    case FOLD_OPT_MAP:
        out = cel_type_of(c->t, CEL_OPTIONAL, NULL, first);
        break;
    case FOLD_OPT_FLAT_MAP:
        out = cel_type_of(c->t, CEL_OPTIONAL, NULL, new_param(c));
        if (!try_assign(c, out, first))
            out = mismatch(c, n, out, first);
        break;
    }
    c->n_scopes--;
    return out;
}

/* ---- all ---- */

static type check_literal_type(const struct cel_node *n)
{
    return T(n->lit->kind);
}

static type check(struct checker *c, struct cel_node *n)
{
    type t = T(CEL_ERROR);

    switch ((enum cel_op)n->op) {
    case OP_LIT:
        t = check_literal_type(n);
        break;
    case OP_IDENT:
        t = check_ident(c, n);
        break;
    case OP_SELECT:
        t = check_select(c, n);
        break;
    case OP_CALL:
        t = check_call(c, n);
        break;
    case OP_AND:
    case OP_OR:
        t = check_chain(c, n);
        break;
    case OP_COND:
        t = check_cond(c, n);
        break;
    case OP_LIST:
        t = check_list(c, n);
        break;
    case OP_MAP:
        t = check_map(c, n);
        break;
    case OP_FOLD:
        t = check_fold(c, n);
        break;
    }
    return c->types[n->id] = t;
}

bool cel_check(struct cel_prog *p, const struct cel_var *vars, size_t n_vars, struct arena *t,
               const struct cel_type **types, struct cel_errors *es)
{
    struct checker *c = mem_alloc(sizeof *c);

    *c = (struct checker){
        .p = p, .vars = vars, .n_vars = n_vars, .t = t, .types = types, .es = es
    };
    c->cap_params = 64;
    c->bound = mem_calloc(c->cap_params, sizeof *c->bound);
    check(c, p->root);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (types[i])
            types[i] = resolved(c, types[i], true);
    p->kind = types[p->root->id]->kind;
    free(c->bound);
    free(c->trail);
    free(c);
    return es->n == 0;
}

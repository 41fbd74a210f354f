#include "server/schema/crd_rules.h"

#include "base/core/mem.h"
#include "base/data/json.h"

/* ---- compiling ---- */

static void compile(struct arena *a, const struct cel_type *self, struct crd_rule *r)
{
    const char *text = json_str_at(r->doc, "rule", "");
    const char *message = json_str_at(r->doc, "messageExpression", "");
    const struct cel_type *old = r->optional_old ? cel_type_of(a, CEL_OPTIONAL, NULL, self) : self;
    const struct cel_var vars[] = { { "self", self }, { "oldSelf", old } };
    auto_free char *trimmed = crd_rules_trimmed(text), *trimmed_message = NULL, *why = NULL;

    if (!*trimmed)
        return;
    if (cel_compile(&r->prog, a, vars, 2, str_of(text), &why)) {
        r->error = mem_printf("compilation failed: %s", why);
        return;
    }
    if (cel_prog_kind(r->prog) != CEL_BOOL) {
        r->error = mem_strdup("cel expression must evaluate to a bool");
        return;
    }
    r->uses_old = cel_prog_uses(r->prog, 1);
    trimmed_message = crd_rules_trimmed(message);
    if (!*trimmed_message)
        return;
    if (cel_compile(&r->message, a, vars, 2, str_of(message), &why))
        r->message_error = mem_printf("messageExpression compilation failed: %s", why);
    else if (cel_prog_kind(r->message) != CEL_STRING)
        r->message_error = mem_strdup("messageExpression must evaluate to a string");
}

static void compile_all(struct arena *a, struct crd_rules *r)
{
    r->n_rules = json_array_size(r->node->rules);
    r->rules = arena_alloc(a, (r->n_rules + 1) * sizeof *r->rules);
    for (size_t i = 0; i < r->n_rules; i++) {
        struct crd_rule *one = &r->rules[i];
        const char *path;
        auto_free char *why = NULL, *normal = NULL;

        one->doc = json_array_get(r->node->rules, i);
        one->optional_old = json_is_true(json_object_get(one->doc, "optionalOldSelf"));
        path = json_str_at(one->doc, "fieldPath", "");
        if (*path && (normal = crd_rules_path(r->node, path, &why)))
            one->field_path = arena_strndup(a, normal, strlen(normal));
        if (r->type)
            compile(a, r->type, one);
    }
}

static struct crd_rules *make(struct arena *a, const struct crd_node *n, const struct cel_type *t)
{
    struct crd_rules *r;

    if (!n || !n->has_rules)
        return NULL;
    r = arena_alloc(a, sizeof *r);
    r->node = n;
    r->type = t;
    compile_all(a, r);
    r->items = make(a, n->items, t && t->kind == CEL_LIST ? t->elem : NULL);
    r->additional = make(a, n->additional, t && t->kind == CEL_MAP ? t->elem : NULL);
    r->props = arena_alloc(a, (n->n_props + 1) * sizeof *r->props);
    for (size_t i = 0; i < n->n_props; i++) {
        const struct crd_prop *p = &n->props[i];
        auto_free char *name = NULL;
        const struct cel_field *f = NULL;
        const struct cel_type *type = NULL;

        if (!p->node->has_rules)
            continue;
        name = cel_escape(p->name);
        if (name && t && t->kind == CEL_OBJECT)
            f = cel_type_field(t, str_of(name));
        if (f)
            type = f->type;
        else if (!name) /* expressions around cannot name it, but its own can see it */
            type = crd_cel_type(a, p->node, p->node->embedded);
        struct crd_rules *below = make(a, p->node, type);
        if (below)
            r->props[r->n_props++] = (struct crd_rules_prop){ p->name, below };
    }
    return r;
}

struct crd_rules *crd_rules_new(struct arena *a, const struct crd_node *n, bool is_root)
{
    if (!n->has_rules)
        return NULL;
    return make(a, n, crd_cel_type(a, n, is_root || n->embedded));
}

void crd_rules_free(struct crd_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_rules; i++) {
        cel_prog_free(r->rules[i].prog);
        cel_prog_free(r->rules[i].message);
        free(r->rules[i].error);
        free(r->rules[i].message_error);
    }
    for (size_t i = 0; i < r->n_props; i++)
        crd_rules_free(r->props[i].rules);
    crd_rules_free(r->items);
    crd_rules_free(r->additional);
}

/* ---- running ---- */

/* A value and what it was before, the nearest one around that has a before. */
struct before {
    const json_t *now, *was; /* NULL: there is none */
};

struct check {
    struct field_errors *fe;
    int64_t budget; /* negative: no further rules */
};

/* The value of a rule's error: the type that the schema names. */
static const char *shown(const struct crd_rules *r)
{
    return crd_type_name(r->node->type);
}

static void invalid(struct check *c, const struct crd_rules *r, const struct field_path *p,
                    const char *detail)
{
    field_invalid(c->fe, p ? p : FIELD_AT(NULL, "<nil>"), shown(r), detail);
}

static char *rule_text(const struct crd_rule *rule) /* heap */
{
    const char *message = json_str_at(rule->doc, "message", "");

    return crd_rules_trimmed(*message ? message : json_str_at(rule->doc, "rule", ""));
}

/* The rule's vars; in a. */
static void set_vars(const struct crd_rules *r, const struct crd_rule *rule, const json_t *v,
                     const json_t *old, struct arena *a, struct cel_value vars[2])
{
    vars[0] = cel_value_of_json(v, r->type, a);
    vars[1] = old ? cel_value_of_json(old, r->type, a) : CEL_NULL_VALUE;
    if (!rule->optional_old)
        return;
    struct cel_value *of = old ? arena_calloc(a, 1, sizeof *of) : NULL;
    if (of)
        *of = vars[1];
    vars[1] = (struct cel_value){ .kind = CEL_OPTIONAL, .of = of };
}

/* What a messageExpression makes; NULL: nothing that can be shown. */
static char *message_of(struct check *c, const struct crd_rule *rule, const struct cel_value *vars,
                        struct arena *a, const char **fatal)
{
    uint64_t cost;
    struct cel_value v = cel_eval(rule->message, vars, a, CEL_COST_MAX, &cost);

    if ((int64_t)cost > c->budget) {
        *fatal = "messageExpression evaluation failed due to running out of cost budget, no "
                 "further validation rules will be run";
        return NULL;
    }
    if (cost > CEL_COST_MAX) {
        *fatal = "no further validation rules will be run due to call cost exceeds limit for "
                 "messageExpression";
        return NULL;
    }
    c->budget -= (int64_t)cost;
    if (v.kind != CEL_STRING || memchr(v.s.p ? v.s.p : "", '\0', v.s.n))
        return NULL;
    auto_free char *whole = str_dup(v.s);
    auto_free char *text = crd_rules_trimmed(whole);
    if (!*text || strlen(text) > CRD_MESSAGE_MAX || strchr(text, '\n'))
        return NULL;
    return STEAL(text);
}

static void add_failure(struct field_errors *fe, const struct crd_rules *r,
                        const struct crd_rule *rule, const struct field_path *p, const char *detail)
{
    const char *reason = json_str_at(rule->doc, "reason", "");

    if (strcmp(reason, "FieldValueForbidden") == 0)
        field_forbidden(fe, p, detail);
    else if (strcmp(reason, "FieldValueRequired") == 0)
        field_required(fe, p, detail);
    else if (strcmp(reason, "FieldValueDuplicate") == 0)
        field_duplicate(fe, p, shown(r));
    else
        field_invalid(fe, p, shown(r), detail);
}

/* stays: it was so before, so who writes is warned only. */
static void failed(struct check *c, const struct crd_rules *r, const struct crd_rule *rule,
                   const struct cel_value *vars, struct arena *a, bool stays,
                   const struct field_path *p)
{
    auto_field_errors one = { 0 };
    auto_free char *text = rule_text(rule), *made = NULL;
    const char *message = json_str_at(rule->doc, "message", ""), *fatal = NULL;
    const struct field_path *at = rule->field_path ? FIELD_AT(p, rule->field_path) : p;

    at = at ? at : FIELD_AT(NULL, "<nil>");
    if (rule->message)
        made = message_of(c, rule, vars, a, &fatal);
    auto_free char *plain = *message ? mem_strdup(text) : mem_printf("failed rule: %s", text);
    if (fatal) {
        field_invalid(&one, at, shown(r), fatal);
        c->budget = -1;
    } else {
        add_failure(&one, r, rule, at, made ? made : plain);
    }
    if (stays)
        field_errors_warn(c->fe, &one);
    else
        field_errors_copy(c->fe, &one);
}

static bool starts(struct str s, const char *with)
{
    return str_starts(s, str_of(with));
}

static void went_wrong(struct check *c, const struct crd_rules *r, const struct crd_rule *rule,
                       struct str error, const struct field_path *p)
{
    auto_free char *text = rule_text(rule), *detail = NULL;
    int n = (int)MIN(error.n, 2048UL);

    if (starts(error, "no such overload")) {
        detail = mem_printf("'%.*s': call arguments did not match a supported operator, function "
                            "or macro signature for rule: %s",
                            n, error.p, text);
    } else if (starts(error, CEL_COST_EXCEEDED)) {
        detail = mem_printf("'%.*s': no further validation rules will be run due to call cost "
                            "exceeds limit for rule: %s",
                            n, error.p, text);
        c->budget = -1;
    } else {
        detail = mem_printf("%.*s evaluating rule: %s", n, error.p, text);
    }
    invalid(c, r, p, detail);
}

static bool unchanged(const struct before *b)
{
    return b->was && json_equal((json_t *)b->now, (json_t *)b->was);
}

static void run_rule(struct check *c, const struct crd_rules *r, const struct crd_rule *rule,
                     const json_t *v, const json_t *old, const struct before *b,
                     const struct field_path *p)
{
    auto_arena a = ARENA(CEL_ARENA_MAX);
    struct cel_value vars[2];
    uint64_t cost;

    if (rule->error || !rule->prog) {
        if (rule->error) {
            auto_free char *detail = mem_printf("rule compile error: %s", rule->error);
            invalid(c, r, p, detail);
        }
        return;
    }
    if (rule->uses_old && !old && !rule->optional_old)
        return;
    set_vars(r, rule, v, old, &a, vars);
    struct cel_value out = cel_eval(rule->prog, vars, &a, CEL_COST_MAX, &cost);
    if ((int64_t)cost > c->budget) {
        invalid(c, r, p,
                "validation failed due to running out of cost budget, no further validation rules "
                "will be run");
        c->budget = -1;
        return;
    }
    c->budget -= (int64_t)cost;
    if (out.kind == CEL_ERROR)
        went_wrong(c, r, rule, out.s, p);
    else if (out.kind != CEL_BOOL || !out.b)
        failed(c, r, rule, vars, &a, !rule->uses_old && unchanged(b), p);
}

static void run_rules(struct check *c, const struct crd_rules *r, const json_t *v,
                      const json_t *old, const struct before *b, const struct field_path *p)
{
    for (size_t i = 0; i < r->n_rules && c->budget >= 0; i++) {
        if (c->budget == 0) {
            invalid(c, r, p,
                    "validation failed due to running out of cost budget, no further validation "
                    "rules will be run");
            c->budget = -1;
            return;
        }
        if (!r->type)
            invalid(c, r, p, "rule compile error: the schema does not say what type it is");
        else
            run_rule(c, r, &r->rules[i], v, old, b, p);
    }
}

/* ---- the walk ---- */

static void walk(struct check *c, const struct crd_rules *r, const json_t *v, const json_t *old,
                 const struct before *around, const struct field_path *p);

/* The item of old that is the same one as v, by the list's keys. */
static const json_t *item_before(const struct crd_node *n, const json_t *old, const json_t *v)
{
    const json_t *one, *key;
    size_t i, k;

    if (n->list_type != SCHEMA_LIST_MAP)
        return NULL;
    json_array_foreach(old, i, one)
    {
        bool same = true;
        json_array_foreach(n->list_keys, k, key)
        {
            json_t *a = json_object_get(one, json_string_value(key));
            json_t *b = json_object_get(v, json_string_value(key));
            same = same && (a == b || (a && b && json_equal(a, b)));
        }
        if (same)
            return one;
    }
    return NULL;
}

static const struct crd_rules *prop_of(const struct crd_rules *r, const char *name)
{
    size_t low = 0, high = r->n_props;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(r->props[mid].name, name);
        if (order == 0)
            return r->props[mid].rules;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static void walk(struct check *c, const struct crd_rules *r, const json_t *v, const json_t *old,
                 const struct before *around, const struct field_path *p)
{
    struct before here = *around;
    const char *key;
    json_t *child;
    size_t i;

    if (!r || json_is_null(v) || c->budget < 0)
        return;
    if (old)
        here = (struct before){ v, old };
    run_rules(c, r, v, json_is_null(old) ? NULL : old, &here, p);
    if (r->items)
        json_array_foreach(v, i, child)
            walk(c, r->items, child, item_before(r->node, old, child), &here, FIELD_INDEX(p, i));
    json_object_foreach((json_t *)v, key, child)
    {
        const json_t *was = json_object_get(old, key);
        const struct crd_rules *part = prop_of(r, key);

        if (part)
            walk(c, part, child, was, &here, FIELD_AT(p, key));
        else if (r->additional && !crd_node_prop(r->node, key))
            walk(c, r->additional, child, was, &here, FIELD_KEY(p, key));
    }
}

void crd_rules_check(const struct crd_rules *r, const json_t *v, const json_t *old,
                     const struct field_path *p, struct field_errors *fe)
{
    struct check c = { .fe = fe, .budget = CRD_RULES_COST_MAX };
    struct before none = { 0 };

    walk(&c, r, v, old, &none, p);
}

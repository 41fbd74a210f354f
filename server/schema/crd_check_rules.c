/*
 * The rules of a definition's schema: are they written as they must be, do they compile, and can
 * they be afforded? Upstream's checks and words (apiextensions-apiserver
 * pkg/apis/apiextensions/validation, release 1.32). A rule's estimated cost is multiplied by how
 * often the part of the schema that it stands at can occur in one object.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd_check.h"
#include "server/schema/crd_rules.h"

#include <stdio.h>

#define RULE_COST_MAX  10000000ULL  /* validation.StaticEstimatedCostLimit */
#define TOTAL_COST_MAX 100000000ULL /* validation.StaticEstimatedCRDCostLimit */
#define MESSAGE_MAX    2048
#define SHOWN_COSTS    4 /* of the total, the most expensive ones */

struct cost {
    char *path;
    uint64_t cost;
};

struct check {
    struct field_errors *fe;
    uint64_t total;
    struct cost worst[SHOWN_COSTS]; /* descending */
    size_t n_worst;
};

static const char *text(const json_t *o, const char *key)
{
    return json_str_at(o, key, "");
}

static bool has_line_break(const char *s)
{
    return strpbrk(s, "\r\n") != NULL;
}

/* ---- how they are written ---- */

static void check_reason(const json_t *rule, const struct field_path *p, struct field_errors *fe)
{
    static const char *const reasons[] = { "FieldValueDuplicate", "FieldValueForbidden",
                                           "FieldValueInvalid", "FieldValueRequired", NULL };
    const json_t *reason = json_object_get(rule, "reason");

    if (!json_is_string(reason))
        return;
    for (size_t i = 0; reasons[i]; i++)
        if (strcmp(reasons[i], json_string_value(reason)) == 0)
            return;
    field_not_supported(fe, FIELD_AT(p, "reason"), json_string_value(reason), reasons);
}

static void check_path(const json_t *rule, const struct crd_node *n, const struct field_path *p,
                       struct field_errors *fe)
{
    const char *path = text(rule, "fieldPath");
    auto_free char *trimmed = crd_rules_trimmed(path), *why = NULL, *normal = NULL;
    const struct field_path *at = FIELD_AT(p, "fieldPath");

    if (!*path)
        return;
    if (!*trimmed)
        field_invalid(fe, at, path, "fieldPath must be non-empty if specified");
    if (has_line_break(path))
        field_invalid(fe, at, path, "fieldPath must not contain line breaks");
    if (!(normal = crd_rules_path(n, path, &why))) {
        auto_free char *say = mem_printf("fieldPath must be a valid path: %s", why);
        field_invalid(fe, at, path, say);
    }
}

static void check_written(const json_t *rule, const struct crd_node *n, const struct field_path *p,
                          struct field_errors *fe)
{
    const char *message = text(rule, "message"), *expr = text(rule, "messageExpression");
    auto_free char *r = crd_rules_trimmed(text(rule, "rule")), *m = crd_rules_trimmed(message);
    auto_free char *e = crd_rules_trimmed(expr);

    if (!*r) {
        field_required(fe, FIELD_AT(p, "rule"), "rule is not specified");
    } else if (*message && !*m) {
        field_invalid(fe, FIELD_AT(p, "message"), message,
                      "message must be non-empty if specified");
    } else if (strlen(message) > MESSAGE_MAX) {
        auto_free char *head = mem_printf("%.10s...", message);
        field_invalid(fe, FIELD_AT(p, "message"), head,
                      "message must have a maximum length of 2048 characters");
    } else if (has_line_break(m)) {
        field_invalid(fe, FIELD_AT(p, "message"), message, "message must not contain line breaks");
    } else if (has_line_break(r) && !*m) {
        field_required(fe, FIELD_AT(p, "message"),
                       "message must be specified if rule contains line breaks");
    }
    if (*expr && !*e)
        field_required(fe, FIELD_AT(p, "messageExpression"),
                       "messageExpression must be non-empty if specified");
    check_reason(rule, p, fe);
    check_path(rule, n, p, fe);
}

/* Calls check_written for all rules of n and below. s: the schema of n. */
static void walk_written(const struct crd_node *n, const struct field_path *p,
                         struct field_errors *fe)
{
    const struct field_path *rules = FIELD_AT(p, "x-kubernetes-validations");
    const struct field_path *props = FIELD_AT(p, "properties");
    const json_t *rule;
    size_t i;

    if (!n || !n->has_rules)
        return;
    json_array_foreach(n->rules, i, rule) check_written(rule, n, FIELD_INDEX(rules, i), fe);
    for (i = 0; i < n->n_props; i++)
        walk_written(n->props[i].node, FIELD_KEY(props, n->props[i].name), fe);
    walk_written(n->items, FIELD_AT(p, "items"), fe);
    walk_written(n->additional, FIELD_AT(p, "additionalProperties"), fe);
}

/* ---- cost ---- */

static uint64_t times(uint64_t a, uint64_t b)
{
    return b && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* The cost over the limit, as upstream tells it. Heap. */
static char *over(const char *what, uint64_t cost, uint64_t limit)
{
    double factor = (double)cost / (double)limit;
    char by[64];

    if (factor > 100)
        snprintf(by, sizeof by, "more than 100x");
    else
        snprintf(by, sizeof by, factor < 1.5 ? "%fx" : "%.1fx", factor);
    return mem_printf("%s exceeds budget by factor of %s (try simplifying the rule, or adding "
                      "maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
                      "declared)",
                      what, by);
}

static void observe(struct check *c, uint64_t cost, const struct field_path *p)
{
    size_t i = c->n_worst;

    c->total = c->total > UINT64_MAX - cost ? UINT64_MAX : c->total + cost;
    if (cost < TOTAL_COST_MAX / 100)
        return;
    if (i == SHOWN_COSTS) {
        if (c->worst[i - 1].cost >= cost)
            return;
        free(c->worst[--i].path);
    } else {
        c->n_worst++;
    }
    for (; i && c->worst[i - 1].cost < cost; i--)
        c->worst[i] = c->worst[i - 1];
    c->worst[i] = (struct cost){ field_path_text(p), cost };
}

static void tell_total(struct check *c, const struct field_path *p)
{
    if (c->total <= TOTAL_COST_MAX)
        return;
    for (size_t i = 0; i < c->n_worst; i++)
        field_forbidden(c->fe, FIELD_AT(NULL, c->worst[i].path),
                        "contributed to estimated rule & messageExpression cost total exceeding "
                        "cost limit for entire OpenAPIv3 schema");
    auto_free char *say = over("x-kubernetes-validations estimated rule & messageExpression cost "
                               "total for entire OpenAPIv3 schema",
                               c->total, TOTAL_COST_MAX);
    field_forbidden(c->fe, p, say);
}

/* ---- what they compile to ---- */

/* A rule as Go prints the struct (%#v). Heap. */
static char *go_rule(const json_t *rule)
{
    static const struct {
        const char *key, *name, *type; /* type: of a pointer */
    } fields[] = {
        { "rule", "Rule", NULL },
        { "message", "Message", NULL },
        { "messageExpression", "MessageExpression", NULL },
        { "reason", "Reason", "apiextensions.FieldValueErrorReason" },
        { "fieldPath", "FieldPath", NULL },
        { "optionalOldSelf", "OptionalOldSelf", "bool" },
    };
    auto_buf b = BUF(1024 * 1024);
    int rc = buf_adds(&b, "apiextensions.ValidationRule{");

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const json_t *v = json_object_get(rule, fields[i].key);
        rc = rc ? rc : buf_addf(&b, "%s%s:", i ? ", " : "", fields[i].name);
        if (rc)
            break;
        if (fields[i].type && (!v || json_is_null(v)))
            rc = buf_addf(&b, "(*%s)(nil)", fields[i].type);
        else if (json_is_boolean(v))
            rc = buf_adds(&b, json_is_true(v) ? "true" : "false");
        else
            rc = json_write_str(&b, str_of(json_is_string(v) ? json_string_value(v) : ""));
    }
    return rc || buf_addc(&b, '}') ? mem_strdup("apiextensions.ValidationRule{...}") : buf_take(&b);
}

static void bad_rule(struct field_errors *fe, const struct field_path *p, const json_t *rule,
                     const char *why)
{
    auto_free char *shown = go_rule(rule);

    field_add(fe, FIELD_INVALID, p, "Invalid value: %s: %s", shown, why);
}

/* occurs: how often r's part can be in one object; UINT64_MAX: no bound. old: the path of the list
 * around whose items cannot be told apart; NULL: there is none. */
static void check_compiled(struct check *c, const struct crd_rules *r, const struct crd_rule *rule,
                           uint64_t occurs, const struct field_path *old,
                           const struct field_path *p)
{
    const struct field_path *at = FIELD_AT(p, "rule"), *message = FIELD_AT(p, "messageExpression");
    uint64_t many = occurs < UINT64_MAX ? occurs : CRD_REQUEST_MAX_BYTES / (r->type->min_bytes + 1);
    uint64_t cost = rule->prog ? times(cel_prog_max_cost(rule->prog), many) : 0;

    if (cost > RULE_COST_MAX) {
        auto_free char *say = over("estimated rule cost", cost, RULE_COST_MAX);
        field_forbidden(c->fe, at, say);
    }
    observe(c, cost, at);
    if (rule->error)
        bad_rule(c->fe, at, rule->doc, rule->error);
    if (rule->message_error) {
        bad_rule(c->fe, message, rule->doc, rule->message_error);
    } else if (rule->message) {
        cost = cel_prog_max_cost(rule->message);
        if (cost > RULE_COST_MAX) {
            auto_free char *say = over("estimated messageExpression cost", cost, RULE_COST_MAX);
            field_forbidden(c->fe, message, say);
        }
        observe(c, cost, message);
    }
    if (rule->uses_old && old) {
        auto_free char *where = field_path_text(old);
        auto_free char *say = mem_printf("oldSelf cannot be used on the uncorrelatable portion of "
                                         "the schema within %s",
                                         where);
        field_invalid(c->fe, at, text(rule->doc, "rule"), say);
    } else if (!rule->uses_old && json_is_boolean(json_object_get(rule->doc, "optionalOldSelf"))) {
        field_invalid_json(c->fe, FIELD_AT(p, "optionalOldSelf"),
                           json_object_get(rule->doc, "optionalOldSelf"),
                           "may not be set if oldSelf is not used in rule");
    }
}

static void walk_compiled(struct check *c, const struct crd_rules *r, uint64_t occurs,
                          const struct field_path *old, const struct field_path *p)
{
    const struct field_path *rules = FIELD_AT(p, "x-kubernetes-validations");
    const struct field_path *props = FIELD_AT(p, "properties");
    uint64_t below = UINT64_MAX;
    int64_t max;

    if (!r)
        return;
    if (r->n_rules && !r->type)
        field_add(c->fe, FIELD_INTERNAL, rules,
                  "Internal error: internal error: failed to retrieve type information for "
                  "x-kubernetes-validations");
    for (size_t i = 0; r->type && i < r->n_rules; i++)
        check_compiled(c, r, &r->rules[i], occurs, old, FIELD_INDEX(rules, i));
    for (size_t i = 0; i < r->n_props; i++)
        walk_compiled(c, r->props[i].rules, occurs, old, FIELD_KEY(props, r->props[i].name));
    max = r->items ? r->node->max_items : r->node->max_properties;
    if (max >= 0 && occurs < UINT64_MAX)
        below = times(occurs, (uint64_t)max);
    walk_compiled(c, r->items, below,
                  old                                     ? old
                  : r->node->list_type == SCHEMA_LIST_MAP ? NULL
                                                          : p,
                  FIELD_AT(p, "items"));
    walk_compiled(c, r->additional, below, old, FIELD_AT(p, "additionalProperties"));
}

void crd_check_rules(const struct crd_node *n, const struct field_path *p, struct field_errors *fe)
{
    auto_arena a = ARENA_UNBOUNDED; /* the document is bounded */
    struct check c = { .fe = fe };
    size_t before = fe->n;

    walk_written(n, p, fe);
    if (fe->n > before)
        return;
    AUTO(crd_rules) struct crd_rules *r = crd_rules_new(&a, n, true);
    walk_compiled(&c, r, 1, NULL, p);
    tell_total(&c, p);
    for (size_t i = 0; i < c.n_worst; i++)
        free(c.worst[i].path);
}

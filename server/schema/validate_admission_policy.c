/*
 * admissionregistration.k8s.io/v1 policies and their bindings: pkg/apis/admissionregistration/
 * validation. CEL expressions are only asked to be there: nothing here compiles them, so a policy
 * with a broken expression is stored (and, until policies are evaluated, does nothing).
 */
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/rule_admission.h"
#include "server/schema/validate_kinds.h"

#include <ctype.h>

enum { ANNOTATIONS_MAX = 20, VALUE_EXPRESSION_MAX_BYTES = 5 * 1024 };

static const char *const policy_reasons[] = { "Forbidden", "Invalid", "RequestEntityTooLarge",
                                              NULL };

static void check_param_kind(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *api = part_str(v, "apiVersion"), *kind = part_str(v, "kind");
    struct str group = STR(""), version = str_of(api);
    const struct field_path *at = FIELD_AT(p, "apiVersion");
    auto_free char *lower = mem_strdup(kind);

    str_cut(str_of(api), '/', &group, &version);
    if (!strchr(api, '/')) {
        version = group;
        group = STR("");
    }
    auto_free char *group_text = str_dup(group), *version_text = str_dup(version);
    if (!*api) {
        field_required(fe, at, "");
    } else if (strchr(version_text, '/')) {
        auto_free char *why = mem_printf("unexpected GroupVersion string: %s", api);
        field_invalid(fe, at, api, why);
    } else {
        if (group.n)
            (void)check_text(fe, at, group_text, name_check_subdomain(group));
        if (!version.n)
            field_invalid(fe, at, api, "version must be specified");
        else
            (void)check_text(fe, at, version_text, name_check_label35(version));
    }
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (!*kind) {
        field_required(fe, FIELD_AT(p, "kind"), "");
    } else if (name_check_label35(str_of(lower))) {
        auto_free char *why = mem_printf("may have mixed case, but should otherwise match: %s",
                                         name_check_label35(str_of(lower)));
        field_invalid(fe, FIELD_AT(p, "kind"), kind, why);
    }
}

/* [_a-zA-Z][_a-zA-Z0-9]*, and no word of the language */
static bool is_cel_name(const char *s)
{
    static const char *const words[] = { "true",     "false",     "null",     "in",   "as",
                                         "break",    "const",     "continue", "else", "for",
                                         "function", "if",        "import",   "let",  "loop",
                                         "package",  "namespace", "return",   "var",  "void",
                                         "while",    NULL };

    return (isalpha((unsigned char)*s) || *s == '_') && !text_listed(words, s) &&
           s[strspn(s, "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")] == '\0';
}

static void check_validations(const json_t *list, const struct field_path *p,
                              struct field_errors *fe)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *message = part_str(v, "message");
        auto_free char *trimmed = str_dup(str_trim(str_of(message)));
        if (rule_is_blank(part_str(v, "expression")))
            field_required(fe, FIELD_AT(at, "expression"), "expression is not specified");
        if (*part_str(v, "messageExpression") && rule_is_blank(part_str(v, "messageExpression")))
            field_invalid(fe, FIELD_AT(at, "messageExpression"), part_str(v, "messageExpression"),
                          "must be non-empty if specified");
        if (*message && rule_is_blank(message))
            field_invalid(fe, FIELD_AT(at, "message"), message,
                          "message must be non-empty if specified");
        else if (strpbrk(trimmed, "\n\r"))
            field_invalid(fe, FIELD_AT(at, "message"), message,
                          "message must not contain line breaks");
        if (rule_has(v, "reason"))
            (void)check_listed(fe, FIELD_AT(at, "reason"), part_str(v, "reason"), policy_reasons);
    }
}

static void check_variables(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(v, "name");
        if (rule_is_blank(name))
            field_required(fe, FIELD_AT(at, "name"), "name is not specified");
        else if (!is_cel_name(name))
            field_invalid(fe, FIELD_AT(at, "name"), name, "name is not a valid CEL identifier");
        if (rule_is_blank(part_str(v, "expression")))
            field_required(fe, FIELD_AT(at, "expression"), "expression is not specified");
    }
}

static void check_audit(const json_t *policy, const json_t *list, const struct field_path *p,
                        struct field_errors *fe)
{
    const char *policy_name = part_str(json_object_get(policy, "metadata"), "name");
    AUTO(map) struct map *keys = map_new();
    json_t *v;
    size_t i;

    if (json_array_size(list) > ANNOTATIONS_MAX)
        field_invalid_json(fe, p, list, "must not have more than 20 auditAnnotations");
    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *key = part_str(v, "key"), *value = part_str(v, "valueExpression");
        auto_free char *whole = mem_printf("%s/%s", policy_name, key);
        if (!*policy_name)
            field_invalid(fe, FIELD_AT(at, "key"), key, "requires metadata.name be non-empty");
        else
            (void)check_qualified(fe, FIELD_AT(at, "key"), whole);
        if (rule_is_blank(value))
            field_required(fe, FIELD_AT(at, "valueExpression"), "valueExpression is not specified");
        else if (str_trim(str_of(value)).n > VALUE_EXPRESSION_MAX_BYTES)
            field_required(fe, FIELD_AT(at, "valueExpression"),
                           "must not exceed 5120 bytes in length");
        rule_unique(keys, key, FIELD_AT(at, "key"), fe);
    }
}

void admission_policy(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec");
    const json_t *match = json_object_get(spec, "matchConstraints");
    const json_t *validations = json_object_get(spec, "validations");
    const json_t *annotations = json_object_get(spec, "auditAnnotations");
    const struct field_path *at = FIELD_AT(p, "spec");
    static const char neither[] = "validations or auditAnnotations must contain at least one item";

    if (rule_has(spec, "paramKind"))
        check_param_kind(json_object_get(spec, "paramKind"), FIELD_AT(at, "paramKind"), fe);
    if (!match)
        field_required(fe, FIELD_AT(at, "matchConstraints"), "");
    else if (!json_array_size(json_object_get(match, "resourceRules")))
        field_required(fe, FIELD_AT(FIELD_AT(at, "matchConstraints"), "resourceRules"), "");
    rule_match_conditions(json_object_get(spec, "matchConditions"), FIELD_AT(at, "matchConditions"),
                          fe);
    check_variables(json_object_get(spec, "variables"), FIELD_AT(at, "variables"), fe);
    if (!json_array_size(validations) && !json_array_size(annotations)) {
        field_required(fe, FIELD_AT(at, "validations"), neither);
        field_required(fe, FIELD_AT(at, "auditAnnotations"), neither);
    }
    check_validations(validations, FIELD_AT(at, "validations"), fe);
    check_audit(v, annotations, FIELD_AT(at, "auditAnnotations"), fe);
}

void admission_match_resources(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const lists[] = { "resourceRules", "excludeResourceRules" };
    json_t *rule, *name;
    size_t i, k;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_object_get(v, lists[l]), i, rule)
        {
            AUTO(map) struct map *names = map_new();
            const struct field_path *at = FIELD_INDEX(FIELD_AT(p, lists[l]), i);
            const struct field_path *list = FIELD_AT(at, "resourceNames");
            json_array_foreach(json_object_get(rule, "resourceNames"), k, name)
            {
                const char *s = json_string_value(name);
                (void)check_text(fe, FIELD_INDEX(list, k), s, name_check_path_segment(str_of(s)));
                rule_unique(names, s, FIELD_INDEX(list, k), fe);
            }
        }
}

static void check_param_ref(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const actions[] = { "Deny", "Allow", NULL };
    const char *name = part_str(v, "name"), *action = part_str(v, "parameterNotFoundAction");

    if (*name) {
        (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_path_segment(str_of(name)));
        if (rule_has(v, "selector")) {
            field_forbidden(fe, FIELD_AT(p, "name"), "name and selector are mutually exclusive");
            field_forbidden(fe, FIELD_AT(p, "selector"),
                            "name and selector are mutually exclusive");
        }
    } else if (!rule_has(v, "selector")) {
        field_required(fe, p, "one of name or selector must be specified");
    }
    if (!*action)
        field_required(fe, FIELD_AT(p, "parameterNotFoundAction"), "");
    else
        (void)check_listed(fe, FIELD_AT(p, "parameterNotFoundAction"), action, actions);
}

void admission_binding_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *actions = json_object_get(v, "validationActions");
    const struct field_path *list = FIELD_AT(p, "validationActions");
    const char *policy = part_str(v, "policyName");
    AUTO(map) struct map *seen = map_new();
    json_t *action;
    size_t i;

    if (!*policy)
        field_required(fe, FIELD_AT(p, "policyName"), "");
    else
        (void)check_text(fe, FIELD_AT(p, "policyName"), policy,
                         name_check_subdomain(str_of(policy)));
    if (rule_has(v, "paramRef"))
        check_param_ref(json_object_get(v, "paramRef"), FIELD_AT(p, "paramRef"), fe);
    json_array_foreach(actions, i, action)
        rule_unique(seen, json_string_value(action), FIELD_INDEX(list, i), fe);
    if (map_get(seen, STR("Deny")) && map_get(seen, STR("Warn")))
        field_invalid_list(
            fe, list, "admissionregistration.ValidationAction", actions,
            "must not contain both Deny and Warn (repeating the same validation "
            "failure information in the API response and headers serves no purpose)");
    if (!json_array_size(actions))
        field_required(fe, list, "at least one validation action is required");
}

void admission_policy_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *warnings =
        json_object_get(json_object_get(v, "typeChecking"), "expressionWarnings");
    const struct field_path *list = FIELD_AT(FIELD_AT(p, "typeChecking"), "expressionWarnings");
    json_t *warning;
    size_t i;

    rule_conditions(json_object_get(v, "conditions"), FIELD_AT(p, "conditions"), fe);
    json_array_foreach(warnings, i, warning)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        if (!*part_str(warning, "warning"))
            field_required(fe, FIELD_AT(at, "warning"), "");
        if (rule_is_blank(part_str(warning, "fieldRef")))
            field_required(fe, FIELD_AT(at, "fieldRef"), "");
    }
}

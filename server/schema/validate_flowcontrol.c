/* flowcontrol.apiserver.k8s.io/v1: pkg/apis/flowcontrol/validation. */
#include "base/data/json.h"
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <math.h>
#include <stdio.h>

enum {
    PRECEDENCE_MAX = 10000,
    QUEUES_MAX = 10 * 1000 * 1000,
    HASH_BITS_MAX = 60, /* of shuffle sharding */
};

static bool has_star(const json_t *list)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (strcmp(json_string_value(v), "*") == 0)
            return true;
    }
    return false;
}

static void only_star(const json_t *v, const char *key, const char *what,
                      const struct field_path *p, struct field_errors *fe)
{
    const json_t *list = json_object_get(v, key);
    auto_free char *why = mem_printf("if '*' is present, must not specify other %s", what);

    if (json_array_size(list) > 1 && has_star(list))
        field_invalid_list(fe, FIELD_AT(p, key), "string", list, why);
}

/* The spec of what every cluster has is fixed (apiserver/pkg/apis/flowcontrol/bootstrap). */
static void check_fixed(const json_t *v, const char *name, const char *spec_text,
                        struct field_errors *fe)
{
    json_auto_t *fixed = json_from(spec_text);
    json_auto_t *spec = json_deep_copy(json_object_get(v, "spec"));

    if (strcmp(part_str(json_object_get(v, "metadata"), "name"), name) != 0)
        return;
    json_object_del(spec, "exempt"); /* its two numbers may change */
    if (rule_same(spec, fixed))
        return;
    auto_free char *why = mem_printf("spec of '%s' must equal the fixed value", name);
    field_invalid_json(fe, FIELD_AT(NULL, "spec"), json_object_get(v, "spec"), why);
}

/* ---- flow schemas ---- */

void flowcontrol_schema(const json_t *v, const struct field_path *root, struct field_errors *fe)
{
    static const char *const methods[] = { "ByNamespace", "ByUser", NULL };
    const json_t *spec = json_object_get(v, "spec");
    const json_t *method = json_object_get(spec, "distinguisherMethod");
    const struct field_path *p = FIELD_AT(root, "spec");
    const struct field_path *precedence_at = FIELD_AT(p, "matchingPrecedence");
    const struct field_path *level_at = FIELD_AT(FIELD_AT(p, "priorityLevelConfiguration"), "name");
    const char *level = part_str(json_object_get(spec, "priorityLevelConfiguration"), "name");
    json_auto_t *precedence = json_integer(part_int(spec, "matchingPrecedence"));
    bool exempt = part_is(json_object_get(v, "metadata"), "name", "exempt");

    if (json_integer_value(precedence) <= 0)
        field_invalid_json(fe, precedence_at, precedence, "must be a positive value");
    if (json_integer_value(precedence) > PRECEDENCE_MAX)
        field_invalid_json(fe, precedence_at, precedence, "must not be greater than 10000");
    if (json_integer_value(precedence) == 1 && !exempt)
        field_invalid_json(fe, precedence_at, precedence,
                           "only the schema named 'exempt' may have matchingPrecedence 1");
    if (method)
        (void)check_listed(fe, FIELD_AT(FIELD_AT(p, "distinguisherMethod"), "type"),
                           part_str(method, "type"), methods);
    if (!*level)
        field_required(fe, level_at, "must reference a priority level");
    else
        (void)check_text(fe, level_at, level, name_check_subdomain(str_of(level)));
    check_fixed(v, "exempt",
                "{\"priorityLevelConfiguration\":{\"name\":\"exempt\"},\"matchingPrecedence\":1,"
                "\"rules\":[{\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":"
                "\"system:masters\"}}],\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],"
                "\"resources\":[\"*\"],\"clusterScope\":true,\"namespaces\":[\"*\"]}],"
                "\"nonResourceRules\":[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]}]}",
                fe);
    check_fixed(v, "catch-all",
                "{\"priorityLevelConfiguration\":{\"name\":\"catch-all\"},\"matchingPrecedence\":"
                "10000,\"distinguisherMethod\":{\"type\":\"ByUser\"},\"rules\":[{\"subjects\":[{"
                "\"kind\":\"Group\",\"group\":{\"name\":\"system:unauthenticated\"}},{\"kind\":"
                "\"Group\",\"group\":{\"name\":\"system:authenticated\"}}],\"resourceRules\":[{"
                "\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"clusterScope\":"
                "true,\"namespaces\":[\"*\"]}],\"nonResourceRules\":[{\"verbs\":[\"*\"],"
                "\"nonResourceURLs\":[\"*\"]}]}]}",
                fe);
}

void flowcontrol_rules(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (!json_array_size(json_object_get(v, "subjects")))
        field_required(fe, FIELD_AT(p, "subjects"), "subjects must contain at least one value");
    if (!json_array_size(json_object_get(v, "resourceRules")) &&
        !json_array_size(json_object_get(v, "nonResourceRules")))
        field_required(fe, p,
                       "at least one of resourceRules and nonResourceRules has to be non-empty");
}

static void check_account(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *name = part_str(v, "name"), *ns = part_str(v, "namespace");

    if (!*name)
        field_required(fe, FIELD_AT(p, "name"), "");
    else if (strcmp(name, "*") != 0)
        (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_subdomain(str_of(name)));
    if (!*ns)
        field_required(fe, FIELD_AT(p, "namespace"), "must specify namespace for service account");
    else
        (void)check_text(fe, FIELD_AT(p, "namespace"), ns, name_check_label(str_of(ns)));
}

void flowcontrol_subject(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const kinds[] = { "Group", "ServiceAccount", "User", NULL };
    static const char *const keys[] = { "group", "serviceAccount", "user", NULL };
    const char *kind = part_str(v, "kind");

    if (!text_listed(kinds, kind)) {
        field_not_supported(fe, FIELD_AT(p, "kind"), kind, kinds);
        return;
    }
    for (size_t i = 0; keys[i]; i++) {
        const json_t *about = json_object_get(v, keys[i]);
        const struct field_path *at = FIELD_AT(p, keys[i]);
        bool ours = strcmp(kind, kinds[i]) == 0;
        auto_free char *why =
            mem_printf("%s is %s when subject kind is %s'%s'", keys[i],
                       ours ? "required" : "forbidden", ours ? "" : "not ", kinds[i]);
        if (!ours && about)
            field_forbidden(fe, at, why);
        if (ours && !about)
            field_required(fe, at, why);
        else if (ours && i == 1)
            check_account(about, at, fe);
        else if (ours && !*part_str(about, "name"))
            field_required(fe, FIELD_AT(at, "name"), "");
    }
}

static void check_verbs(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const verbs[] = { "create", "delete", "deletecollection", "get",   "list",
                                         "patch",  "proxy",  "update",           "watch", NULL };
    const json_t *list = json_object_get(v, "verbs");
    json_t *verb;
    size_t i;

    if (!json_array_size(list)) {
        field_required(fe, FIELD_AT(p, "verbs"), "verbs must contain at least one value");
        return;
    }
    only_star(v, "verbs", "verbs", p, fe);
    if (has_star(list))
        return;
    json_array_foreach(list, i, verb)
    {
        if (!text_listed(verbs, json_string_value(verb))) {
            field_not_supported(fe, FIELD_AT(p, "verbs"), json_string_value(verb), verbs);
            return;
        }
    }
}

void flowcontrol_resource_rule(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *namespaces = json_object_get(v, "namespaces");
    const struct field_path *list = FIELD_AT(p, "namespaces");
    json_t *ns;
    size_t i;

    check_verbs(v, p, fe);
    if (!json_array_size(json_object_get(v, "apiGroups")))
        field_required(fe, FIELD_AT(p, "apiGroups"),
                       "resource rules must supply at least one api group");
    only_star(v, "apiGroups", "api groups", p, fe);
    if (!json_array_size(json_object_get(v, "resources")))
        field_required(fe, FIELD_AT(p, "resources"),
                       "resource rules must supply at least one resource");
    only_star(v, "resources", "resources", p, fe);
    if (!json_array_size(namespaces) && !json_is_true(json_object_get(v, "clusterScope")))
        field_required(
            fe, list,
            "resource rules that are not cluster scoped must supply at least one namespace");
    only_star(v, "namespaces", "namespaces", p, fe);
    json_array_foreach(namespaces, i, ns)
    {
        const char *s = json_string_value(ns), *wrong = name_check_label(str_of(s));
        if (!wrong || has_star(namespaces))
            continue;
        auto_free char *why =
            mem_printf("each member of this list must be '*' or a DNS-1123 label; %s", wrong);
        field_invalid(fe, FIELD_INDEX(list, i), s, why);
    }
}

/* NULL: fine */
static const char *check_path(const char *path)
{
    const char *star = strchr(path, '*');

    if (!*path)
        return "must not be empty";
    if (strcmp(path, "/") == 0)
        return NULL;
    if (*path != '/')
        return "must start with slash";
    if (strchr(path, ' '))
        return "must not contain white-space";
    if (strstr(path, "//"))
        return "must not contain double slash";
    return star && (star[1] || star[-1] != '/') ? "wildcard can only do suffix matching" : NULL;
}

void flowcontrol_non_resource_rule(const json_t *v, const struct field_path *p,
                                   struct field_errors *fe)
{
    const json_t *urls = json_object_get(v, "nonResourceURLs");
    const struct field_path *list = FIELD_AT(p, "nonResourceURLs");
    json_t *url;
    size_t i;

    check_verbs(v, p, fe);
    if (!json_array_size(urls))
        field_required(fe, list, "nonResourceURLs must contain at least one value");
    only_star(v, "nonResourceURLs", "non-resource URLs", p, fe);
    json_array_foreach(urls, i, url)
    {
        if (!has_star(urls))
            (void)check_text(fe, FIELD_INDEX(list, i), json_string_value(url),
                             check_path(json_string_value(url)));
    }
}

/* ---- priority levels ---- */

static void check_shares(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const keys[] = { "nominalConcurrencyShares", "borrowingLimitPercent" };
    const json_t *lendable = json_object_get(v, "lendablePercent");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (part_int(v, keys[i]) < 0)
            field_invalid_json(fe, FIELD_AT(p, keys[i]), json_object_get(v, keys[i]),
                               "must be a non-negative integer");
    if (json_integer_value(lendable) < 0 || json_integer_value(lendable) > 100)
        field_invalid_json(fe, FIELD_AT(p, "lendablePercent"), lendable,
                           "must be between 0 and 100, inclusive");
}

static void check_queuing(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    int64_t queues = part_int(v, "queues"), hand = part_int(v, "handSize");
    json_auto_t *limit = json_integer(part_int(v, "queueLengthLimit"));
    json_auto_t *n_queues = json_integer(queues), *n_hand = json_integer(hand);
    const struct field_path *at = FIELD_AT(p, "handSize");
    char why[160];

    if (json_integer_value(limit) <= 0)
        field_invalid_json(fe, FIELD_AT(p, "queueLengthLimit"), limit, "must be positive");
    if (queues <= 0)
        field_invalid_json(fe, FIELD_AT(p, "queues"), n_queues, "must be positive");
    else if (queues > QUEUES_MAX)
        field_invalid_json(fe, FIELD_AT(p, "queues"), n_queues,
                           "must not be greater than 10000000");
    if (hand <= 0) {
        field_invalid_json(fe, at, n_hand, "must be positive");
    } else if (hand > queues) {
        snprintf(why, sizeof why, "should not be greater than queues (%lld)", (long long)queues);
        field_invalid_json(fe, at, n_hand, why);
    } else if (ceil(log2((double)queues) * (double)hand) > HASH_BITS_MAX) {
        snprintf(why, sizeof why,
                 "required entropy bits of deckSize %lld and handSize %lld should not be greater "
                 "than %d",
                 (long long)queues, (long long)hand, HASH_BITS_MAX);
        field_invalid_json(fe, at, n_hand, why);
    }
}

static void check_limited(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const types[] = { "Queue", "Reject", NULL };
    const json_t *response = json_object_get(v, "limitResponse");
    const json_t *queuing = json_object_get(response, "queuing");
    const struct field_path *at = FIELD_AT(p, "limitResponse");

    check_shares(v, p, fe);
    (void)check_listed(fe, FIELD_AT(at, "type"), part_str(response, "type"), types);
    if (part_is(response, "type", "Reject") && queuing)
        field_forbidden(fe, FIELD_AT(at, "queuing"),
                        "must be nil if limited.limitResponse.type is not Limited");
    else if (part_is(response, "type", "Queue") && !queuing)
        field_required(fe, FIELD_AT(at, "queuing"),
                       "must not be empty if limited.limitResponse.type is Limited");
    else if (part_is(response, "type", "Queue"))
        check_queuing(queuing, FIELD_AT(at, "queuing"), fe);
}

void flowcontrol_level(const json_t *v, const struct field_path *root, struct field_errors *fe)
{
    static const char *const types[] = { "Exempt", "Limited", NULL };
    const json_t *spec = json_object_get(v, "spec");
    const struct field_path *p = FIELD_AT(root, "spec");
    const char *type = part_str(spec, "type");
    bool exempt = strcmp(type, "Exempt") == 0, limited = strcmp(type, "Limited") == 0;

    if (part_is(json_object_get(v, "metadata"), "name", "exempt") != exempt)
        field_invalid(fe, FIELD_AT(p, "type"), type,
                      "type must be 'Exempt' if and only if name is 'exempt'");
    (void)check_listed(fe, FIELD_AT(p, "type"), type, types);
    if (exempt && rule_has(spec, "limited"))
        field_forbidden(fe, FIELD_AT(p, "limited"), "must be nil if the type is not Limited");
    if (exempt)
        check_shares(json_object_get(spec, "exempt"), FIELD_AT(p, "exempt"), fe);
    if (limited && rule_has(spec, "exempt"))
        field_forbidden(fe, FIELD_AT(p, "exempt"), "must be nil if the type is Limited");
    if (limited && !rule_has(spec, "limited"))
        field_required(fe, FIELD_AT(p, "limited"), "must not be empty when type is Limited");
    else if (limited)
        check_limited(json_object_get(spec, "limited"), FIELD_AT(p, "limited"), fe);
    check_fixed(v, "exempt", "{\"type\":\"Exempt\"}", fe);
    check_fixed(v, "catch-all",
                "{\"type\":\"Limited\",\"limited\":{\"nominalConcurrencyShares\":5,"
                "\"limitResponse\":{\"type\":\"Reject\"},\"lendablePercent\":0}}",
                fe);
}

void flowcontrol_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *types = map_new();
    const struct field_path *list = FIELD_AT(p, "conditions");
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(v, "conditions"), i, c)
    {
        const struct field_path *at = FIELD_AT(FIELD_INDEX(list, i), "type");
        rule_unique(types, part_str(c, "type"), at, fe);
        if (!*part_str(c, "type"))
            field_required(fe, at, "must not be empty");
    }
}

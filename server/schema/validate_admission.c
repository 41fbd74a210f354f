/*
 * admissionregistration.k8s.io/v1 webhook configurations: pkg/apis/admissionregistration/validation
 * and apiserver/pkg/util/webhook/validation.go. CEL expressions (matchConditions) are only asked to
 * be there: nothing here compiles them.
 */
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/rule_admission.h"
#include "server/schema/validate_kinds.h"

enum { CONDITIONS_MAX = 64, TIMEOUT_MIN_S = 1, TIMEOUT_MAX_S = 30 };

/* ---- rules, of webhooks and policies ---- */

static bool has_word(const json_t *list, const char *word)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (strcmp(json_string_value(v), word) == 0)
            return true;
    }
    return false;
}

/* "*" is alone in its list */
static void check_star(const json_t *v, const char *key, const char *type, const char *what,
                       const struct field_path *p, struct field_errors *fe)
{
    const json_t *list = json_object_get(v, key);

    if (!json_array_size(list)) {
        field_required(fe, FIELD_AT(p, key), "");
    } else if (json_array_size(list) > 1 && has_word(list, "*")) {
        auto_free char *why = mem_printf("if '*' is present, must not specify other %s", what);
        rule_invalid_list(fe, FIELD_AT(p, key), type, list, why);
    }
}

static void check_resources(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *all_of = map_new(), *every = map_new(); /* "x/" of x/x, "/x" of x/x */
    bool star = false, stars = false, plain = false;
    static char present;
    json_t *v;
    size_t i;

    if (!json_array_size(list))
        field_required(fe, p, "");
    json_array_foreach(list, i, v)
    {
        const char *text = json_string_value(v);
        struct str resource, sub;
        if (!*text) {
            field_required(fe, FIELD_INDEX(p, i), "");
            continue;
        }
        stars |= strcmp(text, "*/*") == 0;
        star |= strcmp(text, "*") == 0;
        if (!str_cut(str_of(text), '/', &resource, &sub)) {
            plain = strcmp(text, "*") != 0;
            continue;
        }
        if (map_get(all_of, resource)) {
            auto_free char *why = mem_printf("if '" STR_FMT "/*' is present, must not specify %s",
                                             STR_ARG(resource), text);
            field_invalid(fe, FIELD_INDEX(p, i), text, why);
        }
        if (map_get(every, sub)) {
            auto_free char *why = mem_printf("if '*/" STR_FMT "' is present, must not specify %s",
                                             STR_ARG(sub), text);
            field_invalid(fe, FIELD_INDEX(p, i), text, why);
        }
        if (str_is(sub, "*"))
            map_set(all_of, resource, &present);
        if (str_is(resource, "*"))
            map_set(every, sub, &present);
    }
    if (json_array_size(list) > 1 && stars)
        field_invalid_list(fe, p, "string", list,
                           "if '*/*' is present, must not specify other resources");
    if (star && plain)
        field_invalid_list(
            fe, p, "string", list,
            "if '*' is present, must not specify other resources without subresources");
}

void admission_rule(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *versions = json_object_get(v, "apiVersions");
    json_t *version;
    size_t i;

    check_star(v, "operations", "[]admissionregistration.OperationType", "operations", p, fe);
    check_star(v, "apiGroups", "[]string", "API groups", p, fe);
    check_star(v, "apiVersions", "[]string", "API versions", p, fe);
    json_array_foreach(versions, i, version)
    {
        if (!json_string_length(version))
            field_required(fe, FIELD_INDEX(FIELD_AT(p, "apiVersions"), i), "");
    }
    check_resources(json_object_get(v, "resources"), FIELD_AT(p, "resources"), fe);
}

/* unicode.IsSpace, as far as ASCII goes */
bool rule_is_blank(const char *text)
{
    return text[strspn(text, " \t\n\v\f\r")] == '\0';
}

void rule_match_conditions(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *names = map_new();
    json_t *v;
    size_t i;

    if (json_array_size(list) > CONDITIONS_MAX)
        field_too_many(fe, p, json_array_size(list), CONDITIONS_MAX);
    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i), *name_at = FIELD_AT(at, "name");
        const char *name = part_str(v, "name");
        if (rule_is_blank(part_str(v, "expression")))
            field_required(fe, FIELD_AT(at, "expression"), "");
        if (!*name) {
            field_required(fe, name_at, "");
            continue;
        }
        (void)check_qualified(fe, name_at, name);
        rule_unique(names, name, name_at, fe);
    }
}

/* ---- where a webhook is ---- */

#define URL_FORM "; desired format: https://host[/path]"

/* Go's url.Parse, as far as these rules ask: scheme://[user@]host[/path][?query][#fragment] */
static void check_url(const char *url, const struct field_path *p, struct field_errors *fe)
{
    struct str head, rest = str_of(url), fragment = STR(""), query = STR(""), scheme, user;
    bool has_scheme;

    if (str_cut(rest, '#', &head, &fragment))
        rest = head;
    if (str_cut(rest, '?', &head, &query))
        rest = head;
    has_scheme = str_cut_str(rest, STR("://"), &scheme, &rest);
    if (!has_scheme)
        scheme = STR("");
    struct str host = has_scheme ? rest : STR("");
    if (str_cut(host, '/', &head, &rest))
        host = head;
    if (strpbrk(url, " \t\n\r")) {
        auto_free char *why = mem_printf(
            "url must be a valid URL: parse \"%s\": net/url: invalid character in URL" URL_FORM,
            url);
        field_required(fe, p, why);
        return;
    }
    bool has_user = str_cut(host, '@', &user, &rest);
    host = has_user ? rest : host;
    auto_free char *scheme_text = str_dup(scheme), *user_text = str_dup(user);
    auto_free char *fragment_text = str_dup(fragment), *query_text = str_dup(query);
    if (!str_is(scheme, "https"))
        field_invalid(fe, p, scheme_text, "'https' is the only allowed URL scheme" URL_FORM);
    if (!host.n)
        field_invalid(fe, p, "", "host must be specified" URL_FORM);
    if (has_user)
        field_invalid(fe, p, user_text, "user information is not permitted in the URL");
    if (fragment.n)
        field_invalid(fe, p, fragment_text, "fragments are not permitted in the URL");
    if (query.n)
        field_invalid(fe, p, query_text, "query parameters are not permitted in the URL");
}

static void check_path(const char *path, const struct field_path *p, struct field_errors *fe)
{
    struct str step, rest = str_of(path);
    bool more = true;

    if (!*path || strcmp(path, "/") == 0)
        return;
    if (strcmp(path, "//") == 0) {
        field_invalid(fe, p, path, "segment[0] may not be empty");
        return;
    }
    if (*path != '/')
        field_invalid(fe, p, path, "must start with a '/'");
    rest = str_n(rest.p + 1, rest.n - 1);
    if (str_ends(rest, STR("/")))
        rest.n--;
    for (size_t i = 0; more; i++) {
        more = str_cut(rest, '/', &step, &rest);
        const char *wrong = step.n ? name_check_subdomain(step) : "";
        if (!wrong)
            continue;
        auto_free char *why = step.n ? mem_printf("segment[%zu]: %s", i, wrong)
                                     : mem_printf("segment[%zu] may not be empty", i);
        field_invalid(fe, p, path, why);
    }
}

static void check_service(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *port = json_object_get(v, "port");

    if (!*part_str(v, "name"))
        field_required(fe, FIELD_AT(p, "name"), "service name is required");
    if (!*part_str(v, "namespace"))
        field_required(fe, FIELD_AT(p, "namespace"), "service namespace is required");
    if (port && rule_check_port(json_integer_value(port)))
        field_invalid_json(fe, FIELD_AT(p, "port"), port,
                           "port is not valid: must be between 1 and 65535, inclusive");
    check_path(part_str(v, "path"), FIELD_AT(p, "path"), fe);
}

/* ---- webhooks ---- */

static void check_versions(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new();
    bool known = false;
    static char present;
    json_t *v;
    size_t i;

    if (!json_array_size(list)) {
        field_required(fe, p, "must specify one of v1, v1beta1");
        return;
    }
    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        known |= strcmp(s, "v1") == 0 || strcmp(s, "v1beta1") == 0;
        if (map_set(seen, str_of(s), &present))
            field_invalid(fe, FIELD_INDEX(p, i), s, "duplicate version");
        else
            (void)check_text(fe, FIELD_INDEX(p, i), s, name_check_label35(str_of(s)));
    }
    if (!known)
        field_invalid_list(fe, p, "string", list, "must include at least one of v1, v1beta1");
}

static void check_name(const char *name, const struct field_path *p, struct field_errors *fe)
{
    const char *dot = strchr(name, '.');

    if (!*name)
        field_required(fe, p, "");
    else if (name_check_subdomain(str_of(name)))
        field_invalid(fe, p, name, name_check_subdomain(str_of(name)));
    else if (!dot || !strchr(dot + 1, '.'))
        field_invalid(fe, p, name,
                      "should be a domain with at least three segments separated by dots");
}

void admission_webhook(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const harmless[] = { "None", "NoneOnDryRun", NULL };
    const json_t *client = json_object_get(v, "clientConfig");
    const json_t *timeout = json_object_get(v, "timeoutSeconds");
    const struct field_path *at = FIELD_AT(p, "clientConfig");

    check_name(part_str(v, "name"), FIELD_AT(p, "name"), fe);
    if (!rule_has(v, "sideEffects"))
        field_required(fe, FIELD_AT(p, "sideEffects"), "must specify one of None, NoneOnDryRun");
    else if (part_is(v, "sideEffects", "Some") || part_is(v, "sideEffects", "Unknown"))
        field_not_supported(fe, FIELD_AT(p, "sideEffects"), part_str(v, "sideEffects"), harmless);
    if (timeout && (json_integer_value(timeout) < TIMEOUT_MIN_S ||
                    json_integer_value(timeout) > TIMEOUT_MAX_S))
        field_invalid_json(fe, FIELD_AT(p, "timeoutSeconds"), timeout,
                           "the timeout value must be between 1 and 30 seconds");
    if (rule_has(client, "url") == rule_has(client, "service"))
        field_required(fe, at, "exactly one of url or service is required");
    else if (rule_has(client, "url"))
        check_url(part_str(client, "url"), FIELD_AT(at, "url"), fe);
    else
        check_service(json_object_get(client, "service"), FIELD_AT(at, "service"), fe);
    rule_match_conditions(json_object_get(v, "matchConditions"), FIELD_AT(p, "matchConditions"),
                          fe);
    check_versions(json_object_get(v, "admissionReviewVersions"),
                   FIELD_AT(p, "admissionReviewVersions"), fe);
}

void admission_webhooks(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *names = map_new();
    const struct field_path *list = FIELD_AT(p, "webhooks");
    json_t *hook;
    size_t i;

    json_array_foreach(json_object_get(v, "webhooks"), i, hook)
    {
        if (*part_str(hook, "name"))
            rule_unique(names, part_str(hook, "name"), FIELD_AT(FIELD_INDEX(list, i), "name"), fe);
    }
}

#include "server/schema/rule.h"

#include "base/kube/name.h"
#include "base/kube/selector.h"

/* ---- readers ---- */

static bool is_nothing(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)) ||
           (json_is_object(v) && !json_object_size(v));
}

bool rule_same(const json_t *a, const json_t *b)
{
    if (is_nothing(a) || is_nothing(b))
        return is_nothing(a) && is_nothing(b);
    return json_equal(a, b) == 1;
}

const json_t *rule_condition(const json_t *conditions, const char *type)
{
    json_t *c;
    size_t i;

    json_array_foreach(conditions, i, c)
    {
        if (part_is(c, "type", type))
            return c;
    }
    return NULL;
}

bool rule_condition_true(const json_t *conditions, const char *type)
{
    json_t *c;
    size_t i;

    json_array_foreach(conditions, i, c)
    {
        if (part_is(c, "type", type) && part_is(c, "status", "True"))
            return true;
    }
    return false;
}

/* ---- checks ---- */

void rule_non_negative(const json_t *v, const char *key, const struct field_path *p,
                       struct field_errors *fe)
{
    const json_t *n = json_object_get(v, key);

    if (json_integer_value(n) < 0)
        field_invalid_json(fe, FIELD_AT(p, key), n, "must be greater than or equal to 0");
}

void rule_non_negatives(const json_t *v, const char *const *keys, const struct field_path *p,
                        struct field_errors *fe)
{
    for (; *keys; keys++)
        rule_non_negative(v, *keys, p, fe);
}

void rule_at_most(const json_t *v, const char *small, const char *large, const struct field_path *p,
                  const char *why, struct field_errors *fe)
{
    if (part_int(v, small) > part_int(v, large))
        field_add(fe, FIELD_INVALID, FIELD_AT(p, small), "Invalid value: %lld: %s",
                  (long long)part_int(v, small), why);
}

void rule_unique(struct map *seen, const char *text, const struct field_path *p,
                 struct field_errors *fe)
{
    static char present;

    if (map_set(seen, str_of(text), &present))
        field_duplicate(fe, p, text);
}

/* [0-9]+% */
static bool is_percent(const char *s)
{
    size_t n = strlen(s);

    return n > 1 && s[n - 1] == '%' && strspn(s, "0123456789") == n - 1;
}

void rule_count_or_percent(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    if (json_is_string(v) && !is_percent(json_string_value(v)))
        rule_invalid_count(fe, p, v,
                           "a valid percent string must be a numeric string followed by an ending "
                           "'%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
    else if (json_is_integer(v) && json_integer_value(v) < 0)
        field_invalid_json(fe, p, v, "must be greater than or equal to 0");
}

int64_t rule_count_of(const json_t *v)
{
    const char *s = json_string_value(v);
    int64_t n;

    if (!s)
        return json_integer_value(v);
    return is_percent(s) && str_to_i64(str_n(s, strlen(s) - 1), &n) ? n : 0;
}

void rule_percent_max(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *s = json_string_value(v);
    int64_t n;

    if (s && is_percent(s) && (!str_to_i64(str_n(s, strlen(s) - 1), &n) || n > 100))
        rule_invalid_count(fe, p, v, "must not be greater than 100%");
}

#define HTTP_PATH "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"

void rule_domain_path(const char *text, const struct field_path *p, struct field_errors *fe)
{
    struct str host, path;

    if (!*text) {
        field_required(fe, p, "");
        return;
    }
    if (!str_cut(str_of(text), '/', &host, &path) || !host.n || !path.n) {
        field_invalid(fe, p, text, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    }
    auto_free char *host_text = str_dup(host);
    (void)check_text(fe, p, host_text, name_check_subdomain(host));
    if (strspn(path.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~%!$&'()"
                       "*+,;=:") != path.n)
        field_invalid(fe, p, path.p, "Invalid path (regex used for validation is '" HTTP_PATH "')");
}

/* [A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])? */
static bool is_reason(const char *s)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(s);

    return n && strchr(letters, s[0]) && s[n - 1] != ',' && s[n - 1] != ':' &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_,:") == n;
}

static void check_condition(const json_t *c, const struct field_path *p, struct field_errors *fe)
{
    enum { REASON_MAX_BYTES = 1024, MESSAGE_MAX_BYTES = 32 * 1024 };
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };
    const char *type = part_str(c, "type"), *reason = part_str(c, "reason");

    (void)check_qualified(fe, FIELD_AT(p, "type"), type);
    (void)check_listed(fe, FIELD_AT(p, "status"), part_str(c, "status"), statuses);
    if (part_int(c, "observedGeneration") < 0)
        field_invalid_json(fe, FIELD_AT(p, "observedGeneration"),
                           json_object_get(c, "observedGeneration"),
                           "must be greater than or equal to zero");
    if (!*part_str(c, "lastTransitionTime"))
        field_required(fe, FIELD_AT(p, "lastTransitionTime"), "must be set");
    if (!*reason)
        field_required(fe, FIELD_AT(p, "reason"), "must be set");
    else if (!is_reason(reason))
        field_invalid(fe, FIELD_AT(p, "reason"), reason,
                      "a condition reason must start with alphabetic character, optionally "
                      "followed by a string of alphanumeric characters or '_,:', and must end with "
                      "an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
                      "'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for "
                      "validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
    if (strlen(reason) > REASON_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "reason"), REASON_MAX_BYTES);
    if (strlen(part_str(c, "message")) > MESSAGE_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "message"), MESSAGE_MAX_BYTES);
}

void rule_conditions(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new();
    json_t *c;
    size_t i;

    json_array_foreach(list, i, c)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        rule_unique(seen, part_str(c, "type"), FIELD_AT(at, "type"), fe);
        check_condition(c, at, fe);
    }
}

bool rule_selector_parses(const json_t *selector)
{
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;

    return label_selector_from_json(&s, selector, &e) == 0;
}

bool rule_selects(const json_t *selector, const json_t *labels)
{
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;

    return label_selector_from_json(&s, selector, &e) == 0 && label_selector_match(s, labels);
}

const char *rule_check_wildcard_subdomain(const char *text)
{
    if (strlen(text) > NAME_SUBDOMAIN_MAX)
        return name_check_subdomain(str_of(text));
    if (strncmp(text, "*.", 2) == 0 && !name_check_subdomain(str_of(text + 2)))
        return NULL;
    return "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
           "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
           "alphanumeric character (e.g. '*.example.com', regex used for validation is "
           "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

const char *rule_check_port(int64_t n)
{
    return n >= 1 && n <= 65535 ? NULL : "must be between 1 and 65535, inclusive";
}

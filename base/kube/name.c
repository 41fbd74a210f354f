#include "base/kube/name.h"

/* The sentences of k8s.io/apimachinery pkg/util/validation, release 1.32: clients match on them. */
#define LABEL_RE "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define QUALIFIED                                                                                  \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "    \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "         \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define SUBDOMAIN                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '" LABEL_RE "(\\." LABEL_RE ")*')"
#define LENGTH_63  "must be no more than 63 bytes"
#define LENGTH_253 "must be no more than 253 bytes"

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool label_shape(struct str s)
{
    if (!s.n || !is_lower(s.p[0]) || !is_lower(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_lower(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool qualified_shape(struct str s)
{
    if (!s.n || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return false;
    return true;
}

const char *name_check_label35(struct str s)
{
    if (s.n > NAME_LABEL_MAX)
        return LENGTH_63;
    if (label_shape(s) && s.p[0] >= 'a')
        return NULL;
    return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
           "an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
           "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

static bool subdomain_shape(struct str s)
{
    struct str head, rest = s;
    bool more;

    do {
        more = str_cut(rest, '.', &head, &rest);
        if (!label_shape(head))
            return false;
    } while (more);
    return true;
}

const char *name_check_label(struct str s)
{
    if (s.n > NAME_LABEL_MAX)
        return LENGTH_63;
    return label_shape(s) ? NULL
           : subdomain_shape(s)
               ? "must not contain dots"
               : "a lowercase RFC 1123 label must consist of lower case alphanumeric "
                 "characters or '-', and must start and end with an alphanumeric "
                 "character (e.g. 'my-name',  or '123-abc', regex used for validation "
                 "is '" LABEL_RE "')";
}

const char *name_check_subdomain(struct str s)
{
    if (s.n > NAME_SUBDOMAIN_MAX)
        return LENGTH_253;
    return subdomain_shape(s) ? NULL : SUBDOMAIN;
}

const char *name_check_path_segment(struct str s)
{
    if (str_is(s, "."))
        return "may not be '.'";
    if (str_is(s, ".."))
        return "may not be '..'";
    if (s.n && memchr(s.p, '/', s.n))
        return "may not contain '/'";
    if (s.n && memchr(s.p, '%', s.n))
        return "may not contain '%'";
    return NULL;
}

const char *name_check_qualified(struct str s)
{
    struct str prefix, name;

    if (!str_cut(s, '/', &prefix, &name)) {
        name = prefix;
    } else if (name.n && memchr(name.p, '/', name.n)) {
        return "a qualified name " QUALIFIED
               " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    } else if (!prefix.n) {
        return "prefix part must be non-empty";
    } else if (prefix.n > NAME_SUBDOMAIN_MAX) {
        return "prefix part " LENGTH_253;
    } else if (!subdomain_shape(prefix)) {
        return "prefix part " SUBDOMAIN;
    }
    if (!name.n)
        return "name part must be non-empty";
    if (name.n > NAME_LABEL_MAX)
        return "name part " LENGTH_63;
    return qualified_shape(name) ? NULL : "name part " QUALIFIED;
}

const char *name_check_label_value(struct str s)
{
    if (s.n > NAME_LABEL_MAX)
        return LENGTH_63;
    if (!s.n || qualified_shape(s))
        return NULL;
    return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' "
           "or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
           "'my_value',  or '12345', regex used for validation is "
           "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

const char *name_check_port_name(struct str s)
{
    bool letter = false;

    if (s.n > 15)
        return "must be no more than 15 bytes";
    for (size_t i = 0; i < s.n; i++) {
        letter |= s.p[i] >= 'a' && s.p[i] <= 'z';
        if (!is_lower(s.p[i]) && s.p[i] != '-')
            return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
        if (i && s.p[i] == '-' && s.p[i - 1] == '-')
            return "must not contain consecutive hyphens";
    }
    if (!letter)
        return "must contain at least one letter (a-z)";
    if (s.p[0] == '-' || s.p[s.n - 1] == '-')
        return "must not begin or end with a hyphen";
    return NULL;
}

const char *name_check_env(struct str s)
{
    if (!s.n)
        return "environment variable name must be non-empty";
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '=')
            return "a valid environment variable name must consist only of printable ASCII "
                   "characters other than '='";
    return NULL;
}

const char *name_check_config_key(struct str s)
{
    if (s.n > NAME_SUBDOMAIN_MAX)
        return LENGTH_253;
    for (size_t i = 0; i <= s.n; i++)
        if (!s.n ||
            (i < s.n && !is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.'))
            return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                   "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                   "'[-._a-zA-Z0-9]+')";
    if (str_is(s, "."))
        return "must not be '.'";
    if (str_is(s, ".."))
        return "must not be '..'";
    return str_starts(s, STR("..")) ? "must not start with '..'" : NULL;
}

#include "server/schema/validate_check.h"

#include "base/core/mem.h"
#include "base/kube/name.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum { ANNOTATIONS_MAX_BYTES = 256 * 1024 };

/* ---- reading ---- */

json_t *part(const json_t *v, const char *key)
{
    return json_object_get(v, key);
}

const char *part_str(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

int64_t part_int(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

bool part_true(const json_t *v, const char *key)
{
    return json_is_true(json_object_get(v, key));
}

bool part_false(const json_t *v, const char *key)
{
    return json_is_false(json_object_get(v, key));
}

bool part_is(const json_t *v, const char *key, const char *value)
{
    return strcmp(part_str(v, key), value) == 0;
}

bool part_same(const json_t *a, const json_t *b)
{
    return a && b ? json_equal(a, b) : !a && !b;
}

bool text_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_listed(const char *const *list, const char *s)
{
    for (; *list; list++)
        if (strcmp(*list, s) == 0)
            return true;
    return false;
}

bool part_quantity(struct quantity *out, const json_t *v, const char *key)
{
    struct err e;

    return quantity_parse(out, str_of(part_str(v, key)), &e) == 0;
}

bool name_set_add(struct map *set, const char *name)
{
    static char present;

    return !map_set(set, str_of(name), &present);
}

bool name_set_has(const struct map *set, const char *name)
{
    return map_get(set, str_of(name));
}

/* ---- adding ---- */

void field_invalid_int(struct field_errors *fe, const struct field_path *p, int64_t value,
                       const char *detail)
{
    json_auto_t *v = json_integer(value);

    field_invalid_json(fe, p, v, detail);
}

void field_invalid_list(struct field_errors *fe, const struct field_path *p, const char *type,
                        const json_t *list, const char *detail)
{
    auto_buf b = BUF(4096);
    json_t *v;
    size_t i;
    int r = 0;

    json_array_foreach(list, i, v) if (!r) r =
        buf_addf(&b, "%s\"%s\"", i ? ", " : "", json_string_value(v) ? json_string_value(v) : "");
    if (list)
        field_add(fe, FIELD_INVALID, p, "Invalid value: []%s{%s}: %s", type,
                  b.p ? buf_cstr(&b) : "", detail);
    else
        field_add(fe, FIELD_INVALID, p, "Invalid value: []%s(nil): %s", type, detail);
}

/* ---- checking ---- */

bool check_text(struct field_errors *fe, const struct field_path *p, const char *value,
                const char *why)
{
    if (why)
        field_invalid(fe, p, value, why);
    return !why;
}

bool check_label(struct field_errors *fe, const struct field_path *p, const char *value)
{
    return check_text(fe, p, value, name_check_label(str_of(value)));
}

bool check_subdomain(struct field_errors *fe, const struct field_path *p, const char *value)
{
    return check_text(fe, p, value, name_check_subdomain(str_of(value)));
}

/* An empty name part has two faults, as upstream counts: that, and its letters. */
bool check_qualified(struct field_errors *fe, const struct field_path *p, const char *value)
{
    const char *slash = strchr(value, '/'), *why = name_check_qualified(str_of(value));

    if (!*value || (slash && !slash[1])) {
        field_invalid(fe, p, value, why);
        why = name_check_qualified(STR("-"));
    }
    return check_text(fe, p, value, why);
}

/* validation.IsValidPortName, which tells all that is wrong */
bool check_port_name(struct field_errors *fe, const struct field_path *p, const char *value)
{
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz",
                      chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t n = strlen(value), before = fe->n;

    if (n > 15)
        field_invalid(fe, p, value, "must be no more than 15 bytes");
    if (!n || value[strspn(value, chars)])
        field_invalid(fe, p, value,
                      "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!strpbrk(value, lower))
        field_invalid(fe, p, value, "must contain at least one letter (a-z)");
    if (strstr(value, "--"))
        field_invalid(fe, p, value, "must not contain consecutive hyphens");
    if (n && (value[0] == '-' || value[n - 1] == '-'))
        field_invalid(fe, p, value, "must not begin or end with a hyphen");
    return fe->n == before;
}

bool check_reference(struct field_errors *fe, const struct field_path *p, const char *value)
{
    if (*value)
        return check_subdomain(fe, p, value);
    field_required(fe, p, "");
    return false;
}

bool ip_is_v6(const char *s)
{
    struct in6_addr a;

    return inet_pton(AF_INET6, s, &a) == 1;
}

const char *ip_problem(const char *s)
{
    struct in_addr a;

    return inet_pton(AF_INET, s, &a) == 1 || ip_is_v6(s)
               ? NULL
               : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

const char *cidr_problem(const char *s)
{
    struct str ip, bits;
    char text[INET6_ADDRSTRLEN];
    uint64_t n;

    if (str_cut(str_of(s), '/', &ip, &bits) && ip.n < sizeof text && str_to_u64(bits, &n)) {
        snprintf(text, sizeof text, STR_FMT, STR_ARG(ip));
        if (!ip_problem(text) && n <= (strchr(text, ':') ? 128U : 32U))
            return NULL;
    }
    return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
}

bool check_ip(struct field_errors *fe, const struct field_path *p, const char *value)
{
    return check_text(fe, p, value, ip_problem(value));
}

bool check_cidr(struct field_errors *fe, const struct field_path *p, const char *value)
{
    return check_text(fe, p, value, cidr_problem(value));
}

bool check_plain_ip(struct field_errors *fe, const struct field_path *p, const char *value)
{
    struct in6_addr six;
    struct in_addr four;
    char unspecified[80];
    const char *why = NULL;
    bool v4 = inet_pton(AF_INET, value, &four) == 1;
    uint32_t a = v4 ? ntohl(four.s_addr) : 0;

    if (!v4 && inet_pton(AF_INET6, value, &six) != 1) {
        why = "must be a valid IP address";
    } else if (v4 ? a == 0 : IN6_IS_ADDR_UNSPECIFIED(&six)) {
        snprintf(unspecified, sizeof unspecified, "may not be unspecified (%s)", value);
        why = unspecified;
    } else if (v4 ? a >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&six)) {
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    } else if (v4 ? a >> 16 == 0xa9fe : IN6_IS_ADDR_LINKLOCAL(&six)) {
        why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    } else if (v4 ? a >> 8 == 0xe00000 : IN6_IS_ADDR_MC_LINKLOCAL(&six)) {
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    }
    return check_text(fe, p, value, why);
}

bool check_range(struct field_errors *fe, const struct field_path *p, int64_t value, int64_t min,
                 int64_t max)
{
    char why[96];

    if (value >= min && value <= max)
        return true;
    snprintf(why, sizeof why, "must be between %" PRId64 " and %" PRId64 ", inclusive", min, max);
    field_invalid_int(fe, p, value, why);
    return false;
}

bool check_port(struct field_errors *fe, const struct field_path *p, int64_t value)
{
    return check_range(fe, p, value, 1, 65535);
}

bool check_port_or_name(struct field_errors *fe, const struct field_path *p, const json_t *value)
{
    const char *name = json_string_value(value);

    return name ? check_port_name(fe, p, name) : check_port(fe, p, json_integer_value(value));
}

bool check_non_negative(struct field_errors *fe, const struct field_path *p, int64_t value)
{
    if (value < 0)
        field_invalid_int(fe, p, value, "must be greater than or equal to 0");
    return value >= 0;
}

bool check_listed(struct field_errors *fe, const struct field_path *p, const char *value,
                  const char *const *list)
{
    if (text_listed(list, value))
        return true;
    field_not_supported(fe, p, value, list);
    return false;
}

bool check_has(struct field_errors *fe, const struct field_path *p, const json_t *v,
               const char *key)
{
    const json_t *child = part(v, key);
    bool has = child && (!json_is_string(child) || json_string_length(child)) &&
               (!json_is_array(child) || json_array_size(child));

    if (!has)
        field_required(fe, FIELD_AT(p, key), "");
    return has;
}

void check_labels(struct field_errors *fe, const struct field_path *p, const json_t *labels)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)labels, key, v)
    {
        const char *value = json_string_value(v) ? json_string_value(v) : "";
        (void)check_qualified(fe, p, key);
        (void)check_text(fe, p, value, name_check_label_value(str_of(value)));
    }
}

void check_annotations(struct field_errors *fe, const struct field_path *p,
                       const json_t *annotations)
{
    size_t total = 0;
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)annotations, key, v)
    {
        char lower[NAME_SUBDOMAIN_MAX + NAME_LABEL_MAX + 3];
        size_t n = strlen(key);
        total += n + json_string_length(v);
        for (size_t i = 0; i <= n && n < sizeof lower; i++)
            lower[i] = (char)(key[i] >= 'A' && key[i] <= 'Z' ? key[i] + 32 : key[i]);
        (void)check_text(fe, p, key, name_check_qualified(str_of(n < sizeof lower ? lower : key)));
    }
    if (total > ANNOTATIONS_MAX_BYTES)
        field_too_long(fe, p, ANNOTATIONS_MAX_BYTES);
}

bool check_no_backsteps(struct field_errors *fe, const struct field_path *p, const char *path)
{
    struct str rest = str_of(path), part;
    bool more;

    do {
        more = str_cut(rest, '/', &part, &rest);
        if (str_is(part, ".."))
            return check_text(fe, p, path, "must not contain '..'");
    } while (more);
    return true;
}

void check_descending(struct field_errors *fe, const struct field_path *p, const char *path)
{
    if (path[0] == '/')
        field_invalid(fe, p, path, "must be a relative path");
    (void)check_no_backsteps(fe, p, path);
}

void check_local(struct field_errors *fe, const struct field_path *p, const char *path)
{
    check_descending(fe, p, path);
    if (text_starts(path, "..") && path[2] != '/')
        field_invalid(fe, p, path, "must not start with '..'");
}

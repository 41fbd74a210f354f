#include "server/resource/service_family.h"

#include "base/data/json.h"
#include "server/schema/validate_service.h"

#include <string.h>

static const char *str(const json_t *spec, const char *key)
{
    return json_str_at(spec, key, "");
}

static const char *first_ip(const json_t *spec)
{
    const char *s = json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));

    return s ? s : "";
}

static size_t count(const json_t *spec, const char *key)
{
    return json_array_size(json_object_get(spec, key));
}

static bool same_list(const json_t *a, const json_t *b, const char *key)
{
    return count(a, key) == count(b, key) &&
           (!count(a, key) || json_equal(json_object_get(a, key), json_object_get(b, key)));
}

void service_family_normalize(json_t *spec, const json_t *old)
{
    const char *ip = str(spec, "clusterIP"), *was = str(old, "clusterIP");
    bool untouched = !old || same_list(spec, old, "clusterIPs");

    if (!old ? !*ip || count(spec, "clusterIPs") : strcmp(ip, was) == 0 || !untouched)
        return;
    if (*ip)
        json_object_set_new(spec, "clusterIPs", json_pack("[s]", ip));
    else
        json_object_del(spec, "clusterIPs");
}

static bool is_policy(const json_t *spec, const char *policy)
{
    return strcmp(str(spec, "ipFamilyPolicy"), policy) == 0;
}

static void refuse_policy(struct field_errors *fe, const json_t *spec, const char *why)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");

    field_invalid(fe, FIELD_AT(p, "ipFamilyPolicy"), str(spec, "ipFamilyPolicy"), why);
}

static void keep_first(json_t *spec, const char *key)
{
    json_t *list = json_object_get(spec, key);

    while (json_array_size(list) > 1)
        json_array_remove(list, json_array_size(list) - 1);
}

static bool has_selector(const json_t *spec)
{
    return json_object_size(json_object_get(spec, "selector"));
}

static void init_policy(json_t *spec, const json_t *old)
{
    const char *policy = "SingleStack";

    if (str(spec, "ipFamilyPolicy")[0])
        return;
    if (str(old, "ipFamilyPolicy")[0])
        policy = str(old, "ipFamilyPolicy");
    else if (strcmp(first_ip(spec), "None") == 0 && !has_selector(spec))
        policy = "RequireDualStack";
    json_object_set_new(spec, "ipFamilyPolicy", json_string(policy));
}

/* What the policy SingleStack takes away, and what only it may. */
static void check_reduced(json_t *spec, const json_t *old, struct field_errors *fe)
{
    static const char *const keys[] = { "clusterIPs", "ipFamilies" };

    for (size_t i = 0; old && i < ARRAY_LEN(keys); i++) {
        if (!is_policy(spec, "SingleStack")) {
            if (count(spec, keys[i]) == 1 && count(old, keys[i]) == 2)
                refuse_policy(fe, spec,
                              i ? "must be 'SingleStack' to release the secondary IP family"
                                : "must be 'SingleStack' to release the secondary cluster IP");
        } else if (same_list(spec, old, keys[i])) {
            keep_first(spec, keys[i]);
        }
    }
    if (!is_policy(spec, "SingleStack"))
        return;
    if (count(spec, "clusterIPs") == 2)
        refuse_policy(fe, spec,
                      "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs "
                      "are specified");
    if (count(spec, "ipFamilies") == 2)
        refuse_policy(fe, spec,
                      "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families "
                      "are specified");
}

/* Families follow the addresses that are named. */
static void infer_families(json_t *spec, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(p, "clusterIPs");
    json_t *ips = json_object_get(spec, "clusterIPs");

    for (size_t i = count(spec, "ipFamilies"); i < json_array_size(ips); i++) {
        const char *ip = json_string_value(json_array_get(ips, i));
        if (strcmp(ip, "None") == 0)
            return;
        if (strchr(ip, ':'))
            field_add(fe, FIELD_INVALID, FIELD_INDEX(at, i),
                      "Invalid value: []string{\"%s\"}: IPv6 is not configured on this cluster",
                      ip);
        else if (!json_object_get(spec, "ipFamilies"))
            json_object_set_new(spec, "ipFamilies", json_pack("[s]", "IPv4"));
    }
}

/* Headless and without a selector: whoever writes its endpoints knows. */
static void init_headless(json_t *spec)
{
    json_t *families = json_object_get(spec, "ipFamilies");

    if (!families) {
        families = json_pack("[s]", "IPv4");
        json_object_set_new(spec, "ipFamilies", families);
    }
    if (json_array_size(families) == 1 && !is_policy(spec, "SingleStack")) {
        const char *first = json_string_value(json_array_get(families, 0));
        json_array_append_new(families, json_string(strcmp(first, "IPv4") == 0 ? "IPv6" : "IPv4"));
    }
}

static void check_configured(json_t *spec, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(p, "ipFamilies");
    json_t *v;
    size_t i;

    if (is_policy(spec, "RequireDualStack"))
        refuse_policy(fe, spec, "this cluster is not configured for dual-stack services");
    json_array_foreach(json_object_get(spec, "ipFamilies"), i, v)
    {
        if (strcmp(json_string_value(v), "IPv4") != 0)
            field_invalid(fe, FIELD_INDEX(at, i), json_string_value(v),
                          "not configured on this cluster");
    }
}

void service_family_init(json_t *spec, const json_t *old, struct field_errors *fe)
{
    size_t n = fe->n;

    if (strcmp(str(spec, "type"), "ExternalName") == 0)
        return;
    init_policy(spec, old);
    validate_service_ips(spec, fe);
    if (fe->n > n)
        return;
    check_reduced(spec, old, fe);
    infer_families(spec, fe);
    if (fe->n > n)
        return;
    if (strcmp(first_ip(spec), "None") == 0 && !has_selector(spec)) {
        init_headless(spec);
        return;
    }
    check_configured(spec, fe);
    if (fe->n == n && !count(spec, "ipFamilies"))
        json_object_set_new(spec, "ipFamilies", json_pack("[s]", "IPv4"));
}

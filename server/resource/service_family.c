#include "server/resource/service_family.h"

#include "base/data/json.h"
#include "server/schema/validate_check.h"
#include "server/schema/validate_service.h"

#include <stdio.h>
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

static bool is_configured(const struct service_families *f, const char *family)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->names[i], family) == 0)
            return true;
    return false;
}

static const char *family_at(const json_t *spec, size_t i)
{
    return json_string_value(json_array_get(json_object_get(spec, "ipFamilies"), i));
}

static void add_family(json_t *spec, const char *family)
{
    json_t *list = json_object_get(spec, "ipFamilies");

    if (!list) {
        list = json_array();
        json_object_set_new(spec, "ipFamilies", list);
    }
    json_array_append_new(list, json_string(family));
}

static void add_other_family(json_t *spec)
{
    add_family(spec, strcmp(family_at(spec, 0), "IPv4") == 0 ? "IPv6" : "IPv4");
}

/* Families follow the addresses that are named. */
static void infer_families(json_t *spec, const struct service_families *f, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(p, "clusterIPs");
    json_t *ips = json_object_get(spec, "clusterIPs");
    size_t n = count(spec, "ipFamilies");
    char why[64];

    for (size_t i = n; i < json_array_size(ips); i++) {
        const char *ip = json_string_value(json_array_get(ips, i));
        const char *family = ip_is_v6(ip) ? "IPv6" : "IPv4";
        if (strcmp(ip, "None") == 0)
            return;
        if (is_configured(f, family)) {
            add_family(spec, family);
            continue;
        }
        snprintf(why, sizeof why, "%s is not configured on this cluster", family);
        field_invalid_list(fe, FIELD_INDEX(at, i), "string", ips, why);
    }
}

/* Headless and without a selector: whoever writes its endpoints knows, whatever the cluster has. */
static void init_headless(json_t *spec, const struct service_families *f)
{
    if (!count(spec, "ipFamilies"))
        add_family(spec, f->names[0]);
    if (count(spec, "ipFamilies") == 1 && !is_policy(spec, "SingleStack"))
        add_other_family(spec);
}

static void check_configured(json_t *spec, const struct service_families *f,
                             struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(p, "ipFamilies");

    if (is_policy(spec, "RequireDualStack") && f->n < 2)
        refuse_policy(fe, spec, "this cluster is not configured for dual-stack services");
    for (size_t i = 0; i < count(spec, "ipFamilies"); i++)
        if (!is_configured(f, family_at(spec, i)))
            field_invalid(fe, FIELD_INDEX(at, i), family_at(spec, i),
                          "not configured on this cluster");
}

bool service_family_is_settled(const json_t *spec, const json_t *old)
{
    const char *was = str(old, "ipFamilyPolicy");

    return old && is_policy(spec, "PreferDualStack") &&
           strcmp(str(spec, "type"), str(old, "type")) == 0 &&
           strcmp(str(spec, "type"), "ExternalName") != 0 &&
           (!*was || strcmp(was, "PreferDualStack") == 0) && same_list(spec, old, "clusterIPs") &&
           same_list(spec, old, "ipFamilies");
}

void service_family_init(json_t *spec, const json_t *old, const struct service_families *f,
                         struct field_errors *fe)
{
    size_t n = fe->n;

    if (strcmp(str(spec, "type"), "ExternalName") == 0 || service_family_is_settled(spec, old))
        return;
    init_policy(spec, old);
    validate_service_ips(spec, fe);
    if (fe->n > n)
        return;
    check_reduced(spec, old, fe);
    infer_families(spec, f, fe);
    if (fe->n > n)
        return;
    if (strcmp(first_ip(spec), "None") == 0 && !has_selector(spec)) {
        init_headless(spec, f);
        return;
    }
    check_configured(spec, f, fe);
    if (fe->n > n)
        return;
    if (!count(spec, "ipFamilies"))
        add_family(spec, f->names[0]);
    if (count(spec, "ipFamilies") == 1 && f->n == 2 && !is_policy(spec, "SingleStack"))
        add_other_family(spec);
}

#include "server/schema/validate_resources.h"

#include "base/kube/name.h"
#include "server/schema/validate_check.h"

#include <stdio.h>

#define NANO 1000000000

static const char *const compute[] = { "cpu", "memory", "ephemeral-storage", NULL };
/* What is counted; quotas know these and the compute resources. */
static const char *const counted[] = { "configmaps",
                                       "persistentvolumeclaims",
                                       "pods",
                                       "replicationcontrollers",
                                       "resourcequotas",
                                       "secrets",
                                       "services",
                                       "services.loadbalancers",
                                       "services.nodeports",
                                       NULL };
static const char *const quota[] = { "limits.cpu",
                                     "limits.ephemeral-storage",
                                     "limits.memory",
                                     "requests.cpu",
                                     "requests.ephemeral-storage",
                                     "requests.memory",
                                     "requests.storage",
                                     NULL };

bool resource_is_native(const char *name)
{
    return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

bool resource_is_hugepages(const char *name)
{
    return text_starts(name, "hugepages-");
}

bool resource_is_extended(const char *name)
{
    char in_quota[NAME_SUBDOMAIN_MAX + NAME_LABEL_MAX + 16];

    if (resource_is_native(name) || text_starts(name, "requests."))
        return false;
    if ((size_t)snprintf(in_quota, sizeof in_quota, "requests.%s", name) >= sizeof in_quota)
        return false;
    return !name_check_qualified(str_of(in_quota));
}

bool resource_is_integer(const char *name)
{
    return text_listed(counted, name) || resource_is_extended(name);
}

bool resource_may_overcommit(const char *name)
{
    return resource_is_native(name) && !resource_is_hugepages(name);
}

bool resource_is_standard_quota(const char *name)
{
    return text_listed(compute, name) || text_listed(counted, name) || text_listed(quota, name) ||
           resource_is_hugepages(name) || text_starts(name, "requests.hugepages-");
}

void check_resource_name(struct field_errors *fe, const struct field_path *p, const char *name)
{
    if (check_qualified(fe, p, name) && !strchr(name, '/') && strcmp(name, "storage") != 0 &&
        !resource_is_standard_quota(name))
        field_invalid(fe, p, name, "must be a standard resource type or fully qualified");
}

void check_container_resource_name(struct field_errors *fe, const struct field_path *p,
                                   const char *name)
{
    check_resource_name(fe, p, name);
    if (!strchr(name, '/')) {
        if (!text_listed(compute, name) && !resource_is_hugepages(name))
            field_invalid(fe, p, name, "must be a standard resource for containers");
    } else if (!resource_is_native(name) && !resource_is_extended(name)) {
        field_invalid(fe, p, name, "doesn't follow extended resource name standard");
    }
}

void check_quota_resource_name(struct field_errors *fe, const struct field_path *p,
                               const char *name)
{
    check_resource_name(fe, p, name);
    if (!strchr(name, '/') && !resource_is_standard_quota(name))
        field_invalid(fe, p, name, "must be a standard resource for quota");
}

void check_resource_amount(struct field_errors *fe, const struct field_path *p, const char *name,
                           const char *amount)
{
    struct quantity q;
    struct err e;

    if (quantity_parse(&q, str_of(amount), &e))
        return; /* decoding has refused it */
    if (q.nano < 0)
        field_invalid(fe, p, amount, "must be greater than or equal to 0");
    if (resource_is_integer(name) && quantity_milli_value(&q) % 1000 != 0)
        field_invalid(fe, p, amount, "must be an integer");
}

/* The amount is a multiple of the page's size, which its name tells. */
static void check_hugepages(struct field_errors *fe, const struct field_path *p, const char *name,
                            const char *amount)
{
    struct quantity page, q;
    char why[256];
    struct err e;

    if (!resource_is_hugepages(name) || quantity_parse(&q, str_of(amount), &e))
        return;
    if (!quantity_parse(&page, str_of(name + strlen("hugepages-")), &e) && page.nano > 0 &&
        page.nano % NANO == 0 && quantity_value(&q) % quantity_value(&page) == 0)
        return;
    snprintf(why, sizeof why, "%.64s is not positive integer multiple of %.128s", amount, name);
    field_invalid(fe, p, amount, why);
}

static void check_request(struct field_errors *fe, const struct field_path *p, const char *name,
                          const char *amount, const json_t *limits)
{
    const char *limit = part_str(limits, name);
    bool overcommit = resource_may_overcommit(name);
    struct quantity r, l;
    struct err e;
    char why[512];

    if (!*limit) {
        if (!overcommit)
            field_required(fe, FIELD_AT(p, "limits"),
                           "Limit must be set for non overcommitable resources");
        return;
    }
    if (quantity_parse(&r, str_of(amount), &e) || quantity_parse(&l, str_of(limit), &e))
        return;
    int order = quantity_cmp(&r, &l);
    if (order <= 0 && (overcommit || order == 0))
        return;
    snprintf(why, sizeof why, "must be %s to %.320s limit of %.64s",
             overcommit ? "less than or equal" : "equal", name, limit);
    field_invalid(fe, FIELD_AT(p, "requests"), amount, why);
}

typedef void (*name_fn)(struct field_errors *fe, const struct field_path *p, const char *name);

static void check_amounts(struct field_errors *fe, const struct field_path *p, const json_t *v,
                          name_fn check_name)
{
    static const char *const parts[] = { "limits", "requests" };
    json_t *limits = part(v, "limits"), *amount;
    bool huge = false, base = false;
    const char *name;

    for (size_t k = 0; k < 2; k++)
        json_object_foreach(part(v, parts[k]), name, amount)
        {
            const struct field_path *part = FIELD_AT(p, parts[k]);
            const struct field_path *at = FIELD_KEY(part, name);
            const char *text = json_string_value(amount) ? json_string_value(amount) : "";
            check_name(fe, at, name);
            check_resource_amount(fe, at, name, text);
            if (k == 1)
                check_request(fe, p, name, text, limits);
            check_hugepages(fe, at, name, text);
            huge |= resource_is_hugepages(name);
            base |= strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0;
        }
    if (huge && !base)
        field_forbidden(fe, p, "HugePages require cpu or memory");
}

/* ---- claims: validateResourceClaimNames ---- */

static void add_unknown_claim(struct field_errors *fe, const struct field_path *p, const char *name,
                              const json_t *pod_claims)
{
    auto_buf names = BUF(4096);
    json_t *c;
    size_t i;

    json_array_foreach(pod_claims, i,
                       c) if (buf_addf(&names, "%s%s", i ? ", " : "", part_str(c, "name"))) break;
    field_add(fe, FIELD_NOT_FOUND, p,
              "Not found: \"%s\": must be one of the names in pod.spec.resourceClaims%s%s", name,
              names.n ? ": " : " which is empty", names.n ? buf_cstr(&names) : "");
}

static bool has_claim(const json_t *pod_claims, const char *name)
{
    json_t *c;
    size_t i;

    json_array_foreach(pod_claims, i, c) if (part_is(c, "name", name)) return true;
    return false;
}

/* Another claim before this one says the same, or all of it, or a part of it. */
static bool overlaps(const json_t *claims, size_t n, const char *name, const char *request)
{
    json_t *c;
    size_t i;

    json_array_foreach(claims, i, c)
    {
        if (i >= n)
            break;
        if (part_is(c, "name", name) &&
            (!*request || !part_str(c, "request")[0] || part_is(c, "request", request)))
            return true;
    }
    return false;
}

static void check_claims(struct field_errors *fe, const struct field_path *p, const json_t *claims,
                         const json_t *pod_claims)
{
    json_t *c;
    size_t i;

    json_array_foreach(claims, i, c)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *name = part_str(c, "name"), *request = part_str(c, "request");
        if (!*name) {
            field_required(fe, at, "");
            continue;
        }
        if (*request)
            (void)check_label(fe, FIELD_AT(at, "request"), request);
        if (overlaps(claims, i, name, request))
            field_duplicate(fe, at, name);
        if (!has_claim(pod_claims, name))
            add_unknown_claim(fe, at, name, pod_claims);
    }
}

void check_resource_requirements(struct field_errors *fe, const struct field_path *p,
                                 const json_t *v, const json_t *pod_claims)
{
    check_amounts(fe, p, v, check_container_resource_name);
    check_claims(fe, FIELD_AT(p, "claims"), part(v, "claims"), pod_claims);
}

/* validatePodResourceName */
static void check_pod_resource_name(struct field_errors *fe, const struct field_path *p,
                                    const char *name)
{
    static const char *const supported[] = { "cpu", "memory", NULL };

    if (!resource_is_hugepages(name))
        (void)check_listed(fe, p, name, supported);
}

void check_pod_resources(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    if (part(v, "claims"))
        field_forbidden(fe, FIELD_AT(p, "claims"),
                        "claims cannot be set for Resources at pod-level");
    check_amounts(fe, p, v, check_pod_resource_name);
}

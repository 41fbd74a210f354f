#include "server/resource/quota.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/resource/pod_amounts.h"
#include "server/schema/defaults_hooks.h"

#include <string.h>

#define CLASS_INFIX ".storageclass.storage.k8s.io/"

/* ---- whose amounts they are ---- */

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool is_one_of(const char *s, const char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

/* A name with a domain that is not Kubernetes's own (IsExtendedResourceName). */
static bool is_extended(const char *name)
{
    return strchr(name, '/') && !strstr(name, "kubernetes.io/") && !begins(name, "requests.");
}

static bool is_huge(const char *name)
{
    return begins(name, "hugepages-");
}

static bool is_of_pods(const char *name)
{
    static const char *const plain[] = { "pods", "cpu", "memory", "ephemeral-storage", NULL };
    static const char *const bounds[] = { "cpu", "memory", "ephemeral-storage", NULL };

    if (begins(name, "requests."))
        return is_one_of(name + 9, bounds) || is_huge(name + 9) || is_extended(name + 9);
    if (begins(name, "limits."))
        return is_one_of(name + 7, bounds);
    return is_one_of(name, plain) || is_huge(name);
}

char *quota_counts(const char *hard_name)
{
    static const char *const own[] = { "configmaps",
                                       "persistentvolumeclaims",
                                       "resourcequotas",
                                       "replicationcontrollers",
                                       "secrets",
                                       "services",
                                       NULL };
    static const char *const ignored[] = { "count/events", "count/events.events.k8s.io", NULL };

    if (is_one_of(hard_name, ignored))
        return NULL;
    if (begins(hard_name, "count/"))
        return mem_strdup(hard_name + 6);
    if (is_one_of(hard_name, own))
        return mem_strdup(hard_name);
    if (strcmp(hard_name, "services.loadbalancers") == 0 ||
        strcmp(hard_name, "services.nodeports") == 0)
        return mem_strdup("services");
    if (strcmp(hard_name, "requests.storage") == 0 || strstr(hard_name, CLASS_INFIX))
        return mem_strdup("persistentvolumeclaims");
    return is_of_pods(hard_name) ? mem_strdup("pods") : NULL;
}

/* ---- amounts ---- */

void quota_add_to(json_t *used, const char *name, const struct quantity *more)
{
    const char *was = json_string_value(json_object_get(used, name));
    char text[QUANTITY_TEXT_MAX];
    struct quantity sum;
    struct err e;

    if (!was)
        return;
    if (quantity_parse(&sum, str_of(was), &e) || sum.nano == 0)
        sum = *more; /* nothing takes the form of what is added */
    else
        sum = quantity_add(sum, more);
    quantity_print(text, &sum);
    json_object_set_new(used, name, json_string(text));
}

static void use_n(json_t *used, const char *name, int64_t n)
{
    struct quantity q = quantity_of(n, QUANTITY_DECIMAL_SI);

    quota_add_to(used, name, &q);
}

bool quota_amount(struct quantity *out, const json_t *map, const char *name)
{
    const char *s = json_string_value(json_object_get(map, name));
    struct err e;

    return s && !quantity_parse(out, str_of(s), &e);
}

/* ---- pods ---- */

/* Ended, or overdue: it holds nothing any more (QuotaV1Pod). */
static bool is_over(const json_t *pod, int64_t now_s)
{
    const char *phase = json_str_at(pod, "status.phase", "");
    int64_t us, grace_s = json_i64_at(pod, "metadata.deletionGracePeriodSeconds", -1);

    if (strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0)
        return true;
    return grace_s >= 0 &&
           time_parse(&us, str_of(json_str_at(pod, "metadata.deletionTimestamp", ""))) &&
           now_s > us / 1000000 + grace_s;
}

/* An overhead counts as a request, and on top of a limit that there is. */
static json_t *amounts_of(const json_t *spec, const char *key)
{
    json_t *out = pod_amounts(spec, key), *v;
    const char *name;

    json_object_foreach(json_object_get(spec, "overhead"), name, v)
    {
        if (!json_object_get(out, name) && strcmp(key, "requests") == 0)
            json_object_set_new(out, name, json_string("0"));
        struct quantity more, limit;
        if (quota_amount(&more, json_object_get(spec, "overhead"), name) &&
            quota_amount(&limit, out, name) && (limit.nano || strcmp(key, "requests") == 0))
            quota_add_to(out, name, &more);
    }
    return out;
}

static void use_pod(json_t *used, const json_t *pod, int64_t now_s)
{
    const json_t *spec = json_object_get(pod, "spec");
    const char *name;
    json_t *v;
    struct quantity q;

    if (is_over(pod, now_s))
        return;
    json_auto_t *requests = amounts_of(spec, "requests"), *limits = amounts_of(spec, "limits");
    use_n(used, "pods", 1);
    json_object_foreach(requests, name, v)
    {
        auto_free char *request = mem_printf("requests.%s", name);
        if (!quota_amount(&q, requests, name))
            continue;
        if (!is_extended(name))
            quota_add_to(used, name, &q);
        quota_add_to(used, request, &q);
    }
    json_object_foreach(limits, name, v)
    {
        auto_free char *limit = mem_printf("limits.%s", name);
        if (quota_amount(&q, limits, name))
            quota_add_to(used, limit, &q);
    }
}

/* ---- services, claims ---- */

static void use_service(json_t *used, const json_t *service)
{
    const char *type = json_str_at(service, "spec.type", "");
    const json_t *ports = json_at(service, "spec.ports");
    bool balanced = strcmp(type, "LoadBalancer") == 0;
    int64_t n = 0;
    json_t *port;
    size_t i;

    if (balanced)
        use_n(used, "services.loadbalancers", 1);
    if (strcmp(type, "NodePort") == 0 ||
        (balanced && json_bool_at(service, "spec.allocateLoadBalancerNodePorts", true)))
        n = (int64_t)json_array_size(ports);
    else if (balanced)
        json_array_foreach(ports, i, port) n += json_i64_at(port, "nodePort", 0) != 0;
    use_n(used, "services.nodeports", n);
}

/* Whole units, rounded up. */
static bool storage(struct quantity *out, const json_t *map)
{
    if (!quota_amount(out, map, "storage"))
        return false;
    *out = quantity_of(quantity_value(out), out->format);
    return true;
}

static void use_claim(json_t *used, const json_t *claim)
{
    static const char annotation[] = "volume.beta.kubernetes.io/storage-class";
    const json_t *old_class = json_object_get(json_at(claim, "metadata.annotations"), annotation);
    const char *class =
        old_class ? json_string_value(old_class) : json_str_at(claim, "spec.storageClassName", "");
    auto_free char *n = mem_printf("%s" CLASS_INFIX "persistentvolumeclaims", class),
                   *amounts = mem_printf("%s" CLASS_INFIX "requests.storage", class);
    struct quantity request, given;

    if (*class)
        use_n(used, n, 1);
    if (!storage(&request, json_at(claim, "spec.resources.requests")))
        return;
    /* a volume that grew keeps what it got, though less is asked for again */
    if (storage(&given, json_at(claim, "status.allocatedResources")) &&
        quantity_cmp(&given, &request) > 0)
        request = given;
    quota_add_to(used, "requests.storage", &request);
    if (*class)
        quota_add_to(used, amounts, &request);
}

void quota_use(json_t *used, const char *resource, const json_t *obj, int64_t now_s)
{
    auto_free char *count = mem_printf("count/%s", resource);

    use_n(used, count, 1);
    if (strcmp(resource, "pods") == 0) {
        use_pod(used, obj, now_s);
        return;
    }
    use_n(used, resource, 1);
    if (strcmp(resource, "services") == 0)
        use_service(used, obj);
    else if (strcmp(resource, "persistentvolumeclaims") == 0)
        use_claim(used, obj);
}

void quota_begin(json_t *used, const json_t *hard, const char *resource)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)hard, name, v)
    {
        auto_free char *whose = quota_counts(name);
        if (whose && strcmp(whose, resource) == 0)
            json_object_set_new(used, name, json_string("0"));
    }
}

/* ---- scopes ---- */

static bool terms_cross(const json_t *terms, const char *path)
{
    json_t *term;
    size_t i;

    json_array_foreach(terms, i, term)
    {
        const json_t *t = *path ? json_object_get(term, path) : term;
        if (json_array_size(json_object_get(t, "namespaces")) ||
            json_object_get(t, "namespaceSelector"))
            return true;
    }
    return false;
}

static bool crosses_namespaces(const json_t *spec)
{
    static const char *const kinds[] = { "podAffinity", "podAntiAffinity" };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const json_t *a = json_object_get(json_object_get(spec, "affinity"), kinds[i]);
        if (terms_cross(json_object_get(a, "requiredDuringSchedulingIgnoredDuringExecution"), "") ||
            terms_cross(json_object_get(a, "preferredDuringSchedulingIgnoredDuringExecution"),
                        "podAffinityTerm"))
            return true;
    }
    return false;
}

static bool class_fits(const char *class, const char *operator, const json_t * values)
{
    bool listed = false;
    json_t *v;
    size_t i;

    json_array_foreach(values, i, v) listed = listed || strcmp(json_string_value(v), class) == 0;
    if (strcmp(operator, "In") == 0)
        return *class && listed;
    if (strcmp(operator, "NotIn") == 0)
        return !*class || !listed;
    return strcmp(operator, "DoesNotExist") == 0 ? !*class : *class != '\0';
}

static bool pod_fits(const json_t *spec, const char *scope, const char *operator,
                     const json_t * values)
{
    bool ends = json_i64_at(spec, "activeDeadlineSeconds", -1) >= 0;
    bool poor = strcmp(defaults_pod_qos(spec), "BestEffort") == 0;

    if (strcmp(scope, "Terminating") == 0)
        return ends;
    if (strcmp(scope, "NotTerminating") == 0)
        return !ends;
    if (strcmp(scope, "BestEffort") == 0)
        return poor;
    if (strcmp(scope, "NotBestEffort") == 0)
        return !poor;
    if (strcmp(scope, "CrossNamespacePodAffinity") == 0)
        return crosses_namespaces(spec);
    return strcmp(scope, "PriorityClass") == 0 &&
           class_fits(json_str_at(spec, "priorityClassName", ""), operator, values);
}

bool quota_covers(const json_t *quota, const char *resource, const json_t *obj)
{
    const json_t *scopes = json_at(quota, "spec.scopes");
    const json_t *more = json_at(quota, "spec.scopeSelector.matchExpressions");
    const json_t *spec = json_object_get(obj, "spec");
    json_t *v;
    size_t i;

    if (!json_array_size(scopes) && !json_array_size(more))
        return true;
    if (strcmp(resource, "pods") != 0)
        return false;
    json_array_foreach(scopes, i,
                       v) if (!pod_fits(spec, json_string_value(v), "Exists", NULL)) return false;
    json_array_foreach(more, i, v)
    {
        if (!pod_fits(spec, json_str_at(v, "scopeName", ""), json_str_at(v, "operator", ""),
                      json_object_get(v, "values")))
            return false;
    }
    return true;
}

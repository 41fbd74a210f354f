#include "server/auth/rules.h"

#include <stdio.h>

unsigned rules_verb_of(const char *verb)
{
    static const char *const names[] = { "get",    "list",  "watch", "create",
                                         "update", "patch", "delete" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(verb, names[i]) == 0)
            return 1u << i;
    return 0;
}

static bool is_resource(const struct rules_row *row, const struct authz_attrs *a)
{
    struct str resource, sub;

    str_cut(str_of(row->resource), '/', &resource, &sub);
    return strcmp(row->group, a->group) == 0 && str_is(resource, a->resource) &&
           str_is(sub, a->subresource);
}

bool rules_allow(const struct rules_row *rows, size_t n, const struct authz_attrs *a)
{
    unsigned verb = a->is_resource ? rules_verb_of(a->verb) : 0;

    for (size_t i = 0; verb && i < n; i++)
        if ((rows[i].verbs & verb) && is_resource(&rows[i], a))
            return true;
    return false;
}

enum authz_decision rules_masters(void *arg, const struct authz_attrs *a,
                                  char reason[AUTHZ_REASON_BYTES])
{
    (void)arg;
    (void)reason;
    return a->id && identity_in(a->id, "system:masters") ? AUTHZ_ALLOW : AUTHZ_NO_OPINION;
}

static bool path_is(const char *path, const char *what)
{
    size_t n = strlen(what);

    return strncmp(path, what, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The roles system:discovery, system:public-info-viewer, system:basic-user of upstream's bootstrap
 * policy (plugin/pkg/auth/authorizer/rbac/bootstrappolicy). */
enum authz_decision rules_everybody(void *arg, const struct authz_attrs *a,
                                    char reason[AUTHZ_REASON_BYTES])
{
    static const char *const any[] = { "/healthz", "/livez", "/readyz", "/version" };
    static const char *const known[] = { "/api", "/apis", "/openapi" };
    static const struct rules_row reviews[] = {
        { "authorization.k8s.io", "selfsubjectaccessreviews", RULES_CREATE },
        { "authorization.k8s.io", "selfsubjectrulesreviews", RULES_CREATE },
        { "authentication.k8s.io", "selfsubjectreviews", RULES_CREATE },
    };

    bool authenticated = a->id && identity_in(a->id, "system:authenticated");

    (void)arg;
    (void)reason;
    if (a->is_resource)
        return authenticated && rules_allow(reviews, ARRAY_LEN(reviews), a) ? AUTHZ_ALLOW
                                                                            : AUTHZ_NO_OPINION;
    if (strcmp(a->verb, "get") != 0 && strcmp(a->verb, "head") != 0)
        return AUTHZ_NO_OPINION;
    for (size_t i = 0; i < ARRAY_LEN(any); i++)
        if (path_is(a->path, any[i]))
            return AUTHZ_ALLOW;
    for (size_t i = 0; authenticated && i < ARRAY_LEN(known); i++)
        if (path_is(a->path, known[i]))
            return AUTHZ_ALLOW;
    return AUTHZ_NO_OPINION;
}

/* K3s manifests/rolebindings.yaml, ClusterRole system:k3s-controller, and what its agents were seen
 * to ask for (spec/registration.md 10). */
enum authz_decision rules_k3s_controller(void *arg, const struct authz_attrs *a,
                                         char reason[AUTHZ_REASON_BYTES])
{
    static const struct rules_row rows[] = {
        { "", "nodes", RULES_READ | RULES_UPDATE | RULES_PATCH },
        { "", "nodes/status", RULES_UPDATE | RULES_PATCH },
        { "", "pods", RULES_READ },
        { "", "namespaces", RULES_READ },
        { "", "services", RULES_READ },
        { "", "endpoints", RULES_READ },
        { "", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
        { "events.k8s.io", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
        { "discovery.k8s.io", "endpointslices", RULES_READ },
        { "networking.k8s.io", "networkpolicies", RULES_READ },
    };

    (void)arg;
    (void)reason;
    return a->id && strcmp(a->id->user, "system:k3s-controller") == 0 &&
                   rules_allow(rows, ARRAY_LEN(rows), a)
               ? AUTHZ_ALLOW
               : AUTHZ_NO_OPINION;
}

/* Upstream's ClusterRole system:node-proxier. */
enum authz_decision rules_kube_proxy(void *arg, const struct authz_attrs *a,
                                     char reason[AUTHZ_REASON_BYTES])
{
    static const struct rules_row rows[] = {
        { "", "services", RULES_LIST | RULES_WATCH },
        { "", "endpoints", RULES_LIST | RULES_WATCH },
        { "", "nodes", RULES_READ },
        { "", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
        { "events.k8s.io", "events", RULES_CREATE | RULES_UPDATE | RULES_PATCH },
        { "discovery.k8s.io", "endpointslices", RULES_LIST | RULES_WATCH },
        { "networking.k8s.io", "servicecidrs", RULES_LIST | RULES_WATCH },
    };

    (void)arg;
    (void)reason;
    return a->id && strcmp(a->id->user, "system:kube-proxy") == 0 &&
                   rules_allow(rows, ARRAY_LEN(rows), a)
               ? AUTHZ_ALLOW
               : AUTHZ_NO_OPINION;
}

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/json.h"
#include "server/auth/authorize.h"
#include "server/auth/node_graph.h"

#include <string.h>

static struct node_graph *graph;
static struct authz *z;

static void add_pod(const char *text)
{
    json_auto_t *pod = NULL;
    struct err e = { 0 };

    assert_int_equal(json_parse(&pod, str_of(text), &e), 0);
    node_graph_set_pod(graph, pod);
}

static int setup(void **state)
{
    (void)state;
    node_graph_new(&graph);
    authz_new(&z, graph);
    add_pod("{\"metadata\":{\"namespace\":\"a\",\"name\":\"p\"},\"spec\":{\"nodeName\":\"n1\","
            "\"serviceAccountName\":\"sa\",\"imagePullSecrets\":[{\"name\":\"pull\"}],"
            "\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":[{\"configMap\":{\"name\":"
            "\"cm\"}}]}},{\"name\":\"s\",\"secret\":{\"secretName\":\"sec\"}}]}}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    authz_free(z);
    node_graph_free(graph);
    return 0;
}

static bool may(const char *user, const char *group, const char *verb, const char *api,
                const char *resource, const char *ns, const char *name, const char *fields)
{
    struct identity *id = identity_new(user, &group, group ? 1 : 0);
    char reason[AUTHZ_REASON_BYTES];
    struct str res, sub;
    char text[64];

    str_cut(str_of(resource), '/', &res, &sub);
    memcpy(text, res.p, res.n);
    text[res.n] = '\0';
    struct authz_attrs a = { .id = id,
                             .verb = verb,
                             .is_resource = true,
                             .group = api,
                             .version = "v1",
                             .resource = text,
                             .subresource = sub.n ? sub.p : "",
                             .namespace_ = ns,
                             .name = name,
                             .field_selector = fields };
    bool ok = authz_allowed(z, &a, reason);
    identity_unref(id);
    return ok;
}

static void who_may_do_what(void **state)
{
    static const struct {
        const char *who, *verb, *api, *resource, *ns, *name, *fields;
        bool ok;
    } rows[] = {
        { "M", "delete", "", "nodes", "", "n1", NULL, true },
        { "M", "deletecollection", "x.y", "anything", "z", "", NULL, true },
        { "jane", "get", "", "pods", "a", "p", NULL, false },
        { "jane", "create", "authorization.k8s.io", "selfsubjectaccessreviews", "", "", NULL,
          true },
        { "jane", "create", "authorization.k8s.io", "subjectaccessreviews", "", "", NULL, false },
        /* the node: its own things */
        { "N", "get", "", "nodes", "", "n1", NULL, true },
        { "N", "get", "", "nodes", "", "n2", NULL, false },
        { "N", "patch", "", "nodes/status", "", "n1", NULL, true },
        { "N", "patch", "", "nodes/status", "", "n2", NULL, false },
        { "N", "delete", "", "nodes", "", "n1", NULL, false },
        { "N", "get", "", "nodes/proxy", "", "n1", NULL, false },
        { "N", "update", "coordination.k8s.io", "leases", "kube-node-lease", "n1", NULL, true },
        { "N", "update", "coordination.k8s.io", "leases", "kube-node-lease", "n2", NULL, false },
        { "N", "update", "coordination.k8s.io", "leases", "kube-system", "n1", NULL, false },
        { "N", "watch", "discovery.k8s.io", "endpointslices", "default", "", NULL, true },
        { "N", "list", "discovery.k8s.io", "endpointslices", "kube-system", "", NULL, false },
        { "N", "watch", "discovery.k8s.io", "endpointslices", "", "", NULL, false },
        { "N", "patch", "discovery.k8s.io", "endpointslices", "default", "s", NULL, false },
        { "N", "list", "coordination.k8s.io", "leases", "kube-node-lease", "", NULL, false },
        /* its pods and what they refer to */
        { "N", "list", "", "pods", "", "", "spec.nodeName=n1", true },
        { "N", "watch", "", "pods", "", "", "spec.nodeName=n2", false },
        { "N", "watch", "", "pods", "", "", "spec.nodeName!=n1", false },
        { "N", "watch", "", "pods", "", "", NULL, false },
        { "N", "get", "", "pods", "a", "p", NULL, true },
        { "N", "get", "", "pods", "b", "p", NULL, false },
        { "N", "delete", "", "pods", "a", "p", NULL, true },
        { "N", "patch", "", "pods/status", "a", "p", NULL, true },
        { "N", "patch", "", "pods", "a", "p", NULL, false },
        { "N", "create", "", "pods/exec", "a", "p", NULL, false },
        { "N", "create", "", "pods/binding", "a", "p", NULL, false },
        { "N", "get", "", "secrets", "a", "sec", NULL, true },
        { "N", "get", "", "secrets", "a", "pull", NULL, true },
        { "N", "get", "", "secrets", "b", "sec", NULL, false },
        { "N", "get", "", "secrets", "a", "other", NULL, false },
        { "N", "list", "", "secrets", "a", "", NULL, false },
        { "N", "watch", "", "configmaps", "a", "cm", NULL, true },
        { "N", "create", "", "serviceaccounts/token", "a", "sa", NULL, true },
        { "N", "create", "", "serviceaccounts/token", "a", "admin", NULL, false },
        { "N", "update", "", "secrets", "a", "sec", NULL, false },
        { "N", "list", "", "services", "", "", NULL, true },
        { "N", "create", "", "events", "a", "", NULL, true },
        { "N", "create", "authorization.k8s.io", "subjectaccessreviews", "", "", NULL, true },
        { "N", "get", "", "namespaces", "", "default", NULL, false },
        /* the agent's other certificates (spec/registration.md 10) */
        { "system:k3s-controller", "list", "discovery.k8s.io", "endpointslices", "default", "",
          NULL, true },
        { "system:k3s-controller", "patch", "", "nodes/status", "", "n1", NULL, true },
        { "system:k3s-controller", "get", "", "secrets", "a", "sec", NULL, false },
        { "system:kube-proxy", "watch", "discovery.k8s.io", "endpointslices", "", "", NULL, true },
        { "system:kube-proxy", "list", "", "services", "", "", NULL, true },
        { "system:kube-proxy", "update", "", "services", "a", "s", NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool masters = strcmp(rows[i].who, "M") == 0, node = strcmp(rows[i].who, "N") == 0;
        bool ok = may(node ? "system:node:n1" : rows[i].who,
                      masters ? "system:masters"
                      : node  ? "system:nodes"
                              : NULL,
                      rows[i].verb, rows[i].api, rows[i].resource, rows[i].ns, rows[i].name,
                      rows[i].fields);

        if (ok != rows[i].ok)
            fail_msg("row %zu: %s %s %s", i, rows[i].who, rows[i].verb, rows[i].resource);
    }
}

static void paths_of_health_and_discovery_are_for_all(void **state)
{
    static const struct {
        bool anonymous;
        const char *verb, *path;
        bool ok;
    } rows[] = {
        { false, "get", "/readyz", true },    { false, "get", "/readyz/ping", true },
        { false, "get", "/apis/apps", true }, { false, "get", "/openapi/v3", true },
        { false, "get", "/metrics", false },  { false, "post", "/readyz", false },
        { false, "get", "/readyzz", false },  { true, "get", "/version", true },
        { true, "get", "/apis", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct identity *id = rows[i].anonymous ? NULL : identity_new("jane", NULL, 0);
        struct authz_attrs a = { .id = id, .verb = rows[i].verb, .path = rows[i].path };
        char reason[AUTHZ_REASON_BYTES];

        if (authz_allowed(z, &a, reason) != rows[i].ok)
            fail_msg("%s %s", rows[i].verb, rows[i].path);
        identity_unref(id);
    }
}

static void references_end_with_the_last_pod(void **state)
{
    (void)state;
    add_pod("{\"metadata\":{\"namespace\":\"r\",\"name\":\"x\"},\"spec\":{\"nodeName\":\"n1\","
            "\"volumes\":[{\"secret\":{\"secretName\":\"s\"}}]}}");
    add_pod("{\"metadata\":{\"namespace\":\"r\",\"name\":\"y\"},\"spec\":{\"nodeName\":\"n1\","
            "\"volumes\":[{\"secret\":{\"secretName\":\"s\"}}]}}");
    assert_true(node_graph_refers(graph, "n1", "secrets", "r", "s"));
    node_graph_remove_pod(graph, "r", "x");
    assert_true(node_graph_refers(graph, "n1", "secrets", "r", "s"));
    node_graph_remove_pod(graph, "r", "y");
    assert_false(node_graph_refers(graph, "n1", "secrets", "r", "s"));
    assert_false(node_graph_owns_pod(graph, "n1", "r", "y"));
}

static void refusals_are_worded_as_upstream(void **state)
{
    struct identity *id = identity_new("jane", NULL, 0);
    struct authz_attrs a = { .id = id,
                             .verb = "get",
                             .is_resource = true,
                             .group = "apps",
                             .version = "v1",
                             .resource = "deployments",
                             .subresource = "scale",
                             .namespace_ = "",
                             .name = "d" };
    char text[256];

    (void)state;
    authz_describe(&a, text, sizeof text);
    assert_string_equal(text,
                        "User \"jane\" cannot get resource \"deployments/scale\" in API group "
                        "\"apps\" at the cluster scope");
    identity_unref(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_do_what),
        cmocka_unit_test(paths_of_health_and_discovery_are_for_all),
        cmocka_unit_test(references_end_with_the_last_pod),
        cmocka_unit_test(refusals_are_worded_as_upstream),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

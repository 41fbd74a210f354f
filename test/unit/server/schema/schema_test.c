#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/schema/schema.h"
#include "server/schema/table_cells.h"
#include "server/schema/tables.h"

static void every_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        assert_int_equal(k->type->shape, SCHEMA_STRUCT);
        assert_string_equal(k->type->name, k->kind);
        assert_non_null(schema_field(k->type, "apiVersion"));
        assert_non_null(schema_field(k->type, "kind"));
        assert_non_null(schema_field(k->type, "metadata"));
    }
    for (size_t i = 0; i < schema_n_builtin_types; i++) {
        const struct schema_type *t = &schema_builtin_types[i];
        for (size_t j = 0; j < t->n_fields; j++) {
            const struct schema_field *f = &t->fields[j];
            assert_ptr_equal(schema_field(t, f->name), f);
            if (!f->deflt)
                continue;
            json_auto_t *d = json_loads(f->deflt, JSON_DECODE_ANY, NULL);
            if (!d)
                fail_msg("%s.%s: the default is no JSON: %s", t->name, f->name, f->deflt);
        }
    }
}

static void every_column_has_its_function(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        for (size_t j = 0; j < k->n_columns; j++) {
            const char *source = k->columns[j].source, *arg;
            if (source[0] == '=' && !cell_find(source, &arg))
                fail_msg("%s: column %s: nobody is called %s", k->kind, k->columns[j].name, source);
        }
    }
}

static void kinds_are_found_by_resource_and_by_kind(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    const struct schema_kind *pod = schema_find(s, STR(""), STR("v1"), STR("pods"));
    char text[SCHEMA_API_VERSION_MAX];
    (void)state;

    assert_non_null(pod);
    assert_string_equal(pod->kind, "Pod");
    assert_true(pod->namespaced);
    assert_ptr_equal(schema_find_kind(s, STR(""), STR("v1"), STR("Pod")), pod);
    assert_ptr_equal(schema_find_api(s, "v1", "Pod"), pod);
    assert_string_equal(schema_api_version(pod, text), "v1");
    const struct schema_kind *lease = schema_find_api(s, "coordination.k8s.io/v1", "Lease");
    assert_true(lease->ephemeral && lease->create_on_update);
    assert_string_equal(schema_api_version(lease, text), "coordination.k8s.io/v1");
    assert_null(schema_find(s, STR(""), STR("v1"), STR("Pod")));
    assert_null(schema_find(s, STR("v1"), STR(""), STR("pods")));
    assert_true(schema_has_version(s, STR("discovery.k8s.io"), STR("v1")));
    assert_false(schema_has_version(s, STR("discovery.k8s.io"), STR("v1beta1")));
    assert_non_null(schema_find_sub(pod, STR("status")));
    assert_null(schema_find_sub(pod, STR("scale")));
    assert_non_null(schema_builtin_type("meta/v1", "DeleteOptions"));
}

/* The kinds of k8s.io/api at version v1 (autoscaling: v1 and v2) that are resources of a 1.32
 * server, and of apiextensions and apiregistration. */
static const char *const ga_kinds[][2] = {
    { "v1", "PersistentVolume" },
    { "v1", "PersistentVolumeClaim" },
    { "v1", "Pod" },
    { "v1", "PodTemplate" },
    { "v1", "ReplicationController" },
    { "v1", "Service" },
    { "v1", "ServiceAccount" },
    { "v1", "Endpoints" },
    { "v1", "Node" },
    { "v1", "Namespace" },
    { "v1", "Binding" },
    { "v1", "Event" },
    { "v1", "LimitRange" },
    { "v1", "ResourceQuota" },
    { "v1", "Secret" },
    { "v1", "ConfigMap" },
    { "apps/v1", "StatefulSet" },
    { "apps/v1", "Deployment" },
    { "apps/v1", "DaemonSet" },
    { "apps/v1", "ReplicaSet" },
    { "apps/v1", "ControllerRevision" },
    { "batch/v1", "Job" },
    { "batch/v1", "CronJob" },
    { "autoscaling/v1", "HorizontalPodAutoscaler" },
    { "autoscaling/v2", "HorizontalPodAutoscaler" },
    { "networking.k8s.io/v1", "NetworkPolicy" },
    { "networking.k8s.io/v1", "Ingress" },
    { "networking.k8s.io/v1", "IngressClass" },
    { "policy/v1", "PodDisruptionBudget" },
    { "rbac.authorization.k8s.io/v1", "Role" },
    { "rbac.authorization.k8s.io/v1", "RoleBinding" },
    { "rbac.authorization.k8s.io/v1", "ClusterRole" },
    { "rbac.authorization.k8s.io/v1", "ClusterRoleBinding" },
    { "storage.k8s.io/v1", "StorageClass" },
    { "storage.k8s.io/v1", "VolumeAttachment" },
    { "storage.k8s.io/v1", "CSIDriver" },
    { "storage.k8s.io/v1", "CSINode" },
    { "storage.k8s.io/v1", "CSIStorageCapacity" },
    { "coordination.k8s.io/v1", "Lease" },
    { "discovery.k8s.io/v1", "EndpointSlice" },
    { "events.k8s.io/v1", "Event" },
    { "node.k8s.io/v1", "RuntimeClass" },
    { "scheduling.k8s.io/v1", "PriorityClass" },
    { "certificates.k8s.io/v1", "CertificateSigningRequest" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding" },
    { "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration" },
    { "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration" },
    { "authentication.k8s.io/v1", "TokenReview" },
    { "authentication.k8s.io/v1", "SelfSubjectReview" },
    { "authorization.k8s.io/v1", "SubjectAccessReview" },
    { "authorization.k8s.io/v1", "SelfSubjectAccessReview" },
    { "authorization.k8s.io/v1", "LocalSubjectAccessReview" },
    { "authorization.k8s.io/v1", "SelfSubjectRulesReview" },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema" },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration" },
    { "apiextensions.k8s.io/v1", "CustomResourceDefinition" },
    { "apiregistration.k8s.io/v1", "APIService" },
};

static void every_kind_is_served(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    size_t n;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ga_kinds); i++)
        if (!schema_find_api(s, ga_kinds[i][0], ga_kinds[i][1]))
            fail_msg("%s %s is not served", ga_kinds[i][0], ga_kinds[i][1]);
    schema_kinds(s, &n);
    assert_int_equal(n, schema_n_builtin_kinds);
}

/* Kinds of those groups that are no resources of a 1.32 server, by reason. */
static void kinds_that_a_server_of_this_version_has_not_are_not_offered(void **state)
{
    static const char *const rows[][2] = {
        /* parts of other kinds, or bodies of subresources */
        { "v1", "PodTemplateSpec" },
        { "v1", "PersistentVolumeClaimTemplate" },
        { "v1", "RangeAllocation" },
        { "batch/v1", "JobTemplateSpec" },
        { "autoscaling/v1", "Scale" },
        { "policy/v1", "Eviction" },
        { "authentication.k8s.io/v1", "TokenRequest" },
        /* v1 after 1.32 only */
        { "networking.k8s.io/v1", "IPAddress" },
        { "networking.k8s.io/v1", "ServiceCIDR" },
        { "storage.k8s.io/v1", "VolumeAttributesClass" },
        { "certificates.k8s.io/v1", "ClusterTrustBundle" },
        { "certificates.k8s.io/v1", "PodCertificateRequest" },
        { "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy" },
        { "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding" },
        { "resource.k8s.io/v1", "ResourceSlice" },
        { "resource.k8s.io/v1", "ResourceClaim" },
        { "resource.k8s.io/v1", "ResourceClaimTemplate" },
        { "resource.k8s.io/v1", "DeviceClass" },
        { "resource.k8s.io/v1", "DeviceTaintRule" },
    };
    AUTO(schema) struct schema *s = schema_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_null(schema_find_api(s, rows[i][0], rows[i][1]));
}

static void a_kind_may_come_and_go_while_running(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    static const char *const none[] = { NULL };
    static const struct schema_field fields[] = { { .name = "x" } };
    static const struct schema_type type = {
        .name = "Toy", .shape = SCHEMA_STRUCT, .fields = fields, .n_fields = 0
    };
    static const struct schema_kind toy = { .group = "example.com",
                                            .version = "v1",
                                            .kind = "Toy",
                                            .plural = "toys",
                                            .singular = "toy",
                                            .short_names = none,
                                            .categories = none,
                                            .selectable = none,
                                            .type = &type };
    uint64_t before = schema_generation(s);
    size_t n, n_after;
    (void)state;

    schema_kinds(s, &n);
    assert_true(schema_add(s, &toy));
    assert_false(schema_add(s, &toy));
    assert_true(schema_generation(s) > before);
    assert_ptr_equal(schema_find_api(s, "example.com/v1", "Toy"), &toy);
    schema_remove(s, &toy);
    assert_null(schema_find_api(s, "example.com/v1", "Toy"));
    schema_kinds(s, &n_after);
    assert_int_equal(n, n_after);
}

static void the_stored_version_is_named(void **state)
{
    static const char *const rows[][3] = {
        { "v1", "Event", "v1" },
        { "events.k8s.io/v1", "Event", "v1" },
        { "autoscaling/v1", "HorizontalPodAutoscaler", "autoscaling/v2" },
        { "autoscaling/v2", "HorizontalPodAutoscaler", "autoscaling/v2" },
        { "apps/v1", "Deployment", "apps/v1" },
    };
    AUTO(schema) struct schema *s = schema_new();
    char api[SCHEMA_API_VERSION_MAX];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct schema_kind *k = schema_find_api(s, rows[i][0], rows[i][1]);
        assert_string_equal(schema_stored_version(k, api), rows[i][2]);
        assert_ptr_equal(schema_stored_kind(k), schema_find_api(s, rows[i][2], rows[i][1]));
    }
}

static void versions_are_ordered_as_kubernetes_does(void **state)
{
    static const char *const order[] = { "v10",      "v2",      "v1",        "v11beta2",
                                         "v10beta3", "v3beta1", "v12alpha1", "v11alpha2",
                                         "foo1",     "foo10" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t j = 0; j < ARRAY_LEN(order); j++) {
            int d = schema_version_order(order[i], order[j]);
            if ((d > 0) - (d < 0) != (i > j) - (i < j))
                fail_msg("%s and %s: %d", order[i], order[j], d);
        }
}

/* A kind that joins a group lies with it, whatever its own priority; new groups come last. */
static void kinds_that_come_later_find_their_place(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    static const char *const none[] = { NULL };
    static const struct schema_type type = { .name = "", .shape = SCHEMA_STRUCT };
#define KIND(g, v, k)                                                                              \
    {                                                                                              \
        .group = g, .version = v, .kind = k, .plural = k, .singular = k, .short_names = none,      \
        .categories = none, .selectable = none, .type = &type                                      \
    }
    static const struct schema_kind kinds[] = { KIND("b.example.com", "v1beta1", "x"),
                                                KIND("policy", "v2", "x"),
                                                KIND("a.example.com", "v1", "x"),
                                                KIND("b.example.com", "v1", "x"),
                                                KIND("policy", "v3", "x") };
    static const char *const last[] = { "policy/v1", "policy/v3", "policy/v2" };
    char api[SCHEMA_API_VERSION_MAX];
    size_t n, at = 0;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        assert_true(schema_add(s, &kinds[i]));
    const struct schema_kind *const *k = schema_kinds(s, &n);
    assert_string_equal(schema_api_version(k[n - 3], api), "a.example.com/v1");
    assert_string_equal(schema_api_version(k[n - 2], api), "b.example.com/v1");
    assert_string_equal(schema_api_version(k[n - 1], api), "b.example.com/v1beta1");
    while (strcmp(k[at]->group, "policy") != 0)
        at++;
    for (size_t i = 0; i < ARRAY_LEN(last); i++)
        assert_string_equal(schema_api_version(k[at + i], api), last[i]);
    for (size_t i = 1; i < n; i++) /* no group is in two places */
        for (size_t j = 0; j + 1 < i; j++)
            if (strcmp(k[i]->group, k[i - 1]->group) != 0)
                assert_string_not_equal(k[i]->group, k[j]->group);
}

static void embedded_types_lie_flat_and_remember_their_message(void **state)
{
    const struct schema_type *probe = schema_builtin_type("core/v1", "Probe");
    const struct schema_field *f = schema_field(probe, "httpGet");
    (void)state;

    assert_non_null(f);
    assert_int_equal(f->embed[0], 1);
    assert_int_equal(f->number, 2);
    assert_int_equal(schema_field(probe, "periodSeconds")->embed[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_whole),
        cmocka_unit_test(every_column_has_its_function),
        cmocka_unit_test(kinds_are_found_by_resource_and_by_kind),
        cmocka_unit_test(every_kind_is_served),
        cmocka_unit_test(kinds_that_a_server_of_this_version_has_not_are_not_offered),
        cmocka_unit_test(a_kind_may_come_and_go_while_running),
        cmocka_unit_test(the_stored_version_is_named),
        cmocka_unit_test(versions_are_ordered_as_kubernetes_does),
        cmocka_unit_test(kinds_that_come_later_find_their_place),
        cmocka_unit_test(embedded_types_lie_flat_and_remember_their_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

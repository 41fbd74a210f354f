/* The scale subresource, and what the other small ones let a write change. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <stdio.h>

#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define SETS        "/apis/apps/v1/namespaces/default/replicasets"
#define RCS         "/api/v1/namespaces/default/replicationcontrollers"
#define PODS        "/api/v1/namespaces/default/pods"
#define CSRS        "/apis/certificates.k8s.io/v1/certificatesigningrequests"
#define SCALE(name_, replicas_)                                                                    \
    "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"" name_        \
    "\"},\"spec\":{\"replicas\":" replicas_ "}}"
#define TEMPLATE(label_)                                                                           \
    "\"template\":{\"metadata\":{\"labels\":{\"app\":\"" label_                                    \
    "\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}"
#define ADMIN "admin+system:masters"

static const char *at(const struct answer *a, const char *path)
{
    return json_str_at(a->doc, path, "");
}

static void expect(struct answer a, int code, const char *path, const char *value)
{
    if (a.code != code || (path && strcmp(at(&a, path), value) != 0))
        fail_msg("want %d %s=%s, got %d: %s", code, path ? path : "", value ? value : "", a.code,
                 buf_cstr(&a.body));
    answer_deinit(&a);
}

static void expect_replicas(const char *target, int64_t n)
{
    auto_answer a = ask(&h, "GET", target, NULL);

    if (a.code != 200 || json_i64_at(a.doc, "spec.replicas", 0) != n)
        fail_msg("%s: want %d, got %s", target, (int)n, buf_cstr(&a.body));
}

static void make_deployment(const char *name)
{
    auto_free char *body = mem_printf(
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":{"
        "\"app\":\"x\"},\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"z\","
        "\"y\"]},{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]},\"template\":{\"metadata\":{"
        "\"labels\":{\"app\":\"x\",\"a\":\"y\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
        "\"image\":\"busybox\"}]}}}}",
        name);

    expect(ask(&h, "POST", DEPLOYMENTS, body), 201, "metadata.name", name);
}

static void a_scale_is_made_from_its_object(void **state)
{
    (void)state;
    make_deployment("read");
    auto_answer object = ask(&h, "GET", DEPLOYMENTS "/read", NULL);
    auto_answer a = ask(&h, "GET", DEPLOYMENTS "/read/scale", NULL);
    assert_int_equal(a.code, 200);
    assert_string_equal(at(&a, "kind"), "Scale");
    assert_string_equal(at(&a, "apiVersion"), "autoscaling/v1");
    assert_string_equal(at(&a, "status.selector"), "a in (y,z),app=x,!b");
    assert_int_equal(json_i64_at(a.doc, "spec.replicas", -1), 2);
    assert_int_equal(json_i64_at(a.doc, "status.replicas", -1), 0);
    static const char *const same[] = { "uid", "resourceVersion", "creationTimestamp",
                                        "namespace" };
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        auto_free char *path = mem_printf("metadata.%s", same[i]);

        assert_string_equal(at(&a, path), at(&object, path));
    }
    expect(ask(&h, "GET", DEPLOYMENTS "/none/scale", NULL), 404, "message",
           "deployments.apps \"none\" not found");
    expect(ask(&h, "DELETE", DEPLOYMENTS "/read/scale", NULL), 405, NULL, NULL);
}

static void a_map_of_labels_is_a_selector_too(void **state)
{
    (void)state;
    expect(ask(&h, "POST", RCS,
               "{\"metadata\":{\"name\":\"rc\"},\"spec\":{\"replicas\":0,\"selector\":{\"b\":\"2\","
               "\"app\":\"1\"},\"template\":{\"metadata\":{\"labels\":{\"app\":\"1\",\"b\":\"2\"}},"
               "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}}}"),
           201, NULL, NULL);
    auto_answer a = ask(&h, "GET", RCS "/rc/scale", NULL);
    assert_string_equal(at(&a, "status.selector"), "app=1,b=2");
    assert_int_equal(json_object_size(json_object_get(a.doc, "spec")), 0); /* zero is left out */
}

static void every_way_of_writing_sets_the_number(void **state)
{
    static const struct {
        const char *method, *type, *body;
        int64_t n;
    } ways[] = {
        { "PUT", "application/json", SCALE("ways", "3"), 3 },
        { "PATCH", "application/merge-patch+json", "{\"spec\":{\"replicas\":4}}", 4 },
        { "PATCH", "application/strategic-merge-patch+json", "{\"spec\":{\"replicas\":5}}", 5 },
        { "PATCH", "application/json-patch+json",
          "[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":6}]", 6 },
        { "PUT", "application/yaml",
          "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: ways}\nspec: {replicas: 7}\n",
          7 },
        { "PUT", "application/json",
          "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"ways\"}}",
          0 },
    };

    (void)state;
    make_deployment("ways");
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        auto_answer a = ask_as(&h, ADMIN, ways[i].method, DEPLOYMENTS "/ways/scale", ways[i].type,
                               NULL, ways[i].body);

        if (a.code != 200 || json_i64_at(a.doc, "spec.replicas", 0) != ways[i].n)
            fail_msg("%s: %s", ways[i].body, buf_cstr(&a.body));
        assert_string_equal(at(&a, "kind"), "Scale");
        expect_replicas(DEPLOYMENTS "/ways", ways[i].n);
    }
    auto_answer d = ask(&h, "GET", DEPLOYMENTS "/ways", NULL);
    assert_int_equal(json_i64_at(d.doc, "metadata.generation", 0), 1 + ARRAY_LEN(ways));
    assert_string_equal(at(&d, "spec.template.metadata.labels.app"), "x");
}

static void wrong_scales_are_refused_as_upstream(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *path, *value;
    } rows[] = {
        { SCALE("wrong", "-1"), 422, "message",
          "Scale.autoscaling \"wrong\" is invalid: spec.replicas: Invalid value: -1: must be "
          "greater than or equal to 0" },
        { SCALE("other", "1"), 400, "message",
          "the name of the object (other) does not match the name on the URL (wrong)" },
        { "{\"kind\":\"Pod\"}", 400, "reason", "BadRequest" },
        { "{\"metadata\":{\"name\":\"wrong\",\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":1}}",
          409, "message",
          "Operation cannot be fulfilled on deployments.apps \"wrong\": the object has been "
          "modified; please apply your changes to the latest version and try again" },
        { "{\"metadata\":{\"name\":\"wrong\",\"resourceVersion\":\"x\"},\"spec\":{\"replicas\":1}}",
          400, "reason", "BadRequest" },
        { "{\"metadata\":{\"name\":\"wrong\",\"uid\":\"0\"},\"spec\":{\"replicas\":1}}", 409,
          "details.kind", "deployments/scale" },
    };

    (void)state;
    make_deployment("wrong");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(ask(&h, "PUT", DEPLOYMENTS "/wrong/scale", rows[i].body), rows[i].code, rows[i].path,
               rows[i].value);
    expect_replicas(DEPLOYMENTS "/wrong", 2);
    expect(ask(&h, "PUT", DEPLOYMENTS "/none/scale", SCALE("none", "1")), 404, "message",
           "deployments/scale.apps \"none\" not found");
    expect(ask(&h, "PUT", DEPLOYMENTS "/wrong/scale?dryRun=All", SCALE("wrong", "9")), 200, NULL,
           NULL);
    expect_replicas(DEPLOYMENTS "/wrong", 2);
}

/* The entry of manager in the object's managedFields; NULL: none. New reference. */
static json_t *entry_of(const char *target, const char *manager)
{
    auto_answer a = ask(&h, "GET", target, NULL);
    json_t *m;
    size_t i;

    json_array_foreach(json_at(a.doc, "metadata.managedFields"), i, m)
    {
        if (strcmp(json_str_at(m, "manager", ""), manager) == 0)
            return json_incref(m);
    }
    return NULL;
}

static void who_scales_owns_the_number_by_the_subresource(void **state)
{
    (void)state;
    make_deployment("owned");
    expect(ask_as(&h, ADMIN, "PUT", DEPLOYMENTS "/owned/scale?fieldManager=scaler",
                  "application/json", NULL, SCALE("owned", "8")),
           200, NULL, NULL);
    json_auto_t *m = entry_of(DEPLOYMENTS "/owned", "scaler");
    assert_non_null(m);
    assert_string_equal(json_str_at(m, "subresource", ""), "scale");
    assert_string_equal(json_str_at(m, "apiVersion", ""), "apps/v1");
    assert_non_null(json_at(m, "fieldsV1.f:spec.f:replicas"));
    expect(
        ask_as(&h, ADMIN, "PATCH", DEPLOYMENTS "/owned/scale?fieldManager=other",
               "application/apply-patch+yaml", NULL, SCALE("owned", "1")),
        409, "message",
        "Apply failed with 1 conflict: conflict with \"scaler\" with subresource \"scale\" using "
        "apps/v1: .spec.replicas");
    expect(ask_as(&h, ADMIN, "PATCH", DEPLOYMENTS "/owned/scale?fieldManager=other&force=true",
                  "application/apply-patch+yaml", NULL, SCALE("owned", "1")),
           200, "kind", "Scale");
    expect_replicas(DEPLOYMENTS "/owned", 1);
    json_auto_t *applied = entry_of(DEPLOYMENTS "/owned", "other"),
                *gone = entry_of(DEPLOYMENTS "/owned", "scaler");
    assert_string_equal(json_str_at(applied, "operation", ""), "Apply");
    assert_null(gone);
}

/* ---- the other small ones ---- */

static void status_and_object_do_not_write_each_other(void **state)
{
    (void)state;
    expect(ask(&h, "POST", SETS,
               "{\"metadata\":{\"name\":\"parts\"},\"spec\":{\"replicas\":1,\"selector\":{"
               "\"matchLabels\":{\"app\":\"x\"}}," TEMPLATE("x") "},\"status\":{\"replicas\":9}}"),
           201, NULL, NULL);
    auto_answer made = ask(&h, "GET", SETS "/parts/status", NULL);
    assert_int_equal(json_i64_at(made.doc, "status.replicas", 0), 0);
    expect(ask(&h, "PATCH", SETS "/parts/status",
               "{\"metadata\":{\"labels\":{\"l\":\"1\"}},\"spec\":{\"replicas\":5},\"status\":{"
               "\"replicas\":1}}"),
           200, "metadata.labels.l", "1");
    expect(
        ask(&h, "PATCH", SETS "/parts", "{\"spec\":{\"replicas\":3},\"status\":{\"replicas\":7}}"),
        200, NULL, NULL);
    auto_answer now = ask(&h, "GET", SETS "/parts", NULL);
    assert_int_equal(json_i64_at(now.doc, "spec.replicas", 0), 3);
    assert_int_equal(json_i64_at(now.doc, "status.replicas", 0), 1);
    assert_int_equal(json_i64_at(now.doc, "metadata.generation", 0),
                     2); /* the spec's change only */
}

static void a_deployments_labels_are_not_its_statuses(void **state)
{
    (void)state;
    make_deployment("labels");
    expect(ask(&h, "PATCH", DEPLOYMENTS "/labels/status",
               "{\"metadata\":{\"labels\":{\"l\":\"1\"}},\"status\":{\"replicas\":1}}"),
           200, "metadata.labels.l", "");
}

static void ephemeral_containers_are_added_and_stay(void **state)
{
    static const char first[] =
        "{\"metadata\":{\"labels\":{\"l\":\"1\"}},\"spec\":{\"nodeName\":\"n\","
        "\"ephemeralContainers\":[{\"name\":\"debug\",\"image\":\"busybox\"}]}}";

    (void)state;
    expect(ask(&h, "POST", PODS,
               "{\"metadata\":{\"name\":\"eph\"},\"spec\":{\"containers\":[{\"name\":\"c\","
               "\"image\":\"busybox\"}]}}"),
           201, NULL, NULL);
    auto_answer a = ask_as(&h, ADMIN, "PATCH", PODS "/eph/ephemeralcontainers?fieldManager=dbg",
                           "application/strategic-merge-patch+json", NULL, first);
    assert_int_equal(a.code, 200);
    assert_string_equal(at(&a, "spec.ephemeralContainers[0].name"), "debug");
    assert_string_equal(at(&a, "spec.nodeName"), "");
    assert_string_equal(at(&a, "metadata.labels.l"), "");
    json_auto_t *m = entry_of(PODS "/eph", "dbg");
    assert_string_equal(json_str_at(m, "subresource", ""), "ephemeralcontainers");
    assert_null(json_at(m, "fieldsV1.f:metadata"));
    expect(ask(&h, "PATCH", PODS "/eph/ephemeralcontainers",
               "{\"spec\":{\"ephemeralContainers\":[{\"name\":\"debug\",\"image\":\"other\"}]}}"),
           422, "details.causes[0].message",
           "Forbidden: existing ephemeral containers \"debug\" may not be changed\n");
    expect(ask(&h, "PATCH", PODS "/eph/ephemeralcontainers",
               "{\"spec\":{\"ephemeralContainers\":null}}"),
           422, "details.causes[0].message",
           "Forbidden: existing ephemeral containers \"debug\" may not be removed\n");
}

static void signing_requests_are_judged_by_approval_alone(void **state)
{
    /* a request for CN=x, of a P-256 key */
    static const char pem[] =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIR01HNENBUUF3RERFS01BZ0dBMVVFQXd3"
        "QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCTDBTV0ZybnFtTlB6Y1BZTTd2ZEdZUmlI"
        "NjV5MWh5SnU5MVZ1WkczTWtXdFBPRTZVVlJjYVgrSlFkUm5XeFNICmM0L2NBaFBGWU1pNkpvVENhZXFPMHY2"
        "Z0FEQUtCZ2dxaGtqT1BRUURBZ05JQURCRkFpRUE5SFBwMVZJcHhZb3AKSzZoR1BCZHRjUGIzK2krTHVQdGNV"
        "Vk5OR2srTllaVUNJQUZucTVRV29RUmdrbFlibmZqTWlBRHp5UUlGN3kxVQpxYnNkSmIzaWNNSTEKLS0tLS1F"
        "TkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
    auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"csr\"},\"spec\":{\"request\":\"%"
                                      "s\",\"signerName\":\"example.com/"
                                      "x\",\"usages\":[\"any\"],\"username\":\"somebody else\"}}",
                                      pem);

    (void)state;
    auto_answer made = ask_as(&h, ADMIN, "POST", CSRS, "application/json", NULL, body);
    assert_int_equal(made.code, 201);
    assert_string_equal(at(&made, "spec.username"), "admin");
    assert_string_equal(at(&made, "spec.groups[0]"), "system:masters");
    expect(ask(&h, "PATCH", CSRS "/csr/status",
               "{\"status\":{\"conditions\":[{\"type\":\"Approved\",\"status\":\"True\"}]}}"),
           422, "details.causes[0].message",
           "Forbidden: updates may not add a condition of type \"Approved\"");
    auto_answer a = ask(&h, "PATCH", CSRS "/csr/approval",
                        "{\"spec\":{\"signerName\":\"example.com/y\"},\"status\":{\"certificate\":"
                        "\"eA==\",\"conditions\":[{\"type\":\"Approved\",\"status\":\"True\","
                        "\"reason\":\"Ok\"}]}}");
    assert_int_equal(a.code, 200);
    assert_string_equal(at(&a, "spec.signerName"), "example.com/x");
    assert_string_equal(at(&a, "status.certificate"), "");
    assert_true(*at(&a, "status.conditions[0].lastUpdateTime") != '\0');
    expect(ask(&h, "PATCH", CSRS "/csr/approval", "{\"status\":{\"conditions\":null}}"), 422,
           "details.causes[0].message",
           "Forbidden: updates may not remove a condition of type \"Approved\"");
    expect(ask(&h, "GET", CSRS "/csr/approval", NULL), 200, "status.conditions[0].reason", "Ok");
}

static void no_finalizer_is_added_to_what_is_deleted(void **state)
{
    (void)state;
    expect(ask(&h, "POST", "/api/v1/namespaces/default/configmaps",
               "{\"metadata\":{\"name\":\"late\",\"finalizers\":[\"a/b\"]}}"),
           201, NULL, NULL);
    expect(ask(&h, "DELETE", "/api/v1/namespaces/default/configmaps/late", NULL), 200, NULL, NULL);
    expect(ask(&h, "PATCH", "/api/v1/namespaces/default/configmaps/late",
               "{\"metadata\":{\"finalizers\":[\"a/b\",\"c/d\"]}}"),
           422, "details.causes[0].message",
           "Forbidden: no new finalizers can be added if the object is being deleted, found new "
           "finalizers []string{\"c/d\"}");
    expect(ask(&h, "PATCH", "/api/v1/namespaces/default/configmaps/late",
               "{\"metadata\":{\"finalizers\":null}}"),
           200, NULL, NULL);
}

static void a_scale_is_printed_as_one(void **state)
{
    static const char *const names[] = { "Name", "Desired", "Available", "Age" };

    (void)state;
    make_deployment("shown");
    auto_answer a = ask_as(&h, ADMIN, "GET", DEPLOYMENTS "/shown/scale", NULL,
                           "application/json;as=Table;v=v1;g=meta.k8s.io", NULL);
    assert_int_equal(a.code, 200);
    assert_string_equal(at(&a, "kind"), "Table");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *column = json_array_get(json_at(a.doc, "columnDefinitions"), i);
        assert_string_equal(json_str_at(column, "name", ""), names[i]);
    }
    assert_string_equal(at(&a, "rows[0].cells[0]"), "shown");
    assert_int_equal(json_i64_at(a.doc, "rows[0].cells[1]", -1), 2);
    assert_int_equal(json_i64_at(a.doc, "rows[0].cells[2]", -1), 0);
    assert_string_equal(at(&a, "rows[0].object.kind"), "PartialObjectMetadata");
    assert_string_not_equal(at(&a, "metadata.resourceVersion"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scale_is_printed_as_one),
        cmocka_unit_test(a_scale_is_made_from_its_object),
        cmocka_unit_test(a_map_of_labels_is_a_selector_too),
        cmocka_unit_test(every_way_of_writing_sets_the_number),
        cmocka_unit_test(wrong_scales_are_refused_as_upstream),
        cmocka_unit_test(who_scales_owns_the_number_by_the_subresource),
        cmocka_unit_test(status_and_object_do_not_write_each_other),
        cmocka_unit_test(a_deployments_labels_are_not_its_statuses),
        cmocka_unit_test(ephemeral_containers_are_added_and_stay),
        cmocka_unit_test(signing_requests_are_judged_by_approval_alone),
        cmocka_unit_test(no_finalizer_is_added_to_what_is_deleted),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

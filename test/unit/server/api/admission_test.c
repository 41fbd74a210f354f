/* What plugins look up follows what clients write. */
#include "test/unit/server/api/fixture.h"

#define CLASSES "/apis/scheduling.k8s.io/v1/priorityclasses"
#define PODS    "/api/v1/namespaces/default/pods"
#define POD(name, more)                                                                            \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"   \
    "\"i\"}]" more "}}"

static void a_pod_gets_the_priority_of_its_class(void **state)
{
    (void)state;
    auto_answer none = ask(&h, "POST", PODS, POD("a", ",\"priorityClassName\":\"high\""));
    assert_int_equal(none.code, 403);
    assert_string_equal(json_str_at(none.doc, "message", ""),
                        "pods \"a\" is forbidden: no PriorityClass with name high was found");
    auto_answer class_ =
        ask(&h, "POST", CLASSES, "{\"metadata\":{\"name\":\"high\"},\"value\":1000}");
    assert_int_equal(class_.code, 201);
    assert_string_equal(class_.warning, ""); /* it is no longer without effect */
    auto_answer pod = ask(&h, "POST", PODS, POD("a", ",\"priorityClassName\":\"high\""));
    assert_int_equal(pod.code, 201);
    assert_int_equal(json_i64_at(pod.doc, "spec.priority", 0), 1000);
    auto_answer gone = ask(&h, "DELETE", CLASSES "/high", NULL);
    assert_int_equal(gone.code, 200);
    auto_answer late = ask(&h, "POST", PODS, POD("b", ",\"priorityClassName\":\"high\""));
    assert_int_equal(late.code, 403);
}

static void limits_of_a_namespace_hold_in_it(void **state)
{
    (void)state;
    auto_answer range =
        ask(&h, "POST", "/api/v1/namespaces/default/limitranges",
            "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"limits\":[{\"type\":\"Container\","
            "\"max\":{\"cpu\":\"1\"},\"default\":{\"cpu\":\"500m\"},\"defaultRequest\":{\"cpu\":"
            "\"100m\"}}]}}");
    assert_int_equal(range.code, 201);
    auto_answer pod = ask(&h, "POST", PODS, POD("c", ""));
    assert_int_equal(pod.code, 201);
    assert_string_equal(json_str_at(pod.doc, "spec.containers[0].resources.requests.cpu", ""),
                        "100m");
    assert_string_equal(json_str_at(pod.doc, "status.qosClass", ""), "Burstable");
    auto_answer more = ask(&h, "POST", PODS,
                           "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"containers\":[{\"name\":"
                           "\"c\",\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"2\"}}}]}}");
    assert_int_equal(more.code, 403);
    assert_string_equal(
        json_str_at(more.doc, "message", ""),
        "pods \"d\" is forbidden: maximum cpu usage per Container is 1, but limit is "
        "2");
    auto_answer elsewhere = ask(&h, "POST", "/api/v1/namespaces/kube-system/pods", POD("e", ""));
    assert_int_equal(elsewhere.code, 201);
    assert_null(json_at(elsewhere.doc, "spec.containers[0].resources.requests"));
}

static void a_deployments_annotations_count_as_a_change(void **state)
{
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
    (void)state;
    auto_answer made =
        ask(&h, "POST", DEPLOYMENTS,
            "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{"
            "\"name\":\"c\",\"image\":\"i\"}]}}}}");
    assert_int_equal(made.code, 201);
    auto_answer labels =
        ask(&h, "PATCH", DEPLOYMENTS "/d", "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
    assert_int_equal(json_i64_at(labels.doc, "metadata.generation", 0), 1);
    auto_answer noted =
        ask(&h, "PATCH", DEPLOYMENTS "/d", "{\"metadata\":{\"annotations\":{\"x\":\"y\"}}}");
    assert_int_equal(json_i64_at(noted.doc, "metadata.generation", 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_gets_the_priority_of_its_class),
        cmocka_unit_test(limits_of_a_namespace_hold_in_it),
        cmocka_unit_test(a_deployments_annotations_count_as_a_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

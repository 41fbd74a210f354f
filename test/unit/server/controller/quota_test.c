/* The controller that counts what namespaces use, on the real API and store. */
#include "test/unit/server/controller/fixture.h"

#include "test/unit/json_text.h"

static struct local_ref ref(const char *resource, const char *name)
{
    return (struct local_ref){ .resource = resource, .ns = "default", .name = name };
}

static void make_pod(const char *name, const char *more)
{
    struct local_ref pod = ref("pods", name);
    auto_free char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"containers\":[{\"name\":\"c\",\"image\":"
        "\"i\",\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}]}}",
        name, more);

    cluster_create(&c, &pod, text);
}

static void what_is_there_is_counted(void **state)
{
    struct local_ref quota = ref("resourcequotas", "all"), ended = ref("pods", "two");
    struct local_ref job = { .group = "batch", .resource = "jobs", .ns = "default", .name = "j" };

    (void)state;
    make_pod("one", "");
    cluster_create(&c, &job,
                   "{\"metadata\":{\"name\":\"j\"},\"spec\":{\"template\":{\"spec\":{"
                   "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}"
                   "}}}");
    cluster_create(&c, &quota,
                   "{\"metadata\":{\"name\":\"all\"},\"spec\":{\"hard\":{\"pods\":\"5\",\"cpu\":"
                   "\"1\",\"count/jobs.batch\":\"2\",\"count/widgets.example.com\":\"1\"}}}");
    cluster_expect(&c, &quota, "status.used.pods", "1");
    cluster_expect(&c, &quota, "status.used.cpu", "100m");
    cluster_expect(&c, &quota, "status.hard.pods", "5");
    json_auto_t *now = cluster_get(&c, &quota);
    assert_string_equal(
        json_string_value(json_object_get(json_at(now, "status.used"), "count/jobs.batch")), "1");
    assert_null(json_object_get(json_at(now, "status.used"), "count/widgets.example.com"));
    make_pod("two", "");
    cluster_expect(&c, &quota, "status.used.cpu", "200m");
    ended.subresource = "status";
    cluster_patch(&c, &ended, "{\"status\":{\"phase\":\"Failed\"}}");
    cluster_expect(&c, &quota, "status.used.pods", "1");
    cluster_patch(&c, &quota, "{\"spec\":{\"hard\":{\"cpu\":null}}}");
    cluster_expect(&c, &quota, "status.used.cpu", "");
}

static void scopes_choose_pods(void **state)
{
    struct local_ref quota = ref("resourcequotas", "short");

    (void)state;
    cluster_create(&c, &quota,
                   "{\"metadata\":{\"name\":\"short\"},\"spec\":{\"scopes\":[\"Terminating\"],"
                   "\"hard\":{\"pods\":\"5\"}}}");
    cluster_expect(&c, &quota, "status.used.pods", "0");
    make_pod("ends", "\"activeDeadlineSeconds\":60,");
    cluster_expect(&c, &quota, "status.used.pods", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_counted),
        cmocka_unit_test(scopes_choose_pods),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

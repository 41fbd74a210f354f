/* The scheduler on the real API and store. */
#include "test/unit/server/cluster.h"

#include "server/scheduler/scheduler.h"

static struct cluster c;
static struct scheduler *s;

static int setup(void **state)
{
    (void)state;
    cluster_open(&c);
    scheduler_start(&s, &c.loop, c.api);
    return 0;
}

static void stop(void)
{
    c.flag = false;
    scheduler_close(s, cluster_raise, &c.flag);
    cluster_until(&c, cluster_is_true, &c.flag, "the scheduler ends");
}

static int teardown(void **state)
{
    (void)state;
    stop();
    cluster_close(&c);
    return 0;
}

static void add_node(const char *name, const char *cpu, const char *ready)
{
    struct local_ref r = { .resource = "nodes", .name = name };
    auto_free char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"name\":\"%s\"}},\"status\":{\"allocatable\":{"
        "\"cpu\":\"%s\",\"memory\":\"4Gi\",\"pods\":\"110\"},\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"%s\"}]}}",
        name, name, cpu, ready);

    cluster_create(&c, &r, text);
}

static struct local_ref pod_ref(const char *name)
{
    return (struct local_ref){ .resource = "pods", .ns = "default", .name = name };
}

static void add_pod(const char *name, const char *cpu, const char *more_spec)
{
    struct local_ref r = pod_ref(name);
    auto_free char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"containers\":[{\"name\":\"c\","
                   "\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"%s\"}}}]}}",
                   name, more_spec, cpu);

    cluster_create(&c, &r, text);
}

/* Waits for an Event of that reason about the pod, and takes its message. */
static void expect_event(const char *pod, const char *reason, const char *message)
{
    struct local_ref r = { .resource = "events", .ns = "default" };
    uint64_t until = clock_mono_ms() + 30000;

    for (;;) {
        struct cluster_call k = { 0 };
        json_t *e;
        size_t i;
        bool found = false;

        local_list(c.api, &r, NULL, cluster_on_call, &k);
        cluster_until(&c, cluster_is_true, &k.done, "list");
        json_array_foreach(json_object_get(k.obj, "items"), i, e) found =
            found || (strcmp(json_str_at(e, "involvedObject.name", ""), pod) == 0 &&
                      strcmp(json_str_at(e, "reason", ""), reason) == 0 &&
                      strcmp(json_str_at(e, "message", ""), message) == 0);
        auto_free char *text = json_text(k.obj);
        json_decref(k.obj);
        if (found)
            return;
        if (clock_mono_ms() > until)
            fail_msg("no %s \"%s\" of %s in %s", reason, message, pod, text);
        uv_run(&c.loop, UV_RUN_ONCE);
    }
}

static void pods_are_bound_to_the_node_with_the_most_left(void **state)
{
    struct local_ref a = pod_ref("a"), b = pod_ref("b");

    (void)state;
    add_node("small", "2", "True");
    add_node("large", "8", "True");
    add_pod("a", "1", "");
    cluster_expect(&c, &a, "spec.nodeName", "large");
    expect_event("a", "Scheduled", "Successfully assigned default/a to large");
    add_pod("b", "100m", "\"nodeSelector\":{\"name\":\"small\"},");
    cluster_expect(&c, &b, "spec.nodeName", "small");
    cluster_expect(&c, &b, "status.conditions[0].type", "PodScheduled");
}

static void pods_without_a_place_say_why_and_go_when_there_is_one(void **state)
{
    struct local_ref big = pod_ref("big"), node = { .resource = "nodes", .name = "later" };

    (void)state;
    add_pod("big", "4", "");
    expect_event("big", "FailedScheduling", "no nodes available to schedule pods");
    add_node("tiny", "1", "True");
    add_node("later", "8", "False");
    cluster_expect(&c, &big, "status.conditions[0].message",
                   "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint "
                   "{node.kubernetes.io/not-ready: }.");
    cluster_expect(&c, &big, "status.conditions[0].reason", "Unschedulable");
    node.subresource = "status";
    cluster_patch(&c, &node,
                  "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    cluster_expect(&c, &big, "spec.nodeName", "later");
}

static void a_nodes_room_is_given_once_and_again_when_free(void **state)
{
    struct local_ref first = pod_ref("p0");
    unsigned n_bound = 0;

    (void)state;
    add_node("n", "3", "True");
    for (unsigned i = 0; i < 5; i++) { /* all at once: bindings are under way together */
        auto_free char *name = mem_printf("p%u", i);
        add_pod(name, "1", "");
    }
    expect_event("p4", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.");
    for (unsigned i = 0; i < 5; i++) {
        auto_free char *name = mem_printf("p%u", i);
        struct local_ref r = pod_ref(name);
        json_auto_t *pod = cluster_get(&c, &r);
        n_bound += *json_str_at(pod, "spec.nodeName", "") != '\0';
    }
    assert_int_equal(n_bound, 3);
    first.subresource = "status";
    cluster_patch(&c, &first, "{\"status\":{\"phase\":\"Succeeded\"}}");
    /* One of the two that wait gets the room; which one depends on whose backoff ends first. */
    struct local_ref waiting[2] = { pod_ref("p3"), pod_ref("p4") };
    for (uint64_t until = clock_mono_ms() + 30000; n_bound < 4;) {
        n_bound = 3;
        for (size_t i = 0; i < 2; i++) {
            json_auto_t *pod = cluster_get(&c, &waiting[i]);
            n_bound += *json_str_at(pod, "spec.nodeName", "") != '\0';
        }
        assert_true(clock_mono_ms() < until);
        if (n_bound < 4)
            uv_run(&c.loop, UV_RUN_ONCE);
    }
    assert_int_equal(n_bound, 4);
}

static void pods_of_others_and_unknown_demands_are_left(void **state)
{
    struct local_ref other = pod_ref("other"), odd = pod_ref("odd"), mark = pod_ref("mark");

    (void)state;
    add_node("n", "4", "True");
    add_pod("other", "1m", "\"schedulerName\":\"mine\",");
    add_pod("odd", "1m",
            "\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\","
            "\"whenUnsatisfiable\":\"DoNotSchedule\"}],");
    add_pod("mark", "1m", "");
    cluster_expect(&c, &mark, "spec.nodeName", "n");
    cluster_expect(&c, &odd, "status.conditions[0].message",
                   "0/1 nodes are available: the pod asks for spec.topologySpreadConstraints, "
                   "which this scheduler does not know yet.");
    json_auto_t *o = cluster_get(&c, &other), *d = cluster_get(&c, &odd);
    assert_string_equal(json_str_at(o, "spec.nodeName", ""), "");
    assert_string_equal(json_str_at(d, "spec.nodeName", ""), "");
}

static void a_restart_counts_what_runs_already(void **state)
{
    struct local_ref a = pod_ref("a"), b = pod_ref("b");

    (void)state;
    add_node("n", "2", "True");
    add_pod("a", "1500m", "");
    cluster_expect(&c, &a, "spec.nodeName", "n");
    stop();
    scheduler_start(&s, &c.loop, c.api);
    add_pod("b", "1", "");
    cluster_expect(&c, &b, "status.conditions[0].message",
                   "0/1 nodes are available: 1 Insufficient cpu.");
}

static void it_closes_with_bindings_under_way(void **state)
{
    (void)state;
    add_node("n", "64", "True");
    for (unsigned turns = 0; turns < 10; turns++) {
        auto_free char *name = mem_printf("p%u", turns);

        add_pod(name, "1m", "");
        for (unsigned i = 0; i < turns; i++)
            uv_run(&c.loop, UV_RUN_NOWAIT);
        stop();
        scheduler_start(&s, &c.loop, c.api);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pods_are_bound_to_the_node_with_the_most_left),
        TEST(pods_without_a_place_say_why_and_go_when_there_is_one),
        TEST(a_nodes_room_is_given_once_and_again_when_free),
        TEST(pods_of_others_and_unknown_demands_are_left),
        TEST(a_restart_counts_what_runs_already),
        TEST(it_closes_with_bindings_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

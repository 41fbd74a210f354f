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

static bool is_informed(void *arg)
{
    return api_is_informed(((struct cluster *)arg)->api);
}

/* What the controllers follow beside informers does not hold it up. */
static void the_api_becomes_ready_beside_it(void **state)
{
    (void)state;
    cluster_until(&c, is_informed, &c, "the API is informed");
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

#define LEASES "count/leases.coordination.k8s.io"

static struct local_ref lease(const char *name)
{
    return (struct local_ref){
        .group = "coordination.k8s.io", .resource = "leases", .ns = "default", .name = name
    };
}

static void make_lease(const char *name)
{
    struct local_ref l = lease(name);
    auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"%s\"}}", name);

    cluster_create(&c, &l, text);
}

static char *used_of(const char *quota_name, const char *name)
{
    struct local_ref quota = ref("resourcequotas", quota_name);
    json_auto_t *now = cluster_get(&c, &quota);
    const char *used = json_string_value(json_object_get(json_at(now, "status.used"), name));

    return mem_strdup(used ? used : "");
}

static bool one_lease_is_used(void *arg)
{
    auto_free char *used = used_of("mixed", LEASES);

    (void)arg;
    return strcmp(used, "1") == 0;
}

static void what_goes_is_free_again(void **state)
{
    struct local_ref quota = ref("resourcequotas", "mixed"), a = lease("a"),
                     service = ref("services", "s");

    (void)state;
    make_lease("a");
    cluster_create(&c, &quota,
                   "{\"metadata\":{\"name\":\"mixed\"},\"spec\":{\"hard\":{\"" LEASES "\":\"9\","
                   "\"services.nodeports\":\"9\"}}}");
    cluster_until(&c, one_lease_is_used, NULL, "one lease is counted");
    make_lease("b");
    auto_free char *charged = used_of("mixed", LEASES);
    assert_string_equal(charged, "2");
    cluster_delete(&c, &a);
    cluster_until(&c, one_lease_is_used, NULL, "a lease is free again");
    cluster_create(&c, &service,
                   "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{"
                   "\"port\":1}]}}");
    auto_free char *ports = used_of("mixed", "services.nodeports");
    assert_string_equal(ports, "1");
    cluster_patch(&c, &service, "{\"spec\":{\"type\":\"ClusterIP\",\"ports\":[{\"port\":1}]}}");
    for (bool is_free = false; !is_free;) {
        auto_free char *now = used_of("mixed", "services.nodeports");
        is_free = strcmp(now, "0") == 0;
        uv_run(&c.loop, UV_RUN_ONCE);
    }
}

static void on_made(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)code;
    (void)obj;
    assert_null(e);
    --*(unsigned *)arg;
}

/* Made while the quota is new: each is counted or charged, none twice. */
static void nothing_is_missed_in_between(void **state)
{
    enum { MANY = 60 };
    struct local_ref quota = ref("resourcequotas", "new"),
                     secrets = { .resource = "secrets", .ns = "default" };
    json_auto_t *secret = json_of("{'metadata':{'generateName':'s-'}}");
    unsigned n_left = MANY;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        local_create(c.api, &secrets, secret, on_made, &n_left);
        if (i == 10)
            cluster_create(
                &c, &quota,
                "{\"metadata\":{\"name\":\"new\"},\"spec\":{\"hard\":{\"secrets\":\"1k\"}}}");
        uv_run(&c.loop, UV_RUN_NOWAIT);
    }
    while (n_left)
        uv_run(&c.loop, UV_RUN_ONCE);
    for (bool right = false; !right;) {
        auto_free char *used = used_of("new", "secrets");
        right = strcmp(used, "60") == 0;
        uv_run(&c.loop, UV_RUN_ONCE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_counted),
        cmocka_unit_test(the_api_becomes_ready_beside_it),
        cmocka_unit_test(scopes_choose_pods),
        cmocka_unit_test(what_goes_is_free_again),
        cmocka_unit_test(nothing_is_missed_in_between),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

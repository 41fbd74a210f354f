/* Namespaces: what they say while they go, on the real API and store. */
#include "test/unit/server/controller/fixture.h"

#include "server/controller/namespace_left.h"
#include "test/unit/json_text.h"

static struct local_ref namespace_ref(const char *name)
{
    return (struct local_ref){ .resource = "namespaces", .name = name };
}

/* ---- what is said ---- */

static const char *message_of(const json_t *status, const char *type)
{
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, v)
    {
        if (strcmp(json_str_at(v, "type", ""), type) == 0)
            return json_str_at(v, "message", "");
    }
    return "(none)";
}

static void conditions_say_what_is_left(void **state)
{
    struct namespace_left left;
    json_auto_t *status = json_object(),
                *held = json_of("{'metadata':{'finalizers':['b/x','a/y']}}"),
                *free_ = json_of("{'metadata':{}}");

    (void)state;
    namespace_left_init(&left);
    namespace_left_add(&left, "", "pods", held);
    namespace_left_add(&left, "apps", "deployments", free_);
    namespace_left_add(&left, "", "pods", held);
    namespace_left_failed(&left, "list widgets: no");
    namespace_left_failed(&left, "delete maps: never");
    assert_true(namespace_left_conditions(&left, status, "2026-01-01T00:00:00Z"));
    assert_false(namespace_left_conditions(&left, status, "2026-01-01T00:00:05Z"));
    assert_int_equal(left.n_objects, 3);
    assert_int_equal(json_array_size(json_object_get(status, "conditions")), 5);
    assert_string_equal(message_of(status, "NamespaceContentRemaining"),
                        "Some resources are remaining: deployments.apps has 1 resource instances, "
                        "pods. has 2 resource instances");
    assert_string_equal(message_of(status, "NamespaceFinalizersRemaining"),
                        "Some content in the namespace has finalizers remaining: a/y in 2 resource "
                        "instances, b/x in 2 resource instances");
    assert_string_equal(
        message_of(status, "NamespaceDeletionContentFailure"),
        "Failed to delete all resource types, 2 remaining: delete maps: never, list "
        "widgets: no");
    namespace_left_deinit(&left);
    namespace_left_init(&left);
    assert_true(namespace_left_conditions(&left, status, "2026-01-01T00:01:00Z"));
    assert_string_equal(json_str_at(status, "conditions[3].status", ""), "False");
    assert_string_equal(json_str_at(status, "conditions[3].lastTransitionTime", ""),
                        "2026-01-01T00:01:00Z");
    assert_string_equal(json_str_at(status, "conditions[0].lastTransitionTime", ""),
                        "2026-01-01T00:00:00Z");
    namespace_left_deinit(&left);
}

/* ---- what happens ---- */

static void a_namespace_says_what_it_waits_for(void **state)
{
    struct local_ref ns = namespace_ref("waits");
    struct local_ref held = { .resource = "configmaps", .ns = "waits", .name = "held" };
    struct local_ref others[] = {
        { .resource = "secrets", .ns = "waits", .name = "s" },
        { .group = "apps", .resource = "deployments", .ns = "waits", .name = "d" },
        { .group = "policy", .resource = "poddisruptionbudgets", .ns = "waits", .name = "p" },
        { .group = "rbac.authorization.k8s.io", .resource = "roles", .ns = "waits", .name = "r" },
    };
    static const char *const bodies[] = {
        "{\"metadata\":{\"name\":\"s\"}}",
        "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"x\"}},"
        "\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{\"containers\":[{"
        "\"name\":\"c\",\"image\":\"busybox\"}]}}}}",
        "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"minAvailable\":1}}",
        "{\"metadata\":{\"name\":\"r\"}}",
    };

    (void)state;
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"waits\"}}");
    cluster_create(&c, &held, "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"test/hold\"]}}");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cluster_create(&c, &others[i], bodies[i]);
    cluster_delete(&c, &ns);
    cluster_expect(&c, &ns, "status.conditions[3].message",
                   "Some resources are remaining: configmaps. has 1 resource instances");
    cluster_expect(
        &c, &ns, "status.conditions[4].message",
        "Some content in the namespace has finalizers remaining: test/hold in 1 resource "
        "instances");
    cluster_expect(&c, &ns, "status.phase", "Terminating");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cluster_expect(&c, &others[i], NULL, NULL);
    struct cluster_call k = { 0 };
    json_auto_t *map = cluster_json("{\"metadata\":{\"name\":\"late\"}}");
    local_create(c.api, &held, map, cluster_on_call, &k);
    cluster_until(&c, cluster_is_true, &k.done, "create");
    assert_int_equal(k.code, ERR_DENIED);
    assert_string_equal(json_str_at(k.obj, "details.causes[0].reason", ""), "NamespaceTerminating");
    json_decref(k.obj);
    cluster_patch(&c, &held, "{\"metadata\":{\"finalizers\":null}}");
    cluster_expect(&c, &ns, NULL, NULL);
}

static void finalizers_of_others_keep_it(void **state)
{
    struct local_ref ns = namespace_ref("kept"), finalize = namespace_ref("kept");

    (void)state;
    finalize.subresource = "finalize";
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"kept\"}}");
    struct cluster_call k = { 0 };
    json_auto_t *now = cluster_json("{\"metadata\":{\"name\":\"kept\"},\"spec\":{\"finalizers\":["
                                    "\"kubernetes\",\"test/mine\"]}}");
    local_update(c.api, &finalize, now, cluster_on_call, &k);
    cluster_until(&c, cluster_is_true, &k.done, "finalize");
    assert_int_equal(k.code, 0);
    json_decref(k.obj);
    cluster_delete(&c, &ns);
    cluster_expect(&c, &ns, "spec.finalizers[0]", "test/mine");
    cluster_expect(&c, &ns, "status.conditions[3].reason", "ContentRemoved");
    struct cluster_call last = { 0 };
    json_auto_t *none = cluster_json("{\"metadata\":{\"name\":\"kept\"},\"spec\":{}}");
    local_update(c.api, &finalize, none, cluster_on_call, &last);
    cluster_until(&c, cluster_is_true, &last.done, "finalize");
    json_decref(last.obj);
    cluster_expect(&c, &ns, NULL, NULL);
}

static void what_every_cluster_has_comes_back(void **state)
{
    struct local_ref ns = namespace_ref("kube-node-lease");
    struct local_ref account = { .resource = "serviceaccounts",
                                 .ns = "kube-node-lease",
                                 .name = "default" };
    json_auto_t *was = cluster_get(&c, &ns);
    uint64_t until = clock_mono_ms() + 30000;

    (void)state;
    cluster_delete(&c, &ns);
    for (bool again = false; !again;) {
        json_auto_t *is = cluster_get(&c, &ns);

        again = is && strcmp(meta_uid(is), meta_uid(was)) != 0;
        assert_true(clock_mono_ms() < until);
        uv_run(&c.loop, UV_RUN_ONCE);
    }
    cluster_expect(&c, &ns, "status.phase", "Active");
    cluster_expect(&c, &account, "metadata.name", "default");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_say_what_is_left),
        cmocka_unit_test(a_namespace_says_what_it_waits_for),
        cmocka_unit_test(finalizers_of_others_keep_it),
        cmocka_unit_test(what_every_cluster_has_comes_back),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* How many pods a budget lets go: the count, and the controller on the real API and store. */
#include "test/unit/server/controller/fixture.h"

#include "base/data/time.h"
#include "server/controller/disruption.h"
#include "test/unit/json_text.h"

/* ---- the count ---- */

static json_t *pods_of(unsigned n_ready, unsigned n_others)
{
    json_t *pods = json_array();

    for (unsigned i = 0; i < n_ready + n_others; i++) {
        auto_free char *name = mem_printf("p%u", i);

        json_array_append_new(pods, json_pack("{s:{s:s}, s:{s:[{s:s, s:s}]}}", "metadata", "name",
                                              name, "status", "conditions", "type", "Ready",
                                              "status", i < n_ready ? "True" : "False"));
    }
    return pods;
}

static const struct {
    const char *spec;
    unsigned n_ready, n_others;
    int64_t scale;
    int64_t expected, desired, allowed; /* -1: refused */
} counts[] = {
    { "'minAvailable':2", 3, 1, 0, 4, 2, 1 },
    { "'minAvailable':3", 3, 1, 0, 4, 3, 0 },
    { "'minAvailable':5", 3, 1, 0, 4, 5, 0 },
    { "'minAvailable':0", 0, 0, 0, 0, 0, 0 },     /* none expected, none may go */
    { "'minAvailable':'50%'", 3, 0, 5, 5, 3, 0 }, /* rounded up */
    { "'minAvailable':'50%'", 4, 0, 5, 5, 3, 1 },
    { "'minAvailable':'100%'", 2, 0, 2, 2, 2, 0 },
    { "'maxUnavailable':1", 3, 0, 3, 3, 2, 1 },
    { "'maxUnavailable':1", 2, 1, 3, 3, 2, 0 },
    { "'maxUnavailable':9", 2, 0, 3, 3, 0, 2 },
    { "'maxUnavailable':'34%'", 3, 0, 3, 3, 1, 2 }, /* 1.02 is two */
    { "", 3, 0, 0, 0, 0, 0 },
    { "'minAvailable':'many'", 3, 0, 3, -1, 0, 0 },
};

static void budgets_are_counted_as_upstream_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        auto_free char *text =
            mem_printf("{'metadata':{'generation':7},'spec':{%s}}", counts[i].spec);
        json_auto_t *budget = json_of(text), *pods = pods_of(counts[i].n_ready, counts[i].n_others),
                    *status = NULL;
        int64_t until_s;
        struct err e = { 0 };
        int rc = disruption_count(&status, &until_s, budget, pods, counts[i].scale, 1000, &e);

        if (counts[i].expected < 0) {
            assert_int_equal(rc, ERR_INVALID);
            status = NULL;
            continue;
        }
        if (rc || json_i64_at(status, "expectedPods", -1) != counts[i].expected ||
            json_i64_at(status, "desiredHealthy", -1) != counts[i].desired ||
            json_i64_at(status, "disruptionsAllowed", -1) != counts[i].allowed ||
            json_i64_at(status, "currentHealthy", -1) != counts[i].n_ready) {
            auto_free char *got = status ? json_text(status) : mem_strdup(e.text);
            fail_msg("row %zu (%s): %s", i, counts[i].spec, got);
        }
        assert_int_equal(json_i64_at(status, "observedGeneration", 0), 7);
        assert_string_equal(json_str_at(status, "conditions[0].status", ""),
                            counts[i].allowed ? "True" : "False");
        assert_string_equal(json_str_at(status, "conditions[0].reason", ""),
                            counts[i].allowed ? "SufficientPods" : "InsufficientPods");
        assert_int_equal(until_s, 0);
    }
}

static void evicted_pods_do_not_count_until_they_are_overdue(void **state)
{
    json_auto_t *budget = json_of("{'spec':{'minAvailable':1},'status':{'disruptedPods':{'p0':"
                                  "'1970-01-01T00:10:00Z','gone':'1970-01-01T00:10:00Z'}}}"),
                *pods = pods_of(3, 0), *soon = NULL, *late = NULL;
    int64_t until_s;
    struct err e;

    (void)state;
    assert_int_equal(disruption_count(&soon, &until_s, budget, pods, 0, 610, &e), 0);
    assert_int_equal(json_i64_at(soon, "currentHealthy", 0), 2);
    assert_string_equal(json_str_at(soon, "disruptedPods.p0", ""), "1970-01-01T00:10:00Z");
    assert_null(json_at(soon, "disruptedPods.gone"));
    assert_int_equal(until_s, 720);
    assert_int_equal(disruption_count(&late, &until_s, budget, pods, 0, 721, &e), 0);
    assert_int_equal(json_i64_at(late, "currentHealthy", 0), 3);
    assert_null(json_at(late, "disruptedPods"));
    assert_int_equal(until_s, 0);
}

static void what_cannot_be_counted_lets_nothing_go(void **state)
{
    json_auto_t *budget = json_of("{'status':{'disruptionsAllowed':3,'currentHealthy':4}}"),
                *status = disruption_failed(budget, "no idea", 1000);

    (void)state;
    assert_int_equal(json_i64_at(status, "disruptionsAllowed", -1), 0);
    assert_int_equal(json_i64_at(status, "currentHealthy", -1), 4);
    assert_string_equal(json_str_at(status, "conditions[0].reason", ""), "SyncFailed");
    assert_string_equal(json_str_at(status, "conditions[0].message", ""), "no idea");
}

/* ---- the controller ---- */

static struct local_ref ref(const char *group, const char *resource, const char *name)
{
    return (
        struct local_ref){ .group = group, .resource = resource, .ns = "default", .name = name };
}

static void make_pod(const char *name, const char *app, const char *owner_kind, const char *owner,
                     const char *uid)
{
    struct local_ref pod = ref("", "pods", name), status = ref("", "pods", name);
    auto_free char *owners =
        *owner_kind
            ? mem_printf(",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"%s\","
                         "\"name\":\"%s\",\"uid\":\"%s\",\"controller\":true}]",
                         owner_kind, owner, uid)
            : mem_strdup("");
    auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"%s\"}%"
                                      "s},\"spec\":{\"nodeName\":\"n\","
                                      "\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}",
                                      name, app, owners);

    status.subresource = "status";
    cluster_create(&c, &pod, text);
    cluster_patch(
        &c, &status,
        "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":"
        "\"True\"}]}}");
}

static void make_budget(const char *name, const char *app, const char *spec)
{
    struct local_ref budget = ref("policy", "poddisruptionbudgets", name);
    auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s,\"selector\":{"
                                      "\"matchLabels\":{\"app\":\"%s\"}}}}",
                                      name, spec, app);

    cluster_create(&c, &budget, text);
}

struct wanted {
    const char *name, *path;
    int64_t value;
};

static bool has_value(void *arg)
{
    const struct wanted *w = arg;
    struct local_ref budget = ref("policy", "poddisruptionbudgets", w->name);
    json_auto_t *obj = cluster_get(&c, &budget);

    return json_i64_at(obj, w->path, -1) == w->value;
}

static void expect_number(const char *name, const char *path, int64_t value)
{
    struct wanted w = { name, path, value };

    cluster_until(&c, has_value, &w, path);
}

/* Creates it and returns its uid. */
static char *make_workload(const char *resource, const char *name, int replicas,
                           const char *owner_uid)
{
    struct local_ref r = ref("apps", resource, name);
    auto_free char *owners =
        *owner_uid
            ? mem_printf(",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
                         "\"Deployment\",\"name\":\"up\",\"uid\":\"%s\",\"controller\":true}]",
                         owner_uid)
            : mem_strdup("");
    auto_free char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\"%s},\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":"
        "{"
        "\"app\":\"x\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{"
        "\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}}}",
        name, owners, replicas);

    cluster_create(&c, &r, text);
    json_auto_t *made = cluster_get(&c, &r);
    return mem_strdup(meta_uid(made));
}

static void pods_of_nobody_are_counted_as_they_come(void **state)
{
    struct local_ref budget = ref("policy", "poddisruptionbudgets", "plain");
    struct local_ref pod = ref("", "pods", "plain-1");

    (void)state;
    make_budget("plain", "plain", "\"minAvailable\":1");
    cluster_expect(&c, &budget, "status.conditions[0].reason", "InsufficientPods");
    make_pod("plain-0", "plain", "", "", "");
    make_pod("plain-1", "plain", "", "", "");
    make_pod("plain-2", "elsewhere", "", "", "");
    expect_number("plain", "status.disruptionsAllowed", 1);
    expect_number("plain", "status.expectedPods", 2);
    cluster_expect(&c, &budget, "status.conditions[0].status", "True");
    cluster_patch(&c, &budget, "{\"spec\":{\"minAvailable\":2}}");
    expect_number("plain", "status.disruptionsAllowed", 0);
    expect_number("plain", "status.observedGeneration", 2);
    cluster_patch(&c, &pod,
                  "{\"metadata\":{\"labels\":{\"app\":\"other\"}}}"); /* covered no more */
    expect_number("plain", "status.expectedPods", 1);
}

static void shares_are_of_what_the_owners_want(void **state)
{
    struct local_ref scale = ref("apps", "deployments", "up");
    auto_free char *up = make_workload("deployments", "up", 6, "");
    auto_free char *rs = make_workload("replicasets", "rs", 2, up),
                   *old = make_workload("replicasets", "old", 2, up),
                   *alone = make_workload("replicasets", "alone", 4, "");

    (void)state;
    make_pod("share-0", "share", "ReplicaSet", "rs", rs);
    make_pod("share-1", "share", "ReplicaSet", "rs", rs);
    make_pod("share-2", "share", "ReplicaSet", "old", old);
    make_pod("share-3", "share", "ReplicaSet", "alone", alone);
    make_budget("share", "share", "\"maxUnavailable\":\"50%\"");
    expect_number("share", "status.expectedPods", 10); /* the Deployment's 6, once, and 4 */
    expect_number("share", "status.desiredHealthy", 5);
    expect_number("share", "status.disruptionsAllowed", 0);
    cluster_patch(&c, &scale, "{\"spec\":{\"replicas\":2}}");
    make_pod("share-4", "share", "ReplicaSet", "alone", alone);
    expect_number("share", "status.expectedPods", 6);
    expect_number("share", "status.disruptionsAllowed", 2);
}

static void an_owner_without_a_scale_fails_the_count(void **state)
{
    struct local_ref budget = ref("policy", "poddisruptionbudgets", "lost");
    struct local_ref daemon = ref("apps", "daemonsets", "d");

    (void)state;
    cluster_create(
        &c, &daemon,
        "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":"
        "\"x\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{"
        "\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}}}");
    json_auto_t *made = cluster_get(&c, &daemon);
    make_pod("lost-0", "lost", "DaemonSet", "d", meta_uid(made));
    make_budget("lost", "lost", "\"maxUnavailable\":1");
    cluster_expect(&c, &budget, "status.conditions[0].reason", "SyncFailed");
    cluster_expect(&c, &budget, "status.conditions[0].message",
                   "daemonsets.apps does not implement the scale subresource");
}

static void a_disruption_that_did_not_happen_is_taken_back(void **state)
{
    struct local_ref pod = ref("", "pods", "stale"), status = ref("", "pods", "stale");

    (void)state;
    status.subresource = "status";
    make_pod("stale", "nobody", "", "", "");
    cluster_patch(&c, &status,
                  "{\"status\":{\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\","
                  "\"reason\":\"EvictionByEvictionAPI\",\"lastTransitionTime\":"
                  "\"2020-01-01T00:00:00Z\"}]}}");
    cluster_expect(&c, &pod, "status.conditions[0].status", "False");
    json_auto_t *now = cluster_get(&c, &pod);
    assert_string_equal(json_str_at(now, "status.conditions[0].reason", ""), "");
}

static void a_condition_is_stale_after_two_minutes(void **state)
{
    static const struct {
        const char *phase, *reason;
        int64_t at_s;
    } rows[] = {
        { "Running", "EvictionByEvictionAPI", 720 },
        { "Running", "TerminationByKubelet", 0 }, /* may take as long as it likes */
        { "Failed", "EvictionByEvictionAPI", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            mem_printf("{'status':{'phase':'%s','conditions':[{'type':'DisruptionTarget','status':"
                       "'True','reason':'%s','lastTransitionTime':'1970-01-01T00:10:00Z'}]}}",
                       rows[i].phase, rows[i].reason);
        json_auto_t *pod = json_of(text);

        assert_int_equal(disruption_stale_at(pod), rows[i].at_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_are_counted_as_upstream_counts),
        cmocka_unit_test(evicted_pods_do_not_count_until_they_are_overdue),
        cmocka_unit_test(what_cannot_be_counted_lets_nothing_go),
        cmocka_unit_test(a_condition_is_stale_after_two_minutes),
        cmocka_unit_test(a_disruption_that_did_not_happen_is_taken_back),
        cmocka_unit_test(pods_of_nobody_are_counted_as_they_come),
        cmocka_unit_test(shares_are_of_what_the_owners_want),
        cmocka_unit_test(an_owner_without_a_scale_fails_the_count),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

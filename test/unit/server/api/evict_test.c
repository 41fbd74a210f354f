/* Evictions against budgets whose status the test writes. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <stdio.h>

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

/* ---- a namespace with pods and budgets ---- */

static char ns[32];

static void fresh_namespace(void)
{
    static int n;

    snprintf(ns, sizeof ns, "evict-%d", n++);
    auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"%s\"}}", ns);
    expect(ask(&h, "POST", "/api/v1/namespaces", body), 201, NULL, NULL);
}

static struct answer on_pod(const char *method, const char *name, const char *rest,
                            const char *body)
{
    auto_free char *target =
        mem_printf("/api/v1/namespaces/%s/pods%s%s%s", ns, *name ? "/" : "", name, rest);

    return ask(&h, method, target, body);
}

static struct answer on_budget(const char *method, const char *name, const char *rest,
                               const char *body)
{
    auto_free char *target = mem_printf("/apis/policy/v1/namespaces/%s/poddisruptionbudgets%s%s%s",
                                        ns, *name ? "/" : "", name, rest);

    return ask(&h, method, target, body);
}

static void make_pod(const char *name, const char *phase, bool ready)
{
    auto_free char *body = mem_printf(
        "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"x\"}},\"spec\":{\"nodeName\":\"n\","
        "\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}",
        name);
    auto_free char *status = mem_printf(
        "{\"status\":{\"phase\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
        phase, ready ? "True" : "False");

    expect(on_pod("POST", "", "", body), 201, NULL, NULL);
    expect(on_pod("PATCH", name, "/status", status), 200, NULL, NULL);
}

static void make_budget(const char *name, const char *spec, const char *status)
{
    auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}", name, spec);
    auto_free char *patch = mem_printf("{\"status\":%s}", status);

    expect(on_budget("POST", "", "", body), 201, NULL, NULL);
    if (*status)
        expect(on_budget("PATCH", name, "/status", patch), 200, NULL, NULL);
}

static struct answer evict(const char *name, const char *rest, const char *options)
{
    auto_free char *body = mem_printf("{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\","
                                      "\"metadata\":{\"name\":\"%s\"}%s%s}",
                                      name, *options ? ",\"deleteOptions\":" : "", options);
    auto_free char *what = mem_printf("/eviction%s", rest);

    return on_pod("POST", name, what, body);
}

#define COVERS_X "\"selector\":{\"matchLabels\":{\"app\":\"x\"}}"
#define STATUS(allowed_, current_, desired_)                                                       \
    "{\"observedGeneration\":1,\"disruptionsAllowed\":" allowed_ ",\"currentHealthy\":" current_   \
    ",\"desiredHealthy\":" desired_ ",\"expectedPods\":3}"

static void who_has_no_budget_goes(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    make_budget("other", "\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"app\":\"y\"}}",
                STATUS("0", "1", "1"));
    make_budget("none", "\"minAvailable\":1", STATUS("0", "1", "1")); /* no selector covers none */
    auto_answer a = evict("p", "", "{\"gracePeriodSeconds\":7}");
    assert_int_equal(a.code, 201);
    assert_string_equal(at(&a, "status"), "Success");
    auto_answer p = on_pod("GET", "p", "", NULL);
    assert_int_equal(json_i64_at(p.doc, "metadata.deletionGracePeriodSeconds", 0), 7);
    bool first = strcmp(at(&p, "status.conditions[0].type"), "DisruptionTarget") == 0;
    assert_string_equal(
        at(&p, first ? "status.conditions[0].reason" : "status.conditions[1].reason"),
        "EvictionByEvictionAPI");
}

static void a_budget_gives_one_and_remembers_whom(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    make_pod("q", "Running", true);
    make_budget("b", "\"minAvailable\":1," COVERS_X, STATUS("1", "2", "1"));
    expect(evict("p", "?dryRun=All", ""), 201, NULL, NULL);
    expect(on_pod("GET", "p", "", NULL), 200, "metadata.deletionTimestamp", "");
    expect(evict("p", "", ""), 201, "status", "Success");
    auto_answer b = on_budget("GET", "b", "", NULL);
    assert_int_equal(json_i64_at(b.doc, "status.disruptionsAllowed", -1), 0);
    assert_true(*at(&b, "status.disruptedPods.p") != '\0');
    assert_string_equal(at(&b, "status.conditions[0].reason"), "InsufficientPods");
    auto_answer no = evict("q", "", "");
    assert_int_equal(no.code, 429);
    assert_string_equal(at(&no, "reason"), "TooManyRequests");
    assert_string_equal(at(&no, "message"),
                        "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_string_equal(at(&no, "details.causes[0].reason"), "DisruptionBudget");
    assert_string_equal(at(&no, "details.causes[0].message"),
                        "The disruption budget b needs 1 healthy pods and has 2 currently");
    assert_null(json_at(no.doc, "details.retryAfterSeconds"));
    expect(on_pod("GET", "q", "", NULL), 200, "metadata.deletionTimestamp", "");
}

static void old_clients_evict_too(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    expect(on_pod("POST", "p", "/eviction",
                  "{\"apiVersion\":\"policy/v1beta1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":"
                  "\"p\"}}"),
           201, "status", "Success");
    expect(on_pod("POST", "p", "/eviction",
                  "{\"apiVersion\":\"policy/v2\",\"kind\":\"Eviction\",\"metadata\":{\"name\":"
                  "\"p\"}}"),
           400, NULL, NULL);
}

static void a_budget_that_was_not_counted_yet_asks_to_wait(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    make_budget("b", "\"minAvailable\":1," COVERS_X, "");
    auto_answer a = evict("p", "", "");
    assert_int_equal(a.code, 429);
    assert_int_equal(json_i64_at(a.doc, "details.retryAfterSeconds", 0), 10);
    assert_string_equal(at(&a, "details.causes[0].message"),
                        "The disruption budget b is still being processed by the server.");
}

static void several_budgets_are_one_too_many(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    make_budget("a", "\"minAvailable\":1," COVERS_X, STATUS("1", "2", "1"));
    make_budget("b", "\"minAvailable\":1,\"selector\":{}", STATUS("1", "2", "1"));
    expect(evict("p", "", ""), 500, "message",
           "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
           "not support.");
}

static void pods_that_do_not_run_ask_no_budget(void **state)
{
    static const char *const phases[] = { "Succeeded", "Failed", "Pending" };

    (void)state;
    fresh_namespace();
    make_budget("b", "\"minAvailable\":1," COVERS_X, STATUS("0", "0", "1"));
    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        make_pod("p", phases[i], false);
        expect(evict("p", "", "{\"gracePeriodSeconds\":0}"), 201, NULL, NULL);
        expect(on_pod("GET", "p", "", NULL), 404, NULL, NULL);
    }
}

static void pods_that_are_not_ready_go_as_the_policy_says(void **state)
{
    static const struct {
        const char *policy, *status;
        int code;
    } rows[] = {
        { "", STATUS("0", "1", "1"), 201 }, /* enough are healthy without it */
        { "", STATUS("0", "0", "1"), 429 },
        { "", STATUS("0", "0", "0"), 429 },
        { "\"unhealthyPodEvictionPolicy\":\"IfHealthyBudget\",", STATUS("0", "0", "1"), 429 },
        { "\"unhealthyPodEvictionPolicy\":\"AlwaysAllow\",", STATUS("0", "0", "1"), 201 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *spec = mem_printf("\"minAvailable\":1,%s" COVERS_X, rows[i].policy);

        fresh_namespace();
        make_pod("p", "Running", false);
        make_budget("b", spec, rows[i].status);
        expect(evict("p", "", ""), rows[i].code, NULL, NULL);
        auto_answer b = on_budget("GET", "b", "", NULL);
        assert_null(json_at(b.doc, "status.disruptedPods")); /* it cost the budget nothing */
    }
}

static void preconditions_hold(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    expect(evict("p", "", "{\"preconditions\":{\"uid\":\"other\"}}"), 409, "reason", "Conflict");
    expect(evict("p", "", "{\"preconditions\":{\"resourceVersion\":\"1\"}}"), 409, NULL, NULL);
    expect(on_pod("GET", "p", "", NULL), 200, "metadata.deletionTimestamp", "");
    auto_answer p = on_pod("GET", "p", "", NULL);
    auto_free char *options =
        mem_printf("{\"preconditions\":{\"uid\":\"%s\",\"resourceVersion\":\"%s\"}}",
                   at(&p, "metadata.uid"), at(&p, "metadata.resourceVersion"));
    expect(evict("p", "", options), 201, NULL, NULL);
}

static void wrong_evictions_are_refused(void **state)
{
    (void)state;
    fresh_namespace();
    make_pod("p", "Running", true);
    expect(on_pod("POST", "p", "/eviction", "{\"metadata\":{\"name\":\"q\"}}"), 400, "message",
           "name in URL does not match name in Eviction object");
    expect(on_pod("POST", "p", "/eviction", "{\"kind\":\"Pod\"}"), 400, NULL, NULL);
    expect(evict("none", "", ""), 404, "message", "pods \"none\" not found");
    expect(on_pod("GET", "p", "/eviction", NULL), 405, NULL, NULL);
    auto_free char *target = mem_printf("/api/v1/namespaces/%s/pods/p/eviction", ns);
    expect(ask_as(&h, "system:node:m+system:nodes", "POST", target, "application/json", NULL,
                  "{\"metadata\":{\"name\":\"p\"}}"),
           403, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_no_budget_goes),
        cmocka_unit_test(a_budget_gives_one_and_remembers_whom),
        cmocka_unit_test(old_clients_evict_too),
        cmocka_unit_test(a_budget_that_was_not_counted_yet_asks_to_wait),
        cmocka_unit_test(several_budgets_are_one_too_many),
        cmocka_unit_test(pods_that_do_not_run_ask_no_budget),
        cmocka_unit_test(pods_that_are_not_ready_go_as_the_policy_says),
        cmocka_unit_test(preconditions_hold),
        cmocka_unit_test(wrong_evictions_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

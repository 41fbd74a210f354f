/* What a pod is born with, and what its subresources may change, over HTTP. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "test/unit/json_text.h"

#include <stdio.h>

#define PODS "/api/v1/namespaces/default/pods"

static struct answer call(const char *method, const char *target, const char *body)
{
    auto_free char *text = real_quotes(body);

    return ask(&h, method, target, text);
}

/* A pod with one container, and with more in its spec (a comma before it). */
static struct answer make(const char *name, const char *more)
{
    auto_free char *body = mem_printf("{'metadata':{'name':'%s','labels':{'app':'web'}},'spec':{"
                                      "'containers':[{'name':'c','image':'i:1'}]%s}}",
                                      name, more);
    return call("POST", PODS, body);
}

static void expect(struct answer a, int code, const char *path, const char *value)
{
    if (a.code != code || (path && strcmp(json_str_at(a.doc, path, ""), value) != 0))
        fail_msg("want %d %s=%s, got %d: %s", code, path ? path : "", value ? value : "", a.code,
                 buf_cstr(&a.body));
    answer_deinit(&a);
}

static void a_pod_begins_pending_with_its_class(void **state)
{
    (void)state;
    expect(make("plain", ",'status':null"), 201, "status.phase", "Pending");
    expect(ask(&h, "GET", PODS "/plain", NULL), 200, "status.qosClass", "BestEffort");
    expect(make("gated", ",'schedulingGates':[{'name':'g'}]"), 201, "status.conditions[0].reason",
           "SchedulingGated");
}

/* strategy.go, applyMatchLabelKeysAndMismatchLabelKeys */
static void keys_of_affinity_get_the_pods_values(void **state)
{
    (void)state;
    auto_answer a = make("keys", ",'affinity':{'podAffinity':{"
                                 "'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':"
                                 "'zone','labelSelector':{},'matchLabelKeys':['app','none'],"
                                 "'mismatchLabelKeys':['other']}]}}");
    json_auto_t *want = json_of("[{'key':'app','operator':'In','values':['web']}]");

    assert_int_equal(a.code, 201);
    assert_true(json_equal(json_at(a.doc, "spec.affinity.podAffinity."
                                          "requiredDuringSchedulingIgnoredDuringExecution[0]."
                                          "labelSelector.matchExpressions"),
                           want));
}

static void ephemeral_containers_come_by_their_subresource(void **state)
{
#define DEBUG PODS "/debug/ephemeralcontainers"
    (void)state;
    expect(make("debug", ""), 201, NULL, NULL);
    expect(
        call("PATCH", PODS "/debug", "{'spec':{'ephemeralContainers':[{'name':'d','image':'i'}]}}"),
        422, "details.causes[0].field", "spec");
    /* what else the body says is not looked at */
    expect(call("PATCH", DEBUG,
                "{'metadata':{'labels':{'a':'b'}},'spec':{'hostname':'x','ephemeralContainers':[{"
                "'name':'d','image':'i','targetContainerName':'c'}]}}"),
           200, "spec.ephemeralContainers[0].imagePullPolicy", "Always");
    auto_answer a = ask(&h, "GET", PODS "/debug", NULL);
    assert_string_equal(json_str_at(a.doc, "spec.ephemeralContainers[0].name", ""), "d");
    assert_null(json_at(a.doc, "spec.hostname"));
    assert_null(json_at(a.doc, "metadata.labels.a"));
    expect(call("PATCH", DEBUG, "{'spec':{'ephemeralContainers':[{'name':'d','image':'j'}]}}"), 422,
           "details.causes[0].field", "spec.ephemeralContainers");
    expect(call("PATCH", DEBUG,
                "{'spec':{'ephemeralContainers':[{'name':'e','image':'i','ports':[{"
                "'containerPort':1}]}]}}"),
           422, "reason", "Invalid");
}

static void a_status_has_both_forms_of_an_address(void **state)
{
    (void)state;
    expect(make("ip", ""), 201, NULL, NULL);
    expect(call("PATCH", PODS "/ip/status", "{'status':{'podIP':'10.42.0.5'}}"), 200,
           "status.podIPs[0].ip", "10.42.0.5");
    expect(
        call("PATCH", PODS "/ip/status", "{'status':{'podIP':null,'podIPs':[{'ip':'10.42.0.6'}]}}"),
        200, "status.podIP", "10.42.0.6");
    expect(call("PATCH", PODS "/ip/status", "{'status':{'qosClass':'Guaranteed'}}"), 422,
           "details.causes[0].field", "status.qosClass");
}

static void a_claims_sources_say_the_same(void **state)
{
    (void)state;
    expect(call("POST", "/api/v1/namespaces/default/persistentvolumeclaims",
                "{'metadata':{'name':'c'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{"
                "'requests':{'storage':'1Gi'}},'dataSource':{'kind':'PersistentVolumeClaim','name':"
                "'a'}}}"),
           201, "spec.dataSourceRef.name", "a");
}

static void what_is_hardly_meant_is_told(void **state)
{
    auto_answer made = make("odd", ",'terminationGracePeriodSeconds':-1");
    auto_answer labelled = call("PATCH", PODS "/odd", "{'metadata':{'labels':{'a':'b'}}}");
    auto_answer fine = make("even", "");

    (void)state;
    assert_int_equal(made.code, 201);
    assert_string_equal(made.warning,
                        "299 - \"spec.terminationGracePeriodSeconds: must be >= 0; negative values "
                        "are invalid and will be treated as 1\"");
    assert_int_equal(labelled.code, 200);
    assert_string_equal(labelled.warning, "");
    assert_string_equal(fine.warning, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_begins_pending_with_its_class),
        cmocka_unit_test(keys_of_affinity_get_the_pods_values),
        cmocka_unit_test(ephemeral_containers_come_by_their_subresource),
        cmocka_unit_test(a_status_has_both_forms_of_an_address),
        cmocka_unit_test(a_claims_sources_say_the_same),
        cmocka_unit_test(what_is_hardly_meant_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* What objects use of quotas: rows after pkg/quota/v1/evaluator/core's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/quota.h"
#include "test/unit/json_text.h"

#define POD(spec) "{'spec':{'containers':[{'name':'c'" spec "]}}"
#define BOUND                                                                                      \
    ",'resources':{'requests':{'cpu':'250m','memory':'1Gi','example.com/"                          \
    "gpu':'2','hugepages-2Mi':'4Mi'},'limits':{'cpu':'1'}}}"

static const struct {
    const char *resource, *object, *hard, *used;
} uses[] = {
    { "pods", POD(BOUND), "'pods','cpu','requests.cpu','limits.cpu','requests.memory','count/pods'",
      "{'pods':'1','cpu':'250m','requests.cpu':'250m','limits.cpu':'1','requests.memory':'1Gi',"
      "'count/pods':'1'}" },
    { "pods", POD(BOUND), "'requests.example.com/gpu','hugepages-2Mi','requests.hugepages-2Mi'",
      "{'requests.example.com/gpu':'2','hugepages-2Mi':'4Mi','requests.hugepages-2Mi':'4Mi'}" },
    { "pods", "{'spec':{'overhead':{'cpu':'1'},'containers':[{'name':'c'" BOUND "]}}",
      "'requests.cpu','limits.cpu'", "{'requests.cpu':'1250m','limits.cpu':'2'}" },
    { "pods", "{'status':{'phase':'Succeeded'},'spec':{'containers':[{'name':'c'" BOUND "]}}",
      "'pods','cpu','count/pods'", "{'pods':'0','cpu':'0','count/pods':'1'}" },
    { "pods",
      "{'metadata':{'deletionTimestamp':'1970-01-01T00:10:00Z','deletionGracePeriodSeconds':30},"
      "'spec':{'containers':[{'name':'c'" BOUND "]}}",
      "'pods'", "{'pods':'0'}" },
    { "services", "{'spec':{'type':'ClusterIP','ports':[{'port':1}]}}",
      "'services','services.nodeports','services.loadbalancers'",
      "{'services':'1','services.nodeports':'0','services.loadbalancers':'0'}" },
    { "services", "{'spec':{'type':'NodePort','ports':[{'port':1},{'port':2}]}}",
      "'services','services.nodeports'", "{'services':'1','services.nodeports':'2'}" },
    { "services", "{'spec':{'type':'LoadBalancer','ports':[{'port':1},{'port':2}]}}",
      "'services.nodeports','services.loadbalancers'",
      "{'services.nodeports':'2','services.loadbalancers':'1'}" },
    { "services",
      "{'spec':{'type':'LoadBalancer','allocateLoadBalancerNodePorts':false,'ports':[{'port':1},{"
      "'port':2,'nodePort':30000}]}}",
      "'services.nodeports'", "{'services.nodeports':'1'}" },
    { "persistentvolumeclaims",
      "{'spec':{'storageClassName':'gold','resources':{'requests':{'storage':'10Gi'}}}}",
      "'persistentvolumeclaims','requests.storage',"
      "'gold.storageclass.storage.k8s.io/requests.storage',"
      "'gold.storageclass.storage.k8s.io/persistentvolumeclaims',"
      "'tin.storageclass.storage.k8s.io/persistentvolumeclaims'",
      "{'persistentvolumeclaims':'1','requests.storage':'10Gi',"
      "'gold.storageclass.storage.k8s.io/requests.storage':'10Gi',"
      "'gold.storageclass.storage.k8s.io/persistentvolumeclaims':'1',"
      "'tin.storageclass.storage.k8s.io/persistentvolumeclaims':'0'}" },
    { "persistentvolumeclaims",
      "{'spec':{'resources':{'requests':{'storage':'1500m'}}},'status':{'allocatedResources':{"
      "'storage':'3'}}}",
      "'requests.storage'", "{'requests.storage':'3'}" },
    { "secrets", "{}", "'secrets','count/secrets','configmaps'",
      "{'secrets':'1','count/secrets':'1'}" },
    { "jobs.batch", "{}", "'count/jobs.batch','count/jobs'", "{'count/jobs.batch':'1'}" },
};

static json_t *quota_of(const char *hard_names)
{
    auto_free char *text = mem_printf("[%s]", hard_names);
    json_auto_t *names = json_of(text);
    json_t *hard = json_object(), *v;
    size_t i;

    json_array_foreach(names, i, v)
        json_object_set_new(hard, json_string_value(v), json_string("9"));
    return json_pack("{s:{s:o}}", "spec", "hard", hard);
}

static void objects_use_what_upstream_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        json_auto_t *quota = quota_of(uses[i].hard), *obj = json_of(uses[i].object),
                    *used = json_object(), *want = json_of(uses[i].used);

        quota_begin(used, json_at(quota, "spec.hard"), uses[i].resource);
        quota_use(used, uses[i].resource, obj, 1000);
        if (!json_equal(used, want)) {
            auto_free char *got = json_text(used);
            fail_msg("row %zu: %s", i, got);
        }
    }
}

static void amounts_are_added(void **state)
{
    json_auto_t *quota = quota_of("'requests.memory','pods'"), *used = json_object(),
                *pod = json_of(POD(BOUND)), *want = json_of("{'requests.memory':'3Gi','pods':'3'}");

    (void)state;
    quota_begin(used, json_at(quota, "spec.hard"), "pods");
    for (size_t i = 0; i < 3; i++)
        quota_use(used, "pods", pod, 0);
    assert_true(json_equal(used, want));
}

static const struct {
    const char *resource, *quota, *pod;
    bool covers;
} scopes[] = {
    { "pods", "{}", "{}", true },
    { "services", "{}", "{}", true },
    { "services", "{'scopes':['Terminating']}", "{}", false },
    { "pods", "{'scopes':['Terminating']}", "{'activeDeadlineSeconds':1}", true },
    { "pods", "{'scopes':['Terminating']}", "{}", false },
    { "pods", "{'scopes':['NotTerminating']}", "{}", true },
    { "pods", "{'scopes':['BestEffort']}", "{'containers':[{'name':'c'}]}", true },
    { "pods", "{'scopes':['NotBestEffort']}", "{'containers':[{'name':'c'}]}", false },
    { "pods", "{'scopes':['BestEffort','Terminating']}", "{'containers':[{'name':'c'}]}", false },
    { "pods", "{'scopes':['PriorityClass']}", "{'priorityClassName':'high'}", true },
    { "pods", "{'scopes':['PriorityClass']}", "{}", false },
    { "pods", "{'scopes':['CrossNamespacePodAffinity']}", "{}", false },
    { "pods", "{'scopes':['CrossNamespacePodAffinity']}",
      "{'affinity':{'podAntiAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{"
      "'podAffinityTerm':{'namespaceSelector':{}}}]}}}",
      true },
#define CLASS(op, values)                                                                          \
    "{'scopeSelector':{'matchExpressions':[{'scopeName':'PriorityClass','operator':'" op           \
    "'" values "}]}}"
    { "pods", CLASS("In", ",'values':['high','low']"), "{'priorityClassName':'high'}", true },
    { "pods", CLASS("In", ",'values':['low']"), "{'priorityClassName':'high'}", false },
    { "pods", CLASS("In", ",'values':['low']"), "{}", false },
    { "pods", CLASS("NotIn", ",'values':['low']"), "{'priorityClassName':'high'}", true },
    { "pods", CLASS("NotIn", ",'values':['high']"), "{'priorityClassName':'high'}", false },
    { "pods", CLASS("NotIn", ",'values':['high']"), "{}", true },
    { "pods", CLASS("Exists", ""), "{'priorityClassName':'high'}", true },
    { "pods", CLASS("DoesNotExist", ""), "{'priorityClassName':'high'}", false },
    { "pods", CLASS("DoesNotExist", ""), "{}", true },
};

static void scopes_are_of_pods(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        auto_free char *quota_text = mem_printf("{'spec':%s}", scopes[i].quota),
                       *pod_text = mem_printf("{'spec':%s}", scopes[i].pod);
        json_auto_t *quota = json_of(quota_text), *pod = json_of(pod_text);

        if (quota_covers(quota, scopes[i].resource, pod) != scopes[i].covers)
            fail_msg("row %zu", i);
    }
}

static void names_say_whose_objects_count(void **state)
{
    static const char *const rows[][2] = {
        { "pods", "pods" },
        { "requests.cpu", "pods" },
        { "limits.ephemeral-storage", "pods" },
        { "hugepages-1Gi", "pods" },
        { "requests.example.com/gpu", "pods" },
        { "services.nodeports", "services" },
        { "requests.storage", "persistentvolumeclaims" },
        { "a.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims" },
        { "count/widgets.example.com", "widgets.example.com" },
        { "count/events", NULL },
        { "count/events.events.k8s.io", NULL },
        { "limits.example.com/gpu", NULL },
        { "unknown", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = quota_counts(rows[i][0]);
        if (rows[i][1] ? !got || strcmp(got, rows[i][1]) != 0 : got != NULL)
            fail_msg("%s counts %s", rows[i][0], got ? got : "nothing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_use_what_upstream_counts),
        cmocka_unit_test(amounts_are_added),
        cmocka_unit_test(scopes_are_of_pods),
        cmocka_unit_test(names_say_whose_objects_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

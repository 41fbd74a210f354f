/* autoscaling/v2, rule by rule: pkg/apis/autoscaling/validation and v2/defaults.go, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define BASE(metrics)                                                                              \
    "{'metadata':{'name':'x','namespace':'default'},'spec':{'scaleTargetRef':{'kind':'Deployment'" \
    ",'name':'web','apiVersion':'apps/v1'},'maxReplicas':5" metrics "}}"

static const struct rule_base scaler = { "autoscaling/v2", "HorizontalPodAutoscaler", BASE("") };

static void scalers_have_bounds_and_a_target(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* validateHorizontalPodAutoscalerSpec */
        { "{'spec':{'minReplicas':0}}",
          "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1" },
        { "{'spec':{'maxReplicas':0}}",
          "spec.maxReplicas: Invalid value: 0: must be greater than 0\n"
          "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`" },
        { "{'spec':{'minReplicas':7}}",
          "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`" },
        /* ValidateCrossVersionObjectReference */
        { "{'spec':{'scaleTargetRef':{'kind':'','name':'a/b'}}}",
          "spec.scaleTargetRef.kind: Required value\n"
          "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'" },
    };
    static const struct rule_row status[] = {
        { "{'status':{'currentReplicas':-1,'desiredReplicas':1}}",
          "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0" },
    };
    (void)state;
    expect_create(&scaler, rows, ARRAY_LEN(rows));
    expect_status(&scaler, status, ARRAY_LEN(status));
}

static void metrics_have_one_source_and_a_target(void **state)
{
#define METRIC(text) "{'spec':{'metrics':[{" text "}]}}"
#define AT           "spec.metrics[0]"
#define CPU(target)  "'type':'Resource','resource':{'name':'cpu','target':{" target "}}"
    static const struct rule_row rows[] = {
        { METRIC(CPU("'type':'Utilization','averageUtilization':50")), "" },
        { METRIC("'type':'Pods','pods':{'metric':{'name':'rps'},'target':{'type':'AverageValue',"
                 "'averageValue':'10'}}"),
          "" },
        { METRIC("'type':'Object','object':{'describedObject':{'kind':'Ingress','name':'x'},"
                 "'metric':{'name':'rps'},'target':{'type':'Value','value':'10'}}"),
          "" },
        { METRIC("'type':'External','external':{'metric':{'name':'q'},'target':{'type':'Value',"
                 "'value':'10'}}"),
          "" },
        { METRIC("'type':'ContainerResource','containerResource':{'name':'cpu','container':'c',"
                 "'target':{'type':'Utilization','averageUtilization':50}}"),
          "" },
        /* validateMetricSpec */
        { METRIC("'type':'Magic'"),
          AT ".type: Unsupported value: \"Magic\": supported values: \"ContainerResource\", "
             "\"External\", \"Object\", \"Pods\", \"Resource\"\n" AT
             ".type: Unsupported value: \"Magic\": supported values: \"ContainerResource\", "
             "\"External\", \"Object\", \"Pods\", \"Resource\"" },
        { METRIC("'type':'Pods'"),
          AT ".pods: Required value: must populate information for the given metric source" },
        { METRIC("'type':'Pods',"
                 "'resource':{'name':'cpu','target':{'type':'Utilization',"
                 "'averageUtilization':50}},'pods':{'metric':{'name':'r'},'target':{'type':"
                 "'AverageValue','averageValue':'1'}}"),
          AT ".resource: Forbidden: must populate the given metric source only" },
        /* validateResourceSource */
        { METRIC(CPU("'type':'Utilization'")),
          AT ".resource.target.averageUtilization: Required value: must set either a target raw "
             "value or a target utilization" },
        { METRIC(CPU("'type':'Utilization','averageUtilization':50,'averageValue':'1'")),
          AT ".resource.target.averageValue: Forbidden: may not set both a target raw value and a "
             "target utilization" },
        { METRIC("'type':'ContainerResource','containerResource':{'name':'cpu','container':'',"
                 "'target':{'type':'Utilization','averageUtilization':50}}"),
          AT ".containerResource.container: Required value: must specify a container" },
        /* validateMetricTarget */
        { METRIC(CPU("'type':'Some','averageUtilization':0")), AT
          ".resource.target.type: Invalid value: \"Some\": must be either Utilization, Value, or "
          "AverageValue\n" AT
          ".resource.target.averageUtilization: Invalid value: 0: must be greater than 0" },
        { METRIC("'type':'External','external':{'metric':{'name':''},'target':{'type':'Value',"
                 "'value':'-1','averageValue':'0'}}"),
          AT ".external.metric.name: Required value: must specify a metric name\n" AT
             ".external.target.value: Invalid value: \"-1\": must be positive\n" AT
             ".external.target.averageValue: Invalid value: \"0\": must be positive\n" AT
             ".external.target.value: Forbidden: may not set both a target value for metric and a "
             "per-pod target" },
        { METRIC("'type':'Pods','pods':{'metric':{'name':'r'},'target':{'type':'Value','value':'1'}"
                 "}"),
          AT ".pods.target.averageValue: Required value: must specify a positive target "
             "averageValue" },
        { METRIC("'type':'Object','object':{'describedObject':{'kind':'I','name':'x'},'metric':{"
                 "'name':'r'},'target':{'type':'Value'}}"),
          AT ".object.target.averageValue: Required value: must set either a target value or "
             "averageValue" },
    };
    (void)state;
    expect_create(&scaler, rows, ARRAY_LEN(rows));
}

static void behaviours_are_bounded(void **state)
{
    static const struct rule_row rows[] = {
        { "{'spec':{'behavior':{'scaleUp':{'stabilizationWindowSeconds':3600}}}}", "" },
        /* validateScalingRules */
        { "{'spec':{'behavior':{'scaleDown':{'stabilizationWindowSeconds':3601,'selectPolicy':"
          "'All'}}}}",
          "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less "
          "than or equal to 3600\n"
          "spec.behavior.scaleDown.selectPolicy: Unsupported value: \"All\": supported values: "
          "\"Disabled\", \"Max\", \"Min\"" },
        /* validateScalingPolicy */
        { "{'spec':{'behavior':{'scaleUp':{'policies':[{'type':'Nodes','value':0,'periodSeconds':"
          "1801}]}}}}",
          "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"Nodes\": supported values: "
          "\"Percent\", \"Pods\"\n"
          "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero\n"
          "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than "
          "or equal to 1800" },
    };
    (void)state;
    expect_create(&scaler, rows, ARRAY_LEN(rows));
}

static void scalers_get_upstreams_defaults(void **state)
{
    static const struct rule_base behaved = { "autoscaling/v2", "HorizontalPodAutoscaler",
                                              BASE(",'behavior':{'scaleDown':{'selectPolicy':"
                                                   "'Min'}}") };
    (void)state;

    expect_defaults(&scaler, "spec",
                    "{'scaleTargetRef':{'kind':'Deployment','name':'web','apiVersion':'apps/v1'},"
                    "'maxReplicas':5,'minReplicas':1,'metrics':[{'type':'Resource','resource':{"
                    "'name':'cpu','target':{'type':'Utilization','averageUtilization':80}}}]}");
    expect_defaults(&behaved, "spec.behavior",
                    "{'scaleUp':{'stabilizationWindowSeconds':0,'selectPolicy':'Max','policies':[{"
                    "'type':'Pods','value':4,'periodSeconds':15},{'type':'Percent','value':100,"
                    "'periodSeconds':15}]},'scaleDown':{'selectPolicy':'Min','policies':[{'type':"
                    "'Percent','value':100,'periodSeconds':15}]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalers_have_bounds_and_a_target),
        cmocka_unit_test(metrics_have_one_source_and_a_target),
        cmocka_unit_test(behaviours_are_bounded),
        cmocka_unit_test(scalers_get_upstreams_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

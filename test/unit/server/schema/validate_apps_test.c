/* apps/v1, rule by rule: pkg/apis/apps/validation, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define META "'metadata':{'name':'web','namespace':'default'}"
#define TEMPLATE                                                                                   \
    "'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':["                       \
    "{'name':'c','image':'i'}]}}"
#define SELECTOR "'selector':{'matchLabels':{'app':'web'}}"
#define MISMATCH                                                                                   \
    "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: "           \
    "`selector` "                                                                                  \
    "does not match template `labels`"

static const struct rule_base deployment = { "apps/v1", "Deployment",
                                             "{" META ",'spec':{" SELECTOR "," TEMPLATE "}}" };

static void deployments_are_checked(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateDeploymentSpec: replicas, minReadySeconds, revisionHistoryLimit */
        { "{'spec':{'replicas':-1}}",
          "spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'minReadySeconds':-1}}",
          "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'revisionHistoryLimit':-1}}",
          "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'revisionHistoryLimit':0,'replicas':0}}", "" },
        /* selector */
        { "{'spec':{'selector':null}}", "spec.selector: Required value\n" MISMATCH },
        { "{'spec':{'selector':{'matchLabels':null}}}",
          "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
          "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for "
          "deployment" },
        { "{'spec':{'selector':{'matchLabels':{'app':'x'}}}}", MISMATCH },
        { "{'spec':{'selector':{'matchExpressions':[{'key':'app','operator':'In','values':['-']}"
          "]}}}",
          "spec.selector.matchExpressions[0].values[0]: Invalid value: \"-\": a valid label must "
          "be "
          "an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
          "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
          "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\n"
          "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":"
          "\"web\"}, MatchExpressions:[]v1.LabelSelectorRequirement{v1.LabelSelectorRequirement{"
          "Key:\"app\", Operator:\"In\", Values:[]string{\"-\"}}}}: invalid label selector" },
        /* ValidatePodTemplateSpecForReplicaSet */
        { "{'spec':{'template':{'spec':{'restartPolicy':'OnFailure'}}}}",
          "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: "
          "\"Always\"" },
        { "{'spec':{'template':{'spec':{'activeDeadlineSeconds':5}}}}",
          "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in "
          "ReplicaSet "
          "is not Supported" },
        /* ValidateDeploymentStrategy */
        { "{'spec':{'strategy':{'type':'Recreate'}}}", "" },
        { "{'spec':{'strategy':{'type':'Recreate','rollingUpdate':{'maxSurge':1}}}}",
          "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
          "'Recreate'" },
        { "{'spec':{'strategy':{'type':'Blue'}}}",
          "spec.strategy: Unsupported value: apps.DeploymentStrategy{Type:\"Blue\", "
          "RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}: supported values: \"Recreate\", "
          "\"RollingUpdate\"" },
        /* ValidateRollingUpdateDeployment */
        { "{'spec':{'strategy':{'rollingUpdate':{'maxUnavailable':0,'maxSurge':'0%'}}}}",
          "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:0, "
          "IntVal:0, StrVal:\"\"}: may not be 0 when `maxSurge` is 0" },
        { "{'spec':{'strategy':{'rollingUpdate':{'maxUnavailable':'101%'}}}}",
          "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:1, "
          "IntVal:0, StrVal:\"101%\"}: must not be greater than 100%" },
        { "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':'200%'}}}}", "" },
        { "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':'half'}}}}",
          "spec.strategy.rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:1, "
          "IntVal:0, StrVal:\"half\"}: a valid percent string must be a numeric string followed by "
          "an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')" },
        { "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':-1}}}}",
          "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal "
          "to "
          "0" },
        /* progressDeadlineSeconds */
        { "{'spec':{'progressDeadlineSeconds':30,'minReadySeconds':30}}",
          "spec.progressDeadlineSeconds: Invalid value: 30: must be greater than minReadySeconds" },
    };
    (void)state;
    expect_create(&deployment, rows, ARRAY_LEN(rows));
}

static void a_deployments_selector_stays(void **state)
{
    static const struct rule_row rows[] = {
        { "{'spec':{'replicas':5,'template':{'spec':{'containers':[{'name':'c','image':'j'}]}}}}",
          "" },
        /* strategy.go, ValidateUpdate */
        { "{'spec':{'selector':{'matchLabels':{'app':'x'}},'template':{'metadata':{'labels':{'app':"
          "'x'}}}}}",
          "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":"
          "\"x\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable" },
    };
    (void)state;
    expect_update(&deployment, rows, ARRAY_LEN(rows));
}

static void a_deployments_status_adds_up(void **state)
{
    static const struct rule_base with_status = { "apps/v1", "Deployment",
                                                  "{" META ",'spec':{" SELECTOR "," TEMPLATE
                                                  "},'status':{'replicas':2,'collisionCount':3}}" };
    static const struct rule_row rows[] = {
        { "{'status':{'readyReplicas':2,'availableReplicas':1}}", "" },
        /* ValidateDeploymentStatus */
        { "{'status':{'replicas':-1}}",
          "status.replicas: Invalid value: -1: must be greater than or equal to 0\n"
          "status.updatedReplicas: Invalid value: 0: cannot be greater than status.replicas\n"
          "status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas\n"
          "status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas" },
        { "{'status':{'updatedReplicas':3}}",
          "status.updatedReplicas: Invalid value: 3: cannot be greater than status.replicas" },
        { "{'status':{'readyReplicas':1,'availableReplicas':2}}",
          "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas" },
        /* ValidateDeploymentStatusUpdate */
        { "{'status':{'collisionCount':2}}",
          "status.collisionCount: Invalid value: 2: cannot be decremented" },
        { "{'status':{'collisionCount':null}}",
          "status.collisionCount: Invalid value: 0: cannot be decremented" },
    };
    (void)state;
    expect_status(&with_status, rows, ARRAY_LEN(rows));
}

static void replica_sets_are_checked(void **state)
{
    static const struct rule_base base = { "apps/v1", "ReplicaSet",
                                           "{" META ",'spec':{" SELECTOR "," TEMPLATE "}}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateReplicaSetSpec */
        { "{'spec':{'selector':null}}", "spec.selector: Required value\n" MISMATCH },
        { "{'spec':{'minReadySeconds':-1,'replicas':-2}}",
          "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.replicas: Invalid value: -2: must be greater than or equal to 0" },
        { "{'spec':{'template':{'metadata':null}}}",
          "spec.template.metadata.labels: Invalid value: map[string]string(nil): `selector` does "
          "not match template `labels`" },
    };
    (void)state;
    expect_create(&base, rows, ARRAY_LEN(rows));
}

static void daemon_sets_are_checked(void **state)
{
    static const struct rule_base base = { "apps/v1", "DaemonSet",
                                           "{" META ",'spec':{" SELECTOR "," TEMPLATE "}}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateDaemonSetSpec: no selector selects nothing */
        { "{'spec':{'selector':null}}", MISMATCH },
        { "{'spec':{'selector':{'matchLabels':null}}}",
          "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
          "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for "
          "daemonset" },
        { "{'spec':{'template':{'spec':{'activeDeadlineSeconds':5,'restartPolicy':'Never'}}}}",
          "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
          "\"Always\"\n"
          "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet "
          "is not Supported" },
        /* ValidateDaemonSetUpdateStrategy */
        { "{'spec':{'updateStrategy':{'type':'OnDelete'}}}", "" },
        { "{'spec':{'updateStrategy':{'type':'x'}}}",
          "spec.updateStrategy: Unsupported value: apps.DaemonSetUpdateStrategy{Type:\"x\", "
          "RollingUpdate:(*apps.RollingUpdateDaemonSet)(nil)}: supported values: "
          "\"RollingUpdate\", "
          "\"OnDelete\"" },
        /* ValidateRollingUpdateDaemonSet: exactly one of the two */
        { "{'spec':{'updateStrategy':{'rollingUpdate':{'maxSurge':'10%'}}}}",
          "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:1, "
          "IntVal:0, StrVal:\"10%\"}: may not be set when maxUnavailable is non-zero" },
        { "{'spec':{'updateStrategy':{'rollingUpdate':{'maxUnavailable':0}}}}",
          "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
          "maxSurge is 0" },
        { "{'spec':{'updateStrategy':{'rollingUpdate':{'maxUnavailable':0,'maxSurge':'120%'}}}}",
          "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:1, "
          "IntVal:0, StrVal:\"120%\"}: must not be greater than 100%" },
    };
    (void)state;
    expect_create(&base, rows, ARRAY_LEN(rows));
}

static const struct rule_base stateful_set = {
    "apps/v1", "StatefulSet",
    "{" META ",'spec':{'serviceName':'web'," SELECTOR ",'template':{'metadata':{'labels':{'app':"
    "'web'}},'spec':{'containers':[{'name':'c','image':'i','volumeMounts':[{'name':'data',"
    "'mountPath':'/d'}]}]}},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{"
    "'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}]}}"
};

static void stateful_sets_are_checked(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" }, /* a mount of a claim that its template makes */
        { "{'spec':{'selector':null}}", "spec.selector: Required value\n" MISMATCH },
        /* ValidateStatefulSetSpec */
        { "{'spec':{'podManagementPolicy':'Any'}}",
          "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or "
          "'Parallel'" },
        { "{'spec':{'updateStrategy':{'type':'OnDelete','rollingUpdate':{'partition':1}}}}",
          "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for "
          "updateStrategy 'RollingUpdate'" },
        { "{'spec':{'updateStrategy':{'type':'Recreate'}}}",
          "spec.updateStrategy: Invalid value: {\"type\":\"Recreate\"}: must be 'RollingUpdate' or "
          "'OnDelete'" },
        { "{'spec':{'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'partition':-1}}}}",
          "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or "
          "equal to 0" },
        { "{'spec':{'ordinals':{'start':-1}}}",
          "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Keep'}}}",
          "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": "
          "supported values: \"Retain\", \"Delete\"" },
        { "{'spec':{'template':{'spec':{'activeDeadlineSeconds':5,'restartPolicy':'Never'}}}}",
          "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
          "\"Always\"\n"
          "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in "
          "StatefulSet "
          "is not Supported" },
        /* ValidateStatefulSetName: its pods have its name and a number */
        { "{'metadata':{'name':'a.b'}}",
          "metadata.name: Invalid value: \"a.b\": must not contain dots" },
    };
    (void)state;
    expect_create(&stateful_set, rows, ARRAY_LEN(rows));
}

static void little_of_a_stateful_set_may_change(void **state)
{
#define FORBIDDEN                                                                                  \
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "  \
    "'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "  \
    "are forbidden"
    static const struct rule_row rows[] = {
        { "{'spec':{'replicas':3,'ordinals':{'start':1},'minReadySeconds':5,'updateStrategy':{"
          "'type':'OnDelete','rollingUpdate':null},'persistentVolumeClaimRetentionPolicy':{"
          "'whenScaled':'Delete'},'template':{'spec':{'containers':[{'name':'c','image':'j'}]}}}}",
          "" },
        { "{'spec':{'serviceName':'other'}}", FORBIDDEN },
        { "{'spec':{'podManagementPolicy':'Parallel'}}", FORBIDDEN },
        { "{'spec':{'revisionHistoryLimit':3}}", FORBIDDEN }, /* 1.33 allows it */
        { "{'spec':{'volumeClaimTemplates':null}}", FORBIDDEN },
        { "{'spec':{'selector':{'matchLabels':{'b':'c'}},'template':{'metadata':{'labels':{'b':'c'}"
          "}}}}",
          FORBIDDEN },
    };
    (void)state;
    expect_update(&stateful_set, rows, ARRAY_LEN(rows));
}

static void revisions_keep_their_data(void **state)
{
    static const struct rule_base base = { "apps/v1", "ControllerRevision",
                                           "{" META ",'revision':1,'data':{'a':1}}" };
    static const struct rule_row create[] = {
        { "{}", "" },
        { "{'data':null}", "data: Required value: data is mandatory" },
        { "{'revision':-1}", "revision: Invalid value: -1: must be greater than or equal to 0" },
    };
    static const struct rule_row update[] = {
        { "{'revision':2}", "" },
        { "{'data':{'a':2}}", "data: Invalid value: {\"a\":2}: field is immutable" },
    };
    (void)state;
    expect_create(&base, create, ARRAY_LEN(create));
    expect_update(&base, update, ARRAY_LEN(update));
}

static void strategies_get_upstreams_defaults(void **state)
{
    static const struct rule_base named = {
        "apps/v1", "StatefulSet", "{'spec':{'updateStrategy':{'type':'RollingUpdate'}}}"
    };
    static const struct rule_base daemons = { "apps/v1", "DaemonSet", "{'spec':{}}" };
    (void)state;

    expect_defaults(&deployment, "spec.strategy",
                    "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':'25%','maxUnavailable':"
                    "'25%'}}");
    expect_defaults(&stateful_set, "spec.updateStrategy",
                    "{'type':'RollingUpdate','rollingUpdate':{'partition':0}}");
    expect_defaults(&named, "spec.updateStrategy", "{'type':'RollingUpdate'}");
    expect_defaults(&daemons, "spec.updateStrategy",
                    "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':0,'maxUnavailable':1}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deployments_are_checked),
        cmocka_unit_test(a_deployments_selector_stays),
        cmocka_unit_test(a_deployments_status_adds_up),
        cmocka_unit_test(replica_sets_are_checked),
        cmocka_unit_test(daemon_sets_are_checked),
        cmocka_unit_test(stateful_sets_are_checked),
        cmocka_unit_test(little_of_a_stateful_set_may_change),
        cmocka_unit_test(revisions_keep_their_data),
        cmocka_unit_test(strategies_get_upstreams_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

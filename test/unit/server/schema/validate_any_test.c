/* Documents that were damaged in a place or three pass through decoding, defaults and every rule:
 * whatever a client sends, it is answered. The damage is drawn from a fixed seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

#define META "'metadata':{'name':'x','namespace':'default','uid':'u'}"
#define POD                                                                                        \
    "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'restartPolicy':'Never','containers':[{"  \
    "'name':'c','image':'i'}]}}"
#define SELECTOR                                                                                   \
    "'selector':{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'a','operator':'In','values':" \
    "['b']}]}"
#define WEBHOOK                                                                                    \
    "{'name':'a.b.c','clientConfig':{'service':{'name':'s','namespace':'n','path':'/p'}},"         \
    "'sideEffects':'None','admissionReviewVersions':['v1'],'rules':[{'operations':['CREATE'],"     \
    "'apiGroups':[''],'apiVersions':['v1'],'resources':['pods','pods/*']}],'matchConditions':[{"   \
    "'name':'m','expression':'true'}]}"

static const struct {
    const char *api, *kind, *text;
} bases[] = {
    { "apps/v1", "Deployment",
      "{" META ",'spec':{" SELECTOR "," POD ",'strategy':{'rollingUpdate':{'maxSurge':1}}},"
      "'status':{'replicas':1,'collisionCount':1}}" },
    { "apps/v1", "DaemonSet",
      "{" META ",'spec':{" SELECTOR "," POD ",'updateStrategy':{"
      "'rollingUpdate':{'maxSurge':'1%'}}}}" },
    { "apps/v1", "StatefulSet",
      "{" META ",'spec':{" SELECTOR "," POD ",'updateStrategy':{'type':'RollingUpdate',"
      "'rollingUpdate':{'partition':1}},'ordinals':{'start':1},"
      "'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Delete'}},'status':{'replicas':1}}" },
    { "batch/v1", "Job",
      "{" META ",'spec':{" SELECTOR "," POD ",'completionMode':'Indexed','completions':3,"
      "'parallelism':1,'backoffLimitPerIndex':1,'podFailurePolicy':{'rules':[{'action':'Ignore',"
      "'onExitCodes':{'operator':'In','values':[1]}},{'action':'Count','onPodConditions':[{'type':"
      "'Ready','status':'True'}]}]},'successPolicy':{'rules':[{'succeededIndexes':'0-1'}]}},"
      "'status':{'conditions':[{'type':'Complete','status':'True'}],'completedIndexes':'0-1',"
      "'failedIndexes':'2','uncountedTerminatedPods':{'failed':['a']},'startTime':"
      "'2026-11-30T10:00:00Z'}}" },
    { "batch/v1", "CronJob",
      "{" META ",'spec':{'schedule':'*/5 * * * *','timeZone':'UTC','jobTemplate':{'spec':{" POD
      "}}}}" },
    { "policy/v1", "PodDisruptionBudget",
      "{" META ",'spec':{'minAvailable':1," SELECTOR "},'status':{'conditions':[{'type':'A',"
      "'status':'True','reason':'R','lastTransitionTime':'2026-11-30T10:00:00Z'}]}}" },
    { "networking.k8s.io/v1", "Ingress",
      "{" META ",'spec':{'tls':[{'hosts':['a.b']}],'rules':[{'host':'a.b','http':{'paths':[{'path':"
      "'/','pathType':'Prefix','backend':{'service':{'name':'w','port':{'number':80}}}}]}}]},"
      "'status':{'loadBalancer':{'ingress':[{'ip':'10.0.0.1'}]}}}" },
    { "networking.k8s.io/v1", "NetworkPolicy",
      "{" META ",'spec':{'podSelector':{},'ingress':[{'ports':[{'port':80,'endPort':90}],'from':[{"
      "'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}]}],'policyTypes':['Ingress']}}" },
    { "networking.k8s.io/v1", "IngressClass",
      "{" META ",'spec':{'controller':'a.b/c','parameters':{'kind':'K','name':'n'}}}" },
    { "autoscaling/v2", "HorizontalPodAutoscaler",
      "{" META ",'spec':{'scaleTargetRef':{'kind':'D','name':'w'},'maxReplicas':3,'metrics':[{"
      "'type':'External','external':{'metric':{'name':'q'},'target':{'type':'Value','value':'1'}}}]"
      ",'behavior':{'scaleUp':{'policies':[{'type':'Pods','value':1,'periodSeconds':1}]}}}}" },
    { "rbac.authorization.k8s.io/v1", "ClusterRole",
      "{" META ",'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods'],"
      "'nonResourceURLs':['/a']}],'aggregationRule':{'clusterRoleSelectors':[{}]}}" },
    { "rbac.authorization.k8s.io/v1", "RoleBinding",
      "{" META ",'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'a'}]}" },
    { "storage.k8s.io/v1", "StorageClass",
      "{" META ",'provisioner':'a/b','parameters':{'a':'b'},'allowedTopologies':[{"
      "'matchLabelExpressions':[{'key':'z','values':['a']}]}]}" },
    { "storage.k8s.io/v1", "VolumeAttachment",
      "{" META ",'spec':{'attacher':'a','nodeName':'n','source':{'persistentVolumeName':'p'}},"
      "'status':{'attached':true,'attachError':{'message':'m'}}}" },
    { "storage.k8s.io/v1", "CSIDriver",
      "{" META
      ",'spec':{'volumeLifecycleModes':['Ephemeral'],'tokenRequests':[{'audience':'a'}]}}" },
    { "storage.k8s.io/v1", "CSINode",
      "{" META ",'spec':{'drivers':[{'name':'a','nodeID':'i','topologyKeys':['z']}]}}" },
    { "discovery.k8s.io/v1", "EndpointSlice",
      "{" META ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':[{"
      "'name':'z'}]}}],'ports':[{'name':'a','port':1}]}" },
    { "certificates.k8s.io/v1", "CertificateSigningRequest",
      "{" META ",'spec':{'request':'YWI=','signerName':'a.b/c','usages':['client auth']},'status':{"
      "'conditions':[{'type':'Approved','status':'True'}],'certificate':'YWI='}}" },
    { "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration",
      "{" META ",'webhooks':[" WEBHOOK "]}" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
      "{" META ",'spec':{'paramKind':{'apiVersion':'a/v1','kind':'K'},'matchConstraints':{"
      "'resourceRules':[{'resourceNames':['a'],'operations':['*'],'apiGroups':['*'],'apiVersions':["
      "'*'],'resources':['*']}]},'variables':[{'name':'v','expression':'1'}],'validations':[{"
      "'expression':'true','message':'m','reason':'Invalid'}],'auditAnnotations':[{'key':'k',"
      "'valueExpression':'1'}]},'status':{'typeChecking':{'expressionWarnings':[{'fieldRef':'a',"
      "'warning':'w'}]}}}" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
      "{" META ",'spec':{'policyName':'p','validationActions':['Deny'],'paramRef':{'name':'n',"
      "'parameterNotFoundAction':'Deny'}}}" },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      "{'metadata':{'name':'exempt'},'spec':{'priorityLevelConfiguration':{'name':'l'},'rules':[{"
      "'subjects':[{'kind':'ServiceAccount','serviceAccount':{'name':'a','namespace':'b'}}],"
      "'resourceRules':[{'verbs':['get'],'apiGroups':['a'],'resources':['b'],'namespaces':['n']}],"
      "'nonResourceRules':[{'verbs':['get'],'nonResourceURLs':['/a/*']}]}]},'status':{'conditions':"
      "[{'type':'D'}]}}" },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      "{" META ",'spec':{'type':'Limited','limited':{'limitResponse':{'type':'Queue','queuing':{"
      "'queues':4,'handSize':2}}}}}" },
    { "node.k8s.io/v1", "RuntimeClass",
      "{" META ",'handler':'h','overhead':{'podFixed':{'cpu':'1'}},'scheduling':{'nodeSelector':{"
      "'a':'b'},'tolerations':[{'key':'a'}]}}" },
    { "events.k8s.io/v1", "Event",
      "{" META ",'eventTime':'2026-11-30T10:00:00.000000Z','reportingController':'a','regarding':{"
      "'namespace':'default'},'series':{'count':2},'deprecatedSource':{'host':'h'}}" },
    { "apiregistration.k8s.io/v1", "APIService",
      "{" META ",'spec':{'group':'a','version':'v1','caBundle':'YWI=','service':{'name':'s'}},"
      "'status':{'conditions':[{'type':'A','status':'True'}]}}" },
    { "scheduling.k8s.io/v1", "PriorityClass", "{" META ",'value':5}" },
};

static uint64_t seed = 20261130;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL; /* Knuth's MMIX */
    return (uint32_t)(seed >> 33) % below;
}

static json_t *odd_value(void)
{
    static const char *const values[] = { "null",       "''",      "[]",          "{}",
                                          "0",          "-1",      "'a'",         "'/'",
                                          "'*'",        "[null]",  "['']",        "'100%'",
                                          "true",       "'-'",     "[{}]",        "'a,b-'",
                                          "{'a':null}", "{'':''}", "99999999999", "'='" };

    return json_of(values[draw(ARRAY_LEN(values))]);
}

/* Changes one value somewhere below v, or takes it away. */
static void damage(json_t *v)
{
    size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v), at;
    const char *key = NULL;
    json_t *child = NULL, *c;
    const char *k;

    if (!n)
        return;
    at = draw((uint32_t)n);
    if (json_is_array(v)) {
        child = json_array_get(v, at);
    } else {
        json_object_foreach(v, k, c)
        {
            if (at-- == 0) {
                key = k;
                child = c;
                break;
            }
        }
    }
    if ((json_is_object(child) || json_is_array(child)) && draw(8)) {
        damage(child);
    } else if (json_is_array(v)) {
        if (draw(4))
            json_array_set_new(v, at, odd_value());
        else
            json_array_append(v, child);
    } else if (draw(4)) {
        json_object_set_new(v, key, odd_value());
    } else {
        json_object_del(v, key);
    }
}

static void damaged_documents_are_answered(void **state)
{
    enum { TURNS = 400 };
    AUTO(schema) struct schema *schema = schema_new();
    size_t n_judged = 0, n_errors = 0;
    (void)state;

    for (size_t b = 0; b < ARRAY_LEN(bases); b++) {
        const struct schema_kind *k = schema_find_api(schema, bases[b].api, bases[b].kind);
        json_auto_t *base = json_of(bases[b].text);
        assert_non_null(k);
        for (int turn = 0; turn < TURNS; turn++) {
            auto_decode_notes notes = { 0 };
            auto_field_errors fe = { 0 };
            json_auto_t *now = json_deep_copy(base), *old = json_deep_copy(base);
            struct err e;
            for (uint32_t i = draw(3) + 1; i > 0; i--)
                damage(now);
            if (decode_object(k, now, STR(""), DECODE_IGNORE, &notes, &e) ||
                decode_object(k, old, STR(""), DECODE_IGNORE, &notes, &e))
                continue; /* 400 */
            defaults_apply(k, now);
            defaults_apply(k, old);
            validate_create(k, now, &fe);
            validate_update(k, now, old, &fe);
            validate_update(k, old, now, &fe);
            validate_status(k, now, old, &fe);
            validate_status(k, old, now, &fe);
            n_judged++;
            n_errors += fe.n;
        }
    }
    assert_true(n_judged > ARRAY_LEN(bases) * TURNS / 3);
    assert_true(n_errors > n_judged);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(damaged_documents_are_answered) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

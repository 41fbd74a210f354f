/* What clients may leave out: pkg/apis/core/v1/defaults.go, release 1.32. The rig also sees that
 * defaults, once given, stay. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "test/unit/server/schema/validate_rig.h"

/* SetDefaults_ResourceList */
static void amounts_are_kept_to_the_thousandth(void **state)
{
    static const struct vrow rows[] = {
        { "{'spec':{'hard':{'cpu':'1n','memory':'1.5Gi','pods':'10'}}}",
          "{'metadata':{},'spec':{'hard':{'cpu':'1m','memory':'1536Mi','pods':'10'}},'status':{}"
          "}" },
    };
    (void)state;
    rig_defaults("v1 ResourceQuota", "{}", rows, ARRAY_LEN(rows));
}

/* SetDefaults_LimitRangeItem */
static void limits_of_containers_follow_from_each_other(void **state)
{
#define LIMITS(x) "{'spec':{'limits':[{" x "}]}}"
#define IS(x)     "{'metadata':{},'spec':{'limits':[{" x "}]}}"
    static const struct vrow rows[] = {
        { LIMITS("'type':'Container','max':{'cpu':'2'},'min':{'memory':'1Mi'}"),
          IS("'default':{'cpu':'2'},'defaultRequest':{'cpu':'2','memory':'1Mi'},'max':{'cpu':'2'},"
             "'min':{'memory':'1Mi'},'type':'Container'") },
        { LIMITS("'type':'Container','default':{'cpu':'1'},'defaultRequest':{'cpu':'500m'},'max':{"
                 "'cpu':'2'}"),
          IS("'default':{'cpu':'1'},'defaultRequest':{'cpu':'500m'},'max':{'cpu':'2'},'type':"
             "'Container'") },
        { LIMITS("'type':'Pod','max':{'cpu':'2'}"), IS("'max':{'cpu':'2'},'type':'Pod'") },
    };
    (void)state;
    rig_defaults("v1 LimitRange", "{}", rows, ARRAY_LEN(rows));
}

/* SetDefaults_Service */
static void services_get_what_their_type_needs(void **state)
{
#define PORT "'ports':[{'port':80,'protocol':'TCP','targetPort':80}],"
    static const struct vrow rows[] = {
        { "{'spec':{'type':'NodePort','ports':[{'port':80,'targetPort':''}]}}",
          "{'metadata':{},'spec':{'externalTrafficPolicy':'Cluster','internalTrafficPolicy':"
          "'Cluster'," PORT "'sessionAffinity':'None','type':'NodePort'},'status':{'loadBalancer':"
          "{}}}" },
        { "{'spec':{'type':'LoadBalancer','ports':[{'port':80}]},'status':{'loadBalancer':{"
          "'ingress':[{'ip':'1.2.3.4'}]}}}",
          "{'metadata':{},'spec':{'allocateLoadBalancerNodePorts':true,'externalTrafficPolicy':"
          "'Cluster','internalTrafficPolicy':'Cluster'," PORT "'sessionAffinity':'None','type':"
          "'LoadBalancer'},'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.4','ipMode':"
          "'VIP'}]}}}" },
        { "{'spec':{'type':'ExternalName','externalName':'a','sessionAffinity':'ClientIP'}}",
          "{'metadata':{},'spec':{'externalName':'a','sessionAffinity':'ClientIP',"
          "'sessionAffinityConfig':{'clientIP':{'timeoutSeconds':10800}},'type':'ExternalName'},"
          "'status':{'loadBalancer':{}}}" },
    };
    (void)state;
    rig_defaults("v1 Service", "{}", rows, ARRAY_LEN(rows));
}

/* SetDefaults_Pod, SetDefaults_Container, SetDefaults_Volume and what they lead to */
static void pods_get_what_their_fields_imply(void **state)
{
#define MESSAGE "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File'"
#define POD(containers, rest)                                                                      \
    "{'metadata':{},'spec':{'containers':[{" containers "}],'dnsPolicy':'ClusterFirst',"           \
    "'enableServiceLinks':true,'restartPolicy':'Always','schedulerName':'default-scheduler',"      \
    "'securityContext':{},'terminationGracePeriodSeconds':30" rest "},'status':{}}"
    static const struct vrow rows[] = {
        { "{'spec':{'containers':[{'image':'a:1','name':'c','resources':{'limits':{'cpu':'1',"
          "'memory':'1Gi'},'requests':{'cpu':'500m'}}}]}}",
          POD("'image':'a:1','imagePullPolicy':'IfNotPresent','name':'c','resources':{'limits':{"
              "'cpu':'1','memory':'1Gi'},'requests':{'cpu':'500m','memory':'1Gi'}}," MESSAGE,
              "") },
        { "{'spec':{'containers':[{'image':'a','name':'c','readinessProbe':{'httpGet':{'port':80},"
          "'timeoutSeconds':0}}],'volumes':[{'name':'v'},{'name':'i','image':{'reference':'b:2'}},{"
          "'name':'s','secret':{'secretName':'s'}}]}}",
          POD("'image':'a','imagePullPolicy':'Always','name':'c','readinessProbe':{"
              "'failureThreshold':3,'httpGet':{'path':'/','port':80,'scheme':'HTTP'},"
              "'periodSeconds':10,'successThreshold':1,'timeoutSeconds':1},'resources':{}," MESSAGE,
              ",'volumes':[{'emptyDir':{},'name':'v'},{'image':{'pullPolicy':'IfNotPresent',"
              "'reference':'b:2'},'name':'i'},{'name':'s','secret':{'defaultMode':420,"
              "'secretName':'s'}}]") },
    };
    static const struct vrow host_rows[] = {
        { "{'spec':{'serviceAccount':'a','hostNetwork':true,'containers':[{'image':'a:1','name':"
          "'c','ports':[{'containerPort':80}]}]}}",
          "{'metadata':{},'spec':{'containers':[{'image':'a:1','imagePullPolicy':'IfNotPresent',"
          "'name':'c','ports':[{'containerPort':80,'hostPort':80,'protocol':'TCP'}],'resources':{}"
          "," MESSAGE "}],'dnsPolicy':'ClusterFirst','enableServiceLinks':true,'hostNetwork':true,"
          "'restartPolicy':'Always','schedulerName':'default-scheduler','securityContext':{},"
          "'serviceAccount':'a','serviceAccountName':'a','terminationGracePeriodSeconds':30},"
          "'status':{}}" },
    };
    (void)state;
    rig_defaults("v1 Pod", "{}", rows, ARRAY_LEN(rows));
    rig_defaults("v1 Pod", "{}", host_rows, ARRAY_LEN(host_rows));
}

/* Convert_v1_PodStatus_To_core_PodStatus and back: the older field wins */
static void one_address_is_the_first_of_many(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "'podIP':'10.0.0.1'", "'podIP':'10.0.0.1','podIPs':[{'ip':'10.0.0.1'}]" },
        { "'podIPs':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]",
          "'podIP':'10.0.0.1','podIPs':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]" },
        { "'podIP':'10.0.0.2','podIPs':[{'ip':'10.0.0.1'}]",
          "'podIP':'10.0.0.2','podIPs':[{'ip':'10.0.0.2'}]" },
        { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *in = mem_printf("{'spec':null,'status':{%s}}", rows[i].in);
        auto_free char *out = mem_printf(
            "{'metadata':{},'spec':{'dnsPolicy':'ClusterFirst',"
            "'enableServiceLinks':true,'restartPolicy':'Always','schedulerName':"
            "'default-scheduler','securityContext':{},'terminationGracePeriodSeconds':30},'status':"
            "{%s}}",
            rows[i].out);
        struct vrow row = { in, out };
        rig_defaults("v1 Pod", "{}", &row, 1);
    }
}

/* SetDefaults_PersistentVolume, SetDefaults_PersistentVolumeClaim, SetDefaults_NamespaceStatus,
 * SetDefaults_NodeStatus, SetDefaults_ReplicationController */
static void other_kinds_too(void **state)
{
    static const struct {
        const char *kind;
        struct vrow row;
    } rows[] = {
        { "v1 PersistentVolume",
          { "{'spec':{'azureDisk':{'diskName':'d','diskURI':'u'}}}",
            "{'metadata':{},'spec':{'azureDisk':{'cachingMode':'ReadWrite','diskName':'d',"
            "'diskURI':'u','fsType':'ext4','kind':'Shared','readOnly':false},"
            "'persistentVolumeReclaimPolicy':'Retain','volumeMode':'Filesystem'},'status':{"
            "'phase':'Pending'}}" } },
        { "v1 PersistentVolumeClaim",
          { "{}", "{'metadata':{},'spec':{'resources':{},'volumeMode':'Filesystem'},'status':{"
                  "'phase':'Pending'}}" } },
        { "v1 Namespace",
          { "{'metadata':{'name':'x'}}",
            "{'metadata':{'labels':{'kubernetes.io/metadata.name':'x'},'name':'x'},'spec':{},"
            "'status':{'phase':'Active'}}" } },
        { "v1 ReplicationController",
          { "{'spec':{'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[]}}}}",
            "{'metadata':{'labels':{'a':'b'}},'spec':{'replicas':1,'selector':{'a':'b'},"
            "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[],'dnsPolicy':"
            "'ClusterFirst','restartPolicy':'Always','schedulerName':'default-scheduler',"
            "'securityContext':{},'terminationGracePeriodSeconds':30}}},'status':{'replicas':"
            "0}}" } },
        { "v1 Secret",
          { "{'stringData':{'a':'b'}}", "{'data':{'a':'Yg=='},'metadata':{},'type':'Opaque'}" } },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        rig_defaults(rows[i].kind, "{}", &rows[i].row, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_are_kept_to_the_thousandth),
        cmocka_unit_test(limits_of_containers_follow_from_each_other),
        cmocka_unit_test(services_get_what_their_type_needs),
        cmocka_unit_test(pods_get_what_their_fields_imply),
        cmocka_unit_test(one_address_is_the_first_of_many),
        cmocka_unit_test(other_kinds_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tables as upstream prints them: pkg/printers/internalversion/printers.go (1.32) unless a row
 * names another file. Descriptions are our own words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/table.h"
#include "test/unit/json_text.h"

#define AGE        "Age:string"
#define CONTAINERS "|+Containers:string|+Images:string"
#define DEFAULT    "Name:string:name|Created At:date"

/* AddHandlers: name, type and format of each column, '+' before those of priority 1. */
static const struct {
    const char *api, *kind, *columns;
} columns[] = {
    { "v1", "Pod",
      "Name:string:name|Ready:string|Status:string|Restarts:string|" AGE
      "|+IP:string|+Node:string|+Nominated Node:string|+Readiness Gates:string" },
    { "v1", "PodTemplate", "Name:string:name|Containers:string|Images:string|Pod Labels:string" },
    { "policy/v1", "PodDisruptionBudget",
      "Name:string:name|Min Available:string|Max Unavailable:string|Allowed "
      "Disruptions:integer|" AGE },
    { "v1", "ReplicationController",
      "Name:string:name|Desired:integer|Current:integer|Ready:integer|" AGE CONTAINERS
      "|+Selector:string" },
    { "apps/v1", "ReplicaSet",
      "Name:string:name|Desired:integer|Current:integer|Ready:integer|" AGE CONTAINERS
      "|+Selector:string" },
    { "apps/v1", "DaemonSet",
      "Name:string:name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|"
      "Available:integer|Node Selector:string|" AGE CONTAINERS "|+Selector:string" },
    { "apps/v1", "Deployment",
      "Name:string:name|Ready:string|Up-to-date:string|Available:string|" AGE CONTAINERS
      "|+Selector:string" },
    { "apps/v1", "StatefulSet", "Name:string:name|Ready:string|" AGE CONTAINERS },
    { "apps/v1", "ControllerRevision", "Name:string:name|Controller:string|Revision:string|" AGE },
    { "batch/v1", "Job",
      "Name:string:name|Status:string|Completions:string|Duration:string|" AGE CONTAINERS
      "|+Selector:string" },
    { "batch/v1", "CronJob",
      "Name:string:name|Schedule:string|Timezone:string|Suspend:boolean|Active:integer|"
      "Last Schedule:string|" AGE CONTAINERS "|+Selector:string" },
    { "v1", "Service",
      "Name:string:name|Type:string|Cluster-IP:string|External-IP:string|Port(s):string|" AGE
      "|+Selector:string" },
    { "networking.k8s.io/v1", "Ingress",
      "Name:string:name|Class:string|Hosts:string|Address:string|Ports:string|" AGE },
    { "networking.k8s.io/v1", "IngressClass",
      "Name:string:name|Controller:string|Parameters:string|" AGE },
    { "networking.k8s.io/v1", "NetworkPolicy", "Name:string:name|Pod-Selector:string|" AGE },
    { "v1", "Endpoints", "Name:string:name|Endpoints:string|" AGE },
    { "discovery.k8s.io/v1", "EndpointSlice",
      "Name:string:name|AddressType:string|Ports:string|Endpoints:string|" AGE },
    { "v1", "Node",
      "Name:string:name|Status:string|Roles:string|" AGE
      "|Version:string|+Internal-IP:string|+External-IP:string|+OS-Image:string|"
      "+Kernel-Version:string|+Container-Runtime:string" },
    { "v1", "Event",
      "Last Seen:string|Type:string|Reason:string|Object:string|+Subobject:string|+Source:string|"
      "Message:string|+First Seen:string|+Count:string|+Name:string:name" },
    { "events.k8s.io/v1", "Event", /* one internal type, one printer */
      "Last Seen:string|Type:string|Reason:string|Object:string|+Subobject:string|+Source:string|"
      "Message:string|+First Seen:string|+Count:string|+Name:string:name" },
    { "v1", "ComponentStatus", "Name:string:name|Status:string|Message:string|Error:string" },
    { "v1", "Namespace", "Name:string:name|Status:string|" AGE },
    { "v1", "Secret", "Name:string:name|Type:string|Data:string|" AGE },
    { "v1", "ConfigMap", "Name:string:name|Data:string|" AGE },
    { "v1", "ServiceAccount", "Name:string:name|Secrets:string|" AGE },
    { "v1", "PersistentVolume",
      "Name:string:name|Capacity:string|Access Modes:string|Reclaim Policy:string|Status:string|"
      "Claim:string|StorageClass:string|VolumeAttributesClass:string|Reason:string|" AGE
      "|+VolumeMode:string" },
    { "v1", "PersistentVolumeClaim",
      "Name:string:name|Status:string|Volume:string|Capacity:string|Access Modes:string|"
      "StorageClass:string|VolumeAttributesClass:string|" AGE "|+VolumeMode:string" },
    { "autoscaling/v2", "HorizontalPodAutoscaler",
      "Name:string:name|Reference:string|Targets:string|MinPods:string|MaxPods:string|"
      "Replicas:string|" AGE },
    { "autoscaling/v1", "HorizontalPodAutoscaler",
      "Name:string:name|Reference:string|Targets:string|MinPods:string|MaxPods:string|"
      "Replicas:string|" AGE },
    { "rbac.authorization.k8s.io/v1", "RoleBinding",
      "Name:string:name|Role:string|" AGE "|+Users:string|+Groups:string|+ServiceAccounts:string" },
    { "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",
      "Name:string:name|Role:string|" AGE "|+Users:string|+Groups:string|+ServiceAccounts:string" },
    { "certificates.k8s.io/v1", "CertificateSigningRequest",
      "Name:string:name|" AGE
      "|SignerName:string|Requestor:string|RequestedDuration:string|Condition:string" },
    { "coordination.k8s.io/v1", "Lease", "Name:string:name|Holder:string|" AGE },
    { "storage.k8s.io/v1", "StorageClass",
      "Name:string:name|Provisioner:string|ReclaimPolicy:string|VolumeBindingMode:string|"
      "AllowVolumeExpansion:string|" AGE },
    { "storage.k8s.io/v1", "VolumeAttachment",
      "Name:string:name|Attacher:string:name|PV:string|Node:string|Attached:boolean|" AGE },
    { "storage.k8s.io/v1", "CSINode", "Name:string:name|Drivers:integer|" AGE },
    { "storage.k8s.io/v1", "CSIDriver",
      "Name:string:name|AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|"
      "TokenRequests:string|RequiresRepublish:boolean|Modes:string|" AGE },
    { "storage.k8s.io/v1", "CSIStorageCapacity",
      "Name:string:name|StorageClassName:string|Capacity:string" },
    { "v1", "ResourceQuota", "Name:string:name|Request:string|Limit:string|" AGE },
    { "scheduling.k8s.io/v1", "PriorityClass",
      "Name:string:name|Value:integer|Global-Default:boolean|" AGE "|PreemptionPolicy:string" },
    { "node.k8s.io/v1", "RuntimeClass", "Name:string:name|Handler:string|" AGE },
    { "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration",
      "Name:string:name|Webhooks:integer|" AGE },
    { "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
      "Name:string:name|Webhooks:integer|" AGE },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
      "Name:string:name|Validations:integer|ParamKind:string|" AGE },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
      "Name:string:name|PolicyName:string|ParamRef:string|" AGE },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      "Name:string:name|PriorityLevel:string|MatchingPrecedence:string|"
      "DistinguisherMethod:string|" AGE "|MissingPL:string" },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      "Name:string:name|Type:string|NominalConcurrencyShares:string|Queues:string|"
      "HandSize:string|QueueLengthLimit:string|" AGE },
    /* kube-aggregator pkg/registry/apiservice/etcd/etcd.go */
    { "apiregistration.k8s.io/v1", "APIService",
      "Name:string:name|Service:string|Available:string|" AGE },
    /* apiserver/pkg/registry/rest/table.go: what has no printer */
    { "v1", "LimitRange", DEFAULT },
    { "rbac.authorization.k8s.io/v1", "Role", DEFAULT },
    { "rbac.authorization.k8s.io/v1", "ClusterRole", DEFAULT },
    { "apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFAULT },
};

static struct schema *schema;

static int setup(void **state)
{
    (void)state;
    schema = schema_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_free(schema);
    return 0;
}

static void columns_are_upstreams(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        const struct schema_kind *k = schema_find_api(schema, columns[i].api, columns[i].kind);
        auto_buf b = BUF(2048);
        json_t *c;
        size_t j;

        if (!k)
            fail_msg("%s %s is not served", columns[i].api, columns[i].kind);
        json_auto_t *list = table_columns(k);
        json_array_foreach(list, j, c)
        {
            const char *format = json_str_at(c, "format", "");
            assert_int_equal(buf_addf(&b, "%s%s%s:%s%s%s", j ? "|" : "",
                                      json_i64_at(c, "priority", 0) ? "+" : "",
                                      json_str_at(c, "name", ""), json_str_at(c, "type", ""),
                                      *format ? ":" : "", format),
                             0);
        }
        assert_string_equal(buf_cstr(&b), columns[i].columns);
    }
}

/* Every kind that can be listed has a row above. */
static void no_kind_is_left_out(void **state)
{
    size_t n;
    const struct schema_kind *const *k = schema_kinds(schema, &n);
    char api[SCHEMA_API_VERSION_MAX];

    (void)state;
    for (size_t i = 0; i < n; i++) {
        bool found = !(k[i]->verbs & SCHEMA_LIST_VERB);
        for (size_t j = 0; j < ARRAY_LEN(columns); j++)
            found |= strcmp(columns[j].api, schema_api_version(k[i], api)) == 0 &&
                     strcmp(columns[j].kind, k[i]->kind) == 0;
        if (!found)
            fail_msg("%s %s has no row", schema_api_version(k[i], api), k[i]->kind);
    }
}

static const int64_t now_s = 1795341641; /* 2026-11-22T10:00:41Z */

#define META "'metadata':{'name':'x','creationTimestamp':'2026-11-22T10:00:00Z'}"
#define TEMPLATE                                                                                   \
    "'template':{'spec':{'containers':[{'name':'a','image':'i'},{'name':'b','image':'j'}]}}"

/* Cells of one object each; the comment names the function of printers.go, or what it does. */
static const struct {
    const char *api, *kind, *object, *cells;
} cells[] = {
    /* printPod: sidecars count, restarts of other init containers do not once they have run */
    { "v1", "Pod",
      "{" META ",'spec':{'containers':[{'name':'c'}],'initContainers':[{'name':'i'},{'name':'s',"
      "'restartPolicy':'Always'}]},'status':{'phase':'Running','initContainerStatuses':[{'name':"
      "'i','restartCount':5,'state':{'terminated':{'exitCode':0}}},{'name':'s','restartCount':1,"
      "'started':true,'ready':true,'state':{'running':{}}}],'containerStatuses':[{'name':'c',"
      "'restartCount':2,'ready':true,'state':{'running':{}}}]}}",
      "x 2/2 Running 3 41s <none> <none> <none> <none>" },
    /* printPodDisruptionBudget: "N/A" */
    { "policy/v1", "PodDisruptionBudget",
      "{" META ",'spec':{'minAvailable':1},'status':{'disruptionsAllowed':2}}", "x 1 N/A 2 41s" },
    { "policy/v1", "PodDisruptionBudget", "{" META ",'spec':{'maxUnavailable':'25%'}}",
      "x N/A 25% 0 41s" },
    /* printReplicationController: labels.FormatLabels; no containers is an empty text */
    { "v1", "ReplicationController",
      "{" META ",'spec':{'replicas':3,'selector':{'b':'2','a':'1'}},'status':{'replicas':2,"
      "'readyReplicas':1}}",
      "x 3 2 1 41s   a=1,b=2" },
    /* printReplicaSet: metav1.FormatLabelSelector: by key, values sorted */
    { "apps/v1", "ReplicaSet",
      "{" META ",'spec':{'replicas':1,'selector':{'matchLabels':{'m':'1'},'matchExpressions':[{"
      "'key':'z','operator':'NotIn','values':['q','p']},{'key':'a','operator':'Exists'},{'key':'b',"
      "'operator':'DoesNotExist'},{'key':'n','operator':'In','values':['v']}]}," TEMPLATE
      "},'status':{}}",
      "x 1 0 0 41s a,b i,j a,!b,m=1,n in (v),z notin (p,q)" },
    { "apps/v1", "ReplicaSet", "{" META ",'spec':{'selector':{}}}", "x 0 0 0 41s   <none>" },
    /* printDaemonSet */
    { "apps/v1", "DaemonSet",
      "{" META ",'spec':{'selector':{'matchLabels':{'a':'b'}}," TEMPLATE
      "},'status':{'desiredNumberScheduled':5,'currentNumberScheduled':4,'numberReady':3,"
      "'updatedNumberScheduled':2,'numberAvailable':1}}",
      "x 5 4 3 2 1 <none> 41s a,b i,j a=b" },
    /* printDeployment: the selector is printed by itself */
    { "apps/v1", "Deployment",
      "{" META ",'spec':{'replicas':3,'selector':{'matchLabels':{'a':'b'}}," TEMPLATE
      "},'status':{'readyReplicas':1,'updatedReplicas':2,'availableReplicas':1}}",
      "x 1/3 2 1 41s a,b i,j a=b" },
    { "apps/v1", "Deployment", "{" META ",'spec':{'selector':{}}}", "x 0/0 0 0 41s   " },
    { "apps/v1", "Deployment",
      "{" META ",'spec':{'selector':{'matchExpressions':[{'key':'a','operator':'Frob'}]}}}",
      "x 0/0 0 0 41s   <invalid>" },
    /* printStatefulSet */
    { "apps/v1", "StatefulSet",
      "{" META ",'spec':{'replicas':2," TEMPLATE "},'status':{'readyReplicas':2}}",
      "x 2/2 41s a,b i,j" },
    /* printControllerRevision, formatResourceName: kind.group in small letters */
    { "apps/v1", "ControllerRevision", "{" META ",'revision':7}", "x <none> 7 41s" },
    { "apps/v1", "ControllerRevision",
      "{'metadata':{'name':'x','creationTimestamp':'2026-11-22T10:00:00Z','ownerReferences':[{"
      "'apiVersion':'apps/v1','kind':'DaemonSet','name':'d','controller':true}]},'revision':1}",
      "x daemonset.apps/d 1 41s" },
    /* printJob: completions, duration, and Terminating before Suspended */
    { "batch/v1", "Job",
      "{" META ",'spec':{'completions':3,'selector':{'matchLabels':{'a':'b'}}," TEMPLATE
      "},'status':{'succeeded':1,'startTime':'2026-11-22T10:00:01Z','completionTime':"
      "'2026-11-22T10:00:11Z','conditions':[{'type':'Complete','status':'True'}]}}",
      "x Complete 1/3 10s 41s a,b i,j a=b" },
    { "batch/v1", "Job",
      "{'metadata':{'name':'x','creationTimestamp':'2026-11-22T10:00:00Z','deletionTimestamp':"
      "'2026-11-22T10:00:30Z'},'spec':{'parallelism':2},'status':{'startTime':"
      "'2026-11-22T10:00:01Z','conditions':[{'type':'Suspended','status':'True'}]}}",
      "x Terminating 0/1 of 2 40s 41s   <none>" },
    { "batch/v1", "Job",
      "{" META ",'spec':{'parallelism':1},'status':{'conditions':[{'type':'Complete','status':"
      "'False'},{'type':'FailureTarget','status':'True'}]}}",
      "x FailureTarget 0/1  41s   <none>" },
    { "batch/v1", "Job", "{" META ",'spec':{},'status':{}}", "x Running 0/1  41s   <none>" },
    /* printCronJob: printBoolPtr */
    { "batch/v1", "CronJob",
      "{" META ",'spec':{'schedule':'@daily','suspend':true,'jobTemplate':{'spec':{" TEMPLATE
      "}}},'status':{'active':[{},{}],'lastScheduleTime':'2026-11-22T10:00:31Z'}}",
      "x @daily <none> True 2 10s 41s a,b i,j <none>" },
    { "batch/v1", "CronJob", "{" META ",'spec':{'schedule':'s','timeZone':'Etc/UTC'}}",
      "x s Etc/UTC <unset> 0 <none> 41s   <none>" },
    /* getServiceExternalIP: addresses sorted, each once, then external ones */
    { "v1", "Service",
      "{" META ",'spec':{'type':'LoadBalancer','clusterIPs':['10.0.0.1'],'externalIPs':['9.9.9.9'],"
      "'ports':[{'port':80,'nodePort':30080,'protocol':'TCP'}]},'status':{'loadBalancer':{'ingress'"
      ":[{'ip':'2.2.2.2'},{'hostname':'a.b'},{'ip':'1.1.1.1'},{'ip':'2.2.2.2'}]}}}",
      "x LoadBalancer 10.0.0.1 1.1.1.1,2.2.2.2,a.b,9.9.9.9 80:30080/TCP 41s <none>" },
    { "v1", "Service", "{" META ",'spec':{'type':'LoadBalancer','clusterIPs':['10.0.0.1']}}",
      "x LoadBalancer 10.0.0.1 <pending> <none> 41s <none>" },
    { "v1", "Service", "{" META ",'spec':{'type':'ExternalName','externalName':'a.b'}}",
      "x ExternalName <none> a.b <none> 41s <none>" },
    /* formatHosts: rules are counted, hosts shown */
    { "networking.k8s.io/v1", "Ingress",
      "{" META ",'spec':{'ingressClassName':'c','tls':[{}],'rules':[{'host':'a'},{'host':'b'},{"
      "'host':'c'},{}]},'status':{'loadBalancer':{'ingress':[{'ip':'1.1.1.1'}]}}}",
      "x c a,b,c + 1 more... 1.1.1.1 80, 443 41s" },
    { "networking.k8s.io/v1", "Ingress", "{" META ",'spec':{'rules':[{}]}}", "x <none> *  80 41s" },
    /* printIngressClass */
    { "networking.k8s.io/v1", "IngressClass",
      "{" META ",'spec':{'controller':'a/b','parameters':{'apiGroup':'g','kind':'K','name':'n'}}}",
      "x a/b K.g/n 41s" },
    /* printNetworkPolicy */
    { "networking.k8s.io/v1", "NetworkPolicy",
      "{" META ",'spec':{'podSelector':{'matchLabels':{'a':'b'}}}}", "x a=b 41s" },
    /* formatEndpoints: all addresses of one port before the next port */
    { "v1", "Endpoints",
      "{" META ",'subsets':[{'addresses':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}],'ports':[{'port':1},{"
      "'port':2}]}]}",
      "x 10.0.0.1:1,[fd00::1]:1,10.0.0.1:2 + 1 more... 41s" },
    { "v1", "Endpoints", "{" META ",'subsets':[{'notReadyAddresses':[{'ip':'10.0.0.1'}]}]}",
      "x  41s" },
    { "v1", "Endpoints", "{" META "}", "x <none> 41s" },
    /* formatDiscoveryPorts, formatDiscoveryEndpoints */
    { "discovery.k8s.io/v1", "EndpointSlice",
      "{" META ",'addressType':'IPv4','ports':[{'port':1},{'name':'n'},{},{'port':4}],'endpoints':["
      "{'addresses':['10.0.0.1','10.0.0.2']}]}",
      "x IPv4 1,n,* + 1 more... 10.0.0.1,10.0.0.2 41s" },
    { "discovery.k8s.io/v1", "EndpointSlice", "{" META ",'addressType':'IPv6'}",
      "x IPv6 <unset> <unset> 41s" },
    /* printEvent */
    { "v1", "Event",
      "{'metadata':{'name':'e'},'involvedObject':{'kind':'Node'},'reason':'R','type':'Normal',"
      "'message':' m ','eventTime':'2026-11-22T10:00:31.000000Z','reportingComponent':'c',"
      "'reportingInstance':'i'}",
      "10s Normal R node  c, i m 10s 1 e" },
    { "v1", "Event",
      "{'metadata':{'name':'e'},'involvedObject':{'kind':'Pod','name':'p','fieldPath':'f'},"
      "'firstTimestamp':'2026-11-22T10:00:01Z','source':{'component':'c'},'series':{'count':9,"
      "'lastObservedTime':'2026-11-22T10:00:40.000000Z'}}",
      "1s   pod/p f c  40s 9 e" },
    { "events.k8s.io/v1", "Event",
      "{'apiVersion':'events.k8s.io/v1','metadata':{'name':'e'},'regarding':{'kind':'Pod','name':"
      "'p'},'reason':'R','type':'Normal','note':'n','reportingController':'c','reportingInstance':"
      "'i','deprecatedFirstTimestamp':'2026-11-22T10:00:31Z','deprecatedCount':2}",
      "10s Normal R pod/p  c, i n 10s 2 e" },
    /* printPersistentVolume: the annotation's class goes before the field's */
    { "v1", "PersistentVolume",
      "{'metadata':{'name':'x','creationTimestamp':'2026-11-22T10:00:00Z','annotations':{"
      "'volume.beta.kubernetes.io/storage-class':'old'}},'spec':{'capacity':{'storage':'1Gi'},"
      "'accessModes':['ReadOnlyMany','ReadWriteOnce','ReadWriteOnce'],"
      "'persistentVolumeReclaimPolicy':'Retain','storageClassName':'new','claimRef':{'namespace':"
      "'n','name':'c'},'volumeMode':'Block'},'status':{'phase':'Bound'}}",
      "x 1Gi RWO,ROX Retain Bound n/c old <unset>  41s Block" },
    { "v1", "PersistentVolume", "{" META ",'spec':{},'status':{'phase':'Failed','reason':'r'}}",
      "x 0   Failed   <unset> r 41s <unset>" },
    /* printPersistentVolumeClaim: size and modes are those of the volume */
    { "v1", "PersistentVolumeClaim",
      "{" META ",'spec':{'storageClassName':'s','accessModes':['ReadWriteOnce']},'status':{'phase':"
      "'Pending','capacity':{'storage':'1Gi'}}}",
      "x Pending    s <unset> 41s <unset>" },
    { "v1", "PersistentVolumeClaim",
      "{" META ",'spec':{'volumeName':'v','volumeMode':'Filesystem','volumeAttributesClassName':"
      "'g'},'status':{'phase':'Bound','accessModes':['ReadWriteOncePod'],'capacity':{'storage':"
      "'1Gi'}}}",
      "x Bound v 1Gi RWOP  g 41s Filesystem" },
    /* formatHPAMetrics: two are shown; with a target that is not named, "<auto>" */
    { "autoscaling/v2", "HorizontalPodAutoscaler",
      "{" META ",'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'minReplicas':1,"
      "'maxReplicas':5,'metrics':[{'type':'Resource','resource':{'name':'cpu','target':{'type':"
      "'Utilization','averageUtilization':80}}},{'type':'ContainerResource','containerResource':{"
      "'name':'memory','container':'c','target':{'averageValue':'1Gi'}}},{'type':'Pods','pods':{}}]"
      "}"
      ",'status':{'currentReplicas':2,'currentMetrics':[{'type':'Resource','resource':{'name':'cpu'"
      ",'current':{'averageUtilization':42}}},{'type':'ContainerResource','containerResource':{"
      "'current':{'averageValue':'512Mi'}}}]}}",
      "x Deployment/d cpu: 42%/80%, memory: 512Mi/1Gi + 1 more... 1 5 2 41s" },
    { "autoscaling/v2", "HorizontalPodAutoscaler",
      "{" META ",'spec':{'scaleTargetRef':{'kind':'RC','name':'r'},'maxReplicas':5,'metrics':[{"
      "'type':'Object','object':{'target':{'value':'10'}}},{'type':'External','external':{'target':"
      "{"
      "'averageValue':'5'}}}]},'status':{'currentMetrics':[{'object':{'current':{'value':'3'}}}]}}",
      "x RC/r 3/10, <unknown>/5 (avg) <unset> 5 0 41s" },
    { "autoscaling/v2", "HorizontalPodAutoscaler",
      "{" META ",'spec':{'scaleTargetRef':{'kind':'RC','name':'r'},'maxReplicas':5,'metrics':[{"
      "'type':'Pods','pods':{'target':{'averageValue':'7'}}},{'type':'Resource','resource':{'name':"
      "'cpu','target':{}}}]}}",
      "x RC/r <unknown>/7, cpu: <unknown>/<auto> <unset> 5 0 41s" },
    { "autoscaling/v1", "HorizontalPodAutoscaler",
      "{'apiVersion':'autoscaling/v1'," META ",'spec':{'scaleTargetRef':{'kind':'RC','name':'r'},"
      "'maxReplicas':5,'targetCPUUtilizationPercentage':70},'status':{"
      "'currentCPUUtilizationPercentage':35}}",
      "x RC/r cpu: 35%/70% <unset> 5 0 41s" },
    /* rbac.SubjectsStrings */
    { "rbac.authorization.k8s.io/v1", "RoleBinding",
      "{" META ",'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'u'},{"
      "'kind':'Group','name':'g'},{'kind':'Group','name':'h'},{'kind':'ServiceAccount','namespace':"
      "'n','name':'s'}]}",
      "x Role/r 41s u g, h n/s" },
    { "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",
      "{" META ",'roleRef':{'kind':'ClusterRole','name':'r'}}", "x ClusterRole/r 41s   " },
    /* extractCSRStatus: denied goes before approved */
    { "certificates.k8s.io/v1", "CertificateSigningRequest",
      "{" META ",'spec':{'signerName':'s/s','username':'u','expirationSeconds':3600},'status':{"
      "'certificate':'YQ==','conditions':[{'type':'Approved'}]}}",
      "x 41s s/s u 60m Approved,Issued" },
    { "certificates.k8s.io/v1", "CertificateSigningRequest",
      "{" META ",'spec':{'signerName':'s/s'},'status':{'conditions':[{'type':'Approved'},{'type':"
      "'Denied'},{'type':'Failed'}]}}",
      "x 41s s/s  <none> Denied,Failed" },
    { "certificates.k8s.io/v1", "CertificateSigningRequest", "{" META ",'spec':{}}",
      "x 41s <none>  <none> Pending" },
    /* printStorageClass: what is absent is the default */
    { "storage.k8s.io/v1", "StorageClass",
      "{'metadata':{'name':'x','creationTimestamp':'2026-11-22T10:00:00Z','annotations':{"
      "'storageclass.kubernetes.io/is-default-class':'true'}},'provisioner':'p'}",
      "x (default) p Delete Immediate false 41s" },
    { "storage.k8s.io/v1", "StorageClass",
      "{" META ",'provisioner':'p','reclaimPolicy':'Retain','volumeBindingMode':"
      "'WaitForFirstConsumer','allowVolumeExpansion':true}",
      "x p Retain WaitForFirstConsumer true 41s" },
    /* printVolumeAttachment, printCSINode, printCSIDriver, printCSIStorageCapacity */
    { "storage.k8s.io/v1", "VolumeAttachment",
      "{" META ",'spec':{'attacher':'a','nodeName':'n','source':{'persistentVolumeName':'p'}},"
      "'status':{'attached':true}}",
      "x a p n true 41s" },
    { "storage.k8s.io/v1", "CSINode", "{" META ",'spec':{'drivers':[{},{}]}}", "x 2 41s" },
    { "storage.k8s.io/v1", "CSIDriver", "{" META ",'spec':{}}",
      "x true false false <unset> false <none> 41s" },
    { "storage.k8s.io/v1", "CSIDriver",
      "{" META ",'spec':{'attachRequired':false,'podInfoOnMount':true,'storageCapacity':true,"
      "'requiresRepublish':true,'tokenRequests':[{'audience':'a'},{'audience':''}],"
      "'volumeLifecycleModes':['Persistent','Ephemeral']}}",
      "x false true true a, true Persistent,Ephemeral 41s" },
    { "storage.k8s.io/v1", "CSIStorageCapacity", "{" META ",'storageClassName':'s'}",
      "x s <unset>" },
    /* printResourceQuota: by name, limits by themselves */
    { "v1", "ResourceQuota",
      "{" META ",'status':{'hard':{'requests.cpu':'2','limits.cpu':'4','limitsx':'1','cpu':'1'},"
      "'used':{'cpu':'500m'}}}",
      "x cpu: 500m/1, limitsx: 0/1, requests.cpu: 0/2 limits.cpu: 0/4 41s" },
    /* printPriorityClass, printRuntimeClass, printLease */
    { "scheduling.k8s.io/v1", "PriorityClass",
      "{" META ",'value':7,'globalDefault':true,'preemptionPolicy':'Never'}",
      "x 7 true 41s Never" },
    { "node.k8s.io/v1", "RuntimeClass", "{" META ",'handler':'h'}", "x h 41s" },
    { "coordination.k8s.io/v1", "Lease", "{" META ",'spec':{}}", "x  41s" },
    /* printValidatingWebhook and its like */
    { "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
      "{" META ",'webhooks':[{},{}]}", "x 2 41s" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
      "{" META ",'spec':{'validations':[{}],'paramKind':{'apiVersion':'v1','kind':'ConfigMap'}}}",
      "x 1 v1/ConfigMap 41s" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
      "{" META ",'spec':{'policyName':'p','paramRef':{'name':'n'}}}", "x p */n 41s" },
    { "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
      "{" META ",'spec':{'policyName':'p'}}", "x p <unset> 41s" },
    /* printFlowSchema: "?" before its controller has said anything */
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      "{" META ",'spec':{'priorityLevelConfiguration':{'name':'l'},'matchingPrecedence':100,"
      "'distinguisherMethod':{'type':'ByUser'}},'status':{'conditions':[{'type':'Dangling','status'"
      ":'False'}]}}",
      "x l 100 ByUser 41s False" },
    { "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      "{" META ",'spec':{'priorityLevelConfiguration':{'name':'l'}}}", "x l 0 <none> 41s ?" },
    /* printPriorityLevelConfiguration */
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      "{" META ",'spec':{'type':'Limited','limited':{'nominalConcurrencyShares':30,'limitResponse':"
      "{'type':'Queue','queuing':{'queues':64,'handSize':6,'queueLengthLimit':50}}}}}",
      "x Limited 30 64 6 50 41s" },
    { "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      "{" META ",'spec':{'type':'Exempt'}}", "x Exempt <none> <none> <none> <none> 41s" },
    /* kube-aggregator pkg/registry/apiservice/etcd/etcd.go: a reason when it is not there */
    { "apiregistration.k8s.io/v1", "APIService",
      "{" META ",'spec':{},'status':{'conditions':[{'type':'Available','status':'True','reason':"
      "'Local'}]}}",
      "x Local True 41s" },
    { "apiregistration.k8s.io/v1", "APIService",
      "{" META ",'spec':{'service':{'namespace':'n','name':'s'}},'status':{'conditions':[{'type':"
      "'Available','status':'False','reason':'MissingEndpoints'}]}}",
      "x n/s False (MissingEndpoints) 41s" },
    { "apiregistration.k8s.io/v1", "APIService", "{" META ",'spec':{}}", "x Local Unknown 41s" },
    { "v1", "LimitRange", "{" META "}", "x 2026-11-22T10:00:00Z" },
};

/* Cells with a blank between; texts without their quotes. */
static void line_of(struct buf *b, const json_t *row)
{
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(row, "cells"), i, v)
    {
        auto_free char *text = json_is_string(v) ? mem_strdup(json_string_value(v)) : json_text(v);
        assert_int_equal(buf_addf(b, "%s%s", i ? " " : "", text), 0);
    }
}

static void cells_are_upstreams(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        const struct schema_kind *k = schema_find_api(schema, cells[i].api, cells[i].kind);
        json_auto_t *object = json_of(cells[i].object), *before = json_deep_copy(object);
        auto_buf b = BUF(4096);

        assert_non_null(k);
        json_auto_t *row = table_row(k, object, TABLE_NONE, now_s);
        line_of(&b, row);
        if (strcmp(buf_cstr(&b), cells[i].cells) != 0)
            fail_msg("%s %s, row %zu:\n  is    \"%s\"\n  wants \"%s\"", cells[i].api, cells[i].kind,
                     i, buf_cstr(&b), cells[i].cells);
        assert_true(json_equal(object, before));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_upstreams),
        cmocka_unit_test(no_kind_is_left_out),
        cmocka_unit_test(cells_are_upstreams),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

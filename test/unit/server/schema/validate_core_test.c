/* The rules of metadata, config maps, secrets, quotas, limits, nodes, namespaces, events and
 * replication controllers: pkg/apis/core/validation/{validation,events}.go and apimachinery
 * pkg/api/validation/objectmeta.go, release 1.32. Each block names the function whose rule it is.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/schema/validate.h"
#include "test/unit/server/schema/validate_rig.h"

#define META         "'metadata':{'name':'x','namespace':'n'}"
#define BASE         "{" META "}"
#define SPEC(x)      "{'spec':{" x "}}"
#define META_WITH(x) "{'metadata':{" x "}}"
#define QUALIFIED_WHY                                                                              \
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "  \
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

/* ValidateObjectMetaAccessor, ValidateOwnerReferences, ValidateFinalizers */
static void metadata_is_well_formed(void **state)
{
#define OWNER(x) META_WITH("'ownerReferences':[{" x "}]")
    static const struct vrow rows[] = {
        { META_WITH("'finalizers':['kubernetes','example.com/a'],'labels':{'a/b':''}"), "" },
        { META_WITH("'name':null"),
          "metadata.name: Required value: name or generateName is required" },
        { META_WITH("'generateName':'a-'"), "" },
        { META_WITH("'finalizers':['a']"),
          "metadata.finalizers[0]: Invalid value: \"a\": name is neither a standard finalizer name "
          "nor is it fully qualified" },
        { META_WITH("'finalizers':['a/-']"),
          "metadata.finalizers: Invalid value: \"a/-\": " QUALIFIED_WHY },
        { META_WITH("'finalizers':['orphan','foregroundDeletion']"),
          "metadata.finalizers: Invalid value: []string{\"orphan\", \"foregroundDeletion\"}: "
          "finalizer orphan and foregroundDeletion cannot be both set" },
        { META_WITH("'annotations':{'UP/per':'x','-':''}"),
          "metadata.annotations: Invalid value: \"-\": " QUALIFIED_WHY },
        { OWNER("'apiVersion':'v1','kind':'Pod','name':'p','uid':'u'"), "" },
        { OWNER("'apiVersion':'a/','kind':'','name':'','uid':''"),
          "metadata.ownerReferences.apiVersion: Invalid value: \"a/\": version must not be empty\n"
          "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty\n"
          "metadata.ownerReferences.name: Invalid value: \"\": must not be empty\n"
          "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty" },
        { OWNER("'apiVersion':'v1','kind':'Event','name':'e','uid':'u'"),
          "metadata.ownerReferences: Invalid value: "
          "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"e\",\"uid\":\"u\"}: /v1, "
          "Kind=Event is disallowed from being an owner" },
        { OWNER("'apiVersion':'v1','kind':'A','name':'a','uid':'u','controller':true},{"
                "'apiVersion':'v1','kind':'B','name':'b','uid':'u','controller':true"),
          "metadata.ownerReferences: Invalid value: [{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\""
          ":\"a\",\"uid\":\"u\",\"controller\":true},{\"apiVersion\":\"v1\",\"kind\":\"B\","
          "\"name\":\"b\",\"uid\":\"u\",\"controller\":true}]: Only one reference can have "
          "Controller set to true. Found \"true\" in references for A/a and B/b" },
    };
    (void)state;
    rig_create("v1 ConfigMap", BASE, rows, ARRAY_LEN(rows));
}

/* ValidateObjectMetaUpdate */
static void what_is_being_deleted_gets_no_new_finalizers(void **state)
{
#define DELETED "'deletionTimestamp':'2026-11-30T10:00:00Z'"
    static const struct urow rows[] = {
        { META_WITH("'finalizers':['a/b','a/c']," DELETED),
          META_WITH("'finalizers':['a/c']," DELETED), "" },
        { META_WITH("'finalizers':['a/b']," DELETED),
          META_WITH("'finalizers':['a/b','a/c']," DELETED),
          "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
          "deleted, found new finalizers []string{\"a/c\"}" },
        { META_WITH("'uid':'a'"), META_WITH("'uid':'b'"),
          "metadata.uid: Invalid value: \"b\": field is immutable" },
    };
    (void)state;
    rig_update("v1 ConfigMap", BASE, validate_update, rows, ARRAY_LEN(rows));
}

/* ValidateConfigMap, ValidateConfigMapUpdate */
static void config_maps_have_keys_like_files(void **state)
{
    static const struct vrow rows[] = {
        { "{'data':{'a.b_C-1':''},'binaryData':{'c':'AAAA'}}", "" },
        { "{'data':{'..':''}}", "data[..]: Invalid value: \"..\": must not be '..'" },
        { "{'data':{'a':''},'binaryData':{'a':''}}",
          "data[a]: Invalid value: \"a\": duplicate of key present in binaryData" },
    };
    static const struct urow updates[] = {
        { "{'data':{'a':'1'}}", "{'data':{'a':'2'}}", "" },
        { "{'immutable':true,'data':{'a':'1'}}", "{'data':{'a':'1'},'binaryData':{'b':'AAAA'}}",
          "immutable: Forbidden: field is immutable when `immutable` is set\n"
          "binaryData: Forbidden: field is immutable when `immutable` is set" },
        { "{'immutable':true}", "{'immutable':true,'metadata':{'labels':{'a':'b'}}}", "" },
    };
    (void)state;
    rig_create("v1 ConfigMap", BASE, rows, ARRAY_LEN(rows));
    rig_update("v1 ConfigMap", BASE, validate_update, updates, ARRAY_LEN(updates));
}

/* ValidateSecret, ValidateSecretUpdate */
static void secrets_hold_what_their_type_says(void **state)
{
#define TYPE(t, data) "{'type':'kubernetes.io/" t "','data':{" data "}}"
    static const struct vrow rows[] = {
        { TYPE("tls", "'tls.crt':'','tls.key':''"), "" },
        { TYPE("tls", "'tls.crt':''"), "data[tls.key]: Required value" },
        { TYPE("ssh-auth", "'ssh-privatekey':''"), "data[ssh-privatekey]: Required value" },
        { TYPE("basic-auth", "'username':''"), "" },
        { TYPE("basic-auth", ""),
          "data[username]: Required value\ndata[password]: Required value" },
        { TYPE("dockerconfigjson", "'.dockerconfigjson':'e30='"), "" }, /* {} */
        { TYPE("dockerconfigjson", "'.dockerconfigjson':'e30e'"),
          "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid "
          "character in JSON, or no object" },
        { TYPE("dockercfg", ""), "data[.dockercfg]: Required value" },
        { TYPE("service-account-token", ""),
          "metadata.annotations[kubernetes.io/service-account.name]: Required value" },
        { "{'type':'example.com/mine'}", "" },
        { "{'data':{'a/b':''}}",
          "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric "
          "characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex "
          "used for validation is '[-._a-zA-Z0-9]+')" },
    };
    static const struct urow updates[] = {
        { "{'type':'a'}", "{'type':'b'}", "type: Invalid value: \"b\": field is immutable" },
        { "{'immutable':true,'data':{'a':''}}", "{'immutable':true,'data':{}}",
          "data: Forbidden: field is immutable when `immutable` is set" },
    };
    (void)state;
    rig_create("v1 Secret", BASE, rows, ARRAY_LEN(rows));
    rig_update("v1 Secret", BASE, validate_update, updates, ARRAY_LEN(updates));
}

/* ValidateResourceQuotaSpec, validateResourceQuotaScopes,
 * validateScopedResourceSelectorRequirement, ValidateResourceQuotaUpdate */
static void quotas_count_what_can_be_counted(void **state)
{
#define SCOPE(x) SPEC("'scopeSelector':{'matchExpressions':[{" x "}]}")
    static const struct vrow rows[] = {
        { SPEC("'hard':{'pods':'10','requests.cpu':'1','count/jobs.batch':'5',"
               "'requests.example.com/gpu':'1','hugepages-2Mi':'0'}"),
          "" },
        { SPEC("'hard':{'storage':'1'}"),
          "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota" },
        { SPEC("'hard':{'nothing':'1'}"),
          "spec.hard[nothing]: Invalid value: \"nothing\": must be a standard resource type or "
          "fully qualified\n"
          "spec.hard[nothing]: Invalid value: \"nothing\": must be a standard resource for quota" },
        { SPEC("'hard':{'pods':'500m'}"),
          "spec.hard[pods]: Invalid value: \"500m\": must be an integer" },
        { SPEC("'hard':{'cpu':'-1'}"),
          "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0" },
        { SPEC("'scopes':['x']"), "spec.scopes: Invalid value: []core.ResourceQuotaScope{\"x\"}: "
                                  "unsupported scope" },
        { SPEC("'scopes':['BestEffort'],'hard':{'cpu':'1','pods':'1'}"),
          "spec.scopes: Invalid value: []core.ResourceQuotaScope{\"BestEffort\"}: unsupported "
          "scope applied to resource" },
        { SPEC("'scopes':['Terminating','NotTerminating']"),
          "spec.scopes: Invalid value: []core.ResourceQuotaScope{\"Terminating\", "
          "\"NotTerminating\"}: conflicting scopes" },
        { SCOPE("'scopeName':'PriorityClass','operator':'In','values':['a']"), "" },
        { SCOPE("'scopeName':'PriorityClass','operator':'In'"),
          "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value "
          "when `operator` is 'In' or 'NotIn' for scope selector" },
        { SCOPE("'scopeName':'BestEffort','operator':'NotIn','values':['a']"),
          "spec.scopeSelector.matchExpressions.operator: Invalid value: \"NotIn\": must be "
          "'Exists' when scope is any of ResourceQuotaScopeTerminating, "
          "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
          "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity" },
    };
    static const struct urow updates[] = {
        { SPEC("'scopes':['Terminating','BestEffort']"),
          SPEC("'scopes':['BestEffort','Terminating']"), "" },
        { SPEC("'scopes':['Terminating']"), "",
          "spec.scopes: Invalid value: []core.ResourceQuotaScope(nil): field is immutable" },
    };
    (void)state;
    rig_create("v1 ResourceQuota", BASE, rows, ARRAY_LEN(rows));
    rig_update("v1 ResourceQuota", BASE, validate_update, updates, ARRAY_LEN(updates));
}

/* ValidateLimitRange */
static void limits_are_in_order(void **state)
{
#define LIMIT(x) SPEC("'limits':[{" x "}]")
#define LIMIT_AT "spec.limits[0]."
    static const struct vrow rows[] = {
        { LIMIT("'type':'Container','min':{'cpu':'1'},'max':{'cpu':'4'},'maxLimitRequestRatio':{"
                "'cpu':'4'}"),
          "" },
        { LIMIT("'type':'x'"),
          LIMIT_AT "type: Invalid value: \"x\": must be a standard limit type or fully "
                   "qualified" },
        { LIMIT("'type':'Pod'},{'type':'Pod'"), "spec.limits[1].type: Duplicate value: \"Pod\"" },
        { LIMIT("'type':'Pod','default':{'cpu':'1'}"),
          LIMIT_AT "default: Forbidden: may not be specified when `type` is 'Pod'" },
        { LIMIT("'type':'Pod','min':{'cpu':'2'},'max':{'cpu':'1'}"),
          LIMIT_AT "min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1" },
        { LIMIT("'type':'Container','default':{'cpu':'1'},'defaultRequest':{'cpu':'2'}"),
          LIMIT_AT "defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater "
                   "than default limit value 1" },
        { LIMIT("'type':'Pod','maxLimitRequestRatio':{'cpu':'500m'}"),
          LIMIT_AT "maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than "
                   "1" },
        { LIMIT("'type':'Pod','min':{'cpu':'1'},'max':{'cpu':'2'},'maxLimitRequestRatio':{'cpu':"
                "'3'}"),
          LIMIT_AT "maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than "
                   "max/min = 2.000000" },
        { LIMIT("'type':'Container','max':{'gpu':'1'},'default':{'gpu':'1'},'defaultRequest':{"
                "'gpu':'1'}"),
          LIMIT_AT "max[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully "
                   "qualified\n" LIMIT_AT
                   "max[gpu]: Invalid value: \"gpu\": must be a standard resource for "
                   "containers\n" LIMIT_AT
                   "default[gpu]: Invalid value: \"gpu\": must be a standard resource type or "
                   "fully qualified\n" LIMIT_AT
                   "default[gpu]: Invalid value: \"gpu\": must be a standard resource for "
                   "containers\n" LIMIT_AT
                   "defaultRequest[gpu]: Invalid value: \"gpu\": must be a standard resource type "
                   "or fully qualified\n" LIMIT_AT
                   "defaultRequest[gpu]: Invalid value: \"gpu\": must be a standard resource for "
                   "containers" },
        { LIMIT("'type':'PersistentVolumeClaim'"),
          LIMIT_AT "limits: Required value: either minimum or maximum storage value is required, "
                   "but neither was provided" },
        { LIMIT("'type':'PersistentVolumeClaim','max':{'storage':'1Gi'}"), "" },
    };
    (void)state;
    rig_create("v1 LimitRange", BASE, rows, ARRAY_LEN(rows));
}

/* ValidateNode, ValidateNodeUpdate, validateNodeTaints */
static void nodes_keep_their_networks(void **state)
{
#define NODE     "{'metadata':{'name':'x'}}"
#define TAINT(x) SPEC("'taints':[{" x "}]")
    static const struct vrow rows[] = {
        { TAINT("'key':'a/b','value':'c','effect':'NoSchedule'"), "" },
        { TAINT("'key':'a','effect':'x'"),
          "metadata.taints[0].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", "
          "\"PreferNoSchedule\", \"NoExecute\"" },
        { TAINT("'key':'a','effect':''"), "metadata.taints[0].effect: Required value" },
        { TAINT("'key':'','effect':'NoSchedule'"),
          "metadata.taints[0].key: Invalid value: \"\": name part must be non-empty\n"
          "metadata.taints[0].key: Invalid value: \"\": " QUALIFIED_WHY },
        { TAINT("'key':'a','effect':'NoExecute'},{'key':'a','effect':'NoExecute'"),
          "metadata.taints[1]: Duplicate value: {\"effect\":\"NoExecute\",\"key\":\"a\"}: taints "
          "must be unique by key and effect pair" },
        { SPEC("'podCIDR':'10.42.0.0/24','podCIDRs':['10.42.0.0/24','10.43.0.0/24']"),
          "spec.podCIDRs: Invalid value: []string{\"10.42.0.0/24\", \"10.43.0.0/24\"}: may specify "
          "no more than one CIDR for each IP family" },
        { SPEC("'podCIDRs':['x']"),
          "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 "
          "or 2001:db8::/64)" },
        { "{'status':{'capacity':{'pods':'1500m'},'allocatable':{'pods':'1'}}}",
          "status.capacity.pods: Invalid value: \"1500m\": must be an integer" },
    };
    static const struct urow updates[] = {
        { "", SPEC("'podCIDR':'10.42.0.0/24','podCIDRs':['10.42.0.0/24'],'providerID':'a'"), "" },
        { SPEC("'podCIDRs':['10.42.0.0/24']"), SPEC("'podCIDRs':['10.42.1.0/24']"),
          "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to "
          "valid" },
        { SPEC("'providerID':'a'"), SPEC("'providerID':'b'"),
          "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to "
          "valid" },
        { "", SPEC("'externalID':'b'"), "spec.externalID: Forbidden: may not be updated" },
    };
    static const struct urow statuses[] = {
        { "", "{'status':{'addresses':[{'type':'A','address':'b'},{'type':'A','address':'b'}]}}",
          "status.addresses[1]: Duplicate value: {\"type\":\"A\",\"address\":\"b\"}" },
    };
    (void)state;
    rig_create("v1 Node", NODE, rows, ARRAY_LEN(rows));
    rig_update("v1 Node", NODE, validate_update, updates, ARRAY_LEN(updates));
    rig_update("v1 Node", NODE, validate_status, statuses, ARRAY_LEN(statuses));
}

/* ValidateNamespace, ValidateNamespaceStatusUpdate */
static void a_namespaces_phase_follows_its_deletion(void **state)
{
#define NS "{'metadata':{'name':'x'}}"
    static const struct vrow rows[] = {
        { SPEC("'finalizers':['kubernetes','a/b']"), "" },
        { SPEC("'finalizers':['a']"),
          "spec.finalizers: Invalid value: \"a\": name is neither a standard finalizer name nor is "
          "it fully qualified" },
    };
    static const struct urow statuses[] = {
        { "", "{'status':{'phase':'Active'}}", "" },
        { "", "{'status':{'phase':'Terminating'}}",
          "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if "
          "`deletionTimestamp` is empty" },
        { META_WITH(DELETED), META_WITH(DELETED),
          "status.Phase: Invalid value: \"Active\": may only be 'Terminating' if "
          "`deletionTimestamp` is not empty" },
    };
    (void)state;
    rig_create("v1 Namespace", NS, rows, ARRAY_LEN(rows));
    rig_update("v1 Namespace", NS, validate_status, statuses, ARRAY_LEN(statuses));
}

/* legacyValidateEvent */
static void events_lie_where_their_object_lies(void **state)
{
#define NEW "'eventTime':'2026-11-30T10:00:00.000000Z','involvedObject':{'namespace':'n'}"
    static const struct vrow rows[] = {
        { "{'involvedObject':{'namespace':'n'}}", "" },
        { "{'involvedObject':{'namespace':'m'}}",
          "involvedObject.namespace: Invalid value: \"m\": does not match event.namespace" },
        { "{'involvedObject':{}}",
          "involvedObject.namespace: Invalid value: \"\": does not match event.namespace" },
        { "{'metadata':{'namespace':'default'},'involvedObject':{}}", "" },
        { "{" NEW ",'reportingComponent':'a/b','reportingInstance':'i','action':'a','reason':"
          "'r'}",
          "" },
        { "{" NEW ",'reportingComponent':'a/b','reason':'r'}",
          "reportingInstance: Required value\naction: Required value" },
    };
    (void)state;
    rig_create("v1 Event", BASE, rows, ARRAY_LEN(rows));
}

/* ValidateReplicationControllerSpec, ValidateReplicationControllerStatus */
static void controllers_pick_the_pods_they_make(void **state)
{
#define RC                                                                                         \
    "{" META ",'spec':{'selector':{'a':'b'},'template':{'metadata':{'labels':{'a':'b'}},'spec':{"  \
    "'containers':[{'name':'c','image':'i'}]}}}}"
    static const struct vrow rows[] = {
        { "", "" },
        { SPEC("'replicas':-1"),
          "spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
        { SPEC("'selector':{'a':'c'}"),
          "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match "
          "template `labels`" },
        { SPEC("'template':null"), "spec.template: Required value" },
        { SPEC("'template':{'spec':{'restartPolicy':'Never','activeDeadlineSeconds':1}}"),
          "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
          "\"Always\"\n"
          "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in "
          "ReplicationController is not Supported" },
    };
    static const struct urow statuses[] = {
        { "", "{'status':{'replicas':2,'readyReplicas':2,'availableReplicas':1}}", "" },
        { "", "{'status':{'replicas':1,'readyReplicas':2}}",
          "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas" },
    };
    (void)state;
    rig_create("v1 ReplicationController", RC, rows, ARRAY_LEN(rows));
    rig_update("v1 ReplicationController", RC, validate_status, statuses, ARRAY_LEN(statuses));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_well_formed),
        cmocka_unit_test(what_is_being_deleted_gets_no_new_finalizers),
        cmocka_unit_test(config_maps_have_keys_like_files),
        cmocka_unit_test(secrets_hold_what_their_type_says),
        cmocka_unit_test(quotas_count_what_can_be_counted),
        cmocka_unit_test(limits_are_in_order),
        cmocka_unit_test(nodes_keep_their_networks),
        cmocka_unit_test(a_namespaces_phase_follows_its_deletion),
        cmocka_unit_test(events_lie_where_their_object_lies),
        cmocka_unit_test(controllers_pick_the_pods_they_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

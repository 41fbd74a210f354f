/* The rules of PersistentVolumes and claims: pkg/apis/core/validation/validation.go, release 1.32.
 * Each block names the function whose rule it is. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/schema/validate.h"
#include "test/unit/server/schema/validate_rig.h"

#define VOLUME                                                                                     \
    "{'metadata':{'name':'v'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':["                \
    "'ReadWriteOnce'],'hostPath':{'path':'/x'}}}"
#define CLAIM                                                                                      \
    "{'metadata':{'name':'c','namespace':'n'},'spec':{'accessModes':['ReadWriteOnce'],"            \
    "'resources':{'requests':{'storage':'1Gi'}}}}"
#define SPEC(x) "{'spec':{" x "}}"
#define SUBDOMAIN_WHY                                                                              \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define MODES                                                                                      \
    "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", "                   \
    "\"ReadWriteOncePod\""

/* ValidatePersistentVolumeSpec */
static void volumes_have_a_size_and_one_source(void **state)
{
    static const struct vrow rows[] = {
        { "", "" },
        { SPEC("'accessModes':[]"), "spec.accessModes: Required value" },
        { SPEC("'accessModes':['x']"), "spec.accessModes: Unsupported value: \"x\": " MODES },
        { SPEC("'accessModes':['ReadWriteOncePod','ReadOnlyMany']"),
          "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes" },
        { SPEC("'capacity':null"),
          "spec.capacity: Required value\n"
          "spec.capacity: Unsupported value: core.ResourceList(nil): supported values: "
          "\"storage\"" },
        { SPEC("'capacity':{'storage':'0'}"),
          "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero" },
        { SPEC("'hostPath':null"), "spec: Required value: must specify a volume type" },
        { SPEC("'nfs':{'server':'s','path':'/p'}"),
          "spec.nfs: Forbidden: may not specify more than 1 volume type" },
        { SPEC("'hostPath':null,'local':{'path':'/x'}"),
          "spec.nodeAffinity: Required value: Local volume requires node affinity" },
        { SPEC("'hostPath':null,'local':{'path':'/x'},'nodeAffinity':{'required':{"
               "'nodeSelectorTerms':[{'matchExpressions':[{'key':'a','operator':'In','values':["
               "'b']}]}]}}"),
          "" },
        { SPEC("'nodeAffinity':{}"),
          "spec.nodeAffinity.required: Required value: must specify required node constraints" },
        { SPEC("'hostPath':{'path':'/'},'persistentVolumeReclaimPolicy':'Recycle'"),
          "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath "
          "mount of '/'" },
        { SPEC("'persistentVolumeReclaimPolicy':'x'"),
          "spec.persistentVolumeReclaimPolicy: Unsupported value: \"x\": supported values: "
          "\"Delete\", \"Recycle\", \"Retain\"" },
        { SPEC("'volumeMode':'x'"), "spec.volumeMode: Unsupported value: \"x\": supported values: "
                                    "\"Block\", \"Filesystem\"" },
        { SPEC("'storageClassName':'_'"),
          "spec.storageClassName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'hostPath':null,'csi':{'driver':'d','volumeHandle':'','nodePublishSecretRef':{"
               "'name':'_'}}"),
          "spec.csi.volumeHandle: Required value\n"
          "spec.csi.nodePublishSecretRef.name: Invalid value: \"_\": " SUBDOMAIN_WHY "\n"
          "spec.csi.nodePublishSecretRef.namespace: Required value" },
    };
    (void)state;
    rig_create("v1 PersistentVolume", VOLUME, rows, ARRAY_LEN(rows));
}

/* ValidatePersistentVolumeUpdate, validatePvNodeAffinity */
static void a_volumes_source_stays(void **state)
{
#define ZONE(key)                                                                                  \
    SPEC("'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'" key      \
         "','operator':'In','values':['a']}]}]}}")
#define CSI(x) SPEC("'hostPath':null,'csi':{'driver':'d','volumeHandle':'h'" x "}")
    static const struct urow rows[] = {
        { "", SPEC("'capacity':{'storage':'2Gi'},'storageClassName':'a'"), "" },
        { "", SPEC("'hostPath':{'path':'/y'}"),
          "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after "
          "creation" },
        { "", SPEC("'volumeMode':'Block'"),
          "volumeMode: Invalid value: \"Block\": field is immutable" },
        { "", ZONE("a"), "" },
        { ZONE("failure-domain.beta.kubernetes.io/zone"), ZONE("topology.kubernetes.io/zone"), "" },
        { ZONE("a"), "",
          "nodeAffinity: Invalid value: null: field is immutable, except for "
          "updating from beta label to GA" },
        { CSI(""), CSI(",'controllerExpandSecretRef':{'name':'a','namespace':'b'}"), "" },
        { CSI(",'controllerExpandSecretRef':{'name':'a','namespace':'b'}"), CSI(""),
          "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after "
          "creation" },
    };
    (void)state;
    rig_update("v1 PersistentVolume", VOLUME, validate_update, rows, ARRAY_LEN(rows));
}

/* ValidatePersistentVolumeClaimSpec, validateDataSource, validateDataSourceRef */
static void claims_say_how_much_and_how(void **state)
{
    static const struct vrow rows[] = {
        { "", "" },
        { SPEC("'accessModes':[]"),
          "spec.accessModes: Required value: at least 1 access mode is required" },
        { SPEC("'accessModes':['x']"), "spec.accessModes: Unsupported value: \"x\": " MODES },
        { SPEC("'resources':null"), "spec.resources[storage]: Required value" },
        { SPEC("'resources':{'requests':{'storage':'0'}}"),
          "spec.resources[storage]: Invalid value: \"0\": must be greater than zero" },
        { SPEC("'storageClassName':''"), "" },
        { SPEC("'storageClassName':'_'"),
          "spec.storageClassName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'selector':{'matchExpressions':[{'key':'a','operator':'x'}]}"),
          "spec.selector.matchExpressions[0].operator: Invalid value: \"x\": not a valid selector "
          "operator" },
        { SPEC("'dataSource':{'kind':'x','name':''}"),
          "spec.dataSource.name: Required value\n"
          "spec.dataSource: Invalid value: \"x\": must be 'PersistentVolumeClaim' when referencing "
          "the default apiGroup" },
        { SPEC("'dataSource':{'kind':'PersistentVolumeClaim','name':'a'},'dataSourceRef':{'kind':"
               "'PersistentVolumeClaim','name':'b'}"),
          "spec: Invalid value: \"spec.dataSource\": must match dataSourceRef" },
    };
    (void)state;
    rig_create("v1 PersistentVolumeClaim", CLAIM, rows, ARRAY_LEN(rows));
}

/* ValidatePersistentVolumeClaimUpdate */
static void a_claim_grows_and_nothing_else(void **state)
{
#define SIZE(x) "'resources':{'requests':{'storage':'" x "'}}"
#define FIXED                                                                                      \
    "spec: Forbidden: spec is immutable after creation except resources.requests and "             \
    "volumeAttributesClassName for bound claims"
#define BOUND(size)                                                                                \
    "{'spec':{" SIZE(size) "},'status':{'phase':'Bound','capacity':{'storage':'1Gi'}}}"
    static const struct urow rows[] = {
        { "", "", "" },
        { "", SPEC("'volumeName':'v'"), "" },
        { SPEC("'volumeName':'v'"), SPEC("'volumeName':'w'"), FIXED },
        { "", SPEC(SIZE("2Gi")), FIXED },
        { BOUND("1Gi"), BOUND("2Gi"), "" },
        { BOUND("2Gi"), BOUND("1536Mi"), "" },
        { BOUND("2Gi"), BOUND("512Mi"),
          "spec.resources.requests.storage: Forbidden: field can not be less than "
          "status.capacity" },
        { "", SPEC("'accessModes':['ReadOnlyMany']"), FIXED },
        { "", SPEC("'storageClassName':'a'"), "" },
        { SPEC("'storageClassName':'a'"), SPEC("'storageClassName':'b'"), FIXED },
        { "", SPEC("'volumeMode':'Block'"),
          FIXED "\nvolumeMode: Invalid value: \"Block\": field is immutable" },
    };
    (void)state;
    rig_update("v1 PersistentVolumeClaim", CLAIM, validate_update, rows, ARRAY_LEN(rows));
}

/* ValidatePersistentVolumeClaimStatusUpdate */
static void a_claims_status_counts_storage(void **state)
{
#define STATUS(x) "{'status':{" x "}}"
    static const struct urow rows[] = {
        { "", STATUS("'capacity':{'storage':'1Gi'},'allocatedResources':{'storage':'1Gi'}"), "" },
        { "", STATUS("'capacity':{'storage':'-1'}"),
          "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity" },
        { "", STATUS("'allocatedResources':{'cpu':'1'}"),
          "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"" },
    };
    (void)state;
    rig_update("v1 PersistentVolumeClaim", CLAIM, validate_status, rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_have_a_size_and_one_source),
        cmocka_unit_test(a_volumes_source_stays),
        cmocka_unit_test(claims_say_how_much_and_how),
        cmocka_unit_test(a_claim_grows_and_nothing_else),
        cmocka_unit_test(a_claims_status_counts_storage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The sources of volumes: validateVolumeSource and the functions it calls,
 * pkg/apis/core/validation/validation.go, release 1.32. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/schema/validate.h"
#include "test/unit/server/schema/validate_rig.h"

#define BASE                                                                                       \
    "{'metadata':{'name':'p','namespace':'n'},'spec':{'serviceAccountName':'a','containers':[{"    \
    "'name':'c','image':'i'}]}}"
#define VOLUMES(x) "{'spec':{'volumes':[" x "]}}"
#define VOLUME(x)  VOLUMES("{'name':'v'," x "}")
#define AT         "spec.volumes[0]."
#define MODE_WHY   "must be a number between 0 and 0777 (octal), both inclusive"

/* ValidateVolumes */
static void volumes_have_names_and_one_source(void **state)
{
    static const struct vrow rows[] = {
        { VOLUMES("{'name':'v'}"), "" }, /* an emptyDir */
        { VOLUMES("{'emptyDir':{}}"), AT "name: Required value" },
        { VOLUMES("{'name':'v'},{'name':'v'}"), "spec.volumes[1].name: Duplicate value: \"v\"" },
        { VOLUME("'emptyDir':{},'hostPath':{'path':'/x'}"),
          AT "hostPath: Forbidden: may not specify more than 1 volume type" },
        { VOLUME("'hostPath':{'path':'/x'},'configMap':{'name':'m'},'secret':{'secretName':'s'}"),
          AT "secret: Forbidden: may not specify more than 1 volume type\n" AT
             "configMap: Forbidden: may not specify more than 1 volume type" },
        { VOLUMES("{'name':'v','ephemeral':{'volumeClaimTemplate':{'spec':{'accessModes':["
                  "'ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}}},{'name':'w',"
                  "'persistentVolumeClaim':{'claimName':'p-v'}}"),
          "spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: \"p-v\": must not "
          "reference a PVC that gets created for an ephemeral volume" },
    };
    (void)state;
    rig_create("v1 Pod", BASE, rows, ARRAY_LEN(rows));
}

/* validateHostPathVolumeSource, validateSecretVolumeSource, validateConfigMapVolumeSource,
 * validateKeyToPath, validateDownwardAPIVolumeFile, validateEphemeralVolumeSource */
static void local_sources_have_their_fields(void **state)
{
#define DOWN(x) VOLUME("'downwardAPI':{'items':[{" x "}]}")
#define CLAIM(x)                                                                                   \
    VOLUME("'ephemeral':{'volumeClaimTemplate':{" x "'spec':{'accessModes':['ReadWriteOnce'],"     \
           "'resources':{'requests':{'storage':'1Gi'}}}}}")
    static const struct vrow rows[] = {
        { VOLUME("'hostPath':{'path':'/x','type':'Directory'}"), "" },
        { VOLUME("'hostPath':{'path':''}"), AT "hostPath.path: Required value" },
        { VOLUME("'hostPath':{'path':'/a/../b'}"),
          AT "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'" },
        { VOLUME("'hostPath':{'path':'/x','type':'x'}"),
          AT "hostPath.type: Unsupported value: \"x\": supported values: \"\", \"BlockDevice\", "
             "\"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", "
             "\"Socket\"" },
        { VOLUME("'emptyDir':{'sizeLimit':'-1'}"),
          AT "emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity" },
        { VOLUME("'secret':{}"), AT "secret.secretName: Required value" },
        { VOLUME("'secret':{'secretName':'s','defaultMode':512}"),
          AT "secret.defaultMode: Invalid value: 512: " MODE_WHY },
        { VOLUME("'configMap':{}"), AT "configMap.name: Required value" },
        { VOLUME("'configMap':{'name':'m','items':[{'key':'','path':'../x','mode':-1}]}"),
          AT "configMap.items[0].key: Required value\n" AT
             "configMap.items[0].path: Invalid value: \"../x\": must not contain '..'\n" AT
             "configMap.items[0].mode: Invalid value: -1: " MODE_WHY },
        { VOLUME("'configMap':{'name':'m','items':[{'key':'k','path':'..x'}]}"),
          AT "configMap.items[0].path: Invalid value: \"..x\": must not start with '..'" },
        { VOLUME("'persistentVolumeClaim':{}"),
          AT "persistentVolumeClaim.claimName: Required value" },
        { DOWN("'path':'a','fieldRef':{'fieldPath':'metadata.labels'}"), "" },
        { DOWN("'path':'a','resourceFieldRef':{'containerName':'c','resource':'limits.cpu'}"), "" },
        { DOWN("'path':'a'"),
          AT "downwardAPI: Required value: one of fieldRef and resourceFieldRef is required" },
        { DOWN("'path':'/a','fieldRef':{'fieldPath':'metadata.uid'}"),
          AT "downwardAPI.path: Invalid value: \"/a\": must be a relative path" },
        { DOWN("'path':'a','fieldRef':{'fieldPath':'spec.nodeName'}"),
          AT "downwardAPI.fieldRef.fieldPath: Unsupported value: \"spec.nodeName\": supported "
             "values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", "
             "\"metadata.namespace\", \"metadata.uid\"" },
        { DOWN("'path':'a','resourceFieldRef':{'resource':'limits.cpu'}"),
          AT "downwardAPI.resourceFieldRef.containerName: Required value" },
        { CLAIM(""), "" },
        { CLAIM("'metadata':{'name':'x','labels':{'a':'b'}},"),
          AT "ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set" },
        { VOLUME("'ephemeral':{}"), AT "ephemeral.volumeClaimTemplate: Required value" },
        { VOLUME("'ephemeral':{'volumeClaimTemplate':{'spec':{}}}"),
          AT "ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access "
             "mode is required\n" AT
             "ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value" },
    };
    (void)state;
    rig_create("v1 Pod", BASE, rows, ARRAY_LEN(rows));
}

/* validateProjectionSources */
static void projected_sources_do_not_hide_each_other(void **state)
{
#define PROJECTED(x) VOLUME("'projected':{'sources':[" x "]}")
#define SOURCE       AT "projected.sources[0]"
    static const struct vrow rows[] = {
        { PROJECTED("{'serviceAccountToken':{'path':'token'}},{'configMap':{'name':'m'}}"), "" },
        { PROJECTED("{'serviceAccountToken':{'path':'token','expirationSeconds':599}}"),
          SOURCE ".serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a "
                 "duration less than 10 minutes" },
        { PROJECTED("{'serviceAccountToken':{'path':''}}"), AT "projected.path: Required value" },
        { PROJECTED("{'secret':{'items':[]}}"), SOURCE ".secret.name: Required value" },
        { PROJECTED("{'secret':{'name':'s'},'configMap':{'name':'m'}}"),
          SOURCE ": Forbidden: may not specify more than 1 volume type per source" },
        { PROJECTED("{'secret':{'name':'s','items':[{'key':'k','path':'a'}]}},{'configMap':{"
                    "'name':'m','items':[{'key':'k','path':'a'}]}}"),
          AT "projected: Invalid value: \"m\": conflicting duplicate paths" },
        { PROJECTED("{'clusterTrustBundle':{'path':'ca'}}"),
          SOURCE ".clusterTrustBundle: Required value: either name or signerName must be "
                 "specified" },
        { "{'spec':{'serviceAccountName':null,'volumes':[{'name':'v','projected':{'sources':[{"
          "'serviceAccountToken':{'path':'token'}}]}}]}}",
          SOURCE ".serviceAccountToken: Forbidden: must not be specified when serviceAccountName "
                 "is not set" },
    };
    (void)state;
    rig_create("v1 Pod", BASE, rows, ARRAY_LEN(rows));
}

/* one function a source */
static void remote_sources_have_their_fields(void **state)
{
    static const struct vrow rows[] = {
        { VOLUME("'nfs':{'server':'s','path':'/p'}"), "" },
        { VOLUME("'nfs':{'server':'','path':'p'}"),
          AT "nfs.server: Required value\n" AT
             "nfs.path: Invalid value: \"p\": must be an absolute path" },
        { VOLUME("'gcePersistentDisk':{'pdName':'','partition':256}"),
          AT "persistentDisk.pdName: Required value\n" AT
             "persistentDisk.partition: Invalid value: 256: must be between 0 and 255, "
             "inclusive" },
        { VOLUME("'iscsi':{'targetPortal':'1.2.3.4','iqn':'iqn.2015-02.example.com:t','lun':0}"),
          "" },
        { VOLUME("'iscsi':{'targetPortal':'1.2.3.4','iqn':'x','lun':256,'chapAuthSession':true}"),
          AT "iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or "
             "naa\n" AT "iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive\n" AT
             "iscsi.secretRef: Required value" },
        { VOLUME("'iscsi':{'targetPortal':'1.2.3.4','iqn':'eui.0123','lun':0}"),
          AT "iscsi.iqn: Invalid value: \"eui.0123\": must be valid format" },
        { VOLUME("'glusterfs':{'endpoints':'e','path':''}"), AT "glusterfs.path: Required value" },
        { VOLUME("'flocker':{'datasetName':'a/b','datasetUUID':'u'}"),
          AT "flocker: Invalid value: \"resource\": datasetName and datasetUUID can not be "
             "specified simultaneously\n" AT
             "flocker.datasetName: Invalid value: \"a/b\": must not contain '/'" },
        { VOLUME("'rbd':{'monitors':[],'image':''}"),
          AT "rbd.monitors: Required value\n" AT "rbd.image: Required value" },
        { VOLUME("'fc':{'targetWWNs':['a']}"),
          AT "fc.lun: Required value: lun is required if targetWWNs is specified" },
        { VOLUME("'fc':{}"), AT "fc.targetWWNs: Required value: must specify either targetWWNs or "
                                "wwids, but not both" },
        { VOLUME("'flexVolume':{'driver':'d','options':{'x.kubernetes.io/a':'b'}}"),
          AT "flexVolume.options[x.kubernetes.io/a]: Invalid value: \"x.kubernetes.io/a\": "
             "kubernetes.io and k8s.io namespaces are reserved" },
        { VOLUME("'quobyte':{'registry':'h','volume':'v'}"),
          AT "quobyte.registry: Invalid value: \"h\": must be a host:port pair or multiple pairs "
             "separated by commas" },
        { VOLUME("'cinder':{'volumeID':'v','secretRef':{}}"),
          AT "cinder.secretRef.name: Required value" },
        { VOLUME("'azureDisk':{'diskName':'d','diskURI':'x','kind':'Managed'}"),
          AT "azureDisk.diskURI: Unsupported value: \"x\": supported values: "
             "\"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/"
             "disks/{disk-id}\"" },
        { VOLUME("'storageos':{'volumeName':'V'}"),
          AT "storageos.volumeName: Invalid value: \"V\": a lowercase RFC 1123 label must consist "
             "of lower case alphanumeric characters or '-', and must start and end with an "
             "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
             "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')" },
        { VOLUME("'csi':{'driver':'Csi.example.com'}"), "" },
        { VOLUME("'csi':{'driver':'','nodePublishSecretRef':{}}"),
          AT "csi.driver: Required value\n" AT
             "csi.driver: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of "
             "lower case alphanumeric characters, '-' or '.', and must start and end with an "
             "alphanumeric character (e.g. 'example.com', regex used for validation is "
             "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n" AT
             "csi.nodePublishSecretRef.name: Required value" },
        { VOLUME("'gitRepo':{'repository':'r','directory':'/d'}"),
          AT "gitRepo.directory: Invalid value: \"/d\": must be a relative path" },
        { VOLUME("'image':{}"), AT "image.reference: Required value" },
    };
    (void)state;
    rig_create("v1 Pod", BASE, rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_have_names_and_one_source),
        cmocka_unit_test(local_sources_have_their_fields),
        cmocka_unit_test(projected_sources_do_not_hide_each_other),
        cmocka_unit_test(remote_sources_have_their_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

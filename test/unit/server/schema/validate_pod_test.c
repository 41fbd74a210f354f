/* The rules of pods: pkg/apis/core/validation/validation.go, release 1.32. Each block names the
 * function whose rule it is. */
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
    "{'metadata':{'name':'p','namespace':'n'},'spec':{'containers':[{'name':'c','image':'i'}]}}"
#define SPEC(x)      "{'spec':{" x "}}"
#define CONTAINER(x) SPEC("'containers':[{'name':'c','image':'i'," x "}]")
#define AT           "spec.containers[0]."

#define CREATE(rows) rig_create("v1 Pod", BASE, rows, ARRAY_LEN(rows))

#define LABEL_WHY                                                                                  \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_WHY                                                                              \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define QUALIFIED_WHY                                                                              \
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "  \
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_WHY                                                                                  \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', " \
    " or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

/* validateContainers, validateContainerCommon, validateContainerOnlyForPod */
static void containers_have_names_and_images(void **state)
{
    static const struct vrow rows[] = {
        { "", "" },
        { SPEC("'containers':[]"), "spec.containers: Required value" },
        { SPEC("'containers':[{'image':'i'}]"), AT "name: Required value" },
        { SPEC("'containers':[{'name':'C','image':'i'}]"),
          AT "name: Invalid value: \"C\": " LABEL_WHY },
        { SPEC("'containers':[{'name':'c'}]"), AT "image: Required value" },
        { SPEC("'containers':[{'name':'c','image':' i'}]"),
          AT "image: Invalid value: \" i\": must not have leading or trailing whitespace" },
        { SPEC("'containers':[{'name':'c','image':'i'},{'name':'c','image':'i'}]"),
          "spec.containers[1].name: Duplicate value: \"c\"" },
        { CONTAINER("'imagePullPolicy':'x'"),
          AT "imagePullPolicy: Unsupported value: \"x\": supported values: \"Always\", "
             "\"IfNotPresent\", \"Never\"" },
        { CONTAINER("'terminationMessagePolicy':'x'"),
          AT "terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", "
             "\"FallbackToLogsOnError\"" },
        { CONTAINER("'restartPolicy':'Always'"),
          AT "restartPolicy: Forbidden: may not be set for non-init containers" },
        { CONTAINER("'resizePolicy':[{'resourceName':'gpu','restartPolicy':'NotRequired'}]"),
          AT "resizePolicy: Unsupported value: \"gpu\": supported values: \"cpu\", \"memory\"" },
    };
    (void)state;
    CREATE(rows);
}

/* validateContainerPorts, AccumulateUniqueHostPorts, validatePodHostNetworkDeps */
static void ports_are_numbers_with_names_of_their_own(void **state)
{
    static const struct vrow rows[] = {
        { CONTAINER("'ports':[{'containerPort':80,'name':'http'},{'containerPort':81}]"), "" },
        { CONTAINER("'ports':[{}]"), AT "ports[0].containerPort: Required value" },
        { CONTAINER("'ports':[{'containerPort':70000}]"),
          AT "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, "
             "inclusive" },
        { CONTAINER("'ports':[{'containerPort':80,'hostPort':-1}]"),
          AT "ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive" },
        { CONTAINER("'ports':[{'containerPort':80,'name':'UP'}]"),
          AT "ports[0].name: Invalid value: \"UP\": must contain only alpha-numeric characters "
             "(a-z, 0-9), and hyphens (-)\n" AT
             "ports[0].name: Invalid value: \"UP\": must contain at least one letter (a-z)" },
        { CONTAINER("'ports':[{'containerPort':80,'name':'a'},{'containerPort':81,'name':'a'}]"),
          AT "ports[1].name: Duplicate value: \"a\"" },
        { CONTAINER("'ports':[{'containerPort':80,'protocol':'ICMP'}]"),
          AT "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", "
             "\"TCP\", \"UDP\"" },
        { CONTAINER("'ports':[{'containerPort':80,'hostPort':9},{'containerPort':81,'hostPort':9},"
                    "{'containerPort':82,'hostPort':9,'protocol':'UDP'}]"),
          AT "ports[1].hostPort: Duplicate value: \"TCP//9\"" },
        { SPEC("'hostNetwork':true,'containers':[{'name':'c','image':'i','ports':[{"
               "'containerPort':80,'hostPort':81}]}]"),
          AT "ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` "
             "is true" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateEnv, validateEnvVarValueFrom, validateObjectFieldSelector,
 * validateContainerResourceFieldSelector, ValidateEnvFrom */
static void variables_have_one_source(void **state)
{
#define FROM(x) CONTAINER("'env':[{'name':'A','valueFrom':{" x "}}]")
#define FROM_AT AT "env[0].valueFrom"
    static const struct vrow rows[] = {
        { CONTAINER("'env':[{'name':'a.b-C 1','value':'x'}]"), "" },
        { CONTAINER("'env':[{'name':'a=b'}]"),
          AT "env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist "
             "only of printable ASCII characters other than '='" },
        { CONTAINER("'env':[{'value':'x'}]"), AT "env[0].name: Required value" },
        { FROM(""), FROM_AT ": Invalid value: \"\": must specify one of: `fieldRef`, "
                            "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`" },
        { CONTAINER("'env':[{'name':'A','value':'x','valueFrom':{'fieldRef':{'fieldPath':"
                    "'metadata.name'}}}]"),
          FROM_AT ": Invalid value: \"\": may not be specified when `value` is not empty" },
        { FROM("'configMapKeyRef':{'name':'m','key':'k'},'secretKeyRef':{'name':'s','key':'k'}"),
          FROM_AT ": Invalid value: \"\": may not have more than one field specified at a time" },
        { FROM("'configMapKeyRef':{'name':'m'}"), FROM_AT ".configMapKeyRef.key: Required value" },
        { FROM("'secretKeyRef':{'name':'S','key':'k'}"),
          FROM_AT ".secretKeyRef.name: Invalid value: \"S\": " SUBDOMAIN_WHY },
        { FROM("'fieldRef':{'fieldPath':'metadata.labels[\\u0027a/b\\u0027]'}"), "" },
        { FROM("'fieldRef':{'fieldPath':'metadata.labels[\\u0027-\\u0027]'}"),
          FROM_AT ".fieldRef: Invalid value: \"-\": " QUALIFIED_WHY },
        { FROM("'fieldRef':{'fieldPath':'metadata.name[\\u0027a\\u0027]'}"),
          FROM_AT ".fieldRef: Invalid value: \"metadata.name\": does not support subscript" },
        { FROM("'fieldRef':{'fieldPath':'metadata.whoops'}"),
          FROM_AT ".fieldRef.fieldPath: Invalid value: \"metadata.whoops\": error converting "
                  "fieldPath: field label not supported: metadata.whoops" },
        { FROM("'fieldRef':{'fieldPath':'metadata.labels'}"),
          FROM_AT ".fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: "
                  "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\", "
                  "\"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", "
                  "\"status.hostIPs\", \"status.podIP\", \"status.podIPs\"" },
        { FROM("'fieldRef':{}"), FROM_AT ".fieldRef.fieldPath: Required value" },
        { FROM("'resourceFieldRef':{'resource':'limits.cpu','divisor':'1m'}"), "" },
        { FROM("'resourceFieldRef':{'resource':'limits.hugepages-2Mi','divisor':'1Mi'}"), "" },
        { FROM("'resourceFieldRef':{'resource':'limits.cpu','divisor':'10m'}"),
          FROM_AT ".resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's "
                  "values 1m and 1 are supported with the cpu resource" },
        { FROM("'resourceFieldRef':{'resource':'limits.gpu'}"),
          FROM_AT ".resourceFieldRef.resource: Unsupported value: \"limits.gpu\": supported "
                  "values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", "
                  "\"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"" },
        { CONTAINER("'envFrom':[{'prefix':'A.','configMapRef':{'name':'m'}},{'secretRef':{'name':"
                    "'s'}}]"),
          "" },
        { CONTAINER("'envFrom':[{'prefix':'=','configMapRef':{'name':'m'}}]"),
          AT "envFrom[0].prefix: Invalid value: \"=\": a valid environment variable name must "
             "consist only of printable ASCII characters other than '='" },
        { CONTAINER("'envFrom':[{'prefix':'a'}]"),
          AT "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`" },
        { CONTAINER("'envFrom':[{'configMapRef':{'name':'m'},'secretRef':{'name':'s'}}]"),
          AT "envFrom: Invalid value: \"\": may not have more than one field specified at a "
             "time" },
        { CONTAINER("'envFrom':[{'secretRef':{'optional':true}}]"),
          AT "envFrom[0].secretRef.name: Required value" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateVolumeMounts, ValidateVolumeDevices */
static void mounts_name_volumes(void **state)
{
#define MOUNT(x)                                                                                   \
    SPEC("'volumes':[{'name':'v'},{'name':'w','persistentVolumeClaim':{'claimName':'w'}}],"        \
         "'containers':[{'name':'c','image':'i'," x "}]")
    static const struct vrow rows[] = {
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','subPath':'a/b'}]"), "" },
        { MOUNT("'volumeMounts':[{'name':'x','mountPath':'/v'}]"),
          AT "volumeMounts[0].name: Not found: \"x\"" },
        { MOUNT("'volumeMounts':[{'name':'v'}]"), AT "volumeMounts[0].mountPath: Required value" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v'},{'name':'w','mountPath':'/v'}]"),
          AT "volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','subPath':'/a'}]"),
          AT "volumeMounts.subPath: Invalid value: \"/a\": must be a relative path" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','subPath':'a/../b'}]"),
          AT "volumeMounts.subPath: Invalid value: \"a/../b\": must not contain '..'" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','subPath':'a','subPathExpr':'b'}]"),
          AT "volumeMounts[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are "
             "mutually exclusive" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','mountPropagation':'x'}]"),
          AT "volumeMounts.mountPropagation: Unsupported value: \"x\": supported values: "
             "\"Bidirectional\", \"HostToContainer\", \"None\"" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','mountPropagation':"
                "'Bidirectional'}]"),
          AT "volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is "
             "available only to privileged containers" },
        { MOUNT("'volumeMounts':[{'name':'v','mountPath':'/v','recursiveReadOnly':'Enabled'}]"),
          AT "volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is "
             "true" },
        { MOUNT("'volumeDevices':[{'name':'w','devicePath':'/dev/x'}]"), "" },
        { MOUNT("'volumeDevices':[{'name':'v','devicePath':'/dev/x'}]"),
          AT "volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of "
             "PersistentVolumeClaim or Ephemeral for block mode" },
        { MOUNT("'volumeDevices':[{'name':'w','devicePath':'/../x'}]"),
          AT "volumeDevices[0].devicePath: Invalid value: \"/../x\": can not contain backsteps "
             "('..')" },
        { MOUNT("'volumeMounts':[{'name':'w','mountPath':'/w'}],'volumeDevices':[{'name':'w',"
                "'devicePath':'/dev/x'}]"),
          AT "volumeMounts[0].name: Invalid value: \"w\": must not already exist in "
             "volumeDevices\n" AT "volumeDevices[0].name: Invalid value: \"w\": must not already "
             "exist in volumeMounts" },
    };
    (void)state;
    CREATE(rows);
}

/* validateProbe and its kin, validateHandler, validateLifecycle, validateSleepAction */
static void probes_and_hooks_do_one_thing(void **state)
{
#define PROBE(x) CONTAINER("'livenessProbe':{" x "}")
    static const struct vrow rows[] = {
        { PROBE("'tcpSocket':{'port':80}"), "" },
        { PROBE("'grpc':{'port':80}"), "" },
        { PROBE("'periodSeconds':1"), AT "livenessProbe: Required value: must specify a handler "
                                         "type" },
        { PROBE("'tcpSocket':{'port':80},'exec':{'command':['x']}"),
          AT "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type" },
        { PROBE("'exec':{'command':[]}"), AT "livenessProbe.exec.command: Required value" },
        { PROBE("'httpGet':{'port':0}"),
          AT "livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, "
             "inclusive" },
        { PROBE("'httpGet':{'port':'--'}"),
          AT "livenessProbe.httpGet.port: Invalid value: \"--\": must contain at least one "
             "letter (a-z)\n" AT
             "livenessProbe.httpGet.port: Invalid value: \"--\": must not contain consecutive "
             "hyphens\n" AT "livenessProbe.httpGet.port: Invalid value: \"--\": must not begin or "
                            "end with a hyphen" },
        { PROBE("'httpGet':{'port':80,'scheme':'FTP'}"),
          AT "livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: "
             "\"HTTP\", \"HTTPS\"" },
        { PROBE("'httpGet':{'port':80,'httpHeaders':[{'name':'a b','value':''}]}"),
          AT "livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must "
             "consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
             "validation is '[-A-Za-z0-9]+')" },
        { PROBE("'tcpSocket':{'port':80},'failureThreshold':-1"),
          AT "livenessProbe.failureThreshold: Invalid value: -1: must be greater than or equal to "
             "0" },
        { PROBE("'tcpSocket':{'port':80},'successThreshold':2"),
          AT "livenessProbe.successThreshold: Invalid value: 2: must be 1" },
        { PROBE("'tcpSocket':{'port':80},'terminationGracePeriodSeconds':0"),
          AT "livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than "
             "0" },
        { CONTAINER("'readinessProbe':{'tcpSocket':{'port':80},'successThreshold':2,"
                    "'terminationGracePeriodSeconds':5}"),
          AT "readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for "
             "readinessProbes" },
        { CONTAINER("'lifecycle':{'preStop':{'sleep':{'seconds':30}}}"), "" },
        { CONTAINER("'lifecycle':{'preStop':{'sleep':{'seconds':31}}}"),
          AT "lifecycle.preStop.sleep: Invalid value: 31: must be greater than 0 and less than "
             "terminationGracePeriodSeconds (30). Enable AllowPodLifecycleSleepActionZeroValue "
             "feature gate for zero sleep." },
        { CONTAINER("'lifecycle':{'postStart':{}}"),
          AT "lifecycle.postStart: Required value: must specify a handler type" },
    };
    (void)state;
    CREATE(rows);
}

/* validateResourceRequirements, validateContainerResourceName, validateResourceClaimNames */
static void resources_have_known_names_and_possible_amounts(void **state)
{
#define RES(x) CONTAINER("'resources':{" x "}")
#define HUGE   "'hugepages-2Mi':"
    static const struct vrow rows[] = {
        { RES("'limits':{'cpu':'1','example.com/gpu':2,'memory':'1Gi'}"), "" },
        { RES("'limits':{'gpu':'1'}"), AT
          "resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or "
          "fully qualified\n" AT
          "resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for "
          "containers\n" AT "resources.requests[gpu]: Invalid value: \"gpu\": must be a standard "
          "resource type or fully qualified\n" AT
          "resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for "
          "containers" },
        { RES("'requests':{'cpu':'-1'}"),
          AT "resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0" },
        { RES("'limits':{'cpu':'1'},'requests':{'cpu':'2'}"),
          AT "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of "
             "1" },
        { RES("'limits':{'example.com/gpu':'2'},'requests':{'example.com/gpu':'1'}"),
          AT "resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of "
             "2" },
        { RES("'requests':{'example.com/gpu':'1'}"),
          AT "resources.limits: Required value: Limit must be set for non overcommitable "
             "resources" },
        { RES("'limits':{'example.com/gpu':'500m'},'requests':{'example.com/gpu':'500m'}"),
          AT "resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer\n" AT
             "resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer" },
        { RES("'limits':{" HUGE "'4Mi','cpu':'1'}"), "" },
        { RES("'limits':{" HUGE "'4Mi'}"),
          AT "resources: Forbidden: HugePages require cpu or memory" },
        { RES("'limits':{" HUGE "'3Mi','cpu':'1'},'requests':{" HUGE "'3Mi'}"),
          AT "resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer "
             "multiple of hugepages-2Mi\n" AT
             "resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive "
             "integer multiple of hugepages-2Mi" },
        { RES("'claims':[{'name':'g'}]"),
          AT "resources.claims[0]: Not found: \"g\": must be one of the names in "
             "pod.spec.resourceClaims which is empty" },
        { SPEC("'overhead':{'gpu':'1'}"),
          "spec.overhead.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or "
          "fully qualified\n"
          "spec.overhead.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for "
          "containers" },
        { SPEC("'resourceClaims':[{'name':'g'}]"),
          "spec.resourceClaims[0]: Invalid value: {\"name\":\"g\"}: must specify one of: "
          "`resourceClaimName`, `resourceClaimTemplateName`" },
        { SPEC("'resourceClaims':[{'name':'g','resourceClaimName':'a'},{'name':'g',"
               "'resourceClaimName':'a'}]"),
          "spec.resourceClaims[1].name: Duplicate value: \"g\"" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateSecurityContext, validatePodSpecSecurityContext, validateSysctls, validateHostUsers,
 * validateOS, validateWindows */
static void security_contexts_make_sense(void **state)
{
#define SC(x)     CONTAINER("'securityContext':{" x "}")
#define POD_SC(x) SPEC("'securityContext':{" x "}")
#define SC_AT     AT "securityContext"
    static const struct vrow rows[] = {
        { SC("'privileged':true,'runAsUser':0,'procMount':'Default'"), "" },
        { SC("'runAsUser':-1"), SC_AT ".runAsUser: Invalid value: -1: must be between 0 and "
                                      "2147483647, inclusive" },
        { SC("'procMount':'Unmasked'"),
          SC_AT ".procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use "
                "`Unmasked`" },
        { SC("'allowPrivilegeEscalation':false,'privileged':true"),
          SC_AT ": Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot "
                "set `allowPrivilegeEscalation` to false and `privileged` to true" },
        { SC("'seccompProfile':{'type':'Localhost'}"),
          SC_AT ".seccompProfile.localhostProfile: Required value: must be set when seccomp type "
                "is Localhost" },
        { SC("'seccompProfile':{'type':'Localhost','localhostProfile':'../x'}"),
          SC_AT ".seccompProfile.localhostProfile: Invalid value: \"../x\": must not contain "
                "'..'" },
        { SC("'seccompProfile':{'type':'x'}"),
          SC_AT ".seccompProfile.type: Unsupported value: \"x\": supported values: \"Localhost\", "
                "\"RuntimeDefault\", \"Unconfined\"" },
        { SC("'appArmorProfile':{'type':'Unconfined','localhostProfile':'x'}"),
          SC_AT ".appArmorProfile.localhostProfile: Invalid value: \"x\": can only be set when "
                "AppArmor type is Localhost" },
        { POD_SC("'fsGroup':-1,'supplementalGroups':[1,-2]"),
          "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, "
          "inclusive\n"
          "spec.securityContext.supplementalGroups[1]: Invalid value: -2: must be between 0 and "
          "2147483647, inclusive" },
        { POD_SC("'fsGroupChangePolicy':'x'"),
          "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"x\": supported values: "
          "\"Always\", \"OnRootMismatch\"" },
        { POD_SC("'sysctls':[{'name':'kernel.shm_rmid_forced','value':'1'},{'name':'net/ipv4/x',"
                 "'value':'1'}]"),
          "" },
        { POD_SC("'sysctls':[{'name':'a..b','value':''},{'name':'a','value':''},{'name':'a',"
                 "'value':''}]"),
          "spec.securityContext.sysctls[0].name: Invalid value: \"a..b\": must have at most 253 "
          "characters and match regex "
          "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$\n"
          "spec.securityContext.sysctls[2].name: Duplicate value: \"a\"" },
        { SPEC("'hostNetwork':true,'securityContext':{'sysctls':[{'name':'net.x','value':''}]}"),
          "spec.securityContext.sysctls[0].name: Invalid value: \"net.x\": may not be specified "
          "when 'hostNetwork' is true" },
        { SPEC("'hostPID':true,'shareProcessNamespace':true"),
          "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace "
          "and HostPID cannot both be enabled" },
        { SPEC("'hostUsers':false,'hostIPC':true"),
          "spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false" },
        { SPEC("'os':{'name':'beos'}"),
          "spec.os: Unsupported value: \"beos\": supported values: \"linux\", \"windows\"" },
        { SPEC("'os':{'name':'linux'},'securityContext':{'windowsOptions':{}}"),
          "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a "
          "linux pod" },
        { SPEC("'os':{'name':'windows'},'hostPID':true,'securityContext':{'runAsUser':1},"
               "'containers':[{'name':'c','image':'i','securityContext':{'privileged':true}}]"),
          "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod\n"
          "spec.hostPID: Forbidden: cannot be set for a windows pod\n" SC_AT
          ".privileged: Forbidden: cannot be set for a windows pod" },
    };
    (void)state;
    CREATE(rows);
}

/* validateInitContainers, validateEphemeralContainers, ValidatePodCreate */
static void other_containers_have_less(void **state)
{
#define INIT(x) SPEC("'initContainers':[{'name':'a','image':'i'" x "}]")
#define INIT_AT "spec.initContainers[0]."
#define NOT_SET "Forbidden: may not be set for init containers without restartPolicy=Always"
    static const struct vrow rows[] = {
        { INIT(""), "" },
        { INIT(",'restartPolicy':'Always','readinessProbe':{'tcpSocket':{'port':1}}"), "" },
        { INIT(",'restartPolicy':'Never'"),
          INIT_AT "restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"" },
        { INIT(",'lifecycle':{'preStop':{'exec':{'command':['x']}}},'livenessProbe':{'tcpSocket':{"
               "'port':1}}"),
          INIT_AT "lifecycle: " NOT_SET "\n" INIT_AT "livenessProbe: " NOT_SET },
        { SPEC("'initContainers':[{'name':'c','image':'i'}]"),
          INIT_AT "name: Duplicate value: \"c\"" },
        { SPEC("'ephemeralContainers':[{'name':'d','image':'i','targetContainerName':'c'}]"),
          "spec.ephemeralContainers: Forbidden: cannot be set on create" },
        { SPEC("'nodeName':'n','schedulingGates':[{'name':'a/b'}]"),
          "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared" },
    };
    (void)state;
    CREATE(rows);
}

/* validateDNSPolicy, validatePodDNSConfig, ValidateHostAliases */
static void names_are_looked_up_somewhere(void **state)
{
#define DNS "spec.dnsConfig"
    static const struct vrow rows[] = {
        { SPEC("'dnsPolicy':'None','dnsConfig':{'nameservers':['10.0.0.1','fd00::1'],'searches':["
               "'a.b.','c'],'options':[{'name':'ndots','value':'2'}]}"),
          "" },
        { SPEC("'dnsPolicy':'x'"),
          "spec.dnsPolicy: Unsupported value: \"x\": supported values: "
          "\"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"" },
        { SPEC("'dnsPolicy':'None'"),
          DNS ": Required value: must provide `dnsConfig` when `dnsPolicy` is None" },
        { SPEC("'dnsPolicy':'None','dnsConfig':{'searches':['a']}"),
          DNS ".nameservers: Required value: must provide at least one DNS nameserver when "
              "`dnsPolicy` is None" },
        { SPEC("'dnsConfig':{'nameservers':['1.1.1.1','2.2.2.2','3.3.3.3','4.4.4.4']}"),
          DNS ".nameservers: Invalid value: []string{\"1.1.1.1\", \"2.2.2.2\", \"3.3.3.3\", "
              "\"4.4.4.4\"}: must not have more than 3 nameservers" },
        { SPEC("'dnsConfig':{'nameservers':['x']}"),
          DNS ".nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 "
              "or 2001:db8::ffff)" },
        { SPEC("'dnsConfig':{'searches':['A']}"),
          DNS ".searches[0]: Invalid value: \"A\": " SUBDOMAIN_WHY },
        { SPEC("'dnsConfig':{'options':[{'value':'1'}]}"),
          DNS ".options[0]: Required value: must not be empty" },
        { SPEC("'hostAliases':[{'ip':'x','hostnames':['a','-']}]"),
          "spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. "
          "10.9.8.7 or 2001:db8::ffff)\n"
          "spec.hostAliases[0].hostnames[1]: Invalid value: \"-\": " SUBDOMAIN_WHY },
    };
    (void)state;
    CREATE(rows);
}

/* ValidatePodSpec: what is left */
static void single_fields_have_their_forms(void **state)
{
    static const struct vrow rows[] = {
        { SPEC("'restartPolicy':'x'"), "spec.restartPolicy: Unsupported value: \"x\": supported "
                                       "values: \"Always\", \"OnFailure\", \"Never\"" },
        { SPEC("'terminationGracePeriodSeconds':-1"), "" },
        { SPEC("'activeDeadlineSeconds':0"),
          "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, "
          "inclusive" },
        { SPEC("'hostname':'A'"), "spec.hostname: Invalid value: \"A\": " LABEL_WHY },
        { SPEC("'subdomain':'a.b'"), "spec.subdomain: Invalid value: \"a.b\": " "must not contain dots" },
        { SPEC("'nodeName':'_'"), "spec.nodeName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'serviceAccountName':'_'"),
          "spec.serviceAccountName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'priorityClassName':'_'"),
          "spec.priorityClassName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'runtimeClassName':'_'"),
          "spec.runtimeClassName: Invalid value: \"_\": " SUBDOMAIN_WHY },
        { SPEC("'preemptionPolicy':'x'"),
          "spec.preemptionPolicy: Unsupported value: \"x\": supported values: "
          "\"PreemptLowerPriority\", \"Never\"" },
        { SPEC("'nodeSelector':{'a b':'-'}"),
          "spec.nodeSelector: Invalid value: \"a b\": " QUALIFIED_WHY
          "\nspec.nodeSelector: Invalid value: \"-\": " VALUE_WHY },
        { SPEC("'readinessGates':[{'conditionType':'-'}]"),
          "spec.readinessGates[0].conditionType: Invalid value: \"-\": " QUALIFIED_WHY },
        { SPEC("'schedulingGates':[{'name':'a'},{'name':'a'}]"),
          "spec.schedulingGates[1]: Duplicate value: \"a\"" },
        { "{'metadata':{'annotations':{'controller.kubernetes.io/pod-deletion-cost':'+1'}}}",
          "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "
          "\"+1\": must be a 32bit integer" },
        { "{'metadata':{'annotations':{'kubernetes.io/config.mirror':'x'}}}",
          "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set "
          "spec.nodeName if mirror pod annotation is set" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateTolerations, validateAffinity, ValidateNodeSelectorTerm, validatePodAffinityTerm,
 * validateTopologySpreadConstraints */
static void wishes_about_nodes_make_sense(void **state)
{
#define REQUIRED    "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED   "preferredDuringSchedulingIgnoredDuringExecution"
#define TERM(x)     SPEC("'affinity':{'nodeAffinity':{'" REQUIRED "':{'nodeSelectorTerms':[{" x "}]}}}")
#define TERM_AT     "spec.affinity.nodeAffinity." REQUIRED ".nodeSelectorTerms[0]."
#define PODS(x)     SPEC("'affinity':{'podAffinity':{'" REQUIRED "':[{" x "}]}}")
#define PODS_AT     "spec.affinity.podAffinity." REQUIRED "[0]."
#define TOLERATE(x) SPEC("'tolerations':[{" x "}]")
#define SPREAD(x)   SPEC("'topologySpreadConstraints':[{" x "}]")
#define SPREAD_AT   "spec.topologySpreadConstraints[0]."
    static const struct vrow rows[] = {
        { TOLERATE("'operator':'Exists'"), "" },
        { TOLERATE("'key':'a/b','value':'c','effect':'NoExecute','tolerationSeconds':1"), "" },
        { TOLERATE("'value':'c'"),
          "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` "
          "is empty, which means \"match all values and all keys\"" },
        { TOLERATE("'key':'a','operator':'Gt'"),
          "spec.tolerations[0].operator: Unsupported value: \"Gt\": supported values: \"Equal\", "
          "\"Exists\"" },
        { TOLERATE("'key':'a','effect':'x'"),
          "spec.tolerations[0].effect: Unsupported value: \"x\": supported values: "
          "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"" },
        { TOLERATE("'key':'a','tolerationSeconds':1,'effect':'NoSchedule'"),
          "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' "
          "when `tolerationSeconds` is set" },
        { TOLERATE("'key':'a','operator':'Exists','value':'b'"),
          "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when "
          "`operator` is 'Exists'" },
        { TERM("'matchExpressions':[{'key':'a','operator':'In','values':['b']},{'key':'c',"
               "'operator':'Gt','values':['1']}],'matchFields':[{'key':'metadata.name','operator':"
               "'In','values':['n']}]"),
          "" },
        { SPEC("'affinity':{'nodeAffinity':{'" REQUIRED "':{'nodeSelectorTerms':[]}}}"),
          "spec.affinity.nodeAffinity." REQUIRED ".nodeSelectorTerms: Required value: must have at "
          "least one node selector term" },
        { TERM("'matchExpressions':[{'key':'a','operator':'In'}]"),
          TERM_AT "matchExpressions[0].values: Required value: must be specified when `operator` "
                  "is 'In' or 'NotIn'" },
        { TERM("'matchExpressions':[{'key':'a','operator':'Lt','values':['1','2']}]"),
          TERM_AT "matchExpressions[0].values: Required value: must be specified single value when "
                  "`operator` is 'Lt' or 'Gt'" },
        { TERM("'matchExpressions':[{'key':'a','operator':'x'}]"),
          TERM_AT "matchExpressions[0].operator: Invalid value: \"x\": not a valid selector "
                  "operator" },
        { TERM("'matchFields':[{'key':'a','operator':'In','values':['1','2']}]"),
          TERM_AT "matchFields[0].values: Required value: must be only one value when `operator` "
                  "is 'In' or 'NotIn' for node field selector\n" TERM_AT
                  "matchFields[0].key: Invalid value: \"a\": not a valid field selector key" },
        { SPEC("'affinity':{'nodeAffinity':{'" PREFERRED "':[{'weight':101,'preference':{}}]}}"),
          "spec.affinity.nodeAffinity." PREFERRED "[0].weight: Invalid value: 101: must be in the "
          "range 1-100" },
        { PODS("'topologyKey':'zone','labelSelector':{'matchLabels':{'a':'b'}},'matchLabelKeys':["
               "'c']"),
          "" },
        { PODS("'labelSelector':{'matchExpressions':[{'key':'a','operator':'Exists','values':["
               "'b']}]},'topologyKey':'zone'"),
          PODS_AT "labelSelector.matchExpressions[0].values: Forbidden: may not be specified when "
                  "`operator` is 'Exists' or 'DoesNotExist'" },
        { PODS("'topologyKey':'zone','matchLabelKeys':['c']"),
          PODS_AT "matchLabelKeys: Forbidden: must not be specified when labelSelector is not "
                  "set" },
        { PODS("'topologyKey':'zone','labelSelector':{},'matchLabelKeys':['c'],"
               "'mismatchLabelKeys':['c']"),
          PODS_AT "matchLabelKeys[0]: Invalid value: \"c\": exists in both matchLabelKeys and "
                  "mismatchLabelKeys" },
        { PODS("'topologyKey':'zone','namespaces':['N']"),
          PODS_AT "namespace: Invalid value: \"N\": " LABEL_WHY },
        { SPREAD("'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':'ScheduleAnyway'"), "" },
        { SPREAD("'maxSkew':0,'topologyKey':'','whenUnsatisfiable':'x'"),
          SPREAD_AT "maxSkew: Invalid value: 0: must be greater than zero\n" SPREAD_AT
                    "whenUnsatisfiable: Unsupported value: \"x\": supported values: "
                    "\"DoNotSchedule\", \"ScheduleAnyway\"\n" SPREAD_AT
                    "topologyKey: Required value: can not be empty" },
        { SPREAD("'maxSkew':1,'topologyKey':'a','whenUnsatisfiable':'DoNotSchedule'},{'maxSkew':2,"
                 "'topologyKey':'a','whenUnsatisfiable':'DoNotSchedule'"),
          SPREAD_AT "{topologyKey, whenUnsatisfiable}: Duplicate value: \"{a, DoNotSchedule}\"" },
        { SPREAD("'maxSkew':1,'topologyKey':'a','whenUnsatisfiable':'ScheduleAnyway','minDomains':"
                 "1"),
          SPREAD_AT "minDomains: Invalid value: 1: can only use minDomains if "
                    "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway" },
        { SPREAD("'maxSkew':1,'topologyKey':'a','whenUnsatisfiable':'ScheduleAnyway',"
                 "'labelSelector':{'matchLabels':{'a':'b'}},'matchLabelKeys':['a']"),
          SPREAD_AT "matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and "
                    "labelSelector" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidatePodTemplateSpec, ValidatePodTemplate */
static void templates_follow_the_rules_of_pods(void **state)
{
    static const struct vrow rows[] = {
        { "", "" },
        { "{'template':{'spec':{'containers':[]}}}", "template.spec.containers: Required value" },
        { "{'template':{'spec':{'containers':[{'name':'c'}]}}}",
          "template.spec.containers[0].image: Required value" },
        { "{'template':{'metadata':{'labels':{'a':'-'}}}}",
          "template.labels: Invalid value: \"-\": " VALUE_WHY },
        { "{'template':{'spec':{'ephemeralContainers':[{'name':'d','image':'i'}]}}}",
          "template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod "
          "template" },
        { "{'template':{'spec':{'hostNetwork':true,'containers':[{'name':'c','image':'i','ports':["
          "{'containerPort':80}]}]}}}",
          "" },
    };
    (void)state;
    rig_create("v1 PodTemplate",
               "{'metadata':{'name':'t','namespace':'n'},'template':{'spec':{'containers':[{'name':"
               "'c','image':'i'}]}}}",
               rows, ARRAY_LEN(rows));
}

/* ValidatePodUpdate */
static void a_pod_that_exists_changes_little(void **state)
{
#define ONLY                                                                                       \
    "spec: Forbidden: pod updates may not change fields other than "                               \
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"      \
    "`spec.tolerations` (only additions to existing tolerations),"                                 \
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
#define GATED "'schedulingGates':[{'name':'g'}]"
    static const struct urow rows[] = {
        { "", "", "" },
        { "", SPEC("'containers':[{'name':'c','image':'j'}]"), "" },
        { "", SPEC("'containers':[{'name':'c','image':'i'},{'name':'d','image':'i'}]"),
          "spec.containers: Forbidden: pod updates may not add or remove containers" },
        { "", SPEC("'initContainers':[{'name':'d','image':'i'}]"),
          "spec.initContainers: Forbidden: pod updates may not add or remove containers" },
        { "", CONTAINER("'command':['x']"), ONLY },
        { "", SPEC("'hostname':'h'"), ONLY },
        { "", SPEC("'ephemeralContainers':[{'name':'d','image':'i'}]"), ONLY },
        { "", SPEC("'activeDeadlineSeconds':5"), "" },
        { SPEC("'activeDeadlineSeconds':5"), SPEC("'activeDeadlineSeconds':4"), "" },
        { SPEC("'activeDeadlineSeconds':5"), SPEC("'activeDeadlineSeconds':6"),
          "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous "
          "value" },
        { SPEC("'activeDeadlineSeconds':5"), "",
          "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive "
          "integer to nil value" },
        { TOLERATE("'key':'a'"), SPEC("'tolerations':[{'key':'b'},{'key':'a'}]"), "" },
        { TOLERATE("'key':'a','effect':'NoExecute','tolerationSeconds':1"),
          TOLERATE("'key':'a','effect':'NoExecute','tolerationSeconds':2"), "" },
        { TOLERATE("'key':'a'"), TOLERATE("'key':'b'"),
          "spec.tolerations: Forbidden: existing toleration can not be modified except its "
          "tolerationSeconds" },
        { SPEC("'terminationGracePeriodSeconds':-1"), SPEC("'terminationGracePeriodSeconds':1"),
          "" },
        { "", SPEC("'terminationGracePeriodSeconds':1"), ONLY },
        { SPEC(GATED), "", "" },
        { "", SPEC(GATED),
          "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new "
          "scheduling gate 'g'" },
        { "", SPEC("'nodeSelector':{'a':'b'}"), ONLY },
        { SPEC(GATED), SPEC(GATED ",'nodeSelector':{'a':'b'}"), "" },
        { SPEC(GATED ",'nodeSelector':{'a':'b'}"), SPEC(GATED ",'nodeSelector':{'a':'c'}"),
          "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector "
          "are allowed (no mutations or deletions)" },
        { SPEC(GATED),
          SPEC(GATED ",'affinity':{'nodeAffinity':{'" REQUIRED
                     "':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'a',"
                     "'operator':'Exists'}]}]}}}"),
          "" },
        { "", "{'metadata':{'annotations':{'kubernetes.io/config.mirror':'x'}},'spec':{}}",
          "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set "
          "spec.nodeName if mirror pod annotation is set\n"
          "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod "
          "annotation" },
    };
    (void)state;
    rig_update("v1 Pod", BASE, validate_update, rows, ARRAY_LEN(rows));
}

/* ValidatePodEphemeralContainersUpdate */
static void ephemeral_containers_only_come(void **state)
{
#define DEBUG(x) SPEC("'ephemeralContainers':[{'name':'d','image':'i'" x "}]")
#define DEBUG_AT "spec.ephemeralContainers[0]."
    static const struct urow rows[] = {
        { "", DEBUG(",'targetContainerName':'c'"), "" },
        { "", DEBUG(",'targetContainerName':'x'"),
          DEBUG_AT "targetContainerName: Not found: \"x\"" },
        { "", SPEC("'ephemeralContainers':[{'name':'c','image':'i'}]"),
          DEBUG_AT "name: Duplicate value: \"c\"" },
        { "", DEBUG(",'ports':[{'containerPort':1}],'resources':{'limits':{'cpu':'1'}}"),
          DEBUG_AT "ports: Forbidden: cannot be set for an Ephemeral Container\n" DEBUG_AT
                   "resources: Forbidden: cannot be set for an Ephemeral Container" },
        { DEBUG(""), "",
          "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be "
          "removed\n" },
        { DEBUG(""), DEBUG(",'tty':true"),
          "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be "
          "changed\n" },
    };
    (void)state;
    rig_update("v1 Pod", BASE, validate_ephemeral, rows, ARRAY_LEN(rows));
}

/* ValidatePodStatusUpdate */
static void a_status_follows_what_was(void **state)
{
#define ENDED                                                                                      \
    "'name':'c','state':{'terminated':{'exitCode':0}},'ready':false,'restartCount':0,'image':'','" \
    "imageID':''"
#define RUNS                                                                                       \
    "'name':'c','state':{'running':{}},'ready':false,'restartCount':1,'image':'','imageID':''"
#define CONT(policy, x)                                                                            \
    "{'spec':{'restartPolicy':'" policy "'},'status':{'containerStatuses':[{" x "}]}}"
    static const struct urow rows[] = {
        { "", "{'status':{'phase':'Running','podIP':'10.0.0.1','podIPs':[{'ip':'10.0.0.1'}]}}",
          "" },
        { "", "{'status':{'podIPs':[{'ip':'x'}]}}",
          "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
          "2001:db8::ffff)" },
        { "", "{'status':{'podIPs':[{'ip':'10.0.0.1'},{'ip':'10.0.0.2'}]}}",
          "status.podIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]: may "
          "specify "
          "no more than one IP for each IP family" },
        { "", "{'status':{'hostIP':'10.0.0.1','hostIPs':[{'ip':'10.0.0.2'}]}}",
          "status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`" },
        { "{'status':{'qosClass':'Burstable'}}", "{'status':{'qosClass':'BestEffort'}}",
          "status.qosClass: Invalid value: \"BestEffort\": field is immutable" },
        { CONT("Always", ENDED), CONT("Always", RUNS), "" },
        { CONT("Never", ENDED), CONT("Never", RUNS),
          "status.containerStatuses[0].state: Forbidden: may not be transitioned to "
          "non-terminated state" },
        { "", "{'status':{'conditions':[{'type':'a b','status':'True'}]}}",
          "metadata.conditions[0].Type: Invalid value: \"a b\": " QUALIFIED_WHY },
        { "", "{'status':{'nominatedNodeName':'_'}}",
          "status.nominatedNodeName: Invalid value: \"_\": " SUBDOMAIN_WHY },
    };
    (void)state;
    rig_update("v1 Pod", BASE, validate_status, rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_have_names_and_images),
        cmocka_unit_test(ports_are_numbers_with_names_of_their_own),
        cmocka_unit_test(variables_have_one_source),
        cmocka_unit_test(mounts_name_volumes),
        cmocka_unit_test(probes_and_hooks_do_one_thing),
        cmocka_unit_test(resources_have_known_names_and_possible_amounts),
        cmocka_unit_test(security_contexts_make_sense),
        cmocka_unit_test(other_containers_have_less),
        cmocka_unit_test(names_are_looked_up_somewhere),
        cmocka_unit_test(single_fields_have_their_forms),
        cmocka_unit_test(wishes_about_nodes_make_sense),
        cmocka_unit_test(templates_follow_the_rules_of_pods),
        cmocka_unit_test(a_pod_that_exists_changes_little),
        cmocka_unit_test(ephemeral_containers_only_come),
        cmocka_unit_test(a_status_follows_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The rules of Services and Endpoints: pkg/apis/core/validation/validation.go, release 1.32. Each
 * block names the function whose rule it is. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/schema/validate.h"
#include "test/unit/server/schema/validate_rig.h"

/* as it comes from the allocator */
#define BASE                                                                                       \
    "{'metadata':{'name':'s','namespace':'n'},'spec':{'ports':[{'port':80}],'clusterIP':"          \
    "'10.43.0.9','clusterIPs':['10.43.0.9'],'ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack'}" \
    "}"
#define SPEC(x)  "{'spec':{" x "}}"
#define PORTS(x) SPEC("'ports':[" x "]")
#define HEADLESS "'clusterIP':'None','clusterIPs':['None']"
#define EXTERNAL                                                                                   \
    "'type':'ExternalName','clusterIP':null,'clusterIPs':null,'ipFamilies':null,"                  \
    "'ipFamilyPolicy':null"
#define IP_WHY "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
#define LABEL_WHY                                                                                  \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED_WHY                                                                              \
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "  \
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

#define CREATE(rows) rig_create("v1 Service", BASE, rows, ARRAY_LEN(rows))

/* ValidateService, validateServicePort */
static void ports_are_named_and_different(void **state)
{
    static const struct vrow rows[] = {
        { "", "" },
        { PORTS(""), "spec.ports: Required value" },
        { SPEC("'ports':[]," HEADLESS), "" },
        { PORTS("{'port':0}"),
          "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n"
          "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive" },
        { PORTS("{'port':1},{'port':2}"),
          "spec.ports[0].name: Required value\nspec.ports[1].name: Required value" },
        { PORTS("{'port':1,'name':'a'},{'port':2,'name':'a'}"),
          "spec.ports[1].name: Duplicate value: \"a\"" },
        { PORTS("{'port':1,'name':'A'}"), "spec.ports[0].name: Invalid value: \"A\": " LABEL_WHY },
        { PORTS("{'port':1,'name':'a'},{'port':1,'name':'b'},{'port':1,'name':'c','protocol':"
                "'UDP'}"),
          "spec.ports[1]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}" },
        { PORTS("{'port':1,'targetPort':'a--b'}"),
          "spec.ports[0].targetPort: Invalid value: \"a--b\": must not contain consecutive "
          "hyphens" },
        { PORTS("{'port':1,'targetPort':65536}"),
          "spec.ports[0].targetPort: Invalid value: 65536: must be between 1 and 65535, "
          "inclusive" },
        { PORTS("{'port':1,'protocol':'x'}"),
          "spec.ports[0].protocol: Unsupported value: \"x\": supported values: \"SCTP\", \"TCP\", "
          "\"UDP\"" },
        { PORTS("{'port':1,'appProtocol':'-'}"),
          "spec.ports[0].appProtocol: Invalid value: \"-\": " QUALIFIED_WHY },
        { PORTS("{'port':1,'nodePort':30000}"),
          "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" },
        { SPEC("'type':'NodePort','ports':[{'port':1,'name':'a','nodePort':30000},{'port':2,"
               "'name':'b','nodePort':30000},{'port':3,'name':'c','nodePort':30000,'protocol':"
               "'UDP'}]"),
          "spec.ports[1].nodePort: Duplicate value: 30000" },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateServiceClusterIPsRelatedFields, and what types forbid */
static void addresses_and_families_agree(void **state)
{
    static const struct vrow rows[] = {
        { SPEC("'clusterIP':'10.43.0.8'"),
          "spec.clusterIPs: Invalid value: []string{\"10.43.0.9\"}: first value must match "
          "`clusterIP`" },
        { SPEC("'clusterIP':null"),
          "spec.clusterIPs: Invalid value: []string{\"10.43.0.9\"}: must be empty when `clusterIP` "
          "is not specified" },
        { SPEC("'clusterIPs':null"), "spec.clusterIPs: Required value" },
        { SPEC("'clusterIP':'x','clusterIPs':['x']"),
          "spec.clusterIPs[0]: Invalid value: \"x\": " IP_WHY },
        { SPEC("'clusterIPs':['10.43.0.9','10.43.0.8']"),
          "spec.clusterIPs: Invalid value: []string{\"10.43.0.9\", \"10.43.0.8\"}: may specify no "
          "more than one IP for each IP family" },
        { SPEC("'clusterIPs':['10.43.0.9','fd00::1','fd00::2']"),
          "spec.clusterIPs: Invalid value: []string{\"10.43.0.9\", \"fd00::1\", \"fd00::2\"}: may "
          "only hold up to 2 values" },
        { SPEC("'ipFamilies':['IPv6']"),
          "spec.clusterIPs[0]: Invalid value: \"10.43.0.9\": expected an IPv6 value as indicated "
          "by `ipFamilies[0]`" },
        { SPEC("'ipFamilies':['IPv4','IPv4']"), "spec.ipFamilies[1]: Duplicate value: \"IPv4\"" },
        { SPEC("'ipFamilies':['x']"),
          "spec.ipFamilies[0]: Unsupported value: \"x\": supported values: \"IPv4\", \"IPv6\"" },
        { SPEC("'ipFamilyPolicy':'x'"),
          "spec.ipFamilyPolicy: Unsupported value: \"x\": supported values: \"PreferDualStack\", "
          "\"RequireDualStack\", \"SingleStack\"" },
        { SPEC("'type':'NodePort'," HEADLESS),
          "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort "
          "services" },
        { SPEC("'type':'x'"), "spec.type: Unsupported value: \"x\": supported values: "
                              "\"ClusterIP\", \"ExternalName\", \"LoadBalancer\", "
                              "\"NodePort\"" },
        { SPEC(EXTERNAL ",'externalName':'example.com.'"), "" },
        { SPEC(EXTERNAL), "spec.externalName: Required value" },
        { SPEC("'type':'ExternalName','externalName':'a'"),
          "spec.clusterIPs: Forbidden: may not be set for ExternalName services\n"
          "spec.ipFamilies: Forbidden: may not be set for ExternalName services\n"
          "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services" },
        { SPEC("'externalIPs':['1.2.3.4']"), "" },
        { SPEC("'externalIPs':['x','127.0.0.1','0.0.0.0','fe80::1','224.0.0.1']"),
          "spec.externalIPs[0]: Invalid value: \"x\": " IP_WHY "\n"
          "spec.externalIPs[1]: Invalid value: \"127.0.0.1\": may not be in the loopback range "
          "(127.0.0.0/8, ::1/128)\n"
          "spec.externalIPs[2]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)\n"
          "spec.externalIPs[3]: Invalid value: \"fe80::1\": may not be in the link-local range "
          "(169.254.0.0/16, fe80::/10)\n"
          "spec.externalIPs[4]: Invalid value: \"224.0.0.1\": may not be in the link-local "
          "multicast range (224.0.0.0/24, ff02::/10)" },
    };
    (void)state;
    CREATE(rows);
}

/* validateClientIPAffinityConfig, validateServiceExternalTrafficPolicy,
 * validateServiceInternalTrafficFieldsValue, validateServiceTrafficDistribution,
 * validateLoadBalancerClassField */
static void traffic_fields_fit_the_type(void **state)
{
#define BALANCER "'type':'LoadBalancer'"
#define ONLY     "Forbidden: may only be used when `type` is 'LoadBalancer'"
    static const struct vrow rows[] = {
        { SPEC("'sessionAffinity':'ClientIP'"), "" },
        { SPEC("'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{"
               "'timeoutSeconds':86401}}"),
          "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be "
          "greater than 0 and less than 86400" },
        { SPEC("'sessionAffinity':'x'"),
          "spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", "
          "\"None\"" },
        { SPEC("'externalTrafficPolicy':'Local'"),
          "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for "
          "externally-accessible services" },
        { SPEC("'type':'NodePort','externalTrafficPolicy':'x'"),
          "spec.externalTrafficPolicy: Unsupported value: \"x\": supported values: \"Cluster\", "
          "\"Local\"" },
        { SPEC(BALANCER ",'externalTrafficPolicy':'Local','healthCheckNodePort':30001"), "" },
        { SPEC(BALANCER ",'externalTrafficPolicy':'Local'"),
          "spec.healthCheckNodePort: Required value" },
        { SPEC("'healthCheckNodePort':30001"),
          "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is "
          "'LoadBalancer' and `externalTrafficPolicy` is 'Local'" },
        { SPEC("'internalTrafficPolicy':'x'"),
          "spec.internalTrafficPolicy: Unsupported value: \"x\": supported values: \"Cluster\", "
          "\"Local\"" },
        { SPEC("'trafficDistribution':'x'"),
          "spec.trafficDistribution: Unsupported value: \"x\": supported values: "
          "\"PreferClose\"" },
        { SPEC(BALANCER ",'loadBalancerClass':'a/b','loadBalancerSourceRanges':[' 10.0.0.0/8']"),
          "" },
        { SPEC(BALANCER ",'loadBalancerSourceRanges':['x']"),
          "spec.LoadBalancerSourceRanges[0]: Invalid value: \"x\": must be a valid CIDR value, "
          "(e.g. 10.9.8.0/24 or 2001:db8::/64)" },
        { SPEC("'loadBalancerSourceRanges':['10.0.0.0/8'],'allocateLoadBalancerNodePorts':true,"
               "'loadBalancerClass':'a'"),
          "spec.LoadBalancerSourceRanges: " ONLY "\nspec.allocateLoadBalancerNodePorts: " ONLY
          "\nspec.loadBalancerClass: " ONLY },
        { SPEC(BALANCER ",'loadBalancerClass':'-'"),
          "spec.loadBalancerClass: Invalid value: \"-\": " QUALIFIED_WHY },
    };
    (void)state;
    CREATE(rows);
}

/* ValidateServiceUpdate: validateUpgradeDowngradeClusterIPs, validateUpgradeDowngradeIPFamilies,
 * validateLoadBalancerClassField, validateServiceExternalTrafficFieldsUpdate */
static void an_address_stays_while_the_type_needs_one(void **state)
{
#define DUAL        "'clusterIPs':['10.43.0.9','fd00::9'],'ipFamilies':['IPv4','IPv6'],'ipFamilyPolicy':"
#define LOCAL(port) BALANCER ",'externalTrafficPolicy':'Local','healthCheckNodePort':" port
    static const struct urow rows[] = {
        { "", "", "" },
        { "", SPEC("'clusterIP':'10.43.0.8','clusterIPs':['10.43.0.8']"),
          "spec.clusterIPs[0]: Invalid value: []string{\"10.43.0.8\"}: may not change once set" },
        { "", SPEC(EXTERNAL ",'externalName':'a'"), "" },
        { SPEC(EXTERNAL ",'externalName':'a'"), "", "" },
        { "", SPEC(DUAL "'PreferDualStack'"), "" },
        { SPEC(DUAL "'RequireDualStack'"), "", "" },
        { SPEC(DUAL "'RequireDualStack'"), SPEC("'ipFamilyPolicy':'RequireDualStack'"),
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be set to 'SingleStack' "
          "when releasing the secondary clusterIP\n"
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be set to 'SingleStack' "
          "when releasing the secondary ipFamily" },
        { "", SPEC("'clusterIP':null,'clusterIPs':null"),
          "spec.clusterIPs[0]: Invalid value: []string(nil): primary clusterIP can not be unset" },
        { SPEC(BALANCER ",'loadBalancerClass':'a'"), SPEC(BALANCER ",'loadBalancerClass':'b'"),
          "spec.loadBalancerClass: Invalid value: \"b\": may not change once set" },
        { SPEC(LOCAL("30001")), SPEC(LOCAL("30002")),
          "spec.healthCheckNodePort: Forbidden: field is immutable" },
    };
    (void)state;
    rig_update("v1 Service", BASE, validate_update, rows, ARRAY_LEN(rows));
}

/* ValidateLoadBalancerStatus */
static void a_balancers_status_has_addresses(void **state)
{
#define STATUS(x) "{'spec':{" BALANCER "},'status':{'loadBalancer':{'ingress':[{" x "}]}}}"
#define INGRESS   "status.loadBalancer.ingress[0]."
    static const struct urow rows[] = {
        { SPEC(BALANCER), STATUS("'ip':'1.2.3.4'"), "" }, /* ipMode: its default */
        { SPEC(BALANCER), STATUS("'hostname':'example.com'"), "" },
        { "", "{'status':{'loadBalancer':{'ingress':[{'hostname':'a'}]}}}",
          "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "
          "'LoadBalancer'" },
        { SPEC(BALANCER), STATUS("'ip':'x','ipMode':'y'"),
          INGRESS "ip: Invalid value: \"x\": " IP_WHY "\n" INGRESS
                  "ipMode: Unsupported value: \"y\": supported values: \"Proxy\", \"VIP\"" },
        { SPEC(BALANCER), STATUS("'ipMode':'VIP','hostname':'1.2.3.4'"),
          INGRESS "ipMode: Forbidden: may not be specified when `ip` is not set\n" INGRESS
                  "hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address" },
    };
    (void)state;
    rig_update("v1 Service", BASE, validate_status, rows, ARRAY_LEN(rows));
}

/* validateEndpointSubsets */
static void endpoints_are_addresses_that_others_reach(void **state)
{
#define SUBSET(x) "{'subsets':[{" x "}]}"
    static const struct vrow rows[] = {
        { SUBSET("'addresses':[{'ip':'10.0.0.1','nodeName':'n'}],'ports':[{'port':80}]"), "" },
        { SUBSET("'ports':[{'port':80}]"),
          "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`" },
        { SUBSET("'addresses':[{'ip':'127.0.0.1'}]"),
          "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback "
          "range (127.0.0.0/8, ::1/128)" },
        { SUBSET("'notReadyAddresses':[{'ip':'x'}]"),
          "subsets[0].notReadyAddresses[0].ip: Invalid value: \"x\": " IP_WHY "\n"
          "subsets[0].notReadyAddresses[0].ip: Invalid value: \"x\": must be a valid IP address" },
        { SUBSET("'addresses':[{'ip':'10.0.0.1'}],'ports':[{'port':1},{'port':0,'name':'a'}]"),
          "subsets[0].ports[0].name: Required value\n"
          "subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive" },
    };
    (void)state;
    rig_create("v1 Endpoints", "{'metadata':{'name':'e','namespace':'n'}}", rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_named_and_different),
        cmocka_unit_test(addresses_and_families_agree),
        cmocka_unit_test(traffic_fields_fit_the_type),
        cmocka_unit_test(an_address_stays_while_the_type_needs_one),
        cmocka_unit_test(a_balancers_status_has_addresses),
        cmocka_unit_test(endpoints_are_addresses_that_others_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

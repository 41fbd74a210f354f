/* networking.k8s.io/v1 and policy/v1, rule by rule: pkg/apis/{networking,policy}/validation, 1.32.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define API  "networking.k8s.io/v1"
#define META "'metadata':{'name':'x','namespace':'default'}"
#define SUBDOMAIN                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

static void policies_name_ports_and_peers(void **state)
{
    static const struct rule_base policy = { API, "NetworkPolicy",
                                             "{" META ",'spec':{'podSelector':{}}}" };
#define PORT(text) "{'spec':{'ingress':[{'ports':[{" text "}]}]}}"
#define PEER(text) "{'spec':{'egress':[{'to':[{" text "}]}]}}"
#define PORT_AT    "spec.ingress[0].ports[0]"
#define PEER_AT    "spec.egress[0].to[0]"
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateNetworkPolicyPort */
        { PORT("'port':80,'endPort':90"), "" },
        { PORT("'port':'http'"), "" },
        { PORT("'port':0"),
          PORT_AT ".port: Invalid value: 0: must be between 1 and 65535, inclusive" },
        { PORT("'port':80,'endPort':70"),
          PORT_AT ".endPort: Invalid value: 80: must be greater than or equal to `port`" },
        { PORT("'port':'http','endPort':90"),
          PORT_AT ".endPort: Invalid value: 90: may not be specified when `port` is non-numeric" },
        { PORT("'endPort':90"),
          PORT_AT ".endPort: Invalid value: 90: may not be specified when `port` is not "
                  "specified" },
        { PORT("'port':'HTTP'"), PORT_AT ".port: Invalid value: \"HTTP\": must contain only "
                                         "alpha-numeric characters (a-z, 0-9), and hyphens (-)" },
        /* ValidateNetworkPolicyPeer */
        { PEER("'podSelector':{},'namespaceSelector':{}"), "" },
        { PEER(""), PEER_AT ": Required value: must specify a peer" },
        { PEER("'podSelector':{},'ipBlock':{'cidr':'10.0.0.0/8'}"),
          PEER_AT ": Forbidden: may not specify both ipBlock and another peer" },
        { PEER("'podSelector':{'matchLabels':{'a':'-'}}"),
          PEER_AT ".podSelector.matchLabels: Invalid value: \"-\": a valid label must be an empty "
                  "string or consist of alphanumeric characters, '-', '_' or '.', and must start "
                  "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
                  "'12345', regex used for validation is "
                  "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')" },
        /* ValidateIPBlock */
        { PEER("'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}"), "" },
        { PEER("'ipBlock':{'cidr':''}"), PEER_AT ".ipBlock.cidr: Required value" },
        { PEER("'ipBlock':{'cidr':'10.0.0.0'}"),
          PEER_AT ".ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. "
                  "10.9.8.0/24 or 2001:db8::/64)" },
        { PEER("'ipBlock':{'cidr':'10.0.0.0/8','except':['10.0.0.0/8','11.0.0.0/16','x']}"),
          PEER_AT ".ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of "
                  "`cidr`\n" PEER_AT
                  ".ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of "
                  "`cidr`\n" PEER_AT ".ipBlock.except[2]: Invalid value: \"x\": must be a valid "
                  "CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)" },
        /* ValidateNetworkPolicySpec */
        { "{'spec':{'policyTypes':['Ingress','Egress','Ingress']}}",
          "spec.policyTypes: Invalid value: []networking.PolicyType{\"Ingress\", \"Egress\", "
          "\"Ingress\"}: may not specify more than two policyTypes" },
    };
    (void)state;
    expect_create(&policy, rows, ARRAY_LEN(rows));
    expect_defaults(&policy, "spec.policyTypes", "['Ingress']");
}

static void ingresses_name_hosts_paths_and_backends(void **state)
{
    static const struct rule_base ingress = {
        API, "Ingress",
        "{" META ",'spec':{'rules':[{'host':'a.example','http':{'paths':[{'path':'/','pathType':"
        "'Prefix','backend':{'service':{'name':'web','port':{'number':80}}}}]}}]}}"
    };
#define ONE(text) "{'spec':{'rules':[{'http':{'paths':[{" text "}]}}]}}"
#define BACKEND   "'backend':{'service':{'name':'web','port':{'name':'http'}}}"
#define AT        "spec.rules[0].http.paths[0]"
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateIngressSpec */
        { "{'spec':{'rules':null}}",
          "spec: Invalid value: []networking.IngressRule(nil): either `defaultBackend` or `rules` "
          "must be specified" },
        { "{'spec':{'ingressClassName':'A'}}",
          "spec.ingressClassName: Invalid value: \"A\": " SUBDOMAIN },
        /* validateIngressRules */
        { "{'spec':{'rules':[{'host':'*.example'}]}}", "" },
        { "{'spec':{'rules':[{'host':'a.*.example'}]}}",
          "spec.rules[0].host: Invalid value: \"a.*.example\": a wildcard DNS-1123 subdomain must "
          "start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
          "alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
          "'*.example.com', regex used for validation is "
          "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')" },
        { "{'spec':{'rules':[{'host':'10.0.0.1'}]}}",
          "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP "
          "address" },
        { "{'spec':{'rules':[{'http':{'paths':[]}}]}}",
          "spec.rules[0].http.paths: Required value" },
        /* validateHTTPIngressPath */
        { ONE("'pathType':'ImplementationSpecific'," BACKEND), "" },
        { ONE("'path':'/'," BACKEND), AT ".pathType: Required value: pathType must be specified" },
        { ONE("'path':'/','pathType':'Any'," BACKEND),
          AT ".pathType: Unsupported value: \"Any\": supported values: \"Exact\", "
             "\"ImplementationSpecific\", \"Prefix\"" },
        { ONE("'path':'a','pathType':'Exact'," BACKEND),
          AT ".path: Invalid value: \"a\": must be an absolute path" },
        { ONE("'path':'/a//b/..','pathType':'Exact'," BACKEND),
          AT ".path: Invalid value: \"/a//b/..\": must not contain '//'\n" AT
             ".path: Invalid value: \"/a//b/..\": cannot end with '/..'" },
        /* validateIngressBackend */
        { ONE("'path':'/','pathType':'Exact','backend':{}"),
          AT ".backend: Invalid value: \"\": resource or service backend is required" },
        { ONE("'path':'/','pathType':'Exact','backend':{'service':{'name':'web'}}"),
          AT ".backend: Required value: port name or number is required" },
        { ONE("'path':'/','pathType':'Exact','backend':{'service':{'name':'web','port':{'name':"
              "'http','number':80}}}"),
          AT ".backend: Invalid value: \"\": cannot set both port name & port number" },
        { ONE("'path':'/','pathType':'Exact','backend':{'service':{'port':{'number':70000}}}"),
          AT ".backend.service.name: Required value\n" AT
             ".backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, "
             "inclusive" },
        { ONE("'path':'/','pathType':'Exact','backend':{'resource':{'kind':'','name':'x'}}"),
          AT ".backend.resource.kind: Required value: kind is required" },
        /* validateIngressTLS */
        { "{'spec':{'tls':[{'hosts':['*.example','A'],'secretName':'S'}]}}",
          "spec.tls[0].hosts[1]: Invalid value: \"A\": " SUBDOMAIN
          "\nspec.tls[0].secretName: Invalid value: \"S\": " SUBDOMAIN },
        /* ValidateIngressCreate */
        { "{'metadata':{'annotations':{'kubernetes.io/ingress.class':'a'}},'spec':{"
          "'ingressClassName':'b'}}",
          "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match "
          "`ingressClassName` when both are specified" },
    };
    static const struct rule_row update[] = {
        { "{'metadata':{'annotations':{'kubernetes.io/ingress.class':'a'}},'spec':{"
          "'ingressClassName':'b'}}",
          "" },
    };
    static const struct rule_row status[] = {
        { "{'status':{'loadBalancer':{'ingress':[{'ip':'10.0.0.1'},{'hostname':'a.example'}]}}}",
          "" },
        /* ValidateIngressLoadBalancerStatus */
        { "{'status':{'loadBalancer':{'ingress':[{'ip':'a'},{'hostname':'10.0.0.1'}]}}}",
          "status.loadBalancer.ingress[0].ip: Invalid value: \"a\": must be a valid IP address, "
          "(e.g. 10.9.8.7 or 2001:db8::ffff)\n"
          "status.loadBalancer.ingress[1].hostname: Invalid value: \"10.0.0.1\": must be a DNS "
          "name, not an IP address" },
    };
    (void)state;
    expect_create(&ingress, rows, ARRAY_LEN(rows));
    expect_update(&ingress, update, ARRAY_LEN(update));
    expect_status(&ingress, status, ARRAY_LEN(status));
}

static void classes_name_a_controller(void **state)
{
    static const struct rule_base class_ = {
        API, "IngressClass", "{'metadata':{'name':'x'},'spec':{'controller':'acme.io/ingress'}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* validateIngressClassSpec */
        { "{'spec':{'controller':''}}", "spec.controller: Required value" },
        { "{'spec':{'controller':'acme'}}",
          "spec.controller: Invalid value: \"acme\": must be a domain-prefixed path (such as "
          "\"acme.io/foo\")" },
        /* validateIngressClassParametersReference */
        { "{'spec':{'parameters':{'kind':'K','name':'n'}}}", "" },
        { "{'spec':{'parameters':{'kind':'K','name':'n','namespace':'a'}}}",
          "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'" },
        { "{'spec':{'parameters':{'kind':'K','name':'n','scope':'Namespace'}}}",
          "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'" },
        { "{'spec':{'parameters':{'kind':'','name':'','scope':'World'}}}",
          "spec.parameters.kind: Required value: kind is required\n"
          "spec.parameters.name: Required value: name is required\n"
          "spec.parameters.scope: Unsupported value: \"World\": supported values: \"Cluster\", "
          "\"Namespace\"" },
    };
    static const struct rule_row update[] = {
        { "{'spec':{'controller':'acme.io/other'}}",
          "spec.controller: Invalid value: \"acme.io/other\": field is immutable" },
    };
    (void)state;
    expect_create(&class_, rows, ARRAY_LEN(rows));
    expect_update(&class_, update, ARRAY_LEN(update));
}

static void budgets_are_numbers_or_percentages(void **state)
{
    static const struct rule_base budget = {
        "policy/v1", "PodDisruptionBudget",
        "{" META ",'spec':{'minAvailable':1,'selector':{'matchLabels':{'a':'b'}}}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'minAvailable':null}}", "" }, /* upstream asks for none of the two */
        { "{'spec':{'minAvailable':null,'maxUnavailable':'50%'}}", "" },
        /* ValidatePodDisruptionBudgetSpec */
        { "{'spec':{'maxUnavailable':1,'selector':null}}",
          "spec: Invalid value: {\"minAvailable\":1,\"maxUnavailable\":1}: minAvailable and "
          "maxUnavailable cannot be both set" },
        { "{'spec':{'minAvailable':'101%'}}",
          "spec.minAvailable: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
          "StrVal:\"101%\"}: "
          "must not be greater than 100%" },
        { "{'spec':{'minAvailable':-1}}",
          "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'unhealthyPodEvictionPolicy':'Never'}}",
          "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: "
          "\"AlwaysAllow\", \"IfHealthyBudget\"" },
    };
    static const struct rule_row status[] = {
        { "{'status':{'currentHealthy':2,'conditions':[{'type':'DisruptionAllowed','status':'True',"
          "'reason':'SufficientPods','lastTransitionTime':'2026-11-30T10:00:00Z'}]}}",
          "" },
        /* ValidatePodDisruptionBudgetStatusUpdate, ValidateConditions */
        { "{'status':{'disruptionsAllowed':-1,'conditions':[{'type':'A','status':'Maybe','reason':"
          "'a-b'},{'type':'A','status':'True','lastTransitionTime':'2026-11-30T10:00:00Z'}]}}",
          "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", "
          "\"True\", \"Unknown\"\n"
          "status.conditions[0].lastTransitionTime: Required value: must be set\n"
          "status.conditions[0].reason: Invalid value: \"a-b\": a condition reason must start with "
          "alphabetic character, optionally followed by a string of alphanumeric characters or "
          "'_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or "
          "'MY_NAME',"
          "  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation "
          "is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')\n"
          "status.conditions[1].type: Duplicate value: \"A\"\n"
          "status.conditions[1].reason: Required value: must be set\n"
          "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0" },
    };
    (void)state;
    expect_create(&budget, rows, ARRAY_LEN(rows));
    expect_status(&budget, status, ARRAY_LEN(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_name_ports_and_peers),
        cmocka_unit_test(ingresses_name_hosts_paths_and_backends),
        cmocka_unit_test(classes_name_a_controller),
        cmocka_unit_test(budgets_are_numbers_or_percentages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

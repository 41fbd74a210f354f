/* admissionregistration.k8s.io/v1, rule by rule: pkg/apis/admissionregistration/validation, 1.32.
 * CEL expressions are not compiled: only their absence is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define API "admissionregistration.k8s.io/v1"
#define HOOK(more)                                                                                 \
    "{'name':'a.b.c','clientConfig':{'url':'https://h/x'},'sideEffects':'None',"                   \
    "'admissionReviewVersions':['v1']" more "}"
#define RULE(text) "{'webhooks':[" HOOK(",'rules':[{" text "}]") "]}"
#define FORM       "; desired format: https://host[/path]"

static const struct rule_base hooks = { API, "ValidatingWebhookConfiguration",
                                        "{'metadata':{'name':'x'},'webhooks':[" HOOK("") "]}" };

static void webhooks_say_where_and_how(void **state)
{
#define WITH(key, value)                                                                           \
    "{'webhooks':[{'name':'a.b.c','clientConfig':{'" key "':" value                                \
    "},'sideEffects':'None','admissionReviewVersions':['v1']}]}"
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* validateValidatingWebhook */
        { "{'webhooks':[{'name':'a.b','clientConfig':{},'sideEffects':'Some',"
          "'admissionReviewVersions':['v2','v2'],'timeoutSeconds':31}]}",
          "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three "
          "segments "
          "separated by dots\n"
          "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", "
          "\"NoneOnDryRun\"\n"
          "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and "
          "30 seconds\n"
          "webhooks[0].clientConfig: Required value: exactly one of url or service is required\n"
          "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version\n"
          "webhooks[0].admissionReviewVersions: Invalid value: []string{\"v2\", \"v2\"}: must "
          "include at least one of v1, v1beta1" },
        { "{'webhooks':[{'name':'','clientConfig':{'url':'https://h'}}]}",
          "webhooks[0].name: Required value\n"
          "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun\n"
          "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1" },
        { "{'webhooks':[" HOOK("") "," HOOK("") "]}",
          "webhooks[1].name: Duplicate value: \"a.b.c\"" },
        /* ValidateWebhookURL */
        { WITH("url", "'http://u@h?q#f'"),
          "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL "
          "scheme" FORM "\n"
          "webhooks[0].clientConfig.url: Invalid value: \"u\": user information is not permitted "
          "in "
          "the URL\n"
          "webhooks[0].clientConfig.url: Invalid value: \"f\": fragments are not permitted in the "
          "URL\n"
          "webhooks[0].clientConfig.url: Invalid value: \"q\": query parameters are not permitted "
          "in the URL" },
        { WITH("url", "'https:///x'"),
          "webhooks[0].clientConfig.url: Invalid value: \"\": host must "
          "be specified" FORM },
        /* ValidateWebhookService */
        { WITH("service", "{'name':'s','namespace':'n','path':'/a/b'}"), "" },
        { WITH("service", "{'name':'','namespace':'','port':0,'path':'a//b'}"),
          "webhooks[0].clientConfig.service.name: Required value: service name is required\n"
          "webhooks[0].clientConfig.service.namespace: Required value: service namespace is "
          "required\n"
          "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be "
          "between 1 and 65535, inclusive\n"
          "webhooks[0].clientConfig.service.path: Invalid value: \"a//b\": must start with a '/'\n"
          "webhooks[0].clientConfig.service.path: Invalid value: \"a//b\": segment[0] may not be "
          "empty\n"
          "webhooks[0].clientConfig.service.path: Invalid value: \"a//b\": segment[1] may not be "
          "empty" },
        /* validateMatchConditions */
        { "{'webhooks':[" HOOK(",'matchConditions':[{'name':'a','expression':'true'}]") "]}", "" },
        { "{'webhooks':[" HOOK(",'matchConditions':[{'name':'','expression':'x'},{'name':'a',"
                               "'expression':' '}]") "]}",
          "webhooks[0].matchConditions[0].name: Required value\n"
          "webhooks[0].matchConditions[1].expression: Required value" },
    };
    (void)state;
    expect_create(&hooks, rows, ARRAY_LEN(rows));
}

static void rules_say_what_they_are_for(void **state)
{
#define AT "webhooks[0].rules[0]"
    static const struct rule_row rows[] = {
        { RULE("'operations':['CREATE'],'apiGroups':[''],'apiVersions':['v1'],'resources':['pods',"
               "'pods/status']"),
          "" },
        /* validateRuleWithOperations, validateRule */
        { RULE(""), AT ".operations: Required value\n" AT ".apiGroups: Required value\n" AT
                       ".apiVersions: Required value\n" AT ".resources: Required value" },
        { RULE("'operations':['*','CREATE'],'apiGroups':['*','a'],'apiVersions':['*',''],"
               "'resources':['*','x']"),
          AT
          ".operations: Invalid value: []admissionregistration.OperationType{\"*\", \"CREATE\"}: "
          "if '*' is present, must not specify other operations\n" AT
          ".apiGroups: Invalid value: []string{\"*\", \"a\"}: if '*' is present, must not specify "
          "other API groups\n" AT
          ".apiVersions: Invalid value: []string{\"*\", \"\"}: if '*' is present, must not "
          "specify other API versions\n" AT ".apiVersions[1]: Required value\n" AT
          ".resources: Invalid value: []string{\"*\", \"x\"}: if '*' is present, must not specify "
          "other resources without subresources" },
        /* validateResources */
        { RULE("'operations':['CREATE'],'apiGroups':[''],'apiVersions':['v1'],'resources':["
               "'pods/*','pods/log','*/scale','x/scale','']"),
          AT ".resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify "
             "pods/log\n" AT
             ".resources[3]: Invalid value: \"x/scale\": if '*/scale' is present, must not specify "
             "x/scale\n" AT ".resources[4]: Required value" },
        { RULE("'operations':['FLY'],'apiGroups':[''],'apiVersions':['v1'],'resources':['*/*','a'],"
               "'scope':'World'"),
          AT ".operations[0]: Unsupported value: \"FLY\": supported values: \"*\", \"CONNECT\", "
             "\"CREATE\", \"DELETE\", \"UPDATE\"\n" AT
             ".scope: Unsupported value: \"World\": supported values: \"*\", \"Cluster\", "
             "\"Namespaced\"\n" AT
             ".resources: Invalid value: []string{\"*/*\", \"a\"}: if '*/*' is present, must not "
             "specify other resources" },
    };
    (void)state;
    expect_create(&hooks, rows, ARRAY_LEN(rows));
}

static void policies_are_checked_but_for_their_expressions(void **state)
{
    static const struct rule_base policy = {
        API, "ValidatingAdmissionPolicy",
        "{'metadata':{'name':'x'},'spec':{'matchConstraints':{'resourceRules':[{'operations':["
        "'CREATE'],'apiGroups':['apps'],'apiVersions':['v1'],'resources':['deployments']}]},"
        "'validations':[{'expression':'object.spec.replicas < 5'}]}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'validations':[{'expression':'this is no CEL'}]}}", "" }, /* not compiled */
        /* validateValidatingAdmissionPolicySpec */
        { "{'spec':{'matchConstraints':null,'validations':null}}",
          "spec.matchConstraints: Required value\n"
          "spec.validations: Required value: validations or auditAnnotations must contain at least "
          "one item\n"
          "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at "
          "least one item" },
        { "{'spec':{'matchConstraints':{'resourceRules':null}}}",
          "spec.matchConstraints.resourceRules: Required value" },
        /* validateParamKind */
        { "{'spec':{'paramKind':{'apiVersion':'a/b/c','kind':'K K'}}}",
          "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: "
          "a/b/c\n"
          "spec.paramKind.kind: Invalid value: \"K K\": may have mixed case, but should otherwise "
          "match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
          "start "
          "with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  "
          "or "
          "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')" },
        /* validateValidation, validateVariable, validateAuditAnnotation */
        { "{'spec':{'validations':[{'expression':'','message':'a\\nb','reason':'Odd'}]}}",
          "spec.validations[0].expression: Required value: expression is not specified\n"
          "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line "
          "breaks\n"
          "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: "
          "\"Forbidden\", "
          "\"Invalid\", \"RequestEntityTooLarge\"" },
        { "{'spec':{'variables':[{'name':'if','expression':'1'},{'name':'a','expression':''}]}}",
          "spec.variables[0].name: Invalid value: \"if\": name is not a valid CEL identifier\n"
          "spec.variables[1].expression: Required value: expression is not specified" },
        { "{'spec':{'auditAnnotations':[{'key':'k','valueExpression':'1'},{'key':'k',"
          "'valueExpression':''}]}}",
          "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not "
          "specified\n"
          "spec.auditAnnotations[1].key: Duplicate value: \"k\"" },
        /* validateNamedRuleWithOperations */
        { "{'spec':{'matchConstraints':{'resourceRules':[{'operations':['CREATE'],'apiGroups':[''],"
          "'apiVersions':['v1'],'resources':['pods'],'resourceNames':['a','a','b/c']}]}}}",
          "spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: \"a\"\n"
          "spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: \"b/c\": may "
          "not "
          "contain '/'" },
    };
    static const struct rule_base binding = {
        API, "ValidatingAdmissionPolicyBinding",
        "{'metadata':{'name':'x'},'spec':{'policyName':'p','validationActions':['Deny']}}"
    };
    static const struct rule_row binding_rows[] = {
        { "{}", "" },
        /* validateValidatingAdmissionPolicyBindingSpec */
        { "{'spec':{'policyName':'','validationActions':null}}",
          "spec.policyName: Required value\n"
          "spec.validationActions: Required value: at least one validation action is required" },
        { "{'spec':{'validationActions':['Deny','Warn','Deny']}}",
          "spec.validationActions[2]: Duplicate value: \"Deny\"\n"
          "spec.validationActions: Invalid value: []admissionregistration.ValidationAction{"
          "\"Deny\", \"Warn\", \"Deny\"}: must not contain both Deny and Warn (repeating the same "
          "validation failure information in the API response and headers serves no purpose)" },
        /* validateParamRef */
        { "{'spec':{'paramRef':{'parameterNotFoundAction':'Allow'}}}",
          "spec.paramRef: Required value: one of name or selector must be specified" },
        { "{'spec':{'paramRef':{'name':'a','selector':{}}}}",
          "spec.paramRef.name: Forbidden: name and selector are mutually exclusive\n"
          "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive\n"
          "spec.paramRef.parameterNotFoundAction: Required value" },
    };
    (void)state;
    expect_create(&policy, rows, ARRAY_LEN(rows));
    expect_create(&binding, binding_rows, ARRAY_LEN(binding_rows));
    expect_defaults(&policy, "spec.failurePolicy", "'Fail'");
    expect_defaults(&policy, "spec.matchConstraints",
                    "{'matchPolicy':'Equivalent','namespaceSelector':{},'objectSelector':{},"
                    "'resourceRules':[{'operations':['CREATE'],'apiGroups':['apps'],'apiVersions':["
                    "'v1'],'resources':['deployments'],'scope':'*'}]}");
}

static void webhooks_get_upstreams_defaults(void **state)
{
    static const struct rule_base mutating = { API, "MutatingWebhookConfiguration",
                                               "{'webhooks':[{'name':'a.b.c','clientConfig':{"
                                               "'service':{'name':'s','namespace':'n'}}}]}" };
    (void)state;
    expect_defaults(
        &mutating, "webhooks[0]",
        "{'name':'a.b.c','clientConfig':{'service':{'name':'s','namespace':'n','port':"
        "443}},'failurePolicy':'Fail','matchPolicy':'Equivalent','namespaceSelector':{},"
        "'objectSelector':{},'timeoutSeconds':10,'reinvocationPolicy':'Never'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(webhooks_say_where_and_how),
        cmocka_unit_test(rules_say_what_they_are_for),
        cmocka_unit_test(policies_are_checked_but_for_their_expressions),
        cmocka_unit_test(webhooks_get_upstreams_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

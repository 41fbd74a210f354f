/* flowcontrol.apiserver.k8s.io/v1, rule by rule: pkg/apis/flowcontrol/validation, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define API     "flowcontrol.apiserver.k8s.io/v1"
#define SUBJECT "'subjects':[{'kind':'User','user':{'name':'ann'}}]"
#define NON     "'nonResourceRules':[{'verbs':['get'],'nonResourceURLs':['/a/*']}]"

static void schemas_are_checked(void **state)
{
    static const struct rule_base schema = {
        API, "FlowSchema",
        "{'metadata':{'name':'x'},'spec':{'priorityLevelConfiguration':{'name':'low'},'rules':["
        "{" SUBJECT "," NON "}]}}"
    };
#define RESOURCE(text) "{'spec':{'rules':[{" SUBJECT ",'resourceRules':[{" text "}]}]}}"
#define AT             "spec.rules[0].resourceRules[0]"
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateFlowSchemaSpec */
        { "{'spec':{'matchingPrecedence':-1}}",
          "spec.matchingPrecedence: Invalid value: -1: must be a positive value" },
        { "{'spec':{'matchingPrecedence':10001}}",
          "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000" },
        { "{'spec':{'matchingPrecedence':1}}",
          "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have "
          "matchingPrecedence 1" },
        { "{'spec':{'priorityLevelConfiguration':{'name':''}}}",
          "spec.priorityLevelConfiguration.name: Required value: must reference a priority level" },
        { "{'spec':{'distinguisherMethod':{'type':'ByMood'}}}",
          "spec.distinguisherMethod.type: Unsupported value: \"ByMood\": supported values: "
          "\"ByNamespace\", \"ByUser\"" },
        /* ValidateFlowSchemaPolicyRulesWithSubjects */
        { "{'spec':{'rules':[{}]}}",
          "spec.rules[0].subjects: Required value: subjects must contain at least one value\n"
          "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has "
          "to "
          "be non-empty" },
        /* ValidateFlowSchemaSubject */
        { "{'spec':{'rules':[{'subjects':[{'kind':'Robot'}]," NON "}]}}",
          "spec.rules[0].subjects[0].kind: Unsupported value: \"Robot\": supported values: "
          "\"Group\", \"ServiceAccount\", \"User\"" },
        { "{'spec':{'rules':[{'subjects':[{'kind':'User','group':{'name':'g'}}]," NON "}]}}",
          "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not "
          "'Group'\n"
          "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is "
          "'User'" },
        { "{'spec':{'rules':[{'subjects':[{'kind':'ServiceAccount','serviceAccount':{'name':'',"
          "'namespace':''}}]," NON "}]}}",
          "spec.rules[0].subjects[0].serviceAccount.name: Required value\n"
          "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify "
          "namespace for service account" },
        /* ValidateFlowSchemaResourcePolicyRule */
        { RESOURCE("'verbs':['get'],'apiGroups':['apps'],'resources':['*'],'namespaces':['a']"),
          "" },
        { RESOURCE(""), AT
          ".verbs: Required value: verbs must contain at least one value\n" AT
          ".apiGroups: Required value: resource rules must supply at least one api group\n" AT
          ".resources: Required value: resource rules must supply at least one resource\n" AT
          ".namespaces: Required value: resource rules that are not cluster scoped must supply at "
          "least one namespace" },
        { RESOURCE("'verbs':['*','get'],'apiGroups':['*','a'],'resources':['x'],'clusterScope':"
                   "true"),
          AT ".verbs: Invalid value: []string{\"*\", \"get\"}: if '*' is present, must not specify "
             "other verbs\n" AT ".apiGroups: Invalid value: []string{\"*\", \"a\"}: if '*' is "
             "present, must not specify other api groups" },
        /* ValidateNonResourceURLPath */
        { "{'spec':{'rules':[{" SUBJECT ",'nonResourceRules':[{'verbs':['get'],'nonResourceURLs':["
          "'a','/a//b','/a*','/']}]}]}}",
          "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"a\": must start "
          "with slash\n"
          "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a//b\": must "
          "not "
          "contain double slash\n"
          "spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: \"/a*\": wildcard "
          "can only do suffix matching" },
        /* ValidateFlowSchema: what every cluster has is fixed */
        { "{'metadata':{'name':'catch-all'}}",
          "spec: Invalid value: {\"priorityLevelConfiguration\":{\"name\":\"low\"},\"rules\":[{"
          "\"subjects\":[{\"kind\":\"User\",\"user\":{\"name\":\"ann\"}}],\"nonResourceRules\":[{"
          "\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/a/*\"]}]}],\"matchingPrecedence\":1000}: "
          "spec of 'catch-all' must equal the fixed value" },
        { "{'metadata':{'name':'exempt'},'spec':{'priorityLevelConfiguration':{'name':'exempt'},"
          "'matchingPrecedence':1,'rules':[{'subjects':[{'kind':'Group','group':{'name':"
          "'system:masters'}}],'resourceRules':[{'verbs':['*'],'apiGroups':['*'],'resources':['*'],"
          "'clusterScope':true,'namespaces':['*']}],'nonResourceRules':[{'verbs':['*'],"
          "'nonResourceURLs':['*']}]}]}}",
          "" },
    };
    (void)state;
    expect_create(&schema, rows, ARRAY_LEN(rows));
    expect_defaults(&schema, "spec.matchingPrecedence", "1000");
}

static void levels_are_checked(void **state)
{
    static const struct rule_base level = {
        API, "PriorityLevelConfiguration",
        "{'metadata':{'name':'low'},'spec':{'type':'Limited','limited':{'limitResponse':{'type':"
        "'Queue','queuing':{}}}}}"
    };
#define LIMITED "spec.limited.limitResponse"
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'type':'Exempt'}}",
          "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is "
          "'exempt'\n"
          "spec.limited: Forbidden: must be nil if the type is not Limited" },
        { "{'spec':{'limited':null}}",
          "spec.limited: Required value: must not be empty when type is Limited" },
        { "{'spec':{'limited':{'nominalConcurrencyShares':-1,'lendablePercent':101}}}",
          "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative "
          "integer\n"
          "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, "
          "inclusive" },
        { "{'spec':{'limited':{'limitResponse':{'type':'Reject'}}}}",
          LIMITED ".queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited" },
        /* ValidatePriorityLevelQueuingConfiguration */
        { "{'spec':{'limited':{'limitResponse':{'queuing':{'queues':4,'handSize':8}}}}}",
          LIMITED ".queuing.handSize: Invalid value: 8: should not be greater than queues (4)" },
        { "{'spec':{'limited':{'limitResponse':{'queuing':{'queues':1024,'handSize':7}}}}}",
          LIMITED ".queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and "
                  "handSize 7 should not be greater than 60" },
    };
    (void)state;
    expect_create(&level, rows, ARRAY_LEN(rows));
    expect_defaults(&level, "spec.limited",
                    "{'nominalConcurrencyShares':30,'lendablePercent':0,'limitResponse':{'type':"
                    "'Queue','queuing':{'queues':64,'handSize':8,'queueLengthLimit':50}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_are_checked),
        cmocka_unit_test(levels_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

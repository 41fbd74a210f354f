/* Groups with few rules, rule by rule:
 * pkg/apis/{scheduling,coordination,node,discovery}/validation, core's events.go, kube-aggregator's
 * pkg/apis/apiregistration/validation; 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define META "'metadata':{'name':'x','namespace':'default'}"
#define LABEL                                                                                      \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

static void priority_classes_have_limits(void **state)
{
    static const struct rule_base class_ = { "scheduling.k8s.io/v1", "PriorityClass",
                                             "{'metadata':{'name':'high'},'value':1000}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'value':1000000000}", "" },
        { "{'value':-5}", "" },
        /* ValidatePriorityClass */
        { "{'value':1000000001}",
          "value: Forbidden: maximum allowed value of a user defined priority is 1000000000" },
        { "{'metadata':{'name':'system-x'}}",
          "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
          "system use only. error: system-x is not a known system priority class" },
        { "{'metadata':{'name':'system-node-critical'}}",
          "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
          "system use only. error: value of system-node-critical PriorityClass must be "
          "2000001000" },
        { "{'metadata':{'name':'system-cluster-critical'},'value':2000000000,'globalDefault':true}",
          "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
          "system use only. error: globalDefault of system-cluster-critical PriorityClass must be "
          "false" },
        { "{'metadata':{'name':'system-cluster-critical'},'value':2000000000}", "" },
        { "{'preemptionPolicy':'Sometimes'}",
          "preemptionPolicy: Unsupported value: \"Sometimes\": supported values: "
          "\"PreemptLowerPriority\", \"Never\"" },
    };
    static const struct rule_row update[] = {
        { "{'description':'x','globalDefault':true}", "" },
        { "{'value':1001,'preemptionPolicy':'Never'}",
          "preemptionPolicy: Invalid value: \"Never\": field is immutable\n"
          "value: Forbidden: may not be changed in an update." },
    };
    (void)state;
    expect_create(&class_, rows, ARRAY_LEN(rows));
    expect_update(&class_, update, ARRAY_LEN(update));
}

static void leases_last(void **state)
{
    static const struct rule_base lease = { "coordination.k8s.io/v1", "Lease",
                                            "{" META ",'spec':{'leaseDurationSeconds':40}}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateLeaseSpec */
        { "{'spec':{'leaseDurationSeconds':0,'leaseTransitions':-1}}",
          "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n"
          "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0" },
        { "{'spec':{'preferredHolder':'a'}}",
          "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined" },
    };
    (void)state;
    expect_create(&lease, rows, ARRAY_LEN(rows));
}

static void runtime_classes_name_a_handler(void **state)
{
    static const struct rule_base class_ = { "node.k8s.io/v1", "RuntimeClass",
                                             "{'metadata':{'name':'kata'},'handler':'kata'}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'handler':''}", "handler: Invalid value: \"\": " LABEL },
        { "{'overhead':{'podFixed':{'cpu':'-1'}}}",
          "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0" },
        { "{'scheduling':{'nodeSelector':{'-':'a'}}}",
          "scheduling.nodeSelector: Invalid value: \"-\": name part must consist of alphanumeric "
          "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
          "(e.g. "
          "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
          "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')" },
    };
    static const struct rule_row update[] = {
        { "{'handler':'runc'}", "handler: Invalid value: \"runc\": field is immutable" },
    };
    (void)state;
    expect_create(&class_, rows, ARRAY_LEN(rows));
    expect_update(&class_, update, ARRAY_LEN(update));
}

static void slices_hold_addresses_of_their_type(void **state)
{
    static const struct rule_base slice = {
        "discovery.k8s.io/v1", "EndpointSlice",
        "{" META ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1']}],'ports':[{'name':"
        "'http','port':80}]}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'addressType':'IPv6','endpoints':[{'addresses':['fd00::1']}]}", "" },
        { "{'addressType':'FQDN','endpoints':[{'addresses':['a.example']}]}", "" },
        /* validateAddressType */
        { "{'addressType':'IP'}",
          "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", "
          "\"IPv6\"" },
        /* validateEndpoints */
        { "{'endpoints':[{'addresses':[]}]}",
          "endpoints[0].addresses: Required value: must contain at least 1 address" },
        { "{'endpoints':[{'addresses':['fd00::1']}]}",
          "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address" },
        { "{'endpoints':[{'addresses':['127.0.0.1','169.254.0.1','0.0.0.0','224.0.0.9']}]}",
          "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback "
          "range "
          "(127.0.0.0/8, ::1/128)\n"
          "endpoints[0].addresses[1]: Invalid value: \"169.254.0.1\": may not be in the link-local "
          "range (169.254.0.0/16, fe80::/10)\n"
          "endpoints[0].addresses[2]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0 "
          "or "
          "::)\n"
          "endpoints[0].addresses[3]: Invalid value: \"224.0.0.9\": may not be in the link-local "
          "multicast range (224.0.0.0/24, ff02::/10)" },
        { "{'addressType':'FQDN','endpoints':[{'addresses':['localhost']}]}",
          "endpoints[0].addresses[0]: Invalid value: \"localhost\": should be a domain with at "
          "least "
          "two segments separated by dots" },
        { "{'endpoints':[{'addresses':['10.0.0.1'],'hostname':'A','hints':{'forZones':[{'name':'a'}"
          ",{'name':'a'}]}}]}",
          "endpoints[0].hostname: Invalid value: \"A\": " LABEL
          "\nendpoints[0].hints.forZones[1].name: Duplicate value: \"a\"" },
        /* validatePorts */
        { "{'ports':[{'name':'a'},{'name':'a','protocol':'ICMP'}]}",
          "ports[1].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", "
          "\"UDP\"\n"
          "ports[1].name: Duplicate value: \"a\"" },
    };
    static const struct rule_row update[] = {
        { "{'addressType':'FQDN','endpoints':[]}",
          "addressType: Invalid value: \"FQDN\": field is immutable" },
    };
    (void)state;
    expect_create(&slice, rows, ARRAY_LEN(rows));
    expect_update(&slice, update, ARRAY_LEN(update));
}

static void new_events_say_who_reports(void **state)
{
    static const struct rule_base event = {
        "events.k8s.io/v1", "Event",
        "{" META ",'eventTime':'2026-11-30T10:00:00.000000Z','reportingController':'acme.io/c',"
        "'reportingInstance':'c-1','action':'Pull','reason':'Pulled','type':'Normal','regarding':{"
        "'kind':'Pod','name':'p','namespace':'default'},'note':'n'}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* legacyValidateEvent */
        { "{'regarding':{'namespace':'other'}}", "" },
        { "{'regarding':{'namespace':'other'},'eventTime':null}",
          "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace\n"
          "eventTime: Required value" },
        { "{'reportingController':'','reportingInstance':'','action':'','reason':''}",
          "reportingController: Required value\n"
          "reportingController: Invalid value: \"\": name part must be non-empty\n"
          "reportingController: Invalid value: \"\": name part must consist of alphanumeric "
          "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
          "(e.g. "
          "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
          "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n"
          "reportingInstance: Required value\n"
          "action: Required value\n"
          "reason: Required value" },
        /* ValidateEventCreate */
        { "{'type':'Odd','deprecatedCount':2,'deprecatedSource':{'component':'x'}}",
          "type: Invalid value: \"\": has invalid value: Odd\n"
          "count: Invalid value: \"\": needs to be unset\n"
          "source: Invalid value: \"\": needs to be unset" },
        { "{'series':{'count':1,'lastObservedTime':'2026-11-30T10:00:00.000000Z'}}",
          "series.count: Invalid value: \"\": should be at least 2" },
    };
    static const struct rule_row update[] = {
        { "{'series':{'count':2,'lastObservedTime':'2026-11-30T10:00:00.000000Z'}}", "" },
        /* ValidateEventUpdate */
        { "{'note':'m'}", "message: Invalid value: \"m\": field is immutable" },
        { "{'action':''}", "action: Required value\n"
                           "action: Invalid value: \"\": field is immutable" },
    };
    (void)state;
    expect_create(&event, rows, ARRAY_LEN(rows));
    expect_update(&event, update, ARRAY_LEN(update));
}

static void api_services_are_named_by_what_they_serve(void **state)
{
    static const struct rule_base service = {
        "apiregistration.k8s.io/v1", "APIService",
        "{'metadata':{'name':'v1.acme.io'},'spec':{'group':'acme.io','version':'v1',"
        "'groupPriorityMinimum':1000,'versionPriority':15,'service':{'name':'a','namespace':'b'}}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateAPIService */
        { "{'metadata':{'name':'v1.other'}}",
          "metadata.name: Invalid value: \"v1.other\": must be `spec.version+\".\"+spec.group`: "
          "\"v1.acme.io\"" },
        { "{'metadata':{'name':'v2.'},'spec':{'group':'','version':'v2'}}",
          "spec.group: Required value: only v1 may have an empty group and it better be legacy "
          "kube" },
        { "{'spec':{'groupPriorityMinimum':20001,'versionPriority':0}}",
          "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000\n"
          "spec.versionPriority: Invalid value: 0: must be positive and less than 1000" },
        { "{'spec':{'service':{'name':'','namespace':'','port':70000}}}",
          "spec.service.namespace: Required value\n"
          "spec.service.name: Required value\n"
          "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and "
          "65535, "
          "inclusive" },
        { "{'spec':{'insecureSkipTLSVerify':true,'caBundle':'YWJj'}}",
          "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is "
          "present" },
        { "{'spec':{'service':null,'insecureSkipTLSVerify':true,'caBundle':'YWI='}}",
          "spec.caBundle: Invalid value: \"2 bytes\": local APIServices may not have a caBundle\n"
          "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have "
          "insecureSkipTLSVerify" },
    };
    static const struct rule_row status[] = {
        { "{'status':{'conditions':[{'type':'Available','status':'Maybe'}]}}",
          "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"True\", "
          "\"False\", \"Unknown\"" },
    };
    (void)state;
    expect_create(&service, rows, ARRAY_LEN(rows));
    expect_status(&service, status, ARRAY_LEN(status));
    expect_defaults(&service, "spec.service.port", "443");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_classes_have_limits),
        cmocka_unit_test(leases_last),
        cmocka_unit_test(runtime_classes_name_a_handler),
        cmocka_unit_test(slices_hold_addresses_of_their_type),
        cmocka_unit_test(new_events_say_who_reports),
        cmocka_unit_test(api_services_are_named_by_what_they_serve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

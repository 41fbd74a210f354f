/* storage.k8s.io/v1, rule by rule: pkg/apis/storage/validation, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define API "storage.k8s.io/v1"
#define SUBDOMAIN                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

static void classes_are_checked_and_stay(void **state)
{
    static const struct rule_base class_ = {
        API, "StorageClass",
        "{'metadata':{'name':'fast'},'provisioner':'acme.io/disk','parameters':{'a':'b'}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'provisioner':'Acme.io/Disk'}", "" }, /* validateProvisioner lowers it first */
        { "{'provisioner':''}", "provisioner: Required value" },
        { "{'provisioner':'/x'}",
          "provisioner: Invalid value: \"/x\": prefix part must be non-empty" },
        { "{'parameters':{'':'x'}}", "parameters: Invalid value: \"\": field can not be empty." },
        { "{'reclaimPolicy':'Recycle'}",
          "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", "
          "\"Retain\"" },
        { "{'volumeBindingMode':'Later'}",
          "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", "
          "\"WaitForFirstConsumer\"" },
        /* ValidateTopologySelectorTerm */
        { "{'allowedTopologies':[{'matchLabelExpressions':[{'key':'zone','values':['a','a']},{"
          "'key':'zone','values':[]}]}]}",
          "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"\n"
          "allowedTopologies[0].matchLabelExpressions[1].values: Required value\n"
          "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"zone\"" },
        { "{'allowedTopologies':[{'matchLabelExpressions':[{'key':'z','values':['a']}]},{"
          "'matchLabelExpressions':[{'key':'z','values':['a']}]}]}",
          "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"" },
    };
    static const struct rule_row update[] = {
        { "{'allowVolumeExpansion':true,'mountOptions':['ro']}", "" },
        /* ValidateStorageClassUpdate */
        { "{'parameters':{'a':'c'},'provisioner':'x','reclaimPolicy':'Retain'}",
          "parameters: Forbidden: updates to parameters are forbidden.\n"
          "provisioner: Forbidden: updates to provisioner are forbidden.\n"
          "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden." },
        { "{'volumeBindingMode':'WaitForFirstConsumer'}",
          "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable" },
    };
    (void)state;
    expect_create(&class_, rows, ARRAY_LEN(rows));
    expect_update(&class_, update, ARRAY_LEN(update));
    expect_defaults(&class_, "reclaimPolicy", "'Delete'");
    expect_defaults(&class_, "volumeBindingMode", "'Immediate'");
}

static void attachments_have_one_source(void **state)
{
    static const struct rule_base attachment = {
        API, "VolumeAttachment",
        "{'metadata':{'name':'x'},'spec':{'attacher':'csi.acme.io','nodeName':'n1','source':{"
        "'persistentVolumeName':'pv1'}}}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'source':{'persistentVolumeName':null}}}",
          "spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
          "persistentVolumeName" },
        { "{'spec':{'attacher':'A b'}}", "spec.attacher: Invalid value: \"A b\": " SUBDOMAIN },
        { "{'spec':{'nodeName':'N'}}", "spec.nodeName: Invalid value: \"N\": " SUBDOMAIN },
    };
    static const struct rule_row update[] = {
        { "{'spec':{'nodeName':'n2'}}",
          "spec: Invalid value: {\"attacher\":\"csi.acme.io\",\"nodeName\":\"n2\",\"source\":{"
          "\"persistentVolumeName\":\"pv1\"}}: field is immutable" },
    };
    (void)state;
    expect_create(&attachment, rows, ARRAY_LEN(rows));
    expect_update(&attachment, update, ARRAY_LEN(update));
}

static void drivers_are_checked(void **state)
{
    static const struct rule_base driver = { API, "CSIDriver",
                                             "{'metadata':{'name':'csi.acme.io'},'spec':{}}" };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'fsGroupPolicy':'Some','volumeLifecycleModes':['Forever']}}",
          "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", "
          "\"ReadWriteOnceWithFSType\"\n"
          "spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: "
          "\"Persistent\", \"Ephemeral\"" },
        /* validateTokenRequests */
        { "{'spec':{'tokenRequests':[{'audience':'a','expirationSeconds':599},{'audience':'a'},{"
          "'audience':'b','expirationSeconds':4294967297}]}}",
          "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration "
          "less than 10 minutes\n"
          "spec.tokenRequests[1].audience: Duplicate value: \"a\"\n"
          "spec.tokenRequests[2].expirationSeconds: Invalid value: 4294967297: may not specify a "
          "duration larger than 2^32 seconds" },
    };
    static const struct rule_row update[] = {
        { "{'spec':{'podInfoOnMount':true}}", "" },
        { "{'spec':{'attachRequired':false}}",
          "spec.attachedRequired: Invalid value: false: field is immutable" },
    };
    static const struct rule_base node = {
        API, "CSINode",
        "{'metadata':{'name':'n1'},'spec':{'drivers':[{'name':'csi.acme.io','nodeID':'i'}]}}"
    };
    static const struct rule_row node_rows[] = {
        { "{}", "" },
        { "{'spec':{'drivers':[{'name':'a.b','nodeID':''},{'name':'a.b','nodeID':'i',"
          "'allocatable':{'count':-1},'topologyKeys':['z','z']}]}}",
          "spec.drivers[0].nodeID: Required value\n"
          "spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to "
          "0\n"
          "spec.drivers[1].name: Duplicate value: \"a.b\"\n"
          "spec.drivers[1]: Duplicate value: \"z\"" },
    };
    static const struct rule_row node_update[] = {
        { "{'spec':{'drivers':[{'name':'csi.acme.io','nodeID':'i'},{'name':'b','nodeID':'j'}]}}",
          "" },
        { "{'spec':{'drivers':[{'name':'csi.acme.io','nodeID':'j'}]}}",
          "spec.drivers: Invalid value: {\"name\":\"csi.acme.io\",\"nodeID\":\"j\"}: field is "
          "immutable" },
    };
    (void)state;
    expect_create(&driver, rows, ARRAY_LEN(rows));
    expect_update(&driver, update, ARRAY_LEN(update));
    expect_create(&node, node_rows, ARRAY_LEN(node_rows));
    expect_update(&node, node_update, ARRAY_LEN(node_update));
}

static void capacities_are_checked(void **state)
{
    static const struct rule_base capacity = {
        API, "CSIStorageCapacity",
        "{'metadata':{'name':'x','namespace':'default'},'storageClassName':'fast','capacity':'1Gi'}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'capacity':'-1'}",
          "capacity: Invalid value: \"-1\": must be greater than or equal to 0" },
        { "{'storageClassName':'F'}", "storageClassName: Invalid value: \"F\": " SUBDOMAIN },
    };
    static const struct rule_row update[] = {
        { "{'capacity':'2Gi'}", "" },
        { "{'storageClassName':'slow'}",
          "storageClassName: Invalid value: \"slow\": field is immutable" },
    };
    (void)state;
    expect_create(&capacity, rows, ARRAY_LEN(rows));
    expect_update(&capacity, update, ARRAY_LEN(update));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_checked_and_stay),
        cmocka_unit_test(attachments_have_one_source),
        cmocka_unit_test(drivers_are_checked),
        cmocka_unit_test(capacities_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* certificates.k8s.io/v1, rule by rule: pkg/apis/certificates/validation, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

/* openssl req -new, P-256, /CN=ann; and a certificate of that key */
#define REQUEST                                                                                    \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISU1IQUNBUUF3RGpFTU1Bb0dBMVVFQXd3"         \
    "RFlXNXVNRmt3RXdZSEtvWkl6ajBDQVFZSUtvWkl6ajBEQVFjRApRZ0FFWVhiZDArUVU4YUozRk4yVzVKbkFP"         \
    "S1FuM1pNUHV5cGFJN3NrTzNyQjBvdWVHekdJc20wZVBJUUdObDljCkdDSFJneWZkUXJ1eXFWWnhSRDFyMHBV"         \
    "RE9LQUFNQW9HQ0NxR1NNNDlCQU1DQTBnQU1FVUNJUURJajVjTnpTUEYKdzFhWXJrSjBvNUZHNnhLNmtKM1VF"         \
    "eG1FWW1JSHRoYVI2QUlnU3NDRWcrcGJLeElOc0pjblJaNlRHOWdtOGV4Mgp0U1JwNTFzSDhla3VySEE9Ci0t"         \
    "LS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
#define CERTIFICATE                                                                                \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJiakNDQVJXZ0F3SUJBZ0lVV21FWWdrZHFrSDIxaG5S"         \
    "YndSN2lhbHN2Ujk0d0NnWUlLb1pJemowRUF3SXcKRERFS01BZ0dBMVVFQXd3QmVEQWdGdzB5TmpFeE16QXhN"         \
    "VEEwTkRaYUdBOHlNVEkyTVRFd05qRXhNRFEwTmxvdwpEREVLTUFnR0ExVUVBd3dCZURCWk1CTUdCeXFHU000"         \
    "OUFnRUdDQ3FHU000OUF3RUhBMElBQkdGMjNkUGtGUEdpCmR4VGRsdVNad0Rpa0o5MlREN3NxV2lPN0pEdDZ3"         \
    "ZEtMbmhzeGlMSnRIanlFQmpaZlhCZ2gwWU1uM1VLN3NxbFcKY1VROWE5S1ZBemlqVXpCUk1CMEdBMVVkRGdR"         \
    "V0JCUklBeTk2N09NMnloUldIbVk4Y0x0bU1vZEtpekFmQmdOVgpIU01FR0RBV2dCUklBeTk2N09NMnloUldI"         \
    "bVk4Y0x0bU1vZEtpekFQQmdOVkhSTUJBZjhFQlRBREFRSC9NQW9HCkNDcUdTTTQ5QkFNQ0EwY0FNRVFDSUgv"         \
    "MkdsV09yYWZaVDBhc2hmNm1kUlF0S1dNLzBwQzVVMUh2eng2MVRiNHMKQWlCS05zVUVGMk0xVWNPbHVhbkkx"         \
    "Q0xnUUpySkdtR25iK2cvSmhZdlVNamtQUT09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define BASE(status)                                                                               \
    "{'metadata':{'name':'Ann'},'spec':{'request':'" REQUEST                                       \
    "','signerName':'kubernetes.io/kube-apiserver-client','usages':['client auth']}" status "}"

static const struct rule_base request = { "certificates.k8s.io/v1", "CertificateSigningRequest",
                                          BASE("") };

static void requests_are_pkcs10_for_a_signer(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" }, /* ValidateCertificateRequestName: any */
        /* validateCSR: PEM of PKCS#10, signed by its key */
        { "{'spec':{'request':'YWI='}}",
          "spec.request: Invalid value: []byte{0x61, 0x62}: PEM block type must be CERTIFICATE "
          "REQUEST" },
        { "{'spec':{'request':''}}",
          "spec.request: Invalid value: []byte{}: PEM block type must be CERTIFICATE REQUEST" },
        /* validateCertificateSigningRequest */
        { "{'spec':{'usages':null}}", "spec.usages: Required value: usages must be provided" },
        { "{'spec':{'usages':['client auth','client auth']}}",
          "spec.usages[1]: Duplicate value: \"client auth\"" },
        { "{'spec':{'usages':['flying']}}",
          "spec.usages[0]: Unsupported value: \"flying\": supported values: \"any\", \"cert "
          "sign\", \"client auth\", \"code signing\", \"content commitment\", \"crl sign\", "
          "\"data encipherment\", \"decipher only\", \"digital signature\", \"email "
          "protection\", \"encipher only\", \"ipsec end system\", \"ipsec tunnel\", \"ipsec "
          "user\", \"key agreement\", \"key encipherment\", \"microsoft sgc\", \"netscape "
          "sgc\", \"ocsp signing\", \"s/mime\", \"server auth\", \"signing\", "
          "\"timestamping\"" },
        { "{'spec':{'expirationSeconds':599}}",
          "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 "
          "seconds (10 minutes)" },
        /* ValidateCertificateSigningRequestSignerName */
        { "{'spec':{'signerName':'acme.io/ns.name'}}", "" },
        { "{'spec':{'signerName':''}}",
          "spec.signerName: Required value: signerName must be provided" },
        { "{'spec':{'signerName':'kubernetes.io/legacy-unknown'}}",
          "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName "
          "is not allowed via this API version" },
        { "{'spec':{'signerName':'acme'}}",
          "spec.signerName: Invalid value: \"acme\": must be a fully qualified domain and path of "
          "the form 'example.com/signer-name'" },
        { "{'spec':{'signerName':'a.b/c/d'}}",
          "spec.signerName: Invalid value: \"a.b/c/d\": must be a fully qualified domain and path "
          "of the form 'example.com/signer-name'" },
        { "{'spec':{'signerName':'acme/x'}}",
          "spec.signerName: Invalid value: \"acme\": should be a domain with at least two segments "
          "separated by dots" },
        { "{'spec':{'signerName':'A.io/x'}}",
          "spec.signerName: Invalid value: \"A.io\": validating label \"A\": a lowercase RFC 1123 "
          "label must consist of lower case alphanumeric characters or '-', and must start and end "
          "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
          "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')" },
    };
    (void)state;
    expect_create(&request, rows, ARRAY_LEN(rows));
}

static void conditions_have_a_status(void **state)
{
    static const struct rule_row rows[] = {
        { "{'status':{'conditions':[{'type':'Failed','status':'True'}]}}", "" },
        { "{'status':{'certificate':'" CERTIFICATE "'}}", "" },
        /* validateConditions */
        { "{'status':{'conditions':[{'type':'','status':''},{'type':'Failed','status':'False'}]}}",
          "status.conditions[0].type: Required value\n"
          "status.conditions[0].status: Required value\n"
          "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\"" },
        { "{'status':{'conditions':[{'type':'A','status':'True'},{'type':'A','status':'False'}]}}",
          "status.conditions[1].type: Duplicate value: \"A\"" },
        /* ValidateCertificateSigningRequestStatusUpdate: only approval approves */
        { "{'status':{'conditions':[{'type':'Approved','status':'True'}]}}",
          "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"" },
        /* validateCertificate */
        { "{'status':{'certificate':'YWI='}}",
          "status.certificate: Invalid value: \"<certificate data>\": must contain at least one "
          "CERTIFICATE PEM block" },
        { "{'status':{'certificate':'" REQUEST "'}}",
          "status.certificate: Invalid value: \"<certificate data>\": only CERTIFICATE PEM blocks "
          "are allowed, found \"CERTIFICATE REQUEST\"" },
    };
    static const struct rule_base signed_ = {
        "certificates.k8s.io/v1", "CertificateSigningRequest",
        BASE(",'status':{'certificate':'" CERTIFICATE
             "','conditions':[{'type':'Approved','status':'True'},{'type':'Failed','status':"
             "'True'}]}")
    };
    static const struct rule_row later[] = {
        { "{'status':{'conditions':null}}",
          "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"\n"
          "status.conditions: Forbidden: updates may not remove a condition of type \"Failed\"" },
        { "{'status':{'conditions':[{'type':'Approved','status':'True','reason':'x'},{'type':"
          "'Failed','status':'True'}]}}",
          "status.conditions: Forbidden: updates may not modify a condition of type "
          "\"Approved\"" },
        { "{'status':{'certificate':null}}",
          "status.certificate: Forbidden: updates may not modify existing certificate content" },
    };
    (void)state;
    expect_status(&request, rows, ARRAY_LEN(rows));
    expect_status(&signed_, later, ARRAY_LEN(later));
}

static void an_update_leaves_the_status_alone(void **state)
{
    static const struct rule_row rows[] = {
        { "{'status':{'certificate':'" CERTIFICATE "'}}",
          "status.certificate: Forbidden: updates may not set certificate content" },
        { "{'status':{'conditions':[{'type':'Denied','status':'True'}]}}",
          "status.conditions: Forbidden: updates may not add a condition of type \"Denied\"" },
    };
    (void)state;
    expect_update(&request, rows, ARRAY_LEN(rows));
}

static void approval_approves_or_denies(void **state)
{
    static const struct rule_row rows[] = {
        { "{'status':{'conditions':[{'type':'Approved','status':'True','reason':'Ok'}]}}", "" },
        /* validateConditions */
        { "{'status':{'conditions':[{'type':'Approved','status':'False'}]}}",
          "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"" },
        { "{'status':{'conditions':[{'type':'Approved','status':'True'},{'type':'Denied','status':"
          "'True'}]}}",
          "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions "
          "are "
          "mutually exclusive" },
        { "{'status':{'certificate':'" CERTIFICATE "'}}",
          "status.certificate: Forbidden: updates may not set certificate content" },
    };
    (void)state;
    expect_approval(&request, rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_pkcs10_for_a_signer),
        cmocka_unit_test(conditions_have_a_status),
        cmocka_unit_test(an_update_leaves_the_status_alone),
        cmocka_unit_test(approval_approves_or_denies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Plugins that look up other objects, row by row: upstream's plugin/pkg/admission, 1.32. */
#include "test/unit/server/admission/world.h"

struct row {
    const char *obj;
    const char *error; /* "" for none */
    const char *path, *want;
};

static void expect(struct world *w, const char *api, const char *kind, const struct row *rows,
                   size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_auto_t *obj = json_of(rows[i].obj);
        struct err e;
        assert_string_equal(admit(w, api, kind, "create", obj, NULL, &e), rows[i].error);
        if (!rows[i].path)
            continue;
        json_auto_t *want = json_of(rows[i].want);
        const json_t *is = json_at(obj, rows[i].path);
        auto_free char *a =
            is ? json_dumps(is, JSON_SORT_KEYS | JSON_ENCODE_ANY) : mem_strdup("null");
        auto_free char *b = json_dumps(want, JSON_SORT_KEYS | JSON_ENCODE_ANY);
        assert_string_equal(a, b);
    }
}

static void a_pods_class_becomes_its_priority(void **state)
{
    struct world w = { .kinds[ADMISSION_PRIORITY_CLASSES] = json_of(
                           "[{'metadata':{'name':'high'},'value':1000,'preemptionPolicy':'Never'},{"
                           "'metadata':{'name':'low'},'value':-5}]") };
    static const struct row rows[] = {
        { "{'spec':{}}", "", "spec.priority", "0" },
        { "{'spec':{}}", "", "spec.preemptionPolicy", "'PreemptLowerPriority'" },
        { "{'spec':{'priorityClassName':'high'}}", "", "spec.priority", "1000" },
        { "{'spec':{'priorityClassName':'high','priority':1000}}", "", "spec.preemptionPolicy",
          "'Never'" },
        { "{'spec':{'priorityClassName':'low'}}", "", "spec.priority", "-5" },
        { "{'spec':{'priorityClassName':'system-node-critical'}}", "", "spec.priority",
          "2000001000" },
        { "{'spec':{'priorityClassName':'none'}}", "no PriorityClass with name none was found",
          NULL, NULL },
        { "{'spec':{'priorityClassName':'high','priority':5}}",
          "the integer value of priority (5) must not be provided in pod spec; priority admission "
          "controller computed 1000 from the given PriorityClass name",
          NULL, NULL },
        { "{'spec':{'priorityClassName':'low','preemptionPolicy':'Never'}}",
          "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority "
          "admission controller computed PreemptLowerPriority from the given PriorityClass name",
          NULL, NULL },
    };
    (void)state;
    expect(&w, "v1", "Pod", rows, ARRAY_LEN(rows));
    json_decref(w.kinds[ADMISSION_PRIORITY_CLASSES]);
}

static void one_class_is_the_default(void **state)
{
    struct world w = { .kinds[ADMISSION_PRIORITY_CLASSES] =
                           json_of("[{'metadata':{'name':'a'},'value':7,'globalDefault':true}]") };
    static const struct row pods[] = {
        { "{'spec':{}}", "", "spec.priorityClassName", "'a'" },
        { "{'spec':{}}", "", "spec.priority", "7" },
    };
    static const struct row classes[] = {
        { "{'metadata':{'name':'b'},'value':1}", "", NULL, NULL },
        { "{'metadata':{'name':'b'},'value':1,'globalDefault':true}",
          "PriorityClass a is already marked as globalDefault. Only one default can exist", NULL,
          NULL },
    };
    json_auto_t *same = json_of("{'metadata':{'name':'a'},'value':7,'globalDefault':true}");
    struct err e;
    (void)state;

    expect(&w, "v1", "Pod", pods, ARRAY_LEN(pods));
    expect(&w, "scheduling.k8s.io/v1", "PriorityClass", classes, ARRAY_LEN(classes));
    assert_string_equal(
        admit(&w, "scheduling.k8s.io/v1", "PriorityClass", "update", same, same, &e), "");
    json_decref(w.kinds[ADMISSION_PRIORITY_CLASSES]);
}

/* So that the manifest that made a pod may replace it. */
static void an_update_that_leaves_out_what_was_filled_in_keeps_it(void **state)
{
    static const char *const made[] = { "{'spec':{}}", "{'spec':{'serviceAccountName':'robot'}}",
                                        "{'spec':{'tolerations':[{'key':'a'}]}}" };
    struct world w = { .kinds[ADMISSION_PRIORITY_CLASSES] =
                           json_of("[{'metadata':{'name':'d'},'value':9,'globalDefault':true,"
                                   "'preemptionPolicy':'Never'}]") };
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        json_auto_t *old = json_of(made[i]), *now = json_of(made[i]);

        assert_string_equal(admit(&w, "v1", "Pod", "create", old, NULL, &e), "");
        json_object_set(json_object_get(now, "spec"), "priorityClassName",
                        json_at(old, "spec.priorityClassName"));
        assert_string_equal(admit(&w, "v1", "Pod", "update", now, old, &e), "");
        assert_true(json_equal(now, old));
    }
    json_decref(w.kinds[ADMISSION_PRIORITY_CLASSES]);
}

static void an_update_names_another_account(void **state)
{
    struct world w = { 0 };
    json_auto_t *old = json_of("{'spec':{'serviceAccountName':'a','serviceAccount':'a'}}");
    json_auto_t *now = json_of("{'spec':{'serviceAccountName':'b'}}");
    struct err e;
    (void)state;

    assert_string_equal(admit(&w, "v1", "Pod", "update", now, old, &e), "");
    assert_string_equal(json_str_at(now, "spec.serviceAccountName", ""), "b");
    assert_string_equal(json_str_at(now, "spec.serviceAccount", ""), "b");
}

static void the_newest_default_class_is_taken(void **state)
{
#define CLASS(name, time, key)                                                                     \
    "{'metadata':{'name':'" name "','creationTimestamp':'" time "','annotations':{'" key           \
    "/is-default-class':'true'}}}"
    struct world w = {
        .kinds[ADMISSION_STORAGE_CLASSES] = json_of(
            "[" CLASS("old", "2026-01-01T00:00:00Z", "storageclass.kubernetes.io") "," CLASS(
                "z", "2026-02-01T00:00:00Z",
                "storageclass.kubernetes.io") "," CLASS("b",
                                                        "2026-02-01T00:"
                                                        "00:00Z",
                                                        "storageclass."
                                                        "beta."
                                                        "kubernetes."
                                                        "io") "]"),
        .kinds[ADMISSION_INGRESS_CLASSES] = json_of("[{'metadata':{'name':'plain'}}," CLASS(
            "nginx", "2026-01-01T00:00:00Z", "ingressclass.kubernetes.io") "]"),
    };
    static const struct row claims[] = {
        { "{'spec':{}}", "", "spec.storageClassName", "'b'" },
        { "{'spec':{'storageClassName':''}}", "", "spec.storageClassName", "''" },
        { "{'metadata':{'annotations':{'volume.beta.kubernetes.io/storage-class':'x'}},'spec':{}}",
          "", "spec", "{}" },
    };
    static const struct row ingresses[] = {
        { "{'spec':{}}", "", "spec.ingressClassName", "'nginx'" },
        { "{'metadata':{'annotations':{'kubernetes.io/ingress.class':'x'}},'spec':{}}", "", "spec",
          "{}" },
    };
    struct world empty = { 0 };
    static const struct row none[] = { { "{'spec':{}}", "", "spec", "{}" } };
    (void)state;

    expect(&w, "v1", "PersistentVolumeClaim", claims, ARRAY_LEN(claims));
    expect(&w, "networking.k8s.io/v1", "Ingress", ingresses, ARRAY_LEN(ingresses));
    expect(&empty, "v1", "PersistentVolumeClaim", none, ARRAY_LEN(none));
    json_decref(w.kinds[ADMISSION_STORAGE_CLASSES]);
    json_decref(w.kinds[ADMISSION_INGRESS_CLASSES]);
}

static void a_runtime_class_shapes_the_pod(void **state)
{
    struct world w = { .kinds[ADMISSION_RUNTIME_CLASSES] = json_of(
                           "[{'metadata':{'name':'kata'},'handler':'kata','overhead':{'podFixed':{"
                           "'cpu':'1'}},'scheduling':{'nodeSelector':{'vm':'yes'},'tolerations':[{"
                           "'key':'vm'}]}}]") };
    static const struct row rows[] = {
        { "{'spec':{'runtimeClassName':'kata'}}", "", "spec.overhead", "{'cpu':'1'}" },
        { "{'spec':{'runtimeClassName':'kata','nodeSelector':{'a':'b'}}}", "", "spec.nodeSelector",
          "{'a':'b','vm':'yes'}" },
        { "{'spec':{'runtimeClassName':'kata','tolerations':[{'operator':'Exists'}]}}", "",
          "spec.tolerations", "[{'operator':'Exists'},{'key':'vm'}]" },
        { "{'spec':{'runtimeClassName':'kata','nodeSelector':{'vm':'no'}}}",
          "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = "
          "no",
          NULL, NULL },
        { "{'spec':{'runtimeClassName':'kata','overhead':{'cpu':'2'}}}",
          "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", NULL,
          NULL },
        { "{'spec':{'overhead':{'cpu':'2'}}}",
          "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
          NULL, NULL },
        { "{'spec':{'runtimeClassName':'gvisor'}}",
          "pod rejected: RuntimeClass \"gvisor\" not found", NULL, NULL },
    };
    (void)state;
    expect(&w, "v1", "Pod", rows, ARRAY_LEN(rows));
    json_decref(w.kinds[ADMISSION_RUNTIME_CLASSES]);
}

#define RANGE(type, more)                                                                          \
    "[{'metadata':{'name':'r','namespace':'default'},'spec':{'limits':[{'type':'" type "'," more   \
    "}]}},{'metadata':{'name':'r','namespace':'other'},'spec':{'limits':[{'type':'" type           \
    "','max':{'cpu':'0'}}]}}]"
#define POD(requests, limits)                                                                      \
    "{'spec':{'containers':[{'name':'c','resources':{'requests':{" requests "},'limits':{" limits  \
    "}}}]}}"

static void limit_ranges_fill_in_amounts(void **state)
{
    struct world w = { .kinds[ADMISSION_LIMIT_RANGES] = json_of(
                           RANGE("Container", "'default':{'cpu':'2','memory':'1Gi'},"
                                              "'defaultRequest':{'cpu':'1','memory':'512Mi'}")) };
    static const char pod[] = "{'spec':{'containers':[{'name':'c'},{'name':'d','resources':{"
                              "'limits':{'cpu':'3'},'requests':{'cpu':'3'}}}],'initContainers':[{"
                              "'name':'i'}]}}";
    static const struct row rows[] = {
        { pod, "", "spec.containers[0].resources",
          "{'requests':{'cpu':'1','memory':'512Mi'},'limits':{'cpu':'2','memory':'1Gi'}}" },
        { pod, "", "spec.containers[1].resources",
          "{'requests':{'cpu':'3','memory':'512Mi'},'limits':{'cpu':'3','memory':'1Gi'}}" },
        { pod, "", "metadata.annotations",
          "{'kubernetes.io/limit-ranger':'LimitRanger plugin set: cpu, memory request for "
          "container "
          "c; cpu, memory limit for container c; memory request for container d; memory limit for "
          "container d; cpu, memory request for init container i; cpu, memory limit for init "
          "container i'}" },
    };
    (void)state;
    expect(&w, "v1", "Pod", rows, ARRAY_LEN(rows));
    json_decref(w.kinds[ADMISSION_LIMIT_RANGES]);
}

static void limit_ranges_bound_amounts(void **state)
{
    struct world bounds = { .kinds[ADMISSION_LIMIT_RANGES] = json_of(
                                RANGE("Container", "'min':{'cpu':'100m'},'max':{'cpu':'1'}")) };
    struct world ratio = { .kinds[ADMISSION_LIMIT_RANGES] = json_of(
                               RANGE("Container", "'maxLimitRequestRatio':{'memory':'2'}")) };
    struct world whole = { .kinds[ADMISSION_LIMIT_RANGES] =
                               json_of(RANGE("Pod", "'max':{'cpu':'2'}")) };
    struct world claims = { .kinds[ADMISSION_LIMIT_RANGES] =
                                json_of(RANGE("PersistentVolumeClaim",
                                              "'min':{'storage':'1Gi'},'max':{'storage':'2Gi'}")) };
    static const struct row in_bounds[] = {
        { POD("'cpu':'100m'", "'cpu':'1'"), "", NULL, NULL },
        { POD("'cpu':'50m'", "'cpu':'2'"),
          "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per "
          "Container is 1, but limit is 2]",
          NULL, NULL },
        { POD("", ""),
          "[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage "
          "per "
          "Container is 1.  No limit is specified]",
          NULL, NULL },
    };
    static const struct row in_ratio[] = {
        { POD("'memory':'1Gi'", "'memory':'2Gi'"), "", NULL, NULL },
        { POD("'memory':'1Gi'", "'memory':'3Gi'"),
          "memory max limit to request ratio per Container is 2, but provided ratio is 3.000000",
          NULL, NULL },
        { POD("", "'memory':'3Gi'"),
          "memory max limit to request ratio per Container is 2, but no request is specified or "
          "request is 0",
          NULL, NULL },
    };
    static const struct row as_a_whole[] = {
        { "{'spec':{'containers':[{'resources':{'limits':{'cpu':'1'}}},{'resources':{'limits':{"
          "'cpu':'500m'}}}],'initContainers':[{'resources':{'limits':{'cpu':'2'}}}]}}",
          "", NULL, NULL },
        { "{'spec':{'containers':[{'resources':{'limits':{'cpu':'1'}}},{'resources':{'limits':{"
          "'cpu':'1500m'}}}]}}",
          "maximum cpu usage per Pod is 2, but limit is 2500m", NULL, NULL },
    };
    static const struct row of_claims[] = {
        { "{'spec':{'storageClassName':'','resources':{'requests':{'storage':'1Gi'}}}}", "", NULL,
          NULL },
        { "{'spec':{'storageClassName':'','resources':{'requests':{'storage':'3Gi'}}}}",
          "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi", NULL,
          NULL },
    };
    (void)state;
    expect(&bounds, "v1", "Pod", in_bounds, ARRAY_LEN(in_bounds));
    expect(&ratio, "v1", "Pod", in_ratio, ARRAY_LEN(in_ratio));
    expect(&whole, "v1", "Pod", as_a_whole, ARRAY_LEN(as_a_whole));
    expect(&claims, "v1", "PersistentVolumeClaim", of_claims, ARRAY_LEN(of_claims));
    json_decref(bounds.kinds[ADMISSION_LIMIT_RANGES]);
    json_decref(ratio.kinds[ADMISSION_LIMIT_RANGES]);
    json_decref(whole.kinds[ADMISSION_LIMIT_RANGES]);
    json_decref(claims.kinds[ADMISSION_LIMIT_RANGES]);
}

/* openssl req -new: /O=system:masters/O=edge/CN=ann, and /CN=ann */
#define MASTERS                                                                                    \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHMU1Ha0NBUUF3TmpFWE1CVUdBMVVFQ2d3"         \
    "T2MzbHpkR1Z0T20xaGMzUmxjbk14RFRBTEJnTlZCQW9NQkdWawpaMlV4RERBS0JnTlZCQU1NQTJGdWJqQXFN"         \
    "QVVHQXl0bGNBTWhBR2ZSazFPNExZWWZCL3VVQ3BRd1haYjFqa2g5Cm9WUTFITytOV1BDeFNnZ1RvQUF3QlFZ"         \
    "REsyVndBMEVBT3o3eFZ5VjFaM0ZjLzVCMTJVMWMxaWdSUUtZcjVkalUKOE14VmFwNDNZUFpyUDdOQUZNVkFi"         \
    "c1UxTFprZ1NUZUNNbmxsbWF1UFFVcW9BTS9GUVZ1dUJnPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVT"         \
    "VC0tLS0tCg=="
#define ANN                                                                                        \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISU1IQUNBUUF3RGpFTU1Bb0dBMVVFQXd3"         \
    "RFlXNXVNRmt3RXdZSEtvWkl6ajBDQVFZSUtvWkl6ajBEQVFjRApRZ0FFWVhiZDArUVU4YUozRk4yVzVKbkFP"         \
    "S1FuM1pNUHV5cGFJN3NrTzNyQjBvdWVHekdJc20wZVBJUUdObDljCkdDSFJneWZkUXJ1eXFWWnhSRDFyMHBV"         \
    "RE9LQUFNQW9HQ0NxR1NNNDlCQU1DQTBnQU1FVUNJUURJajVjTnpTUEYKdzFhWXJrSjBvNUZHNnhLNmtKM1VF"         \
    "eG1FWW1JSHRoYVI2QUlnU3NDRWcrcGJLeElOc0pjblJaNlRHOWdtOGV4Mgp0U1JwNTFzSDhla3VySEE9Ci0t"         \
    "LS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
#define REQUEST(signer, text) "{'spec':{'signerName':'" signer "','request':'" text "'}}"

static void nobody_asks_to_be_a_master(void **state)
{
    static const struct row rows[] = {
        { REQUEST("kubernetes.io/kube-apiserver-client", MASTERS),
          "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not "
          "allowed",
          NULL, NULL },
        { REQUEST("kubernetes.io/kube-apiserver-client", ANN), "", NULL, NULL },
        { REQUEST("acme.io/signer", MASTERS), "", NULL, NULL },
    };
    struct world w = { 0 };
    (void)state;
    expect(&w, "certificates.k8s.io/v1", "CertificateSigningRequest", rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pods_class_becomes_its_priority),
        cmocka_unit_test(one_class_is_the_default),
        cmocka_unit_test(an_update_that_leaves_out_what_was_filled_in_keeps_it),
        cmocka_unit_test(an_update_names_another_account),
        cmocka_unit_test(the_newest_default_class_is_taken),
        cmocka_unit_test(a_runtime_class_shapes_the_pod),
        cmocka_unit_test(limit_ranges_fill_in_amounts),
        cmocka_unit_test(limit_ranges_bound_amounts),
        cmocka_unit_test(nobody_asks_to_be_a_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

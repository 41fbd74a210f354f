/* Warnings row by row: an object, what it was before, and all that its writer is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/warn.h"
#include "test/unit/json_text.h"

struct row {
    const char *api, *kind, *obj, *old; /* old NULL: a create */
    const char *says[4];
};

static void expect(const struct row *rows, size_t n)
{
    struct schema *schema = schema_new();

    for (size_t i = 0; i < n; i++) {
        const struct schema_kind *k = schema_find_api(schema, rows[i].api, rows[i].kind);
        json_auto_t *obj = json_of(rows[i].obj), *old = rows[i].old ? json_of(rows[i].old) : NULL;
        auto_decode_notes notes = { 0 };
        size_t want = 0;

        warn_object(k, obj, old, &notes);
        while (want < ARRAY_LEN(rows[i].says) && rows[i].says[want])
            want++;
        for (size_t j = 0; j < notes.n || j < want; j++) {
            const char *is = j < notes.n ? notes.v[j] : "nothing";
            if (j >= want || strcmp(is, rows[i].says[j]) != 0)
                fail_msg("row %zu, %s: %s", i, rows[i].obj, is);
        }
    }
    schema_free(schema);
}

#define OLD_LABEL  "deprecated since v1.14; use \"kubernetes.io/os\" instead"
#define EXPRESSION "{'matchExpressions':[{'key':'beta.kubernetes.io/os'}]}"

#define TEMPLATE "'template':{'spec':{'terminationGracePeriodSeconds':-1}}"
#define GRACE                                                                                      \
    ".template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and " \
    "will be treated as 1"
#define DOTS                                                                                       \
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising "      \
    "behavior; a DNS label is recommended: [must not contain dots]"

static void workloads(void **state)
{
    static const struct row rows[] = {
        { "apps/v1",
          "Deployment",
          "{'metadata':{'name':'a.b'},'spec':{" TEMPLATE "}}",
          NULL,
          { DOTS, "spec" GRACE } },
        { "apps/v1",
          "StatefulSet",
          "{'spec':{'revisionHistoryLimit':-1,'volumeClaimTemplates':[{'spec':{'resources':{"
          "'limits':{'storage':'1m'}}}}]}}",
          NULL,
          { "spec.volumeClaimTemplates[0].resources.limits[storage]: fractional byte value \"1m\" "
            "is invalid, must be an integer",
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a "
            "value >= 0 is recommended" } },
        { "batch/v1",
          "Job",
          "{'metadata':{'name':'a'},'spec':{'completionMode':'Indexed','completions':100001,'parallelism':10001}}",
          NULL,
          { "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "
            "higher than 10^4, Kubernetes might not be able to track completedIndexes when a big "
            "number of indexes fail" } },
    };
    (void)state;
    expect(rows, ARRAY_LEN(rows));
}

static void other_kinds(void **state)
{
    static const struct row rows[] = {
        { "v1",
          "Service",
          "{'spec':{'type':'ClusterIP','clusterIP':'None','clusterIPs':['None'],'loadBalancerIP':"
          "'1.2.3.4','externalIPs':['1.2.3.4'],'sessionAffinity':'ClientIP'}}",
          NULL,
          { "spec.loadBalancerIP is ignored for headless services",
            "spec.externalIPs is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services" } },
        { "v1",
          "Service",
          "{'spec':{'type':'LoadBalancer','externalName':'x','externalIPs':['2001:db8:0::1'],"
          "'loadBalancerIP':'2001:DB8::1','loadBalancerSourceRanges':['2001:db8::0/32']}}",
          NULL,
          { "spec.externalIPs[0]: IPv6 address \"2001:db8:0::1\" is not in RFC 5952 canonical "
            "format "
            "(\"2001:db8::1\"), which may cause controller apply-loops",
            "spec.loadBalancerIP: IPv6 address \"2001:DB8::1\" is not in RFC 5952 canonical format "
            "(\"2001:db8::1\"), which may cause controller apply-loops",
            "spec.loadBalancerSourceRanges[0]: IPv6 prefix \"2001:db8::0/32\" is not in RFC 5952 "
            "canonical format (\"2001:db8::/32\"), which may cause controller apply-loops",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"" } },
        { "v1",
          "Service",
          "{'metadata':{'annotations':{'service.kubernetes.io/topology-aware-hints':'auto'}},"
          "'spec':{'type':'ExternalName','externalName':'x','externalIPs':['1.2.3.4']}}",
          "{}",
          { "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
            "service.kubernetes.io/topology-mode instead",
            "spec.externalIPs is ignored when spec.type is \"ExternalName\"" } },
        { "v1",
          "PersistentVolumeClaim",
          "{'metadata':{'annotations':{'volume.beta.kubernetes.io/storage-class':'s'}},'spec':{"
          "'resources':{'requests':{'storage':'1500m'}}}}",
          NULL,
          { "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; "
            "use \"storageClassName\" attribute instead",
            "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be "
            "an integer" } },
        { "v1",
          "PersistentVolume",
          "{'metadata':{'annotations':{'volume.beta.kubernetes.io/mount-options':'ro'}},'spec':{"
          "'persistentVolumeReclaimPolicy':'Recycle','cephfs':{},'nodeAffinity':{'required':{"
          "'nodeSelectorTerms':[" EXPRESSION "]}}}}",
          NULL,
          { "metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since "
            "v1.31; use \"mountOptions\" attribute instead",
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
            "Instead, the recommended approach is to use dynamic provisioning.",
            "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: "
            "beta.kubernetes.io/os is " OLD_LABEL,
            "spec.cephfs: deprecated in v1.28, non-functional in v1.31+" } },
        { "networking.k8s.io/v1",
          "Ingress",
          "{'metadata':{'annotations':{'kubernetes.io/ingress.class':'x'}},'spec':{}}",
          NULL,
          { "annotation \"kubernetes.io/ingress.class\" is deprecated, please use "
            "'spec.ingressClassName' instead" } },
        { "v1",
          "ServiceAccount",
          "{'metadata':{'annotations':{'kubernetes.io/enforce-mountable-secrets':'true'}}}",
          "{}",
          { "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; "
            "prefer separate namespaces to isolate access to mounted secrets" } },
        { "v1",
          "ServiceAccount",
          "{'metadata':{'annotations':{'kubernetes.io/enforce-mountable-secrets':'true'}}}",
          "{'metadata':{'annotations':{'kubernetes.io/enforce-mountable-secrets':'x'}}}",
          { NULL } },
        { "v1",
          "Node",
          "{'spec':{'externalID':'x','configSource':{}}}",
          NULL,
          { "spec.configSource: the feature is removed",
            "spec.externalID: this field is deprecated, and is unused by Kubernetes" } },
        { "node.k8s.io/v1",
          "RuntimeClass",
          "{'scheduling':{'nodeSelector':{'beta.kubernetes.io/os':'x'}}}",
          NULL,
          { "scheduling.nodeSelector: " OLD_LABEL } },
        { "v1", "ConfigMap", "{'metadata':{'name':'a.b'}}", NULL, { NULL } },
    };
    (void)state;
    expect(rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workloads),
        cmocka_unit_test(other_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

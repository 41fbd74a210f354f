/*
 * What discovery says of each resource of a 1.32 server: names, short names, categories, verbs and
 * subresources (the ShortNames, Categories and rest interfaces of pkg/registry/<group>/<kind>/
 * storage, and the maps of pkg/registry/<group>/rest), and the labels of field selectors
 * (AddFieldLabelConversionFunc in pkg/apis/<group>/<version>/conversion.go).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/buf.h"
#include "server/schema/schema.h"

#define ALL    "create delete deletecollection get list patch update watch"
#define PROXY  "proxy[create delete get patch update]"
#define STATUS "status[get patch update]"
#define SCALE  "scale=Scale[get patch update] "

static const struct {
    const char *api, *plural, *kind; /* kind begins with '-' when it lies in no namespace */
    const char *names;               /* short names, then "#" and categories */
    const char *verbs, *subs, *select;
} rows[] = {
    { "v1", "bindings", "Binding", "", "create", "", "" },
    { "v1", "componentstatuses", "-ComponentStatus", "cs", "get list", "", "" },
    { "v1", "configmaps", "ConfigMap", "cm", ALL, "", "" },
    { "v1", "endpoints", "Endpoints", "ep", ALL, "", "" },
    { "v1", "events", "Event", "ev", ALL, "",
      "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
      "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason "
      "reportingComponent source type" },
    { "v1", "limitranges", "LimitRange", "limits", ALL, "", "" },
    /* rest.go: a namespace is not deleted with others */
    { "v1", "namespaces", "-Namespace", "ns", "create delete get list patch update watch",
      "finalize[update] " STATUS, "status.phase" },
    { "v1", "nodes", "-Node", "no", ALL, PROXY " " STATUS, "spec.unschedulable" },
    { "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", ALL, STATUS, "" },
    { "v1", "persistentvolumes", "-PersistentVolume", "pv", ALL, STATUS, "" },
    /* storage_core.go; resize comes with InPlacePodVerticalScaling, off in 1.32 */
    { "v1", "pods", "Pod", "po #all", ALL,
      "attach=PodAttachOptions[create get] binding=Binding[create] ephemeralcontainers[get patch "
      "update] eviction=Eviction[create] exec=PodExecOptions[create get] log[get] "
      "portforward=PodPortForwardOptions[create get] "
      "proxy=PodProxyOptions[create delete get patch update] " STATUS,
      "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName "
      "spec.hostNetwork status.phase status.podIP status.nominatedNodeName" },
    { "v1", "podtemplates", "PodTemplate", "", ALL, "", "" },
    { "v1", "replicationcontrollers", "ReplicationController", "rc #all", ALL, SCALE STATUS,
      "status.replicas" },
    { "v1", "resourcequotas", "ResourceQuota", "quota", ALL, STATUS, "" },
    { "v1", "secrets", "Secret", "", ALL, "", "type" },
    { "v1", "serviceaccounts", "ServiceAccount", "sa", ALL, "token=TokenRequest[create]", "" },
    { "v1", "services", "Service", "svc #all", ALL,
      "proxy=ServiceProxyOptions[create delete get patch update] " STATUS,
      "spec.clusterIP spec.type" },
    /* storage_apps.go */
    { "apps/v1", "controllerrevisions", "ControllerRevision", "", ALL, "", "" },
    { "apps/v1", "daemonsets", "DaemonSet", "ds #all", ALL, STATUS, "" },
    { "apps/v1", "deployments", "Deployment", "deploy #all", ALL, SCALE STATUS, "" },
    { "apps/v1", "replicasets", "ReplicaSet", "rs #all", ALL, SCALE STATUS, "status.replicas" },
    { "apps/v1", "statefulsets", "StatefulSet", "sts #all", ALL, SCALE STATUS, "" },
    { "batch/v1", "cronjobs", "CronJob", "cj #all", ALL, STATUS, "" },
    { "batch/v1", "jobs", "Job", "#all", ALL, STATUS, "status.successful" },
    { "autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa #all", ALL,
      STATUS, "" },
    { "autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa #all", ALL,
      STATUS, "" },
    { "networking.k8s.io/v1", "ingressclasses", "-IngressClass", "", ALL, "", "" },
    { "networking.k8s.io/v1", "ingresses", "Ingress", "ing", ALL, STATUS, "" },
    { "networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol", ALL, "", "" },
    { "policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", ALL, STATUS, "" },
    { "rbac.authorization.k8s.io/v1", "clusterrolebindings", "-ClusterRoleBinding", "", ALL, "",
      "" },
    { "rbac.authorization.k8s.io/v1", "clusterroles", "-ClusterRole", "", ALL, "", "" },
    { "rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "", ALL, "", "" },
    { "rbac.authorization.k8s.io/v1", "roles", "Role", "", ALL, "", "" },
    { "storage.k8s.io/v1", "csidrivers", "-CSIDriver", "", ALL, "", "" },
    { "storage.k8s.io/v1", "csinodes", "-CSINode", "", ALL, "", "" },
    { "storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", "", ALL, "", "" },
    { "storage.k8s.io/v1", "storageclasses", "-StorageClass", "sc", ALL, "", "" },
    { "storage.k8s.io/v1", "volumeattachments", "-VolumeAttachment", "", ALL, STATUS, "" },
    { "scheduling.k8s.io/v1", "priorityclasses", "-PriorityClass", "pc", ALL, "", "" },
    { "coordination.k8s.io/v1", "leases", "Lease", "", ALL, "", "" },
    { "node.k8s.io/v1", "runtimeclasses", "-RuntimeClass", "", ALL, "", "" },
    { "discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "", ALL, "", "" },
    { "events.k8s.io/v1", "events", "Event", "ev", ALL, "",
      "reason regarding.kind regarding.namespace regarding.name regarding.uid "
      "regarding.apiVersion regarding.resourceVersion regarding.fieldPath reportingController "
      "source type" },
    { "certificates.k8s.io/v1", "certificatesigningrequests", "-CertificateSigningRequest", "csr",
      ALL, "approval[get patch update] " STATUS, "spec.signerName" },
    { "authentication.k8s.io/v1", "selfsubjectreviews", "-SelfSubjectReview", "", "create", "",
      "" },
    { "authentication.k8s.io/v1", "tokenreviews", "-TokenReview", "", "create", "", "" },
    { "authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "",
      "create", "", "" },
    { "authorization.k8s.io/v1", "selfsubjectaccessreviews", "-SelfSubjectAccessReview", "",
      "create", "", "" },
    { "authorization.k8s.io/v1", "selfsubjectrulesreviews", "-SelfSubjectRulesReview", "", "create",
      "", "" },
    { "authorization.k8s.io/v1", "subjectaccessreviews", "-SubjectAccessReview", "", "create", "",
      "" },
    { "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations",
      "-MutatingWebhookConfiguration", "#api-extensions", ALL, "", "" },
    { "admissionregistration.k8s.io/v1", "validatingadmissionpolicies",
      "-ValidatingAdmissionPolicy", "#api-extensions", ALL, STATUS, "" },
    { "admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings",
      "-ValidatingAdmissionPolicyBinding", "#api-extensions", ALL, "", "" },
    { "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations",
      "-ValidatingWebhookConfiguration", "#api-extensions", ALL, "", "" },
    { "flowcontrol.apiserver.k8s.io/v1", "flowschemas", "-FlowSchema", "", ALL, STATUS, "" },
    { "flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations",
      "-PriorityLevelConfiguration", "", ALL, STATUS, "" },
    { "apiextensions.k8s.io/v1", "customresourcedefinitions", "-CustomResourceDefinition",
      "crd crds #api-extensions", ALL, STATUS, "" },
    { "apiregistration.k8s.io/v1", "apiservices", "-APIService", "#api-extensions", ALL, STATUS,
      "" },
};

static void put(struct buf *b, const char *s)
{
    assert_int_equal(buf_addf(b, "%s%s", b->n && b->p[b->n - 1] != '[' ? " " : "", s), 0);
}

static void put_verbs(struct buf *b, unsigned verbs)
{
    for (unsigned i = 0; schema_verb_name(i); i++)
        if (verbs & (1U << i))
            put(b, schema_verb_name(i));
}

static void put_texts(struct buf *b, const char *const *v, const char *sign)
{
    for (; *v; v++) {
        put(b, sign);
        assert_int_equal(buf_adds(b, *v), 0);
    }
}

/* "status[get patch update]"; with the kind when it is another one than the parent's. */
static void put_subs(struct buf *b, const struct schema_kind *k)
{
    for (size_t i = 0; i < k->n_subs; i++) {
        const struct schema_sub *s = &k->subs[i];
        bool own = strcmp(s->kind, k->kind) == 0 || strcmp(s->kind, "NodeProxyOptions") == 0;
        put(b, s->name);
        assert_int_equal(buf_addf(b, "%s%s[", own ? "" : "=", own ? "" : s->kind), 0);
        put_verbs(b, s->verbs);
        assert_int_equal(buf_addc(b, ']'), 0);
    }
}

static void every_resource_looks_as_upstreams(void **state)
{
    AUTO(schema) struct schema *schema = schema_new();
    size_t n;
    (void)state;

    schema_kinds(schema, &n);
    assert_int_equal(n, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool cluster = rows[i].kind[0] == '-';
        const struct schema_kind *k = schema_find_api(schema, rows[i].api, rows[i].kind + cluster);
        auto_buf names = BUF(256), verbs = BUF(256), subs = BUF(1024), select = BUF(1024);

        if (!k) {
            fail_msg("%s has no %s", rows[i].api, rows[i].kind);
            return;
        }
        put_texts(&names, k->short_names, "");
        put_texts(&names, k->categories, "#");
        put_verbs(&verbs, k->verbs);
        put_subs(&subs, k);
        put_texts(&select, k->selectable, "");
        assert_string_equal(k->plural, rows[i].plural);
        assert_int_equal(k->namespaced, !cluster);
        assert_string_equal(buf_cstr(&names), rows[i].names);
        assert_string_equal(buf_cstr(&verbs), rows[i].verbs);
        assert_string_equal(buf_cstr(&subs), rows[i].subs);
        assert_string_equal(buf_cstr(&select), rows[i].select);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_resource_looks_as_upstreams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

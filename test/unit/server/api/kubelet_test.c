/*
 * What a kubelet asks, in the form in which 1.20's was seen to ask it (docs/testing.md, "A real
 * kubelet"): bodies in protobuf, patches of status as strategic merges, answers in protobuf. The
 * bodies are made from the schema; what their bytes have to be is the business of proto_test.
 */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "server/api/proto.h"

#include <string.h>

#define NODE   "system:node:n1+system:nodes"
#define ACCEPT "application/vnd.kubernetes.protobuf,application/json"
#define MERGE  "application/strategic-merge-patch+json"

struct step {
    const char *method, *target;
    const char *gv, *type; /* the body is protobuf of that type; NULL: it is a patch */
    const char *body;      /* as JSON; NULL: none */
    int code;
    const char *answer_gv, *answer; /* the type of the answer; NULL: a list */
    const char *path, *value;       /* what is in it; path NULL: nothing to look at */
};

static void to_proto(struct buf *out, const struct step *s)
{
    json_auto_t *doc = NULL;
    struct err e = { 0 };

    if (json_parse(&doc, str_of(s->body), &e) ||
        proto_write(out, schema_builtin_type(s->gv, s->type), doc, &e))
        fail_msg("%s: %s", s->body, e.text);
}

static void take(const struct step *s)
{
    auto_buf body = BUF(64 * 1024);
    struct http_header headers[] = {
        { STR("Accept"), STR(ACCEPT) },
        { STR("Content-Type"), str_of(s->gv ? "application/vnd.kubernetes.protobuf" : MERGE) }
    };
    json_auto_t *doc = NULL;
    struct err e = { 0 };

    if (s->gv)
        to_proto(&body, s);
    else if (s->body)
        assert_int_equal(buf_adds(&body, s->body), 0);
    auto_answer a =
        ask_with(&h, NODE, s->method, s->target, headers, s->body ? 2 : 1, buf_str(&body));
    if (s->answer &&
        proto_read(&doc, schema_builtin_type(s->answer_gv, s->answer), buf_str(&a.body), &e))
        fail_msg("%s %s: %d, no %s: %s", s->method, s->target, a.code, s->answer, e.text);
    if (a.code != s->code)
        fail_msg("%s %s: %d, want %d: %s", s->method, s->target, a.code, s->code,
                 json_str_at(doc, "message", ""));
    assert_string_equal(a.type, "application/vnd.kubernetes.protobuf");
    assert_string_equal(json_str_at(doc, "kind", ""), s->answer ? s->answer : "");
    if (s->path && strcmp(json_str_at(doc, s->path, "(none)"), s->value) != 0)
        fail_msg("%s %s: %s is %s", s->method, s->target, s->path,
                 json_str_at(doc, s->path, "(none)"));
}

static void take_all(const struct step *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        take(&s[i]);
}

#define N1     "/api/v1/nodes/n1"
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define STATUS "meta/v1", "Status"
#define CONDITION(s)                                                                               \
    "{\"type\":\"Ready\",\"status\":\"" s "\",\"reason\":\"R\",\"message\":\"\","                  \
    "\"lastHeartbeatTime\":\"2026-11-30T16:00:00Z\",\"lastTransitionTime\":"                       \
    "\"2026-11-30T16:00:00Z\"}"

static void a_node_registers_and_reports(void **state)
{
    static const struct step steps[] = {
        { "GET", N1, NULL, NULL, NULL, 404, STATUS, "message", "nodes \"n1\" not found" },
        { "POST", "/api/v1/nodes", "core/v1", "Node",
          "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n1\",\"labels\":"
          "{\"kubernetes.io/hostname\":\"n1\"}},\"spec\":{},\"status\":{\"capacity\":"
          "{\"cpu\":\"2\",\"memory\":\"2Gi\"},\"conditions\":[" CONDITION(
              "False") "],"
                       "\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"192.0.2.1\"},"
                       "{\"type\":\"Hostname\",\"address\":\"n1\"}],"
                       "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":10250}},"
                       "\"images\":[{\"names\":[\"busybox:1\"],\"sizeBytes\":2097152}]}}",
          201, "core/v1", "Node", "status.capacity.memory", "2Gi" },
        { "GET", N1 "?resourceVersion=0&timeout=10s", NULL, NULL, NULL, 200, "core/v1", "Node",
          "status.images[0].names[0]", "busybox:1" },
        /* the list of conditions is merged by type, that of the addresses replaced */
        { "PATCH", N1 "/status?timeout=10s", NULL, NULL,
          "{\"status\":{\"$setElementOrder/conditions\":[{\"type\":\"Ready\"}],\"addresses\":["
          "{\"type\":\"InternalIP\",\"address\":\"192.0.2.2\"},{\"$patch\":\"replace\"}],"
          "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
          200, "core/v1", "Node", "status.conditions[0].reason", "R" },
        { "GET", N1, NULL, NULL, NULL, 200, "core/v1", "Node", "status.addresses[0].address",
          "192.0.2.2" },
        { "GET", N1, NULL, NULL, NULL, 200, "core/v1", "Node", "status.addresses[1].address",
          "(none)" },
        { "GET", LEASES "/n1?timeout=10s", NULL, NULL, NULL, 404, STATUS, "reason", "NotFound" },
        { "POST", LEASES "?timeout=10s", "coordination.k8s.io/v1", "Lease",
          "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":"
          "{\"name\":\"n1\",\"namespace\":\"kube-node-lease\"},\"spec\":{\"holderIdentity\":"
          "\"n1\",\"leaseDurationSeconds\":40,\"renewTime\":\"2026-11-30T16:00:00.123456Z\"}}",
          201, "coordination.k8s.io/v1", "Lease", "spec.renewTime", "2026-11-30T16:00:00.123456Z" },
        { "POST", "/apis/storage.k8s.io/v1/csinodes", "storage.k8s.io/v1", "CSINode",
          "{\"kind\":\"CSINode\",\"apiVersion\":\"storage.k8s.io/v1\",\"metadata\":{\"name\":"
          "\"n1\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\","
          "\"uid\":\"1\"}]},\"spec\":{\"drivers\":[]}}",
          201, "storage.k8s.io/v1", "CSINode", "metadata.ownerReferences[0].kind", "Node" },
        { "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "authorization.k8s.io/v1",
          "SubjectAccessReview",
          "{\"kind\":\"SubjectAccessReview\",\"apiVersion\":\"authorization.k8s.io/v1\","
          "\"metadata\":{},\"spec\":{\"resourceAttributes\":{\"verb\":\"create\",\"version\":"
          "\"v1\",\"resource\":\"nodes\",\"subresource\":\"proxy\",\"name\":\"n1\"},\"user\":"
          "\"somebody\",\"groups\":[\"system:authenticated\"]},\"status\":{\"allowed\":false}}",
          201, "authorization.k8s.io/v1", "SubjectAccessReview", NULL, NULL },
        { "POST", "/api/v1/namespaces/default/events", "core/v1", "Event",
          "{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n1.17\","
          "\"namespace\":\"default\"},\"involvedObject\":{\"kind\":\"Node\",\"name\":\"n1\","
          "\"uid\":\"n1\"},\"reason\":\"Starting\",\"message\":\"m\",\"source\":{\"component\":"
          "\"kubelet\",\"host\":\"n1\"},\"firstTimestamp\":\"2026-11-30T16:00:00Z\","
          "\"lastTimestamp\":\"2026-11-30T16:00:00Z\",\"count\":1,\"type\":\"Normal\"}",
          201, "core/v1", "Event", "source.component", "kubelet" },
        { "PATCH", "/api/v1/namespaces/default/events/n1.17", NULL, NULL,
          "{\"count\":2,\"lastTimestamp\":\"2026-11-30T16:00:09Z\"}", 200, "core/v1", "Event",
          "lastTimestamp", "2026-11-30T16:00:09Z" },
    };

    (void)state;
    take_all(steps, ARRAY_LEN(steps));
}

#define PODS "/api/v1/namespaces/default/pods"
#define CMS  "/api/v1/namespaces/default/configmaps"

static json_t *made(const char *target, const char *body)
{
    auto_answer a = ask(&h, "POST", target, body);

    assert_int_equal(a.code, 201);
    return json_incref(a.doc);
}

static void a_pod_of_the_node_lives_and_goes(void **state)
{
    static const struct step refused = {
        "GET",      CMS "?fieldSelector=metadata.name%3Dother&limit=500&resourceVersion=0",
        NULL,       NULL,
        NULL,       403,
        STATUS,     "reason",
        "Forbidden"
    };
    static const struct step all = { "GET", PODS,   NULL,     NULL,       NULL,
                                     403,   STATUS, "reason", "Forbidden" };

    (void)state;
    json_decref(made(CMS, "{\"metadata\":{\"name\":\"cm\"},\"data\":{\"a\":\"1\"}}"));
    json_auto_t *pod =
        made(PODS, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n1\",\"containers\":["
                   "{\"name\":\"c\",\"image\":\"i\",\"envFrom\":[{\"configMapRef\":{\"name\":"
                   "\"cm\"}}]}]}}");
    auto_free char *patch = mem_printf(
        "{\"metadata\":{\"uid\":\"%s\"},\"status\":{\"$setElementOrder/conditions\":["
        "{\"type\":\"Ready\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
        "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-11-30T16:00:00Z\"}],\"phase\":"
        "\"Running\",\"podIP\":\"10.42.0.9\",\"podIPs\":[{\"ip\":\"10.42.0.9\"}]}}",
        json_str_at(pod, "metadata.uid", ""));
    auto_free char *options =
        mem_printf("{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,"
                   "\"preconditions\":{\"uid\":\"%s\"}}",
                   json_str_at(pod, "metadata.uid", ""));
    const struct step steps[] = {
        { "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=500&resourceVersion=0", NULL,
          NULL, NULL, 200, NULL, NULL, NULL, NULL },
        { "GET", CMS "?fieldSelector=metadata.name%3Dcm&limit=500&resourceVersion=0", NULL, NULL,
          NULL, 200, NULL, NULL, NULL, NULL },
        { "PATCH", PODS "/p/status", NULL, NULL, patch, 200, "core/v1", "Pod", "status.podIP",
          "10.42.0.9" },
        /* another pod of the same name is not meant */
        { "PATCH", PODS "/p/status", NULL, NULL,
          "{\"metadata\":{\"uid\":\"11111111\"},\"status\":{\"phase\":\"Failed\"}}", 409, STATUS,
          "reason", "Conflict" },
        { "DELETE", PODS "/p", "meta/v1", "DeleteOptions",
          "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,"
          "\"preconditions\":{\"uid\":\"11111111\"}}",
          409, STATUS, "reason", "Conflict" },
        { "DELETE", PODS "/p", "meta/v1", "DeleteOptions", options, 200, "core/v1", "Pod",
          "metadata.name", "p" },
    };

    take(&refused);
    take(&all);
    take_all(steps, ARRAY_LEN(steps));
}

static void a_static_pod_has_its_mirror(void **state)
{
    auto_answer node = ask(&h, "GET", N1, NULL);
    auto_free char *body = mem_printf(
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s-n1\",\"namespace\":"
        "\"default\",\"annotations\":{\"kubernetes.io/config.mirror\":\"0123\"},"
        "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":"
        "\"%s\",\"controller\":true}]},\"spec\":{\"nodeName\":\"n1\",\"containers\":["
        "{\"name\":\"c\",\"image\":\"i\"}]}}",
        json_str_at(node.doc, "metadata.uid", ""));
    const struct step steps[] = {
        { "POST", PODS, "core/v1", "Pod",
          "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"no-mirror\"},\"spec\":"
          "{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
          403, STATUS, "reason", "Forbidden" },
        { "POST", PODS, "core/v1", "Pod", body, 201, "core/v1", "Pod", "spec.nodeName", "n1" },
    };

    (void)state;
    take_all(steps, ARRAY_LEN(steps));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_registers_and_reports),
        cmocka_unit_test(a_pod_of_the_node_lives_and_goes),
        cmocka_unit_test(a_static_pod_has_its_mirror),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

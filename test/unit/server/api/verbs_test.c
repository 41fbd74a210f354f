/* What a client sees of get, list, create, update, patch and delete, over HTTP. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <stdio.h>

#define CM   "/api/v1/namespaces/default/configmaps"
#define PODS "/api/v1/namespaces/default/pods"
#define POD(name_)                                                                                 \
    "{\"metadata\":{\"name\":\"" name_                                                             \
    "\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}"

static const char *at(const struct answer *a, const char *path)
{
    return json_str_at(a->doc, path, "");
}

static void expect(struct answer a, int code, const char *path, const char *value)
{
    if (a.code != code || (path && strcmp(at(&a, path), value) != 0))
        fail_msg("want %d %s=%s, got %d: %s", code, path ? path : "", value ? value : "", a.code,
                 buf_cstr(&a.body));
    answer_deinit(&a);
}

static void created_objects_can_be_read(void **state)
{
    (void)state;
    auto_answer made =
        ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}");
    assert_int_equal(made.code, 201);
    assert_string_equal(at(&made, "kind"), "ConfigMap");
    assert_string_equal(at(&made, "apiVersion"), "v1");
    assert_string_equal(at(&made, "metadata.namespace"), "default");
    assert_true(strlen(at(&made, "metadata.uid")) == 36);
    auto_answer got = ask(&h, "GET", CM "/a", NULL);
    assert_int_equal(got.code, 200);
    assert_true(json_equal(got.doc, made.doc));
    assert_true(strlen(at(&got, "metadata.resourceVersion")) > 0);
}

static void errors_are_worded_as_upstream(void **state)
{
    static const struct {
        const char *method, *target, *body;
        int code;
        const char *path, *value;
    } rows[] = {
        { "GET", CM "/none", NULL, 404, "message", "configmaps \"none\" not found" },
        { "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/none", NULL, 404,
          "message", "endpointslices.discovery.k8s.io \"none\" not found" },
        { "GET", "/api/v1/nothing", NULL, 404, "message",
          "the server could not find the requested resource" },
        { "GET", "/api/v2/pods", NULL, 404, "reason", "NotFound" },
        { "POST", CM, "{\"metadata\":{\"name\":\"e\"}}", 201, "metadata.name", "e" },
        { "POST", CM, "{\"metadata\":{\"name\":\"e\"}}", 409, "message",
          "configmaps \"e\" already exists" },
        { "POST", CM, "{\"metadata\":{\"name\":\"E\"}}", 422, "reason", "Invalid" },
        { "POST", CM, "{\"metadata\":{}}", 422, "details.causes[0].field", "metadata.name" },
        { "POST", CM, "{", 400, "reason", "BadRequest" },
        { "POST", CM, "[]", 400, "reason", "BadRequest" },
        { "POST", CM, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"other\"}}", 400, "message",
          "the namespace of the provided object does not match the namespace sent on the request" },
        { "POST", "/api/v1/namespaces/none/configmaps", "{\"metadata\":{\"name\":\"x\"}}", 404,
          "message", "namespaces \"none\" not found" },
        { "PUT", CM "/e", "{\"metadata\":{\"name\":\"f\"}}", 400, "reason", "BadRequest" },
        { "PUT", CM "/e", "{\"metadata\":{\"name\":\"e\",\"resourceVersion\":\"1\"}}", 409,
          "message",
          "Operation cannot be fulfilled on configmaps \"e\": the object has been modified; please "
          "apply your changes to the latest version and try again" },
        { "PUT", CM "/none", "{\"metadata\":{\"name\":\"none\"}}", 404, "reason", "NotFound" },
        { "PUT", CM, "{}", 405, "reason", "MethodNotAllowed" },
        { "POST", CM "/e", "{}", 405, "reason", "MethodNotAllowed" },
        { "DELETE", CM "/none", NULL, 404, "reason", "NotFound" },
        { "DELETE", "/api/v1/configmaps", NULL, 405, "reason", "MethodNotAllowed" },
        { "DELETE", "/api/v1/namespaces/default", NULL, 403, "message",
          "namespaces \"default\" is forbidden: this namespace may not be deleted" },
        { "GET", CM "?limit=x", NULL, 400, "reason", "BadRequest" },
        { "GET", CM "?labelSelector=a%20b%20c", NULL, 400, "reason", "BadRequest" },
        { "GET", CM "?fieldSelector=data%3Dx", NULL, 400, "message",
          "\"data\" is not a known field selector: only \"metadata.name\", "
          "\"metadata.namespace\"" },
        { "GET", CM "?continue=nonsense", NULL, 400, "reason", "BadRequest" },
        { "GET", "/apis/node.k8s.io/v1/runtimeclasses", NULL, 200, "kind", "RuntimeClassList" },
        { "GET", PODS "/x/log", NULL, 503, "reason", "ServiceUnavailable" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(ask(&h, rows[i].method, rows[i].target, rows[i].body), rows[i].code, rows[i].path,
               rows[i].value);
}

/* What a body says it is, where the path wants a ConfigMap, a Role or an HPA. */
static void other_kinds_and_versions_are_refused_in_upstreams_words(void **state)
{
#define NO_KIND(kind, api)                                                                         \
    "no kind \"" kind "\" is registered for version \"" api "\" in scheme "                        \
    "\"pkg/api/legacyscheme/scheme.go:30\""
    static const struct {
        const char *target, *api, *kind, *message;
    } rows[] = {
        { CM, "v1", "Pod",
          "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to "
          "(core.ConfigMap): unknown conversion" },
        { CM, "batch/v1", "Job",
          "Job in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Job) to "
          "(core.ConfigMap): unknown conversion" },
        { CM, "v1", "Nothing",
          "Nothing in version \"v1\" cannot be handled as a ConfigMap: " NO_KIND("Nothing", "v1") },
        { CM, "example.com/v3", "ConfigMap",
          "ConfigMap in version \"v3\" cannot be handled as a ConfigMap: " NO_KIND(
              "ConfigMap", "example.com/v3") },
        { "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", "v1", "Secret",
          "Secret in version \"v1\" cannot be handled as a Role: converting (v1.Secret) to "
          "(rbac.Role): unknown conversion" },
        { "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
          "rbac.authorization.k8s.io/v1beta1", "Role",
          "the API version in the data (rbac.authorization.k8s.io/v1beta1) does not match the "
          "expected API version (rbac.authorization.k8s.io/v1)" },
        { "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", "autoscaling/v1",
          "HorizontalPodAutoscaler",
          "the API version in the data (autoscaling/v1) does not match the expected API version "
          "(autoscaling/v2)" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *body =
            mem_printf("{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"x\"}}",
                       rows[i].api, rows[i].kind);

        expect(ask(&h, "POST", rows[i].target, body), 400, "message", rows[i].message);
    }
#undef NO_KIND
}

static void a_patch_that_changes_the_kind(void **state)
{
    static const char *const body = "{\"kind\":\"Secret\",\"data\":{\"k\":\"1\"}}";
    static const char who[] = "admin+system:masters";

    (void)state;
    expect(ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"kinds\"}}"), 201, NULL, NULL);
    auto_answer merged =
        ask_as(&h, who, "PATCH", CM "/kinds", "application/merge-patch+json", NULL, body);
    assert_int_equal(merged.code, 422);
    assert_non_null(strstr(json_str_at(merged.doc, "message", ""),
                           "converting (v1.Secret) to (core.ConfigMap): unknown conversion"));
    expect(
        ask_as(&h, who, "PATCH", CM "/kinds", "application/strategic-merge-patch+json", NULL, body),
        200, "kind", "ConfigMap");
}

static void who_has_no_credentials_gets_401(void **state)
{
    (void)state;
    expect(ask_as(&h, NULL, "GET", CM, NULL, NULL, NULL), 401, "message", "Unauthorized");
    expect(ask_as(&h, "nobody", "GET", CM, NULL, NULL, NULL), 401, "message", "Unauthorized");
    expect(ask_as(&h, NULL, "GET", "/readyz", NULL, NULL, NULL), 401, NULL, NULL);
}

static void who_may_not_gets_403(void **state)
{
    (void)state;
    expect(
        ask_as(&h, "jane", "GET", CM, NULL, NULL, NULL), 403, "message",
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group "
        "\"\" in the namespace \"default\"");
    expect(ask_as(&h, "jane", "GET", "/readyz", NULL, NULL, NULL), 200, NULL, NULL);
    expect(ask_as(&h, "jane", "GET", "/metrics", NULL, NULL, NULL), 403, "message",
           "forbidden: User \"jane\" cannot get path \"/metrics\"");
}

static void generated_names_get_a_suffix(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "POST", CM, "{\"metadata\":{\"generateName\":\"gen-\"}}");
    assert_int_equal(a.code, 201);
    assert_int_equal(strlen(at(&a, "metadata.name")), 9);
    assert_int_equal(strncmp(at(&a, "metadata.name"), "gen-", 4), 0);
}

static void dry_run_stores_nothing(void **state)
{
    (void)state;
    auto_answer versionless =
        ask(&h, "POST", CM "?dryRun=All", "{\"metadata\":{\"name\":\"dry\"}}");
    assert_null(json_at(versionless.doc, "metadata.resourceVersion"));
    expect(ask(&h, "POST", CM "?dryRun=All", "{\"metadata\":{\"name\":\"dry\"}}"), 201,
           "metadata.name", "dry");
    expect(ask(&h, "GET", CM "/dry", NULL), 404, NULL, NULL);
}

static void unknown_fields_warn_or_fail(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "POST", CM "?dryRun=All", "{\"metadata\":{\"name\":\"w\"},\"foo\":1}");
    assert_int_equal(a.code, 201);
    assert_string_equal(a.warning, "299 - \"unknown field \\\"foo\\\"\"");
    auto_answer strict = ask(&h, "POST", CM "?dryRun=All&fieldValidation=Strict",
                             "{\"metadata\":{\"name\":\"w\"},\"foo\":1}");
    assert_int_equal(strict.code, 400);
    assert_string_equal(strict.warning, ""); /* it is the error */
    auto_answer late = ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"?\"},\"foo\":1}");
    assert_int_equal(late.code, 422);
    assert_string_equal(late.warning, "299 - \"unknown field \\\"foo\\\"\"");
}

/* A body that is no object says which kind it should have been, and how it begins. */
static void what_cannot_be_read_is_unrecognized(void **state)
{
#define UNRECOGNIZED "the object provided is unrecognized (must be of type "
#define NO_KIND      "): couldn't get version/kind; json parse error: "
    static const struct {
        const char *target, *body, *starts, *ends;
    } rows[] = {
        { CM, "kind: Pod", UNRECOGNIZED "ConfigMap" NO_KIND, " (6b696e643a20506f64)" },
        { "/api/v1/namespaces", "apiVersion: v1\nkind: Pod\nmetadata: {}",
          UNRECOGNIZED "Namespace" NO_KIND,
          " (61706956657273696f6e3a2076310a6b696e643a20506f640a6d65746164 ...)" },
        { CM, "{\"metadata\":{\"name\":\"x\"},\"data\"", UNRECOGNIZED "ConfigMap" NO_KIND,
          " ({\"metadata\":{\"name\":\"x\"},\"data ...)" },
        { CM, "{\xff\xfe", UNRECOGNIZED "ConfigMap" NO_KIND, " ({?\?)" },
        { CM, "[1]", UNRECOGNIZED "ConfigMap" NO_KIND, " (5b315d)" },
        { PODS "/gen/eviction", "x", UNRECOGNIZED "Eviction" NO_KIND, " (78)" },
        { PODS "/gen/binding", "x", UNRECOGNIZED "Binding" NO_KIND, " (78)" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, "POST", rows[i].target, rows[i].body);
        struct str m = str_of(at(&a, "message"));
        assert_int_equal(a.code, 400);
        if (!str_starts(m, str_of(rows[i].starts)) || !str_ends(m, str_of(rows[i].ends)))
            fail_msg("%s: %s", rows[i].target, m.p);
    }
}

/* 422 about the patch, without kind or name (apiserver/pkg/endpoints/handlers/patch.go). */
static void a_patch_that_leaves_no_such_object_is_invalid(void **state)
{
    static const struct {
        const char *type, *patch, *starts, *ends;
    } rows[] = {
        { "application/strategic-merge-patch+json", "{\"metadata\":{\"labels\":\"x\"}}",
          " \"\" is invalid: patch: Invalid value: \"map[metadata:map[labels:x]]\": cannot restore "
          "map from string",
          "" },
        { "application/merge-patch+json", "{\"data\":[1]}",
          " \"\" is invalid: patch: Invalid value: "
          "\"{\\\"apiVersion\\\":\\\"v1\\\",\\\"data\\\":[1],",
          "}\": json: cannot unmarshal array into Go struct field ConfigMap.data of type "
          "map[string]string" },
        { "application/json-patch+json", "[{\"op\":\"add\",\"path\":\"/data\",\"value\":\"x\"}]",
          " \"\" is invalid: patch: Invalid value: "
          "\"{\\\"apiVersion\\\":\\\"v1\\\",\\\"data\\\":\\\"x",
          "}\": json: cannot unmarshal string into Go struct field ConfigMap.data of type "
          "map[string]string" },
        { "application/strategic-merge-patch+json", "{\"foo\":1}",
          " \"\" is invalid: patch: Invalid value: \"map[foo:1]\": strict decoding error: unknown "
          "field \"foo\"",
          "" },
    };
    (void)state;
    expect(ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"patched\"}}"), 201, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a =
            ask_as(&h, "admin+system:masters", "PATCH", CM "/patched?fieldValidation=Strict",
                   rows[i].type, NULL, rows[i].patch);
        struct str m = str_of(at(&a, "message"));
        assert_int_equal(a.code, 422);
        assert_string_equal(at(&a, "details.causes[0].field"), "patch");
        assert_null(json_at(a.doc, "details.kind"));
        if (!str_starts(m, str_of(rows[i].starts)) || !str_ends(m, str_of(rows[i].ends)))
            fail_msg("%s", m.p);
    }
}

static void updates_count_generations_and_keep_uid(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "POST", PODS, POD("gen"));
    assert_int_equal(a.code, 201);
    assert_string_equal(at(&a, "status.phase"), "Pending");
    assert_string_equal(at(&a, "status.qosClass"), "BestEffort");
    assert_string_equal(at(&a, "spec.restartPolicy"), "Always");
    assert_string_equal(at(&a, "spec.serviceAccountName"), "default");
    auto_answer b = ask(&h, "PATCH", PODS "/gen",
                        "{\"spec\":{\"activeDeadlineSeconds\":9},\"status\":{\"phase\":\"Failed\"},"
                        "\"metadata\":{\"creationTimestamp\":null}}");
    assert_int_equal(b.code, 200);
    assert_string_equal(at(&b, "status.phase"), "Pending"); /* only /status writes it */
    assert_string_equal(at(&b, "metadata.uid"), at(&a, "metadata.uid"));
    assert_string_equal(at(&b, "metadata.creationTimestamp"), at(&a, "metadata.creationTimestamp"));
    auto_answer c =
        ask(&h, "PATCH", PODS "/gen/status",
            "{\"spec\":{\"activeDeadlineSeconds\":1},\"status\":{\"phase\":\"Running\"}}");
    assert_int_equal(c.code, 200);
    assert_string_equal(at(&c, "status.phase"), "Running");
    assert_int_equal(json_i64_at(c.doc, "spec.activeDeadlineSeconds", 0), 9);
    expect(ask(&h, "PATCH", PODS "/gen", "{\"spec\":{\"nodeName\":\"x\"}}"), 422, "reason",
           "Invalid");
}

static void an_update_that_changes_nothing_keeps_the_version(void **state)
{
    (void)state;
    auto_answer a =
        ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"same\"},\"data\":{\"k\":\"v\"}}");
    auto_answer b = ask(&h, "PATCH", CM "/same", "{\"data\":{\"k\":\"v\"}}");
    assert_string_equal(at(&b, "metadata.resourceVersion"), at(&a, "metadata.resourceVersion"));
}

static void all_patch_kinds_apply(void **state)
{
    static const struct {
        const char *type, *body;
        int code;
        const char *path, *value;
    } rows[] = {
        { "application/json-patch+json",
          "[{\"op\":\"add\",\"path\":\"/data\",\"value\":{\"j\":\"1\"}}]", 200, "data.j", "1" },
        { "application/json-patch+json", "[{\"op\":\"remove\",\"path\":\"/data/none\"}]", 422,
          "reason", "Invalid" },
        { "application/json-patch+json",
          "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"1\"}]", 422,
          "message", "the server rejected our request due to an error in our request" },
        { "application/json-patch+json",
          "[{\"op\":\"add\",\"path\":\"/metadata/annotations\",\"value\":{\"a/b\":\"1\"}},"
          "{\"op\":\"replace\",\"path\":\"/metadata/annotations/a~1b\",\"value\":\"2\"}]",
          200, "metadata.annotations[\"a/b\"]", "2" },
        { "application/merge-patch+json", "{\"data\":{\"m\":\"2\"}}", 200, "data.m", "2" },
        { "application/strategic-merge-patch+json", "{\"data\":{\"s\":\"3\"}}", 200, "data.s",
          "3" },
        { "application/merge-patch+json", "{\"metadata\":{\"resourceVersion\":\"1\"}}", 409,
          "reason", "Conflict" },
        { "application/merge-patch+json", "{\"metadata\":{\"name\":\"other\"}}", 400, "reason",
          "BadRequest" },
        { "application/apply-patch+yaml", "{}", 422, "details.causes[0].field", "fieldManager" },
        { "application/json", "{}", 415, "reason", "UnsupportedMediaType" },
        { "application/merge-patch+json", "{", 400, "reason", "BadRequest" },
    };

    (void)state;
    expect(ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"p\"}}"), 201, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(
            ask_as(&h, "admin+system:masters", "PATCH", CM "/p", rows[i].type, NULL, rows[i].body),
            rows[i].code, rows[i].path, rows[i].value);
    auto_answer why =
        ask_as(&h, "admin+system:masters", "PATCH", CM "/p", "application/json-patch+json", NULL,
               "[{\"op\":\"remove\",\"path\":\"/data/none\"}]");
    assert_int_equal(json_object_size(json_object_get(why.doc, "details")), 0);
    assert_non_null(strstr(why.warning, "none"));
}

static void other_encodings_than_json_are_taken_or_refused(void **state)
{
    (void)state;
    expect(ask_as(&h, "admin+system:masters", "POST", CM, "text/plain", NULL, "x"), 415, "reason",
           "UnsupportedMediaType");
    expect(ask_as(&h, "admin+system:masters", "POST", CM, "application/vnd.kubernetes.protobuf",
                  NULL, "k8s"),
           400, "reason", "BadRequest");
    expect(ask_as(&h, "admin+system:masters", "POST", CM, "application/yaml", NULL,
                  "metadata:\n  name: yaml\ndata:\n  a: b\n"),
           201, "data.a", "b");
    expect(ask_as(&h, "admin+system:masters", "GET", CM, NULL, "text/html", NULL), 406, "reason",
           "NotAcceptable");
    expect(ask_as(&h, "admin+system:masters", "GET", CM, NULL,
                  "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", NULL),
           406, "reason", "NotAcceptable");
}

static void lists_page_and_select(void **state)
{
    char body[128];
    size_t n = 0;

    (void)state;
    expect(ask(&h, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"many\"}}"), 201, NULL,
           NULL);
    for (int i = 0; i < 10; i++) {
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"c%d\",\"labels\":{\"odd\":\"%d\"}}}",
                 i, i % 2);
        expect(ask(&h, "POST", "/api/v1/namespaces/many/configmaps", body), 201, NULL, NULL);
    }
    auto_free char *target = mem_strdup("/api/v1/namespaces/many/configmaps?limit=3");
    for (int page = 0; page < 4; page++) {
        auto_answer a = ask(&h, "GET", target, NULL);

        assert_int_equal(a.code, 200);
        assert_string_equal(at(&a, "kind"), "ConfigMapList");
        n += json_array_size(json_at(a.doc, "items"));
        if (page < 3)
            assert_int_equal(json_i64_at(a.doc, "metadata.remainingItemCount", -1),
                             (int64_t)(10 - n));
        free(target);
        target = mem_printf("/api/v1/namespaces/many/configmaps?limit=3&continue=%s",
                            at(&a, "metadata.continue"));
        assert_int_equal(!*at(&a, "metadata.continue"), page == 3);
    }
    assert_int_equal(n, 10);
    auto_answer odd = ask(&h, "GET", "/api/v1/configmaps?labelSelector=odd%3D1&limit=2", NULL);
    assert_int_equal(json_array_size(json_at(odd.doc, "items")), 2);
    assert_true(*at(&odd, "metadata.continue"));
    auto_free char *next =
        mem_printf("/api/v1/configmaps?labelSelector=odd%%3D1&limit=7&continue=%s",
                   at(&odd, "metadata.continue"));
    auto_answer rest = ask(&h, "GET", next, NULL);
    assert_int_equal(json_array_size(json_at(rest.doc, "items")), 3);
    auto_answer one =
        ask(&h, "GET", "/api/v1/namespaces/many/configmaps?fieldSelector=metadata.name%3Dc1", NULL);
    assert_int_equal(json_array_size(json_at(one.doc, "items")), 1);
    /* all of them, the selected first */
    expect(ask(&h, "DELETE", "/api/v1/namespaces/many/configmaps?labelSelector=odd%3D0", NULL), 200,
           "kind", "ConfigMapList");
    auto_answer left = ask(&h, "GET", "/api/v1/namespaces/many/configmaps", NULL);
    assert_int_equal(json_array_size(json_at(left.doc, "items")), 5);
}

static void tables_and_partial_metadata_are_served(void **state)
{
    (void)state;
    expect(ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"tab\"},\"data\":{\"a\":\"1\"}}"), 201,
           NULL, NULL);
    auto_answer t = ask_as(&h, "admin+system:masters", "GET", CM, NULL,
                           "application/json;as=Table;v=v1;g=meta.k8s.io", NULL);
    assert_int_equal(t.code, 200);
    assert_string_equal(at(&t, "kind"), "Table");
    assert_string_equal(at(&t, "columnDefinitions[0].name"), "Name");
    assert_string_equal(at(&t, "rows[0].object.kind"), "PartialObjectMetadata");
    auto_answer p = ask_as(&h, "admin+system:masters", "GET", CM "/tab", NULL,
                           "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", NULL);
    assert_string_equal(at(&p, "kind"), "PartialObjectMetadata");
    assert_string_equal(at(&p, "metadata.name"), "tab");
    assert_null(json_object_get(p.doc, "data"));
}

static void pods_on_a_node_are_deleted_with_grace(void **state)
{
    (void)state;
    expect(ask(&h, "POST", PODS, POD("free")), 201, NULL, NULL);
    expect(ask(&h, "DELETE", PODS "/free", NULL), 200, "kind", "Pod");
    expect(ask(&h, "GET", PODS "/free", NULL), 404, NULL, NULL); /* no kubelet has it */
    expect(ask(&h, "POST", PODS, POD("bound")), 201, NULL, NULL);
    expect(
        ask(&h, "POST", PODS "/bound/binding", "{\"target\":{\"kind\":\"Node\",\"name\":\"n1\"}}"),
        201, "status", "Success");
    expect(
        ask(&h, "POST", PODS "/bound/binding", "{\"target\":{\"kind\":\"Node\",\"name\":\"n2\"}}"),
        409, "message",
        "Operation cannot be fulfilled on pods/binding \"bound\": pod bound is already assigned "
        "to node \"n1\"");
    auto_answer a = ask(&h, "DELETE", PODS "/bound", NULL);
    assert_int_equal(a.code, 200);
    assert_int_equal(json_i64_at(a.doc, "metadata.deletionGracePeriodSeconds", 0), 30);
    assert_true(*at(&a, "metadata.deletionTimestamp"));
    auto_answer b = ask(&h, "DELETE", PODS "/bound?gracePeriodSeconds=5", NULL);
    assert_int_equal(json_i64_at(b.doc, "metadata.deletionGracePeriodSeconds", 0), 5);
    auto_answer c = ask(&h, "DELETE", PODS "/bound?gracePeriodSeconds=20", NULL); /* no longer */
    assert_int_equal(json_i64_at(c.doc, "metadata.deletionGracePeriodSeconds", 0), 5);
    expect(ask(&h, "DELETE", PODS "/bound",
               "{\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"x\"}}"),
           409, "reason", "Conflict");
    expect(ask(&h, "DELETE", PODS "/bound", "{\"gracePeriodSeconds\":0}"), 200, NULL, NULL);
    expect(ask(&h, "GET", PODS "/bound", NULL), 404, NULL, NULL);
}

static void finalizers_keep_an_object(void **state)
{
    (void)state;
    expect(ask(&h, "POST", CM, "{\"metadata\":{\"name\":\"fin\",\"finalizers\":[\"a.b/c\"]}}"), 201,
           NULL, NULL);
    auto_answer a = ask(&h, "DELETE", CM "/fin", NULL);
    assert_int_equal(a.code, 200);
    assert_true(*at(&a, "metadata.deletionTimestamp"));
    expect(ask(&h, "GET", CM "/fin", NULL), 200, NULL, NULL);
    expect(ask(&h, "PATCH", CM "/fin", "{\"metadata\":{\"finalizers\":null}}"), 200, NULL, NULL);
    expect(ask(&h, "GET", CM "/fin", NULL), 404, NULL, NULL);
}

static void namespaces_terminate_until_they_are_finalized(void **state)
{
    (void)state;
    expect(ask(&h, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"end\"}}"), 201,
           "metadata.labels[\"kubernetes.io/metadata.name\"]", "end");
    expect(ask(&h, "DELETE", "/api/v1/namespaces/end", NULL), 200, "status.phase", "Terminating");
    expect(ask(&h, "POST", "/api/v1/namespaces/end/configmaps", "{\"metadata\":{\"name\":\"x\"}}"),
           403, "details.causes[0].reason", "NamespaceTerminating");
    expect(ask(&h, "PUT", "/api/v1/namespaces/end/finalize",
               "{\"metadata\":{\"name\":\"end\"},\"spec\":{\"finalizers\":[]}}"),
           200, NULL, NULL);
    expect(ask(&h, "GET", "/api/v1/namespaces/end", NULL), 404, NULL, NULL);
}

static void services_get_addresses(void **state)
{
#define SVC "/api/v1/namespaces/default/services"
    (void)state;
    auto_answer a = ask(&h, "POST", SVC,
                        "{\"metadata\":{\"name\":\"s1\"},\"spec\":{\"ports\":[{\"port\":80}]}}");
    assert_int_equal(a.code, 201);
    assert_int_equal(strncmp(at(&a, "spec.clusterIP"), "10.43.", 6), 0);
    assert_string_equal(at(&a, "spec.clusterIPs[0]"), at(&a, "spec.clusterIP"));
    assert_string_equal(at(&a, "spec.type"), "ClusterIP");
    auto_free char *same = mem_printf("{\"metadata\":{\"name\":\"s2\"},\"spec\":{\"clusterIP\":\"%"
                                      "s\",\"ports\":[{\"port\":80}]}}",
                                      at(&a, "spec.clusterIP"));
    expect(ask(&h, "POST", SVC, same), 422, "reason", "Invalid");
    expect(ask(&h, "POST", SVC,
               "{\"metadata\":{\"name\":\"s3\"},\"spec\":{\"clusterIP\":\"10.44.0.1\",\"ports\":[{"
               "\"port\":80}]}}"),
           422, "reason", "Invalid");
    expect(ask(&h, "PATCH", SVC "/s1", "{\"spec\":{\"ports\":[{\"port\":81}],\"clusterIP\":null}}"),
           200, "spec.clusterIP", at(&a, "spec.clusterIP"));
    expect(ask(&h, "DELETE", SVC "/s1", NULL), 200, NULL, NULL);
    expect(ask(&h, "POST", SVC, same), 201, "spec.clusterIP", at(&a, "spec.clusterIP"));
    auto_answer n =
        ask(&h, "POST", SVC,
            "{\"metadata\":{\"name\":\"np\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{"
            "\"port\":80}]}}");
    assert_int_equal(n.code, 201);
    int64_t port = json_i64_at(n.doc, "spec.ports[0].nodePort", 0);
    assert_true(port >= 30000 && port <= 32767);
}

static void nodes_do_what_an_agent_needs_and_no_more(void **state)
{
    static const char *const n1 = "system:node:n1+system:nodes";
    static const char lease[] = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

    (void)state;
    expect(ask_as(&h, n1, "POST", "/api/v1/nodes", "application/json", NULL,
                  "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"kubernetes.io/hostname\":\"n1\"}},"
                  "\"status\":{\"capacity\":{\"cpu\":\"2\"}}}"),
           201, "status.capacity.cpu", "2");
    expect(ask_as(&h, n1, "POST", "/api/v1/nodes", "application/json", NULL,
                  "{\"metadata\":{\"name\":\"n2\"}}"),
           403, "reason", "Forbidden");
    expect(ask_as(&h, n1, "GET", "/api/v1/nodes/n1", NULL, NULL, NULL), 200, NULL, NULL);
    expect(ask_as(&h, n1, "GET", "/api/v1/nodes/n2", NULL, NULL, NULL), 403, NULL, NULL);
    expect(
        ask_as(&h, n1, "GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn1", NULL, NULL, NULL),
        200, "items[0].metadata.name", "n1");
    expect(ask_as(&h, n1, "GET", "/api/v1/nodes", NULL, NULL, NULL), 403, NULL, NULL);
    expect(ask_as(&h, n1, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", NULL, NULL, NULL),
           200, "kind", "PodList");
    expect(ask_as(&h, n1, "GET", "/api/v1/pods", NULL, NULL, NULL), 403, NULL, NULL);
    expect(ask_as(&h, n1, "PATCH", "/api/v1/nodes/n1", "application/json-patch+json", NULL,
                  "[{\"op\":\"add\",\"path\":\"/metadata/labels/node-role.kubernetes.io~1x\","
                  "\"value\":\"\"}]"),
           403, NULL, NULL);
    expect(ask_as(&h, n1, "POST", lease, "application/json", NULL,
                  "{\"metadata\":{\"name\":\"n1\"},\"spec\":{\"holderIdentity\":\"n1\"}}"),
           201, NULL, NULL);
    expect(ask_as(&h, n1, "POST", lease, "application/json", NULL,
                  "{\"metadata\":{\"name\":\"n2\"},\"spec\":{\"holderIdentity\":\"n1\"}}"),
           403, NULL, NULL);
    expect(ask_as(&h, n1, "GET", "/api/v1/namespaces/default/secrets/s", NULL, NULL, NULL), 403,
           NULL, NULL);
    expect(ask(&h, "POST", "/api/v1/namespaces/default/secrets",
               "{\"metadata\":{\"name\":\"s\"},\"stringData\":{\"a\":\"b\"}}"),
           201, "data.a", "Yg==");
    expect(ask(&h, "POST", PODS,
               "{\"metadata\":{\"name\":\"uses\"},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{"
               "\"name\":\"c\",\"image\":\"i\",\"env\":[{\"name\":\"A\",\"valueFrom\":{"
               "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"a\"}}}]}]}}"),
           201, NULL, NULL);
    int code = 403; /* the graph follows the store a moment later */
    for (int i = 0; i < 100 && code == 403; i++) {
        auto_answer a =
            ask_as(&h, n1, "GET", "/api/v1/namespaces/default/secrets/s", NULL, NULL, NULL);
        code = a.code;
    }
    assert_int_equal(code, 200);
}

static void reviews_say_what_is_enforced(void **state)
{
#define SSAR "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    (void)state;
    auto_answer a = ask_as(&h, "system:k3s-controller", "POST", SSAR, "application/json", NULL,
                           "{\"spec\":{\"resourceAttributes\":{\"verb\":\"list\",\"group\":"
                           "\"discovery.k8s.io\",\"resource\":\"endpointslices\",\"namespace\":"
                           "\"default\"}}}");
    assert_int_equal(a.code, 201);
    assert_true(json_bool_at(a.doc, "status.allowed", false));
    auto_answer b = ask_as(&h, "jane", "POST", SSAR, "application/json", NULL,
                           "{\"spec\":{\"resourceAttributes\":{\"verb\":\"list\",\"resource\":"
                           "\"secrets\"}}}");
    assert_int_equal(b.code, 201);
    assert_false(json_bool_at(b.doc, "status.allowed", true));
}

static void plain_paths_answer(void **state)
{
    static const struct {
        const char *target;
        int code;
        const char *path, *value;
    } rows[] = {
        { "/version", 200, "minor", "32" },
        { "/version", 200, "gitVersion", "v1.32.0+coracle.test" },
        { "/version", 200, "gitCommit", "0123456789abcdef0123456789abcdef01234567" },
        { "/api", 200, "kind", "APIVersions" },
        { "/api/v1", 200, "kind", "APIResourceList" },
        { "/apis", 200, "kind", "APIGroupList" },
        { "/apis/discovery.k8s.io", 200, "kind", "APIGroup" },
        { "/apis/apps/v9", 404, "reason", "NotFound" },
        { "/api/nothing", 404, "message", "the server could not find the requested resource" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(ask(&h, "GET", rows[i].target, NULL), rows[i].code, rows[i].path, rows[i].value);
    auto_answer ready = ask(&h, "GET", "/readyz", NULL);
    assert_string_equal(buf_cstr(&ready.body), "ok");
}

static void too_large_bodies_are_refused(void **state)
{
    (void)state;
    char *body = mem_alloc(3 * 1024 * 1024 + 100);
    memset(body, 'a', 3 * 1024 * 1024 + 99);
    expect(ask(&h, "POST", CM, body), 413, "reason", "RequestEntityTooLarge");
    free(body);
}

static void on_put(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                   const struct err *e)
{
    (void)rev;
    (void)failed;
    (void)current;
    assert_null(e);
    *(bool *)arg = true;
}

static void put(const char *key, struct str value)
{
    struct store_op op = { .kind = STORE_CREATE, .key = str_of(key), .value = value };

    h.flag = false;
    store_commit(h.store, &op, 1, on_put, &h.flag);
    harness_wait(&h, &h.flag);
}

/* An etcd has other clients, and a disk bad blocks. */
static void damaged_objects_are_named(void **state)
{
    static const struct {
        const char *name;
        struct str value;
    } rows[] = {
        { "bytes", STR("\xff\xfe\x00\x01 no json") },
        { "empty", STR("") },
        { "array", STR("[1,2]") },
        { "flipped", STR("{\"metadata\":{\"name\":\"fli\xf0ped\",\"namespace\":\"damaged\"}}") },
        { "cut", STR("{\"metadata\":{\"name\":\"cut\",\"namespa") },
    };
    (void)state;

    expect(ask(&h, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"damaged\"}}"), 201,
           NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *key = mem_printf("/registry/core/configmaps/damaged/%s", rows[i].name);
        auto_free char *one = mem_printf("/api/v1/namespaces/damaged/configmaps/%s", rows[i].name);
        const char *table = "application/json;as=Table;v=v1;g=meta.k8s.io";

        put(key, rows[i].value);
        auto_answer as_table = ask_as(&h, "admin+system:masters", "GET", one, NULL, table, NULL);
        assert_int_equal(as_table.code, 500);
        assert_non_null(strstr(buf_cstr(&as_table.body), key));
        auto_answer list = ask_as(&h, "admin+system:masters", "GET",
                                  "/api/v1/namespaces/damaged/configmaps", NULL, table, NULL);
        assert_int_equal(list.code, 500);
        assert_non_null(strstr(buf_cstr(&list.body), "/registry/core/configmaps/damaged/"));
        auto_answer patch =
            ask_as(&h, "admin+system:masters", "PATCH", one, "application/merge-patch+json", NULL,
                   "{\"data\":{\"a\":\"b\"}}");
        assert_int_equal(patch.code, 500);
        assert_non_null(strstr(buf_cstr(&patch.body), key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(created_objects_can_be_read),
        cmocka_unit_test(errors_are_worded_as_upstream),
        cmocka_unit_test(other_kinds_and_versions_are_refused_in_upstreams_words),
        cmocka_unit_test(a_patch_that_changes_the_kind),
        cmocka_unit_test(who_has_no_credentials_gets_401),
        cmocka_unit_test(who_may_not_gets_403),
        cmocka_unit_test(generated_names_get_a_suffix),
        cmocka_unit_test(dry_run_stores_nothing),
        cmocka_unit_test(unknown_fields_warn_or_fail),
        cmocka_unit_test(what_cannot_be_read_is_unrecognized),
        cmocka_unit_test(a_patch_that_leaves_no_such_object_is_invalid),
        cmocka_unit_test(updates_count_generations_and_keep_uid),
        cmocka_unit_test(an_update_that_changes_nothing_keeps_the_version),
        cmocka_unit_test(all_patch_kinds_apply),
        cmocka_unit_test(other_encodings_than_json_are_taken_or_refused),
        cmocka_unit_test(lists_page_and_select),
        cmocka_unit_test(tables_and_partial_metadata_are_served),
        cmocka_unit_test(pods_on_a_node_are_deleted_with_grace),
        cmocka_unit_test(finalizers_keep_an_object),
        cmocka_unit_test(namespaces_terminate_until_they_are_finalized),
        cmocka_unit_test(services_get_addresses),
        cmocka_unit_test(nodes_do_what_an_agent_needs_and_no_more),
        cmocka_unit_test(reviews_say_what_is_enforced),
        cmocka_unit_test(plain_paths_answer),
        cmocka_unit_test(too_large_bodies_are_refused),
        cmocka_unit_test(damaged_objects_are_named),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

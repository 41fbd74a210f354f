/* An object's way out: tables, field selectors, discovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/discovery.h"
#include "server/schema/fields.h"
#include "server/schema/table.h"
#include "server/schema/table_cells.h"
#include "test/unit/json_text.h"

/* Columns as `kubectl get -o wide` heads them, and cells of a typical object. */
static const struct {
    const char *api, *kind, *columns, *object, *cells;
} tables[] = {
    { "v1", "Pod", "Name|Ready|Status|Restarts|Age|IP|Node|Nominated Node|Readiness Gates",
      "{'metadata':{'name':'p','creationTimestamp':'2026-11-22T10:00:00Z'},'spec':{'nodeName':'n',"
      "'containers':[{'name':'c'}]},'status':{'phase':'Running','podIP':'10.42.0.2',"
      "'containerStatuses':[{'ready':true,'restartCount':2,'state':{'running':{}},'lastState':{"
      "'terminated':{'finishedAt':'2026-11-22T10:00:30Z'}}}]}}",
      "[\"p\",\"1/1\",\"Running\",\"2 (11s "
      "ago)\",\"41s\",\"10.42.0.2\",\"n\",\"<none>\",\"<none>\"]" },
    { "v1", "Node",
      "Name|Status|Roles|Age|Version|Internal-IP|External-IP|OS-Image|Kernel-Version|"
      "Container-Runtime",
      "{'metadata':{'name':'n','creationTimestamp':'2026-11-22T10:00:00Z','labels':{"
      "'node-role.kubernetes.io/master':'true','node-role.kubernetes.io/control-plane':'true'}},"
      "'spec':{'unschedulable':true},'status':{'conditions':[{'type':'Ready','status':'True'}],"
      "'addresses':[{'type':'InternalIP','address':'10.0.0.1'}],'nodeInfo':{'kubeletVersion':'v1',"
      "'osImage':'D','kernelVersion':'6','containerRuntimeVersion':'containerd://1'}}}",
      "[\"n\",\"Ready,SchedulingDisabled\",\"control-plane,master\",\"41s\",\"v1\",\"10.0.0.1\","
      "\"<none>\",\"D\",\"6\",\"containerd://1\"]" },
    { "v1", "Service", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector",
      "{'metadata':{'name':'s','creationTimestamp':'2026-11-22T10:00:00Z'},'spec':{'type':'"
      "NodePort',"
      "'clusterIP':'10.43.0.1','ports':[{'port':443,'protocol':'TCP'},{'port':80,'nodePort':30080,"
      "'protocol':'TCP'}],'selector':{'b':'2','a':'1'}}}",
      "[\"s\",\"NodePort\",\"10.43.0.1\",\"<none>\",\"443/TCP,80:30080/"
      "TCP\",\"41s\",\"a=1,b=2\"]" },
    { "v1", "Endpoints", "Name|Endpoints|Age",
      "{'metadata':{'name':'e','creationTimestamp':'2026-11-22T10:00:00Z'},'subsets':[{'addresses':"
      "[{'ip':'10.0.0.1'},{'ip':'10.0.0.2'}],'ports':[{'port':1},{'port':2}]}]}",
      "[\"e\",\"10.0.0.1:1,10.0.0.2:1,10.0.0.1:2 + 1 more...\",\"41s\"]" },
    { "v1", "Event", "Last Seen|Type|Reason|Object|Subobject|Source|Message|First Seen|Count|Name",
      "{'metadata':{'name':'x.1'},'involvedObject':{'kind':'Node','name':'n'},'type':'Normal',"
      "'reason':'R','message':' m\\n','source':{'component':'kubelet','host':'n'},'count':3,"
      "'firstTimestamp':'2026-11-22T09:00:00Z','lastTimestamp':'2026-11-22T10:00:00Z'}",
      "[\"41s\",\"Normal\",\"R\",\"node/n\",\"\",\"kubelet, n\",\"m\",\"60m\",3,\"x.1\"]" },
    { "v1", "Secret", "Name|Type|Data|Age",
      "{'metadata':{'name':'s'},'type':'Opaque','data':{'a':'','b':''}}",
      "[\"s\",\"Opaque\",2,\"<unknown>\"]" },
    { "coordination.k8s.io/v1", "Lease", "Name|Holder|Age",
      "{'metadata':{'name':'l','creationTimestamp':'2026-11-22T10:00:00Z'},'spec':{"
      "'holderIdentity':'h'}}",
      "[\"l\",\"h\",\"41s\"]" },
};

static const int64_t now_s = 1795341641; /* 2026-11-22T10:00:41Z */

static void tables_show_what_kubectl_shows(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const struct schema_kind *k = schema_find_api(s, tables[i].api, tables[i].kind);
        json_auto_t *columns = table_columns(k), *object = json_of(tables[i].object);
        json_auto_t *row = table_row(k, object, TABLE_METADATA, now_s);
        auto_buf heads = BUF(1024);
        json_t *c;
        size_t j;
        json_array_foreach(columns, j, c) assert_int_equal(
            buf_addf(&heads, "%s%s", j ? "|" : "", json_string_value(json_object_get(c, "name"))),
            0);
        assert_string_equal(buf_cstr(&heads), tables[i].columns);
        auto_free char *cells = json_text(json_object_get(row, "cells"));
        assert_string_equal(cells, tables[i].cells);
        assert_string_equal(json_str_at(row, "object.kind", ""), "PartialObjectMetadata");
    }
}

static void a_pods_status_is_one_word(void **state)
{
    static const char *const rows[][2] = {
        { "{'status':{'phase':'Pending'}}", "Pending" },
        { "{'status':{'phase':'Failed','reason':'Evicted'}}", "Evicted" },
        { "{'status':{'phase':'Pending','containerStatuses':[{'state':{'waiting':{'reason':"
          "'ContainerCreating'}}}]}}",
          "ContainerCreating" },
        { "{'status':{'phase':'Running','containerStatuses':[{'state':{'terminated':{'exitCode':3}}"
          "}"
          "]}}",
          "ExitCode:3" },
        { "{'status':{'phase':'Running','containerStatuses':[{'ready':true,'state':{'running':{}}},"
          "{'state':{'terminated':{'reason':'Completed'}}}]}}",
          "NotReady" },
        { "{'metadata':{'deletionTimestamp':'x'},'status':{'phase':'Running'}}", "Terminating" },
        { "{'metadata':{'deletionTimestamp':'x'},'status':{'phase':'Succeeded'}}", "Succeeded" },
        { "{'spec':{'initContainers':[{},{}]},'status':{'phase':'Pending','initContainerStatuses':["
          "{'state':{'terminated':{'exitCode':0}}},{'state':{'running':{}}}]}}",
          "Init:1/2" },
        { "{'spec':{'initContainers':[{}]},'status':{'phase':'Pending','initContainerStatuses':["
          "{'state':{'waiting':{'reason':'CrashLoopBackOff'}}}]}}",
          "Init:CrashLoopBackOff" },
    };
    const char *arg;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *pod = json_of(rows[i][0]);
        const struct cell c = { .obj = pod, .now_s = now_s };
        json_auto_t *cell = cell_find("=pod_status", &arg)(&c, "");
        assert_string_equal(json_string_value(cell), rows[i][1]);
    }
}

static void durations_are_short(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } rows[] = { { 0, "0s" },           { -1, "0s" },
                 { -2, "<invalid>" },   { 119, "119s" },
                 { 120, "2m" },         { 130, "2m10s" },
                 { 600, "10m" },        { 10799, "179m" },
                 { 10800, "3h" },       { 3 * 3600 + 60, "3h1m" },
                 { 8 * 3600, "8h" },    { 48 * 3600, "2d" },
                 { 49 * 3600, "2d1h" }, { 8 * 86400, "8d" },
                 { 730 * 86400, "2y" }, { 731 * 86400, "2y1d" } };
    char text[CELL_AGE_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cell_duration(text, rows[i].s);
        assert_string_equal(text, rows[i].text);
    }
}

static void field_selectors_see_the_supported_fields(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    const struct schema_kind *pod = schema_find_api(s, "v1", "Pod");
    json_auto_t *o = json_of("{'metadata':{'name':'p'},'spec':{'nodeName':'n'}}");
    static const struct {
        const char *selector;
        int match; /* -1: not supported */
    } rows[] = { { "metadata.name=p", 1 },        { "spec.nodeName=n", 1 },
                 { "spec.nodeName!=n", 0 },       { "status.phase=", 1 },
                 { "spec.hostNetwork=false", 1 }, { "spec.foo=1", -1 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(field_selector) struct field_selector *f = NULL;
        struct err e;
        assert_int_equal(field_selector_parse(&f, str_of(rows[i].selector), &e), 0);
        if (rows[i].match < 0) {
            assert_int_equal(fields_check(pod, f, &e), ERR_INVALID);
            assert_string_equal(e.text, "field label not supported: spec.foo");
            continue;
        }
        assert_int_equal(fields_check(pod, f, &e), 0);
        assert_int_equal(fields_match(pod, o, f), rows[i].match);
    }
}

/* pkg/apis/events/v1/conversion.go: the labels of this group are its own fields. */
static void events_are_selected_by_the_fields_of_their_group(void **state)
{
    static const char *const rows[][3] = {
        { "v1", "involvedObject.kind", "Pod" },
        { "v1", "source", "kubelet" },
        { "v1", "regarding.kind", NULL },
        { "events.k8s.io/v1", "regarding.kind", "Pod" },
        { "events.k8s.io/v1", "source", "kubelet" },
        { "events.k8s.io/v1", "reportingController", "c" },
        { "events.k8s.io/v1", "involvedObject.kind", NULL },
    };
    AUTO(schema) struct schema *s = schema_new();
    json_auto_t *o = json_of("{'involvedObject':{'kind':'Pod'},'reportingComponent':'c',"
                             "'source':{'component':'kubelet'}}");
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct schema_kind *k = schema_find_api(s, rows[i][0], "Event");
        json_auto_t *doc = json_deep_copy(o);
        char scratch[FIELDS_SCRATCH_MAX];
        if (k->convert)
            k->convert->from_stored(k, doc);
        const char *v = fields_value(k, doc, rows[i][1], scratch);
        assert_string_equal(v ? v : "(not supported)", rows[i][2] ? rows[i][2] : "(not supported)");
    }
}

static void an_event_without_a_source_has_its_controller(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    static const char *const apis[] = { "v1", "events.k8s.io/v1" };
    static const char *const rows[][2] = {
        { "{'reportingComponent':'c'}", "c" },
        { "{'reportingComponent':'c','source':{'component':''}}", "c" },
        { "{'reportingComponent':'c','source':{'component':'k'}}", "k" },
        { "{}", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(apis); i++) {
        const struct schema_kind *k = schema_find_api(s, apis[i % ARRAY_LEN(apis)], "Event");
        json_auto_t *doc = json_of(rows[i / ARRAY_LEN(apis)][0]);
        char scratch[FIELDS_SCRATCH_MAX];

        if (k->convert)
            k->convert->from_stored(k, doc);
        assert_string_equal(fields_value(k, doc, "source", scratch), rows[i / ARRAY_LEN(apis)][1]);
    }
}

static json_t *document(struct discovery *d, const char *path, const char *accept)
{
    struct discovery_doc doc;
    json_t *j = NULL;
    struct err e;

    if (!discovery_get(d, str_of(path), str_of(accept), &doc))
        return NULL;
    assert_int_equal(json_parse(&j, doc.body, &e), 0);
    return j;
}

static void discovery_lists_what_is_served(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "10.0.0.1:6443", "v1.32.0");
    json_auto_t *core = document(d, "/api", ""), *v1 = document(d, "/api/v1", "");
    json_auto_t *slices = document(d, "/apis/discovery.k8s.io", ""),
                *all = document(d, "/apis", "");
    bool pods = false, exec = false;
    json_t *r;
    size_t i;
    (void)state;

    assert_string_equal(json_str_at(core, "serverAddressByClientCIDRs[0].serverAddress", ""),
                        "10.0.0.1:6443");
    assert_string_equal(json_str_at(v1, "groupVersion", ""), "v1");
    json_array_foreach(json_object_get(v1, "resources"), i, r)
    {
        const char *name = json_str_at(r, "name", "");
        if (strcmp(name, "pods") == 0) {
            pods = true;
            assert_string_equal(json_str_at(r, "shortNames[0]", ""), "po");
            assert_string_equal(json_str_at(r, "singularName", ""), "pod");
            assert_int_equal(json_array_size(json_object_get(r, "verbs")), 8);
        }
        exec |= strcmp(name, "pods/exec") == 0 &&
                strcmp(json_str_at(r, "kind", ""), "PodExecOptions") == 0;
        if (strcmp(name, "pods/eviction") == 0)
            assert_string_equal(json_str_at(r, "group", ""), "policy");
    }
    assert_true(pods && exec);
    assert_string_equal(json_str_at(slices, "preferredVersion.groupVersion", ""),
                        "discovery.k8s.io/v1");
    assert_true(json_array_size(json_object_get(all, "groups")) >= 6);
    assert_null(document(d, "/apis/nothing", ""));
    assert_null(document(d, "/apis/discovery.k8s.io/v2", ""));
    assert_null(document(d, "/apis/", ""));
}

/* pkg/controlplane/apiserver/aggregator.go and cmd/kube-apiserver/app/aggregator.go, 1.32; the
 * aggregator puts its own group first. */
static void groups_come_in_upstreams_order(void **state)
{
    static const char want[] =
        "apiregistration.k8s.io apps events.k8s.io authentication.k8s.io authorization.k8s.io "
        "autoscaling batch certificates.k8s.io networking.k8s.io policy rbac.authorization.k8s.io "
        "storage.k8s.io admissionregistration.k8s.io apiextensions.k8s.io scheduling.k8s.io "
        "coordination.k8s.io node.k8s.io discovery.k8s.io flowcontrol.apiserver.k8s.io ";
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");
    json_auto_t *all = document(d, "/apis", ""), *hpa = document(d, "/apis/autoscaling", "");
    auto_buf names = BUF(1024);
    json_t *g;
    size_t i;
    (void)state;

    json_array_foreach(json_object_get(all, "groups"), i, g)
        assert_int_equal(buf_addf(&names, "%s ", json_str_at(g, "name", "")), 0);
    assert_string_equal(buf_cstr(&names), want);
    assert_string_equal(json_str_at(hpa, "preferredVersion.version", ""), "v2");
    assert_string_equal(json_str_at(hpa, "versions[1].version", ""), "v1");
}

static void discovery_aggregates_when_asked(void **state)
{
    static const char accept[] =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;"
        "g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");
    json_auto_t *core = document(d, "/api", accept), *groups = document(d, "/apis", accept);
    json_auto_t *plain = document(d, "/apis", "application/json, */*");
    struct discovery_doc doc;
    (void)state;

    assert_string_equal(json_str_at(core, "apiVersion", ""), "apidiscovery.k8s.io/v2");
    assert_string_equal(json_str_at(core, "items[0].versions[0].version", ""), "v1");
    assert_string_equal(json_str_at(groups, "kind", ""), "APIGroupDiscoveryList");
    assert_string_equal(json_str_at(plain, "kind", ""), "APIGroupList");
    assert_true(discovery_get(d, STR("/apis"), str_of(accept), &doc));
    assert_non_null(strstr(doc.content_type, "v=v2;"));
    json_auto_t *beta = document(
        d, "/api", "application/json;as=APIGroupDiscoveryList;v=v2beta1;g=apidiscovery.k8s.io");
    assert_string_equal(json_str_at(beta, "apiVersion", ""), "apidiscovery.k8s.io/v2beta1");
    assert_string_equal(json_str_at(beta, "items[0].metadata.name", "(none)"), "(none)");
    assert_string_equal(json_str_at(groups, "items[0].metadata.name", ""),
                        "apiregistration.k8s.io");
}

static void openapi_describes_every_version(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");
    json_auto_t *index = document(d, "/openapi/v3", "");
    json_auto_t *core = document(d, "/openapi/v3/api/v1", "");
    json_auto_t *v2 = document(d, "/openapi/v2", "");
    json_t *schemas = json_at(core, "components.schemas"), *spec, *patch;
    (void)state;

    assert_non_null(json_object_get(json_object_get(index, "paths"), "apis/discovery.k8s.io/v1"));
    spec = json_object_get(schemas, "io.k8s.api.core.v1.PodSpec");
    assert_string_equal(json_str_at(spec, "properties.containers.x-kubernetes-patch-merge-key", ""),
                        "name");
    assert_string_equal(json_str_at(spec, "required[0]", ""), "containers");
    assert_string_equal(json_str_at(json_object_get(schemas, "io.k8s.api.core.v1.PodList"),
                                    "x-kubernetes-group-version-kind[0].kind", ""),
                        "PodList");
    patch = json_object_get(json_object_get(json_object_get(core, "paths"),
                                            "/api/v1/namespaces/{namespace}/pods/{name}"),
                            "patch");
    assert_string_equal(json_str_at(patch, "parameters[2].name", ""), "fieldValidation");
    assert_non_null(json_object_get(json_object_get(v2, "definitions"), "io.k8s.api.core.v1.Node"));
}

/* How many fields there are, all of them described. */
static size_t expect_described(json_t *schemas)
{
    size_t n = 0;
    const char *type, *field;
    json_t *s, *f;

    json_object_foreach(schemas, type, s)
    {
        if (!json_str_at(s, "description", NULL))
            fail_msg("%s has no description", type);
        json_object_foreach(json_object_get(s, "properties"), field, f)
        {
            if (!json_str_at(f, "description", NULL))
                fail_msg("%s.%s has no description", type, field);
            n++;
        }
    }
    return n;
}

static void every_type_and_field_is_described(void **state)
{
    static const char pull[] = "Always (ask the registry at each start)";
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");
    json_auto_t *index = document(d, "/openapi/v3", ""), *v2 = document(d, "/openapi/v2", "");
    json_t *schemas = json_object_get(v2, "definitions"), *probe;
    const char *name;
    json_t *at;
    (void)state;

    assert_true(expect_described(schemas) > 2000);
    json_object_foreach(json_object_get(index, "paths"), name, at)
    {
        const char *url = json_str_at(at, "serverRelativeURL", ""), *hash = strchr(url, '?');
        struct discovery_doc doc;
        assert_non_null(hash);
        auto_free char *path = mem_printf("%.*s", (int)(hash - url), url);
        json_auto_t *v3 = document(d, path, "");
        assert_true(expect_described(json_at(v3, "components.schemas")) > 10);
        assert_true(discovery_get(d, str_of(path), STR(""), &doc));
        assert_true(discovery_hash_is(&doc, str_of(hash + strlen("?hash="))));
    }
    /* a field that is a type has both texts, its own and the type's */
    json_auto_t *core = document(d, "/openapi/v3/api/v1", "");
    schemas = json_at(core, "components.schemas");
    probe = json_at(json_object_get(schemas, "io.k8s.api.core.v1.Container"),
                    "properties.livenessProbe");
    assert_string_equal(json_str_at(probe, "allOf[0].$ref", ""),
                        "#/components/schemas/io.k8s.api.core.v1.Probe");
    assert_non_null(strstr(json_str_at(probe, "description", ""), "restarts the container"));
    struct discovery_doc pb;
    assert_true(
        discovery_get(d, STR("/openapi/v2"), STR("a/com.github.proto-openapi.spec.v2@v1.0"), &pb));
    assert_non_null(memmem(pb.body.p, pb.body.n, pull, sizeof pull - 1));
}

/* kubectl 1.20 reads nothing else; protoc decodes it in the same way (gnostic's field numbers). */
static const char *text_of_param(const json_t *params, const json_t *list, const char *name)
{
    size_t i;
    json_t *p;

    json_array_foreach(list, i, p)
    {
        const char *ref = json_str_at(p, "$ref", "");

        if (*ref && strcmp(strrchr(ref, '/') + 1, name) == 0)
            return json_str_at(json_object_get(params, name), "description", "");
    }
    return NULL;
}

/* Upstream's own tests look for some of these words. */
static void what_lists_take_and_give_is_described(void **state)
{
    static const struct {
        const char *path, *method, *param, *words; /* NULL: it does not take it */
    } rows[] = {
        { "/api/v1/namespaces/{namespace}/services", "get", "watch",
          "Watch for changes to the described resources" },
        { "/api/v1/services", "get", "limit", "At most" },
        { "/api/v1/nodes", "get", "labelSelector", "labels match" },
        { "/api/v1/namespaces/{namespace}/services", "delete", "labelSelector", "labels match" },
        { "/api/v1/namespaces/{namespace}/services", "delete", "watch", NULL },
        { "/api/v1/nodes/{name}", "get", "watch", NULL },
    };
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");

    (void)state;
    for (int v3 = 0; v3 < 2; v3++) {
        json_auto_t *doc = document(d, v3 ? "/openapi/v3/api/v1" : "/openapi/v2", "");
        const json_t *params = json_at(doc, v3 ? "components.parameters" : "parameters");
        const json_t *types = json_at(doc, v3 ? "components.schemas" : "definitions");
        const json_t *list = json_object_get(types, "io.k8s.api.core.v1.ServiceList");

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            const json_t *item = json_object_get(json_object_get(doc, "paths"), rows[i].path);
            const json_t *op = json_object_get(item, rows[i].method);
            const char *text =
                text_of_param(params, json_object_get(op, "parameters"), rows[i].param);

            if (!text != !rows[i].words || (text && !strstr(text, rows[i].words)))
                fail_msg("%s %s %s: %s", rows[i].method, rows[i].path, rows[i].param,
                         text ? text : "none");
        }
        assert_string_equal(json_str_at(list, "description", ""), "List of services.");
        assert_non_null(strstr(json_str_at(list, "properties.items.description", ""),
                               "list of returned services"));
        const json_t *meta = json_object_get(types, "io.k8s.apimachinery.pkg.apis.meta.v1."
                                                    "ObjectMeta");
        assert_non_null(strstr(json_str_at(meta, "properties.creationTimestamp.description", ""),
                               "CreationTimestamp is a timestamp"));
    }
}

static void openapi_v2_comes_as_protobuf_when_only_that_is_read(void **state)
{
    static const char accept[] = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    static const char head[] = "\x0a\x03"
                               "2.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.32.0\x42";
    /* the query parameter of a PATCH that kubectl apply --dry-run=server looks for */
    static const char dry_run[] = "\x42\x0e\x0a\x0c\x12\x0a\x1a\x08\x22\x06"
                                  "dryRun";
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "x", "v1.32.0");
    struct discovery_doc doc;
    (void)state;

    assert_true(discovery_get(d, STR("/openapi/v2"), str_of(accept), &doc));
    assert_non_null(strstr(doc.content_type, "protobuf"));
    assert_null(strchr(doc.content_type, '@')); /* RFC 2045 5.1: no token holds it */
    assert_true(doc.body.n > 50000);
    assert_memory_equal(doc.body.p, head, sizeof head - 1);
    assert_non_null(memmem(doc.body.p, doc.body.n, dry_run, sizeof dry_run - 1));
    assert_true(discovery_get(d, STR("/openapi/v2"), STR("*/*"), &doc));
    assert_string_equal(doc.content_type, "application/json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_show_what_kubectl_shows),
        cmocka_unit_test(a_pods_status_is_one_word),
        cmocka_unit_test(durations_are_short),
        cmocka_unit_test(field_selectors_see_the_supported_fields),
        cmocka_unit_test(events_are_selected_by_the_fields_of_their_group),
        cmocka_unit_test(an_event_without_a_source_has_its_controller),
        cmocka_unit_test(discovery_lists_what_is_served),
        cmocka_unit_test(groups_come_in_upstreams_order),
        cmocka_unit_test(discovery_aggregates_when_asked),
        cmocka_unit_test(openapi_describes_every_version),
        cmocka_unit_test(every_type_and_field_is_described),
        cmocka_unit_test(what_lists_take_and_give_is_described),
        cmocka_unit_test(openapi_v2_comes_as_protobuf_when_only_that_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

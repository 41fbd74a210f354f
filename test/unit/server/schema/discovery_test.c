/* What discovery and OpenAPI say of each kind (view_test.c has their forms). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/discovery.h"

static struct schema *schema;
static struct discovery *d;

static int setup(void **state)
{
    (void)state;
    schema = schema_new();
    d = discovery_new(schema, "10.0.0.1:6443", "v1.32.0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    discovery_free(d);
    schema_free(schema);
    return 0;
}

static json_t *document(const char *path)
{
    struct discovery_doc doc;
    json_t *j = NULL;
    struct err e;

    assert_true(discovery_get(d, str_of(path), STR(""), &doc));
    assert_int_equal(json_parse(&j, doc.body, &e), 0);
    return j;
}

/* Of a resource of an APIResourceList; borrowed. */
static const json_t *resource(const json_t *list, const char *name)
{
    json_t *r;
    size_t i;

    json_array_foreach(json_object_get(list, "resources"), i, r)
    {
        if (strcmp(json_str_at(r, "name", ""), name) == 0)
            return r;
    }
    fail_msg("%s is not in the list", name);
    return NULL;
}

/* As a server of K3s v1.21 gave them. */
static void stored_versions_have_their_hash(void **state)
{
    static const char *const rows[][2] = {
        { "pods", "xPOwRZ+Yhw8=" },
        { "nodes", "XwShjMxG9Fs=" },
        { "persistentvolumes", "HN/zwEC+JgM=" },
        { "events", "r2yiGXH7wu8=" },
    };
    json_auto_t *core = document("/api/v1"), *events = document("/apis/events.k8s.io/v1");
    json_auto_t *v1 = document("/apis/autoscaling/v1"), *v2 = document("/apis/autoscaling/v2");
    const char *hpa = "horizontalpodautoscalers", *key = "storageVersionHash";
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(json_str_at(resource(core, rows[i][0]), key, ""), rows[i][1]);
    /* these lie in another version */
    assert_string_equal(json_str_at(resource(events, "events"), key, ""), "r2yiGXH7wu8=");
    assert_string_equal(json_str_at(resource(v1, hpa), key, "1"),
                        json_str_at(resource(v2, hpa), key, "2"));
    /* and these nowhere */
    assert_null(json_object_get(resource(core, "bindings"), key));
    assert_null(json_object_get(resource(core, "pods/status"), key));
}

/* The documents together are more than is kept: some are made again, and are the same. */
static void documents_that_were_dropped_come_back_the_same(void **state)
{
    static const char *const paths[] = { "/openapi/v2", "/openapi/v3/api/v1",
                                         "/openapi/v3/apis/apps/v1", "/api/v1" };
    struct discovery_doc doc;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_true(discovery_get(d, str_of(paths[i]), STR(""), &doc));
        auto_free char *body = str_dup(doc.body), *tag = mem_strdup(doc.etag);
        json_auto_t *all = document("/openapi/v3"), *v2 = document("/openapi/v2");
        assert_true(json_object_size(all) && json_object_size(v2));
        assert_true(discovery_get(d, str_of(paths[i]), STR(""), &doc));
        assert_true(str_is(doc.body, body));
        assert_string_equal(doc.etag, tag);
        assert_true(discovery_hash_is(&doc, str_n(tag + 1, strlen(tag) - 2)));
        assert_false(discovery_hash_is(&doc, str_n(tag + 1, strlen(tag) - 3)));
    }
}

/* kubectl 1.32 explain looks there for the kind of a resource
 * (kubectl pkg/explain/v2/templates/plaintext.tmpl). */
static const json_t *kind_of_path(const json_t *doc, const char *path)
{
    static const char *const methods[] = { "get", "post", "put", "patch", "delete" };
    const json_t *item = json_object_get(json_object_get(doc, "paths"), path);

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const json_t *op = json_object_get(item, methods[i]);
        if (op)
            return json_object_get(op, "x-kubernetes-group-version-kind");
    }
    return NULL;
}

static void every_resource_is_found_by_its_path(void **state)
{
    size_t n;
    const struct schema_kind *const *k = schema_kinds(schema, &n);
    (void)state;

    for (size_t i = 0; i < n; i++) {
        bool core = !k[i]->group[0];
        auto_free char *place = mem_printf("/%s%s%s/%s", core ? "api" : "apis", core ? "" : "/",
                                           k[i]->group, k[i]->version);
        auto_free char *doc_path = mem_printf("/openapi/v3%s", place);
        auto_free char *path = mem_printf(
            "%s/%s%s", place, k[i]->namespaced ? "namespaces/{namespace}/" : "", k[i]->plural);
        json_auto_t *doc = document(doc_path);
        const json_t *gvk = kind_of_path(doc, path);
        if (strcmp(json_str_at(gvk, "kind", ""), k[i]->kind) != 0)
            fail_msg("%s does not lead to %s", path, k[i]->kind);
        assert_string_equal(json_str_at(gvk, "version", ""), k[i]->version);
    }
}

/* Every "$ref" has what it points to; v2 and v3. */
static void check_refs(const json_t *doc, const json_t *v)
{
    const char *key;
    json_t *one;
    size_t i;

    json_array_foreach(v, i, one) check_refs(doc, one);
    json_object_foreach((json_t *)v, key, one)
    {
        if (strcmp(key, "$ref") != 0 || !json_is_string(one)) { /* CRDs have a field $ref */
            check_refs(doc, one);
            continue;
        }
        const json_t *at = doc;
        struct str name, rest = str_of(json_string_value(one));

        assert_true(str_cut(rest, '/', &name, &rest) && str_is(name, "#"));
        while (at && rest.n) {
            str_cut(rest, '/', &name, &rest);
            at = json_object_getn(at, name.p, name.n);
        }
        if (!at)
            fail_msg("%s leads nowhere", json_string_value(one));
    }
}

static void references_lead_somewhere(void **state)
{
    json_auto_t *v2 = document("/openapi/v2"), *root = document("/openapi/v3");
    const char *name;
    json_t *link;
    (void)state;

    check_refs(v2, v2);
    json_object_foreach(json_object_get(root, "paths"), name, link)
    {
        auto_free char *path = mem_printf("/openapi/v3/%s", name);
        json_auto_t *doc = document(path);
        check_refs(doc, doc);
    }
}

/* Names and what stands in them, as upstream's documents have it. */
static void schemas_say_what_upstreams_say(void **state)
{
    static const struct {
        const char *doc, *schema, *path, *value;
    } rows[] = {
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.Pod", "x-kubernetes-group-version-kind[0].kind",
          "Pod" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.Container", "required[0]", "name" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.Container",
          "properties.ports[\"x-kubernetes-list-map-keys\"][1]", "protocol" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.Container",
          "properties.ports[\"x-kubernetes-patch-merge-key\"]", "containerPort" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.Container",
          "properties.ports[\"x-kubernetes-patch-strategy\"]", "merge" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.ContainerPort", "properties.protocol.default",
          "TCP" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.PodSpec", "properties.restartPolicy.enum[0]",
          "Always" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.PodSpec",
          "properties.activeDeadlineSeconds.format", "int64" },
        { "/openapi/v3/api/v1", "io.k8s.api.core.v1.LocalObjectReference", "x-kubernetes-map-type",
          "" }, /* it stands where the type is used */
        { "/openapi/v3/api/v1", "io.k8s.apimachinery.pkg.api.resource.Quantity", "oneOf[1].type",
          "number" },
        { "/openapi/v3/api/v1", "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "format",
          "int-or-string" },
        { "/openapi/v3/api/v1", "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "format",
          "date-time" },
        { "/openapi/v3/apis/apiextensions.k8s.io/v1",
          "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
          "type", "object" },
        { "/openapi/v3/apis/apiregistration.k8s.io/v1",
          "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", "type", "object" },
        /* a Role may leave its rules out, though they are always written */
        { "/openapi/v3/apis/rbac.authorization.k8s.io/v1", "io.k8s.api.rbac.v1.Role", "required[0]",
          "" },
        { "/openapi/v2", "io.k8s.apimachinery.pkg.api.resource.Quantity", "type", "string" },
        { "/openapi/v2", "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "format",
          "int-or-string" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = document(rows[i].doc);
        const json_t *all = json_object_get(doc, "definitions");
        const json_t *s =
            json_object_get(all ? all : json_at(doc, "components.schemas"), rows[i].schema);
        if (!s)
            fail_msg("%s has no %s", rows[i].doc, rows[i].schema);
        if (strcmp(json_str_at(s, rows[i].path, ""), rows[i].value) != 0)
            fail_msg("%s %s: is \"%s\", wants \"%s\"", rows[i].schema, rows[i].path,
                     json_str_at(s, rows[i].path, ""), rows[i].value);
    }
}

/* kubectl explain takes an empty object for no schema at all. */
static void check_not_empty(const json_t *properties, const char *where)
{
    const char *name;
    json_t *s;

    json_object_foreach((json_t *)properties, name, s)
    {
        if (!json_object_size(s))
            fail_msg("%s: %s is an empty schema", where, name);
        check_not_empty(json_object_get(s, "properties"), name);
        if (json_object_get(s, "items") && !json_object_size(json_object_get(s, "items")))
            fail_msg("%s: the items of %s are an empty schema", where, name);
    }
}

static void no_schema_is_empty(void **state)
{
    json_auto_t *v2 = document("/openapi/v2");
    (void)state;

    check_not_empty(json_object_get(v2, "definitions"), "definitions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_versions_have_their_hash),
        cmocka_unit_test(documents_that_were_dropped_come_back_the_same),
        cmocka_unit_test(every_resource_is_found_by_its_path),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(schemas_say_what_upstreams_say),
        cmocka_unit_test(no_schema_is_empty),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

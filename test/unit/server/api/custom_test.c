/* Custom kinds over HTTP: what a definition brings and takes. Nobody accepts names here but the
 * test. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "test/unit/json_text.h"

#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

static void expect(const char *method, const char *target, const char *body, int code)
{
    auto_free char *text = body ? real_quotes(body) : NULL;
    auto_answer a = ask(&h, method, target, text);

    if (a.code != code)
        fail_msg("%s %s: %d\n%s", method, target, a.code, buf_cstr(&a.body));
}

static struct answer ask_of(const char *method, const char *target, const char *type,
                            const char *accept, const char *body)
{
    auto_free char *text = body ? real_quotes(body) : NULL;

    return ask_as(&h, "admin+system:masters", method, target, type, accept, text);
}

static void accept_names(const char *crd, const char *plural, const char *kind)
{
    auto_free char *target = mem_printf(CRDS "/%s/status", crd);
    auto_free char *body = mem_printf(
        "{'status':{'acceptedNames':{'plural':'%s','singular':'%s','kind':'%s','listKind':'%sList'}"
        ",'conditions':[{'type':'NamesAccepted','status':'True'},{'type':'Established','status':"
        "'True'}]}}",
        plural, plural, kind, kind);
    auto_answer a = ask_of("PATCH", target, "application/merge-patch+json", NULL, body);

    assert_int_equal(a.code, 200);
}

/* NAMEs.example.com, cluster-wide; version is what is between the braces of its one version. */
static void make(const char *name, const char *kind, const char *version)
{
    auto_free char *body = mem_printf(
        "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{"
        "'name':'%ss.example.com'},'spec':{'group':'example.com','scope':'Cluster','names':{"
        "'plural':'%ss','kind':'%s'},'versions':[{'name':'v1','served':true,'storage':true,%s}]}}",
        name, name, kind, version);
    auto_free char *crd = mem_printf("%ss.example.com", name), *plural = mem_printf("%ss", name);

    expect("POST", CRDS, body, 201);
    accept_names(crd, plural, kind);
}

#define PLAIN "'schema':{'openAPIV3Schema':{'type':'object','properties':{'n':{'type':'integer'}}}}"

static void a_kind_is_served_from_when_its_names_are_accepted(void **state)
{
    (void)state;
    expect("POST", CRDS,
           "{'metadata':{'name':'as.example.com'},'spec':{'group':'example.com','scope':'Cluster',"
           "'names':{'plural':'as','kind':'A'},'versions':[{'name':'v1','served':true,'storage':"
           "true," PLAIN "}]}}",
           201);
    auto_answer made = ask(&h, "GET", CRDS "/as.example.com", NULL);
    assert_string_equal(json_str_at(made.doc, "spec.names.singular", ""), "a");
    assert_string_equal(json_str_at(made.doc, "status.storedVersions[0]", ""), "v1");
    expect("GET", "/apis/example.com/v1/as", NULL, 404);
    accept_names("as.example.com", "as", "A");
    expect("GET", "/apis/example.com/v1/as", NULL, 200);
    expect("POST", "/apis/example.com/v1/as", "{'metadata':{'name':'x'},'n':1}", 201);
    auto_answer list = ask(&h, "GET", "/apis/example.com/v1/as", NULL);
    assert_string_equal(json_str_at(list.doc, "kind", ""), "AList");
    assert_string_equal(json_str_at(list.doc, "items[0].kind", ""), "A"); /* unlike built-in ones */
    assert_string_equal(json_str_at(list.doc, "items[0].apiVersion", ""), "example.com/v1");
}

static void what_custom_kinds_do_not_take_is_told(void **state)
{
    (void)state;
    make("b", "B", PLAIN);
    expect("POST", "/apis/example.com/v1/bs", "{'metadata':{'name':'x'},'n':1}", 201);
    auto_answer strategic = ask_of("PATCH", "/apis/example.com/v1/bs/x",
                                   "application/strategic-merge-patch+json", NULL, "{'n':2}");
    assert_int_equal(strategic.code, 415);
    auto_answer proto = ask_of("GET", "/apis/example.com/v1/bs/x", NULL,
                               "application/vnd.kubernetes.protobuf", NULL);
    assert_int_equal(proto.code, 406);
    auto_answer either = ask_of("GET", "/apis/example.com/v1/bs/x", NULL,
                                "application/vnd.kubernetes.protobuf,application/json", NULL);
    assert_int_equal(either.code, 200);
    assert_int_equal(json_i64_at(either.doc, "n", 0), 1);
    /* metadata has a protobuf form */
    static const char *const both[][2] = {
        { "/apis/example.com/v1/bs/x", "PartialObjectMetadata" },
        { "/apis/example.com/v1/bs", "PartialObjectMetadataList" },
    };
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        auto_free char *accept = mem_printf("application/vnd.kubernetes.protobuf;as=%s;g=meta.k8s."
                                            "io;v=v1,application/json",
                                            both[i][1]);
        auto_answer meta = ask_of("GET", both[i][0], NULL, accept, NULL);
        assert_int_equal(meta.code, 200);
        assert_string_equal(meta.type, "application/vnd.kubernetes.protobuf");
        assert_non_null(memmem(meta.body.p, meta.body.n, both[i][1], strlen(both[i][1])));
    }
    auto_answer unversioned =
        ask(&h, "PUT", "/apis/example.com/v1/bs/x",
            "{\"apiVersion\":\"example.com/v1\",\"kind\":\"B\",\"metadata\":{\"name\":\"x\"}}");
    assert_int_equal(unversioned.code, 422);
    assert_non_null(strstr(buf_cstr(&unversioned.body), "must be specified for an update"));
}

static void users_of_a_deprecated_version_are_warned(void **state)
{
    (void)state;
    make("d", "D", "'deprecated':true,'deprecationWarning':'use something else'," PLAIN);
    expect("POST", "/apis/example.com/v1/ds", "{'metadata':{'name':'x'}}", 201);
    static const struct {
        const char *method, *target, *accept;
        int code;
    } rows[] = {
        { "GET", "/apis/example.com/v1/ds/x", NULL, 200 },
        { "GET", "/apis/example.com/v1/ds/none", NULL, 404 },
        { "GET", "/apis/example.com/v1/ds", NULL, 200 },
        { "GET", "/apis/example.com/v1/ds", "application/json;as=Table;v=v1;g=meta.k8s.io", 200 },
        { "GET", "/apis/example.com/v1/ds?watch=1&timeoutSeconds=1", NULL, 200 },
        { "DELETE", "/apis/example.com/v1/ds/x", NULL, 200 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask_of(rows[i].method, rows[i].target, NULL, rows[i].accept, NULL);
        assert_int_equal(a.code, rows[i].code);
        assert_string_equal(a.warning, "299 - \"use something else\"");
    }
}

static void a_status_counts_into_the_generation_only_where_it_is_no_subresource(void **state)
{
    static const char with_status[] = "'schema':{'openAPIV3Schema':{'type':'object','x-kubernetes-"
                                      "preserve-unknown-fields':true}}";
    (void)state;
    make("e", "E", with_status);
    auto_answer made = ask_of("POST", "/apis/example.com/v1/es", NULL, NULL,
                              "{'metadata':{'name':'x'},'status':{'a':1}}");
    assert_int_equal(json_i64_at(made.doc, "status.a", 0), 1);
    assert_int_equal(json_i64_at(made.doc, "metadata.generation", 0), 1);
    auto_answer patched = ask_of("PATCH", "/apis/example.com/v1/es/x",
                                 "application/merge-patch+json", NULL, "{'status':{'a':2}}");
    assert_int_equal(json_i64_at(patched.doc, "metadata.generation", 0), 2);
    auto_answer bare =
        ask_of("POST", "/apis/example.com/v1/es", NULL, NULL, "{'metadata':{'name':'y'}}");
    auto_answer labeled =
        ask_of("PATCH", "/apis/example.com/v1/es/y", "application/merge-patch+json", NULL,
               "{'metadata':{'labels':{'a':'b'}}}");
    assert_int_equal(json_i64_at(labeled.doc, "metadata.generation", 0), 1);
    auto_answer same =
        ask_of("PATCH", "/apis/example.com/v1/es/y", "application/merge-patch+json", NULL, "{}");
    assert_string_equal(json_str_at(same.doc, "metadata.resourceVersion", ""),
                        json_str_at(labeled.doc, "metadata.resourceVersion", "?"));
    make("f", "F",
         "'subresources':{'status':{}},'schema':{'openAPIV3Schema':{'type':'object',"
         "'x-kubernetes-preserve-unknown-fields':true}}");
    auto_answer other = ask_of("POST", "/apis/example.com/v1/fs", NULL, NULL,
                               "{'metadata':{'name':'x'},'status':{'a':1}}");
    assert_null(json_object_get(other.doc, "status"));
    auto_answer kind = ask_of("POST", "/apis/example.com/v1/fs", NULL, NULL,
                              "{'kind':'E','metadata':{'name':'y'}}");
    assert_int_equal(kind.code, 422);
    assert_string_equal(json_str_at(kind.doc, "message", ""),
                        "F.example.com \"y\" is invalid: kind: Invalid value: \"E\": must be F");
    expect("PUT", "/apis/example.com/v1/fs/x/status", "{'metadata':{'name':'x'}}", 422);
    auto_answer status = ask_of("PATCH", "/apis/example.com/v1/fs/x/status",
                                "application/merge-patch+json", NULL, "{'status':{'a':2},'b':3}");
    assert_int_equal(json_i64_at(status.doc, "status.a", 0), 2);
    assert_int_equal(json_i64_at(status.doc, "metadata.generation", 0), 1);
    assert_null(json_object_get(status.doc, "b"));
}

static void watches_of_a_kind_that_changes_end(void **state)
{
    struct lines l;

    (void)state;
    make("g", "G", PLAIN);
    expect("POST", "/apis/example.com/v1/gs", "{'metadata':{'name':'x'},'n':1}", 201);
    lines_start(&l, &h, "admin+system:masters", "/apis/example.com/v1/gs?watch=1&resourceVersion=0",
                NULL);
    lines_wait(&l, 1);
    json_auto_t *ev = lines_at(&l, 0);
    assert_string_equal(json_str_at(ev, "object.metadata.name", ""), "x");
    /* a label is nothing to the kind; another schema is */
    auto_answer label = ask_of("PATCH", CRDS "/gs.example.com", "application/merge-patch+json",
                               NULL, "{'metadata':{'labels':{'a':'b'}}}");
    assert_int_equal(label.code, 200);
    expect("POST", "/apis/example.com/v1/gs", "{'metadata':{'name':'y'},'n':1}", 201);
    lines_wait(&l, 2);
    auto_answer schema = ask_of(
        "PATCH", CRDS "/gs.example.com", "application/json-patch+json", NULL,
        "[{'op':'add','path':'/spec/versions/0/schema/openAPIV3Schema/properties/m','value':{"
        "'type':'string','default':'d'}}]");
    assert_int_equal(schema.code, 200);
    harness_wait(&h, &l.done);
    lines_stop(&l);
    auto_answer read = ask(&h, "GET", "/apis/example.com/v1/gs/x", NULL);
    assert_string_equal(json_str_at(read.doc, "m", ""), "d"); /* defaults come on read */
    auto_answer table = ask_of("GET", "/apis/example.com/v1/gs", NULL,
                               "application/json;as=Table;g=meta.k8s.io;v=v1", NULL);
    assert_string_equal(json_str_at(table.doc, "columnDefinitions[1].name", ""), "Age");
}

static void scale_is_the_number_that_the_definition_names(void **state)
{
    (void)state;
    make("j", "J",
         "'subresources':{'status':{},'scale':{'specReplicasPath':'.spec.n','statusReplicasPath':"
         "'.status.n','labelSelectorPath':'.status.sel'}},'schema':{'openAPIV3Schema':{'type':"
         "'object','properties':{'spec':{'type':'object','properties':{'n':{'type':'integer',"
         "'maximum':5}}},'status':{'type':'object','properties':{'n':{'type':'integer'},'sel':{"
         "'type':'string'}}}}}}");
    expect("POST", "/apis/example.com/v1/js", "{'metadata':{'name':'x'},'spec':{'n':2}}", 201);
    auto_answer status =
        ask_of("PATCH", "/apis/example.com/v1/js/x/status", "application/merge-patch+json", NULL,
               "{'status':{'n':1,'sel':'a=b'}}");
    assert_int_equal(status.code, 200);
    auto_answer scale = ask(&h, "GET", "/apis/example.com/v1/js/x/scale", NULL);
    assert_int_equal(json_i64_at(scale.doc, "spec.replicas", 0), 2);
    assert_int_equal(json_i64_at(scale.doc, "status.replicas", 0), 1);
    assert_string_equal(json_str_at(scale.doc, "status.selector", ""), "a=b");
    auto_answer more = ask_of("PATCH", "/apis/example.com/v1/js/x/scale",
                              "application/merge-patch+json", NULL, "{'spec':{'replicas':4}}");
    assert_int_equal(more.code, 200);
    auto_answer now = ask(&h, "GET", "/apis/example.com/v1/js/x", NULL);
    assert_int_equal(json_i64_at(now.doc, "spec.n", 0), 4);
    assert_int_equal(json_i64_at(now.doc, "metadata.generation", 0), 2);
    auto_answer many = ask_of("PATCH", "/apis/example.com/v1/js/x/scale",
                              "application/merge-patch+json", NULL, "{'spec':{'replicas':9}}");
    assert_int_equal(many.code, 422);
    assert_non_null(strstr(buf_cstr(&many.body), "should be less than or equal to 5"));
}

static void a_definition_that_is_deleted_waits_for_its_objects(void **state)
{
    (void)state;
    make("i", "I", PLAIN);
    expect("POST", "/apis/example.com/v1/is", "{'metadata':{'name':'x'}}", 201);
    auto_answer gone = ask(&h, "DELETE", CRDS "/is.example.com", NULL);
    assert_int_equal(gone.code, 200);
    assert_string_equal(json_str_at(gone.doc, "metadata.finalizers[0]", ""),
                        "customresourcecleanup.apiextensions.k8s.io");
    assert_string_equal(json_str_at(gone.doc, "status.conditions[2].type", ""), "Terminating");
    auto_answer labeled = ask_of("PATCH", CRDS "/is.example.com", "application/merge-patch+json",
                                 NULL, "{'metadata':{'labels':{'a':'b'}}}");
    assert_int_equal(labeled.code, 200); /* its finalizer is none of the core kinds' */
    auto_answer late =
        ask(&h, "POST", "/apis/example.com/v1/is", "{\"metadata\":{\"name\":\"y\"}}");
    assert_int_equal(late.code, 405);
    assert_string_equal(json_str_at(late.doc, "message", ""),
                        "create not allowed while custom resource definition is terminating");
    expect("DELETE", "/apis/example.com/v1/is/x", NULL, 200);
    auto_answer released = ask_of("PATCH", CRDS "/is.example.com", "application/merge-patch+json",
                                  NULL, "{'metadata':{'finalizers':null}}");
    assert_int_equal(released.code, 200);
    expect("GET", "/apis/example.com/v1/is", NULL, 404);
}

static void a_definition_that_cannot_be_served_is_refused(void **state)
{
    (void)state;
    auto_answer a = ask_of(
        "POST", CRDS, NULL, NULL,
        "{'metadata':{'name':'bads.example.com'},'spec':{'group':'example.com','scope':'Cluster',"
        "'names':{'plural':'bads','kind':'Bad'},'versions':[{'name':'v1','served':true,'storage':"
        "true,'schema':{'openAPIV3Schema':{}}}]}}");
    assert_int_equal(a.code, 422);
    assert_string_equal(
        json_str_at(a.doc, "message", ""),
        "CustomResourceDefinition.apiextensions.k8s.io \"bads.example.com\" is invalid: "
        "spec.versions[0].schema.openAPIV3Schema.type: Required value: must not be empty at the "
        "root");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_served_from_when_its_names_are_accepted),
        cmocka_unit_test(what_custom_kinds_do_not_take_is_told),
        cmocka_unit_test(users_of_a_deprecated_version_are_warned),
        cmocka_unit_test(a_status_counts_into_the_generation_only_where_it_is_no_subresource),
        cmocka_unit_test(watches_of_a_kind_that_changes_end),
        cmocka_unit_test(scale_is_the_number_that_the_definition_names),
        cmocka_unit_test(a_definition_that_is_deleted_waits_for_its_objects),
        cmocka_unit_test(a_definition_that_cannot_be_served_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

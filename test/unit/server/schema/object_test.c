/* An object's way in: decode, defaults, validate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

static struct schema *schema;

static int setup(void **state)
{
    (void)state;
    schema = schema_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_free(schema);
    return 0;
}

static const struct schema_kind *kind_of(const char *kind)
{
    static const char *const versions[] = { "v1", "apps/v1", "discovery.k8s.io/v1",
                                            "coordination.k8s.io/v1" };

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        const struct schema_kind *k = schema_find_api(schema, versions[i], kind);
        if (k)
            return k;
    }
    fail_msg("no kind %s", kind);
    return NULL;
}

/* ---- decode ---- */

static void wrong_types_are_refused_in_upstreams_words(void **state)
{
    static const struct {
        const char *kind, *in, *error;
    } rows[] = {
        { "Pod", "{'spec':{'nodeName':1}}",
          "json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type "
          "string" },
        { "Pod", "{'spec':{'containers':{}}}",
          "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
          "[]v1.Container" },
        { "Pod", "{'spec':{'containers':[{'ports':[{'containerPort':'x'}]}]}}",
          "json: cannot unmarshal string into Go struct field "
          "ContainerPort.spec.containers.ports.containerPort of type int32" },
        { "Pod", "{'spec':{'hostNetwork':'yes'}}",
          "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type "
          "bool" },
        { "Pod", "{'metadata':{'labels':{'a':1}}}",
          "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type "
          "string" },
        { "Pod", "{'spec':{'containers':[{'resources':{'limits':{'cpu':'1x'}}}]}}",
          "quantities must match the regular expression "
          "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "Secret", "{'data':{'a':'?'}}", "illegal base64 data at input byte 0" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_decode_notes notes = { 0 };
        json_auto_t *o = json_of(rows[i].in);
        struct err e = { 0 };
        assert_int_equal(
            decode_object(kind_of(rows[i].kind), o, STR(""), DECODE_STRICT, &notes, &e),
            ERR_INVALID);
        assert_string_equal(e.text, rows[i].error);
    }
}

/* Those of a map that is read without its text: apimachinery/pkg/runtime/converter.go. */
static void wrong_types_in_a_map_have_their_own_words(void **state)
{
    static const struct {
        const char *in, *error;
    } rows[] = {
        { "{'metadata':{'labels':'x'}}", "cannot restore map from string" },
        { "{'metadata':{'labels':[1]}}", "cannot restore map from slice" },
        { "{'metadata':{'labels':{'a':1}}}", "cannot convert int64 to string" },
        { "{'metadata':{'labels':{'a':1.5}}}", "unrecognized type: string" },
        { "{'spec':{'nodeName':true}}", "unrecognized type: string" },
        { "{'spec':{'containers':{}}}", "cannot restore slice from map" },
        { "{'spec':{'containers':['x']}}", "cannot restore struct from: string" },
        { "{'spec':'x'}", "cannot restore struct from: string" },
        { "{'spec':{'hostNetwork':'yes'}}", "unrecognized type: bool" },
        { "{'spec':{'hostNetwork':1}}", "unrecognized type: bool" },
        { "{'spec':{'priority':'1'}}", "unrecognized type: int32" },
        { "{'spec':{'priority':1.5}}", "cannot convert float64 to int32" },
        { "{'spec':{'foo':1}}", "strict decoding error: unknown field \"spec.foo\"" },
    };
    const struct schema_kind *pod = kind_of("Pod");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_decode_notes notes = { 0 };
        json_auto_t *o = json_of(rows[i].in);
        struct err e = { 0 };
        assert_int_equal(decode_map(pod->type, o, DECODE_STRICT, &notes, &e), ERR_INVALID);
        assert_string_equal(e.text, rows[i].error);
    }
}

static void unknown_and_duplicate_fields_are_found_with_their_path(void **state)
{
    auto_free char *raw = real_quotes("{'spec':{'foo':1,'containers':[{'name':'a','nam':'b'}],"
                                      "'nodeName':'x','nodeName':'y: {'},'bar':{}}");
    const struct schema_kind *pod = kind_of("Pod");
    auto_decode_notes warned = { 0 }, strict = { 0 }, ignored = { 0 };
    json_auto_t *a = json_of(raw), *b = json_of(raw), *c = json_of(raw);
    struct err e;
    (void)state;

    assert_int_equal(decode_object(pod, a, str_of(raw), DECODE_WARN, &warned, &e), 0);
    assert_int_equal(warned.n, 4);
    assert_string_equal(warned.v[2], "duplicate field \"spec.nodeName\"");
    assert_null(json_object_get(a, "bar"));
    assert_int_equal(decode_object(pod, b, str_of(raw), DECODE_STRICT, &strict, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "strict decoding error: unknown field \"spec.foo\", "));
    assert_non_null(strstr(e.text, "unknown field \"spec.containers[0].nam\""));
    assert_non_null(strstr(e.text, "unknown field \"bar\""));
    auto_free char *text = decode_bad_request(pod, &strict, &e);
    assert_non_null(strstr(text, "Pod in version \"v1\" cannot be handled as a Pod: strict"));
    assert_int_equal(decode_object(pod, c, str_of(raw), DECODE_IGNORE, &ignored, &e), 0);
    assert_int_equal(ignored.n, 0);
}

/* A reader that goes through the text once finds them in its order, each once, and nothing below
 * what is unknown. */
static void unknown_and_duplicate_fields_come_in_the_order_of_the_text(void **state)
{
    static const struct {
        const char *in, *error;
    } rows[] = {
        { "{'spec':{'nodeName':'x','nodeName':'y','foo':1,'hostNetwork':true,'hostNetwork':true}}",
          "duplicate field \"spec.nodeName\", unknown field \"spec.foo\", duplicate field "
          "\"spec.hostNetwork\"" },
        { "{'spec':{'foo':1,'nodeName':'x','nodeName':'y'}}",
          "unknown field \"spec.foo\", duplicate field \"spec.nodeName\"" },
        { "{'spec':{'foo':{'a':1,'a':2},'foo':2,'bar':1}}",
          "unknown field \"spec.foo\", unknown field \"spec.bar\"" },
        { "{'f\\u006fo':1,'spec':{'nodeName':'x','nodeName':'y'}}",
          "duplicate field \"spec.nodeName\", unknown field \"foo\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_decode_notes notes = { 0 };
        auto_free char *raw = real_quotes(rows[i].in);
        auto_free char *want = mem_printf("strict decoding error: %s", rows[i].error);
        json_auto_t *o = json_of(raw);
        struct err e;

        assert_int_equal(decode_object(kind_of("Pod"), o, str_of(raw), DECODE_STRICT, &notes, &e),
                         ERR_INVALID);
        assert_string_equal(e.text, want);
    }
}

static void what_strict_finds_is_said_in_full(void **state)
{
    auto_buf raw = BUF(4096);
    auto_decode_notes notes = { 0 };
    struct err e;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(buf_addf(&raw, "%s\"a_long_name_of_a_field_%02d\":1", i ? "," : "{", i),
                         0);
    assert_int_equal(buf_adds(&raw, "}"), 0);
    json_auto_t *o = json_of(buf_cstr(&raw));
    assert_int_equal(decode_object(kind_of("Pod"), o, buf_str(&raw), DECODE_STRICT, &notes, &e),
                     ERR_INVALID);
    auto_free char *text = decode_bad_request(kind_of("Pod"), &notes, &e);
    assert_non_null(strstr(text, "Pod: strict decoding error: unknown field \"a_long"));
    assert_non_null(strstr(text, ", unknown field \"a_long_name_of_a_field_19\""));
}

static void values_become_canonical(void **state)
{
    static const struct {
        const char *kind, *in, *out;
    } rows[] = {
        { "Pod",
          "{'metadata':{'name':'p','labels':{},'creationTimestamp':'2026-11-22T10:00:00+01:00'},"
          "'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':0.5,'memory':'1024Mi'}}"
          ","
          "'stdin':false,'command':null}],'hostNetwork':false,'priority':0,"
          "'terminationGracePeriodSeconds':30.0}}",
          "{'metadata':{'name':'p','creationTimestamp':'2026-11-22T09:00:00Z'},'spec':{'containers'"
          ":"
          "[{'name':'c','resources':{'requests':{'cpu':'500m','memory':'1Gi'}}}],'priority':0,"
          "'terminationGracePeriodSeconds':30},'status':{}}" },
        { "Lease", "{'metadata':{'name':'n'},'spec':{'renewTime':'2026-11-22T09:34:41Z'}}",
          "{'metadata':{'name':'n'},'spec':{'renewTime':'2026-11-22T09:34:41.000000Z'}}" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_decode_notes notes = { 0 };
        json_auto_t *o = json_of(rows[i].in), *want = json_of(rows[i].out);
        struct err e = { 0 };
        assert_int_equal(
            decode_object(kind_of(rows[i].kind), o, STR(""), DECODE_STRICT, &notes, &e), 0);
        auto_free char *text = json_dumps(o, JSON_SORT_KEYS);
        auto_free char *want_text = json_dumps(want, JSON_SORT_KEYS);
        assert_string_equal(text, want_text);
    }
}

/* ---- defaults ---- */

static json_t *defaulted(const char *kind, const char *text)
{
    auto_decode_notes notes = { 0 };
    json_t *o = json_of(text);
    struct err e = { 0 };

    if (decode_object(kind_of(kind), o, STR(""), DECODE_STRICT, &notes, &e))
        fail_msg("%s", e.text);
    defaults_apply(kind_of(kind), o);
    return o;
}

static void pods_get_upstreams_defaults(void **state)
{
    json_auto_t *pod = defaulted(
        "Pod",
        "{'metadata':{'name':'p'},'spec':{'volumes':[{'name':'v'}],'containers':[{'name':'c',"
        "'image':'busybox','ports':[{'containerPort':80}],'resources':{'limits':{'cpu':'1'}},"
        "'livenessProbe':{'httpGet':{'port':80}}}]}}");
    json_auto_t *want = json_of(
        "{'containers':[{'name':'c','image':'busybox','imagePullPolicy':'Always','ports':["
        "{'containerPort':80,'protocol':'TCP'}],'resources':{'limits':{'cpu':'1'},'requests':{'cpu'"
        ":"
        "'1'}},'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File',"
        "'livenessProbe':{'httpGet':{'port':80,'path':'/','scheme':'HTTP'},'timeoutSeconds':1,"
        "'periodSeconds':10,'successThreshold':1,'failureThreshold':3}}],'volumes':[{'name':'v',"
        "'emptyDir':{}}],'restartPolicy':'Always','dnsPolicy':'ClusterFirst',"
        "'terminationGracePeriodSeconds':30,'securityContext':{},'schedulerName':"
        "'default-scheduler','enableServiceLinks':true}");
    (void)state;

    auto_free char *a = json_dumps(json_object_get(pod, "spec"), JSON_SORT_KEYS);
    auto_free char *b = json_dumps(want, JSON_SORT_KEYS);
    assert_string_equal(a, b);
}

static void pull_policy_depends_on_the_tag(void **state)
{
    static const char *const rows[][2] = {
        { "a", "Always" },
        { "a:latest", "Always" },
        { "a:1", "IfNotPresent" },
        { "host:5000/a", "Always" },
        { "host:5000/a:1", "IfNotPresent" },
        { "a@sha256:00", "IfNotPresent" },
        { "a:latest@sha256:00", "IfNotPresent" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf("{'spec':{'containers':[{'image':'%s'}]}}", rows[i][0]);
        json_auto_t *pod = defaulted("Pod", text);
        const json_t *c =
            json_array_get(json_object_get(json_object_get(pod, "spec"), "containers"), 0);
        assert_string_equal(json_string_value(json_object_get(c, "imagePullPolicy")), rows[i][1]);
    }
}

static void other_kinds_get_upstreams_defaults(void **state)
{
    static const struct {
        const char *kind, *in, *out;
    } rows[] = {
        { "Service", "{'spec':{'ports':[{'port':80}]}}",
          "{'metadata':{},'spec':{'ports':[{'port':80,'protocol':'TCP','targetPort':80}],"
          "'sessionAffinity':'None','type':'ClusterIP','internalTrafficPolicy':'Cluster'},"
          "'status':{'loadBalancer':{}}}" },
        { "Secret", "{'data':{'a':'YQ=='},'stringData':{'b':'b'}}",
          "{'metadata':{},'data':{'a':'YQ==','b':'Yg=='},'type':'Opaque'}" },
        { "Namespace", "{'metadata':{'name':'x'}}",
          "{'metadata':{'name':'x','labels':{'kubernetes.io/metadata.name':'x'}},'spec':{},"
          "'status':{'phase':'Active'}}" },
        { "EndpointSlice", "{'addressType':'IPv4','endpoints':[],'ports':[{'port':6443}]}",
          "{'metadata':{},'addressType':'IPv4','endpoints':[],'ports':[{'name':'','port':6443,"
          "'protocol':'TCP'}]}" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *o = defaulted(rows[i].kind, rows[i].in), *want = json_of(rows[i].out);
        auto_free char *a = json_dumps(o, JSON_SORT_KEYS);
        auto_free char *b = json_dumps(want, JSON_SORT_KEYS);
        assert_string_equal(a, b);
    }
}

/* ---- validate ---- */

#define META      "'metadata':{'name':'x','namespace':'default'}"
#define CONTAINER "{'name':'c','image':'i'}"

static void errors_name_the_field_in_upstreams_words(void **state)
{
    static const struct {
        const char *kind, *in, *errors; /* "" for none */
    } rows[] = {
        { "Pod", "{" META ",'spec':{'containers':[" CONTAINER "]}}", "" },
        { "Pod", "{" META ",'spec':{'containers':[]}}", "spec.containers: Required value" },
        { "Pod", "{" META ",'spec':{'containers':[{'name':'c'}]}}",
          "spec.containers[0].image: Required value" },
        { "Pod", "{" META ",'spec':{'containers':[" CONTAINER "," CONTAINER "]}}",
          "spec.containers[1].name: Duplicate value: \"c\"" },
        { "Pod", "{" META ",'spec':{'containers':[" CONTAINER "],'restartPolicy':'x'}}",
          "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", "
          "\"OnFailure\", \"Never\"" },
        { "Pod",
          "{" META ",'spec':{'containers':[{'name':'c','image':'i','volumeMounts':[{'name':'v',"
          "'mountPath':'/v'}]}]}}",
          "spec.containers[0].volumeMounts[0].name: Not found: \"v\"" },
        { "Pod",
          "{" META ",'spec':{'containers':[{'name':'c','image':'i','ports':[{'containerPort':"
          "70000}]}]}}",
          "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and "
          "65535, inclusive" },
        { "Pod",
          "{" META ",'spec':{'containers':[{'name':'c','image':'i','resources':{'limits':{'cpu':"
          "'1'},'requests':{'cpu':'2'}}}]}}",
          "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal "
          "to cpu limit of 1" },
        { "Pod", "{'metadata':{'namespace':'default'},'spec':{'containers':[" CONTAINER "]}}",
          "metadata.name: Required value: name or generateName is required" },
        { "ConfigMap", "{" META ",'data':{'a/b':''}}",
          "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric "
          "characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex "
          "used "
          "for validation is '[-._a-zA-Z0-9]+')" },
        { "ConfigMap", "{'metadata':{'name':'x','namespace':'d','labels':{'a':'-'}}}",
          "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist "
          "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
          "alphanumeric "
          "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
          "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')" },
        { "Service", "{" META ",'spec':{}}", "spec.ports: Required value" },
        { "Service", "{" META ",'spec':{'clusterIP':'None','clusterIPs':['None']}}", "" },
        { "Service", "{" META ",'spec':{'ports':[{'port':1},{'port':2}]}}",
          "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]" },
        { "Node", "{'metadata':{'name':'n','namespace':'x'}}",
          "metadata.namespace: Forbidden: not allowed on this type" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_field_errors fe = { 0 };
        json_auto_t *o = defaulted(rows[i].kind, rows[i].in);
        validate_create(kind_of(rows[i].kind), o, &fe);
        auto_free char *text = field_errors_text(&fe);
        assert_string_equal(text, rows[i].errors);
    }
}

static void updates_keep_what_is_fixed(void **state)
{
    static const struct {
        const char *kind, *old, *now, *errors;
    } rows[] = {
        { "Secret", "{" META ",'type':'a'}", "{" META ",'type':'b'}",
          "type: Invalid value: \"b\": field is immutable" },
        { "ConfigMap", "{" META ",'immutable':true,'data':{'a':'1'}}",
          "{" META ",'immutable':true,'data':{'a':'2'}}",
          "data: Forbidden: field is immutable when `immutable` is set" },
        { "Service",
          "{" META
          ",'spec':{'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],'ports':[{'port':1}]}}",
          "{" META
          ",'spec':{'clusterIP':'10.0.0.2','clusterIPs':['10.0.0.2'],'ports':[{'port':1}]}}",
          "spec.clusterIPs[0]: Invalid value: []string{\"10.0.0.2\"}: may not change once set" },
        { "Pod", "{" META ",'spec':{'containers':[" CONTAINER "]}}",
          "{" META ",'spec':{'containers':[{'name':'c','image':'j','imagePullPolicy':'Always'}]}}",
          "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_field_errors fe = { 0 };
        json_auto_t *old = defaulted(rows[i].kind, rows[i].old);
        json_auto_t *now = defaulted(rows[i].kind, rows[i].now);
        validate_update(kind_of(rows[i].kind), now, old, &fe);
        auto_free char *text = field_errors_text(&fe);
        assert_string_equal(text, rows[i].errors);
    }
}

static void a_pods_spec_is_fixed_but_for_its_images(void **state)
{
    auto_field_errors fe = { 0 };
    json_auto_t *old = defaulted("Pod", "{" META ",'spec':{'containers':[" CONTAINER "]}}");
    json_auto_t *now =
        defaulted("Pod", "{" META ",'spec':{'hostname':'h','containers':[" CONTAINER "]}}");
    (void)state;

    validate_update(kind_of("Pod"), now, old, &fe);
    assert_int_equal(fe.n, 1);
    assert_int_equal(fe.v[0].reason, FIELD_FORBIDDEN);
    assert_string_equal(fe.v[0].field, "spec");
}

static void new_namespaces_are_active_and_finalized(void **state)
{
    json_auto_t *ns = json_of("{'metadata':{'name':'x'},'status':{'phase':'Terminating'}}");
    (void)state;

    defaults_prepare_create(kind_of("Namespace"), ns);
    json_auto_t *want = json_of("{'metadata':{'name':'x'},'spec':{'finalizers':['kubernetes']},"
                                "'status':{'phase':'Active'}}");
    assert_true(json_equal(ns, want));
}

static void generate_name_may_end_in_a_dash(void **state)
{
    auto_field_errors fe = { 0 };
    (void)state;

    assert_true(validate_name(kind_of("Pod"), "web-", true, &fe));
    assert_false(validate_name(kind_of("Pod"), "web-", false, &fe));
    assert_false(validate_name(kind_of("Pod"), "Web", true, &fe));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_types_are_refused_in_upstreams_words),
        cmocka_unit_test(wrong_types_in_a_map_have_their_own_words),
        cmocka_unit_test(unknown_and_duplicate_fields_are_found_with_their_path),
        cmocka_unit_test(unknown_and_duplicate_fields_come_in_the_order_of_the_text),
        cmocka_unit_test(what_strict_finds_is_said_in_full),
        cmocka_unit_test(values_become_canonical),
        cmocka_unit_test(pods_get_upstreams_defaults),
        cmocka_unit_test(pull_policy_depends_on_the_tag),
        cmocka_unit_test(other_kinds_get_upstreams_defaults),
        cmocka_unit_test(errors_name_the_field_in_upstreams_words),
        cmocka_unit_test(updates_keep_what_is_fixed),
        cmocka_unit_test(a_pods_spec_is_fixed_but_for_its_images),
        cmocka_unit_test(new_namespaces_are_active_and_finalized),
        cmocka_unit_test(generate_name_may_end_in_a_dash),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* The form of answers: packed, indented, YAML, and what is refused for its form. */
#include "test/unit/server/api/harness.h"

#include "base/core/mem.h"
#include "base/data/yaml.h"

#include <zlib.h>

#define ADMIN "admin+system:masters"
#define NS    "/api/v1/namespaces/forms/configmaps"
#define META  "g=meta.k8s.io;v=v1"
#define PROTO "application/vnd.kubernetes.protobuf"

static struct harness h;

static void change(const char *method, const char *target, const char *body)
{
    auto_answer a = ask(&h, method, target, body);

    if (a.code >= 300)
        fail_msg("%s %s: %d %s", method, target, a.code, buf_cstr(&a.body));
}

/* 40 objects of 10 kB: several pieces of a list. */
static int setup(void **state)
{
    char value[10001] = { 0 };

    (void)state;
    harness_open(&h, NULL);
    change("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"forms\"}}");
    for (size_t i = 0; i < sizeof value - 1; i++)
        value[i] = (char)('a' + i * i % 23);
    for (int i = 0; i < 40; i++) {
        auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"c%02d\",\"labels\":{\"first\":"
                                          "\"%s\"}},\"data\":{\"v\":\"%s\"}}",
                                          i, i ? "no" : "yes", value);

        change("POST", NS, body);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

static struct answer get(const char *target, const char *name, const char *value)
{
    struct http_header header = { str_of(name), str_of(value) };

    return ask_with(&h, ADMIN, "GET", target, &header, 1, STR(""));
}

static void unpack(struct buf *out, const struct buf *packed)
{
    z_stream z = { .next_in = (Bytef *)packed->p, .avail_in = (uInt)packed->n };

    assert_int_equal(buf_reserve(out, 4 * 1024 * 1024), 0);
    z.next_out = (Bytef *)out->p;
    z.avail_out = 4 * 1024 * 1024;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    out->n = z.total_out;
    inflateEnd(&z);
}

static void long_answers_are_packed_for_who_takes_it(void **state)
{
    static const struct {
        const char *target, *encodings;
        bool packed;
    } rows[] = {
        { NS, "gzip", true },
        { NS, "deflate, gzip , br", true },
        { NS, "gzip;q=1", false }, /* upstream knows the bare word */
        { NS, "identity", false },
        { NS "?limit=12", "gzip", false }, /* 120 kB */
        { NS "?limit=14", "gzip", true },
        { NS "/c00", "gzip", false },
        { NS "?pretty=true", "gzip", true }, /* all at once */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer plain = get(rows[i].target, "Accept", "application/json");
        auto_answer a = get(rows[i].target, "Accept-Encoding", rows[i].encodings);
        auto_buf text = BUF(4 * 1024 * 1024);

        assert_int_equal(a.code, 200);
        assert_string_equal(a.type, "application/json");
        assert_string_equal(a.encoding, rows[i].packed ? "gzip" : "");
        assert_string_equal(a.vary, rows[i].packed ? "Accept-Encoding" : "");
        if (rows[i].packed)
            unpack(&text, &a.body);
        else
            assert_int_equal(buf_add_str(&text, buf_str(&a.body)), 0);
        assert_true(str_eq(buf_str(&text), buf_str(&plain.body)));
        if (rows[i].packed)
            assert_true(a.body.n < plain.body.n);
    }
}

static void protobuf_is_packed_too(void **state)
{
    struct http_header headers[] = { { STR("Accept"), STR(PROTO) },
                                     { STR("Accept-Encoding"), STR("gzip") } };
    auto_buf text = BUF(4 * 1024 * 1024);

    (void)state;
    auto_answer plain = get(NS, "Accept", PROTO);
    auto_answer a = ask_with(&h, ADMIN, "GET", NS, headers, 2, STR(""));
    assert_string_equal(a.type, PROTO);
    assert_string_equal(a.encoding, "gzip");
    unpack(&text, &a.body);
    assert_true(str_eq(buf_str(&text), buf_str(&plain.body)));
}

static void readers_get_indents(void **state)
{
    static const struct {
        const char *target, *name, *value;
        bool pretty;
    } rows[] = {
        { NS "/c00", "Accept", "application/json", false },
        { NS "/c00?pretty=true", "Accept", "application/json", true },
        { NS "/c00?pretty=1", "Accept", "application/json", true },
        { NS "/c00?pretty=yes", "Accept", "application/json", false },
        { NS "/c00", "Accept", "application/json;pretty=1", true },
        { NS "/c00", "User-Agent", "curl/7.88.1", true },
        { NS "/c00", "User-Agent", "Mozilla/5.0 (X11)", true },
        { NS "/c00", "User-Agent", "kubectl/v1.32.0", false },
        { NS "/c00?pretty=false", "User-Agent", "curl/7.88.1", false },
        { NS "/none", "User-Agent", "curl/7.88.1", true },
        { NS "?limit=3", "User-Agent", "curl/7.88.1", true },
        { NS, "User-Agent", "Wget/1.21", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = get(rows[i].target, rows[i].name, rows[i].value);

        assert_non_null(a.doc);
        if ((strstr(buf_cstr(&a.body), "\n  \"") != NULL) != rows[i].pretty)
            fail_msg("%s %s: %.200s", rows[i].target, rows[i].value, buf_cstr(&a.body));
    }
}

static void answers_come_as_yaml(void **state)
{
    static const char *const targets[] = { NS "/c00", NS "?limit=2", NS, NS "/none",
                                           NS "?limit=x" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        auto_answer json = get(targets[i], "Accept", "application/json");
        auto_answer yaml = get(targets[i], "Accept", "application/yaml");
        json_auto_t *doc = NULL;
        struct err e = { 0 };

        assert_int_equal(yaml.code, json.code);
        assert_string_equal(yaml.type, "application/yaml");
        if (yaml_parse(&doc, buf_str(&yaml.body), &e))
            fail_msg("%s: %s", targets[i], e.text);
        assert_true(json_equal(doc, json.doc));
        assert_null(yaml.doc);
    }
    auto_answer table = get(NS "?limit=1", "Accept", "application/yaml;as=Table;" META);
    assert_true(str_starts(buf_str(&table.body), STR("apiVersion: meta.k8s.io/v1\n")));
    assert_non_null(strstr(buf_cstr(&table.body), "\nkind: Table\n"));
}

static void the_beta_of_tables_and_metadata_says_so(void **state)
{
#define BETA "g=meta.k8s.io;v=v1beta1"
    static const struct {
        const char *target, *as, *path, *want;
    } rows[] = {
        { NS "?limit=1", "Table", "apiVersion", "meta.k8s.io/v1beta1" },
        { NS "?limit=1", "Table", "kind", "Table" },
        { NS "?limit=1", "Table", "rows[0].object.apiVersion", "meta.k8s.io/v1beta1" },
        { NS "/c00", "Table", "apiVersion", "meta.k8s.io/v1beta1" },
        { NS "/c00", "Table", "rows[0].object.apiVersion", "meta.k8s.io/v1beta1" },
        { NS "/c00?includeObject=Object", "Table", "rows[0].object.apiVersion", "v1" },
        { NS "/c00", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1beta1" },
        { NS "?limit=1", "PartialObjectMetadataList", "apiVersion", "meta.k8s.io/v1beta1" },
        { NS "?limit=1", "PartialObjectMetadataList", "items[0].apiVersion",
          "meta.k8s.io/v1beta1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *accept = mem_printf("application/json;as=%s;" BETA, rows[i].as);
        auto_answer a = get(rows[i].target, "Accept", accept);

        if (strcmp(json_str_at(a.doc, rows[i].path, ""), rows[i].want) != 0)
            fail_msg("%s %s: %d %.300s", rows[i].target, rows[i].as, a.code, buf_cstr(&a.body));
    }
}

static void other_forms_are_406(void **state)
{
#define ALL                                                                                        \
    "only the following media types are accepted: application/json, application/yaml, "            \
    "application/vnd.kubernetes.protobuf"
    static const struct {
        const char *target, *accept;
        int code;
        const char *message;
    } rows[] = {
        { NS, "text/html", 406, ALL },
        { NS, "application/json;as=Table;g=meta.k8s.io;v=v1alpha1", 406, ALL },
        { NS, PROTO ";as=Table;" META, 406, ALL },
        { NS "?watch=1&timeoutSeconds=1", "application/yaml", 406,
          "only the following media types are accepted: application/json;stream=watch, "
          "application/vnd.kubernetes.protobuf;stream=watch" },
        { NS, "application/json;as=PartialObjectMetadata;" META, 406,
          "you requested PartialObjectMetadata, but the requested object is a list "
          "(*core.ConfigMapList)" },
        { NS "/c00", "application/json;as=PartialObjectMetadataList;" META, 406,
          "you requested PartialObjectMetadataList, but the requested object is not a list "
          "(*core.ConfigMap)" },
        { NS "/c00", "application/json;as=PartialObjectMetadata;" META, 200, NULL },
        { NS, "application/json;as=PartialObjectMetadataList;" META, 200, NULL },
        { NS, "text/html, */*;q=0.1", 200, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = get(rows[i].target, "Accept", rows[i].accept);

        if (a.code != rows[i].code ||
            (rows[i].message && strcmp(json_str_at(a.doc, "message", ""), rows[i].message) != 0))
            fail_msg("%s %s: %d %.300s", rows[i].target, rows[i].accept, a.code, buf_cstr(&a.body));
        if (a.code == 406)
            assert_string_equal(json_str_at(a.doc, "reason", ""), "NotAcceptable");
    }
}

static void bodies_of_other_types_are_415(void **state)
{
    static const char body[] = "{\"metadata\":{\"name\":\"typed\"}}";
    static const struct {
        const char *method, *target, *type;
        int code;
        const char *message;
    } rows[] = {
        { "POST", NS "?dryRun=All", "application/json; charset=utf-8", 201, NULL },
        { "POST", NS "?dryRun=All", "application/yaml;charset=utf-8", 201, NULL },
        { "POST", NS, "text/plain", 415,
          "the body of the request was in an unknown format - accepted media types include: "
          "application/json, application/yaml, application/vnd.kubernetes.protobuf" },
        { "POST", NS, "application/merge-patch+json", 415, NULL },
        { "PATCH", NS "/c00", "application/json", 415,
          "the body of the request was in an unknown format - accepted media types include: "
          "application/json-patch+json, application/merge-patch+json, "
          "application/strategic-merge-patch+json, application/apply-patch+yaml" },
        { "PATCH", NS "/c01", "application/merge-patch+json; charset=utf-8", 400, NULL }, /* name */
        { "POST", NS, PROTO, 400, NULL }, /* it is JSON */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_header type = { STR("Content-Type"), str_of(rows[i].type) };
        auto_answer a = ask_with(&h, ADMIN, rows[i].method, rows[i].target, &type, 1, str_of(body));

        if (a.code != rows[i].code ||
            (rows[i].message && strcmp(json_str_at(a.doc, "message", ""), rows[i].message) != 0))
            fail_msg("%s %s: %d %.300s", rows[i].method, rows[i].type, a.code, buf_cstr(&a.body));
        if (a.code == 415)
            assert_string_equal(json_str_at(a.doc, "reason", ""), "UnsupportedMediaType");
    }
    /* upstream does not unpack bodies either: it is no JSON */
    struct http_header packed[] = { { STR("Content-Type"), STR("application/json") },
                                    { STR("Content-Encoding"), STR("gzip") } };
    auto_answer a = ask_with(&h, ADMIN, "POST", NS, packed, 2, str_n("\x1f\x8b\x08\0\0\0", 6));
    assert_int_equal(a.code, 400);
}

static void wrong_methods_name_the_right_ones(void **state)
{
    static const struct {
        const char *method, *target, *allow;
    } rows[] = {
        { "PUT", NS, "DELETE, GET, POST" },
        { "POST", NS "/c00", "DELETE, GET, PATCH, PUT" },
        { "OPTIONS", NS "/c00", "DELETE, GET, PATCH, PUT" },
        { "DELETE", "/api/v1/configmaps", "GET" },
        { "DELETE", "/api/v1/namespaces/forms/pods/p/status", "GET, PATCH, PUT" },
        { "PUT", "/api/v1/watch/namespaces/forms/configmaps/c00", "DELETE, GET, PATCH, PUT" },
        { "POST", "/version", "" },
        { "OPTIONS", "/version", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, rows[i].method, rows[i].target, NULL);

        if (a.code != 405 || strcmp(a.allow, rows[i].allow) != 0)
            fail_msg("%s %s: %d, Allow: %s", rows[i].method, rows[i].target, a.code, a.allow);
        assert_string_equal(json_str_at(a.doc, "reason", ""), "MethodNotAllowed");
        assert_string_equal(json_str_at(a.doc, "message", ""),
                            "the server does not allow this method on the requested resource");
    }
}

static void heads_have_no_body(void **state)
{
    static const char *const targets[] = { NS "/c00", NS "?limit=2", "/readyz", NS,
                                           NS "?watch=1" }; /* a watch would not end */

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        auto_answer a = ask(&h, "HEAD", targets[i], NULL);

        assert_int_equal(a.code, 200);
        assert_int_equal(a.body.n, 0);
        auto_answer next = ask(&h, "GET", "/version", NULL); /* on the same connection */
        assert_int_equal(next.code, 200);
    }
}

static void paths_lead_somewhere_or_nowhere(void **state)
{
    static const struct {
        const char *target;
        int code;
        bool plain;
    } rows[] = {
        { NS "/c00/", 200, false },
        { NS "/?limit=1", 200, false },
        { "/api/v1/", 200, false },
        { "/nothing", 404, true },
        { "/apis/none.example.com", 404, true },
        { "/apis/none.example.com/v1/things", 404, true },
        { "/apis/none.example.com/v1/namespaces/a/things/b", 404, true },
        { "/apis/apps/v9/deployments", 404, false },
        { "/apis/apps/v1/things", 404, false },
        { "/api/v1/things", 404, false },
        { "/api/v9/pods", 404, false },
        { "/api/v1/namespaces/forms/nodes", 404, false },
        { "/api/v1//pods", 404, false },
        { "/api//v1/pods", 404, false },
        { "/apis//v1/pods/x", 404, true },
        { "//nothing", 404, true },
        { NS "/c00/unknown", 404, false },
        { "/readyz/none", 404, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, "GET", rows[i].target, NULL);

        if (a.code != rows[i].code || (a.doc == NULL) != rows[i].plain)
            fail_msg("%s: %d %.200s", rows[i].target, a.code, buf_cstr(&a.body));
        if (rows[i].plain)
            assert_string_equal(buf_cstr(&a.body), "404 page not found\n");
    }
}

/* The name of an unknown field travels in a header. */
static void warnings_fit_into_a_header(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "POST", NS "?dryRun=All",
                        "{\"metadata\":{\"name\":\"w\"},\"a\x7f\\n\\u0001\\\"b\":1}");
    assert_int_equal(a.code, 201);
    assert_string_equal(a.warning, "299 - \"unknown field \\\"a?\\n\\u0001\\\"b\\\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_answers_are_packed_for_who_takes_it),
        cmocka_unit_test(protobuf_is_packed_too),
        cmocka_unit_test(readers_get_indents),
        cmocka_unit_test(answers_come_as_yaml),
        cmocka_unit_test(the_beta_of_tables_and_metadata_says_so),
        cmocka_unit_test(other_forms_are_406),
        cmocka_unit_test(bodies_of_other_types_are_415),
        cmocka_unit_test(wrong_methods_name_the_right_ones),
        cmocka_unit_test(heads_have_no_body),
        cmocka_unit_test(paths_lead_somewhere_or_nowhere),
        cmocka_unit_test(warnings_fit_into_a_header),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* What a delete may be told, and what becomes of it. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <stdio.h>

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

#define CM "/api/v1/namespaces/default/configmaps"

static void make_map(const char *name)
{
    auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"%s\"}}", name);

    expect(ask(&h, "POST", CM, body), 201, NULL, NULL);
}

static void wrong_options_are_refused_as_upstream(void **state)
{
    static const struct {
        const char *query, *body;
        int code;
        const char *message;
    } rows[] = {
        { "?propagationPolicy=Sideways", NULL, 422,
          "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
          "\"Sideways\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"" },
        { "", "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}", 422,
          "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: "
          "\"Orphan\": orphanDependents and deletionPropagation cannot be both set" },
        { "", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 400, NULL },
        { "", "{\"preconditions\":{\"uid\":\"u\"}}", 409, NULL },
        { "", "{\"preconditions\":{\"resourceVersion\":\"1\"}}", 409, NULL },
    };

    (void)state;
    make_map("options");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf(CM "/options%s", rows[i].query);

        expect(ask(&h, "DELETE", target, rows[i].body), rows[i].code,
               rows[i].message ? "message" : NULL, rows[i].message);
    }
    auto_answer was = ask(&h, "GET", CM "/options", NULL);
    auto_answer a = ask(&h, "DELETE", CM "/options", "{\"preconditions\":{\"uid\":\"u\"}}");
    auto_free char *want = mem_printf(
        "Operation cannot be fulfilled on ConfigMap \"options\": the UID in the precondition (u) "
        "does not match the UID in record (%s). The object might have been deleted and then "
        "recreated",
        at(&was, "metadata.uid"));
    assert_string_equal(at(&a, "message"), want);
}

static void propagation_becomes_a_finalizer(void **state)
{
    static const struct {
        const char *query, *body;
        int code;
        const char *finalizer; /* "": the object is gone */
    } rows[] = {
        { "", NULL, 200, "" },
        { "?propagationPolicy=Background", NULL, 200, "" },
        { "?propagationPolicy=Foreground", NULL, 200, "foregroundDeletion" },
        { "?propagationPolicy=Orphan", NULL, 200, "orphan" },
        { "?orphanDependents=true", NULL, 200, "orphan" },
        { "?orphanDependents=false", NULL, 200, "" },
        { "", "{\"propagationPolicy\":\"Foreground\"}", 200, "foregroundDeletion" },
        { "", "{\"orphanDependents\":true}", 200, "orphan" },
        /* a body hides the query */
        { "?propagationPolicy=Orphan", "{\"propagationPolicy\":\"Background\"}", 200, "" },
        { "?dryRun=All&propagationPolicy=Orphan", NULL, 200, "orphan" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *name = mem_printf("p-%zu", i);
        auto_free char *one = mem_printf(CM "/%s", name);
        auto_free char *target = mem_printf("%s%s", one, rows[i].query);
        bool dry = strstr(rows[i].query, "dryRun") != NULL;

        make_map(name);
        auto_answer a = ask(&h, "DELETE", target, rows[i].body);
        if (a.code != rows[i].code ||
            strcmp(at(&a, "metadata.finalizers[0]"), rows[i].finalizer) != 0)
            fail_msg("%s %s: %d %s", target, rows[i].body ? rows[i].body : "", a.code,
                     buf_cstr(&a.body));
        auto_answer b = ask(&h, "GET", one, NULL);
        assert_int_equal(b.code, *rows[i].finalizer || dry ? 200 : 404);
        assert_true((*at(&b, "metadata.deletionTimestamp") != '\0') == (b.code == 200 && !dry));
    }
}

static void a_second_delete_may_change_its_mind(void **state)
{
    (void)state;
    expect(ask(&h, "POST", CM,
               "{\"metadata\":{\"name\":\"mind\",\"finalizers\":[\"a/b\",\"orphan\"]}}"),
           201, NULL, NULL);
    auto_answer a = ask(&h, "DELETE", CM "/mind", "{\"propagationPolicy\":\"Foreground\"}");
    assert_string_equal(at(&a, "metadata.finalizers[0]"), "a/b");
    assert_string_equal(at(&a, "metadata.finalizers[1]"), "foregroundDeletion");
    auto_answer same = ask(&h, "DELETE", CM "/mind", NULL); /* what is there counts */
    assert_string_equal(at(&same, "metadata.resourceVersion"), at(&a, "metadata.resourceVersion"));
    auto_answer b = ask(&h, "DELETE", CM "/mind", "{\"orphanDependents\":false}");
    assert_int_equal(b.code, 202);
    assert_string_equal(at(&b, "metadata.finalizers[1]"), "");
    expect(ask(&h, "PATCH", CM "/mind", "{\"metadata\":{\"finalizers\":null}}"), 200, NULL, NULL);
    expect(ask(&h, "GET", CM "/mind", NULL), 404, NULL, NULL);
}

static void some_kinds_leave_their_dependents_by_default(void **state)
{
    (void)state;
    expect(ask(&h, "POST", "/apis/batch/v1/namespaces/default/jobs",
               "{\"metadata\":{\"name\":\"j\"},\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":"
               "\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"busybox\"}]}}}}"),
           201, NULL, NULL);
    expect(ask(&h, "DELETE", "/apis/batch/v1/namespaces/default/jobs/j", NULL), 200,
           "metadata.finalizers[0]", "orphan");
    expect(ask(&h, "POST", "/api/v1/namespaces/default/events",
               "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"namespace\":\"default\"}}"),
           201, NULL, NULL);
    expect(ask(&h, "DELETE", "/api/v1/namespaces/default/events/e?propagationPolicy=Orphan", NULL),
           200, "status", "Success");
}

static void a_collection_goes_as_far_as_it_was_asked_to(void **state)
{
    static const char many[] = "/api/v1/namespaces/many/configmaps";

    (void)state;
    expect(ask(&h, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"many\"}}"), 201, NULL,
           NULL);
    for (int i = 0; i < 40; i++) {
        auto_free char *body =
            mem_printf("{\"metadata\":{\"name\":\"m%02d\",\"labels\":{\"odd\":\"%d\"}}}", i, i % 2);
        expect(ask(&h, "POST", many, body), 201, NULL, NULL);
    }
    auto_free char *odd = mem_printf("%s?labelSelector=odd%%3D1&limit=5", many);
    auto_answer a = ask(&h, "DELETE", odd, NULL);
    assert_int_equal(a.code, 200);
    assert_int_equal(json_array_size(json_at(a.doc, "items")), 5);
    assert_true(*at(&a, "metadata.continue") != '\0');
    auto_answer left = ask(&h, "GET", many, NULL);
    assert_int_equal(json_array_size(json_at(left.doc, "items")), 35);
    expect(ask(&h, "DELETE", many, "{\"propagationPolicy\":\"Orphan\"}"), 200, NULL, NULL);
    auto_answer marked = ask(&h, "GET", many, NULL);
    assert_int_equal(json_array_size(json_at(marked.doc, "items")), 35);
    assert_string_equal(at(&marked, "items[34].metadata.finalizers[0]"), "orphan");
    expect(ask(&h, "DELETE", many, "{\"propagationPolicy\":\"Background\"}"), 200, NULL, NULL);
    auto_answer none = ask(&h, "GET", many, NULL);
    assert_int_equal(json_array_size(json_at(none.doc, "items")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_options_are_refused_as_upstream),
        cmocka_unit_test(propagation_becomes_a_finalizer),
        cmocka_unit_test(a_second_delete_may_change_its_mind),
        cmocka_unit_test(some_kinds_leave_their_dependents_by_default),
        cmocka_unit_test(a_collection_goes_as_far_as_it_was_asked_to),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

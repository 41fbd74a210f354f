/* What the parameters of each verb may be, and in which words others are refused. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#define ADMIN "admin+system:masters"
#define CM    "/api/v1/namespaces/default/configmaps"
#define PODS  "/api/v1/namespaces/default/pods"

static void change(const char *method, const char *target, const char *body)
{
    auto_answer a = ask(&h, method, target, body);

    if (a.code >= 300)
        fail_msg("%s %s: %d %s", method, target, a.code, buf_cstr(&a.body));
}

struct row {
    const char *query;
    int code; /* 200: no message */
    const char *message;
};

static void expect_rows(const char *path, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        auto_free char *target = mem_printf("%s%s", path, rows[i].query);
        auto_answer a = ask(&h, "GET", target, NULL);
        const char *text = json_str_at(a.doc, "message", "");

        if (a.code != rows[i].code || (rows[i].message && strcmp(text, rows[i].message) != 0))
            fail_msg("%s: %d %s", rows[i].query, a.code, buf_cstr(&a.body));
    }
}

#define INVALID(what_) "ListOptions.meta.k8s.io \"\" is invalid: " what_
#define MATCH          "resourceVersionMatch: "

static void lists_take_what_upstream_takes(void **state)
{
    static const struct row rows[] = {
        { "?resourceVersion=0", 200, NULL },
        { "?resourceVersion=", 200, NULL },
        { "?resourceVersion=1&resourceVersionMatch=NotOlderThan", 200, NULL },
        { "?resourceVersion=0&resourceVersionMatch=NotOlderThan", 200, NULL },
        { "?resourceVersionMatch=", 200, NULL },
        { "?limit=-1", 200, NULL },
        { "?resourceVersionMatch=Exact", 422,
          INVALID(MATCH "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                        "provided") },
        { "?resourceVersion=0&resourceVersionMatch=Exact", 422,
          INVALID(MATCH "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
                        "resourceVersion \"0\"") },
        { "?resourceVersion=1&resourceVersionMatch=Other", 422,
          INVALID(MATCH "Unsupported value: \"Other\": supported values: \"Exact\", "
                        "\"NotOlderThan\", \"\"") },
        { "?resourceVersion=1&resourceVersionMatch=Exact&continue=x", 422,
          INVALID(MATCH "Forbidden: resourceVersionMatch is forbidden when continue is "
                        "provided") },
        { "?resourceVersionMatch=Other", 422,
          INVALID("[" MATCH "Forbidden: resourceVersionMatch is forbidden unless resourceVersion "
                  "is provided, " MATCH "Unsupported value: \"Other\": supported values: "
                  "\"Exact\", \"NotOlderThan\", \"\"]") },
        { "?sendInitialEvents=true", 422,
          INVALID("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list") },
        { "?resourceVersion=1&continue=x", 400,
          "specifying resource version is not allowed when using continue" },
        { "?continue=%3F", 400, "invalid continue token: continue key is not valid" },
        { "?resourceVersion=abc", 400,
          "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: "
          "parsing \"abc\": invalid syntax" },
        { "?resourceVersion=99999999999999999999", 400,
          "invalid resource version: resourceVersion: Invalid value: \"99999999999999999999\": "
          "strconv.ParseUint: parsing \"99999999999999999999\": value out of range" },
        { "?limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "?timeout=x", 400,
          "invalid timeout specified in the request URL - time: invalid duration \"x\"" },
        { "?timeout=30s&timeoutSeconds=3", 200, NULL },
        { "?fieldSelector=a", 400, "invalid selector: 'a'; can't understand 'a'" },
        { "?fieldSelector=spec.x%3D1", 400,
          "\"spec.x\" is not a known field selector: only \"metadata.name\", "
          "\"metadata.namespace\"" },
        { "?labelSelector=a%20b", 400,
          "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
        { "?labelSelector=a%20in%20b", 400,
          "unable to parse requirement: found 'b', expected: '('" },
        { "?labelSelector=%3Da", 400,
          "unable to parse requirement: found '=', expected: !, identifier, or 'end of string'" },
    };

    (void)state;
    expect_rows(CM, rows, ARRAY_LEN(rows));
    auto_answer a = ask(&h, "GET", CM "?resourceVersion=0&resourceVersionMatch=Exact", NULL);
    assert_string_equal(json_str_at(a.doc, "details.group", ""), "meta.k8s.io");
    assert_string_equal(json_str_at(a.doc, "details.kind", ""), "ListOptions");
    assert_string_equal(json_str_at(a.doc, "details.causes[0].field", ""), "resourceVersionMatch");
    auto_answer pod = ask(&h, "GET", PODS "?fieldSelector=spec.x%3D1", NULL);
    assert_string_equal(json_str_at(pod.doc, "message", ""), "field label not supported: spec.x");
    auto_answer job =
        ask(&h, "GET", "/apis/batch/v1/namespaces/default/jobs?fieldSelector=spec.x%3D1", NULL);
    assert_string_equal(json_str_at(job.doc, "message", ""),
                        "field label \"spec.x\" not supported for Job");
}

static void watches_take_what_upstream_takes(void **state)
{
    static const struct row rows[] = {
        { "&sendInitialEvents=true", 422,
          INVALID(MATCH "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                        "NotOlderThan") },
        { "&sendInitialEvents=false", 422,
          INVALID(MATCH "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                        "NotOlderThan") },
        { "&resourceVersionMatch=NotOlderThan", 422,
          INVALID(MATCH "Forbidden: resourceVersionMatch is forbidden for watch unless "
                        "sendInitialEvents is provided") },
        { "&sendInitialEvents=true&resourceVersionMatch=Exact", 422,
          INVALID("[" MATCH "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                  "NotOlderThan, " MATCH "Unsupported value: \"Exact\": supported values: "
                  "\"NotOlderThan\"]") },
        { "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x", 422,
          INVALID(MATCH "Forbidden: resourceVersionMatch is forbidden when continue is "
                        "provided") },
        { "&resourceVersion=abc", 422,
          "configmaps \"\" is invalid: resourceVersion: Invalid value: \"abc\": "
          "strconv.ParseUint: parsing \"abc\": invalid syntax" },
        { "&timeoutSeconds=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "&labelSelector=a%20b", 400,
          "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
        { "&timeoutSeconds=-1", 200, NULL },
        { "&timeout=x&timeoutSeconds=-1", 200, NULL }, /* long-running: it has no deadline */
        { "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1", 200, NULL },
    };

    (void)state;
    expect_rows(CM "?watch=1", rows, ARRAY_LEN(rows));
}

static void a_version_from_the_future_is_504(void **state)
{
    static const char *const queries[] = { "?resourceVersion=99999999",
                                           "?resourceVersion=99999999&resourceVersionMatch=Exact",
                                           "?watch=1&resourceVersion=99999999",
                                           "/a?"
                                           "resourceVersion=99999999" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        auto_free char *target = mem_printf(CM "%s", queries[i]);
        auto_answer a = ask(&h, "GET", target, NULL);

        assert_int_equal(a.code, 504);
        assert_string_equal(json_str_at(a.doc, "reason", ""), "Timeout");
        assert_true(str_starts(str_of(json_str_at(a.doc, "message", "")),
                               STR("Timeout: Too large resource version: 99999999, current: ")));
        assert_string_equal(json_str_at(a.doc, "details.causes[0].reason", ""),
                            "ResourceVersionTooLarge");
        assert_string_equal(json_str_at(a.doc, "details.causes[0].message", ""),
                            "Too large resource version");
        assert_int_equal(json_i64_at(a.doc, "details.retryAfterSeconds", 0), 1);
        assert_string_equal(a.retry_after, "1");
    }
}

static void writes_name_their_options(void **state)
{
    static const struct {
        const char *method, *target;
        int code;
        const char *message;
    } rows[] = {
        { "POST", CM "?dryRun=Some", 422,
          "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: "
          "[]string{\"Some\"}: supported values: \"All\"" },
        { "PUT", CM "/a?dryRun=", 422,
          "UpdateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"\"}: "
          "supported values: \"All\"" },
        { "PATCH", CM "/a?dryRun=all", 422,
          "PatchOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"all\"}: "
          "supported values: \"All\"" },
        { "DELETE", CM "/a?dryRun=1", 422,
          "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"1\"}: "
          "supported values: \"All\"" },
        { "DELETE", CM "?dryRun=1", 422, NULL },
        { "POST", CM "?fieldValidation=strict", 422,
          "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: "
          "\"strict\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"" },
        { "POST",
          CM "?fieldManager=0123456789012345678901234567890123456789012345678901234567890123456789"
             "01234567890123456789012345678901234567890123456789012345678",
          422,
          "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than "
          "128 bytes" },
        { "DELETE", CM "/a?gracePeriodSeconds=x", 400,
          "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "DELETE", CM "?limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "POST", CM "?limit=x&dryRun=All", 201, NULL }, /* not a create's */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a =
            ask(&h, rows[i].method, rows[i].target, "{\"metadata\":{\"name\":\"options\"}}");

        if (a.code != rows[i].code ||
            (rows[i].message && strcmp(json_str_at(a.doc, "message", ""), rows[i].message) != 0))
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].target, a.code, buf_cstr(&a.body));
    }
}

static void tables_include_what_they_may(void **state)
{
    static const char table[] = "application/json;as=Table;v=v1;g=meta.k8s.io";

    (void)state;
    auto_answer bad = ask_as(&h, ADMIN, "GET", CM "?includeObject=All", NULL, table, NULL);
    assert_int_equal(bad.code, 400);
    assert_string_equal(json_str_at(bad.doc, "message", ""),
                        "Unable to convert to Table as requested: includeObject: Invalid value: "
                        "\"All\": must be 'Metadata', 'Object', 'None', or empty");
    auto_answer no_table = ask(&h, "GET", CM "?includeObject=All", NULL);
    assert_int_equal(no_table.code, 200);
}

/* ---- consistent pages ---- */

static void on_compacted(void *arg, const struct err *e)
{
    assert_null(e);
    *(bool *)arg = true;
}

static void compact(void)
{
    h.flag = false;
    store_compact(h.store, store_revision(h.store), on_compacted, &h.flag);
    harness_wait(&h, &h.flag);
}

static void pages_are_of_one_moment(void **state)
{
    char body[64];

    (void)state;
    change("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"pages\"}}");
    for (int i = 0; i < 6; i++) {
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"p%d\"}}", i);
        change("POST", "/api/v1/namespaces/pages/configmaps", body);
    }
    auto_answer one = ask(&h, "GET", "/api/v1/namespaces/pages/configmaps?limit=2", NULL);
    const char *token = json_str_at(one.doc, "metadata.continue", "");
    assert_true(*token);
    assert_int_equal(json_i64_at(one.doc, "metadata.remainingItemCount", -1), 4);
    /* what happens now is not in the pages that follow */
    change("DELETE", "/api/v1/namespaces/pages/configmaps/p3", NULL);
    change("POST", "/api/v1/namespaces/pages/configmaps", "{\"metadata\":{\"name\":\"p2a\"}}");
    auto_free char *next =
        mem_printf("/api/v1/namespaces/pages/configmaps?limit=10&continue=%s", token);
    auto_answer two = ask(&h, "GET", next, NULL);
    assert_int_equal(json_array_size(json_at(two.doc, "items")), 4);
    assert_string_equal(json_str_at(two.doc, "items[1].metadata.name", ""), "p3");
    assert_string_equal(json_str_at(two.doc, "metadata.resourceVersion", "a"),
                        json_str_at(one.doc, "metadata.resourceVersion", "b"));
    assert_null(json_at(two.doc, "metadata.continue"));
    assert_null(json_at(two.doc, "metadata.remainingItemCount"));
    auto_answer exact = ask(&h, "GET", "/api/v1/namespaces/pages/configmaps", NULL);
    assert_int_equal(json_array_size(json_at(exact.doc, "items")), 6);

    /* a moment that is forgotten: 410, with a token for the rest as it is now */
    compact();
    auto_answer gone = ask(&h, "GET", next, NULL);
    assert_int_equal(gone.code, 410);
    assert_string_equal(json_str_at(gone.doc, "reason", ""), "Expired");
    assert_true(str_starts(str_of(json_str_at(gone.doc, "message", "")),
                           STR("The provided continue parameter is too old to display a "
                               "consistent list result. You can start a new list without the "
                               "continue parameter, or use the continue token in this response")));
    auto_free char *rest = mem_printf("/api/v1/namespaces/pages/configmaps?limit=2&continue=%s",
                                      json_str_at(gone.doc, "metadata.continue", ""));
    auto_answer now = ask(&h, "GET", rest, NULL);
    assert_int_equal(now.code, 200);
    assert_string_equal(json_str_at(now.doc, "items[0].metadata.name", ""), "p2");
    assert_string_equal(json_str_at(now.doc, "items[1].metadata.name", ""), "p2a");
    assert_int_equal(json_i64_at(now.doc, "metadata.remainingItemCount", -1), 2);
    auto_free char *exact_old = mem_printf("/api/v1/namespaces/pages/configmaps?"
                                           "resourceVersionMatch=Exact&resourceVersion=%s",
                                           json_str_at(one.doc, "metadata.resourceVersion", ""));
    auto_answer old = ask(&h, "GET", exact_old, NULL);
    assert_int_equal(old.code, 410);
    assert_string_equal(json_str_at(old.doc, "message", ""),
                        "The resourceVersion for the provided list is too old.");
}

static void exact_lists_are_of_their_version(void **state)
{
    (void)state;
    change("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"exact\"}}");
    change("POST", "/api/v1/namespaces/exact/configmaps", "{\"metadata\":{\"name\":\"a\"}}");
    auto_answer one = ask(&h, "GET", "/api/v1/namespaces/exact/configmaps", NULL);
    const char *rv = json_str_at(one.doc, "metadata.resourceVersion", "");
    change("POST", "/api/v1/namespaces/exact/configmaps", "{\"metadata\":{\"name\":\"b\"}}");
    static const struct {
        const char *query;
        size_t n;
    } rows[] = {
        { "resourceVersionMatch=Exact", 1 },
        { "resourceVersionMatch=NotOlderThan", 2 },
        { "limit=5", 1 }, /* the old meaning of limit with a version */
        { "limit=5&resourceVersionMatch=NotOlderThan", 2 },
        { "labelSelector=!x", 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf("/api/v1/namespaces/exact/configmaps?%s&"
                                            "resourceVersion=%s",
                                            rows[i].query, rv);
        auto_answer a = ask(&h, "GET", target, NULL);

        if (a.code != 200 || json_array_size(json_at(a.doc, "items")) != rows[i].n)
            fail_msg("%s: %d %s", rows[i].query, a.code, buf_cstr(&a.body));
    }
}

/* ---- watches ---- */

/* Of events that are in memory even when they are compacted. */
static void push_out_of_the_window(void)
{
    enum { BYTES = 900 * 1000 };
    auto_free char *value = mem_alloc(BYTES + 1);

    memset(value, 'x', BYTES);
    for (int i = 0; i < 6; i++) {
        auto_free char *body =
            mem_printf("{\"metadata\":{\"name\":\"large%d\"},\"data\":{\"v\":\"%s\"}}", i, value);

        change("POST", CM, body);
        auto_free char *target = mem_printf(CM "/large%d", i);
        change("DELETE", target, NULL);
    }
}

static void a_watch_begins_at_any_version_that_is_left(void **state)
{
    struct lines l;

    (void)state;
    change("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"any\"}}");
    auto_answer at = ask(&h, "GET", "/api/v1/namespaces/any/configmaps", NULL);
    const char *rv = json_str_at(at.doc, "metadata.resourceVersion", "");
    change("POST", "/api/v1/namespaces/any/configmaps", "{\"metadata\":{\"name\":\"a\"}}");
    change("DELETE", "/api/v1/namespaces/any/configmaps/a", NULL);
    auto_free char *target =
        mem_printf("/api/v1/namespaces/any/configmaps?watch=true&resourceVersion=%s", rv);
    lines_start(&l, &h, ADMIN, target, NULL);
    lines_wait(&l, 2);
    json_auto_t *added = lines_at(&l, 0), *deleted = lines_at(&l, 1);
    assert_string_equal(json_str_at(added, "type", ""), "ADDED");
    assert_string_equal(json_str_at(deleted, "type", ""), "DELETED");
    lines_stop(&l);

    push_out_of_the_window();
    compact();
    lines_start(&l, &h, ADMIN, target, NULL);
    assert_int_equal(l.code, 200); /* upstream's watch cache too says it inside */
    lines_wait(&l, 1);
    json_auto_t *error = lines_at(&l, 0);
    assert_string_equal(json_str_at(error, "type", ""), "ERROR");
    assert_string_equal(json_str_at(error, "object.kind", ""), "Status");
    assert_int_equal(json_i64_at(error, "object.code", 0), 410);
    assert_string_equal(json_str_at(error, "object.reason", ""), "Expired");
    assert_true(str_starts(str_of(json_str_at(error, "object.message", "")),
                           STR("too old resource version: ")));
    harness_wait(&h, &l.done);
    lines_stop(&l);
}

static void a_watch_of_one_name_is_a_field_selector(void **state)
{
    (void)state;
    change("POST", CM, "{\"metadata\":{\"name\":\"plain\"}}");
    /* requestinfo.go: with a name in the path it is a get */
    auto_answer a = ask(&h, "GET", CM "/plain?watch=1", NULL);
    assert_string_equal(json_str_at(a.doc, "kind", ""), "ConfigMap");

#define OLD "/api/v1/watch/namespaces/default/configmaps/plain?timeoutSeconds=1"
    static const struct row rows[] = {
        { "", 200, NULL },
        { "&fieldSelector=metadata.name%3Dplain", 200, NULL },
        { "&fieldSelector=metadata.name%3Dother", 400,
          "fieldSelector metadata.name doesn't match requested name" },
        { "&fieldSelector=metadata.namespace%3Ddefault", 400,
          "fieldSelector metadata.name doesn't match requested name" },
    };
    expect_rows(OLD, rows, ARRAY_LEN(rows));
    auto_answer old = ask(&h, "GET", OLD, NULL);
    assert_string_equal(json_str_at(old.doc, "object.metadata.name", ""), "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_take_what_upstream_takes),
        cmocka_unit_test(watches_take_what_upstream_takes),
        cmocka_unit_test(a_version_from_the_future_is_504),
        cmocka_unit_test(writes_name_their_options),
        cmocka_unit_test(tables_include_what_they_may),
        cmocka_unit_test(pages_are_of_one_moment),
        cmocka_unit_test(exact_lists_are_of_their_version),
        cmocka_unit_test(a_watch_begins_at_any_version_that_is_left),
        cmocka_unit_test(a_watch_of_one_name_is_a_field_selector),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

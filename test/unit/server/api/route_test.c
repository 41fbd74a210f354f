/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/base64.h"
#include "server/api/accept.h"
#include "server/api/cursor.h"
#include "server/api/params.h"
#include "server/api/route.h"

#include <stdlib.h>

static void paths_are_taken_apart(void **state)
{
    static const struct {
        const char *path, *group, *version, *ns, *resource, *name, *sub, *rest;
    } rows[] = {
        { "/api/v1/pods", "", "v1", "", "pods", "", "", "" },
        { "/api/v1/pods/", "", "v1", "", "pods", "", "", "" },
        { "/api/v1/namespaces/a/pods", "", "v1", "a", "pods", "", "", "" },
        { "/api/v1/namespaces/a/pods/b", "", "v1", "a", "pods", "b", "", "" },
        { "/api/v1/namespaces/a/pods/b/log", "", "v1", "a", "pods", "b", "log", "" },
        { "/api/v1/namespaces", "", "v1", "", "namespaces", "", "", "" },
        /* a namespace is in itself, for authorization */
        { "/api/v1/namespaces/a", "", "v1", "a", "namespaces", "a", "", "" },
        { "/api/v1/namespaces/a/status", "", "v1", "a", "namespaces", "a", "status", "" },
        { "/api/v1/namespaces/a/finalize", "", "v1", "a", "namespaces", "a", "finalize", "" },
        { "/api/v1/nodes/n/proxy/a%2Fb/c", "", "v1", "", "nodes", "n", "proxy", "/a%2Fb/c" },
        { "/api/v1/nodes/n/proxy/", "", "v1", "", "nodes", "n", "proxy", "/" },
        { "/apis/apps/v1/deployments", "apps", "v1", "", "deployments", "", "", "" },
        { "/apis/apps/v1/namespaces/a/deployments/d%2Ee/scale", "apps", "v1", "a", "deployments",
          "d.e", "scale", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route r;
        struct err e = { 0 };

        if (route_parse(&r, str_of(rows[i].path), &e))
            fail_msg("%s: %s", rows[i].path, e.text);
        assert_true(r.is_resource);
        assert_string_equal(r.group, rows[i].group);
        assert_string_equal(r.version, rows[i].version);
        assert_string_equal(r.namespace_, rows[i].ns);
        assert_string_equal(r.resource, rows[i].resource);
        assert_string_equal(r.name, rows[i].name);
        assert_string_equal(r.subresource, rows[i].sub);
        assert_true(str_is(r.rest, rows[i].rest));
        route_deinit(&r);
    }
}

static void other_paths_are_plain(void **state)
{
    static const char *const rows[] = { "/",
                                        "/healthz",
                                        "/api",
                                        "/api/v1",
                                        "/apis/apps/v1",
                                        "/openapi/v3/apis/apps/v1",
                                        "/readyz/ping",
                                        "/api/v1//pods",
                                        "/apis//v1/pods" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route r;
        struct err e = { 0 };

        assert_int_equal(route_parse(&r, str_of(rows[i]), &e), 0);
        assert_false(r.is_resource);
        assert_string_equal(r.path, rows[i]);
        route_deinit(&r);
    }
}

static void old_watch_paths_are_understood(void **state)
{
    struct route r;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(route_parse(&r, STR("/api/v1/watch/namespaces/a/pods"), &e), 0);
    assert_true(r.old_watch);
    assert_string_equal(r.resource, "pods");
    assert_string_equal(r.namespace_, "a");
    route_deinit(&r);
}

static void bad_paths_are_refused(void **state)
{
    static const char *const rows[] = { "",
                                        "api/v1",
                                        "/api/v1/pods/..",
                                        "/api/v1/pods/%zz",
                                        "/api/v1/pods/%00",
                                        "/api/v1/namespaces/%2e%2e/pods" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route r;
        struct err e = { 0 };

        assert_int_equal(route_parse(&r, str_of(rows[i]), &e), ERR_INVALID);
    }
}

static void parameters_are_typed(void **state)
{
    struct params p;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(params_parse(&p,
                                  STR("watch&limit=5&resourceVersion=7&labelSelector=a%3Db%2Cc&"
                                      "allowWatchBookmarks=false&timeoutSeconds=3&nonsense=1&"
                                      "fieldSelector=metadata.name%3Dx&sendInitialEvents=1"),
                                  &e),
                     0);
    assert_true(p.watch);
    assert_false(p.allow_watch_bookmarks);
    assert_true(p.has_send_initial_events && p.send_initial_events);
    assert_int_equal(p.limit, 5);
    assert_int_equal(p.resource_version, 7);
    assert_int_equal(p.timeout_s, 3);
    assert_int_equal(p.grace_period_s, -1);
    assert_string_equal(p.label_selector, "a=b,c");
    assert_string_equal(p.field_selector, "metadata.name=x");
    params_deinit(&p);
}

static void what_no_verb_takes_is_kept_for_its_error(void **state)
{
    static const struct {
        const char *query;
        const char *list, *delete_, *version, *dry_run, *timeout;
    } rows[] = {
        { "limit=7&limit=x&watch=false&watch=1", "", "", "", NULL, "" }, /* the first counts */
        { "limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax", "", "", NULL, "" },
        { "limit=", "strconv.ParseInt: parsing \"\": invalid syntax", "", "", NULL, "" },
        { "limit=-1&timeoutSeconds=-3", "", "", "", NULL, "" },
        { "timeoutSeconds=99999999999999999999",
          "strconv.ParseInt: parsing \"99999999999999999999\": value out of range", "", "", NULL,
          "" },
        { "gracePeriodSeconds=1s", "", "strconv.ParseInt: parsing \"1s\": invalid syntax", "", NULL,
          "" },
        { "resourceVersion=1.5", "", "", "1.5", NULL, "" },
        { "resourceVersion=-1", "", "", "-1", NULL, "" },
        { "dryRun=All&dryRun=Some", "", "", "", "Some", "" },
        { "dryRun=", "", "", "", "", "" },
        { "timeout=soon", "", "", "", NULL,
          "invalid timeout specified in the request URL - time: invalid duration \"soon\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct params p;
        struct err e = { 0 };

        assert_int_equal(params_parse(&p, str_of(rows[i].query), &e), 0);
        assert_string_equal(p.bad_list, rows[i].list);
        assert_string_equal(p.bad_delete, rows[i].delete_);
        assert_string_equal(p.bad_resource_version, rows[i].version);
        assert_string_equal(p.bad_timeout, rows[i].timeout);
        assert_int_equal(p.bad_dry_run == NULL, rows[i].dry_run == NULL);
        if (rows[i].dry_run)
            assert_string_equal(p.bad_dry_run, rows[i].dry_run);
        assert_false(p.watch);
        assert_true(p.limit == 0 || p.limit == 7);
        params_deinit(&p);
    }
    struct params p;
    struct err e = { 0 };
    assert_int_equal(params_parse(&p, STR("labelSelector=%z"), &e), ERR_INVALID);
}

static void durations_are_gos(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t ms;
    } rows[] = {
        { "10s", true, 10000 },    { "1m30s", true, 90000 }, { "1.5s", true, 1500 },
        { "300ms", true, 300 },    { "0", true, 0 },         { "2h", true, 7200000 },
        { "-1s", true, -1000 },    { ".5s", true, 500 },     { "5000us", true, 5 },
        { "7\u00b5s", true, 0 },   { "", false, 0 },         { "1", false, 0 },
        { "s", false, 0 },         { "1d", false, 0 },       { "1 s", false, 0 },
        { "1s ", false, 0 },       { ".s", false, 0 },       { "-", false, 0 },
        { "99999999h", false, 0 }, { "1..5s", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = 0;

        if (params_duration_ms(&ms, str_of(rows[i].text)) != rows[i].ok || ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

static void accept_headers_choose_the_form(void **state)
{
    static const struct {
        const char *accept;
        bool ok;
        enum accept_as as;
        bool proto;
    } rows[] = {
        { "", true, ACCEPT_OBJECT, false },
        { "*/*", true, ACCEPT_OBJECT, false },
        { "application/json", true, ACCEPT_OBJECT, false },
        { "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", true, ACCEPT_TABLE,
          false },
        /* kubectl: v1, then v1beta1, then plain */
        { "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", true, ACCEPT_TABLE,
          false },
        { "application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io", true, ACCEPT_PARTIAL,
          false },
        { "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io",
          false, ACCEPT_OBJECT, false },
        { "application/json;as=Table;v=v1alpha1;g=meta.k8s.io", false, ACCEPT_OBJECT, false },
        { "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", true, ACCEPT_PARTIAL,
          false },
        { "application/vnd.kubernetes.protobuf,application/json", true, ACCEPT_OBJECT, true },
        { "application/vnd.kubernetes.protobuf, */*", true, ACCEPT_OBJECT, true },
        { "application/json,application/vnd.kubernetes.protobuf", true, ACCEPT_OBJECT, false },
        { "application/json;q=0.9,application/vnd.kubernetes.protobuf", true, ACCEPT_OBJECT, true },
        { "application/vnd.kubernetes.protobuf;stream=watch", true, ACCEPT_OBJECT, true },
        { "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", true,
          ACCEPT_PARTIAL, true },
        /* a table is JSON or nothing */
        { "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", false, ACCEPT_OBJECT,
          false },
        { "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json", true,
          ACCEPT_OBJECT, false },
        { "text/html", false, ACCEPT_OBJECT, false },
        { "application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9", true,
          ACCEPT_TABLE, false },
        { "*/*,application/vnd.kubernetes.protobuf", true, ACCEPT_OBJECT, true },
        { "application/json;q=0", false, ACCEPT_OBJECT, false },
        { "application/json;stream=watch", true, ACCEPT_OBJECT, false },
        { "application/json;stream=other", false, ACCEPT_OBJECT, false },
        { "application/yaml", true, ACCEPT_OBJECT, false },
        { "application/yaml;as=Table;v=v1;g=meta.k8s.io", true, ACCEPT_TABLE, false },
        { "application/yaml;stream=watch", false, ACCEPT_OBJECT, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct accept a;

        if (accept_parse(&a, str_of(rows[i].accept), ACCEPT_ALL) != rows[i].ok)
            fail_msg("%s", rows[i].accept);
        if (rows[i].ok && (a.as != rows[i].as || a.proto != rows[i].proto))
            fail_msg("%s: as %d, protobuf %d", rows[i].accept, a.as, a.proto);
    }
}

static void continue_tokens_come_back(void **state)
{
    char *t = cursor_text(42, STR("/registry/core/pods/a/b"));
    auto_buf key = BUF(1024);
    int64_t rev;
    struct err e = { 0 };

    (void)state;
    assert_null(strpbrk(t, "+/=&"));
    assert_int_equal(cursor_parse(t, STR("/registry/core/pods/"), &rev, &key, &e), 0);
    assert_int_equal(rev, 42);
    assert_string_equal(buf_cstr(&key), "/registry/core/pods/a/b");
    buf_clear(&key);
    /* a token must not reach into another resource */
    assert_int_equal(cursor_parse(t, STR("/registry/core/secrets/"), &rev, &key, &e), ERR_INVALID);
    assert_string_equal(e.text, "continue key is not valid: /registry/core/pods/a/b");
    free(t);
}

static void bad_continue_tokens_are_told_apart(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        { "nonsense", "continue key is not valid" },
        { "[]", "continue key is not valid" },
        { "{\"v\":\"v2\",\"rv\":1,\"start\":\"/registry/a\"}",
          "continue key is not valid: server does not recognize this encoded version v2" },
        { "{\"v\":\"meta.k8s.io/v1\",\"rv\":0,\"start\":\"/registry/a\"}",
          "continue key is not valid: incorrect encoded start resourceVersion (version "
          "meta.k8s.io/v1)" },
        { "{\"v\":\"meta.k8s.io/v1\",\"rv\":1}",
          "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)" },
        { "{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"/x\"}", "continue key is not valid: /x" },
    };
    auto_buf key = BUF(1024);
    int64_t rev;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf token = BUF(1024);
        struct err e = { 0 };

        assert_int_equal(base64_add_unpadded(&token, str_of(rows[i].json)), 0);
        assert_int_equal(cursor_parse(buf_cstr(&token), STR("/registry/"), &rev, &key, &e),
                         ERR_INVALID);
        assert_string_equal(e.text, rows[i].text);
    }
    struct err e = { 0 };
    assert_int_equal(cursor_parse("?", STR("/registry/"), &rev, &key, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(other_paths_are_plain),
        cmocka_unit_test(old_watch_paths_are_understood),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(parameters_are_typed),
        cmocka_unit_test(what_no_verb_takes_is_kept_for_its_error),
        cmocka_unit_test(durations_are_gos),
        cmocka_unit_test(accept_headers_choose_the_form),
        cmocka_unit_test(continue_tokens_come_back),
        cmocka_unit_test(bad_continue_tokens_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

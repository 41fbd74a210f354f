/* Discovery and OpenAPI over HTTP: what clients may keep, and for how long. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <string.h>

static struct answer ask_unless(const char *target, const char *etag)
{
    struct http_header header = { STR("If-None-Match"), str_of(etag) };

    return ask_with(&h, "admin+system:masters", "GET", target, &header, 1, (struct str){ 0 });
}

static void what_is_known_already_is_not_sent_again(void **state)
{
    static const char *const paths[] = { "/api",          "/apis",
                                         "/api/v1",       "/apis/apps",
                                         "/openapi/v2",   "/openapi/v3",
                                         "/apis/apps/v1", "/openapi/v3/apis/apps/v1" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        auto_answer first = ask(&h, "GET", paths[i], NULL);
        assert_int_equal(first.code, 200);
        assert_true(strlen(first.etag) > 2);
        auto_answer again = ask_unless(paths[i], first.etag);
        assert_int_equal(again.code, 304);
        assert_int_equal(again.body.n, 0);
        assert_string_equal(again.etag, first.etag);
        auto_answer other = ask_unless(paths[i], "\"0\"");
        assert_int_equal(other.code, 200);
    }
}

/* k8s.io/kube-openapi pkg/handler3, HandleGroupVersion */
static void a_document_with_its_hash_may_be_kept_for_ever(void **state)
{
    auto_answer root = ask(&h, "GET", "/openapi/v3", NULL);
    json_t *link = json_object_get(json_object_get(root.doc, "paths"), "apis/apps/v1");
    const char *url = json_str_at(link, "serverRelativeURL", "");

    (void)state;
    assert_non_null(strstr(url, "/openapi/v3/apis/apps/v1?hash="));
    auto_answer right = ask(&h, "GET", url, NULL);
    assert_int_equal(right.code, 200);
    assert_string_equal(right.cache_control, "public, immutable");
    assert_memory_equal(strchr(url, '=') + 1, right.etag + 1, strlen(right.etag) - 2);
    auto_answer none = ask(&h, "GET", "/openapi/v3/apis/apps/v1", NULL);
    assert_string_equal(none.cache_control, "");
    auto_answer stale = ask(&h, "GET", "/openapi/v3/apis/apps/v1?hash=OLD", NULL);
    assert_int_equal(stale.code, 301);
    assert_string_equal(stale.location, url);
    auto_answer nowhere = ask(&h, "GET", "/openapi/v3/apis/none/v1?hash=OLD", NULL);
    assert_int_equal(nowhere.code, 404);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_known_already_is_not_sent_again),
        TEST(a_document_with_its_hash_may_be_kept_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

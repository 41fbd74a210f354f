/* Kinds that share their objects under other names, and kinds that nothing acts on. */
#include "test/unit/server/api/fixture.h"

#define CORE  "/api/v1/namespaces/default/events"
#define NEWER "/apis/events.k8s.io/v1/namespaces/default/events"

static const char *at(const struct answer *a, const char *path)
{
    return json_str_at(a->doc, path, "");
}

static void an_event_is_the_same_object_in_both_groups(void **state)
{
    (void)state;
    auto_answer made = ask(
        &h, "POST", NEWER,
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"eventTime\":"
        "\"2026-11-30T10:00:00.000001Z\",\"reportingController\":\"example.com/c\","
        "\"reportingInstance\":\"i\",\"action\":\"Look\",\"reason\":\"Seen\",\"note\":\"words\","
        "\"type\":\"Normal\",\"regarding\":{\"kind\":\"Pod\",\"name\":\"p\",\"namespace\":"
        "\"default\"}}");
    assert_int_equal(made.code, 201);
    assert_string_equal(at(&made, "note"), "words");
    assert_string_equal(at(&made, "apiVersion"), "events.k8s.io/v1");

    auto_answer core = ask(&h, "GET", CORE "/a", NULL);
    assert_int_equal(core.code, 200);
    assert_string_equal(at(&core, "apiVersion"), "v1");
    assert_string_equal(at(&core, "message"), "words");
    assert_string_equal(at(&core, "involvedObject.name"), "p");
    assert_string_equal(at(&core, "reportingComponent"), "example.com/c");
    assert_null(json_object_get(core.doc, "note"));

    auto_answer patched = ask(&h, "PATCH", CORE "/a", "{\"count\":4}");
    assert_int_equal(patched.code, 200);
    auto_answer list = ask(&h, "GET", NEWER, NULL);
    assert_int_equal(list.code, 200);
    assert_int_equal(json_i64_at(list.doc, "items[0].deprecatedCount", 0), 4);
    assert_string_equal(at(&list, "items[0].regarding.name"), "p");
    assert_string_equal(at(&list, "items[0].kind"), ""); /* as in every list */
    auto_answer gone = ask(&h, "DELETE", NEWER "/a", NULL);
    assert_int_equal(gone.code, 200);
    auto_answer left = ask(&h, "GET", CORE "/a", NULL);
    assert_int_equal(left.code, 404);
}

static void who_writes_what_nothing_acts_on_is_warned(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
                        "{\"metadata\":{\"name\":\"r\"},\"rules\":[]}");
    assert_int_equal(a.code, 201);
    assert_string_equal(a.warning, "299 - \"roles are not evaluated yet\"");
    auto_answer b =
        ask(&h, "GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r", NULL);
    assert_int_equal(b.code, 200);
    assert_string_equal(b.warning, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_the_same_object_in_both_groups, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_writes_what_nothing_acts_on_is_warned, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

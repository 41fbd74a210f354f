/* Bindings: a pod is given to a node once. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#define PODS     "/api/v1/namespaces/default/pods"
#define BINDINGS "/api/v1/namespaces/default/bindings"

static void expect(struct answer a, int code, const char *path, const char *value)
{
    if (a.code != code || (path && strcmp(json_str_at(a.doc, path, ""), value) != 0))
        fail_msg("want %d %s=%s, got %d: %s", code, path ? path : "", value ? value : "", a.code,
                 buf_cstr(&a.body));
    answer_deinit(&a);
}

static void make_pod(const char *name, const char *spec)
{
    auto_free char *body =
        mem_printf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"containers\":[{"
                   "\"name\":\"c\",\"image\":\"busybox\"}]}}",
                   name, spec);

    expect(ask(&h, "POST", PODS, body), 201, NULL, NULL);
}

static void a_pod_is_bound_once(void **state)
{
    (void)state;
    make_pod("p", "");
    auto_answer a = ask(&h, "POST", PODS "/p/binding",
                        "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"a\":\"b\"}},\"target\":{"
                        "\"kind\":\"Node\",\"name\":\"n1\"}}");
    assert_int_equal(a.code, 201);
    assert_string_equal(json_str_at(a.doc, "status", ""), "Success");
    auto_answer p = ask(&h, "GET", PODS "/p", NULL);
    assert_string_equal(json_str_at(p.doc, "spec.nodeName", ""), "n1");
    assert_string_equal(json_str_at(p.doc, "metadata.annotations.a", ""), "b");
    assert_string_equal(json_str_at(p.doc, "status.conditions[0].type", ""), "PodScheduled");
    assert_string_equal(json_str_at(p.doc, "status.conditions[0].status", ""), "True");
    expect(ask(&h, "POST", PODS "/p/binding",
               "{\"metadata\":{\"name\":\"p\"},\"target\":{\"name\":\"n2\"}}"),
           409, "message",
           "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node "
           "\"n1\"");
}

static void the_old_path_binds_too(void **state)
{
    (void)state;
    make_pod("old", "");
    expect(
        ask(&h, "POST", BINDINGS, "{\"metadata\":{\"name\":\"old\"},\"target\":{\"name\":\"n1\"}}"),
        201, NULL, NULL);
    expect(ask(&h, "GET", PODS "/old", NULL), 200, "spec.nodeName", "n1");
}

static void what_cannot_be_bound_is_refused(void **state)
{
    static const struct {
        const char *pod, *body;
        int code;
        const char *path, *value;
    } rows[] = {
        { "none", "{\"metadata\":{\"name\":\"none\"},\"target\":{\"name\":\"n\"}}", 404, "message",
          "pods \"none\" not found" },
        { "free", "{\"metadata\":{\"name\":\"other\"},\"target\":{\"name\":\"n\"}}", 400, "message",
          "name in URL does not match name in Binding object" },
        { "free", "{\"metadata\":{\"name\":\"free\"},\"target\":{}}", 422,
          "details.causes[0].field", "target.name" },
        { "free", "{\"metadata\":{\"name\":\"free\"},\"target\":{\"kind\":\"Pod\",\"name\":\"n\"}}",
          422, "details.causes[0].field", "target.kind" },
        { "free", "{\"metadata\":{\"name\":\"free\",\"uid\":\"u\"},\"target\":{\"name\":\"n\"}}",
          409, "details.kind", "pods" },
        { "free",
          "{\"metadata\":{\"name\":\"free\",\"resourceVersion\":\"1\"},\"target\":{\"name\":\"n\"}"
          "}",
          409, "details.kind", "pods" },
        { "gated", "{\"metadata\":{\"name\":\"gated\"},\"target\":{\"name\":\"n\"}}", 409,
          "message",
          "Operation cannot be fulfilled on pods/binding \"gated\": pod gated has non-empty "
          ".spec.schedulingGates" },
    };

    (void)state;
    make_pod("free", "");
    make_pod("gated", "\"schedulingGates\":[{\"name\":\"a.b/c\"}],");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf(PODS "/%s/binding", rows[i].pod);

        expect(ask(&h, "POST", target, rows[i].body), rows[i].code, rows[i].path, rows[i].value);
    }
    expect(ask(&h, "POST", PODS "/free/binding?dryRun=All",
               "{\"metadata\":{\"name\":\"free\"},\"target\":{\"name\":\"n\"}}"),
           201, NULL, NULL);
    expect(ask(&h, "GET", PODS "/free", NULL), 200, "spec.nodeName", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_bound_once),
        cmocka_unit_test(the_old_path_binds_too),
        cmocka_unit_test(what_cannot_be_bound_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* ComponentStatus: what is stored nowhere, and deprecated. */
#include "test/unit/server/api/fixture.h"

#include "server/api/proto.h"

#define STATUSES "/api/v1/componentstatuses"
#define WARNING  "299 - \"v1 ComponentStatus is deprecated in v1.19+\""

static struct answer get(const char *target, const char *accept)
{
    return ask_as(&h, "admin+system:masters", "GET", target, NULL, accept, NULL);
}

static void all_parts_say_how_they_are(void **state)
{
    static const char *const names[] = { "controller-manager", "etcd-0", "scheduler" };
    auto_answer a = get(STATUSES, NULL);
    json_t *v;
    size_t i;

    (void)state;
    assert_int_equal(a.code, 200);
    assert_string_equal(a.warning, WARNING);
    assert_string_equal(json_str_at(a.doc, "kind", ""), "ComponentStatusList");
    assert_int_equal(json_object_size(json_object_get(a.doc, "metadata")), 0);
    assert_int_equal(json_array_size(json_object_get(a.doc, "items")), ARRAY_LEN(names));
    json_array_foreach(json_object_get(a.doc, "items"), i, v)
    {
        assert_string_equal(json_str_at(v, "metadata.name", ""), names[i]);
        assert_null(json_at(v, "metadata.resourceVersion"));
        assert_string_equal(json_str_at(v, "conditions[0].type", ""), "Healthy");
        assert_string_equal(json_str_at(v, "conditions[0].status", ""), "True");
        assert_string_equal(json_str_at(v, "conditions[0].message", ""), "ok");
    }
}

static void one_is_found_by_name(void **state)
{
    auto_answer a = get(STATUSES "/scheduler", NULL), none = get(STATUSES "/kubelet", NULL),
                chosen = get(STATUSES "?fieldSelector=metadata.name%3Detcd-0", NULL);

    (void)state;
    assert_int_equal(a.code, 200);
    assert_string_equal(a.warning, WARNING);
    assert_string_equal(json_str_at(a.doc, "kind", ""), "ComponentStatus");
    assert_string_equal(json_str_at(a.doc, "metadata.name", ""), "scheduler");
    assert_null(json_at(a.doc, "metadata.resourceVersion"));
    assert_int_equal(none.code, 404);
    assert_string_equal(json_str_at(none.doc, "message", ""),
                        "componentstatus \"kubelet\" not found");
    assert_int_equal(json_array_size(json_object_get(chosen.doc, "items")), 1);
    assert_string_equal(json_str_at(chosen.doc, "items[0].metadata.name", ""), "etcd-0");
}

static void a_table_has_upstreams_columns(void **state)
{
    static const char *const columns[] = { "Name", "Status", "Message", "Error" };
    static const char *const cells[] = { "controller-manager", "Healthy", "ok", "" };
    auto_answer a = get(STATUSES, "application/json;as=Table;v=v1;g=meta.k8s.io");

    (void)state;
    assert_int_equal(a.code, 200);
    assert_int_equal(json_array_size(json_object_get(a.doc, "columnDefinitions")), 4);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        const json_t *column = json_array_get(json_object_get(a.doc, "columnDefinitions"), i);
        assert_string_equal(json_str_at(column, "name", ""), columns[i]);
        assert_string_equal(json_string_value(json_array_get(json_at(a.doc, "rows[0].cells"), i)),
                            cells[i]);
    }
}

static void protobuf_is_spoken(void **state)
{
    static const char type[] = "application/vnd.kubernetes.protobuf";
    auto_answer many = get(STATUSES, type), one = get(STATUSES "/etcd-0", type);

    (void)state;
    assert_string_equal(many.type, type);
    assert_memory_equal(many.body.p, "k8s", 3);
    assert_string_equal(one.type, type);
    json_auto_t *doc = NULL;
    struct err e;
    assert_int_equal(
        proto_read(&doc, schema_builtin_type("core/v1", "ComponentStatus"), buf_str(&one.body), &e),
        0);
    assert_string_equal(json_str_at(doc, "conditions[0].message", ""), "ok");
}

static void nothing_else_is_served(void **state)
{
    static const struct {
        const char *method, *target, *body;
    } rows[] = {
        { "POST", STATUSES, "{\"metadata\":{\"name\":\"x\"}}" },
        { "GET", STATUSES "?watch=true", NULL },
        { "DELETE", STATUSES "/scheduler", NULL },
        { "DELETE", STATUSES, NULL },
        { "PUT", STATUSES "/scheduler", "{\"metadata\":{\"name\":\"scheduler\"}}" },
        { "PATCH", STATUSES "/scheduler", "{}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, rows[i].method, rows[i].target, rows[i].body);
        if (a.code != 405)
            fail_msg("row %zu: %d %s", i, a.code, buf_cstr(&a.body));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_say_how_they_are),    cmocka_unit_test(one_is_found_by_name),
        cmocka_unit_test(a_table_has_upstreams_columns), cmocka_unit_test(protobuf_is_spoken),
        cmocka_unit_test(nothing_else_is_served),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

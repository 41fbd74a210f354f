#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/schema/schema.h"
#include "server/schema/table_cells.h"
#include "server/schema/tables.h"

static void every_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        assert_int_equal(k->type->shape, SCHEMA_STRUCT);
        assert_string_equal(k->type->name, k->kind);
        assert_non_null(schema_field(k->type, "apiVersion"));
        assert_non_null(schema_field(k->type, "kind"));
        assert_non_null(schema_field(k->type, "metadata"));
    }
    for (size_t i = 0; i < schema_n_builtin_types; i++) {
        const struct schema_type *t = &schema_builtin_types[i];
        for (size_t j = 0; j < t->n_fields; j++) {
            const struct schema_field *f = &t->fields[j];
            assert_ptr_equal(schema_field(t, f->name), f);
            if (!f->deflt)
                continue;
            json_auto_t *d = json_loads(f->deflt, JSON_DECODE_ANY, NULL);
            if (!d)
                fail_msg("%s.%s: the default is no JSON: %s", t->name, f->name, f->deflt);
        }
    }
}

static void every_column_has_its_function(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        for (size_t j = 0; j < k->n_columns; j++) {
            const char *source = k->columns[j].source, *arg;
            if (source[0] == '=' && !cell_find(source, &arg))
                fail_msg("%s: column %s: nobody is called %s", k->kind, k->columns[j].name, source);
        }
    }
}

static void kinds_are_found_by_resource_and_by_kind(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    const struct schema_kind *pod = schema_find(s, STR(""), STR("v1"), STR("pods"));
    char text[SCHEMA_API_VERSION_MAX];
    (void)state;

    assert_non_null(pod);
    assert_string_equal(pod->kind, "Pod");
    assert_true(pod->namespaced);
    assert_ptr_equal(schema_find_kind(s, STR(""), STR("v1"), STR("Pod")), pod);
    assert_ptr_equal(schema_find_api(s, "v1", "Pod"), pod);
    assert_string_equal(schema_api_version(pod, text), "v1");
    const struct schema_kind *lease = schema_find_api(s, "coordination.k8s.io/v1", "Lease");
    assert_true(lease->ephemeral && lease->create_on_update);
    assert_string_equal(schema_api_version(lease, text), "coordination.k8s.io/v1");
    assert_null(schema_find(s, STR(""), STR("v1"), STR("Pod")));
    assert_null(schema_find(s, STR("v1"), STR(""), STR("pods")));
    assert_true(schema_has_version(s, STR("discovery.k8s.io"), STR("v1")));
    assert_false(schema_has_version(s, STR("discovery.k8s.io"), STR("v1beta1")));
    assert_non_null(schema_find_sub(pod, STR("status")));
    assert_null(schema_find_sub(pod, STR("scale")));
    assert_non_null(schema_builtin_type("meta/v1", "DeleteOptions"));
}

/* A kind that cannot be stored right yet is not offered: nobody shall rely on it. */
static void unserved_kinds_are_left_out(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    (void)state;

    for (size_t i = 0; i < schema_n_builtin_kinds; i++)
        if (schema_builtin_kinds[i].unserved)
            assert_null(schema_find(s, str_of(schema_builtin_kinds[i].group),
                                    str_of(schema_builtin_kinds[i].version),
                                    str_of(schema_builtin_kinds[i].plural)));
    assert_non_null(schema_find_api(s, "apps/v1", "Deployment")->inert);
}

static void a_kind_may_come_and_go_while_running(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    static const char *const none[] = { NULL };
    static const struct schema_field fields[] = { { .name = "x" } };
    static const struct schema_type type = {
        .name = "Toy", .shape = SCHEMA_STRUCT, .fields = fields, .n_fields = 0
    };
    static const struct schema_kind toy = { .group = "example.com",
                                            .version = "v1",
                                            .kind = "Toy",
                                            .plural = "toys",
                                            .singular = "toy",
                                            .short_names = none,
                                            .categories = none,
                                            .selectable = none,
                                            .type = &type };
    uint64_t before = schema_generation(s);
    size_t n, n_after;
    (void)state;

    schema_kinds(s, &n);
    assert_true(schema_add(s, &toy));
    assert_false(schema_add(s, &toy));
    assert_true(schema_generation(s) > before);
    assert_ptr_equal(schema_find_api(s, "example.com/v1", "Toy"), &toy);
    schema_remove(s, &toy);
    assert_null(schema_find_api(s, "example.com/v1", "Toy"));
    schema_kinds(s, &n_after);
    assert_int_equal(n, n_after);
}

static void embedded_types_lie_flat_and_remember_their_message(void **state)
{
    const struct schema_type *probe = schema_builtin_type("core/v1", "Probe");
    const struct schema_field *f = schema_field(probe, "httpGet");
    (void)state;

    assert_non_null(f);
    assert_int_equal(f->embed[0], 1);
    assert_int_equal(f->number, 2);
    assert_int_equal(schema_field(probe, "periodSeconds")->embed[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_whole),
        cmocka_unit_test(every_column_has_its_function),
        cmocka_unit_test(kinds_are_found_by_resource_and_by_kind),
        cmocka_unit_test(unserved_kinds_are_left_out),
        cmocka_unit_test(a_kind_may_come_and_go_while_running),
        cmocka_unit_test(embedded_types_lie_flat_and_remember_their_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

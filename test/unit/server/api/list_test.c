/* Long lists, which the server reads in pages of 500. */
#include "test/unit/server/api/harness.h"

#include <stdio.h>

#define MANY "/api/v1/namespaces/many/configmaps"

static struct harness h;

static int setup(void **state)
{
    (void)state;
    harness_open(&h, NULL);
    harness_fill(&h, "many", 1201);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

/* Items are c0000 and so on, without the one named missing. */
static void expect_names(const json_t *items, const char *path, size_t n, size_t missing)
{
    assert_int_equal(json_array_size(items), n);
    for (size_t i = 0; i < n; i++) {
        char want[16];
        snprintf(want, sizeof want, "c%04zu", i + (i >= missing));
        assert_string_equal(json_str_at(json_array_get(items, i), path, ""), want);
    }
}

static void a_long_list_has_everything_once_and_in_order(void **state)
{
    (void)state;
    auto_answer a = ask(&h, "GET", MANY, NULL);
    assert_int_equal(a.code, 200);
    assert_string_equal(json_str_at(a.doc, "kind", ""), "ConfigMapList");
    assert_null(json_at(a.doc, "metadata.continue"));
    assert_null(json_at(a.doc, "metadata.remainingItemCount"));
    expect_names(json_at(a.doc, "items"), "metadata.name", 1201, SIZE_MAX);
}

static void selectors_look_at_every_page(void **state)
{
    (void)state;
    auto_answer but_one = ask(&h, "GET", MANY "?fieldSelector=metadata.name!=c0600", NULL);
    expect_names(json_at(but_one.doc, "items"), "metadata.name", 1200, 600);
    auto_answer none = ask(&h, "GET", MANY "?labelSelector=nobody", NULL);
    assert_int_equal(none.code, 200);
    assert_int_equal(json_array_size(json_at(none.doc, "items")), 0);
    auto_answer all = ask(&h, "GET", MANY "?labelSelector=!nobody", NULL);
    expect_names(json_at(all.doc, "items"), "metadata.name", 1201, SIZE_MAX);
}

static void other_forms_are_as_long(void **state)
{
    (void)state;
    auto_answer table = ask_as(&h, "admin+system:masters", "GET", MANY, NULL,
                               "application/json;as=Table;v=v1;g=meta.k8s.io", NULL);
    assert_int_equal(table.code, 200);
    expect_names(json_at(table.doc, "rows"), "cells[0]", 1201, SIZE_MAX);
    auto_answer pretty = ask(&h, "GET", MANY "?pretty=true", NULL);
    expect_names(json_at(pretty.doc, "items"), "metadata.name", 1201, SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_list_has_everything_once_and_in_order),
        cmocka_unit_test(selectors_look_at_every_page),
        cmocka_unit_test(other_forms_are_as_long),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "server/store/budget.h"

static void the_writer_is_the_resource_of_the_key(void **state)
{
    static const struct {
        const char *key, *writer;
    } rows[] = {
        { "/registry/core/pods/default/a", "pods" },
        { "/registry/coordination.k8s.io/leases/kube-node-lease/n", "leases" },
        { "/registry/example.org/my-things/x", "my-things" },
        { "/registry/core/pods", "other" }, /* no name in it: not a key of the API */
        { "/registry/core//x", "other" },
        { "/registry/core/po\"ds/x", "other" }, /* would break a label of the metrics */
        { "/bootstrap/3eb1bd439947", "other" },
        { "", "other" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str w = budget_writer_of(str_of(rows[i].key));
        if (!str_is(w, rows[i].writer))
            fail_msg("%s: " STR_FMT, rows[i].key, STR_ARG(w));
    }
}

static uint64_t bytes_of(struct budget *b, const char *writer, uint64_t *sum)
{
    struct store_written v[STORE_WRITERS_MAX];
    size_t n = budget_read(b, v);
    uint64_t bytes = 0;

    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        *sum += v[i].bytes;
        if (str_is(str_of(writer), v[i].writer))
            bytes = v[i].bytes;
    }
    return bytes;
}

static void a_split_loses_no_byte(void **state)
{
    struct budget *b = budget_new();
    struct budget_shares s = { 0 };
    uint64_t sum;
    (void)state;

    budget_share(&s, STR("pods"), 1);
    budget_share(&s, STR("leases"), 1);
    budget_share(&s, STR("pods"), 1);
    budget_split(b, &s, STR("rest"), 100);
    assert_int_equal(bytes_of(b, "leases", &sum), 33);
    assert_int_equal(bytes_of(b, "pods", &sum), 67);
    assert_int_equal(sum, 100);
    budget_split(b, &s, STR("rest"), 7); /* the shares are used up */
    assert_int_equal(bytes_of(b, "rest", &sum), 7);
    budget_share(&s, STR("empty"), 0);
    budget_split(b, &s, STR("rest"), 5);
    assert_int_equal(bytes_of(b, "empty", &sum), 5);
    assert_int_equal(sum, 112);
    budget_free(b);
}

static void more_names_than_there_is_room_for_are_others(void **state)
{
    struct budget *b = budget_new();
    uint64_t sum;
    char name[80];
    (void)state;

    for (int i = 0; i < 2 * STORE_WRITERS_MAX; i++) {
        snprintf(name, sizeof name, "kind%d", i);
        budget_add(b, str_of(name), 1);
    }
    memset(name, 'x', sizeof name);
    budget_add(b, str_n(name, sizeof name), 1);
    assert_int_equal(bytes_of(b, "kind0", &sum), 1);
    assert_int_equal(bytes_of(b, "other", &sum), STORE_WRITERS_MAX + 1 + 1);
    assert_int_equal(sum, 2 * STORE_WRITERS_MAX + 1);
    budget_free(b);
}

static void more_kinds_in_one_commit_than_there_is_room_for_are_all_counted(void **state)
{
    struct budget *b = budget_new();
    struct budget_shares s = { 0 };
    static char names[2 * STORE_WRITERS_MAX][16];
    uint64_t sum;
    (void)state;

    for (int i = 0; i < 2 * STORE_WRITERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "kind%d", i);
        budget_share(&s, str_of(names[i]), 1);
    }
    budget_split(b, &s, STR("rest"), 1000);
    bytes_of(b, "", &sum);
    assert_int_equal(sum, 1000);
    budget_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_writer_is_the_resource_of_the_key),
        cmocka_unit_test(a_split_loses_no_byte),
        cmocka_unit_test(more_names_than_there_is_room_for_are_others),
        cmocka_unit_test(more_kinds_in_one_commit_than_there_is_room_for_are_all_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

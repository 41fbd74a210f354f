#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/map.h"

static void set_get_remove_agree_with_an_array(void **state)
{
    enum { N = 500 };
    AUTO(map) struct map *m = map_new();
    static int values[N];
    char key[16];
    (void)state;

    for (unsigned round = 0; round < 4; round++) {
        for (int i = 0; i < N; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_null(map_set(m, str_of(key), &values[i]));
        }
        assert_int_equal(map_len(m), N);
        for (int i = 0; i < N; i++) {
            snprintf(key, sizeof key, "key-%d", (i * 7) % N);
            assert_ptr_equal(map_get(m, str_of(key)), &values[(i * 7) % N]);
            assert_ptr_equal(map_remove(m, str_of(key)), &values[(i * 7) % N]);
            assert_null(map_get(m, str_of(key)));
        }
        assert_int_equal(map_len(m), 0);
    }
}

static void the_walk_may_remove_what_it_stands_on(void **state)
{
    static int value;
    char key[16];
    (void)state;

    for (int size = 1; size < 400; size++) { /* some of them have a cluster across the end */
        AUTO(map) struct map *m = map_new();
        size_t i = 0, n = 0;
        struct str k;
        void *v;

        for (int j = 0; j < size; j++) {
            snprintf(key, sizeof key, "%d/%d", size, j);
            map_set(m, str_of(key), &value);
        }
        while (map_next(m, &i, &k, &v)) {
            snprintf(key, sizeof key, STR_FMT, STR_ARG(k));
            assert_ptr_equal(map_remove(m, str_of(key)), &value);
            n++;
        }
        assert_int_equal(n, size);
        assert_int_equal(map_len(m), 0);
    }
}

static void the_walk_may_remove_some(void **state)
{
    static int value;
    char key[16];
    (void)state;

    for (int size = 1; size < 400; size++) {
        AUTO(map) struct map *m = map_new();
        size_t i = 0, n = 0, n_removed = 0;
        struct str k;
        void *v;

        for (int j = 0; j < size; j++) {
            snprintf(key, sizeof key, "%d.%d", size, j);
            map_set(m, str_of(key), &value);
        }
        while (map_next(m, &i, &k, &v)) {
            n++;
            if (n % 3)
                continue;
            snprintf(key, sizeof key, STR_FMT, STR_ARG(k));
            n_removed += map_remove(m, str_of(key)) != NULL;
        }
        assert_int_equal(n, size); /* each once */
        assert_int_equal(map_len(m), (size_t)size - n_removed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_get_remove_agree_with_an_array),
        cmocka_unit_test(the_walk_may_remove_what_it_stands_on),
        cmocka_unit_test(the_walk_may_remove_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

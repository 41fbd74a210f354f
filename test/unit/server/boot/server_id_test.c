/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/io/file.h"
#include "server/boot/server_id.h"

#include <stdlib.h>

static int setup(void **state)
{
    char dir[] = "/tmp/server_id_test.XXXXXX";
    struct err e;

    assert_non_null(mkdtemp(dir));
    auto_free char *below = mem_printf("%s/server", dir);
    assert_int_equal(file_mkdirs(below, 0700, &e), 0);
    *state = mem_strdup(dir);
    return 0;
}

static int teardown(void **state)
{
    struct err e;

    assert_int_equal(file_remove_tree(*state, &e), 0);
    free(*state);
    return 0;
}

static void put(const char *dir, const char *text)
{
    auto_free char *path = mem_printf("%s/server/server-id", dir);
    struct err e;

    assert_int_equal(file_write_atomic(path, str_of(text), 0644, &e), 0);
}

static void it_is_the_same_after_a_restart(void **state)
{
    auto_free char *a = server_id(*state), *b = server_id(*state);

    assert_int_equal(strlen(a), 36);
    assert_string_equal(a, b);
}

static void a_file_with_anything_else_is_replaced(void **state)
{
    static const char *const wrong[] = {
        "",
        "x",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89AB-cdef-0123-456789abcdef",
        "01234567_89ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdef0123456789012345678901234567890",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        put(*state, wrong[i]);
        auto_free char *a = server_id(*state), *b = server_id(*state);
        assert_string_not_equal(a, wrong[i]);
        assert_string_equal(a, b);
    }
    put(*state, "01234567-89ab-cdef-0123-456789abcdef\n");
    auto_free char *c = server_id(*state);
    assert_string_equal(c, "01234567-89ab-cdef-0123-456789abcdef");
}

static void a_folder_that_takes_no_file_gives_one_for_now(void **state)
{
    auto_free char *dir = mem_printf("%s/not/there", (char *)*state);
    auto_free char *a = server_id(dir), *b = server_id(dir);

    assert_int_equal(strlen(a), 36);
    assert_string_not_equal(a, b);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_is_the_same_after_a_restart),
        T(a_file_with_anything_else_is_replaced),
        T(a_folder_that_takes_no_file_gives_one_for_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

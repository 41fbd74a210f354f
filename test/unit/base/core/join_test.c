/* Texts put together: str_join, mem_join, buf_join. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/mem.h"

static void texts_stand_one_behind_the_other(void **state)
{
    char out[16];
    auto_free char *heap = mem_join("a", "", "bc", "d"), *one = mem_join("");
    auto_buf b = BUF(64);
    (void)state;

    assert_int_equal(str_join(out, sizeof out, "a", "", "bc", "d"), 4);
    assert_string_equal(out, "abcd");
    assert_int_equal(str_join(out, sizeof out, ""), 0);
    assert_string_equal(out, "");
    assert_string_equal(heap, "abcd");
    assert_string_equal(one, "");
    assert_int_equal(buf_join(&b, "x", "yz"), 0);
    assert_int_equal(buf_join(&b, "", "!"), 0);
    assert_string_equal(buf_cstr(&b), "xyz!");
}

/* As snprintf, whatever the room. */
static void what_has_no_room_is_cut(void **state)
{
    (void)state;

    for (size_t room = 1; room < 12; room++) {
        char is[16], want[16];

        memset(is, 'x', sizeof is);
        snprintf(want, room, "%s%s%s", "abc", "", "defgh");
        assert_int_equal(str_join(is, room, "abc", "", "defgh"), strlen(want));
        assert_string_equal(is, want);
        assert_int_equal(is[room], 'x');
    }
}

static void limit_leaves_contents_alone(void **state)
{
    (void)state;

    for (size_t max = 2; max < 9; max++) {
        auto_buf b = BUF(max);

        assert_int_equal(buf_adds(&b, "ab"), 0);
        assert_int_equal(buf_join(&b, "cd", "", "ef"), max < 6 ? ERR_LIMIT : 0);
        assert_string_equal(buf_cstr(&b), max < 6 ? "ab" : "abcdef");
        assert_int_equal(b.n, max < 6 ? 2 : 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_stand_one_behind_the_other),
        cmocka_unit_test(what_has_no_room_is_cut),
        cmocka_unit_test(limit_leaves_contents_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

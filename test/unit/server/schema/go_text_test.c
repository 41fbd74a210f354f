#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "server/schema/go_text.h"
#include "test/unit/json_text.h"

static void values_look_as_fmt_prints_them(void **state)
{
    static const struct {
        const char *json, *plain, *sharp;
    } rows[] = {
        { "{'b':{'c':'x y'},'a':[1,true,null]}", "map[a:[1 true <nil>] b:map[c:x y]]",
          "map[string]interface {}{\"a\":[]interface {}{1, true, <nil>}, "
          "\"b\":map[string]interface {}{\"c\":\"x y\"}}" },
        { "{}", "map[]", "map[string]interface {}{}" },
        { "[0.5,-3]", "[0.5 -3]", "[]interface {}{0.5, -3}" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *v = json_of(rows[i].json);
        auto_buf plain = BUF(256), sharp = BUF(256);

        assert_int_equal(go_text(&plain, v, false), 0);
        assert_string_equal(buf_cstr(&plain), rows[i].plain);
        assert_int_equal(go_text(&sharp, v, true), 0);
        assert_string_equal(buf_cstr(&sharp), rows[i].sharp);
    }
}

static void a_text_without_room_keeps_its_beginning(void **state)
{
    json_auto_t *v = json_of("{'a':'0123456789','b':1}");
    auto_buf b = BUF(12);

    (void)state;
    assert_int_equal(go_text(&b, v, false), ERR_LIMIT);
    assert_int_equal(strncmp(buf_cstr(&b), "map[a:", 6), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_look_as_fmt_prints_them),
        cmocka_unit_test(a_text_without_room_keeps_its_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

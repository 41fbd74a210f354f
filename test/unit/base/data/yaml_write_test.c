/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/yaml.h"

static json_t *parsed(const char *json)
{
    json_t *j = NULL;
    struct err e = { 0 };

    if (json_parse(&j, str_of(json), &e))
        fail_msg("%s: %s", json, e.text);
    return j;
}

static void values_are_written_in_block_style(void **state)
{
    static const struct {
        const char *json, *yaml;
    } rows[] = {
        { "{\"b\":1,\"a\":{\"c\":[1,\"x\"]}}", "a:\n  c:\n  - 1\n  - x\nb: 1\n" },
        { "[{\"a\":1,\"b\":[{\"c\":null}]},[1,[2]]]",
          "- a: 1\n  b:\n  - c: null\n- - 1\n  - - 2\n" },
        { "{\"a\":{},\"b\":[],\"c\":\"\",\"d\":true}", "a: {}\nb: []\nc: \"\"\nd: true\n" },
        { "\"x\"", "x\n" },
        { "{}", "{}\n" },
        /* what YAML would read as something else is quoted */
        { "[\"true\",\"Yes\",\"1\",\"-x\",\"a b\",\"a:\",\"~\",\"2001-01-01\",\"v1:2\"]",
          "- \"true\"\n- \"Yes\"\n- \"1\"\n- \"-x\"\n- \"a b\"\n- \"a:\"\n- \"~\"\n"
          "- \"2001-01-01\"\n- v1:2\n" },
        { "{\"on\":1,\"f:spec\":{}}", "f:spec: {}\n\"on\": 1\n" },
        { "[\"a\\nb\",\"\\u007f\\u0085\\u2028\\ufeff\"]",
          "- \"a\\nb\"\n- \"\\u007f\\u0085\\u2028\\ufeff\"\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *j = parsed(rows[i].json), *again = NULL;
        auto_buf b = BUF(4096);
        struct err e = { 0 };

        assert_int_equal(yaml_write(&b, j), 0);
        assert_string_equal(buf_cstr(&b), rows[i].yaml);
        assert_int_equal(yaml_parse(&again, buf_str(&b), &e), 0);
        assert_true(json_equal(j, again));
    }
}

static void long_keys_come_back(void **state)
{
    char key[3001] = { 0 };
    json_auto_t *j = json_object(), *again = NULL;
    auto_buf b = BUF(64 * 1024);
    struct err e = { 0 };

    (void)state;
    memset(key, 'k', sizeof key - 1);
    key[5] = ' ';
    json_object_set_new(j, key, json_pack("{s:[i,{s:s}]}", "a", 1, "b", "c"));
    json_object_set_new(j, "z", json_integer(1));
    assert_int_equal(yaml_write(&b, j), 0);
    assert_int_equal(yaml_parse(&again, buf_str(&b), &e), 0);
    assert_true(json_equal(j, again));
}

static void a_full_buffer_is_an_error(void **state)
{
    json_auto_t *j = parsed("{\"a\":[1,2,{\"b\":\"a longer text\"}]}");

    (void)state;
    for (size_t max = 0; max < 32; max++) {
        auto_buf b = BUF(max);

        assert_int_equal(yaml_write(&b, j), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_in_block_style),
        cmocka_unit_test(long_keys_come_back),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

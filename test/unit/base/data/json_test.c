/*
 * What is JSON and what is not (RFC 8259), what a text is read as, and what is written of it. That
 * jansson agrees, also about texts that nobody thought of, is the fuzz harnesses' part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/data/json.h"

/* written NULL: refused. Compact as it is written again. */
static const struct {
    const char *text, *written;
} texts[] = {
    /* words */
    { "null", "null" },
    { " true ", "true" },
    { "false\n", "false" },
    { "nul", NULL },
    { "nulll", NULL },
    { "True", NULL },
    { "truefalse", NULL },
    { "true false", NULL },
    { "undefined", NULL },
    { "NaN", NULL },
    { "Infinity", NULL },
    { "'a'", NULL },
    { "a", NULL },
    { "", NULL },
    { "   ", NULL },
    { "\xef\xbb\xbf{}", NULL }, /* a byte order mark */
    { "/* */ 1", NULL },
    { "\f1", NULL },
    { "\v1", NULL },
    { "\xc2\xa0"
      "1",
      NULL }, /* a blank of Unicode's, not of JSON's */

    /* arrays */
    { "[]", "[]" },
    { "[ ]", "[]" },
    { "[1]", "[1]" },
    { " [ 1 , 2 ] ", "[1,2]" },
    { "[[],[[]]]", "[[],[[]]]" },
    { "[1,]", NULL },
    { "[,1]", NULL },
    { "[1,,2]", NULL },
    { "[1 2]", NULL },
    { "[1", NULL },
    { "[1,", NULL },
    { "[", NULL },
    { "]", NULL },
    { "[1]]", NULL },
    { "[1}", NULL },
    { "[1:2]", NULL },

    /* objects */
    { "{}", "{}" },
    { "{\t}", "{}" },
    { "{\"\":0}", "{\"\":0}" },
    { " { \"b\" : 1 , \"a\" : { } } ", "{\"b\":1,\"a\":{}}" }, /* the order is kept */
    { "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}" },      /* the last counts */
    { "{\"a\":1,\"\\u0061\":3}", "{\"a\":3}" },
    { "{\"a\\u0000\":1}", NULL },
    { "{\"\\u0041\\n\":{\"\\u0042\":\"\\u0043\"}}", "{\"A\\n\":{\"B\":\"C\"}}" },
    { "{\"a\"}", NULL },
    { "{\"a\":}", NULL },
    { "{\"a\":1,}", NULL },
    { "{,\"a\":1}", NULL },
    { "{\"a\":1 \"b\":2}", NULL },
    { "{\"a\" 1}", NULL },
    { "{\"a\"::1}", NULL },
    { "{a:1}", NULL },
    { "{1:1}", NULL },
    { "{null:1}", NULL },
    { "{[]:1}", NULL },
    { "{\"a\":1", NULL },
    { "{\"a\":", NULL },
    { "{\"a", NULL },
    { "{", NULL },
    { "}", NULL },
    { "{\"a\":1]", NULL },
    { "{}{}", NULL },
    { "{} x", NULL },

    /* integers */
    { "0", "0" },
    { "-0", "0" },
    { "-1", "-1" },
    { "10", "10" },
    { "999999999999999999", "999999999999999999" },
    { "-999999999999999999", "-999999999999999999" },
    { "1000000000000000000", "1000000000000000000" },
    { "9223372036854775807", "9223372036854775807" },
    { "-9223372036854775808", "-9223372036854775808" },
    { "9223372036854775808", NULL },
    { "-9223372036854775809", NULL },
    { "18446744073709551616", NULL },
    { "100000000000000000000000000000", NULL },
    { "[1234567,-7]", "[1234567,-7]" },
    { "01", NULL },
    { "00", NULL },
    { "-01", NULL },
    { "-", NULL },
    { "--1", NULL },
    { "+1", NULL },
    { "1a", NULL },
    { "0x10", NULL },
    { "1_000", NULL },
    { "1\xd9\xa1", NULL }, /* a digit of another script */

    /* reals */
    { "0.0", "0.0" },
    { "-0.0", "-0.0" },
    { "1.0", "1.0" },
    { "0.5", "0.5" },
    { "-12.25", "-12.25" },
    { "1e3", "1000.0" },
    { "1E+3", "1000.0" },
    { "1e-3", "0.001" },
    { "1.5e300", "1.5e+300" },
    { "1e-7", "1e-7" },
    { "0.1", "0.1" },
    { "-0.3", "-0.3" },
    { "0.000001", "0.000001" },
    { "0.00012345", "0.00012345" },
    { "123.456", "123.456" },
    { "1e20", "100000000000000000000.0" },
    { "1e21", "1e+21" },
    { "-1.25e21", "-1.25e+21" },
    { "0.30000000000000004", "0.30000000000000004" },
    { "2251799813685249.5", "2251799813685249.5" },
    { "1e22", "1e+22" },
    { "1e-400", "0.0" },
    { "5e-324", "5e-324" },
    { "1.7976931348623157e308", "1.7976931348623157e+308" },
    { "123456789012345678901234567890.0", "1.2345678901234568e+29" },
    { "9223372036854775808.0", "9223372036854776000.0" },
    { "1e400", NULL },
    { "-1e400", NULL },
    { "1.", NULL },
    { "1.e5", NULL },
    { ".5", NULL },
    { "-.5", NULL },
    { "1e", NULL },
    { "1e+", NULL },
    { "1e1.5", NULL },
    { "1.5.5", NULL },
    { "01.5", NULL },

    /* strings */
    { "\"\"", "\"\"" },
    { "\"a\"", "\"a\"" },
    { "\"12345678\"", "\"12345678\"" },
    { "\"1234567\\n\"", "\"1234567\\n\"" },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
    { "\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
    { "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
    { "\"\\u0000\\u001f\x7f\"", "\"\\u0000\\u001F\x7f\"" },
    { "\"</script>&\"", "\"</script>&\"" },
    { "\"\\uD7FF\\uE000\\uFFFF\"", "\"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"" },
    { "\"\\udbff\\udfff\"", "\"\xf4\x8f\xbf\xbf\"" },
    { "\"\\ud800\"", NULL },
    { "\"\\ud800x\"", NULL },
    { "\"\\ud800\\u0041\"", NULL },
    { "\"\\ud800\\ud800\"", NULL },
    { "\"\\udc00\"", NULL },
    { "\"\\udc00\\ud800\"", NULL },
    { "\"\\u00g0\"", NULL },
    { "\"\\u 041\"", NULL },
    { "\"\\u004", NULL },
    { "\"\\u\"", NULL },
    { "\"\\U0041\"", NULL },
    { "\"\\x41\"", NULL },
    { "\"\\a\"", NULL },
    { "\"\\'\"", NULL },
    { "\"\\\"", NULL },
    { "\"\\", NULL },
    { "\"", NULL },
    { "\"abc", NULL },
    { "\"abcdefghijklmnop", NULL },
    { "\"a\nb\"", NULL },
    { "\"a\tb\"", NULL },
    { "\"12345678\x1f\"", NULL },
    { "\"\x01\"", NULL },

    /* UTF-8 (RFC 3629): each of these bytes is wrong for another reason */
    { "\"\x80\"", NULL },
    { "\"\xbf\"", NULL },
    { "\"\xc0\xaf\"", NULL },
    { "\"\xc1\xbf\"", NULL },
    { "\"\xc3\"", NULL },
    { "\"\xc3(\"", NULL },
    { "\"\xe0\x80\xaf\"", NULL },
    { "\"\xe0\x9f\xbf\"", NULL },
    { "\"\xe2\x82\"", NULL },
    { "\"\xe2(\xa1\"", NULL },
    { "\"\xed\xa0\x80\"", NULL },
    { "\"\xed\xbf\xbf\"", NULL },
    { "\"\xf0\x80\x80\x80\"", NULL },
    { "\"\xf0\x8f\xbf\xbf\"", NULL },
    { "\"\xf0\x9f\x98\"", NULL },
    { "\"\xf4\x90\x80\x80\"", NULL },
    { "\"\xf5\x80\x80\x80\"", NULL },
    { "\"\xff\"", NULL },
    { "\"\xe0\xa0\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
      "\"\xe0\xa0\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
};

static void texts_are_read_and_written_again(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json_auto_t *j = NULL;
        struct err e = { 0 };
        int rc = json_parse(&j, str_of(texts[i].text), &e);

        if (!texts[i].written) {
            if (rc != ERR_INVALID || !str_starts(str_of(e.text), STR("invalid JSON at line ")))
                fail_msg("%s: %d %s", texts[i].text, rc, e.text);
            continue;
        }
        if (rc)
            fail_msg("%s: %s", texts[i].text, e.text);
        auto_free char *written = json_text(j);
        assert_string_equal(written, texts[i].written);
    }
}

/* A reader that looks one byte too far is seen by the address sanitizer. */
static void texts_may_end_anywhere(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t n = 0; n < strlen(texts[i].text); n++) {
            auto_free char *part = mem_dup(texts[i].text, n);
            json_auto_t *j = NULL;
            struct err e;

            err_ignore(json_parse(&j, str_n(part, n), &e)); /* either */
        }
}

static void jansson_says_the_same(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (int strict = 0; strict < 2; strict++) {
            size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | (strict ? JSON_REJECT_DUPLICATES : 0);
            struct str text = str_of(texts[i].text);
            json_auto_t *ours = NULL, *theirs = json_loadb(text.p, text.n, flags, NULL);
            struct err e;

            if (strict ? json_parse_strict(&ours, text, &e) : json_parse(&ours, text, &e))
                assert_null(theirs);
            else
                assert_true(json_equal(ours, theirs));
        }
}

static void nul_bytes_are_no_end(void **state)
{
    json_auto_t *j = NULL;
    struct err e;
    (void)state;

    assert_int_equal(json_parse(&j, STR("1\0"), &e), ERR_INVALID);
    assert_int_equal(json_parse(&j, STR("\"a\0b\""), &e), ERR_INVALID);
    assert_int_equal(json_parse(&j, STR("\"\\\0\""), &e), ERR_INVALID);
    assert_int_equal(json_parse(&j, STR("\"a\\u0000b\""), &e), 0);
    assert_int_equal(json_string_length(j), 3);
    assert_memory_equal(json_string_value(j), "a\0b", 4);
}

static void errors_say_where(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "line 1 column 1: value expected near end of text" },
        { "{\"a\":tru}", "line 1 column 6: invalid token near 'tru}'" },
        { "{\n  \"a\": 1\n  \"b\": 2\n}", "line 3 column 3: ',' or '}' expected near '\"b\":'" },
        { "[1,2", "line 1 column 5: ',' or ']' expected near end of text" },
        { "{1:2}", "line 1 column 2: string or '}' expected near '1:2}'" },
        { "{\"a\":1,}", "line 1 column 8: string expected near '}'" },
        { "{\"a\" 1}", "line 1 column 6: ':' expected near '1}'" },
        { "[\"\xc3\xa9\xc3\xa9\", 01]", "line 1 column 8: invalid number near '01]'" },
        { "\"a\xff\"", "line 1 column 3: byte 0xff is not UTF-8" },
        { "\"a\nb\"", "line 1 column 3: control character 0x0a in a string" },
        { "\"abc", "line 1 column 5: string without an end near end of text" },
        { "\"a\\x41\"", "line 1 column 3: invalid escape near '\\x41\"'" },
        { "\"\\ud800\"", "line 1 column 2: surrogate without its other half near '\\ud800\"'" },
        { "9223372036854775808", "line 1 column 1: too big integer near '9223372036854775808'" },
        { "[-9223372036854775809]",
          "line 1 column 2: too big negative integer near '-9223372036854775809'" },
        { "1e999", "line 1 column 1: real number overflow near '1e999'" },
        { "{} aVeryLongWordThatGoesOnAndOn",
          "line 1 column 4: end of text expected near 'aVeryLongWordThatGoe'" },
        { "{\"a\":1,\"a\":2}", "line 1 column 8: duplicate object key near '\"a\":2}'" },
        { "{\"\\u0000\":1}",
          "line 1 column 2: NUL byte in object key not supported near '\"\\u0000\":1}'" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf("invalid JSON at %s", rows[i].error);
        json_auto_t *j = NULL;
        struct err e = { 0 };

        assert_int_equal(json_parse_strict(&j, str_of(rows[i].text), &e), ERR_INVALID);
        assert_string_equal(e.text, text);
        assert_null(j);
    }
}

static void add(struct buf *b, const char *s, size_t times)
{
    while (times--)
        assert_int_equal(buf_adds(b, s), 0);
}

static int read_levels(size_t n)
{
    auto_buf b = BUF(1 << 20);
    json_auto_t *j = NULL;
    struct err e;

    add(&b, "[{\"a\":", n / 2);
    add(&b, "[", n % 2);
    add(&b, "]", n % 2);
    add(&b, n % 2 ? "}]" : "0}]", 1);
    add(&b, "}]", n / 2 - 1);
    return json_parse(&j, buf_str(&b), &e);
}

static void depth_has_a_maximum(void **state)
{
    auto_buf wide = BUF(1 << 20);
    json_auto_t *j = NULL;
    struct err e;
    (void)state;

    assert_int_equal(read_levels(JSON_DEPTH_MAX), 0);
    assert_int_equal(read_levels(JSON_DEPTH_MAX + 1), ERR_LIMIT);
    add(&wide, "[", 1);
    add(&wide, "[],", 10 * JSON_DEPTH_MAX); /* none of them lies in another */
    add(&wide, "\"[[[[[[\"]", 1);
    assert_int_equal(json_parse(&j, buf_str(&wide), &e), 0);
}

static void values_have_a_maximum(void **state)
{
    auto_buf b = BUF(16 << 20);
    json_auto_t *j = NULL;
    struct err e;
    (void)state;

    add(&b, "[0", 1);
    add(&b, ",0", JSON_VALUES_MAX - 2);
    add(&b, "]", 1);
    assert_int_equal(json_parse(&j, buf_str(&b), &e), 0); /* the array is one too */
    b.n--;
    add(&b, ",0]", 1);
    json_auto_t *more = NULL;
    assert_int_equal(json_parse(&more, buf_str(&b), &e), ERR_LIMIT);
    assert_int_equal(json_parse(&more, str_n("0", (size_t)JSON_BYTES_MAX + 1), &e), ERR_LIMIT);
}

/* Every length around the eight bytes that are looked at together, every kind of byte in each of
 * them. */
static void strings_of_all_lengths_come_back(void **state)
{
    static const char *const odd[] = { "", "\"", "\\", "\n", "\x1f", "\x7f", "\xc3\xa9" };
    (void)state;

    for (size_t o = 0; o < ARRAY_LEN(odd); o++)
        for (size_t before = 0; before < 20; before++)
            for (size_t behind = 0; behind < 20; behind++) {
                auto_buf text = BUF(256), raw = BUF(256);
                json_auto_t *j = NULL;
                struct err e;

                add(&raw, "x", before);
                add(&raw, odd[o], 1);
                add(&raw, "!", behind);
                assert_int_equal(json_write_str(&text, buf_str(&raw)), 0);
                assert_int_equal(json_parse(&j, buf_str(&text), &e), 0);
                assert_int_equal(json_string_length(j), raw.n);
                assert_memory_equal(json_string_value(j), buf_cstr(&raw), raw.n);
            }
}

static void lines_and_order(void **state)
{
    json_auto_t *j = NULL;
    auto_buf b = BUF(1024);
    struct err e;
    (void)state;

    assert_int_equal(json_parse(&j, STR("{\"b\":[1,{}],\"a\":{\"z\":[],\"y\":null},\"ab\":0}"), &e),
                     0);
    assert_int_equal(json_write_indented(&b, j, 2), 0);
    assert_string_equal(buf_cstr(&b), "{\n"
                                      "  \"b\": [\n"
                                      "    1,\n"
                                      "    {}\n"
                                      "  ],\n"
                                      "  \"a\": {\n"
                                      "    \"z\": [],\n"
                                      "    \"y\": null\n"
                                      "  },\n"
                                      "  \"ab\": 0\n"
                                      "}");
    auto_free char *sorted = json_text_sorted(j);
    assert_string_equal(sorted, "{\"a\":{\"y\":null,\"z\":[]},\"ab\":0,\"b\":[1,{}]}");
}

static void members_are_written_without_those_named(void **state)
{
    static const char *const none[] = { NULL }, *const ends[] = { "a", "d", NULL },
                             *const all[] = { "d", "b", "a", "c", NULL };
    json_auto_t *j = NULL;
    auto_buf b = BUF(64);
    struct err e;
    (void)state;

    assert_int_equal(json_parse(&j, STR("{\"a\":1,\"b\":{\"a\":2},\"c\":[],\"d\":0}"), &e), 0);
    assert_int_equal(buf_adds(&b, "."), 0);
    assert_int_equal(json_write_members(&b, j, all), 0);
    assert_int_equal(json_write_members(&b, NULL, none), 0);
    assert_string_equal(buf_cstr(&b), ".");
    assert_int_equal(json_write_members(&b, j, ends), 0);
    assert_string_equal(buf_cstr(&b), ".\"b\":{\"a\":2},\"c\":[]");
    buf_clear(&b);
    assert_int_equal(json_write_members(&b, j, none), 0);
    assert_string_equal(buf_cstr(&b), "\"a\":1,\"b\":{\"a\":2},\"c\":[],\"d\":0");
}

static void keys_that_repeat_are_noted(void **state)
{
    static const struct {
        const char *text;
        bool repeats;
    } rows[] = {
        { "{\"a\":1,\"b\":{\"a\":1}}", false },
        { "[{\"a\":1},{\"a\":1}]", false },
        { "{\"a\":1,\"a\":1}", true },
        { "[{\"b\":{\"a\":1,\"c\":0,\"\\u0061\":1}},{}]", true },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *j = NULL;
        bool repeats = !rows[i].repeats;
        struct err e;

        assert_int_equal(json_parse_noting(&j, str_of(rows[i].text), &repeats, &e), 0);
        assert_int_equal(repeats, rows[i].repeats);
    }
}

static void writing_is_all_or_nothing(void **state)
{
    static const char text[] = "{\"a\":[1,-20,\"x\\ny\",1.5,true,false,null,{}]}";
    json_auto_t *j = NULL, *circle = json_array();
    struct err e;
    (void)state;

    assert_int_equal(json_parse(&j, str_of(text), &e), 0);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        auto_buf b = BUF(3 + n);
        add(&b, "...", 1);
        assert_int_equal(json_write(&b, j), ERR_LIMIT);
        assert_string_equal(buf_cstr(&b), "...");
        assert_int_equal(b.n, 3);
    }
    auto_buf exact = BUF(sizeof text - 1);
    assert_int_equal(json_write(&exact, j), 0);
    assert_string_equal(buf_cstr(&exact), text);

    json_array_append_new(circle, json_array());
    json_array_append(json_array_get(circle, 0), circle);
    buf_clear(&exact);
    assert_int_equal(json_write(&exact, circle), ERR_LIMIT);
    assert_int_equal(json_write(&exact, NULL), ERR_LIMIT);
    assert_int_equal(exact.n, 0);
    json_array_clear(json_array_get(circle, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_and_written_again),
        cmocka_unit_test(texts_may_end_anywhere),
        cmocka_unit_test(jansson_says_the_same),
        cmocka_unit_test(nul_bytes_are_no_end),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(depth_has_a_maximum),
        cmocka_unit_test(values_have_a_maximum),
        cmocka_unit_test(strings_of_all_lengths_come_back),
        cmocka_unit_test(lines_and_order),
        cmocka_unit_test(members_are_written_without_those_named),
        cmocka_unit_test(keys_that_repeat_are_noted),
        cmocka_unit_test(writing_is_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

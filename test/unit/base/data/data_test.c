#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/time.h"
#include "base/data/yaml.h"

static void paths_find_borrow_and_name_what_is_wrong(void **state)
{
    static const struct {
        const char *path, *value, *error;
    } rows[] = {
        { "spec.nodeName", "n1", NULL },
        { "spec.containers[1].name", "b", NULL },
        { "metadata.labels[\"a.b/c\"]", "x", NULL },
        { "spec.containers[2].name", NULL, "spec.containers[2].name is missing" },
        { "spec.gone", NULL, "spec.gone is missing" },
        { "spec.null", NULL, "spec.null is missing" },
        { "spec.n", NULL, "spec.n is not a string" },
        { "spec[0]", NULL, "spec[0] is missing" },
        { "spec[\"open", NULL, "spec[\"open is missing" },
    };
    json_auto_t *j = NULL;
    struct err e;
    (void)state;

    assert_int_equal(
        json_parse(&j,
                   STR("{\"metadata\":{\"labels\":{\"a.b/c\":\"x\"}},\"spec\":{\"null\":null,"
                       "\"n\":3,\"nodeName\":\"n1\",\"containers\":[{},{\"name\":\"b\"}]}}"),
                   &e),
        0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *s = NULL;
        int r = json_path_str(&s, j, rows[i].path, &e);
        if (rows[i].value) {
            assert_int_equal(r, 0);
            assert_string_equal(s, rows[i].value);
        } else {
            assert_int_not_equal(r, 0);
            assert_string_equal(e.text, rows[i].error);
        }
    }
}

static void json_refuses_what_it_must(void **state)
{
    auto_buf deep = BUF(4096);
    json_auto_t *j = NULL;
    struct err e;
    (void)state;

    assert_int_equal(json_parse(&j, STR("{\"a\":1} x"), &e), ERR_INVALID);
    assert_int_equal(json_parse(&j, STR(""), &e), ERR_INVALID);
    assert_int_equal(json_parse_strict(&j, STR("{\"a\":1,\"a\":2}"), &e), ERR_INVALID);
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
        assert_int_equal(buf_addc(&deep, '['), 0);
    assert_int_equal(json_parse(&j, buf_str(&deep), &e), ERR_LIMIT);
    assert_null(j);
}

static void yaml_reads_as_kubernetes_means_it(void **state)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        { "a: 1\nb: [x, 'y', \"z\"]\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"]}" },
        { "a: 0644\nb: '0644'\nc: 1.5\nd: 0x1F\n",
          "{\"a\":420,\"b\":\"0644\",\"c\":1.5,\"d\":31}" },
        { "a: true\nb: 'true'\nc: null\nd: ~\ne:\n",
          "{\"a\":true,\"b\":\"true\",\"c\":null,\"d\":null,\"e\":null}" },
        { "a: 1e3\nb: 1.2.3\nc: 10.0.0.1\nd: -5\ne: 2026-11-22\n",
          "{\"a\":1000.0,\"b\":\"1.2.3\",\"c\":\"10.0.0.1\",\"d\":-5,\"e\":\"2026-11-22\"}" },
        { "base: &b {x: 1}\nc: *b\nd:\n  <<: *b\n  y: 2\n",
          "{\"base\":{\"x\":1},\"c\":{\"x\":1},\"d\":{\"x\":1,\"y\":2}}" },
        { "t: |\n  one\n  two\n", "{\"t\":\"one\\ntwo\\n\"}" },
        { "1: a\n", "{\"1\":\"a\"}" },
        { "", "null" },
        { "{\"json\": [1, 2]}", "{\"json\":[1,2]}" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *j = NULL;
        auto_free char *text = NULL;
        struct err e = { 0 };
        if (yaml_parse(&j, str_of(rows[i].yaml), &e))
            fail_msg("%s: %s", rows[i].yaml, e.text);
        text = json_text(j);
        assert_string_equal(text, rows[i].json);
    }
}

static void yaml_refuses_bombs_and_names_lines(void **state)
{
    static const struct {
        const char *yaml;
        int code;
    } rows[] = {
        { "a: 1\na: 2\n", ERR_INVALID },
        { "a: *nobody\n", ERR_INVALID },
        { "a: [1, 2\n", ERR_INVALID },
        { "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c "
          "[*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
          "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: "
          "[*e,*e,*e,*e,*e,*e,*e]\n",
          ERR_LIMIT },
        { "--- a\n--- b\n", ERR_INVALID },
        { "? [x]\n: 1\n", ERR_INVALID },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *j = NULL;
        struct err e;
        assert_int_equal(yaml_parse(&j, str_of(rows[i].yaml), &e), rows[i].code);
        assert_null(j);
        if (i == 0) /* upstream's words, which clients look for */
            assert_non_null(strstr(e.text, "line 2: key \"a\" already set in map"));
    }
}

static void yaml_ends_where_its_bytes_end(void **state)
{
    static const char *const rows[] = { "{\"a\": \"\u00e9\u00e9\u00e9\"}",
                                        "a: \"\u00e9\U0001f600\"\n",
                                        "- \u20ac\r\n- \"\u20ac\u20ac\"\r\n", "a: x\n...\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *alone = NULL, *first = NULL, *second = NULL;
        auto_free char *two = mem_printf("%s\n---\nb: 1\n", rows[i]);
        size_t offset = 0;
        struct err e = { 0 };

        if (yaml_parse(&alone, str_of(rows[i]), &e))
            fail_msg("%s: %s", rows[i], e.text);
        assert_int_equal(yaml_parse_next(&first, str_of(two), &offset, &e), 0);
        assert_int_equal(yaml_parse_next(&second, str_of(two), &offset, &e), 0);
        assert_true(json_equal(alone, first));
        assert_int_equal(json_i64_at(second, "b", 0), 1);
    }
}

static void yaml_streams_give_one_document_at_a_time(void **state)
{
    struct str text = STR("---\na: 1\n---\nb: 2\n...\n---\n# nothing\n---\nc: 3\n");
    static const char *const want[] = { "{\"a\":1}", "{\"b\":2}", "null", "{\"c\":3}" };
    size_t offset = 0;
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        json_auto_t *j = NULL;
        auto_free char *got = NULL;
        assert_int_equal(yaml_parse_next(&j, text, &offset, &e), 0);
        assert_non_null(j);
        got = json_text(j);
        assert_string_equal(got, want[i]);
    }
    json_t *j = json_null();
    assert_int_equal(yaml_parse_next(&j, text, &offset, &e), 0);
    assert_null(j);
}

static void base64_agrees_with_rfc_4648(void **state)
{
    static const struct {
        const char *plain, *b64;
    } rows[] = { { "", "" },
                 { "f", "Zg==" },
                 { "fo", "Zm8=" },
                 { "foo", "Zm9v" },
                 { "foob", "Zm9vYg==" },
                 { "fooba", "Zm9vYmE=" },
                 { "foobar", "Zm9vYmFy" } };
    static const char *const bad[] = { "Z", "Zg=", "Zg===", "Zm9v!", "Zg==Zg==", "=" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf text = BUF(64), back = BUF(64);
        assert_int_equal(base64_add(&text, str_of(rows[i].plain)), 0);
        assert_string_equal(buf_cstr(&text), rows[i].b64);
        assert_true(base64_valid(buf_str(&text)));
        assert_int_equal(base64_decode(&back, buf_str(&text), false), 0);
        assert_string_equal(buf_cstr(&back), rows[i].plain);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_buf back = BUF(64);
        assert_int_equal(base64_decode(&back, str_of(bad[i]), false), ERR_INVALID);
    }
    auto_buf b32 = BUF(64);
    assert_int_equal(base32_add(&b32, STR("fooba")), 0);
    assert_int_equal(base32_add(&b32, STR("foob")), 0);
    assert_string_equal(buf_cstr(&b32), "MZXW6YTBMZXW6YQ=");
}

static void times_round_trip_and_refuse_nonsense(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
        bool ok;
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0, true },
        { "2026-11-22T09:34:23Z", 1795340063LL * 1000000, true },
        { "2026-11-22T09:34:23.238535Z", 1795340063238535LL, true },
        { "2026-11-22T10:34:23.2+01:00", 1795340063200000LL, true },
        { "2026-11-22T09:34:23.238535999Z", 1795340063238535LL, true },
        { "2026-11-22T09:34:23-00:30", 1795341863LL * 1000000, true },
        { "2024-02-29T00:00:00Z", 1709164800LL * 1000000, true },
        { "1969-12-31T23:59:59.5Z", -500000, true },
        { "0001-01-01T00:00:00Z", -62135596800LL * 1000000, true },
        { "9999-12-31T23:59:59.999999Z", 253402300800LL * 1000000 - 1, true },
        { "0001-01-01T00:00:00+00:01", 0, false },
        { "9999-12-31T23:59:59-00:01", 0, false },
        { "0000-01-01T00:00:00Z", 0, false },
        { "10000-01-01T00:00:00Z", 0, false },
        { "2026-02-31T00:00:00Z", 0, false },
        { "2026-02-29T00:00:00Z", 0, false },
        { "2026-00-01T00:00:00Z", 0, false },
        { "2026-13-01T00:00:00Z", 0, false },
        { "2026-11-00T00:00:00Z", 0, false },
        { "2026-11-22T24:00:00Z", 0, false },
        { "2026-11-22T09:60:00Z", 0, false },
        { "2026-11-22T09:34:60Z", 0, false },
        { "2026-11-22t09:34:23Z", 0, false },
        { "2026-11-22T09:34:23z", 0, false },
        { "2026-11-22T9:34:23Z", 0, false },
        { "2026-11-22T09:34Z", 0, false },
        { "2026-11-22T09:34:23+0100", 0, false },
        { "2026-11-22T09:34:23+01", 0, false },
        { "2026-11-22T09:34:23+25:00", 0, false },
        { "2026-11-22T09:34:23Z ", 0, false },
        { "2026-11-22", 0, false },
        { "2026-11-22 09:34:23Z", 0, false },
        { "2026-11-22T09:34:23", 0, false },
        { "2026-11-22T09:34:23.Z", 0, false },
        { "", 0, false },
    };
    char text[TIME_TEXT_BYTES];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t us = -1;
        assert_int_equal(time_parse(&us, str_of(rows[i].text)), rows[i].ok);
        if (!rows[i].ok)
            continue;
        assert_int_equal(us, rows[i].us);
        time_text_us(text, us);
        assert_true(time_parse(&us, str_of(text))); /* what was read is written, and read again */
        assert_int_equal(us, rows[i].us);
        time_text_s(text, us / 1000000);
        assert_true(time_parse(&us, str_of(text)));
    }
    time_text_us(text, 1795340063238535LL);
    assert_string_equal(text, "2026-11-22T09:34:23.238535Z");
    time_text_s(text, -62135596800); /* a year has four digits */
    assert_string_equal(text, "0001-01-01T00:00:00Z");
    time_text_s(text, 1795340063);
    assert_string_equal(text, "2026-11-22T09:34:23Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_borrow_and_name_what_is_wrong),
        cmocka_unit_test(json_refuses_what_it_must),
        cmocka_unit_test(yaml_reads_as_kubernetes_means_it),
        cmocka_unit_test(yaml_refuses_bombs_and_names_lines),
        cmocka_unit_test(yaml_ends_where_its_bytes_end),
        cmocka_unit_test(yaml_streams_give_one_document_at_a_time),
        cmocka_unit_test(base64_agrees_with_rfc_4648),
        cmocka_unit_test(times_round_trip_and_refuse_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/json_pick.h"

#include <string.h>

static const char *const paths[] = { "metadata.labels", "spec.nodeName", "spec.n" };

static void what_is_wanted_comes_and_nothing_else(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        { "{'metadata':{'name':'a','labels':{'x':'y'}},'spec':{'n':1,'nodeName':'m'}}",
          "{'metadata':{'labels':{'x':'y'}},'spec':{'n':1,'nodeName':'m'}}" },
        { "{}", "{}" },
        { " { 'spec' : { } } ", "{'spec':{}}" },
        { "{'spec':7,'metadata':[{'labels':{}}]}", "{}" }, /* not the way to them */
        { "{'a':{'spec':{'n':2}},'spec':{'n':null}}", "{'spec':{'n':null}}" },
        { "{'nodeName':'x','spec':{'node':'y','nodeNames':'z'}}", "{'spec':{}}" },
        { "{'a':'\\\\','b':'\\\"{','spec':{'n':-1.5e3}}", "{'spec':{'n':-1500.0}}" },
        { "{'a':[1,[{},'}]'],true],'spec':{'n':false}}", "{'spec':{'n':false}}" },
        /* all found: nobody looks at the rest */
        { "{'metadata':{'labels':{}},'spec':{'n':1,'nodeName':'m'},'status':",
          "{'metadata':{'labels':{}},'spec':{'n':1,'nodeName':'m'}}" },
        /* what was not found could not come any more */
        { "{'metadata':{'name':'a'},'spec':{'n':1},'status':", "{'metadata':{},'spec':{'n':1}}" },
        { "", NULL },
        { "[]", NULL },
        { "{'spec':{'n':1}", NULL },
        { "{'spec':{'n':}}", NULL },
        { "{'spec':{'n':1 2}}", NULL },
        { "{'a", NULL },
        { "{'a':'\\'", NULL },
        { "{a:1}", NULL },
        { "{'a' 1}", NULL },
        { "{'a':[1,2", NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_strdup(rows[i].text);
        auto_free char *want = mem_strdup(rows[i].want ? rows[i].want : "");
        json_auto_t *doc = NULL, *expected = NULL;
        struct err e;

        for (char *p = text; (p = strchr(p, '\'')) != NULL;)
            *p = '"';
        for (char *p = want; (p = strchr(p, '\'')) != NULL;)
            *p = '"';
        int rc = json_pick(&doc, str_of(text), paths, ARRAY_LEN(paths), &e);
        if (!rows[i].want) {
            if (rc != ERR_INVALID)
                fail_msg("%s is taken", text);
            continue;
        }
        if (rc)
            fail_msg("%s: %s", text, e.text);
        assert_int_equal(json_parse(&expected, str_of(want), &e), 0);
        if (!json_equal(doc, expected)) {
            auto_free char *got = json_text(doc);
            fail_msg("%s: %s, not %s", text, got, want);
        }
    }
}

static void a_name_with_zero_bytes_is_another_name(void **state)
{
    static const char *const a[] = { "a" };
    json_auto_t *doc = NULL;
    struct err e;
    (void)state;

    assert_int_equal(json_pick(&doc, STR("{\"a\0\0\0\0\0\":1,\"a\":2}"), a, 1, &e), 0);
    assert_int_equal(json_i64_at(doc, "a", 0), 2);
}

static void depth_and_number_of_paths_are_bounded(void **state)
{
    static const char *const deep[] = { "a.a.a" };
    const char *many[JSON_PICK_PATHS_MAX + 1];
    json_t *doc;
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "a";
    assert_int_equal(json_pick(&doc, STR("{}"), many, ARRAY_LEN(many), &e), ERR_LIMIT);
    auto_buf text = BUF(1 << 20); /* what is skipped may be as deep as it likes */
    err_ignore(buf_adds(&text, "{\"b\":"));
    for (int i = 0; i < 100000; i++)
        err_ignore(buf_addc(&text, '['));
    for (int i = 0; i < 100000; i++)
        err_ignore(buf_addc(&text, ']'));
    err_ignore(buf_adds(&text, ",\"a\":{\"a\":{\"a\":1}}}"));
    assert_int_equal(json_pick(&doc, buf_str(&text), deep, 1, &e), 0);
    assert_int_equal(json_i64_at(doc, "a.a.a", 0), 1);
    json_decref(doc);
}

static void the_text_of_one_value_is_found(void **state)
{
    static const struct {
        const char *text, *path, *want; /* NULL: there is none */
    } rows[] = {
        { "{\"m\":{\"x\":1,\"l\": {\"a\":\"}\"} },\"n\":2}", "m.l", "{\"a\":\"}\"}" },
        { "{\"m\":{\"x\":1},\"l\":2}", "m.l", NULL },
        { "{\"l\":{\"l\":3}}", "l", "{\"l\":3}" },
        { "{\"l\":[1", "l", NULL },
        { "{}", "l", NULL },
        { "7", "l", NULL },
        { "", "l", NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str found;
        bool is = json_find(&found, str_of(rows[i].text), rows[i].path);
        if (is != (rows[i].want != NULL) || (is && !str_is(found, rows[i].want)))
            fail_msg("%s in %s", rows[i].path, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wanted_comes_and_nothing_else),
        cmocka_unit_test(a_name_with_zero_bytes_is_another_name),
        cmocka_unit_test(depth_and_number_of_paths_are_bounded),
        cmocka_unit_test(the_text_of_one_value_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

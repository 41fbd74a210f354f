#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/kube/intorstring.h"
#include "base/kube/name.h"

#define LONG_64 "a23456789012345678901234567890123456789012345678901234567890abcd"

static void names_are_checked(void **state)
{
    static const struct {
        const char *(*check)(struct str);
        const char *s;
        bool ok;
    } rows[] = {
        { name_check_label, "a-1", true },
        { name_check_label, "1", true },
        { name_check_label, "", false },
        { name_check_label, "-a", false },
        { name_check_label, "a-", false },
        { name_check_label, "A", false },
        { name_check_label, "a.b", false },
        { name_check_label, LONG_64, false },
        { name_check_label35, "a1", true },
        { name_check_label35, "1a", false },
        { name_check_subdomain, "a.b-c.d", true },
        { name_check_subdomain, "a..b", false },
        { name_check_subdomain, ".a", false },
        { name_check_path_segment, "system:node", true },
        { name_check_path_segment, "..", false },
        { name_check_path_segment, "a/b", false },
        { name_check_qualified, "a", true },
        { name_check_qualified, "example.com/A_b.c", true },
        { name_check_qualified, "/a", false },
        { name_check_qualified, "a/", false },
        { name_check_qualified, "a/b/c", false },
        { name_check_qualified, "A/b", false },
        { name_check_label_value, "", true },
        { name_check_label_value, "A_1", true },
        { name_check_label_value, "_", false },
        { name_check_label_value, LONG_64, false },
        { name_check_port_name, "http-2", true },
        { name_check_port_name, "80", false },
        { name_check_port_name, "a--b", false },
        { name_check_port_name, "a-very-long-name", false },
        { name_check_env, "A.b-C", true },
        { name_check_env, "a=b", false },
        { name_check_env, "", false },
        { name_check_config_key, "ca.crt", true },
        { name_check_config_key, "..", false },
        { name_check_config_key, "", false },
        { name_check_config_key, "a/b", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((rows[i].check(str_of(rows[i].s)) == NULL) != rows[i].ok)
            fail_msg("row %zu: \"%s\"", i, rows[i].s);
}

static void percentages_are_rounded_as_asked(void **state)
{
    json_auto_t *quarter = json_string("25%"), *three = json_integer(3), *word = json_string("x");
    struct err e;
    int64_t n;
    (void)state;

    assert_int_equal(intorstring_scale(&n, quarter, 10, true, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(intorstring_scale(&n, quarter, 10, false, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(intorstring_scale(&n, three, 10, true, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(intorstring_scale(&n, word, 10, true, &e), ERR_INVALID);
}

/* Where they are all that is wrong (IsDNS1123Label, release 1.32). */
static void dots_are_named(void **state)
{
    (void)state;
    assert_string_equal(name_check_label(STR("a.b")), "must not contain dots");
    assert_non_null(strstr(name_check_label(STR("A.b")), "a lowercase RFC 1123 label"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots_are_named),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(percentages_are_rounded_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

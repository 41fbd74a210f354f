/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/kube/families.h"

#include <string.h>

static void families_are_told_from_texts(void **state)
{
    static const struct {
        const char *texts[3], *text;
        bool v4, v6, first_v6;
    } rows[] = {
        { { "10.42.0.0/16" }, "[10.42.0.0/16]", true, false, false },
        { { "fd00::/56" }, "[fd00::/56]", false, true, true },
        { { "192.0.2.1", "2001:db8::1" }, "[192.0.2.1 2001:db8::1]", true, true, false },
        { { "2001:db8::1", "192.0.2.1" }, "[2001:db8::1 192.0.2.1]", true, true, true },
        { { NULL }, "[]", false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct families f;
        size_t n = 0;

        while (rows[i].texts[n])
            n++;
        families_of(&f, rows[i].texts, n);
        assert_string_equal(f.text, rows[i].text);
        assert_int_equal(f.v4, rows[i].v4);
        assert_int_equal(f.v6, rows[i].v6);
        assert_int_equal(f.first_v6, rows[i].first_v6);
    }
}

static void a_long_list_is_cut(void **state)
{
    const char *texts[16];
    struct families f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        texts[i] = "2001:db8:1111:2222:3333:4444:5555:6666";
    families_of(&f, texts, ARRAY_LEN(texts));
    assert_int_equal(strlen(f.text), sizeof f.text - 1);
    assert_int_equal(f.text[sizeof f.text - 2], ']');
}

static void what_one_needs_the_other_has(void **state)
{
    const char *four[] = { "10.0.0.1" }, *six[] = { "fd00::1" };
    const char *both[] = { "10.0.0.1", "fd00::1" }, *turned[] = { "fd00::1", "10.0.0.1" };
    struct families f4, f6, f46, f64;

    (void)state;
    families_of(&f4, four, 1);
    families_of(&f6, six, 1);
    families_of(&f46, both, 2);
    families_of(&f64, turned, 2);
    assert_true(families_has_all(&f46, &f4) && families_has_all(&f64, &f46));
    assert_false(families_has_all(&f4, &f46) || families_has_all(&f4, &f6));
    assert_true(families_same(&f46, &f46));
    assert_false(families_same(&f46, &f64) || families_same(&f4, &f46));
    assert_true(families_dual(&f64));
    assert_false(families_dual(&f6));
}

static void one_address_of_each_family_is_shown(void **state)
{
    static const struct {
        const char *ips[4], *want;
        bool first_v6;
    } rows[] = {
        { { "10.0.0.1", "fd00::1" }, "10.0.0.1 fd00::1", false },
        { { "10.0.0.1", "fd00::1" }, "fd00::1 10.0.0.1", true },
        { { "fd00::1", "fd00::2", "10.0.0.1" }, "10.0.0.1 fd00::1", false },
        { { "10.0.0.1", "10.0.0.2" }, "10.0.0.1", true },
        { { NULL }, "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *out[2];
        char got[64] = "";
        size_t n = 0;

        while (rows[i].ips[n])
            n++;
        n = families_pick(out, rows[i].ips, n, rows[i].first_v6);
        for (size_t k = 0; k < n; k++) {
            strcat(got, k ? " " : "");
            strcat(got, out[k]);
        }
        assert_string_equal(got, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_told_from_texts),
        cmocka_unit_test(a_long_list_is_cut),
        cmocka_unit_test(one_address_of_each_family_is_shown),
        cmocka_unit_test(what_one_needs_the_other_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

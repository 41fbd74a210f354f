#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/kube/quantity.h"

/* Rows from the rules of resource.Quantity's canonical form: no fraction, largest suffix. */
static const struct {
    const char *in, *out; /* out NULL: refused */
} texts[] = {
    { "0", "0" },
    { "0m", "0" },
    { "1", "1" },
    { "+1", "1" },
    { "100m", "100m" },
    { "1000m", "1" },
    { "1500m", "1500m" },
    { "0.5", "500m" },
    { ".5", "500m" },
    { "5.", "5" },
    { "1000", "1k" },
    { "1500", "1500" },
    { "1000000", "1M" },
    { "1.5Gi", "1536Mi" },
    { "1024Mi", "1Gi" },
    { "512Ki", "512Ki" },
    { "1536", "1536" },
    { "0.5Ki", "512" },
    { "0.1Ki", "102400m" }, /* below 1024 the decimal form: nothing is rounded */
    { "1025.1Ki", "1049703" },
    { "1.5Ki", "1536" },
    { "2000Ki", "2000Ki" },
    { "100000m", "100" },
    { "1u", "1u" },
    { "0.001", "1m" },
    { "1e-3", "1e-3" },
    { "1.1e2", "110" },
    { "-0", "0" },
    { "00012", "12" },
    { "1Pi", "1Pi" },
    { "1Ei", "1Ei" },
    { "7Ei", "7Ei" },
    { "1Ki", "1Ki" },
    { "24684096Ki", "24684096Ki" },
    { "257025515114", "257025515114" },
    { "1e3", "1e3" },
    { "1E3", "1e3" },
    { "12e-1", "1200e-3" },
    { "1E", "1E" },
    { "-1", "-1" },
    { "-1.5Gi", "-1536Mi" },
    { "1n", "1n" },
    { "0.1n", "1n" }, /* rounded away from zero */
    { "-0.1n", "-1n" },
    { "0.0000000001", "1n" },
    { "99999999999999999999", "9223372036854775807" }, /* capped at 2^63-1 */
    { "10000Ei", "9223372036854775807" },
    { "1e999", "9223372036854775807" },
    { "", NULL },
    { "-", NULL },
    { ".", NULL },
    { "1x", NULL },
    { "1 ", NULL },
    { "1mi", NULL },
    { "1KiB", NULL },
    { "e3", NULL },
    { "1e", NULL },
    { "1e3.5", NULL },
    { "0x10", NULL },
    { "1..2", NULL },
};

static void texts_become_canonical_or_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct quantity q;
        struct err e = { 0 };
        char out[QUANTITY_TEXT_MAX];
        int r = quantity_parse(&q, str_of(texts[i].in), &e);
        if (!texts[i].out) {
            if (r != ERR_INVALID)
                fail_msg("\"%s\" was accepted", texts[i].in);
            continue;
        }
        if (r)
            fail_msg("\"%s\": %s", texts[i].in, e.text);
        quantity_print(out, &q);
        assert_string_equal(out, texts[i].out);
    }
}

static struct quantity of(const char *s)
{
    struct quantity q;
    struct err e;

    assert_int_equal(quantity_parse(&q, str_of(s), &e), 0);
    return q;
}

static void printing_and_reading_again_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct quantity q, again;
        struct err e;
        char out[QUANTITY_TEXT_MAX];
        if (!texts[i].out)
            continue;
        q = of(texts[i].in);
        quantity_print(out, &q);
        assert_int_equal(quantity_parse(&again, str_of(out), &e), 0);
        if (q.nano % 1000000000 == 0)
            assert_int_equal(quantity_cmp(&q, &again), 0);
    }
}

/* Found by fuzzing: a suffix that nobody knows was read past its end. */
static void a_text_need_not_be_terminated(void **state)
{
    char *text = mem_dup("3M3", 3);
    struct quantity q;
    struct err e;
    (void)state;

    assert_int_equal(quantity_parse(&q, str_n(text, 3), &e), ERR_INVALID);
    free(text);
}

static void thousandths_are_kept(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = { { "1m", "1m" },     { "1n", "1m" },        { "-1n", "-1m" }, { "1500u", "2m" },
                 { "100m", "100m" }, { "1.0005", "1001m" }, { "1Gi", "1Gi" }, { "0", "0" } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct quantity q = of(rows[i].in);
        char out[QUANTITY_TEXT_MAX];
        (void)quantity_round_milli(&q);
        assert_false(quantity_round_milli(&q)); /* once is enough */
        quantity_print(out, &q);
        assert_string_equal(out, rows[i].out);
    }
}

static void values_are_compared_and_rounded_up(void **state)
{
    struct quantity a = of("1"), b = of("1000m"), c = of("1001m"), sum;
    (void)state;

    assert_int_equal(quantity_cmp(&a, &b), 0);
    assert_true(quantity_cmp(&a, &c) < 0);
    assert_int_equal(quantity_value(&c), 2);
    assert_int_equal(quantity_milli_value(&c), 1001);
    sum = quantity_add(a, &c);
    assert_int_equal(quantity_milli_value(&sum), 2001);
    sum = quantity_sub(a, &c);
    assert_int_equal(quantity_milli_value(&sum), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_canonical_or_are_refused),
        cmocka_unit_test(printing_and_reading_again_changes_nothing),
        cmocka_unit_test(a_text_need_not_be_terminated),
        cmocka_unit_test(thousandths_are_kept),
        cmocka_unit_test(values_are_compared_and_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/store/etcd_mark.h"

#include <stdio.h>

static void each_write_on_its_way_has_a_slot_of_its_own(void **state)
{
    struct etcd_marks m;
    struct etcd_mark k[40], again;
    (void)state;

    etcd_marks_init(&m, "srv1");
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        etcd_mark_take(&m, &k[i]);
        assert_int_equal(k[i].slot, i);
        assert_int_equal(k[i].mod_rev, 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(k[i].key, k[j].key);
            assert_string_not_equal(k[i].value, k[j].value);
        }
    }
    k[7].mod_rev = 99;
    etcd_mark_give(&m, &k[7]);
    etcd_mark_give(&m, &k[7]); /* nothing is left to give */
    etcd_mark_take(&m, &again);
    assert_int_equal(again.slot, 7); /* the lowest that is free: few keys */
    assert_int_equal(again.mod_rev, 99);
    assert_string_equal(again.key, k[7].key);
    assert_string_not_equal(again.value, k[7].value);
    etcd_marks_deinit(&m);
}

static void a_server_finds_its_slots_again_and_no_other_does(void **state)
{
    struct etcd_marks a, b, c, d;
    char longest[300];
    (void)state;

    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    etcd_marks_init(&a, "srv1");
    etcd_marks_init(&b, "srv1");
    etcd_marks_init(&c, longest);
    etcd_marks_init(&d, NULL);
    assert_string_equal(a.prefix, b.prefix);
    assert_string_not_equal(a.prefix, c.prefix);
    assert_string_not_equal(a.prefix, d.prefix);
    assert_true(a.nonce != b.nonce); /* its values are new at every start */
    assert_int_equal(strlen(c.prefix), strlen(a.prefix));
    etcd_marks_deinit(&a);
    etcd_marks_deinit(&b);
    etcd_marks_deinit(&c);
    etcd_marks_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_on_its_way_has_a_slot_of_its_own),
        cmocka_unit_test(a_server_finds_its_slots_again_and_no_other_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

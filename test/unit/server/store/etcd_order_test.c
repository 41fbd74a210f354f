#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/store/etcd_order.h"

enum { N = 6 };

struct world {
    struct etcd_order o;
    struct etcd_ticket t[N];
};

static int setup(void **state)
{
    static struct world w;

    memset(&w, 0, sizeof w);
    etcd_order_init(&w.o, 10);
    *state = &w;
    return 0;
}
static int teardown(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < N; i++)
        etcd_order_leave(&w->o, &w->t[i]);
    while (etcd_order_next(&w->o))
        ;
    etcd_order_deinit(&w->o);
    return 0;
}

/* Which tickets are due now, by number. */
static const char *due(struct world *w)
{
    static char text[N + 1];
    struct etcd_ticket *t;
    size_t n = 0;

    while ((t = etcd_order_next(&w->o)))
        text[n++] = (char)('0' + (t - w->t));
    text[n] = '\0';
    return text;
}

static void acknowledged_when_the_feed_is_there(void **state)
{
    struct world *w = *state;

    etcd_order_enter(&w->o, &w->t[0], STR("a"));
    assert_string_equal(due(w), "");
    etcd_order_landed(&w->o, &w->t[0], 12);
    assert_string_equal(due(w), "");
    etcd_order_seen(&w->o, 11, STR("x"));
    assert_string_equal(due(w), "");
    etcd_order_seen(&w->o, 12, STR("a"));
    assert_string_equal(due(w), "0");
}

static void progress_counts_like_an_event(void **state)
{
    struct world *w = *state;

    etcd_order_enter(&w->o, &w->t[0], STR("a"));
    etcd_order_landed(&w->o, &w->t[0], 12);
    etcd_order_seen(&w->o, 15, STR(""));
    assert_string_equal(due(w), "0");
}

static void a_write_that_may_be_earlier_holds_back_the_later(void **state)
{
    struct world *w = *state;

    etcd_order_enter(&w->o, &w->t[0], STR("a"));
    etcd_order_enter(&w->o, &w->t[1], STR("b"));
    etcd_order_enter(&w->o, &w->t[2], STR("c"));
    etcd_order_seen(&w->o, 11, STR("a"));
    etcd_order_seen(&w->o, 12, STR("b"));
    etcd_order_seen(&w->o, 13, STR("c"));
    etcd_order_landed(&w->o, &w->t[2], 13);
    assert_string_equal(due(w), ""); /* 11 and 12 are ours, perhaps */
    etcd_order_landed(&w->o, &w->t[1], 12);
    assert_string_equal(due(w), "");
    etcd_order_landed(&w->o, &w->t[0], 11);
    assert_string_equal(due(w), "012");
}

static void another_servers_write_to_the_same_key_holds_nothing_back_for_long(void **state)
{
    struct world *w = *state;

    etcd_order_enter(&w->o, &w->t[0], STR("a"));
    etcd_order_enter(&w->o, &w->t[1], STR("b"));
    etcd_order_seen(&w->o, 11, STR("a")); /* of somebody else */
    etcd_order_seen(&w->o, 12, STR("b"));
    etcd_order_landed(&w->o, &w->t[1], 12);
    assert_string_equal(due(w), "");
    etcd_order_leave(&w->o, &w->t[0]); /* refused */
    assert_string_equal(due(w), "1");
    etcd_order_enter(&w->o, &w->t[2], STR("a"));
    etcd_order_seen(&w->o, 13, STR("a")); /* again */
    etcd_order_landed(&w->o, &w->t[2], 14);
    etcd_order_seen(&w->o, 14, STR("a"));
    assert_string_equal(due(w), "2");
}

static void writes_to_one_key_go_one_after_the_other(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 3; i++)
        etcd_order_enter(&w->o, &w->t[i], STR("a"));
    etcd_order_enter(&w->o, &w->t[3], STR("b"));
    assert_true(etcd_order_is_first(&w->t[0]));
    assert_false(etcd_order_is_first(&w->t[1]));
    assert_true(etcd_order_is_first(&w->t[3]));
    assert_ptr_equal(etcd_order_first(&w->o, STR("a")), &w->t[0]);
    etcd_order_leave(&w->o, &w->t[1]); /* one that waited is given up */
    etcd_order_landed(&w->o, &w->t[0], 11);
    assert_ptr_equal(etcd_order_first(&w->o, STR("a")), &w->t[2]);
    etcd_order_seen(&w->o, 11, STR("a"));
    assert_string_equal(due(w), "0");
    assert_null(etcd_order_first(&w->o, STR("c")));
}

static void given_up_after_it_landed(void **state)
{
    struct world *w = *state;

    etcd_order_enter(&w->o, &w->t[0], STR("a"));
    etcd_order_landed(&w->o, &w->t[0], 11);
    etcd_order_leave(&w->o, &w->t[0]);
    etcd_order_leave(&w->o, &w->t[0]);
    etcd_order_seen(&w->o, 11, STR("a"));
    assert_string_equal(due(w), "");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(acknowledged_when_the_feed_is_there),
        T(progress_counts_like_an_event),
        T(a_write_that_may_be_earlier_holds_back_the_later),
        T(another_servers_write_to_the_same_key_holds_nothing_back_for_long),
        T(writes_to_one_key_go_one_after_the_other),
        T(given_up_after_it_landed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

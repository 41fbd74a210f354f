/* Suite, the leases: ephemeral writes are in memory, and nobody can tell but the disk. */
#include "test/unit/server/store/suite.h"

static const struct suite_backend *backend;

static int setup(void **state)
{
    return fix_setup(state, backend);
}

static void a_lease_is_an_object_like_any_other_to_readers_and_watchers(void **state)
{
    struct fix *f = *state;
    struct seen w = { 0 };
    int64_t a, b, c, d, e;

    watch(f, &w, "/l/", 0);
    a = put_lease(f, STORE_CREATE, "/l/x", "1");
    b = put_lease(f, STORE_UPDATE, "/l/x", "2");
    c = put_lease(f, STORE_UPDATE, "/l/x", "3");
    assert_true(a < b && b < c);
    assert_string_equal(get(f, "/l/x"), FMT("3@%lld/%lld", R(c), R(a)));
    assert_string_equal(list(f, "/l/", NULL), FMT("/l/x=3@%lld", R(c)));
    d = put(f, STORE_UPDATE, "/l/x", "by hand");
    e = put_lease(f, STORE_UPDATE, "/l/x", "5");
    assert_string_equal(list(f, "/l/", NULL), FMT("/l/x=5@%lld", R(e)));
    put_lease(f, STORE_DELETE, "/l/x", "");
    assert_string_equal(list(f, "/l/", NULL), "");
    assert_string_equal(seen(&w, 6),
                        FMT("+/l/x=1@%lld ~/l/x=2<1@%lld ~/l/x=3<2@%lld ~/l/x=by hand<3@%lld "
                            "~/l/x=5<by hand@%lld -/l/x<5@%lld",
                            R(a), R(b), R(c), R(d), R(e), R(e + 1)));
    unwatch(&w);
}

static void leases_survive_closing(void **state)
{
    struct fix *f = *state;
    int64_t a = put_lease(f, STORE_CREATE, "/l/x", "1"), b = 0;

    for (int i = 0; i < 10; i++)
        b = put_lease(f, STORE_UPDATE, "/l/x", FMT("%d", i));
    fix_close(f);
    fix_open(f, NULL);
    assert_int_equal(store_revision(f->s), b);
    assert_string_equal(get(f, "/l/x"), FMT("9@%lld/%lld", R(b), R(a)));
}

static void a_watch_from_the_past_ends_up_with_the_newest_lease(void **state)
{
    struct fix *f = *state;
    struct seen w = { 0 };
    const struct store_limits tiny = { .window_events = 1, .checkpoint_ms = 1 };
    const struct store_limits lazy = { .window_events = 1 };

    for (int round = 0; round < 3; round++) {
        int64_t a, z = 0;
        fix_close(f);
        fix_open(f, round ? &tiny : &lazy);
        a = put_lease(f, STORE_CREATE, FMT("/l%d/x", round), "first");
        for (int i = 0; i < 20; i++)
            z = put_lease(f, STORE_UPDATE, FMT("/l%d/x", round), FMT("%d", i));
        put(f, STORE_CREATE, FMT("/r%d", round), "");
        if (round == 2) { /* a start in between makes no difference */
            fix_close(f);
            fix_open(f, &lazy);
        }
        watch(f, &w, FMT("/l%d/", round), a);
        while (w.last_pos_rev < z)
            uv_run(&f->loop, UV_RUN_ONCE);
        assert_int_equal(w.last_pos_rev, z);
        unwatch(&w);
    }
}

/* What a past list says of a lease may be older than what it was, but never newer. */
static void a_list_of_the_past_has_no_lease_of_the_future(void **state)
{
    struct fix *f = *state;
    int64_t a = put_lease(f, STORE_CREATE, "/l/x", "first"), mid, z;

    put_lease(f, STORE_UPDATE, "/l/x", "second");
    fix_close(f); /* writes it out */
    fix_open(f, NULL);
    mid = put(f, STORE_CREATE, "/l/y", "y");
    z = put_lease(f, STORE_UPDATE, "/l/x", "third");
    const struct store_list_opts then = { .at_rev = mid }, before = { .at_rev = a };
    assert_string_equal(list(f, "/l/", &then),
                        FMT("/l/x=second@%lld /l/y=y@%lld", R(a + 1), R(mid)));
    assert_string_equal(list(f, "/l/", &before), FMT("/l/x=first@%lld", R(a)));
    assert_string_equal(list(f, "/l/", NULL), FMT("/l/x=third@%lld /l/y=y@%lld", R(z), R(mid)));
}

static void a_deleted_lease_stays_deleted(void **state)
{
    struct fix *f = *state;
    struct seen w = { 0 };
    int64_t a, b, c;
    const struct store_limits tiny = { .window_events = 1 };

    fix_close(f);
    fix_open(f, &tiny);
    a = put_lease(f, STORE_CREATE, "/l/x", "1");
    b = put_lease(f, STORE_UPDATE, "/l/x", "2");
    fix_close(f);
    fix_open(f, &tiny);
    c = put_lease(f, STORE_DELETE, "/l/x", "");
    fix_close(f);
    fix_open(f, &tiny);
    assert_string_equal(get(f, "/l/x"), "-");
    watch(f, &w, "/l/", a);
    assert_string_equal(seen(&w, 2), FMT("~/l/x=2<1@%lld -/l/x<2@%lld", R(b), R(c)));
    unwatch(&w);
    assert_true(put_lease(f, STORE_CREATE, "/l/x", "3") > c);
    assert_int_equal(get(f, "/l/x")[0], '3');
}

int suite_lease_run(const struct suite_backend *b)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        T(a_lease_is_an_object_like_any_other_to_readers_and_watchers),
        T(leases_survive_closing),
        T(a_watch_from_the_past_ends_up_with_the_newest_lease),
        T(a_list_of_the_past_has_no_lease_of_the_future),
        T(a_deleted_lease_stays_deleted),
    };

    backend = b;
    return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}

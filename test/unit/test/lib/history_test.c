/* The checker of histories: what is possible passes, and each kind of impossible is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "test/lib/history.h"

static struct history *h;

static int setup(void **state)
{
    (void)state;
    h = history_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    history_free(h);
    return 0;
}

static void write_at(const char *key, const char *value, int64_t rev)
{
    history_acked(h, history_begin(h, key, value, false), rev);
}
static void renew_at(const char *key, const char *value, int64_t rev)
{
    history_acked(h, history_begin(h, key, value, true), rev);
}

static void fine(void)
{
    const char *why = history_check(h);

    if (why)
        fail_msg("%s", why);
}
static void impossible(const char *word)
{
    const char *why = history_check(h);

    assert_non_null(why);
    if (!strstr(why, word))
        fail_msg("%s", why);
}

/* ---- possible ---- */

static void what_was_written_is_read(void **state)
{
    (void)state;
    write_at("a", "1", 1);
    write_at("b", "1", 2);
    write_at("a", NULL, 3);
    history_read(h, "a", NULL, 0);
    history_read(h, "b", "1", 2);
    history_read(h, "never", NULL, 0);
    fine();
}

static void a_write_without_an_answer_may_have_happened_or_not(void **state)
{
    (void)state;
    write_at("a", "1", 1);
    write_at("b", "1", 2);
    write_at("c", "1", 3);
    history_begin(h, "a", "2", false);
    history_begin(h, "b", "2", false);
    history_begin(h, "c", NULL, false);
    history_crash(h);
    history_read(h, "a", "2", 4);
    history_read(h, "b", "1", 2);
    history_read(h, "c", NULL, 0);
    fine();
}

static void a_renewal_may_be_lost_in_a_crash(void **state)
{
    (void)state;
    write_at("l", "1", 1);
    renew_at("l", "2", 2);
    history_read(h, "l", "2", 2);
    history_crash(h);
    history_read(h, "l", "1", 1);
    fine();
}

static void a_watch_sees_each_write_once(void **state)
{
    size_t w;
    (void)state;

    write_at("/k/a", "1", 1);
    w = history_watch(h, "/k/", 1);
    write_at("/k/a", "2", 2);
    write_at("/other", "1", 3);
    write_at("/k/a", NULL, 4);
    history_event(h, w, "/k/a", "2", 2);
    history_event(h, w, "/k/a", NULL, 4);
    write_at("/k/a", "3", 6); /* behind what the watch has seen */
    fine();
    history_seen(h, w, 5);
    fine();
}

static void a_late_watch_may_see_only_the_newest_renewal(void **state)
{
    size_t w;
    (void)state;

    write_at("/k/l", "1", 1);
    renew_at("/k/l", "2", 2);
    renew_at("/k/l", "3", 3);
    w = history_watch(h, "/k/", 1);
    history_event(h, w, "/k/l", "3", 3);
    fine();
}

/* ---- impossible ---- */

static void a_lost_write_is_found(void **state)
{
    (void)state;
    write_at("a", "1", 1);
    write_at("a", "2", 2);
    history_crash(h);
    history_read(h, "a", "1", 1);
    impossible("revision 2 was acknowledged");
}

static void a_lost_key_is_found(void **state)
{
    (void)state;
    write_at("a", "1", 1);
    history_crash(h);
    history_read(h, "a", NULL, 0);
    impossible("a is gone");
}

static void a_deleted_key_that_is_back_is_found(void **state)
{
    (void)state;
    write_at("a", "1", 1);
    write_at("a", NULL, 2);
    history_crash(h);
    history_read(h, "a", "1", 1);
    impossible("revision 2 was acknowledged (deleted)");
}

static void a_renewal_lost_without_a_crash_is_found(void **state)
{
    (void)state;
    write_at("l", "1", 1);
    renew_at("l", "2", 2);
    history_read(h, "l", "1", 1);
    impossible("revision 2 was acknowledged");
}

static void a_write_that_was_seen_counts_as_acknowledged(void **state)
{
    size_t w;
    (void)state;

    write_at("a", "1", 1);
    history_begin(h, "a", "2", false);
    w = history_watch(h, "a", 1);
    history_event(h, w, "a", "2", 2);
    history_crash(h);
    history_read(h, "a", "1", 1);
    impossible("revision 2 was acknowledged");
}

static void a_revision_given_out_twice_is_found(void **state)
{
    (void)state;
    write_at("l", "1", 1);
    renew_at("l", "2", 2); /* lost */
    history_crash(h);
    write_at("a", "1", 2);
    impossible("revision 2 is");
}

static void a_revision_that_goes_back_is_found(void **state)
{
    (void)state;
    write_at("a", "1", 5);
    history_crash(h);
    history_revision(h, 4);
    impossible("went back: 4 after 5");
}

static void a_write_before_its_time_is_found(void **state)
{
    (void)state;
    write_at("a", "1", 5);
    write_at("b", "1", 3);
    impossible("got revision 3 after 5");
}

static void values_from_nowhere_are_found(void **state)
{
    (void)state;
    history_read(h, "a", "1", 1);
    impossible("never written");
}

static void a_refused_write_that_happened_is_found(void **state)
{
    (void)state;
    history_refused(h, history_begin(h, "a", "1", false));
    history_read(h, "a", "1", 1);
    impossible("was refused");
}

static void a_missed_event_is_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/k/a", "1", 1);
    write_at("/k/b", "1", 2);
    history_event(h, w, "/k/b", "1", 2);
    impossible("missed revision 1 of /k/a");
}

static void a_missed_last_event_is_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/k/a", "1", 1);
    history_seen(h, w, 2);
    impossible("missed revision 1 of /k/a");
}

static void an_event_that_comes_twice_is_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/k/a", "1", 1);
    history_event(h, w, "/k/a", "1", 1);
    history_event(h, w, "/k/a", "1", 1);
    impossible("at revision 1 after 1");
}

static void events_out_of_order_are_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/k/a", "1", 1);
    write_at("/k/b", "1", 2);
    history_event(h, w, "/k/b", "1", 2);
    history_event(h, w, "/k/a", "1", 1);
    impossible("at revision 1 after 2");
}

static void an_event_of_another_prefix_is_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/other", "1", 1);
    history_event(h, w, "/other", "1", 1);
    impossible("got an event of /other");
}

static void an_event_that_says_something_else_is_found(void **state)
{
    size_t w = history_watch(h, "/k/", 0);
    (void)state;

    write_at("/k/a", "1", 1);
    write_at("/k/b", "1", 2);
    history_event(h, w, "/k/a", "1", 1);
    history_event(h, w, "/k/b", NULL, 2);
    impossible("revision 2 is");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_written_is_read),
        T(a_write_without_an_answer_may_have_happened_or_not),
        T(a_renewal_may_be_lost_in_a_crash),
        T(a_watch_sees_each_write_once),
        T(a_late_watch_may_see_only_the_newest_renewal),
        T(a_lost_write_is_found),
        T(a_lost_key_is_found),
        T(a_deleted_key_that_is_back_is_found),
        T(a_renewal_lost_without_a_crash_is_found),
        T(a_write_that_was_seen_counts_as_acknowledged),
        T(a_revision_given_out_twice_is_found),
        T(a_revision_that_goes_back_is_found),
        T(a_write_before_its_time_is_found),
        T(values_from_nowhere_are_found),
        T(a_refused_write_that_happened_is_found),
        T(a_missed_event_is_found),
        T(a_missed_last_event_is_found),
        T(an_event_that_comes_twice_is_found),
        T(events_out_of_order_are_found),
        T(an_event_of_another_prefix_is_found),
        T(an_event_that_says_something_else_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
